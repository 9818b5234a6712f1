//! Input after a violation is read to its end and not kept.

use towline_testing::{BINARY, KIB, MIB, Wire, header, serve, within};

use crate::heap::{BOTH, Heap, alone, echo, hyper};

#[test]
fn a_message_of_50_times_the_limit_costs_nothing() {
    const LIMIT: usize = MIB;
    const SIZE: usize = 50 * LIMIT;

    alone(async {
        for (server, http) in BOTH {
            let address = serve(server, http, echo(LIMIT)).await;
            let mut wire = Wire::open(http, address).await;
            let chunk = vec![7; 64 * KIB];
            let heap = Heap::now();
            wire.write(header(BINARY, SIZE as u64)).await;
            for sent in 0..SIZE / chunk.len() {
                let taken = wire.try_write(&chunk).await;
                let sent = sent * chunk.len() / KIB;
                assert!(taken.is_ok(), "{http:?}, after {sent} KiB: {taken:?}");
            }
            assert_eq!(within(wire.closed_with()).await, 1009);
            heap.assert_peak(MIB + hyper(http), (server, http));
        }
    });
}
