//! The flows that the crate serves: what each connects to, and how.
//!
//! Each is a [`mimic::Protocol`]; [`crate::flows`] registers them.

pub mod raw;
pub mod tcp;
pub mod tls;
pub mod udp;
