//! The limit of open files: each socket takes one in each of the two processes.

use std::fs;
use std::io;
use std::process::{self, Command};

/// What comes on top of the sockets: those that are about to be gone while their successors are opened, and the rest.
const MORE: usize = 500;

/// How many sockets the limit allows once it is raised, which the server inherits; not more than `sockets`.
pub(crate) fn raise(sockets: usize) -> io::Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let hard =
        hard(&limits).ok_or_else(|| io::Error::other("the kernel tells no limit of files"))?;
    let files = needed(sockets).min(hard);
    let raised = Command::new("prlimit")
        .args(["--pid", &process::id().to_string()])
        .arg(format!("--nofile={files}:"))
        .status();
    let raised = raised.map_err(|error| {
        let install = "install the Debian package `util-linux`";
        io::Error::other(format!("cannot run `prlimit`: {error}: {install}"))
    })?;
    if !raised.success() {
        return Err(io::Error::other(format!("`prlimit` ended with {raised}")));
    }
    let allowed = sockets.min(files.saturating_sub(MORE) * 2 / 3);
    if allowed == 0 {
        let error = format!("no sockets: the hard limit of open files is {hard}");
        return Err(io::Error::other(error));
    }
    if allowed < sockets {
        println!("only {allowed} of {sockets} sockets: the hard limit of open files is {hard}");
    }
    Ok(allowed)
}

fn needed(sockets: usize) -> usize {
    sockets * 3 / 2 + MORE
}

/// The hard limit of open files, from what the kernel tells of a process.
fn hard(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_the_second_one() {
        let limits = "Max processes  1  2  processes\nMax open files            1024         4096         files\n";
        assert_eq!(hard(limits), Some(4096));
        assert_eq!(
            hard("Max open files 1024 unlimited files"),
            Some(usize::MAX)
        );
        assert_eq!(hard(""), None);
    }
}
