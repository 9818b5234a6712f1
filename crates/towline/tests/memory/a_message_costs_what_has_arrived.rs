//! A message in parts is held once, in a buffer that doubles as they come, whatever the parts are.
//!
//! While it doubles, the allocator counts the old buffer and the new one: three times what has arrived.

use towline_testing::{KIB, MIB, PING, PONG, Wire, frame, serve};

use crate::heap::{BOTH, Heap, SCRATCH, alone, echo, hyper};

/// A message of such fragments has arrived so far, and costs at most so many bytes of heap.
async fn assert_costs(fragment: usize, count: usize, most: usize) {
    for (server, http) in BOTH {
        let address = serve(server, http, echo(MIB)).await;
        let mut wire = Wire::open(http, address).await;
        wire.echo("open").await;
        let one = frame(0x00, vec![b'x'; fragment]);
        let at_once = (64 * KIB).div_ceil(one.len());
        let chunk = one.repeat(at_once);
        let heap = Heap::now();
        wire.write(frame(0x01, "")).await;
        for _ in 0..count / at_once {
            wire.write(&chunk).await;
        }
        wire.write(one.repeat(count % at_once)).await;
        wire.write(frame(PING, "")).await;
        let row = (server, http, fragment);
        assert_eq!(wire.frame().await, Some((PONG, vec![])), "{row:?}");
        heap.assert_peak(SCRATCH + most + hyper(http), row);
    }
}

#[test]
fn in_empty_fragments() {
    alone(assert_costs(0, 131_071, 16 * KIB));
}

#[test]
fn in_fragments_of_a_byte() {
    alone(assert_costs(1, 131_071, 3 * 128 * KIB));
}

#[test]
fn in_fragments_of_60_kib() {
    alone(assert_costs(60 * KIB, 17, 3 * MIB + 64 * KIB));
}

#[test]
fn until_it_is_too_big() {
    alone(async {
        for (server, http) in BOTH {
            let address = serve(server, http, echo(MIB)).await;
            for fragment in [20, 1000, 60 * KIB] {
                let mut wire = Wire::open(http, address).await;
                wire.echo("open").await;
                let one = frame(0x00, vec![b'x'; fragment]);
                let chunk = one.repeat((64 * KIB).div_ceil(one.len()));
                let heap = Heap::now();
                wire.write(frame(0x02, "")).await;
                let row = (server, http, fragment);
                for _ in 0..=(MIB / fragment * one.len()) / chunk.len() {
                    wire.write(&chunk).await;
                }
                assert_eq!(wire.closed_with().await, 1009, "{row:?}");
                heap.assert_peak(SCRATCH + 3 * MIB + 128 * KIB + hyper(http), row);
            }
        }
    });
}
