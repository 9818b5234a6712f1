//! The driver polls the endpoint in its own task, whose waker it does not call, when something has changed for it.

use futures_util::future::join;
use towline_core::{CloseCode, SendError, WebSocket};

use crate::socket::{Open, drive_with, full, open};
use crate::task::{check, run, spawn, thread};

async fn echo(socket: &mut WebSocket) -> Result<(), SendError> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn when_a_message_arrives() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = open();
        let control = socket.control();
        let driving = drive_with(driver, task, async move {
            let _ = echo(&mut socket).await;
        });
        peer.send("one");
        peer.send("two");
        run(peer.gets(2));
        control.abort();
        driving.join().unwrap();
    });
}

#[test]
fn when_there_is_room_for_it_and_for_another_task() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = full();
        let control = socket.control();
        let (sender, receiver) = socket.split();
        let other = sender.clone();
        let driving = drive_with(driver, task, async move {
            sender.send("mine").await.unwrap();
            sender.flush().await.unwrap();
            drop(receiver);
        });
        let sending = spawn(async move { other.send("other").await });
        peer.read_on();
        // `SendError::Closed` if the endpoint has dropped the receiver before.
        let _ = sending.join().unwrap();
        driving.join().unwrap();
        assert!(run(control.closed()).is_clean());
        assert!(peer.messages() >= 2);
    });
}

#[test]
fn when_another_task_closes() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = open();
        let control = socket.control();
        let driving = drive_with(driver, task, async move {
            assert_eq!(socket.recv().await, None);
            assert!(socket.closed().await.is_clean());
        });
        let sending = thread(move || peer.ping());
        control.close(CloseCode::NORMAL, "").unwrap();
        sending.join().unwrap();
        driving.join().unwrap();
    });
}

#[test]
fn when_another_task_drops_the_socket() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            peer,
        } = open();
        let closed = socket.closed();
        let driving = drive_with(driver, task, async move {
            assert!(closed.await.is_clean());
        });
        peer.send("unread");
        drop(socket);
        driving.join().unwrap();
    });
}

/// A message that it sends after the end of the input goes out before the Close.
#[test]
fn when_the_peer_closes() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = open();
        let control = socket.control();
        let driving = drive_with(driver, task, async move {
            assert_eq!(socket.recv().await, None);
            socket.send("goodbye").await.unwrap();
            assert!(socket.closed().await.is_clean());
        });
        peer.close();
        assert!(run(control.closed()).is_clean());
        assert_eq!(peer.messages(), 1);
        driving.join().unwrap();
    });
}

#[test]
fn when_its_ping_and_that_of_another_task_are_answered() {
    check(|| {
        let Open {
            socket,
            driver,
            task,
            ..
        } = open();
        let control = socket.control();
        let (sender, receiver) = socket.split();
        let other = sender.clone();
        let driving = drive_with(driver, task, async move {
            sender.ping().await.unwrap();
            assert_eq!(receiver.closed().await.code(), CloseCode::ABNORMAL);
        });
        run(async move { other.ping().await }).unwrap_or_default();
        control.abort();
        driving.join().unwrap();
    });
}

#[test]
fn when_a_drain_begins() {
    check(|| {
        let Open {
            mut socket,
            driver,
            task,
            peer,
        } = open();
        let remote = driver.remote();
        let driving = drive_with(driver, task, async move {
            socket.draining().await;
            let closed = socket.close(CloseCode::GOING_AWAY, "").await.unwrap();
            assert!(closed.is_clean());
        });
        peer.send("unread");
        remote.drain();
        driving.join().unwrap();
    });
}

/// The driver does not poll this future, although both have the same waker.
#[test]
fn as_is_another_future_of_the_task() {
    check(|| {
        let Open {
            mut socket,
            mut driver,
            peer,
            ..
        } = open();
        let driving = spawn(async move {
            let driving = std::future::poll_fn(|cx| driver.poll(cx, |_, _| Ok(())));
            let receiving = async {
                assert!(socket.recv().await.is_some());
                socket.abort();
            };
            join(receiving, driving).await;
        });
        peer.send("one");
        driving.join().unwrap();
    });
}
