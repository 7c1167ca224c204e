use super::*;

use std::io::Cursor;

use linux_loader::loader::{Elf, KernelLoader, elf::PvhBootCapability};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const LOADER_AT: u64 = 0x10_0000;

/// PVH's note: of the name's, the descriptor's and the type's fields, and its entry.
const NOTE: &[u8] = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\x50\x00\x10\x00";

/// A 64-bit ELF file of these segments, each with its content, for the machine `machine`.
fn elf(machine: u16, segments: &[(u32, u64, &[u8], u64)]) -> Vec<u8> {
    let mut out = Output::new(Protocol::Pvh, LOADER_AT + 0x40);
    for &(kind, address, content, memory) in segments {
        let file = content.len() as u64;
        out.segment(&Segment { kind, flags: 5, offset: 0, address, file, memory }, content);
    }
    let mut file = out.finish().expect("few segments");
    put(&mut file, E_MACHINE, &machine.to_le_bytes());
    file
}

fn loader() -> Vec<u8> {
    let mut content = vec![0; 0x20];
    content.extend(slot::SIGNATURE);
    content.resize(0x20 + slot::LINUX_ENTRY, 0);
    content.extend((LOADER_AT + 0x80).to_le_bytes());
    content.extend(slot::MULTIBOOT2_HEADER.map(u32::to_le_bytes).as_flattened());
    assert_eq!(content.len(), 0x20 + slot::SIZE);
    content.extend(b"code");
    elf(
        EM_X86_64,
        &[
            (PT_NOTE, LOADER_AT, NOTE, NOTE.len() as u64),
            (PT_LOAD, LOADER_AT, &content, content.len() as u64),
            (PT_LOAD, LOADER_AT + 0x3008, b"data", 0x8000),
        ],
    )
}

fn program() -> Vec<u8> {
    elf(EM_X86_64, &[(PT_LOAD, 0, b"text", 0x1000), (PT_LOAD, 0x2000, b"data", 0x25_0000)])
}

fn content(program: &[u8]) -> Option<Content<'_>> {
    Some(Content { program, words: "" })
}

/// The segments of a packed 64-bit file as a machine would load them.
fn load(image: &[u8]) -> Vec<(Segment, Vec<u8>)> {
    let segments = segments(image).expect("a valid file");
    segments.into_iter().map(|s| (s, s.content(image).expect("inside the file").to_vec())).collect()
}

#[test]
fn packed_file_has_the_loader_and_the_program() {
    let program = program();
    let image = pack(&loader(), content(&program), Protocol::Pvh).unwrap();
    let loaded = load(&image);
    assert_eq!(loaded.len(), 4);
    assert_eq!((loaded[1].0.address, loaded[1].0.memory), (LOADER_AT + 0x3008, 0x8000));
    assert_eq!(loaded[1].1, b"data");
    assert_eq!(loaded[2].0.kind, PT_NOTE);
    assert_eq!(loaded[2].1, NOTE);

    let (segment, content) = &loaded[3];
    assert_eq!(content, &program);
    // The image takes 0x252000 octets from 2 MiB on, so the file begins on the next large page.
    assert_eq!(segment.address, 6 << 20);
    let slot = &loaded[0].1[0x20..];
    assert_eq!(u64_at(slot, slot::PROGRAM_ADDRESS), Some(segment.address));
    assert_eq!(u64_at(slot, slot::PROGRAM_LENGTH), Some(program.len() as u64));
    assert_eq!(u64_at(&image, E_ENTRY), Some(LOADER_AT + 0x80), "Linux's entry");
}

#[test]
fn multiboot2_has_an_entry_of_its_own() {
    let image = pack(&loader(), None, Protocol::Pvh).unwrap();
    let header = &load(&image)[0].1[0x20 + slot::MULTIBOOT2..];
    assert_eq!(u32_at(header, 0), Some(slot::MULTIBOOT2_HEADER[0]));
    // the tag of the entry's address: type and flags, size, address
    let tag = [0, 4, 8].map(|at| u32_at(header, slot::MULTIBOOT2_ENTRY - 8 + at).unwrap());
    assert_eq!(tag, [3, 12, LOADER_AT as u32 + 0x40]);
}

#[test]
fn offsets_and_addresses_agree_within_a_page() {
    let image = pack(&loader(), content(&program()), Protocol::Pvh).unwrap();
    for (segment, _) in load(&image) {
        assert_eq!(segment.offset % PAGE, segment.address % PAGE, "{segment:x?}");
    }
}

/// Where a loader that speaks multiboot looks for the header.
fn multiboot_header(image: &[u8]) -> Option<usize> {
    let end = image.len().min(8192);
    (0..end - 12).step_by(4).find(|&at| {
        let field = |i: usize| u32_at(image, at + 4 * i).unwrap_or(0);
        field(0) == 0x1bad_b002 && (0..3).map(field).fold(0, u32::wrapping_add) == 0
    })
}

#[test]
fn multiboot_file_is_32_bit_with_a_header() {
    let program = program();
    let image = pack(&loader(), content(&program), Protocol::Multiboot).unwrap();
    assert!(image.starts_with(b"\x7fELF\x01\x01"));
    assert_eq!(u16_at(&image, E_MACHINE), Some(EM_386));
    assert!(multiboot_header(&image).is_some());
    assert_eq!(u32_at(&image, 24), Some(LOADER_AT as u32 + 0x40), "entry");
    // The last program header: 52 octets of file header, 32 of each program header.
    let last = 52 + 3 * 32;
    let field = |i: usize| u32_at(&image, last + 4 * i).unwrap_or(0);
    assert_eq!((field(0), field(3)), (PT_LOAD, 6 << 20));
    let offset = field(1) as usize;
    assert_eq!(&image[offset..offset + program.len()], program);
}

#[test]
fn rust_vmm_loads_the_file_and_finds_both_entries() {
    let program = program();
    let image = pack(&loader(), content(&program), Protocol::Pvh).unwrap();
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 16 << 20)]).unwrap();
    // as Firecracker calls it: kernels begin at 1 MiB
    let start = Some(GuestAddress(LOADER_AT));
    let loaded = Elf::load(&memory, None, &mut Cursor::new(&image), start).unwrap();
    assert_eq!(loaded.kernel_load, GuestAddress(LOADER_AT + 0x80));
    let pvh = GuestAddress(LOADER_AT + 0x50);
    assert_eq!(loaded.pvh_boot_cap, PvhBootCapability::PvhEntryPresent(pvh));
    let mut there = vec![0; program.len()];
    memory.read_slice(&mut there, GuestAddress(6 << 20)).unwrap();
    assert!(there == program, "the program is not where its segment says");
}

#[test]
fn pvh_file_is_not_taken_for_multiboot() {
    let image = pack(&loader(), content(&program()), Protocol::Pvh).unwrap();
    assert_eq!(multiboot_header(&image), None);
}

#[test]
fn without_a_program_the_slot_stays_empty() {
    let image = pack(&loader(), None, Protocol::Pvh).unwrap();
    let loaded = load(&image);
    assert_eq!(loaded.len(), 3);
    assert_eq!(u64_at(&loaded[0].1[0x20..], slot::PROGRAM_LENGTH), Some(0));
}

#[test]
fn words_lie_behind_the_program() {
    let program = program();
    let words = "--timeout=5s \"a b\"";
    let content = Content { program: &program, words };
    let image = pack(&loader(), Some(content), Protocol::Pvh).unwrap();
    let loads = load(&image);
    let slot = loads.iter().find_map(|(_, octets)| {
        octets.strip_prefix(&[0; 0x20]).filter(|rest| rest.starts_with(&slot::SIGNATURE))
    });
    let field = |at| u64_at(slot.unwrap(), at).unwrap();
    assert_eq!(field(slot::WORDS_LENGTH), words.len() as u64);
    let address = field(slot::WORDS_ADDRESS);
    assert_eq!(address, field(slot::PROGRAM_ADDRESS) + field(slot::PROGRAM_LENGTH));
    let (segment, octets) = loads.last().unwrap();
    let start = usize::try_from(address - segment.address).unwrap();
    assert_eq!(&octets[start..], words.as_bytes());
}

#[test]
fn files_of_another_kind_are_refused() {
    let (loader, program) = (loader(), program());
    let fail =
        |loader: &[u8], program: &[u8]| pack(loader, content(program), Protocol::Pvh).unwrap_err();

    assert!(matches!(fail(b"", &program), Error::Loader(_)));
    assert!(matches!(fail(&program, &program), Error::Slot { found: 0 }));
    let two = [&loader[..], &slot::SIGNATURE[..]].concat();
    assert!(matches!(fail(&two, &program), Error::Slot { found: 2 }));
    assert!(matches!(fail(&loader, b"#!/bin/sh"), Error::Program(_)));
    assert!(matches!(fail(&loader, &elf(EM_386, &[])), Error::Program(_)));
    assert_eq!(fail(&loader, &elf(EM_X86_64, &[])), Error::Program(NO_SEGMENT));
    let large = elf(EM_X86_64, &[(PT_LOAD, 0, b"", ADDRESSABLE)]);
    assert!(matches!(fail(&loader, &large), Error::Program(_)));
}

#[test]
fn truncated_files_are_refused() {
    let (loader, program) = (loader(), program());
    for length in (0..loader.len()).step_by(61) {
        assert!(pack(&loader[..length], content(&program), Protocol::Pvh).is_err(), "at {length}");
    }
    for length in (0..program.len()).step_by(61) {
        assert!(pack(&loader, content(&program[..length]), Protocol::Pvh).is_err(), "at {length}");
    }
}
