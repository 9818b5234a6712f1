//! What the header of a frame may say, before a byte of its payload is looked at.

use super::{Decoder, Frame, Role};
#[cfg(feature = "deflate")]
use crate::frame::RSV1;
use crate::frame::{Header, Opcode};
use crate::mask::Mask;
use crate::violation::Violation;

impl Decoder {
    /// Checks a header, of which every rule is one function below.
    #[inline]
    pub(super) fn accept(&self, header: &Header) -> Result<Frame, Violation> {
        let is_compressed = self.check_reserved(header)?;
        check_mask(header, self.role)?;
        let missing = if header.opcode.is_control() {
            check_control(header)?
        } else {
            self.check_sequence(header)?;
            self.check_size(header, is_compressed)?
        };
        Ok(Frame {
            fin: header.fin,
            opcode: header.opcode,
            mask: header.mask.map(Mask::new),
            is_compressed,
            missing,
        })
    }

    #[inline]
    fn check_sequence(&self, header: &Header) -> Result<(), Violation> {
        match (&self.message, header.opcode) {
            // Section 5.4: "A fragmented message consists of a single frame with the FIN bit clear and an opcode
            // other than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0, and
            // terminated by a single frame with the FIN bit set and an opcode of 0."
            (None, Opcode::Continuation) => Err(Violation::ContinuationWithoutStart),
            (Some(message), Opcode::Continuation) => {
                // Empty fragments cost the peer six bytes each and never reach the limit of size.
                if message.frames >= self.limits.max_fragments {
                    return Err(Violation::TooManyFragments);
                }
                Ok(())
            }
            // Section 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another
            // message unless an extension has been negotiated that can interpret the interleaving."
            (Some(_), _) => Err(Violation::StartWithinMessage),
            (None, _) => Ok(()),
        }
    }

    /// Whether the frame begins a compressed message.
    #[inline]
    fn check_reserved(&self, header: &Header) -> Result<bool, Violation> {
        if header.reserved == 0 {
            return Ok(false);
        }
        // RFC 7692, 6: RSV1 is set "on the first fragment of a message", of which "an endpoint MUST NOT set" it on others,
        // nor on a control frame.
        #[cfg(feature = "deflate")]
        if header.reserved == RSV1
            && self.inflater.is_some()
            && matches!(header.opcode, Opcode::Text | Opcode::Binary)
        {
            return Ok(true);
        }
        // Section 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
        Err(Violation::ReservedBits)
    }

    #[inline]
    fn check_size(&self, header: &Header, is_compressed: bool) -> Result<usize, Violation> {
        // Section 10.4: "Implementations that have implementation- and/or platform-specific limitations regarding the
        // frame size or total message size after reassembly from multiple frames MUST protect themselves against
        // exceeding those limits."
        let (max_message, arrived) = match &self.message {
            Some(message) if message.is_compressed => self.compressed(message.wire),
            None if is_compressed => self.compressed(0),
            Some(message) => (self.limits.max_message_size, message.payload.len()),
            None => (self.limits.max_message_size, 0),
        };
        let max_frame = self.limits.max_frame_size.unwrap_or(max_message);
        let len = match usize::try_from(header.len) {
            Ok(len) if len <= max_frame => len,
            _ => return Err(Violation::FrameTooBig),
        };
        // The bytes that have arrived were within the limit when their own headers were checked. So neither this nor the sum
        // of both lengths overflows, whatever the peer declares.
        if len > max_message - arrived {
            return Err(Violation::MessageTooBig);
        }
        Ok(len)
    }

    /// The most that a compressed message may take on the wire, and what has arrived of it: data that cannot be
    /// compressed become a little longer. The limit may be any number, so the sum saturates.
    #[cold]
    fn compressed(&self, arrived: usize) -> (usize, usize) {
        let max = self.limits.max_message_size;
        (max.saturating_add(max / 8 + 64), arrived)
    }
}

#[inline]
fn check_mask(header: &Header, role: Role) -> Result<(), Violation> {
    match (role, header.mask) {
        // Section 5.1: "The server MUST close the connection upon receiving a frame that is not masked."
        (Role::Server, None) => Err(Violation::UnmaskedClientFrame),
        // Section 5.1: "A client MUST close a connection if it detects a masked frame."
        (Role::Client, Some(_)) => Err(Violation::MaskedServerFrame),
        _ => Ok(()),
    }
}

#[inline]
fn check_control(header: &Header) -> Result<usize, Violation> {
    // Section 5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
    if !header.fin {
        return Err(Violation::FragmentedControl);
    }
    match usize::try_from(header.len) {
        Ok(len) if len <= 125 => Ok(len),
        _ => Err(Violation::ControlTooLong),
    }
}
