//! What following one face, or one person, through the frames of a file costs without an element: the other side of the
//! comparison with hailoface and hailopose. And what the bare network of objects costs, for cudassd.
//!
//! `NUNCHI_BENCH_FACE=file` names raw I420 frames of 1280x720 that show one face, `NUNCHI_BENCH_BODY=file` such of 480x600
//! that show one person, `NUNCHI_BENCH_OBJECTS=count` a number of inferences. Prints the mean CPU time of a frame with OpenVINO on one thread,
//! reading the file left out; of objects the network alone, neither preparing its input nor reading its outputs.

#![allow(clippy::print_stdout, reason = "the figure is what a benchmark is for")]

mod clock;

use std::ffi::OsStr;
use std::io::Read as _;
use std::time::Duration;

use clock::cpu_time;
use nunchi_inference::engine::{EngineKind, EngineOptions, Precision, load};
use nunchi_inference::face::{FaceModels, FaceNet, Roi};
use nunchi_inference::frame::{FrameView, Matrix, PixelFormat, Plane, Range};
use nunchi_inference::models;
use nunchi_inference::pose::{Limits, PoseNet};

const BOUND: Duration = Duration::from_secs(60);

fn options() -> EngineOptions {
    EngineOptions {
        kind: EngineKind::OpenVino,
        threads: 1,
        precision: Precision::F32,
        ..EngineOptions::default()
    }
}

/// Mean CPU time of `analyse` over the frames of a file, ms a frame. It tells whether it found somebody.
fn follow(path: &OsStr, (width, height): (usize, usize), mut analyse: impl FnMut(&FrameView<'_>) -> bool) -> f64 {
    let mut file = std::fs::File::open(path).expect("the file of frames");
    let mut bytes = vec![0; width * height * 3 / 2];
    let (mut frames, mut found, mut spent) = (0u32, 0u32, 0);
    while file.read_exact(&mut bytes).is_ok() {
        let (luma, chroma) = bytes.split_at(width * height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let planes = [(luma, width), (u, width / 2), (v, width / 2)].map(|(data, stride)| Plane { data, stride });
        let (w, h) = (width as u32, height as u32);
        let frame = FrameView::new(PixelFormat::I420, w, h, &planes, Matrix::Bt709, Range::Limited)
            .expect("planes of the right size");
        let start = cpu_time();
        found += u32::from(analyse(&frame));
        spent += cpu_time() - start;
        frames += 1;
    }
    assert!(
        found > 0 && found + 10 > frames,
        "somebody in {found} of {frames} frames"
    );
    spent as f64 / 1e6 / f64::from(frames)
}

/// The detector only where the face jumps.
fn face(path: &OsStr) -> f64 {
    let mut net = FaceNet::load(&FaceModels::default(), &options()).expect("OpenVINO");
    let mut roi = None;
    follow(path, (1280, 720), |frame| {
        let followed = roi.map(|roi| net.mesh(frame, &roi).expect("landmarks"));
        let mesh = followed.filter(|mesh| mesh.presence >= 0.5).or_else(|| {
            let faces = net.detect(frame, 0.5, 0.3).expect("an inference");
            let first = net
                .mesh(frame, &Roi::from_detection(faces.first()?))
                .expect("landmarks");
            Some(net.mesh(frame, &Roi::from_landmarks(&first.points)).expect("landmarks"))
        });
        if let Some(mesh) = &mesh {
            net.blendshapes(mesh).expect("blendshapes");
        }
        roi = mesh.map(|mesh| Roi::from_landmarks(&mesh.points));
        roi.is_some()
    })
}

fn body(path: &OsStr) -> f64 {
    let mut net = PoseNet::load(&models::body_pose(), &options()).expect("OpenVINO");
    let limits = Limits {
        score: 0.3,
        iou: 0.5,
        keypoint: 0.3,
        people: 1,
    };
    follow(path, (480, 600), |frame| {
        !net.find(frame, &limits).expect("an inference").is_empty()
    })
}

/// The network alone, ms an inference.
fn objects(count: u32) -> f64 {
    let mut network = load(&models::object_detector(), &options()).expect("OpenVINO");
    let mut infer = || {
        network.submit(0).expect("an inference");
        network.complete(0, BOUND).expect("an inference");
    };
    (0..10).for_each(|_| infer());
    let start = cpu_time();
    (0..count).for_each(|_| infer());
    (cpu_time() - start) as f64 / 1e6 / f64::from(count)
}

fn main() {
    if let Some(count) = std::env::var_os("NUNCHI_BENCH_OBJECTS") {
        let count = count.to_str().and_then(|count| count.parse().ok()).expect("a number");
        println!("follow {:.4} ms CPU a frame", objects(count));
    }
    for (variable, measure) in [
        ("NUNCHI_BENCH_FACE", face as fn(&OsStr) -> f64),
        ("NUNCHI_BENCH_BODY", body),
    ] {
        if let Some(path) = std::env::var_os(variable) {
            println!("follow {:.4} ms CPU a frame", measure(&path));
        }
    }
}
