//! HAProxy between HTTP/1.1 and HTTP/2.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Command, Stdio},
};

use super::conformance_dir;
use crate::{
    programs,
    steps::{Ended, Result, execute},
};

/// A running HAProxy that speaks HTTP/2 to a server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Bridge {
    _process: Ended,
    /// Where it takes HTTP/1.1, as `HOST:PORT`.
    pub(super) authority: String,
}

impl Bridge {
    /// Starts HAProxy in front of `server`, which is `HOST:PORT`.
    pub(super) fn start(server: &str) -> Result<Self> {
        let io = |error| format!("cannot listen for HAProxy: {error}");
        // It is handed a socket that listens already: no port to be taken by another in between, nothing to wait for.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(io)?;
        let authority = listener.local_addr().map_err(io)?.to_string();

        // A start that fails would show only in clients that get no answer.
        let to_check = listener.try_clone().map_err(io)?;
        execute(haproxy(server, to_check)?.arg("-c"))?;
        let process = haproxy(server, listener)?
            .arg("-db") // one process, in the foreground
            .spawn()
            .map(Ended)
            .map_err(|error| format!("cannot start haproxy: {error}"))?;
        Ok(Self {
            _process: process,
            authority,
        })
    }
}

fn haproxy(server: &str, listener: TcpListener) -> Result<Command> {
    let mut command = Command::new(programs::haproxy()?);
    command
        .arg("-f")
        .arg(conformance_dir().join("haproxy.cfg"))
        .env("ECHO_SERVER", server)
        .stdin(into_stdin(listener)?);
    Ok(command)
}

#[cfg(unix)]
fn into_stdin(listener: TcpListener) -> Result<Stdio> {
    Ok(std::os::fd::OwnedFd::from(listener).into())
}

#[cfg(not(unix))]
fn into_stdin(_: TcpListener) -> Result<Stdio> {
    Err("HAProxy runs on Unix only".to_owned())
}
