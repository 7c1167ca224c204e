//! The page tables that the kernel starts with.
//!
//! The kernel maps RAM above its image by itself, in large pages, and ACPI's tables below it in small
//! ones, and takes a page that is mapped otherwise already for an error. So these tables map the
//! image in large pages, the loader's own pages in small ones, and nothing else.

use core::cell::UnsafeCell;
use core::ops::Range;

use loader::memory::LARGE_PAGE;

use super::start;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);

// SAFETY: there is one thread.
unsafe impl Sync for Table {}

impl Table {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    fn address(&self) -> u64 {
        self.0.get().addr() as u64
    }

    /// # Safety
    /// The table is not in use.
    unsafe fn set(&self, index: u64, entry: u64) {
        // SAFETY: nothing else refers to it.
        unsafe { (*self.0.get())[index as usize % 512] = entry }
    }
}

static ROOT: Table = Table::new();
static POINTERS: Table = Table::new();
/// One a gibibyte of what the entry maps.
static DIRECTORIES: [Table; 4] = [const { Table::new() }; 4];
/// The first large page in small ones.
static LOWEST: Table = Table::new();

/// Writes the tables and returns the root's physical address.
///
/// # Safety
/// The tables are not in use yet.
pub unsafe fn for_kernel(image: &Range<u64>) -> u64 {
    // SAFETY: as the caller promises.
    unsafe {
        ROOT.set(0, POINTERS.address() | WRITABLE);
        for (i, directory) in (0..).zip(&DIRECTORIES) {
            POINTERS.set(i, directory.address() | WRITABLE);
        }
        DIRECTORIES[0].set(0, LOWEST.address() | WRITABLE);
        for page in (start::BEGIN..start::end()).step_by(SMALL_PAGE as usize) {
            LOWEST.set(page / SMALL_PAGE, page | WRITABLE);
        }
        for page in (image.start..image.end).step_by(LARGE_PAGE as usize) {
            let directory = &DIRECTORIES[(page >> 30) as usize];
            directory.set(page / LARGE_PAGE, page | WRITABLE | LARGE);
        }
    }
    ROOT.address()
}

const SMALL_PAGE: u64 = 4096;

const PRESENT: u64 = 1;
const WRITABLE: u64 = PRESENT | 1 << 1;
const LARGE: u64 = 1 << 7;
