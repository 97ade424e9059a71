//! Decoding of heads against another implementation, and of heads that no sound network gives.

mod common;

use std::collections::BTreeMap;

use common::noise::Noise;
use nunchi_inference::engine::{DataType, EngineError, Layout, TensorInfo, TensorRef};
use nunchi_inference::ssd::{Decoder, Detection, Family, Labels, Limits, Setup};
use proptest::prelude::*;
use serde::Deserialize;

const SQUARE: (u32, u32) = (300, 300);

#[derive(Deserialize)]
struct Case {
    /// Score, IoU, best of each class, most.
    limits: (f32, f32, usize, usize),
    /// Label, score, x0, y0, x1, y1.
    found: Vec<(usize, f32, f32, f32, f32, f32)>,
}

#[derive(Deserialize)]
struct Goldens {
    heads: BTreeMap<String, Vec<Case>>,
}

fn goldens(name: &str) -> Vec<Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ssd_goldens.json");
    let mut goldens: Goldens = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    goldens.heads.remove(name).unwrap()
}

fn info(name: &str, shape: &[usize], data_type: DataType) -> TensorInfo {
    TensorInfo {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data_type,
        layout: Layout::Plain,
        quantisation: None,
    }
}

fn of(input: &[usize], outputs: &[(&str, &[usize])], setup: &Setup) -> Result<Decoder, EngineError> {
    let outputs: Vec<_> = outputs.iter().map(|(name, s)| info(name, s, DataType::F32)).collect();
    Decoder::new(&[info("image", input, DataType::F32)], &outputs, setup, "made up")
}

const PICTURE: [usize; 4] = [1, 3, 300, 300];

fn ssd300() -> Decoder {
    of(
        &PICTURE,
        &[("ploc", &[1, 4, 8732]), ("plabel", &[1, 81, 8732])],
        &Setup::default(),
    )
    .unwrap()
}

fn limits(of: (f32, f32, usize, usize)) -> Limits {
    Limits {
        score_threshold: of.0,
        iou_threshold: of.1,
        per_class: of.2,
        max_detections: of.3,
        classes: Vec::new(),
    }
}

#[track_caller]
fn compare(name: &str, decoder: &mut Decoder, boxes: &[f32], scores: &[f32]) {
    for case in goldens(name) {
        let found = decoder
            .decode(
                &[TensorRef::F32(boxes), TensorRef::F32(scores)],
                0,
                SQUARE,
                &limits(case.limits),
            )
            .unwrap();
        assert_eq!(found.len(), case.found.len(), "{name} {:?}", case.limits);
        for (index, (found, &(class, score, x0, y0, x1, y1))) in found.iter().zip(&case.found).enumerate() {
            assert_eq!(found.class, class, "{name} {:?} object {index}", case.limits);
            let values = [found.score, found.rect[0], found.rect[1], found.rect[2], found.rect[3]];
            for (value, expected) in values.iter().zip([score, x0, y0, x1, y1]) {
                assert!(
                    (value - expected).abs() <= 1e-5,
                    "{name} object {index}: {value} {expected}"
                );
            }
        }
    }
}

#[test]
fn ssd300_agrees_with_the_reference() {
    let (boxes, scores) = (
        Noise::new(11).floats(4 * 8732, 2.0),
        Noise::new(12).floats(81 * 8732, 4.0),
    );
    compare("ssd300", &mut ssd300(), &boxes, &scores);
}

/// The same values with one row for each anchor.
fn rows(planes: &[f32], anchors: usize) -> Vec<f32> {
    let width = planes.len() / anchors;
    let value = |i: usize| planes[i % width * anchors + i / width];
    (0..planes.len()).map(value).collect()
}

#[test]
fn rows_and_planes_are_told_apart_by_their_shape() {
    let (boxes, scores) = (
        Noise::new(11).floats(4 * 8732, 2.0),
        Noise::new(12).floats(81 * 8732, 4.0),
    );
    let outputs: [(&str, &[usize]); 2] = [("ploc", &[1, 8732, 4]), ("plabel", &[1, 8732, 81])];
    let mut decoder = of(&PICTURE, &outputs, &Setup::default()).unwrap();
    assert_eq!(decoder.family(), Family::Ssd300);
    compare("ssd300", &mut decoder, &rows(&boxes, 8732), &rows(&scores, 8732));
}

#[test]
fn both_networks_of_torchvision_agree_with_the_reference() {
    for (name, anchors, side, seed) in [("torchvision-vgg", 8732, 300, 13), ("torchvision-lite", 3234, 320, 15)] {
        let (boxes, scores) = (
            Noise::new(seed).floats(4 * anchors, 2.0),
            Noise::new(seed + 1).floats(91 * anchors, 4.0),
        );
        let outputs: [(&str, &[usize]); 2] = [("a", &[1, anchors, 4]), ("b", &[1, anchors, 91])];
        let mut decoder = of(&[1, 3, side, side], &outputs, &Setup::default()).unwrap();
        assert_eq!(decoder.family(), Family::TorchVision);
        compare(name, &mut decoder, &boxes, &scores);
    }
}

#[test]
fn tf_agrees_with_the_reference() {
    let (boxes, scores) = (
        Noise::new(17).floats(4 * 1917, 2.0),
        Noise::new(18).floats(91 * 1917, 2.5),
    );
    for shape in [&[1, 1917, 4][..], &[1, 1, 1917, 4], &[1, 1917, 1, 4]] {
        let outputs = [("Squeeze:0", shape), ("concat_1:0", &[1, 1917, 91])];
        let mut decoder = of(&PICTURE, &outputs, &Setup::default()).unwrap();
        assert_eq!(decoder.family(), Family::Tf);
        compare("tf", &mut decoder, &boxes, &scores);
    }
}

#[test]
fn equal_scores_come_in_the_order_of_the_reference() {
    let middle = Noise::new(19).floats(1400, 0.5);
    let size = Noise::new(20).floats(1400, 0.125);
    let corner = |i: usize, sign: f32| middle[i] + 0.5 + sign * size[i].abs();
    let boxes: Vec<f32> = (0..700)
        .flat_map(|i| {
            let i = 2 * i;
            [corner(i, -1.0), corner(i + 1, -1.0), corner(i, 1.0), corner(i + 1, 1.0)]
        })
        .collect();
    let step = |v: f32| (v.abs() * 16.0).floor() / 16.0;
    let scores: Vec<f32> = Noise::new(21).floats(700 * 90, 1.0).into_iter().map(step).collect();
    // How many anchors there are need not be known before.
    for anchors in [700, 0] {
        let outputs: [(&str, &[usize]); 2] = [("boxes", &[1, anchors, 4]), ("scores", &[1, anchors, 90])];
        let mut decoder = of(&PICTURE, &outputs, &Setup::default()).unwrap();
        assert_eq!(decoder.family(), Family::TfDecoded);
        compare("tf-decoded", &mut decoder, &boxes, &scores);
    }
}

/// Heads of SSD300 where anchor 0 shows class 7 and all others the background.
fn one_object() -> (Vec<f32>, Vec<f32>) {
    let mut scores = vec![0.0; 81 * 8732];
    scores[..8732].fill(12.0);
    scores[0] = 0.0;
    scores[7 * 8732] = 12.0;
    (vec![0.0; 4 * 8732], scores)
}

fn decode(decoder: &mut Decoder, boxes: &[f32], scores: &[f32], size: (u32, u32)) -> Result<Vec<Detection>, String> {
    let limits = decoder.default_limits();
    decoder.decode(&[TensorRef::F32(boxes), TensorRef::F32(scores)], 0, size, &limits)
}

#[test]
fn a_cropped_frame_has_its_boxes_where_they_are_in_the_frame() {
    let (boxes, scores) = one_object();
    let mut decoder = ssd300();
    // The middle 360 x 360 of the frame; 0.07 wide around 1/75, cut at the upper edge of the frame but not at its left.
    let found = decode(&mut decoder, &boxes, &scores, (640, 360)).unwrap();
    let [x0, y0, x1, y1] = found[0].rect;
    let across = |x: f32| (140.0 + 360.0 * x) / 640.0;
    let expected = [
        across(1.0 / 75.0 - 0.035),
        0.0,
        across(1.0 / 75.0 + 0.035),
        1.0 / 75.0 + 0.035,
    ];
    for (found, expected) in [x0, y0, x1, y1].iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{:?} {expected:?}", found);
    }
    assert_eq!((found.len(), found[0].class, decoder.labels().name(6)), (1, 6, "train"));
}

#[test]
fn other_classes_than_those_wanted_are_left_out() {
    let (boxes, scores) = one_object();
    let mut decoder = ssd300();
    let outputs = [TensorRef::F32(&boxes), TensorRef::F32(&scores)];
    let mut limits = decoder.default_limits();
    for (classes, count) in [(vec![6], 1), (vec![0, 6], 1), (vec![5], 0), (vec![1000], 0)] {
        limits.classes = classes;
        assert_eq!(decoder.decode(&outputs, 0, SQUARE, &limits).unwrap().len(), count);
    }
    limits.classes.clear();
    limits.max_detections = 0;
    assert!(decoder.decode(&outputs, 0, SQUARE, &limits).unwrap().is_empty());
    (limits.max_detections, limits.per_class) = (9, 0);
    assert!(decoder.decode(&outputs, 0, SQUARE, &limits).unwrap().is_empty());
}

#[test]
fn anchors_without_numbers_are_left_out_and_counted() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut decoder = ssd300();
        let (boxes, mut scores) = one_object();
        // A class of the object's anchor, the background of the last, and a class of one between.
        for at in [50 * 8732, 8731, 3 * 8732 + 4000] {
            scores[at] = bad;
        }
        assert_eq!(decode(&mut decoder, &boxes, &scores, SQUARE).unwrap(), [], "{bad}");
        assert_eq!(decoder.dropped(), 3, "{bad}");
        let (mut boxes, scores) = one_object();
        boxes[8732 * 3] = bad;
        boxes[8731] = bad;
        assert_eq!(decode(&mut decoder, &boxes, &scores, SQUARE).unwrap(), [], "{bad}");
        assert_eq!(decoder.dropped(), 5, "{bad}");
        // What is sound beside it is found.
        boxes[8732 * 3] = 0.0;
        assert_eq!(decode(&mut decoder, &boxes, &scores, SQUARE).unwrap().len(), 1);
    }
}

#[test]
fn a_head_without_any_number_is_an_error() {
    let (boxes, scores) = one_object();
    let none = [vec![f32::NAN; boxes.len()], vec![f32::NAN; scores.len()]];
    for (boxes, scores) in [(&none[0], &scores), (&boxes, &none[1])] {
        let error = decode(&mut ssd300(), boxes, scores, SQUARE).unwrap_err();
        assert!(error.contains("none of the 8732"), "{error}");
    }
}

#[test]
fn outputs_of_the_wrong_length_type_or_number_are_errors() {
    let (boxes, scores) = one_object();
    let mut decoder = ssd300();
    let limits = decoder.default_limits();
    let whole = vec![0i64; boxes.len()];
    for (outputs, part) in [
        (vec![TensorRef::F32(&boxes[1..]), TensorRef::F32(&scores)], "34928"),
        (vec![TensorRef::F32(&boxes), TensorRef::F32(&[])], "707292"),
        (vec![TensorRef::I64(&whole), TensorRef::F32(&scores)], "floats"),
        (vec![TensorRef::F32(&boxes)], "no output 1"),
        (vec![], "no output 0"),
    ] {
        let error = decoder.decode(&outputs, 0, SQUARE, &limits).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let outputs = [TensorRef::F32(&boxes), TensorRef::F32(&scores)];
    let error = decoder.decode(&outputs, 1, SQUARE, &limits).unwrap_err();
    assert!(error.contains("picture 1"), "{error}");
}

#[test]
fn a_network_of_no_family_is_refused_with_what_families_look_like() {
    let refused = |input: &[usize], outputs: &[(&str, &[usize])]| match of(input, outputs, &Setup::default()) {
        Ok(decoder) => panic!("{input:?} {outputs:?} is {}", decoder.family()),
        Err(error) => error.to_string(),
    };
    let outputs: [&[(&str, &[usize])]; 9] = [
        &[],
        &[("ploc", &[1, 4, 8732])],
        &[("ploc", &[1, 4, 8731]), ("plabel", &[1, 81, 8731])],
        &[("ploc", &[1, 5, 8732]), ("plabel", &[1, 81, 8732])],
        &[("ploc", &[2, 4, 8732]), ("plabel", &[2, 81, 8732])],
        // The background alone: 0 classes.
        &[("ploc", &[1, 4, 8732]), ("plabel", &[1, 1, 8732])],
        &[("a", &[1, 1000, 4]), ("b", &[1, 1000, 91])],
        &[("a", &[1, 1917, 4]), ("b", &[1, 3234, 91])],
        &[("keypoints", &[1, 1, 17, 3])],
    ];
    for outputs in outputs {
        let text = refused(&PICTURE, outputs);
        assert!(
            text.contains("ploc [N,4,8732]") && text.contains("num_detections"),
            "{text}"
        );
        assert!(outputs.iter().all(|(name, _)| text.contains(name)), "{text}");
    }
    let good: [(&str, &[usize]); 2] = [("ploc", &[1, 4, 8732]), ("plabel", &[1, 81, 8732])];
    for input in [&[1, 1, 300, 300][..], &[1, 3, 300], &[300, 300], &[1, 3, 0, 300]] {
        assert!(refused(input, &good).contains("one picture"), "{input:?}");
    }
    let bytes = Decoder::new(
        &[info("image", &PICTURE, DataType::U8)],
        &good.map(|(name, s)| info(name, s, DataType::F32)),
        &Setup::default(),
        "made up",
    );
    assert!(bytes.is_err(), "bytes come channels last");
}

#[test]
fn another_family_than_the_wanted_one_is_refused_with_its_shapes() {
    let outputs: [(&str, &[usize]); 2] = [("box_encodings", &[1, 1917, 4]), ("class_logits", &[1, 1917, 91])];
    for family in [Family::Ssd300, Family::TorchVision, Family::Nms] {
        let setup = Setup {
            family,
            ..Setup::default()
        };
        let text = of(&PICTURE, &outputs, &setup).unwrap_err().to_string();
        assert!(
            text.contains(family.as_str()) && text.contains("class_logits[1, 1917, 91]"),
            "{text}"
        );
        assert!(!text.contains("tf-decoded"), "{text}");
    }
}

#[test]
fn labels_are_as_many_as_the_classes() {
    let with = |outputs: &[(&str, &[usize])], count: usize| {
        let labels = Some(Labels::numbered(count));
        of(
            &PICTURE,
            outputs,
            &Setup {
                labels,
                ..Setup::default()
            },
        )
    };
    let ssd: [(&str, &[usize]); 2] = [("ploc", &[1, 4, 8732]), ("plabel", &[1, 81, 8732])];
    let tf: [(&str, &[usize]); 2] = [("box_encodings", &[1, 1917, 4]), ("class_logits", &[1, 1917, 91])];
    let decoded: [(&str, &[usize]); 2] = [("boxes", &[1, 50, 4]), ("scores", &[1, 50, 7])];
    for (outputs, counts) in [(&ssd, &[80][..]), (&tf, &[80, 90]), (&decoded, &[6, 7])] {
        for count in 1..100 {
            let decoder = with(outputs, count);
            assert_eq!(decoder.is_ok(), counts.contains(&count), "{outputs:?} {count}");
        }
    }
    let error = with(&ssd, 79).unwrap_err();
    let EngineError::ModelShape { expected, found, .. } = error else {
        panic!("{error}")
    };
    assert!(expected.contains("80") && found.contains("79"), "{expected} {found}");
    let decoder = of(&PICTURE, &decoded, &Setup::default()).unwrap();
    assert_eq!((decoder.labels().len(), decoder.labels().name(6)), (7, "class 6"));
}

/// What a graph with the suppression inside gives, for one picture of 32 x 32.
struct Listed {
    boxes: Vec<f32>,
    scores: Vec<f32>,
    classes: Vec<i64>,
}

impl Listed {
    fn decode(&self, labels: Option<Labels>) -> Result<(Vec<Detection>, u64), String> {
        let outputs = [
            info("labels", &[0], DataType::I64),
            info("boxes", &[0, 4], DataType::F32),
            info("scores", &[0], DataType::F32),
        ];
        let setup = Setup {
            labels,
            ..Setup::default()
        };
        let mut decoder =
            Decoder::new(&[info("image", &[3, 32, 32], DataType::F32)], &outputs, &setup, "lists").unwrap();
        let outputs = [
            TensorRef::I64(&self.classes),
            TensorRef::F32(&self.boxes),
            TensorRef::F32(&self.scores),
        ];
        let found = decoder.decode(&outputs, 0, (64, 48), &limits((0.3, 0.5, 10, 3)))?;
        Ok((found, decoder.dropped()))
    }
}

fn listed() -> Listed {
    Listed {
        boxes: [[0.0, 0.0, 16.0, 8.0], [8.0, 8.0, 40.0, 24.0], [1.0, 1.0, 2.0, 2.0]].concat(),
        scores: vec![0.5, 0.9, 0.2],
        classes: vec![18, 1, 1],
    }
}

#[test]
fn lists_in_pixels_or_parts_are_read_alike() {
    let pixels = listed().decode(None).unwrap().0;
    let read = |found: &[Detection]| found.iter().map(|d| (d.class, d.rect)).collect::<Vec<_>>();
    assert_eq!(
        read(&pixels),
        [(0, [0.25, 0.25, 1.0, 0.75]), (16, [0.0, 0.0, 0.5, 0.25])]
    );
    let mut parts = listed();
    parts.boxes.iter_mut().for_each(|v| *v /= 32.0);
    assert_eq!(parts.decode(None).unwrap().0, pixels);
    let none = Listed {
        boxes: vec![],
        scores: vec![],
        classes: vec![],
    };
    assert_eq!(none.decode(None).unwrap(), (vec![], 0));
}

#[test]
fn lists_that_are_broken_are_errors_or_counted() {
    let mut short = listed();
    short.scores.pop();
    assert!(
        short
            .decode(None)
            .unwrap_err()
            .contains("expected 3 values of scores, found 2")
    );
    let mut short = listed();
    short.classes.pop();
    assert!(short.decode(None).unwrap_err().contains("expected 3 classes, found 2"));
    let mut beyond = listed();
    beyond.classes[1] = 91;
    assert!(beyond.decode(None).unwrap_err().contains("1 to 90"));
    beyond.classes[1] = 6;
    let error = beyond.decode(Some(Labels::numbered(5))).unwrap_err();
    assert!(error.contains("1 to 5"), "{error}");
    // A number that COCO leaves out, and the background.
    let mut gap = listed();
    gap.classes[..2].copy_from_slice(&[12, 0]);
    assert_eq!(gap.decode(None).unwrap(), (vec![], 0));
    let mut broken = listed();
    broken.boxes[5] = f32::NAN;
    broken.classes[0] = -1;
    assert_eq!(broken.decode(None).unwrap(), (vec![], 2));
    broken.scores.fill(f32::NAN);
    assert!(broken.decode(None).unwrap_err().contains("none of the 3"));
}

#[test]
fn a_number_of_boxes_that_cannot_be_is_an_error() {
    let outputs = [
        info("detection_boxes", &[1, 2, 4], DataType::F32),
        info("detection_scores", &[1, 2], DataType::F32),
        info("detection_classes", &[1, 2], DataType::F32),
        info("num_detections", &[1], DataType::F32),
    ];
    let input = [info("image_tensor", &[1, 32, 32, 3], DataType::U8)];
    let mut decoder = Decoder::new(&input, &outputs, &Setup::default(), "lists").unwrap();
    for (count, is_sound) in [(0.0, true), (2.0, true), (3.0, false), (-1.0, false), (f32::NAN, false)] {
        let tensors = [
            &[0.1, 0.1, 0.9, 0.9, 0.2, 0.2, 0.8, 0.8][..],
            &[0.9, 0.8],
            &[1.0, 1.0],
            &[count],
        ];
        let tensors = tensors.map(TensorRef::F32);
        let found = decoder.decode(&tensors, 0, (64, 64), &limits((0.5, 0.5, 9, 9)));
        assert_eq!(
            found.as_ref().map(Vec::len).ok(),
            is_sound.then_some(count as usize),
            "{count}"
        );
    }
}

/// Name and shape.
type Output = (&'static str, &'static [usize]);

fn anything() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -20.0f32..20.0,
        1 => proptest::num::f32::ANY,
        1 => proptest::sample::select(vec![0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_heads_hold_boxes_are_sound(
        family in 0usize..4,
        pattern in proptest::collection::vec(anything(), 1..200),
        score in 0.0f32..=1.0, iou in 0.0f32..=1.0, per_class in 0usize..40, most in 0usize..60,
        size in (1u32..5000, 1u32..5000),
    ) {
        let (side, boxes, scores): (usize, Output, Output) = match family {
            0 => (300, ("ploc", &[1, 4, 8732]), ("plabel", &[1, 3, 8732])),
            1 => (320, ("bbox_regression", &[1, 3234, 4]), ("cls_logits", &[1, 3234, 7])),
            2 => (300, ("box_encodings", &[1, 1917, 4]), ("class_logits", &[1, 1917, 91])),
            _ => (300, ("boxes", &[1, 900, 4]), ("scores", &[1, 900, 90])),
        };
        let mut decoder = of(&[1, 3, side, side], &[scores, boxes], &Setup::default()).unwrap();
        let fill = |shape: &[usize], by: usize| -> Vec<f32> {
            let count: usize = shape.iter().product();
            (0..count).map(|i| pattern[(i * by + i / 7) % pattern.len()]).collect()
        };
        let (boxes, scores) = (fill(boxes.1, 1), fill(scores.1, 3));
        let limits = limits((score, iou, per_class, most));
        // All of it may be no numbers, which is an error.
        let outputs = [TensorRef::F32(&scores), TensorRef::F32(&boxes)];
        let found = decoder.decode(&outputs, 0, size, &limits).unwrap_or_default();
        prop_assert!(found.len() <= most);
        prop_assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        for object in found {
            prop_assert!(object.score > score && object.class < decoder.labels().len());
            let [x0, y0, x1, y1] = object.rect;
            prop_assert!(0.0 <= x0 && x0 < x1 && x1 <= 1.0 && 0.0 <= y0 && y0 < y1 && y1 <= 1.0, "{:?}", object.rect);
        }
    }
}
