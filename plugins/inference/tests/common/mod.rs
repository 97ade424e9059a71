//! Pictures in every pixel format, and the numbers to compare with.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::PathBuf;

pub mod hailo;
pub mod noise;
pub mod process;

use nunchi_inference::engine::{EngineKind, EngineOptions, Precision};
use nunchi_inference::face::{FaceModels, FaceNet};
use nunchi_inference::frame::{FrameView, Matrix, PixelFormat, Plane, Range};
use serde::Deserialize;

pub const ENGINES: [EngineKind; 3] = [EngineKind::OpenVino, EngineKind::OnnxRuntime, EngineKind::Embedded];
pub const PORTRAITS: [&str; 3] = ["obama.jpg", "biden.jpg", "astronaut.png"];
pub const NO_FACES: [&str; 2] = ["china.jpg", "horses.jpg"];

#[derive(Deserialize)]
pub struct Golden {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<GoldenFace>,
    pub grey: Vec<GoldenFace>,
}

#[derive(Deserialize)]
pub struct GoldenFace {
    pub score: f32,
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    pub keypoints: Vec<f32>,
    pub first_roi: [f32; 4],
    pub first_mesh: Vec<f32>,
    pub first_presence: f32,
    pub roi: [f32; 4],
    pub mesh: Vec<f32>,
    pub depth: Vec<f32>,
    pub presence: f32,
    pub blendshapes: Vec<f32>,
    pub emotion: Vec<f32>,
}

/// Points of the body as the reference reads them off what frames hold: x, y in pixels and confidence of each.
#[derive(Deserialize)]
pub struct GoldenPose {
    pub width: usize,
    pub height: usize,
    rgb: Vec<f32>,
    #[serde(rename = "420")]
    i420: Vec<f32>,
    #[serde(rename = "422")]
    yuy2: Vec<f32>,
    grey: Vec<f32>,
}

impl GoldenPose {
    pub fn of(&self, format: PixelFormat) -> &[f32] {
        use PixelFormat::{Gray8, I420, Nv12, Nv21, Uyvy, Yuy2, Yv12};
        match format {
            I420 | Yv12 | Nv12 | Nv21 => &self.i420,
            Yuy2 | Uyvy => &self.yuy2,
            Gray8 => &self.grey,
            _ => &self.rgb,
        }
    }
}

pub fn pose_goldens() -> BTreeMap<String, GoldenPose> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/pose_goldens.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn goldens() -> BTreeMap<String, Golden> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/face_goldens.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn options(kind: EngineKind) -> EngineOptions {
    EngineOptions {
        kind,
        precision: Precision::F32,
        threads: 1,
        ..EngineOptions::default()
    }
}

/// The default networks; a missing library fails the test.
#[track_caller]
pub fn face_net(kind: EngineKind) -> FaceNet {
    match FaceNet::load(&FaceModels::default(), &options(kind)) {
        Ok(net) => net,
        Err(error) => panic!("{error}\n`make` provides the libraries: run `make test`"),
    }
}

/// RGB, no padding.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Picture {
    pub fn load(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/media")
            .join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if name.ends_with(".png") {
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut rgb).unwrap();
            if info.color_type == png::ColorType::Grayscale {
                rgb = rgb.into_iter().flat_map(|grey| [grey; 3]).collect();
            }
            assert_eq!(rgb.len(), 3 * (info.width * info.height) as usize);
            Self {
                width: info.width as usize,
                height: info.height as usize,
                rgb,
            }
        } else {
            let mut decoder = zune_jpeg::JpegDecoder::new(zune_core::bytestream::ZCursor::new(bytes));
            let rgb = decoder.decode().unwrap();
            let (width, height) = decoder.dimensions().unwrap();
            assert_eq!(rgb.len(), 3 * width * height);
            Self { width, height, rgb }
        }
    }

    /// A picture without any structure that a network would take for something.
    pub fn gradient(width: usize, height: usize) -> Self {
        let pixel = |i: usize| [(i % width) as u8, (i / width) as u8, 128];
        Self {
            width,
            height,
            rgb: (0..width * height).flat_map(pixel).collect(),
        }
    }

    fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        let at = 3 * (y.min(self.height - 1) * self.width + x.min(self.width - 1));
        std::array::from_fn(|c| f32::from(self.rgb[at + c]))
    }
}

/// A picture in one pixel format, rows padded.
pub struct Frame {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub matrix: Matrix,
    pub range: Range,
    pub planes: Vec<(Vec<u8>, usize)>,
}

impl Frame {
    pub fn view(&self) -> FrameView<'_> {
        let planes: Vec<Plane<'_>> = self
            .planes
            .iter()
            .map(|(data, stride)| Plane { data, stride: *stride })
            .collect();
        FrameView::new(self.format, self.width, self.height, &planes, self.matrix, self.range).unwrap()
    }

    /// Chroma is the mean of the pixels that share it. Grey is the luma of the whole range.
    pub fn new(picture: &Picture, format: PixelFormat, matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        let (y0, ys, cs) = match range {
            Range::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
            Range::Full => (0.0, 1.0, 1.0),
        };
        let luma = |[r, g, b]: [f32; 3]| kr * r + (1.0 - kr - kb) * g + kb * b;
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        let y = |px: usize, py: usize| byte(y0 + ys * luma(picture.pixel(px, py)));
        let chroma = |cx: usize, cy: usize, tall: usize| {
            let mut mean = [0.0; 3];
            for dy in 0..tall {
                for dx in 0..2 {
                    let pixel = picture.pixel(2 * cx + dx, tall * cy + dy);
                    mean.iter_mut()
                        .zip(pixel)
                        .for_each(|(m, p)| *m += p / (2 * tall) as f32);
                }
            }
            let l = luma(mean);
            let u = byte(128.0 + cs * (mean[2] - l) / (2.0 * (1.0 - kb)));
            let v = byte(128.0 + cs * (mean[0] - l) / (2.0 * (1.0 - kr)));
            [u, v]
        };
        let rgb = |x: usize, y: usize| picture.pixel(x, y).map(|v| v as u8);
        let value = |plane: usize, at: usize, row: usize| match (format, plane) {
            (PixelFormat::Rgb, _) => rgb(at / 3, row)[at % 3],
            (PixelFormat::Bgr, _) => rgb(at / 3, row)[2 - at % 3],
            (PixelFormat::Rgbx, _) => rgb(at / 4, row).get(at % 4).copied().unwrap_or(77),
            (PixelFormat::Bgrx, _) if at % 4 == 3 => 77,
            (PixelFormat::Bgrx, _) => rgb(at / 4, row)[2 - at % 4],
            (PixelFormat::Xrgb | PixelFormat::Xbgr, _) if at.is_multiple_of(4) => 77,
            (PixelFormat::Xrgb, _) => rgb(at / 4, row)[at % 4 - 1],
            (PixelFormat::Xbgr, _) => rgb(at / 4, row)[3 - at % 4],
            (PixelFormat::Yuy2, _) if at.is_multiple_of(2) => y(at / 2, row),
            (PixelFormat::Yuy2, _) => chroma(at / 4, row, 1)[at % 4 / 2],
            (PixelFormat::Uyvy, _) if at % 2 == 1 => y(at / 2, row),
            (PixelFormat::Uyvy, _) => chroma(at / 4, row, 1)[at % 4 / 2],
            (_, 0) => y(at, row),
            (PixelFormat::Nv12, _) => chroma(at / 2, row, 2)[at % 2],
            (PixelFormat::Nv21, _) => chroma(at / 2, row, 2)[1 - at % 2],
            (PixelFormat::I420, _) => chroma(at, row, 2)[plane - 1],
            (_, _) => chroma(at, row, 2)[2 - plane],
        };
        let (width, height) = (picture.width as u32, picture.height as u32);
        let planes = (0..format.planes())
            .map(|plane| {
                let (row_bytes, rows) = format.plane_size(plane, width, height);
                let stride = row_bytes + 13;
                let mut data = vec![0xEE; stride * rows];
                for row in 0..rows {
                    for at in 0..row_bytes {
                        data[row * stride + at] = value(plane, at, row);
                    }
                }
                (data, stride)
            })
            .collect();
        Self {
            format,
            width,
            height,
            matrix,
            range,
            planes,
        }
    }
}
