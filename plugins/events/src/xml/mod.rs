//! XML logs of what happened: written while it happens, read and merged afterwards.
//!
//! Format of a session, byte for byte what the older loggers wrote (`⏎` is the only line end):
//!
//! ```text
//! <?xml version='1.0' encoding='utf-8'?>⏎
//! <face_session start_time="2025-10-18T17:34:26.292100"><frame timestamp="2025-10-18T17:34:30.440554" elapsed_seconds="0.7"><analysis><result type="smile" message="…" /></analysis></frame></face_session>
//! ```
//!
//! Two liberties are taken, both invisible to parsers: spaces between elements where a page of the file ends (see the append module's
//! text), and, only after a kill in the middle of an append, spaces or a processing instruction behind the root.

mod append;
mod file;
mod merge;
mod onvif;
mod read;
mod scan;
mod session;
mod text;

pub use file::{SyncPolicy, WriteError, XmlFile};
pub use merge::{MergeError, MergeReport, Timeline, merge, merge_onto};
pub use onvif::{OnvifFrame, OnvifWriter};
pub use read::{Frame, LogResult, ReadError, Session, read};
pub use scan::{Fault, MAX_ATTRIBUTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_VALUE_BYTES};
pub use session::{LogFrame, MAX_MESSAGE_BYTES, MAX_RESULTS_PER_FRAME, MAX_TYPE_BYTES, MergedWriter, SessionWriter};

/// What every log starts with.
const DECLARATION: &str = "<?xml version='1.0' encoding='utf-8'?>\n";
