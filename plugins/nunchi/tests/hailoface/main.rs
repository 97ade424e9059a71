#[path = "../common/mod.rs"]
mod common;
mod faults;
mod reading;
mod stream;

use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstnunchi::meta::{self, landmark::Landmarks};
use nunchi_events::State::{End, Ongoing, Start};

const FORMATS: [&str; 17] = [
    "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "I420", "YV12", "NV12", "NV21",
    "YUY2", "UYVY", "GRAY8",
];
const ENGINES: [&str; 3] = ["openvino", "onnxruntime", "embedded"];

/// A decoded picture in a format: its caps and its bytes.
#[derive(Clone)]
struct Picture {
    caps: gst::Caps,
    buffer: gst::Buffer,
}

impl Picture {
    fn info(&self) -> gst_video::VideoInfo {
        gst_video::VideoInfo::from_caps(&self.caps).unwrap()
    }

    fn at(&self, pts: impl Into<Option<gst::ClockTime>>) -> gst::Buffer {
        let mut buffer = self.buffer.copy();
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    }

    fn size(&self) -> (f64, f64) {
        (self.info().width().into(), self.info().height().into())
    }
}

/// A picture of the repository as the filter has it. JPEG is decoded with the decoder that the reference's numbers agree with:
/// others put the colours a little elsewhere.
fn decode(name: &str, filter: &str) -> Picture {
    init();
    let path = file(&format!("tests/media/{name}"));
    let bytes = std::fs::read(&path).unwrap();
    let (width, height, rgb) = if name.ends_with(".png") {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width, info.height, rgb)
    } else {
        let mut decoder = zune_jpeg::JpegDecoder::new(zune_core::bytestream::ZCursor::new(bytes));
        let rgb = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        (width as u32, height as u32, rgb)
    };
    let row = width as usize * 3;
    let padded: Vec<u8> = rgb
        .chunks(row)
        .flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(0, (4 - row % 4) % 4)))
        .collect();
    let pipeline = parse(&format!(
        "appsrc name=src format=time caps=video/x-raw,format=RGB,width={width},height={height},framerate=25/1 ! videoconvert ! \
         videoscale ! {filter} ! fakesink name=sink"
    ));
    let mut buffer = gst::Buffer::from_mut_slice(padded);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    let src = pipeline.by_name("src").unwrap();
    let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let _ = sender.send(Picture {
            caps: pad.current_caps().unwrap(),
            buffer: info.buffer().unwrap().to_owned(),
        });
        gst::PadProbeReturn::Ok
    });
    run(&pipeline).unwrap();
    let picture = receiver.try_recv().unwrap();
    Picture {
        buffer: picture.buffer.copy_deep().unwrap(),
        ..picture
    }
}

fn picture(name: &str, format: &str) -> Picture {
    decode(name, &format!("video/x-raw,format={format}"))
}

fn black(format: VideoFormat, width: u32, height: u32) -> Picture {
    init();
    let info = gst_video::VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    let buffer = gst::Buffer::from_mut_slice(vec![16u8; info.size()]);
    Picture {
        caps: info.to_caps().unwrap(),
        buffer,
    }
}

fn harness(picture: &Picture, properties: &str) -> gst_check::Harness {
    init();
    let mut h = gst_check::Harness::new_parse(&format!("hailoface threads=1 precision=f32 {properties}"));
    h.set_src_caps(picture.caps.clone());
    h
}

/// Landmarks of the one face of a picture.
#[track_caller]
fn face(buffer: &gst::BufferRef) -> Landmarks {
    let mut all = meta::landmark::read(buffer);
    assert_eq!(all.len(), 1, "one face");
    all.pop().unwrap()
}

/// The reference's landmarks of a picture, in pixels, and its smile.
fn golden(name: &str, channel: &str) -> Option<(Vec<[f64; 2]>, f64)> {
    let text = std::fs::read_to_string(file("plugins/inference/tests/data/face_goldens.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let face = all[name][channel].get(0)?;
    let numbers = |key: &str| -> Vec<f64> {
        face[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let scores = numbers("blendshapes");
    Some((
        numbers("mesh").chunks(2).map(|p| [p[0], p[1]]).collect(),
        (scores[44] + scores[45]) / 2.0,
    ))
}

/// Landmarks within 1 pixel and the smile within 0.02 of the reference, where the frame holds the picture's colours as they are.
/// With subsampled or no colours the detector's box, of which one pixel is up to 17 of the picture, comes out a little
/// elsewhere, and landmarks follow their region: the reference's own move by 1.3 pixels when its input goes through 4:2:0.
/// There the bound is a hundredth of the face's width. (From the reference's own regions every format is within 1 pixel and
/// 0.02: nunchi-inference tests that.)
#[track_caller]
fn assert_like_reference(name: &str, channel: &str, picture: &Picture, out: &gst::BufferRef) {
    let Some((points, smile)) = golden(name, channel) else {
        assert!(meta::landmark::read(out).is_empty(), "{name}: the reference finds none");
        return;
    };
    let found = face(out);
    let (w, h) = picture.size();
    let exact = picture.info().is_rgb();
    let (pixels, score) = if exact {
        (1.0, 0.02)
    } else {
        (found.bbox[2] * w / 100.0, 0.05)
    };
    let distance = |(a, b): (&[f64; 3], &[f64; 2])| (a[0] * w - b[0]).hypot(a[1] * h - b[1]);
    let worst = found.points.iter().zip(&points).map(distance).fold(0.0, f64::max);
    let roi = out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap();
    let judged = roi.param("smile").unwrap();
    let seen = judged.get::<f64>("confidence").unwrap();
    let seen = if judged.get::<i32>("label_id").unwrap() == 1 {
        seen
    } else {
        1.0 - seen
    };
    let format = picture.info().format();
    assert!(worst <= pixels, "{name} {format}: off by {worst:.2} pixels");
    assert!(
        (seen - smile).abs() <= score,
        "{name} {format}: smile {seen:.3}, not {smile:.3}"
    );
}
