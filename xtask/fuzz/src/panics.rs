//! Panics of checks, kept for the report instead of printed: minimising makes thousands of them.

use std::cell::RefCell;
use std::panic;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Silences the panics of the process.
pub(crate) fn silence() {
    panic::set_hook(Box::new(|info| {
        LAST.with(|last| *last.borrow_mut() = info.to_string());
    }));
}

/// Takes the message of the last panic of this thread.
pub(crate) fn last() -> String {
    LAST.take()
}
