//! Compression of messages: the extension permessage-deflate (RFC 7692).

mod deflater;
mod inflater;
mod negotiation;
mod settings;
#[cfg(test)]
mod tests;

pub use self::deflater::{Deflater, Fragment};
pub(crate) use self::inflater::Inflater;
pub(crate) use self::negotiation::Offers;
pub use self::negotiation::PerMessageDeflate;
pub use self::settings::{Compression, InvalidCompression};

/// What ends every message and is left out on the wire (RFC 7692 section 7.2.1): an empty block without compression.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How much is inflated or deflated at once.
const CHUNK: usize = 16 * 1024;

/// Runs `f` with a buffer of the thread.
fn with_chunk<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    use std::cell::RefCell;

    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(CHUNK, 0);
        }
        f(buffer)
    })
}

/// The window of a side that has said nothing about it.
const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that there is an implementation for: zlib takes 8 for 9.
const MIN_WINDOW_BITS: u8 = 9;
