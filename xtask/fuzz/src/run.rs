//! The loop: make an input, check it, and when it fails make it small.

use std::fmt;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::choices::{Choices, Random};
use crate::corpus;
use crate::minimise::minimise;
use crate::panics;
use crate::targets::Target;
use crate::targets::stack::known;

/// When a run ends that finds nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    Iterations(u64),
    Time(Duration),
}

/// An input that failed, already minimised.
#[derive(Debug)]
pub(crate) struct Failure {
    iteration: u64,
    message: String,
    path: PathBuf,
    /// It is a known fault. Its check is switched off from here on.
    pub(crate) is_known: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may show a payload.
        const SHOWN: usize = 2000;

        let shown: String = self.message.chars().take(SHOWN).collect();
        let path = self.path.display();
        write!(
            f,
            "iteration {}, minimised to {path}\n{shown}",
            self.iteration
        )
    }
}

/// Runs one target and reports on stdout what it did; the first input that fails ends it.
pub(crate) fn run(target: &Target, seed: u64, budget: Budget) -> Result<(), Failure> {
    let mut random = Random::new(seed);
    let started = Instant::now();
    let mut iteration = 0;
    loop {
        let over = match budget {
            Budget::Iterations(most) => iteration >= most.div_ceil(target.slower),
            Budget::Time(most) => started.elapsed() >= most,
        };
        if over {
            break;
        }
        let tape = random.tape();
        let input = (target.generate)(&mut Choices::new(&tape));
        if check(target, &input).is_err() {
            let checked = known::narrow();
            let mut failure = fail(target, seed, iteration, tape);
            failure.is_known = known::widen(checked);
            return Err(failure);
        }
        iteration += 1;
    }
    let took = started.elapsed().as_secs_f64();
    println!("{:<13}ok: {iteration} inputs in {took:.1} s", target.name);
    Ok(())
}

/// Checks one input.
pub(crate) fn run_file(target: &Target, path: &Path) -> Result<(), String> {
    let input = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    check(target, &input)
}

/// Minimises the choices, which are the structure of the input, then the input itself.
fn fail(target: &Target, seed: u64, iteration: u64, tape: Vec<u8>) -> Failure {
    let generate = |tape: &[u8]| (target.generate)(&mut Choices::new(tape));
    let tape = minimise(tape, |tape| check(target, &generate(tape)).is_err());
    let input = generate(&tape);

    // The first line says how the rest is taken, and bytes of it are no simpler than others.
    let line = input.iter().position(|&byte| byte == b'\n');
    let (first, rest) = input.split_at(line.map_or(0, |line| line + 1));
    let whole = |rest: &[u8]| [first, rest].concat();
    let rest = minimise(rest.to_vec(), |rest| check(target, &whole(rest)).is_err());
    let input = whole(&rest);

    let message = check(target, &input).expect_err("only what fails is kept");
    let known = known::found().map_or(String::new(), |fault| format!("-{fault:?}"));
    let name = format!("seed-{seed}-{iteration}{known}");
    let path = corpus::write(target, &name, &input)
        .unwrap_or_else(|error| PathBuf::from(format!("nothing: {error}")));
    Failure {
        iteration,
        message,
        path,
        is_known: false,
    }
}

/// Checks one input. The error is the message of the panic.
fn check(target: &Target, input: &[u8]) -> Result<(), String> {
    known::set_found(None);
    panic::catch_unwind(|| (target.check)(input)).map_err(|_| panics::last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn a_run_of_every_target_finds_nothing() {
        for target in TARGETS {
            let result = run(target, 1, Budget::Iterations(50));
            assert!(result.is_ok(), "{}: {}", target.name, result.unwrap_err());
        }
    }
}
