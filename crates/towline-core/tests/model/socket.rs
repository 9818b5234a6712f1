//! An open socket with its driver, and the functions that run it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use loom::thread::JoinHandle;
use towline_core::pipeline::{self, Driver, Offer};
use towline_core::{Limits, WebSocket, WebSocketUpgrade};

use crate::task::{Task, thread};
use crate::wire::{Peer, connect};

/// An open socket. Its driver sleeps in `task`.
pub(crate) struct Open {
    pub(crate) socket: WebSocket,
    pub(crate) driver: Driver,
    pub(crate) task: Arc<Task>,
    pub(crate) peer: Peer,
}

pub(crate) fn open() -> Open {
    open_with(|upgrade| upgrade)
}

/// A socket whose endpoint sets options.
pub(crate) fn open_with(
    options: impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Send + 'static,
) -> Open {
    let (io, peer) = connect();
    let accepted = Arc::new(Mutex::new(None));
    let service = service_fn(|mut request| {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let handshake = pipeline::head(&request).check().unwrap();
        let timeout = Duration::from_secs(1);
        let (mut offer, upgrade) = Offer::new(handshake, on_upgrade, Limits::default(), timeout);
        let mut accept = Box::pin(options(upgrade).accept());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(accept.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(Ok(layer)) = offer.poll_accepted(&mut cx) else {
            panic!("the offer was accepted");
        };
        *accepted.lock().unwrap() = Some((accept, layer.driver));
        let response = layer.head.map(|()| Empty::<Bytes>::new());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().serve_connection(io, service);
    let mut connection = pin!(connection.with_upgrades());
    let mut cx = Context::from_waker(Waker::noop());
    let served = connection.as_mut().poll(&mut cx);
    assert!(matches!(served, Poll::Ready(Ok(()))), "{served:?}");
    peer.open();

    let (mut accept, mut driver) = accepted.lock().unwrap().take().unwrap();
    let task = Task::new();
    poll_once(&mut driver, &task);
    let Poll::Ready(Ok(socket)) = accept.as_mut().poll(&mut cx) else {
        panic!("the connection is there");
    };
    Open {
        socket,
        driver,
        task,
        peer,
    }
}

/// Polls a driver that does not end now.
pub(crate) fn poll_once(driver: &mut Driver, task: &Arc<Task>) {
    let waker = Waker::from(Arc::clone(task));
    let polled = driver.poll(&mut Context::from_waker(&waker), |_, _| Ok(()));
    assert!(polled.is_pending());
}

/// Above this many queued bytes, `send` waits; see `Sender::send`.
const HIGH_WATER: usize = 64 * 1024;

/// A socket whose peer reads nothing, and of which so much is queued that the next `send` waits.
pub(crate) fn full() -> Open {
    blocked(&[0; HIGH_WATER + 1])
}

/// A socket whose peer reads nothing; `message` is queued.
pub(crate) fn blocked(message: &'static [u8]) -> Open {
    let mut open = open();
    open.peer.stop_reading();
    open.socket.try_send(Bytes::from_static(message)).unwrap();
    poll_once(&mut open.driver, &open.task);
    open
}

/// Runs a driver that sleeps in `task` to the end of its socket, in a thread of its own.
pub(crate) fn drive(driver: Driver, task: Arc<Task>) -> JoinHandle<()> {
    thread(move || {
        task.sleep();
        drive_here(driver, &task, pending());
    })
}

/// Runs a driver and an endpoint in its task to the end of the socket.
pub(crate) fn drive_with(
    driver: Driver,
    task: Arc<Task>,
    endpoint: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    thread(move || drive_here(driver, &task, endpoint))
}

/// The same, here.
pub(crate) fn drive_here(mut driver: Driver, task: &Arc<Task>, endpoint: impl Future<Output = ()>) {
    let mut endpoint = pin!(Some(endpoint));
    task.poll_on(|cx| {
        driver.poll(cx, |cx, _| {
            let running = endpoint.as_mut().as_pin_mut();
            if running.is_some_and(|endpoint| endpoint.poll(cx).is_ready()) {
                endpoint.set(None);
            }
            Ok(())
        })
    });
}
