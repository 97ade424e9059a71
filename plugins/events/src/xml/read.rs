//! Reads a session or merged log back.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use chrono::NaiveDateTime;
use thiserror::Error;

use super::{
    scan::{Element, Fault, Item, MAX_FILE_BYTES, Scanner},
    text::parse_iso,
};

/// A log in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Session {
    /// Name of the root element; empty if the file ends before it.
    pub root: String,
    /// Local time; a merged log has none.
    pub start_time: Option<NaiveDateTime>,
    /// Local time; only after a clean close.
    pub end_time: Option<NaiveDateTime>,
    pub frames: Vec<Frame>,
    /// The file ended early or was damaged. `frames` has everything before that.
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Local time.
    pub timestamp: NaiveDateTime,
    /// Finite.
    pub elapsed_seconds: f64,
    pub results: Vec<LogResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogResult {
    /// The attribute `type`.
    pub kind: String,
    pub message: String,
}

/// A file that cannot be read as a log, and why.
#[derive(Debug, Error)]
#[error("{} {fault}", path.display())]
pub struct ReadError {
    pub path: PathBuf,
    pub fault: Fault,
}

impl ReadError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// Reads a log. One that ends early, even in its first byte, is no error: see [`Session::truncated`].
///
/// # Errors
/// The file cannot be opened, is no XML or no log (a document type, a namespace, another encoding than UTF-8), or breaks one of the
/// limits `MAX_…` of [`xml`](crate::xml).
pub fn read(path: impl AsRef<Path>) -> Result<Session, ReadError> {
    let path = path.as_ref();
    open(path).and_then(Session::parse).map_err(|fault| ReadError {
        path: path.to_owned(),
        fault,
    })
}

impl Session {
    /// Reads a log from anywhere; see [`read`].
    ///
    /// # Errors
    /// As there.
    pub fn parse(input: impl BufRead) -> Result<Self, Fault> {
        let mut scanner = Scanner::new(input);
        let mut session = Self::default();
        loop {
            match scanner.next()? {
                Item::Root(root) => {
                    session.start_time = root.attribute("start_time").and_then(parse_iso);
                    session.end_time = root.attribute("end_time").and_then(parse_iso);
                    session.root = root.name;
                }
                Item::Child(child) if child.name == "frame" => match frame(&child) {
                    Some(frame) => session.frames.push(frame),
                    None => {
                        session.truncated = true;
                        return Ok(session);
                    }
                },
                Item::Child(_) => {}
                Item::End => return Ok(session),
                Item::Damaged => {
                    session.truncated = true;
                    return Ok(session);
                }
            }
        }
    }
}

/// Opens a regular file of acceptable size; a pipe would block.
pub(super) fn open(path: &Path) -> Result<impl BufRead, Fault> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Fault::NotALog("it is not a regular file".to_owned()));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(Fault::TooLarge {
            what: "more bytes",
            limit: MAX_FILE_BYTES,
        });
    }
    // It may grow while it is read.
    Ok(BufReader::with_capacity(
        1 << 16,
        File::open(path)?.take(MAX_FILE_BYTES),
    ))
}

/// The attribute that frames are ordered by.
pub(super) fn elapsed(frame: &Element) -> Option<f64> {
    frame
        .attribute("elapsed_seconds")?
        .trim()
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite())
}

fn frame(element: &Element) -> Option<Frame> {
    let results = element
        .children("analysis")
        .flat_map(|analysis| analysis.children("result"))
        .map(|result| {
            Some(LogResult {
                kind: result.attribute("type")?.to_owned(),
                message: result.attribute("message")?.to_owned(),
            })
        })
        .collect::<Option<_>>()?;
    Some(Frame {
        timestamp: parse_iso(element.attribute("timestamp")?)?,
        elapsed_seconds: elapsed(element)?,
        results,
    })
}
