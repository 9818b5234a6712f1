//! Virtual environments of Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    cargo::target_dir,
    programs,
    steps::{Result, execute, execute_within},
};

const INSTALL_WITHIN: Duration = Duration::from_secs(300);

/// The Python of the virtual environment `name`, with what `requirements.txt` in `dir` names; made anew when that changed.
pub(crate) fn venv(name: &str, dir: &Path) -> Result<PathBuf> {
    let requirements = dir.join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;

    let venv = target_dir()?.join("venvs").join(name);
    let python = venv.join("bin/python");
    let stamp = venv.join("installed-requirements.txt");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("{} is up to date", venv.display());
        return Ok(python);
    }

    execute(
        Command::new(programs::python()?)
            .args(["-m", "venv", "--clear"])
            .arg(&venv)
            .stdin(Stdio::null()),
    )?;
    execute_within(
        INSTALL_WITHIN,
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(&requirements)
            .stdin(Stdio::null()),
    )?;
    // Last, so that an install that broke off is done again.
    fs::write(&stamp, wanted)
        .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    Ok(python)
}
