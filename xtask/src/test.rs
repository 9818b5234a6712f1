//! `cargo xtask test`: all that needs nothing but cargo.

use std::iter;

use crate::{
    cargo::{cargo, members},
    fuzz, model,
    steps::{Result, Steps, execute},
    tidy,
};

/// Runs every check, also after one that failed, so that one run shows all that is wrong.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("format", || {
        execute(&mut cargo("fmt --all --check"))
            .map_err(|error| format!("{error}; `cargo fmt --all` puts it right"))
    });
    tidy::run(steps);
    // What does not compile fails every step from here on: once is enough.
    steps.run("build the tests", || {
        execute(&mut cargo(
            "test --workspace --all-features --tests --no-run",
        ))
    })?;
    steps.run("clippy", || {
        execute(&mut cargo(
            "clippy --workspace --all-targets --all-features -- -Dwarnings",
        ))
    });
    steps.run("tests", || {
        execute(&mut cargo(
            "test --workspace --all-features --tests --no-fail-fast",
        ))
    });
    steps.run("doctests", || {
        execute(&mut cargo(
            "test --workspace --all-features --doc --no-fail-fast",
        ))
    });
    steps.run("docs", || {
        execute(cargo("doc --workspace --all-features --no-deps").env("RUSTDOCFLAGS", "-Dwarnings"))
    });
    steps.run("each feature alone", each_feature_alone);
    // Also after a step that fails.
    let model = model::run(steps);
    fuzz::try_short(steps).and(model)
}

/// Checks every crate by itself: without features, then with each of them.
///
/// A build of the whole workspace unites the features of all its members, so there a crate may live on what another one
/// has asked for. Clippy is `cargo check` with warnings that can be denied without a rebuild of every dependency.
fn each_feature_alone() -> Result {
    let members = members()?.into_iter();
    for member in members.filter(|member| member.dir.starts_with("crates/")) {
        let name = &member.name;
        let features = member.features.iter().map(|feature| &**feature);
        for feature in iter::once("").chain(features) {
            execute(&mut cargo(&format!(
                "clippy --quiet --no-default-features --package {name} --features={feature} -- -Dwarnings"
            )))?;
        }
    }
    Ok(())
}
