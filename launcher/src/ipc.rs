//! The contract between the supervisor and a runner: JSON messages, each behind its length as 4 bytes big-endian.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// Longest message in bytes. A longer one means that the stream is broken.
pub const MAX_FRAME: usize = 1024 * 1024;

/// One pipeline to run (or to check), the first message a runner gets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Name of the process in the description.
    pub process: String,
    /// Launch line with its placeholders; the runner fills them, so that secrets stay in it.
    pub launch: String,
    /// Parameter values as text, checked already against the description.
    pub values: BTreeMap<String, String>,
    pub binds: Vec<Binding>,
    pub run_dir: PathBuf,
    /// From 1; an earlier attempt's files are kept under another name.
    pub attempt: u32,
    /// Where its appsinks are served.
    #[serde(default)]
    pub rtsp: Option<Rtsp>,
}

/// Where streams are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtsp {
    pub address: IpAddr,
    pub port: u16,
    /// Begins with a slash.
    pub path: String,
    /// What is not live waits for so many.
    pub readers: u32,
}

impl Rtsp {
    /// For readers on this machine.
    pub fn url(&self) -> String {
        let host = match self.address {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        format!("rtsp://{}{}", SocketAddr::new(host, self.port), self.path)
    }
}

impl Job {
    /// Where the pipeline's graph of this attempt is written.
    pub fn graph(&self) -> PathBuf {
        let attempt = match self.attempt {
            0 | 1 => String::new(),
            n => format!(".attempt{n}"),
        };
        self.run_dir.join("logs").join(format!("{}{attempt}.dot", self.process))
    }
}

/// A parameter's value and the property that takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    pub param: String,
    pub element: String,
    pub property: String,
    pub value: String,
}

/// Supervisor to runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRunner {
    /// Run this pipeline.
    Start(Job),
    /// Check this pipeline without running it: an `error` per fault, then `finished`.
    Check(Job),
    /// End with an end-of-stream.
    Stop,
    /// Change a property of the running pipeline.
    Set {
        element: String,
        property: String,
        value: String,
    },
    /// Write the graph into the run folder and answer with `stats`.
    Snapshot,
}

/// Runner to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRunner {
    /// Playing, and a first buffer has reached a sink.
    Ready,
    /// The pipeline changed its state (`paused`, `playing`).
    State { state: String },
    /// Sent twice a second; also the heartbeat.
    Progress(Progress),
    /// An analysis event.
    Event { kind: String, state: String, text: String },
    /// Answer to `snapshot`.
    Stats { graph: PathBuf, progress: Progress },
    /// A fault. Under `check` there may be several.
    Error(RunnerError),
    /// The last message: the pipeline has ended.
    Finished { exit: Exit, progress: Progress },
}

/// How far a pipeline has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Video frames processed.
    pub frames: u64,
    /// Stream time of the last frame, ns.
    pub position: Option<u64>,
    /// Length of the input, ns; `None` for a live one.
    pub duration: Option<u64>,
    /// Warnings of elements; they stand in the log.
    #[serde(default)]
    pub warnings: u64,
    pub sinks: Vec<SinkProgress>,
}

/// Buffers that reached one sink.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkProgress {
    pub name: String,
    pub buffers: u64,
    /// The sink has had its end-of-stream and expects nothing more.
    pub eos: bool,
}

/// A fault with the element that reported it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunnerError {
    #[serde(flatten)]
    pub failure: Failure,
    /// Path of the element in the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// GStreamer's own text for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug: Option<String>,
}

/// Why a stream of messages cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("a message of {0} bytes is longer than the limit of {MAX_FRAME}")]
    TooLong(usize),
    #[error("a message cannot be understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// A message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![0; 4];
    serde_json::to_writer(&mut out, message)?;
    let length = out.len() - 4;
    match u32::try_from(length) {
        Ok(n) if length <= MAX_FRAME => out[..4].copy_from_slice(&n.to_be_bytes()),
        _ => return Err(CodecError::TooLong(length)),
    }
    Ok(out)
}

/// Cuts a stream of bytes into messages, however it arrives. Holds at most one frame and what came with it.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` until more bytes come. After an error the stream is lost.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        let Some((head, _)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MAX_FRAME {
            return Err(CodecError::TooLong(length));
        }
        let Some(body) = self.buffer.get(4..4 + length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.buffer.drain(..4 + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = FromRunner> {
        prop_oneof![
            Just(FromRunner::Ready),
            "\\PC{0,20}".prop_map(|state| FromRunner::State { state }),
            (any::<u64>(), any::<Option<u64>>()).prop_map(|(frames, position)| FromRunner::Progress(Progress {
                frames,
                position,
                duration: None,
                warnings: 0,
                sinks: vec![SinkProgress {
                    name: "s".into(),
                    buffers: frames,
                    eos: false
                }],
            })),
            "\\PC{0,200}".prop_map(|m| FromRunner::Error(RunnerError {
                failure: Failure::new(Exit::NoInput, m),
                element: None,
                debug: Some("d".into()),
            })),
        ]
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut(messages in prop::collection::vec(message(), 0..8), cut in 1usize..50) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut read = Vec::new();
            for chunk in bytes.chunks(cut) {
                decoder.push(chunk);
                while let Some(m) = decoder.take::<FromRunner>().unwrap() {
                    read.push(m);
                }
            }
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.take::<ToRunner>() {}
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_its_bytes_come() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.take::<FromRunner>(), Err(CodecError::TooLong(_))));
    }

    #[test]
    fn a_huge_message_is_not_sent() {
        let state = "x".repeat(MAX_FRAME);
        assert!(matches!(
            encode(&FromRunner::State { state }),
            Err(CodecError::TooLong(_))
        ));
    }

    #[test]
    fn unknown_messages_are_errors() {
        let mut decoder = Decoder::default();
        decoder.push(&encode(&serde_json::json!({"type": "dance"})).unwrap());
        assert!(decoder.take::<ToRunner>().is_err());
    }
}
