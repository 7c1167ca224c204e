//! When the user's input is read: not before the program in the machine asks for it.
//!
//! A shell's `while read uri; do scripts/run "$uri"; done < list` must keep its list, as it does with curl. QEMU
//! tells over its control channel (QMP) that the program has opened the port `mimic.stdin`: by an event, and before the channel's
//! greeting, when there are no events yet, by the state of the port's character device.

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
    // a busy host may come to this only after the program has come to its input
    control
        .write_all(b"{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-chardev\"}\n")?;
    for line in BufReader::new(&control).lines() {
        if is_opening(&line?) {
            // QEMU's messages must not pile up: the channel is closed with this stream
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a line of QMP says that the program has opened its input, or that it is open.
fn is_opening(line: &str) -> bool {
    let all = |text: &str, parts: &[&str]| parts.iter().all(|part| text.contains(part));
    all(line, &["\"VSERPORT_CHANGE\"", "\"open\": true", "\"id\": \"stdin\""])
        // of the answer's objects, one for each device
        || line.split('{').any(|it| all(it, &["\"frontend-open\": true", "\"label\": \"stdin\""]))
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
    fn one_that_was_open_before_the_greeting_opens_it() {
        // QEMU 7.2's answer
        let answer = |open: &str| {
            format!(
                "{{\"return\": [{{\"frontend-open\": true, \"filename\": \"unix\", \"label\": \"control\"}}, \
                 {{\"frontend-open\": {open}, \"filename\": \"stdio\", \"label\": \"stdin\"}}]}}"
            )
        };
        for (open, opened) in [("true", true), ("false", false)] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let qemu = std::thread::spawn(move || {
                let mut lines = BufReader::new(&theirs).lines();
                assert!(lines.next().unwrap().unwrap().contains("qmp_capabilities"));
                assert!(lines.next().unwrap().unwrap().contains("query-chardev"));
                let said = format!("{{\"return\": {{}}}}\n{}\n", answer(open));
                (&theirs).write_all(said.as_bytes()).unwrap();
            });
            assert_eq!(opens(ours).unwrap(), opened);
            qemu.join().unwrap();
        }
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
