//! `hailopose`: finds people, follows them and reads their posture off 17 keypoints.
//!
//! Works in place on raw video in system memory and writes only metadata; the picture stays as it is.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/posture.mp4 ! decodebin ! hailopose ! eventthrottle ! xmllogsink location=p_log.xml session-root=pose_session
//! ```
//!
//! Written: `NunchiEventMeta` (`body_tilt`, `head_tilt`, `gesture`), `NunchiLandmarkMeta` (`body-pose/coco-17`),
//! `GstVideoRegionOfInterestMeta` (`person`), and from GStreamer 1.24 on `GstAnalyticsRelationMeta`. Read: none. Limits: the
//! default network reads one person, whom it expects to fill a good part of the frame; a YOLOv8 pose network reads several.

use gst::{glib, prelude::*};

mod analysis;
mod imp;
mod posture;
mod rules;
mod settings;
mod smoothing;
mod tracker;

glib::wrapper! {
    /// The element; see the module's description.
    pub struct HailoPose(ObjectSubclass<imp::HailoPose>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "hailopose", gst::Rank::NONE, HailoPose::static_type())
}
