//! A policy is told at once what a handle has to say, also on a busy socket, where it is told of traffic later.

use std::time::Instant;

use towline_core::{Action, ClosedBy, Event, PolicyFactory, SocketPolicy, SocketState};

use crate::socket::{Open, drive, open_with, poll_once};
use crate::task::{check, run, thread};

/// Ends the socket when it is poked.
struct Poked;

impl SocketPolicy for Poked {
    fn on_event(&mut self, _: Instant, event: Event, _: &SocketState) -> Action {
        match event {
            Event::Poked => Action::Abort("poked"),
            _ => Action::None,
        }
    }
}

fn while_messages_pass(before: usize) {
    check(move || {
        let poked = PolicyFactory::new(|_| Some(Poked));
        let Open {
            socket,
            mut driver,
            task,
            peer,
        } = open_with(move |upgrade| upgrade.policy(poked.clone()));
        let control = socket.control();
        for _ in 0..before {
            socket.try_send("busy").unwrap();
            poll_once(&mut driver, &task);
        }
        let driving = drive(driver, task);
        let sending = thread(move || {
            let _ = socket.try_send("one");
            socket
        });
        peer.send("unread");
        control.poke();
        driving.join().unwrap();
        drop(sending.join().unwrap());
        assert_eq!(run(control.closed()).by(), ClosedBy::Policy);
    });
}

#[test]
fn on_an_idle_socket() {
    while_messages_pass(0);
}

#[test]
fn on_a_busy_socket() {
    while_messages_pass(8);
}
