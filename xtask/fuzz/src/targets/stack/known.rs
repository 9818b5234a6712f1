//! The checks that known faults break, by the number of the fault. They are switched off here and nowhere else: delete the
//! line of [`FAULTS`] with the fault, and its check stays on. `--check NUMBER` and `--all-checks` switch them on for a run.

use std::cell::RefCell;

/// A known fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A future in one task with the pipeline is not woken.
    SharedTask,
    /// A `flush` spins while a Close waits.
    FlushSpins,
    /// The end of a socket is not bounded in all.
    EndUnbounded,
    /// With compression a pong, or a ping, goes out behind the Close.
    PongBehindClose,
    /// A compressed message leaves in several frames.
    FragmentedMessage,
    /// The connection is dropped over unread input.
    UnreadInput,
    /// After a failed write, or the end of the input, something is lost.
    LostAtTheEnd,
    /// What came before the peer saw our Close is lost.
    LostBehindOurClose,
    /// An abort is recorded as the close that came after it.
    AbortForgotten,
    /// A pause lets messages through that are already read.
    PauseLeaks,
    /// The slot is given back after the peer has seen the end.
    SlotKept,
}

/// The faults whose checks are switched off at present, with their numbers.
const FAULTS: &[(&str, Fault)] = &[
    ("1", Fault::SharedTask),
    ("2", Fault::FlushSpins),
    ("3", Fault::EndUnbounded),
    ("5", Fault::PongBehindClose),
    ("5a", Fault::FragmentedMessage),
    ("6", Fault::UnreadInput),
    ("6a", Fault::LostAtTheEnd),
    ("6b", Fault::LostBehindOurClose),
    ("16", Fault::AbortForgotten),
    ("17", Fault::PauseLeaks),
    ("19", Fault::SlotKept),
];

thread_local! {
    /// A run stays in its thread, and tests may switch on a check each.
    static CHECKED: RefCell<Vec<Fault>> = const { RefCell::new(Vec::new()) };
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

impl Fault {
    /// Whether its check is switched off.
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
