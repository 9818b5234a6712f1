//! The steps of other holders of a handle to the socket.

use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use towline_core::{Control, Message, Sender};

use super::handle::{close_code, ping, send, try_send};
use crate::targets::stack::message::message;
use crate::targets::stack::plan::{HelperVerb, Step, millis};
use crate::targets::stack::state::{Cause, Waits};
use crate::targets::stack::world::World;

/// Another holder of a `Sender` and a `Control`.
pub(super) struct Helper {
    pub(super) world: World,
    pub(super) sender: Sender,
    pub(super) control: Control,
}

impl Helper {
    pub(super) async fn run(self, steps: Vec<Step<HelperVerb>>) {
        let world = &self.world;
        for step in steps {
            match step.verb {
                HelperVerb::Send => {
                    let (message, options) = message(world.next_message(), step.a, step.b);
                    send(world, &self.sender, message, options).await;
                }
                HelperVerb::SendWithin => {
                    let (message, options) = message(world.next_message(), step.a, step.b);
                    let send = send(world, &self.sender, message, options);
                    let _ = timeout(millis(step.c), send).await;
                }
                HelperVerb::Try => {
                    let (message, _) = message(world.next_message(), step.a, step.b);
                    self.try_send(message);
                }
                HelperVerb::Burst => {
                    for _ in 0..step.a.min(10_000) {
                        let (message, _) = message(world.next_message(), step.b, step.c);
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
        try_send(&self.world, message, |message| {
            self.sender.try_send(message)
        })
    }
}
