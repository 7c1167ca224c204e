//! The image entered as Linux is in 64-bit mode, without PVH: as Firecracker before 1.12 and other hypervisors made of
//! rust-vmm's parts start an ELF file.
//!
//! QEMU enters no ELF file so. The tests do by its debugger's interface what such a hypervisor does by KVM's: the
//! segments of the file are in memory, `struct boot_params` and the command line where Firecracker puts them, page tables
//! that map the first GiB, and the registers are Firecracker's. Only the segments' table is at 0 instead of
//! 0x500, for a debugger cannot move it from where a processor has it after its reset.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::host_tool::Test;
use super::machines::loader_alone;
use super::microvm::{MICROVM, MODERN, NETWORK, SLOT, got_page, page};
use super::peers::Peers;
use super::runner::{Feed, Output};
use crate::guard;
use crate::machine::QEMU;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// All of them; they are about machines only.
pub const TESTS: [(&str, Test); 3] = [
    ("linux entry: in 64-bit mode as Firecracker enters it, it gets a page", page_as_linux),
    ("linux entry: the program is taken from an initrd, too", from_initrd),
    ("linux entry: without a setup header it says so", no_header),
];

fn page_as_linux(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let line = format!("{} {SLOT}", page(peers)?);
    got_page(boot(&workspace.image("default"), None, &Params { line: &line, ..Params::NEW })?)
}

fn from_initrd(workspace: &Workspace, peers: &mut Peers, _: Target) -> Result<()> {
    let scratch = Scratch::new("initrd")?;
    let (file, program) = loader_alone(workspace, &scratch)?;
    let line = format!("{} {SLOT}", page(peers)?);
    let ramdisk = u32::try_from(fs::metadata(&program)?.len())?;
    got_page(boot(&file, Some(&program), &Params { line: &line, ramdisk, ..Params::NEW })?)
}

fn no_header(workspace: &Workspace, _: &mut Peers, _: Target) -> Result<()> {
    let params = Params { magic: [0; 4], ..Params::NEW };
    let (status, said) = boot(&workspace.image("default"), None, &params)?;
    ensure!(status == Some(70 << 1 | 1), "QEMU's status {status:?}: {said}");
    ensure!(said.contains("loader: entered as Linux without its setup header"), "{said}");
    Ok(())
}

/// What differs from one boot to the next.
#[derive(Debug)]
struct Params<'a> {
    magic: [u8; 4],
    line: &'a str,
    /// Octets of the initrd, which lies at [`RAMDISK`].
    ramdisk: u32,
}

impl Params<'_> {
    const NEW: Self = Self { magic: *b"HdrS", line: "", ramdisk: 0 };

    /// The first memory, up to the end of the command line.
    fn memory(&self) -> Vec<u8> {
        let mut memory = vec![0; COMMAND_LINE];
        let mut put = |at: usize, octets: &[u8]| {
            memory[at..at + octets.len()].copy_from_slice(octets);
        };
        // null, code, data: no limits, and the code is of 64 bits
        for (at, entry) in [(CODE, 0x00af_9b00_0000_ffff_u64), (DATA, 0x00cf_9300_0000_ffff)] {
            put(at as usize, &entry.to_le_bytes());
        }
        put(PML4, &(PDPT as u64 | 3).to_le_bytes());
        put(PDPT, &(DIRECTORY as u64 | 3).to_le_bytes());
        for i in 0..512 {
            put(DIRECTORY + 8 * i, &((i as u64) << 21 | 0x83).to_le_bytes());
        }
        // struct boot_params: Linux, Documentation/arch/x86/zero-page.rst
        let mut param = |at, octets: &[u8]| put(BOOT_PARAMS + at, octets);
        let ram = [(0, 0x9_fc00), (1 << 20, MEMORY - (1 << 20))];
        param(0x1e8, &[ram.len() as u8]);
        for (i, (start, length)) in ram.into_iter().enumerate() {
            let entry = [&u64::to_le_bytes(start)[..], &length.to_le_bytes(), &1u32.to_le_bytes()];
            param(0x2d0 + 20 * i, &entry.concat());
        }
        param(0x202, &self.magic);
        // who loads it has no number of its own
        param(0x210, &[0xff]);
        param(0x218, &RAMDISK.to_le_bytes());
        param(0x21c, &self.ramdisk.to_le_bytes());
        param(0x228, &(COMMAND_LINE as u32).to_le_bytes());
        memory.extend_from_slice(self.line.as_bytes());
        memory.push(0);
        memory
    }
}

/// Boots the ELF file `kernel` at its entry: QEMU's status, and what it said.
fn boot(
    kernel: &Path,
    ramdisk: Option<&Path>,
    params: &Params<'_>,
) -> Result<(Option<i32>, String)> {
    let scratch = Scratch::new("linux")?;
    let memory = scratch.path().join("memory");
    fs::write(&memory, params.memory())?;
    let socket = scratch.path().join("debugger");
    let head = fs::read(kernel)?;
    let entry = head.get(24..32).and_then(|it| it.try_into().ok()).map(u64::from_le_bytes);
    let entry = entry.context("no ELF file")?;

    let mut command = guard::command(QEMU);
    command.args(MICROVM).args(MODERN).args(NETWORK);
    command.args(["-accel", "tcg", "-cpu", "max", "-m", &format!("{}M", MEMORY >> 20)]);
    command.args(["-display", "none", "-no-reboot", "-nodefaults", "-serial", "stdio"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]);
    command.args(["-device", &format!("loader,file={}", kernel.display())]);
    let raw =
        |file: &Path, at: u32| format!("loader,file={},addr={at:#x},force-raw=on", file.display());
    command.args(["-device", &raw(&memory, 0)]);
    if let Some(file) = ramdisk {
        command.args(["-device", &raw(file, RAMDISK)]);
    }
    let path = socket.display();
    command.args(["-chardev", &format!("socket,id=debugger,path={path},server=on,wait=off")]);
    // it waits for the debugger's word
    command.args(["-S", "-gdb", "chardev:debugger"]).stdin(Stdio::null());
    thread::scope(|scope| {
        let debugger = scope.spawn(|| {
            let mut debugger = Debugger::connect(&socket)?;
            debugger.enter(entry)?;
            debugger.stay()
        });
        let output = Output::of(command, Feed::Nothing)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &output.stderr;
        let debugger = debugger.join().expect("the debugger's thread does not panic");
        debugger.with_context(|| said.clone())?;
        Ok((output.exit, said))
    })
}

/// The host's end of GDB's remote protocol.
struct Debugger(UnixStream);

impl Debugger {
    fn connect(socket: &Path) -> Result<Self> {
        let limit = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(Self(stream));
                }
                Err(error) if Instant::now() > limit => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Makes the registers those of Firecracker's first processor, and lets it go.
    fn enter(&mut self, entry: u64) -> Result<()> {
        // QEMU lets itself be told single registers once it has told which there are
        self.ask("qSupported:xmlRegisters=i386")?;
        self.ask("qXfer:features:read:target.xml:0,ffb")?;
        for (register, value) in [
            // long mode, by the page tables, and with 64-bit segments from then on
            (EFER, 1 << 8),
            (CR4, 1 << 5),
            (CR3, PML4 as u64),
            (CR0, 1 << 31 | 1),
            (CS, CODE),
            (SS, DATA),
            (DS, DATA),
            (ES, DATA),
            (FS, DATA),
            (GS, DATA),
            (RFLAGS, 2),
            (RSP, STACK),
            (RBP, STACK),
            (RSI, BOOT_PARAMS as u64),
            (RIP, entry),
        ] {
            let octets = value.to_le_bytes().map(|octet| format!("{octet:02x}")).concat();
            let answer = self.ask(&format!("P{register:x}={octets}"))?;
            ensure!(answer == "OK", "register {register} is not taken: {answer:?}");
        }
        self.send("c")
    }

    /// Stays until the machine ends: it would stop without a debugger.
    fn stay(mut self) -> Result<()> {
        self.0.set_read_timeout(None)?;
        std::io::copy(&mut self.0, &mut std::io::sink())?;
        Ok(())
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        let mut answer = Vec::new();
        while self.octet()? != b'$' {}
        loop {
            match self.octet()? {
                b'#' => break,
                octet => answer.push(octet),
            }
        }
        // the sum
        self.octet()?;
        self.octet()?;
        self.0.write_all(b"+")?;
        Ok(String::from_utf8(answer)?)
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0, u8::wrapping_add);
        self.0.write_all(format!("${packet}#{sum:02x}").as_bytes())?;
        match self.octet()? {
            b'+' => Ok(()),
            other => bail!("{packet} is not taken: {other:#x}"),
        }
    }

    fn octet(&mut self) -> Result<u8> {
        let mut octet = [0];
        self.0.read_exact(&mut octet)?;
        Ok(octet[0])
    }
}

/// How long QEMU may take to start and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Octets of main memory.
const MEMORY: u64 = 64 << 20;

// Firecracker's places.
const BOOT_PARAMS: usize = 0x7000;
const STACK: u64 = 0x8ff0;
const PML4: usize = 0x9000;
const PDPT: usize = 0xa000;
const DIRECTORY: usize = 0xb000;
const COMMAND_LINE: usize = 0x2_0000;

/// Where the initrd is, behind all that the image takes.
const RAMDISK: u32 = 40 << 20;

// Its segments.
const CODE: u64 = 8;
const DATA: u64 = 16;

// GDB's numbers of the registers (its i386/64bit-core.xml and 64bit-sse.xml, as QEMU has them).
const RSI: u8 = 4;
const RBP: u8 = 6;
const RSP: u8 = 7;
const RIP: u8 = 16;
const RFLAGS: u8 = 17;
const CS: u8 = 18;
const SS: u8 = 19;
const DS: u8 = 20;
const ES: u8 = 21;
const FS: u8 = 22;
const GS: u8 = 23;
const CR0: u8 = 27;
const CR3: u8 = 29;
const CR4: u8 = 30;
const EFER: u8 = 32;
