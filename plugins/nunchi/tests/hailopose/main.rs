#[path = "../common/mod.rs"]
mod common;
mod faults;
mod reading;
mod stream;

use common::pictures::{ENGINES, FORMATS, Picture, black, decode, picture};
use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstnunchi::meta::{self, landmark::Landmarks};
use nunchi_events::State::{End, Ongoing, Start};

fn harness(picture: &Picture, properties: &str) -> gst_check::Harness {
    pictures::harness("hailopose", picture, properties)
}

/// The one person of a picture.
#[track_caller]
fn body(buffer: &gst::BufferRef) -> Landmarks {
    let mut all = meta::landmark::read(buffer);
    assert_eq!(all.len(), 1, "one person");
    all.pop().unwrap()
}

/// The reference's points of a picture: x, y in pixels and confidence.
fn golden(name: &str, channel: &str) -> Vec<[f64; 3]> {
    let text = std::fs::read_to_string(file("plugins/inference/tests/data/pose_goldens.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = all[name][channel]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap());
    let numbers: Vec<f64> = numbers.collect();
    numbers.as_chunks::<3>().0.to_vec()
}

/// Points that are seen where the reference sees them: within 1 pixel of the frame or a quarter of a pixel of the network's input
/// (192), whichever is more. Where a frame holds fewer colours than the picture the converter rounds otherwise than the reference,
/// and noise of one level moves the reference's own points by more than two pixels of the input: within 3 of those there, and the
/// confidence is not compared. (nunchi-inference compares frames of equal content.)
#[track_caller]
fn assert_like_reference(name: &str, picture: &Picture, out: &gst::BufferRef) {
    let found = body(out);
    let (w, h) = picture.size();
    let info = picture.info();
    let scale = w.max(h) / 192.0;
    let (channel, pixels) = match info.format() {
        VideoFormat::Gray8 => ("grey", 1.0f64.max(3.0 * scale)),
        VideoFormat::Yuy2 | VideoFormat::Uyvy => ("422", 1.0f64.max(3.0 * scale)),
        _ if info.is_rgb() => ("rgb", 1.0f64.max(scale / 4.0)),
        _ => ("420", 1.0f64.max(3.0 * scale)),
    };
    let format = info.format();
    assert_eq!((found.layout.as_str(), found.points.len()), ("body-pose/coco-17", 17));
    let golden = golden(name, channel);
    for (index, (found, [x, y, confidence])) in found.points.iter().zip(golden).enumerate() {
        if confidence < 0.4 {
            continue;
        }
        let distance = (found[0] * w - x).hypot(found[1] * h - y);
        assert!(
            distance <= pixels,
            "{name} {format}: point {index} is off by {distance:.2} pixels"
        );
        assert!(
            !info.is_rgb() || (found[2] - confidence).abs() <= 0.06,
            "{name} {format}: confidence of {index}: {} and not {confidence}",
            found[2]
        );
    }
}
