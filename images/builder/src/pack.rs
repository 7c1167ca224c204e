//! Packs the boot loader and a program into one bootable file.
//!
//! The result is an ELF file with the loader's segments and one more that holds the program's whole
//! ELF file and the image's own boot words; the loader's slot ([`loader::slot`]) is told where. Machines that boot by PVH (QEMU,
//! microvm included, Firecracker from 1.12 on, Cloud Hypervisor) take the 64-bit form. Its entry in the ELF header is that of
//! Linux's 64-bit boot protocol, where hypervisors without PVH jump to (older Firecrackers); PVH's is in a note, and
//! multiboot2's in its header. Multiboot wants a 32-bit file with a header in its first 8 KiB, and QEMU prefers
//! multiboot where it sees that header, so the two are different files.

use std::fmt;

use loader::slot;

/// How the file is to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Xen's direct boot ABI: `qemu-system-x86_64 -kernel`, `-M microvm` too; multiboot2, and Linux's protocol in
    /// 64-bit mode.
    Pvh,
    /// Multiboot 1: GRUB, and QEMU's other way of `-kernel`.
    Multiboot,
}

/// What is packed with the loader.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The program's ELF file.
    pub program: &'a [u8],
    /// The boot words that come before the user's, as [`crate::words::join`] writes them.
    pub words: &'a str,
}

/// Packs `loader` with `content`, or alone: then it takes the program as a module (`-initrd`).
pub fn pack(
    loader: &[u8],
    content: Option<Content<'_>>,
    protocol: Protocol,
) -> Result<Vec<u8>, Error> {
    let mut loader = loader.to_vec();
    let segments = segments(&loader).map_err(Error::Loader)?;
    let at = slot_offset(&loader)?;
    let end =
        segments.iter().map(|s| s.address + s.memory).max().ok_or(Error::Loader(NO_SEGMENT))?;

    let mut placed = None;
    if let Some(Content { program, words }) = content {
        let octets = [program, words.as_bytes()].concat();
        let address = program_address(program, octets.len(), end).map_err(Error::Program)?;
        let length = program.len() as u64;
        for (field, value) in [
            (slot::PROGRAM_ADDRESS, address),
            (slot::PROGRAM_LENGTH, length),
            (slot::WORDS_ADDRESS, address + length),
            (slot::WORDS_LENGTH, words.len() as u64),
        ] {
            put(&mut loader, at + field, &value.to_le_bytes());
        }
        placed = Some((address, octets));
    }
    if protocol == Protocol::Multiboot {
        for (i, field) in slot::MULTIBOOT_HEADER.iter().enumerate() {
            put(&mut loader, at + slot::MULTIBOOT + 4 * i, &field.to_le_bytes());
        }
    }

    // the linker wrote the one, the loader tells the other
    let entry_32 = u64_at(&loader, E_ENTRY).ok_or(Error::Loader(TRUNCATED))?;
    let entry_64 = u64_at(&loader, at + slot::LINUX_ENTRY).ok_or(Error::Loader(TRUNCATED))?;
    // addresses are below 4 GiB
    let field = at + slot::MULTIBOOT2 + slot::MULTIBOOT2_ENTRY;
    put(&mut loader, field, &(entry_32 as u32).to_le_bytes());
    let entry = if protocol == Protocol::Pvh { entry_64 } else { entry_32 };
    let mut out = Output::new(protocol, entry);
    // Notes last, for multiboot's header is in the first loadable segment and has to be found early.
    let (notes, loads): (Vec<&Segment>, Vec<_>) = segments.iter().partition(|s| s.kind == PT_NOTE);
    for segment in loads.into_iter().chain(notes) {
        let content = segment.content(&loader).ok_or(Error::Loader(TRUNCATED))?;
        out.segment(segment, content);
    }
    if let Some((address, octets)) = placed {
        let length = octets.len() as u64;
        let segment = Segment {
            kind: PT_LOAD,
            flags: READABLE,
            offset: 0,
            address,
            file: length,
            memory: length,
        };
        out.segment(&segment, &octets);
    }
    out.finish()
}

/// What goes into a file's program headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file: u64,
    memory: u64,
}

impl Segment {
    fn content<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        file.get(start..start.checked_add(usize::try_from(self.file).ok()?)?)
    }
}

/// The notes and loadable segments of a 64-bit x86 ELF file.
fn segments(file: &[u8]) -> Result<Vec<Segment>, &'static str> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return Err("no 64-bit little-endian ELF file");
    }
    if u16_at(file, E_MACHINE) != Some(EM_X86_64) {
        return Err("not for x86-64");
    }
    let table = u64_at(file, E_PHOFF).and_then(|at| usize::try_from(at).ok()).ok_or(TRUNCATED)?;
    let count = u16_at(file, E_PHNUM).ok_or(TRUNCATED)?;
    let mut segments = Vec::new();
    for i in 0..usize::from(count) {
        let at = table.checked_add(i * PROGRAM_HEADER_64).ok_or(TRUNCATED)?;
        let word = |offset| u32_at(file, at.checked_add(offset)?);
        let long = |offset| u64_at(file, at.checked_add(offset)?);
        let segment = (|| {
            Some(Segment {
                kind: word(0)?,
                flags: word(4)?,
                offset: long(8)?,
                address: long(24)?,
                file: long(32)?,
                memory: long(40)?,
            })
        })();
        let segment = segment.ok_or(TRUNCATED)?;
        if segment.address.checked_add(segment.memory).is_none_or(|end| end > ADDRESSABLE) {
            return Err("a segment lies above 4 GiB");
        }
        if matches!(segment.kind, PT_LOAD | PT_NOTE) {
            segments.push(segment);
        }
    }
    Ok(segments)
}

/// Where the slot is in the loader's file.
fn slot_offset(loader: &[u8]) -> Result<usize, Error> {
    let mut found = loader
        .windows(slot::SIGNATURE.len())
        .enumerate()
        .filter(|(_, window)| *window == slot::SIGNATURE)
        .map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) if loader.len() >= at + slot::SIZE => Ok(at),
        (Some(_), None) => Err(Error::Loader(TRUNCATED)),
        (first, _) => Err(Error::Slot { found: if first.is_none() { 0 } else { 2 } }),
    }
}

/// Where the program's file goes, with what follows it `length` octets: behind the place of its image, which begins on the first large
/// page behind the loader, so that all of its memory is the kernel's in the end.
fn program_address(program: &[u8], length: usize, loader_end: u64) -> Result<u64, &'static str> {
    let segments = segments(program)?;
    if segments.iter().any(|segment| segment.content(program).is_none()) {
        return Err(TRUNCATED);
    }
    let loads = || segments.iter().filter(|segment| segment.kind == PT_LOAD);
    let start = loads().map(|s| s.address).min().ok_or(NO_SEGMENT)?;
    let end = loads().map(|s| s.address + s.memory).max().ok_or(NO_SEGMENT)?;
    let image = loader_end.next_multiple_of(LARGE_PAGE);
    let address = (image + (end - start)).next_multiple_of(LARGE_PAGE);
    match address.checked_add(length as u64) {
        Some(end) if end <= ADDRESSABLE => Ok(address),
        _ => Err("it does not fit the first 4 GiB"),
    }
}

/// The file as it grows.
struct Output {
    protocol: Protocol,
    entry: u64,
    headers: Vec<Segment>,
    body: Vec<u8>,
}

impl Output {
    fn new(protocol: Protocol, entry: u64) -> Self {
        Self { protocol, entry, headers: Vec::new(), body: Vec::new() }
    }

    /// Where the first segment's content begins: for multiboot within the 8 KiB that are searched
    /// for its header, for PVH behind them.
    fn body_offset(&self) -> u64 {
        match self.protocol {
            Protocol::Multiboot => PAGE,
            Protocol::Pvh => 2 * PAGE,
        }
    }

    fn segment(&mut self, segment: &Segment, content: &[u8]) {
        // A note lies inside a loadable segment too, but it is small, so it is written twice.
        let padding = self.body.len().next_multiple_of(PAGE as usize) - self.body.len();
        self.body.resize(self.body.len() + padding, 0);
        // Offset and address agree within a page, as loaders that map files want it.
        let lead = (segment.address % PAGE) as usize;
        self.body.resize(self.body.len() + lead, 0);
        let offset = self.body_offset() + self.body.len() as u64;
        self.headers.push(Segment { offset, ..*segment });
        self.body.extend_from_slice(content);
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        let mut out = self.head();
        if out.len() as u64 > self.body_offset() {
            return Err(Error::Loader("it has too many segments"));
        }
        out.resize(self.body_offset() as usize, 0);
        out.extend_from_slice(&self.body);
        Ok(out)
    }

    /// The ELF header and the program headers. There are no sections.
    fn head(&self) -> Vec<u8> {
        let wide = self.protocol == Protocol::Pvh;
        let header_size = if wide { 64u16 } else { 52 };
        let program_header_size = if wide { PROGRAM_HEADER_64 as u16 } else { 32 };
        let mut out = b"\x7fELF".to_vec();
        out.extend([if wide { 2 } else { 1 }, 1, 1]);
        out.resize(16, 0);
        // All addresses are below 4 GiB, so narrowing them loses nothing.
        let address = |out: &mut Vec<u8>, value: u64| match wide {
            true => out.extend(value.to_le_bytes()),
            false => out.extend((value as u32).to_le_bytes()),
        };
        out.extend(ET_EXEC.to_le_bytes());
        out.extend(if wide { EM_X86_64 } else { EM_386 }.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        address(&mut out, self.entry);
        address(&mut out, header_size.into());
        address(&mut out, 0);
        out.extend(0u32.to_le_bytes());
        for field in [header_size, program_header_size, self.headers.len() as u16, 0, 0, 0] {
            out.extend(field.to_le_bytes());
        }
        for segment in &self.headers {
            out.extend(segment.kind.to_le_bytes());
            if wide {
                out.extend(segment.flags.to_le_bytes());
            }
            for value in [segment.offset, segment.address, segment.address] {
                address(&mut out, value);
            }
            address(&mut out, segment.file);
            address(&mut out, segment.memory);
            if !wide {
                out.extend(segment.flags.to_le_bytes());
            }
            address(&mut out, if segment.kind == PT_NOTE { 4 } else { PAGE });
        }
        out
    }
}

/// Why the two cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The loader's file is not what its build makes.
    Loader(&'static str),
    /// The loader's file does not hold one slot; 2 stands for more than one.
    Slot {
        /// How many it holds.
        found: usize,
    },
    /// The program's file is no program for the kernel.
    Program(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loader(what) => write!(f, "the boot loader's file: {what}"),
            Self::Slot { found: 0 } => f.write_str("the boot loader's file has no slot"),
            Self::Slot { .. } => f.write_str("the boot loader's file has more than one slot"),
            Self::Program(what) => write!(f, "the program's file: {what}"),
        }
    }
}

impl std::error::Error for Error {}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn array<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: usize) -> Option<u16> {
    array(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    array(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    array(file, at).map(u64::from_le_bytes)
}

const TRUNCATED: &str = "it is cut short";
const NO_SEGMENT: &str = "it has no loadable segment";

const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = loader::memory::LARGE_PAGE;

/// The loader maps so much memory.
const ADDRESSABLE: u64 = 1 << 32;

// Fields and values of the ELF header and of program headers (System V ABI, chapters 4 and 5).
const E_MACHINE: usize = 18;
const E_ENTRY: usize = 24;
const E_PHOFF: usize = 32;
const E_PHNUM: usize = 56;
const PROGRAM_HEADER_64: usize = 56;
const ET_EXEC: u16 = 2;
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const READABLE: u32 = 4;

#[cfg(test)]
mod tests;
