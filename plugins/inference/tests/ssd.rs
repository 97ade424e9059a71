//! The object detector in every engine: the embedded network against an independent implementation, and small networks of each
//! family for what it has not: open batches, bytes, whole numbers, lists whose length only the inference tells.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{ENGINES, Frame, Picture, options};
use nunchi_inference::engine::{DataType, EngineError, EngineKind, EngineOptions, ModelSource, load};
use nunchi_inference::frame::{Matrix, PixelFormat, Range};
use nunchi_inference::models;
use nunchi_inference::ssd::{ColourOrder, Detection, Detector, Family, Labels, Limits, Preprocess, Resize, Setup};
use serde::Deserialize;

/// Largest distance of an edge, in pixels of the frame; of a box that moves more when one level in ten of the input is off by one, it
/// is that. Decoders of JPEG and OpenCV's resize are as far from exact ones.
const PIXELS: f32 = 1.0;
/// Largest difference of a score.
const SCORE: f32 = 0.05;

#[derive(Deserialize)]
struct Goldens {
    pictures: BTreeMap<String, Golden>,
}

#[derive(Deserialize)]
struct Golden {
    width: u32,
    height: u32,
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
    /// How far the reference's own box moves when one level in ten is off by one.
    noise: f32,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn goldens() -> BTreeMap<String, Golden> {
    let text = std::fs::read_to_string(data("ssd_goldens.json")).unwrap();
    serde_json::from_str::<Goldens>(&text).unwrap().pictures
}

fn network(name: &str) -> ModelSource {
    ModelSource::File(data("ssd").join(name))
}

#[track_caller]
fn detector(model: &ModelSource, options: &EngineOptions, setup: &Setup) -> Detector {
    match Detector::load(model, options, setup) {
        Ok(detector) => detector,
        Err(error) => panic!("{error}\n`make` provides the libraries: run `make test`"),
    }
}

fn batch_of(kind: EngineKind, batch: u32) -> EngineOptions {
    EngineOptions { batch, ..options(kind) }
}

fn family(family: Family) -> Setup {
    Setup {
        family,
        ..Setup::default()
    }
}

fn find(detector: &mut Detector, frame: &Frame, limits: &Limits) -> Vec<Detection> {
    detector.fill(0, 0, &frame.view()).unwrap();
    detector.submit(0).unwrap();
    let found = detector.finish(0, &[(frame.width, frame.height)], limits);
    found.unwrap().pop().unwrap()
}

fn in_pixels(found: &Detection, golden: &Golden) -> [f32; 4] {
    let [x0, y0, x1, y1] = found.rect;
    let (w, h) = (golden.width as f32, golden.height as f32);
    [x0 * w, y0 * h, x1 * w, y1 * h]
}

fn agrees_with_the_reference(kind: EngineKind) {
    // The same network, its boxes decoded in the graph and here.
    for wanted in [Family::Auto, Family::Tf] {
        let mut detector = detector(&models::object_detector(), &options(kind), &family(wanted));
        assert_eq!(
            (detector.engine(), detector.device(), detector.batch()),
            (kind, "CPU", 1)
        );
        let limits = Limits {
            score_threshold: 0.5,
            ..detector.default_limits()
        };
        for (name, golden) in goldens() {
            let picture = Picture::load(&name);
            assert_eq!(
                (picture.width as u32, picture.height as u32),
                (golden.width, golden.height)
            );
            let frame = Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full);
            let found = find(&mut detector, &frame, &limits);
            assert_eq!(found.len(), golden.objects.len(), "{kind} {wanted} {name}: {found:?}");
            for object in &golden.objects {
                let class = detector.labels().index(&object.name);
                let distance = |found: &Detection| {
                    let pairs = in_pixels(found, &golden).into_iter().zip(object.bbox);
                    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
                };
                let same = found.iter().filter(|found| Some(found.class) == class);
                let nearest = same.min_by(|a, b| distance(a).total_cmp(&distance(b)));
                let nearest = nearest.unwrap_or_else(|| panic!("{kind} {name}: no {}", object.name));
                let pixels = distance(nearest);
                eprintln!("{kind} {wanted} {name} {}: {pixels:.3} px", object.name);
                assert!(
                    (nearest.score - object.score).abs() < SCORE,
                    "{kind} {name} {nearest:?} {}",
                    object.score
                );
                assert!(
                    pixels < PIXELS.max(object.noise),
                    "{kind} {name} {}: {pixels} pixels off",
                    object.name
                );
            }
        }
        assert_eq!(detector.dropped(), 0);
    }
}

#[test]
fn openvino_agrees_with_the_reference() {
    agrees_with_the_reference(EngineKind::OpenVino);
}

#[test]
fn onnxruntime_agrees_with_the_reference() {
    agrees_with_the_reference(EngineKind::OnnxRuntime);
}

#[test]
fn the_embedded_engine_agrees_with_the_reference() {
    agrees_with_the_reference(EngineKind::Embedded);
}

#[test]
fn the_classes_of_the_pictures_are_found() {
    let goldens = goldens();
    let names = |picture: &str| {
        goldens[picture]
            .objects
            .iter()
            .map(|o| o.name.as_str())
            .collect::<Vec<_>>()
    };
    for (picture, expected) in [
        ("person.jpg", &["person", "dog", "horse"][..]),
        ("dog.jpg", &["bicycle", "car", "dog"]),
        ("horses.jpg", &["horse"]),
    ] {
        assert!(
            expected.iter().all(|name| names(picture).contains(name)),
            "{:?}",
            names(picture)
        );
    }
    assert!(names("china.jpg").is_empty());
}

#[test]
fn every_pixel_format_gives_the_same_objects() {
    let mut detector = detector(
        &models::object_detector(),
        &options(EngineKind::Auto),
        &Setup::default(),
    );
    let limits = Limits {
        score_threshold: 0.6,
        ..detector.default_limits()
    };
    let picture = Picture::load("dog.jpg");
    for format in PixelFormat::ALL
        .into_iter()
        .filter(|format| *format != PixelFormat::Gray8)
    {
        let frame = Frame::new(&picture, format, Matrix::Bt601, Range::Limited);
        let found = find(&mut detector, &frame, &limits);
        let names: Vec<_> = found.iter().take(3).map(|o| detector.labels().name(o.class)).collect();
        assert!(
            names.contains(&"bicycle") && names.contains(&"dog"),
            "{format:?} {names:?}"
        );
    }
}

#[test]
fn the_smallest_frames_are_read_without_a_panic() {
    let mut detector = detector(
        &models::object_detector(),
        &options(EngineKind::Auto),
        &Setup::default(),
    );
    let limits = detector.default_limits();
    for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5)] {
        for format in PixelFormat::ALL {
            let frame = Frame::new(&Picture::gradient(width, height), format, Matrix::Bt601, Range::Limited);
            find(&mut detector, &frame, &limits);
        }
    }
}

/// A picture of one colour, other pixels in one corner so that crops and orders of colours differ.
fn plain(level: u8) -> Frame {
    let mut picture = Picture::gradient(96, 64);
    picture.rgb.fill(level);
    picture.rgb[..3 * 96 * 20]
        .iter_mut()
        .step_by(3)
        .for_each(|red| *red = 200);
    Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full)
}

const LEVELS: [u8; 5] = [30, 90, 140, 190, 240];
const SIZE: (u32, u32) = (96, 64);

/// What each picture gives alone, and in batches of four, the last of which is filled in part.
fn batches_agree(kind: EngineKind, name: &str, expected: Family) {
    let model = network(name);
    let mut alone = detector(&model, &batch_of(kind, 0), &Setup::default());
    let mut together = detector(&model, &batch_of(kind, 4), &Setup::default());
    assert_eq!((alone.family(), together.family()), (expected, expected), "{kind}");
    assert_eq!((alone.batch(), together.batch()), (1, 4), "{kind} {name}");
    let limits = alone.default_limits();
    let single: Vec<_> = LEVELS
        .iter()
        .map(|level| find(&mut alone, &plain(*level), &limits))
        .collect();
    assert!(single.iter().all(|found| !found.is_empty()), "{kind} {name}");
    assert!(
        single.windows(2).all(|pair| pair[0] != pair[1]),
        "{kind} {name}: the picture shows"
    );
    let mut found = Vec::new();
    for levels in LEVELS.chunks(4) {
        for (index, level) in levels.iter().enumerate() {
            together.fill(0, index, &plain(*level).view()).unwrap();
        }
        together.submit(0).unwrap();
        found.extend(together.finish(0, &vec![SIZE; levels.len()], &limits).unwrap());
    }
    assert_eq!(found.len(), single.len(), "{kind} {name}");
    for (together, alone) in found.iter().zip(&single) {
        assert_eq!(together.len(), alone.len(), "{kind} {name}");
        for (a, b) in together.iter().zip(alone) {
            assert_eq!(a.class, b.class, "{kind} {name}");
            let pairs = a.rect.iter().zip(&b.rect);
            assert!(
                pairs.chain([(&a.score, &b.score)]).all(|(a, b)| (a - b).abs() < 1e-4),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn pictures_of_a_batch_are_read_as_if_they_were_alone() {
    for kind in ENGINES {
        batches_agree(kind, "ssd300.onnx", Family::Ssd300);
        batches_agree(kind, "torchvision.onnx", Family::TorchVision);
        batches_agree(kind, "tf.onnx", Family::Tf);
        batches_agree(kind, "nms-tf.onnx", Family::Nms);
    }
}

#[test]
fn all_engines_find_the_same() {
    for name in [
        "ssd300.onnx",
        "torchvision.onnx",
        "tf.onnx",
        "nms-tf.onnx",
        "nms-torchvision.onnx",
    ] {
        let mut all = ENGINES.map(|kind| {
            let mut detector = detector(&network(name), &options(kind), &Setup::default());
            let limits = detector.default_limits();
            find(&mut detector, &plain(200), &limits)
        });
        let first = std::mem::take(&mut all[0]);
        for found in &all[1..] {
            assert_eq!(found.len(), first.len(), "{name}");
            for (a, b) in found.iter().zip(&first) {
                assert!(
                    a.class == b.class && (a.score - b.score).abs() < 1e-4,
                    "{name} {a:?} {b:?}"
                );
            }
        }
    }
}

#[test]
fn lists_are_as_long_as_each_inference_says() {
    for kind in ENGINES {
        let mut detector = detector(&network("nms-torchvision.onnx"), &options(kind), &Setup::default());
        assert_eq!((detector.family(), detector.preprocess().std), (Family::Nms, [1.0; 3]));
        let limits = Limits {
            score_threshold: 0.0,
            ..detector.default_limits()
        };
        let grey = |level: u8| {
            let mut picture = Picture::gradient(32, 32);
            picture.rgb.fill(level);
            Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full)
        };
        // More, fewer, none and all of the eight boxes, whose sixth is of a class 90.
        for (level, count) in [(128, 4), (64, 2), (0, 0), (255, 8), (64, 2)] {
            let found = find(&mut detector, &grey(level), &limits);
            // One of the eight has number 12, which COCO leaves out.
            let named = count - usize::from(count >= 4);
            assert_eq!(found.len(), named, "{kind} {level}: {found:?}");
        }
        let found = find(&mut detector, &grey(64), &limits);
        assert_eq!((found[0].class, found[0].rect), (0, [0.0, 0.0, 0.25, 0.375]), "{kind}");
        assert_eq!(
            (found[1].class, found[1].rect),
            (1, [0.09375, 0.0625, 0.34375, 0.4375]),
            "{kind}"
        );
    }
}

#[test]
fn engines_tell_types_and_the_sides_they_know() {
    for kind in ENGINES {
        let lists = load(&network("nms-torchvision.onnx"), &options(kind)).unwrap();
        let labels = lists.outputs().iter().find(|info| info.name == "labels").unwrap();
        assert_eq!(
            (labels.data_type, labels.shape.as_slice()),
            (DataType::I64, &[0][..]),
            "{kind}"
        );
        let boxes = lists.outputs().iter().find(|info| info.name == "boxes").unwrap();
        assert_eq!(boxes.shape, [0, 4], "{kind}");
        let bytes = load(&network("tf.onnx"), &batch_of(kind, 3)).unwrap();
        let input = &bytes.inputs()[0];
        assert_eq!(
            (input.data_type, input.shape.as_slice()),
            (DataType::U8, &[3, 300, 300, 3][..])
        );
        let boxes = bytes
            .outputs()
            .iter()
            .find(|info| info.name == "box_encodings")
            .unwrap();
        assert_eq!(boxes.shape, [3, 1917, 1, 4], "{kind}");
    }
}

#[test]
fn a_batch_that_the_model_fixes_stays() {
    for kind in ENGINES {
        let detector = detector(&models::object_detector(), &batch_of(kind, 8), &Setup::default());
        assert_eq!(detector.batch(), 1, "{kind}");
    }
}

#[test]
fn an_output_before_the_first_inference_is_an_error_where_there_is_none() {
    for kind in ENGINES {
        let lists = load(&network("nms-torchvision.onnx"), &options(kind)).unwrap();
        assert!(lists.output(0, 0).is_err(), "{kind}");
    }
}

#[test]
fn no_more_pictures_are_read_than_were_filled() {
    for kind in ENGINES {
        let mut detector = detector(&network("nms-tf.onnx"), &batch_of(kind, 3), &Setup::default());
        let limits = detector.default_limits();
        let frame = plain(200);
        for index in 0..3 {
            detector.fill(0, index, &frame.view()).unwrap();
        }
        detector.submit(0).unwrap();
        assert_eq!(detector.finish(0, &[SIZE; 3], &limits).unwrap().len(), 3);
        // The second round has one; the others would be what is left of the first.
        detector.fill(0, 0, &frame.view()).unwrap();
        detector.submit(0).unwrap();
        let error = detector.finish(0, &[SIZE; 2], &limits).unwrap_err().to_string();
        assert!(
            error.contains("2 pictures") && error.contains("holds 1"),
            "{kind}: {error}"
        );
        // A gap ends what can be read.
        detector.fill(0, 0, &frame.view()).unwrap();
        detector.fill(0, 2, &frame.view()).unwrap();
        detector.submit(0).unwrap();
        assert!(detector.finish(0, &[SIZE; 2], &limits).is_err(), "{kind}");
    }
}

#[test]
fn calls_out_of_order_or_out_of_range_are_errors() {
    for kind in ENGINES {
        let mut detector = detector(&network("nms-tf.onnx"), &batch_of(kind, 2), &Setup::default());
        let (limits, frame) = (detector.default_limits(), plain(200));
        assert!(detector.submit(0).is_err(), "{kind}: nothing was filled");
        assert!(
            detector.finish(0, &[SIZE], &limits).is_err(),
            "{kind}: nothing was submitted"
        );
        let error = detector.fill(0, 2, &frame.view()).unwrap_err();
        assert!(error.to_string().contains("picture 2 of a batch of 2"), "{error}");
        assert!(
            detector.fill(7, 0, &frame.view()).is_err() && detector.submit(7).is_err(),
            "{kind}"
        );
        detector.fill(0, 0, &frame.view()).unwrap();
        detector.clear();
        assert!(detector.submit(0).is_err(), "{kind}: what was filled is dropped");
        // And still it works.
        assert!(!find(&mut detector, &frame, &limits).is_empty(), "{kind}");
    }
}

#[test]
fn several_batches_are_in_flight_where_the_engine_has_a_queue() {
    let mut detector = detector(
        &network("nms-tf.onnx"),
        &batch_of(EngineKind::OpenVino, 2),
        &Setup::default(),
    );
    assert_eq!(detector.set_slots(2), 2);
    let limits = detector.default_limits();
    for (slot, level) in [(0, 60), (1, 240)] {
        detector.fill(slot, 0, &plain(level).view()).unwrap();
        detector.submit(slot).unwrap();
    }
    let [dark, bright] = [0, 1].map(|slot| detector.finish(slot, &[SIZE], &limits).unwrap()[0].len());
    assert!(dark < bright, "{dark} {bright}");
}

#[test]
fn thresholds_out_of_range_are_refused() {
    let mut detector = detector(&network("nms-tf.onnx"), &options(EngineKind::Auto), &Setup::default());
    let sound = detector.default_limits();
    for (score, iou) in [
        (-0.1, 0.5),
        (1.1, 0.5),
        (f32::NAN, 0.5),
        (0.5, -0.1),
        (0.5, 1.5),
        (0.5, f32::NAN),
    ] {
        let limits = Limits {
            score_threshold: score,
            iou_threshold: iou,
            ..sound.clone()
        };
        detector.fill(0, 0, &plain(99).view()).unwrap();
        detector.submit(0).unwrap();
        let error = detector.finish(0, &[SIZE], &limits).unwrap_err();
        assert!(matches!(error, EngineError::Conflict { .. }), "{error}");
        detector.clear();
    }
}

#[test]
fn a_mean_or_std_that_makes_no_picture_is_refused() {
    for (mean, std) in [
        ([f32::NAN, 0.0, 0.0], [1.0; 3]),
        ([0.0; 3], [1.0, 0.0, 1.0]),
        ([0.0; 3], [-1.0; 3]),
        ([0.0; 3], [f32::INFINITY; 3]),
    ] {
        let setup = Setup {
            preprocess: Preprocess::stretch(mean, std).into(),
            ..Setup::default()
        };
        let error = Detector::load(&network("nms-tf.onnx"), &options(EngineKind::Embedded), &setup).err();
        assert!(matches!(error, Some(EngineError::Conflict { .. })), "{error:?}");
    }
}

#[test]
fn another_network_and_other_labels_are_refused() {
    for kind in ENGINES {
        let error = Detector::load(&models::body_pose(), &options(kind), &Setup::default())
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.contains("keypoints[1, 1, 17, 3]") && text.contains("plabel"),
            "{text}"
        );
        let labels = Setup {
            labels: Some(Labels::numbered(7)),
            ..Setup::default()
        };
        let error = Detector::load(&models::object_detector(), &options(kind), &labels)
            .err()
            .unwrap();
        assert!(error.to_string().contains("7 labels"), "{error}");
    }
}

#[test]
fn too_large_a_batch_is_refused() {
    for kind in ENGINES {
        let error = load(&network("ssd300.onnx"), &batch_of(kind, 257)).err().unwrap();
        assert!(error.to_string().contains("a batch of 257"), "{error}");
    }
}

#[test]
fn what_is_set_for_the_picture_reaches_the_network() {
    let input = |preprocess: Preprocess| {
        let setup = Setup {
            preprocess: preprocess.into(),
            ..Setup::default()
        };
        let mut detector = detector(&network("nms-tf.onnx"), &options(EngineKind::Embedded), &setup);
        let limits = Limits {
            score_threshold: 0.0,
            ..detector.default_limits()
        };
        // How many boxes count is the mean of the input, -1..1 as 0..10.
        let picture = Picture {
            width: 64,
            height: 32,
            // Black, and white in the middle half.
            rgb: (0..64 * 32)
                .flat_map(|i| [if (16..48).contains(&(i % 64)) { 255 } else { 0 }; 3])
                .collect(),
        };
        let frame = Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full);
        find(&mut detector, &frame, &limits).len()
    };
    let stretched = Preprocess::SIGNED;
    let cropped = Preprocess {
        resize: Resize::CentreCrop,
        ..stretched
    };
    // One of the ten boxes has number 12, which COCO leaves out.
    assert_eq!(
        (input(stretched), input(cropped)),
        (4, 9),
        "half of it is white, the middle all"
    );
    let dark = Preprocess {
        mean: [0.7; 3],
        ..stretched
    };
    assert_eq!(input(dark), 3);
    let swapped = Preprocess {
        channels: ColourOrder::Bgr,
        mean: [0.5, 0.5, 1.3],
        ..stretched
    };
    assert_eq!(input(swapped), 2, "one channel of three is darker");
}
