//! `analysisoverlay` in a harness: tiny frames whose pixels can be told by hand.

mod captions;
mod metadata;
mod pixels;
mod stream;

use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoFrame, VideoInfo};
use gstnunchi::meta::{
    event, landmark,
    roi::{self, Attribute, Region},
};
use std::{collections::BTreeSet, sync::Once};

const FORMATS: &[VideoFormat] = &[
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Nv16,
    VideoFormat::Nv61,
    VideoFormat::Nv24,
    VideoFormat::Yvyu,
    VideoFormat::A420,
    VideoFormat::Ayuv,
    VideoFormat::Gbr,
];

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstnunchi::plugin_register_static().unwrap();
    });
}

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(30, 1))
        .build()
        .unwrap()
}

/// A harness with the properties, e.g. `line-width=1`.
fn overlay(properties: &str, info: &VideoInfo) -> Harness {
    init();
    let mut harness = Harness::new_parse(&format!("analysisoverlay name=overlay {properties}"));
    harness.set_src_caps(info.to_caps().unwrap());
    harness
}

/// A frame with every byte `value`, at time zero.
fn flat(info: &VideoInfo, value: u8) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![value; info.size()]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    buffer
}

fn region(rect: (u32, u32, u32, u32)) -> Region {
    Region {
        label: "face",
        rect,
        confidence: 0.9,
        label_id: 0,
        track_id: 1,
        attributes: Vec::new(),
    }
}

fn with_region(mut buffer: gst::Buffer, region: &Region) -> gst::Buffer {
    roi::append(buffer.get_mut().unwrap(), region, (64, 64));
    buffer
}

fn with_points(mut buffer: gst::Buffer, layout: &str, points: Vec<[f64; 3]>) -> gst::Buffer {
    let landmarks = landmark::Landmarks {
        object_id: 0,
        track_id: 1,
        layout: layout.into(),
        points,
        ..Default::default()
    };
    landmark::append(buffer.get_mut().unwrap(), &[landmarks]);
    buffer
}

fn with_event(mut buffer: gst::Buffer, kind: &str, state: &str, message: &str) -> gst::Buffer {
    let event = gst::Structure::builder("event")
        .field("type", kind)
        .field("state", state)
        .field("message", message)
        .build();
    event::append(buffer.get_mut().unwrap(), [event]);
    buffer
}

fn at(mut buffer: gst::Buffer, pts: Option<gst::ClockTime>) -> gst::Buffer {
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

fn ms(ms: u64) -> Option<gst::ClockTime> {
    Some(gst::ClockTime::from_mseconds(ms))
}

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// Pixels of a packed 3-byte picture that differ from `value`.
fn changed(buffer: &gst::BufferRef, info: &VideoInfo, value: u8) -> BTreeSet<(u32, u32)> {
    let data = bytes(buffer);
    let stride = info.stride()[0] as usize;
    let pixel = |x: u32, y: u32| &data[y as usize * stride + x as usize * 3..][..3];
    let all = (0..info.height()).flat_map(|y| (0..info.width()).map(move |x| (x, y)));
    all.filter(|&(x, y)| pixel(x, y).iter().any(|&v| v != value)).collect()
}

#[track_caller]
fn draw(harness: &mut Harness, buffer: gst::Buffer) -> gst::Buffer {
    harness.push_and_pull(buffer).expect("a frame comes out")
}

/// Whether anything at all was drawn into a flat frame.
#[track_caller]
fn is_drawn(harness: &mut Harness, buffer: gst::Buffer) -> bool {
    let before = bytes(&buffer);
    bytes(&draw(harness, buffer)) != before
}

fn outline(x0: u32, y0: u32, x1: u32, y1: u32) -> BTreeSet<(u32, u32)> {
    let all = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
    all.filter(|&(x, y)| x == x0 || x == x1 - 1 || y == y0 || y == y1 - 1)
        .collect()
}
