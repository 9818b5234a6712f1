//! Endpoints of every kind meet clients that cut their frames anywhere, read late, and end in every way. Whoever waits for a
//! wake-up that never comes hangs the test; the seed is in its message.
//!
//! The variables `SOCKETS` and `FIRST` say how many sockets there are, and the seed of the first.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response};
use http_body_util::Full;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{consume_budget, spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};
use tower::{ServiceBuilder, service_fn};
use towline::keepalive::KeepAlive;
use towline::{
    Action, Event, PolicyFactory, SendError, SocketPolicy, SocketState, UpgradeLayer, WebSocket,
    WebSocketUpgrade,
};
use towline_testing::{
    App, BINARY, CLOSE, HANDSHAKE, Http, LONG, NoBody, PING, PONG, Random, Server, app, close_body,
    frame, header, read_frame, serve,
};

use crate::no_wake_up_is_lost_at_random::echo_one;

/// How many sockets a test opens, and how many at a time.
const SOCKETS: u64 = 60;
const AT_ONCE: usize = 12;

/// What is in store for one socket, known to both of its ends.
struct Plan {
    seed: u64,
    /// Of the client's messages.
    sizes: Vec<usize>,
    end: End,
    keep_alive: bool,
    whims: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    HalfClose,
    Reset,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let sizes = match random.below(4) {
            // As many, or as many bytes, as wait for an endpoint before the peer has to.
            0 => vec![random.below(20) as usize; 64 * (1 + random.below(4) as usize)],
            1 => vec![1024; 64 * (1 + random.below(3) as usize)],
            2 => vec![64 * 1024 - 1 + random.below(3) as usize; 3],
            _ => (0..random.below(300)).map(|_| random.size()).collect(),
        };
        Self {
            seed,
            sizes,
            end: match random.below(5) {
                0 => End::HalfClose,
                1 => End::Reset,
                _ => End::Close,
            },
            keep_alive: random.below(2) == 0,
            whims: random.below(2) == 0,
        }
    }

    /// Whether the endpoint echoes.
    fn echoes(&self) -> bool {
        self.seed % 7 != 5
    }

    fn random(&self, side: u64) -> Random {
        Random(self.seed.wrapping_mul(0xd134_2543_de82_ef95) ^ (side << 40) | 1)
    }
}

/// A policy that asks for whatever is harmless.
struct Whims {
    random: Random,
    next: Instant,
    watches_messages: bool,
}

impl Whims {
    fn any(&mut self, now: Instant) -> Action {
        match self.random.below(20) {
            0 => Action::PauseReading(now + Duration::from_millis(self.random.below(4))),
            1 => Action::Ping,
            2 => Action::UnsolicitedPong,
            _ => Action::None,
        }
    }
}

impl SocketPolicy for Whims {
    fn on_event(&mut self, now: Instant, _: Event, _: &SocketState) -> Action {
        self.any(now)
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn on_deadline(&mut self, now: Instant, _: &SocketState) -> Action {
        self.next = now + Duration::from_millis(self.random.below(50));
        self.any(now)
    }

    fn watches_messages(&self) -> bool {
        self.watches_messages
    }
}

fn with_policies(mut upgrade: WebSocketUpgrade, plan: &Plan) -> WebSocketUpgrade {
    if plan.keep_alive {
        let keep_alive = KeepAlive::new().interval(Duration::from_millis(50));
        upgrade = upgrade.policy(keep_alive.policy().unwrap());
    }
    if plan.whims {
        let (seed, watches_messages) = (plan.seed, plan.seed % 8 < 4);
        upgrade = upgrade.policy(PolicyFactory::new(move |next| {
            Some(Whims {
                random: Random(seed),
                next,
                watches_messages,
            })
        }));
    }
    upgrade
}

/// Serves until the end, in one of many ways.
async fn endpoint(socket: WebSocket, plan: Plan) {
    let random = plan.random(1);
    // A peer that went away is no failure.
    let _ = match plan.seed % 7 {
        0 => echo(socket, random).await,
        1 => tokio::spawn(echo(socket, random)).await.unwrap(),
        2 => {
            // On a thread of its own.
            let handle = Handle::current();
            let echo = spawn_blocking(move || handle.block_on(echo(socket, random)));
            echo.await.unwrap()
        }
        3 => wander(socket, random).await,
        4 => halves(socket, random).await,
        5 => discard(socket, random).await,
        _ => linger(socket, random).await,
    };
}

async fn echo(mut socket: WebSocket, mut random: Random) -> Result<(), SendError> {
    while echo_one(&mut socket, &mut random).await? {
        dally(&mut socket, &mut random).await;
    }
    Ok(())
}

/// Keeps its handle to the end.
async fn linger(mut socket: WebSocket, mut random: Random) -> Result<(), SendError> {
    while echo_one(&mut socket, &mut random).await? {
        dally(&mut socket, &mut random).await;
    }
    socket.closed().await;
    Ok(())
}

/// From task to task.
async fn wander(mut socket: WebSocket, mut random: Random) -> Result<(), SendError> {
    loop {
        let elsewhere = random.below(2) == 0;
        let stretch = async move {
            for _ in 0..random.below(10) {
                if !echo_one(&mut socket, &mut random).await? {
                    return Ok(None);
                }
            }
            // Leaves a waker behind.
            match socket.recv().now_or_never() {
                Some(Some(message)) => socket.send(message).await?,
                Some(None) => return Ok(None),
                None => {}
            }
            Ok(Some((socket, random)))
        };
        let next = if elsewhere {
            tokio::spawn(stretch).await.unwrap()
        } else {
            stretch.await
        };
        match next? {
            Some(next) => (socket, random) = next,
            None => return Ok(()),
        }
    }
}

/// Receives here, and sends from there.
async fn halves(socket: WebSocket, mut random: Random) -> Result<(), SendError> {
    let (sender, mut receiver) = socket.split();
    let (inner, mut messages) = mpsc::channel(1 + random.below(40) as usize);
    let forward = async move {
        while let Some(message) = messages.recv().await {
            sender.send(message).await?;
        }
        sender.flush().await
    };
    let receive = async move {
        while let Some(message) = receiver.recv().await {
            if inner.send(message).await.is_err() {
                break;
            }
        }
        receiver
    };
    // Where the end is seen in the driver's own task, its answer does not wait for what others have still to send.
    match random.below(4) {
        0 => join(forward, receive).await.0,
        1 => join(forward, tokio::spawn(receive)).await.0,
        2 => join(tokio::spawn(forward), tokio::spawn(receive))
            .await
            .0
            .unwrap(),
        _ => {
            let handle = Handle::current();
            let forward = spawn_blocking(move || handle.block_on(forward));
            join(forward, tokio::spawn(receive)).await.0.unwrap()
        }
    }
}

/// Takes nothing and sends from elsewhere, as long as it can.
async fn discard(socket: WebSocket, mut random: Random) -> Result<(), SendError> {
    let (sender, mut receiver) = socket.split();
    let flood = tokio::spawn(async move {
        for _ in 0..random.below(200) {
            sender.send(vec![0; random.size()]).await?;
            if random.below(10) == 0 {
                yield_now().await;
            }
        }
        Ok(())
    });
    if receiver.recv().now_or_never().is_none() {
        receiver.discard().await;
    }
    flood.await.unwrap()
}

/// Does something else for a while, or nothing.
async fn dally(socket: &mut WebSocket, random: &mut Random) {
    match random.below(60) {
        0 => sleep(Duration::from_millis(random.below(3))).await,
        // Leaves nothing of the task's budget.
        1 => {
            let mut spins = Box::pin(async {
                for _ in 0..1000 {
                    consume_budget().await;
                }
            });
            let _ = poll_once(&mut spins).await;
        }
        2 => {
            let _ = socket.flush().await;
        }
        3 => {
            let _ = timeout(Duration::from_millis(1), socket.ping()).await;
        }
        _ => {}
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

struct Client {
    plan: Plan,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn open(address: SocketAddr, plan: Plan) -> Self {
        let mut random = plan.random(2);
        let socket = TcpSocket::new_v4().unwrap();
        if random.below(3) == 0 {
            socket.set_recv_buffer_size(8 * 1024).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let request = format!("GET /{} ", plan.seed);
        let request = HANDSHAKE.replace("GET /ws ", &request);
        writer.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reader.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        Self {
            plan,
            reader,
            writer,
        }
    }

    async fn run(self) {
        let Self {
            plan,
            reader,
            mut writer,
        } = self;
        let (pongs, pinged) = mpsc::unbounded_channel();
        let write = async {
            write(&mut writer, &plan, pinged).await;
            if plan.end == End::HalfClose {
                writer.shutdown().await.unwrap();
            }
        };
        if plan.end != End::Reset {
            join(write, read(reader, &plan, pongs)).await;
            return;
        }
        let mut random = plan.random(5);
        let both = join(write, read(reader, &plan, pongs));
        let _ = timeout(Duration::from_millis(random.below(20)), both).await;
        let _ = SockRef::from(writer.as_ref()).set_linger(Some(Duration::ZERO));
    }
}

/// Sends all messages, cut anywhere, and answers pings in between.
async fn write(writer: &mut OwnedWriteHalf, plan: &Plan, mut pinged: UnboundedReceiver<Vec<u8>>) {
    let mut random = plan.random(2);
    let mut bytes = Vec::new();
    let hurried = random.below(2) == 0;
    for (index, &size) in plan.sizes.iter().enumerate() {
        while let Ok(payload) = pinged.try_recv() {
            bytes.extend(frame(PONG, payload));
        }
        if random.below(30) == 0 {
            bytes.extend(frame(PING, [b'x'; 7]));
        }
        let payload = vec![index as u8; size];
        if size > 1 && random.below(10) == 0 {
            let (first, last) = payload.split_at(random.below(size as u64) as usize);
            bytes.extend(frame(BINARY & 0x0f, first));
            bytes.extend(frame(0x80, last));
        } else {
            bytes.extend(frame(BINARY, payload));
        }
        if random.below(if hurried { 200 } else { 10 }) == 0 {
            cut(writer, &mut bytes, &mut random).await;
        }
    }
    if plan.end == End::Close {
        if random.below(2) == 0 {
            cut(writer, &mut bytes, &mut random).await;
        }
        bytes.extend(frame(CLOSE, close_body(1000, "")));
    } else if random.below(2) == 0 {
        // Never finished.
        bytes.extend(header(BINARY, 1 + random.below(100_000)));
    }
    cut(writer, &mut bytes, &mut random).await;
}

async fn cut(writer: &mut OwnedWriteHalf, bytes: &mut Vec<u8>, random: &mut Random) {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let most = [1 << 20, 70_000, 5_000, 10][random.below(8).min(3) as usize];
        let (first, behind) = rest.split_at(rest.len().min(1 + random.below(most) as usize));
        // The server may be gone.
        if writer.write_all(first).await.is_err() {
            break;
        }
        rest = behind;
        match random.below(20) {
            0 => sleep(Duration::from_millis(random.below(3))).await,
            1..=4 => yield_now().await,
            _ => {}
        }
    }
    bytes.clear();
}

/// Reads to the end; what comes is what was sent, if that is echoed.
async fn read(reader: OwnedReadHalf, plan: &Plan, pongs: UnboundedSender<Vec<u8>>) {
    let mut random = plan.random(4);
    if random.below(4) == 0 {
        sleep(Duration::from_millis(random.below(30))).await;
    }
    let mut reader = BufReader::with_capacity(1 + random.below(5_000) as usize, reader);
    let mut index = 0;
    let closes = loop {
        let frame = match read_frame(&mut reader).await {
            Ok(frame) => frame,
            Err(error) if plan.end == End::Close => panic!("{error}"),
            Err(_) => None,
        };
        match frame {
            Some((BINARY, payload)) => {
                if plan.echoes() {
                    let sent = plan.sizes[index];
                    assert!(payload == vec![index as u8; sent], "message {index}");
                }
                index += 1;
            }
            Some((PING, payload)) => drop(pongs.send(payload)),
            Some((PONG, _)) => {}
            Some((CLOSE, _)) => break true,
            Some((first, _)) => panic!("{first:x}"),
            None => break false,
        }
        if random.below(200) == 0 {
            sleep(Duration::from_millis(random.below(10))).await;
        }
    };
    if plan.end == End::Close {
        assert!(closes, "no Close");
        assert!(
            !plan.echoes() || index == plan.sizes.len(),
            "{index} messages"
        );
    }
}

fn application(ends: UnboundedSender<u64>) -> App {
    let service = service_fn(move |request: Request<NoBody>| {
        let ends = ends.clone();
        async move {
            let seed = request.uri().path()[1..].parse().unwrap();
            let plan = Plan::of(seed);
            let upgrade = with_policies(WebSocketUpgrade::of(&request).unwrap(), &plan);
            let served = upgrade.serve(|socket| endpoint(socket, plan)).await;
            ends.send(seed).unwrap();
            Ok::<_, Infallible>(Response::<Full<Bytes>>::from(served.unwrap()))
        }
    });
    app(ServiceBuilder::new()
        .layer(UpgradeLayer::new())
        .service(service))
}

async fn run() {
    let sockets = std::env::var("SOCKETS").map_or(SOCKETS, |it| it.parse().unwrap());
    let first = std::env::var("FIRST").map_or(1, |it| it.parse().unwrap());
    let (ended, mut ends) = mpsc::unbounded_channel();
    let address = serve(Server::Hyper, Http::One, application(ended)).await;
    let mut open: BTreeSet<u64> = (first..first + sockets).collect();
    let all = open.clone();
    stream::iter(all)
        .for_each_concurrent(AT_ONCE, |seed| async move {
            let plan = Plan::of(seed);
            let socket = AssertUnwindSafe(async { Client::open(address, plan).await.run().await });
            match timeout(LONG, socket.catch_unwind()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => panic!("at the socket of seed {seed}"),
                Err(_) => panic!("the socket of seed {seed} hangs"),
            }
        })
        .await;
    while !open.is_empty() {
        match timeout(LONG, ends.recv()).await {
            Ok(seed) => assert!(open.remove(&seed.unwrap())),
            Err(_) => panic!("the endpoints of seeds {open:?} hang"),
        }
    }
}

#[tokio::test]
async fn on_one_thread() {
    run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_threads() {
    run().await;
}
