//! What the cases have to report, and whether they do.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde::Deserialize;

use super::Cases;
use crate::steps::Result;

const STRICT: &[&str] = &["OK", "INFORMATIONAL"];
const UNIMPLEMENTED: &str = "UNIMPLEMENTED";

/// The file `expectations`: for each case the first line that matches it counts.
#[derive(Debug)]
pub(super) struct Expectations(Vec<Expectation>);

#[derive(Debug)]
struct Expectation {
    /// A case, or with `*` at its end all that begin so.
    cases: String,
    all: usize,
    quick: usize,
    outcome: Outcome,
}

/// What the server did, and how the connection ended.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Outcome {
    behavior: String,
    #[serde(rename = "behaviorClose")]
    close: String,
}

/// The cases of a report.
pub(super) type Outcomes = BTreeMap<String, Outcome>;

/// How the cases compare with what is expected of them.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    strict: usize,
    unimplemented: usize,
    failed: usize,
    /// A line for each case that failed and for each expectation that does not hold.
    pub(super) problems: Vec<String>,
}

impl Expectations {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let failed = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    fn parse(text: &str) -> Result<Self> {
        text.lines()
            .zip(1..)
            .map(|(line, number)| (line.trim(), number))
            .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
            .map(|(line, number)| {
                Expectation::parse(line).map_err(|error| format!("line {number}: {error}"))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Holds the cases against the expectations.
    pub(super) fn judge(&self, outcomes: &Outcomes, run: Cases) -> Verdict {
        let mut verdict = Verdict::default();
        let mut counts = vec![0; self.0.len()];
        for (case, outcome) in outcomes {
            let found = self.0.iter().position(|expected| expected.matches(case));
            if let Some(index) = found {
                counts[index] += 1;
            }
            verdict.count(case, outcome, found.map(|index| &self.0[index].outcome));
        }
        for (expectation, found) in self.0.iter().zip(counts) {
            let cases = &expectation.cases;
            let count = match run {
                Cases::Quick => expectation.quick,
                Cases::All => expectation.all,
            };
            if count != found {
                verdict.problems.push(format!(
                    "the expectations have {count} cases for `{cases}`, the report has {found}"
                ));
            }
        }
        verdict
    }
}

impl Expectation {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [cases, count, behavior, close] = fields[..] else {
            return Err(format!(
                "`{line}` is not cases, count, behavior and behaviorClose"
            ));
        };
        let (all, quick) = count.split_once('/').unwrap_or((count, count));
        let number = |count: &str| {
            count
                .parse()
                .map_err(|_| format!("`{count}` is not a count"))
        };
        let (all, quick) = (number(all)?, number(quick)?);
        if !STRICT.contains(&behavior) && behavior != UNIMPLEMENTED {
            return Err(format!(
                "`{behavior}` is a failure, which cannot be expected"
            ));
        }
        if !STRICT.contains(&close) {
            return Err(format!("`{close}` is a failure, which cannot be expected"));
        }
        Ok(Self {
            cases: cases.to_owned(),
            all,
            quick,
            outcome: Outcome::new(behavior, close),
        })
    }

    fn matches(&self, case: &str) -> bool {
        match self.cases.strip_suffix('*') {
            Some(start) => case.starts_with(start),
            None => case == self.cases,
        }
    }
}

impl Outcome {
    fn new(behavior: &str, close: &str) -> Self {
        Self {
            behavior: behavior.to_owned(),
            close: close.to_owned(),
        }
    }
}

impl Verdict {
    fn count(&mut self, case: &str, outcome: &Outcome, expected: Option<&Outcome>) {
        if expected == Some(outcome) {
            if outcome.behavior == UNIMPLEMENTED {
                self.unimplemented += 1;
            } else {
                self.strict += 1;
            }
            return;
        }
        self.failed += 1;
        self.problems.push(match expected {
            Some(expected) => format!("{case}: {outcome}, but expected is {expected}"),
            None => format!("{case}: {outcome}, but no line of the expectations matches"),
        });
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (close: {})", self.behavior, self.close)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} strict, ", self.strict)?;
        if self.unimplemented > 0 {
            write!(f, "{} unimplemented, ", self.unimplemented)?;
        }
        write!(f, "{} failed", self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "
        # Left to the server.
        7.1.6  1  INFORMATIONAL  INFORMATIONAL
        12.*   2  UNIMPLEMENTED  OK

        *      2  OK             OK
    ";

    fn outcomes(report: &[(&str, &str, &str)]) -> Outcomes {
        let cases = report.iter();
        cases
            .map(|(case, behavior, close)| ((*case).to_owned(), Outcome::new(behavior, close)))
            .collect()
    }

    fn judge(report: &[(&str, &str, &str)]) -> Verdict {
        let expectations = Expectations::parse(EXPECTED).unwrap();
        expectations.judge(&outcomes(report), Cases::All)
    }

    #[test]
    fn what_is_expected_is_no_problem() {
        let verdict = judge(&[
            ("1.1.1", "OK", "OK"),
            ("1.2.1", "OK", "OK"),
            ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ("12.1.1", "UNIMPLEMENTED", "OK"),
            ("12.1.2", "UNIMPLEMENTED", "OK"),
        ]);
        assert_eq!(verdict.problems, [""; 0]);
        assert_eq!(
            verdict.to_string(),
            "3 strict, 2 unimplemented, 0 failed",
            "informational is strict"
        );
    }

    #[test]
    fn a_case_that_is_worse_or_better_than_expected_is_named() {
        let verdict = judge(&[
            ("1.1.1", "NON-STRICT", "OK"),
            ("1.2.1", "OK", "WRONG CODE"),
            ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ("12.1.1", "UNIMPLEMENTED", "OK"),
            ("12.1.2", "OK", "OK"),
        ]);
        assert_eq!(
            verdict.problems,
            [
                "1.1.1: NON-STRICT (close: OK), but expected is OK (close: OK)",
                "1.2.1: OK (close: WRONG CODE), but expected is OK (close: OK)",
                "12.1.2: OK (close: OK), but expected is UNIMPLEMENTED (close: OK)",
            ]
        );
        assert_eq!(verdict.to_string(), "1 strict, 1 unimplemented, 3 failed");
    }

    #[test]
    fn the_cases_are_counted() {
        let verdict = judge(&[("1.1.1", "OK", "OK"), ("12.1.1", "UNIMPLEMENTED", "OK")]);
        assert_eq!(
            verdict.problems,
            [
                "the expectations have 1 cases for `7.1.6`, the report has 0",
                "the expectations have 2 cases for `12.*`, the report has 1",
                "the expectations have 2 cases for `*`, the report has 1",
            ]
        );
        assert!(!judge(&[]).problems.is_empty(), "no report is no success");
    }

    #[test]
    fn a_case_without_an_expectation_fails() {
        let expectations = Expectations::parse("1.1.* 1 OK OK").unwrap();
        let report = outcomes(&[("1.1.1", "OK", "OK"), ("1.10.1", "OK", "OK")]);
        let verdict = expectations.judge(&report, Cases::All);
        assert_eq!(
            verdict.problems,
            ["1.10.1: OK (close: OK), but no line of the expectations matches"]
        );
        assert_eq!(verdict.to_string(), "1 strict, 1 failed");
    }

    #[test]
    fn a_quick_run_has_a_count_of_its_own() {
        let expectations = Expectations::parse("12.* 2/1 OK OK").unwrap();
        let report = outcomes(&[("12.1.1", "OK", "OK")]);
        assert_eq!(expectations.judge(&report, Cases::Quick).problems.len(), 0);
        assert_eq!(expectations.judge(&report, Cases::All).problems.len(), 1);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for (line, error) in [
            ("1.1.1 1 OK", "line 1: `1.1.1 1 OK` is not cases, count"),
            ("# why\n1.1.1 one OK OK", "line 2: `one` is not a count"),
            ("6.4.* 4 NON-STRICT OK", "line 1: `NON-STRICT` is a failure"),
            ("* 1 OK UNCLEAN", "line 1: `UNCLEAN` is a failure"),
        ] {
            let found = Expectations::parse(line).unwrap_err();
            assert!(found.starts_with(error), "{found}");
        }
    }

    #[test]
    fn the_file_of_the_tree_is_of_all_cases() {
        let text = include_str!("../../conformance/expectations");
        let Expectations(lines) = Expectations::parse(text).unwrap();
        assert_eq!(lines.iter().map(|line| line.all).sum::<usize>(), 517);
    }
}
