//! The input of most targets: a line that says how to decode, then the bytes of a connection.
//!
//! ```text
//! server message=1048576 frame=- fragments=131072 cuts=1,7,direct
//! ```

use std::fmt::{Debug, Write as _};
use std::str::FromStr;

use towline_protocol::{Decoder, Limits, Role};

/// A connection's bytes, and how they are decoded.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) role: Role,
    pub(crate) limits: Limits,
    /// The pieces that the bytes come in, over and over; none is all at once.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) wire: Vec<u8>,
}

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// So many bytes, at least one.
    Bytes(usize),
    /// As much as `Decoder::payload_buf` takes, where there is one.
    Direct,
}

impl Stream {
    /// Reads an input; `None` is one that says nothing.
    pub(crate) fn parse(input: &[u8]) -> Option<Self> {
        let end = input.iter().position(|&byte| byte == b'\n')?;
        let mut words = std::str::from_utf8(&input[..end]).ok()?.split(' ');
        let role = match words.next()? {
            "server" => Role::Server,
            "client" => Role::Client,
            _ => return None,
        };
        let mut field = |name| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let mut limits = Limits::default();
        limits.max_message_size = size(field("message")?)?;
        limits.max_frame_size = match field("frame")? {
            "-" => None,
            most => Some(size(most)?),
        };
        limits.max_fragments = field("fragments")?.parse().ok()?;
        let cuts = field("cuts")?.split(',').filter(|cut| !cut.is_empty());
        Some(Self {
            role,
            limits,
            cuts: cuts.map(|cut| cut.parse().ok()).collect::<Option<_>>()?,
            wire: input[end + 1..].to_vec(),
        })
    }

    /// The input that is read as this.
    pub(crate) fn to_input(&self) -> Vec<u8> {
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let Limits {
            max_message_size,
            max_frame_size,
            max_fragments,
            ..
        } = self.limits;
        let frame = max_frame_size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let mut line = format!(
            "{role} message={max_message_size} frame={frame} fragments={max_fragments} cuts="
        );
        for (index, cut) in self.cuts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = match cut {
                Cut::Bytes(bytes) => write!(line, "{comma}{bytes}"),
                Cut::Direct => write!(line, "{comma}direct"),
            };
        }
        line.push('\n');
        [line.as_bytes(), &self.wire].concat()
    }

    pub(crate) const fn decoder(&self) -> Decoder {
        Decoder::new(self.role, self.limits)
    }
}

/// A limit of a size. The default is the greatest: past it there is only more to wait for.
fn size(size: &str) -> Option<usize> {
    let greatest = Limits::default().max_message_size;
    size.parse().ok().filter(|&size| size <= greatest)
}

impl FromStr for Cut {
    type Err = ();

    fn from_str(cut: &str) -> Result<Self, ()> {
        match cut.parse() {
            Ok(bytes) if bytes > 0 => Ok(Self::Bytes(bytes)),
            _ if cut == "direct" => Ok(Self::Direct),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_reads_back() {
        for input in [
            &b"server message=1048576 frame=- fragments=131072 cuts=\n"[..],
            b"client message=0 frame=125 fragments=3 cuts=1,direct,70000\n\x81\x00\n\xff",
        ] {
            let stream = Stream::parse(input).unwrap();
            assert_eq!(
                stream.to_input().escape_ascii().to_string(),
                input.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn what_says_nothing_is_none() {
        for input in [
            "",
            "server message=1 frame=- fragments=1 cuts=1",
            "proxy message=1 frame=- fragments=1 cuts=1\n",
            "server message=1 frame=- fragments=1 cuts=0\n",
            "server message=-1 frame=- fragments=1 cuts=1\n",
            "server message=1048577 frame=- fragments=1 cuts=1\n",
            "server frame=- message=1 fragments=1 cuts=1\n",
        ] {
            assert!(Stream::parse(input.as_bytes()).is_none(), "{input}");
        }
    }
}
