//! Generates plans from random choices.

use super::peer::VIOLATIONS;
use super::plan::{DrainVerb, HelperVerb, OwnerVerb, PeerVerb, Plan, Settings, Step};
use super::policy::{KEEP_ALIVES, POLICIES};
use crate::choices::Choices;

const SIZES: &[u32] = &[
    5, 0, 1, 125, 126, 127, 128, 4095, 4096, 16_384, 65_535, 65_536, 65_537, 100_000, 300_000,
];

const TIMES: &[u32] = &[1, 5, 50, 500, 999, 1000, 1001, 3000, 9_999, 10_001, 15_000];

const CODES: &[u32] = &[1000, 1001, 1011, 3000, 4999];

pub(crate) fn plan(choices: &mut Choices<'_>) -> Plan {
    let mut plan = Plan {
        settings: settings(choices),
        ..Plan::default()
    };
    if choices.once_in(6) {
        plan.drain.push(Step {
            verb: DrainVerb::Drain,
            a: choices.pick(&[0, 0, 500, 5000]),
            b: choices.pick(&[30_000, 0, 100, 2000]),
            c: time(choices),
        });
    }
    theme(choices, &mut plan);
    while plan.peer.len() < 16 && choices.more() {
        peer(choices, &mut plan.peer);
    }
    while plan.owner.len() < 12 && choices.more() {
        plan.owner.push(owner(choices));
    }
    plan.owner.push(last(choices));
    if choices.once_in(3) {
        for helper in &mut plan.helpers {
            while helper.len() < 8 && choices.more() {
                helper.push(self::helper(choices));
            }
        }
    }
    plan
}

/// The beginning of a run that random steps seldom reach.
fn theme(choices: &mut Choices<'_>, plan: &mut Plan) {
    let peer = |verb, a, b, c| Step { verb, a, b, c };
    let owner = |verb, a, b, c| Step { verb, a, b, c };
    match choices.pick(&[0, 0, 0, 0, 1, 2, 3, 4]) {
        // The peer reads slowly while the socket ends.
        1 => {
            plan.peer.push(peer(PeerVerb::Stall, 0, 0, 0));
            plan.peer.push(peer(PeerVerb::Wait, time(choices), 0, 0));
            let every = choices.pick(&[5000, 100, 900, 9000]);
            let trickle = choices.pick(&[50, 5, 200]);
            plan.peer.push(peer(PeerVerb::Trickle, trickle, 1, every));
            let (count, kind) = (choices.pick(&[100, 1, 2000]), kind(choices));
            plan.owner.push(owner(OwnerVerb::Burst, count, 1000, kind));
            if choices.once_in(2) {
                plan.owner.push(owner(OwnerVerb::Close, 1000, 1, 0));
            }
        }
        // The peer goes on sending after our Close.
        2 => {
            plan.settings.silent |= 2;
            plan.peer.push(peer(PeerVerb::Wait, 50, 0, 0));
            for _ in 0..choices.pick(&[1, 3]) {
                plan.peer.push(peer(PeerVerb::Text, size(choices), 0, 0));
            }
            plan.owner
                .push(owner(OwnerVerb::Close, choices.pick(CODES), 1, 0));
            plan.owner.push(owner(OwnerVerb::RecvWithin, 3000, 0, 0));
        }
        // Control frames and a Close queue up while the peer takes nothing.
        3 => {
            plan.settings.compress = plan.settings.compress.max(1);
            plan.peer.push(peer(PeerVerb::Stall, 0, 0, 0));
            for _ in 0..choices.pick(&[2, 1, 5]) {
                plan.peer.push(peer(PeerVerb::Ping, 4, 0, 0));
                plan.peer.push(peer(PeerVerb::Wait, time(choices), 0, 0));
                plan.peer
                    .push(peer(PeerVerb::Take, choices.pick(&[0, 0, 0, 1, 100]), 0, 0));
            }
            plan.owner
                .push(owner(OwnerVerb::Send, size(choices), kind(choices), 0));
            if choices.once_in(2) {
                let millis = choices.pick(&[20, 1, 600, 2000]);
                plan.owner.push(owner(OwnerVerb::Sleep, millis, 0, 0));
                plan.owner.push(owner(OwnerVerb::Close, 1000, 1, 0));
            }
        }
        // A slow endpoint and a fast peer.
        4 => {
            let (count, size) = (
                choices.pick(&[200, 70, 3000]),
                choices.pick(&[5, 100, 3000]),
            );
            plan.peer.push(peer(PeerVerb::Flood, count, size, 0));
            for _ in 0..choices.pick(&[2, 5]) {
                plan.owner
                    .push(owner(OwnerVerb::Sleep, time(choices), 0, 0));
                plan.owner
                    .push(owner(OwnerVerb::Recv, choices.pick(&[1, 10, 64]), 0, 0));
            }
        }
        _ => {}
    }
}

fn settings(choices: &mut Choices<'_>) -> Settings {
    let mut settings = Settings {
        compress: choices.pick(&[0, 0, 1, 2, 3]),
        place: choices.pick(&[0, 0, 0, 1, 1, 2, 3]),
        ..Settings::default()
    };
    if choices.once_in(2) {
        settings.reads = sizes(choices);
        settings.writes = sizes(choices);
        settings.pending = choices.pick(&[0, 0, 1, 2, 5]);
        settings.flush = choices.pick(&[0, 0, 1, 300, 2000]);
        settings.shutdown = choices.pick(&[0, 0, 5, 3000, 20_000]);
        settings.vectored = choices.pick(&[0, 1]);
        settings.lazy = choices.pick(&[0, 0, 1, 2, 3]);
    }
    if choices.once_in(3) {
        settings.silent = choices.up_to(7) as u32;
        settings.delay = choices.pick(&[0, 0, 1, 500, 9000]);
    }
    if settings.place > 0 {
        settings.alone = u32::from(choices.once_in(4));
    }
    settings.early = u32::from(choices.once_in(4));
    settings.finale = choices.pick(&[0, 0, 1, 2]);
    if choices.once_in(5) {
        settings.limit = choices.pick(&[10, 0, 126, 70_000]);
    }
    if choices.once_in(3) {
        settings.policy = 1 + choices.up_to(POLICIES as usize - 1) as u32;
        settings.policy_at = choices.pick(&[0, 1, 2, 3, 5, 8, 20, 100]);
        settings.watch = u32::from(choices.once_in(3));
    }
    if choices.once_in(8) {
        settings.keepalive = 1 + choices.up_to(KEEP_ALIVES as usize - 1) as u32;
    }
    settings
}

fn sizes(choices: &mut Choices<'_>) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.len() < 4 && choices.more() {
        sizes.push(choices.pick(&[20_000, 1000, 100, 7, 3, 1, 70_000]));
    }
    // A large message would take too long byte by byte.
    if !sizes.is_empty() && sizes.iter().all(|size| *size < 100) {
        sizes.push(5000);
    }
    sizes
}

fn size(choices: &mut Choices<'_>) -> u32 {
    if choices.once_in(2) {
        choices.pick(SIZES)
    } else {
        choices.up_to(200) as u32
    }
}

fn time(choices: &mut Choices<'_>) -> u32 {
    choices.pick(TIMES)
}

fn peer(choices: &mut Choices<'_>, steps: &mut Vec<Step<PeerVerb>>) {
    use PeerVerb as Verb;

    let mut push = |verb, a, b, c| steps.push(Step { verb, a, b, c });
    match choices.up_to(31) {
        0..=4 => push(
            Verb::Text,
            size(choices),
            choices.pick(&[0, 0, 1, 3]),
            choices.pick(&[0, 1]),
        ),
        5..=7 => push(
            Verb::Binary,
            size(choices),
            choices.pick(&[0, 0, 1, 3]),
            choices.pick(&[0, 1]),
        ),
        8..=13 => push(Verb::Wait, time(choices), 0, 0),
        14..=15 => push(Verb::Ping, choices.pick(&[4, 0, 125]), 0, 0),
        16 => push(Verb::Pong, choices.pick(&[4, 0, 125]), 0, 0),
        17..=18 => push(
            Verb::Flood,
            choices.pick(&[10, 64, 65, 200, 1000, 3000]),
            choices.pick(&[5, 0, 100, 1000]),
            choices.pick(&[0, 1]),
        ),
        19..=20 => push(Verb::Close, choices.pick(&[1000, 0, 1001, 3000]), 0, 0),
        21 => push(
            Verb::Bad,
            choices.up_to(VIOLATIONS as usize - 1) as u32,
            0,
            0,
        ),
        22 => push(
            Verb::Junk,
            1 + choices.up_to(40) as u32,
            choices.up_to(255) as u32,
            0,
        ),
        23 => push(Verb::End, 0, 0, 0),
        24 => push(Verb::FailReads, choices.pick(&[0, 1]), 0, 0),
        25 => push(Verb::FailWrites, 0, 0, 0),
        26..=27 => push(Verb::Stall, 0, 0, 0),
        28 => push(Verb::Take, size(choices), 0, 0),
        29 => push(
            Verb::Trickle,
            choices.pick(&[3, 20, 100]),
            choices.pick(&[1, 2, 1000]),
            time(choices).min(9000),
        ),
        _ => push(Verb::Open, 0, 0, 0),
    }
}

fn owner(choices: &mut Choices<'_>) -> Step<OwnerVerb> {
    use OwnerVerb as Verb;

    let step = |verb, a, b, c| Step { verb, a, b, c };
    match choices.up_to(34) {
        0..=3 => step(Verb::Recv, choices.pick(&[1, 2, 10, 100]), 0, 0),
        4..=8 => step(Verb::Send, size(choices), kind(choices), 0),
        9 => step(Verb::RecvWithin, time(choices), 0, 0),
        10 => step(
            Verb::SendWithin,
            size(choices),
            kind(choices),
            time(choices),
        ),
        11 => step(Verb::Next, 0, 0, 0),
        12 => step(Verb::Try, size(choices), kind(choices), 0),
        13..=14 => step(
            Verb::Burst,
            choices.pick(&[3, 100, 2000]),
            choices.pick(&[5, 0, 1000, 65_000]),
            kind(choices),
        ),
        15 => step(Verb::Feed, size(choices), kind(choices), 0),
        16 => step(Verb::SinkSend, size(choices), kind(choices), 0),
        17 => step(Verb::SinkFlush, 0, 0, 0),
        18..=19 => step(Verb::Flush, 0, 0, 0),
        20 => step(Verb::FlushWithin, time(choices), 0, 0),
        21..=22 => step(Verb::Ping, choices.pick(&[1000, 0, 10]), 0, 0),
        23..=25 => step(Verb::Sleep, time(choices), 0, 0),
        26 => step(Verb::Yield, 0, 0, 0),
        27 => step(Verb::Close, choices.pick(CODES), choices.pick(&[0, 1]), 0),
        28 => step(Verb::Draining, choices.pick(&[1000, 0]), 0, 0),
        29 => step(Verb::Abort, 0, 0, 0),
        30 => step(
            Verb::Both,
            choices.pick(&[3, 50, 200]),
            choices.pick(&[5, 1000, 65_000]),
            kind(choices),
        ),
        31 => step(Verb::SinkClose, 0, 0, 0),
        32 => step(Verb::Drop, 0, 0, 0),
        33 => step(Verb::Move, 0, 0, 0),
        _ => step(Verb::Discard, 0, 0, 0),
    }
}

/// The last steps of an endpoint.
fn last(choices: &mut Choices<'_>) -> Step<OwnerVerb> {
    use OwnerVerb as Verb;

    let (verb, a) = match choices.up_to(15) {
        0..=4 => (Verb::Echo, 0),
        5..=6 => (Verb::Forward, choices.pick(&[1, 2, 10])),
        7..=9 => (Verb::Recv, 10_000),
        10 => (Verb::Closed, 0),
        11 => (Verb::Discard, 0),
        12 => (Verb::Error, 0),
        13 => (Verb::Panic, 0),
        14 => (Verb::Close, choices.pick(CODES)),
        _ => (Verb::Return, 0),
    };
    let (b, c) = (0, 0);
    Step { verb, a, b, c }
}

fn helper(choices: &mut Choices<'_>) -> Step<HelperVerb> {
    use HelperVerb as Verb;

    let step = |verb, a, b, c| Step { verb, a, b, c };
    match choices.up_to(19) {
        0..=4 => step(Verb::Send, size(choices), kind(choices), 0),
        5 => step(
            Verb::SendWithin,
            size(choices),
            kind(choices),
            time(choices),
        ),
        6 => step(Verb::Try, size(choices), kind(choices), 0),
        7 => step(
            Verb::Burst,
            choices.pick(&[3, 100, 2000]),
            choices.pick(&[5, 0, 1000, 65_000]),
            kind(choices),
        ),
        8..=9 => step(Verb::Flush, 0, 0, 0),
        10..=11 => step(Verb::Ping, choices.pick(&[1000, 0, 10]), 0, 0),
        12..=14 => step(Verb::Sleep, time(choices), 0, 0),
        15 => step(Verb::Close, choices.pick(CODES), 0, 0),
        16 => step(Verb::Abort, 0, 0, 0),
        17 => step(Verb::Poke, 0, 0, 0),
        18 => step(Verb::Closed, 0, 0, 0),
        _ => step(Verb::Draining, 0, 0, 0),
    }
}

fn kind(choices: &mut Choices<'_>) -> u32 {
    choices.up_to(3) as u32
}
