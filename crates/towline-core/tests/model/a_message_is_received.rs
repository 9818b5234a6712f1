//! A receiver in another task gets what the peer sends, and then the end.

use std::task::{Context, Waker};

use towline_core::Receiver;

use crate::socket::{Open, drive, open, poll_once};
use crate::task::{Task, check, run, spawn, thread};

/// Counts the messages up to the end.
async fn count(receiver: &mut Receiver) -> usize {
    let mut count = 0;
    while receiver.recv().await.is_some() {
        count += 1;
    }
    count
}

#[test]
fn before_the_connection_ends() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (_sender, mut receiver) = socket.split();
        let driving = drive(driver, task);
        let receiving = spawn(async move { count(&mut receiver).await });
        peer.send("one");
        peer.send("two");
        peer.hang_up();
        assert_eq!(receiving.join().unwrap(), 2);
        driving.join().unwrap();
    });
}

/// The drop of the receiver answers the Close.
#[test]
fn before_the_peers_close() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let closed = socket.closed();
        let (_sender, mut receiver) = socket.split();
        let driving = drive(driver, task);
        let receiving = spawn(async move { count(&mut receiver).await });
        peer.send("one");
        peer.close();
        peer.hang_up();
        assert_eq!(receiving.join().unwrap(), 1);
        driving.join().unwrap();
        assert!(run(closed).is_clean());
    });
}

#[test]
fn beside_what_another_task_sends() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (sender, mut receiver) = socket.split();
        let driving = drive(driver, task);
        let receiving = spawn(async move {
            assert!(receiver.recv().await.is_some());
            receiver
        });
        let sending = thread(move || sender.try_send("mine").unwrap());
        peer.send("yours");
        let receiver = receiving.join().unwrap();
        sending.join().unwrap();
        run(peer.gets(1));
        receiver.control().abort();
        driving.join().unwrap();
    });
}

/// The driver reads 64 KiB before it sees to other things.
#[test]
fn by_more_than_one_read() {
    const MESSAGES: usize = 5;

    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (sender, mut receiver) = socket.split();
        let driving = drive(driver, task);
        let sending = thread(move || sender.try_send("mine").unwrap());
        // More than one read takes, of messages too short for the spare buffers of the process: loom needs each run to be
        // like the first.
        for _ in 0..MESSAGES {
            peer.send(&"x".repeat(15_000));
        }
        run(async {
            for _ in 0..MESSAGES {
                let message = receiver.recv().await;
                assert_eq!(message.map(|message| message.len()), Some(15_000));
            }
            sending.join().unwrap();
            peer.gets(1).await;
        });
        receiver.control().abort();
        driving.join().unwrap();
    });
}

/// The driver does not read while the inbox is full.
#[test]
fn when_there_was_no_room_for_it() {
    check(|| {
        let Open {
            socket,
            mut driver,
            task,
            peer,
        } = open();
        let (_sender, mut receiver) = socket.split();
        for _ in 0..66 {
            peer.send("");
        }
        poll_once(&mut driver, &task);
        let driving = drive(driver, task);
        run(async {
            for _ in 0..66 {
                assert!(receiver.recv().await.is_some());
            }
        });
        receiver.control().abort();
        driving.join().unwrap();
    });
}

#[test]
fn in_the_task_that_the_receiver_moved_to() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (_sender, mut receiver) = socket.split();
        let driving = drive(driver, task);
        let receiving = thread(move || {
            // Polled once, in a task in which it is not polled again.
            let waker = Waker::from(Task::new());
            let mut cx = Context::from_waker(&waker);
            let mut first = Box::pin(receiver.recv());
            let polled = first.as_mut().poll(&mut cx);
            drop(first);
            if polled.is_pending() {
                run(receiver.recv());
            }
            receiver
        });
        peer.send("one");
        let receiver = receiving.join().unwrap();
        receiver.control().abort();
        driving.join().unwrap();
    });
}
