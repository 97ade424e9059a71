//! The session log and the merged log: frames with their results.

use std::{fmt::Write, path::Path, time::Duration};

use chrono::NaiveDateTime;

use super::{
    DECLARATION,
    file::{SyncPolicy, WriteError, XmlFile},
    text::{cut, is_plain_name, push_attribute, push_iso},
};

/// A result's type is cut to this many bytes (at a character).
pub const MAX_TYPE_BYTES: usize = 256;
/// A result's message is cut to this many bytes (at a character).
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// A frame with more results is written as several frames of the same time.
pub const MAX_RESULTS_PER_FRAME: usize = 1024;
/// Longest name of a root element in bytes.
const MAX_ROOT_BYTES: usize = 128;
const MERGED_ROOT: &str = "merged_session";

/// The results of one analysed frame.
#[derive(Debug, Clone, Copy)]
pub struct LogFrame<'a> {
    /// Local time.
    pub timestamp: NaiveDateTime,
    /// Seconds since the first analysed frame, written with one decimal.
    pub elapsed_seconds: f64,
    /// (type, message) in the order of their evaluation. A frame without results is not written.
    pub results: &'a [(&'a str, &'a str)],
}

/// Writes a session log: root with `start_time`, one `<frame>` per analysed frame that had results, and after a clean close also
/// `end_time` and `duration_seconds`. See [`XmlFile`] for what holds when the writer dies.
pub struct SessionWriter {
    frames: FrameFile,
    root: String,
    start: NaiveDateTime,
}

impl SessionWriter {
    /// Creates the log, without frames. `root` is `face_session`, `pose_session` or another plain XML name; `start` is local time.
    ///
    /// # Errors
    /// `root` is no plain name, or `path` cannot be written.
    pub fn create(path: &Path, root: &str, start: NaiveDateTime, sync: SyncPolicy) -> Result<Self, WriteError> {
        if !is_plain_name(root) || root.len() > MAX_ROOT_BYTES {
            return Err(WriteError::Root {
                path: path.to_owned(),
                name: root.to_owned(),
            });
        }
        let frames = FrameFile::create(path, root, &session_head(root, start), sync)?;
        Ok(Self {
            frames,
            root: root.to_owned(),
            start,
        })
    }

    /// Appends a frame; one without results leaves the log as it is.
    ///
    /// # Errors
    /// The elapsed time is not finite, or the disk is full or broken. The log keeps every frame before.
    pub fn append(&mut self, frame: &LogFrame<'_>) -> Result<(), WriteError> {
        self.frames.append(frame)
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn sync(&self) -> Result<(), WriteError> {
        self.frames.file.sync()
    }

    /// Length of the log in bytes.
    pub fn bytes(&self) -> u64 {
        self.frames.file.bytes()
    }

    /// Ends the session at `end` (local time). The duration is given apart, because local time jumps where summer time
    /// begins or ends.
    ///
    /// # Errors
    /// No room for the second copy that this needs for a moment; the log then stays complete but without the end's attributes.
    pub fn close(self, end: NaiveDateTime, duration: Duration) -> Result<(), WriteError> {
        let mut head = session_head(&self.root, self.start);
        head.push_str(" end_time=\"");
        push_iso(&mut head, end);
        let seconds = duration.as_secs_f64();
        let _ = write!(head, "\" duration_seconds=\"{seconds:.1}\""); // a String takes everything
        self.frames.file.finish_with_head(&head)
    }
}

fn session_head(root: &str, start: NaiveDateTime) -> String {
    let mut head = format!("{DECLARATION}<{root} start_time=\"");
    push_iso(&mut head, start);
    head.push('"');
    head
}

/// Writes frames straight into a merged log, whose root has no attributes.
pub struct MergedWriter {
    frames: FrameFile,
}

impl MergedWriter {
    /// Creates the log, without frames.
    ///
    /// # Errors
    /// `path` cannot be written.
    pub fn create(path: &Path, sync: SyncPolicy) -> Result<Self, WriteError> {
        let head = format!("{DECLARATION}<{MERGED_ROOT}");
        Ok(Self {
            frames: FrameFile::create(path, MERGED_ROOT, &head, sync)?,
        })
    }

    /// Like [`SessionWriter::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append(&mut self, frame: &LogFrame<'_>) -> Result<(), WriteError> {
        self.frames.append(frame)
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn sync(&self) -> Result<(), WriteError> {
        self.frames.file.sync()
    }

    /// Length of the log in bytes.
    pub fn bytes(&self) -> u64 {
        self.frames.file.bytes()
    }

    /// Ends the log; its content is complete already, so this only waits for the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn close(self) -> Result<(), WriteError> {
        self.sync()
    }
}

/// A document of frames.
struct FrameFile {
    file: XmlFile,
    markup: String,
}

impl FrameFile {
    fn create(path: &Path, root: &str, head: &str, sync: SyncPolicy) -> Result<Self, WriteError> {
        let file = XmlFile::create(path, head, " />", &format!("</{root}>"), sync)?;
        Ok(Self {
            file,
            markup: String::new(),
        })
    }

    fn append(&mut self, frame: &LogFrame<'_>) -> Result<(), WriteError> {
        if !frame.elapsed_seconds.is_finite() {
            return Err(WriteError::Elapsed {
                path: self.file.path().to_owned(),
                value: frame.elapsed_seconds,
            });
        }
        for results in frame.results.chunks(MAX_RESULTS_PER_FRAME) {
            self.markup.clear();
            push_frame(&mut self.markup, &LogFrame { results, ..*frame });
            self.file.append(&self.markup)?;
        }
        Ok(())
    }
}

fn push_frame(out: &mut String, frame: &LogFrame<'_>) {
    out.push_str("<frame timestamp=\"");
    push_iso(out, frame.timestamp);
    let _ = write!(out, "\" elapsed_seconds=\"{:.1}\"><analysis>", frame.elapsed_seconds); // a String takes everything
    for (kind, message) in frame.results {
        out.push_str("<result type=\"");
        push_attribute(out, cut(kind, MAX_TYPE_BYTES));
        out.push_str("\" message=\"");
        push_attribute(out, cut(message, MAX_MESSAGE_BYTES));
        out.push_str("\" />");
    }
    out.push_str("</analysis></frame>");
}
