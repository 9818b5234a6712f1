//! What a policy of one's own may ask for, and what it is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use towline::{
    Action, CloseCode, ClosedBy, Compression, Event, Opcode, PolicyFactory, SendError,
    SocketPolicy, SocketState, UpgradeLayer, WebSocket, WebSocketUpgrade,
};
use towline_testing::memory::{BOTH, Connection, endpoint_with, open, under};
use towline_testing::{Clock, MIB, secs};

async fn echo(mut socket: WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

fn with<P>(
    make: impl Fn(Instant) -> P + Clone + Send + Sync + 'static,
) -> impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Clone + Send
where
    P: SocketPolicy,
{
    move |upgrade| {
        let make = make.clone();
        upgrade.policy(PolicyFactory::new(move |now| Some(make(now))))
    }
}

/// Asks for this at its deadline.
struct At(Instant, Action);

impl SocketPolicy for At {
    fn deadline(&self) -> Option<Instant> {
        Some(self.0)
    }

    fn on_deadline(&mut self, now: Instant, _: &SocketState) -> Action {
        self.0 = now + secs(1000);
        self.1.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn each_action_is_done() {
    for version in BOTH {
        let at = |action: Action| with(move |now| At(now + secs(3), action.clone()));

        let (app, mut ends) = endpoint_with(echo, at(Action::close(CloseCode::POLICY, "enough")));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        let clock = Clock::start();
        let close = client.next().await.unwrap().unwrap();
        clock.assert(secs(3)..=secs(3));
        assert!(close.to_string().contains("enough"), "{close}");
        assert!(client.next().await.is_none());
        let closed = ends.next().await;
        assert_eq!(
            (closed.by(), closed.code()),
            (ClosedBy::Policy, CloseCode::POLICY)
        );
        assert!(closed.is_clean());

        let (app, mut ends) = endpoint_with(echo, at(Action::Abort("enough")));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        let closed = ends.next().await;
        assert_eq!(
            (closed.by(), closed.code()),
            (ClosedBy::Policy, CloseCode::ABNORMAL)
        );
        assert_eq!(closed.reason(), "enough");
        assert!(client.next().await.is_none_or(|message| message.is_err()));

        let (app, _ends) = endpoint_with(echo, at(Action::UnsolicitedPong));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        assert!(client.next().await.unwrap().unwrap().is_pong());

        let (app, _ends) = endpoint_with(echo, at(Action::Ping));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        assert!(client.next().await.unwrap().unwrap().is_ping());
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_waits_is_told_of_the_close() {
    for version in BOTH {
        let close = Action::close(CloseCode::POLICY, "enough");
        let options = with(move |now| At(now + secs(3), close.clone()));
        let (app, mut ends) = endpoint_with(echo, options);
        let client = open(version, under(UpgradeLayer::new(), app)).await;
        let clock = Clock::start();
        // The peer does not answer: it has as long as after an endpoint's close.
        let closed = ends.next().await;
        clock.assert(secs(13)..=secs(13));
        assert!(!closed.is_clean());
        drop(client);
    }
}

/// Reads nothing for a second after each message.
struct OneASecond;

impl SocketPolicy for OneASecond {
    fn on_event(&mut self, now: Instant, event: Event, _: &SocketState) -> Action {
        match event {
            Event::MessageReceived { .. } => Action::PauseReading(now + secs(1)),
            _ => Action::None,
        }
    }

    fn watches_messages(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn reading_is_paused_and_goes_on() {
    for version in BOTH {
        let (app, mut ends) = endpoint_with(echo, with(|_| OneASecond));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        let clock = Clock::start();
        for second in 0..5 {
            client.send(Message::text("one")).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_text());
            clock.assert(secs(second)..=secs(second));
        }
        // What waits unread is read when the socket closes.
        client.close(None).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_close());
        clock.assert(secs(5)..=secs(5));
        assert!(ends.next().await.is_clean());
    }
}

/// Writes down what it is told.
struct Recorder(Arc<Mutex<Vec<Event>>>);

impl SocketPolicy for Recorder {
    fn on_event(&mut self, _: Instant, event: Event, _: &SocketState) -> Action {
        self.0.lock().unwrap().push(event);
        match event {
            Event::Poked => Action::Ping,
            _ => Action::None,
        }
    }

    fn watches_messages(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_what_happens() {
    async fn poke_and_echo(socket: WebSocket) -> Result<(), SendError> {
        socket.control().poke();
        echo(socket).await
    }
    for version in BOTH {
        let told = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&told);
        let options = with(move |_| Recorder(Arc::clone(&recorder)));
        let (app, mut ends) = endpoint_with(poke_and_echo, options);
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        assert!(client.next().await.unwrap().unwrap().is_ping());
        sleep(secs(2)).await;
        client.flush().await.unwrap();
        sleep(secs(1)).await;
        client.send(Message::text("hello")).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_text());
        client.close(None).await.unwrap();
        while client.next().await.is_some() {}
        ends.next().await;

        let told = told.lock().unwrap();
        let others: Vec<_> = told
            .iter()
            .filter(|event| !matches!(event, Event::Transferred { .. }))
            .collect();
        let (opcode, len) = (Opcode::Text, 5);
        let token = 1;
        let round_trip = secs(2);
        let [poked, sent, pong, received, echoed, rest @ ..] = &others[..] else {
            panic!("{others:?}");
        };
        assert_eq!(**poked, Event::Poked);
        assert_eq!(**sent, Event::PingSent { token });
        assert_eq!(**pong, Event::Pong { token, round_trip });
        assert_eq!(**received, Event::MessageReceived { opcode, len });
        assert_eq!(**echoed, Event::MessageSent { opcode, len });
        assert_eq!(rest.last(), Some(&&Event::CloseQueued));
        // An unmasked frame is 4 bytes shorter than the peer's.
        let transferred = told.iter().filter_map(|event| match event {
            Event::Transferred { received, written } => Some((received, written)),
            _ => None,
        });
        let (received, written) =
            transferred.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
        assert_eq!((received, written), (14 + 11 + 6, 10 + 7 + 2));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_of_what_comes_together_with_the_close() {
    for version in BOTH {
        let told = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&told);
        let options = with(move |_| Recorder(Arc::clone(&recorder)));
        let (app, mut ends) = endpoint_with(echo, options);
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        client.feed(Message::text("hello")).await.unwrap();
        client.feed(Message::Close(None)).await.unwrap();
        client.flush().await.unwrap();
        while client.next().await.is_some() {}
        ends.next().await;

        let (opcode, len) = (Opcode::Text, 5);
        let received = Event::MessageReceived { opcode, len };
        let told = told.lock().unwrap();
        let count = told.iter().filter(|event| **event == received).count();
        assert_eq!(count, 1, "{version:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_of_what_is_sent_when_nothing_else_happens() {
    async fn tick(mut socket: WebSocket) -> Result<(), SendError> {
        for _ in 0..3 {
            socket.send("tick").await?;
            sleep(secs(2)).await;
        }
        sleep(secs(100)).await;
        Ok(())
    }
    for version in BOTH {
        let told = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&told);
        let (app, _ends) = endpoint_with(tick, with(move |_| Recorder(Arc::clone(&recorder))));
        let _client = open(version, under(UpgradeLayer::new(), app)).await;
        sleep(secs(5)).await;
        let (opcode, len) = (Opcode::Text, 4);
        let sent = Event::MessageSent { opcode, len };
        let told = told.lock().unwrap();
        let count = told.iter().filter(|event| **event == sent).count();
        assert_eq!(count, 3, "{version:?}: {told:?}");
    }
}

/// Writes down when reading or writing stopped, and when reading went on.
struct Stops(Arc<Mutex<Vec<(Event, Instant)>>>);

impl SocketPolicy for Stops {
    fn on_event(&mut self, now: Instant, event: Event, _: &SocketState) -> Action {
        if matches!(
            event,
            Event::ReadingStopped | Event::ReadingResumed | Event::WriteBlocked
        ) {
            self.0.lock().unwrap().push((event, now));
        }
        Action::None
    }
}

/// Of traffic it is told later, of this it is not.
#[tokio::test(start_paused = true)]
async fn it_is_told_at_once_when_the_reading_of_a_busy_socket_stops() {
    const BUSY: usize = 20;
    const PAUSE: Duration = Duration::from_millis(300);

    async fn pause(mut socket: WebSocket) -> Result<(), SendError> {
        for _ in 0..BUSY {
            let message = socket.recv().await.unwrap();
            socket.send(message).await?;
        }
        sleep(PAUSE).await;
        echo(socket).await
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let stops = Arc::clone(&told);
    let (app, _ends) = endpoint_with(pause, with(move |_| Stops(Arc::clone(&stops))));
    let mut client = open(BOTH[0], under(UpgradeLayer::new(), app)).await;
    for _ in 0..BUSY {
        client.send(Message::text("busy")).await.unwrap();
        client.next().await.unwrap().unwrap();
    }
    let start = tokio::time::Instant::now().into_std();
    for _ in 0..200 {
        client.feed(Message::text("more")).await.unwrap();
    }
    client.flush().await.unwrap();
    sleep(secs(5)).await;

    let told = told.lock().unwrap();
    let [(stopped, at), (resumed, again), ..] = told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (stopped, resumed),
        (Event::ReadingStopped, Event::ReadingResumed)
    );
    let close = Duration::from_millis(20);
    assert!(at - start < close, "{:?}", at - start);
    assert!(again - start < PAUSE + close, "{:?}", again - start);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_at_once_when_the_writing_of_a_busy_socket_blocks() {
    const BUSY: usize = 20;

    async fn flood(mut socket: WebSocket) -> Result<(), SendError> {
        for _ in 0..BUSY {
            let message = socket.recv().await.unwrap();
            socket.send(message).await?;
        }
        // Nothing but messages: it asks for no look at anything else.
        socket.recv().await;
        socket.send(vec![0; MIB]).await?;
        sleep(secs(100)).await;
        Ok(())
    }
    for version in BOTH {
        let told = Arc::new(Mutex::new(Vec::new()));
        let stops = Arc::clone(&told);
        let (app, _ends) = endpoint_with(flood, with(move |_| Stops(Arc::clone(&stops))));
        let mut client = open(version, under(UpgradeLayer::new(), app)).await;
        for _ in 0..BUSY {
            client.send(Message::text("busy")).await.unwrap();
            client.next().await.unwrap().unwrap();
        }
        let start = tokio::time::Instant::now().into_std();
        client.send(Message::text("flood")).await.unwrap();
        sleep(secs(5)).await;

        let told = told.lock().unwrap();
        let [(Event::WriteBlocked, at)] = told[..] else {
            panic!("{version:?}: {told:?}");
        };
        let late = at - start;
        assert!(late < Duration::from_millis(20), "{version:?}: {late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_told_of_a_ping_beside_compressed_messages() {
    async fn ping_and_send(mut socket: WebSocket) -> Result<(), SendError> {
        socket.control().poke();
        socket.send(vec![0; 4 * MIB]).await?;
        socket.closed().await;
        Ok(())
    }
    for version in BOTH {
        let told = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&told);
        let policy = with(move |_| Recorder(Arc::clone(&recorder)));
        let options =
            move |upgrade| policy(WebSocketUpgrade::compression(upgrade, Compression::new()));
        let (app, _ends) = endpoint_with(ping_and_send, options);
        let (name, value) = ("sec-websocket-extensions", "permessage-deflate");
        let offer = [(name.parse().unwrap(), value.parse().unwrap())];
        let mut connection = Connection::open(version, under(UpgradeLayer::new(), app)).await;
        let mut client = connection.offering(offer.into_iter().collect()).await;
        let mut bytes = vec![0; MIB];
        while timeout(secs(1), client.read(&mut bytes))
            .await
            .is_ok_and(|read| read.unwrap() > 0)
        {}

        let told = told.lock().unwrap();
        assert!(told.contains(&Event::PingSent { token: 1 }), "{told:?}");
    }
}

/// Writes down how many messages came and were taken, as of each event.
struct Counts(Arc<Mutex<Vec<(u64, u64)>>>);

impl SocketPolicy for Counts {
    fn on_event(&mut self, _: Instant, _: Event, state: &SocketState) -> Action {
        self.0.lock().unwrap().push((state.received, state.taken));
        Action::None
    }
}

#[tokio::test(start_paused = true)]
async fn it_knows_how_many_messages_were_taken() {
    async fn one(mut socket: WebSocket) {
        assert!(socket.recv().await.is_some());
        socket.closed().await;
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let counts = Arc::clone(&told);
    let (app, mut ends) = endpoint_with(one, with(move |_| Counts(Arc::clone(&counts))));
    let mut client = open(BOTH[0], under(UpgradeLayer::new(), app)).await;
    for _ in 0..2 {
        client.send(Message::text("hello")).await.unwrap();
        sleep(secs(2)).await;
    }
    client.close(None).await.unwrap();
    while client.next().await.is_some() {}
    ends.next().await;
    let told = told.lock().unwrap();
    assert!(told.contains(&(1, 1)) && told.contains(&(2, 1)), "{told:?}");
}

/// A second policy beside [`At`].
struct Also(At);

impl SocketPolicy for Also {
    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    fn on_deadline(&mut self, now: Instant, state: &SocketState) -> Action {
        self.0.on_deadline(now, state)
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_the_strongest_is_done() {
    let close = || Action::close(CloseCode::POLICY, "closed");
    let end = || Action::end(CloseCode::POLICY, "ended");
    for (weak, strong, reason, lasts) in [
        (Action::Ping, close(), "closed", 13),
        (close(), end(), "ended", 3),
        (end(), Action::Abort("aborted"), "aborted", 3),
    ] {
        for (first, second) in [(weak.clone(), strong.clone()), (strong, weak)] {
            let options = move |upgrade: WebSocketUpgrade| {
                let (first, second) = (first.clone(), second.clone());
                let at = |now: Instant, action: &Action| Some(At(now + secs(3), action.clone()));
                upgrade
                    .policy(PolicyFactory::new(move |now| at(now, &first)))
                    .policy(PolicyFactory::new(move |now| at(now, &second).map(Also)))
            };
            let (app, mut ends) = endpoint_with(echo, options);
            // It answers nothing.
            let _client = open(BOTH[0], under(UpgradeLayer::new(), app)).await;
            let clock = Clock::start();
            assert_eq!(ends.next().await.reason(), reason);
            clock.assert(secs(lasts)..=secs(lasts));
        }
    }
}
