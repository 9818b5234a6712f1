//! `Closed` takes its code from the first Close that was queued or received. An abort, or the end of the input, before that
//! is 1006 (RFC 6455, 7.1.5 and 7.4.1). Later events change nothing, in every order.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::Layer;
use towline::{
    Action, CloseCode, ClosedBy, Drain, Event, PolicyFactory, SocketPolicy, SocketState, Sockets,
    UpgradeLayer, WebSocket, WebSocketUpgrade,
};
use towline_testing::memory::{endpoint_with, upgraded};
use towline_testing::watched::Peer;
use towline_testing::{CLOSE, Http, KIB, close_body, frame, next, secs, settle};

/// One way to end a socket.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// `Control::close`, as every handle has it.
    Close(u16),
    /// `Control::abort`, likewise.
    Abort,
    /// The owner drops the socket.
    Drop,
    /// A policy asks for a close.
    PolicyClose,
    /// For an end: a Close is attempted, and the transport dropped.
    PolicyEnd,
    /// For an abort.
    PolicyAbort,
    /// A drain closes the socket.
    DrainClose,
    /// The deadline of a drain passes.
    DrainDeadline,
    /// The peer closes.
    PeerCloses(u16),
    /// The peer is gone without a Close.
    PeerGoes,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (4000..4004_u16).prop_map(Op::Close),
        Just(Op::Abort),
        Just(Op::Drop),
        Just(Op::PolicyClose),
        Just(Op::PolicyEnd),
        Just(Op::PolicyAbort),
        Just(Op::DrainClose),
        Just(Op::DrainDeadline),
        (4010..4014_u16).prop_map(Op::PeerCloses),
        Just(Op::PeerGoes),
    ]
}

/// The reference model: the end and the code that `Closed` records if this came first.
fn expected(first: Op) -> (ClosedBy, u16) {
    match first {
        Op::Close(code) => (ClosedBy::Endpoint, code),
        Op::Abort => (ClosedBy::Endpoint, 1006),
        Op::Drop => (ClosedBy::Endpoint, 1000),
        Op::PolicyClose => (ClosedBy::Policy, 1008),
        Op::PolicyEnd => (ClosedBy::Policy, 1011),
        Op::PolicyAbort => (ClosedBy::Policy, 1006),
        Op::DrainClose => (ClosedBy::Drain, 1001),
        Op::DrainDeadline => (ClosedBy::Drain, 1006),
        Op::PeerCloses(code) => (ClosedBy::Peer, code),
        Op::PeerGoes => (ClosedBy::Transport, 1006),
    }
}

/// Asks for this when it is poked.
struct WhenPoked(Arc<Mutex<Action>>);

impl SocketPolicy for WhenPoked {
    fn on_event(&mut self, _: Instant, event: Event, _: &SocketState) -> Action {
        match event {
            Event::Poked => self.0.lock().unwrap().clone(),
            _ => Action::None,
        }
    }
}

/// Does all of this to one socket, and returns what `Closed` records. With `moments`, the driver runs after each step.
fn closed_after(ops: &[Op], moments: bool) -> (ClosedBy, u16) {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (sockets_of, mut sockets) = mpsc::unbounded_channel();
        let hand_over = move |socket: WebSocket| {
            let sockets_of = sockets_of.clone();
            async move {
                let closed = socket.closed();
                let _ = sockets_of.send(socket);
                closed.await;
            }
        };
        let asked = Arc::new(Mutex::new(Action::None));
        let asks = Arc::clone(&asked);
        let (app, _ends) = endpoint_with(hand_over, move |upgrade: WebSocketUpgrade| {
            let asks = Arc::clone(&asks);
            upgrade.policy(PolicyFactory::new(move |_| {
                Some(WhenPoked(Arc::clone(&asks)))
            }))
        });
        let registry = Sockets::new();
        let app = upgraded(UpgradeLayer::new().sockets(&registry).layer(app));
        let mut peer = Some(Peer::open(Http::One, app, 64 * KIB).await);
        let mut socket = Some(next(&mut sockets).await);
        let control = socket.as_ref().unwrap().control();
        let poke = |action| {
            *asked.lock().unwrap() = action;
            control.poke();
        };
        for op in ops {
            match op {
                Op::Close(code) => control.close(*code, "").unwrap(),
                Op::Abort => control.abort(),
                Op::Drop => drop(socket.take()),
                Op::PolicyClose => poke(Action::close(CloseCode::POLICY, "")),
                Op::PolicyEnd => poke(Action::end(CloseCode::INTERNAL_ERROR, "")),
                Op::PolicyAbort => poke(Action::Abort("")),
                Op::DrainClose | Op::DrainDeadline => {
                    let within = match op {
                        Op::DrainClose => secs(1000),
                        _ => Duration::ZERO,
                    };
                    let registry = registry.clone();
                    tokio::spawn(async move { registry.drain(Drain::new().within(within)).await });
                }
                Op::PeerCloses(code) => {
                    if let Some(peer) = &mut peer {
                        let close = frame(CLOSE, close_body(*code, ""));
                        // The server may have dropped the connection.
                        let _ = peer.try_write(close).await;
                    }
                }
                Op::PeerGoes => drop(peer.take()),
            }
            if moments {
                settle().await;
            }
        }
        // The longest end is that of a peer that answers nothing.
        let closed = timeout(secs(100), control.closed()).await;
        let closed = closed.expect("the socket does not end");
        (closed.by(), closed.code().into())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each of them has its effect before the next.
    #[test]
    fn whatever_comes_after_it(ops in vec(op(), 1..5)) {
        prop_assert_eq!(closed_after(&ops, true), expected(ops[0]), "{:?}", ops);
    }

    /// All at the same moment, before the driver has done anything: no Close was queued before the abort.
    #[test]
    fn an_abort_before_every_close_is_1006(ops in vec(op(), 1..5)) {
        let ops = [&[Op::Abort], &ops[..]].concat();
        prop_assert_eq!(closed_after(&ops, false), (ClosedBy::Endpoint, 1006), "{:?}", ops);
    }
}

/// The shortest of these orders.
#[test]
fn an_abort_and_then_a_drop_is_1006() {
    let closed = closed_after(&[Op::Abort, Op::Drop], false);
    assert_eq!(closed, (ClosedBy::Endpoint, 1006));
}

/// A Close that was written before an abort is the one that counts.
#[test]
fn a_close_and_later_an_abort_keeps_the_code() {
    let closed = closed_after(&[Op::Close(4000), Op::Abort], true);
    assert_eq!(closed, (ClosedBy::Endpoint, 4000));
}
