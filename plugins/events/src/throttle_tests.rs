use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const CONFIG: Config = Config {
    interval: 2 * SECOND,
    burst: 1,
    key: KeyBy::Type,
    pass_end: true,
};

fn smile(state: State) -> Subject<'static> {
    Subject {
        kind: "smile",
        label: "",
        object: None,
        stream: "",
        state,
    }
}

fn passes(throttle: &mut Throttle, subject: &Subject, time: u64) -> bool {
    matches!(throttle.offer(subject, time), Verdict::Pass { .. })
}

#[test]
fn first_passes_and_the_boundary_passes() {
    let mut throttle = Throttle::new(CONFIG);
    let event = smile(State::Instant);
    assert_eq!(throttle.offer(&event, 5), Verdict::Pass { suppressed: 0 });
    assert_eq!(throttle.offer(&event, 6), Verdict::Suppress);
    assert_eq!(throttle.offer(&event, 5 + 2 * SECOND - 1), Verdict::Suppress);
    assert_eq!(throttle.offer(&event, 5 + 2 * SECOND), Verdict::Pass { suppressed: 2 });
    assert_eq!((throttle.passed(), throttle.suppressed()), (2, 2));
}

#[test]
fn suppressed_events_do_not_move_the_window() {
    let mut throttle = Throttle::new(CONFIG);
    let event = smile(State::Ongoing);
    // 10 frames/s for 10 s: exactly one pass each 2 s.
    let passed: Vec<u64> = (0..100)
        .map(|n| n * SECOND / 10)
        .filter(|time| passes(&mut throttle, &event, *time))
        .collect();
    assert_eq!(passed, [0, 2, 4, 6, 8].map(|s| s * SECOND));
}

#[test]
fn burst_counts_within_the_window_of_its_first_event() {
    let mut throttle = Throttle::new(Config { burst: 3, ..CONFIG });
    let event = smile(State::Instant);
    let verdicts: Vec<bool> = [0, 1, 2, 3, 2 * SECOND - 1, 2 * SECOND]
        .map(|t| passes(&mut throttle, &event, t))
        .into();
    assert_eq!(verdicts, [true, true, true, false, false, true]);
}

#[test]
fn burst_of_zero_is_one() {
    let mut throttle = Throttle::new(Config { burst: 0, ..CONFIG });
    assert!(passes(&mut throttle, &smile(State::Instant), 0));
    assert!(!passes(&mut throttle, &smile(State::Instant), 1));
}

#[test]
fn interval_zero_suppresses_nothing() {
    let mut throttle = Throttle::new(Config { interval: 0, ..CONFIG });
    assert!((0..10).all(|_| passes(&mut throttle, &smile(State::Instant), 7)));
}

#[test]
fn time_that_jumps_back_opens_a_window() {
    let mut throttle = Throttle::new(CONFIG);
    let event = smile(State::Instant);
    assert!(passes(&mut throttle, &event, 100 * SECOND));
    assert!(passes(&mut throttle, &event, SECOND));
    assert!(!passes(&mut throttle, &event, 2 * SECOND));
    assert!(passes(&mut throttle, &event, 3 * SECOND));
}

#[test]
fn end_follows_what_passed_exactly_once() {
    let mut throttle = Throttle::new(CONFIG);
    assert!(!passes(&mut throttle, &smile(State::End), 0), "nothing was seen yet");
    assert_eq!(throttle.offer(&smile(State::Start), 1), Verdict::Pass { suppressed: 1 });
    assert_eq!(throttle.offer(&smile(State::Ongoing), 2), Verdict::Suppress);
    assert_eq!(throttle.offer(&smile(State::End), 3), Verdict::Pass { suppressed: 1 });
    assert!(!passes(&mut throttle, &smile(State::End), 4), "the end was seen");
    // A start that is held back leaves its end held back too.
    assert!(!passes(&mut throttle, &smile(State::Start), 5));
    assert!(!passes(&mut throttle, &smile(State::End), 6));
    // The ends opened no window and used none up.
    assert!(passes(&mut throttle, &smile(State::Start), 1 + 2 * SECOND));
}

#[test]
fn the_end_of_another_object_is_not_that_of_what_was_seen() {
    let of = |object, state| Subject {
        object: Some(object),
        ..smile(state)
    };
    let mut throttle = Throttle::new(CONFIG);
    assert!(passes(&mut throttle, &of(1, State::Start), 0));
    assert!(
        !passes(&mut throttle, &of(2, State::Start), 1),
        "the type shares an interval"
    );
    assert!(!passes(&mut throttle, &of(2, State::End), 2), "its start was not seen");
    assert!(passes(&mut throttle, &of(1, State::End), 3));
}

#[test]
fn end_is_as_any_event_without_pass_end() {
    let mut throttle = Throttle::new(Config {
        pass_end: false,
        ..CONFIG
    });
    assert!(passes(&mut throttle, &smile(State::End), 0));
    assert!(!passes(&mut throttle, &smile(State::Start), 1));
    assert!(!passes(&mut throttle, &smile(State::End), 2));
    assert!(passes(&mut throttle, &smile(State::End), 2 * SECOND));
}

#[test]
fn keys_are_told_apart_by_the_chosen_fields_only() {
    let base = Subject {
        kind: "emotion",
        label: "happy",
        object: Some(1),
        stream: "a",
        state: State::Instant,
    };
    let others = [
        Subject { label: "angry", ..base },
        Subject {
            object: Some(2),
            ..base
        },
        Subject { object: None, ..base },
        Subject { stream: "b", ..base },
        Subject { kind: "smile", ..base },
    ];
    for (key, expected) in [
        (KeyBy::Type, [false, false, false, true, true]),
        (KeyBy::TypeLabel, [true, false, false, true, true]),
        (KeyBy::TypeObject, [false, true, true, true, true]),
        (KeyBy::TypeLabelObject, [true, true, true, true, true]),
    ] {
        let mut throttle = Throttle::new(Config { key, ..CONFIG });
        assert!(passes(&mut throttle, &base, 0));
        assert_eq!(
            others.map(|other| passes(&mut throttle, &other, 1)),
            expected,
            "{key:?}"
        );
    }
}

#[test]
fn fields_cannot_run_into_each_other() {
    let mut throttle = Throttle::new(Config {
        key: KeyBy::TypeLabel,
        ..CONFIG
    });
    let state = State::Instant;
    assert!(passes(
        &mut throttle,
        &Subject {
            kind: "ab",
            label: "c",
            object: None,
            stream: "",
            state
        },
        0
    ));
    assert!(passes(
        &mut throttle,
        &Subject {
            kind: "a",
            label: "bc",
            object: None,
            stream: "",
            state
        },
        0
    ));
    assert!(passes(
        &mut throttle,
        &Subject {
            kind: "b",
            label: "c",
            object: None,
            stream: "a",
            state
        },
        0
    ));
}

#[test]
fn a_new_configuration_keeps_the_windows() {
    let mut throttle = Throttle::new(CONFIG);
    assert!(passes(&mut throttle, &smile(State::Instant), 0));
    throttle.set_config(Config {
        interval: 5 * SECOND,
        ..CONFIG
    });
    assert_eq!(throttle.config().interval, 5 * SECOND);
    assert!(!passes(&mut throttle, &smile(State::Instant), 2 * SECOND));
    assert!(passes(&mut throttle, &smile(State::Instant), 5 * SECOND));
}

#[test]
fn reset_forgets_keys_but_not_counters() {
    let mut throttle = Throttle::new(CONFIG);
    passes(&mut throttle, &smile(State::Instant), 0);
    passes(&mut throttle, &smile(State::Instant), 0);
    throttle.reset();
    assert_eq!((throttle.passed(), throttle.suppressed()), (1, 1));
    assert_eq!(
        throttle.offer(&smile(State::Instant), 1),
        Verdict::Pass { suppressed: 0 }
    );
    assert_eq!(throttle.config(), &CONFIG);
}

#[test]
fn the_key_offered_longest_ago_is_forgotten_first() {
    let mut throttle = Throttle::new(Config {
        key: KeyBy::TypeObject,
        ..CONFIG
    });
    let object = |id| Subject {
        object: Some(id),
        ..smile(State::Instant)
    };
    for id in 0..MAX_KEYS as u64 {
        assert!(passes(&mut throttle, &object(id), 0));
    }
    assert!(!passes(&mut throttle, &object(0), 1), "0 is now the youngest");
    assert!(passes(&mut throttle, &object(u64::MAX), 1), "takes the place of 1");
    assert!(!passes(&mut throttle, &object(0), 1));
    assert!(!passes(&mut throttle, &object(2), 1));
    assert!(passes(&mut throttle, &object(1), 1));
    assert_eq!(throttle.entries.len(), MAX_KEYS);
}

#[test]
fn extreme_times_do_not_overflow() {
    let mut throttle = Throttle::new(Config {
        interval: u64::MAX,
        ..CONFIG
    });
    assert!(passes(&mut throttle, &smile(State::Instant), 0));
    assert!(!passes(&mut throttle, &smile(State::Instant), u64::MAX - 1));
    assert!(passes(&mut throttle, &smile(State::Instant), u64::MAX));
}

/// The rules said again, slowly: every window is found from the whole history of passes.
#[derive(Default)]
struct Model {
    /// Times of the passes that belong to windows, oldest first, and whether each opened its window.
    passes: Vec<(u64, bool)>,
    since_end: bool,
    suppressed: u64,
}

impl Model {
    fn offer(&mut self, config: &Config, state: State, time: u64) -> Verdict {
        let opened = self.passes.iter().rposition(|(_, opens)| *opens);
        let pass = if config.pass_end && state == State::End {
            self.since_end
        } else {
            let fits = match opened {
                None => Some(true),
                Some(at) => {
                    let start = self.passes[at].0;
                    if time < start || time - start >= config.interval {
                        Some(true)
                    } else {
                        (self.passes.len() - at < config.burst as usize).then_some(false)
                    }
                }
            };
            if let Some(opens) = fits {
                self.passes.push((time, opens));
            }
            fits.is_some()
        };
        if !pass {
            self.suppressed += 1;
            return Verdict::Suppress;
        }
        self.since_end = state != State::End;
        Verdict::Pass {
            suppressed: std::mem::take(&mut self.suppressed),
        }
    }
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Start),
        Just(State::Ongoing),
        Just(State::End),
        Just(State::Instant)
    ]
}

/// (key, state, time); few keys and small times, so that windows meet.
fn offers() -> impl Strategy<Value = Vec<(u64, State, u64)>> {
    prop::collection::vec((0..4u64, states(), 0..60u64), 0..200)
}

fn configs() -> impl Strategy<Value = Config> {
    (0..20u64, 1..4u32, any::<bool>()).prop_map(|(interval, burst, pass_end)| Config {
        interval,
        burst,
        key: KeyBy::TypeObject,
        pass_end,
    })
}

fn object(id: u64, state: State) -> Subject<'static> {
    Subject {
        object: Some(id),
        ..smile(state)
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(config in configs(), offers in offers()) {
        let mut throttle = Throttle::new(config);
        let mut models: HashMap<u64, Model> = HashMap::new();
        for (id, state, time) in offers {
            let expected = models.entry(id).or_default().offer(&config, state, time);
            prop_assert_eq!(throttle.offer(&object(id, state), time), expected);
        }
    }

    #[test]
    fn two_passes_are_never_closer_than_the_interval(interval in 0..20u64, mut times in prop::collection::vec(0..400u64, 0..200)) {
        times.sort_unstable();
        let mut throttle = Throttle::new(Config { interval, pass_end: false, ..CONFIG });
        let passed: Vec<u64> = times.into_iter().filter(|time| passes(&mut throttle, &smile(State::Instant), *time)).collect();
        prop_assert!(passed.windows(2).all(|pair| pair[1] - pair[0] >= interval));
    }

    #[test]
    fn nothing_is_suppressed_without_a_reason(interval in 1..20u64, mut times in prop::collection::vec(0..400u64, 1..200)) {
        times.sort_unstable();
        let mut throttle = Throttle::new(Config { interval, pass_end: false, ..CONFIG });
        let mut last = None;
        for time in times {
            if passes(&mut throttle, &smile(State::Instant), time) {
                last = Some(time);
            } else {
                prop_assert!(last.is_some_and(|last| time - last < interval));
            }
        }
    }

    #[test]
    fn every_offer_is_counted_once(config in configs(), offers in offers()) {
        let mut throttle = Throttle::new(config);
        let mut pending = HashMap::<u64, u64>::new();
        for (id, state, time) in &offers {
            match throttle.offer(&object(*id, *state), *time) {
                Verdict::Pass { suppressed } => prop_assert_eq!(pending.remove(id).unwrap_or(0), suppressed),
                Verdict::Suppress => *pending.entry(*id).or_default() += 1,
            }
        }
        prop_assert_eq!(throttle.passed() + throttle.suppressed(), offers.len() as u64);
    }

    #[test]
    fn keys_do_not_influence_each_other(config in configs(), offers in offers()) {
        let mut together = Throttle::new(config);
        let mut apart: HashMap<u64, Throttle> = HashMap::new();
        for (id, state, time) in offers {
            let alone = apart.entry(id).or_insert_with(|| Throttle::new(config)).offer(&object(id, state), time);
            prop_assert_eq!(together.offer(&object(id, state), time), alone);
        }
    }
}
