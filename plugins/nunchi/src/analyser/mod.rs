//! What the elements that analyse frames share: their engine and its properties, the way of a frame through them, and how they
//! attach what they find. An element adds the networks and the reading of their results: an [`Analysis`].

mod analysis;
mod attach;
mod engine;
mod hailo;
pub mod hysteresis;
mod options;
pub mod property;
mod runner;

pub use analysis::{Analysis, Frame, on_host, with_track};
pub use attach::{Found, Pending};
pub use engine::{AnalyticsMeta, Engine, Fallback, NvdsMeta, Precision};
pub use options::Options;
pub use runner::Runner;

use crate::{cuda, frame, meta};
use gst::{glib, prelude::*};
use nunchi_inference::engine::EngineError;

/// Marks the types of shared properties as the plugin's.
pub fn register() {
    for enumeration in [
        Engine::static_type(),
        Precision::static_type(),
        Fallback::static_type(),
        AnalyticsMeta::static_type(),
        NvdsMeta::static_type(),
        engine::SchedulingAlgorithm::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}

/// The pads of an analyser: raw video in, the same out.
pub fn pad_templates() -> Vec<gst::PadTemplate> {
    templates(&frame::caps())
}

/// The same for one that reads frames in CUDA memory, too.
pub fn pad_templates_with_cuda() -> Vec<gst::PadTemplate> {
    let mut caps = frame::caps();
    let mut on_gpu = caps.clone();
    on_gpu
        .make_mut()
        .set_features_simple(Some(gst::CapsFeatures::new([cuda::FEATURE])));
    caps.make_mut().append(on_gpu);
    templates(&caps)
}

fn templates(caps: &gst::Caps) -> Vec<gst::PadTemplate> {
    [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        .map(|(name, direction)| {
            gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                .expect("a template of constant parts")
        })
        .to_vec()
}

/// The property that [`Runner::property`] answers besides `engine` and `device`.
pub fn stats_property() -> glib::ParamSpec {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb("frames, inferences, skipped (too late), errors (guint64), average-inference-time (guint64, ns)")
        .read_only()
        .build()
}

/// The element error of an engine that cannot be started: which class it is, what it says.
pub fn start_error(error: &EngineError) -> gst::ErrorMessage {
    match error {
        EngineError::LibraryMissing { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{error}")),
        EngineError::ModelMissing { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        EngineError::ModelCorrupt { .. } | EngineError::ModelShape { .. } => {
            gst::error_msg!(gst::ResourceError::Read, ("{error}"))
        }
        EngineError::Conflict { .. } => gst::error_msg!(gst::LibraryError::Settings, ("{error}")),
        _ => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
    }
}

/// A box as a region's rectangle: whole pixels inside of the frame. `None` for one that lies outside.
pub fn rectangle([x0, y0, x1, y1]: [f32; 4], size: (u32, u32)) -> Option<(u32, u32, u32, u32)> {
    let (w, h) = (size.0 as f32, size.1 as f32);
    let (left, top) = (x0.clamp(0.0, w).floor(), y0.clamp(0.0, h).floor());
    let (right, bottom) = (x1.clamp(0.0, w).ceil(), y1.clamp(0.0, h).ceil());
    (right > left && bottom > top).then_some((left as u32, top as u32, (right - left) as u32, (bottom - top) as u32))
}

/// A box as landmarks have it: x, y, width, height in parts of the frame.
pub fn normalised([x0, y0, x1, y1]: [f32; 4], size: (u32, u32)) -> [f64; 4] {
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    [
        f64::from(x0) / w,
        f64::from(y0) / h,
        f64::from(x1 - x0) / w,
        f64::from(y1 - y0) / h,
    ]
}

/// An error where `analytics-meta=on` cannot be had.
pub fn check_analytics(options: &Options) -> Result<(), gst::ErrorMessage> {
    if options.analytics_meta == AnalyticsMeta::On && !meta::analytics::is_available() {
        return Err(gst::error_msg!(
            gst::ResourceError::NotFound,
            ("analytics-meta=on needs libgstanalytics-1.0.so.0, which comes with GStreamer 1.24 and later (gst-plugins-bad); set analytics-meta=auto to do without")
        ));
    }
    Ok(())
}
