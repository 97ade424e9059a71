//! `eventthrottle`: lets an event of one kind through at most once per interval.
//!
//! Analysers report what lasts in every frame (`ongoing`). This element thins that out to what a log or a client wants to
//! see. It never drops a buffer, and leaves everything but the event list as it is.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/sample.mp4 ! decodebin ! videoconvert ! hailoface ! eventthrottle interval=2000000000 key=type ! xmllogsink location=f_log.xml
//! ```

use gst::{glib, prelude::*};
use nunchi_events::throttle::KeyBy;

mod imp;

/// What makes two events "the same" for the throttle. The stream id always belongs to the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiEventThrottleKey")]
pub enum Key {
    /// Events of one type share an interval.
    #[default]
    #[enum_value(name = "Type: events of one type share an interval", nick = "type")]
    Type,
    /// Events of one type and label share an interval.
    #[enum_value(name = "Type and label share an interval", nick = "type-label")]
    TypeLabel,
    /// Each tracked object has an interval per type.
    #[enum_value(name = "Type, per tracked object", nick = "type-object")]
    TypeObject,
    /// Each tracked object has an interval per type and label.
    #[enum_value(name = "Type and label, per tracked object", nick = "type-object-label")]
    TypeObjectLabel,
}

impl From<Key> for KeyBy {
    fn from(key: Key) -> Self {
        match key {
            Key::Type => KeyBy::Type,
            Key::TypeLabel => KeyBy::TypeLabel,
            Key::TypeObject => KeyBy::TypeObject,
            Key::TypeObjectLabel => KeyBy::TypeLabelObject,
        }
    }
}

glib::wrapper! {
    /// The element; see the module's description.
    pub struct EventThrottle(ObjectSubclass<imp::EventThrottle>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Key::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "eventthrottle",
        gst::Rank::NONE,
        EventThrottle::static_type(),
    )
}
