//! `cargo xtask browser`: the page of the echo application in a headless Chromium.

use std::{fs, time::Duration};

use crate::{
    cargo::target_dir,
    node, programs,
    server::Server,
    steps::{Result, Steps, execute_within},
};

const WITHIN: Duration = Duration::from_secs(300);

/// Looks for the programs it needs, then tries the page.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::BROWSER))?;
    try_page(steps)
}

/// Builds and starts the server, then runs `page.mjs` against it.
pub(crate) fn try_page(steps: &mut Steps) -> Option<()> {
    steps.run("node packages", node::packages)?;
    let server = Server::echo(steps)?;
    steps.run("browser: the page", || page(&server))
}

fn page(server: &Server) -> Result {
    let screenshots = target_dir()?.join("browser");
    fs::create_dir_all(&screenshots)
        .map_err(|error| format!("cannot make {}: {error}", screenshots.display()))?;
    let result = execute_within(
        WITHIN,
        node::script("page.mjs")?
            .arg(&server.url)
            .arg(&screenshots)
            .env("CHROMIUM", programs::chromium()?),
    );
    // Also after a failure: then they show what the page looked like.
    println!("screenshots: {}", screenshots.display());
    result
}
