//! The face networks against an independent implementation: every engine, every pixel format.

mod common;

use common::{ENGINES, Frame, Golden, GoldenFace, NO_FACES, PORTRAITS, Picture, face_net, goldens};
use nunchi_inference::engine::EngineKind;
use nunchi_inference::face::{FaceNet, Mesh, Roi, eye_closedness, smile};
use nunchi_inference::frame::{Matrix, PixelFormat, Range};

/// Largest distance of a landmark, in pixels, and largest difference of a score.
const PIXELS: f32 = 1.0;
const SCORE: f32 = 0.02;
/// Largest distance of a landmark after our own detection, and of a corner of the detector's box, as parts of the face's width,
/// where the frame does not hold the picture's colours as they are (4:2:0, 4:2:2). The detector sees the whole picture in 128
/// pixels, and landmarks follow their region: the reference's own landmarks move by 1.3 pixels when its input goes through
/// 4:2:0. Of RGB the landmarks are within [`PIXELS`] after our own detection too.
const CHAIN: f32 = 0.01;

/// The largest differences seen, and everything beyond the bounds.
struct Report {
    /// Bounds of a score, and of a landmark after our own detection in pixels.
    score_limit: f32,
    chain_limit: f32,
    bbox: f32,
    landmarks: f32,
    chain: f32,
    depth: f32,
    scores: f32,
    wrong: Vec<String>,
}

impl Report {
    fn new(format: PixelFormat, golden: &GoldenFace) -> Self {
        use PixelFormat::{Bgr, Bgrx, Rgb, Rgbx, Xbgr, Xrgb};
        let exact = matches!(format, Rgb | Bgr | Rgbx | Bgrx | Xrgb | Xbgr);
        let chain_limit = if exact {
            PIXELS
        } else {
            CHAIN * (golden.bbox[2] - golden.bbox[0])
        };
        Self {
            score_limit: SCORE,
            chain_limit,
            bbox: 0.0,
            landmarks: 0.0,
            chain: 0.0,
            depth: 0.0,
            scores: 0.0,
            wrong: Vec::new(),
        }
    }

    fn score(&mut self, what: &str, found: f32, golden: f32) {
        let difference = (found - golden).abs();
        self.scores = self.scores.max(difference);
        if difference.is_nan() || difference > self.score_limit {
            self.wrong.push(format!("{what}: {found}, reference {golden}"));
        }
    }

    fn mesh(&mut self, what: &str, mesh: &Mesh, golden: &[f32]) {
        assert_eq!((mesh.points.len(), golden.len()), (478, 2 * 478));
        let (golden, _) = golden.as_chunks::<2>();
        let distances = mesh
            .points
            .iter()
            .zip(golden)
            .map(|([x, y, _], golden)| (x - golden[0]).hypot(y - golden[1]));
        let (index, distance) = distances.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        self.landmarks = self.landmarks.max(distance);
        if distance.is_nan() || distance > PIXELS {
            self.wrong
                .push(format!("{what}: landmark {index} is {distance} pixels off"));
        }
    }

    fn chain(&mut self, what: &str, mesh: &Mesh, golden: &GoldenFace) {
        let (index, distance) = farthest(mesh, &golden.mesh);
        self.chain = self.chain.max(distance);
        if distance.is_nan() || distance > self.chain_limit {
            self.wrong
                .push(format!("{what}, chained: landmark {index} is {distance} pixels off"));
        }
    }

    fn print(&self, what: &str) {
        let Self {
            bbox,
            landmarks,
            chain,
            depth,
            scores,
            wrong,
            ..
        } = self;
        eprintln!(
            "{what}: box {bbox:.3} px, landmarks {landmarks:.3} px, chained {chain:.3} px, depth {depth:.3} px, scores {scores:.4}"
        );
        wrong.iter().for_each(|line| eprintln!("WRONG {line}"));
    }
}

/// The landmark that is farthest from the reference, and its distance in pixels.
fn farthest(mesh: &Mesh, golden: &[f32]) -> (usize, f32) {
    assert_eq!((mesh.points.len(), golden.len()), (478, 2 * 478));
    let (golden, _) = golden.as_chunks::<2>();
    let distances = mesh
        .points
        .iter()
        .zip(golden)
        .map(|([x, y, _], golden)| (x - golden[0]).hypot(y - golden[1]));
    distances.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

fn compare(net: &mut FaceNet, frame: &Frame, golden: &GoldenFace, what: &str, report: &mut Report) {
    let view = frame.view();
    let found = net.detect(&view, 0.5, 0.3).unwrap();
    assert_eq!(found.len(), 1, "{what}: {found:?}");
    let face = &found[0];
    report.score(&format!("{what}, detector"), face.score, golden.score);
    // The box moves more than the landmarks that follow from it.
    let box_limit = report.chain_limit.max(CHAIN * (golden.bbox[2] - golden.bbox[0]));
    let positions = face.bbox.iter().chain(face.keypoints.iter().flatten());
    for (found, golden) in positions.zip(golden.bbox.iter().chain(&golden.keypoints)) {
        report.bbox = report.bbox.max((found - golden).abs());
        if (found - golden).abs() > box_limit {
            report
                .wrong
                .push(format!("{what}, box or keypoint: {found}, reference {golden}"));
        }
    }

    // From the reference's own regions, so that each network is judged by itself.
    let roi = |[cx, cy, size, rotation]: [f32; 4]| Roi { cx, cy, size, rotation };
    let first = net.mesh(&view, &roi(golden.first_roi)).unwrap();
    report.mesh(&format!("{what}, first pass"), &first, &golden.first_mesh);
    report.score(
        &format!("{what}, first presence"),
        first.presence,
        golden.first_presence,
    );
    let mesh = net.mesh(&view, &roi(golden.roi)).unwrap();
    report.mesh(what, &mesh, &golden.mesh);
    report.score(&format!("{what}, presence"), mesh.presence, golden.presence);
    for (point, golden) in mesh.points.iter().zip(&golden.depth) {
        report.depth = report.depth.max((point[2] - golden).abs());
        if (point[2] - golden).abs() > PIXELS {
            report
                .wrong
                .push(format!("{what}, depth: {point:?}, reference {golden}"));
        }
    }
    let blendshapes = net.blendshapes(&mesh).unwrap();
    for (index, (found, golden)) in blendshapes.iter().zip(&golden.blendshapes).enumerate() {
        report.score(&format!("{what}, blendshape {index}"), *found, *golden);
    }
    let emotion = net.emotion(&view, golden.bbox).unwrap();
    for (index, (found, golden)) in emotion.iter().zip(&golden.emotion).enumerate() {
        report.score(&format!("{what}, emotion {index}"), *found, *golden);
    }

    // The whole chain, from our own detection on. The landmarks follow the region: what the detector's box moves by,
    // they move by in part, so they are measured against the size of the face.
    let first = net.mesh(&view, &Roi::from_detection(face)).unwrap();
    let chained = net.mesh(&view, &Roi::from_landmarks(&first.points)).unwrap();
    report.chain(what, &chained, golden);
}

fn portraits_in_every_format(kind: EngineKind) {
    let mut net = face_net(kind);
    assert_eq!((net.engine(), net.device().as_str()), (kind, "CPU"));
    let goldens = goldens();
    let mut wrong = Vec::new();
    for name in PORTRAITS {
        let picture = Picture::load(name);
        let golden: &Golden = &goldens[name];
        assert_eq!((picture.width, picture.height), (golden.width, golden.height));
        for format in PixelFormat::ALL {
            let grey = format == PixelFormat::Gray8;
            let range = if grey { Range::Full } else { Range::Limited };
            let frame = Frame::new(&picture, format, Matrix::Bt601, range);
            let faces = if grey { &golden.grey } else { &golden.rgb };
            let Some(face) = faces.first() else {
                // The reference sees none in grey either.
                let found = net.detect(&frame.view(), 0.5 + SCORE, 0.3).unwrap();
                assert!(grey && found.is_empty(), "{kind} {name} {format:?}: {found:?}");
                continue;
            };
            let mut report = Report::new(format, face);
            let what = format!("{kind} {name} {format:?}");
            compare(&mut net, &frame, face, &what, &mut report);
            report.print(&what);
            wrong.append(&mut report.wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn openvino_agrees_with_the_reference_in_every_format() {
    portraits_in_every_format(EngineKind::OpenVino);
}

#[test]
fn onnxruntime_agrees_with_the_reference_in_every_format() {
    portraits_in_every_format(EngineKind::OnnxRuntime);
}

#[test]
fn the_embedded_engine_agrees_with_the_reference_in_every_format() {
    portraits_in_every_format(EngineKind::Embedded);
}

#[test]
fn every_matrix_and_range_gives_the_same_face() {
    let mut net = face_net(EngineKind::Embedded);
    let picture = Picture::load("biden.jpg");
    let golden = &goldens()["biden.jpg"].rgb[0];
    for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
        for range in [Range::Limited, Range::Full] {
            let frame = Frame::new(&picture, PixelFormat::Nv12, matrix, range);
            // Another matrix rounds the colours another way, and the emotion network is touchy.
            let exact = Report::new(PixelFormat::Nv12, golden);
            let mut report = Report {
                score_limit: 1.5 * SCORE,
                chain_limit: 1.5 * exact.chain_limit,
                ..exact
            };
            let what = format!("{matrix:?} {range:?}");
            compare(&mut net, &frame, golden, &what, &mut report);
            report.print(&what);
            assert!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
        }
    }
}

#[test]
fn no_face_is_found_where_there_is_none() {
    for kind in ENGINES {
        let mut net = face_net(kind);
        for name in NO_FACES {
            let picture = Picture::load(name);
            for format in [PixelFormat::Rgb, PixelFormat::I420, PixelFormat::Gray8] {
                let frame = Frame::new(&picture, format, Matrix::Bt601, Range::Full);
                let found = net.detect(&frame.view(), 0.5, 0.3).unwrap();
                assert!(found.is_empty(), "{kind} {name} {format:?}: {found:?}");
            }
        }
    }
}

#[test]
fn the_smiling_portrait_smiles_and_the_neutral_one_does_not() {
    let mut net = face_net(EngineKind::Auto);
    for (name, smiles) in [("obama.jpg", true), ("astronaut.png", true), ("biden.jpg", false)] {
        let picture = Picture::load(name);
        let frame = Frame::new(&picture, PixelFormat::I420, Matrix::Bt709, Range::Limited);
        let detection = net.detect(&frame.view(), 0.5, 0.3).unwrap()[0];
        let first = net.mesh(&frame.view(), &Roi::from_detection(&detection)).unwrap();
        let mesh = net.mesh(&frame.view(), &Roi::from_landmarks(&first.points)).unwrap();
        let blendshapes = net.blendshapes(&mesh).unwrap();
        assert_eq!(smile(&blendshapes) > 0.5, smiles, "{name}: {}", smile(&blendshapes));
        let (left, right) = eye_closedness(&blendshapes);
        assert!(left < 0.65 && right < 0.65, "{name}: {left} {right}");
    }
}

#[test]
fn a_region_without_a_face_has_no_presence() {
    let mut net = face_net(EngineKind::Auto);
    let picture = Picture::load("china.jpg");
    let frame = Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full);
    let roi = Roi {
        cx: 320.0,
        cy: 200.0,
        size: 150.0,
        rotation: 0.0,
    };
    assert!(net.mesh(&frame.view(), &roi).unwrap().presence < 0.5);
}

#[test]
fn wild_regions_and_boxes_neither_panic_nor_find_a_face() {
    let mut net = face_net(EngineKind::Auto);
    let picture = Picture::load("biden.jpg");
    let frame = Frame::new(&picture, PixelFormat::Nv12, Matrix::Bt601, Range::Limited);
    let roi = |cx, cy, size, rotation| Roi { cx, cy, size, rotation };
    for wild in [
        roi(f32::NAN, 0.0, 100.0, 0.0),
        roi(0.0, f32::INFINITY, 100.0, 0.0),
        roi(100.0, 100.0, 0.0, 0.0),
        roi(100.0, 100.0, -50.0, 0.0),
        roi(100.0, 100.0, f32::NAN, 0.0),
        roi(100.0, 100.0, 100.0, f32::NAN),
        roi(100.0, 100.0, f32::MAX, 0.0),
        roi(100.0, 100.0, f32::MIN_POSITIVE, 0.0),
        roi(-1e6, -1e6, 100.0, 1.0),
        roi(1e30, -1e30, 1e30, 1.0),
    ] {
        let mesh = net.mesh(&frame.view(), &wild).unwrap();
        assert!(mesh.presence < 0.5, "{wild:?}: {}", mesh.presence);
        assert!(mesh.points.iter().flatten().all(|v| v.is_finite()), "{wild:?}");
    }
    for wild in [
        [f32::NAN; 4],
        [5.0; 4],
        [10.0, 10.0, 0.0, 0.0],
        [0.0, 0.0, f32::INFINITY, 1.0],
    ] {
        assert_eq!(net.emotion(&frame.view(), wild).unwrap(), [0.0; 7]);
    }
    for wild in [[-1e6, -1e6, -1e5, -1e5], [-f32::MAX, -f32::MAX, f32::MAX, f32::MAX]] {
        assert!(
            net.emotion(&frame.view(), wild)
                .unwrap()
                .iter()
                .all(|v| (0.0..=1.0).contains(v))
        );
    }
}

#[test]
fn broken_meshes_have_no_blendshapes() {
    let mut net = face_net(EngineKind::Auto);
    let short = Mesh {
        points: vec![[1.0; 3]; 477].into(),
        presence: 1.0,
    };
    assert!(net.blendshapes(&short).unwrap_err().to_string().contains("477"));
    let broken = Mesh {
        points: vec![[f32::NAN; 3]; 478].into(),
        presence: 1.0,
    };
    assert!(
        net.blendshapes(&broken)
            .unwrap()
            .iter()
            .all(|v| (0.0..=1.0).contains(v))
    );
}

#[test]
fn the_smallest_frames_are_read_without_a_panic() {
    let mut net = face_net(EngineKind::Auto);
    for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5)] {
        let picture = Picture::gradient(width, height);
        for format in PixelFormat::ALL {
            let frame = Frame::new(&picture, format, Matrix::Bt601, Range::Limited);
            net.detect(&frame.view(), 0.5, 0.3).unwrap();
            let roi = Roi {
                cx: 0.0,
                cy: 0.0,
                size: 9.0,
                rotation: 0.3,
            };
            net.mesh(&frame.view(), &roi).unwrap();
            net.emotion(&frame.view(), [-1.0, -1.0, 2.0, 2.0]).unwrap();
        }
    }
}
