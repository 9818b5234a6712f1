//! The server's side of a socket: its owner, and others that have a handle to it.

use std::fmt;
use std::panic::resume_unwind;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use towline_core::{CloseCode, Closed, Control, Message, Receiver, SendOptions, Sender, WebSocket};

use super::message::message;
use super::plan::{HelperVerb, OwnerVerb, Plan, Step, millis};
use super::tasks::Tasks;
use super::world::{Cause, Waits, World};

/// An endpoint that fails as the plan says, by an error or a panic.
#[derive(Debug)]
pub(crate) struct Planned;

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as planned")
    }
}

/// What `WebSocketUpgrade::serve` runs.
pub(crate) async fn endpoint(
    world: World,
    plan: Plan,
    tasks: Tasks,
    socket: WebSocket,
) -> Result<(), Planned> {
    let control = socket.control();
    {
        let mut state = world.lock();
        state.opened = Some(tokio::time::Instant::now());
        state.progress("the socket is open");
    }
    watch(&world, &tasks, &control);
    let closed = socket.closed();
    let halves = plan.helpers.iter().any(|steps| !steps.is_empty())
        || plan
            .owner
            .iter()
            .any(|step| matches!(step.verb, OwnerVerb::Both | OwnerVerb::Discard));
    let handle = if halves {
        let (sender, receiver) = socket.split();
        for steps in &plan.helpers {
            if !steps.is_empty() {
                let helper = Helper {
                    world: world.clone(),
                    sender: sender.clone(),
                    control: control.clone(),
                };
                tasks.spawn("a helper", helper.run(steps.clone()));
            }
        }
        Handle::Halves(sender, receiver)
    } else {
        Handle::Whole(socket)
    };
    let owner = Owner {
        world: world.clone(),
        handle: Some(handle),
    };
    if plan.settings.place == 0 {
        let result = owner.run(plan.owner).await;
        world.lock().endpoint_done = true;
        if result.is_err() {
            world.lock().cause(Cause::Fail);
        }
        return result;
    }
    tasks.spawn("the owner", async move {
        // Elsewhere an error tells nobody.
        let _ = owner.run(plan.owner).await;
    });
    world.lock().endpoint_done = true;
    world.waiting(Waits::Closed, closed).await;
    Ok(())
}

/// Notes how the socket ends.
fn watch(world: &World, tasks: &Tasks, control: &Control) {
    let (watching, closed) = (world.clone(), control.closed());
    tasks.spawn_alone("the watch", async move {
        let closed = closed.await;
        let mut state = watching.lock();
        state.progress("the end of the socket");
        state.closed = Some((closed, tokio::time::Instant::now()));
    });
}

enum Handle {
    Whole(WebSocket),
    Halves(Sender, Receiver),
}

struct Owner {
    world: World,
    handle: Option<Handle>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.release();
    }
}

impl Owner {
    /// Drops the socket.
    fn release(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        let code = if std::thread::panicking() {
            CloseCode::INTERNAL_ERROR
        } else {
            CloseCode::NORMAL
        };
        {
            let mut state = self.world.lock();
            state.discards = true;
            state.cause(Cause::Drop(code));
        }
        drop(handle);
    }

    async fn run(mut self, steps: Vec<Step<OwnerVerb>>) -> Result<(), Planned> {
        for step in steps {
            match step.verb {
                OwnerVerb::Sleep => self.world.waiting(Waits::Sleep, sleep(step.millis())).await,
                OwnerVerb::Yield => yield_now().await,
                OwnerVerb::Drop => self.release(),
                OwnerVerb::Return => return Ok(()),
                OwnerVerb::Error => return Err(Planned),
                OwnerVerb::Panic => {
                    self.world.lock().reached("panic");
                    resume_unwind(Box::new(Planned));
                }
                _ => {
                    if let Some(handle) = &mut self.handle {
                        handle.step(&self.world, step).await;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Handle {
    fn control(&self) -> Control {
        match self {
            Self::Whole(socket) => socket.control(),
            Self::Halves(_, receiver) => receiver.control(),
        }
    }

    async fn step(&mut self, world: &World, step: Step<OwnerVerb>) {
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
                let (message, options) = message(world, step.a, step.b);
                self.send(world, message, options).await;
            }
            OwnerVerb::SendWithin => {
                let (message, options) = message(world, step.a, step.b);
                let send = self.send(world, message, options);
                let _ = timeout(millis(step.c), send).await;
            }
            OwnerVerb::Try => {
                let (message, _) = message(world, step.a, step.b);
                self.try_send(world, message);
            }
            OwnerVerb::Burst => {
                for _ in 0..step.a.min(10_000) {
                    let (message, _) = message(world, step.b, step.c);
                    if !self.try_send(world, message) {
                        break;
                    }
                }
            }
            OwnerVerb::Feed => {
                let (message, options) = message(world, step.a, step.b);
                match self {
                    Self::Whole(socket) => feed(world, socket, message).await,
                    Self::Halves(..) => drop(self.send(world, message, options).await),
                }
            }
            OwnerVerb::SinkSend => {
                let (message, options) = message(world, step.a, step.b);
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
                            let (message, options) = message(world, step.b, step.c);
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

    /// Whether it was queued.
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
        let copy = message.clone();
        let sent = match self {
            Self::Whole(socket) => socket.try_send(message).is_ok(),
            Self::Halves(sender, _) => sender.try_send(message).is_ok(),
        };
        if sent {
            world.lock().note_send(copy, true);
        }
        sent
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

async fn send(world: &World, sender: &Sender, message: Message, options: SendOptions) -> bool {
    let copy = message.clone();
    let sent = sender.send_with(message, options);
    let sent = world.waiting(Waits::Send, sent).await.is_ok();
    world.lock().note_send(copy, sent);
    sent
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

async fn ping<E>(world: &World, within: u32, ping: impl Future<Output = Result<Duration, E>>) {
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
fn close_code(number: u32) -> CloseCode {
    let code = CloseCode::from(number as u16);
    if code.is_sendable() {
        code
    } else {
        CloseCode::NORMAL
    }
}

struct Helper {
    world: World,
    sender: Sender,
    control: Control,
}

impl Helper {
    async fn run(self, steps: Vec<Step<HelperVerb>>) {
        let world = &self.world;
        for step in steps {
            match step.verb {
                HelperVerb::Send => {
                    let (message, options) = message(world, step.a, step.b);
                    send(world, &self.sender, message, options).await;
                }
                HelperVerb::SendWithin => {
                    let (message, options) = message(world, step.a, step.b);
                    let send = send(world, &self.sender, message, options);
                    let _ = timeout(millis(step.c), send).await;
                }
                HelperVerb::Try => {
                    let (message, _) = message(world, step.a, step.b);
                    self.try_send(message);
                }
                HelperVerb::Burst => {
                    for _ in 0..step.a.min(10_000) {
                        let (message, _) = message(world, step.b, step.c);
                        if !self.try_send(message) {
                            break;
                        }
                    }
                }
                HelperVerb::Flush => {
                    let _ = world.waiting(Waits::Flush, self.sender.flush()).await;
                }
                HelperVerb::Ping => ping(world, step.a, self.sender.ping()).await,
                HelperVerb::Close => {
                    let code = close_code(step.a);
                    world.lock().cause(Cause::Kick(code));
                    let _ = self.control.close(code, "by a helper");
                }
                HelperVerb::Abort => {
                    world.lock().cause(Cause::Abort);
                    self.control.abort();
                }
                HelperVerb::Poke => self.control.poke(),
                HelperVerb::Closed => {
                    world.waiting(Waits::Closed, self.control.closed()).await;
                }
                HelperVerb::Draining => {
                    world
                        .waiting(Waits::Draining, self.control.draining())
                        .await;
                }
                HelperVerb::Sleep => world.waiting(Waits::Sleep, sleep(step.millis())).await,
                HelperVerb::Yield => yield_now().await,
            }
        }
    }

    fn try_send(&self, message: Message) -> bool {
        let copy = message.clone();
        let sent = self.sender.try_send(message).is_ok();
        if sent {
            self.world.lock().note_send(copy, true);
        }
        sent
    }
}
