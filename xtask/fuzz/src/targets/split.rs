//! However a stream is cut, the decoder sees the same events, then the same violation.

use crate::drive;
use crate::stream::{Cut, Stream};

/// A longer stream takes too long byte by byte.
const SHORT: usize = 5000;

/// Decodes the stream at once, in its own pieces, straight into the decoder's buffer, and byte by byte.
pub(crate) fn check(input: &[u8]) {
    let Some(stream) = Stream::parse(input) else {
        return;
    };
    let whole = drive::decode(&stream, &[]);
    for cuts in [&stream.cuts[..], &[Cut::Direct], &[Cut::Bytes(1)]] {
        if cuts == [Cut::Bytes(1)] && stream.wire.len() > SHORT {
            continue;
        }
        let cut = drive::decode(&stream, cuts);
        assert!(
            whole == cut,
            "in one piece {whole:?}, in pieces of {cuts:?} {cut:?}"
        );
    }
}
