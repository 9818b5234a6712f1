//! `cargo xtask bench`: what an echo costs towline's server, and its peers' in the same run.
//!
//! The peers and the load generator are the package `bench`. A server has one thread and the first processor, the client
//! the second one. Main figure is the server's processor time, which the client's speed and a busy machine change least;
//! with `--instructions` it is a count that repeats.

mod callgrind;
mod compression;
mod instructions;
mod machine;
mod options;
mod pings;
mod rounds;
mod scenario;
mod table;

pub(crate) use self::options::Options;
use crate::{
    cargo::cargo,
    steps::{Steps, execute},
};

/// Measures what the command line asks for and prints one table.
pub(crate) fn run(steps: &mut Steps, options: &Options) -> Option<()> {
    steps.run("programs", || machine::check(options.instructions))?;
    steps.run("build", || {
        execute(&mut cargo("build --profile bench --package bench --bins"))
    })?;
    let table = steps.run("measure", || {
        if options.instructions {
            instructions::measure(options)
        } else if options.compression {
            compression::measure(options)
        } else if options.pings {
            pings::measure()
        } else {
            rounds::measure(options)
        }
    })?;
    println!("\n{table}");
    Some(())
}
