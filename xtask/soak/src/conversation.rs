//! The two directions of an open socket: what is sent is counted, and what comes back is checked against that.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::sleep;
use tokio::{join, select};
use towline_protocol::{Decoder, Event, Limits, Opcode, Role};

use crate::random::Random;
use crate::transport::{ReadHalf, WriteHalf};
use crate::wire;
use crate::world::World;

/// Why a socket is not as it should be.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke, which is all right where either end breaks it.
    Broken(io::Error),
    /// What nothing excuses.
    Wrong(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// How the server ended its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// By a Close, with its code if it has one.
    Close(Option<u16>),
    /// Without one.
    End,
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

#[derive(Debug)]
pub(crate) struct Conversation<'a> {
    pub(crate) incoming: Incoming<'a>,
    pub(crate) outgoing: Outgoing<'a>,
}

#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    world: &'a World,
    socket: u64,
    read: ReadHalf,
    buffer: BytesMut,
    decoder: Decoder,
    /// How many messages have come back.
    pub(crate) received: u64,
    /// The number of the last pong.
    pong: u64,
    /// Pings of the server that are not answered yet.
    unanswered: Vec<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    world: &'a World,
    socket: u64,
    pub(crate) write: WriteHalf,
    /// How many messages were sent, or are about to be.
    pub(crate) sent: u64,
    pings: u64,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(world: &'a World, socket: u64, ends: (ReadHalf, WriteHalf)) -> Self {
        let (read, write) = ends;
        Self {
            incoming: Incoming {
                world,
                socket,
                read,
                buffer: BytesMut::new(),
                decoder: Decoder::new(Role::Client, Limits::default()),
                received: 0,
                pong: 0,
                unanswered: Vec::new(),
            },
            outgoing: Outgoing {
                world,
                socket,
                write,
                sent: 0,
                pings: 0,
            },
        }
    }

    /// Sends some messages and reads their echoes, after a while where the reader is `slow`.
    pub(crate) async fn exchange(&mut self, slow: Duration, random: &mut Random) -> Result {
        let wire = self.outgoing.messages(random.between(1, 9), random);
        let sent = self.outgoing.sent;
        let reading = async {
            if !slow.is_zero() {
                sleep(slow).await;
            }
            self.incoming.until(sent).await
        };
        let (written, read) = join!(self.outgoing.write(&wire, random), reading);
        read?;
        written?;
        self.answer(random).await
    }

    /// Says nothing, but answers pings.
    pub(crate) async fn rest(&mut self, pause: Duration, random: &mut Random) -> Result {
        let end = sleep(pause);
        tokio::pin!(end);
        loop {
            select! {
                () = &mut end => return Ok(()),
                over = self.incoming.next() => self.incoming.expect_none(over?)?,
            }
            self.answer(random).await?;
        }
    }

    /// Says nothing, but answers pings, until the server has said the last word.
    pub(crate) async fn rest_until_over(&mut self, random: &mut Random) -> Result<Over> {
        loop {
            if let Some(over) = self.incoming.next().await? {
                return Ok(over);
            }
            self.answer(random).await?;
        }
    }

    /// Answers the pings of the server.
    pub(crate) async fn answer(&mut self, random: &mut Random) -> Result {
        for ping in std::mem::take(&mut self.incoming.unanswered) {
            let mut wire = Vec::new();
            wire::frame(&mut wire, Opcode::Pong, true, &ping, random.next());
            self.outgoing.write.write(&wire).await?;
        }
        Ok(())
    }

    /// Whether all that was sent has come back.
    pub(crate) fn expect_all(&self) -> Result {
        let (received, sent) = (self.incoming.received, self.outgoing.sent);
        if received == sent {
            return Ok(());
        }
        Err(Failure::Wrong(format!(
            "{received} of {sent} messages came back before the end"
        )))
    }
}

impl Incoming<'_> {
    /// Reads until so many messages have come back.
    pub(crate) async fn until(&mut self, messages: u64) -> Result {
        while self.received < messages {
            let over = self.next().await?;
            self.expect_none(over)?;
        }
        Ok(())
    }

    /// Reads until the server has said the last word.
    pub(crate) async fn until_over(&mut self) -> Result<Over> {
        loop {
            if let Some(over) = self.next().await? {
                return Ok(over);
            }
        }
    }

    /// Reads the Close that has to come now, and the end of the connection behind it.
    pub(crate) async fn expect_close(&mut self, code: Option<u16>) -> Result {
        let over = self.until_over().await?;
        if over != Over::Close(code) {
            return Err(Failure::Wrong(format!("{over:?}, not Close {code:?}")));
        }
        self.expect_end().await
    }

    /// Reads the end of the connection, which is all that may come behind a Close.
    pub(crate) async fn expect_end(&mut self) -> Result {
        if !self.buffer.is_empty() || self.read.read(&mut self.buffer).await? > 0 {
            return Err(Failure::Wrong("bytes behind the Close".to_owned()));
        }
        Ok(())
    }

    fn expect_none(&self, over: Option<Over>) -> Result {
        match over {
            None => Ok(()),
            Some(over) => Err(Failure::Wrong(format!(
                "{over:?} behind {} messages, which nobody asked for",
                self.received
            ))),
        }
    }

    /// Reads one frame or the end, and checks it. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Over>> {
        loop {
            let decoded = self.decoder.decode(&mut self.buffer);
            let decoded = decoded.map_err(|error| Failure::Wrong(error.to_string()))?;
            let _ = self.buffer.split_to(decoded.consumed);
            if let Some(event) = decoded.event {
                return self.check(event);
            }
            // An idle socket keeps no buffer.
            self.buffer = BytesMut::new();
            if self.read.read(&mut self.buffer).await? == 0 {
                return Ok(Some(Over::End));
            }
        }
    }

    fn check(&mut self, event: Event) -> Result<Option<Over>> {
        match event {
            Event::Message(message) => {
                let expected = self.world.content.message(self.socket, self.received);
                if !expected.is(&message) {
                    return Err(Failure::Wrong(format!(
                        "message {} is {} bytes that are not those that were sent, {} bytes",
                        self.received,
                        message.len(),
                        expected.payload.len()
                    )));
                }
                self.received += 1;
                self.world.tally.echoed(message.len());
            }
            Event::Ping(payload) => self.unanswered.push(payload),
            // Section 5.5.3: one pong may answer several pings, "only the most recently processed Ping frame".
            Event::Pong(payload) => {
                let number = <[u8; 8]>::try_from(&*payload).map(u64::from_be_bytes);
                match number {
                    Ok(number) if number > self.pong => self.pong = number,
                    _ => return Err(Failure::Wrong(format!("a pong of {payload:?}"))),
                }
            }
            Event::Close(close) => {
                return Ok(Some(Over::Close(close.map(|close| close.code().into()))));
            }
        }
        Ok(None)
    }
}

impl Outgoing<'_> {
    /// The bytes of the next messages, which count as sent.
    pub(crate) fn messages(&mut self, count: usize, random: &mut Random) -> Vec<u8> {
        let mut wire = Vec::new();
        for _ in 0..count {
            let piece = self.world.content.message(self.socket, self.sent);
            wire::message(&mut wire, piece, &mut self.pings, random);
            self.sent += 1;
        }
        if random.percent(20) {
            wire::ping(&mut wire, &mut self.pings, random);
        }
        wire
    }

    /// Writes, now and then in pieces whose borders are anywhere.
    pub(crate) async fn write(&mut self, wire: &[u8], random: &mut Random) -> Result {
        let size = if random.percent(10) {
            random.between(1, wire.len().max(2))
        } else {
            wire.len().max(1)
        };
        for piece in wire.chunks(size) {
            self.write.write(piece).await?;
        }
        Ok(())
    }
}
