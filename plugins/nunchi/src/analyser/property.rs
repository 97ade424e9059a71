//! Kinds of properties that analysers have.

use gst::{glib, prelude::*};
use nunchi_inference::engine::ModelSource;

/// What a property is set to. GObject has checked type and range against the ParamSpec.
pub fn value<T: for<'a> glib::value::FromValue<'a>>(value: &glib::Value) -> T {
    value
        .get()
        .unwrap_or_else(|_| unreachable!("GObject has checked the type"))
}

/// 0 to 1, may change while playing.
pub fn score(name: &'static str, nick: &str, blurb: &str, default: f32) -> glib::ParamSpec {
    glib::ParamSpecFloat::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(0.0)
        .maximum(1.0)
        .default_value(default)
        .mutable_playing()
        .build()
}

/// Nanoseconds, an hour at most, may change while playing.
pub fn time(name: &'static str, nick: &str, blurb: &str, default: u64) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name)
        .nick(nick)
        .blurb(blurb)
        .maximum(3_600_000_000_000)
        .default_value(default)
        .mutable_playing()
        .build()
}

/// A number between two, may change while playing.
pub fn number(name: &'static str, nick: &str, blurb: &str, (min, max, default): (f64, f64, f64)) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .mutable_playing()
        .build()
}

/// Least, greatest and default value, may change while playing.
pub fn count(name: &'static str, nick: &str, blurb: &str, (min, max, default): (u32, u32, u32)) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .mutable_playing()
        .build()
}

/// The path of a model, fixed while the element runs.
pub fn model(name: &'static str, nick: &str, blurb: &str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build()
}

/// The path that a [`model`] property is set to; `None` for an empty one.
pub fn path(new: &glib::Value) -> Option<String> {
    value::<Option<String>>(new).filter(|path| !path.is_empty())
}

/// The model at a path, or the embedded one.
pub fn source(path: Option<&String>, embedded: ModelSource) -> ModelSource {
    path.map_or(embedded, |path| ModelSource::File(path.into()))
}
