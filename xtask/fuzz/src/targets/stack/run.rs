//! One run: a server with one socket, its peer, and a clock that stands still while any task is awake.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};
use tower::{Layer, service_fn};
use towline_core::{CloseCode, Compression, WebSocketUpgrade};
use towline_protocol::Limits;
use towline_protocol::deflate::PerMessageDeflate;
use towline_protocol::handshake;
use towline_upgrade::{Drain, Sockets, UpgradeLayer};

use super::endpoint::{endpoint, start};
use super::peer::{Peer, reflex};
use super::plan::{DrainVerb, PeerVerb, Plan, Step, millis};
use super::policy;
use super::state::{Cause, PEER, State};
use super::tasks::{Tasks, found_panics};
use super::transport::Io;
use super::wire::ReadEnd;
use super::world::World;

/// The key of RFC 6455 section 1.3.
const REQUEST: &str = "GET / HTTP/1.1\r\nhost: example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// How often the run is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How many milliseconds the handshake may take.
const HANDSHAKE: u32 = 1000;

/// How long the peer and the endpoint may go on before the finale, and how long it takes.
const SCRIPTS: u32 = 300;
const FINALE: u32 = 60;

/// The deadline of the last drain, and how long after it everything has ended: the endpoint's grace is 30 s.
const LAST_DRAIN: Duration = Duration::from_secs(30);
const AFTER_DRAIN: u32 = 75;

/// Runs the plan; what is wrong is in the world.
pub(crate) fn run(plan: &Plan) -> World {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let world = runtime.block_on(play(plan.clone()));
    // The remaining tasks hold handles to the world.
    drop(runtime);
    world
}

async fn play(plan: Plan) -> World {
    let settings = &plan.settings;
    let compression = compression(settings.compress);
    let mut limits = Limits::default();
    if settings.limit > 0 {
        limits.max_message_size = settings.limit as usize;
    }
    let (request, agreed) = request(compression.as_ref());
    let world = World::new(settings.clone(), limits, agreed, request.as_bytes());
    let tasks = Tasks::new(world.clone());
    let sockets = Sockets::new();
    let layer = UpgradeLayer::new()
        .executor(tasks.clone())
        .max_message_size(limits.max_message_size)
        .compression(compression)
        .sockets(&sockets);

    let mut peer = Peer::new(&world, &compression.unwrap_or_default());
    let mut script = plan.peer.clone();
    if settings.early != 0 {
        // These bytes come in one packet with the request.
        let early = script.iter().position(|step| step.verb == PeerVerb::Wait);
        for step in script.drain(..early.unwrap_or(script.len())) {
            peer.step(step).await;
        }
    }
    serve(&world, &tasks, &plan, &layer);
    tasks.spawn_alone("the reflex", reflex(world.clone()));
    // It waits for ever.
    world.lock().tasks -= 1;
    tasks.spawn_alone(PEER, {
        let world = world.clone();
        async move {
            // If no socket opens, as after an end of the input within the request, nothing more is sent.
            for _ in 0..HANDSHAKE {
                if world.lock().output.is_open {
                    return peer.run(script).await;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for step in plan.drain.clone() {
        let (world, sockets) = (world.clone(), sockets.clone());
        tasks.spawn_alone("the drain", drain(world, sockets, step));
    }
    finish(&world, &tasks, &sockets).await;
    world
}

/// The service with the pipeline's layers, and its connection.
fn serve(world: &World, tasks: &Tasks, plan: &Plan, layer: &UpgradeLayer<Tasks>) {
    let once = (world.clone(), tasks.clone(), plan.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (world, tasks, plan) = once.clone();
        async move {
            world.lock().permits += 1;
            let _permit = Permit(world.clone());
            let mut upgrade = WebSocketUpgrade::of(&request).expect("a valid handshake");
            drop(request);
            if plan.settings.policy != 0 || plan.settings.watch != 0 {
                upgrade = upgrade.policy(policy::factory(&world, &plan.settings));
            }
            if plan.settings.keepalive != 0 {
                upgrade = upgrade.policy(policy::keep_alive(plan.settings.keepalive));
            }
            if plan.settings.alone != 0 {
                world.lock().reached("socket without its layers");
                let socket = upgrade.accept().await;
                let response = socket.map_or_else(Response::from, |socket| {
                    start(&world, plan, &tasks, socket);
                    Response::new(String::new())
                });
                return Ok(response);
            }
            let serving = upgrade.serve(|socket| {
                found_panics(world.clone(), endpoint(world.clone(), plan, tasks, socket))
            });
            let response: Response<String> =
                serving.await.map_or_else(Response::from, Response::from);
            Ok::<Response<String>, Infallible>(response)
        }
    });
    let io = TokioIo::new(Io::new(world.clone()));
    let service = TowerToHyperService::new(layer.layer(service));
    let connection = http1::Builder::new().serve_connection(io, service);
    tasks.spawn("the connection", async move {
        // An error of the connection is found at its socket.
        let _ = connection.with_upgrades().await;
    });
}

/// The permit that layers inside of the upgrade layer hold as long as the pipeline lives.
struct Permit(World);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let now = Instant::now();
        state.permit_dropped.push(now);
        state.progress("the permit");
    }
}

async fn drain(world: World, sockets: Sockets, step: Step<DrainVerb>) {
    match step.verb {
        DrainVerb::Wait => {}
        DrainVerb::Drain => {
            // A server stops some time after it has begun.
            sleep(millis(step.c) + Duration::from_millis(1)).await;
            let grace = millis(step.a);
            let within = grace + millis(step.b);
            begin_drain(&world, &sockets, grace, within).await;
        }
    }
}

async fn begin_drain(world: &World, sockets: &Sockets, grace: Duration, within: Duration) {
    let now = Instant::now();
    {
        let mut state = world.lock();
        state.progress("a drain");
        state.drain_began.get_or_insert(now);
        state.reached("drain");
        let code = CloseCode::GOING_AWAY;
        state.causes.push((Cause::Drain(code), now + grace));
        state.causes.push((Cause::DrainAbort, now + within));
    }
    let drain = Drain::new().grace(grace).within(within);
    let drained = sockets.drain(drain).await.expect("a valid drain");
    if drained.closed + drained.aborted > 1 {
        let text = format!("one socket, and {drained:?}");
        world.lock().find(None, text);
    }
    if sockets.active() != 0 {
        world
            .lock()
            .find(None, "a socket is active after its drain");
    }
}

/// Waits for the scripts, brings the socket to its end, and looks at all of it.
async fn finish(world: &World, tasks: &Tasks, sockets: &Sockets) {
    // Two tasks that end only with the socket: its watch, and the pipeline.
    tick(world, SCRIPTS, |state| state.tasks == 0).await;
    let finale = world.lock().settings.finale;
    if !is_done(world) {
        world.change_wire(|state| state.wire.credit = None);
        match finale {
            1 => world.end_input(ReadEnd::Error),
            2 => {}
            _ => world.end_input(ReadEnd::End),
        }
        tick(world, FINALE, |state| state.tasks == 0).await;
    }
    if !is_done(world) {
        world.lock().reached("ended by the last drain");
        let (draining, sockets) = (world.clone(), sockets.clone());
        tasks.spawn_alone("the last drain", async move {
            begin_drain(&draining, &sockets, Duration::ZERO, LAST_DRAIN).await;
        });
        tick(world, AFTER_DRAIN, |state| state.tasks == 0).await;
    }
    tick(world, 15, |state| {
        state.wire.dropped.is_some() && state.has_unwound()
    })
    .await;
    let active = sockets.active();
    let mut state = world.lock();
    if active > 0 && !state.is_over() {
        state.find(None, format!("{active} sockets are active after the end"));
    }
    state.verdict();
    state.end();
}

fn is_done(world: &World) -> bool {
    let state = world.lock();
    state.tasks == 0 || state.is_over()
}

/// Lets time pass, up to so many ticks.
async fn tick(world: &World, most: u32, done: impl Fn(&State) -> bool) {
    for _ in 0..most {
        {
            let mut state = world.lock();
            if done(&state) || state.is_over() {
                return;
            }
            state.audit();
        }
        sleep(TICK).await;
    }
}

fn compression(kind: u32) -> Option<Compression> {
    match kind {
        0 => None,
        1 => Some(Compression::new()),
        2 => Some(Compression::shared()),
        _ => Some(Compression::shared().threshold(0)),
    }
}

/// The request, and the compression that comes of it.
fn request(compression: Option<&Compression>) -> (String, Option<PerMessageDeflate>) {
    let mut request = REQUEST.to_owned();
    if compression.is_some() {
        request.push_str("sec-websocket-extensions: permessage-deflate\r\n");
    }
    request.push_str("\r\n");
    let agreed = compression.map(|compression| {
        let lines = request.lines().filter_map(|line| line.split_once(": "));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: http::HeaderName = name.parse().expect("a name");
            headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        let head = handshake::Request {
            method: &Method::GET,
            uri: &Uri::from_static("/"),
            version: Version::HTTP_11,
            headers: &headers,
            protocol: None,
        };
        let handshake = head.check().expect("a valid handshake");
        handshake
            .negotiate(compression)
            .expect("an acceptable offer")
    });
    (request, agreed)
}
