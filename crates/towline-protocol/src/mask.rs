//! Masking (RFC 6455 section 5.3): the same operation puts a mask on and takes it off.

use fearless_simd::{Level, Simd as _, dispatch};

/// A masking key and how far into the payload it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask([u8; 4]);

impl Mask {
    /// The mask at the beginning of a payload.
    pub(crate) const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Masks or unmasks `data`, the next bytes of the payload.
    ///
    /// RFC 6455 section 5.3: "Octet i of the transformed data ("transformed-octet-i") is the XOR of octet i of the
    /// original data ("original-octet-i") with octet at index i modulo 4 of the masking key".
    #[inline(always)]
    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let Self(key) = *self;
        if data.len() < WIDE {
            xor_short(data, key);
        } else {
            xor(data, key);
        }
        self.0 = std::array::from_fn(|i| key[(i + data.len()) % key.len()]);
    }
}

/// Less than this is less than one turn of a loop of vector instructions.
const VECTORS: usize = 32;

/// From this length on the widest instructions of the processor are worth asking for.
const WIDE: usize = 256;

/// XORs `data` with the repeated `key` by the widest instructions of the processor.
#[inline(never)]
fn xor(data: &mut [u8], key: [u8; 4]) {
    dispatch!(Level::new(), simd => simd.vectorize(
        #[inline(always)]
        || xor_words(data, key)
    ));
}

/// XORs `data` with the repeated `key` by what every processor has.
///
/// Not inlined: within the decoder the compiler has no registers left for it to unroll the loop.
#[inline(never)]
fn xor_short(data: &mut [u8], key: [u8; 4]) {
    if data.len() >= VECTORS {
        return xor_words(data, key);
    }
    let twice = u64::from(u32::from_ne_bytes(key)) * 0x1_0000_0001;
    let (pairs, rest) = data.as_chunks_mut();
    for pair in pairs {
        *pair = (u64::from_ne_bytes(*pair) ^ twice).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(twice.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// Word by word, which the compiler makes vector instructions of.
#[inline(always)]
fn xor_words(data: &mut [u8], key: [u8; 4]) {
    let (words, rest) = data.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_rfc(key: [u8; 4], data in vec(any::<u8>(), 0..1500), pieces in vec(0..300_usize, 0..20)) {
            let expected: Vec<u8> = data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();

            let mut masked = data;
            let mut mask = Mask::new(key);
            let mut rest = &mut masked[..];
            for piece in pieces {
                let (data, later) = rest.split_at_mut(piece.min(rest.len()));
                mask.apply(data);
                rest = later;
            }
            mask.apply(rest);
            prop_assert_eq!(masked, expected);
        }
    }
}
