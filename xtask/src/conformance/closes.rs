//! Sockets that the server closes: each has to get its Close, also when a proxy ends the stream.

use std::io;

use crate::{
    steps::Result,
    websocket::{Socket, TEXT},
};

const SOCKETS: usize = 60;

/// A text message that is not UTF-8, which RFC 6455, section 8.1, answers with 1007.
const VIOLATION: &[u8] = &[0xff];
const CODE: u16 = 1007;

/// Opens sockets one after another and violates the protocol on each: every one gets a Close, then the end.
pub(super) fn sixty_in_a_row(authority: &str) -> Result {
    let mut problems = Vec::new();
    for socket in 1..=SOCKETS {
        match violate(authority) {
            Ok(answer) => problems.extend(
                what_is_wrong(&answer).map(|problem| format!("socket {socket}: {problem}")),
            ),
            Err(error) => problems.push(format!("socket {socket}: {error}")),
        }
    }
    println!(
        "{} of {SOCKETS} sockets got their Close",
        SOCKETS - problems.len()
    );
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of {SOCKETS} sockets were not closed with {CODE}\n  {}",
        problems.len(),
        problems.join("\n  ")
    ))
}

/// Everything that the server sends on one socket, from the violation to the end of the connection.
fn violate(authority: &str) -> io::Result<Vec<u8>> {
    let mut socket = Socket::open(authority, "/")?;
    socket.send(TEXT, VIOLATION)?;
    socket.rest()
}

/// Looks for one Close with the right code and nothing else.
fn what_is_wrong(answer: &[u8]) -> Option<String> {
    let code = match answer {
        [0x88, length, high, low, reason @ ..] if usize::from(*length) == reason.len() + 2 => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    };
    (code != Some(CODE)).then(|| format!("it got {answer:02x?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_with_the_code_is_wanted_and_nothing_else() {
        let close = [0x88, 0x04, 0x03, 0xef, b'o', b'k'];
        assert_eq!(what_is_wrong(&close), None);
        assert_eq!(what_is_wrong(&[0x88, 0x02, 0x03, 0xef]), None);

        let another_code = [0x88, 0x02, 0x03, 0xea];
        let cut_short = &close[..5];
        let echoed_before = [&[0x81, 0x01, 0xff], &close[..]].concat();
        for wrong in [&[], &another_code[..], cut_short, &echoed_before] {
            assert_eq!(
                what_is_wrong(wrong),
                Some(format!("it got {wrong:02x?}")),
                "{wrong:02x?}"
            );
        }
    }
}
