//! What surrounds the detector's network on a GPU. The driver and NVRTC are a double that compiles the kernels for the processor and runs
//! them thread by thread, so these are the kernels in source form against the processor's own code. No GPU takes part.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::noise::Noise;
use common::process::in_a_process;
use common::{Frame, Picture};
use nunchi_cuda::{Buffer, Context, Driver, Stream};
use nunchi_inference::engine::{
    DataType, EngineError, EngineKind, EngineOptions, GpuTensors, Layout, ModelSource, Network, TensorInfo, TensorMut,
    TensorRef, load,
};
use nunchi_inference::frame::{DeviceFrame, DevicePlane, Matrix, PixelFormat, Range};
use nunchi_inference::ssd::{Decoder, Detection, Detector, Labels, Limits, Pictures, Resize, Setup};

const CUDA: &str = "NUNCHI_CUDA";
const NVRTC: &str = "NUNCHI_NVRTC";
const BEHAVIOUR: &str = "NVENC_DOUBLE";

/// The double's library: beside the tests, or where `cargo build` puts it. The newer one, so that neither is stale.
fn double() -> String {
    let tests = std::env::current_exe().unwrap();
    let folders = tests.ancestors().skip(1).take(2);
    let built = folders.map(|folder| folder.join("libnvenc_double.so"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = built.filter(|path| path.exists()).max_by_key(age);
    let newest = newest.expect("libnvenc_double.so: run `cargo build --release --workspace`");
    newest.to_str().unwrap().to_owned()
}

#[track_caller]
fn on_the_double(test: &str, behaviour: &str) -> bool {
    let double = double();
    in_a_process(test, &[(CUDA, &double), (NVRTC, &double), (BEHAVIOUR, behaviour)])
}

/// Everything was given back, and used as the driver wants it.
#[track_caller]
fn assert_clean() {
    let ask = |name: &std::ffi::CStr| {
        // SAFETY: the double, which is open; the function takes nothing and gives a number.
        unsafe {
            let library = libloading::Library::new(double()).unwrap();
            library.get::<extern "C" fn() -> usize>(name).unwrap()()
        }
    };
    let (left, misuses) = (ask(c"nvenc_double_objects"), ask(c"nvenc_double_misuses"));
    assert_eq!((left, misuses), (0, 0), "left behind, misuses");
}

fn context(device: u32) -> Arc<Context> {
    Arc::new(Context::of_device(Driver::get().unwrap(), device).unwrap())
}

fn upload(context: &Arc<Context>, bytes: &[u8], to: u64) {
    let stream = Stream::new(context).unwrap();
    // SAFETY: as long; waited for.
    unsafe { stream.upload(bytes, to) }.unwrap();
    stream.synchronize().unwrap();
}

fn download(context: &Arc<Context>, from: u64, bytes: usize) -> Vec<u8> {
    let stream = Stream::new(context).unwrap();
    let mut all = vec![0; bytes];
    // SAFETY: as long; waited for.
    unsafe { stream.download(from, &mut all) }.unwrap();
    stream.synchronize().unwrap();
    all
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Inputs, and the outputs that are fixed.
type Bound = (Arc<Context>, Vec<Buffer>, Vec<Option<Buffer>>);

/// A network whose tensors are on a GPU: another one's, which computes on the processor, or heads that are given.
struct OnGpu {
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    inner: Option<Box<dyn Network>>,
    heads: Vec<Vec<f32>>,
    /// After the tensors of the system, once they are bound.
    memory: Option<Bound>,
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

impl OnGpu {
    fn giving(input: TensorInfo, heads: &[(&str, &[usize], Vec<f32>)]) -> Box<Self> {
        let tensor = |(name, shape, _): &(&str, &[usize], Vec<f32>)| info(name, shape, DataType::F32);
        Box::new(Self {
            inputs: vec![input],
            outputs: heads.iter().map(tensor).collect(),
            inner: None,
            heads: heads.iter().map(|(.., values)| values.clone()).collect(),
            memory: None,
        })
    }

    fn computing(inner: Box<dyn Network>) -> Box<Self> {
        Box::new(Self {
            inputs: inner.inputs().to_vec(),
            outputs: inner.outputs().to_vec(),
            inner: Some(inner),
            heads: Vec::new(),
            memory: None,
        })
    }

    fn failed(reason: &str) -> EngineError {
        EngineError::Inference {
            engine: EngineKind::OnnxRuntime,
            reason: reason.to_owned(),
        }
    }
}

impl Network for OnGpu {
    fn engine(&self) -> EngineKind {
        EngineKind::OnnxRuntime
    }

    fn device(&self) -> &str {
        "CUDA:0"
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn slots(&self) -> usize {
        1
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        match (&self.memory, &mut self.inner) {
            (None, Some(inner)) => inner.input(slot, index),
            _ => Err(Self::failed("the input is on the GPU")),
        }
    }

    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        let Some((context, inputs, outputs)) = &self.memory else {
            return self.inner.as_mut().map_or(Ok(()), |inner| inner.submit(slot));
        };
        if let Some(inner) = &mut self.inner {
            let input = download(context, inputs[0].pointer(), inputs[0].bytes());
            match inner.input(slot, 0)? {
                TensorMut::F32(to) => {
                    let (floats, _) = input.as_chunks::<4>();
                    to.iter_mut()
                        .zip(floats)
                        .for_each(|(to, four)| *to = f32::from_ne_bytes(*four));
                }
                TensorMut::U8(to) => to.copy_from_slice(&input),
                TensorMut::U16(_) => return Err(Self::failed("words")),
            }
            inner.infer(slot)?;
        }
        for (index, output) in outputs.iter().enumerate() {
            let Some(output) = output else { continue };
            let values = match &self.inner {
                None => bytes(&self.heads[index]),
                Some(inner) => match inner.output(slot, index)? {
                    TensorRef::F32(values) => bytes(values),
                    _ => return Err(Self::failed("no floats")),
                },
            };
            upload(context, &values, output.pointer());
        }
        Ok(())
    }

    fn complete(&mut self, slot: usize, timeout: Duration) -> Result<(), EngineError> {
        match (&self.memory, &mut self.inner) {
            (None, Some(inner)) => inner.complete(slot, timeout),
            _ => Ok(()),
        }
    }

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        match (&self.memory, &self.inner) {
            (Some((.., outputs)), _) if outputs[index].is_some() => Err(Self::failed("the output is on the GPU")),
            (_, Some(inner)) => inner.output(slot, index),
            (_, None) => Ok(TensorRef::F32(&self.heads[index])),
        }
    }

    fn gpu(&self) -> Option<u32> {
        Some(0)
    }

    fn bind_to_gpu(&mut self) -> Result<GpuTensors, EngineError> {
        let context = context(0);
        let buffer = |info: &TensorInfo| Buffer::new(&context, info.len() * info.data_type.size()).unwrap();
        let inputs: Vec<_> = self.inputs.iter().map(buffer).collect();
        // Lists whose length only the inference tells stay where they are.
        let fixed = |info: &TensorInfo| (!info.is_empty() && info.data_type == DataType::F32).then(|| buffer(info));
        let outputs: Vec<_> = self.outputs.iter().map(fixed).collect();
        let tensors = GpuTensors {
            inputs: inputs.iter().map(Buffer::pointer).collect(),
            outputs: outputs
                .iter()
                .map(|output| output.as_ref().map(Buffer::pointer))
                .collect(),
        };
        self.memory = Some((context, inputs, outputs));
        Ok(tensors)
    }
}

/// A frame in memory of a GPU.
struct Uploaded {
    _planes: Vec<Buffer>,
    frame: DeviceFrame,
}

impl Uploaded {
    fn new(frame: &Frame, device: u32, missing: usize) -> Self {
        let context = context(device);
        let plane = |(data, stride): &(Vec<u8>, usize)| {
            let data = &data[..data.len() - missing];
            let buffer = Buffer::new(&context, data.len()).unwrap();
            upload(&context, data, buffer.pointer());
            let pointer = buffer.pointer();
            (
                buffer,
                DevicePlane {
                    pointer,
                    stride: *stride,
                },
            )
        };
        let (buffers, planes): (Vec<_>, Vec<_>) = frame.planes.iter().map(plane).unzip();
        let (format, matrix, range) = (frame.format, frame.matrix, frame.range);
        // SAFETY: memory of the double, which the result keeps.
        let frame = unsafe { DeviceFrame::new(format, frame.width, frame.height, &planes, matrix, range) };
        Self {
            _planes: buffers,
            frame: frame.unwrap(),
        }
    }
}

/// SSD300's heads with a small picture.
fn ssd300(input: TensorInfo, batch: usize) -> Box<OnGpu> {
    let (boxes, scores) = ([batch, 4, 8732], [batch, 81, 8732]);
    OnGpu::giving(
        input,
        &[
            ("ploc", &boxes, vec![0.0; batch * 4 * 8732]),
            ("plabel", &scores, vec![0.0; batch * 81 * 8732]),
        ],
    )
}

fn over(network: Box<OnGpu>, setup: &Setup) -> Detector {
    let detector = Detector::over(network, setup, "double").unwrap();
    assert_eq!(detector.note(), None);
    assert!(detector.takes_device_frames());
    detector
}

/// A picture with structure in every channel.
fn noise(width: usize, height: usize) -> Picture {
    let values = Noise::new(7).floats(3 * width * height, 128.0);
    let rgb = values.into_iter().map(|value| (value + 128.0) as u8).collect();
    Picture { width, height, rgb }
}

/// What the processor makes of frames, and what the kernels make of the same.
fn assert_fills_alike(shape: &[usize], data_type: DataType, resize: Resize, sizes: &[(usize, usize)]) {
    let setup = Setup {
        preprocess: nunchi_inference::ssd::Changes {
            resize: Some(resize),
            ..Default::default()
        },
        ..Setup::default()
    };
    let mut detector = over(ssd300(info("image", shape, data_type), 2), &setup);
    for &(width, height) in sizes {
        let picture = noise(width, height);
        for (index, format) in PixelFormat::ALL.into_iter().enumerate() {
            let matrix = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020][index % 3];
            let range = [Range::Limited, Range::Full][index % 2];
            let frame = Frame::new(&picture, format, matrix, range);
            // On the network's GPU, or on another one.
            let uploaded = Uploaded::new(&frame, index as u32 % 2, 13);
            detector.fill(0, 0, &frame.view()).unwrap();
            detector.fill(0, 1, &uploaded.frame).unwrap();
            let what = format!("{shape:?} {data_type:?} {resize:?} {width}x{height} {format:?}");
            // To the bit: no product is fused with a sum in either.
            let (host, device) = match detector.pictures(0).unwrap() {
                Pictures::F32(mut all) => {
                    let device = all.split_off(all.len() / 2);
                    (all, device)
                }
                Pictures::U8(all) => {
                    let mut all: Vec<_> = all.into_iter().map(f32::from).collect();
                    let device = all.split_off(all.len() / 2);
                    (all, device)
                }
            };
            assert!(width * height == 1 || host.iter().any(|v| *v != host[0]), "{what}");
            assert_eq!(host, device, "{what}");
        }
    }
}

#[test]
fn frames_are_sampled_as_on_the_processor() {
    if !on_the_double("frames_are_sampled_as_on_the_processor", "devices=2") {
        return;
    }
    let sizes = [(64, 48), (31, 77), (9, 5), (1, 1), (2, 1), (1, 3)];
    for resize in [Resize::Stretch, Resize::CentreCrop] {
        assert_fills_alike(&[2, 3, 20, 24], DataType::F32, resize, &sizes);
        assert_fills_alike(&[2, 24, 20, 3], DataType::F32, resize, &sizes[..2]);
        assert_fills_alike(&[2, 24, 20, 3], DataType::U8, resize, &sizes[..3]);
    }
    assert_clean();
}

fn limits(score_threshold: f32, iou_threshold: f32, per_class: usize, max_detections: usize) -> Limits {
    Limits {
        score_threshold,
        iou_threshold,
        per_class,
        max_detections,
        classes: Vec::new(),
    }
}

#[track_caller]
fn assert_same(found: &[Detection], expected: &[Detection], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert_eq!(a.class, b.class, "{what} {index}");
        let values = |d: &Detection| [d.score, d.rect[0], d.rect[1], d.rect[2], d.rect[3]];
        for (x, y) in values(a).into_iter().zip(values(b)) {
            assert!((x - y).abs() <= 1e-6, "{what} {index}: {x} {y}");
        }
    }
}

const SIZE: (u32, u32) = (640, 480);

/// Has heads of two pictures read on the double and on the processor, and gives how many objects there were.
fn assert_decodes_alike(heads: &[(&str, &[usize], Vec<f32>)], input: &[usize], wanted: &Limits) -> usize {
    let input = info("image", input, DataType::F32);
    let outputs: Vec<_> = heads
        .iter()
        .map(|(name, shape, _)| info(name, shape, DataType::F32))
        .collect();
    let mut decoder = Decoder::new(std::slice::from_ref(&input), &outputs, &Setup::default(), "processor").unwrap();
    let mut detector = over(OnGpu::giving(input, heads), &Setup::default());
    let frame = Frame::new(&Picture::gradient(8, 8), PixelFormat::Rgb, Matrix::Bt601, Range::Full);
    for index in 0..2 {
        detector.fill(0, index, &frame.view()).unwrap();
    }
    detector.submit(0).unwrap();
    // Both have wishes of their own.
    let other = Limits {
        classes: vec![0, 3, 5],
        ..wanted.clone()
    };
    let wishes = [wanted, &other];
    let found = detector.finish_each(0, &wishes.map(|wish| (SIZE, wish))).unwrap();
    let tensors: Vec<_> = heads.iter().map(|(.., values)| TensorRef::F32(values)).collect();
    let mut objects = 0;
    for (index, found) in found.into_iter().enumerate() {
        let expected = decoder.decode(&tensors, index, SIZE, wishes[index]);
        let what = format!("{} {:?} picture {index}", heads[0].0, wishes[index]);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_same(&found, &expected, &what);
                objects += found.len();
            }
            (Err(found), Err(expected)) => assert!(found.to_string().contains(&expected), "{found} {expected}"),
            (found, expected) => panic!("{what}: {found:?}, {expected:?}"),
        }
    }
    assert_eq!(detector.dropped(), decoder.dropped());
    objects
}

fn both(seed: u32, values: usize, scale: f32) -> Vec<f32> {
    Noise::new(seed).floats(2 * values, scale)
}

#[test]
fn heads_are_decoded_as_on_the_processor() {
    if !on_the_double("heads_are_decoded_as_on_the_processor", "") {
        return;
    }
    let ssd300 = |scale| {
        [
            ("ploc", &[2, 4, 8732][..], both(11, 4 * 8732, 2.0)),
            ("plabel", &[2, 81, 8732][..], both(12, 81 * 8732, scale)),
        ]
    };
    let square = [2, 3, 16, 16];
    let found = [
        assert_decodes_alike(&ssd300(4.0), &square, &limits(0.05, 0.5, 200, 20)),
        assert_decodes_alike(&ssd300(4.0), &square, &limits(0.1, 0.3, 50, 500)),
        assert_decodes_alike(&ssd300(8.0), &square, &limits(0.4, 1.0, 10, 2000)),
        assert_decodes_alike(&ssd300(2.0), &square, &limits(0.9, 0.5, 200, 200)),
    ];
    assert!(found[..3].iter().all(|&count| count > 10), "{found:?}");
    assert_eq!(found[3], 0, "{found:?}");
    // Rows, 91 classes with gaps, boxes cut at the edges.
    let torchvision = [
        ("bbox_regression", &[2, 8732, 4][..], both(13, 4 * 8732, 3.0)),
        ("cls_logits", &[2, 8732, 91][..], both(14, 91 * 8732, 4.0)),
    ];
    assert!(assert_decodes_alike(&torchvision, &square, &limits(0.05, 0.45, 400, 200)) > 20);
    let tf = [
        ("box_encodings", &[2, 1917, 4][..], both(15, 4 * 1917, 3.0)),
        ("class_logits", &[2, 1917, 91][..], both(16, 91 * 1917, 4.0)),
    ];
    assert!(assert_decodes_alike(&tf, &square, &limits(0.95, 0.6, 100, 100)) > 20);
    let decoded = [
        ("boxes", &[2, 100, 4][..], both(17, 400, 1.0)),
        ("scores", &[2, 100, 90][..], both(18, 9000, 1.0)),
    ];
    // Of corners at random few boxes have an area.
    assert!(assert_decodes_alike(&decoded, &square, &limits(0.7, 0.6, 100, 100)) > 5);
    assert_clean();
}

#[test]
fn equal_scores_keep_the_processors_order() {
    if !on_the_double("equal_scores_keep_the_processors_order", "") {
        return;
    }
    let steps = |values: Vec<f32>| values.into_iter().map(|v| (v * 2.0).round() / 2.0).collect();
    let heads = [
        ("box_encodings", &[2, 1917, 4][..], both(5, 4 * 1917, 0.1)),
        ("class_logits", &[2, 1917, 91][..], steps(both(6, 91 * 1917, 4.0))),
    ];
    assert!(assert_decodes_alike(&heads, &[2, 3, 16, 16], &limits(0.95, 0.9, 60, 300)) > 100);
    assert_clean();
}

#[test]
fn what_has_no_room_is_decoded_on_the_processor() {
    if !on_the_double("what_has_no_room_is_decoded_on_the_processor", "") {
        return;
    }
    // Every anchor for one class: more candidates than are kept. No suppression: more objects.
    let mut scores = vec![0.0; 2 * 81 * 8732];
    scores[3 * 8732..4 * 8732].fill(9.0);
    let crowd = [
        ("ploc", &[2, 4, 8732][..], both(21, 4 * 8732, 1.0)),
        ("plabel", &[2, 81, 8732][..], scores),
    ];
    assert!(assert_decodes_alike(&crowd, &[2, 3, 16, 16], &limits(0.5, 0.5, 200, 100)) > 20);
    let many = [
        ("ploc", &[2, 4, 8732][..], both(11, 4 * 8732, 2.0)),
        ("plabel", &[2, 81, 8732][..], both(12, 81 * 8732, 8.0)),
    ];
    assert!(assert_decodes_alike(&many, &[2, 3, 16, 16], &limits(0.05, 1.0, 2000, 5000)) > 4000);
    assert_clean();
}

#[test]
fn a_picture_without_numbers_fails_alone() {
    if !on_the_double("a_picture_without_numbers_fails_alone", "") {
        return;
    }
    let mut boxes = both(11, 4 * 8732, 2.0);
    let mut scores = both(12, 81 * 8732, 4.0);
    boxes[5] = f32::NAN;
    scores[77] = f32::INFINITY;
    scores[8732 * 81..].fill(f32::NAN);
    let heads = [
        ("ploc", &[2, 4, 8732][..], boxes),
        ("plabel", &[2, 81, 8732][..], scores),
    ];
    assert!(assert_decodes_alike(&heads, &[2, 3, 16, 16], &limits(0.05, 0.5, 200, 200)) > 20);
    assert_clean();
}

/// The small networks of every family, with an inference between.
#[test]
fn whole_detections_agree() {
    if !on_the_double("whole_detections_agree", "devices=2") {
        return;
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ssd");
    let picture = Picture::load("dog.jpg");
    let frame = Frame::new(&picture, PixelFormat::Nv12, Matrix::Bt709, Range::Limited);
    let uploaded = Uploaded::new(&frame, 1, 0);
    let options = EngineOptions {
        kind: EngineKind::Embedded,
        batch: 3,
        ..EngineOptions::default()
    };
    for name in ["ssd300", "tf", "torchvision", "nms-tf", "nms-torchvision"] {
        let model = ModelSource::File(data.join(format!("{name}.onnx")));
        let Ok(network) = load(&model, &options) else {
            panic!("{name}")
        };
        let mut gpu = over(OnGpu::computing(network), &Setup::default());
        let mut processor = Detector::load(&model, &options, &Setup::default()).unwrap();
        let limits = Limits {
            score_threshold: 0.012,
            ..processor.default_limits()
        };
        let count = processor.batch().min(2);
        for index in 0..count {
            processor.fill(0, index, &frame.view()).unwrap();
            match index {
                0 => gpu.fill(0, index, &uploaded.frame).unwrap(),
                _ => gpu.fill(0, index, &frame.view()).unwrap(),
            }
        }
        processor.submit(0).unwrap();
        gpu.submit(0).unwrap();
        let sizes = vec![(frame.width, frame.height); count];
        let expected = processor.finish(0, &sizes, &limits).unwrap();
        let found = gpu.finish(0, &sizes, &limits).unwrap();
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(!expected.is_empty(), "{name} {index}");
            assert_eq!(found.len(), expected.len(), "{name} {index}");
            for (a, b) in found.iter().zip(expected) {
                let near = (0..4).all(|i| (a.rect[i] - b.rect[i]).abs() < 2e-3);
                assert!(
                    a.class == b.class && near && (a.score - b.score).abs() < 2e-3,
                    "{a:?} {b:?}"
                );
            }
        }
    }
    drop(uploaded);
    assert_clean();
}

#[test]
fn pictures_move_to_a_smaller_batch() {
    if !on_the_double("pictures_move_to_a_smaller_batch", "") {
        return;
    }
    let picture = |batch: usize| info("image", &[batch, 3, 20, 24], DataType::F32);
    let mut large = over(ssd300(picture(2), 2), &Setup::default());
    let mut small = over(ssd300(picture(1), 1), &Setup::default());
    let frame = Frame::new(&noise(40, 30), PixelFormat::Rgb, Matrix::Bt601, Range::Full);
    large.fill(0, 1, &frame.view()).unwrap();
    let Pictures::F32(before) = large.pictures(0).unwrap() else {
        panic!("bytes")
    };
    small.put(0, 0, &Pictures::F32(before.clone()), 1).unwrap();
    let Pictures::F32(after) = small.pictures(0).unwrap() else {
        panic!("bytes")
    };
    assert_eq!(after, before[before.len() / 2..]);
    small.submit(0).unwrap();
    assert!(small.put(0, 0, &Pictures::F32(before.clone()), 2).is_err());
    assert!(small.put(0, 1, &Pictures::F32(before), 0).is_err());
    drop((large, small));
    assert_clean();
}

#[test]
fn a_frame_on_the_gpu_replaces_what_the_processor_put_there() {
    if !on_the_double("a_frame_on_the_gpu_replaces_what_the_processor_put_there", "devices=2") {
        return;
    }
    let mut detector = over(
        ssd300(info("image", &[1, 3, 20, 24], DataType::F32), 1),
        &Setup::default(),
    );
    let frame = |level: u8| {
        let picture = Picture {
            width: 8,
            height: 8,
            rgb: vec![level; 8 * 8 * 3],
        };
        Frame::new(&picture, PixelFormat::Rgb, Matrix::Bt601, Range::Full)
    };
    let uploaded = Uploaded::new(&frame(200), 1, 0);
    detector.fill(0, 0, &frame(10).view()).unwrap();
    detector.fill(0, 0, &uploaded.frame).unwrap();
    let Pictures::F32(all) = detector.pictures(0).unwrap() else {
        panic!("bytes")
    };
    assert!(all.iter().all(|&value| value > 0.5), "{:?}", &all[..4]);
    drop((detector, uploaded));
    assert_clean();
}

#[test]
fn frames_that_hold_less_than_their_size_are_refused() {
    if !on_the_double("frames_that_hold_less_than_their_size_are_refused", "") {
        return;
    }
    let mut detector = over(
        ssd300(info("image", &[1, 3, 16, 16], DataType::F32), 1),
        &Setup::default(),
    );
    let frame = Frame::new(&noise(40, 30), PixelFormat::I420, Matrix::Bt601, Range::Full);
    let short = Uploaded::new(&frame, 0, 14);
    let error = detector.fill(0, 0, &short.frame).unwrap_err().to_string();
    assert!(error.contains("plane 0") && error.contains("needed"), "{error}");
    // Nor is an address of the system's memory read on the GPU.
    let planes = [DevicePlane {
        pointer: std::ptr::from_ref(&error).addr() as u64,
        stride: 120,
    }];
    // SAFETY: the test of exactly this: CUDA does not know the address.
    let strange = unsafe { DeviceFrame::new(PixelFormat::Rgb, 40, 30, &planes, Matrix::Bt601, Range::Full) };
    assert!(detector.fill(0, 0, &strange.unwrap()).is_err());
    let nothing = detector.submit(0).unwrap_err().to_string();
    assert!(nothing.contains("nothing was put"), "{nothing}");
    drop((detector, short));
    assert_clean();
}

#[test]
fn without_nvrtc_the_processor_does_its_part() {
    let cuda = double();
    let variables = [(CUDA, cuda.as_str()), (NVRTC, "/nowhere/libnvrtc.so"), (BEHAVIOUR, "")];
    if !in_a_process("without_nvrtc_the_processor_does_its_part", &variables) {
        return;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ssd/ssd300.onnx");
    let options = EngineOptions {
        kind: EngineKind::Embedded,
        ..EngineOptions::default()
    };
    let network = load(&ModelSource::File(model), &options).unwrap();
    let mut detector = Detector::over(OnGpu::computing(network), &Setup::default(), "double").unwrap();
    let note = detector.note().unwrap().to_owned();
    assert!(note.contains("NVRTC") && note.contains("NUNCHI_NVRTC"), "{note}");
    assert!(!detector.takes_device_frames());
    let frame = Frame::new(&noise(40, 30), PixelFormat::Rgb, Matrix::Bt601, Range::Full);
    let uploaded = Uploaded::new(&frame, 0, 0);
    let error = detector.fill(0, 0, &uploaded.frame).unwrap_err().to_string();
    assert!(error.contains("GPU"), "{error}");
    detector.fill(0, 0, &frame.view()).unwrap();
    detector.submit(0).unwrap();
    let limits = detector.default_limits();
    detector.finish(0, &[(40, 30)], &limits).unwrap();
    drop((detector, uploaded));
    assert_clean();
}

#[test]
fn a_full_gpu_is_told() {
    if !on_the_double("a_full_gpu_is_told", "gpu-memory=300000") {
        return;
    }
    let network = OnGpu::giving(
        info("image", &[2, 3, 16, 16], DataType::F32),
        &[
            ("box_encodings", &[2, 1917, 4][..], both(15, 4 * 1917, 3.0)),
            ("class_logits", &[2, 1917, 4][..], both(16, 4 * 1917, 4.0)),
        ],
    );
    let error = Detector::over(
        network,
        &Setup {
            labels: Some(Labels::numbered(3)),
            ..Setup::default()
        },
        "double",
    );
    let error = error.err().unwrap();
    assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}");
    assert_clean();
}

#[test]
fn a_gpu_that_vanishes_is_told_from_a_failure() {
    if !on_the_double("a_gpu_that_vanishes_is_told_from_a_failure", "launch@2") {
        return;
    }
    let mut detector = over(
        ssd300(info("image", &[1, 3, 16, 16], DataType::F32), 1),
        &Setup::default(),
    );
    let frame = Frame::new(&noise(40, 30), PixelFormat::Rgb, Matrix::Bt601, Range::Full);
    let uploaded = Uploaded::new(&frame, 0, 0);
    detector.fill(0, 0, &uploaded.frame).unwrap();
    detector.submit(0).unwrap();
    // The second kernel of the decoder.
    let limits = detector.default_limits();
    let error = detector.finish(0, &[(40, 30)], &limits).unwrap_err();
    assert!(matches!(error, EngineError::DeviceLost { .. }), "{error}");
    assert!(matches!(
        detector.fill(0, 0, &uploaded.frame).unwrap_err(),
        EngineError::DeviceLost { .. }
    ));
}
