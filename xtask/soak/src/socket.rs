//! One socket from its handshake to its end, as its number and the seed of the run determine it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio::{join, select};

use crate::connect::{self, MISTAKES, Streams};
use crate::conversation::{Conversation, Failure, Over, Result};
use crate::random::Random;
use crate::wire::{self, VIOLATIONS};
use crate::world::World;

/// How long a socket may take; what takes longer hangs.
pub(crate) const LIFE: Duration = Duration::from_secs(60);

/// How a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A Close, which is answered.
    Close,
    /// A Close and the end of what the client sends; the Close is answered all the same.
    CloseAndShutDown,
    /// The end of what the client sends, without a Close.
    HalfClose,
    /// The connection is dropped with data unread.
    Abort,
    /// RST or RST_STREAM.
    Reset,
    /// The connection is dropped within a frame.
    Cut,
    /// A breach of the protocol, which is answered by a Close.
    Violation,
    /// Pings are not answered until the server gives up.
    Silence,
    /// The handshake is refused, and there never was a socket.
    Refused,
}

impl Ending {
    pub(crate) const ALL: [Self; 9] = [
        Self::Close,
        Self::CloseAndShutDown,
        Self::HalfClose,
        Self::Abort,
        Self::Reset,
        Self::Cut,
        Self::Violation,
        Self::Silence,
        Self::Refused,
    ];

    fn choose(random: &mut Random) -> Self {
        match random.between(0, 100) {
            0..40 => Self::Close,
            40..54 => Self::CloseAndShutDown,
            54..62 => Self::HalfClose,
            62..74 => Self::Abort,
            74..84 => Self::Reset,
            84..89 => Self::Cut,
            89..95 => Self::Violation,
            95 => Self::Silence,
            _ => Self::Refused,
        }
    }
}

/// Opens a socket, on a connection with others if there are `streams`, and lives its life; soon to its end when `stop`
/// becomes true.
pub(crate) async fn live(world: &World, streams: Option<&Streams>, stop: watch::Receiver<bool>) {
    let number = world.next_socket();
    let mut random = Random::new(world.seed, number);
    let ending = Ending::choose(&mut random);
    let life = Box::pin(try_live(world, number, streams, ending, random, stop));
    match timeout(LIFE, life).await {
        Ok(Ok(ending)) => world.tally.ended(ending),
        Ok(Err(error)) => world
            .tally
            .failed(format!("socket {number}, {ending:?}: {error}")),
        Err(_) => world
            .tally
            .failed(format!("socket {number}, {ending:?}: it hangs")),
    }
}

async fn try_live(
    world: &World,
    number: u64,
    streams: Option<&Streams>,
    ending: Ending,
    mut random: Random,
    stop: watch::Receiver<bool>,
) -> Result<Ending> {
    if ending == Ending::Refused {
        connect::mistaken(world.server, random.pick(&MISTAKES)).await?;
        return Ok(ending);
    }
    let ends = match streams {
        Some(streams) => streams.open().await?,
        None => connect::http1(world.server, random.percent(25)).await?,
    };
    world.tally.opened(streams.is_some());
    let mut conversation = Conversation::new(world, number, ends);
    for _ in 0..random.between(0, 7) {
        if *stop.borrow() {
            break;
        }
        let slow = random.percent(20);
        let slow = Duration::from_millis(if slow { random.between(1, 2000) } else { 0 } as u64);
        conversation.exchange(slow, &mut random).await?;
        let pause = Duration::from_millis(random.between(0, 1500) as u64);
        conversation.rest(pause, &mut random).await?;
    }
    end(conversation, ending, &mut random, stop).await
}

/// Sends a last burst of messages and ends the socket; how it did end.
async fn end(
    mut conversation: Conversation<'_>,
    ending: Ending,
    random: &mut Random,
    mut stop: watch::Receiver<bool>,
) -> Result<Ending> {
    let Conversation { incoming, outgoing } = &mut conversation;
    let mut wire = outgoing.messages(random.between(0, 5), random);
    match ending {
        Ending::Close | Ending::CloseAndShutDown => {
            let code = random.pick(&[None, Some(1000), Some(1001), Some(3000), Some(4999)]);
            wire::close(&mut wire, code, random.next());
            let writing = async {
                outgoing.write(&wire, random).await?;
                if ending == Ending::CloseAndShutDown {
                    outgoing.write.shut_down().await?;
                }
                Ok(())
            };
            let (written, closed) = join!(writing, incoming.expect_close(code));
            closed.and(written)?;
            conversation.expect_all()?;
        }
        Ending::Violation => {
            let (bytes, code) = random.pick(&VIOLATIONS);
            wire.extend_from_slice(bytes);
            let writing = outgoing.write(&wire, random);
            let (written, closed) = join!(writing, incoming.expect_close(Some(code)));
            closed.and(written)?;
            conversation.expect_all()?;
        }
        Ending::HalfClose => {
            let writing = async {
                outgoing.write(&wire, random).await?;
                Ok(outgoing.write.shut_down().await?)
            };
            // The server may drop the connection with data unread, and then that is reset.
            match join!(writing, incoming.until_over()) {
                (Err(Failure::Wrong(what)), _) | (_, Err(Failure::Wrong(what))) => {
                    return Err(Failure::Wrong(what));
                }
                (_, Ok(over @ Over::Close(_))) => {
                    return Err(Failure::Wrong(format!("{over:?} where no Close was sent")));
                }
                (_, Ok(Over::End) | Err(Failure::Broken(_))) => {}
            }
        }
        Ending::Abort | Ending::Reset | Ending::Cut => {
            if ending == Ending::Cut {
                wire = outgoing.messages(1, random);
                wire.truncate(random.between(1, wire.len()));
            }
            // Nobody reads, so the server may come to take no more.
            let a_while = Duration::from_millis(random.between(10, 200) as u64);
            if let Ok(written) = timeout(a_while, outgoing.write(&wire, random)).await {
                written?;
            }
            sleep(Duration::from_millis(random.between(0, 30) as u64)).await;
            match ending {
                Ending::Reset => conversation.outgoing.write.reset()?,
                _ => conversation.outgoing.write.abandon(),
            }
        }
        Ending::Silence => {
            outgoing.write(&wire, random).await?;
            select! {
                given_up = incoming.until_over() => match given_up? {
                    Over::Close(Some(1011)) => conversation.expect_all()?,
                    over => return Err(Failure::Wrong(format!("{over:?}, not Close 1011"))),
                },
                _ = stop.wait_for(|stop| *stop) => {
                    conversation.outgoing.write.abandon();
                    return Ok(Ending::Abort);
                }
            }
        }
        Ending::Refused => {}
    }
    Ok(ending)
}
