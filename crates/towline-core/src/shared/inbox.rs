//! Messages that were received and not yet taken.

use std::collections::VecDeque;
use std::mem;

use towline_protocol::Message;

/// Bounds of what is decoded and not yet taken. One message may exceed the first in an empty inbox.
const BYTES: usize = 64 * 1024;
const MESSAGES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// How many messages the endpoint has taken.
    pub(super) taken: u64,
}

impl Inbox {
    pub(super) fn has_room(&self) -> bool {
        self.bytes < BYTES && self.messages.len() < MESSAGES
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        self.taken += 1;
        if self.messages.is_empty() {
            // An idle socket holds no buffer.
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Takes all there is out, to be dropped elsewhere.
    pub(super) fn clear(&mut self) -> VecDeque<Message> {
        self.bytes = 0;
        mem::take(&mut self.messages)
    }
}
