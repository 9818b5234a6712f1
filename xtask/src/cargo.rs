//! Cargo as the tasks call it, and where it puts things.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::steps::Result;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets it for `cargo run`; the built-in one serves who starts the binary by hand.
    let manifest_dir =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = Path::new(&manifest_dir);
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// A command of cargo in the root of the workspace; spaces separate its arguments.
///
/// Neither RUSTFLAGS nor the profile differ between the tasks, but for the model: what one has built, the next one uses.
pub(crate) fn cargo(args: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split(' ')).current_dir(root());
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

/// A package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// From the root, with `/`.
    pub(crate) dir: String,
    /// Without `default`.
    pub(crate) features: Vec<String>,
    /// Without dev-dependencies, which no user of the package compiles.
    pub(crate) dependencies: Vec<String>,
}

/// Every package of the workspace.
pub(crate) fn members() -> Result<Vec<Member>> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .no_deps()
        .exec()
        .map_err(|error| format!("cannot read the manifests: {error}"))?;
    let packages = metadata.packages.iter().map(|package| {
        let dir = package.manifest_path.parent();
        let inside = dir.and_then(|dir| dir.strip_prefix(&metadata.workspace_root).ok());
        let dir = inside.map(|dir| dir.iter().collect::<Vec<_>>().join("/"));
        let features = package.features.keys();
        let dependencies = package.dependencies.iter();
        Member {
            name: package.name.to_string(),
            dir: dir.unwrap_or_default(),
            features: features
                .filter(|feature| *feature != "default")
                .cloned()
                .collect(),
            dependencies: dependencies
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect(),
        }
    });
    Ok(packages.collect())
}
