//! Flows that register themselves, and the protocols spoken over them
