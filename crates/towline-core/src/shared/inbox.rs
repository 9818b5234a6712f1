//! Messages that were received and not yet taken.

use std::collections::VecDeque;
use std::mem;

use towline_protocol::Message;

/// Bounds of what is decoded and not yet taken. One message may exceed the first in an empty inbox.
const BYTES: usize = 64 * 1024;
const MESSAGES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The oldest: mostly the only one, which then costs no buffer.
    first: Option<Message>,
    others: VecDeque<Message>,
    bytes: usize,
    /// How many messages the endpoint has taken.
    pub(super) taken: u64,
}

impl Inbox {
    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES && self.others.len() < MESSAGES - 1
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.others.push_back(message),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.first.take()?;
        self.first = self.others.pop_front();
        if self.others.is_empty() && self.others.capacity() > 0 {
            // An idle socket holds no buffer.
            self.others = VecDeque::new();
        }
        self.bytes -= message.len();
        self.taken += 1;
        Some(message)
    }

    /// Takes all there is out, to be dropped elsewhere.
    pub(super) fn clear(&mut self) -> (Option<Message>, VecDeque<Message>) {
        self.bytes = 0;
        (self.first.take(), mem::take(&mut self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_in_order_and_leave_nothing() {
        let mut inbox = Inbox::default();
        for index in 0..MESSAGES as u8 {
            assert!(inbox.has_room());
            inbox.push(vec![index].into());
        }
        assert!(!inbox.has_room());
        for index in 0..MESSAGES as u8 {
            assert_eq!(inbox.pop(), Some(vec![index].into()));
            assert!(inbox.has_room());
        }
        assert_eq!(inbox.pop(), None);
        assert_eq!((inbox.bytes, inbox.others.capacity()), (0, 0));
    }

    #[test]
    fn one_message_may_exceed_the_bound() {
        let mut inbox = Inbox::default();
        inbox.push(vec![0; 2 * BYTES].into());
        assert!(!inbox.has_room());
        drop(inbox.clear());
        assert!(inbox.has_room());
    }
}
