//! What the header of a frame may say, before a byte of its payload is looked at.

use super::{Decoder, Frame, Role};
use crate::frame::{Header, Opcode};
use crate::mask::Mask;
use crate::violation::Violation;

impl Decoder {
    /// Checks a header, of which every rule is one function below.
    #[inline]
    pub(super) fn accept(&self, header: &Header) -> Result<Frame, Violation> {
        check_reserved(header)?;
        check_mask(header, self.role)?;
        let missing = if header.opcode.is_control() {
            check_control(header)?
        } else {
            self.check_sequence(header)?;
            self.check_size(header)?
        };
        Ok(Frame {
            fin: header.fin,
            opcode: header.opcode,
            mask: header.mask.map(Mask::new),
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

    #[inline]
    fn check_size(&self, header: &Header) -> Result<usize, Violation> {
        // Section 10.4: "Implementations that have implementation- and/or platform-specific limitations regarding the
        // frame size or total message size after reassembly from multiple frames MUST protect themselves against
        // exceeding those limits."
        let max_message = self.limits.max_message_size;
        let max_frame = self.limits.max_frame_size.unwrap_or(max_message);
        let len = match usize::try_from(header.len) {
            Ok(len) if len <= max_frame => len,
            _ => return Err(Violation::FrameTooBig),
        };
        let arrived = self
            .message
            .as_ref()
            .map_or(0, |message| message.payload.len());
        if len > max_message - arrived {
            return Err(Violation::MessageTooBig);
        }
        Ok(len)
    }
}

#[inline]
fn check_reserved(header: &Header) -> Result<(), Violation> {
    // Section 5.2: "MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."
    if header.reserved != 0 {
        return Err(Violation::ReservedBits);
    }
    Ok(())
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
