//! Every setting that is a duration takes `Duration::MAX`, and nearly as long ones, as "for ever".

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{Request, Response, Version};
use http_body_util::Empty;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as Code;
use tower::{Layer, service_fn};
use towline::keepalive::{KeepAlive, Strategy};
use towline::test_util::{Client, connect, http1};
use towline::upgrade::Drained;
use towline::{
    Action, CloseCode, ClosedBy, Drain, Event, PolicyFactory, SendError, SocketPolicy, SocketState,
    Sockets, UpgradeLayer, WebSocket, WebSocketUpgrade,
};
use towline_testing::memory::{App, BOTH, endpoint, endpoint_with, open, under, upgraded};
use towline_testing::{MIB, secs};

const HOUR: Duration = secs(3600);
const YEAR: Duration = secs(365 * 24 * 3600);

/// More than is on its way to a client that reads nothing.
const A_LOT: usize = 4 * MIB;

/// Durations that no clock can add, and that arithmetic with other units overflows by: a tenth more, milliseconds or
/// nanoseconds in 64 bits, a timer that rounds up to its next tick.
fn for_ever() -> Vec<Duration> {
    let last = last();
    vec![
        YEAR * 10,
        YEAR * 1000,
        Duration::from_nanos(u64::MAX),
        Duration::from_millis(u64::MAX),
        Duration::from_secs(i64::MAX as u64),
        last - YEAR,
        last - Duration::from_nanos(1),
        last,
        Duration::MAX / 2,
        Duration::MAX / 10 * 9,
        Duration::MAX - Duration::from_nanos(1),
        Duration::MAX,
    ]
}

/// An entry of [`for_ever`], computed when it is used: the clock moves, and with it the longest wait that it can tell.
#[derive(Clone, Copy)]
struct Wait(usize);

impl Wait {
    fn now(self) -> Duration {
        for_ever()[self.0]
    }
}

/// The longest wait that ends within what the clock can tell.
fn last() -> Duration {
    let now = Instant::now();
    let (mut possible, mut impossible) = (Duration::ZERO, Duration::MAX);
    while impossible - possible > Duration::from_nanos(1) {
        let middle = possible + (impossible - possible) / 2;
        match now.checked_add(middle) {
            Some(_) => possible = middle,
            None => impossible = middle,
        }
    }
    possible
}

/// Tries `case` with each duration over both versions of HTTP, and names those with which it fails.
async fn with_each<F>(name: &str, case: impl Fn(Version, Wait) -> F) -> Vec<String>
where
    F: Future<Output = ()>,
{
    let mut failed = Vec::new();
    for version in BOTH {
        for turn in 0..for_ever().len() {
            let wait = Wait(turn);
            let duration = wait.now();
            let case = timeout(2 * YEAR, case(version, wait));
            let result = AssertUnwindSafe(case).catch_unwind().await;
            if !matches!(result, Ok(Ok(()))) {
                failed.push(format!("{name} of {duration:?} over {version:?}"));
            }
        }
    }
    failed
}

/// Echoes, and takes an hour over some messages.
async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        match message.as_bytes() {
            b"stall" => sleep(HOUR).await,
            b"a lot" => socket.send(vec![7; A_LOT]).await?,
            _ => {}
        }
        socket.send(message).await?;
    }
    Ok(())
}

async fn asks(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
    while client.next().await.unwrap().unwrap() != Message::text(text) {}
}

async fn closes(client: &mut Client) {
    client.close(None).await.unwrap();
    while client.next().await.is_some() {}
}

/// A handshake, echoes, an hour of silence, one in which the peer reads nothing, one in which the endpoint reads nothing, and
/// an orderly end.
async fn whole_life(version: Version, layer: UpgradeLayer, keep_alive: KeepAlive) {
    let (app, mut ends) = endpoint(echo);
    let app = keep_alive.layer().unwrap().layer(app);
    let mut client = open(version, upgraded(layer.layer(app))).await;
    asks(&mut client, "first").await;
    sleep(HOUR).await;
    asks(&mut client, "behind a silence").await;

    client.send(Message::text("a lot")).await.unwrap();
    sleep(HOUR).await;
    let mut message = client.next().await.unwrap().unwrap();
    while !message.is_binary() {
        message = client.next().await.unwrap().unwrap();
    }
    assert_eq!(message.len(), A_LOT);

    client.send(Message::text("stall")).await.unwrap();
    // More than the receive queue has room for.
    for _ in 0..100 {
        client.send(Message::text("waits")).await.unwrap();
    }
    sleep(HOUR).await;
    ends.assert_none();
    asks(&mut client, "behind a stall").await;

    closes(&mut client).await;
    let closed = ends.next().await;
    assert!(closed.is_clean(), "{closed}");
    assert_eq!(closed.by(), ClosedBy::Peer);
}

#[tokio::test(start_paused = true)]
async fn each_setting_of_a_socket() {
    let keep_alive = || {
        KeepAlive::new()
            .interval(None)
            .write_timeout(None)
            .stall_timeout(None)
    };
    type Set = fn(UpgradeLayer, KeepAlive, Duration) -> (UpgradeLayer, KeepAlive);
    let settings: [(&str, Set); 10] = [
        ("handshake_timeout", |layer, alive, it| {
            (layer.handshake_timeout(it), alive)
        }),
        ("endpoint_grace", |layer, alive, it| {
            (layer.endpoint_grace(it), alive)
        }),
        ("interval", |layer, alive, it| (layer, alive.interval(it))),
        ("interval of pongs", |layer, alive, it| {
            let alive = alive.strategy(Strategy::UnsolicitedPong);
            (layer, alive.interval(it))
        }),
        ("timeout", |layer, alive, it| {
            (layer, alive.interval(secs(30)).timeout(it))
        }),
        ("idle_timeout", |layer, alive, it| {
            (layer, alive.idle_timeout(it))
        }),
        ("max_lifetime", |layer, alive, it| {
            (layer, alive.max_lifetime(it))
        }),
        ("write_timeout", |layer, alive, it| {
            (layer, alive.write_timeout(it))
        }),
        ("stall_timeout", |layer, alive, it| {
            (layer, alive.stall_timeout(it))
        }),
        ("all", |layer, alive, it| {
            let layer = layer.handshake_timeout(it).endpoint_grace(it);
            let alive = alive.interval(it).timeout(it).idle_timeout(it);
            let alive = alive.max_lifetime(it).write_timeout(it);
            (layer, alive.stall_timeout(it))
        }),
    ];
    let mut failed = Vec::new();
    for (name, set) in settings {
        let case = |version, it: Wait| {
            let (layer, keep_alive) = set(UpgradeLayer::new(), keep_alive(), it.now());
            whole_life(version, layer, keep_alive)
        };
        failed.extend(with_each(name, case).await);
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The endpoint returns an hour after the end of its socket.
#[tokio::test(start_paused = true)]
async fn the_grace_of_an_endpoint() {
    let case = |_, it: Wait| async move {
        let (returned, mut returns) = mpsc::unbounded_channel();
        let service = service_fn(move |request: Request<_>| {
            let returned = returned.clone();
            async move {
                let accepted = WebSocketUpgrade::of(&request).unwrap().accept().await;
                accepted.unwrap().closed().await;
                sleep(HOUR).await;
                returned.send(()).unwrap();
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let layer = UpgradeLayer::new().endpoint_grace(it.now());
        let (mut client, _) = connect(layer.layer(service), http1("/")).await.unwrap();
        closes(&mut client).await;
        returns.recv().await.unwrap();
    };
    let failed = with_each("endpoint_grace", case).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Two sockets that a drain ends by `drain`; those that it does not close end by themselves after an hour. How many Close
/// frames came before that.
async fn drained(version: Version, drain: impl FnOnce() -> Drain) -> (usize, Drained) {
    let sockets = Sockets::new();
    let (app, _ends) = endpoint(echo);
    let app = upgraded(UpgradeLayer::new().sockets(&sockets).layer(app));
    let clients = [open(version, app.clone()).await, open(version, app).await];
    let lives = clients.map(|mut client| {
        tokio::spawn(async move {
            asks(&mut client, "first").await;
            match timeout(HOUR, client.next()).await {
                Ok(message) => {
                    let Some(Ok(Message::Close(Some(frame)))) = message else {
                        panic!("{message:?}");
                    };
                    assert_eq!(frame.code, Code::Away);
                    while client.next().await.is_some() {}
                    1
                }
                Err(_) => {
                    closes(&mut client).await;
                    0
                }
            }
        })
    });
    sleep(secs(1)).await;
    let drained = sockets.drain(drain()).await.unwrap();
    let mut closes = 0;
    for life in lives {
        closes += life.await.unwrap();
    }
    (closes, drained)
}

#[tokio::test(start_paused = true)]
async fn each_setting_of_a_drain() {
    type Set = fn(Drain, Duration) -> Drain;
    let settings: [(&str, usize, Set); 5] = [
        ("within", 2, |drain, it| drain.within(it)),
        ("grace", 0, |drain, it| {
            drain.within(Duration::MAX).grace(it)
        }),
        ("spread", 1, |drain, it| {
            drain.within(Duration::MAX).spread(it)
        }),
        ("grace and within", 0, |drain, it| {
            drain.within(it).grace(it)
        }),
        ("all", 0, |drain, it| {
            drain.within(Duration::MAX).grace(it).spread(it)
        }),
    ];
    let mut failed = Vec::new();
    for (name, expected, set) in settings {
        let case = |version, it: Wait| async move {
            let drain = || set(Drain::new(), it.now());
            let (closes, drained) = drained(version, drain).await;
            assert_eq!((drained.closed, drained.aborted), (2, 0));
            assert_eq!(closes, expected);
        };
        failed.extend(with_each(name, case).await);
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A policy may name any instant that the clock can tell.
#[tokio::test(start_paused = true)]
async fn each_deadline_of_a_policy() {
    struct Never(std::time::Instant);

    impl SocketPolicy for Never {
        fn deadline(&self) -> Option<std::time::Instant> {
            Some(self.0)
        }

        fn on_event(&mut self, _: std::time::Instant, event: Event, _: &SocketState) -> Action {
            match event {
                Event::Poked => Action::PauseReading(self.0),
                _ => Action::None,
            }
        }

        fn on_deadline(&mut self, _: std::time::Instant, _: &SocketState) -> Action {
            Action::close(CloseCode::POLICY, "for ever is over")
        }
    }

    let case = |version, it: Wait| async move {
        let Some(at) = Instant::now().checked_add(it.now()) else {
            return;
        };
        let policy = PolicyFactory::new(move |_| Some(Never(at.into_std())));
        let app: App = endpoint_with(
            async |mut socket: WebSocket| {
                while let Some(message) = socket.recv().await {
                    socket.send(message).await?;
                    socket.control().poke();
                }
                Ok::<_, SendError>(())
            },
            move |upgrade| upgrade.policy(policy.clone()),
        )
        .0;
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        asks(&mut client, "first").await;
        sleep(HOUR).await;
        client.send(Message::text("held back")).await.unwrap();
        assert!(timeout(HOUR, client.next()).await.is_err());
    };
    let failed = with_each("deadline", case).await;
    assert!(failed.is_empty(), "{failed:#?}");
}
