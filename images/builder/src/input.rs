//! When the user's input is read: not before the program in the machine asks for it.
//!
//! A shell's `while read uri; do scripts/run "$uri"; done < list` must keep its list, as it does with curl. QEMU
//! tells over its control channel (QMP) that the program has opened the port `mimic.stdin`.

use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// Opens when the machine's program wants its input.
#[derive(Debug)]
pub struct Gate {
    listener: UnixListener,
    name: String,
}

impl Gate {
    /// A closed gate that listens for QEMU's control channel.
    pub fn new() -> io::Result<Self> {
        // process numbers repeat in containers that share a network
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("mimic-control-{}-{now}", process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)?;
        Ok(Self { listener, name })
    }

    /// QEMU's arguments for the channel; the port's device must have the id `stdin`.
    pub fn arguments(&self) -> [String; 4] {
        [
            "-chardev".into(),
            format!("socket,id=control,path={},abstract=on", self.name),
            "-mon".into(),
            "chardev=control,mode=control".into(),
        ]
    }

    /// Waits until the gate opens, or the machine has ended, which is `false`.
    pub fn wait(&self) -> bool {
        self.listener.accept().is_ok_and(|(control, _)| opens(control).unwrap_or(false))
    }
}

fn opens(mut control: UnixStream) -> io::Result<bool> {
    control.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    for line in BufReader::new(&control).lines() {
        if is_opening(&line?) {
            // QEMU's messages must not pile up: the channel is closed with this stream
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a line of QMP says that the program has opened its input.
fn is_opening(line: &str) -> bool {
    ["\"VSERPORT_CHANGE\"", "\"open\": true", "\"id\": \"stdin\""]
        .iter()
        .all(|part| line.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ports_opening_opens_it() {
        let event = |open: &str, id: &str| {
            format!(
                "{{\"timestamp\": {{\"seconds\": 1}}, \"event\": \"VSERPORT_CHANGE\", \
                 \"data\": {{\"open\": {open}, \"id\": \"{id}\"}}}}"
            )
        };
        assert!(is_opening(&event("true", "stdin")));
        assert!(!is_opening(&event("false", "stdin")));
        assert!(!is_opening(&event("true", "stdout")));
        assert!(!is_opening("{\"QMP\": {\"capabilities\": []}}"));
    }

    #[test]
    fn a_machine_that_ends_leaves_it_closed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(&theirs).read_line(&mut line).unwrap();
            (&theirs).write_all(b"{\"return\": {}}\n").unwrap();
            line
        });
        assert!(!opens(ours).unwrap());
        assert!(qemu.join().unwrap().contains("qmp_capabilities"));
    }
}
