//! What the kernel says of the server's process.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process has to do nothing to be idle, and how long that is waited for.
const IDLE: Duration = Duration::from_millis(200);
const IDLE_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// The time that its main thread, the only one that does anything, has had a processor.
    pub(crate) fn cpu(self) -> io::Result<Duration> {
        let text = self.read("schedstat")?;
        let nanoseconds = text.split_whitespace().next();
        let nanoseconds = nanoseconds.and_then(|value| value.parse().ok());
        nanoseconds
            .map(Duration::from_nanos)
            .ok_or_else(|| io::Error::other("the kernel keeps no schedstat"))
    }

    /// The memory that it has written to and that is no file's.
    pub(crate) fn anonymous_memory(self) -> io::Result<u64> {
        let text = self.read("status")?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kibibytes
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| io::Error::other("the kernel tells no RssAnon"))
    }

    /// Waits until it has done all that there was to do.
    pub(crate) fn wait_until_idle(self) -> io::Result<()> {
        let deadline = Instant::now() + IDLE_WITHIN;
        let mut before = self.cpu()?;
        while Instant::now() < deadline {
            thread::sleep(IDLE);
            let after = self.cpu()?;
            if after == before {
                return Ok(());
            }
            before = after;
        }
        Err(io::Error::other("the server does not become idle"))
    }

    fn read(self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.0))
    }
}
