//! The flattened device tree that tells the kernel of RAM and ACPI.
//!
//! Written by hand, for it has four nodes: Devicetree Specification 0.4, chapter 5. There is **no**
//! memory reservation and no interrupt, clock or bus.

use crate::memory::Ram;

/// The tree does not fit the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Writes the tree to `buffer` and returns its length in octets.
///
/// `rsdp` is the physical address of ACPI's root pointer where it is known; without it the kernel
/// searches for it.
pub fn write(buffer: &mut [u8], ram: &Ram, rsdp: Option<u64>) -> Result<usize, TooLong> {
    let mut out = Writer { buffer, at: 0 };
    // The header comes last, when sizes are known.
    out.at = HEADER;
    // An empty list of reservations ends with a pair of zeros (§5.3).
    out.bytes(&[0; 16])?;

    let structure = out.at;
    out.begin("")?;
    out.property(ADDRESS_CELLS, &2u32.to_be_bytes())?;
    out.property(SIZE_CELLS, &2u32.to_be_bytes())?;
    // The kernel asks every root for it.
    out.property(COMPATIBLE, b"hermit,loader\0")?;
    for region in ram.regions() {
        out.begin_at("memory@", region.start)?;
        out.property(DEVICE_TYPE, b"memory\0")?;
        out.property(REG, &reg(region.start, region.end - region.start))?;
        out.word(END_NODE)?;
    }
    if let Some(rsdp) = rsdp {
        // The kernel's name for it, from its EFI loader.
        out.begin("hermit,rsdp")?;
        out.property(REG, &reg(rsdp, 1))?;
        out.word(END_NODE)?;
    }
    out.begin("chosen")?;
    out.word(END_NODE)?;
    out.word(END_NODE)?;
    out.word(END)?;

    let strings = out.at;
    out.bytes(STRINGS)?;
    let length = out.at;

    out.at = 0;
    // §5.2; versions 17 and 16 are the current one and the last that it is compatible with.
    let header = [
        0xd00d_feed,
        length,
        structure,
        strings,
        HEADER,
        17,
        16,
        0,
        STRINGS.len(),
        strings - structure,
    ];
    for field in header {
        out.word(field as u32)?;
    }
    Ok(length)
}

fn reg(address: u64, size: u64) -> [u8; 16] {
    let mut reg = [0; 16];
    reg[..8].copy_from_slice(&address.to_be_bytes());
    reg[8..].copy_from_slice(&size.to_be_bytes());
    reg
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let end = self.at + bytes.len();
        self.buffer.get_mut(self.at..end).ok_or(TooLong)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn word(&mut self, word: u32) -> Result<(), TooLong> {
        self.bytes(&word.to_be_bytes())
    }

    /// Names and values are padded to four octets (§5.4.1).
    fn pad(&mut self) -> Result<(), TooLong> {
        let zeros = self.at.next_multiple_of(4) - self.at;
        self.bytes(&[0; 3][..zeros])
    }

    fn begin(&mut self, name: &str) -> Result<(), TooLong> {
        self.word(BEGIN_NODE)?;
        self.bytes(name.as_bytes())?;
        self.bytes(&[0])?;
        self.pad()
    }

    /// Begins a node named `prefix` and the address in hexadecimal (§2.2.1).
    fn begin_at(&mut self, prefix: &str, address: u64) -> Result<(), TooLong> {
        self.word(BEGIN_NODE)?;
        self.bytes(prefix.as_bytes())?;
        let digits = 1.max((64 - address.leading_zeros()).div_ceil(4));
        for digit in (0..digits).rev() {
            let digit = address >> (4 * digit) & 0xf;
            self.bytes(&[b"0123456789abcdef"[digit as usize]])?;
        }
        self.bytes(&[0])?;
        self.pad()
    }

    fn property(&mut self, name: u32, value: &[u8]) -> Result<(), TooLong> {
        self.word(PROP)?;
        self.word(value.len() as u32)?;
        self.word(name)?;
        self.bytes(value)?;
        self.pad()
    }
}

/// Size of the header (§5.2).
const HEADER: usize = 40;

// Tokens of the structure block (§5.4.1).
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const END: u32 = 9;

/// The strings block, and the offsets of the names in it.
const STRINGS: &[u8] = b"#address-cells\0#size-cells\0compatible\0device_type\0reg\0";
const ADDRESS_CELLS: u32 = 0;
const SIZE_CELLS: u32 = 15;
const COMPATIBLE: u32 = 27;
const DEVICE_TYPE: u32 = 38;
const REG: u32 = 50;

#[cfg(test)]
mod tests {
    use fdt::Fdt;

    use super::*;

    fn ram() -> Ram {
        let mut ram = Ram::new();
        ram.add(0, 0x9fc00);
        ram.add(0x10_0000, 0xbff0_0000);
        ram.add(0x1_0000_0000, 0x1_4000_0000);
        ram
    }

    #[test]
    fn the_kernel_s_parser_finds_ram() {
        let mut buffer = [0; 1024];
        let length = write(&mut buffer, &ram(), None).expect("the buffer is large");
        let fdt = Fdt::new(&buffer[..length]).expect("a valid tree");
        assert_eq!(fdt.total_size(), length);

        // As the kernel asks: by the name before the address, one region a node.
        let regions: Vec<_> = fdt
            .find_all_nodes("/memory")
            .map(|node| node.reg().expect("has a range").next().expect("has one"))
            .map(|region| (region.starting_address as u64, region.size.expect("has a size") as u64))
            .collect();
        let expected: Vec<_> = ram().regions().map(|r| (r.start, r.end - r.start)).collect();
        assert_eq!(regions, expected);
        assert_eq!(fdt.root().compatible().first(), "hermit,loader");
        assert_eq!(fdt.chosen().bootargs(), None);
        assert!(fdt.find_node("/hermit,rsdp").is_none());
    }

    #[test]
    fn the_kernel_s_parser_finds_acpi() {
        let mut buffer = [0; 1024];
        let length = write(&mut buffer, &ram(), Some(0xf_5a10)).expect("the buffer is large");
        let fdt = Fdt::new(&buffer[..length]).expect("a valid tree");
        let node = fdt.find_node("/hermit,rsdp").expect("the node");
        let region = node.reg().expect("has a range").next().expect("has one");
        assert_eq!(region.starting_address as u64, 0xf_5a10);
    }

    #[test]
    fn a_short_buffer_is_an_error_at_every_length() {
        let mut buffer = [0; 1024];
        let length = write(&mut buffer, &ram(), Some(0xe_0000)).expect("the buffer is large");
        for short in 0..length {
            assert_eq!(write(&mut buffer[..short], &ram(), Some(0xe_0000)), Err(TooLong));
        }
    }

    #[test]
    fn a_full_memory_map_fits_the_loader_s_buffer() {
        let mut ram = Ram::new();
        for i in 0..100 {
            ram.add(u64::MAX - 1000 + 2 * i, 1);
        }
        assert!(write(&mut [0; 4096], &ram, Some(0xf_ffff)).is_ok());
    }
}
