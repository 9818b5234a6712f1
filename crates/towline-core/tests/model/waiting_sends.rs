//! Futures of `send` and `flush` that wait go on when the peer reads.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_util::SinkExt;
use towline_core::{SendError, Sender};

use crate::socket::{Open, drive, full};
use crate::task::{Task, check, run, spawn, thread};

type Sending = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

fn send(sender: &Sender, message: &'static str) -> Sending {
    let sender = sender.clone();
    Box::pin(async move { sender.send(message).await })
}

/// Polls `future` in `task`. It is not ready.
fn poll_in(task: &Arc<Task>, future: &mut Sending) {
    let waker = Waker::from(Arc::clone(task));
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
}

/// Polls a `send` in a task of its own, and drops it.
fn give_up(sender: &Sender) {
    let waker = Waker::from(Task::new());
    let _ = send(sender, "given up")
        .as_mut()
        .poll(&mut Context::from_waker(&waker));
}

#[test]
fn go_on_when_there_is_room() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let (sender, receiver) = socket.split();
        let driving = drive(driver, task);
        let sending = spawn(send(&sender, "late"));
        peer.read(1);
        peer.read_on();
        sending.join().unwrap().unwrap();
        run(peer.gets(2));
        receiver.control().abort();
        driving.join().unwrap();
    });
}

#[test]
fn go_on_in_two_tasks() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let (sender, receiver) = socket.split();
        let driving = drive(driver, task);
        let sending = spawn(send(&sender, "late"));
        let flushing = spawn(async move { sender.flush().await });
        peer.read_on();
        sending.join().unwrap().unwrap();
        flushing.join().unwrap().unwrap();
        run(peer.gets(2));
        receiver.control().abort();
        driving.join().unwrap();
    });
}

#[test]
fn go_on_when_one_of_them_is_dropped() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let (sender, receiver) = socket.split();
        let driving = drive(driver, task);
        let sending = spawn(send(&sender, "late"));
        let reading = thread(move || peer.read_on());
        give_up(&sender);
        sending.join().unwrap().unwrap();
        reading.join().unwrap();
        receiver.control().abort();
        driving.join().unwrap();
    });
}

/// Futures that were dropped leave their wakers in the list. When these are too many, the list wakes and drops all.
#[test]
fn go_on_when_many_of_them_are_dropped() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let (sender, receiver) = socket.split();
        let mut sending = send(&sender, "late");
        let waiting = Task::new();
        poll_in(&waiting, &mut sending);
        for _ in 0..17 {
            give_up(&sender);
        }
        let driving = drive(driver, task);
        let sending = thread(move || {
            waiting.sleep();
            waiting.poll_on(|cx| sending.as_mut().poll(cx))
        });
        give_up(&sender);
        give_up(&sender);
        peer.read_on();
        sending.join().unwrap().unwrap();
        receiver.control().abort();
        driving.join().unwrap();
    });
}

#[test]
fn go_on_in_the_task_they_moved_to() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let (sender, receiver) = socket.split();
        let mut sending = send(&sender, "late");
        poll_in(&Task::new(), &mut sending);
        let driving = drive(driver, task);
        let sending = spawn(sending);
        peer.read_on();
        sending.join().unwrap().unwrap();
        receiver.control().abort();
        driving.join().unwrap();
    });
}

#[test]
fn go_on_as_a_sink() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = full();
        let control = socket.control();
        let driving = drive(driver, task);
        let sending = spawn(async move {
            poll_fn(|cx| socket.poll_ready_unpin(cx)).await?;
            socket.start_send_unpin("late".into())?;
            SinkExt::flush(&mut socket).await?;
            Ok::<_, SendError>(socket)
        });
        peer.read_on();
        let socket = sending.join().unwrap().unwrap();
        assert_eq!(peer.messages(), 2);
        control.abort();
        driving.join().unwrap();
        drop(socket);
    });
}
