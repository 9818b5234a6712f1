//! Random numbers that are the same each time: SplitMix64.

/// A sequence of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `index` within that of `seed`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut mixed = Self(seed);
        Self(
            mixed
                .next()
                .wrapping_add(index.wrapping_mul(0xd134_2543_de82_ef95)),
        )
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `from` on and below `to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from) as u64) as usize
    }

    /// Whether it is one of so many percent.
    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.between(0, 100) < share
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.between(0, of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_index_others() {
        let numbers = |seed, index| {
            let mut random = Random::new(seed, index);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
        assert!((0..1000).all(|seed| (5..8).contains(&Random::new(seed, 0).between(5, 8))));
    }
}
