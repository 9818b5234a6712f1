//! The command line of the benchmark.

use super::scenario::{self, PEERS, Peer, Scenario};
use crate::steps::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure this scenario, and not all; may be repeated
    #[arg(long = "only", value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,

    /// Measure this server, and not all; may be repeated
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Peer>,

    /// How often each is measured
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,

    /// How long the messages of a peer take in a round
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(super) seconds: f64,

    /// Count user-space instructions instead, by callgrind
    #[arg(long)]
    pub(super) instructions: bool,

    /// Print the functions and lines that have the most of them
    #[arg(long, requires = "instructions")]
    pub(super) profile: bool,

    /// Measure compressed messages instead, and what a context costs
    #[arg(long, conflicts_with_all = ["instructions", "scenarios", "peers", "pings"])]
    pub(super) compression: bool,

    /// Measure what keep-alive costs 10 000 idle sockets instead, in some minutes
    #[arg(long, conflicts_with_all = ["instructions", "scenarios", "peers"])]
    pub(super) pings: bool,
}

impl Options {
    pub(super) fn scenarios(&self) -> &[Scenario] {
        if self.scenarios.is_empty() {
            return scenario::of(self.instructions);
        }
        &self.scenarios
    }

    pub(super) fn peers(&self) -> &[Peer] {
        if self.peers.is_empty() {
            return &PEERS;
        }
        &self.peers
    }
}

fn seconds(value: &str) -> Result<f64> {
    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0);
    seconds.ok_or_else(|| "not a number above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> std::result::Result<Options, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.options)
    }

    #[test]
    fn everything_is_measured_unless_some_is_chosen() {
        let all = parse("bench").unwrap();
        assert_eq!((all.scenarios().len(), all.peers().len()), (7, 7));
        assert_eq!(parse("bench --instructions").unwrap().scenarios().len(), 4);

        let some = parse("bench --only 50x16Bx16 --only idle --peer towline").unwrap();
        assert_eq!((some.scenarios().len(), some.peers().len()), (2, 1));
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for options in [
            "--fast",
            "--only 16B",
            "--peer warp",
            "--rounds 0",
            "--seconds 0",
            "--profile",
            "--compression --only idle",
            "--pings --peer raw",
            "--pings --compression",
        ] {
            assert!(parse(&format!("bench {options}")).is_err(), "{options}");
        }
    }
}
