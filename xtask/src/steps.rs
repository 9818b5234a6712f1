//! Runs the steps of a task one after another and sums them up with their times.

use std::{
    path::Path,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// What a step returns: an error is a line for a person.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// The steps that have run so far.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    took: Duration,
    ok: bool,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs one step and returns its value, or `None` after it printed its error.
    ///
    /// The steps that come after a failure run all the same unless the task returns, so one run shows all that is wrong.
    pub(crate) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("\n==> {name}");
        let started = Instant::now();
        let result = step();
        self.done.push(Step {
            name: name.to_owned(),
            took: started.elapsed(),
            ok: result.is_ok(),
        });
        result
            .inspect_err(|error| eprintln!("error: {name}: {error}"))
            .ok()
    }

    /// Whether a step has failed.
    pub(crate) fn failed(&self) -> bool {
        self.done.iter().any(|step| !step.ok)
    }

    /// Prints the summary; an error names the steps that failed.
    pub(crate) fn finish(self) -> Result {
        println!("\n==> summary");
        for Step { name, took, ok } in &self.done {
            let verdict = if *ok { "ok" } else { "FAILED" };
            println!("{:>8.1} s  {verdict:<6}  {name}", took.as_secs_f64());
        }
        println!("{:>8.1} s  in all", self.started.elapsed().as_secs_f64());

        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|step| !step.ok)
            .map(|step| step.name.as_str())
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} of {} steps failed: {}",
            failed.len(),
            self.done.len(),
            failed.join(", ")
        ))
    }
}

/// Runs a command to its end, its output visible.
pub(crate) fn execute(command: &mut Command) -> Result {
    let shown = show(command);
    println!("$ {shown}");
    let status = command
        .status()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{shown}` ended with {status}"))
    }
}

/// Like [`execute`], but ends the command when it takes longer than `limit`.
pub(crate) fn execute_within(limit: Duration, command: &mut Command) -> Result {
    let shown = show(command);
    println!("$ {shown}");
    let child = command
        .spawn()
        .map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    let mut child = Ended(child);
    let deadline = Instant::now() + limit;
    loop {
        match child.0.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("`{shown}` ended with {status}")),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                return Err(format!(
                    "`{shown}` was ended after {} s without a result",
                    limit.as_secs()
                ));
            }
            Err(error) => return Err(format!("cannot wait for `{shown}`: {error}")),
        }
    }
}

/// A child process that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Fails only when the process has ended by itself, and that is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command line, its program without the directory.
fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_the_next_one_runs() {
        let mut steps = Steps::new();
        assert_eq!(steps.run("one", || Ok(1)), Some(1));
        assert_eq!(steps.run::<()>("two", || Err("no".to_owned())), None);
        assert!(steps.failed());
        assert_eq!(steps.run("three", || Ok(3)), Some(3));
        let error = steps.finish().unwrap_err();
        assert_eq!(error, "1 of 3 steps failed: two");
    }

    #[test]
    fn no_failed_step_is_a_success() {
        let mut steps = Steps::new();
        assert_eq!(steps.run("one", || Ok(())), Some(()));
        assert!(!steps.failed());
        assert_eq!(steps.finish(), Ok(()));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_is_ended_at_its_limit() {
        let error = execute_within(Duration::from_millis(100), Command::new("sleep").arg("600"))
            .unwrap_err();
        assert_eq!(error, "`sleep 600` was ended after 0 s without a result");
    }

    #[cfg(unix)]
    #[test]
    fn an_exit_code_is_an_error() {
        let error = execute(&mut Command::new("false")).unwrap_err();
        assert!(error.starts_with("`false` ended with"), "{error}");
        let error =
            execute_within(Duration::from_secs(60), &mut Command::new("false")).unwrap_err();
        assert!(error.starts_with("`false` ended with"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let error = execute(&mut Command::new("no-such-program-of-towline")).unwrap_err();
        assert!(
            error.starts_with("cannot run `no-such-program-of-towline`"),
            "{error}"
        );
    }
}
