//! A reader for callgrind's files: which function, and which line of the source, how many instructions.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Sub,
};

/// Instructions of each place in the code, without those of what it calls.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Costs(BTreeMap<Place, i64>);

/// A line of the source and the function that it was compiled into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    function: String,
    file: String,
    line: i64,
}

/// The instructions of a function or a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) name: String,
    pub(super) instructions: i64,
}

impl Costs {
    /// Reads a file that callgrind wrote with its default options: positions are lines, and instructions are the one
    /// event.
    pub(super) fn parse(text: &str) -> Self {
        let mut costs = Self::default();
        let mut functions = Names::default();
        let mut files = Names::default();
        let mut function = String::new();
        let mut file = String::new();
        let mut line = 0;
        let mut is_call = false;
        for text in text.lines() {
            match text.split_once('=') {
                Some(("fn", name)) => function = without_hash(&functions.read(name)),
                Some(("cfn", name)) => _ = functions.read(name),
                Some(("fl" | "fi" | "fe", name)) => file = files.read(name),
                Some(("cfl" | "cfi", name)) => _ = files.read(name),
                // The next line has what was called, with all that it called: not the cost of this function.
                Some(("calls", _)) => is_call = true,
                _ => {
                    let Some((position, instructions)) = cost(text, line) else {
                        continue;
                    };
                    line = position;
                    if !std::mem::take(&mut is_call) {
                        costs.add(&function, &file, line, instructions);
                    }
                }
            }
        }
        costs
    }

    fn add(&mut self, function: &str, file: &str, line: i64, instructions: i64) {
        let place = Place {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
        };
        *self.0.entry(place).or_default() += instructions;
    }

    /// The most expensive first.
    pub(super) fn by_function(&self) -> Vec<Cost> {
        self.by(|place| place.function.clone())
    }

    /// The most expensive first.
    pub(super) fn by_line(&self) -> Vec<Cost> {
        self.by(|place| {
            let file: Vec<_> = place.file.rsplit('/').take(4).collect();
            let file: Vec<_> = file.into_iter().rev().collect();
            format!("{}:{} in {}", file.join("/"), place.line, place.function)
        })
    }

    fn by(&self, name: impl Fn(&Place) -> String) -> Vec<Cost> {
        let mut sums = BTreeMap::new();
        for (place, instructions) in &self.0 {
            *sums.entry(name(place)).or_default() += instructions;
        }
        let costs = sums.into_iter();
        let mut costs: Vec<_> = costs
            .map(|(name, instructions)| Cost { name, instructions })
            .collect();
        costs.sort_by_key(|cost| -cost.instructions);
        costs
    }
}

impl Sub for Costs {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        for (place, instructions) in other.0 {
            *self.0.entry(place).or_default() -= instructions;
        }
        self
    }
}

/// Names that are written out, as `(7) name`, where they come first, and from then on are `(7)`.
#[derive(Debug, Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn read(&mut self, text: &str) -> String {
        match text.split_once(' ') {
            Some((number, name)) => {
                self.0.insert(number.to_owned(), name.to_owned());
                name.to_owned()
            }
            None => self.0.get(text).cloned().unwrap_or_default(),
        }
    }
}

/// Position and cost of a line such as `+3 17`, where positions may be relative to the `previous` one.
fn cost(text: &str, previous: i64) -> Option<(i64, i64)> {
    let (position, cost) = text.split_once(' ')?;
    let position = match position.split_at_checked(1)? {
        ("*", "") => previous,
        ("+", delta) => previous + delta.parse::<i64>().ok()?,
        ("-", delta) => previous - delta.parse::<i64>().ok()?,
        _ => position.parse().ok()?,
    };
    Some((position, cost.trim().parse().ok()?))
}

/// `a::b` of `a::b::h0123456789abcdef`: the hash differs between builds.
fn without_hash(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|c| c.is_ascii_hexdigit()) => {
            path.to_owned()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# callgrind format
version: 1
positions: line
events: Ir

fl=(1) a.rs
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

    fn cost(name: &str, instructions: i64) -> Cost {
        Cost {
            name: name.to_owned(),
            instructions,
        }
    }

    #[test]
    fn a_function_has_its_own_instructions_only() {
        let costs = Costs::parse(FILE);
        let expected = [cost("b::work", 40), cost("a::main", 18)];
        assert_eq!(costs.by_function(), expected);
    }

    #[test]
    fn lines_are_those_of_what_was_inlined() {
        let costs = Costs::parse(FILE).by_line();
        assert_eq!(costs[1], cost("a.rs:3 in a::main", 10));
        assert_eq!(costs[2], cost("b.rs:8 in a::main", 5));
        assert_eq!(costs[3], cost("a.rs:7 in a::main", 2));
    }

    #[test]
    fn runs_are_compared_place_by_place() {
        let many = Costs::parse(&FILE.replace("3 10", "3 110"));
        let costs = (many - Costs::parse(FILE)).by_function();
        assert_eq!(costs, [cost("a::main", 100), cost("b::work", 0)]);
    }
}
