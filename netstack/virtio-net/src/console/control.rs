//! Control messages of a console with several ports: virtio 1.2, 5.3.6.2.

/// One control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The driver is up (value 1).
    DeviceReady,
    /// There is a port.
    PortAdd { port: u32 },
    /// The port is gone.
    PortRemove { port: u32 },
    /// The driver can use the port, or cannot.
    PortReady { port: u32, usable: bool },
    /// The other side opened the port, or closed it.
    PortOpen { port: u32, open: bool },
    /// The port's name.
    PortName { port: u32, name: String },
    /// Window sizes, console ports and whatever comes later: nothing to a stream of octets.
    Other { event: u16 },
}

impl Control {
    /// Reads a message; `None` if it is too short to be one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
        let port = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let value = u16::from_le_bytes([head[6], head[7]]);
        Some(match u16::from_le_bytes([head[4], head[5]]) {
            DEVICE_READY => Self::DeviceReady,
            PORT_ADD => Self::PortAdd { port },
            PORT_REMOVE => Self::PortRemove { port },
            PORT_READY => Self::PortReady { port, usable: value == 1 },
            PORT_OPEN => Self::PortOpen { port, open: value == 1 },
            PORT_NAME => {
                // Some devices send the terminating zero, some do not.
                let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
                Self::PortName { port, name: String::from_utf8_lossy(name).into_owned() }
            }
            event => Self::Other { event },
        })
    }

    /// Writes a message without its text, which the driver never sends.
    pub(crate) fn emit(&self) -> [u8; HEADER] {
        let (port, event, value) = match self {
            Self::DeviceReady => (0, DEVICE_READY, 1),
            Self::PortAdd { port } => (*port, PORT_ADD, 1),
            Self::PortRemove { port } => (*port, PORT_REMOVE, 1),
            Self::PortReady { port, usable } => (*port, PORT_READY, u16::from(*usable)),
            Self::PortOpen { port, open } => (*port, PORT_OPEN, u16::from(*open)),
            Self::PortName { port, .. } => (*port, PORT_NAME, 1),
            Self::Other { event } => (0, *event, 0),
        };
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&port.to_le_bytes());
        bytes[4..6].copy_from_slice(&event.to_le_bytes());
        bytes[6..].copy_from_slice(&value.to_le_bytes());
        bytes
    }
}

/// Octets of a message without text.
pub(crate) const HEADER: usize = 8;

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_REMOVE: u16 = 2;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_emit_and_parse() {
        for message in [
            Control::DeviceReady,
            Control::PortAdd { port: 3 },
            Control::PortRemove { port: 0x1_0000 },
            Control::PortReady { port: 1, usable: true },
            Control::PortReady { port: 1, usable: false },
            Control::PortOpen { port: 2, open: true },
            Control::PortOpen { port: 2, open: false },
            Control::Other { event: 4 },
        ] {
            assert_eq!(Control::parse(&message.emit()), Some(message));
        }
    }

    #[test]
    fn names_end_at_a_zero_or_at_the_end() {
        let mut bytes = Control::PortName { port: 1, name: String::new() }.emit().to_vec();
        bytes.extend_from_slice(b"mimic.stdin");
        let name = Control::PortName { port: 1, name: "mimic.stdin".into() };
        assert_eq!(Control::parse(&bytes).as_ref(), Some(&name));
        bytes.extend_from_slice(b"\0rest");
        assert_eq!(Control::parse(&bytes), Some(name));
    }

    #[test]
    fn short_messages_are_none() {
        assert_eq!(Control::parse(&[0; 7]), None);
        assert_eq!(Control::parse(&[]), None);
    }
}
