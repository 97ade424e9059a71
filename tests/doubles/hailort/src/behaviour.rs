//! What the double is told to do.

use std::path::PathBuf;
use std::time::Duration;

use hailort_abi::Version;

/// What becomes of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Timeout,
    Hang,
    Stuck,
    Lost,
    Short,
    Nan,
    Garbage,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    pub version: Version,
    pub devices: usize,
    pub device_file: Option<PathBuf>,
    pub service: bool,
    pub start: Duration,
    pub latency: Duration,
    pub flight: usize,
    /// Frame, counted from 0, and what becomes of it.
    pub faults: Vec<(u64, Fault)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            version: Version {
                major: 4,
                minor: 23,
                revision: 0,
            },
            devices: 1,
            device_file: None,
            service: true,
            start: Duration::ZERO,
            latency: Duration::ZERO,
            flight: 4,
            faults: Vec::new(),
        }
    }
}

impl Behaviour {
    /// What the environment asks for. A word that is not understood is a mistake of the test: the version becomes 0.0.0,
    /// which every client refuses.
    pub fn of_environment() -> Self {
        let text = std::env::var("HAILORT_DOUBLE").unwrap_or_default();
        Self::default().with(&text).unwrap_or(Self {
            version: Version::default(),
            ..Self::default()
        })
    }

    /// This, changed by `text`; `None` when a word is not understood.
    pub fn with(mut self, text: &str) -> Option<Self> {
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if let Some((name, frame)) = word.split_once('@') {
                self.faults.push((frame.parse().ok()?, fault(name)?));
                continue;
            }
            let (name, value) = word.split_once('=')?;
            match name {
                "version" => self.version = version(value)?,
                "devices" => self.devices = value.parse().ok()?,
                "device" => self.device_file = Some(value.into()),
                "service" => self.service = value == "on",
                "start" => self.start = milliseconds(value)?,
                "latency" => self.latency = milliseconds(value)?,
                "flight" => self.flight = value.parse().ok().filter(|&n| n > 0)?,
                _ => return None,
            }
        }
        Some(self)
    }

    pub fn fault(&self, frame: u64) -> Option<Fault> {
        let found = self.faults.iter().find(|(at, _)| *at == frame);
        found.map(|&(_, fault)| fault)
    }
}

fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis)
}

fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some(Version {
        major: parts.next()??,
        minor: parts.next()??,
        revision: parts.next()??,
    })
}

fn fault(name: &str) -> Option<Fault> {
    Some(match name {
        "timeout" => Fault::Timeout,
        "hang" => Fault::Hang,
        "stuck" => Fault::Stuck,
        "lost" => Fault::Lost,
        "short" => Fault::Short,
        "nan" => Fault::Nan,
        "garbage" => Fault::Garbage,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        let all = Behaviour::default()
            .with("version=4.20.1, devices=0,latency=20,flight=2,lost@3,nan@5")
            .unwrap();
        assert_eq!((all.version.minor, all.version.revision, all.devices), (20, 1, 0));
        assert_eq!((all.latency, all.flight), (Duration::from_millis(20), 2));
        assert_eq!(
            (all.fault(3), all.fault(4), all.fault(5)),
            (Some(Fault::Lost), None, Some(Fault::Nan))
        );
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "lose@3",
            "lost@x",
            "latency",
            "latency=fast",
            "flight=0",
            "version=4",
            "colour=red",
        ] {
            assert_eq!(Behaviour::default().with(text), None, "{text}");
        }
    }
}
