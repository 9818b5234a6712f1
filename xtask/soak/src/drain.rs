//! The last act: with all sockets open the server is told to stop, and has to let none of them down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::connect::{self, Streams};
use crate::conversation::{Conversation, Failure, Over, Result};
use crate::crowd::places;
use crate::random::Random;
use crate::server::{DRAIN, Server};
use crate::socket::LIFE;
use crate::wire;
use crate::world::World;

/// How long all sockets may take to open, or for an echo.
const READY: Duration = Duration::from_secs(20);

/// What comes after the last socket: the server tells its threads to end.
const EXIT: Duration = Duration::from_secs(2);

/// What a socket does when the server drains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Nothing, all has come back.
    Quiet,
    /// It has not read what has come back, which the server may have to keep.
    Backlog,
    /// It sends and reads.
    Busy,
    /// It does not read and does not answer; the server has to cut it off.
    Stubborn,
}

/// How far the act is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Opening,
    /// The busy ones begin.
    Busy,
    /// The server was told to stop.
    Draining,
    /// The server has ended.
    Over,
}

/// What a drain came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Those that answered, and those that did not.
    pub(crate) sockets: (usize, usize),
    /// From the signal to the end of the last one that answers, and to that of the process.
    pub(crate) answered: Duration,
    pub(crate) ended: Duration,
}

/// Opens the sockets, ends the server, and checks what it makes of that.
pub(crate) async fn drain(
    world: &Arc<World>,
    sockets: usize,
    server: Server,
) -> io::Result<Drained> {
    let (stage, staged) = watch::channel(Stage::Opening);
    let (ready, mut is_ready) = mpsc::unbounded_channel();
    let mut crowd = JoinSet::new();
    let mut stubborn = 0;
    let mut busy = 0;
    for (place, streams) in places(world, sockets).into_iter().enumerate() {
        let manner = manner(place, streams.is_some());
        stubborn += usize::from(manner == Manner::Stubborn);
        busy += usize::from(manner == Manner::Busy);
        let (world, ready, staged) = (world.clone(), ready.clone(), staged.clone());
        crowd.spawn(async move {
            let number = world.next_socket();
            let socket = attend(&world, number, streams.as_deref(), manner, &ready, staged);
            let attended = timeout(LIFE, Box::pin(socket)).await;
            match attended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => world
                    .tally
                    .failed(format!("socket {number}, {manner:?} at the drain: {error}")),
                Err(_) => world.tally.failed(format!(
                    "socket {number}, {manner:?} at the drain: it hangs"
                )),
            }
            manner
        });
    }
    wait_for(&mut is_ready, sockets, world).await;
    // All that was sent has come back, or is queued by the server.
    if !server.watch.wait_until_idle().await? {
        let failure = "the server goes on though nothing is left to do".to_owned();
        world.tally.failed(failure);
    }
    stage.send_replace(Stage::Busy);
    wait_for(&mut is_ready, busy, world).await;

    let begin = Instant::now();
    server.terminate().await?;
    stage.send_replace(Stage::Draining);
    let ending = tokio::spawn(server.end());
    for _ in stubborn..sockets {
        crowd.join_next().await;
    }
    let answered = begin.elapsed();
    let (said, status) = ending.await??;
    let ended = begin.elapsed();
    stage.send_replace(Stage::Over);
    crowd.join_all().await;

    let well = sockets - stubborn;
    let expected = format!("drained: {well} sockets closed, {stubborn} aborted");
    if said.trim() != expected {
        let failure = format!("the server said `{}`, not `{expected}`", said.trim());
        world.tally.failed(failure);
    }
    if !status.success() {
        world
            .tally
            .failed(format!("the server ended with {status}"));
    }
    if ended > DRAIN + EXIT {
        world
            .tally
            .failed(format!("the server took {ended:?} to end"));
    }
    Ok(Drained {
        sockets: (well, stubborn),
        answered,
        ended,
    })
}

/// Waits until so many sockets are ready, but not for those that never will be.
async fn wait_for(ready: &mut mpsc::UnboundedReceiver<()>, sockets: usize, world: &World) {
    let all = async {
        for _ in 0..sockets {
            ready.recv().await;
        }
    };
    if timeout(READY, all).await.is_err() {
        let failure = format!("not all sockets were ready for the drain within {READY:?}");
        world.tally.failed(failure);
    }
}

/// The stubborn are over HTTP/1.1, as the connection of a stream would outlast it.
fn manner(place: usize, over_http2: bool) -> Manner {
    match place % 100 {
        0 if !over_http2 => Manner::Stubborn,
        0..50 => Manner::Quiet,
        50..75 => Manner::Backlog,
        _ => Manner::Busy,
    }
}

async fn attend(
    world: &World,
    number: u64,
    streams: Option<&Streams>,
    manner: Manner,
    ready: &mpsc::UnboundedSender<()>,
    mut stage: watch::Receiver<Stage>,
) -> Result {
    let mut random = Random::new(world.seed, number);
    sleep(Duration::from_millis(random.between(0, 1000) as u64)).await;
    let ends = match streams {
        Some(streams) => streams.open().await?,
        None => connect::http1(world.server, manner == Manner::Backlog).await?,
    };
    world.tally.opened(streams.is_some());
    let mut conversation = Conversation::new(world, number, ends);
    conversation.exchange(Duration::ZERO, &mut random).await?;

    if manner == Manner::Backlog {
        // No more than the server keeps for a socket, 64 KiB.
        let outgoing = &mut conversation.outgoing;
        let mut wire = outgoing.messages(1, &mut random);
        while wire.len() < 32 * 1024 {
            wire.extend(outgoing.messages(1, &mut random));
        }
        outgoing.write(&wire, &mut random).await?;
    }
    let _ = ready.send(());
    let over = match manner {
        Manner::Stubborn => {
            // An error is the end of the task that tells.
            let _ = stage.wait_for(|stage| *stage == Stage::Over).await;
            return Ok(());
        }
        Manner::Busy => {
            let _ = stage.wait_for(|stage| *stage >= Stage::Busy).await;
            converse(&mut conversation, ready, &mut random).await?
        }
        Manner::Backlog => {
            let _ = stage.wait_for(|stage| *stage >= Stage::Draining).await;
            sleep(Duration::from_millis(random.between(0, 1000) as u64)).await;
            conversation.incoming.until_over().await?
        }
        Manner::Quiet => conversation.rest_until_over(&mut random).await?,
    };
    if over != Over::Close(Some(1001)) {
        return Err(Failure::Wrong(format!("{over:?}, not Close 1001")));
    }
    if manner != Manner::Busy {
        conversation.expect_all()?;
    }
    let mut wire = Vec::new();
    wire::close(&mut wire, Some(1001), random.next());
    conversation.outgoing.write.write(&wire).await?;
    conversation.incoming.expect_end().await
}

/// Sends one message after the other until a Close comes instead of an echo.
async fn converse(
    conversation: &mut Conversation<'_>,
    ready: &mpsc::UnboundedSender<()>,
    random: &mut Random,
) -> Result<Over> {
    let mut told = false;
    loop {
        let wire = conversation.outgoing.messages(1, random);
        conversation.outgoing.write(&wire, random).await?;
        while conversation.incoming.received < conversation.outgoing.sent {
            if let Some(over) = conversation.incoming.next().await? {
                return Ok(over);
            }
        }
        if !told {
            told = true;
            let _ = ready.send(());
        }
        sleep(Duration::from_millis(random.between(1, 100) as u64)).await;
    }
}
