//! Metadata that the elements of this plugin write and read. The tables in `docs/metadata.md` are its reference.
//!
//! | carrier | holds | survives |
//! |---|---|---|
//! | [`event`]: `NunchiEventMeta`, a `GstCustomMeta` without tags | events | conversion, scaling, cropping, encoding |
//! | [`landmark`]: `NunchiLandmarkMeta`, a `GstCustomMeta` with video tags | boxes and keypoints in [0,1] | conversion and scaling |
//! | [`roi`]: `GstVideoRegionOfInterestMeta` | boxes in pixels | conversion and scaling (its parameters do not) |
//! | [`analytics`]: `GstAnalyticsRelationMeta` | objects, classes, tracks | as GStreamer has it, from 1.24 on |
//! | [`nvds`]: `NvDsBatchMeta`, where DeepStream has attached one | objects; events as messages | as DeepStream has it |
//!
//! Read only, [`hailo`]: `GstHailoTensorMeta`, the tensors that `hailonet` attaches.

pub mod analytics;
pub mod event;
pub mod file;
pub mod hailo;
pub mod landmark;
pub mod nvds;
pub mod roi;

use std::sync::Once;

/// Registers the custom metas with GStreamer, once per process. Called from `plugin_init`: a custom meta has no type of
/// its own, so nothing can be attached or read before that.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        event::register();
        file::register();
        landmark::register();
    });
}
