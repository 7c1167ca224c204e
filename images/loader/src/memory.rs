//! RAM, and the place of the program's image in it.

use core::ops::Range;

/// A page of the size in which the kernel maps RAM.
pub const LARGE_PAGE: u64 = 2 << 20;

/// The RAM that firmware reports, in the order of the report.
#[derive(Debug, Clone, Default)]
pub struct Ram {
    regions: [Region; Self::CAPACITY],
    count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
}

impl Ram {
    /// Firmware reports fewer than ten on the machines known; more than this are left unused.
    const CAPACITY: usize = 32;

    /// No RAM.
    pub const fn new() -> Self {
        Self { regions: [Region { start: 0, end: 0 }; Self::CAPACITY], count: 0 }
    }

    /// Adds `length` octets of RAM at the physical address `start`. An empty region is left out.
    pub fn add(&mut self, start: u64, length: u64) {
        let end = start.saturating_add(length);
        if end > start && self.count < Self::CAPACITY {
            self.regions[self.count] = Region { start, end };
            self.count += 1;
        }
    }

    /// The regions.
    pub fn regions(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.regions[..self.count].iter().map(|region| region.start..region.end)
    }

    /// Octets of RAM at or above `address`.
    pub fn above(&self, address: u64) -> u64 {
        self.regions().map(|r| r.end.saturating_sub(r.start.max(address))).sum()
    }

    /// Octets of RAM.
    pub fn total(&self) -> u64 {
        self.above(0)
    }

    /// Whether all of `range` is RAM.
    pub fn holds(&self, range: &Range<u64>) -> bool {
        self.regions().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// The lowest place for an image of `size` octets that is RAM, starts on a large page at or
    /// above `from`, ends below `to` and does not overlap `taken`.
    pub fn place(&self, size: u64, from: u64, to: u64, taken: &Range<u64>) -> Option<Range<u64>> {
        let above = |address: u64| address.checked_next_multiple_of(LARGE_PAGE);
        // Only the starts of regions and the end of what is taken can be the lowest place.
        let starts = self.regions().map(|r| r.start).chain([from, taken.end]);
        starts
            .filter_map(|start| {
                let start = above(start.max(from))?;
                Some(start..start.checked_add(size)?)
            })
            .filter(|place| place.end <= to && self.holds(place))
            .filter(|place| place.end <= taken.start || taken.end <= place.start)
            .min_by_key(|place| place.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What QEMU's firmware reports at 32 MiB and more.
    fn machine(mib: u64) -> Ram {
        let mut ram = Ram::new();
        ram.add(0, 0x9fc00);
        ram.add(MIB, (mib - 1) * MIB - 0x20000);
        ram
    }

    #[test]
    fn image_lies_below_the_packed_program() {
        let place = machine(32).place(5 * MIB, 2 * MIB, 4096 * MIB, &(8 * MIB..12 * MIB));
        assert_eq!(place, Some(2 * MIB..7 * MIB));
    }

    #[test]
    fn image_moves_behind_a_program_in_its_way() {
        let program = MIB + MIB / 2..6 * MIB - 4096;
        let place = machine(32).place(5 * MIB, 2 * MIB, 4096 * MIB, &program);
        assert_eq!(place, Some(6 * MIB..11 * MIB));
    }

    #[test]
    fn no_place_where_ram_ends() {
        assert_eq!(machine(8).place(7 * MIB, 2 * MIB, 4096 * MIB, &(0..0)), None);
        assert_eq!(machine(64).place(7 * MIB, 2 * MIB, 8 * MIB, &(0..0)), None);
        assert_eq!(Ram::new().place(1, 0, u64::MAX, &(0..0)), None);
        assert_eq!(machine(64).place(u64::MAX, 2 * MIB, u64::MAX, &(0..0)), None);
    }

    #[test]
    fn counts_ram_above_an_address() {
        let mut ram = machine(32);
        ram.add(4096 * MIB, MIB);
        assert_eq!(ram.above(31 * MIB), MIB - 0x20000 + MIB);
        assert_eq!(ram.total(), 0x9fc00 + 31 * MIB - 0x20000 + MIB);
        assert!(ram.holds(&(4096 * MIB..4097 * MIB)));
        assert!(!ram.holds(&(31 * MIB..32 * MIB)));
    }

    #[test]
    fn ignores_regions_beyond_its_capacity_and_empty_ones() {
        let mut ram = Ram::new();
        ram.add(0, 0);
        for i in 0..100 {
            ram.add(i * MIB, 1);
        }
        assert_eq!(ram.regions().count(), Ram::CAPACITY);
        ram.add(u64::MAX, 2);
    }
}
