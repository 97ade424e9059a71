//! A score over time becomes start, ongoing and end.

use nunchi_events::State;

/// Thresholds of a [`Hysteresis`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Active from this score on.
    pub on: f64,
    /// Over below this score; at most `on`. Between the two, what is goes on.
    pub off: f64,
    /// The score must have been at least `on` for this long, in nanoseconds, before the start is reported.
    pub min_duration: u64,
}

/// Reports when a score rises and stays, lasts, and falls. One per track and kind of event.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Hysteresis {
    phase: Phase,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Phase {
    #[default]
    Idle,
    /// Above `on` since this time, not reported yet.
    Pending(u64),
    Active,
}

impl Hysteresis {
    /// Takes the score at `time` (nanoseconds) and says what there is to report. A score that is not a number changes
    /// nothing: one broken inference must not end a smile. Time that jumps back restarts a pending start.
    pub fn update(&mut self, score: f64, time: u64, limits: &Limits) -> Option<State> {
        if score.is_nan() {
            return None;
        }
        match self.phase {
            Phase::Active if score < limits.off.min(limits.on) => {
                self.phase = Phase::Idle;
                Some(State::End)
            }
            Phase::Active => Some(State::Ongoing),
            _ if score < limits.on => {
                self.phase = Phase::Idle;
                None
            }
            Phase::Idle => self.pend(time, time, limits),
            Phase::Pending(since) => self.pend(since.min(time), time, limits),
        }
    }

    fn pend(&mut self, since: u64, time: u64, limits: &Limits) -> Option<State> {
        if time - since >= limits.min_duration {
            self.phase = Phase::Active;
            Some(State::Start)
        } else {
            self.phase = Phase::Pending(since);
            None
        }
    }

    /// The object is gone: ends what is active.
    pub fn finish(&mut self) -> Option<State> {
        let was = std::mem::take(&mut self.phase);
        (was == Phase::Active).then_some(State::End)
    }

    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        on: 0.5,
        off: 0.35,
        min_duration: 200,
    };

    fn run(scores: &[f64], step: u64, limits: &Limits) -> Vec<Option<State>> {
        let mut h = Hysteresis::default();
        scores
            .iter()
            .enumerate()
            .map(|(i, s)| h.update(*s, i as u64 * step, limits))
            .collect()
    }

    #[test]
    fn starts_after_the_minimum_duration_and_ends_below_off() {
        use State::*;
        let got = run(&[0.1, 0.6, 0.6, 0.6, 0.4, 0.34, 0.4], 100, &LIMITS);
        assert_eq!(got, [None, None, None, Some(Start), Some(Ongoing), Some(End), None]);
    }

    #[test]
    fn a_short_peak_is_not_reported() {
        assert_eq!(run(&[0.6, 0.6, 0.45, 0.6, 0.6], 100, &LIMITS), [None; 5]);
    }

    #[test]
    fn zero_duration_starts_at_once() {
        let limits = Limits {
            min_duration: 0,
            ..LIMITS
        };
        assert_eq!(run(&[0.5], 100, &limits), [Some(State::Start)]);
    }

    #[test]
    fn nan_changes_nothing() {
        let limits = Limits {
            min_duration: 0,
            ..LIMITS
        };
        assert_eq!(
            run(&[0.9, f64::NAN, 0.9], 1, &limits),
            [Some(State::Start), None, Some(State::Ongoing)]
        );
        assert_eq!(run(&[f64::NAN], 1, &limits), [None]);
    }

    #[test]
    fn an_off_above_on_counts_as_on() {
        let limits = Limits {
            on: 0.5,
            off: 0.9,
            min_duration: 0,
        };
        assert_eq!(run(&[0.6, 0.6], 1, &limits), [Some(State::Start), Some(State::Ongoing)]);
    }

    #[test]
    fn finish_ends_only_what_was_reported() {
        let mut h = Hysteresis::default();
        assert_eq!(h.finish(), None);
        h.update(0.9, 0, &LIMITS);
        assert_eq!(h.finish(), None, "pending was never reported");
        h.update(0.9, 0, &LIMITS);
        h.update(0.9, 500, &LIMITS);
        assert_eq!(h.finish(), Some(State::End));
        assert_eq!(h.finish(), None);
    }

    #[test]
    fn time_that_jumps_back_does_not_underflow() {
        let mut h = Hysteresis::default();
        h.update(0.9, 1_000, &LIMITS);
        assert_eq!(h.update(0.9, 10, &LIMITS), None);
        assert_eq!(h.update(0.9, 210, &LIMITS), Some(State::Start));
    }

    proptest! {
        /// Reports form start (ongoing)* end, whatever the scores.
        #[test]
        fn reports_are_well_ordered(scores in prop::collection::vec(prop_oneof![Just(f64::NAN), 0.0..1.0f64], 0..200), min in 0u64..500) {
            let limits = Limits { min_duration: min, ..LIMITS };
            let mut active = false;
            for report in run(&scores, 40, &limits).into_iter().flatten() {
                match report {
                    State::Start => { prop_assert!(!active); active = true; }
                    State::Ongoing => prop_assert!(active),
                    State::End => { prop_assert!(active); active = false; }
                    State::Instant => prop_assert!(false),
                }
            }
        }
    }
}
