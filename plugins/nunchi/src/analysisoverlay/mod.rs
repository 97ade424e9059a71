//! `analysisoverlay`: draws what analysers found into the picture: a box and a label for each region of interest, keypoints
//! as thin lines, and the messages of events as captions at the bottom left.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/sample.mp4 ! decodebin ! hailoface ! analysisoverlay ! videoconvert ! x264enc tune=zerolatency ! mp4mux ! filesink location=annotated.mp4
//! ```
//!
//! Read: `GstVideoRegionOfInterestMeta` with the parameters `detection`, `object_id` and classifications (all optional),
//! `NunchiLandmarkMeta`, `NunchiEventMeta`. Written: none; all metadata stays. `GstAnalyticsRelationMeta` is not read.
//!
//! [`imp`] is the element, `read` turns a buffer's metadata into a `scene`; the rest knows no GStreamer: `canvas` blends
//! into raw frames of any format, `mask` makes shapes, `text` letters, `skeleton` lines between keypoints, and `captions`
//! says which events are on the screen.

use gst::glib;
use gst::prelude::*;

mod canvas;
mod captions;
mod imp;
mod mask;
mod read;
mod scene;
mod skeleton;
mod text;

glib::wrapper! {
    /// Draws regions, keypoints and events into the picture.
    pub struct AnalysisOverlay(ObjectSubclass<imp::AnalysisOverlay>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "analysisoverlay",
        gst::Rank::NONE,
        AnalysisOverlay::static_type(),
    )
}
