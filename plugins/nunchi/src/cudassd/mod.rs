//! `cudassd`: finds objects with a network of the SSD kind, on a GPU or on the processor.
//!
//! Works in place on raw video in system memory and writes only metadata; the picture stays as it is.
//!
//! ```sh
//! gst-launch-1.0 filesrc location=media/objects.mp4 ! decodebin ! cudassd ! videoconvert ! analysisoverlay ! nvencsink location=found.mp4
//! ```
//!
//! Written: `GstVideoRegionOfInterestMeta` (the classes' names), `NunchiLandmarkMeta` (boxes without points), `NunchiEventMeta` (`object`: a class
//! comes into view, is there, goes), and from GStreamer 1.24 on `GstAnalyticsRelationMeta`. Read: `NunchiFileMeta`.
//!
//! [`settings`] has the properties; [`batch`] takes frames of one or more elements through one network, several at once; [`analysis`] makes metadata of what
//! is found, with the numbers that [`tracker`] gives objects, the events of [`presence`] and the text files of [`files`].

use gst::{glib, prelude::*};

mod analysis;
mod batch;
mod files;
mod imp;
mod presence;
mod settings;
mod tracker;

pub use settings::{ChannelOrder, Family, Resize};

glib::wrapper! {
    /// The element; see the module's description.
    pub struct CudaSsd(ObjectSubclass<imp::CudaSsd>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    for enumeration in [
        Family::static_type(),
        Resize::static_type(),
        ChannelOrder::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(Some(plugin), "cudassd", gst::Rank::NONE, CudaSsd::static_type())
}
