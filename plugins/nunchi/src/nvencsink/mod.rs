//! `nvencsink`: encodes video on the GPU, or with the best encoder that works, and writes files that are never lost.
//!
//! ```sh
//! gst-launch-1.0 -e videotestsrc num-buffers=300 ! video/x-raw,width=1280,height=720 ! nvencsink location=encoded.mp4
//! ```
//!
//! [`imp`] is the element, [`recording`] what it does from start to end and [`report`] what it tells: a bin that puts a [`gate`] in front of each stream ([`streams`] says what they know of each other), where frames wait by the rules of [`backlog`] on the time
//! line of [`timeline`], and a [`chain`] behind them, made when the size of the video is known. [`trial`] finds the encoder that works among
//! [`encoders`], [`sound`] encodes what belongs to it, [`container`] says what goes into which file, [`output`] and [`writer`] write it, [`faststart`] puts its index in
//! front. [`preroll`] makes it a sink to the pipeline around. [`stats`] counts, [`adaptive`] spends fewer bits while frames pile up.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::ObjectSubclassIsExt;
use std::sync::{Arc, LazyLock};

mod adaptive;
mod backlog;
mod chain;
mod container;
mod encoders;
mod faststart;
mod gate;
mod imp;
mod output;
mod preroll;
mod recording;
mod report;
mod settings;
mod sound;
mod stats;
mod streams;
mod timeline;
mod trial;
mod writer;

pub use settings::{Codec, Container, DropPolicy, Fallback, Preset, RateControl, SizeChange, Tune};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("nvencsink", gst::DebugColorFlags::empty(), Some("Encoding sink")));

glib::wrapper! {
    /// Encodes video and writes files.
    pub struct NvencSink(ObjectSubclass<imp::NvencSink>) @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

glib::wrapper! {
    /// Where frames wait; of no use alone.
    pub struct FrameGate(ObjectSubclass<gate::FrameGate>) @extends gst::Element, gst::Object;
}

glib::wrapper! {
    /// The file; of no use alone.
    pub struct FileOut(ObjectSubclass<output::FileOut>) @extends gst::Element, gst::Object;
}

impl FrameGate {
    fn new(kind: streams::Kind, host: Arc<dyn streams::Host>, together: Arc<streams::Together>) -> Self {
        let gate: Self = glib::Object::new();
        gate.imp().init(kind, host, together);
        gate
    }
}

impl FileOut {
    fn configure(&self, location: Option<&str>, overwrite: bool, faststart: bool) {
        self.imp().configure(location, overwrite, faststart);
    }
}

/// The encoder that `encoder=auto` takes on this machine for each codec, tried for real, and why; or why there is none.
pub fn survey() -> Vec<(Codec, Result<String, String>)> {
    let caps = gst::Caps::builder("video/x-raw")
        .field("width", 1280)
        .field("height", 720)
        .build();
    [Codec::H264, Codec::H265, Codec::Av1, Codec::Mpeg4]
        .into_iter()
        .map(|codec| {
            let choice = trial::choose(&settings::Settings::default(), codec, &caps);
            (codec, choice.map(|choice| choice.reason))
        })
        .collect()
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    for enumeration in [
        Codec::static_type(),
        Container::static_type(),
        RateControl::static_type(),
        Preset::static_type(),
        Tune::static_type(),
        DropPolicy::static_type(),
        Fallback::static_type(),
        SizeChange::static_type(),
    ] {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
    gst::Element::register(Some(plugin), "nvencsink", gst::Rank::NONE, NvencSink::static_type())
}
