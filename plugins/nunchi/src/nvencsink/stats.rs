//! What is counted, for the properties and the message.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

/// Rates and latencies are those of this long.
const LATELY: Duration = Duration::from_secs(2);
/// An encoder that keeps more frames than this has lost some.
const MAX_INSIDE: usize = 4096;

#[derive(Debug, Default)]
pub struct Stats {
    pub processed: u64,
    pub bytes: u64,
    /// When the frames came in that the encoder has.
    inside: VecDeque<Instant>,
    /// When the last ones came out.
    out: VecDeque<Instant>,
    latency: Duration,
}

impl Stats {
    pub fn entered(&mut self, now: Instant) {
        if self.inside.len() >= MAX_INSIDE {
            self.inside.pop_front();
        }
        self.inside.push_back(now);
    }

    pub fn left(&mut self, bytes: usize, now: Instant) {
        self.processed += 1;
        self.bytes += bytes as u64;
        if let Some(entered) = self.inside.pop_front() {
            self.latency = now.duration_since(entered);
        }
        self.out.push_back(now);
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while self
            .out
            .front()
            .is_some_and(|first| now.duration_since(*first) > LATELY)
        {
            self.out.pop_front();
        }
    }

    /// Frames a second, lately.
    pub fn fps(&mut self, now: Instant) -> f64 {
        self.forget(now);
        match (self.out.front(), self.out.len()) {
            (Some(first), count) if count > 1 => {
                let span = now.duration_since(*first).as_secs_f64();
                if span > 0.0 { (count - 1) as f64 / span } else { 0.0 }
            }
            _ => 0.0,
        }
    }

    /// Of the last frame, from its going to the encoder to its coming out.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// The encoder is another: what the last one had came out, or never will.
    pub fn renewed(&mut self) {
        self.inside.clear();
    }
}

/// Share of the frames that were dropped.
pub fn drop_rate(processed: u64, dropped: u64) -> f64 {
    match processed + dropped {
        0 => 0.0,
        all => dropped as f64 / all as f64,
    }
}

/// Memory of the process that is resident, MB.
pub fn resident_mb() -> u64 {
    status("VmRSS:")
}

/// The most that it ever was, MB.
pub fn peak_mb() -> u64 {
    status("VmHWM:")
}

fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_late() {
        let (mut stats, start) = (Stats::default(), Instant::now());
        assert_eq!(stats.fps(start), 0.0);
        for frame in 0..31 {
            let at = start + Duration::from_millis(frame * 100);
            stats.entered(at);
            stats.left(10, at + Duration::from_millis(30));
        }
        let end = start + Duration::from_millis(3030);
        assert!((stats.fps(end) - 10.0).abs() < 0.5, "{}", stats.fps(end));
        assert_eq!(stats.latency(), Duration::from_millis(30));
        assert_eq!((stats.processed, stats.bytes), (31, 310));
        assert_eq!(stats.fps(end + Duration::from_secs(60)), 0.0);
    }

    #[test]
    fn nothing_is_kept_for_ever() {
        let (mut stats, now) = (Stats::default(), Instant::now());
        for _ in 0..10_000 {
            stats.entered(now);
        }
        assert_eq!(stats.inside.len(), MAX_INSIDE);
        stats.renewed();
        stats.left(1, now);
        assert_eq!(stats.latency(), Duration::ZERO);
    }

    #[test]
    fn shares_and_sizes() {
        assert_eq!(drop_rate(0, 0), 0.0);
        assert_eq!(drop_rate(3, 1), 0.25);
        assert!(resident_mb() > 0 && peak_mb() >= resident_mb());
        assert_eq!(status("NoSuchThing:"), 0);
    }
}
