//! The scripts for Node under `xtask/web`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use crate::{
    cargo::root,
    programs,
    steps::{Result, execute_within},
};

const INSTALL_WITHIN: Duration = Duration::from_secs(600);

/// Where the scripts and their `package-lock.json` are.
pub(crate) fn web_dir() -> PathBuf {
    root().join("xtask/web")
}

/// Installs what the lock file names, unless that has been done since it changed.
pub(crate) fn packages() -> Result {
    let dir = web_dir();
    if !is_outdated(&dir)? {
        println!("xtask/web/node_modules is up to date");
        return Ok(());
    }
    execute_within(
        INSTALL_WITHIN,
        Command::new(programs::npm()?)
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&dir)
            .stdin(Stdio::null()),
    )
}

/// A command that runs one of the scripts.
pub(crate) fn script(name: &str) -> Result<Command> {
    let mut command = Command::new(programs::node()?);
    command
        .arg(web_dir().join(name))
        .current_dir(root())
        .stdin(Stdio::null());
    Ok(command)
}

fn is_outdated(dir: &Path) -> Result<bool> {
    let lock = modified(&dir.join("package-lock.json"))?;
    // npm writes this file last.
    let installed = modified(&dir.join("node_modules/.package-lock.json"));
    Ok(installed.map_or(true, |installed| installed < lock))
}

fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .map_err(|error| format!("{}: {error}", path.display()))
}
