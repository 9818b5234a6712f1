//! The peer: a script of what it sends and takes, and its answers to pings and Closes.

use std::time::Duration;

use tokio::time::sleep;
use towline_core::Opcode;
use towline_protocol::deflate::{Compression, Deflater, Fragment};
use towline_protocol::{CloseCode, Role};

use super::message::{Filler, payload};
use super::plan::{PeerVerb, Step, millis};
use super::wire::ReadEnd;
use super::world::World;
use crate::frame::{BINARY, CLOSE, CONTINUATION, Frame, Length, PING, PONG, TEXT};

/// The number of violations, which are numbered from 0.
pub(crate) const VIOLATIONS: u32 = 13;

/// The bytes that the peer has sent, and its compressor.
pub(crate) struct Peer {
    world: World,
    deflater: Option<Deflater>,
    next: u32,
}

impl Peer {
    pub(crate) fn new(world: &World, compression: &Compression) -> Self {
        let agreed = world.lock().agreed;
        Self {
            world: world.clone(),
            deflater: agreed.map(|agreed| Deflater::new(&agreed, compression, Role::Client)),
            next: 0,
        }
    }

    pub(crate) async fn run(mut self, steps: Vec<Step<PeerVerb>>) {
        for step in steps {
            self.step(step).await;
        }
    }

    pub(crate) async fn step(&mut self, step: Step<PeerVerb>) {
        let world = self.world.clone();
        match step.verb {
            PeerVerb::Text => self.message(TEXT, step),
            PeerVerb::Binary => self.message(BINARY, step),
            PeerVerb::Ping | PeerVerb::Pong => {
                let opcode = if step.verb == PeerVerb::Ping {
                    PING
                } else {
                    PONG
                };
                let payload = self.payload(step.a.min(125), Filler::Text);
                world.send(&frame(opcode, payload));
            }
            PeerVerb::Flood => {
                let mut wire = Vec::new();
                for _ in 0..step.a.min(5000) {
                    let size = if step.c == 0 {
                        step.b.min(4000)
                    } else {
                        step.b.min(125)
                    };
                    let payload = self.payload(size, Filler::Text);
                    let opcode = if step.c == 0 { TEXT } else { PING };
                    wire.extend(frame(opcode, payload));
                }
                world.lock().reached("flood");
                world.send(&wire);
            }
            PeerVerb::Close => {
                world.lock().reached("close of the peer");
                world.send(&close(step.a));
            }
            PeerVerb::Bad => {
                world.lock().reached("violation");
                world.send(&violation(step.a));
            }
            PeerVerb::Junk => {
                world.lock().reached("noise");
                world.send(&payload(step.b, step.a.min(2000), Filler::Noise));
            }
            PeerVerb::End => world.end_input(ReadEnd::End),
            PeerVerb::FailReads => {
                world.lock().reached("failed read");
                if step.a == 1 {
                    world.change_wire(|state| state.wire.inbound.clear());
                }
                world.end_input(ReadEnd::Error);
            }
            PeerVerb::FailWrites => world.change_wire(|state| state.wire.writes_fail = true),
            PeerVerb::Wait => {
                sleep(step.millis()).await;
                world.lock().audit();
            }
            PeerVerb::Stall => world.change_wire(|state| {
                state.wire.credit = Some(0);
                state.wire.always_open = false;
            }),
            PeerVerb::Take => take(&world, step.a as usize),
            PeerVerb::Trickle => {
                for _ in 0..step.a.min(300) {
                    take(&world, step.b as usize);
                    sleep(millis(step.c)).await;
                    world.lock().audit();
                }
            }
            PeerVerb::Open => world.change_wire(|state| state.wire.credit = None),
        }
    }

    fn payload(&mut self, size: u32, filler: Filler) -> Vec<u8> {
        self.next += 1;
        payload(self.next, size, filler)
    }

    fn message(&mut self, opcode: u8, step: Step<PeerVerb>) {
        let filler = if opcode == TEXT {
            Filler::Text
        } else {
            Filler::Noise
        };
        let payload = self.payload(step.a, filler);
        let wire = match &mut self.deflater {
            Some(deflater) if step.c == 1 => {
                self.world.lock().reached("compressed message in");
                let mut wire = Vec::new();
                let opcode = if opcode == TEXT {
                    Opcode::Text
                } else {
                    Opcode::Binary
                };
                let pieces = pieces(&payload, step.b);
                for (index, piece) in pieces.iter().enumerate() {
                    let fragment = Fragment {
                        first: index == 0,
                        last: index + 1 == pieces.len(),
                    };
                    deflater.encode(&mut wire, opcode, fragment, piece, Some(MASK));
                }
                wire
            }
            _ => fragments(opcode, &payload, step.b),
        };
        self.world.send(&wire);
    }
}

/// So many bytes more.
fn take(world: &World, bytes: usize) {
    world.change_wire(|state| {
        if let Some(credit) = &mut state.wire.credit {
            *credit += bytes;
            state.reached("bytes taken one by one");
        }
    });
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn frame(opcode: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut frame = Frame::new(opcode, payload);
    frame.mask = Some(MASK);
    let mut wire = Vec::new();
    frame.encode(&mut wire);
    wire
}

fn close(code: u32) -> Vec<u8> {
    let body = match code as u16 {
        0 => Vec::new(),
        code => [&code.to_be_bytes()[..], b"peer"].concat(),
    };
    frame(CLOSE, body)
}

fn fragments(opcode: u8, payload: &[u8], more: u32) -> Vec<u8> {
    let pieces = pieces(payload, more);
    let mut wire = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { opcode } else { CONTINUATION };
        let mut frame = Frame::new(opcode, piece.to_vec());
        frame.fin = index + 1 == pieces.len();
        frame.mask = Some(MASK);
        frame.encode(&mut wire);
    }
    wire
}

/// The payload in one piece and so many more.
fn pieces(payload: &[u8], more: u32) -> Vec<&[u8]> {
    let count = more.min(8) as usize + 1;
    let size = payload.len().div_ceil(count).max(1);
    let mut pieces: Vec<&[u8]> = payload.chunks(size).collect();
    pieces.resize(pieces.len().max(1), &[]);
    pieces
}

/// Bytes that break a rule of RFC 6455.
fn violation(number: u32) -> Vec<u8> {
    let mut bad = Frame::new(TEXT, b"bad".to_vec());
    bad.mask = Some(MASK);
    match number % VIOLATIONS {
        0 => bad.mask = None,
        1 => bad.reserved = 2,
        2 => bad.opcode = 3,
        3 => bad.opcode = CONTINUATION,
        4 => {
            bad.opcode = PING;
            bad.payload = vec![b'p'; 126];
        }
        5 => {
            bad.opcode = PING;
            bad.fin = false;
        }
        6 => bad.length = Length::Eight,
        7 => bad.length = Length::Claim(1 << 63),
        8 => {
            bad.opcode = CLOSE;
            bad.payload = vec![3];
        }
        9 => {
            bad.opcode = CLOSE;
            bad.payload = 1005_u16.to_be_bytes().to_vec();
        }
        10 => bad.payload = b"ab\xffcd".to_vec(),
        11 => bad.length = Length::Claim(1 << 40),
        // A message above the limit. All of it is sent.
        _ => bad.payload = vec![b'x'; 1_200_000],
    }
    let mut wire = Vec::new();
    bad.encode(&mut wire);
    wire
}

/// Answers pings and Closes of the server, as a live client does.
pub(crate) async fn reflex(world: World) {
    let (silent, delay) = {
        let settings = &world.lock().settings;
        (settings.silent, millis(settings.delay.min(20_000)))
    };
    let (mut pings, mut closed, mut hung_up) = (0, false, false);
    loop {
        world.reflex().await;
        let mut answer = Vec::new();
        let (hangs_up, answers) = {
            let mut state = world.lock();
            for ping in &state.output.pings[pings..] {
                if silent & 1 == 0 {
                    answer.extend(frame(PONG, ping.clone()));
                }
            }
            let answers = state.output.pings.len() - pings;
            pings = state.output.pings.len();
            if let (false, Some(code)) = (closed, state.output.closes.first()) {
                closed = true;
                if silent & 2 == 0 {
                    let code = if *code == CloseCode::NO_STATUS {
                        0
                    } else {
                        u16::from(*code)
                    };
                    answer.extend(close(code.into()));
                }
            }
            let gone = state.wire.shut_down.is_some() || state.wire.dropped.is_some();
            let hangs_up = gone && !hung_up && silent & 4 == 0;
            hung_up |= hangs_up;
            state.answers_due += answers;
            (hangs_up, answers)
        };
        if answer.is_empty() && !hangs_up {
            world.lock().answers_due -= answers;
            continue;
        }
        // Later ones wait as long again, after these.
        if delay > Duration::ZERO {
            sleep(delay).await;
        }
        world.lock().answers_due -= answers;
        world.send(&answer);
        if hangs_up {
            world.end_input(ReadEnd::End);
        }
    }
}
