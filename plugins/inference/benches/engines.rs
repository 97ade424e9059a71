//! What tracking a face costs: preprocessing per pixel format, each network in each engine, and the sum.
//!
//! `cargo bench -p nunchi-inference`. Times are medians of CPU time over all threads of the process, in milliseconds, so
//! that a busy machine tells the same as an idle one; wall time is printed beside them. An engine whose library is
//! missing is named and left out.

#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]

mod clock;

use std::time::Instant;

use clock::cpu_time;
use nunchi_inference::engine::{DataType, EngineKind, EngineOptions, Layout, Precision, TensorInfo, TensorRef, load};
use nunchi_inference::face::{FaceModels, FaceNet, Roi};
use nunchi_inference::frame::{FrameView, Matrix, PixelFormat, Plane, Range};
use nunchi_inference::models;
use nunchi_inference::preprocess::{Channels, Sampling, Scaling, fill_nchw_f32};
use nunchi_inference::ssd::{Decoder, Setup};

const ENGINES: [EngineKind; 3] = [EngineKind::OpenVino, EngineKind::OnnxRuntime, EngineKind::Embedded];
const ROUNDS: usize = 60;
const SIZE: (u32, u32) = (1280, 720);

/// Median CPU and wall time of one call, ms.
fn measure(mut call: impl FnMut()) -> (f64, f64) {
    (0..10).for_each(|_| call());
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (cpu_start, start) = (cpu_time(), Instant::now());
        call();
        wall.push(start.elapsed().as_secs_f64() * 1e3);
        cpu.push((cpu_time() - cpu_start) as f64 / 1e6);
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (median(cpu), median(wall))
}

fn memory(format: PixelFormat) -> Vec<(Vec<u8>, usize)> {
    let planes = (0..format.planes()).map(|plane| {
        let (row, rows) = format.plane_size(plane, SIZE.0, SIZE.1);
        ((0..row * rows).map(|i| (i * 31 % 251) as u8).collect(), row)
    });
    planes.collect()
}

fn view(format: PixelFormat, memory: &[(Vec<u8>, usize)]) -> FrameView<'_> {
    let planes: Vec<_> = memory
        .iter()
        .map(|(data, stride)| Plane { data, stride: *stride })
        .collect();
    FrameView::new(format, SIZE.0, SIZE.1, &planes, Matrix::Bt709, Range::Limited).expect("planes of the right size")
}

fn preprocessing() {
    println!("preprocessing a {}x{} frame, ms CPU (wall)", SIZE.0, SIZE.1);
    println!("{:<8}{:>24}{:>24}", "format", "rotated crop 256", "letterbox 128");
    for format in PixelFormat::ALL {
        let memory = memory(format);
        let frame = view(format, &memory);
        let crop = Sampling::rotated_square(640.0, 360.0, 420.0, 0.3, 256);
        let (letterbox, _) = Sampling::letterbox(SIZE, 128);
        let run = |sampling: Sampling, side: usize| {
            let mut tensor = vec![0.0; 3 * side * side];
            measure(|| {
                // Ten at a time: one is too short for the clock.
                for _ in 0..10 {
                    fill_nchw_f32(
                        &frame,
                        &sampling,
                        (side, side),
                        Channels::Rgb,
                        Scaling::UNIT,
                        &mut tensor,
                    )
                    .expect("a tensor of the right size");
                }
            })
        };
        let cell = |(cpu, wall): (f64, f64)| format!("{:.3} ({:.3})", cpu / 10.0, wall / 10.0);
        println!(
            "{:<8}{:>24}{:>24}",
            format!("{format:?}"),
            cell(run(crop, 256)),
            cell(run(letterbox, 128))
        );
    }
}

/// Heads of SSD300 as a picture gives them and of noise, where an eighth of all scores is above the threshold.
fn decoding() {
    let info = |name: &str, shape: &[usize]| TensorInfo {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data_type: DataType::F32,
        layout: Layout::Plain,
        quantisation: None,
    };
    let outputs = [info("ploc", &[1, 4, 8732]), info("plabel", &[1, 81, 8732])];
    let inputs = [info("image", &[1, 3, 300, 300])];
    let mut decoder = Decoder::new(&inputs, &outputs, &Setup::default(), "made up").expect("an SSD300");
    let limits = decoder.default_limits();
    let mut state = 1u32;
    let mut noise = |scale: f32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * scale
    };
    let boxes: Vec<f32> = (0..4 * 8732).map(|_| noise(2.0)).collect();
    let scores: Vec<f32> = (0..81 * 8732).map(|_| noise(4.0)).collect();
    // The background 12 above the rest, but for every hundredth anchor.
    let mut picture = scores.clone();
    for (anchor, background) in picture[..8732].iter_mut().enumerate() {
        *background = if anchor % 100 == 0 { 0.0 } else { 12.0 };
    }
    println!("\ndecoding the heads of SSD300, ms CPU (wall)");
    for (name, scores) in [("a picture", &picture), ("noise", &scores)] {
        let (cpu, wall) = measure(|| {
            for _ in 0..10 {
                let outputs = [TensorRef::F32(&boxes), TensorRef::F32(scores)];
                decoder.decode(&outputs, 0, SIZE, &limits).expect("sound heads");
            }
        });
        println!("{name:<12}{:.3} ({:.3})", cpu / 10.0, wall / 10.0);
    }
}

fn main() {
    preprocessing();
    decoding();
    let memory = memory(PixelFormat::I420);
    let frame = view(PixelFormat::I420, &memory);
    let roi = Roi {
        cx: 640.0,
        cy: 360.0,
        size: 420.0,
        rotation: 0.1,
    };
    for threads in [1, 2] {
        println!("\n{threads} thread(s), ms CPU (wall)");
        let head = ["detector", "landmarks", "blendshapes", "emotion", "track one face"];
        println!("{:<12}{}", "engine", head.map(|name| format!("{name:>18}")).concat());
        let mut fastest = None;
        for kind in ENGINES {
            let options = EngineOptions {
                kind,
                threads,
                precision: Precision::F32,
                ..EngineOptions::default()
            };
            let mut net = match FaceNet::load(&FaceModels::default(), &options) {
                Ok(net) => net,
                Err(error) => {
                    println!("{kind:<12}  {error}");
                    continue;
                }
            };
            let cell = |(cpu, wall): (f64, f64)| format!("{:>18}", format!("{cpu:.2} ({wall:.2})"));
            let sources = [
                models::face_detector(),
                models::face_landmarks(),
                models::face_blendshapes(),
                models::face_emotion(),
            ];
            let mut row = format!("{:<12}", kind.as_str());
            for source in sources {
                let mut network = load(&source, &options).expect("loaded a moment ago");
                row += &cell(measure(|| network.infer(0).expect("an inference")));
            }
            let track = measure(|| {
                let mesh = net.mesh(&frame, &roi).expect("landmarks");
                net.blendshapes(&mesh).expect("blendshapes");
            });
            let best = *fastest.get_or_insert(track.0);
            println!("{row}{}  {:.2}x", cell(track), track.0 / best);
        }
    }
}
