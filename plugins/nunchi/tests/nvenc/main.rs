//! The element for NVENC on the double of NVIDIA's driver.

#[path = "../common/mod.rs"]
mod common;
mod cuda;
#[path = "../common/cuda_memory.rs"]
mod cuda_memory;
#[path = "../../../nvenc/tests/common/double.rs"]
mod double;
mod faults;
mod stream;

use common::{parse, run};
use double::{assert_clean, on_the_double};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoFormat;
use gstnunchi::nvenc::{Codec, NvEnc};
use std::sync::Once;
use std::sync::mpsc::channel;

const WIDTH: u32 = 160;
const HEIGHT: u32 = 120;

/// Initialises GStreamer and gives the element a name for launch lines; the plugin does not register it.
fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        common::init();
        gst::Element::register(None, "nvencdirect", gst::Rank::NONE, NvEnc::static_type()).unwrap();
    });
}

/// The element with pads of a test.
struct Stream {
    h: Harness,
    bus: gst::Bus,
}

impl Stream {
    /// With properties as a launch line sets them. Frames come out at once.
    fn new(codec: Codec, properties: &[(&str, &str)]) -> Self {
        init();
        let element = NvEnc::new(codec);
        element.set_property_from_str("tune", "low-latency");
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
        h.set_src_caps(info(WIDTH, HEIGHT).to_caps().unwrap());
        Self { h, bus }
    }

    fn push(&mut self, number: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.h.push(frame(number, WIDTH, HEIGHT))
    }

    #[track_caller]
    fn push_all(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            assert_eq!(self.push(number), Ok(gst::FlowSuccess::Ok), "{number}");
        }
    }

    /// Number, size and whether it is a key frame, of what came out since.
    fn pulled(&mut self) -> Vec<(u64, usize, bool)> {
        std::iter::from_fn(|| self.h.try_pull())
            .map(|buffer| {
                let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                assert_eq!(buffer.dts(), buffer.pts());
                (number(&buffer), buffer.size(), key)
            })
            .collect()
    }

    fn numbers(&mut self) -> Vec<u64> {
        self.pulled().into_iter().map(|(number, ..)| number).collect()
    }

    fn keys(&mut self) -> Vec<u64> {
        let pulled = self.pulled().into_iter();
        pulled.filter(|&(.., key)| key).map(|(number, ..)| number).collect()
    }

    /// Texts of errors and warnings since.
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
}

fn info(width: u32, height: u32) -> gst_video::VideoInfo {
    gst_video::VideoInfo::builder(VideoFormat::Nv12, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap()
}

/// Noise that depends on the number, at 25 frames per second.
fn frame(number: u64, width: u32, height: u32) -> gst::Buffer {
    let mut seed = number + 1;
    let mut noise = move || {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    let pixels: Vec<u8> = (0..info(width, height).size()).map(|_| noise()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::from_mseconds(40 * number));
        buffer.set_duration(gst::ClockTime::from_mseconds(40));
    }
    buffer
}

fn number(buffer: &gst::BufferRef) -> u64 {
    buffer.pts().unwrap().mseconds() / 40
}
