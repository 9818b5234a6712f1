//! `cargo xtask test`: all that needs nothing but cargo.

use std::fs;

use crate::{
    cargo::{cargo, root},
    fuzz, model,
    steps::{Result, Steps, execute},
    tidy::{self, manifest},
};

/// Runs every check, also after one that failed, so that one run shows all that is wrong.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("format", || {
        execute(&mut cargo(["fmt", "--all", "--check"]))
            .map_err(|error| format!("{error}; `cargo fmt --all` puts it right"))
    });
    tidy::run(steps);
    // What does not compile fails every step from here on: once is enough.
    steps.run("build the tests", || {
        execute(&mut cargo([
            "test",
            "--workspace",
            "--all-features",
            "--tests",
            "--no-run",
        ]))
    })?;
    steps.run("clippy", || {
        execute(&mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-Dwarnings",
        ]))
    });
    steps.run("tests", || {
        execute(&mut cargo([
            "test",
            "--workspace",
            "--all-features",
            "--tests",
            "--no-fail-fast",
        ]))
    });
    steps.run("doctests", || {
        execute(&mut cargo([
            "test",
            "--workspace",
            "--all-features",
            "--doc",
            "--no-fail-fast",
        ]))
    });
    steps.run("docs", || {
        execute(
            cargo(["doc", "--workspace", "--all-features", "--no-deps"])
                .env("RUSTDOCFLAGS", "-Dwarnings"),
        )
    });
    steps.run("each feature alone", each_feature_alone);
    // Also behind one that fails.
    let model = model::run(steps);
    fuzz::try_short(steps).and(model)
}

/// Checks every crate by itself: without features, then with each of them.
///
/// A build of the whole workspace unites the features of all its members, so there a crate may live on what another one
/// has asked for. Clippy is `cargo check` with warnings that can be denied without a rebuild of every dependency.
fn each_feature_alone() -> Result {
    for (name, features) in crates()? {
        check_alone(&name, None)?;
        for feature in &features {
            check_alone(&name, Some(feature))?;
        }
    }
    Ok(())
}

fn check_alone(name: &str, feature: Option<&str>) -> Result {
    let mut command = cargo(["clippy", "--quiet", "--no-default-features", "--package"]);
    command.arg(name);
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    execute(command.args(["--", "-Dwarnings"]))
}

/// The crates under `crates/` and their features, from the manifests.
fn crates() -> Result<Vec<(String, Vec<String>)>> {
    let dir = root().join("crates");
    let entries =
        fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
    let mut crates = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let Ok(text) = fs::read_to_string(path.join("Cargo.toml")) else {
            continue;
        };
        if let Some(name) = path.file_name() {
            let features = manifest::features(&text)
                .into_iter()
                .map(|feature| feature.key)
                .collect();
            crates.push((name.to_string_lossy().into_owned(), features));
        }
    }
    if crates.is_empty() {
        return Err(format!("there is no crate in {}", dir.display()));
    }
    crates.sort();
    Ok(crates)
}
