//! The command line of the benchmark.

use std::str::FromStr;

use super::scenario::{self, PEERS, Peer, Scenario};
use crate::steps::Result;

#[derive(Debug)]
pub(super) struct Options {
    /// Count instructions instead of measuring time.
    pub(super) instructions: bool,
    /// With `instructions`: print where they go.
    pub(super) profile: bool,
    /// Measure compressed messages instead, of the peers that have them.
    pub(super) compression: bool,
    /// Measure what keep-alive costs idle sockets instead.
    pub(super) pings: bool,
    pub(super) rounds: usize,
    /// How long the messages of one peer take in one round.
    pub(super) seconds: f64,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) peers: Vec<Peer>,
}

impl Options {
    pub(super) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            instructions: false,
            profile: false,
            compression: false,
            pings: false,
            rounds: 5,
            seconds: 1.0,
            scenarios: Vec::new(),
            peers: Vec::new(),
        };
        let mut only = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match &*arg {
                "--instructions" => options.instructions = true,
                "--profile" => options.profile = true,
                "--compression" => options.compression = true,
                "--pings" => options.pings = true,
                "--rounds" => options.rounds = value(&arg, args.next())?,
                "--seconds" => options.seconds = value(&arg, args.next())?,
                "--only" => only.push(value::<String>(&arg, args.next())?),
                "--peer" => options
                    .peers
                    .push(peer(&value::<String>(&arg, args.next())?)?),
                _ => return Err(format!("there is no option `{arg}`\n\n{}", usage())),
            }
        }
        if options.profile && !options.instructions {
            return Err("`--profile` goes with `--instructions`".to_owned());
        }
        let is_chosen = options.instructions || !only.is_empty() || !options.peers.is_empty();
        let is_chosen = is_chosen || options.compression && options.pings;
        if (options.compression || options.pings) && is_chosen {
            return Err(
                "`--compression` and `--pings` have scenarios and peers of their own".to_owned(),
            );
        }
        if options.rounds == 0 || options.seconds <= 0.0 {
            return Err("there is nothing to measure in no time".to_owned());
        }
        if options.peers.is_empty() {
            options.peers.extend(PEERS);
        }
        options.scenarios = choose(scenario::of(options.instructions), &only)?;
        Ok(options)
    }
}

fn value<T: FromStr>(option: &str, value: Option<String>) -> Result<T> {
    let value = value.ok_or_else(|| format!("`{option}` needs a value"))?;
    value
        .parse()
        .map_err(|_| format!("`{value}` is no value of `{option}`"))
}

fn peer(name: &str) -> Result<Peer> {
    let found = PEERS.into_iter().find(|peer| peer.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        format!("there is no peer `{name}`, but {}", names.join(", "))
    })
}

fn choose(scenarios: Vec<Scenario>, only: &[String]) -> Result<Vec<Scenario>> {
    for name in only {
        if !scenarios.iter().any(|scenario| scenario.name() == *name) {
            let names: Vec<_> = scenarios.iter().map(Scenario::name).collect();
            return Err(format!(
                "there is no scenario `{name}`, but {}",
                names.join(", ")
            ));
        }
    }
    let chosen = scenarios.into_iter();
    Ok(chosen
        .filter(|scenario| only.is_empty() || only.contains(&scenario.name()))
        .collect())
}

/// What the options are.
pub(super) fn usage() -> String {
    let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
    let scenarios = names(&mut scenario::of(false).iter().map(Scenario::name));
    let peers = names(&mut PEERS.iter().map(|peer| peer.name.to_owned()));
    format!(
        "usage: cargo xtask bench [OPTIONS]\n\noptions:\n  \
         --only SCENARIO    one of {scenarios}; may be repeated\n  \
         --peer NAME        one of {peers}; may be repeated\n  \
         --rounds COUNT     how often each is measured, 5 unless told\n  \
         --seconds SECONDS  how long a peer's messages take in a round, 1 unless told\n  \
         --instructions     count user-space instructions, by callgrind\n  \
         --profile          with it, the functions and lines that have the most of them\n  \
         --compression      measure compressed messages instead, and what a context costs\n  \
         --pings            measure what keep-alive costs 10 000 idle sockets instead, in some minutes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options> {
        Options::parse(args.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn everything_is_measured_unless_some_is_chosen() {
        let all = parse("").unwrap();
        assert_eq!((all.scenarios.len(), all.peers.len()), (7, 7));
        assert_eq!(parse("--instructions").unwrap().scenarios.len(), 4);

        let some = parse("--only 50x16Bx16 --only idle --peer towline --rounds 1").unwrap();
        assert_eq!((some.scenarios.len(), some.peers.len()), (2, 1));
        assert_eq!(some.rounds, 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, named) in [
            ("--fast", "no option `--fast`"),
            ("--only 16B", "50x16Bx1, 50x16Bx16"),
            ("--peer warp", "raw, axum"),
            ("--rounds", "needs a value"),
            ("--rounds x", "`x` is no value"),
            ("--rounds 0", "nothing to measure"),
            ("--profile", "--instructions"),
            (
                "--compression --only idle",
                "scenarios and peers of their own",
            ),
            ("--pings --peer raw", "scenarios and peers of their own"),
            ("--pings --compression", "scenarios and peers of their own"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
