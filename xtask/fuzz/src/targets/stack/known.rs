//! The checks that known faults break, by the number of the fault. They are switched off here and nowhere else: delete the
//! line of [`FAULTS`] with the fault, and its check stays on. `--check NUMBER` and `--all-checks` switch them on for a run.

use std::cell::{Cell, RefCell};

/// A known fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The end of a socket is not bounded in all.
    EndUnbounded,
    /// After a failed write, or the end of the input, something is lost.
    LostAtTheEnd,
    /// A message that the peer sent before it saw our Close is lost.
    LostAfterOurClose,
    /// A pause lets messages through that are already read.
    PauseLeaks,
    /// The pings of a policy pile up while the peer takes nothing, without a bound but the policy's own.
    PingsPileUp,
}

/// The faults whose checks are switched off at present, with their numbers.
const FAULTS: &[(&str, Fault)] = &[
    ("3", Fault::EndUnbounded),
    ("6a", Fault::LostAtTheEnd),
    ("6b", Fault::LostAfterOurClose),
    ("17", Fault::PauseLeaks),
    ("pings", Fault::PingsPileUp),
];

thread_local! {
    /// A run stays in its thread, and tests may switch on a check each.
    static CHECKED: RefCell<Vec<Fault>> = const { RefCell::new(Vec::new()) };
    /// The first finding of the last run, if that was a known fault.
    static FOUND: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// The fault of this number.
pub(crate) fn by_number(number: &str) -> Result<Fault, String> {
    let known = FAULTS.iter().find(|(known, _)| *known == number);
    known.map(|(_, fault)| *fault).ok_or_else(|| {
        let numbers: Vec<_> = FAULTS.iter().map(|(number, _)| *number).collect();
        format!("the numbers are {}", numbers.join(", "))
    })
}

/// Switches on these checks, for this thread.
pub(crate) fn check(faults: &[Fault]) {
    CHECKED.with_borrow_mut(|checked| checked.extend(faults));
}

/// Switches on all checks.
pub(crate) fn check_all() {
    for (_, fault) in FAULTS {
        check(&[*fault]);
    }
}

/// A run begins or ends with this finding.
pub(crate) fn set_found(fault: Option<Fault>) {
    FOUND.set(fault);
}

/// The finding of the last run, if that was a known fault.
pub(crate) fn found() -> Option<Fault> {
    FOUND.get()
}

/// Makes only the check that the last run has failed, so that minimising does not turn the finding into another one.
pub(crate) fn narrow() -> Vec<Fault> {
    let found = FOUND.get().into_iter().collect();
    CHECKED.replace(found)
}

/// Makes these checks again, except for the one that was [narrowed](narrow) to. Returns `true` if there was one.
pub(crate) fn widen(checked: Vec<Fault>) -> bool {
    let done = CHECKED.replace(checked);
    CHECKED.with_borrow_mut(|checked| checked.retain(|fault| !done.contains(fault)));
    !done.is_empty()
}

impl Fault {
    /// The name under which runs that break this check are counted while it is switched off.
    pub(crate) const fn reached(self) -> &'static str {
        match self {
            Self::EndUnbounded => "known fault: end not bounded",
            Self::LostAtTheEnd => "known fault: lost at the end",
            Self::LostAfterOurClose => "known fault: lost after our Close",
            Self::PauseLeaks => "known fault: pause leaks",
            Self::PingsPileUp => "known fault: pings pile up",
        }
    }

    /// Returns `true` if its check is switched off.
    pub(crate) fn is_off(self) -> bool {
        let off = FAULTS.iter().any(|(_, fault)| *fault == self);
        off && !CHECKED.with_borrow(|checked| checked.contains(&self))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::corpus;
    use crate::targets::stack;

    #[test]
    fn the_corpus_shows_every_fault_that_is_listed() {
        let inputs = corpus::inputs("stack");
        for (number, fault) in FAULTS {
            check(&[*fault]);
            let shown = |input: &Vec<u8>| catch_unwind(|| stack::check(input)).is_err();
            let shown = inputs.iter().any(|(_, input)| shown(input));
            CHECKED.take();
            assert!(
                shown,
                "nothing shows fault {number}: delete its line, or keep an input of it"
            );
        }
    }
}
