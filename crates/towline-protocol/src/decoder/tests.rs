//! The decoder against every violation and limit.

use std::time::{Duration, Instant};

use super::*;
use crate::close::CloseCode;
use crate::encoder::{encode_frame, encode_header};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with any first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    encode_frame(&mut wire, Opcode::Binary, payload, Some(KEY));
    wire[0] = first;
    wire
}

/// The header of a client's frame that declares `len` in eight bytes.
fn long_header(first: u8, len: u64) -> Vec<u8> {
    [&[first, 0xff], &len.to_be_bytes()[..], &KEY].concat()
}

fn server(max_message_size: usize) -> Decoder {
    let limits = Limits {
        max_message_size,
        ..Limits::default()
    };
    Decoder::new(Role::Server, limits)
}

/// All events of `wire`, and the violation that ended them.
fn run(decoder: &mut Decoder, wire: &[u8]) -> (Vec<Event>, Option<Violation>) {
    let mut wire = wire.to_vec();
    let mut rest = &mut wire[..];
    let mut events = Vec::new();
    loop {
        match decoder.decode(rest) {
            Ok(Decoded {
                consumed, event, ..
            }) => {
                rest = &mut rest[consumed..];
                match event {
                    Some(event) => events.push(event),
                    None => {
                        assert!(rest.is_empty(), "neither an event nor all of the input");
                        return (events, None);
                    }
                }
            }
            Err(violation) => return (events, Some(violation)),
        }
    }
}

fn violation(decoder: &mut Decoder, wire: &[u8]) -> Option<Violation> {
    run(decoder, wire).1
}

#[test]
fn every_violation_has_its_code() {
    let tight = Limits {
        max_message_size: 6,
        max_frame_size: Some(4),
        max_fragments: 2,
    };
    let start = frame(0x02, b"1234");
    let cases = [
        (Violation::UnmaskedClientFrame, 1002, b"\x81\x00".to_vec()),
        (Violation::ReservedBits, 1002, frame(0xc1, b"")),
        (Violation::ReservedBits, 1002, frame(0xa2, b"")),
        (Violation::ReservedBits, 1002, frame(0x91, b"")),
        (Violation::ReservedBits, 1002, frame(0xc9, b"")),
        (
            Violation::ReservedBits,
            1002,
            [&start[..], &frame(0xc0, b"")].concat(),
        ),
        (Violation::UnknownOpcode(3), 1002, frame(0x83, b"")),
        (Violation::UnknownOpcode(15), 1002, frame(0x8f, b"")),
        (Violation::ContinuationWithoutStart, 1002, frame(0x80, b"")),
        (
            Violation::ContinuationWithoutStart,
            1002,
            [frame(0x81, b""), frame(0x00, b"")].concat(),
        ),
        (
            Violation::StartWithinMessage,
            1002,
            [&start[..], &frame(0x82, b"")].concat(),
        ),
        (Violation::FragmentedControl, 1002, frame(0x09, b"")),
        (Violation::ControlTooLong, 1002, frame(0x89, &[0; 126])),
        (
            Violation::ControlTooLong,
            1002,
            [&start[..], &frame(0x8a, &[0; 126])].concat(),
        ),
        (
            Violation::ControlTooLong,
            1002,
            long_header(0x88, u64::MAX >> 1),
        ),
        (
            Violation::LengthNotMinimal,
            1002,
            [&[0x82, 0xfe, 0, 125], &KEY[..]].concat(),
        ),
        (Violation::LengthNotMinimal, 1002, long_header(0x82, 65_535)),
        (Violation::LengthTopBit, 1002, long_header(0x82, 1 << 63)),
        (Violation::BadCloseBody, 1002, frame(0x88, b"\x03")),
        (
            Violation::BadCloseCode(1006),
            1002,
            frame(0x88, b"\x03\xee"),
        ),
        (Violation::InvalidUtf8, 1007, frame(0x88, b"\x03\xe8\xff")),
        (Violation::InvalidUtf8, 1007, frame(0x81, b"\xc0\x80")),
        (Violation::InvalidUtf8, 1007, frame(0x81, b"\xe2\x82")),
        (Violation::FrameTooBig, 1009, frame(0x82, b"12345")),
        (
            Violation::MessageTooBig,
            1009,
            [&start[..], &frame(0x80, b"123")].concat(),
        ),
        (
            Violation::TooManyFragments,
            1009,
            [frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")].concat(),
        ),
    ];
    for (expected, code, wire) in cases {
        let mut decoder = Decoder::new(Role::Server, tight);
        assert_eq!(violation(&mut decoder, &wire), Some(expected), "{wire:x?}");
        assert_eq!(expected.close_code(), CloseCode::from(code), "{expected}");

        assert_eq!(decoder.buffered(), 0, "{expected}");
        assert_eq!(
            decoder.decode(&mut frame(0x82, b"")),
            Err(expected),
            "it stays failed"
        );
        assert!(decoder.payload_buf().is_none());

        let answer = CloseFrame::from(expected);
        assert!(answer.code().is_sendable() && answer.reason().len() <= CloseFrame::MAX_REASON);
    }
}

#[test]
fn a_client_refuses_masked_frames() {
    let mut client = Decoder::new(Role::Client, Limits::default());
    let masked = Violation::MaskedServerFrame;
    assert_eq!(violation(&mut client, &frame(0x81, b"")), Some(masked));
    assert_eq!(masked.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn every_length_form() {
    for (len, header) in [
        (0, 2),
        (1, 2),
        (125, 2),
        (126, 4),
        (127, 4),
        (65_535, 4),
        (65_536, 10),
    ] {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let message = [Event::Message(Message::from(&payload[..]))];

        let mut wire = Vec::new();
        encode_frame(&mut wire, Opcode::Binary, &payload, None);
        assert_eq!(wire.len(), header + len);
        assert_eq!(
            wire[..header],
            *encode_header(Opcode::Binary, len, true, None)
        );
        let mut client = Decoder::new(Role::Client, Limits::default());
        assert_eq!(run(&mut client, &wire), (message.to_vec(), None));

        let wire = frame(0x82, &payload);
        assert_eq!(wire.len(), header + 4 + len);
        assert_eq!(run(&mut server(1 << 20), &wire), (message.to_vec(), None));
    }
}

#[test]
fn limits_are_inclusive() {
    for len in [126, 1000, 65_536] {
        let payload = vec![b'x'; len + 2];
        let outcome = |wire: &[u8]| violation(&mut server(len), wire);

        for (len, expected) in [
            (len - 1, None),
            (len, None),
            (len + 1, Some(Violation::FrameTooBig)),
        ] {
            assert_eq!(outcome(&frame(0x81, &payload[..len])), expected, "{len}");
        }
        for (end, expected) in [
            (len - 1, None),
            (len, None),
            (len + 1, Some(Violation::MessageTooBig)),
            (len + 2, Some(Violation::MessageTooBig)),
        ] {
            let wire = [
                frame(0x01, &payload[..100]),
                frame(0x80, &payload[100..end]),
            ]
            .concat();
            assert_eq!(outcome(&wire), expected, "{end}");
        }
    }

    // After a message the count begins anew, of bytes and of fragments.
    let limits = Limits {
        max_message_size: 4,
        max_frame_size: None,
        max_fragments: 2,
    };
    let mut decoder = Decoder::new(Role::Server, limits);
    for _ in 0..3 {
        let wire = [frame(0x02, b"12"), frame(0x80, b"34")].concat();
        let message = Event::Message(Message::from(&b"1234"[..]));
        assert_eq!(run(&mut decoder, &wire), (vec![message], None));
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    let lengths = [1 << 31, 1 << 32, u64::MAX >> 1];
    for len in lengths {
        let mut decoder = server(1 << 20);
        assert_eq!(
            violation(&mut decoder, &long_header(0x82, len)),
            Some(Violation::FrameTooBig)
        );
    }

    // Nor where the limit would allow it.
    for len in lengths
        .into_iter()
        .filter(|&len| usize::try_from(len).is_ok())
    {
        let mut decoder = server(usize::MAX);
        assert_eq!(violation(&mut decoder, &long_header(0x82, len)), None);
        assert!(decoder.is_mid_message());
        assert!(decoder.payload_buf().is_none());
        assert_eq!(decoder.buffered(), 0);

        let wire = [long_header(0x02, 1 << 31), vec![0; 10]].concat();
        let mut decoder = server(usize::MAX);
        assert_eq!(violation(&mut decoder, &wire), None);
        assert!(decoder.buffered() <= 20);
    }
}

#[test]
fn the_sum_of_fragments_does_not_overflow() {
    let mut decoder = server(usize::MAX);
    let wire = [frame(0x02, b"1"), long_header(0x80, u64::MAX >> 1)].concat();
    let expected = usize::try_from(u64::MAX >> 1).map_or(Some(Violation::FrameTooBig), |_| None);
    assert_eq!(violation(&mut decoder, &wire), expected);
}

#[test]
fn fragments_are_counted_even_empty_ones() {
    let mut decoder = server(1 << 20);
    let wire = [frame(0x02, b""), frame(0x00, b"").repeat(131_071)].concat();
    assert_eq!(violation(&mut decoder, &wire), None);
    assert_eq!(decoder.buffered(), 0);
    assert_eq!(
        violation(&mut decoder, &frame(0x80, b"")),
        Some(Violation::TooManyFragments)
    );
}

#[test]
fn tiny_fragments_take_linear_time_and_memory() {
    let time = |count: usize| -> Duration {
        let wire = [frame(0x01, b"a"), frame(0x00, b"a").repeat(count)].concat();
        let once = || {
            let mut decoder = server(1 << 20);
            let start = Instant::now();
            for byte in &wire {
                assert_eq!(decoder.decode(&mut [*byte]).unwrap().event, None);
            }
            assert!(decoder.buffered() <= 2 * (count + 1));
            start.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let (few, many) = (time(5_000), time(50_000));
    assert!(
        many < few * 40,
        "10 times the input took {few:?} → {many:?}"
    );
}

#[test]
fn control_frames_between_fragments() {
    let longest = [b'p'; 125];
    let wire = [
        frame(0x01, "grü".as_bytes()),
        frame(0x89, &longest),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, "ße".as_bytes()),
    ]
    .concat();
    let expected = [
        Event::Ping(Bytes::copy_from_slice(&longest)),
        Event::Pong(Bytes::new()),
        Event::Message(Message::from("grüße")),
    ];

    let mut decoder = server(1 << 20);
    assert_eq!(run(&mut decoder, &wire), (expected.to_vec(), None));
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn close_is_the_last_event() {
    let close = CloseFrame::new(CloseCode::from(4001), "enough").unwrap();
    for (body, expected) in [(&b""[..], None), (b"\x0f\xa1enough", Some(close))] {
        let wire = [
            frame(0x01, b"half"),
            frame(0x88, body),
            frame(0x82, b"late"),
            vec![0xff; 99],
        ]
        .concat();
        let mut decoder = server(1 << 20);
        assert_eq!(
            run(&mut decoder, &wire),
            (vec![Event::Close(expected)], None)
        );
        assert_eq!((decoder.buffered(), decoder.is_mid_message()), (0, false));
        let ignored = Decoded {
            consumed: 7,
            event: None,
            frames: 0,
        };
        assert_eq!(decoder.decode(&mut [0xff; 7]), Ok(ignored));
    }
}

#[test]
fn bad_text_is_refused_before_it_ends() {
    // Autobahn 6.4: a code point past U+10FFFF. The fourth byte of it never comes.
    let text = ["κόσμε".as_bytes(), b"\xf4\x90"].concat();
    let masked = frame(0x81, &[&text[..], &[0; 100]].concat());

    let mut decoder = server(1 << 20);
    let header = masked.len() - text.len() - 100;
    assert_eq!(
        violation(&mut decoder, &masked[..header + text.len() - 1]),
        None
    );
    assert_eq!(
        violation(&mut decoder, &masked[header + text.len() - 1..][..1]),
        Some(Violation::InvalidUtf8)
    );

    // The same cut into fragments between the two bytes.
    let (head, tail) = text.split_at(text.len() - 1);
    let mut decoder = server(1 << 20);
    assert_eq!(violation(&mut decoder, &frame(0x01, head)), None);
    assert_eq!(
        violation(&mut decoder, &frame(0x00, tail)),
        Some(Violation::InvalidUtf8)
    );

    // A message that ends within a character.
    let mut decoder = server(1 << 20);
    let wire = [frame(0x01, b"\xe2"), frame(0x80, b"\x82")].concat();
    assert_eq!(violation(&mut decoder, &wire), Some(Violation::InvalidUtf8));
}

#[test]
fn payload_buf_grows_with_what_arrived() {
    let total = 1 << 20;
    let wire = frame(0x82, &vec![7; total]);
    let (first, mut rest) = wire.split_at(20 * 1024);

    let mut decoder = server(total);
    assert!(decoder.payload_buf().is_none());
    assert_eq!(violation(&mut decoder, first), None);

    let mut arrived = first.len();
    while let Some(mut buf) = decoder.payload_buf() {
        let room = buf.remaining_mut();
        assert!(room >= 4 * 1024 && room <= rest.len());
        let (read, left) = rest.split_at(room.min(50_000));
        buf.put_slice(read);
        arrived += read.len();
        rest = left;
        assert!(
            decoder.buffered() <= 2 * arrived,
            "{} > 2 * {arrived}",
            decoder.buffered()
        );
        if !rest.is_empty() {
            let nothing = Decoded {
                consumed: 0,
                event: None,
                frames: 0,
            };
            assert_eq!(decoder.decode(&mut []), Ok(nothing));
        }
    }
    assert!(decoder.buffered() <= total);

    let message = Event::Message(Message::from(vec![7; total]));
    assert_eq!(run(&mut decoder, rest), (vec![message], None));
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn a_message_read_directly_is_delivered_without_further_input() {
    let wire = frame(0x82, &[7; 32 * 1024]);
    let (first, rest) = wire.split_at(17 * 1024);
    let mut decoder = server(1 << 20);
    assert_eq!(violation(&mut decoder, first), None);
    decoder.payload_buf().unwrap().put_slice(rest);
    assert!(decoder.payload_buf().is_none());

    let mut next = frame(0x89, b"");
    let decoded = decoder.decode(&mut next).unwrap();
    let message = Event::Message(Message::from(vec![7; 32 * 1024]));
    assert_eq!((decoded.consumed, decoded.event), (0, Some(message)));
    assert_eq!(
        run(&mut decoder, &next),
        (vec![Event::Ping(Bytes::new())], None)
    );
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(
        size_of::<Decoder>() <= 144,
        "{} bytes",
        size_of::<Decoder>()
    );

    let mut decoder = server(1 << 20);
    let wire = [
        frame(0x02, &[0; 99]),
        frame(0x89, b"ping"),
        frame(0x80, &[0; 99]),
    ]
    .concat();
    for byte in wire {
        decoder.decode(&mut [byte]).unwrap();
    }
    assert_eq!((decoder.buffered(), decoder.is_mid_message()), (0, false));
}

#[test]
fn debug_shows_no_payload() {
    let mut decoder = server(1 << 20);
    assert_eq!(violation(&mut decoder, &frame(0x02, b"secret")), None);
    let shown = format!("{decoder:?}");
    assert!(
        shown.starts_with("Decoder { role: Server") && shown.contains("buffered: 6"),
        "{shown}"
    );
}
