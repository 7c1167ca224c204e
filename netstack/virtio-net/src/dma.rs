//! Buffers that devices read and write, carved out of DMA memory once and never moved.
//!
//! This file is unsafe because it turns raw DMA memory into slices: who may look at a buffer, and
//! when, is decided by [`queue`](crate::queue), which owns the pool.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::setup::SetupError;

/// Buffers of DMA memory, each contiguous for the device, numbered in the order they were made.
pub(crate) struct Pool<H: Hal> {
    slabs: Vec<Slab<H>>,
    buffers: Vec<Place>,
}

/// Where a buffer lies.
#[derive(Clone, Copy)]
struct Place {
    start: NonNull<u8>,
    len: usize,
    slab: usize,
}

// SAFETY: the pointers lead to memory that the pool owns; no thread has a claim on it.
unsafe impl<H: Hal> Send for Pool<H> {}

impl<H: Hal> Pool<H> {
    pub(crate) const fn new() -> Self {
        Self { slabs: Vec::new(), buffers: Vec::new() }
    }

    /// Adds `count` buffers of `size` octets, neighbours in memory where that much contiguous
    /// memory is left. They hold zeros.
    pub(crate) fn grow(
        &mut self,
        count: usize,
        size: usize,
        direction: BufferDirection,
    ) -> Result<(), SetupError> {
        let mut slab_len = (count * size).next_multiple_of(PAGE_SIZE);
        let mut missing = count;
        while missing > 0 {
            let Some(slab) = Slab::<H>::new(slab_len / PAGE_SIZE, direction) else {
                let smallest = size.next_multiple_of(PAGE_SIZE);
                if slab_len <= smallest {
                    return Err(SetupError::NoMemory { octets: smallest });
                }
                slab_len = (slab_len / 2).next_multiple_of(PAGE_SIZE).max(smallest);
                continue;
            };
            for n in 0..(slab_len / size).min(missing) {
                // SAFETY: n < slab_len / size, so the buffer begins and ends inside the slab.
                let start = unsafe { slab.start.add(n * size) };
                self.buffers.push(Place { start, len: size, slab: self.slabs.len() });
                missing -= 1;
            }
            self.slabs.push(slab);
        }
        Ok(())
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> usize {
        self.buffers.len()
    }

    /// The length of a buffer in octets.
    pub(crate) fn len(&self, buffer: usize) -> usize {
        self.buffers[buffer].len
    }

    /// A buffer's contents.
    ///
    /// # Safety
    ///
    /// The device must not have the buffer, and nobody a `&mut` to it.
    pub(crate) unsafe fn bytes(&self, buffer: usize) -> &[u8] {
        let Place { start, len, .. } = self.buffers[buffer];
        // SAFETY: the place lies inside a slab, which was zeroed when it was made; the caller sees
        // to the aliases.
        unsafe { core::slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// A buffer's contents, to be written.
    ///
    /// # Safety
    ///
    /// The device must not have the buffer, and nobody any reference to it.
    pub(crate) unsafe fn bytes_mut(&mut self, buffer: usize) -> &mut [u8] {
        let Place { start, len, .. } = self.buffers[buffer];
        // SAFETY: as in `bytes`.
        unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// Whether `next` begins where `buffer` ends, in the same piece of memory.
    pub(crate) fn adjacent(&self, buffer: usize, next: usize) -> bool {
        let (a, b) = (self.buffers[buffer], self.buffers[next]);
        a.slab == b.slab && a.start.as_ptr().wrapping_add(a.len) == b.start.as_ptr()
    }

    /// The first `len` octets of a run of adjacent buffers that begins with `first`.
    ///
    /// # Safety
    ///
    /// The caller found the buffers that the run covers [`adjacent`](Self::adjacent) one by one; for
    /// all of them what [`bytes`](Self::bytes) asks holds.
    pub(crate) unsafe fn run(&self, first: usize, len: usize) -> &[u8] {
        // SAFETY: the run lies inside one slab, from which `start` was derived.
        unsafe { core::slice::from_raw_parts(self.buffers[first].start.as_ptr(), len) }
    }
}

/// A contiguous piece of DMA memory.
struct Slab<H: Hal> {
    physical: PhysAddr,
    start: NonNull<u8>,
    pages: usize,
    hal: PhantomData<H>,
}

impl<H: Hal> Slab<H> {
    fn new(pages: usize, direction: BufferDirection) -> Option<Self> {
        let (physical, start) = H::dma_alloc(pages, direction);
        // Made only from memory that there is: dropping it gives the memory back.
        (physical != 0).then(|| Self { physical, start, pages, hal: PhantomData })
    }
}

impl<H: Hal> Drop for Slab<H> {
    fn drop(&mut self) {
        // SAFETY: the three come from `dma_alloc` in `new`, and this is their only deallocation.
        let status = unsafe { H::dma_dealloc(self.physical, self.start, self.pages) };
        debug_assert_eq!(status, 0, "the memory came from the same allocator");
    }
}
