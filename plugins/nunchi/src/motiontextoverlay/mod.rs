//! `motiontextoverlay`: draws animated captions that a MotionText scenario describes.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/sample.mp4 ! decodebin ! motiontextoverlay location=media/captions.json ! videoconvert ! x264enc ! mp4mux ! filesink location=captioned.mp4
//! ```
//!
//! Read: an attached `GstVideoOverlayComposition`, which the captions are laid over. Written: the same, where downstream
//! takes it; otherwise the captions are blended into the pixels, and only those that they touch are mapped and changed.
//!
//! [`imp`] is the element, `scenarios` says which one is shown, `feed` is the request pad for those in-band, `settings` its
//! properties, `negotiate` says which caps go with which, `compose` attaches, `paint` blends, `still` opens video nodes. What
//! is drawn comes from the crate `nunchi-motiontext`.

use gst::glib;
use gst::prelude::*;

mod compose;
mod feed;
mod imp;
mod negotiate;
mod paint;
mod scenarios;
mod settings;
mod still;

pub use settings::{OffsetMode, Profile, TimeBase};

glib::wrapper! {
    /// Draws MotionText captions.
    pub struct MotionTextOverlay(ObjectSubclass<imp::MotionTextOverlay>) @extends gst::Element, gst::Object;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    for enumeration in [
        Profile::static_type(),
        OffsetMode::static_type(),
        TimeBase::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(
        Some(plugin),
        "motiontextoverlay",
        gst::Rank::NONE,
        MotionTextOverlay::static_type(),
    )
}
