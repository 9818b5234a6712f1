//! What compression costs and saves: processor time, bytes on the wire and memory.

use super::{
    machine::{Report, Server, figure},
    options::Options,
    scenario::{Peer, websocket},
    table::{Table, bytes, grouped},
};
use crate::steps::Result;

const PEERS: [Peer; 2] = [
    websocket("yawc-compressed"),
    websocket("towline-compressed"),
];

/// What is negotiated.
const MODES: [(&str, &str); 3] = [
    ("off", "none"),
    ("takeover", "takeover"),
    ("no-takeover", "no takeover"),
];

/// Connections, and the size of a message before it is compressed.
const MESSAGES: [(usize, usize); 2] = [(50, 1 << 10), (10, 64 << 10)];

const IDLE_SOCKETS: usize = 1000;

/// A row's name, and how to come by its figures.
type Figure = (&'static str, fn(&Report) -> Result<String>);

/// Measures all of it.
pub(super) fn measure(options: &Options) -> Result<Table> {
    let mut table = Table::new(PEERS.iter().map(|peer| peer.name));
    for (connections, size) in MESSAGES {
        for (mode, title) in MODES {
            let row = format!("{connections}×{} ×1, {title}", bytes(size));
            println!("{row}");
            let mut reports = Vec::new();
            for peer in PEERS {
                reports.push(rounds(options, peer, connections, size, mode)?);
            }
            let figures: [Figure; 3] = [
                ("CPU µs", |report| per_message(report, "cpu_ns", 1000.0)),
                ("bytes from the client", |report| {
                    per_message(report, "sent", 1.0)
                }),
                ("bytes from the server", |report| {
                    per_message(report, "received", 1.0)
                }),
            ];
            add(&mut table, &row, &figures, &reports)?;
        }
    }
    for (mode, title) in MODES {
        println!("idle, {title}");
        let mut reports = Vec::new();
        for peer in PEERS {
            reports.push(load(peer, IDLE_SOCKETS, 1 << 10, mode, 0.0)?);
        }
        let figure: Figure = ("KiB", |report| {
            Ok(format!("{:.1}", figure(report, "socket_bytes")? / 1024.0))
        });
        add(
            &mut table,
            &format!("idle socket, {title}"),
            &[figure],
            &reports,
        )?;
    }
    table.note(
        "Text as applications send it, one message under way on each connection. CPU: the server's processor time a \
         message, in user space and kernel, in the round of the median. Memory: RssAnon with 1000 sockets that have \
         echoed two messages of 1 KiB, a socket.",
    );
    Ok(table)
}

/// The report of the round that took the median of processor time.
fn rounds(
    options: &Options,
    peer: Peer,
    connections: usize,
    size: usize,
    mode: &str,
) -> Result<Report> {
    let mut reports = Vec::new();
    for _ in 0..options.rounds {
        let report = load(peer, connections, size, mode, options.seconds)?;
        let cpu = figure(&report, "cpu_ns")? / figure(&report, "messages")?;
        reports.push((cpu, report));
    }
    reports.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    Ok(reports.swap_remove(reports.len() / 2).1)
}

fn load(peer: Peer, connections: usize, size: usize, mode: &str, seconds: f64) -> Result<Report> {
    Server::start(peer)?.load(&[
        "compressed".to_owned(),
        format!("--connections={connections}"),
        format!("--size={size}"),
        format!("--mode={mode}"),
        format!("--seconds={seconds}"),
    ])
}

fn per_message(report: &Report, key: &str, unit: f64) -> Result<String> {
    let value = figure(report, key)? / figure(report, "messages")? / unit;
    Ok(if value < 100.0 {
        format!("{value:.1}")
    } else {
        grouped(value)
    })
}

fn add(table: &mut Table, row: &str, figures: &[Figure], reports: &[Report]) -> Result {
    for (name, figure) in figures {
        let cells: Vec<_> = reports.iter().map(figure).collect::<Result<_>>()?;
        table.row(format!("{row}, {name}"), cells.into_iter().map(Some));
    }
    Ok(())
}
