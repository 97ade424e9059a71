//! From a buffer's metadata to the scene that is drawn.

use super::canvas::{Color, ColorSpace, Component, Layout, Rect};
use super::captions::Captions;
use super::scene::{CaptionLine, Figure, Region, Scene, color_of};
use super::skeleton::Skeleton;
use crate::meta;
use crate::meta::landmark::Landmarks;
use gst_video::{VideoColorMatrix, VideoColorRange};
use nunchi_events::State;
use std::cell::LazyCell;

/// Most lines of classifications under a label.
const MAX_ATTRIBUTES: usize = 8;

/// What to take over into the scene.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// Boxes or labels.
    pub regions: bool,
    pub labels: bool,
    pub landmarks: bool,
    pub min_confidence: f64,
}

/// Regions and keypoints of a buffer of `size` pixels. Nothing that lies outside of the frame altogether.
pub fn scene(buffer: &gst::BufferRef, size: (u32, u32), selection: &Selection) -> Scene {
    let mut scene = Scene::default();
    let landmarks = LazyCell::new(|| meta::landmark::read(buffer));
    let mut hidden = Vec::new();
    let mut labels = Vec::new();
    for region in buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>() {
        let confidence = region.param("detection").and_then(|s| number(s, "confidence"));
        if confidence.is_some_and(|confidence| !is_shown(confidence, selection.min_confidence)) {
            hidden.push(region.id());
            continue;
        }
        labels.push((region.id(), name(&region)));
        let (x, y, width, height) = region.rect();
        let rect = Rect::from_size(x, y, width, height);
        if !selection.regions || rect.intersect(&Rect::from_size(0, 0, size.0, size.1)).is_empty() {
            continue;
        }
        // Regions lose their tracks at the first conversion, keypoints do not.
        let known = || {
            landmarks
                .iter()
                .find(|l| l.object_id >= 0 && l.object_id == region.id())
                .map(|l| l.track_id)
        };
        let object = region
            .param("object_id")
            .and_then(|s| s.get::<i32>("id").ok())
            .and_then(|id| u64::try_from(id).ok());
        let track = object.or_else(known);
        scene.regions.push(Region {
            rect,
            color: color_of(name(&region), track),
            lines: if selection.labels {
                label(&region, confidence, track, selection)
            } else {
                Vec::new()
            },
        });
    }
    if selection.landmarks {
        let figures = landmarks
            .iter()
            .filter(|l| !hidden.contains(&l.object_id))
            .filter_map(|l| {
                let label = labels
                    .iter()
                    .find(|(id, _)| *id == l.object_id)
                    .map_or("", |(_, label)| label);
                figure(l, label, size, selection.min_confidence)
            });
        scene.figures.extend(figures);
    }
    scene
}

/// Shows what begins, lasts or happens in this buffer; an end needs no caption.
pub fn events(buffer: &gst::BufferRef, captions: &mut Captions) {
    for structure in meta::event::read(buffer) {
        if meta::event::state(&structure) == State::End {
            continue;
        }
        let Some(event) = meta::event::from_structure(&structure) else {
            continue;
        };
        let object = event
            .track_id
            .or_else(|| event.object_id.and_then(|id| u64::try_from(id).ok()));
        let key = format!("{}\n{}\n{object:?}\n{:?}", event.kind, event.label, event.stream_id);
        let message = if event.message.is_empty() {
            event.label
        } else {
            event.message
        };
        captions.show(key, event.kind, message);
    }
}

/// The captions from top to bottom. The type stands in front, unless the message begins with the same words.
pub fn caption_lines(captions: &Captions) -> Vec<CaptionLine> {
    let words = |text: &str| text.to_lowercase().replace('_', " ");
    let line = |caption: &super::captions::Caption| {
        let repeated = words(&caption.message).starts_with(&words(&caption.kind));
        CaptionLine {
            kind: if repeated { String::new() } else { caption.kind.clone() },
            color: color_of(&caption.kind, None),
            message: caption.message.clone(),
        }
    };
    captions.lines().iter().map(line).collect()
}

type RegionMeta<'a> = gst::MetaRef<'a, gst_video::VideoRegionOfInterestMeta>;

/// The type of a region. Empty where a producer gave none, which the binding does not foresee.
fn name(region: &RegionMeta<'_>) -> &'static str {
    // SAFETY: the meta is valid while it is borrowed.
    let quark = unsafe { (*region.as_ptr()).roi_type };
    if quark == 0 { "" } else { region.roi_type() }
}

/// `face #3 0.98`, then a line for each classification.
fn label(region: &RegionMeta<'_>, confidence: Option<f64>, track: Option<u64>, selection: &Selection) -> Vec<String> {
    let mut title = name(region).to_string();
    if let Some(track) = track {
        title.push_str(&format!(" #{track}"));
    }
    if let Some(confidence) = confidence {
        title.push_str(&format!(" {confidence:.2}"));
    }
    let mut lines = vec![title];
    let attributes = region
        .params()
        .filter(|s| !matches!(s.name().as_str(), "detection" | "object_id"));
    let attributes = attributes.filter_map(|s| {
        let label = s.get::<&str>("label").ok().filter(|label| !label.is_empty())?;
        match number(s, "confidence") {
            Some(confidence) if !is_shown(confidence, selection.min_confidence) => None,
            Some(confidence) => Some(format!("{label} {confidence:.2}")),
            None => Some(label.to_string()),
        }
    });
    lines.extend(attributes.take(MAX_ATTRIBUTES));
    lines
}

fn figure(landmarks: &Landmarks, label: &str, size: (u32, u32), min_confidence: f64) -> Option<Figure> {
    let (width, height) = (f64::from(size.0), f64::from(size.1));
    let pixel = |&[x, y, confidence]: &[f64; 3]| {
        let point = [x * width, y * height];
        (is_shown(confidence, min_confidence) && point.iter().all(|v| v.is_finite())).then_some(point)
    };
    let points: Vec<_> = landmarks.points.iter().map(pixel).collect();
    points.iter().any(Option::is_some).then(|| Figure {
        skeleton: Skeleton::of(&landmarks.layout),
        color: light(color_of(label, Some(landmarks.track_id))),
        points,
    })
}

/// Halfway to white: fine lines on a face should not shout.
const fn light(Color(r, g, b): Color) -> Color {
    Color(r / 2 + 127, g / 2 + 127, b / 2 + 127)
}

/// False for a confidence that is no number, too.
fn is_shown(confidence: f64, min: f64) -> bool {
    confidence >= min
}

/// DL Streamer writes doubles, others floats.
fn number(s: &gst::StructureRef, field: &str) -> Option<f64> {
    s.get::<f64>(field)
        .ok()
        .or_else(|| s.get::<f32>(field).ok().map(f64::from))
}

/// Memory layout of a mapped frame. `None` for negative strides, which system memory does not have.
pub fn layout(info: &gst_video::VideoInfo) -> Option<Layout> {
    let format = info.format_info();
    let mut strides = [0; 4];
    for (stride, &bytes) in strides.iter_mut().zip(info.stride()) {
        *stride = usize::try_from(bytes).ok()?;
    }
    let components = (0..format.n_components() as usize).map(|index| {
        Some(Component {
            plane: format.plane()[index] as usize,
            offset: format.poffset()[index] as usize,
            step: usize::try_from(format.pixel_stride()[index]).ok()?,
            w_sub: format.w_sub()[index],
            h_sub: format.h_sub()[index],
        })
    });
    let colorimetry = info.colorimetry();
    let (kr, kb) = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 => (0.2126, 0.0722),
        VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
        VideoColorMatrix::Smpte240m => (0.212, 0.087),
        VideoColorMatrix::Fcc => (0.30, 0.11),
        _ => (0.299, 0.114),
    };
    Some(Layout {
        width: i32::try_from(info.width()).ok()?,
        height: i32::try_from(info.height()).ok()?,
        components: components.collect::<Option<_>>()?,
        strides,
        color: ColorSpace {
            yuv: !format.is_rgb(),
            kr,
            kb,
            full_range: match colorimetry.range() {
                VideoColorRange::Range0_255 => true,
                VideoColorRange::Range16_235 => false,
                _ => format.is_rgb(),
            },
        },
    })
}
