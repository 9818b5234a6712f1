//! What is checked.

mod decode;
mod differential;
mod handshake;
mod round_trip;
mod split;
pub(crate) mod stack;

use crate::choices::Choices;
use crate::generate;

/// A source of inputs, and what has to hold for each.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Makes an input of random choices.
    pub(crate) generate: fn(&mut Choices<'_>) -> Vec<u8>,
    /// The time that an input takes, as a multiple of the other targets' time. A number of inputs is divided by it.
    pub(crate) slower: u64,
    /// Panics when something is wrong. Takes any bytes, and passes those that are no input of this target.
    pub(crate) check: fn(&[u8]),
}

/// All targets, in the order in which they run.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "decode",
        generate: stream,
        slower: 1,
        check: decode::check,
    },
    Target {
        name: "split",
        generate: stream,
        slower: 1,
        check: split::check,
    },
    Target {
        name: "differential",
        generate: stream,
        slower: 1,
        check: differential::check,
    },
    Target {
        name: "round_trip",
        generate: round_trip::generate,
        slower: 1,
        check: round_trip::check,
    },
    Target {
        name: "handshake",
        generate: handshake::generate,
        slower: 1,
        check: handshake::check,
    },
    Target {
        name: "stack",
        generate: stack::generate,
        slower: 10,
        check: stack::check,
    },
];

fn stream(choices: &mut Choices<'_>) -> Vec<u8> {
    generate::stream(choices).to_input()
}
