//! The receiving side: compressed payloads to messages.

use std::cell::RefCell;
use std::fmt;
use std::mem;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::{MAX_WINDOW_BITS, PerMessageDeflate, TAIL, with_chunk};
use crate::decoder::Role;
use crate::violation::Violation;

thread_local! {
    /// What a socket without context takeover borrows for a message.
    static SPARE: RefCell<Option<Box<Inflate>>> = const { RefCell::new(None) };
}

/// Inflates the messages of one direction.
pub(crate) struct Inflater {
    no_context_takeover: bool,
    window_bits: u8,
    /// There is one from the first compressed message on; without context takeover only within one.
    inflate: Option<Box<Inflate>>,
    /// No block has begun: at the start of a message, and right after a final block.
    at_start: bool,
    /// The final blocks since [`take_final_blocks`](Self::take_final_blocks) was called.
    final_blocks: usize,
}

impl Inflater {
    /// For what the end of `role` receives.
    pub(crate) fn new(agreed: &PerMessageDeflate, role: Role) -> Self {
        let (no_context_takeover, window_bits) = match role {
            Role::Server => (
                agreed.client_no_context_takeover,
                agreed.client_max_window_bits,
            ),
            Role::Client => (
                agreed.server_no_context_takeover,
                agreed.server_max_window_bits,
            ),
        };
        Self {
            no_context_takeover,
            window_bits: window_bits.unwrap_or(MAX_WINDOW_BITS),
            inflate: None,
            at_start: true,
            final_blocks: 0,
        }
    }

    /// Returns the number of final blocks since the last call. One may be two bytes long, and takes as much work as a frame.
    pub(crate) fn take_final_blocks(&mut self) -> usize {
        mem::take(&mut self.final_blocks)
    }

    /// Appends what `input`, a part of a message, inflates to.
    ///
    /// `message` gets no longer than `limit`: one chunk past it nothing more is inflated.
    pub(crate) fn inflate(
        &mut self,
        mut input: &[u8],
        message: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Violation> {
        let Self {
            no_context_takeover,
            window_bits,
            inflate,
            at_start,
            final_blocks,
        } = self;
        if input.is_empty() {
            return Ok(());
        }
        *at_start = false;
        let inflate =
            inflate.get_or_insert_with(|| new_inflate(*no_context_takeover, *window_bits));
        with_chunk(|chunk| {
            loop {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(input, chunk, InflateFlush::SyncFlush)
                    .map_err(|_| Violation::CorruptData)?;
                input = &input[(inflate.total_in() - read) as usize..];
                let inflated = &chunk[..(inflate.total_out() - written) as usize];
                if inflated.len() > limit - message.len() {
                    return Err(Violation::MessageTooBig);
                }
                grow(message, inflated.len(), limit);
                message.extend_from_slice(inflated);
                let full = inflated.len() == chunk.len();
                if status == Status::StreamEnd {
                    // RFC 7692, 7.2.1: a message may have blocks with "BFINAL" set to 1, which end at a byte boundary: "The
                    // next DEFLATE block follows the padded data if any." zlib stops there. It starts again with an empty
                    // window, as in Chromium, WebKit and libsoup: every block belongs to the message, and anything else is
                    // corrupt. ws drops what follows the first final block of a message, and with it a part of the message.
                    inflate.reset(false);
                    *final_blocks += 1;
                    if input.is_empty() {
                        *at_start = true;
                        return Ok(());
                    }
                } else if !full && input.is_empty() {
                    return Ok(());
                } else if !full && inflated.is_empty() && status == Status::BufError {
                    return Err(Violation::CorruptData);
                }
            }
        })
    }

    /// The message is complete, but for what is left out on the wire.
    pub(crate) fn finish(&mut self, message: &mut Vec<u8>, limit: usize) -> Result<(), Violation> {
        // RFC 7692, 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." They
        // complete an empty block whose first octet ends the payload. Some senders leave that octet out after a final block
        // (section 7.2.3.4) and in an empty message (7.2.3.6). Nothing is to be completed there, and the four octets would
        // begin a block in which the next message is lost.
        if !self.at_start {
            self.inflate(&TAIL, message, limit)?;
            self.at_start = true;
        }
        if self.no_context_takeover
            && let Some(inflate) = self.inflate.take()
        {
            SPARE.set(Some(inflate));
        }
        Ok(())
    }
}

/// Without context takeover one for any window will do, and it may be one that was used before.
fn new_inflate(no_context_takeover: bool, window_bits: u8) -> Box<Inflate> {
    if !no_context_takeover {
        return Box::new(Inflate::new(false, window_bits));
    }
    match SPARE.take() {
        Some(mut spare) => {
            spare.reset(false);
            spare
        }
        None => Box::new(Inflate::new(false, MAX_WINDOW_BITS)),
    }
}

/// Doubles the room, but not past the limit.
fn grow(message: &mut Vec<u8>, additional: usize, limit: usize) {
    if message.capacity() - message.len() < additional {
        let room = additional.max(message.len()).min(limit - message.len());
        message.reserve_exact(room);
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("no_context_takeover", &self.no_context_takeover)
            .field("window_bits", &self.window_bits)
            .finish_non_exhaustive()
    }
}
