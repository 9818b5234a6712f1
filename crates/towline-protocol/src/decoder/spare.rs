//! Buffers of large messages that are gone: kept for the next ones of the thread, whose pages are then there already.

use std::cell::RefCell;
use std::mem;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The most that all messages in progress together may hold of such buffers beyond twice what of them has arrived.
const AHEAD: usize = 16 * 1024 * 1024;

/// In units of [`MIN`].
static HELD_AHEAD: AtomicUsize = AtomicUsize::new(0);

/// An empty buffer that takes at least `len` bytes and at most twice as many, if there is one: a message must not hold much
/// more than what counts of it.
pub(super) fn take(len: usize) -> Option<Vec<u8>> {
    SPARES.with_borrow_mut(|spares| {
        // A peer can declare any length, so twice of it saturates.
        let most = len.saturating_mul(2);
        let fits = |buffer: &Vec<u8>| (len..=most).contains(&buffer.capacity());
        let buffer = spares.buffers.iter().rposition(fits)?;
        let buffer = spares.buffers.swap_remove(buffer);
        spares.size -= buffer.capacity();
        Some(buffer)
    })
}

/// As [`take`], for a message that has not yet arrived. There are not many at a time: who announces a long message and sends
/// little of it could else hold the buffers of all others.
pub(super) fn take_ahead(len: usize) -> Option<(Vec<u8>, Ahead)> {
    let buffer = take(len)?;
    match Ahead::new(buffer.capacity()) {
        Some(ahead) => Some((buffer, ahead)),
        None => {
            put(buffer);
            None
        }
    }
}

/// The share of one message in progress, in units of [`MIN`]: small, as every decoder has room for one.
#[derive(Debug)]
pub(super) struct Ahead(NonZeroU16);

impl Ahead {
    fn new(capacity: usize) -> Option<Self> {
        let share = NonZeroU16::new(capacity.div_ceil(MIN).try_into().ok()?)?;
        let add = |held| Some(held + usize::from(share.get())).filter(|&held| held <= AHEAD / MIN);
        HELD_AHEAD
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Self(share))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        HELD_AHEAD.fetch_sub(self.0.get().into(), Ordering::Relaxed);
    }
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
        put(mem::take(&mut self.0));
    }
}

fn put(mut buffer: Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn the_buffer_of_a_message_that_is_gone_is_used_again() {
        let payload = freeze(vec![7; MIN]);
        let (place, clone) = (payload.as_ptr(), payload.slice(10..));
        assert_eq!(payload, [7; MIN][..]);

        drop(payload);
        assert_eq!(take(MIN), None);
        drop(clone);
        assert_eq!(take(MIN + 1), None);
        let buffer = take(MIN).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 0));
        assert_eq!(take(MIN), None);
    }

    #[test]
    fn small_buffers_and_more_than_the_bound_are_not_kept() {
        drop(freeze(vec![7; MIN - 1]));
        assert_eq!(take(MIN - 1), None);

        let payloads: Vec<_> = (0..10).map(|_| freeze(vec![0; KEPT / 4])).collect();
        drop(payloads);
        assert_eq!((0..10).filter_map(|_| take(KEPT / 4)).count(), 4);
    }

    #[test]
    fn a_buffer_is_at_most_twice_as_large_as_it_need_be() {
        drop(freeze(vec![7; 4 * MIN]));
        for len in [MIN, 2 * MIN - 1, 4 * MIN + 1] {
            assert_eq!(take(len), None, "{len}");
        }
        assert!(take(2 * MIN).is_some());
    }

    #[test]
    fn no_buffer_is_large_enough_for_the_largest_length() {
        drop(freeze(vec![7; MIN]));
        for len in [usize::MAX, usize::MAX / 2 + 1, usize::MAX / 2] {
            assert_eq!(take(len), None, "{len}");
            assert!(take_ahead(len).is_none(), "{len}");
        }
        assert!(take(MIN).is_some());
    }

    #[test]
    fn few_messages_hold_a_buffer_before_they_arrive() {
        let len = KEPT / 4;
        let take_another = || {
            drop(freeze(vec![7; len]));
            take_ahead(len)
        };
        // Other tests have their share.
        let held: Vec<_> = iter::from_fn(take_another).collect();
        assert!((1..=AHEAD / len).contains(&held.len()));
        assert!(take(len).is_some(), "one that was refused is kept");
        drop(held);
        assert!(take_another().is_some());
    }
}
