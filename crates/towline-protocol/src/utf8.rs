//! UTF-8 checked as bytes arrive.

/// The bytes are not UTF-8, and no byte that follows can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// Checks a whole text.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Result<(), InvalidUtf8> {
    // Below this length simdutf8 has no SIMD to offer, and most messages are short and ASCII.
    const SHORT: usize = 64;

    if bytes.len() < SHORT && bytes.is_ascii() {
        return Ok(());
    }
    match simdutf8::basic::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidUtf8),
    }
}

/// Checks a text that arrives in pieces, cut anywhere. The first byte that makes it invalid is refused at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8Stream {
    /// The beginning of a character whose rest has not arrived.
    carry: [u8; 3],
    carried: u8,
}

impl Utf8Stream {
    /// Checks the next piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        let bytes = self.complete_character(bytes)?;
        match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(error) => {
                self.carry(&bytes[error.valid_up_to()..]);
                Ok(())
            }
        }
    }

    /// Checks that the text does not end within a character.
    pub(crate) fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.carried == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }

    /// Completes the carried character from the front of `bytes`, and returns what is left of them.
    fn complete_character<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        while self.carried > 0 {
            let Some((&next, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            let mut character = [0; 4];
            let len = usize::from(self.carried);
            character[..len].copy_from_slice(&self.carry[..len]);
            character[len] = next;
            match std::str::from_utf8(&character[..=len]) {
                Ok(_) => self.carried = 0,
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                Err(_) => self.carry(&character[..=len]),
            }
        }
        Ok(bytes)
    }

    /// Keeps the beginning of a character, which is at most three bytes.
    fn carry(&mut self, beginning: &[u8]) {
        self.carry[..beginning.len()].copy_from_slice(beginning);
        self.carried = beginning.len() as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// How many bytes the stream takes before it refuses one.
    fn taken(bytes: &[u8]) -> usize {
        let mut stream = Utf8Stream::default();
        let refused = bytes.iter().position(|&byte| stream.push(&[byte]).is_err());
        refused.unwrap_or(bytes.len())
    }

    /// The same by the standard library: the longest beginning that some ending would make valid.
    fn expected(bytes: &[u8]) -> usize {
        let hopeless = |len: &usize| {
            let error = std::str::from_utf8(&bytes[..*len]).err();
            error.is_some_and(|error| error.error_len().is_some())
        };
        (1..=bytes.len())
            .find(hopeless)
            .map_or(bytes.len(), |len| len - 1)
    }

    /// Pieces of characters, good and bad, among text.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => "\\PC{0,30}".prop_map(String::into_bytes),
            2 => "[a-z]{0,99}".prop_map(String::into_bytes),
            1 => vec(0x80..=0xff_u8, 0..4),
            1 => Just(b"\xed\xa0".to_vec()),
        ];
        vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    #[test]
    fn a_bad_byte_is_refused_at_once() {
        for (bytes, taken_bytes) in [
            (&b"\xf4\x8f\xbf\xbf"[..], 4),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5\x80", 0),
            (b"\xed\x9f\xbf", 3),
            (b"\xed\xa0\x80", 1),
            (b"\xe0\x80\x80", 1),
            (b"\xf0\x80", 1),
            (b"\xc0\xaf", 0),
            (b"\xc1", 0),
            (b"\xe2\x82a", 2),
            (b"\x80", 0),
            (b"\xff", 0),
        ] {
            assert_eq!(taken(bytes), taken_bytes, "{bytes:x?}");

            // Nor does the tail of a piece wait for the next.
            let valid = taken_bytes == bytes.len();
            let piece = [&[b'a'; 100], bytes].concat();
            assert_eq!(
                Utf8Stream::default().push(&piece).is_ok(),
                valid,
                "{bytes:x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn refuses_the_same_byte_as_std(bytes in bytes()) {
            prop_assert_eq!(taken(&bytes), expected(&bytes));
        }

        #[test]
        fn agrees_with_std_however_it_is_cut(bytes in bytes(), sizes in vec(0..9_usize, 0..60)) {
            let valid = std::str::from_utf8(&bytes).is_ok();
            prop_assert_eq!(validate(&bytes).is_ok(), valid);

            let mut stream = Utf8Stream::default();
            let mut rest = &bytes[..];
            let mut arrived = 0;
            for size in sizes.into_iter().chain([usize::MAX]) {
                let (piece, later) = rest.split_at(size.min(rest.len()));
                arrived += piece.len();
                rest = later;
                let pushed = stream.push(piece);
                prop_assert_eq!(pushed.is_ok(), expected(&bytes[..arrived]) == arrived);
                if pushed.is_err() {
                    return Ok(());
                }
            }
            prop_assert_eq!(stream.finish().is_ok(), valid);
        }
    }
}
