//! The header of a frame allocates nothing, whatever length it declares.

use tokio::task::yield_now;
use towline_testing::{BINARY, EVERYWHERE, KEY, KIB, MIB, TEXT, Wire, header, serve, within};

use crate::heap::{Heap, SCRATCH, alone, echo};

/// A length in 64 bits, whether or not that is its form.
fn long(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff], &length.to_be_bytes()[..], &KEY].concat()
}

#[test]
fn past_the_limit() {
    alone(async {
        for (server, http) in EVERYWHERE {
            let address = serve(server, http, echo(MIB)).await;
            for (length, code) in [
                (MIB as u64 + 1, 1009),
                (1 << 31, 1009),
                (1 << 32, 1009),
                (u64::MAX >> 1, 1009),
                (1 << 63, 1002),
                (u64::MAX, 1002),
            ] {
                for first in [TEXT, BINARY, 0x01] {
                    let mut wire = Wire::open(http, address).await;
                    wire.echo("open").await;
                    let heap = Heap::now();
                    wire.write(long(first, length)).await;
                    let row = (server, http, first, length);
                    assert_eq!(wire.closed_with().await, code, "{row:?}");
                    heap.assert_peak(SCRATCH + 32 * KIB, row);
                }
            }
        }
    });
}

/// Nor where the limit allows for it: what has arrived of it is all that is held.
#[test]
fn within_the_limit() {
    alone(async {
        for (server, http) in EVERYWHERE {
            let address = serve(server, http, echo(usize::MAX)).await;
            // Kept, so that nothing of an earlier one is given back while the next is measured.
            let mut open = Vec::new();
            for length in [MIB as u64, 1 << 31, 1 << 32, u64::MAX >> 1] {
                let begun = [header(0x02, length), vec![0; 48 * KIB]].concat();
                let mut wire = Wire::open(http, address).await;
                wire.echo("open").await;
                let heap = Heap::now();
                wire.write(&begun).await;
                // Less than was sent, as something else may be given back meanwhile.
                within(async {
                    while heap.growth() < 32 * KIB {
                        yield_now().await;
                    }
                })
                .await;
                heap.assert_peak(SCRATCH + 128 * KIB, (server, http, length));
                open.push(wire);
            }
        }
    });
}
