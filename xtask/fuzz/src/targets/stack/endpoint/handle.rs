//! The steps of an owner on its socket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use towline_core::{
    CloseCode, Closed, Control, Message, Receiver, SendOptions, Sender, TrySendError, WebSocket,
};

use crate::targets::stack::message::message;
use crate::targets::stack::plan::{OwnerVerb, Step, millis};
use crate::targets::stack::state::{Cause, Waits};
use crate::targets::stack::world::World;

/// The whole socket, or its halves.
pub(super) enum Handle {
    Whole(WebSocket),
    Halves(Sender, Receiver),
}

impl Handle {
    fn control(&self) -> Control {
        match self {
            Self::Whole(socket) => socket.control(),
            Self::Halves(_, receiver) => receiver.control(),
        }
    }

    /// Does one step of the owner.
    pub(super) async fn step(&mut self, world: &World, step: Step<OwnerVerb>) {
        match step.verb {
            OwnerVerb::Recv => {
                for _ in 0..step.a.max(1) {
                    if self.recv(world).await.is_none() {
                        break;
                    }
                }
            }
            OwnerVerb::RecvWithin => {
                let _ = timeout(step.millis(), self.recv(world)).await;
            }
            OwnerVerb::Next => {
                self.next(world).await;
            }
            OwnerVerb::Echo => {
                world.lock().reached("echo");
                while let Some(message) = self.recv(world).await {
                    if !self.send(world, message, SendOptions::new()).await {
                        break;
                    }
                }
            }
            OwnerVerb::Forward => self.forward(world, step.a.max(1)).await,
            OwnerVerb::Send => {
                let (message, options) = message(world.next_message(), step.a, step.b);
                self.send(world, message, options).await;
            }
            OwnerVerb::SendWithin => {
                let (message, options) = message(world.next_message(), step.a, step.b);
                let send = self.send(world, message, options);
                let _ = timeout(millis(step.c), send).await;
            }
            OwnerVerb::Try => {
                let (message, _) = message(world.next_message(), step.a, step.b);
                self.try_send(world, message);
            }
            OwnerVerb::Burst => {
                for _ in 0..step.a.min(10_000) {
                    let (message, _) = message(world.next_message(), step.b, step.c);
                    if !self.try_send(world, message) {
                        break;
                    }
                }
            }
            OwnerVerb::Feed => {
                let (message, options) = message(world.next_message(), step.a, step.b);
                match self {
                    Self::Whole(socket) => feed(world, socket, message).await,
                    Self::Halves(..) => drop(self.send(world, message, options).await),
                }
            }
            OwnerVerb::SinkSend => {
                let (message, options) = message(world.next_message(), step.a, step.b);
                match self {
                    Self::Whole(socket) => {
                        feed(world, socket, message).await;
                        let flush = SinkExt::<Message>::flush(socket);
                        let _ = world.waiting(Waits::Flush, flush).await;
                    }
                    Self::Halves(..) => {
                        self.send(world, message, options).await;
                        self.flush(world).await;
                    }
                }
            }
            OwnerVerb::SinkFlush => match self {
                Self::Whole(socket) => {
                    let flush = SinkExt::<Message>::flush(socket);
                    let _ = world.waiting(Waits::Flush, flush).await;
                }
                Self::Halves(..) => self.flush(world).await,
            },
            OwnerVerb::SinkClose => match self {
                Self::Whole(socket) => {
                    world.lock().cause(Cause::Close(CloseCode::NORMAL));
                    let close = SinkExt::<Message>::close(socket);
                    let _ = world.waiting(Waits::SinkClose, close).await;
                }
                Self::Halves(..) => {}
            },
            OwnerVerb::Flush => self.flush(world).await,
            OwnerVerb::FlushWithin => {
                let _ = timeout(step.millis(), self.flush(world)).await;
            }
            OwnerVerb::Ping => match self {
                Self::Whole(socket) => ping(world, step.a, socket.ping()).await,
                Self::Halves(sender, _) => ping(world, step.a, sender.ping()).await,
            },
            OwnerVerb::Close => {
                let code = close_code(step.a);
                let control = self.control();
                if step.b != 0 {
                    world.lock().cause(Cause::Kick(code));
                    let _ = control.close(code, "");
                    return;
                }
                world.lock().cause(Cause::Close(code));
                match self {
                    Self::Whole(socket) => {
                        let close = socket.close(code, "bye");
                        let _ = world.waiting(Waits::Closed, close).await;
                    }
                    Self::Halves(..) => {
                        let _ = control.close(code, "bye");
                        self.closed(world).await;
                    }
                }
            }
            OwnerVerb::Closed => {
                self.closed(world).await;
            }
            OwnerVerb::Draining => {
                let draining = self.control().draining();
                let waiting = world.waiting(Waits::Draining, draining);
                if step.a == 0 {
                    waiting.await;
                } else {
                    let _ = timeout(step.millis(), waiting).await;
                }
            }
            OwnerVerb::Discard => {
                if let Self::Halves(_, receiver) = self {
                    {
                        let mut state = world.lock();
                        state.discards = true;
                        state.reached("discard");
                    }
                    world.waiting(Waits::Closed, receiver.discard()).await;
                }
            }
            OwnerVerb::Abort => {
                world.lock().cause(Cause::Abort);
                self.control().abort();
            }
            OwnerVerb::Both => {
                if let Self::Halves(sender, receiver) = self {
                    world.lock().reached("two futures in one task");
                    let receiving = async { while recv(world, receiver).await.is_some() {} };
                    let sending = async {
                        for _ in 0..step.a.min(200) {
                            let (message, options) = message(world.next_message(), step.b, step.c);
                            if !send(world, sender, message, options).await {
                                break;
                            }
                        }
                        let _ = world.waiting(Waits::Flush, sender.flush()).await;
                    };
                    tokio::join!(receiving, sending);
                }
            }
            OwnerVerb::Sleep
            | OwnerVerb::Yield
            | OwnerVerb::Move
            | OwnerVerb::Drop
            | OwnerVerb::Panic
            | OwnerVerb::Error
            | OwnerVerb::Return => {}
        }
    }

    async fn recv(&mut self, world: &World) -> Option<Message> {
        match self {
            Self::Whole(socket) => {
                let message = world.waiting(Waits::Recv, socket.recv()).await;
                world.lock().note_received(message.as_ref());
                message
            }
            Self::Halves(_, receiver) => recv(world, receiver).await,
        }
    }

    async fn next(&mut self, world: &World) -> Option<Message> {
        let message = match self {
            Self::Whole(socket) => world.waiting(Waits::Recv, StreamExt::next(socket)).await,
            Self::Halves(_, receiver) => world.waiting(Waits::Recv, receiver.next()).await,
        };
        world.lock().note_received(message.as_ref());
        message
    }

    /// Returns `true` if it was queued.
    async fn send(&mut self, world: &World, message: Message, options: SendOptions) -> bool {
        match self {
            Self::Whole(socket) => {
                let copy = message.clone();
                let sent = socket.send_with(message, options);
                let sent = world.waiting(Waits::Send, sent).await.is_ok();
                world.lock().note_send(copy, sent);
                sent
            }
            Self::Halves(sender, _) => send(world, sender, message, options).await,
        }
    }

    fn try_send(&self, world: &World, message: Message) -> bool {
        match self {
            Self::Whole(socket) => try_send(world, message, |message| socket.try_send(message)),
            Self::Halves(sender, _) => try_send(world, message, |message| sender.try_send(message)),
        }
    }

    async fn forward(&mut self, world: &World, every: u32) {
        world.lock().reached("stream into sink");
        let mut turn = 0;
        while let Some(message) = self.next(world).await {
            turn += 1;
            match self {
                Self::Whole(socket) => feed(world, socket, message).await,
                Self::Halves(..) => drop(self.send(world, message, SendOptions::new()).await),
            }
            if turn % every == 0 {
                self.flush(world).await;
            }
        }
    }

    async fn flush(&mut self, world: &World) {
        let _ = match self {
            Self::Whole(socket) => world.waiting(Waits::Flush, socket.flush()).await,
            Self::Halves(sender, _) => world.waiting(Waits::Flush, sender.flush()).await,
        };
    }

    async fn closed(&self, world: &World) -> Closed {
        let closed = self.control().closed();
        world.waiting(Waits::Closed, closed).await
    }
}

async fn recv(world: &World, receiver: &mut Receiver) -> Option<Message> {
    let message = world.waiting(Waits::Recv, receiver.recv()).await;
    world.lock().note_received(message.as_ref());
    message
}

pub(super) async fn send(
    world: &World,
    sender: &Sender,
    message: Message,
    options: SendOptions,
) -> bool {
    let copy = message.clone();
    let sent = sender.send_with(message, options);
    let sent = world.waiting(Waits::Send, sent).await.is_ok();
    world.lock().note_send(copy, sent);
    sent
}

pub(super) fn try_send(
    world: &World,
    message: Message,
    send: impl FnOnce(Message) -> Result<(), TrySendError>,
) -> bool {
    let copy = message.clone();
    let sent = send(message);
    let is_sent = sent.is_ok();
    let mut state = world.lock();
    match sent {
        Ok(()) => state.note_send(copy, true),
        Err(TrySendError::Full(_)) => state.check_full(),
        Err(_) => state.check_refused(),
    }
    is_sent
}

/// As `SinkExt::feed`, which does not tell whether the message was queued.
async fn feed(world: &World, socket: &mut WebSocket, message: Message) {
    let ready = std::future::poll_fn(|cx| socket.poll_ready_unpin(cx));
    if world.waiting(Waits::Send, ready).await.is_ok() {
        let copy = message.clone();
        if socket.start_send_unpin(message).is_ok() {
            world.lock().note_send(copy, true);
        }
    }
}

pub(super) async fn ping<E>(
    world: &World,
    within: u32,
    ping: impl Future<Output = Result<Duration, E>>,
) {
    let ping = async {
        if world.waiting(Waits::Ping, ping).await.is_ok() {
            world.lock().reached("ping answered");
        }
    };
    if within == 0 {
        ping.await;
    } else {
        let _ = timeout(millis(within), ping).await;
    }
}

/// A code that an endpoint may send.
pub(super) fn close_code(number: u32) -> CloseCode {
    let code = CloseCode::from(number as u16);
    if code.is_sendable() {
        code
    } else {
        CloseCode::NORMAL
    }
}
