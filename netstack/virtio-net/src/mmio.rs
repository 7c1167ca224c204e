//! Devices at addresses that the hypervisor tells by boot words.
//!
//! The form is that of Linux's kernel parameter, `virtio_mmio.device=SIZE@ADDRESS:LINE[:ID]`: QEMU's microvm and
//! Firecracker append one for each device to whatever command line they were given.

use core::fmt;
use core::str::FromStr;

/// What such a word begins with.
pub const WORD: &str = "virtio_mmio.device=";

/// A place where a device may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The physical address of its registers.
    pub address: u64,
    /// How many octets they take.
    pub size: u64,
    /// The line of the interrupt controller.
    pub line: u8,
}

/// The word does not say where a device is, or says a place where none can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a device is told as SIZE@ADDRESS:LINE, such as 4K@0xd0000000:5, the address a multiple of 4",
        )
    }
}

impl core::error::Error for Malformed {}

impl FromStr for Slot {
    type Err = Malformed;

    /// Reads what is behind [`WORD`].
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parse = || {
            let (size, rest) = text.split_once('@')?;
            let (address, rest) = rest.split_once(':')?;
            let (line, id) = rest.split_once(':').unwrap_or((rest, "0"));
            number(id)?;
            let (address, size) = (number(address)?, number(size)?);
            address.checked_add(size)?;
            // 4.2.2.2: registers are read and written by 32 bits, where they are aligned
            if !address.is_multiple_of(4) {
                return None;
            }
            Some(Self { address, size, line: number(line)?.try_into().ok()? })
        };
        parse().ok_or(Malformed)
    }
}

/// A number as Linux reads it, but for octal ones: hexadecimal or decimal, with K, M or G behind it.
fn number(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // `from_str_radix` takes a sign
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| plain)?;
    value.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_qemu_and_firecracker_are_read() {
        let slot = |address, size, line| Ok(Slot { address, size, line });
        assert_eq!("512@0xfeb00e00:12".parse(), slot(0xfeb0_0e00, 512, 12));
        assert_eq!("4K@0xd0000000:5".parse(), slot(0xd000_0000, 4096, 5));
        assert_eq!("0x1000@3489660928:5:7".parse(), slot(0xd000_0000, 4096, 5));
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "",
            "@:",
            "4K@0xd0000000",
            "4K@0xd0000000:",
            "4K@0xd0000000:256",
            "4K@0xd0000000:5:x",
            "4K@-1:5",
            "+4K@1:5",
            "K@1:5",
            "0x@1:5",
            "4K@0xffffffffffffffff:5",
            "0xffffffffffffffffG@1:5",
            "4K0xd0000000:5",
            "512@0xfeb00001:5",
            "512@0xfeb00002:5",
        ] {
            assert_eq!(text.parse::<Slot>(), Err(Malformed), "{text}");
        }
    }
}
