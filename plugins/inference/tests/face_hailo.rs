//! Faces on the double of HailoRT: the networks as HEFs give what they give on the CPU.

mod common;

use std::path::Path;

use common::hailo::{BEHAVIOUR, Hefs, LIBRARY, double};
use common::process::in_a_process;
use common::{Frame, PORTRAITS, Picture};
use nunchi_inference::engine::{EngineError, EngineKind, EngineOptions, ModelSource};
use nunchi_inference::face::{EMOTIONS, FaceModels, FaceNet, Roi};
use nunchi_inference::frame::{Matrix, PixelFormat, Range};
use serde_json::{Value, json};

fn on_the_double(test: &str) -> bool {
    in_a_process(test, &[(LIBRARY, &double()), (BEHAVIOUR, "")])
}

/// One of our networks as a HEF: a picture of `side` in, outputs of these shapes and names.
fn hef(
    file: &str,
    [side, channels]: [usize; 2],
    [scale, zero_point]: [f32; 2],
    outputs: &[(&str, [usize; 3])],
) -> Value {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file);
    let outputs: Vec<Value> = outputs
        .iter()
        .map(|(name, shape)| json!({"name": format!("net/{name}"), "shape": shape, "from": name}))
        .collect();
    json!({
        "group": file,
        "network": {"onnx": onnx},
        "inputs": [{"name": "net/in", "shape": [side, side, channels], "scale": scale, "zero_point": zero_point}],
        "outputs": outputs,
    })
}

/// The three networks that look at pixels as HEFs; blendshapes stay on the CPU.
fn models(hefs: &Hefs) -> FaceModels {
    let signed = [1.0 / 127.5, 127.5];
    FaceModels {
        // The outputs the other way round than the decoder wants them: HailoRT promises no order.
        detector: hefs.json(
            "detector.hef",
            &hef(
                "face_detection_short_range.onnx",
                [128, 3],
                signed,
                &[("scores", [1, 896, 1]), ("regressors", [1, 896, 16])],
            ),
        ),
        landmarks: hefs.json(
            "landmarks.hef",
            &hef(
                "face_landmarks_478.onnx",
                [256, 3],
                [1.0 / 255.0, 0.0],
                &[("presence_logit", [1, 1, 1]), ("landmarks", [1, 1, 1434])],
            ),
        ),
        emotion: hefs.json(
            "emotion.hef",
            &hef("emotion_fer7_64.onnx", [64, 1], signed, &[("emotions", [1, 1, 7])]),
        ),
        ..FaceModels::default()
    }
}

fn options(kind: EngineKind) -> EngineOptions {
    EngineOptions {
        kind,
        threads: 1,
        ..EngineOptions::default()
    }
}

fn loaded(models: &FaceModels, kind: EngineKind) -> FaceNet {
    match FaceNet::load(models, &options(kind)) {
        Ok(net) => net,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_portraits_are_read_as_on_the_cpu() {
    if !on_the_double("the_portraits_are_read_as_on_the_cpu") {
        return;
    }
    let hefs = Hefs::new();
    let mut chip = loaded(&models(&hefs), EngineKind::Hailo);
    assert_eq!((chip.engine(), chip.device().as_str()), (EngineKind::Hailo, "HAILO"));
    let mut cpu = loaded(&FaceModels::default(), EngineKind::Embedded);
    for name in PORTRAITS {
        let frame = Frame::new(&Picture::load(name), PixelFormat::Rgb, Matrix::Bt601, Range::Full);
        let view = frame.view();
        let (on_chip, on_cpu) = (
            chip.detect(&view, 0.5, 0.3).unwrap(),
            cpu.detect(&view, 0.5, 0.3).unwrap(),
        );
        assert_eq!(on_chip.len(), on_cpu.len(), "{name}");
        assert!((on_chip[0].score - on_cpu[0].score).abs() < 0.01);
        let roi = Roi::from_detection(&on_cpu[0]);
        let (a, b) = (chip.mesh(&view, &roi).unwrap(), cpu.mesh(&view, &roi).unwrap());
        assert!((a.presence - b.presence).abs() < 0.01, "{name}");
        for (a, b) in a.points.iter().zip(&b.points) {
            assert!(
                (a[0] - b[0]).abs() < 0.5 && (a[1] - b[1]).abs() < 0.5,
                "{name}: {a:?} {b:?}"
            );
        }
        let (a, b) = (
            chip.emotion(&view, on_cpu[0].bbox).unwrap(),
            cpu.emotion(&view, on_cpu[0].bbox).unwrap(),
        );
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.01),
            "{name}: {a:?} {b:?}"
        );
    }
}

#[test]
fn five_emotions_find_their_places_and_grey_fills_three_channels() {
    if !on_the_double("five_emotions_find_their_places_and_grey_fills_three_channels") {
        return;
    }
    let hefs = Hefs::new();
    // Output i is byte i of the input: the channels of the first pixels.
    let five = json!({
        "group": "emotion",
        "network": {"affine": [1.0 / 255.0, 0.0]},
        "inputs": [{"name": "net/in", "shape": [128, 128, 3], "scale": 1.0, "zero_point": 0}],
        "outputs": [{"name": "net/out", "shape": [1, 1, 5]}],
    });
    let models = FaceModels {
        emotion: hefs.json("best_model_float32_5class.hef", &five),
        ..FaceModels::default()
    };
    let mut net = loaded(&models, EngineKind::Auto);
    let frame = Frame::new(
        &Picture::load("obama.jpg"),
        PixelFormat::Rgb,
        Matrix::Bt601,
        Range::Full,
    );
    let emotions = net.emotion(&frame.view(), [100.0, 100.0, 400.0, 400.0]).unwrap();
    let of = |name: &str| emotions[EMOTIONS.iter().position(|e| *e == name).unwrap()];
    assert_eq!((of("fear"), of("sad")), (0.0, 0.0), "it does not know them");
    assert!(of("angry") > 0.0);
    assert_eq!(
        (of("angry"), of("angry")),
        (of("disgust"), of("happy")),
        "one pixel, three channels"
    );
    assert_eq!(of("neutral"), of("surprise"), "the next pixel");
}

#[test]
fn scrfd_is_known_by_its_nine_outputs() {
    if !on_the_double("scrfd_is_known_by_its_nine_outputs") {
        return;
    }
    let hefs = Hefs::new();
    let outputs: Vec<Value> = [80, 40, 20]
        .iter()
        .flat_map(|side| {
            [20, 2, 8].map(|channels| json!({"name": format!("{side}/{channels}"), "shape": [side, side, channels]}))
        })
        .collect();
    let scrfd = |outputs: &[Value]| {
        json!({
            "group": "scrfd",
            "network": {"affine": [1.0 / 255.0, 0.0]},
            "inputs": [{"name": "net/in", "shape": [640, 640, 3], "scale": 1.0, "zero_point": 0}],
            "outputs": outputs,
        })
    };
    let models = |name: &str, outputs: &[Value]| FaceModels {
        detector: hefs.json(name, &scrfd(outputs)),
        ..FaceModels::default()
    };
    let mut net = loaded(&models("scrfd_2.5g.hef", &outputs), EngineKind::Hailo);
    // A white square at the corner, which letterboxing leaves where it is: anchors there have scores of 1 and distances of 1.
    let (width, height) = (640, 640);
    let white = |i: usize| if i % width < 16 && i / width < 16 { 255 } else { 0 };
    let rgb = (0..width * height).flat_map(|i| [white(i); 3]).collect();
    let frame = Frame::new(
        &Picture { width, height, rgb },
        PixelFormat::Rgb,
        Matrix::Bt601,
        Range::Full,
    );
    let faces = net.detect(&frame.view(), 0.5, 0.4).unwrap();
    assert!(!faces.is_empty());
    assert!(
        faces
            .iter()
            .all(|face| (face.score - 1.0).abs() < 1e-3 && face.bbox.iter().all(|v| v.is_finite()))
    );
    // One output less is no detector that we know.
    match FaceNet::load(&models("other.hef", &outputs[..8]), &options(EngineKind::Hailo)) {
        Err(EngineError::ModelShape { expected, found, .. }) => {
            assert!(
                expected.contains("scores/8") && found.contains("640"),
                "{expected} / {found}"
            );
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("loaded"),
    }
}

#[test]
fn lightface_is_known_by_its_eight_outputs() {
    if !on_the_double("lightface_is_known_by_its_eight_outputs") {
        return;
    }
    let hefs = Hefs::new();
    // Boxes before scores: the order of the outputs does not matter.
    let outputs: Vec<Value> = [(40, 30, 3), (20, 15, 2), (10, 8, 2), (5, 4, 3)]
        .iter()
        .flat_map(|(w, h, anchors)| {
            [4 * anchors, 2 * anchors]
                .map(|channels| json!({"name": format!("{w}/{channels}"), "shape": [h, w, channels]}))
        })
        .collect();
    let hef = |outputs: &[Value]| {
        json!({
            "group": "lightface_slim",
            "network": {"affine": [1.0 / 255.0, 0.0]},
            "inputs": [{"name": "net/in", "shape": [240, 320, 3], "scale": 1.0, "zero_point": 0}],
            "outputs": outputs,
        })
    };
    let models = |name: &str, outputs: &[Value]| FaceModels {
        detector: hefs.json(name, &hef(outputs)),
        ..FaceModels::default()
    };
    let mut net = loaded(&models("lightface_slim.hef", &outputs), EngineKind::Hailo);
    // The outputs repeat the picture's bytes. The one that is white is the second of its pair, a logit of 1 for a face; all
    // other pairs hold zeros, thus 0.5.
    let (width, height) = (320, 240);
    let mut rgb = vec![0; width * height * 3];
    rgb[7] = 255;
    let frame = Frame::new(
        &Picture { width, height, rgb },
        PixelFormat::Rgb,
        Matrix::Bt601,
        Range::Full,
    );
    let faces = net.detect(&frame.view(), 0.6, 0.3).unwrap();
    assert!(!faces.is_empty());
    assert!(faces.iter().all(|face| (face.score - 0.731).abs() < 0.01), "{faces:?}");
    match FaceNet::load(&models("other.hef", &outputs[1..]), &options(EngineKind::Hailo)) {
        Err(EngineError::ModelShape { expected, .. }) => assert!(expected.contains("scores/64"), "{expected}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("loaded"),
    }
}

#[test]
fn a_hailo_without_a_hef_is_refused_and_a_cpu_takes_none() {
    let error = match FaceNet::load(&FaceModels::default(), &options(EngineKind::Hailo)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("loaded"),
    };
    assert!(
        error.contains("none of the models is a HEF") && error.contains("scrfd"),
        "{error}"
    );
    let models = FaceModels {
        detector: ModelSource::File("/nowhere/scrfd.hef".into()),
        emotion: ModelSource::File("/nowhere/emotion.onnx".into()),
        ..FaceModels::default()
    };
    let cpu = models.on_cpu();
    assert_eq!(cpu.detector, FaceModels::default().detector);
    assert_eq!(cpu.emotion, models.emotion, "an ONNX file stays");
}
