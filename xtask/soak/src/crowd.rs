//! Many sockets at a time: when one ends, another is opened in its place.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connect::Streams;
use crate::random::Random;
use crate::server::{Level, Watch};
use crate::socket::live;
use crate::world::World;

/// How many sockets of a hundred go over HTTP/2, and how many share a connection.
const OVER_HTTP2: usize = 15;
const TOGETHER: usize = 50;

/// From the first to the last of the sockets that are opened at the beginning.
const OPENING: u64 = 1000;

/// For each place whether its socket goes over HTTP/2, and then with whom.
pub(crate) fn places(world: &World, sockets: usize) -> Vec<Option<Arc<Streams>>> {
    let over_http2 = sockets * OVER_HTTP2 / 100;
    let mut places = Vec::with_capacity(sockets);
    while places.len() < over_http2 {
        let streams = Arc::new(Streams::new(world.server));
        let together = TOGETHER.min(over_http2 - places.len());
        places.extend((0..together).map(|_| Some(streams.clone())));
    }
    places.resize(sockets, None);
    places
}

/// Keeps so many sockets open for a while, then lets them end; the server's highest level meanwhile.
pub(crate) async fn gather(
    world: &Arc<World>,
    sockets: usize,
    time: Duration,
    server: Watch,
) -> io::Result<Level> {
    let (stop, stopped) = watch::channel(false);
    let mut crowd = JoinSet::new();
    for (place, streams) in places(world, sockets).into_iter().enumerate() {
        let (world, stopped) = (world.clone(), stopped.clone());
        crowd.spawn(async move {
            let begin = Random::new(world.seed, place as u64).next() % OPENING;
            sleep(Duration::from_millis(begin)).await;
            while !*stopped.borrow() {
                live(&world, streams.as_deref(), stopped.clone()).await;
            }
        });
    }
    let mut peak = Level::default();
    select! {
        never = server.climb(&mut peak) => never?,
        () = sleep(time) => {}
    }
    // Nobody listens if all have ended, and they do only by this.
    let _ = stop.send(true);
    crowd.join_all().await;
    Ok(peak)
}
