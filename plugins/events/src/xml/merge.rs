//! Merges session logs into one, ordered by elapsed time.

use std::{
    cmp::Ordering,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use chrono::NaiveDateTime;
use thiserror::Error;

use super::{
    DECLARATION,
    file::{WriteError, publish, resolve, temporary},
    read::{ReadError, elapsed, open},
    scan::{Element, Fault, Item, Scanner},
    text::parse_iso,
};

/// What a merge found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MergeReport {
    /// Frames in the output.
    pub frames: usize,
    /// Inputs that do not exist.
    pub missing: Vec<PathBuf>,
    /// Inputs that end early or are damaged; the frames before that are in the output.
    pub truncated: Vec<PathBuf>,
}

#[derive(Debug, Error)]
pub enum MergeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Frames as markup, back to back, and where each is.
#[derive(Default)]
struct Frames {
    markup: String,
    index: Vec<Entry>,
}

struct Entry {
    elapsed: f64,
    start: usize,
    end: usize,
}

/// Where the frames of logs belong in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Timeline {
    /// Local time of the recording's first picture: frames are placed by their `timestamp`. Without it by their `elapsed_seconds`,
    /// which count from the first picture then.
    pub first_picture: Option<NaiveDateTime>,
    /// Seconds from the beginning of the recording to its first picture.
    pub offset: f64,
}

impl Timeline {
    /// Moves a frame onto it. One without a time that can be read stays where it is.
    fn place(&self, frame: &mut Element, elapsed: f64) -> f64 {
        let since = |first: NaiveDateTime| {
            let time = parse_iso(frame.attribute("timestamp")?)?;
            Some((time - first).num_microseconds()? as f64 / 1e6)
        };
        let placed = match self.first_picture {
            Some(first) => since(first).unwrap_or(elapsed),
            None => elapsed,
        };
        let placed = placed + self.offset;
        // No minus before a zero.
        let placed = if placed.abs() < 0.05 { 0.0 } else { placed };
        frame.set_attribute("elapsed_seconds", format!("{placed:.1}"));
        placed
    }
}

/// Writes all frames of the inputs, in their order, stably sorted by elapsed seconds, under `<merged_session>`. Frames keep all their
/// elements, attributes and text. The output appears complete or not at all, and may be one of the inputs. Needs about as much memory
/// as the inputs have bytes.
///
/// # Errors
/// An input exists but cannot be read or is no log; the output cannot be written.
pub fn merge(inputs: &[PathBuf], output: &Path) -> Result<MergeReport, MergeError> {
    merge_all(inputs, output, None)
}

/// The same with all times on that of a recording; frames before its beginning have negative ones.
///
/// # Errors
/// As [`merge`].
pub fn merge_onto(inputs: &[PathBuf], output: &Path, timeline: &Timeline) -> Result<MergeReport, MergeError> {
    merge_all(inputs, output, Some(timeline))
}

fn merge_all(inputs: &[PathBuf], output: &Path, timeline: Option<&Timeline>) -> Result<MergeReport, MergeError> {
    let output = resolve(output)?;
    let mut report = MergeReport::default();
    let mut frames = Frames::default();
    for input in inputs {
        match collect(input, timeline, &mut frames) {
            Ok(true) => {}
            Ok(false) => report.truncated.push(input.clone()),
            Err(error) if error.is_missing() => report.missing.push(input.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    // All are finite, so they compare.
    frames
        .index
        .sort_by(|a, b| a.elapsed.partial_cmp(&b.elapsed).unwrap_or(Ordering::Equal));
    write(&frames, &output).map_err(|error| WriteError::new(&output, error))?;
    report.frames = frames.index.len();
    Ok(report)
}

/// Whether the input was complete.
fn collect(input: &Path, timeline: Option<&Timeline>, frames: &mut Frames) -> Result<bool, ReadError> {
    let fail = |fault: Fault| ReadError {
        path: input.to_owned(),
        fault,
    };
    let mut scanner = Scanner::new(open(input).map_err(fail)?);
    loop {
        match scanner.next().map_err(fail)? {
            Item::Child(mut child) if child.name == "frame" => {
                let Some(mut elapsed) = elapsed(&child) else {
                    return Ok(false);
                };
                if let Some(timeline) = timeline {
                    elapsed = timeline.place(&mut child, elapsed);
                }
                let start = frames.markup.len();
                child.push_xml(&mut frames.markup);
                frames.index.push(Entry {
                    elapsed,
                    start,
                    end: frames.markup.len(),
                });
            }
            Item::Root(_) | Item::Child(_) => {}
            Item::End => return Ok(true),
            Item::Damaged => return Ok(false),
        }
    }
}

fn write(frames: &Frames, output: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(temporary(output)?);
    write!(file, "{DECLARATION}<merged_session")?;
    if frames.index.is_empty() {
        file.write_all(b" />")?;
    } else {
        file.write_all(b">")?;
        for Entry { start, end, .. } in &frames.index {
            file.write_all(&frames.markup.as_bytes()[*start..*end])?;
        }
        file.write_all(b"</merged_session>")?;
    }
    publish(file.into_inner().map_err(io::IntoInnerError::into_error)?, output)
}
