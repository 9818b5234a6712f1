//! A server and its client as processes, and the programs that put them on their processors.

use std::{
    collections::HashMap,
    ffi::OsString,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use super::scenario::Peer;
use crate::{
    cargo::release_binary,
    programs::on_path,
    server,
    steps::{Ended, Result, execute},
};

const SERVER_PROCESSOR: &str = "0";
const CLIENT_PROCESSOR: &str = "1";

/// Ten thousand sockets and some more.
const FILES: &str = "--nofile=16384:";

/// Looks for the programs and the processors; the error names the Debian package of a program that is missing.
pub(super) fn check(instructions: bool) -> Result {
    on_path(&["taskset"], "util-linux")?;
    on_path(&["prlimit"], "util-linux")?;
    if instructions {
        on_path(&["valgrind"], "valgrind")?;
    }
    let both = format!("{SERVER_PROCESSOR},{CLIENT_PROCESSOR}");
    execute(Command::new("taskset").args(["-c", &both, "true"]))
        .map_err(|error| format!("{error}: server and client need a processor each"))
}

/// What a client reports.
pub(super) type Report = HashMap<String, f64>;

/// A running server; it ends with the value.
#[derive(Debug)]
pub(super) struct Server(server::Server);

impl Server {
    /// Starts the server of `peer`.
    pub(super) fn start(peer: Peer) -> Result<Self> {
        Self::start_below(peer, &[])
    }

    /// Starts it below callgrind, which writes to `file` when the server [finishes](Self::finish).
    pub(super) fn start_counted(peer: Peer, file: &Path) -> Result<Self> {
        let mut out = OsString::from("--callgrind-out-file=");
        out.push(file);
        let valgrind = ["valgrind", "--quiet", "--tool=callgrind"].map(OsString::from);
        Self::start_below(peer, &[&valgrind[..], &[out]].concat())
    }

    fn start_below(peer: Peer, emulator: &[OsString]) -> Result<Self> {
        let mut command = pinned(SERVER_PROCESSOR);
        command
            .args(emulator)
            .arg(release_binary("bench-server")?)
            .args(["--peer", peer.name]);
        server::Server::start(&mut command).map(Self)
    }

    /// Runs a client with these arguments to its end.
    pub(super) fn load(&self, arguments: &[String]) -> Result<Report> {
        let output = self
            .client(arguments)?
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start the client: {error}"))?;
        if output.status.success() {
            Ok(report(&String::from_utf8_lossy(&output.stdout)))
        } else {
            let arguments = arguments.join(" ");
            Err(format!("`bench-client {arguments}`: {}", output.status))
        }
    }

    /// Starts a client with these arguments, which takes turns with others, and waits until it has warmed up.
    pub(super) fn take_turns(&self, arguments: &[String]) -> Result<Client> {
        let mut process = self
            .client(arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map(Ended)
            .map_err(|error| format!("cannot start the client: {error}"))?;
        let (stdin, stdout) = (process.0.stdin.take(), process.0.stdout.take());
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => {
                let mut client = Client {
                    stdin,
                    stdout: BufReader::new(stdout).lines(),
                    _process: process,
                };
                client.report()?;
                Ok(client)
            }
            _ => Err("the client has no pipes".to_owned()),
        }
    }

    fn client(&self, arguments: &[String]) -> Result<Command> {
        let mut command = pinned(CLIENT_PROCESSOR);
        command
            .arg(release_binary("bench-client")?)
            .args(["--server", self.0.authority()?])
            .args(["--pid", &self.0.process.0.id().to_string()])
            .args(arguments);
        Ok(command)
    }

    /// Asks the server to end, which lets callgrind write its file, and waits for it.
    pub(super) fn finish(mut self) -> Result {
        let process = &mut self.0.process.0;
        let pid = process.id().to_string();
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &pid])
            .status();
        asked.map_err(|error| format!("cannot run sh: {error}"))?;
        let ended = process.wait();
        ended.map_err(|error| format!("cannot wait for the server: {error}"))?;
        Ok(())
    }
}

/// A client that takes turns; it ends with the value.
#[derive(Debug)]
pub(super) struct Client {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _process: Ended,
}

impl Client {
    /// Has it take one turn, and returns what it reports of all its turns so far.
    pub(super) fn turn(&mut self) -> Result<Report> {
        let asked = self.stdin.write_all(b"\n");
        asked.map_err(|error| format!("cannot ask the client: {error}"))?;
        self.report()
    }

    fn report(&mut self) -> Result<Report> {
        match self.stdout.next() {
            Some(Ok(line)) => Ok(report(&line)),
            _ => Err("the client ended without a report".to_owned()),
        }
    }
}

/// A command on one processor; `taskset` and `prlimit` become the program that they start, so it keeps their process.
fn pinned(processor: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", processor, "prlimit", FILES]);
    command
}

fn report(text: &str) -> Report {
    let pairs = text.split_whitespace().filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.to_owned(), value.parse().ok()?))
    });
    pairs.collect()
}

/// A figure of a report.
pub(super) fn figure(report: &Report, key: &str) -> Result<f64> {
    let value = report.get(key).copied();
    value.ok_or_else(|| format!("the client did not report `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_pairs() {
        let report = report("messages=12 seconds=0.5\n");
        assert_eq!(figure(&report, "messages"), Ok(12.0));
        assert_eq!(figure(&report, "seconds"), Ok(0.5));
        assert!(figure(&report, "x").unwrap_err().contains("`x`"));
    }
}
