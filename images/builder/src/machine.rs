//! The QEMU machine of one boot: which devices, and how its streams are wired.
//!
//! | the machine's | is QEMU's | and the user's |
//! |---|---|---|
//! | virtio-serial port `mimic.stdout` | standard output | standard output: the payload |
//! | virtio-serial port `mimic.stdin` | standard input | standard input |
//! | virtio-serial port `mimic.progress`, where a bar is drawn | a pipe | how far the payload is, as a bar |
//! | COM1 | standard error | standard error: logs and reports |
//! | isa-debug-exit at 0xf4 | exit status | exit code |
//!
//! A PC has its devices on PCI; a microvm has none of a PC's parts but the serial console and a timer, and its
//! devices at addresses, which QEMU tells by boot words.
//!
//! Output and input are two ports because QEMU drops what a machine writes to a port whose host side has
//! closed, which is how the end of the input is told.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::manifest::{Memory, Net, Rng};
use crate::secret::Secret;
use crate::vsock::Vsock;
use crate::words;

/// Everything that decides QEMU's command line.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What it is.
    pub kind: Kind,
    /// The file to boot.
    pub image: PathBuf,
    /// Main memory.
    pub memory: Memory,
    /// Whether KVM runs it.
    pub kvm: bool,
    /// `-cpu` under TCG.
    pub cpu: String,
    /// Network devices, in order.
    pub net: Vec<Net>,
    /// Devices of further networks, behind these.
    pub networks: Vec<Net>,
    /// Whether the kernel carries the frames of tap interfaces, past QEMU.
    pub vhost: bool,
    /// The number of an open file that QEMU inherits and that takes how far the payload is, if somebody looks.
    pub progress: Option<RawFd>,
    /// The socket device, if there is to be one.
    pub vsock: Option<Vsock>,
    /// The source of entropy.
    pub rng: Rng,
    /// Where all frames are captured.
    pub pcap: Option<PathBuf>,
    /// Files that the program finds by name (QEMU's fw_cfg).
    pub secrets: Vec<Secret>,
    /// The user's own arguments, last.
    pub extra: Vec<OsString>,
    /// What the program gets as arguments.
    pub words: Vec<String>,
}

/// The machines of QEMU's that are booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// q35.
    Pc,
    /// microvm without PCI, ACPI and a clock chip, which is told the time of day in seconds since 1970, or has
    /// KVM's clock.
    Microvm {
        /// At the start; none where KVM tells it.
        time: Option<u64>,
    },
}

/// The program that runs a [`Machine`].
pub const QEMU: &str = "qemu-system-x86_64";

impl Machine {
    /// QEMU's arguments.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut all = Arguments(Vec::new());
        all.flags("-nodefaults -no-user-config -no-reboot -display none -smp 1");
        match self.kind {
            // without what no image drives: less for the firmware to look for
            Kind::Pc => all.pair("-machine", "q35,usb=off,vmport=off,sata=off,smbus=off,hpet=off"),
            Kind::Microvm { time } => {
                all.pair("-machine", "microvm,acpi=off,pcie=off,usb=off,rtc=off,pic=off");
                all.flags("-global virtio-mmio.force-legacy=off");
                if let Some(time) = time {
                    all.pair("-fw_cfg", format!("name=opt/mimic/time,string={time}"));
                }
            }
        }
        all.pair("-accel", if self.kvm { "kvm" } else { "tcg" });
        all.pair("-cpu", if self.kvm { "host" } else { self.cpu.as_str() });
        all.pair("-m", self.memory.to_string());
        all.pair("-kernel", self.image.as_os_str());
        // `--` first: all that follows is the program's, none of it the kernel's
        let line = words::join(["--"].into_iter().chain(self.words.iter().map(String::as_str)));
        all.pair("-append", line);
        all.flags("-device isa-debug-exit,iobase=0xf4,iosize=0x4");
        all.flags("-chardev file,id=stderr,path=/dev/fd/2,append=on -serial chardev:stderr");
        all.pair("-device", format!("{},max_ports=4", self.device("virtio-serial", 0)));
        all.flags("-chardev file,id=stdout,path=/dev/fd/1,append=on");
        all.flags("-device virtserialport,chardev=stdout,name=mimic.stdout");
        // before the input's: what stands behind that one is waited for by no program
        if let Some(number) = self.progress {
            let file = format!("file,id=progress,path=/dev/fd/{number},append=on");
            all.pair("-chardev", file);
            all.flags("-device virtserialport,chardev=progress,name=mimic.progress");
        }
        all.flags("-chardev stdio,id=stdin,signal=off");
        all.flags("-device virtserialport,chardev=stdin,name=mimic.stdin,id=stdin");
        if self.rng == Rng::Virtio {
            all.flags("-object rng-random,id=entropy,filename=/dev/urandom");
            all.pair("-device", format!("{},rng=entropy", self.device("virtio-rng", 1)));
        }
        match &self.vsock {
            Some(Vsock::Context(cid)) => {
                let device = self.device("vhost-vsock", SOCKETS);
                all.pair("-device", format!("{device},guest-cid={cid}"));
            }
            Some(Vsock::Process(socket)) => {
                // the process reads and writes the machine's memory itself
                let memory =
                    format!("memory-backend-memfd,id=memory,share=on,size={}", self.memory);
                all.pair("-object", memory);
                all.flags("-machine memory-backend=memory");
                let mut path = OsString::from("socket,id=vsock,path=");
                path.push(escape_commas(&socket.clone().into_os_string()));
                all.pair("-chardev", path);
                let device = self.device("vhost-user-vsock", SOCKETS);
                all.pair("-device", format!("{device},chardev=vsock"));
            }
            None => {}
        }
        // QEMU up to 7.2 would capture virtio's header before each frame, and frames that are not cut yet
        let plain = if self.pcap.is_some() { ",vnet_hdr=off" } else { "" };
        let tap = if self.vhost { ",vhost=on" } else { plain };
        let own = self.net.iter().map(|net| (net, String::new()));
        let further = self.networks.iter().enumerate().map(|(number, net)| (net, subnet(number)));
        for (index, (net, subnet)) in own.chain(further).enumerate() {
            all.net(index, net, &subnet, tap);
            let (device, mac) = (self.device("virtio-net", 2 + index), mac(index, net));
            // no option ROM: the firmware would try to boot from the network
            let rom = if self.kind == Kind::Pc { ",romfile=" } else { "" };
            all.pair("-device", format!("{device},netdev=n{index},mac={mac}{rom}"));
            if let Some(file) = &self.pcap {
                let mut dump =
                    OsString::from(format!("filter-dump,id=pcap{index},netdev=n{index},file="));
                dump.push(escape_commas(&capture_file(file, index)));
                all.pair("-object", dump);
            }
        }
        for secret in &self.secrets {
            let mut item = OsString::from(format!("name=opt/mimic/{},file=", secret.name));
            item.push(escape_commas(&secret.file.clone().into_os_string()));
            all.pair("-fw_cfg", item);
        }
        all.0.extend(self.extra.iter().cloned());
        all.0
    }

    /// A virtio device as this machine has it; in a microvm at the address of this number.
    fn device(&self, name: &str, number: usize) -> String {
        match self.kind {
            Kind::Pc => format!("{name}-pci,disable-legacy=on"),
            Kind::Microvm { .. } => format!("{name}-device,bus=virtio-mmio-bus.{number}"),
        }
    }
}

/// The last address of a microvm is the socket device's.
const SOCKETS: usize = 7;

struct Arguments(Vec<OsString>);

impl Arguments {
    /// Arguments without spaces in them, separated by one.
    fn flags(&mut self, line: &str) {
        self.0.extend(line.split(' ').map(OsString::from));
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }

    /// `subnet`: options of a user network other than QEMU's own; `tap`: more options of a tap interface.
    fn net(&mut self, index: usize, net: &Net, subnet: &str, tap: &str) {
        match net {
            Net::User => self.pair("-netdev", format!("user,id=n{index}{subnet}")),
            Net::Tap(name) => {
                self.pair(
                    "-netdev",
                    format!("tap,id=n{index},ifname={name},script=no,downscript=no{tap}"),
                );
            }
        }
    }
}

/// The addresses of a further network, as no two may be the same: QEMU's own are 10.0.2.0/24 and fec0::/64.
fn subnet(number: usize) -> String {
    match u8::try_from(number + 3) {
        Ok(third) => format!(",net=10.0.{third}.0/24,ipv6-net=fec0:0:0:{third:x}::/64"),
        Err(_) => String::new(),
    }
}

/// The device's address in QEMU's own range: fixed behind user networking, where nobody else is; on a tap
/// one that stays the same for that interface of this host, so that leases do too.
fn mac(index: usize, net: &Net) -> String {
    match net {
        Net::User => format!("52:54:00:12:34:{:02x}", 0x56_u8.wrapping_add(index as u8)),
        Net::Tap(name) => {
            let host = std::fs::read("/etc/machine-id").unwrap_or_default();
            let digest = Sha256::new().chain_update(host).chain_update(name).finalize();
            format!("52:54:00:{:02x}:{:02x}:{:02x}", digest[0], digest[1], digest[2])
        }
    }
}

/// The capture of the device `index`: the file itself for the first, `.1`, `.2`, … behind it for the others.
fn capture_file(file: &Path, index: usize) -> OsString {
    let mut name = file.as_os_str().to_owned();
    if index > 0 {
        name.push(format!(".{index}"));
    }
    name
}

/// QEMU takes two commas for one inside a value.
fn escape_commas(value: &OsString) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut octets = Vec::with_capacity(value.len());
    for &octet in value.as_bytes() {
        octets.push(octet);
        if octet == b',' {
            octets.push(octet);
        }
    }
    OsString::from_vec(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            kind: Kind::Pc,
            image: "image".into(),
            memory: Memory(32 << 20),
            kvm: false,
            cpu: "max".into(),
            net: vec![Net::User],
            networks: vec![],
            vhost: false,
            progress: None,
            vsock: None,
            rng: Rng::Virtio,
            pcap: None,
            secrets: vec![],
            extra: vec![],
            words: vec!["http://h/".into(), "a b,c".into()],
        }
    }

    fn line(machine: &Machine) -> String {
        machine
            .arguments()
            .iter()
            .map(|argument| argument.to_str().unwrap())
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_words_are_one_argument() {
        assert!(line(&machine()).contains("-append\n-- http://h/ a\\ b,c\n"));
        assert!(line(&machine()).contains("-m\n32M\n"));
    }

    #[test]
    fn devices_are_as_asked() {
        let text = line(&Machine { net: vec![], rng: Rng::None, ..machine() });
        assert!(!text.contains("virtio-net") && !text.contains("virtio-rng"));
        let text = line(&Machine {
            net: vec![Net::User, Net::Tap("t0".into())],
            pcap: Some("a,b".into()),
            kvm: true,
            extra: vec!["-cpu".into(), "qemu64".into()],
            ..machine()
        });
        assert!(text.contains("user,id=n0") && text.contains("tap,id=n1,ifname=t0,script=no"));
        assert!(text.contains("downscript=no,vnet_hdr=off\n"), "frames are captured as they are");
        assert!(text.contains("netdev=n0,file=a,,b\n") && text.contains("netdev=n1,file=a,,b.1\n"));
        assert!(text.contains("-accel\nkvm\n-cpu\nhost\n"));
        assert!(text.ends_with("-cpu\nqemu64"));
    }

    #[test]
    fn the_port_of_progress_is_there_when_somebody_looks_and_before_the_inputs() {
        assert!(!line(&machine()).contains("progress"));
        let text = line(&Machine { progress: Some(7), ..machine() });
        assert!(text.contains("file,id=progress,path=/dev/fd/7,append=on\n"));
        let port = |name: &str| text.find(&format!("name=mimic.{name}")).unwrap();
        assert!(port("stdout") < port("progress") && port("progress") < port("stdin"));
    }

    #[test]
    fn the_socket_device_has_the_memory_that_it_needs() {
        let text = line(&Machine { vsock: Some(Vsock::Context(7)), ..machine() });
        assert!(
            text.contains("vhost-vsock-pci,disable-legacy=on,guest-cid=7")
                && !text.contains("memory-backend")
        );
        let vsock = Some(Vsock::Process("/a,b".into()));
        let text = line(&Machine { vsock, memory: Memory(64 << 20), ..machine() });
        assert!(text.contains("memory-backend-memfd,id=memory,share=on,size=64M\n"));
        assert!(text.contains("socket,id=vsock,path=/a,,b\n"));
    }

    #[test]
    fn a_microvm_has_its_devices_in_the_order_of_their_addresses() {
        let kind = Kind::Microvm { time: Some(12) };
        let text = line(&Machine { kind, net: vec![Net::User; 2], ..machine() });
        assert!(!text.contains("-pci") && !text.contains("q35") && !text.contains("romfile"));
        assert!(text.contains("-fw_cfg\nname=opt/mimic/time,string=12\n"));
        for device in ["serial-device,bus=virtio-mmio-bus.0", "rng-device,bus=virtio-mmio-bus.1"] {
            assert!(text.contains(device), "{text}");
        }
        assert!(text.contains("virtio-net-device,bus=virtio-mmio-bus.3,netdev=n1,mac="));
        assert!(
            !line(&Machine { kind: Kind::Microvm { time: None }, ..machine() }).contains("time")
        );
    }

    #[test]
    fn further_networks_are_not_the_first_one() {
        let text = line(&Machine { networks: vec![Net::User; 2], ..machine() });
        assert!(text.contains("user,id=n0\n"));
        assert!(text.contains("user,id=n1,net=10.0.3.0/24,ipv6-net=fec0:0:0:3::/64\n"));
        assert!(text.contains("user,id=n2,net=10.0.4.0/24,ipv6-net=fec0:0:0:4::/64\n"));
    }

    #[test]
    fn secrets_are_files_of_fw_cfg() {
        let secret = Secret { name: "header".parse().unwrap(), file: "/a,b".into() };
        let text = line(&Machine { secrets: vec![secret], ..machine() });
        assert!(text.contains("-fw_cfg\nname=opt/mimic/header,file=/a,,b"));
    }

    #[test]
    fn addresses_are_locally_administered_and_stable() {
        assert_eq!(mac(0, &Net::User), "52:54:00:12:34:56");
        assert_eq!(mac(1, &Net::User), "52:54:00:12:34:57");
        let tap = |name: &str| mac(0, &Net::Tap(name.into()));
        assert_eq!(tap("a"), tap("a"));
        assert_ne!(tap("a"), tap("b"));
    }
}
