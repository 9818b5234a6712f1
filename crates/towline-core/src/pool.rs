//! The buffer of the thread that reads go into, so that no socket holds one.

use std::cell::Cell;

/// The most that one read takes.
const SCRATCH: usize = 64 * 1024;

type Scratch = Box<[u8; SCRATCH]>;

thread_local! {
    static SPARE: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// A buffer to read into, to be given back: the thread's own, or if that is in use a new one.
#[inline]
pub(crate) fn take_scratch() -> Scratch {
    SPARE.take().unwrap_or_else(new_scratch)
}

#[cold]
fn new_scratch() -> Scratch {
    // Through a vector, which is not on the stack at first.
    vec![0; SCRATCH].try_into().expect("it has that length")
}

#[inline]
pub(crate) fn put_scratch(scratch: Scratch) {
    SPARE.set(Some(scratch));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_a_second_one_is_another() {
        let first = take_scratch();
        let second = take_scratch();
        let place = first.as_ptr();
        assert_ne!(place, second.as_ptr());
        drop(second);
        put_scratch(first);
        let again = take_scratch();
        assert_eq!(again.as_ptr(), place);
    }
}
