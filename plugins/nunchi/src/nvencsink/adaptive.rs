//! Fewer bits while frames pile up, and more again when they do not: a step at a time, so that the picture does not pump.

use std::time::{Duration, Instant};

/// Above this share of the queue frames pile up.
const HIGH: f64 = 0.5;
/// Below this one they do not.
const LOW: f64 = 0.1;
/// Between two steps down, and up.
const DOWN_AFTER: Duration = Duration::from_millis(500);
const UP_AFTER: Duration = Duration::from_secs(5);
const STEP: f64 = 0.75;
/// Less than this share of the bitrate is of no use.
const LEAST: f64 = 0.2;

/// The share of the bitrate that is spent.
#[derive(Debug)]
pub struct Adaptive {
    share: f64,
    /// Since when frames pile up, or do not.
    high: Option<Instant>,
    low: Option<Instant>,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            share: 1.0,
            high: None,
            low: None,
        }
    }
}

impl Adaptive {
    /// What the queue says. The new share if it changes.
    pub fn observe(&mut self, level: f64, now: Instant) -> Option<f64> {
        if level > HIGH {
            self.low = None;
            let since = *self.high.get_or_insert(now);
            if now.duration_since(since) >= DOWN_AFTER && self.share > LEAST {
                self.high = Some(now);
                self.share = (self.share * STEP).max(LEAST);
                return Some(self.share);
            }
        } else if level < LOW {
            self.high = None;
            let since = *self.low.get_or_insert(now);
            if now.duration_since(since) >= UP_AFTER && self.share < 1.0 {
                self.low = Some(now);
                self.share = (self.share / STEP).min(1.0);
                return Some(self.share);
            }
        } else {
            (self.high, self.low) = (None, None);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_down_while_frames_pile_up_and_up_again_slowly() {
        let mut adaptive = Adaptive::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(adaptive.observe(0.9, at(0)), None);
        assert_eq!(adaptive.observe(0.9, at(499)), None);
        assert_eq!(adaptive.observe(0.9, at(500)), Some(0.75));
        assert_eq!(adaptive.observe(0.9, at(600)), None);
        // In between it waits, and begins anew.
        assert_eq!(adaptive.observe(0.3, at(1000)), None);
        assert_eq!(adaptive.observe(0.9, at(1100)), None);
        assert_eq!(adaptive.observe(0.0, at(1200)), None);
        assert_eq!(adaptive.observe(0.0, at(6199)), None);
        assert_eq!(adaptive.observe(0.0, at(6200)), Some(1.0));
        assert_eq!(adaptive.observe(0.0, at(60_000)), None);
    }

    #[test]
    fn there_is_a_least() {
        let mut adaptive = Adaptive::default();
        let start = Instant::now();
        let shares: Vec<f64> = (0..40)
            .filter_map(|step| adaptive.observe(1.0, start + DOWN_AFTER * step))
            .collect();
        assert!(
            shares.is_sorted_by(|a, b| a > b) && shares.last() == Some(&LEAST),
            "{shares:?}"
        );
    }
}
