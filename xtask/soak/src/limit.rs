//! The limit of open files: each socket takes one in each of the two processes.

use std::io;

/// Files in addition to the sockets: those of sockets that end while their successors open, and the rest.
const MORE: usize = 500;

/// Raises the limit, which the server inherits. Returns how many sockets it allows, not more than `sockets`.
pub(crate) fn raise(sockets: usize) -> io::Result<usize> {
    let needed = sockets * 3 / 2 + MORE;
    let files = rlimit::increase_nofile_limit(needed as u64)?;
    let files = usize::try_from(files).unwrap_or(needed).min(needed);
    let allowed = sockets.min(files.saturating_sub(MORE) * 2 / 3);
    if allowed == 0 {
        let error = format!("no sockets: the limit of open files is {files}");
        return Err(io::Error::other(error));
    }
    if allowed < sockets {
        println!("only {allowed} of {sockets} sockets: the limit of open files is {files}");
    }
    Ok(allowed)
}
