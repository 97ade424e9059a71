//! `hailoface`: finds faces, follows them and reads them — 478 landmarks, smile, closed eyes, emotion, presence.
//!
//! Works in place on raw video in system memory and writes only metadata; the picture stays as it is. The detector runs
//! only when it is needed, in between a face is followed by its own landmarks.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/sample.mp4 ! decodebin ! videoconvert ! hailoface max-faces=2 smile-threshold=0.5 ! eventthrottle ! xmllogsink location=f_log.xml
//! ```
//!
//! Written: `NunchiEventMeta` (`presence`, `smile`, `eyes_closed`, `emotion`), `NunchiLandmarkMeta`
//! (`face-landmarks/478`), `GstVideoRegionOfInterestMeta` (`face`), and from GStreamer 1.24 on `GstAnalyticsRelationMeta`.
//! Read: none. Limits: the default detector is made for faces within some two metres of the camera; profiles and very
//! small faces are missed.

use gst::{glib, prelude::*};

mod analysis;
mod imp;
mod reading;
mod settings;
mod tracker;

glib::wrapper! {
    /// The element; see the module's description.
    pub struct HailoFace(ObjectSubclass<imp::HailoFace>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "hailoface", gst::Rank::NONE, HailoFace::static_type())
}
