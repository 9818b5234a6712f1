//! `cargo xtask clients`: the servers tried with clients that are not ours.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cargo::root,
    node, programs, python,
    server::Server,
    steps::{Result, Steps, execute_within},
};

const WITHIN: Duration = Duration::from_secs(300);

/// Looks for the programs it needs, then tries the clients.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::CLIENTS))?;
    try_all(steps)
}

/// Tries every client, also after one that failed.
pub(crate) fn try_all(steps: &mut Steps) -> Option<()> {
    let node_packages = steps.run("node packages", node::packages);
    let venv_python = steps.run("python venv", python);

    let echo = Server::echo(steps);
    if let (Some(server), Some(())) = (&echo, node_packages) {
        steps.run("clients: node http2", || {
            execute_within(WITHIN, node::script("http2.mjs")?.arg(&server.url))
        });
        steps.run("clients: node ws, compressed", || {
            let server = Server::another_echo(&["--compression", "on"])?;
            execute_within(WITHIN, node::script("compression.mjs")?.arg(&server.url))
        });
    }
    if let (Some(server), Some(python)) = (&echo, venv_python) {
        steps.run("clients: python h2 + wsproto", || {
            let (host, port) = server.host_and_port()?;
            execute_within(
                WITHIN,
                Command::new(python)
                    .arg(clients_dir().join("http2_wsproto.py"))
                    .args([host, port])
                    .current_dir(root())
                    .stdin(Stdio::null()),
            )
        });
    }
    drop(echo);

    node_packages?;
    let server = Server::socketio(steps)?;
    steps.run("clients: socket.io", || {
        execute_within(WITHIN, node::script("socketio.mjs")?.arg(&server.url))
    })
}

/// Python with what the clients here are made of.
pub(crate) fn python() -> Result<PathBuf> {
    python::venv("clients", &clients_dir())
}

fn clients_dir() -> PathBuf {
    root().join("xtask/clients")
}
