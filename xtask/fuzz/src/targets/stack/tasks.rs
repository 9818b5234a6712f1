//! The tasks of a run: tokio's, each of which counts how often it is polled.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use tokio::time::Instant;

use super::state::Cause;
use super::world::World;
use crate::panics;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The error or the panic by which an endpoint fails as the plan says. A task that ends by it is no finding.
#[derive(Debug)]
pub(crate) struct Planned;

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as planned")
    }
}

/// Spawns tasks, each by itself or into one that they share.
#[derive(Clone)]
pub(crate) struct Tasks {
    world: World,
    joint: Option<Joint>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

impl Tasks {
    /// Makes one task for all pipelines and endpoints if the plan says so.
    pub(crate) fn new(world: World) -> Self {
        let place = world.lock().settings.place;
        let joint = (place >= 2).then(|| {
            let joint = Joint::default();
            let futures = Vec::new();
            spawn(
                &world,
                "the joint task",
                Joined {
                    joint: joint.clone(),
                    newest_first: place == 3,
                    futures,
                },
            );
            joint
        });
        Self { world, joint }
    }

    /// Of the server's side.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        match &self.joint {
            Some(joint) => {
                let task = Watched::new(&self.world, name, task);
                self.world.lock().tasks += 1;
                joint.push(Box::pin(task));
            }
            None => self.spawn_alone(name, task),
        }
    }

    /// In a task of its own.
    pub(crate) fn spawn_alone(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.world.lock().tasks += 1;
        spawn(&self.world, name, Watched::new(&self.world, name, task));
    }
}

fn spawn(world: &World, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(Counted {
        world: world.clone(),
        name,
        turn: 0,
        task: Box::pin(task),
    }));
}

/// Runs the pipelines of the upgrade layer.
impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, pipeline: F) {
        let world = self.world.clone();
        world.lock().pipelines += 1;
        self.spawn("the pipeline", async move {
            pipeline.await;
            let mut state = world.lock();
            state.pipeline_ended = Some(Instant::now());
            state.progress("the end of the pipeline");
        });
    }
}

/// A task that counts how often it is polled, and is not polled any more once the run is over.
struct Counted {
    world: World,
    name: &'static str,
    turn: u32,
    task: Task,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.world.lock().polled(self.name) {
            return Poll::Pending;
        }
        // Any order of the tasks is legal, so a poll may come a turn later.
        let lazy = self.world.lock().settings.lazy;
        self.turn += 1;
        if lazy > 0 && self.turn.is_multiple_of(lazy + 1) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.task.as_mut().poll(cx)
    }
}

/// A future whose panic is a finding, unless it is planned, and ends this future alone.
struct Watched<F> {
    world: World,
    name: &'static str,
    future: Pin<Box<F>>,
}

impl<F> Watched<F> {
    fn new(world: &World, name: &'static str, future: F) -> Self {
        Self {
            world: world.clone(),
            name,
            future: Box::pin(future),
        }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| this.future.as_mut().poll(cx)));
        let polled = polled.unwrap_or_else(|panic| {
            if !panic.is::<Planned>() {
                let text = panics::last();
                let text = format!("{} panicked: {text}", this.name);
                this.world.lock().find(None, text);
            }
            Poll::Ready(())
        });
        if polled.is_ready() {
            let mut state = this.world.lock();
            state.tasks -= 1;
            state.progress("the end of a task");
        }
        polled
    }
}

/// An endpoint whose panic the pipeline catches.
pub(crate) async fn found_panics<F: Future>(world: World, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).unwrap_or_else(|panic| {
            if !panic.is::<Planned>() {
                let text = panics::last();
                let text = format!("the endpoint panicked: {text}");
                world.lock().find(None, text);
            }
            world.lock().cause(Cause::Fail);
            resume_unwind(panic)
        })
    })
    .await
}

/// A task that polls all its futures whenever it is polled, with one waker.
#[derive(Clone, Default)]
struct Joint(Arc<Mutex<(Vec<Task>, Option<Waker>)>>);

impl Joint {
    fn push(&self, task: Task) {
        let waker = {
            let mut joint = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            joint.0.push(task);
            joint.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Joined {
    joint: Joint,
    newest_first: bool,
    futures: Vec<Task>,
}

impl Future for Joined {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let new = {
            let mut joint = self.joint.0.lock().unwrap_or_else(PoisonError::into_inner);
            joint.1 = Some(cx.waker().clone());
            std::mem::take(&mut joint.0)
        };
        if self.newest_first {
            self.futures.splice(0..0, new);
        } else {
            self.futures.extend(new);
        }
        self.futures
            .retain_mut(|future| future.as_mut().poll(cx).is_pending());
        Poll::Pending
    }
}
