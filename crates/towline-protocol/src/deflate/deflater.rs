//! The sending side: messages to compressed frames.

use std::cell::RefCell;
use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::{Compression, MAX_WINDOW_BITS, PerMessageDeflate, TAIL, with_chunk};
use crate::decoder::Role;
use crate::encoder::put_frame;
use crate::frame::{Header, HeaderBytes, Opcode, RSV1};

/// The most compressors that a thread keeps for sockets without context takeover, each of another setting.
const SPARES: usize = 4;

thread_local! {
    /// At most one for each setting: a thread seldom needs two, since only a message in several frames holds one while
    /// others are sent, and each takes some 260 KiB.
    static SPARE: RefCell<Vec<(Settings, Box<Deflate>)>> = const { RefCell::new(Vec::new()) };
}

/// Compresses the messages of one direction into frames.
pub struct Deflater {
    settings: Settings,
    no_context_takeover: bool,
    /// There is one from the first compressed message on; without context takeover only within one.
    deflate: Option<Box<Deflate>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    level: u8,
    memory_level: u8,
    window_bits: u8,
}

/// Which part of a message a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a frame is the first or not, the last or not"
)]
pub struct Fragment {
    /// It begins the message.
    pub first: bool,
    /// It ends the message.
    pub last: bool,
}

impl Fragment {
    /// The whole message.
    pub const WHOLE: Self = Self {
        first: true,
        last: true,
    };
}

impl Deflater {
    /// A compressor for what the end of `role` sends, within what was agreed on.
    #[must_use]
    pub fn new(agreed: &PerMessageDeflate, compression: &Compression, role: Role) -> Self {
        let (no_context_takeover, window_bits) = match role {
            // The server may use a smaller window and less context than was agreed on: any client can inflate that.
            Role::Server => (
                agreed.server_no_context_takeover || compression.server_no_context_takeover,
                agreed
                    .server_max_window_bits
                    .unwrap_or(MAX_WINDOW_BITS)
                    .min(compression.server_window_bits),
            ),
            Role::Client => (
                agreed.client_no_context_takeover,
                agreed.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS),
            ),
        };
        Self {
            settings: Settings {
                level: compression.level,
                memory_level: compression.memory_level,
                window_bits,
            },
            no_context_takeover,
            deflate: None,
        }
    }

    /// Appends the next frame of a message to `dst`, its payload the compressed `payload`, masked where there is a `mask`.
    ///
    /// `opcode` is that of the message, also where the frame is a continuation. The frames of one message must not be
    /// mixed with those of another.
    pub fn encode(
        &mut self,
        dst: &mut Vec<u8>,
        opcode: Opcode,
        fragment: Fragment,
        payload: &[u8],
        mask: Option<[u8; 4]>,
    ) {
        let mut compressed = Vec::new();
        self.compress(&mut compressed, payload, fragment.last);
        // 6.1: "set the RSV1 bit of the first frame".
        let (opcode, reserved) = if fragment.first {
            (opcode, RSV1)
        } else {
            (Opcode::Continuation, 0)
        };
        put_frame(dst, opcode, fragment.last, reserved, &compressed, mask);
    }

    /// Appends what the next part of a message is compressed to. After the last part, `compressed` is the payload of a frame
    /// with the header of [`encode_header`](Self::encode_header).
    ///
    /// For a message that is compressed part by part, so that other work has its turn in between. The parts of one message
    /// must not be mixed with those of another.
    #[allow(clippy::missing_panics_doc, reason = "the settings were checked")]
    pub fn compress(&mut self, compressed: &mut Vec<u8>, part: &[u8], last: bool) {
        let settings = self.settings;
        let deflate = match &mut self.deflate {
            Some(deflate) => deflate,
            None if self.no_context_takeover => self.deflate.insert(settings.borrow()),
            None => self.deflate.insert(settings.deflate()),
        };
        compress(deflate, part, compressed);
        if last {
            // RFC 7692, 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
            if compressed.ends_with(&TAIL) {
                compressed.truncate(compressed.len() - TAIL.len());
            } else {
                // 7.2.3.6: there was nothing to compress, which is "a single octet of 0x00".
                compressed.push(0);
            }
            if self.no_context_takeover {
                settings.give_back(self.deflate.take());
            }
        }
    }

    /// Encodes the header of a frame that is a whole compressed message, whose payload of `len` bytes is written by itself.
    #[must_use]
    pub fn encode_header(opcode: Opcode, len: usize) -> HeaderBytes {
        let header = Header {
            fin: true,
            // RFC 7692, 6.1: "set the RSV1 bit of the first frame".
            reserved: RSV1,
            opcode,
            mask: None,
            len: len as u64,
        };
        header.encode()
    }
}

/// Appends what `payload` is compressed to, up to a byte boundary.
fn compress(deflate: &mut Deflate, mut payload: &[u8], compressed: &mut Vec<u8>) {
    with_chunk(|chunk| {
        loop {
            let (read, written) = (deflate.total_in(), deflate.total_out());
            deflate
                .compress(payload, chunk, DeflateFlush::SyncFlush)
                .expect("the state is a compressor's");
            payload = &payload[(deflate.total_in() - read) as usize..];
            let written = (deflate.total_out() - written) as usize;
            compressed.extend_from_slice(&chunk[..written]);
            // Where the chunk is full there may be more.
            if payload.is_empty() && written < chunk.len() {
                return;
            }
        }
    });
}

impl Settings {
    fn deflate(self) -> Box<Deflate> {
        Box::new(Deflate::new_with_config(DeflateConfig {
            level: self.level.into(),
            window_bits: -i32::from(self.window_bits),
            mem_level: self.memory_level.into(),
            ..DeflateConfig::default()
        }))
    }

    /// One of the thread's, which is as good as new.
    fn borrow(self) -> Box<Deflate> {
        let spare = SPARE.with_borrow_mut(|spares| {
            let spare = spares.iter().position(|(settings, _)| *settings == self)?;
            Some(spares.swap_remove(spare).1)
        });
        spare.unwrap_or_else(|| self.deflate())
    }

    fn give_back(self, deflate: Option<Box<Deflate>>) {
        let Some(mut deflate) = deflate else {
            return;
        };
        deflate.reset();
        SPARE.with_borrow_mut(|spares| {
            let has_one = spares.iter().any(|(settings, _)| *settings == self);
            if !has_one && spares.len() < SPARES {
                spares.push((self, deflate));
            }
        });
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("settings", &self.settings)
            .field("no_context_takeover", &self.no_context_takeover)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `sockets` messages at the same time, each in two frames, and returns how many compressors the thread keeps.
    fn spares_after(sockets: usize, memory_level: u8) -> usize {
        let compression = Compression::shared().memory_level(memory_level).unwrap();
        let agreed = PerMessageDeflate {
            server_no_context_takeover: true,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
        };
        let deflater = || Deflater::new(&agreed, &compression, Role::Server);
        let mut deflaters: Vec<_> = (0..sockets).map(|_| deflater()).collect();
        for (first, last) in [(true, false), (false, true)] {
            for deflater in &mut deflaters {
                let fragment = Fragment { first, last };
                let mut wire = Vec::new();
                deflater.encode(&mut wire, Opcode::Text, fragment, b"text", None);
            }
        }
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn a_thread_keeps_one_spare_compressor_of_a_setting() {
        assert_eq!(spares_after(1, 8), 1);
        assert_eq!(spares_after(5, 8), 1);
        assert_eq!(spares_after(2, 5), 2);
        let kept: Vec<_> = (1..=9).map(|level| spares_after(2, level)).collect();
        assert_eq!(kept.last(), Some(&SPARES), "{kept:?}");

        let settings = SPARE.with_borrow(|spares| {
            let levels = spares.iter().map(|(settings, _)| settings.memory_level);
            levels.collect::<std::collections::HashSet<_>>()
        });
        assert_eq!(settings.len(), SPARES, "{settings:?}");
    }
}
