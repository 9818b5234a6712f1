//! Buffers of the thread, so that an idle socket holds none and a busy one allocates none.

use std::cell::{Cell, RefCell};

/// The most that one read takes.
const SCRATCH: usize = 64 * 1024;

/// The capacity of a new buffer, so that it need not grow for a few frames ...
const BUFFER: usize = 1024;
/// ... and of the largest one that is kept: more than this is queued for a stalled peer only.
const KEPT_BUFFER: usize = 128 * 1024;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SPARE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with the buffer that reads go into; a nested use allocates one of its own.
#[inline]
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH_BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            if buffer.is_empty() {
                buffer.resize(SCRATCH, 0);
            }
            f(&mut buffer)
        }
        Err(_) => f(&mut vec![0; SCRATCH]),
    })
}

/// An empty buffer for what is to be written.
#[inline]
pub(crate) fn take_buffer() -> Vec<u8> {
    let buffer = SPARE_BUFFER.take();
    if buffer.capacity() == 0 {
        return new_buffer();
    }
    buffer
}

#[cold]
fn new_buffer() -> Vec<u8> {
    Vec::with_capacity(BUFFER)
}

/// Gives a buffer back.
#[inline]
pub(crate) fn put_buffer(mut buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BUFFER {
        buffer.clear();
        SPARE_BUFFER.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_use_has_a_scratch_of_its_own() {
        with_scratch(|outer| {
            outer.fill(1);
            with_scratch(|inner| inner.fill(2));
            assert!(outer.iter().all(|&byte| byte == 1));
        });
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let mut buffer = take_buffer();
        buffer.extend([1; 5 * BUFFER]);
        let capacity = buffer.capacity();
        put_buffer(buffer);
        let again = take_buffer();
        assert_eq!((again.len(), again.capacity()), (0, capacity));
    }

    #[test]
    fn a_huge_buffer_is_not_kept() {
        put_buffer(Vec::with_capacity(2 * KEPT_BUFFER));
        assert!(take_buffer().capacity() <= KEPT_BUFFER);
    }
}
