//! `hailopose` on the double of HailoRT, with several frames in flight.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../inference/tests/common/hailo.rs"]
mod double;
mod faults;
mod flight;
mod latency;
#[path = "../../../inference/tests/common/process.rs"]
mod process;

use common::{init, inner, ms};
use gst::prelude::*;
use gstnunchi::meta;
use serde_json::json;
use std::sync::mpsc::{Receiver, channel};

/// Side of the frames, which are as the network takes them.
const SIDE: usize = 192;

/// Runs the rest of a test in a process that has the double.
fn on_the_double(test: &str) -> bool {
    process::in_a_process(test, &[(double::LIBRARY, &double::double())])
}

/// What passes the source pad of the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A frame with its number, and the one that its keypoints tell: `None` where it was not read.
    Frame(u32, Option<u32>),
    Event(gst::EventType),
}

/// A frame that was read.
fn read(number: u32) -> Seen {
    Seen::Frame(number, Some(number))
}

/// The element on a network that tells each frame's number.
struct Stream {
    h: gst_check::Harness,
    bus: gst::Bus,
    seen: Receiver<Seen>,
    hefs: double::Hefs,
}

impl Stream {
    /// The double behaves so, the element has these properties.
    fn new(behaviour: &str, properties: &str) -> Self {
        init();
        let hefs = double::Hefs::new();
        // Keypoints are the first 17 pixels: y, x, confidence.
        hefs.json(
            "number.hef",
            &json!({
                "group": "number",
                "network": {"affine": [1.0 / 255.0, 0]},
                "inputs": [{"name": "number/in", "shape": [SIDE, SIDE, 3], "scale": 1}],
                "outputs": [{"name": "number/out", "shape": [1, 17, 3]}],
                "behaviour": behaviour,
            }),
        );
        let line = format!(
            "hailopose engine=hailo hef-path={} {properties}",
            hefs.path("number.hef").display()
        );
        let mut h = gst_check::Harness::new_parse(&line);
        let element = h.element().unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let (sender, seen) = channel();
        let types = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
        inner(&h).static_pad("src").unwrap().add_probe(types, move |_, info| {
            let seen = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => Seen::Frame(number(buffer), told(buffer)),
                Some(gst::PadProbeData::Event(event)) => Seen::Event(event.type_()),
                _ => return gst::PadProbeReturn::Ok,
            };
            let _ = sender.send(seen);
            gst::PadProbeReturn::Ok
        });
        h.set_src_caps(caps(SIDE));
        let stream = Self { h, bus, seen, hefs };
        // What a stream begins with.
        stream.seen();
        stream
    }

    fn hef(&self) -> std::path::PathBuf {
        self.hefs.path("number.hef")
    }

    fn push(&mut self, number: u32) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.h.push(frame(number, SIDE))
    }

    #[track_caller]
    fn push_all(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            assert_eq!(self.push(number), Ok(gst::FlowSuccess::Ok), "{number}");
        }
    }

    /// What has passed since.
    fn seen(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// Texts of the errors and warnings since.
    fn complaints(&self) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        while let Some(message) = self.bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) => errors.push(error.error().to_string()),
                gst::MessageView::Warning(warning) => warnings.push(warning.error().to_string()),
                _ => {}
            }
        }
        (errors, warnings)
    }

    fn stat(&self, name: &str) -> u64 {
        inner(&self.h).property::<gst::Structure>("stats").get(name).unwrap()
    }
}

fn caps(side: usize) -> gst::Caps {
    gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, side as u32, side as u32)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
        .to_caps()
        .unwrap()
}

/// A frame that shows its number in the place of the first point; the others make a person of it.
fn frame(number: u32, side: usize) -> gst::Buffer {
    let mut pixels = vec![0; side * side * 3];
    for (index, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().take(17).enumerate() {
        *pixel = [10 + 13 * index as u8, 200 - 7 * index as u8, 255];
    }
    pixels[..2].copy_from_slice(&(number as u16).to_le_bytes());
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    buffer.get_mut().unwrap().set_pts(ms(number.into()));
    buffer
}

fn number(buffer: &gst::BufferRef) -> u32 {
    buffer.pts().unwrap().mseconds() as u32
}

/// The number that the keypoints tell.
fn told(buffer: &gst::BufferRef) -> Option<u32> {
    let landmarks = meta::landmark::read(buffer).pop()?;
    let [x, y, _] = landmarks.points[0];
    let byte = |part: f64| (part * 255.0).round() as u8;
    Some(u16::from_le_bytes([byte(y), byte(x)]).into())
}
