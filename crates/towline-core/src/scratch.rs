//! The buffer that reads go into: one for each thread, so that an idle socket holds none.

use std::cell::Cell;

/// The most that one read takes.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with the thread's buffer. It is taken out of its cell meanwhile: a nested use allocates one of its own.
pub(crate) fn with<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buffer = SCRATCH.take();
    buffer.resize(SIZE, 0);
    let result = f(&mut buffer);
    SCRATCH.set(buffer);
    result
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_nested_use_has_a_buffer_of_its_own() {
        super::with(|outer| {
            outer.fill(1);
            super::with(|inner| inner.fill(2));
            assert!(outer.iter().all(|&byte| byte == 1));
        });
    }
}
