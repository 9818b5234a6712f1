//! What keep-alive costs with many sockets that do nothing: processor time, and when the pings are sent.

use super::{
    machine::{Server, figure},
    scenario::{Peer, websocket},
    table::{Table, grouped},
};
use crate::steps::Result;

const PEERS: [Peer; 2] = [websocket("towline"), websocket("towline-keep-alive")];

const SOCKETS: usize = 10_000;

/// Two intervals of keep-alive and some more.
const SECONDS: usize = 65;

const INTERVAL: usize = 30;

#[derive(Debug)]
struct Measured {
    pings: f64,
    cpu_ns: f64,
    /// Of a second, the most.
    most: f64,
}

/// A row's name, and how to come by its figures.
type Figure = (&'static str, fn(&Measured) -> Option<String>);

/// Measures each of the two for a minute.
pub(super) fn measure() -> Result<Table> {
    let measured = PEERS.map(watch);
    let measured = measured.into_iter().collect::<Result<Vec<_>>>()?;
    let figures: [Figure; 4] = [
        ("pings", |it| Some(grouped(it.pings))),
        ("CPU ms a second", |it| {
            Some(format!("{:.2}", it.cpu_ns / 1e6 / SECONDS as f64))
        }),
        ("CPU µs a ping and its pong", |it| {
            (it.pings > 0.0).then(|| format!("{:.1}", it.cpu_ns / 1e3 / it.pings))
        }),
        ("most pings in a second, of an even share", |it| {
            Some(format!("{:.1}", it.most * INTERVAL as f64 / SOCKETS as f64))
        }),
    ];
    let mut table = Table::new(PEERS.iter().map(|peer| peer.name));
    for (name, figure) in figures {
        table.row(name.to_owned(), measured.iter().map(figure));
    }
    table.note(
        "10 000 sockets that do nothing but answer pings, for 65 s. CPU: the server's processor time, in user space and \
         kernel; 10 ms a second are one percent of a processor. An even share: a thirtieth of the sockets, as the interval \
         is 30 s.",
    );
    Ok(table)
}

fn watch(peer: Peer) -> Result<Measured> {
    println!("{}", peer.name);
    let report = Server::start(peer)?.load(&[
        "pings".to_owned(),
        format!("--connections={SOCKETS}"),
        format!("--seconds={SECONDS}"),
    ])?;
    let seconds = (0..SECONDS).map(|second| figure(&report, &format!("second_{second}")));
    let seconds = seconds.collect::<Result<Vec<_>>>()?;
    println!("  pings by second: {}", list(&seconds));
    Ok(Measured {
        pings: figure(&report, "pings")?,
        cpu_ns: figure(&report, "cpu_ns")?,
        most: seconds.into_iter().fold(0.0, f64::max),
    })
}

fn list(figures: &[f64]) -> String {
    let figures: Vec<_> = figures.iter().map(f64::to_string).collect();
    figures.join(" ")
}
