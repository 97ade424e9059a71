//! `GstVideoRegionOfInterestMeta`: boxes in pixels, with parameters in the shapes that DL Streamer users know.
//!
//! The box survives conversion and scaling, its parameters do not (GStreamer 1.22 to 1.26 drop them): they are a courtesy
//! to elements that stand directly behind the analyser; events and landmarks carry the same facts further.

/// A classification of an object, such as `smile` with a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// What was judged: `smile`, `eyes_closed`, `emotion`, …
    pub name: &'static str,
    /// The verdict in words.
    pub label: String,
    /// Index of the label in the model's list of labels.
    pub label_id: i32,
    /// Score of the label, 0 to 1.
    pub confidence: f64,
    /// Name of the model that said so.
    pub model: &'static str,
}

/// One detected object.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Label of the object, such as `face`: the `roi_type` of the meta.
    pub label: &'static str,
    /// x, y, width, height in pixels, inside the frame.
    pub rect: (u32, u32, u32, u32),
    /// Score of the detection, 0 to 1.
    pub confidence: f64,
    pub label_id: i32,
    /// The same object over time.
    pub track_id: u64,
    pub attributes: Vec<Attribute>,
}

/// One above those that are taken, or the lowest that is free where another element took the highest.
fn free_id(buffer: &gst::BufferRef) -> i32 {
    let taken: Vec<i32> = buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|m| m.id())
        .collect();
    let highest = taken.iter().copied().max().unwrap_or(-1).max(-1);
    highest
        .checked_add(1)
        .or_else(|| (0..i32::MAX).find(|id| !taken.contains(id)))
        .unwrap_or(0)
}

/// Attaches a region and returns its id, which is unique in the buffer.
pub fn append(buffer: &mut gst::BufferRef, region: &Region, frame: (u32, u32)) -> i32 {
    let id = free_id(buffer);
    let (x, y, w, h) = region.rect;
    let (fw, fh) = (f64::from(frame.0.max(1)), f64::from(frame.1.max(1)));
    let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, region.label, region.rect);
    meta.set_id(id);
    meta.add_param(
        gst::Structure::builder("detection")
            .field("x_min", f64::from(x) / fw)
            .field("y_min", f64::from(y) / fh)
            .field("x_max", f64::from(x + w) / fw)
            .field("y_max", f64::from(y + h) / fh)
            .field("confidence", region.confidence)
            .field("label_id", region.label_id)
            .build(),
    );
    // DL Streamer's trackers number objects in an int.
    let track = (region.track_id & 0x7fff_ffff) as i32;
    meta.add_param(gst::Structure::builder("object_id").field("id", track).build());
    for attribute in &region.attributes {
        meta.add_param(
            gst::Structure::builder(attribute.name)
                .field("label", &attribute.label)
                .field("label_id", attribute.label_id)
                .field("confidence", attribute.confidence)
                .field("model_name", attribute.model)
                .field("attribute_name", attribute.name)
                .build(),
        );
    }
    id
}
