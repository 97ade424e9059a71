//! What the double is told to do.

use std::time::Duration;

/// What becomes of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Memory,
    Error,
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
    Av1,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Of the interface: major, minor.
    pub version: (u32, u32),
    pub devices: usize,
    /// Whether the GPU has an encoder at all.
    pub encoder: bool,
    pub codecs: Vec<Codec>,
    /// How many may be open at once.
    pub sessions: usize,
    /// The largest size.
    pub size: (u32, u32),
    pub b_frames: u32,
    pub ten_bit: bool,
    pub live_bitrate: bool,
    /// How long a frame takes.
    pub latency: Duration,
    /// What NVRTC compiles for.
    pub architecture: String,
    /// Bytes that the GPU has.
    pub memory: usize,
    /// The launch of a kernel, counted from 0 in the process, with which the GPU is gone.
    pub lost_launch: Option<u64>,
    /// Frame of a session, counted from 0, and what becomes of it.
    pub faults: Vec<(u64, Fault)>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            version: (12, 1),
            devices: 1,
            encoder: true,
            codecs: vec![Codec::H264, Codec::H265, Codec::Av1],
            sessions: usize::MAX,
            size: (4096, 4096),
            b_frames: 4,
            ten_bit: true,
            live_bitrate: true,
            latency: Duration::ZERO,
            architecture: "sm_90".to_owned(),
            memory: usize::MAX,
            lost_launch: None,
            faults: Vec::new(),
        }
    }
}

impl Behaviour {
    /// What the environment asks for. A word that is not understood is a mistake of the test: the version becomes 0.0,
    /// which every client refuses.
    pub fn of_environment() -> Self {
        let text = std::env::var("NVENC_DOUBLE").unwrap_or_default();
        Self::default().with(&text).unwrap_or(Self {
            version: (0, 0),
            ..Self::default()
        })
    }

    /// This, changed by `text`; `None` when a word is not understood.
    pub fn with(mut self, text: &str) -> Option<Self> {
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            if let Some((name, frame)) = word.split_once('@') {
                if name == "launch" {
                    self.lost_launch = Some(frame.parse().ok()?);
                    continue;
                }
                let fault = match name {
                    "memory" => Fault::Memory,
                    "error" => Fault::Error,
                    "lost" => Fault::Lost,
                    _ => return None,
                };
                self.faults.push((frame.parse().ok()?, fault));
                continue;
            }
            let (name, value) = word.split_once('=')?;
            match name {
                "version" => self.version = pair(value, '.')?,
                "devices" => self.devices = value.parse().ok()?,
                "encoder" => self.encoder = switch(value)?,
                "codecs" => self.codecs = value.split('+').map(codec).collect::<Option<_>>()?,
                "sessions" => self.sessions = value.parse().ok()?,
                "size" => self.size = pair(value, 'x')?,
                "b-frames" => self.b_frames = value.parse().ok()?,
                "ten-bit" => self.ten_bit = switch(value)?,
                "live-bitrate" => self.live_bitrate = switch(value)?,
                "latency" => self.latency = value.parse().ok().map(Duration::from_millis)?,
                "architecture" => self.architecture = value.to_owned(),
                "gpu-memory" => self.memory = value.parse().ok()?,
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

fn pair(text: &str, between: char) -> Option<(u32, u32)> {
    let (first, second) = text.split_once(between)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

fn codec(name: &str) -> Option<Codec> {
    match name {
        "h264" => Some(Codec::H264),
        "h265" => Some(Codec::H265),
        "av1" => Some(Codec::Av1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood() {
        let all = Behaviour::default()
            .with(
                "version=11.1, devices=0,encoder=off,codecs=h264+av1,sessions=2,size=640x480,latency=20,lost@3,error@5,launch@7,gpu-memory=9",
            )
            .unwrap();
        assert_eq!((all.version, all.devices, all.encoder), ((11, 1), 0, false));
        assert_eq!(all.codecs, [Codec::H264, Codec::Av1]);
        assert_eq!((all.lost_launch, all.memory), (Some(7), 9));
        assert_eq!((all.sessions, all.size), (2, (640, 480)));
        assert_eq!(all.latency, Duration::from_millis(20));
        assert_eq!(
            (all.fault(3), all.fault(4), all.fault(5)),
            (Some(Fault::Lost), None, Some(Fault::Error))
        );
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "lose@3",
            "lost@x",
            "launch@x",
            "gpu-memory=all",
            "latency",
            "latency=fast",
            "version=12",
            "size=640",
            "codecs=vp9",
            "encoder=maybe",
            "colour=red",
        ] {
            assert_eq!(Behaviour::default().with(text), None, "{text}");
        }
    }
}
