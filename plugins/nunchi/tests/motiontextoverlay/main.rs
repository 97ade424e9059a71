//! `motiontextoverlay` in a harness. Captions are of the fonts that the crate's tests have, so that nothing depends on the
//! system's.

mod caps;
mod feed;
mod scenario;
mod stream;
mod wait;

#[path = "../common/mod.rs"]
mod common;

use common::{init, ms};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use std::path::{Path, PathBuf};

const FONTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../motiontext/tests/fonts");
const GREY: u8 = 90;

/// Shows the text in the middle from 1 s to 3 s.
fn scenario(text: &str) -> String {
    with_root(&format!(
        r#"{{"id": "t", "eType": "text", "text": "{text}", "displayTime": [1, 3], "layout": {{"position": {{"x": 0.5, "y": 0.5}}, "anchor": "cc"}}}}"#
    ))
}

fn with_root(root: &str) -> String {
    format!(
        r##"{{"version": "2.0", "timebase": {{"unit": "seconds"}}, "stage": {{"baseAspect": "auto"}},
            "tracks": [{{"id": "a", "type": "free", "layer": 1, "defaultStyle": {{"fontFamily": "Nunchi Sans", "fontSizeRel": 0.25, "color": "#ffffff"}}}}],
            "cues": [{{"id": "c", "track": "a", "root": {root}}}]}}"##
    )
}

fn element(properties: &[(&str, &str)]) -> gst::Element {
    init();
    let element = gst::ElementFactory::make("motiontextoverlay")
        .name("overlay")
        .property("fonts-dir", FONTS)
        .build()
        .unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    element
}

/// An element that runs, and what it reports.
struct Overlay {
    harness: Harness,
    element: gst::Element,
    bus: gst::Bus,
    info: VideoInfo,
}

impl Overlay {
    fn new(properties: &[(&str, &str)], info: &VideoInfo) -> Self {
        let mut overlay = Self::without_caps(properties, info);
        overlay.harness.set_src_caps(info.to_caps().unwrap());
        overlay
    }

    fn without_caps(properties: &[(&str, &str)], info: &VideoInfo) -> Self {
        let element = element(properties);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        harness.play();
        Self {
            harness,
            element,
            bus,
            info: info.clone(),
        }
    }

    fn draw(&mut self, buffer: gst::Buffer) -> gst::Buffer {
        self.harness.push_and_pull(buffer).unwrap()
    }

    /// Draws a grey frame and says which rectangle of it was changed: left, top, right, bottom.
    fn changed(&mut self, pts: gst::ClockTime) -> Option<[usize; 4]> {
        let out = self.draw(frame(&self.info, pts));
        changed(&out, &self.info)
    }

    fn is_drawn(&mut self, pts: gst::ClockTime) -> bool {
        self.changed(pts).is_some()
    }

    /// The texts of the warnings since the last call.
    fn warnings(&self) -> Vec<String> {
        std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Warning]))
            .map(|message| match message.view() {
                gst::MessageView::Warning(warning) => warning.error().to_string(),
                _ => unreachable!("filtered"),
            })
            .collect()
    }
}

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(30, 1))
        .build()
        .unwrap()
}

fn rgb() -> VideoInfo {
    info(VideoFormat::Rgb, 64, 32)
}

/// A frame with every byte the same.
fn frame(info: &VideoInfo, pts: impl Into<Option<gst::ClockTime>>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![GREY; info.size()]);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(pts);
    writable.set_duration(ms(33));
    buffer
}

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// In the first plane of a frame that was grey; in bytes / pixel stride from the left.
fn changed(buffer: &gst::BufferRef, info: &VideoInfo) -> Option<[usize; 4]> {
    let data = bytes(buffer);
    let stride = info.stride()[0] as usize;
    let step = info.format_info().pixel_stride()[0] as usize;
    let places = (0..info.height() as usize).flat_map(|y| {
        let row = &data[y * stride..][..info.width() as usize * step];
        row.iter()
            .enumerate()
            .filter(|(_, value)| **value != GREY)
            .map(move |(x, _)| (x / step, y))
            .collect::<Vec<_>>()
    });
    places.fold(None, |all, (x, y)| {
        let [left, top, right, bottom] = all.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    })
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Waits until it is so, a while.
#[track_caller]
fn until(mut so: impl FnMut() -> bool) {
    let clock = std::time::Instant::now();
    while !so() {
        assert!(clock.elapsed().as_secs() < 20, "it did not come to be");
        std::thread::yield_now();
    }
}
