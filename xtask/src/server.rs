//! A server of this workspace: built, started on a free port, ended with the value.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    cargo::{binary, cargo, root},
    steps::{Ended, Result, Steps, execute},
};

const READY: &str = "listening on ";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped, also when a step fails or panics.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Ended,
    /// Such as `http://127.0.0.1:40123`.
    pub(crate) url: String,
}

impl Server {
    /// Builds and starts the echo application.
    pub(crate) fn echo(steps: &mut Steps) -> Option<Self> {
        steps.run("build echo-server", || {
            execute(&mut cargo("build --package echo-server"))
        })?;
        steps.run("start echo-server", || Self::another_echo(&[]))
    }

    /// Starts the echo application, which has been built, with these options.
    pub(crate) fn another_echo(options: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary("echo-server")?);
        Self::start(command.args(["--listen", "127.0.0.1:0"]).args(options))
    }

    /// The same, with its log in the file `log`: a line `answered` for each request, with the client's address.
    pub(crate) fn logging_echo(log: &Path, options: &[&OsStr]) -> Result<Self> {
        let file = File::create(log)
            .map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let mut command = Command::new(binary("echo-server")?);
        Self::start(
            command
                .args(["--listen", "127.0.0.1:0"])
                .args(options)
                .env("RUST_LOG", "echo_server=debug")
                .stderr(file),
        )
    }

    /// Builds and starts the socket.io example.
    pub(crate) fn socketio(steps: &mut Steps) -> Option<Self> {
        steps.run("build socketio", || {
            execute(&mut cargo("build --package examples --bin socketio"))
        })?;
        steps.run("start socketio", || {
            Self::start(Command::new(binary("socketio")?).arg("127.0.0.1:0"))
        })
    }

    /// Starts `command` and waits, for a bounded time, for its line `listening on URL`.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map(Ended)
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let stdout = process.0.stdout.take();

        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // Read to the end, so that a server that goes on to print never waits for a reader.
            for line in BufReader::new(stdout?).lines().map_while(|line| line.ok()) {
                println!("[server] {line}");
                if let Some(url) = line.strip_prefix(READY) {
                    let _ = sender.send(url.trim_end_matches('/').to_owned());
                }
            }
            Some(())
        });

        match receiver.recv_timeout(READY_WITHIN) {
            Ok(url) => Ok(Self { process, url }),
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "{program} did not print `{READY}http://…` on its standard output within {} s",
                READY_WITHIN.as_secs()
            )),
            Err(RecvTimeoutError::Disconnected) => {
                let status = process.0.wait().map_err(|error| error.to_string())?;
                Err(format!(
                    "{program} ended with {status} before it printed `{READY}http://…`"
                ))
            }
        }
    }

    /// The number of the process, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Returns `HOST:PORT`.
    pub(crate) fn authority(&self) -> Result<&str> {
        let authority = self.url.split_once("://").map(|(_, authority)| authority);
        authority.ok_or_else(|| format!("the server listens on `{}`, not on a URL", self.url))
    }

    /// Host and port of the URL.
    pub(crate) fn host_and_port(&self) -> Result<(&str, &str)> {
        let authority = self.authority()?;
        let parts = authority.rsplit_once(':');
        parts.ok_or_else(|| format!("`{authority}` has no port"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_url_is_read_and_the_process_ends_with_the_value() {
        let mut script =
            shell("echo first; echo listening on http://127.0.0.1:4711/; exec sleep 600");
        let server = Server::start(&mut script).unwrap();
        assert_eq!(server.url, "http://127.0.0.1:4711");
        assert_eq!(server.host_and_port(), Ok(("127.0.0.1", "4711")));

        let pid = server.pid().to_string();
        let alive = || {
            Command::new("kill")
                .args(["-0", &pid])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        assert!(alive());
        drop(server);
        assert!(!alive());
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_status() {
        let error = Server::start(&mut shell("exit 2")).unwrap_err();
        assert!(
            error.contains("exit status: 2 before it printed"),
            "{error}"
        );
    }
}
