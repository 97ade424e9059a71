//! What this machine offers, for `nunchi doctor`. Gathered in a child, since a broken plugin or library may crash.

use serde::{Deserialize, Serialize};

use super::packages::package_of;

/// Elements that the shipped pipelines and docs need.
const REQUIRED: [&str; 23] = [
    "filesrc",
    "decodebin",
    "queue",
    "tee",
    "videoconvert",
    "videoscale",
    "videorate",
    "capsfilter",
    "h264parse",
    "qtdemux",
    "mp4mux",
    "filesink",
    "fakesink",
    "autovideosink",
    "v4l2src",
    "hailoface",
    "hailopose",
    "cudassd",
    "eventthrottle",
    "xmllogsink",
    "analysisoverlay",
    "motiontextoverlay",
    "nvencsink",
];

/// H.264 encoders and a decoder; one of the first group is enough.
const ENCODERS: [&str; 5] = ["x264enc", "openh264enc", "nvh264enc", "vah264enc", "v4l2h264enc"];
const DECODERS: [&str; 3] = ["avdec_h264", "openh264dec", "nvh264dec"];

/// Answer of `nunchi runner --inspect`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Why nothing else is filled in.
    #[serde(default)]
    pub error: Option<String>,
    pub gstreamer: String,
    pub elements: Vec<ElementFact>,
    pub encoders: Vec<ElementFact>,
    pub decoders: Vec<ElementFact>,
    /// What nvencsink encodes with, each tried for real.
    #[serde(default)]
    pub codecs: Vec<CodecFact>,
    pub engines: Vec<EngineFact>,
}

/// Whether an element is there, and where from.
#[derive(Debug, Serialize, Deserialize)]
pub struct ElementFact {
    pub name: String,
    pub found: bool,
    /// Version and file of the plugin; empty for a static one.
    pub plugin: String,
    pub package: Option<String>,
}

/// A codec, and what encodes it here.
#[derive(Debug, Serialize, Deserialize)]
pub struct CodecFact {
    pub codec: String,
    pub available: bool,
    /// Which encoder, and why not those before it; or why none.
    pub reason: String,
}

/// An inference engine.
#[derive(Debug, Serialize, Deserialize)]
pub struct EngineFact {
    pub name: String,
    pub available: bool,
    pub version: String,
    pub devices: Vec<String>,
    pub remedy: Option<String>,
}

pub fn facts() -> Facts {
    let (major, minor, micro, _) = gst::version();
    Facts {
        error: None,
        gstreamer: format!("{major}.{minor}.{micro}"),
        elements: REQUIRED.map(element).into(),
        encoders: ENCODERS.map(element).into(),
        decoders: DECODERS.map(element).into(),
        codecs: codecs(),
        engines: engines(),
    }
}

fn codecs() -> Vec<CodecFact> {
    gstnunchi::nvencsink::survey()
        .into_iter()
        .map(|(codec, outcome)| CodecFact {
            codec: format!("{codec:?}").to_lowercase(),
            available: outcome.is_ok(),
            reason: outcome.unwrap_or_else(|why| why),
        })
        .collect()
}

fn element(name: &str) -> ElementFact {
    use gst::prelude::*;
    // `load` opens the plugin: a file in the registry whose libraries are gone counts as missing.
    let factory = gst::ElementFactory::find(name).and_then(|f| f.load().ok());
    let plugin = factory.as_ref().and_then(|f| f.plugin()).map(|p| {
        let file = p
            .filename()
            .map(|f| f.display().to_string())
            .unwrap_or_else(|| "built in".into());
        format!("{} {} ({file})", p.plugin_name(), p.version())
    });
    ElementFact {
        name: name.into(),
        found: factory.is_some(),
        plugin: plugin.unwrap_or_default(),
        package: package_of(name).map(Into::into),
    }
}

fn engines() -> Vec<EngineFact> {
    nunchi_inference::engine::probe()
        .into_iter()
        .map(|e| EngineFact {
            name: e.kind.as_str().into(),
            available: e.available,
            version: e.version,
            devices: e.devices,
            remedy: e.remedy,
        })
        .collect()
}
