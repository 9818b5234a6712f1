//! The scenarios of the benchmark, and the servers in them.

use clap::{ValueEnum, builder::PossibleValue};

use super::table::bytes;

/// An echo server of the package `bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(super) name: &'static str,
    /// It echoes bytes and knows no WebSocket.
    pub(super) is_raw: bool,
}

/// The raw one comes first: the others of a round are compared with it.
pub(super) const PEERS: [Peer; 7] = [
    Peer {
        name: "raw",
        is_raw: true,
    },
    websocket("axum"),
    websocket("tungstenite"),
    websocket("fastwebsockets"),
    websocket("tokio-websockets"),
    websocket("towline"),
    websocket("towline-keep-alive"),
];

pub(super) const fn websocket(name: &'static str) -> Peer {
    Peer {
        name,
        is_raw: false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Echo(Echo),
    /// Connections opened and closed.
    Handshakes,
    /// Connections that do nothing.
    Idle,
}

/// Messages under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    name: &'static str,
    pub(super) connections: usize,
    pub(super) size: usize,
    pub(super) in_flight: usize,
}

/// The scenarios whose instructions are counted come first.
const SCENARIOS: [Scenario; 7] = [
    echo("50x16Bx1", 50, 16, 1),
    echo("50x16Bx16", 50, 16, 16),
    echo("50x1KiBx1", 50, 1 << 10, 1),
    echo("50x16KiBx1", 50, 16 << 10, 1),
    echo("10x1MiBx1", 10, 1 << 20, 1),
    Scenario::Handshakes,
    Scenario::Idle,
];

const COUNTED: usize = 4;

const fn echo(name: &'static str, connections: usize, size: usize, in_flight: usize) -> Scenario {
    Scenario::Echo(Echo {
        name,
        connections,
        size,
        in_flight,
    })
}

/// All scenarios of one of the two kinds of figures.
pub(super) fn of(instructions: bool) -> &'static [Scenario] {
    if instructions {
        &SCENARIOS[..COUNTED]
    } else {
        &SCENARIOS
    }
}

impl Scenario {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Echo(echo) => echo.name,
            Self::Handshakes => "handshakes",
            Self::Idle => "idle",
        }
    }
}

impl Echo {
    /// Connections × size × messages in flight.
    pub(super) fn title(&self) -> String {
        let size = bytes(self.size);
        format!("{}×{size}×{}", self.connections, self.in_flight)
    }

    /// The arguments of the load generator.
    pub(super) fn arguments(&self, peer: Peer) -> Vec<String> {
        let mut arguments = vec![
            "echo".to_owned(),
            format!("--connections={}", self.connections),
            format!("--size={}", self.size),
            format!("--in-flight={}", self.in_flight),
        ];
        arguments.extend(peer.is_raw.then(|| "--raw".to_owned()));
        arguments
    }
}

impl ValueEnum for Scenario {
    fn value_variants<'a>() -> &'a [Self] {
        &SCENARIOS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for Peer {
    fn value_variants<'a>() -> &'a [Self] {
        &PEERS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name))
    }
}
