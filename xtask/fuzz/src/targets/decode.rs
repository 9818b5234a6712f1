//! No bytes make the decoder panic, hoard or change its mind; the checks are those of every step in `drive.rs`.

use towline_protocol::Role;

use crate::drive;
use crate::stream::Stream;

/// Decodes the stream, and the same bytes as the other end.
pub(crate) fn check(input: &[u8]) {
    let Some(mut stream) = Stream::parse(input) else {
        return;
    };
    drive::decode(&stream, &stream.cuts);
    stream.role = match stream.role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    };
    drive::decode(&stream, &stream.cuts);
}
