//! DMA memory for tests: the heap, at physical addresses that are the virtual ones.

use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, dealloc};

use core::cell::Cell;

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

pub(crate) struct FakeHal;

thread_local! {
    /// The longest piece of memory, in pages, that is contiguous.
    static CONTIGUOUS: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl FakeHal {
    /// Lets this thread's memory be contiguous for so many pages at most.
    pub(crate) fn limit(pages: usize) {
        CONTIGUOUS.set(pages);
    }
}

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap()
}

// SAFETY: fresh zeroed pages of the heap; nothing is copied.
unsafe impl Hal for FakeHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        if pages > CONTIGUOUS.get() {
            return (0, NonNull::dangling());
        }
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout(pages)) }).unwrap();
        (start.as_ptr().expose_provenance() as PhysAddr, start)
    }

    unsafe fn dma_dealloc(_physical: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: from `dma_alloc`, with the same number of pages.
        unsafe { dealloc(start.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_physical: PhysAddr, _size: usize) -> NonNull<u8> {
        unreachable!("registers are mapped by the platform")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_physical: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
