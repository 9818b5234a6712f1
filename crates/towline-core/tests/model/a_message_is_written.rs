//! A message that a handle sends is written, whatever the driver is doing at that time.

use std::future::pending;
use std::time::Duration;

use towline_core::{Compression, WebSocket};

use crate::socket::{Open, drive, drive_here, open, open_with, poll_once};
use crate::task::{Task, check, run, spawn, thread};
use crate::wire::Peer;

/// Sends two messages, and ends the socket when the peer has both.
fn send_two(socket: &WebSocket, peer: &Peer) {
    run(async {
        socket.try_send("one").unwrap();
        socket.try_send("two").unwrap();
        peer.gets(2).await;
        socket.abort();
    });
}

#[test]
fn while_the_driver_goes_to_sleep() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let driving = drive(driver, task);
        send_two(&socket, &peer);
        driving.join().unwrap();
    });
}

#[test]
fn while_the_driver_compresses() {
    check(|| {
        let compression = Compression::new().threshold(0);
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open_with(move |upgrade| upgrade.compression(compression));
        assert!(socket.compression().is_some());
        let driving = drive(driver, task);
        send_two(&socket, &peer);
        driving.join().unwrap();
    });
}

#[test]
fn while_the_driver_reads() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let driving = drive(driver, task);
        let sending = thread({
            let peer = peer.clone();
            move || {
                peer.send("hello");
                peer.ping();
            }
        });
        send_two(&socket, &peer);
        sending.join().unwrap();
        driving.join().unwrap();
    });
}

#[test]
fn while_another_task_flushes() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (sender, receiver) = socket.split();
        let driving = drive(driver, task);
        let flushing = spawn({
            let sender = sender.clone();
            async move { sender.flush().await }
        });
        run(async {
            sender.try_send("one").unwrap();
            peer.gets(1).await;
            flushing.join().unwrap().unwrap();
            receiver.control().abort();
        });
        driving.join().unwrap();
    });
}

#[test]
fn while_another_task_pings() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let (sender, receiver) = socket.split();
        let driving = drive(driver, task);
        let pinging = spawn({
            let sender = sender.clone();
            async move { sender.ping().await }
        });
        run(async {
            sender.try_send("one").unwrap();
            peer.gets(1).await;
        });
        let round_trip = pinging.join().unwrap();
        assert!(round_trip.is_ok_and(|it| it < Duration::MAX));
        receiver.control().abort();
        driving.join().unwrap();
    });
}

/// It takes a byte, then the rest, then the flush.
#[test]
fn while_the_transport_is_blocked() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        peer.stop_reading();
        peer.block_flush();
        let driving = drive(driver, task);
        let reading = thread({
            let peer = peer.clone();
            move || {
                peer.read(1);
                peer.read_on();
                peer.unblock_flush();
            }
        });
        send_two(&socket, &peer);
        reading.join().unwrap();
        driving.join().unwrap();
    });
}

/// A runtime that moves the driver to another task polls it there.
#[test]
fn while_the_driver_moves_to_another_task() {
    check(|| {
        let Open {
            socket,
            mut driver,
            task,
            peer,
        } = open();
        let driving = thread(move || {
            poll_once(&mut driver, &task);
            drive_here(driver, &Task::new(), pending());
        });
        send_two(&socket, &peer);
        driving.join().unwrap();
    });
}
