//! Where randomness comes from: a tape of bytes, which a generator reads its choices off.
//!
//! A tape that is cut off goes on with zeros, and zero is the simplest of each choice. So a shorter tape, or one with smaller
//! bytes, makes a simpler input, and that is all there is to minimising a structure.

/// The choices that are left on a tape.
#[derive(Debug)]
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) const fn new(tape: &'a [u8]) -> Self {
        Self(tape)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number up to `most`, inclusive; a greater byte makes no smaller number.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        let mut number = usize::from(self.byte());
        let mut range = 256;
        while range <= most {
            number = number << 8 | usize::from(self.byte());
            range <<= 8;
        }
        number * (most + 1) / range
    }

    /// One of `all`, of which the first is the simplest.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.up_to(all.len() - 1)]
    }

    /// True once in `times`; false is simpler.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.up_to(times - 1) == times - 1
    }

    /// Whether a list goes on. Asked before each element, it lets the element be left out with its answer.
    pub(crate) fn more(&mut self) -> bool {
        self.up_to(3) > 0
    }
}

/// A source of tapes: SplitMix64, small and good enough.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A tape of up to 511 bytes; short ones make the simple inputs.
    pub(crate) fn tape(&mut self) -> Vec<u8> {
        let len = self.next() as usize % 512;
        (0..len).map(|_| (self.next() >> 56) as u8).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let tape = |seed| {
            let mut random = Random::new(seed);
            [random.tape(), random.tape()]
        };
        assert_eq!(tape(1), tape(1));
        assert_ne!(tape(1), tape(2));
    }

    #[test]
    fn an_empty_tape_makes_the_simplest_choices() {
        let mut choices = Choices::new(&[]);
        assert_eq!(choices.bytes(), [0; 3]);
        assert_eq!(choices.up_to(70_000), 0);
        assert_eq!(choices.pick(&["simple", "odd"]), "simple");
        assert!(!choices.once_in(2));
    }

    #[test]
    fn a_number_grows_with_its_bytes_up_to_its_most() {
        for most in [0, 1, 255, 256, 70_000] {
            let numbers = (0..=255).map(|byte| Choices::new(&[byte; 3]).up_to(most));
            let numbers: Vec<usize> = numbers.collect();
            assert!(numbers.is_sorted());
            assert_eq!((numbers[0], numbers[255]), (0, most));
        }
    }
}
