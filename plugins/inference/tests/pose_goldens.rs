//! The pose network against an independent implementation: every engine, every pixel format; and the other families behind a
//! network that is made up here.

mod common;

use common::{ENGINES, Frame, Picture, options, pose_goldens};
use nunchi_inference::engine::{
    DataType, EngineError, EngineKind, EngineOptions, Layout, ModelSource, Network, TensorInfo, TensorMut, TensorRef,
};
use nunchi_inference::frame::{Matrix, PixelFormat, Range};
use nunchi_inference::models;
use nunchi_inference::pose::{Family, Limits, Pose, PoseNet};
use std::time::Duration;

/// Largest distance of a point that is seen, in pixels of the frame, …
const PIXELS: f32 = 1.0;
/// … or of the network's input, where that is more: a frame of 2204 rows has eleven for each of those. The network is touchy:
/// noise of one level in its input moves the reference's own points by up to 2.4 pixels of it, and confidences by up to 0.17.
const INPUT_PIXELS: f32 = 0.25;
/// Largest difference of the confidence of such a point.
const SCORE: f32 = 0.06;
/// The same where a frame holds fewer colours than pixels: chroma is taken from the nearest sample, which is more than a level.
const SUBSAMPLED: (f32, f32) = (1.25, 0.15);

const LIMITS: Limits = Limits {
    score: 0.25,
    iou: 0.7,
    keypoint: 0.4,
    people: 4,
};
const PEOPLE: [&str; 4] = ["obama.jpg", "biden.jpg", "astronaut.png", "camera.png"];
const NOBODY: [&str; 2] = ["china.jpg", "horses.jpg"];

#[track_caller]
fn net(kind: EngineKind) -> PoseNet {
    match PoseNet::load(&models::body_pose(), &options(kind)) {
        Ok(net) => net,
        Err(error) => panic!("{error}\n`make` provides the libraries: run `make test`"),
    }
}

fn is_subsampled(format: PixelFormat) -> bool {
    use PixelFormat::{I420, Nv12, Nv21, Uyvy, Yuy2, Yv12};
    matches!(format, I420 | Yv12 | Nv12 | Nv21 | Yuy2 | Uyvy)
}

/// Everything of `pose` that is beyond the bounds of distance and confidence.
fn differences(pose: &Pose, golden: &[f32], (pixels, score): (f32, f32)) -> (f32, Vec<String>) {
    let (golden, _) = golden.as_chunks::<3>();
    let (mut worst, mut wrong) = (0.0f32, Vec::new());
    for (index, (point, [x, y, confidence])) in pose.keypoints.iter().zip(golden).enumerate() {
        // Where a point that is not seen lies is noise.
        if *confidence < LIMITS.keypoint {
            continue;
        }
        let distance = (point.x - x).hypot(point.y - y);
        worst = worst.max(distance);
        if distance.is_nan() || distance > pixels {
            wrong.push(format!("point {index} is {distance} pixels off"));
        }
        if (point.confidence - confidence).abs() > score {
            wrong.push(format!(
                "point {index}: confidence {}, reference {confidence}",
                point.confidence
            ));
        }
    }
    (worst, wrong)
}

fn every_format(kind: EngineKind) {
    let mut net = net(kind);
    assert_eq!(
        (net.engine(), net.device().as_str(), net.family()),
        (kind, "CPU", Family::MoveNet)
    );
    let goldens = pose_goldens();
    let mut wrong = Vec::new();
    for name in PEOPLE {
        let (picture, golden) = (Picture::load(name), &goldens[name]);
        assert_eq!((picture.width, picture.height), (golden.width, golden.height));
        for format in PixelFormat::ALL {
            let grey = format == PixelFormat::Gray8;
            let range = if grey { Range::Full } else { Range::Limited };
            let frame = Frame::new(&picture, format, Matrix::Bt601, range);
            let found = net.find(&frame.view(), &LIMITS).unwrap();
            assert_eq!(found.len(), 1, "{kind} {name} {format:?}");
            let scale = golden.width.max(golden.height) as f32 / 192.0;
            let (pixels, score) = if is_subsampled(format) {
                SUBSAMPLED
            } else {
                (INPUT_PIXELS, SCORE)
            };
            let bounds = (PIXELS.max(pixels * scale), score);
            let (worst, lines) = differences(&found[0], golden.of(format), bounds);
            eprintln!("{kind} {name} {format:?}: {worst:.3} px");
            wrong.extend(
                lines
                    .into_iter()
                    .map(|line| format!("{kind} {name} {format:?}: {line}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn openvino_agrees_with_the_reference_in_every_format() {
    every_format(EngineKind::OpenVino);
}

#[test]
fn onnxruntime_agrees_with_the_reference_in_every_format() {
    every_format(EngineKind::OnnxRuntime);
}

#[test]
fn the_embedded_engine_agrees_with_the_reference_in_every_format() {
    every_format(EngineKind::Embedded);
}

#[test]
fn nobody_is_found_where_nobody_is() {
    for kind in ENGINES {
        let mut net = net(kind);
        for name in NOBODY {
            let picture = Picture::load(name);
            for format in [PixelFormat::Rgb, PixelFormat::I420, PixelFormat::Gray8] {
                let frame = Frame::new(&picture, format, Matrix::Bt601, Range::Full);
                let found = net.find(&frame.view(), &LIMITS).unwrap();
                assert!(found.is_empty(), "{kind} {name} {format:?}: {found:?}");
            }
        }
    }
}

#[test]
fn the_smallest_frames_are_read_without_a_panic() {
    let mut net = net(EngineKind::Auto);
    for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5)] {
        let picture = Picture::gradient(width, height);
        for format in PixelFormat::ALL {
            let frame = Frame::new(&picture, format, Matrix::Bt601, Range::Limited);
            net.find(&frame.view(), &LIMITS).unwrap();
        }
    }
}

#[test]
fn another_network_is_refused_with_its_shapes() {
    let error = PoseNet::load(&models::face_blendshapes(), &EngineOptions::default())
        .err()
        .unwrap();
    let text = error.to_string();
    assert!(
        text.contains("[1,1,17,3]") && text.contains("146") && text.contains("blendshapes"),
        "{text}"
    );
    let error = PoseNet::load(
        &ModelSource::File("/nowhere/pose.onnx".into()),
        &EngineOptions::default(),
    );
    assert!(matches!(error, Err(EngineError::ModelMissing { .. })));
}

/// A device that answers with given bytes and keeps what it was given.
struct Canned {
    input: TensorInfo,
    outputs: Vec<TensorInfo>,
    picture: Vec<u8>,
    answers: Vec<Vec<u8>>,
    lost: bool,
}

impl Canned {
    fn heat_maps(answer: Vec<u8>) -> Self {
        let info = |name: &str, shape: &[usize]| TensorInfo {
            name: name.to_owned(),
            shape: shape.to_vec(),
            data_type: DataType::U8,
            layout: Layout::Nhwc,
            quantisation: None,
        };
        Self {
            input: info("input", &[256, 192, 3]),
            outputs: vec![info("heat", &[64, 48, 17])],
            picture: vec![0; 256 * 192 * 3],
            answers: vec![answer],
            lost: false,
        }
    }
}

impl Network for Canned {
    fn engine(&self) -> EngineKind {
        EngineKind::Embedded
    }
    fn device(&self) -> &'static str {
        "canned"
    }
    fn inputs(&self) -> &[TensorInfo] {
        std::slice::from_ref(&self.input)
    }
    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }
    fn slots(&self) -> usize {
        1
    }
    fn input(&mut self, _: usize, _: usize) -> Result<TensorMut<'_>, EngineError> {
        Ok(TensorMut::U8(&mut self.picture))
    }
    fn submit(&mut self, _: usize) -> Result<(), EngineError> {
        // The frame is red all over: channels last, blue first.
        assert!(
            self.picture.chunks(3).all(|pixel| pixel == [0, 0, 255]),
            "the input is BGR"
        );
        Ok(())
    }
    fn complete(&mut self, _: usize, _: Duration) -> Result<(), EngineError> {
        if self.lost {
            return Err(EngineError::Inference {
                engine: EngineKind::Embedded,
                reason: "device lost".to_owned(),
            });
        }
        Ok(())
    }
    fn output(&self, _: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        Ok(TensorRef::U8(&self.answers[index]))
    }
}

fn red() -> Frame {
    let mut picture = Picture::gradient(96, 128);
    picture
        .rgb
        .chunks_mut(3)
        .for_each(|pixel| pixel.copy_from_slice(&[255, 0, 0]));
    Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full)
}

#[test]
fn a_device_with_bytes_gives_heat_maps_in_parts_of_255() {
    let mut answer = vec![0; 64 * 48 * 17];
    for joint in 0..17 {
        // Two frame pixels a cell.
        answer[((10 + joint) * 48 + 5 + joint) * 17 + joint] = 204;
    }
    let mut net = PoseNet::over(Box::new(Canned::heat_maps(answer)), "canned").unwrap();
    assert_eq!(net.family(), Family::VitPose);
    let found = net.find(&red().view(), &LIMITS).unwrap();
    assert_eq!(found.len(), 1);
    let point = found[0].keypoints[3];
    assert_eq!((point.x, point.y), (16.0, 26.0));
    assert!((point.confidence - 0.8).abs() < 1e-6 && (found[0].score - 0.8).abs() < 1e-5);
}

#[test]
fn a_short_answer_is_nobody_and_a_lost_device_is_an_error() {
    let mut net = PoseNet::over(Box::new(Canned::heat_maps(vec![0; 10])), "canned").unwrap();
    assert!(net.find(&red().view(), &LIMITS).unwrap().is_empty());
    let lost = Canned {
        lost: true,
        ..Canned::heat_maps(Vec::new())
    };
    let mut net = PoseNet::over(Box::new(lost), "canned").unwrap();
    let error = net.find(&red().view(), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("device lost"), "{error}");
}
