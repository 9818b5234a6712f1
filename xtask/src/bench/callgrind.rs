//! A reader for callgrind's files. gungraun has none that can be used alone: it runs whole programs, and here a server is
//! driven from outside, twice.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

/// Instructions of each function and each line, without those of called functions.
#[derive(Debug, Default)]
pub(super) struct Costs {
    functions: BTreeMap<String, i64>,
    /// Keys are `FILE:LINE in FUNCTION`.
    lines: BTreeMap<String, i64>,
}

impl Costs {
    /// Adds the costs in a file that callgrind wrote with its default options, `times` 1 or -1: positions are lines, and
    /// instructions are the one event.
    pub(super) fn add(&mut self, file: &str, times: i64) {
        let (mut functions, mut files) = (Names::default(), Names::default());
        let (mut function, mut source, mut line) = (String::new(), String::new(), 0);
        let mut is_call = false;
        for text in file.lines() {
            match text.split_once('=') {
                Some(("fn", name)) => function = without_hash(&functions.read(name)).to_owned(),
                Some(("cfn", name)) => _ = functions.read(name),
                Some(("fl" | "fi" | "fe", name)) => source = files.read(name),
                Some(("cfl" | "cfi", name)) => _ = files.read(name),
                // The next line is the cost of the called function with all that it calls.
                Some(("calls", _)) => is_call = true,
                _ => {
                    let Some((position, instructions)) = cost(text, line) else {
                        continue;
                    };
                    line = position;
                    if !mem::take(&mut is_call) {
                        let place = format!("{}:{line} in {function}", last_parts(&source));
                        *self.functions.entry(function.clone()).or_default() +=
                            times * instructions;
                        *self.lines.entry(place).or_default() += times * instructions;
                    }
                }
            }
        }
    }

    /// The most expensive first.
    pub(super) fn by_function(&self) -> Vec<(&str, i64)> {
        sorted(&self.functions)
    }

    /// The most expensive first.
    pub(super) fn by_line(&self) -> Vec<(&str, i64)> {
        sorted(&self.lines)
    }
}

fn sorted(costs: &BTreeMap<String, i64>) -> Vec<(&str, i64)> {
    let costs = costs.iter().map(|(name, cost)| (&**name, *cost));
    let mut costs: Vec<_> = costs.collect();
    costs.sort_by_key(|(_, cost)| -cost);
    costs
}

/// Names are written out once, as `(7) name`, and are `(7)` from then on.
#[derive(Debug, Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn read(&mut self, text: &str) -> String {
        if let Some((number, name)) = text.split_once(' ') {
            self.0.insert(number.to_owned(), name.to_owned());
            return name.to_owned();
        }
        self.0.get(text).cloned().unwrap_or_default()
    }
}

/// Position and cost of a line such as `+3 17`; positions may be relative to the `previous` one.
fn cost(text: &str, previous: i64) -> Option<(i64, i64)> {
    let (position, cost) = text.split_once(' ')?;
    let number: i64 = position.trim_start_matches('*').parse().unwrap_or(0);
    let position = match position.as_bytes().first()? {
        b'*' | b'+' | b'-' => previous + number,
        b'0'..=b'9' => number,
        _ => return None,
    };
    Some((position, cost.trim().parse().ok()?))
}

/// `a::b` of `a::b::h0123456789abcdef`: the hash differs between builds.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path,
        _ => name,
    }
}

fn last_parts(path: &str) -> &str {
    let start = path.rmatch_indices('/').nth(3);
    start.map_or(path, |(at, _)| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# callgrind format
version: 1
positions: line
events: Ir

fl=(1) /home/x/src/a/a.rs
fn=(1) a::main::h0123456789abcdef
3 10
+2 1
cfi=(2) b.rs
cfn=(2) b::work
calls=2 7
* 40
fi=(2)
8 5
fe=(1)
-1 2

fn=(2)
7 40
totals: 58
";

    #[test]
    fn a_function_has_its_own_instructions_only() {
        let mut costs = Costs::default();
        costs.add(FILE, 1);
        assert_eq!(costs.by_function(), [("b::work", 40), ("a::main", 18)]);
        let lines = costs.by_line();
        assert_eq!(lines[1], ("x/src/a/a.rs:3 in a::main", 10));
        assert_eq!(lines[2], ("b.rs:8 in a::main", 5));
        assert_eq!(lines[3], ("x/src/a/a.rs:7 in a::main", 2));
    }

    #[test]
    fn runs_are_compared_place_by_place() {
        let mut costs = Costs::default();
        costs.add(&FILE.replace("3 10", "3 110"), 1);
        costs.add(FILE, -1);
        assert_eq!(costs.by_function(), [("a::main", 100), ("b::work", 0)]);
    }
}
