//! The throttle: of the events that share a key, at most `burst` pass within `interval`.
//!
//! A pure state machine over a time that the caller supplies (running time in a pipeline), so it never waits and never asks a clock.

use std::collections::HashMap;

use crate::State;

/// Most keys that are remembered. The one that was offered longest ago is forgotten first, and its next event passes as a first one.
pub const MAX_KEYS: usize = 4096;

/// Which fields make two events "the same". The stream always belongs to the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyBy {
    Type,
    TypeLabel,
    TypeObject,
    TypeLabelObject,
}

/// How much passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Length of a window in nanoseconds. An event exactly this long after the window's start passes; 0 lets everything pass.
    pub interval: u64,
    /// Events of a key that pass within a window, at least 1 (0 is taken as 1).
    pub burst: u32,
    pub key: KeyBy,
    /// Whether an [`State::End`] passes outside the windows once something of the same type, label, object and stream passed, whatever
    /// the key, so that who saw the start sees the end, and no other.
    pub pass_end: bool,
}

/// What the throttle looks at in an event.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub kind: &'a str,
    pub label: &'a str,
    pub object: Option<u64>,
    pub stream: &'a str,
    pub state: State,
}

/// What to do with the event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through. `suppressed` events of the same key were held back since the key's last pass.
    Pass {
        suppressed: u64,
    },
    Suppress,
}

/// State of one key.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Time of the window's first passed event, and how many passed in it. `None` until something passes.
    window: Option<(u64, u32)>,
    /// Suppressed since the last pass.
    suppressed: u64,
    /// Serial number of the last offer, for forgetting.
    offered: u64,
}

impl Entry {
    /// `seen`: something of the same identity passed since its last `End`.
    fn offer(&mut self, config: &Config, state: State, time_ns: u64, seen: bool) -> Verdict {
        let passes = if config.pass_end && state == State::End {
            seen
        } else {
            self.fits(config, time_ns)
        };
        if !passes {
            self.suppressed += 1;
            return Verdict::Suppress;
        }
        Verdict::Pass {
            suppressed: std::mem::take(&mut self.suppressed),
        }
    }

    /// Whether the window has room at this time; takes the place or opens a new window.
    fn fits(&mut self, config: &Config, time_ns: u64) -> bool {
        match &mut self.window {
            Some((start, count)) if time_ns >= *start && time_ns - *start < config.interval => {
                let room = *count < config.burst.max(1);
                *count += u32::from(room);
                room
            }
            window => {
                *window = Some((time_ns, 1));
                true
            }
        }
    }
}

/// The state machine; see the module's text.
#[derive(Debug)]
pub struct Throttle {
    config: Config,
    entries: HashMap<Box<[u8]>, Entry>,
    /// Identities (type, label, object, stream) of which something passed since their last `End`, with the serial number of the pass.
    open: HashMap<Box<[u8]>, u64>,
    /// Buffer for the encoded key, so that a known key costs no allocation.
    key: Vec<u8>,
    identity: Vec<u8>,
    offers: u64,
    passed: u64,
    suppressed: u64,
}

impl Throttle {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            entries: HashMap::new(),
            open: HashMap::new(),
            key: Vec::new(),
            identity: Vec::new(),
            offers: 0,
            passed: 0,
            suppressed: 0,
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes the configuration from the next event on; windows that are running go on.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Forgets every key; the counters go on.
    pub fn reset(&mut self) {
        self.entries.clear();
        self.open.clear();
    }

    /// Events that passed since creation.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Events that were suppressed since creation.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Decides about one event at `time_ns`. A time before the start of the key's window (a seek, a new segment) opens a new window.
    pub fn offer(&mut self, subject: &Subject, time_ns: u64) -> Verdict {
        self.offers += 1;
        encode_key(&mut self.key, subject, self.config.key);
        encode_key(&mut self.identity, subject, KeyBy::TypeLabelObject);
        let seen = self.open.contains_key(self.identity.as_slice());
        let verdict = if let Some(entry) = self.entries.get_mut(self.key.as_slice()) {
            entry.offered = self.offers;
            entry.offer(&self.config, subject.state, time_ns, seen)
        } else {
            make_room(&mut self.entries, |entry| entry.offered);
            let mut entry = Entry {
                offered: self.offers,
                ..Entry::default()
            };
            let verdict = entry.offer(&self.config, subject.state, time_ns, seen);
            self.entries.insert(self.key.as_slice().into(), entry);
            verdict
        };
        match verdict {
            Verdict::Pass { .. } => self.passed += 1,
            Verdict::Suppress => self.suppressed += 1,
        }
        if verdict != Verdict::Suppress {
            self.note_pass(subject.state);
        }
        verdict
    }

    /// Remembers for the identity's next `End` what the consumer has seen.
    fn note_pass(&mut self, state: State) {
        if state == State::End {
            self.open.remove(self.identity.as_slice());
        } else if let Some(serial) = self.open.get_mut(self.identity.as_slice()) {
            *serial = self.offers;
        } else {
            make_room(&mut self.open, |serial| *serial);
            self.open.insert(self.identity.as_slice().into(), self.offers);
        }
    }
}

/// Forgets the oldest entry of a full map. A full scan, but only for a new key among [`MAX_KEYS`] others: some microseconds.
fn make_room<T>(map: &mut HashMap<Box<[u8]>, T>, serial: impl Fn(&T) -> u64) {
    if map.len() < MAX_KEYS {
        return;
    }
    let oldest = map
        .iter()
        .min_by_key(|(_, entry)| serial(entry))
        .map(|(key, _)| key.clone());
    if let Some(key) = oldest {
        map.remove(&key);
    }
}

/// Length-prefixed fields, so that no two different keys encode alike; a field outside the key has a length that no text has.
fn encode_key(out: &mut Vec<u8>, subject: &Subject, by: KeyBy) {
    let label = matches!(by, KeyBy::TypeLabel | KeyBy::TypeLabelObject).then_some(subject.label);
    let object = matches!(by, KeyBy::TypeObject | KeyBy::TypeLabelObject)
        .then_some(subject.object)
        .flatten();
    out.clear();
    for field in [Some(subject.stream), Some(subject.kind), label] {
        out.extend(field.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        out.extend(field.unwrap_or_default().as_bytes());
    }
    if let Some(object) = object {
        out.extend(object.to_le_bytes());
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
