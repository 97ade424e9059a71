//! Photographs as buffers, in every format.

use super::{file, init, parse, run};
use gst::prelude::*;
use gst_video::VideoFormat;

pub const FORMATS: [&str; 17] = [
    "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "I420", "YV12", "NV12", "NV21",
    "YUY2", "UYVY", "GRAY8",
];
pub const ENGINES: [&str; 3] = ["openvino", "onnxruntime", "embedded"];

/// A decoded picture in a format: its caps and its bytes.
#[derive(Clone)]
pub struct Picture {
    pub caps: gst::Caps,
    pub buffer: gst::Buffer,
}

impl Picture {
    pub fn info(&self) -> gst_video::VideoInfo {
        gst_video::VideoInfo::from_caps(&self.caps).unwrap()
    }

    pub fn at(&self, pts: impl Into<Option<gst::ClockTime>>) -> gst::Buffer {
        let mut buffer = self.buffer.copy();
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    }

    pub fn size(&self) -> (f64, f64) {
        (self.info().width().into(), self.info().height().into())
    }
}

/// A picture of the repository as the filter has it. JPEG is decoded with the decoder that the reference's numbers agree with:
/// others put the colours a little elsewhere.
pub fn decode(name: &str, filter: &str) -> Picture {
    init();
    let path = file(&format!("tests/media/{name}"));
    let bytes = std::fs::read(&path).unwrap();
    let (width, height, rgb) = if name.ends_with(".png") {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        if info.color_type == png::ColorType::Grayscale {
            rgb = rgb.into_iter().flat_map(|grey| [grey; 3]).collect();
        }
        assert_eq!(rgb.len(), 3 * (info.width * info.height) as usize);
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

pub fn picture(name: &str, format: &str) -> Picture {
    decode(name, &format!("video/x-raw,format={format}"))
}

pub fn black(format: VideoFormat, width: u32, height: u32) -> Picture {
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

/// An element of that name with one thread and full precision, ready for the picture.
pub fn harness(element: &str, picture: &Picture, properties: &str) -> gst_check::Harness {
    init();
    let mut h = gst_check::Harness::new_parse(&format!("{element} threads=1 precision=f32 {properties}"));
    h.set_src_caps(picture.caps.clone());
    h
}
