//! `xmllogsink`: writes the events of a stream into an XML file that is well-formed at every instant.
//!
//! Takes buffers of any kind and reads only their `NunchiEventMeta`. A frame of the log is written when a buffer carries
//! at least one event that is not an `end`. The work per event does not grow with the file, and a writer that is killed
//! leaves a file that parses.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/sample.mp4 ! decodebin ! videoconvert ! hailoface ! eventthrottle ! xmllogsink location=f_log.xml
//! ```

use gst::{glib, prelude::*};

mod file;
mod imp;

pub(crate) use file::numbered;

/// Layout of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiXmlLogFormat")]
pub enum Format {
    /// One session: `<face_session start_time="…"><frame …><analysis><result type message/>…`
    #[default]
    #[enum_value(name = "Session: frames under a root with start and end time", nick = "session")]
    Session,
    /// As `session`, under a `<merged_session>` without attributes.
    #[enum_value(name = "Merged: frames under merged_session", nick = "merged")]
    Merged,
    /// ONVIF analytics metadata (`tt:MetadataStream`).
    #[enum_value(name = "ONVIF metadata stream", nick = "onvif")]
    Onvif,
}

/// When data goes to the disk for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiXmlLogSync")]
pub enum SyncMode {
    /// The operating system decides: safe against a crash of the process, not against power loss.
    #[default]
    #[enum_value(name = "The operating system decides when data reaches the disk", nick = "none")]
    None,
    /// After every frame of the log.
    #[enum_value(name = "Wait for the disk after every logged frame", nick = "frame")]
    Frame,
}

/// What the times of the log count from, and by which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiXmlLogTimeBase")]
pub enum TimeBase {
    /// From running time zero.
    #[default]
    #[enum_value(name = "Running time", nick = "running-time")]
    RunningTime,
    /// From the first buffer, as a recording beside it does.
    #[enum_value(name = "Running time since the first buffer", nick = "first-buffer")]
    FirstBuffer,
    /// By the time that a `GstReferenceTimestampMeta` (`timestamp/x-ntp` or `timestamp/x-unix`) gives each buffer, from the first one on.
    #[enum_value(name = "Reference timestamps of the buffers, since the first", nick = "reference")]
    Reference,
}

glib::wrapper! {
    /// The element; see the module's description.
    pub struct XmlLogSink(ObjectSubclass<imp::XmlLogSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Format::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    TimeBase::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    SyncMode::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "xmllogsink", gst::Rank::NONE, XmlLogSink::static_type())
}
