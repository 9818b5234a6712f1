//! Messages that were received and not yet taken.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;

use towline_protocol::{Decoder, Message};

/// Bounds of what is decoded and not yet taken. One message may exceed the first in an empty inbox.
const BYTES: usize = 64 * 1024;
const MESSAGES: usize = 64;

/// A batch is handed to the receiver at once if no more than this is behind its first message.
const LENT_BYTES: usize = 4 * 1024;
const LENT_MESSAGES: usize = 16;

thread_local! {
    static SPARE: Cell<Vec<Message>> = const { Cell::new(Vec::new()) };
}

/// Messages that have arrived and that the inbox does not have yet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The oldest: mostly the only one, which then costs no buffer.
    first: Option<Message>,
    others: Vec<Message>,
    messages: usize,
    bytes: usize,
}

/// How much more an inbox takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    bytes: usize,
    messages: usize,
}

/// What the endpoint has not taken.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// As in a batch.
    first: Option<Message>,
    others: VecDeque<Message>,
    bytes: usize,
    /// What of the batch that the receiver has at hand counts as not yet taken.
    lent: Load,
    /// How many messages the endpoint has taken.
    pub(super) taken: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    bytes: usize,
    messages: usize,
}

impl Batch {
    #[inline(always)]
    pub(crate) fn push(&mut self, message: Message) {
        self.messages += 1;
        self.bytes += message.len();
        if self.messages == 1 {
            self.first = Some(message);
        } else {
            self.others().push(message);
        }
    }

    #[inline]
    fn others(&mut self) -> &mut Vec<Message> {
        if self.others.capacity() == 0 {
            self.others = SPARE.take();
        }
        &mut self.others
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    /// Drops what nobody has taken.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if self.messages > 0 {
            *self = Self::default();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.first.iter().chain(&self.others)
    }

    /// Whether one more may be pushed to what is to go where there is this room.
    #[inline]
    pub(crate) fn fits(&self, room: Room) -> bool {
        self.bytes < room.bytes && self.messages < room.messages
    }

    /// Whether as many more small ones may be pushed as come at once; or a single one, which may always exceed the room.
    #[inline]
    pub(crate) fn fits_small(&self, room: Room) -> bool {
        self.bytes + Decoder::SMALL_BYTES <= room.bytes
            && self.messages + Decoder::SMALL_MESSAGES <= room.messages
    }
}

impl Extend<Message> for Batch {
    #[inline(always)]
    fn extend<I: IntoIterator<Item = Message>>(&mut self, messages: I) {
        let mut messages = messages.into_iter();
        if self.messages == 0
            && let Some(first) = messages.next()
        {
            self.push(first);
        }
        if messages.size_hint() == (0, Some(0)) {
            return;
        }
        let before = self.others.len();
        let mut bytes = 0;
        let counted = messages.inspect(|message| bytes += message.len());
        self.others().extend(counted);
        self.bytes += bytes;
        self.messages += self.others.len() - before;
    }
}

impl Room {
    /// Of an inbox whose messages are dropped as they come.
    pub(crate) const EMPTY: Self = Self {
        bytes: BYTES,
        messages: MESSAGES,
    };

    pub(crate) fn is_none(self) -> bool {
        self.bytes == 0 || self.messages == 0
    }
}

impl Inbox {
    pub(super) fn room(&self) -> Room {
        let messages = usize::from(self.first.is_some()) + self.others.len();
        Room {
            bytes: BYTES.saturating_sub(self.bytes + self.lent.bytes),
            messages: MESSAGES.saturating_sub(messages + self.lent.messages),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }

    /// Takes everything out of `arrived`.
    #[inline]
    pub(super) fn append(&mut self, arrived: &mut Batch) {
        self.bytes += mem::take(&mut arrived.bytes);
        arrived.messages = 0;
        if self.is_empty() {
            mem::swap(&mut self.first, &mut arrived.first);
        } else {
            self.others.extend(arrived.first.take());
        }
        if !arrived.others.is_empty() {
            self.append_others(mem::take(&mut arrived.others));
        }
    }

    fn append_others(&mut self, arrived: Vec<Message>) {
        if self.others.is_empty() {
            self.others = arrived.into();
        } else {
            self.others.extend(arrived);
        }
    }

    /// Takes the next message and, if they are small and few, all behind it into what the receiver has at hand, which
    /// must be empty.
    #[inline]
    pub(super) fn take(&mut self, at_hand: &mut VecDeque<Message>) -> Option<Message> {
        self.lent = Load::default();
        let message = if self.first.is_some() {
            self.first.take()?
        } else {
            self.others.pop_front()?
        };
        self.bytes -= message.len();
        self.taken += 1;
        if self.others.capacity() > 0 {
            self.lend(at_hand);
        }
        Some(message)
    }

    fn lend(&mut self, at_hand: &mut VecDeque<Message>) {
        if (1..=LENT_MESSAGES).contains(&self.others.len()) && self.bytes <= LENT_BYTES {
            mem::swap(&mut self.others, at_hand);
            self.lent = Load {
                bytes: mem::take(&mut self.bytes),
                messages: at_hand.len(),
            };
            self.taken += at_hand.len() as u64;
        }
        release(&mut self.others);
    }

    /// Takes all there is out, to be dropped elsewhere.
    pub(super) fn clear(&mut self) -> (Option<Message>, VecDeque<Message>) {
        self.bytes = 0;
        self.lent = Load::default();
        (self.first.take(), mem::take(&mut self.others))
    }
}

/// Takes the buffer of an empty queue, which is kept for the next that came together: an idle socket holds none.
#[inline]
pub(crate) fn release(queue: &mut VecDeque<Message>) {
    if queue.is_empty() && queue.capacity() > 0 {
        SPARE.set(mem::take(queue).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(messages: impl IntoIterator<Item = Vec<u8>>) -> Batch {
        let mut batch = Batch::default();
        for message in messages {
            batch.push(message.into());
        }
        batch
    }

    /// What a receiver gets: from its batch, and from the inbox when that is empty.
    fn receive(inbox: &mut Inbox, at_hand: &mut VecDeque<Message>) -> Option<Message> {
        at_hand.pop_front().or_else(|| inbox.take(at_hand))
    }

    #[test]
    fn messages_leave_in_order_and_leave_nothing() {
        for count in [1, 2, 16, 17, 18, 64] {
            let mut inbox = Inbox::default();
            let mut at_hand = VecDeque::new();
            for arrived in (0..count).collect::<Vec<u8>>().chunks(5) {
                inbox.append(&mut batch(arrived.iter().map(|&index| vec![index])));
            }
            for index in 0..count {
                let message = receive(&mut inbox, &mut at_hand);
                assert_eq!(message, Some(vec![index].into()), "of {count}");
            }
            assert_eq!(receive(&mut inbox, &mut at_hand), None);
            assert_eq!((inbox.bytes, inbox.others.capacity()), (0, 0));
        }
    }

    #[test]
    fn what_the_receiver_has_at_hand_takes_room() {
        let mut inbox = Inbox::default();
        let mut at_hand = VecDeque::new();
        inbox.append(&mut batch(vec![vec![0; 100]; 10]));
        assert!(inbox.take(&mut at_hand).is_some());
        assert_eq!(at_hand.len(), 9);

        let mut more = Batch::default();
        while more.fits(inbox.room()) {
            more.push(vec![0].into());
        }
        assert_eq!(more.messages, MESSAGES - 9);

        at_hand.clear();
        inbox.append(&mut more);
        assert!(inbox.take(&mut at_hand).is_some());
        let waiting = MESSAGES - 9 - 1;
        assert_eq!(inbox.room().messages, MESSAGES - waiting);
    }

    #[test]
    fn a_buffer_is_there_only_while_it_is_needed() {
        let mut inbox = Inbox::default();
        let mut at_hand = VecDeque::new();
        inbox.append(&mut batch(vec![vec![0]; 3]));
        let place = inbox.others.as_slices().0.as_ptr();
        while receive(&mut inbox, &mut at_hand).is_some() {}
        release(&mut at_hand);
        assert_eq!((inbox.others.capacity(), at_hand.capacity()), (0, 0));

        // A single message needs none.
        let mut arrived = Batch::default();
        arrived.extend(Some(vec![1].into()));
        assert_eq!(arrived.others.capacity(), 0);
        arrived.extend(Some(vec![2].into()));
        assert_eq!(arrived.others.as_ptr(), place);
        assert_eq!((arrived.messages(), arrived.bytes()), (2, 2));
    }

    #[test]
    fn large_or_many_messages_stay_until_they_are_taken() {
        for (count, size) in [(LENT_MESSAGES + 2, 1), (2, LENT_BYTES + 1)] {
            let mut inbox = Inbox::default();
            let mut at_hand = VecDeque::new();
            inbox.append(&mut batch(vec![vec![0; size]; count]));
            assert!(inbox.take(&mut at_hand).is_some());
            assert!(at_hand.is_empty());
        }
    }

    #[test]
    fn one_message_may_exceed_the_bound() {
        let mut inbox = Inbox::default();
        inbox.append(&mut batch([vec![0; 2 * BYTES]]));
        assert!(inbox.room().is_none());
        drop(inbox.clear());
        assert!(Batch::default().fits(inbox.room()));
    }
}
