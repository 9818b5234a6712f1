//! Time and memory: rounds in which every peer has its turn.

use super::{
    machine::{Report, Server, figure},
    options::Options,
    scenario::{Echo, Peer, Scenario},
    table::{Table, grouped, median},
};
use crate::steps::Result;

/// How often in a round each peer has its turn: what slows the machine for a while slows all of them alike.
const TURNS: usize = 20;

/// Of one peer in one round.
const HANDSHAKES: usize = 4000;
const IDLE_SOCKETS: usize = 5000;

/// What one peer did in one round.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// Processor time in nanoseconds for one operation.
    cpu: f64,
    a_second: f64,
    /// `cpu` over that of the raw peer in the same round.
    ratio: Option<f64>,
}

/// Bytes of memory for one idle socket.
#[derive(Clone, Copy, Debug)]
struct Memory {
    first: f64,
    fresh: f64,
    used: f64,
}

/// A row's name, and how to come by its figures.
type Figure = (&'static str, fn(Memory) -> f64);

/// Measures all that is asked for.
pub(super) fn measure(options: &Options) -> Result<Table> {
    let mut table = Table::new(options.peers().iter().map(|peer| peer.name));
    for scenario in options.scenarios() {
        println!("{}", scenario.name());
        match scenario {
            Scenario::Echo(echo) => {
                let rounds = rounds(options, || messages(options, echo))?;
                let title = echo.title();
                add(
                    &mut table,
                    [format!("{title}, CPU µs"), format!("{title}, messages/s")],
                    &rounds,
                );
            }
            Scenario::Handshakes => {
                let rounds = rounds(options, || handshakes(options))?;
                let titles = ["handshake, CPU µs", "handshakes/s"];
                add(&mut table, titles.map(str::to_owned), &rounds);
            }
            Scenario::Idle => add_memory(&mut table, options)?,
        }
    }
    table.note(
        "CPU: the server's processor time a message, or for an opening and a closing handshake, in user space and \
         kernel; in brackets its ratio to that of raw in the same round. Medians of the rounds, in each of which the \
         peers take turns at messages. Connections × size × messages in flight.",
    );
    table.note(
        "Memory: RssAnon with 5000 sockets open, a socket. `first`: more than before there were any. `fresh`: more than \
         after as many were opened and closed once. `used`: the same after one echo of 16 KiB on each.",
    );
    Ok(table)
}

/// For each peer what it did in each round.
fn rounds(
    options: &Options,
    round: impl Fn() -> Result<Vec<Option<Measured>>>,
) -> Result<Vec<Vec<Measured>>> {
    let mut results = vec![Vec::new(); options.peers().len()];
    for number in 1..=options.rounds {
        let mut raw = None;
        for ((peer, measured), results) in options.peers().iter().zip(round()?).zip(&mut results) {
            let Some(mut measured) = measured else {
                continue;
            };
            if peer.is_raw {
                raw = Some(measured.cpu);
            }
            measured.ratio = raw.map(|raw| measured.cpu / raw);
            println!(
                "  round {number}: {:<18} {:>9.3} µs {:>12}/s",
                peer.name,
                measured.cpu / 1000.0,
                grouped(measured.a_second)
            );
            results.push(measured);
        }
    }
    Ok(results)
}

/// One round of messages, in which the peers take turns.
fn messages(options: &Options, echo: &Echo) -> Result<Vec<Option<Measured>>> {
    let mut clients = Vec::new();
    for peer in options.peers() {
        let server = Server::start(*peer)?;
        let mut arguments = echo.arguments(*peer);
        arguments.push(format!("--seconds={}", options.seconds / TURNS as f64));
        clients.push((server.take_turns(&arguments)?, server));
    }
    let mut reports = vec![Report::new(); clients.len()];
    for turn in 0..TURNS {
        // Each time another one is first.
        for place in 0..clients.len() {
            let index = (turn + place) % clients.len();
            let (client, _server) = &mut clients[index];
            reports[index] = client.turn()?;
        }
    }
    let reports = reports.iter();
    reports
        .map(|report| Measured::of(report, "messages").map(Some))
        .collect()
}

/// One round of handshakes, one peer after the other.
fn handshakes(options: &Options) -> Result<Vec<Option<Measured>>> {
    let arguments = ["handshakes".to_owned(), format!("--count={HANDSHAKES}")];
    let peers = options.peers().iter();
    peers
        .map(|peer| {
            if peer.is_raw {
                return Ok(None);
            }
            let report = Server::start(*peer)?.load(&arguments)?;
            Measured::of(&report, "handshakes").map(Some)
        })
        .collect()
}

impl Measured {
    fn of(report: &Report, what: &str) -> Result<Self> {
        let count = figure(report, what)?;
        Ok(Self {
            cpu: figure(report, "cpu_ns")? / count,
            a_second: count / figure(report, "seconds")?,
            ratio: None,
        })
    }
}

fn add(table: &mut Table, titles: [String; 2], rounds: &[Vec<Measured>]) {
    let medians = |figure: fn(&Measured) -> Option<f64>| {
        let peers = rounds.iter();
        peers.map(move |rounds| median(rounds.iter().filter_map(figure).collect()))
    };
    let [cpu_title, rate_title] = titles;
    let ratios = medians(|measured| measured.ratio);
    let cpus = medians(|measured| Some(measured.cpu)).zip(ratios);
    table.row(
        cpu_title,
        cpus.map(|(cpu, ratio)| {
            let ratio = ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2})"));
            Some(format!("{:.2}{ratio}", cpu? / 1000.0))
        }),
    );
    let rates = medians(|measured| Some(measured.a_second));
    table.row(rate_title, rates.map(|rate| rate.map(grouped)));
}

fn add_memory(table: &mut Table, options: &Options) -> Result {
    let peers = options.peers().iter();
    let memory: Vec<_> = peers.map(|peer| memory(*peer)).collect::<Result<_>>()?;
    let figures: [Figure; 3] = [
        ("first", |memory| memory.first),
        ("fresh", |memory| memory.fresh),
        ("used", |memory| memory.used),
    ];
    for (name, figure) in figures {
        let kibibytes = |memory: Memory| format!("{:.2}", figure(memory) / 1024.0);
        let cells = memory.iter().map(|memory| memory.map(kibibytes));
        table.row(format!("idle socket, {name}, KiB"), cells);
    }
    Ok(())
}

/// Once is enough: memory is no matter of luck.
fn memory(peer: Peer) -> Result<Option<Memory>> {
    if peer.is_raw {
        return Ok(None);
    }
    println!("  {}", peer.name);
    let arguments = ["idle".to_owned(), format!("--connections={IDLE_SOCKETS}")];
    let report = Server::start(peer)?.load(&arguments)?;
    Ok(Some(Memory {
        first: figure(&report, "first_bytes")?,
        fresh: figure(&report, "fresh_bytes")?,
        used: figure(&report, "used_bytes")?,
    }))
}
