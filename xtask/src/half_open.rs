//! `cargo xtask half-open`: a peer that vanishes without FIN or RST, between two network namespaces.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cargo::{binary, cargo, root},
    programs,
    steps::{Steps, execute, execute_within},
};

const WITHIN: Duration = Duration::from_secs(60);

/// Cuts a connection and waits for the server to notice, where this user may make network namespaces.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    if !may_make_namespaces() {
        println!(
            "\nhalf-open: skipped, for it needs root and the programs `unshare`, `nsenter` and `ip`"
        );
        return Some(());
    }
    steps.run("build echo-server", || {
        execute(&mut cargo("build --package echo-server"))
    })?;
    steps.run("half-open", || {
        execute_within(
            WITHIN,
            Command::new("unshare")
                .args(["--net", "--fork", "--kill-child"])
                .arg(programs::python()?)
                .arg(root().join("xtask/clients/half_open.py"))
                .arg(binary("echo-server")?)
                .stdin(Stdio::null()),
        )
    })
}

/// Tries it: being root is neither enough in a container nor always needed.
fn may_make_namespaces() -> bool {
    let tried = Command::new("unshare")
        .args(["--net", "sh", "-c"])
        .arg("command -v nsenter && ip link add near type veth peer name far")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
