//! `NunchiLandmarkMeta`: boxes and keypoints, normalised to the frame.
//!
//! A custom meta with the tags `video`, `orientation` and `size`. Its transform copies it for `gst-copy` and
//! `gst-video-scale`; any other change of geometry (crop, flip, …) drops it, because a point that lies is worse than none.
//! The coordinates are fractions of width and height, so a scaled copy needs no arithmetic.
//!
//! Since GStreamer 1.28 a scaler asks twice, first with `gst-video-matrix` and, when that is refused, with
//! `gst-video-scale`: a refusal must therefore add nothing to the destination.
//!
//! `videoscale add-borders=true` (its default) letterboxes where the aspect ratio changes and, before 1.28, tells nobody:
//! analyse after such a scaler, or set `add-borders=false`.
//!
//! Structure: `version` (uint) and `objects` (`GstValueList` of structures `object`):
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `object-id` | int | id of the region of interest in this buffer |
//! | `track-id` | guint64 | the same object over time |
//! | `layout` | string | `face-landmarks/478`, `body-pose/coco-17`, … |
//! | `box` | `GstValueArray` of 4 double | x, y, width, height in [0,1] |
//! | `points` | `GstValueArray` of double | x0, y0, c0, x1, …: position in [0,1] (a point outside of the frame lies outside of it) and confidence in [0,1] |

use gst::prelude::*;

/// Name under which the meta is registered.
pub const NAME: &str = "NunchiLandmarkMeta";
/// Version of the structure.
pub const VERSION: u32 = 1;
/// Layout of the 478 points of MediaPipe's face mesh, the two irises included.
pub const FACE_478: &str = "face-landmarks/478";
/// Layout of the 17 points of a body in COCO's order.
pub const BODY_17: &str = "body-pose/coco-17";

/// One object's keypoints. All coordinates are fractions of the frame's width and height.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Landmarks {
    pub object_id: i32,
    pub track_id: u64,
    pub layout: String,
    /// x, y, width, height
    pub bbox: [f64; 4],
    /// x, y, confidence
    pub points: Vec<[f64; 3]>,
}

pub(super) fn register() {
    if gst::meta::CustomMeta::is_registered(NAME) {
        return;
    }
    gst::meta::CustomMeta::register_with_transform(
        NAME,
        &["video", "orientation", "size"],
        |dest, meta, _src, kind| {
            if !matches!(kind.as_str().as_str(), "gst-copy" | "gst-video-scale") {
                return false;
            }
            match gst::meta::CustomMeta::add(dest, NAME) {
                Ok(mut copy) => {
                    for (name, value) in meta.structure().iter() {
                        copy.mut_structure().set_value(name.as_str(), value.clone());
                    }
                    true
                }
                Err(_) => false,
            }
        },
    );
}

/// Appends one object to the buffer's landmark meta, which is created when missing.
pub fn append(buffer: &mut gst::BufferRef, landmarks: &[Landmarks]) {
    if landmarks.is_empty() {
        return;
    }
    let mut objects: Vec<gst::Structure> = objects(buffer);
    objects.extend(landmarks.iter().map(to_structure));
    let list = gst::List::new(objects);
    let fill = |structure: &mut gst::StructureRef| {
        structure.set("version", VERSION);
        structure.set("objects", list);
    };
    if gst::meta::CustomMeta::from_buffer(buffer, NAME).is_ok() {
        if let Ok(mut meta) = gst::meta::CustomMeta::from_mut_buffer(buffer, NAME) {
            fill(meta.mut_structure());
        }
    } else if let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) {
        fill(meta.mut_structure());
    }
}

/// All objects of the buffer's landmark meta; malformed ones are left out.
pub fn read(buffer: &gst::BufferRef) -> Vec<Landmarks> {
    let Ok(meta) = gst::meta::CustomMeta::from_buffer(buffer, NAME) else {
        return Vec::new();
    };
    // Borrowed all the way down: a copy of 478 points is 1434 values.
    let Ok(list) = meta.structure().get::<gst::ListRef>("objects") else {
        return Vec::new();
    };
    list.iter()
        .filter_map(|value| from_structure(value.get::<&gst::StructureRef>().ok()?))
        .collect()
}

fn objects(buffer: &gst::BufferRef) -> Vec<gst::Structure> {
    gst::meta::CustomMeta::from_buffer(buffer, NAME)
        .ok()
        .and_then(|meta| meta.structure().get::<gst::List>("objects").ok())
        .map(|list| list.iter().filter_map(|v| v.get().ok()).collect())
        .unwrap_or_default()
}

fn to_structure(l: &Landmarks) -> gst::Structure {
    gst::Structure::builder("object")
        .field("object-id", l.object_id)
        .field("track-id", l.track_id)
        .field("layout", &l.layout)
        .field("box", gst::Array::new(l.bbox))
        .field(
            "points",
            gst::Array::from_values(l.points.iter().flatten().map(|v| v.to_send_value())),
        )
        .build()
}

fn from_structure(s: &gst::StructureRef) -> Option<Landmarks> {
    let floats = |field: &str| -> Option<Vec<f64>> {
        let array = s.get::<gst::ArrayRef>(field).ok()?;
        array.iter().map(|v| v.get::<f64>().ok()).collect()
    };
    let points = floats("points")?;
    let (triples, rest) = points.as_chunks::<3>();
    if !rest.is_empty() {
        return None;
    }
    Some(Landmarks {
        object_id: s.get("object-id").unwrap_or(-1),
        track_id: s.get("track-id").unwrap_or_default(),
        layout: s.get::<String>("layout").ok()?,
        bbox: floats("box")?.try_into().ok()?,
        points: triples.to_vec(),
    })
}
