//! Events as an ONVIF metadata stream (ONVIF Analytics Service Specification, "Scene description").
//!
//! Each event becomes a `tt:Object` whose class is the event's type and whose likelihood is its confidence. An event with the
//! attributes `x_min`, `y_min`, `x_max`, `y_max` (fractions of the picture, origin top left) also gets a shape; ONVIF's coordinates run
//! from -1 to 1 with y upwards.

use std::{fmt::Write, path::Path};

use chrono::NaiveDateTime;

use super::{
    DECLARATION,
    file::{SyncPolicy, WriteError, XmlFile},
    text::{cut, push_iso, push_text},
};
use crate::{Event, event::MAX_TYPE_BYTES};

const HEAD: &str = "<tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\"><tt:VideoAnalytics";
const EMPTY: &str = " /></tt:MetadataStream>";
const FOOTER: &str = "</tt:VideoAnalytics></tt:MetadataStream>";

/// The events of one frame.
#[derive(Debug, Clone, Copy)]
pub struct OnvifFrame<'a> {
    pub utc: NaiveDateTime,
    /// A frame without events is not written.
    pub events: &'a [Event],
}

/// Writes an ONVIF metadata stream to a file; it grows as [`XmlFile`] does.
pub struct OnvifWriter {
    file: XmlFile,
    markup: String,
}

impl OnvifWriter {
    /// Creates the stream, without frames.
    ///
    /// # Errors
    /// `path` cannot be written.
    pub fn create(path: &Path, sync: SyncPolicy) -> Result<Self, WriteError> {
        let file = XmlFile::create(path, &format!("{DECLARATION}{HEAD}"), EMPTY, FOOTER, sync)?;
        Ok(Self {
            file,
            markup: String::new(),
        })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// The disk is full or broken; the stream keeps every frame before.
    pub fn append(&mut self, frame: &OnvifFrame<'_>) -> Result<(), WriteError> {
        if frame.events.is_empty() {
            return Ok(());
        }
        self.markup.clear();
        self.markup.push_str("<tt:Frame UtcTime=\"");
        push_iso(&mut self.markup, frame.utc);
        self.markup.push_str("Z\">");
        for event in frame.events {
            push_object(&mut self.markup, event);
        }
        self.markup.push_str("</tt:Frame>");
        self.file.append(&self.markup)
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn sync(&self) -> Result<(), WriteError> {
        self.file.sync()
    }

    /// Length of the stream in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// Ends the stream; its content is complete already, so this only waits for the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn close(self) -> Result<(), WriteError> {
        self.sync()
    }
}

/// Writing into a String cannot fail, hence the `let _`.
fn push_object(out: &mut String, event: &Event) {
    out.push_str("<tt:Object");
    if let Some(id) = event.track_id.map(i128::from).or(event.object_id.map(i128::from)) {
        let _ = write!(out, " ObjectId=\"{id}\"");
    }
    out.push_str("><tt:Appearance>");
    if let Some([left, top, right, bottom]) = onvif_box(event) {
        let _ = write!(
            out,
            "<tt:Shape><tt:BoundingBox left=\"{left:.4}\" top=\"{top:.4}\" right=\"{right:.4}\" bottom=\"{bottom:.4}\" />\
             <tt:CenterOfGravity x=\"{:.4}\" y=\"{:.4}\" /></tt:Shape>",
            (left + right) / 2.0,
            (top + bottom) / 2.0
        );
    }
    out.push_str("<tt:Class><tt:Type");
    if let Some(confidence) = event.confidence.filter(|value| value.is_finite()) {
        let _ = write!(out, " Likelihood=\"{:.3}\"", confidence.clamp(0.0, 1.0));
    }
    out.push('>');
    push_text(out, cut(&event.kind, MAX_TYPE_BYTES));
    out.push_str("</tt:Type></tt:Class></tt:Appearance></tt:Object>");
}

/// left, top, right, bottom in [-1, 1], y upwards.
fn onvif_box(event: &Event) -> Option<[f64; 4]> {
    let side = |name| event.attrs.get(name)?.as_f64().filter(|value| value.is_finite());
    let [left, top, right, bottom] = [side("x_min")?, side("y_min")?, side("x_max")?, side("y_max")?];
    (left < right && top < bottom)
        .then(|| [2.0 * left - 1.0, 1.0 - 2.0 * top, 2.0 * right - 1.0, 1.0 - 2.0 * bottom].map(|v| v.clamp(-1.0, 1.0)))
}
