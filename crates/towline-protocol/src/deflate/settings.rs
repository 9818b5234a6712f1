//! What a server is willing to agree on, and how it compresses.

use std::fmt;

use super::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};

/// The settings of permessage-deflate (RFC 7692) for a server.
///
/// Compression is off unless it is asked for, and for good reason. A message that has both a secret and something that
/// an attacker chose tells by its compressed *length* how much the two have in common, encrypted or not (the attacks
/// CRIME and BREACH). Do not compress such messages: send them with an option that says so, or leave compression off.
///
/// It also costs memory and time for each socket. A context that is kept from message to message compresses better and
/// holds, with the defaults, some 260 KiB for what is sent and some 50 KiB for what is received;
/// [`shared`](Self::shared) holds nothing for an idle socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    pub(crate) server_window_bits: u8,
    pub(crate) client_window_bits: u8,
    pub(crate) server_no_context_takeover: bool,
    pub(crate) client_no_context_takeover: bool,
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) threshold: usize,
}

impl Compression {
    /// The default settings: contexts are kept in both directions.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_window_bits: 12,
            client_window_bits: MAX_WINDOW_BITS,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            level: 6,
            memory_level: 8,
            threshold: 128,
        }
    }

    /// For many sockets: no context is kept in either direction, so that all sockets of a thread share one.
    ///
    /// Netty's client fails such a handshake, see [`client_no_context_takeover`](Self::client_no_context_takeover).
    #[must_use]
    pub const fn shared() -> Self {
        Self::new()
            .server_no_context_takeover(true)
            .client_no_context_takeover(true)
    }

    /// How far back the server's messages refer, as a power of 2: 9 (512 bytes) to 15 (32 KiB). Default: 12. A client may
    /// ask for less. The answer names it only if the client asks, because some clients fail the handshake otherwise.
    ///
    /// # Errors
    ///
    /// [`InvalidCompression`] outside of that range.
    pub const fn server_window_bits(mut self, bits: u8) -> Result<Self, InvalidCompression> {
        if bits < MIN_WINDOW_BITS || bits > MAX_WINDOW_BITS {
            return Err(InvalidCompression::WindowBits(bits));
        }
        self.server_window_bits = bits;
        Ok(self)
    }

    /// How far back the client's messages may refer, as a power of 2: 9 to 15. Default: 15. Only a client that offers
    /// `client_max_window_bits` can be asked for less.
    ///
    /// # Errors
    ///
    /// [`InvalidCompression`] outside of that range.
    pub const fn client_window_bits(mut self, bits: u8) -> Result<Self, InvalidCompression> {
        if bits < MIN_WINDOW_BITS || bits > MAX_WINDOW_BITS {
            return Err(InvalidCompression::WindowBits(bits));
        }
        self.client_window_bits = bits;
        Ok(self)
    }

    /// Compresses each of the server's messages by itself. Default: `false`. A client may ask for it. The answer
    /// names it only if the client asks.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, no: bool) -> Self {
        self.server_no_context_takeover = no;
        self
    }

    /// Whether the client must compress each of its messages by itself. Default: `false`. A client may promise it.
    ///
    /// A client must be told this even if it did not ask, which RFC 7692 section 7.1.1.2 allows. Netty's client fails the
    /// handshake over it, unless it was set up with `allowClientNoContext`.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, no: bool) -> Self {
        self.client_no_context_takeover = no;
        self
    }

    /// How much time is spent on a smaller result, 1 (little) to 9. Default: 6.
    ///
    /// # Errors
    ///
    /// [`InvalidCompression`] outside of that range.
    pub const fn level(mut self, level: u8) -> Result<Self, InvalidCompression> {
        if level < 1 || level > 9 {
            return Err(InvalidCompression::Level(level));
        }
        self.level = level;
        Ok(self)
    }

    /// How much memory the compressor of a socket has for its tables, 1 (little) to 9. Default: 8. The default window
    /// and this take some 260 KiB; a memory level of 5, some 160 KiB, of which 128 KiB are there at any level.
    ///
    /// # Errors
    ///
    /// [`InvalidCompression`] outside of that range.
    pub const fn memory_level(mut self, level: u8) -> Result<Self, InvalidCompression> {
        if level < 1 || level > 9 {
            return Err(InvalidCompression::MemoryLevel(level));
        }
        self.memory_level = level;
        Ok(self)
    }

    /// The smallest message, in bytes, that is worth compressing. Default: 128.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Whether a message of this length is compressed.
    #[must_use]
    pub const fn compresses(&self, len: usize) -> bool {
        len > 0 && len >= self.threshold
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// A setting of [`Compression`] that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCompression {
    /// Window bits other than 9 to 15.
    WindowBits(u8),
    /// A level other than 1 to 9.
    Level(u8),
    /// A memory level other than 1 to 9.
    MemoryLevel(u8),
}

impl fmt::Display for InvalidCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowBits(bits) => write!(f, "window bits of {bits}, choose 9 to 15"),
            Self::Level(level) => write!(f, "compression level {level}, choose 1 to 9"),
            Self::MemoryLevel(level) => write!(f, "memory level {level}, choose 1 to 9"),
        }
    }
}

impl std::error::Error for InvalidCompression {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_in_their_range() {
        let new = Compression::new;
        for bits in 0..=u8::MAX {
            let valid = (9..=15).contains(&bits);
            assert_eq!(new().server_window_bits(bits).is_ok(), valid, "{bits}");
            assert_eq!(new().client_window_bits(bits).is_ok(), valid, "{bits}");
            let valid = (1..=9).contains(&bits);
            assert_eq!(new().level(bits).is_ok(), valid, "{bits}");
            assert_eq!(new().memory_level(bits).is_ok(), valid, "{bits}");
        }
        let error = new().server_window_bits(8).unwrap_err();
        assert_eq!(error.to_string(), "window bits of 8, choose 9 to 15");
    }

    #[test]
    fn short_messages_are_not_worth_it() {
        let compresses = |threshold, len| Compression::new().threshold(threshold).compresses(len);
        assert!(!Compression::new().compresses(127));
        assert!(Compression::new().compresses(128));
        assert!(compresses(0, 1));
        assert!(!compresses(0, 0));
    }
}
