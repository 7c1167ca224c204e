//! dnsmasq for one interface: started, and ended by the number that it has noted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::link;
use super::wish::Wish;

/// Starts it; it puts itself into the background once it serves.
pub fn start(wish: &Wish) -> Result<()> {
    let name = &wish.name;
    end(name)?;
    let mut dnsmasq = Command::new("dnsmasq");
    dnsmasq.args(["--conf-file=/dev/null", "--bind-interfaces", "--except-interface=lo"]);
    dnsmasq.args([format!("--interface={name}"), noted(name)]);
    dnsmasq.args(["--user=root", "--leasefile-ro", "--dhcp-authoritative", "--no-hosts"]);
    for cidr in &wish.addresses {
        match (cidr.range(), wish.dhcp, wish.ra) {
            (Some((first, last)), true, _) => {
                dnsmasq.arg(format!("--dhcp-range={first},{last},1h"));
            }
            (None, _, true) => {
                dnsmasq.arg("--enable-ra");
                dnsmasq.arg(format!("--dhcp-range=::,constructor:{name},ra-only,{}", cidr.prefix));
            }
            _ => {}
        }
    }
    link::run(&mut dnsmasq).map(drop)
}

/// Ends the interface's dnsmasq and waits for its end, which frees its ports and removes the note that the next one
/// writes.
pub fn end(name: &str) -> Result<()> {
    let note = note(name);
    let Ok(text) = fs::read_to_string(&note) else { return Ok(()) };
    if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
        end_process(pid, || is_server(pid, name))?;
    }
    // it may have done so itself
    let _ = fs::remove_file(note);
    Ok(())
}

/// Asks the process to end, and ends it when it does not; `is_it`: whether the number is still that process's.
fn end_process(pid: Pid, is_it: impl Fn() -> bool) -> Result<()> {
    for signal in [Signal::TERM, Signal::KILL] {
        let limit = Instant::now() + PATIENCE;
        if is_it() {
            // it may be ending by itself
            let _ = kill_process(pid, signal);
        }
        while is_it() && Instant::now() < limit {
            thread::sleep(Duration::from_millis(5));
        }
    }
    if is_it() {
        bail!("process {} does not end", pid.as_raw_nonzero());
    }
    Ok(())
}

/// Whether the process is the interface's dnsmasq: another may have got its number. One that has ended and is only
/// not looked at by its parent has no command line any more.
fn is_server(pid: Pid, name: &str) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let noted = noted(name);
    let mut words = line.split(|&octet| octet == 0);
    words.next().is_some_and(|program| program.ends_with(b"dnsmasq"))
        && words.any(|word| word == noted.as_bytes())
}

fn noted(name: &str) -> String {
    format!("--pid-file={}", note(name).display())
}

/// Where its number is. One directory for the whole host: no two interfaces have one name, in whatever networks.
fn note(name: &str) -> PathBuf {
    Path::new("/run").join(format!("mimic-tap-{name}.pid"))
}

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Stdio};

    /// A shell by dnsmasq's name, in the middle of the script.
    fn stand_in(script: &str, name: &str) -> (Child, Pid) {
        let mut command = Command::new("/bin/sh");
        command.arg0("/usr/sbin/dnsmasq").args(["-c", &format!("{script}; echo; read line")]);
        command.arg(noted(name)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let pid = Pid::from_child(&child);
        (child, pid)
    }

    #[test]
    fn a_process_that_has_got_the_number_of_a_server_is_none() {
        let (mut child, pid) = stand_in(":", "t0");
        assert!(is_server(pid, "t0") && !is_server(pid, "t1"));
        let this = Pid::from_raw(std::process::id() as i32).unwrap();
        assert!(!is_server(this, "t0"));
        child.kill().unwrap();
        while is_server(pid, "t0") {
            thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn one_that_does_not_listen_is_ended_nevertheless_and_waited_for() {
        let (mut child, pid) = stand_in("trap '' TERM", "t2");
        end_process(pid, || is_server(pid, "t2")).unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "a signal has ended it");
    }
}
