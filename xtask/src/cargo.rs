//! Cargo as the tasks call it, and where it puts things.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::steps::Result;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for `cargo run`; the built-in one serves who starts the binary by hand.
    let manifest_dir =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = Path::new(&manifest_dir);
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// A command of cargo in the root of the workspace.
///
/// Neither RUSTFLAGS nor the profile differ between the tasks, but for the model: what one has built, the next one uses.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// The target directory: the one that this program was built into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let exe = env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    exe.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is not in a target directory", exe.display()))
}

/// Where a debug build puts the binary `name`.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    binary_of("debug", name)
}

/// Where a build with the profile `release` or `bench` puts it.
pub(crate) fn release_binary(name: &str) -> Result<PathBuf> {
    binary_of("release", name)
}

fn binary_of(dir: &str, name: &str) -> Result<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    Ok(target_dir()?.join(dir).join(file))
}
