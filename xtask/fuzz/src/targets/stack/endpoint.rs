//! The server's side of a socket: its owner, and others that have a handle to it.

mod handle;
mod helper;

use std::panic::resume_unwind;
use std::pin::Pin;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use towline_core::{CloseCode, Control, WebSocket};

use self::handle::Handle;
use self::helper::Helper;
use super::plan::{OwnerVerb, Plan, Step};
use super::state::{Cause, Waits};
use super::tasks::{Planned, Tasks};
use super::world::World;

/// The endpoint that `WebSocketUpgrade::serve` runs.
pub(crate) async fn endpoint(
    world: World,
    plan: Plan,
    tasks: Tasks,
    socket: WebSocket,
) -> Result<(), Planned> {
    if plan.settings.place == 0 {
        let owner = open(&world, &plan, &tasks, socket);
        let result = owner.run(plan.owner).await;
        let mut state = world.lock();
        state.endpoint_done = true;
        if result.is_err() {
            state.cause(Cause::Fail);
        }
        return result;
    }
    let closed = socket.closed();
    start(&world, plan, &tasks, socket);
    world.lock().endpoint_done = true;
    world.waiting(Waits::Closed, closed).await;
    Ok(())
}

/// Runs the owner in a task of its own, where an error has no effect.
pub(crate) fn start(world: &World, plan: Plan, tasks: &Tasks, socket: WebSocket) {
    let owner = open(world, &plan, tasks, socket);
    tasks.spawn("the owner", async move {
        let _ = owner.run(plan.owner).await;
    });
}

/// Notes that the socket is open, and hands out its handles.
fn open(world: &World, plan: &Plan, tasks: &Tasks, socket: WebSocket) -> Owner {
    {
        let mut state = world.lock();
        state.opened = Some(Instant::now());
        state.progress("the socket is open");
    }
    let control = socket.control();
    watch(world, tasks, &control);
    let halves = plan.helpers.iter().any(|steps| !steps.is_empty())
        || plan
            .owner
            .iter()
            .any(|step| matches!(step.verb, OwnerVerb::Both | OwnerVerb::Discard));
    let handle = if halves {
        let (sender, receiver) = socket.split();
        for steps in plan.helpers.iter().filter(|steps| !steps.is_empty()) {
            let helper = Helper {
                world: world.clone(),
                sender: sender.clone(),
                control: control.clone(),
            };
            tasks.spawn("a helper", helper.run(steps.clone()));
        }
        Handle::Halves(sender, receiver)
    } else {
        Handle::Whole(socket)
    };
    Owner {
        world: world.clone(),
        tasks: tasks.clone(),
        handle: Some(handle),
    }
}

/// Notes how the socket ends.
fn watch(world: &World, tasks: &Tasks, control: &Control) {
    let (watching, closed) = (world.clone(), control.closed());
    tasks.spawn_alone("the watch", async move {
        let closed = closed.await;
        let mut state = watching.lock();
        state.progress("the end of the socket");
        state.closed = Some((closed, Instant::now()));
    });
}

struct Owner {
    world: World,
    tasks: Tasks,
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

    /// Goes on in another task, where an error has no effect.
    fn move_on(self, steps: Vec<Step<OwnerVerb>>) {
        self.world.lock().reached("owner that moves");
        let tasks = self.tasks.clone();
        let rest: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(self.run(steps));
        tasks.spawn("the moved owner", async move {
            let _ = rest.await;
        });
    }

    async fn run(mut self, steps: Vec<Step<OwnerVerb>>) -> Result<(), Planned> {
        for (index, step) in steps.iter().copied().enumerate() {
            match step.verb {
                OwnerVerb::Move => {
                    self.move_on(steps[index + 1..].to_vec());
                    return Ok(());
                }
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
