//! Fields of a device's configuration space, each by an access of its own width: virtio 1.2, 4.1.3.1 and 4.2.2.2.

use virtio_drivers::Result;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::platform::Registers;

/// Reads the field at `offset` of the space that begins at `start` of the window.
pub(super) fn read<T: FromBytes + IntoBytes>(
    registers: &impl Registers,
    start: usize,
    offset: usize,
) -> Result<T> {
    let at = place::<T>(registers, start, offset)?;
    let mut value = T::new_zeroed();
    let bytes = value.as_mut_bytes();
    match align_of::<T>() {
        1 => {
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = registers.read8(at + i);
            }
        }
        2 => {
            for (i, half) in bytes.chunks_exact_mut(2).enumerate() {
                half.copy_from_slice(&registers.read16(at + 2 * i).to_ne_bytes());
            }
        }
        _ => {
            for (i, word) in bytes.chunks_exact_mut(4).enumerate() {
                word.copy_from_slice(&registers.read32(at + 4 * i).to_ne_bytes());
            }
        }
    }
    Ok(value)
}

/// Writes the field at `offset` of the space that begins at `start` of the window.
pub(super) fn write<T: IntoBytes + Immutable>(
    registers: &impl Registers,
    start: usize,
    offset: usize,
    value: &T,
) -> Result<()> {
    let at = place::<T>(registers, start, offset)?;
    let bytes = value.as_bytes();
    match align_of::<T>() {
        1 => {
            for (i, byte) in bytes.iter().enumerate() {
                registers.write8(at + i, *byte);
            }
        }
        2 => {
            for (i, half) in bytes.chunks_exact(2).enumerate() {
                registers.write16(at + 2 * i, u16::from_ne_bytes([half[0], half[1]]));
            }
        }
        _ => {
            for (i, word) in bytes.chunks_exact(4).enumerate() {
                let word = [word[0], word[1], word[2], word[3]];
                registers.write32(at + 4 * i, u32::from_ne_bytes(word));
            }
        }
    }
    Ok(())
}

/// Where the field is in the window, if it lies inside and on its alignment.
fn place<T>(registers: &impl Registers, start: usize, offset: usize) -> Result<usize> {
    let at = start.checked_add(offset).filter(|at| at.is_multiple_of(align_of::<T>()));
    match at {
        Some(at) if at.checked_add(size_of::<T>()).is_some_and(|end| end <= registers.size()) => {
            Ok(at)
        }
        _ => Err(virtio_drivers::Error::ConfigSpaceTooSmall),
    }
}
