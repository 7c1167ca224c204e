//! Whether the links of the network devices are up, and what to do when one is again.
//!
//! A change raises the same interrupt as everything else, and to ask a device costs an exit to the hypervisor. So
//! they are asked after interrupts alone, and no more often than every [`PAUSE`].

use super::hermit::Device;
use core::time::Duration;
use stack::smol::Stack;
use std::time::Instant;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// What was known of the links when they were last asked.
pub struct Links {
    /// Since when each has been down; none while it is up.
    down: Vec<Option<Instant>>,
    /// The interrupt counter at that time.
    seen: u32,
    asked: Instant,
}

impl Links {
    /// Asks for the first time. `seen` is the interrupt counter, read before.
    pub fn new(stacks: &[Stack<Device>], seen: u32) -> Self {
        let asked = Instant::now();
        let down = stacks.iter().map(|stack| (!is_up(stack)).then_some(asked)).collect();
        Self { down, seen, asked }
    }

    /// Asks again where that is due, and tells the stacks of links that are back. When to be called once more, even
    /// if nothing happens.
    pub fn look(&mut self, stacks: &[Stack<Device>], seen: u32) -> Option<Instant> {
        if seen == self.seen {
            return None;
        }
        let (now, due) = (Instant::now(), self.asked + PAUSE);
        if now < due {
            return Some(due);
        }
        (self.asked, self.seen) = (now, seen);
        for (number, (stack, down)) in stacks.iter().zip(&mut self.down).enumerate() {
            match (is_up(stack), *down) {
                (false, None) => {
                    *down = Some(now);
                    log::warn!("the link of network {number} is down");
                }
                (true, Some(since)) => {
                    *down = None;
                    log::warn!("the link of network {number} is up again");
                    stack.link_returned(now - since);
                }
                _ => {}
            }
        }
        None
    }
}

/// Without a device there is no link to lose.
fn is_up(stack: &Stack<Device>) -> bool {
    stack.with_device(|device| device.link_up()).unwrap_or(true)
}
