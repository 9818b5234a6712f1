//! Numbers at random.

/// A small generator of numbers that repeats (xorshift64*), so that a failure does too.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// Mostly small, some past the high-water mark.
    pub fn size(&mut self) -> usize {
        let limit = [20, 200, 5_000, 90_000][self.below(20).saturating_sub(16) as usize % 4];
        self.below(limit) as usize
    }
}
