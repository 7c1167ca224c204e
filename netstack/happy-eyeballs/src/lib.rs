//! RFC 8305 as a pure state machine.
