//! `cargo xtask ci`: all there is. `cargo xtask external`: the part of it that needs programs from outside, or
//! time.

use crate::{
    browser, clients, conformance, conformance::Cases, half_open, programs, proxies, soak,
    steps::Steps, test,
};

/// Runs the tests, and when they pass the external part. A program that is missing is named before anything starts.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::ALL))?;
    test::run(steps);
    if steps.failed() {
        return None;
    }
    try_external(steps)
}

/// Runs what needs programs from outside.
pub(crate) fn external(steps: &mut Steps) -> Option<()> {
    steps.run("programs", || programs::check(programs::ALL))?;
    try_external(steps)
}

/// Runs each of the external tasks, also after one that failed.
fn try_external(steps: &mut Steps) -> Option<()> {
    let browser = browser::try_page(steps);
    let clients = clients::try_all(steps);
    let conformance = conformance::try_cases(steps, Cases::Quick);
    let proxies = proxies::try_all(steps);
    let half_open = half_open::run(steps);
    let soak = soak::try_short(steps);
    browser
        .and(clients)
        .and(conformance)
        .and(proxies)
        .and(half_open)
        .and(soak)
}
