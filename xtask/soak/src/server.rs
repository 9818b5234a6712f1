//! The server's process: started, watched through /proc, and ended by SIGTERM.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, interval, sleep, timeout};

const READY: &str = "listening on http://";

/// How long a drain may take, and how long sockets that do not answer are waited for.
pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// Pings that come, and whose timeout a client on a busy machine keeps.
const OPTIONS: [&str; 8] = [
    "--listen",
    "127.0.0.1:0",
    "--keep-alive",
    "8s",
    "--keep-alive-timeout",
    "6s",
    "--drain",
    "5s",
];

/// Of glibc: what is freed shall be given back, or be used again by all threads, so that little but what is in use is left
/// in memory. Several arenas grow for minutes before they grow no more, and that hides a leak.
const ALLOCATOR: [(&str, &str); 2] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "8192"),
];

/// How long it has to do nothing to be idle, and how long that, or that it lets go of sockets, is waited for.
const IDLE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) watch: Watch,
    pub(crate) address: SocketAddr,
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(u32);

/// At a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// RssAnon: memory that the process has written to and that is no file's, in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Server {
    pub(crate) async fn start(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program)
            .args(OPTIONS)
            .envs(ALLOCATOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error_of(&format!("cannot start {}", program.display()), &error))?;
        let (Some(pid), Some(stdout)) = (process.id(), process.stdout.take()) else {
            return Err(io::Error::other("the server ended at once"));
        };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line)).await??;
        let address = line.trim().strip_prefix(READY);
        let address = address.and_then(|address| address.parse().ok());
        let address = address
            .ok_or_else(|| io::Error::other(format!("the server said {line:?}, not `{READY}…`")))?;
        Ok(Self {
            process,
            stdout,
            watch: Watch(pid),
            address,
        })
    }

    pub(crate) async fn terminate(&self) -> io::Result<()> {
        let pid = self.watch.0.to_string();
        let kill = ["-c", "kill -TERM \"$1\"", "sh", &pid];
        let killed = Command::new("sh").args(kill).status().await?;
        match killed.success() {
            true => Ok(()),
            false => Err(io::Error::other("the server is not there any more")),
        }
    }

    /// Waits until it has ended by itself: what it said, and its status.
    pub(crate) async fn end(mut self) -> io::Result<(String, ExitStatus)> {
        let ended = async {
            let mut said = String::new();
            self.stdout.read_to_string(&mut said).await?;
            Ok((said, self.process.wait().await?))
        };
        let ended = timeout(DRAIN + PATIENCE, ended).await;
        ended.unwrap_or_else(|_| Err(io::Error::other("the server does not end")))
    }
}

impl Watch {
    pub(crate) fn level(self) -> io::Result<Level> {
        let status = self.read("status")?;
        Ok(Level {
            memory: 1024 * number(&status, "RssAnon:")?,
            descriptors: fs::read_dir(self.path("fd"))?.count(),
            threads: number(&status, "Threads:")? as usize,
        })
    }

    /// Waits, for a bounded time, until it has no more than so many descriptors and nothing to do.
    pub(crate) async fn settle(self, descriptors: usize) -> io::Result<Level> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.wait_until_idle().await?;
            let level = self.level()?;
            if level.descriptors <= descriptors || Instant::now() > deadline {
                return Ok(level);
            }
        }
    }

    /// Waits, for a bounded time, until it has nothing to do; whether it has come to that.
    pub(crate) async fn wait_until_idle(self) -> io::Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.cpu()?;
        while Instant::now() < deadline {
            sleep(IDLE).await;
            let after = self.cpu()?;
            if after == before {
                return Ok(true);
            }
            before = after;
        }
        Ok(false)
    }

    /// Looks now and then, and adds the highest to `peak`.
    pub(crate) async fn climb(self, peak: &mut Level) -> io::Result<()> {
        let mut turns = interval(Duration::from_millis(250));
        loop {
            turns.tick().await;
            let level = self.level()?;
            peak.memory = peak.memory.max(level.memory);
            peak.descriptors = peak.descriptors.max(level.descriptors);
            peak.threads = peak.threads.max(level.threads);
        }
    }

    /// The nanoseconds that its threads have had a processor.
    pub(crate) fn cpu(self) -> io::Result<u64> {
        let mut cpu = 0;
        for task in fs::read_dir(self.path("task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanoseconds = text.split_whitespace().next();
            let nanoseconds = nanoseconds.and_then(|value| value.parse::<u64>().ok());
            cpu += nanoseconds.ok_or_else(|| io::Error::other("the kernel keeps no schedstat"))?;
        }
        Ok(cpu)
    }

    fn read(self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path(file))
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0)
    }
}

/// The number behind a name at the beginning of a line.
fn number(status: &str, name: &str) -> io::Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| io::Error::other(format!("the kernel tells no {name}")))
}

fn error_of(what: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}
