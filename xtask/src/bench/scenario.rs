//! What is measured, and of whom.

use super::table::bytes;

/// An echo server of the package `bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// It echoes bytes and knows no WebSocket.
    pub(super) is_raw: bool,
}

/// The raw one comes first: it is what the others of a round are compared with.
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
pub(super) enum Scenario {
    Echo(Echo),
    /// Connections opened and closed.
    Handshakes,
    /// Connections that do nothing.
    Idle,
}

/// Messages under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) connections: usize,
    pub(super) size: usize,
    pub(super) in_flight: usize,
}

/// All scenarios of one of the two kinds of figures.
pub(super) fn of(instructions: bool) -> Vec<Scenario> {
    let echo = |(connections, size, in_flight)| {
        Scenario::Echo(Echo {
            connections,
            size,
            in_flight,
        })
    };
    if instructions {
        let echoes = [
            (50, 16, 1),
            (50, 16, 16),
            (50, 1 << 10, 1),
            (50, 16 << 10, 1),
        ];
        return echoes.map(echo).to_vec();
    }
    let echoes = [
        (50, 16, 1),
        (50, 16, 16),
        (50, 1 << 10, 1),
        (50, 16 << 10, 1),
        (10, 1 << 20, 1),
    ];
    let mut scenarios = echoes.map(echo).to_vec();
    scenarios.extend([Scenario::Handshakes, Scenario::Idle]);
    scenarios
}

impl Scenario {
    /// As the command line has it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Echo(echo) => echo.text("x").replace(' ', ""),
            Self::Handshakes => "handshakes".to_owned(),
            Self::Idle => "idle".to_owned(),
        }
    }
}

impl Echo {
    /// Connections × size × messages in flight.
    pub(super) fn title(&self) -> String {
        self.text("×")
    }

    fn text(&self, times: &str) -> String {
        let Self {
            connections,
            size,
            in_flight,
        } = self;
        format!("{connections}{times}{}{times}{in_flight}", bytes(*size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_typed() {
        let names: Vec<_> = of(false).iter().map(Scenario::name).collect();
        assert_eq!(names[..2], ["50x16Bx1", "50x16Bx16"]);
        assert_eq!(names[4..], ["10x1MiBx1", "handshakes", "idle"]);
        let Scenario::Echo(echo) = of(true)[3] else {
            panic!("the fourth is an echo");
        };
        assert_eq!(echo.title(), "50×16 KiB×1");
    }
}
