//! TCP, UDP and raw IP over smoltcp, over host sockets and over a simulated wire
