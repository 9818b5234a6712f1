//! Where the payloads of small messages go: one buffer for many, instead of an allocation for each.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

use super::spare;

/// The size of a shared buffer, which is what one small message that is kept may keep alive.
const CHUNK: usize = 4 * 1024;

/// A larger payload has an allocation of its own.
const SHARED: usize = 1024;

thread_local! {
    static ARENA: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(CHUNK));
}

/// Copies `payload` to where it stays.
#[inline(never)]
pub(super) fn copy(payload: &[u8]) -> Bytes {
    match payload.len() {
        ..=SHARED => copy_small(payload),
        spare::MIN.. => {
            let buffer = spare::take(payload.len());
            let mut buffer = buffer.unwrap_or_else(|| Vec::with_capacity(payload.len()));
            buffer.extend_from_slice(payload);
            spare::freeze(buffer)
        }
        // Through a box, which has no spare capacity for `Bytes` to look for.
        _ => Bytes::from(Box::from(payload)),
    }
}

/// Copies up to 1 KiB into the shared buffer.
///
/// One that is full is used again if all that was in it is gone, as it mostly is; otherwise a new one takes its place.
#[inline(always)]
pub(super) fn copy_small(payload: &[u8]) -> Bytes {
    if payload.is_empty() {
        return Bytes::new();
    }
    ARENA.with_borrow_mut(|arena| {
        arena.extend_from_slice(payload);
        arena.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_payloads_share_a_buffer_and_large_ones_do_not() {
        let [first, second] = [copy(b"first"), copy(b"second")];
        assert_eq!((&*first, &*second), (&b"first"[..], &b"second"[..]));
        assert_eq!(first.as_ptr_range().end, second.as_ptr());
        assert!(!first.is_unique());

        let large = copy(&[7; SHARED + 1]);
        assert_eq!(large, [7; SHARED + 1][..]);
        assert!(large.is_unique());
    }

    #[test]
    fn a_buffer_is_used_again_when_nothing_of_it_is_kept() {
        let payload = [1; SHARED];
        let mut places: Vec<_> = (0..100 * CHUNK / SHARED)
            .map(|_| copy(&payload).as_ptr())
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), CHUNK / SHARED);
    }

    #[test]
    fn a_buffer_is_not_used_again_while_some_of_it_is_kept() {
        let kept: Vec<_> = (0..=255).map(|byte| copy(&[byte; 100])).collect();
        for (byte, kept) in (0..=255).zip(kept) {
            assert_eq!(kept, [byte; 100][..]);
        }
    }
}
