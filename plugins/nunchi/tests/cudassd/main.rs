mod batch;
#[path = "../common/mod.rs"]
mod common;
mod cuda;
#[path = "../common/cuda_memory.rs"]
mod cuda_memory;
mod faults;
mod group;
mod reading;
mod stream;

use common::pictures::{ENGINES, Picture, black, picture};
use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstnunchi::meta::{self, landmark::Landmarks};

fn harness(picture: &Picture, properties: &str) -> gst_check::Harness {
    pictures::harness("cudassd", picture, properties)
}

/// A small network of a family, whose batch is open; none of them knows what is in a picture.
fn network(name: &str) -> String {
    let path = file(&format!("plugins/inference/tests/data/ssd/{name}"));
    format!("model=\"{}\"", path.display())
}

/// An object as the metadata tells it: name, confidence and the sides in pixels.
#[derive(Debug, Clone, PartialEq)]
struct Object {
    name: String,
    confidence: f64,
    sides: [f64; 4],
    track: i32,
}

/// The objects of a buffer, the surest first. Regions have whole pixels; the boxes beside them are exact.
fn objects(buffer: &gst::BufferRef, (width, height): (f64, f64)) -> Vec<Object> {
    let boxes = meta::landmark::read(buffer);
    let regions = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>();
    regions
        .map(|region| {
            let exact = boxes.iter().find(|b| b.object_id == region.id()).unwrap();
            let [x, y, w, h] = exact.bbox.map(f64::from);
            Object {
                name: region.roi_type().to_string(),
                confidence: region.param("detection").unwrap().get("confidence").unwrap(),
                sides: [x * width, y * height, (x + w) * width, (y + h) * height],
                track: region.param("object_id").map_or(-1, |id| id.get::<i32>("id").unwrap()),
            }
        })
        .collect()
}

fn names(buffer: &gst::BufferRef) -> Vec<String> {
    objects(buffer, (1.0, 1.0))
        .into_iter()
        .map(|object| object.name)
        .collect()
}

struct GoldenObject {
    name: String,
    score: f64,
    sides: [f64; 4],
    /// How far the reference's own box moves when one level in ten of the picture is off by one.
    noise: f64,
}

/// What the reference finds in a picture of the repository.
fn golden(name: &str) -> Vec<GoldenObject> {
    let text = std::fs::read_to_string(file("plugins/inference/tests/data/ssd_goldens.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let objects = all["pictures"][name]["objects"].as_array().unwrap().iter();
    let object = |object: &serde_json::Value| GoldenObject {
        name: object["name"].as_str().unwrap().to_owned(),
        score: object["score"].as_f64().unwrap(),
        sides: std::array::from_fn(|side| object["box"][side].as_f64().unwrap()),
        noise: object["noise"].as_f64().unwrap(),
    };
    objects.map(object).collect()
}

/// The objects of the reference are found, and no others, each side within a pixel.
#[track_caller]
fn assert_like_reference(name: &str, picture: &Picture, out: &gst::BufferRef) {
    let found = objects(out, picture.size());
    let golden = golden(name);
    assert_eq!(found.len(), golden.len(), "{name}: {found:?}");
    for wanted in golden {
        let distance = |object: &Object| {
            let pairs = object.sides.iter().zip(wanted.sides);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let same = found.iter().filter(|object| object.name == wanted.name);
        let nearest = same.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let nearest = nearest.unwrap_or_else(|| panic!("{name}: no {} in {found:?}", wanted.name));
        assert!(
            distance(nearest) <= wanted.noise.max(1.0),
            "{name}: {nearest:?} and not {:?}",
            wanted.sides
        );
        assert!(
            (nearest.confidence - wanted.score).abs() < 0.05,
            "{name}: {nearest:?} and not {}",
            wanted.score
        );
    }
}
