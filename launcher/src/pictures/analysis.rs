//! One picture: decoded, its face found and read.

use std::time::Instant;

use nunchi_inference::engine::{EngineError, EngineOptions};
use nunchi_inference::face::{Detection, FaceModels, FaceNet, Mesh, Roi, eye_closedness, smile};
use nunchi_inference::frame::{FrameView, PixelFormat, Plane};
use nunchi_motiontext::image;
use serde::Serialize;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Pictures have no more pixels: 8 bits of three colours are 120 MB then.
const MOST_PIXELS: usize = 40_000_000;
/// As MediaPipe's FaceLandmarker has them, which the old service used with its defaults.
const DETECTION: f32 = 0.5;
const OVERLAP: f32 = 0.3;
const PRESENCE: f32 = 0.5;
/// Both eyes beyond it are closed.
const CLOSED: f32 = 0.45;
/// Detections that are looked at until one is a face.
const TRIES: usize = 2;

/// What a client is told of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Whether there is a face.
    pub is_exist: bool,
    /// Whether both eyes of the face are closed.
    pub is_eye_closed: bool,
    /// Mean of both eyes, 0 to 1.
    pub eye_closedness: f32,
    /// 0 to 1.
    pub smile: f32,
    /// All that were detected, the surest first.
    pub faces: Vec<Face>,
    /// Time of the networks.
    pub inference_ms: f32,
}

/// A detected face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Face {
    /// Left, top, right, bottom in pixels; may reach beyond the picture.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// 0 to 1.
    pub score: f32,
}

/// Why a picture is not read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("it is no JPEG, PNG or WebP")]
    NotAPicture,
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    Failed(#[from] EngineError),
}

struct Pixels {
    format: PixelFormat,
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

fn decode(bytes: &[u8]) -> Result<Pixels, Fault> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        return jpeg(bytes);
    }
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") && !webp {
        return Err(Fault::NotAPicture);
    }
    let image = image::decode(bytes, MOST_PIXELS).map_err(|error| Fault::Unreadable(error.to_string()))?;
    Ok(Pixels {
        format: PixelFormat::Rgbx,
        width: image.width,
        height: image.height,
        bytes: image.pixels,
    })
}

/// Straight to RGB: most pictures are JPEGs of a webcam.
fn jpeg(bytes: &[u8]) -> Result<Pixels, Fault> {
    let unreadable = |error: &dyn std::fmt::Display| Fault::Unreadable(format!("it is a damaged JPEG: {error}"));
    let side = FrameView::MAX_SIDE as usize;
    let options = DecoderOptions::default()
        .set_max_width(side)
        .set_max_height(side)
        // Half a picture would be read as one without a face.
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| unreadable(&error))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| unreadable(&"it has no size"))?;
    if width * height > MOST_PIXELS {
        return Err(Fault::Unreadable(format!(
            "it has {width}x{height} pixels, at most {MOST_PIXELS} are read"
        )));
    }
    let bytes = decoder.decode().map_err(|error| unreadable(&error))?;
    if bytes.len() != 3 * width * height {
        return Err(unreadable(&"its colours cannot be read"));
    }
    Ok(Pixels {
        format: PixelFormat::Rgb,
        width: width as u32,
        height: height as u32,
        bytes,
    })
}

/// The networks of one thread.
pub struct Analyser {
    net: FaceNet,
}

impl Analyser {
    pub fn load(options: &EngineOptions) -> Result<Self, EngineError> {
        let net = FaceNet::load(&FaceModels::default(), options)?;
        Ok(Self { net })
    }

    /// What runs the networks.
    pub fn engine(&self) -> String {
        self.net.engine().to_string()
    }

    pub fn read(&mut self, bytes: &[u8]) -> Result<Reading, Fault> {
        let pixels = decode(bytes)?;
        let step = pixels.bytes.len() / (pixels.width as usize * pixels.height as usize).max(1);
        let planes = [Plane {
            data: &pixels.bytes,
            stride: pixels.width as usize * step,
        }];
        let (matrix, range) = Default::default();
        let view = FrameView::new(pixels.format, pixels.width, pixels.height, &planes, matrix, range);
        let view = view.map_err(|error| Fault::Unreadable(error.to_string()))?;
        let begin = Instant::now();
        let found = self.net.detect(&view, DETECTION, OVERLAP)?;
        let mut reading = Reading {
            is_exist: false,
            is_eye_closed: false,
            eye_closedness: 0.0,
            smile: 0.0,
            faces: found.iter().map(Face::of).collect(),
            inference_ms: 0.0,
        };
        if let Some(mesh) = self.face(&view, &found)? {
            let shapes = self.net.blendshapes(&mesh)?;
            let (left, right) = eye_closedness(&shapes);
            // What is no number says nothing.
            let sound = |value: f32| if value.is_finite() { value } else { 0.0 };
            reading.is_exist = true;
            reading.is_eye_closed = left > CLOSED && right > CLOSED;
            reading.eye_closedness = sound((left + right) / 2.0);
            reading.smile = sound(smile(&shapes));
        }
        reading.inference_ms = begin.elapsed().as_secs_f32() * 1e3;
        Ok(reading)
    }

    /// The surest detection that is a face.
    fn face(&mut self, view: &FrameView<'_>, found: &[Detection]) -> Result<Option<Mesh>, EngineError> {
        for detection in found.iter().take(TRIES) {
            let mesh = self.net.mesh(view, &Roi::from_detection(detection))?;
            if mesh.presence > PRESENCE {
                return Ok(Some(mesh));
            }
        }
        Ok(None)
    }
}

impl Face {
    fn of(detection: &Detection) -> Self {
        Self {
            bbox: detection.bbox,
            score: detection.score,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nunchi_inference::engine::EngineKind;

    fn picture(name: &str) -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/media")
            .join(name);
        std::fs::read(path).unwrap()
    }

    fn analyser() -> Analyser {
        let options = EngineOptions {
            kind: EngineKind::Embedded,
            ..EngineOptions::default()
        };
        Analyser::load(&options).unwrap()
    }

    #[test]
    fn faces_eyes_and_nobody_are_told_apart() {
        let mut analyser = analyser();
        let open = analyser.read(&picture("obama.jpg")).unwrap();
        assert!(open.is_exist && !open.is_eye_closed && open.smile > 0.3, "{open:?}");
        let [x0, y0, x1, y1] = open.faces[0].bbox;
        assert!(x1 > x0 && y1 > y0 && open.faces[0].score > 0.5, "{open:?}");
        let shut = analyser.read(&picture("biden-eyes-shut.png")).unwrap();
        assert!(
            shut.is_exist && shut.is_eye_closed && shut.eye_closedness > 0.45,
            "{shut:?}"
        );
        let nobody = analyser.read(&picture("china.jpg")).unwrap();
        assert!(
            !nobody.is_exist && !nobody.is_eye_closed && nobody.faces.is_empty(),
            "{nobody:?}"
        );
        let json = serde_json::to_value(&nobody).unwrap();
        for key in [
            "isExist",
            "isEyeClosed",
            "eyeClosedness",
            "smile",
            "faces",
            "inferenceMs",
        ] {
            assert!(json.get(key).is_some(), "{json}");
        }
    }

    #[test]
    fn what_is_no_picture_or_half_of_one_is_refused() {
        let mut analyser = analyser();
        for bytes in [&b""[..], b"GIF89a", b"hello", b"RIFF....WAVE"] {
            assert!(matches!(analyser.read(bytes), Err(Fault::NotAPicture)), "{bytes:?}");
        }
        let whole = picture("obama.jpg");
        let half = &whole[..whole.len() / 2];
        let png = picture("biden-eyes-shut.png");
        for bytes in [
            &b"\xff\xd8\xff\xe0"[..],
            b"\x89PNG\r\n\x1a\n",
            half,
            &png[..png.len() / 2],
        ] {
            let error = analyser.read(bytes).unwrap_err();
            assert!(matches!(error, Fault::Unreadable(_)), "{error}");
        }
    }

    #[test]
    fn a_jpeg_that_claims_to_be_huge_is_refused_before_it_is_decoded() {
        let mut bytes = picture("obama.jpg");
        // The last frame header: length, 8 bits, height, width. Before it may be that of a thumbnail.
        let is_head = |part: &[u8]| matches!(part, [0xff, 0xc0 | 0xc2, 0, 0x11, 8]);
        let at = bytes.windows(5).rposition(is_head).unwrap();
        bytes[at + 5..at + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
        let error = analyser().read(&bytes).unwrap_err().to_string();
        assert!(error.contains("30000x30000"), "{error}");
    }
}
