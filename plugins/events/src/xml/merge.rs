//! Merges session logs into one, ordered by elapsed time.

use std::{
    cmp::Ordering,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    DECLARATION,
    file::{WriteError, publish, resolve, temporary},
    read::{ReadError, elapsed, open},
    scan::{Fault, Item, Scanner},
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

/// Writes all frames of the inputs, in their order, stably sorted by elapsed seconds, under `<merged_session>`. Frames keep all their
/// elements, attributes and text. The output appears complete or not at all, and may be one of the inputs. Needs about as much memory
/// as the inputs have bytes.
///
/// # Errors
/// An input exists but cannot be read or is no log; the output cannot be written.
pub fn merge(inputs: &[PathBuf], output: &Path) -> Result<MergeReport, MergeError> {
    let output = resolve(output)?;
    let mut report = MergeReport::default();
    let mut frames = Frames::default();
    for input in inputs {
        match collect(input, &mut frames) {
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
fn collect(input: &Path, frames: &mut Frames) -> Result<bool, ReadError> {
    let fail = |fault: Fault| ReadError {
        path: input.to_owned(),
        fault,
    };
    let mut scanner = Scanner::new(open(input).map_err(fail)?);
    loop {
        match scanner.next().map_err(fail)? {
            Item::Child(child) if child.name == "frame" => {
                let Some(elapsed) = elapsed(&child) else {
                    return Ok(false);
                };
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
