//! Tasks, each in a thread of its own, that sleep until they are woken.

use std::future::Future;
use std::io::{Write as _, stderr};
use std::panic;
use std::pin::pin;
use std::process;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};

use loom::model::Builder;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

/// In words: loom's default is too small for hyper.
const STACK: usize = 64 * 1024;

/// Runs `scenario` in every order of the steps of its threads that has at most two preemptions. A task that is never woken is
/// a deadlock, and one that never sleeps has too many branches: loom reports both.
///
/// No timer fires, so none hides a lost wake-up.
pub(crate) fn check(scenario: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    exit_on_panic();
    let mut model = Builder::new();
    model.preemption_bound.get_or_insert(2);
    model.max_branches = 3_000;
    let scenario = Arc::new(scenario);
    model.check(move || {
        let scenario = Arc::clone(&scenario);
        let builder = thread::Builder::new().stack_size(STACK);
        let thread = builder.spawn(move || scenario()).unwrap();
        thread.join().unwrap();
    });
}

/// Ends all tests with the first panic: while it unwinds, handles that are dropped would wait for a lock for ever.
fn exit_on_panic() {
    static SET: Once = Once::new();

    // loom puts its own before this one, for panics of which it makes use.
    SET.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or_default();
            // Past the output of the test, which is lost with it.
            let _ = writeln!(stderr(), "\n{test}: {panic}");
            process::exit(101);
        }));
    });
}

/// A task. However often it was woken since its last poll, it is polled once.
#[derive(Default)]
pub(crate) struct Task {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until the task is woken.
    pub(crate) fn sleep(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.woken.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }

    /// Polls until it is ready, and sleeps in between.
    pub(crate) fn poll_on<R>(
        self: &Arc<Self>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
    ) -> R {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = poll(&mut cx) {
                return result;
            }
            self.sleep();
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

/// Runs `future` in a task of this thread.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    Task::new().poll_on(|cx| future.as_mut().poll(cx))
}

/// Runs `f` in another thread.
pub(crate) fn thread<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    thread::Builder::new().stack_size(STACK).spawn(f).unwrap()
}

/// Runs `future` in a task of another thread.
pub(crate) fn spawn<R, F>(future: F) -> JoinHandle<R>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    thread(|| run(future))
}
