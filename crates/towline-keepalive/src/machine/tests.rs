//! The machine in virtual time.

use towline_core::CloseFrame;

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const MILLI: Duration = Duration::from_millis(1);

const OFF: Settings = Settings {
    interval: None,
    timeout: None,
    strategy: Strategy::PingPong,
    idle_timeout: None,
    max_lifetime: None,
    write_timeout: None,
    stall_timeout: None,
};

const PINGS: Settings = Settings {
    interval: Some(secs(30)),
    timeout: Some(secs(20)),
    ..OFF
};

/// A machine, its clock, and what its driver knows.
struct Rig {
    machine: Machine,
    start: Instant,
    now: Instant,
    state: SocketState,
}

impl Rig {
    fn new(settings: Settings) -> Self {
        Self::seeded(settings, 7)
    }

    fn seeded(settings: Settings, seed: u32) -> Self {
        let start = Instant::now();
        Self::at_epoch(settings, seed, start, start)
    }

    fn at_epoch(settings: Settings, seed: u32, epoch: Instant, start: Instant) -> Self {
        let common = Common { settings, epoch };
        Self {
            machine: Machine::new(Arc::new(common), seed, start),
            start,
            now: start,
            state: SocketState::default(),
        }
    }

    /// The clock goes to this long after the start. Nothing must be due on the way.
    #[track_caller]
    fn at(&mut self, elapsed: Duration) -> &mut Self {
        let now = self.start + elapsed;
        if let Some(deadline) = self.machine.deadline() {
            assert!(deadline > now, "due after {:?}", deadline - self.start);
        }
        self.now = now;
        self
    }

    fn event(&mut self, event: Event) {
        let action = self.machine.on_event(self.now, event, &self.state);
        assert_eq!(action, Action::None);
    }

    fn received(&mut self) {
        let (received, written) = (1, 0);
        self.event(Event::Transferred { received, written });
    }

    fn received_message(&mut self) {
        self.state.received += 1;
        self.received();
    }

    /// The transport takes something, and so much is left.
    fn written(&mut self, blocked: usize) {
        self.state.blocked = blocked;
        let (received, written) = (0, 1);
        self.event(Event::Transferred { received, written });
    }

    fn blocked(&mut self, blocked: usize) {
        self.state.blocked = blocked;
        self.event(Event::WriteBlocked);
    }

    fn ping_leaves(&mut self) {
        self.event(Event::PingSent { token: 1 });
    }

    fn stops(&mut self) {
        self.state.full = true;
        self.event(Event::ReadingStopped);
    }

    fn resumes(&mut self) {
        self.state.full = false;
        self.event(Event::ReadingResumed);
    }

    fn due(&self) -> Option<Duration> {
        Some(self.machine.deadline()? - self.start)
    }

    /// The clock goes to the deadline, and the machine acts.
    fn fire(&mut self) -> Action {
        self.fire_late(Duration::ZERO)
    }

    fn fire_late(&mut self, late: Duration) -> Action {
        self.now = self.machine.deadline().unwrap() + late;
        let action = self.machine.on_deadline(self.now, &self.state);
        assert!(self.machine.deadline().is_none_or(|at| at > self.now));
        action
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Pings after the first silence, whose length is `wait`.
    fn pinged(settings: Settings) -> Self {
        let mut rig = Self::new(settings);
        assert_eq!(rig.fire(), Action::Ping);
        rig.ping_leaves();
        rig
    }
}

fn dead() -> Action {
    Action::end(CloseCode::INTERNAL_ERROR, "keep-alive timeout")
}

fn going_away(reason: &'static str) -> Action {
    Action::Close(CloseFrame::from_static(CloseCode::GOING_AWAY, reason))
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let mut rig = Rig::new(PINGS);
    assert_eq!(rig.fire(), Action::Ping);
    // As long as it stands in line, the peer owes nothing.
    assert_eq!(rig.due(), None);
    rig.at(secs(100)).ping_leaves();
    assert_eq!(rig.due(), Some(secs(120)));
    rig.at(secs(120) - MILLI);
    assert_eq!(rig.fire(), dead());
    assert_eq!(rig.due(), None);
}

#[test]
fn a_byte_before_the_answer_is_due_saves_the_peer() {
    let mut rig = Rig::pinged(PINGS);
    let due = rig.due().unwrap();
    rig.at(due - MILLI).received();
    let next = rig.due().unwrap() - rig.elapsed();
    assert!((secs(27)..=secs(33)).contains(&next), "{next:?}");
    assert_eq!(rig.fire(), Action::Ping);
}

#[test]
fn a_byte_when_the_answer_is_due_saves_the_peer() {
    let mut rig = Rig::pinged(PINGS);
    // The driver reads before it looks at the timer.
    rig.now = rig.machine.deadline().unwrap();
    rig.received();
    assert_eq!(rig.machine.on_deadline(rig.now, &rig.state), Action::None);
}

#[test]
fn a_byte_after_the_end_changes_nothing() {
    let mut rig = Rig::pinged(PINGS);
    assert_eq!(rig.fire(), dead());
    rig.received();
    assert_eq!(rig.due(), None);
}

#[test]
fn any_byte_puts_the_ping_off() {
    let mut rig = Rig::new(PINGS);
    let wait = rig.due().unwrap();
    for elapsed in [wait - MILLI, wait + secs(10), wait + secs(20)] {
        rig.at(elapsed).received();
        assert_eq!(rig.due(), Some(elapsed + wait));
    }
}

#[test]
fn the_pong_to_an_earlier_ping_is_a_byte_like_others() {
    let mut rig = Rig::pinged(PINGS);
    rig.received();
    let next = rig.due();
    // Wrong, late and repeated pongs: only the transport's bytes count.
    for token in [0, 7, 1, 1] {
        let round_trip = MILLI;
        rig.event(Event::Pong { token, round_trip });
        assert_eq!(rig.due(), next);
    }
}

#[test]
fn somebody_elses_ping_owes_nothing() {
    let mut rig = Rig::new(PINGS);
    let next = rig.due();
    rig.ping_leaves();
    assert_eq!(rig.due(), next);
}

#[test]
fn a_peer_that_takes_what_is_queued_is_alive() {
    let mut rig = Rig::pinged(PINGS);
    let left = rig.elapsed();
    rig.blocked(1000);
    rig.at(left + secs(19)).written(500);
    assert_eq!(rig.due(), Some(left + secs(39)));
    rig.at(left + secs(38)).written(0);
    // What the kernel takes into an empty queue is no sign of the peer.
    rig.at(left + secs(50)).written(0);
    assert_eq!(rig.due(), Some(left + secs(58)));
    assert_eq!(rig.fire(), dead());
}

#[test]
fn jitter_is_a_tenth_and_the_first_wait_up_to_half_shorter() {
    let mut firsts = Vec::new();
    let mut others = Vec::new();
    for seed in 0..1000 {
        let mut rig = Rig::seeded(PINGS, seed);
        firsts.push(rig.due().unwrap());
        assert_eq!(rig.fire(), Action::Ping);
        rig.received();
        others.push(rig.due().unwrap() - rig.elapsed());
    }
    for (waits, from, to) in [(firsts, secs(15), secs(30)), (others, secs(27), secs(33))] {
        assert!(waits.iter().all(|wait| (from..=to).contains(wait)));
        // They fill the range.
        let tenth = (to - from) / 10;
        for step in 0..10 {
            let part = from + tenth * step..from + tenth * (step + 1);
            let count = waits.iter().filter(|wait| part.contains(wait)).count();
            assert!((50..200).contains(&count), "{count} in {part:?}");
        }
    }
}

#[test]
fn sockets_opened_together_do_not_ping_together() {
    const SOCKETS: u32 = 10_000;
    let mut rigs: Vec<_> = (0..SOCKETS).map(|seed| Rig::seeded(PINGS, seed)).collect();
    for interval in 0..5 {
        let mut pings = vec![0; 240];
        for rig in &mut rigs {
            assert_eq!(rig.fire(), Action::Ping);
            pings[rig.elapsed().as_secs() as usize] += 1;
            rig.received();
        }
        let share = SOCKETS / 30;
        let most = pings.iter().max().unwrap();
        assert!(
            *most < 3 * share,
            "{most} in a second of interval {interval}"
        );
    }
}

#[test]
fn a_clock_may_be_before_or_behind_that_of_the_layer() {
    let year = secs(365 * 24 * 60 * 60);
    let now = Instant::now();
    for (epoch, start) in [(now, now + year), (now + year, now)] {
        let mut rig = Rig::at_epoch(PINGS, 7, epoch, start);
        let wait = rig.due();
        assert_eq!(wait, Rig::new(PINGS).due());
        assert_eq!(rig.fire(), Action::Ping);
        rig.ping_leaves();
        assert_eq!(rig.due(), wait.map(|wait| wait + secs(20)));
        assert_eq!(rig.fire(), dead());
    }
}

/// A deadline that arithmetic has wrapped would be early.
#[test]
fn a_wait_may_be_longer_than_any_clock() {
    const CENTURY: Duration = secs(100 * 365 * 24 * 60 * 60);
    let is_far = |rig: &Rig| rig.due().is_none_or(|due| due > CENTURY);
    for wait in [
        CENTURY * 4,
        Duration::from_nanos(u64::MAX),
        Duration::from_millis(u64::MAX),
        secs(i64::MAX as u64),
        Duration::MAX / 10 * 9,
        Duration::MAX,
    ] {
        for strategy in [Strategy::PingPong, Strategy::UnsolicitedPong] {
            let settings = Settings {
                interval: Some(wait),
                timeout: Some(wait),
                strategy,
                idle_timeout: Some(wait),
                max_lifetime: Some(wait),
                write_timeout: Some(wait),
                stall_timeout: Some(wait),
            };
            for seed in 0..1000 {
                let mut rig = Rig::seeded(settings, seed);
                assert!(is_far(&rig), "{wait:?}: {:?}", rig.due());
                let events: [fn(&mut Rig); 6] = [
                    |rig| rig.received_message(),
                    |rig| rig.machine.fresh = false,
                    |rig| rig.blocked(7),
                    |rig| rig.written(3),
                    Rig::stops,
                    Rig::resumes,
                ];
                for event in events {
                    rig.now += secs(3600);
                    event(&mut rig);
                    assert!(is_far(&rig), "{wait:?}: {:?}", rig.due());
                }
            }
        }
        let timeout = Some(wait);
        let rig = Rig::pinged(Settings { timeout, ..PINGS });
        assert!(is_far(&rig), "{wait:?}: {:?}", rig.due());
    }
}

#[test]
fn unsolicited_pongs_go_out_whatever_comes() {
    let strategy = Strategy::UnsolicitedPong;
    let mut rig = Rig::new(Settings { strategy, ..PINGS });
    for _ in 0..10 {
        let due = rig.due().unwrap();
        rig.at(due - MILLI).received();
        rig.stops();
        rig.resumes();
        assert_eq!(rig.due(), Some(due));
        assert_eq!(rig.fire(), Action::UnsolicitedPong);
        let wait = rig.due().unwrap() - due;
        assert!((secs(27)..=secs(33)).contains(&wait), "{wait:?}");
    }
}

#[test]
fn only_messages_keep_a_socket_from_being_idle() {
    let idle_timeout = Some(secs(60));
    let mut rig = Rig::new(Settings {
        idle_timeout,
        ..OFF
    });
    rig.at(secs(59)).received_message();
    rig.at(secs(100)).received();
    rig.at(secs(110)).written(0);
    assert_eq!(rig.due(), Some(secs(119)));
    rig.at(secs(119) - MILLI);
    assert_eq!(rig.fire(), going_away("idle timeout"));
}

#[test]
fn a_socket_is_not_idle_while_nobody_reads_it() {
    let idle_timeout = Some(secs(60));
    let mut rig = Rig::new(Settings {
        idle_timeout,
        ..OFF
    });
    rig.at(secs(50)).stops();
    assert_eq!(rig.due(), None);
    rig.at(secs(500)).resumes();
    assert_eq!(rig.due(), Some(secs(560)));
}

#[test]
fn a_lifetime_ends_whatever_goes_on() {
    let max_lifetime = Some(secs(100));
    let mut rig = Rig::new(Settings {
        max_lifetime,
        ..OFF
    });
    rig.at(secs(90)).received_message();
    rig.at(secs(95)).stops();
    assert_eq!(rig.due(), Some(secs(100)));
    assert_eq!(rig.fire(), going_away("maximum lifetime"));

    // Also late: it is no judgement on the peer.
    let mut rig = Rig::new(Settings {
        max_lifetime,
        ..OFF
    });
    assert_eq!(rig.fire_late(secs(3600)), going_away("maximum lifetime"));
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let write_timeout = Some(secs(30));
    let mut rig = Rig::new(Settings {
        write_timeout,
        ..OFF
    });
    rig.at(secs(5)).written(0);
    assert_eq!(rig.due(), None);
    rig.at(secs(10)).blocked(1000);
    // One byte is progress.
    rig.at(secs(39)).written(999);
    rig.at(secs(60)).received();
    assert_eq!(rig.due(), Some(secs(69)));
    rig.at(secs(68)).written(0);
    assert_eq!(rig.due(), None);
    // So is a flush that comes through.
    rig.at(secs(80)).blocked(1);
    rig.state.blocked = 0;
    rig.event(Event::Transferred {
        received: 0,
        written: 0,
    });
    assert_eq!(rig.due(), None);
    // And what was written before, and the peer takes now.
    rig.at(secs(85)).blocked(1);
    rig.at(secs(90)).event(Event::WriteProgress);
    assert_eq!(rig.due(), Some(secs(120)));
    rig.written(0);
    rig.at(secs(100)).blocked(1);
    assert_eq!(rig.fire(), Action::Abort("write timeout"));
    assert_eq!(rig.elapsed(), secs(130));
}

#[test]
fn nothing_counts_against_the_peer_while_nobody_reads() {
    let mut rig = Rig::pinged(PINGS);
    let left = rig.elapsed();
    rig.at(left + secs(19)).stops();
    assert_eq!(rig.due(), None);
    rig.at(left + secs(300)).resumes();
    let next = rig.due().unwrap() - rig.elapsed();
    assert!((secs(27)..=secs(33)).contains(&next), "{next:?}");
    assert_eq!(rig.fire(), Action::Ping);
}

#[test]
fn an_endpoint_that_takes_nothing_is_given_up() {
    let stall_timeout = Some(secs(300));
    let settings = Settings {
        stall_timeout,
        ..OFF
    };
    let mut rig = Rig::new(settings);
    rig.at(secs(10)).stops();
    // It takes one message, and what is left still fills the inbox.
    rig.state.taken += 1;
    assert_eq!(rig.fire(), Action::None);
    assert_eq!(rig.due(), Some(secs(610)));
    let stalled = Action::close(CloseCode::INTERNAL_ERROR, "stall timeout");
    assert_eq!(rig.fire(), stalled);

    let mut rig = Rig::new(settings);
    rig.stops();
    rig.at(secs(299)).resumes();
    assert_eq!(rig.due(), None);

    // Another policy has paused reading: there is nothing to take.
    let mut rig = Rig::new(settings);
    rig.stops();
    rig.state.full = false;
    assert_eq!(rig.fire(), Action::None);
}

#[test]
fn nobody_is_killed_for_our_own_stall() {
    let hour = secs(3600);
    let all = Settings {
        idle_timeout: Some(secs(600)),
        write_timeout: Some(secs(30)),
        stall_timeout: Some(secs(300)),
        ..PINGS
    };
    let mut rig = Rig::pinged(all);
    assert_eq!(rig.fire_late(hour), Action::Ping);
    let pinged = rig.elapsed();
    rig.at(pinged + secs(1)).ping_leaves();
    assert_eq!(rig.due(), Some(pinged + secs(21)));
    // It was not the stall.
    assert_eq!(rig.fire(), dead());

    let mut rig = Rig::new(Settings {
        interval: None,
        ..all
    });
    rig.blocked(1);
    assert_eq!(rig.fire_late(hour), Action::None);
    assert_eq!(rig.due(), Some(rig.elapsed() + secs(30)));
    rig.stops();
    rig.written(0);
    assert_eq!(rig.fire_late(hour), Action::None);
    assert_eq!(rig.due(), Some(rig.elapsed() + secs(300)));
    rig.resumes();
    assert_eq!(rig.fire_late(hour), Action::None);
    assert_eq!(rig.due(), Some(rig.elapsed() + secs(600)));
}

#[test]
fn a_deadline_noticed_half_the_timeout_late_still_counts() {
    let mut rig = Rig::pinged(PINGS);
    assert_eq!(rig.fire_late(secs(10)), dead());
    let mut rig = Rig::pinged(PINGS);
    assert_eq!(rig.fire_late(secs(10) + MILLI), Action::Ping);
}

#[test]
fn settings_in_any_order_of_size_do_what_they_say() {
    // Each shorter than what usually is shorter than it.
    let reversed = Settings {
        interval: Some(secs(20)),
        timeout: Some(secs(40)),
        idle_timeout: Some(secs(50)),
        max_lifetime: Some(secs(45)),
        ..OFF
    };
    let mut rig = Rig::pinged(reversed);
    assert_eq!(rig.fire(), going_away("maximum lifetime"));
    assert_eq!(rig.elapsed(), secs(45));

    let max_lifetime = None;
    let mut rig = Rig::new(Settings {
        max_lifetime,
        ..reversed
    });
    assert_eq!(rig.fire(), Action::Ping);
    assert_eq!(rig.fire(), going_away("idle timeout"));

    // Longer than the clock goes.
    let endless = Some(Duration::MAX);
    let rig = Rig::new(Settings {
        interval: endless,
        timeout: endless,
        strategy: Strategy::PingPong,
        idle_timeout: endless,
        max_lifetime: endless,
        write_timeout: endless,
        stall_timeout: endless,
    });
    assert_eq!(rig.due(), None);

    // As short as can be.
    let least = Some(Duration::from_nanos(1));
    let mut rig = Rig::pinged(Settings {
        interval: least,
        timeout: least,
        ..OFF
    });
    assert_eq!(rig.fire(), dead());
}

#[test]
fn without_a_timeout_a_silent_peer_lives() {
    let mut rig = Rig::pinged(Settings {
        timeout: None,
        ..PINGS
    });
    assert_eq!(rig.due(), None);
    rig.at(secs(3600)).received();
    assert_eq!(rig.fire(), Action::Ping);
}

#[test]
fn of_two_that_are_due_the_stronger_one_is_done() {
    let both = Settings {
        max_lifetime: Some(secs(30)),
        write_timeout: Some(secs(30)),
        ..OFF
    };
    let mut rig = Rig::new(both);
    rig.blocked(1);
    assert_eq!(rig.fire(), Action::Abort("write timeout"));
}
