//! The count of the allocator, which is one for the whole process.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;
use tower::ServiceBuilder;
use towline::{EchoService, UpgradeLayer};
use towline_testing::{App, Http, KIB, MIB, Server, Wire, app, serve};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The driver is the same under every server; what differs is the transport.
pub(crate) const BOTH: [(Server, Http); 2] =
    [(Server::Hyper, Http::One), (Server::Hyper, Http::Two)];

/// What hyper holds of one HTTP/2 connection whose ends do not read: 1 MiB at the server, 2 MiB at the client, and what
/// waits to be sent.
pub(crate) const fn hyper(http: Http) -> usize {
    match http {
        Http::One => 0,
        Http::Two => 5 * MIB,
    }
}

/// The threads of a test, and the read buffers that these allocate once.
pub(crate) const THREADS: usize = 2;
pub(crate) const SCRATCH: usize = THREADS * 64 * KIB;

/// Runs a test on its own: no other allocates meanwhile.
///
/// In a thread of its own as well, so that what that keeps for itself is given back before the next test.
pub(crate) fn alone<F>(test: F) -> F::Output
where
    F: Future<Output: Send> + Send,
{
    let mut runtime = Builder::new_multi_thread();
    alone_on(runtime.worker_threads(THREADS).enable_all(), test)
}

/// The same on one thread and in virtual time: over memory, everything happens in the same order each time.
pub(crate) fn alone_in_virtual_time<F>(test: F) -> F::Output
where
    F: Future<Output: Send> + Send,
{
    let mut runtime = Builder::new_current_thread();
    alone_on(runtime.enable_time().start_paused(true), test)
}

fn alone_on<F>(runtime: &mut Builder, test: F) -> F::Output
where
    F: Future<Output: Send> + Send,
{
    static ALONE: Mutex<()> = Mutex::new(());

    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtime.build().unwrap();
    thread::scope(|scope| {
        let test = scope.spawn(|| runtime.block_on(test));
        test.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What is allocated since a moment.
pub(crate) struct Heap {
    before: usize,
}

impl Heap {
    pub(crate) fn now() -> Self {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        Self { before }
    }

    /// The same once all sockets are idle: a second after the last traffic, policies are told of what was left to tell.
    pub(crate) async fn settled() -> Self {
        loop {
            let heap = Self::now();
            tokio::time::sleep(Duration::from_millis(1200)).await;
            if ALLOCATOR.current_usage() == heap.before {
                return heap;
            }
        }
    }

    /// By how many bytes there is more now.
    pub(crate) fn growth(&self) -> usize {
        ALLOCATOR.current_usage().saturating_sub(self.before)
    }

    /// By how many bytes there was more at most.
    pub(crate) fn peak(&self) -> usize {
        ALLOCATOR.peak_usage().saturating_sub(self.before)
    }

    /// There never was more than this much more.
    #[track_caller]
    pub(crate) fn assert_peak(&self, most: usize, row: impl fmt::Debug) {
        let peak = self.peak();
        assert!(peak <= most, "{peak} bytes, more than {most}: {row:?}");
    }
}

/// An echo application that takes messages up to this size.
pub(crate) fn echo(max_message_size: usize) -> App {
    let layer = UpgradeLayer::new().max_message_size(max_message_size);
    let layers = ServiceBuilder::new().layer(layer);
    app(layers.service(EchoService::new()))
}

/// The bytes of one of many sockets to this echo application that have been used and do nothing.
pub(crate) async fn idle(app: App) -> usize {
    /// These leave what all others share.
    const FIRST: usize = 100;
    const SOCKETS: usize = 900;

    let address = serve(Server::Hyper, Http::One, app).await;
    let mut open = Vec::with_capacity(FIRST + SOCKETS);
    for _ in 0..FIRST {
        open.push(used(address).await);
    }
    let before = Heap::settled().await;
    for _ in 0..SOCKETS {
        open.push(used(address).await);
    }
    Heap::settled().await;
    before.growth() / SOCKETS
}

async fn used(address: SocketAddr) -> Wire {
    let mut wire = Wire::open(Http::One, address).await;
    wire.echo("used").await;
    wire
}
