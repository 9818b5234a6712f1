//! Every future of a handle is ready when the socket ends, however it ends.

use towline_core::pipeline::Remote;
use towline_core::{CloseCode, CloseFrame, Control, Receiver, Sender};

use crate::socket::{Open, blocked, drive, full};
use crate::task::{check, spawn, thread};
use crate::wire::Peer;

#[derive(Clone, Copy, Debug)]
enum Wait {
    Receive,
    Send,
    Flush,
    Ping,
    Closed,
    Draining,
}

use Wait::{Closed, Draining, Flush, Ping, Receive, Send};

const ALL: [Wait; 6] = [Receive, Send, Flush, Ping, Closed, Draining];

impl Wait {
    /// Waits, and returns the receiver, which would close the socket if it were dropped.
    async fn over(self, sender: Sender, mut receiver: Option<Receiver>) -> Option<Receiver> {
        match self {
            Receive => {
                let receiver = receiver.as_mut().unwrap();
                assert_eq!(receiver.recv().await, None);
            }
            // Some succeed before the socket ends.
            Send => drop(sender.send("late").await),
            Flush => drop(sender.flush().await),
            Ping => drop(sender.ping().await),
            Closed => drop(sender.control().closed().await),
            Draining => sender.draining().await,
        }
        receiver
    }
}

/// The task that ends the socket.
struct End {
    control: Control,
    remote: Remote,
    peer: Peer,
    receiver: Option<Receiver>,
}

impl End {
    fn close(&mut self) {
        self.control.close(CloseCode::NORMAL, "").unwrap();
    }

    fn drain(&mut self) {
        self.remote.drain();
        self.remote
            .close(CloseFrame::new(CloseCode::GOING_AWAY, "").unwrap());
    }
}

/// Calls `end` while another task waits for one of `waits` and the peer reads nothing. `owns`: the receiver is with `end`.
/// `drives`: there is a driver; otherwise it is dropped at the same time.
fn ends(waits: &'static [Wait], owns: bool, drives: bool, end: fn(&mut End)) {
    for &wait in waits {
        check(move || {
            let Open {
                socket,
                driver,
                task,
                peer,
            } = full();
            let remote = driver.remote();
            let (sender, receiver) = socket.split();
            let control = sender.control();
            let driving = if drives {
                drive(driver, task)
            } else {
                thread(move || drop(driver))
            };
            let (theirs, receiver) = if owns {
                (None, Some(receiver))
            } else {
                (Some(receiver), None)
            };
            let waiting = spawn(wait.over(sender, theirs));
            let mut ending = End {
                control,
                remote,
                peer,
                receiver,
            };
            end(&mut ending);
            let receiver = waiting.join().unwrap();
            ending.control.abort();
            driving.join().unwrap();
            drop(receiver);
        });
    }
}

#[test]
fn by_an_abort() {
    ends(&ALL, false, true, |end| end.control.abort());
}

#[test]
fn by_the_deadline_of_a_drain() {
    ends(&ALL, false, true, |end| end.remote.abort());
}

#[test]
fn by_the_end_of_the_connection() {
    ends(&ALL, false, true, |end| end.peer.hang_up());
}

#[test]
fn by_the_drop_of_the_driver() {
    ends(&ALL, false, false, |_| {});
}

#[test]
fn by_a_close_that_cannot_be_written() {
    ends(&[Receive, Send], false, true, End::close);
}

#[test]
fn by_a_drain_that_cannot_close() {
    ends(&[Receive, Send, Draining], false, true, End::drain);
}

#[test]
fn by_the_peers_close_that_is_not_answered() {
    ends(&[Receive, Ping], false, true, |end| end.peer.close());
}

#[test]
fn by_a_close() {
    ends(&[Ping, Closed, Draining], false, true, |end| {
        end.close();
        end.peer.read_on();
    });
}

#[test]
fn by_the_drop_of_the_receiver() {
    ends(&[Send, Ping, Closed, Draining], true, true, |end| {
        end.receiver = None;
        end.peer.read_on();
    });
}

#[test]
fn by_the_peers_close_and_our_own() {
    ends(
        &[Receive, Send, Ping, Closed, Draining],
        false,
        true,
        |end| {
            end.peer.close();
            end.close();
            end.peer.read_on();
        },
    );
}

/// Driver and task must not wake each other until the peer reads.
#[test]
fn for_a_flush_by_a_close() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = blocked(b"first");
        let control = socket.control();
        let driving = drive(driver, task);
        let flushing = spawn(async move {
            let flushed = socket.flush().await;
            (socket, flushed)
        });
        control.close(CloseCode::NORMAL, "").unwrap();
        peer.read_on();
        let (_socket, flushed) = flushing.join().unwrap();
        flushed.unwrap();
        driving.join().unwrap();
    });
}
