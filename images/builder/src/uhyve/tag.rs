//! The kernel's version as uhyve reads it.
//!
//! uhyve gives a network only to kernels that say they are 0.13.2 or later, the first whose driver gets along
//! with its device. The driver here is ours, in the program, and does so; the kernel is 0.11.0, since no later
//! one is in the registry. So the copy of the program for uhyve says what uhyve wants to hear, and nothing
//! else of it is changed: the tag is read by nobody but uhyve, and by it for this.

/// The version that the copy claims.
const CLAIMED: [u32; 3] = [0, 13, 2];

/// The program, an ELF file, with [`CLAIMED`] in its ABI tag.
pub fn tagged(program: &[u8]) -> Result<Vec<u8>, &'static str> {
    let at = version_offset(program).ok_or("it has no ABI tag of Hermit's")?;
    let mut tagged = program.to_vec();
    for (place, number) in tagged[at..at + 12].chunks_exact_mut(4).zip(CLAIMED) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    Ok(tagged)
}

/// Where the three numbers are: in the note `GNU` of type 1 (Linux Standard Base 5.0, "ABI note tag") among
/// the notes of the first segment of those.
fn version_offset(elf: &[u8]) -> Option<usize> {
    let is_elf64 = elf.starts_with(b"\x7fELF\x02\x01");
    let headers = usize::try_from(read64(elf, 0x20)?).ok()?;
    let (size, count) = (usize::from(read16(elf, 0x36)?), usize::from(read16(elf, 0x38)?));
    let mut segments = (0..count).filter_map(|n| headers.checked_add(n * size));
    let notes = segments.find(|at| is_elf64 && read32(elf, *at) == Some(PT_NOTE))?;
    let mut at = usize::try_from(read64(elf, notes + 0x08)?).ok()?;
    let end = at.checked_add(usize::try_from(read64(elf, notes + 0x20)?).ok()?)?;
    while at < end {
        let [name, value, kind] = [0, 4, 8].map(|offset| read32(elf, at + offset));
        let (name, value) = (name? as usize, value? as usize);
        let start = at + 12 + name.next_multiple_of(4);
        let is_tag = kind == Some(ABI_TAG) && elf.get(at + 12..)?.starts_with(b"GNU\0");
        if is_tag && value == 16 && read32(elf, start) == Some(HERMIT) && start + 16 <= elf.len() {
            return Some(start + 4);
        }
        at = start + value.next_multiple_of(4);
    }
    None
}

fn read16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

fn read32(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

fn read64(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*octets.get(at..)?.first_chunk()?))
}

const PT_NOTE: u32 = 4;
const ABI_TAG: u32 = 1;
/// The number of Hermit as an operating system in that note.
const HERMIT: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with a segment of two notes, the second of which is the tag.
    fn program(system: u32) -> Vec<u8> {
        let mut elf = vec![0; 0x40];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x20] = 0x40;
        elf[0x36] = 0x38;
        elf[0x38] = 2;
        let mut segment = [0; 0x38];
        segment[0] = 1;
        elf.extend(segment);
        segment[0] = 4;
        segment[0x08] = 0xb0;
        segment[0x20] = 24 + 32;
        elf.extend(segment);
        let words = |elf: &mut Vec<u8>, words: &[u32]| {
            words.iter().for_each(|word| elf.extend(word.to_le_bytes()));
        };
        words(&mut elf, &[7, 1, 0x5a00]);
        elf.extend(b"HERMIT\0\0\x04\0\0\0");
        words(&mut elf, &[4, 16, 1]);
        elf.extend(b"GNU\0");
        words(&mut elf, &[system, 0, 11, 0]);
        elf
    }

    #[test]
    fn the_version_alone_is_changed() {
        let plain = program(6);
        let tagged = tagged(&plain).unwrap();
        assert_eq!(tagged[tagged.len() - 12..], [0, 0, 0, 0, 13, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(tagged[..tagged.len() - 12], plain[..plain.len() - 12]);
    }

    #[test]
    fn what_is_no_program_of_hermits_is_refused() {
        let whole = program(6);
        assert!(tagged(&program(0)).is_err());
        for length in 0..whole.len() {
            assert!(tagged(&whole[..length]).is_err(), "{length}");
        }
    }
}
