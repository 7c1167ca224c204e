//! Console devices as byte streams with names: virtio 1.2, section 5.3, with `MULTIPORT`.
//!
//! ```text
//!   DEVICE_READY ──▶            ◀── PORT_ADD, one for each port
//!   PORT_READY   ──▶            ◀── PORT_NAME, PORT_OPEN(1) when the host's side is open
//!   PORT_OPEN(1) ──▶  (open)    ◀── data …  PORT_OPEN(0): end of input
//! ```
//!
//! Nothing here blocks. A call that returns `Pending` has armed the interrupt: when the word that
//! was read before the call moves, call again.
//!
//! Memory: a port that was opened for output has 16 buffers of 32 KiB (512 KiB), or of 64 octets if it was
//! opened for short lines; one that was opened for input 8 of 16 KiB (128 KiB); each of the first 8 ports has two queues of 16 entries (16 KiB
//! shared with the device), the control queues 32 buffers of 128 octets.
//!
//! Scope: ports by number and by name, both directions, the host closing and opening again.
//! **Not** here: window sizes, emergency writes, ports beyond the first 8 (the device is told so), more
//! than one console device.

mod control;

use std::collections::VecDeque;

use core::fmt;
use core::task::Poll;

use virtio_drivers::{BufferDirection, Hal};

use self::control::Control;
use crate::queue::{Buffer, Fault, Queue, Taken};
use crate::setup::{self, SetupError};
use crate::transport::Bus;

/// A console device.
pub struct Console<H: Hal, T: Bus> {
    // Dropped first: the reset takes the buffers back from the device.
    transport: T,
    /// Absent without `MULTIPORT`: then port 0 is all there is, and always open.
    control: Option<ControlQueues<H>>,
    ports: Vec<Stream<H>>,
}

/// A port of the console that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(usize);

impl<H: Hal, T: Bus> Console<H, T> {
    /// Sets the device up and tells it to announce its ports: [`find`](Self::find) has them a little
    /// later.
    pub fn new(mut transport: T) -> Result<Self, SetupError> {
        let features = setup::negotiate(&mut transport, MULTIPORT, |_, features| features)?;
        let multiport = features & MULTIPORT != 0;
        let count = if multiport {
            let count: u32 = transport
                .read_config_space(CONFIG_MAX_PORTS)
                .map_err(|_| SetupError::MissingStructure("console configuration"))?;
            (u32::from_le(count) as usize).clamp(1, MAX_PORTS)
        } else {
            1
        };
        // 3.1.1: all queues are set up before the device runs, for ports not yet announced too.
        let ports = (0..count).map(|n| Stream::new(&mut transport, n)).collect::<Result<_, _>>()?;
        let control = multiport.then(|| ControlQueues::new(&mut transport)).transpose()?;
        setup::finish(&mut transport)?;
        let mut console = Self { transport, control, ports };
        match &mut console.control {
            Some(control) => {
                control.incoming.announce(&mut console.transport);
                control.send(Control::DeviceReady, &mut console.transport);
            }
            None => console.ports[0].host = Host::Open,
        }
        Ok(console)
    }

    /// The port of this name, once the device has announced it.
    pub fn find(&mut self, name: &str) -> Option<Port> {
        self.handle_control();
        self.ports.iter().position(|port| port.name.as_deref() == Some(name)).map(Port)
    }

    /// Whether the device has told what there is to tell of its ports: it has given every message to it back, and none of
    /// its own is left. Devices answer before they give a message back (QEMU's do, though 5.3 does not ask for
    /// it), and without `MULTIPORT` there is nothing to tell. `false` has armed the interrupt.
    pub fn is_settled(&mut self) -> bool {
        loop {
            let Some(control) = &mut self.control else {
                return true;
            };
            control.flush(&mut self.transport);
            let answered = control.waiting.is_empty() && !control.outgoing.busy();
            // what came meanwhile may be answered in its turn
            if self.handle_control() {
                continue;
            }
            let Some(control) = &mut self.control else {
                return true;
            };
            if answered {
                control.outgoing.disarm();
                return true;
            }
            if !control.outgoing.arm() && !control.incoming.arm() {
                return false;
            }
        }
    }

    /// The names of the ports announced so far.
    pub fn names(&mut self) -> impl Iterator<Item = &str> {
        self.handle_control();
        self.ports.iter().filter_map(|port| port.name.as_deref())
    }

    /// Looks for news from the device. `true`: the state of some port may have changed.
    pub fn poll(&mut self) -> bool {
        self.handle_control()
    }

    /// Makes the buffers for reading from a port and tells the host that someone reads.
    pub fn open_input(&mut self, port: Port) -> Result<(), SetupError> {
        let Port(n) = port;
        let stream = &mut self.ports[n];
        if stream.input_open {
            return Ok(());
        }
        for buffer in stream.input.provide(INPUT_BUFFERS, INPUT_BUFFER)? {
            stream.input.offer(buffer, INPUT_BUFFER);
        }
        stream.input_open = true;
        stream.input.announce(&mut self.transport);
        self.open(n);
        Ok(())
    }

    /// Makes the buffers for writing to a port and tells the host that someone writes.
    pub fn open_output(&mut self, port: Port) -> Result<(), SetupError> {
        self.open_with(port, OUTPUT_BUFFER)
    }

    /// As [`open_output`](Self::open_output), for who writes a short line now and then. One of up to
    /// [`LINE`] octets is taken whole or not at all.
    pub fn open_lines(&mut self, port: Port) -> Result<(), SetupError> {
        self.open_with(port, LINE)
    }

    fn open_with(&mut self, port: Port, size: usize) -> Result<(), SetupError> {
        let Port(n) = port;
        let stream = &mut self.ports[n];
        if stream.output_open {
            return Ok(());
        }
        stream.free = stream.output.provide(OUTPUT_BUFFERS, size)?;
        stream.output.disarm();
        stream.output_open = true;
        self.open(n);
        Ok(())
    }

    /// Reads from a port that is open for input: octets read, 0 at the end of the input.
    pub fn read(&mut self, port: Port, out: &mut [u8]) -> Poll<Result<usize, PortError>> {
        if out.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            // The news first: what the host wrote before it closed is in the queue by then.
            self.handle_control();
            let stream = &mut self.ports[port.0];
            if let Some(n) = stream.read(out) {
                stream.input.announce(&mut self.transport);
                return Poll::Ready(Ok(n));
            }
            if let Some(fault) = stream.input.fault() {
                return Poll::Ready(Err(PortError::Fault(fault)));
            }
            if stream.host == Host::Closed {
                return Poll::Ready(Ok(0));
            }
            if !stream.input.arm() && !self.control_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes to a port that is open for output: octets taken, as many as there are buffers for.
    /// The rest can follow when the device has written some. The device is told of them by [`announce`](Self::announce),
    /// or when there are no more buffers.
    pub fn write(&mut self, port: Port, bytes: &[u8]) -> Poll<Result<usize, PortError>> {
        loop {
            self.handle_control();
            let host = self.ports[port.0].host;
            match host {
                Host::Open => {}
                // A device discards what it is given for a port that is closed on its side.
                Host::Closed => return Poll::Ready(Err(PortError::Closed)),
                Host::Unknown if self.control_pending() => continue,
                Host::Unknown => return Poll::Pending,
            }
            let stream = &mut self.ports[port.0];
            let taken = stream.write(bytes);
            if taken < bytes.len() {
                stream.output.announce(&mut self.transport);
            }
            if taken > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            if let Some(fault) = stream.output.fault() {
                return Poll::Ready(Err(PortError::Fault(fault)));
            }
            if !stream.output.arm() && !self.control_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Tells the device of what was written since the last time. To be called before waiting, and best once for several
    /// writes: an emulator wakes a thread each time.
    pub fn announce(&mut self) {
        for stream in &mut self.ports {
            stream.output.announce(&mut self.transport);
        }
    }

    /// Ready when the device is done with everything written to a port.
    pub fn flush(&mut self, port: Port) -> Poll<Result<(), PortError>> {
        loop {
            let stream = &mut self.ports[port.0];
            stream.output.announce(&mut self.transport);
            stream.reclaim();
            if let Some(fault) = stream.output.fault() {
                return Poll::Ready(Err(PortError::Fault(fault)));
            }
            if !stream.output.busy() {
                return Poll::Ready(Ok(()));
            }
            if !stream.output.arm() {
                return Poll::Pending;
            }
        }
    }

    /// Whether a [`read`](Self::read) that returned `Pending` is worth another try. Changes nothing
    /// and arms nothing.
    pub fn can_read(&self, port: Port) -> bool {
        self.has_news() || self.ports[port.0].input.has_news()
    }

    /// Whether a [`write`](Self::write) or [`flush`](Self::flush) that returned `Pending` is worth
    /// another try. Changes nothing and arms nothing.
    pub fn can_write(&self, port: Port) -> bool {
        self.has_news() || self.ports[port.0].output.has_news()
    }

    fn has_news(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.incoming.has_news())
    }

    fn open(&mut self, n: usize) {
        if let Some(control) = &mut self.control {
            let message = Control::PortOpen { port: n as u32, open: true };
            control.send(message, &mut self.transport);
        }
    }

    fn control_pending(&mut self) -> bool {
        self.control.as_mut().is_some_and(|control| control.incoming.arm())
    }

    /// Acts on the messages that have come, at most one ring of them. `true`: there were some.
    fn handle_control(&mut self) -> bool {
        let Some(control) = &mut self.control else {
            return false;
        };
        control.flush(&mut self.transport);
        let mut any = false;
        for _ in 0..CONTROL_QUEUE {
            let Some(message) = control.receive() else {
                break;
            };
            any = true;
            let Some(message) = message else {
                continue;
            };
            log::trace!("console: {message:?}");
            match message {
                Control::PortAdd { port } => {
                    let known = self.ports.get_mut(port as usize);
                    let usable = known.is_some();
                    if let Some(stream) = known {
                        stream.name = Some(String::new());
                    }
                    control.send(Control::PortReady { port, usable }, &mut self.transport);
                }
                Control::PortRemove { port } => {
                    if let Some(stream) = self.ports.get_mut(port as usize) {
                        stream.name = None;
                        stream.host = Host::Closed;
                    }
                }
                Control::PortOpen { port, open } => {
                    if let Some(stream) = self.ports.get_mut(port as usize) {
                        stream.host = if open { Host::Open } else { Host::Closed };
                    }
                }
                Control::PortName { port, name } => {
                    if let Some(stream) = self.ports.get_mut(port as usize) {
                        stream.name = Some(name);
                    }
                }
                Control::DeviceReady | Control::PortReady { .. } | Control::Other { .. } => {}
            }
        }
        control.incoming.announce(&mut self.transport);
        any
    }
}

/// One port: its two queues and what is known of it.
struct Stream<H: Hal> {
    input: Queue<H, DATA_QUEUE>,
    output: Queue<H, DATA_QUEUE>,
    /// What was received and not yet read: a buffer, and where in it.
    current: Option<(Buffer, core::ops::Range<usize>)>,
    free: Vec<Buffer>,
    /// `Some` once the device announced the port; empty until it said a name.
    name: Option<String>,
    host: Host,
    input_open: bool,
    output_open: bool,
}

/// What is known of the host's side of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// It was not heard of yet.
    Unknown,
    Open,
    Closed,
}

impl<H: Hal> Stream<H> {
    fn new<T: Bus>(transport: &mut T, port: usize) -> Result<Self, SetupError> {
        // 5.3.2: port 0 has queues 0 and 1, the control queues are 2 and 3, port 1 has 4 and 5, …
        let index = if port == 0 { 0 } else { 2 * port as u16 + 2 };
        Ok(Self {
            input: Queue::new(transport, index, BufferDirection::DeviceToDriver)?,
            output: Queue::new(transport, index + 1, BufferDirection::DriverToDevice)?,
            current: None,
            free: Vec::new(),
            name: None,
            host: Host::Unknown,
            input_open: false,
            output_open: false,
        })
    }

    /// Copies what is there, from as many buffers as it takes. `None`: nothing is there.
    fn read(&mut self, out: &mut [u8]) -> Option<usize> {
        let mut done = 0;
        while done < out.len() {
            let (buffer, range) = match self.current.take() {
                Some(current) => current,
                None => match self.input.take() {
                    Some(Taken { buffer, written }) => (buffer, 0..written.unwrap_or(0)),
                    None => break,
                },
            };
            let n = range.len().min(out.len() - done);
            out[done..done + n]
                .copy_from_slice(&self.input.bytes(&buffer)[range.start..range.start + n]);
            done += n;
            let rest = range.start + n..range.end;
            if rest.is_empty() {
                self.input.offer(buffer, INPUT_BUFFER);
            } else {
                self.current = Some((buffer, rest));
            }
        }
        if done == 0 {
            return None;
        }
        self.input.disarm();
        Some(done)
    }

    /// Copies as much as there are buffers for.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            if self.free.is_empty() {
                self.reclaim();
            }
            let Some(mut buffer) = self.free.pop() else {
                break;
            };
            let n = (bytes.len() - done).min(self.output.size_of(&buffer));
            self.output.bytes_mut(&mut buffer)[..n].copy_from_slice(&bytes[done..done + n]);
            self.output.offer(buffer, n);
            done += n;
        }
        if done > 0 {
            self.output.disarm();
        }
        done
    }

    fn reclaim(&mut self) {
        while let Some(Taken { buffer, .. }) = self.output.take() {
            self.free.push(buffer);
        }
    }
}

/// Queues 2 and 3.
struct ControlQueues<H: Hal> {
    incoming: Queue<H, CONTROL_QUEUE>,
    outgoing: Queue<H, CONTROL_QUEUE>,
    free: Vec<Buffer>,
    /// Messages that found no buffer. A device that asks for more answers than this has to do
    /// without.
    waiting: VecDeque<Control>,
}

impl<H: Hal> ControlQueues<H> {
    fn new<T: Bus>(transport: &mut T) -> Result<Self, SetupError> {
        let mut incoming = Queue::new(transport, 2, BufferDirection::DeviceToDriver)?;
        let mut outgoing = Queue::new(transport, 3, BufferDirection::DriverToDevice)?;
        for buffer in incoming.provide(CONTROL_QUEUE, CONTROL_BUFFER)? {
            incoming.offer(buffer, CONTROL_BUFFER);
        }
        let free = outgoing.provide(CONTROL_QUEUE, CONTROL_BUFFER)?;
        outgoing.disarm();
        Ok(Self { incoming, outgoing, free, waiting: VecDeque::with_capacity(MAX_WAITING) })
    }

    /// The next message, if one came; within that, `None` if it was not understood.
    fn receive(&mut self) -> Option<Option<Control>> {
        let Taken { buffer, written } = self.incoming.take()?;
        let message = Control::parse(&self.incoming.bytes(&buffer)[..written.unwrap_or(0)]);
        self.incoming.offer(buffer, CONTROL_BUFFER);
        Some(message)
    }

    fn send<T: Bus>(&mut self, message: Control, transport: &mut T) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(message);
        }
        self.flush(transport);
    }

    fn flush<T: Bus>(&mut self, transport: &mut T) {
        while let Some(Taken { buffer, .. }) = self.outgoing.take() {
            self.free.push(buffer);
        }
        while !self.waiting.is_empty()
            && let Some(mut buffer) = self.free.pop()
            && let Some(message) = self.waiting.pop_front()
        {
            let bytes = message.emit();
            self.outgoing.bytes_mut(&mut buffer)[..bytes.len()].copy_from_slice(&bytes);
            self.outgoing.offer(buffer, bytes.len());
        }
        self.outgoing.announce(transport);
    }
}

/// Why a port can be used no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortError {
    /// The host closed its side: nobody reads what is written.
    Closed,
    /// The device returned a buffer that it did not have.
    Fault(Fault),
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the host closed the console port"),
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for PortError {}

/// Octets of a line that [`Console::open_lines`] has room for.
pub const LINE: usize = 64;

/// `VIRTIO_CONSOLE_F_MULTIPORT`: 5.3.3.
const MULTIPORT: u64 = 1 << 1;
/// 5.3.4, after the two halves of the window's size.
const CONFIG_MAX_PORTS: usize = 4;
const MAX_PORTS: usize = 8;
/// QEMU's control queues have 32 entries, its data queues 128.
const CONTROL_QUEUE: usize = 16;
const CONTROL_BUFFER: usize = 128;
const MAX_WAITING: usize = 64;
const DATA_QUEUE: usize = 16;
const INPUT_BUFFERS: usize = 8;
const INPUT_BUFFER: usize = 16 * 1024;
const OUTPUT_BUFFERS: usize = 16;
const OUTPUT_BUFFER: usize = 32 * 1024;

#[cfg(test)]
#[path = "console/tests.rs"]
mod tests;
