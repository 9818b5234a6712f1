//! A whole socket, from the handshake to the end of its pipeline, on a clock of its own.
//!
//! An input is a plan (`stack/plan.rs`): what the peer sends and takes, what the endpoint does with its handles, how torn and
//! slow the transport is, which policies the socket has, and when the server drains. hyper serves an `UpgradeLayer` over a
//! transport in memory; tokio's clock is paused, so it moves only when all tasks sleep. The same plan is the same run.
//!
//! - `stack/run.rs`, `tasks.rs`: the server and its tasks; polls are counted, to find a task that spins,
//! - `stack/wire.rs`, `transport.rs`, `peer.rs`, `endpoint.rs`, `policy.rs`, `message.rs`: what the plan drives,
//! - `stack/world.rs`, `state.rs`, `reference.rs`: the events of a run, and the expected result of its bytes,
//! - `stack/steps.rs`, `audit.rs`, `verdict.rs`: the checks at each step, each time the clock moves, and at the end,
//! - `stack/known.rs`: the checks that are switched off, `stack/reached.rs`: statistics of the runs.

mod audit;
mod endpoint;
mod generate;
pub(crate) mod known;
mod message;
mod peer;
mod plan;
mod policy;
pub(crate) mod reached;
mod reference;
mod run;
mod state;
mod steps;
mod tasks;
mod transport;
mod verdict;
mod wire;
mod world;

use self::plan::Plan;
use crate::choices::Choices;

pub(crate) fn generate(choices: &mut Choices<'_>) -> Vec<u8> {
    generate::plan(choices).to_input()
}

/// Runs the plan, and panics with its finding.
pub(crate) fn check(input: &[u8]) {
    let Some(plan) = Plan::parse(input) else {
        return;
    };
    let world = run::run(&plan);
    reached::add(&world);
    let findings = world.findings();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    #[test]
    fn the_same_input_is_the_same_run() {
        for (path, input) in corpus::inputs("stack") {
            let plan = Plan::parse(&input).unwrap();
            let [one, other] = [(); 2].map(|()| run::run(&plan).summary());
            assert_eq!(one, other, "{}", path.display());
        }
    }
}
