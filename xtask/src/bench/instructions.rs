//! User-space instructions a message, counted by callgrind.
//!
//! The server runs twice, for a few messages and for many. What the two runs differ in is the messages alone: neither the
//! start of the server nor the handshake is in it.

use std::{fs, path::Path};

use super::{
    callgrind::Costs,
    machine::Server,
    options::Options,
    scenario::{Echo, Peer, Scenario},
    table::{Table, grouped},
};
use crate::{cargo::target_dir, steps::Result};

/// How often each connection sends as many messages as there may be in flight.
const FEW: u64 = 20;
const MANY: u64 = 120;

/// How many functions and lines a profile shows.
const SHOWN: usize = 25;

/// Instructions a message.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    code: f64,
    memcpy: f64,
    memset: f64,
}

/// A row's name, and how to come by its figures.
type Figure = (&'static str, fn(&Counted) -> f64);

/// Counts all that is asked for.
pub(super) fn measure(options: &Options) -> Result<Table> {
    let dir = target_dir()?.join("bench");
    fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    let mut table = Table::new(options.peers().iter().map(|peer| peer.name));
    for scenario in options.scenarios() {
        let Scenario::Echo(echo) = scenario else {
            let name = scenario.name();
            return Err(format!("instructions of `{name}` are not counted"));
        };
        println!("{}", scenario.name());
        let mut row = Vec::new();
        for peer in options.peers() {
            let file = |count| {
                dir.join(format!(
                    "callgrind.{}.{}.{count}",
                    peer.name,
                    scenario.name()
                ))
            };
            let mut costs = Costs::default();
            costs.add(&run(*peer, echo, MANY, &file("many"))?, 1);
            costs.add(&run(*peer, echo, FEW, &file("few"))?, -1);
            let messages = ((MANY - FEW) as usize * echo.in_flight * echo.connections) as f64;
            let counted = count(&costs, messages);
            println!("  {:<17} {:>7}", peer.name, grouped(counted.code));
            if options.profile {
                print_profile(&costs, messages);
            }
            row.push(counted);
        }
        add(&mut table, &echo.title(), &row);
    }
    table.note(
        "User-space instructions of the server a message, without the bodies of memcpy, memmove and memset, which have \
         rows of their own. Each connection sends its next messages when all in flight came back.",
    );
    println!("callgrind's files are in {}", dir.display());
    Ok(table)
}

/// Has each connection send, `bursts` times, as many messages as there may be in flight. Returns what callgrind wrote.
fn run(peer: Peer, echo: &Echo, bursts: u64, file: &Path) -> Result<String> {
    let messages = bursts * echo.in_flight as u64;
    let mut arguments = echo.arguments(peer);
    arguments.extend(["--bursts".to_owned(), format!("--messages={messages}")]);
    let server = Server::start_counted(peer, file)?;
    server.load(&arguments)?;
    server.finish()?;
    fs::read_to_string(file)
        .map_err(|error| format!("callgrind wrote no {}: {error}", file.display()))
}

fn count(costs: &Costs, messages: f64) -> Counted {
    let mut counted = Counted::default();
    for (name, instructions) in costs.by_function() {
        let part = if ["memcpy", "memmove", "mempcpy"]
            .iter()
            .any(|body| name.contains(body))
        {
            &mut counted.memcpy
        } else if name.contains("memset") {
            &mut counted.memset
        } else {
            &mut counted.code
        };
        *part += instructions as f64 / messages;
    }
    counted
}

fn add(table: &mut Table, title: &str, row: &[Counted]) {
    let figures: [Figure; 3] = [
        ("instructions", |counted| counted.code),
        ("memcpy", |counted| counted.memcpy),
        ("memset", |counted| counted.memset),
    ];
    for (name, figure) in figures {
        let cells = row.iter().map(|counted| Some(grouped(figure(counted))));
        table.row(format!("{title}, {name}"), cells);
    }
}

fn print_profile(costs: &Costs, messages: f64) {
    for (what, costs) in [
        ("functions", costs.by_function()),
        ("lines", costs.by_line()),
    ] {
        println!("    instructions a message by {what}, without what these call:");
        for (name, instructions) in costs.into_iter().take(SHOWN) {
            println!("    {:>9.1}  {name}", instructions as f64 / messages);
        }
    }
}
