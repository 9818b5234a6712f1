//! The input of the target: a line of settings, then a line for each step of an actor.
//!
//! ```text
//! stack compress=1 limit=100000 place=task reads=7,3
//! peer text 100 2
//! owner recv 1
//! ```
//!
//! A line that says nothing is skipped, so that lines and bytes may be left out of an input.

mod verbs;

use std::fmt::{self, Write as _};
use std::time::Duration;

use self::verbs::Verb;
pub(crate) use self::verbs::{DrainVerb, HelperVerb, OwnerVerb, PeerVerb};

/// A whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) peer: Vec<Step<PeerVerb>>,
    pub(crate) owner: Vec<Step<OwnerVerb>>,
    /// Each has a `Sender` and a `Control`.
    pub(crate) helpers: [Vec<Step<HelperVerb>>; 2],
    pub(crate) drain: Vec<Step<DrainVerb>>,
}

/// One step of an actor. The meaning of the numbers depends on the verb. A number that is not written is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<V> {
    pub(crate) verb: V,
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) c: u32,
}

/// A table of settings: each a number, and 0 is the simplest.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident = $word:literal,)*) => {
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Settings {
            $($(#[$doc])* pub(crate) $field: u32,)*
            /// How much a read gives at most, over and over; none is everything.
            pub(crate) reads: Vec<usize>,
            pub(crate) writes: Vec<usize>,
        }

        impl Settings {
            fn set(&mut self, name: &str, value: &str) -> Option<()> {
                match name {
                    $($word => self.$field = value.parse().ok()?,)*
                    "reads" => self.reads = sizes(value)?,
                    "writes" => self.writes = sizes(value)?,
                    _ => return None,
                }
                Some(())
            }

            fn write(&self, line: &mut String) {
                $(if self.$field != 0 {
                    let _ = write!(line, " {}={}", $word, self.$field);
                })*
                for (name, sizes) in [("reads", &self.reads), ("writes", &self.writes)] {
                    if !sizes.is_empty() {
                        let sizes: Vec<_> = sizes.iter().map(ToString::to_string).collect();
                        let _ = write!(line, " {name}={}", sizes.join(","));
                    }
                }
            }
        }
    };
}

settings! {
    /// 0 is none, 1 the default, 2 without context takeover, 3 the same and everything compressed.
    compress = "compress",
    /// The largest message; 0 is the default.
    limit = "limit",
    /// The place of the owner: 0 in the pipeline, 1 in a task of its own, 2 and 3 outside of it in one task with it,
    /// polled after it or before.
    place = "place",
    /// The endpoint accepts, gives the socket to a task and returns: the layers unwind, and the socket lives on.
    alone = "alone",
    /// One in this many reads is pending at first.
    pending = "pending",
    /// How long a flush takes, in milliseconds.
    flush = "flush",
    /// How long a shutdown takes.
    shutdown = "shutdown",
    vectored = "vectored",
    /// The peer answers no pings (1), no Close (2), and does not hang up (4).
    silent = "silent",
    /// How many milliseconds an answer of the peer takes.
    delay = "delay",
    /// The first frames come with the request.
    early = "early",
    /// The action of the run's own policy; see `policy.rs`.
    policy = "policy",
    /// The event at which the policy acts.
    policy_at = "policy-at",
    /// A policy that watches messages.
    watch = "watch",
    /// Keep-alive: 0 is none.
    keepalive = "keepalive",
    /// How the run is brought to its end, if it does not end by itself.
    finale = "finale",
    /// One in this many polls of a task comes a turn later.
    lazy = "lazy",
}

fn sizes(value: &str) -> Option<Vec<usize>> {
    let sizes = value
        .split(',')
        .map(|size| size.parse().ok().filter(|&size| size > 0));
    sizes.collect()
}

/// Longer runs find no more faults, and minimising them takes long.
const MOST_STEPS: usize = 64;

impl Plan {
    /// Reads an input; `None` is one of another target.
    pub(crate) fn parse(input: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(input).ok()?;
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        if words.next()? != "stack" {
            return None;
        }
        let mut plan = Self::default();
        for word in words {
            let (name, value) = word.split_once('=')?;
            plan.settings.set(name, value)?;
        }
        for line in lines.take(MOST_STEPS) {
            let _ = plan.line(line);
        }
        Some(plan)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (actor, step) = line.split_once(' ')?;
        match actor {
            "peer" => self.peer.push(Step::parse(step)?),
            "owner" => self.owner.push(Step::parse(step)?),
            "helper" => self.helpers[0].push(Step::parse(step)?),
            "other" => self.helpers[1].push(Step::parse(step)?),
            "server" => self.drain.push(Step::parse(step)?),
            _ => return None,
        }
        Some(())
    }

    /// The input that is read as this.
    pub(crate) fn to_input(&self) -> Vec<u8> {
        let mut text = "stack".to_owned();
        self.settings.write(&mut text);
        text.push('\n');
        lines(&mut text, "peer", &self.peer);
        lines(&mut text, "owner", &self.owner);
        lines(&mut text, "helper", &self.helpers[0]);
        lines(&mut text, "other", &self.helpers[1]);
        lines(&mut text, "server", &self.drain);
        text.into_bytes()
    }
}

fn lines<V: Verb>(text: &mut String, actor: &str, steps: &[Step<V>]) {
    for step in steps {
        let _ = writeln!(text, "{actor} {step}");
    }
}

impl<V> Step<V> {
    /// The first number as a time.
    pub(crate) fn millis(&self) -> Duration {
        millis(self.a)
    }
}

/// A time from an input, bounded so that a run ends.
pub(crate) fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.min(60_000).into())
}

impl<V: Verb> Step<V> {
    fn parse(step: &str) -> Option<Self> {
        let mut words = step.split(' ');
        let verb = V::from_word(words.next()?)?;
        let mut numbers = [0; 3];
        for number in &mut numbers {
            match words.next() {
                Some(word) => *number = word.parse().ok()?,
                None => break,
            }
        }
        let [a, b, c] = numbers;
        Some(Self { verb, a, b, c })
    }
}

impl<V: Verb> fmt::Display for Step<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb.word())?;
        let numbers = [self.a, self.b, self.c];
        let written = 3 - numbers
            .iter()
            .rev()
            .take_while(|number| **number == 0)
            .count();
        for number in &numbers[..written] {
            write!(f, " {number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_reads_back() {
        let input = "stack compress=1 place=2 reads=1,7\npeer text 100 0 1\npeer end\nowner recv 3\nhelper send 5 1\nserver drain 0 10\n";
        let plan = Plan::parse(input.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(plan.to_input()).unwrap(), input);
    }

    #[test]
    fn a_line_that_says_nothing_is_skipped() {
        let input = b"stack\npeer tex\nowner recv x\nnobody recv\n\nowner recv\n";
        let plan = Plan::parse(input).unwrap();
        assert_eq!(plan.to_input(), b"stack\nowner recv\n");
        assert!(Plan::parse(b"stack reads=0\n").is_none());
        assert!(Plan::parse(b"server message=1\n").is_none());
    }
}
