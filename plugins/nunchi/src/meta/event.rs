//! `NunchiEventMeta`: the events that were detected in a frame.
//!
//! A custom meta **without tags**, because only such a meta passes every element between an analyser and a muxer
//! (a tagged one is dropped by the first `videoconvert` or `videocrop`). Its structure holds
//!
//! * `version` (uint): [`nunchi_events::SCHEMA_VERSION`],
//! * `events` (`GstValueList` of structures named `event`), in the order of detection, at most [`MAX_EVENTS`].
//!
//! Producers append to what is there. Fields and types that this version does not know pass through unchanged: whoever
//! filters (`eventthrottle`) moves the structures themselves, and never goes through [`Event`].

use gst::glib;
use nunchi_events::{AttrValue, Event, SCHEMA_VERSION, State};
use std::str::FromStr;

/// Name under which the meta is registered.
pub const NAME: &str = "NunchiEventMeta";
/// Events kept per buffer; more are dropped, so that a runaway producer cannot grow a buffer without bound.
pub const MAX_EVENTS: usize = 256;

pub(super) fn register() {
    if !gst::meta::CustomMeta::is_registered(NAME) {
        gst::meta::CustomMeta::register(NAME, &[]);
    }
}

/// Appends events to the buffer's event meta, which is created when missing. Returns how many found room.
pub fn append(buffer: &mut gst::BufferRef, events: impl IntoIterator<Item = gst::Structure>) -> usize {
    let mut list = read(buffer);
    let before = list.len();
    list.extend(events.into_iter().take(MAX_EVENTS.saturating_sub(before)));
    let added = list.len() - before;
    if added > 0 {
        replace(buffer, list);
    }
    added
}

/// The buffer's events, in the order of detection. Empty without a meta, or where its `events` is no list of structures.
pub fn read(buffer: &gst::BufferRef) -> Vec<gst::Structure> {
    let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, NAME) else {
        return Vec::new();
    };
    let Ok(list) = meta.structure().get::<gst::List>("events") else {
        return Vec::new();
    };
    list.iter()
        .filter_map(|value| value.get::<gst::Structure>().ok())
        .take(MAX_EVENTS)
        .collect()
}

/// Whether the buffer carries an event meta at all, without reading it.
pub fn is_present(buffer: &gst::BufferRef) -> bool {
    gst::meta::CustomMeta::from_buffer(buffer, NAME).is_ok()
}

/// Puts `events` in the place of all events of the buffer.
pub fn replace(buffer: &mut gst::BufferRef, events: Vec<gst::Structure>) {
    let list = gst::List::new(events);
    let fill = |structure: &mut gst::StructureRef| {
        structure.set("version", SCHEMA_VERSION);
        structure.set("events", list);
    };
    if is_present(buffer) {
        if let Ok(mut meta) = gst::meta::CustomMeta::from_mut_buffer(buffer, NAME) {
            fill(meta.mut_structure());
        }
    } else if let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) {
        fill(meta.mut_structure());
    }
}

/// The structure `event` of schema version 1.
pub fn to_structure(event: &Event) -> gst::Structure {
    let mut s = gst::Structure::builder("event")
        .field("type", &event.kind)
        .field("label", &event.label)
        .field("message", &event.message)
        .field("state", event.state.as_str())
        .field_if_some("confidence", event.confidence)
        .field_if_some("value", event.value)
        .field_if_some("threshold", event.threshold)
        .field_if_some("object-id", event.object_id)
        .field_if_some("track-id", event.track_id)
        .field_if_some("stream-id", event.stream_id.as_ref())
        .field_if_some("source", event.source.as_ref())
        .field_if_some("running-time", event.running_time)
        .field_if_some("pts", event.pts)
        .field_if_some("utc", event.utc)
        .build();
    if !event.attrs.is_empty() {
        let mut attrs = gst::Structure::new_empty("attrs");
        for (name, value) in &event.attrs {
            match value {
                AttrValue::Bool(v) => attrs.set(name.as_str(), *v),
                AttrValue::Int(v) => attrs.set(name.as_str(), *v),
                AttrValue::Float(v) => attrs.set(name.as_str(), *v),
                AttrValue::Str(v) => attrs.set(name.as_str(), v),
            }
        }
        s.set("attrs", attrs);
    }
    s
}

/// Reads a structure `event`. `None` without a `type`; anything else that is missing or of another type than documented
/// is left at its default, for a foreign producer's event is still worth logging.
pub fn from_structure(s: &gst::StructureRef) -> Option<Event> {
    let text = |field: &str| s.get::<&str>(field).unwrap_or_default().to_string();
    let kind = text("type");
    if kind.is_empty() {
        return None;
    }
    let mut event = Event {
        kind,
        label: text("label"),
        message: text("message"),
        state: state(s),
        confidence: s.get("confidence").ok(),
        value: s.get("value").ok(),
        threshold: s.get("threshold").ok(),
        object_id: s.get("object-id").ok(),
        track_id: s.get("track-id").ok(),
        stream_id: s.get("stream-id").ok(),
        source: s.get("source").ok(),
        running_time: s.get("running-time").ok(),
        pts: s.get("pts").ok(),
        utc: s.get("utc").ok(),
        ..Default::default()
    };
    if let Ok(attrs) = s.get::<gst::Structure>("attrs") {
        for (name, value) in attrs.iter() {
            if let Some(value) = attr(value) {
                event.attrs.insert(name.to_string(), value);
            }
        }
    }
    Some(event)
}

/// The event's `state`; an unknown or missing one counts as an instant.
pub fn state(s: &gst::StructureRef) -> State {
    s.get::<&str>("state")
        .ok()
        .and_then(|v| State::from_str(v).ok())
        .unwrap_or(State::Instant)
}

fn attr(value: &glib::SendValue) -> Option<AttrValue> {
    if let Ok(v) = value.get::<bool>() {
        Some(AttrValue::Bool(v))
    } else if let Ok(v) = value.get::<i64>() {
        Some(AttrValue::Int(v))
    } else if let Ok(v) = value.get::<i32>() {
        Some(AttrValue::Int(v.into()))
    } else if let Ok(v) = value.get::<f64>() {
        Some(AttrValue::Float(v))
    } else {
        value.get::<String>().ok().map(AttrValue::Str)
    }
}
