//! How far a payload is, from where it is counted to where it is seen.
//!
//! ```text
//!  copy loop ─► Pace ─► Event ─► line ═════════════════► Lines ─► Event ─► Screen
//!  (machine or program)           a port of the machine, or nothing between   (who has the terminal)
//! ```
//!
//! [`Pace`] says when there is something to tell: at the first octet, then ten times a second at most, and at the end.
//! [`Event`] is what is told, and has an exact form as a line. [`Screen`] (feature `draw`) reads such lines and shows a bar
//! on standard error, below whatever else is written there.
//!
//! Who reads the lines believes nothing of them: a machine may have written anything. No I/O and no clock but the screen's.
#![forbid(unsafe_code)]

mod event;
mod pace;
#[cfg(feature = "draw")]
mod screen;

pub use event::{Event, LONGEST, Lines};
pub use pace::{INTERVAL, Pace};
#[cfg(feature = "draw")]
pub use screen::{Above, Events, Screen};
