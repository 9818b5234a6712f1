//! `cargo xtask model`: the tasks of a socket in the orders in which they can run.

use std::time::Duration;

use crate::{
    cargo::{cargo, target_dir},
    steps::{Steps, execute_within},
};

/// Runs `tests/model` of `towline-core` over loom.
///
/// The flag that puts loom in place of the lock holds for all dependencies, so they are built once more, into a directory of
/// their own.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    // A model that grows too large would go on for hours.
    const LIMIT: Duration = Duration::from_secs(900);

    steps.run("model", || {
        let mut command = cargo(
            "test --quiet --package towline-core --features deflate --test model --target-dir",
        );
        command
            .arg(target_dir()?.join("model"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "--cfg towline_model");
        execute_within(LIMIT, &mut command)
    })
}
