//! The event: one thing that an analyser saw at one moment.
//!
//! Serialised with kebab-case keys (`type`, `object-id`, `running-time`, …); what is absent is left out. Readers ignore keys they do
//! not know, so that a newer producer and an older consumer get along.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the event's schema. It grows when a key changes its meaning, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

/// Most events that one buffer carries; producers drop what comes after.
pub const MAX_EVENTS_PER_BUFFER: usize = 256;
/// Longest `type` in bytes of UTF-8.
pub const MAX_TYPE_BYTES: usize = 64;
/// Longest `label`, `stream-id` and `source` in bytes of UTF-8.
pub const MAX_LABEL_BYTES: usize = 256;
/// Longest `message` in bytes of UTF-8.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Most entries in `attrs`.
pub const MAX_ATTRS: usize = 64;
/// Longest key in `attrs` in bytes of UTF-8.
pub const MAX_ATTR_KEY_BYTES: usize = 64;
/// Longest string value in `attrs` in bytes of UTF-8.
pub const MAX_ATTR_VALUE_BYTES: usize = 1024;

/// Where in its life the observed thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It began with this event.
    Start,
    /// It was there before and still is.
    Ongoing,
    /// It ended.
    End,
    /// It has no duration.
    #[default]
    Instant,
}

impl State {
    /// The name in metadata, messages and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Ongoing => "ongoing",
            Self::End => "end",
            Self::Instant => "instant",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state's name that is none of the four.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown event state '{0}': expected start, ongoing, end or instant")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, UnknownState> {
        match name {
            "start" => Ok(Self::Start),
            "ongoing" => Ok(Self::Ongoing),
            "end" => Ok(Self::End),
            "instant" => Ok(Self::Instant),
            _ => Err(UnknownState(name.to_owned())),
        }
    }
}

/// A value in an event's open `attrs`.
///
/// Not-a-number and infinities have no JSON form; [`Event::check`] refuses them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttrValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
}

impl AttrValue {
    /// The value as a number; `None` for strings and booleans.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Str(_) => None,
        }
    }
}

/// One observation. The limits on sizes are the `MAX_…` constants of this module; [`Event::check`] applies them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// What was seen: `smile`, `eyes_closed`, `body_tilt`, …; never empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// A class within the type, such as the emotion's name; may be empty.
    #[serde(default)]
    pub label: String,
    /// Text for people; it is what the XML log keeps.
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub state: State,
    /// How sure the analyser is, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The measured quantity, in the unit of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The limit that `value` was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Id of the region or object in this buffer's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<i32>,
    /// Id that the object keeps from buffer to buffer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_id: Option<String>,
    /// Name of the element that made the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Running time of the buffer in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_time: Option<u64>,
    /// Presentation timestamp of the buffer in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pts: Option<u64>,
    /// Nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc: Option<u64>,
    /// Everything else that a producer wants to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, AttrValue>,
}

/// Why an event is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    #[error("the event has an empty type: name what was seen")]
    EmptyType,
    #[error("'{field}' of the event has {bytes} bytes: at most {limit} are allowed")]
    TooLong { field: String, bytes: usize, limit: usize },
    #[error("the event has {count} attributes: at most {MAX_ATTRS} are allowed")]
    TooManyAttrs { count: usize },
    #[error("'{field}' of the event is not a finite number")]
    NotFinite { field: String },
}

impl Event {
    pub fn new(kind: impl Into<String>, state: State, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            state,
            message: message.into(),
            ..Self::default()
        }
    }

    /// Checks sizes and numbers; for events that came from outside.
    ///
    /// # Errors
    /// The first field that breaks a limit.
    pub fn check(&self) -> Result<(), EventError> {
        if self.kind.is_empty() {
            return Err(EventError::EmptyType);
        }
        short("type", &self.kind, MAX_TYPE_BYTES)?;
        short("label", &self.label, MAX_LABEL_BYTES)?;
        short("message", &self.message, MAX_MESSAGE_BYTES)?;
        short(
            "stream-id",
            self.stream_id.as_deref().unwrap_or_default(),
            MAX_LABEL_BYTES,
        )?;
        short("source", self.source.as_deref().unwrap_or_default(), MAX_LABEL_BYTES)?;
        finite("confidence", self.confidence)?;
        finite("value", self.value)?;
        finite("threshold", self.threshold)?;
        if self.attrs.len() > MAX_ATTRS {
            return Err(EventError::TooManyAttrs {
                count: self.attrs.len(),
            });
        }
        for (key, value) in &self.attrs {
            short("attrs key", key, MAX_ATTR_KEY_BYTES)?;
            match value {
                AttrValue::Str(text) => short(key, text, MAX_ATTR_VALUE_BYTES)?,
                AttrValue::Float(number) => finite(key, Some(*number))?,
                AttrValue::Bool(_) | AttrValue::Int(_) => {}
            }
        }
        Ok(())
    }
}

fn short(field: &str, text: &str, limit: usize) -> Result<(), EventError> {
    if text.len() <= limit {
        return Ok(());
    }
    Err(EventError::TooLong {
        field: field.to_owned(),
        bytes: text.len(),
        limit,
    })
}

fn finite(field: &str, number: Option<f64>) -> Result<(), EventError> {
    if number.is_none_or(f64::is_finite) {
        return Ok(());
    }
    Err(EventError::NotFinite {
        field: field.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Event {
        Event {
            label: "happy".into(),
            confidence: Some(0.5),
            value: Some(0.75),
            threshold: Some(0.25),
            object_id: Some(-1),
            track_id: Some(7),
            stream_id: Some("cam".into()),
            source: Some("hailoface0".into()),
            running_time: Some(1),
            pts: Some(2),
            utc: Some(u64::MAX),
            attrs: BTreeMap::from([
                ("b".into(), AttrValue::Bool(true)),
                ("f".into(), AttrValue::Float(1.0)),
                ("i".into(), AttrValue::Int(-3)),
                ("s".into(), AttrValue::Str("x".into())),
            ]),
            ..Event::new("emotion", State::Start, "happy")
        }
    }

    #[test]
    fn json_has_the_documented_keys() {
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"type":"emotion","label":"happy","message":"happy","state":"start","confidence":0.5,"value":0.75,"#,
                r#""threshold":0.25,"object-id":-1,"track-id":7,"stream-id":"cam","source":"hailoface0","running-time":1,"#,
                r#""pts":2,"utc":18446744073709551615,"attrs":{"b":true,"f":1.0,"i":-3,"s":"x"}}"#
            )
        );
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let json = serde_json::to_string(&full()).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), full());
    }

    #[test]
    fn absent_fields_are_left_out() {
        let json = serde_json::to_string(&Event::new("smile", State::Instant, "")).unwrap();
        assert_eq!(json, r#"{"type":"smile","label":"","message":"","state":"instant"}"#);
    }

    #[test]
    fn unknown_keys_are_ignored_and_missing_ones_defaulted() {
        let event: Event = serde_json::from_str(r#"{"type":"wave","shape":{"of":"things"}}"#).unwrap();
        assert_eq!(event, Event::new("wave", State::Instant, ""));
    }

    #[test]
    fn an_event_without_type_is_refused() {
        assert!(serde_json::from_str::<Event>(r#"{"message":"x"}"#).is_err());
        assert_eq!(Event::default().check(), Err(EventError::EmptyType));
    }

    #[test]
    fn unknown_state_is_refused_and_named() {
        assert!("begin".parse::<State>().unwrap_err().to_string().contains("'begin'"));
        assert!("Start".parse::<State>().is_err());
        assert!(serde_json::from_str::<Event>(r#"{"type":"x","state":"begin"}"#).is_err());
    }

    #[test]
    fn state_names_round_trip() {
        for state in [State::Start, State::Ongoing, State::End, State::Instant] {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    #[test]
    fn limits_are_inclusive_and_name_the_field() {
        let mut event = full();
        event.message = "m".repeat(MAX_MESSAGE_BYTES);
        assert_eq!(event.check(), Ok(()));
        event.message.push('m');
        assert!(event.check().unwrap_err().to_string().contains("'message'"));
    }

    #[test]
    fn numbers_must_be_finite() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let event = Event {
                value: Some(bad),
                ..full()
            };
            assert_eq!(event.check(), Err(EventError::NotFinite { field: "value".into() }));
            let mut event = full();
            event.attrs.insert("f".into(), AttrValue::Float(bad));
            assert_eq!(event.check(), Err(EventError::NotFinite { field: "f".into() }));
        }
    }

    #[test]
    fn attrs_are_bounded() {
        let mut event = full();
        event.attrs = (0..=MAX_ATTRS).map(|n| (n.to_string(), AttrValue::Int(0))).collect();
        assert_eq!(event.check(), Err(EventError::TooManyAttrs { count: MAX_ATTRS + 1 }));
        event.attrs = BTreeMap::from([("k".repeat(MAX_ATTR_KEY_BYTES + 1), AttrValue::Int(0))]);
        assert!(matches!(event.check(), Err(EventError::TooLong { .. })));
        event.attrs = BTreeMap::from([("k".into(), AttrValue::Str("v".repeat(MAX_ATTR_VALUE_BYTES + 1)))]);
        assert!(matches!(event.check(), Err(EventError::TooLong { .. })));
    }
}
