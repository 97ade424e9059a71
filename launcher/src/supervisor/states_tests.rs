use proptest::prelude::*;

use super::*;
use crate::spec::Span;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn restart(policy: RestartPolicy, max_restarts: u32) -> Restart {
    Restart {
        policy,
        max_restarts,
        ..Restart::default()
    }
}

fn machine(policy: RestartPolicy) -> Machine {
    Machine::new(restart(policy, 2), Health::default(), Stop::default())
}

fn running(policy: RestartPolicy) -> Machine {
    let mut m = machine(policy);
    assert_eq!(m.step(s(0), Input::Start), Some(Action::Spawn { attempt: 1 }));
    m.step(s(1), Input::Ready);
    assert_eq!(m.state(), State::Running);
    m
}

fn sink(buffers: u64, eos: bool) -> SinkProgress {
    SinkProgress {
        name: "sink".into(),
        buffers,
        eos,
    }
}

fn end(code: i32) -> Input<'static> {
    Input::Ended {
        how: Exit::from_code(code).map_or(Ended::Code(code), Ended::Finished),
        jitter: 0.5,
    }
}

#[test]
fn end_of_a_finite_source_is_success() {
    let mut m = running(RestartPolicy::OnFailure);
    assert_eq!(m.step(s(2), end(0)), None);
    assert_eq!((m.state(), m.reason()), (State::Stopped, Some(&Reason::EndOfStream)));
}

#[test]
fn always_restarts_after_success_too() {
    let mut m = running(RestartPolicy::Always);
    m.step(s(2), end(0));
    assert_eq!(m.state(), State::Backoff);
}

#[test]
fn an_input_that_was_there_may_come_back() {
    let mut m = running(RestartPolicy::OnFailure);
    m.step(s(2), end(75));
    let at = m.deadline().unwrap();
    assert_eq!(m.step(at, Input::Tick), Some(Action::Spawn { attempt: 2 }));
    m.step(at, end(66));
    assert_eq!(m.state(), State::Backoff);

    let mut m = machine(RestartPolicy::OnFailure);
    m.step(s(0), Input::Start);
    m.step(s(1), end(66));
    assert_eq!(m.state(), State::Failed);
}

#[test]
fn permanent_faults_are_final() {
    for code in [65, 69, 70, 73, 77, 78] {
        let mut m = running(RestartPolicy::Always);
        m.step(s(2), end(code));
        assert_eq!((m.state(), m.reason()), (State::Failed, Some(&Reason::Fault)), "{code}");
    }
}

#[test]
fn crashes_back_off_twice_as_long_each_time_and_then_fail() {
    let mut m = running(RestartPolicy::OnFailure);
    m.step(
        s(2),
        Input::Ended {
            how: Ended::Signal(11),
            jitter: 1.0,
        },
    );
    assert_eq!((m.state(), m.deadline()), (State::Backoff, Some(s(3))));
    assert_eq!(m.step(s(2), Input::Tick), None);
    assert_eq!(m.step(s(3), Input::Tick), Some(Action::Spawn { attempt: 2 }));
    m.step(
        s(3),
        Input::Ended {
            how: Ended::Signal(11),
            jitter: 1.0,
        },
    );
    assert_eq!(m.deadline(), Some(s(5)));
    assert_eq!(m.step(s(5), Input::Tick), Some(Action::Spawn { attempt: 3 }));
    m.step(s(6), end(1));
    assert_eq!(m.state(), State::Failed);
}

#[test]
fn restarts_outside_the_window_are_forgotten() {
    let mut m = running(RestartPolicy::OnFailure);
    for i in 0u32..5 {
        let at = s(u64::from(i) * 200 + 2);
        m.step(at, end(1));
        assert_eq!(m.state(), State::Backoff, "{i}");
        assert_eq!(m.step(at + s(60), Input::Tick), Some(Action::Spawn { attempt: i + 2 }));
        m.step(at + s(60), Input::Ready);
    }
}

#[test]
fn never_means_never() {
    let mut m = running(RestartPolicy::Never);
    m.step(
        s(2),
        Input::Ended {
            how: Ended::Signal(9),
            jitter: 0.0,
        },
    );
    assert_eq!((m.state(), m.reason()), (State::Failed, Some(&Reason::Crash)));
}

#[test]
fn no_data_after_the_start_is_a_hang() {
    let mut m = machine(RestartPolicy::Never);
    m.step(s(0), Input::Start);
    assert_eq!(m.step(s(29), Input::Tick), None);
    assert_eq!(m.step(s(30), Input::Tick), Some(Action::Step(Step::EndOfStream)));
    assert_eq!(m.reason(), Some(&Reason::StartTimeout));
    // It obeys the end-of-stream, and yet has failed.
    m.step(s(31), end(0));
    assert_eq!(m.state(), State::Failed);
}

#[test]
fn a_single_silent_sink_is_a_stall() {
    let mut m = running(RestartPolicy::Never);
    let other = |n| SinkProgress {
        name: "other".into(),
        buffers: n,
        eos: false,
    };
    for t in 2..=31 {
        m.step(s(t), Input::Progress(&[sink(7, false), other(t)]));
        assert_eq!(m.step(s(t), Input::Tick), None, "{t}");
    }
    assert_eq!(m.step(s(32), Input::Tick), Some(Action::Step(Step::EndOfStream)));
    assert_eq!(m.reason(), Some(&Reason::Stalled("sink".into())));
}

#[test]
fn a_sink_that_is_done_does_not_stall() {
    let mut m = running(RestartPolicy::Never);
    for t in 2..100 {
        m.step(s(t), Input::Progress(&[sink(7, true)]));
        assert_eq!(m.step(s(t), Input::Tick), None);
    }
}

#[test]
fn silence_is_a_hang() {
    let mut m = running(RestartPolicy::Never);
    assert_eq!(m.deadline(), Some(s(16)));
    assert_eq!(m.step(s(16), Input::Tick), Some(Action::Step(Step::EndOfStream)));
    assert_eq!(m.reason(), Some(&Reason::Silent));
}

#[test]
fn silence_while_the_supervisor_was_held_up_is_no_hang() {
    let mut m = machine(RestartPolicy::Never);
    m.step(s(0), Input::Start);
    assert_eq!(m.step(s(40), Input::Tick), None);
    assert_eq!(m.step(s(69), Input::Tick), None, "the clock starts anew");
    m.step(s(69), Input::Ready);
    m.step(s(70), Input::Progress(&[sink(7, false)]));
    assert_eq!(m.step(s(700), Input::Tick), None);
    assert_eq!(m.step(s(715), Input::Tick), Some(Action::Step(Step::EndOfStream)));
    assert_eq!(m.reason(), Some(&Reason::Silent));
}

#[test]
fn success_without_a_word_is_a_crash() {
    let mut m = running(RestartPolicy::OnFailure);
    let quit = Input::Ended {
        how: Ended::Code(0),
        jitter: 0.5,
    };
    m.step(s(2), quit);
    assert_eq!((m.state(), m.reason()), (State::Backoff, Some(&Reason::Crash)));
}

#[test]
fn an_input_that_ended_early_is_not_tried_again() {
    let mut m = running(RestartPolicy::Always);
    let how = Ended::Finished(Exit::Incomplete);
    m.step(s(2), Input::Ended { how, jitter: 0.5 });
    assert_eq!((m.state(), m.reason()), (State::Failed, Some(&Reason::Fault)));
}

#[test]
fn zero_switches_a_clock_off() {
    let health = Health {
        start_timeout: Span::seconds(0),
        stall_timeout: Span::seconds(0),
        heartbeat_timeout: Span::seconds(0),
    };
    let mut m = Machine::new(Restart::default(), health, Stop::default());
    m.step(s(0), Input::Start);
    assert_eq!(m.deadline(), None);
    m.step(s(1), Input::Ready);
    m.step(s(1), Input::Progress(&[sink(1, false)]));
    assert_eq!(m.deadline(), None);
}

#[test]
fn the_ladder_has_four_bounded_steps() {
    let mut m = running(RestartPolicy::Always);
    assert_eq!(
        m.step(s(10), Input::Stop(Reason::User)),
        Some(Action::Step(Step::EndOfStream))
    );
    assert_eq!(m.step(s(19), Input::Tick), None);
    assert_eq!(m.step(s(20), Input::Tick), Some(Action::Step(Step::Interrupt)));
    assert_eq!(m.step(s(25), Input::Tick), Some(Action::Step(Step::Terminate)));
    assert_eq!(m.step(s(30), Input::Tick), Some(Action::Step(Step::Kill)));
    assert_eq!(m.step(s(35), Input::Tick), Some(Action::Abandon));
    assert_eq!((m.state(), m.reason()), (State::Failed, Some(&Reason::User)));
}

#[test]
fn hurry_skips_the_waiting() {
    let mut m = running(RestartPolicy::Always);
    assert_eq!(m.step(s(10), Input::Hurry), Some(Action::Step(Step::EndOfStream)));
    assert_eq!(m.step(s(10), Input::Hurry), Some(Action::Step(Step::Interrupt)));
    assert_eq!(m.step(s(10), Input::Hurry), Some(Action::Step(Step::Terminate)));
    assert_eq!(m.step(s(10), Input::Hurry), Some(Action::Step(Step::Kill)));
    assert_eq!(m.step(s(10), Input::Hurry), None);
    m.step(
        s(11),
        Input::Ended {
            how: Ended::Signal(9),
            jitter: 0.0,
        },
    );
    assert_eq!((m.state(), m.reason()), (State::Stopped, Some(&Reason::User)));
}

#[test]
fn stop_wins_over_restart() {
    let mut m = running(RestartPolicy::Always);
    m.step(s(2), end(1));
    assert_eq!(m.state(), State::Backoff);
    m.step(s(2), Input::Stop(Reason::User));
    assert_eq!((m.state(), m.step(s(99), Input::Tick)), (State::Stopped, None));

    let mut m = running(RestartPolicy::Always);
    m.step(s(16), Input::Tick);
    assert_eq!(m.reason(), Some(&Reason::Silent));
    m.step(s(17), Input::Stop(Reason::User));
    m.step(
        s(18),
        Input::Ended {
            how: Ended::Signal(2),
            jitter: 0.0,
        },
    );
    assert_eq!(m.state(), State::Failed, "it hung before the stop");
}

#[test]
fn a_fault_while_stopping_still_counts() {
    let mut m = running(RestartPolicy::Always);
    m.step(s(2), Input::Stop(Reason::User));
    m.step(s(3), end(73));
    assert_eq!(m.state(), State::Failed);
}

#[test]
fn stop_before_the_start_starts_nothing() {
    let mut m = machine(RestartPolicy::Always);
    m.step(s(0), Input::Stop(Reason::Dependency("other".into())));
    assert_eq!((m.step(s(1), Input::Start), m.state()), (None, State::Stopped));
}

#[test]
fn instance_state_follows_its_processes() {
    use State::*;
    for (states, want) in [
        (&[Pending, Pending][..], Pending),
        (&[Running, Starting], Starting),
        (&[Running, Stopped], Running),
        (&[Running, Backoff], Degraded),
        (&[Backoff], Backoff),
        (&[Running, Failed], Stopping),
        (&[Stopped, Stopped], Stopped),
        (&[Stopped, Failed], Failed),
        (&[Stopped, Pending], Starting),
        (&[Running, Pending], Starting),
    ] {
        assert_eq!(instance_state(states), want, "{states:?}");
    }
}

fn input() -> impl Strategy<Value = (u64, u8, i32, f64)> {
    (
        0u64..40,
        0u8..9,
        prop::sample::select(vec![0, 1, 3, 65, 69, 73, 75, 124, 130]),
        0.0..1.0,
    )
}

proptest! {
    /// Whatever happens, in whatever order.
    #[test]
    fn invariants(policy in 0u8..3, inputs in prop::collection::vec(input(), 1..120)) {
        let policy = [RestartPolicy::Never, RestartPolicy::OnFailure, RestartPolicy::Always][policy as usize];
        let rules = restart(policy, 3);
        let mut m = Machine::new(rules, Health::default(), Stop::default());
        let (mut now, mut alive, mut stopped, mut count) = (Duration::ZERO, false, false, 0u64);
        let mut spawns: Vec<Duration> = Vec::new();
        let mut ladder: Option<Step> = None;
        for (wait, kind, code, jitter) in inputs {
            now += s(wait);
            count += 1;
            let progress = [sink(count, false)];
            let was_final = m.state().is_final();
            let input = match kind {
                0 => Input::Start,
                1 => Input::Ready,
                2 => Input::Progress(&progress),
                3 if alive => Input::Ended { how: Ended::Code(code), jitter },
                4 if alive => Input::Ended { how: Ended::Signal(9), jitter },
                5 if code == 0 => Input::Stop(Reason::User),
                6 if code == 1 => Input::Hurry,
                _ => Input::Tick,
            };
            stopped |= matches!(input, Input::Stop(_) | Input::Hurry);
            if matches!(input, Input::Ended { .. }) {
                alive = false;
                ladder = None;
            }
            match m.step(now, input) {
                Some(Action::Spawn { attempt }) => {
                    prop_assert!(!alive, "two children at once");
                    prop_assert!(!stopped, "stop wins over restart");
                    alive = true;
                    spawns.push(now);
                    prop_assert_eq!(attempt as usize, spawns.len());
                }
                Some(Action::Step(step)) => {
                    prop_assert!(alive, "a step needs a child");
                    prop_assert!(m.reason().is_some(), "the reason comes first");
                    prop_assert!(ladder.is_none_or(|before| before < step), "the ladder only goes up");
                    ladder = Some(step);
                }
                Some(Action::Abandon) => alive = false,
                None => {}
            }
            prop_assert!(!was_final || m.state().is_final(), "final states stay");
            if alive || m.state() == State::Backoff {
                prop_assert!(m.deadline().is_some(), "every wait is bounded");
            }
            let recent = spawns.iter().skip(1).filter(|at| now < **at + rules.window.0).count();
            prop_assert!(recent <= 3 + 1, "the restart limit holds");
        }
    }
}
