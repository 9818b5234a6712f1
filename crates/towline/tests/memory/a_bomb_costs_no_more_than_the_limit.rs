//! A little on the wire may inflate to a lot: a message costs no more than its limit, and a chunk of what is beyond.
//!
//! As its buffer doubles up to the limit, the allocator counts the old one and the new one at the end.

use tower::ServiceBuilder;
use towline::{Compression, EchoService, UpgradeLayer};
use towline_protocol::deflate::{Deflater, Fragment};
use towline_protocol::{Opcode, Role};
use towline_testing::deflate::{OFFER, agree};
use towline_testing::{App, KIB, MIB, Wire, app, frame, serve};

use crate::heap::{BOTH, Heap, SCRATCH, THREADS, alone, hyper};

/// What inflates, and what it inflates into: each thread has its own.
const INFLATING: usize = THREADS * (48 + 16) * KIB;

/// What the bombs inflate to.
const ZEROS: usize = 256 * MIB;

fn echo(settings: Compression) -> App {
    let layer = UpgradeLayer::new()
        .compression(settings)
        .max_message_size(MIB);
    app(ServiceBuilder::new()
        .layer(layer)
        .service(EchoService::new()))
}

/// Zeros of a message as the client compresses them: the first MiB, and any other.
fn zeros(settings: Compression) -> (Vec<u8>, Vec<u8>) {
    let agreed = agree(OFFER, settings).unwrap();
    let mut deflater = Deflater::new(&agreed, &settings, Role::Client);
    let zeros = vec![0; MIB];
    let mut compressed = |first| {
        let mut frame = Vec::new();
        let fragment = Fragment { first, last: false };
        deflater.encode(&mut frame, Opcode::Binary, fragment, &zeros, None);
        assert_eq!(frame[1], 126, "a length in 16 bits");
        frame.split_off(4)
    };
    (compressed(true), compressed(false))
}

async fn assert_bounded(bomb: impl Fn(&[u8], &[u8]) -> Vec<u8>) {
    for settings in [Compression::new(), Compression::shared()] {
        let (first, other) = zeros(settings);
        let bomb = bomb(&first, &other);
        assert!(bomb.len() < 400 * KIB, "{} bytes", bomb.len());
        for (server, http) in BOTH {
            let address = serve(server, http, echo(settings)).await;
            for _ in 0..2 {
                let (mut wire, answer) = Wire::offer(http, address, OFFER).await;
                assert!(answer.is_some());
                let heap = Heap::now();
                wire.write(&bomb).await;
                let row = (server, http, settings);
                assert_eq!(wire.closed_with().await, 1009, "{row:?}");
                let most = MIB / 2 * 3 + SCRATCH + INFLATING + 16 * KIB;
                heap.assert_peak(most + hyper(http), row);
            }
        }
    }
}

#[test]
fn in_one_frame() {
    alone(assert_bounded(|first, other| {
        frame(0xc2, [first, &other.repeat(ZEROS / MIB - 1)].concat())
    }));
}

#[test]
fn in_fragments() {
    alone(assert_bounded(|first, other| {
        [
            frame(0x42, first),
            frame(0x00, other).repeat(ZEROS / MIB - 2),
            frame(0x80, other),
        ]
        .concat()
    }));
}
