//! The generator makes what it promises.

use std::collections::BTreeSet;

use towline_protocol::Event;

use super::*;
use crate::choices::Random;
use crate::drive;
use crate::targets::TARGETS;

#[test]
fn a_conversation_has_nothing_wrong() {
    let mut random = Random::new(1);
    let mut closes = 0;
    for _ in 0..500 {
        let tape = random.tape();
        let choices = &mut Choices::new(&tape);
        let role = choices.pick(&[Role::Server, Role::Client]);
        let frames = conversation(choices, role);
        let stream = Stream {
            role,
            limits: Limits::default(),
            cuts: Vec::new(),
            wire: encode(&frames),
        };
        let outcome = drive::decode(&stream, &[]);
        assert_eq!(outcome.violation, None);
        let finals = frames.iter().filter(|frame| frame.fin).count();
        assert_eq!(outcome.events.len(), finals);
        closes += usize::from(matches!(outcome.events.last(), Some(Event::Close(_))));
    }
    assert!((100..400).contains(&closes), "{closes}");
}

#[test]
fn streams_reach_every_violation_and_every_event() {
    let mut random = Random::new(1);
    let mut reached = BTreeSet::new();
    for _ in 0..4000 {
        let tape = random.tape();
        let stream = stream(&mut Choices::new(&tape));
        let outcome = drive::decode(&stream, &[]);
        for event in outcome.events {
            reached.insert(match event {
                Event::Message(message) if message.is_text() => "Text".to_owned(),
                Event::Message(_) => "Binary".to_owned(),
                Event::Ping(_) => "Ping".to_owned(),
                Event::Pong(_) => "Pong".to_owned(),
                Event::Close(None) => "empty Close".to_owned(),
                Event::Close(Some(_)) => "Close".to_owned(),
            });
        }
        if let Some(violation) = outcome.violation {
            let name = format!("{violation:?}");
            reached.insert(name.split('(').next().unwrap_or_default().to_owned());
        }
    }
    // Six events and all of `Violation`.
    assert_eq!(reached.len(), 6 + 16, "{reached:?}");
}

#[test]
fn every_target_makes_inputs_of_any_tape() {
    let mut random = Random::new(1);
    for target in TARGETS {
        (target.generate)(&mut Choices::new(&[]));
        for byte in [1, 127, 255] {
            (target.generate)(&mut Choices::new(&[byte; 600]));
        }
        let inputs: BTreeSet<_> = (0..100)
            .map(|_| (target.generate)(&mut Choices::new(&random.tape())))
            .collect();
        assert!(
            inputs.len() > 70,
            "{}: {} of 100",
            target.name,
            inputs.len()
        );
    }
}
