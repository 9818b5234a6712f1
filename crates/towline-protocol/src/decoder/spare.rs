//! Buffers of large messages that are gone: kept for the next ones of the thread, whose pages are then there already.

use std::cell::RefCell;
use std::mem;

use bytes::Bytes;

/// The smallest buffer that is worth keeping.
pub(super) const MIN: usize = 16 * 1024;

/// The most that a thread keeps, all its buffers together.
const KEPT: usize = 4 * 1024 * 1024;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares { buffers: Vec::new(), size: 0 }) };
}

#[derive(Debug)]
struct Spares {
    buffers: Vec<Vec<u8>>,
    size: usize,
}

/// An empty buffer that takes at least `len` bytes, if there is one.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    SPARES.with_borrow_mut(|spares| {
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= len;
        let buffer = spares.buffers.iter().rposition(fits)?;
        let buffer = spares.buffers.swap_remove(buffer);
        spares.size -= buffer.capacity();
        Some(buffer)
    })
}

/// The payload of a message. When the last of it is dropped, its buffer goes to whichever thread that happens on.
pub(super) fn freeze(payload: Vec<u8>) -> Bytes {
    if payload.capacity() < MIN {
        payload.into()
    } else {
        Bytes::from_owner(Lent(payload))
    }
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = mem::take(&mut self.0);
        buffer.clear();
        // A thread that is ending keeps nothing more.
        let _ = SPARES.try_with(|spares| {
            let Ok(mut spares) = spares.try_borrow_mut() else {
                return;
            };
            if spares.size + buffer.capacity() <= KEPT {
                spares.size += buffer.capacity();
                spares.buffers.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_a_message_that_is_gone_is_used_again() {
        let payload = freeze(vec![7; MIN]);
        let (place, clone) = (payload.as_ptr(), payload.slice(10..));
        assert_eq!(payload, [7; MIN][..]);

        drop(payload);
        assert_eq!(take(1), None);
        drop(clone);
        assert_eq!(take(MIN + 1), None);
        let buffer = take(MIN).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 0));
        assert_eq!(take(1), None);
    }

    #[test]
    fn small_buffers_and_more_than_the_bound_are_not_kept() {
        drop(freeze(vec![7; MIN - 1]));
        assert_eq!(take(1), None);

        let payloads: Vec<_> = (0..10).map(|_| freeze(vec![0; KEPT / 4])).collect();
        drop(payloads);
        assert_eq!((0..10).filter_map(|_| take(1)).count(), 4);
    }
}
