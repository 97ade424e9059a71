//! One file of the log, in whichever format, with errors as GStreamer posts them.

use super::{Format, SyncMode};
use chrono::{DateTime, Local, NaiveDateTime, Utc};
use nunchi_events::{
    Event,
    xml::{LogFrame, MergedWriter, OnvifFrame, OnvifWriter, SessionWriter, SyncPolicy, WriteError},
};
use std::path::Path;

pub enum LogFile {
    /// With its start, which the duration is counted from.
    Session(SessionWriter, DateTime<Utc>),
    Merged(MergedWriter),
    Onvif(OnvifWriter),
}

impl LogFile {
    /// Makes the file. Times are given in UTC; the file has local ones, as its format wants, but for ONVIF's.
    pub fn create(
        path: &Path,
        format: Format,
        root: &str,
        start: DateTime<Utc>,
        sync: SyncMode,
    ) -> Result<Self, gst::ErrorMessage> {
        let sync = match sync {
            SyncMode::None => SyncPolicy::None,
            SyncMode::Frame => SyncPolicy::EveryAppend,
        };
        match format {
            Format::Session => {
                SessionWriter::create(path, root, local(start), sync).map(|writer| Self::Session(writer, start))
            }
            Format::Merged => MergedWriter::create(path, sync).map(Self::Merged),
            Format::Onvif => OnvifWriter::create(path, sync).map(Self::Onvif),
        }
        .map_err(|e| error(&e))
    }

    /// Appends what was seen at one moment.
    pub fn append(
        &mut self,
        timestamp: DateTime<Utc>,
        elapsed: gst::ClockTime,
        events: &[Event],
    ) -> Result<(), gst::ErrorMessage> {
        let results: Vec<(&str, &str)> = events.iter().map(|e| (e.kind.as_str(), text(e))).collect();
        let frame = LogFrame {
            timestamp: local(timestamp),
            elapsed_seconds: elapsed.seconds_f64(),
            results: &results,
        };
        match self {
            Self::Session(writer, _) => writer.append(&frame),
            Self::Merged(writer) => writer.append(&frame),
            Self::Onvif(writer) => writer.append(&OnvifFrame {
                utc: timestamp.naive_utc(),
                events,
            }),
        }
        .map_err(|e| error(&e))
    }

    pub fn bytes(&self) -> u64 {
        match self {
            Self::Session(writer, _) => writer.bytes(),
            Self::Merged(writer) => writer.bytes(),
            Self::Onvif(writer) => writer.bytes(),
        }
    }

    /// Ends the file; a session gets its end time and duration.
    pub fn close(self, end: DateTime<Utc>) -> Result<(), gst::ErrorMessage> {
        match self {
            Self::Session(writer, start) => {
                // A clock that was set back makes it negative: 0 then.
                writer.close(local(end), (end - start).to_std().unwrap_or_default())
            }
            Self::Merged(writer) => writer.close(),
            Self::Onvif(writer) => writer.close(),
        }
        .map_err(|e| error(&e))
    }
}

/// What the log says of an event: its message, or the next best where a foreign producer set none.
fn text(event: &Event) -> &str {
    [&event.message, &event.label, &event.kind]
        .into_iter()
        .find(|t| !t.is_empty())
        .map_or("", |t| t)
}

fn local(time: DateTime<Utc>) -> NaiveDateTime {
    time.with_timezone(&Local).naive_local()
}

fn error(error: &WriteError) -> gst::ErrorMessage {
    let text = error.to_string();
    match error {
        WriteError::Full { .. } => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{text}")),
        WriteError::Folder { .. } | WriteError::NotAFile { .. } => {
            gst::error_msg!(gst::ResourceError::OpenWrite, ("{text}"))
        }
        WriteError::Root { .. } => gst::error_msg!(gst::ResourceError::Settings, ("{text}")),
        _ => gst::error_msg!(gst::ResourceError::Write, ("{text}")),
    }
}

/// The location with the number of the file in the place of `%d` or `%05d`; the same where there is none.
pub fn numbered(location: &str, number: u32) -> String {
    let Some(at) = location.find('%') else {
        return location.to_string();
    };
    let rest = &location[at + 1..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (width, tail) = rest.split_at(digits);
    match tail.strip_prefix('d') {
        // Wider than any number: refuse to pad by megabytes.
        Some(tail) if width.len() <= 2 => {
            let width: usize = width.parse().unwrap_or(0);
            format!("{}{number:0width$}{tail}", &location[..at])
        }
        _ => location.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_printf_puts_them() {
        assert_eq!(numbered("log%d.xml", 7), "log7.xml");
        assert_eq!(numbered("log%03d.xml", 7), "log007.xml");
        assert_eq!(numbered("a/%05d", 123), "a/00123");
    }

    #[test]
    fn what_is_no_number_stays() {
        for location in ["log.xml", "100%.xml", "log%s.xml", "log%", "log%999d.xml", ""] {
            assert_eq!(numbered(location, 7), location);
        }
    }

    #[test]
    fn an_event_without_words_is_logged_by_its_label_or_type() {
        let mut event = Event {
            kind: "object".into(),
            ..Default::default()
        };
        assert_eq!(text(&event), "object");
        event.label = "dog".into();
        assert_eq!(text(&event), "dog");
    }
}
