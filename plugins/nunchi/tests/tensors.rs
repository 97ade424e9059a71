//! Both analysers on frames that carry tensors as `hailonet` attaches them: by a meta of that name, of either layout, made here.

mod common;

use common::pictures::{Picture, decode};
use common::{init, inner, ms};
use gst::glib::translate::ToGlibPtr;
use gst::prelude::*;
use gstnunchi::meta;
use hailort_abi::{Format, QuantInfo, TensorMetadata, VStreamInfo, array, format_type};
use std::sync::OnceLock;

/// Which HailoRT the meta is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    V4_21,
    V4_22,
    /// None that exists.
    Other,
}

/// Bytes of the payload.
fn size(release: Release) -> usize {
    match release {
        Release::V4_21 => size_of::<VStreamInfo>(),
        Release::V4_22 => size_of::<TensorMetadata>(),
        Release::Other => 300,
    }
}

unsafe extern "C" fn initialise(
    _: *mut gst::ffi::GstMeta,
    _: gst::glib::ffi::gpointer,
    _: *mut gst::ffi::GstBuffer,
) -> gst::glib::ffi::gboolean {
    gst::glib::ffi::GTRUE
}

/// The meta, registered as the elements' plugin does.
fn register(release: Release) -> &'static gst::ffi::GstMetaInfo {
    static API: OnceLock<usize> = OnceLock::new();
    // SAFETY: names that end with a zero, a list of tags that ends with a null, functions that live for ever. What is registered
    // under a name before is given again.
    unsafe {
        let api = API.get_or_init(|| {
            let mut tags = [c"tensor_meta".as_ptr(), std::ptr::null()];
            gst::ffi::gst_meta_api_type_register(c"GstHailoTensorMetaAPI".as_ptr(), tags.as_mut_ptr())
        });
        let name = match release {
            Release::V4_21 => c"GstHailoTensorMeta",
            Release::V4_22 => c"GstHailoTensorMeta22",
            Release::Other => c"GstHailoTensorMetaOther",
        };
        let known = gst::ffi::gst_meta_get_info(name.as_ptr());
        if !known.is_null() {
            return &*known;
        }
        let whole = (size_of::<gst::ffi::GstMeta>() + size(release)).next_multiple_of(8);
        &*gst::ffi::gst_meta_register(*api, name.as_ptr(), whole, Some(initialise), None, None)
    }
}

/// A tensor: height, width, channels; type and scale as the meta states them; the bytes.
struct Made {
    shape: [u32; 3],
    kind: u32,
    quant: QuantInfo,
    bytes: Vec<u8>,
    /// Stated to be what HailoRT makes of a HEF that ends in the choice of boxes.
    boxes: bool,
}

impl Made {
    fn floats(shape: [u32; 3], values: &[f32]) -> Self {
        Self {
            shape,
            kind: format_type::FLOAT32,
            quant: QuantInfo::default(),
            boxes: false,
            bytes: values.iter().flat_map(|value| value.to_ne_bytes()).collect(),
        }
    }

    fn attach(self, frame: &mut gst::Buffer, release: Release) {
        let mut child = gst::Buffer::from_mut_slice(self.bytes);
        let [height, width, channels] = self.shape;
        let shape = [height, width, channels, 0];
        let info = register(release);
        // SAFETY: a writable buffer; the payload follows the meta and has the size that was registered.
        unsafe {
            let meta = gst::ffi::gst_buffer_add_meta(child.make_mut().as_mut_ptr(), info, std::ptr::null_mut());
            let payload = meta.add(1);
            match release {
                Release::V4_21 => payload.cast::<VStreamInfo>().write(VStreamInfo {
                    name: array("net/conv1"),
                    format: Format {
                        kind: self.kind,
                        order: match self.boxes {
                            true => hailort_abi::format_order::NMS_BY_CLASS,
                            false => hailort_abi::format_order::NHWC,
                        },
                        flags: 0,
                    },
                    shape,
                    quant_info: self.quant,
                    ..VStreamInfo::default()
                }),
                Release::V4_22 => payload.cast::<TensorMetadata>().write(TensorMetadata {
                    name: array("net/conv1"),
                    kind: self.kind,
                    is_nms: self.boxes.into(),
                    shape,
                    quant_info: self.quant,
                }),
                Release::Other => {}
            }
            gst::ffi::gst_buffer_add_parent_buffer_meta(frame.make_mut().as_mut_ptr(), child.to_glib_none().0);
        }
    }
}

/// A person as MoveNet tells one: y, x, confidence of each point.
fn person() -> Vec<f32> {
    (0..17)
        .flat_map(|i| [0.1 + 0.04 * i as f32, 0.9 - 0.03 * i as f32, 0.8])
        .collect()
}

fn harness(line: &str, width: i32, height: i32) -> (gst_check::Harness, gst::Bus) {
    init();
    let mut h = gst_check::Harness::new_parse(line);
    let bus = gst::Bus::new();
    h.element().unwrap().set_bus(Some(&bus));
    h.set_src_caps_str(&format!(
        "video/x-raw,format=RGB,width={width},height={height},framerate=25/1"
    ));
    (h, bus)
}

fn frame(width: usize, height: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![0u8; (width * 3).next_multiple_of(4) * height]);
    buffer.get_mut().unwrap().set_pts(ms(0));
    buffer
}

fn warnings(bus: &gst::Bus) -> Vec<String> {
    let all = std::iter::from_fn(|| bus.pop());
    all.filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    })
    .collect()
}

/// The warning of the one frame, which passes unread.
#[track_caller]
fn refused(element: &str, tensors: Vec<Made>, release: Release) -> String {
    let (mut h, bus) = harness(&format!("{element} engine=tensors"), 192, 192);
    let mut buffer = frame(192, 192);
    for tensor in tensors {
        tensor.attach(&mut buffer, release);
    }
    let out = h.push_and_pull(buffer).unwrap();
    assert!(meta::landmark::read(&out).is_empty());
    let stats = inner(&h).property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("errors"), Ok(1));
    let mut warnings = warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.pop().unwrap()
}

#[test]
fn keypoints_are_read_off_tensors_of_either_release() {
    for release in [Release::V4_21, Release::V4_22] {
        let (mut h, bus) = harness("hailopose engine=tensors", 192, 192);
        let mut buffer = frame(192, 192);
        // A buffer that is tied to the frame and is no tensor.
        let other = gst::Buffer::with_size(7).unwrap();
        gst::ParentBufferMeta::add(buffer.make_mut(), &other);
        Made::floats([1, 17, 3], &person()).attach(&mut buffer, release);
        let out = h.push_and_pull(buffer).unwrap();
        let found = meta::landmark::read(&out);
        assert_eq!(found.len(), 1, "{release:?}: {:?}", warnings(&bus));
        for (point, [y, x, confidence]) in found[0].points.iter().zip(person().as_chunks().0) {
            let expected = [f64::from(*x), f64::from(*y), f64::from(*confidence)];
            assert!(
                point.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4),
                "{point:?} {expected:?}"
            );
        }
        let engine = inner(&h).property_value("engine").serialize().unwrap();
        assert_eq!(engine, "tensors");
    }
}

#[test]
fn bytes_are_read_with_their_scale_and_a_type_that_is_stated_wrongly_by_the_size() {
    let quant = QuantInfo {
        zero_point: 20.0,
        scale: 0.005,
        ..QuantInfo::default()
    };
    let stored = |value: &f32| (value / quant.scale + quant.zero_point).round() as u8;
    let bytes = Made {
        shape: [1, 17, 3],
        kind: format_type::UINT8,
        quant,
        boxes: false,
        bytes: person().iter().map(stored).collect(),
    };
    let floats = Made {
        kind: format_type::UINT8,
        quant,
        ..Made::floats([1, 17, 3], &person())
    };
    for tensor in [bytes, floats] {
        let (mut h, _) = harness("hailopose engine=tensors", 192, 192);
        let mut buffer = frame(192, 192);
        tensor.attach(&mut buffer, Release::V4_22);
        let out = h.push_and_pull(buffer).unwrap();
        let found = meta::landmark::read(&out).pop().unwrap();
        for (point, [y, x, _]) in found.points.iter().zip(person().as_chunks::<3>().0) {
            assert!(
                (point[0] - f64::from(*x)).abs() < 0.003 && (point[1] - f64::from(*y)).abs() < 0.003,
                "{point:?}"
            );
        }
    }
}

#[test]
fn heat_maps_cover_the_frame() {
    let (mut h, _) = harness("hailopose engine=tensors", 192, 256);
    let mut bytes = vec![0u8; 64 * 48 * 17];
    // Point i at the cell (2 i + 5, 3 i + 2).
    for i in 0..17 {
        bytes[((3 * i + 2) * 48 + 2 * i + 5) * 17 + i] = 250;
    }
    let mut buffer = frame(192, 256);
    let tensor = Made {
        shape: [64, 48, 17],
        kind: format_type::UINT8,
        quant: QuantInfo {
            scale: 1.0 / 255.0,
            ..QuantInfo::default()
        },
        boxes: false,
        bytes,
    };
    tensor.attach(&mut buffer, Release::V4_21);
    let found = meta::landmark::read(&h.push_and_pull(buffer).unwrap()).pop().unwrap();
    for (i, [x, y, confidence]) in found.points.iter().enumerate() {
        let (cx, cy) = ((2 * i + 5) as f64 / 48.0, (3 * i + 2) as f64 / 64.0);
        assert!(
            (x - cx).abs() < 1.5 / 48.0 && (y - cy).abs() < 1.5 / 64.0,
            "{i}: {x} {y}, not {cx} {cy}"
        );
        assert!(*confidence > 0.9);
    }
}

#[test]
fn a_frame_without_tensors_passes_with_a_warning_that_names_hailonet() {
    for element in ["hailopose", "hailoface"] {
        let text = refused(element, vec![], Release::V4_22);
        assert!(text.contains("put hailonet in front"), "{text}");
    }
}

#[test]
fn short_data_is_refused_by_name() {
    let mut short = Made::floats([1, 17, 3], &person());
    short.bytes.truncate(100);
    let text = refused("hailopose", vec![short], Release::V4_21);
    assert!(text.contains("net/conv1 of 1x17x3 has 100 bytes"), "{text}");
    // As many bytes as there are numbers are not taken for bytes where floats are stated.
    let mut shorter = Made::floats([1, 17, 3], &person());
    shorter.bytes.truncate(51);
    let text = refused("hailopose", vec![shorter], Release::V4_22);
    assert!(text.contains("has 51 bytes"), "{text}");
    for shape in [[0, 17, 3], [u32::MAX, u32::MAX, u32::MAX]] {
        let wrong = Made::floats(shape, &person());
        let text = refused("hailopose", vec![wrong], Release::V4_22);
        assert!(text.contains("bytes"), "{text}");
    }
}

#[test]
fn a_list_of_boxes_is_no_tensor_whatever_shape_it_states() {
    let boxes = |shape| Made {
        boxes: true,
        ..Made::floats(shape, &person())
    };
    let text = refused("hailoface", vec![boxes([60_000, 60_000, 17])], Release::V4_22);
    assert!(text.contains("a list of boxes"), "{text}");
    for release in [Release::V4_21, Release::V4_22] {
        for shape in [[60_000, 60_000, 17], [1, u32::MAX, 17], [1, 17, 3]] {
            let text = refused("hailopose", vec![boxes(shape)], release);
            assert!(
                text.contains("a list of boxes") && text.contains("without NMS"),
                "{text}"
            );
            // Beside what is read it does no harm.
            let (mut h, bus) = harness("hailopose engine=tensors", 192, 192);
            let mut buffer = frame(192, 192);
            boxes(shape).attach(&mut buffer, release);
            Made::floats([1, 17, 3], &person()).attach(&mut buffer, release);
            let out = h.push_and_pull(buffer).unwrap();
            assert_eq!(meta::landmark::read(&out).len(), 1, "{:?}", warnings(&bus));
        }
    }
}

#[test]
fn unknown_shapes_are_told() {
    for (element, needle) in [("hailopose", "MoveNet"), ("hailoface", "boxes/8")] {
        let other = Made::floats([1, 1, 7], &[0.0; 7]);
        let text = refused(element, vec![other], Release::V4_22);
        assert!(text.contains("[1, 1, 7]") && text.contains(needle), "{text}");
    }
}

#[test]
fn a_meta_of_another_release_is_refused() {
    let text = refused("hailopose", vec![Made::floats([1, 17, 3], &person())], Release::Other);
    assert!(text.contains("4.20 to 4.23"), "{text}");
}

#[test]
fn what_steers_a_network_that_does_not_run_is_a_conflict() {
    init();
    const HAILO: &str = "a property of the Hailo, such as device-id or batch-size,";
    for (element, property, value) in [
        ("hailopose", "model", "x.onnx"),
        ("hailopose", "frames-in-flight", "8"),
        ("hailopose", "device", "CUDA:7"),
        ("hailopose", "precision", "f16"),
        ("hailopose", "multi-process-service", "true"),
        ("hailopose", "inference-timeout-ms", "500"),
        ("hailoface", "detector-model", "x.onnx"),
        ("hailoface", "device-id", "0000:01:00.0"),
        ("hailoface", "vdevice-group-id", "OTHER"),
    ] {
        let element = gst::ElementFactory::make(element).build().unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        element.set_property_from_str("engine", "tensors");
        element.set_property_from_str(property, value);
        assert!(element.set_state(gst::State::Paused).is_err(), "{property}");
        let error = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = error.view() else {
            panic!("an error")
        };
        let text = error.error().to_string();
        let steers_hailo = property.contains('-') && !["frames-in-flight", "detector-model"].contains(&property);
        let named = if steers_hailo { HAILO } else { property };
        assert!(text.contains(&format!("{named} is set")), "{text}");
        assert!(error.error().matches(gst::LibraryError::Settings), "{text}");
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_hef_beside_is_a_conflict() {
    init();
    for element in ["hailopose", "hailoface"] {
        let element = gst::ElementFactory::make(element).build().unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        element.set_property_from_str("engine", "tensors");
        element.set_property_from_str("hef-path", "x.hef");
        assert!(element.set_state(gst::State::Paused).is_err());
        let text = bus
            .pop_filtered(&[gst::MessageType::Error])
            .map(|message| match message.view() {
                gst::MessageView::Error(error) => error.error().to_string(),
                _ => String::new(),
            });
        assert!(
            text.as_ref()
                .is_some_and(|text| text.contains("give the HEF to hailonet")),
            "{text:?}"
        );
        element.set_state(gst::State::Null).unwrap();
    }
}

/// The outputs of SCRFD for a face with that box (pixels of the input) and these points at their places, or for none.
fn scrfd(face: Option<([f32; 4], [[f32; 2]; 5])>) -> Vec<Made> {
    let mut all = Vec::new();
    for stride in [8usize, 16, 32] {
        let side = 640 / stride;
        let [mut scores, mut boxes, mut points] = [2, 8, 20].map(|channels| vec![0.0f32; side * side * channels]);
        if let Some((bbox, keypoints)) = face.filter(|_| stride == 32) {
            let s = stride as f32;
            let cell = |a: f32, b: f32| ((a + b) / 2.0 / s) as usize;
            let (x, y) = (cell(bbox[0], bbox[2]), cell(bbox[1], bbox[3]));
            let at = (y * side + x) * 2;
            let anchor = [x as f32 * s, y as f32 * s];
            scores[at] = 0.9;
            for (i, sign) in [(0, -1.0), (1, -1.0), (2, 1.0), (3, 1.0)] {
                boxes[4 * at + i] = sign * (bbox[i] - anchor[i % 2]) / s;
            }
            for (i, point) in keypoints.iter().flatten().enumerate() {
                points[10 * at + i] = (point - anchor[i % 2]) / s;
            }
        }
        let shape = |channels| [side as u32, side as u32, channels];
        all.extend([
            Made::floats(shape(20), &points),
            Made::floats(shape(2), &scores),
            Made::floats(shape(8), &boxes),
        ]);
    }
    all
}

/// The faces of a picture in the pipeline of that line.
fn faces(picture: &Picture, engine: &str, tensors: Vec<Made>) -> Vec<meta::landmark::Landmarks> {
    let mut h = common::pictures::harness("hailoface", picture, engine);
    let mut buffer = picture.at(ms(0));
    for tensor in tensors {
        tensor.attach(&mut buffer, Release::V4_22);
    }
    meta::landmark::read(&h.push_and_pull(buffer).unwrap())
}

#[test]
fn faces_are_found_by_the_tensors_of_the_detector_and_read_on_the_cpu() {
    let picture = decode("astronaut.png", "video/x-raw,format=RGB,width=640,height=640");
    let own = faces(&picture, "", vec![]).pop().unwrap();
    let pixel = |index: usize| [own.points[index][0] as f32 * 640.0, own.points[index][1] as f32 * 640.0];
    let mut eyes = [pixel(468), pixel(473)];
    eyes.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let bbox = own.bbox.map(|v| v as f32 * 640.0);
    let face = [bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]];
    let points = [eyes[0], eyes[1], pixel(1), pixel(61), pixel(291)];
    let found = faces(&picture, "engine=tensors", scrfd(Some((face, points))));
    assert_eq!(found.len(), 1);
    for (a, b) in found[0].points.iter().zip(&own.points) {
        assert!((a[0] - b[0]).hypot(a[1] - b[1]) * 640.0 < 8.0, "{a:?} {b:?}");
    }
    assert!(
        faces(&picture, "engine=tensors", scrfd(None)).is_empty(),
        "the detector decides"
    );
}

/// The outputs of YOLOv8 pose for somebody around that cell of stride 32, the only one that is sure of it.
fn yolov8(x: usize, y: usize) -> Vec<Made> {
    let mut all = Vec::new();
    for stride in [8usize, 16, 32] {
        let side = 640 / stride;
        let [mut boxes, mut scores, mut points] = [64, 1, 51].map(|channels| vec![0.0f32; side * side * channels]);
        if stride == 32 {
            let at = y * side + x;
            scores[at] = 0.9;
            // The box ends two cells away in each direction.
            (0..4).for_each(|edge| boxes[64 * at + 16 * edge + 2] = 50.0);
            for point in 0..17 {
                points[51 * at + 3 * point + 2] = 5.0;
            }
        }
        let shape = |channels| [side as u32, side as u32, channels];
        all.extend([
            Made::floats(shape(51), &points),
            Made::floats(shape(64), &boxes),
            Made::floats(shape(1), &scores),
        ]);
    }
    all
}

#[test]
fn people_are_found_by_nine_heads_alone_and_beside_the_tensors_of_a_face_detector() {
    let read = |tensors: Vec<Made>| {
        let (mut h, bus) = harness("hailopose engine=tensors", 640, 640);
        let mut buffer = frame(640, 640);
        for tensor in tensors {
            tensor.attach(&mut buffer, Release::V4_22);
        }
        let found = meta::landmark::read(&h.push_and_pull(buffer).unwrap());
        assert_eq!(warnings(&bus), [""; 0]);
        found
    };
    let alone = read(yolov8(10, 5));
    assert_eq!(alone.len(), 1);
    // The middle of the cell, and two cells to each side of it.
    let [x, y, w, h] = alone[0].bbox.map(|part| part * 640.0 / 32.0);
    for (part, expected) in [(x, 8.5), (y, 3.5), (w, 4.0), (h, 4.0)] {
        assert!((part - expected).abs() < 0.1, "{:?}", alone[0].bbox);
    }
    let behind: Vec<_> = scrfd(None).into_iter().chain(yolov8(10, 5)).collect();
    let before: Vec<_> = yolov8(10, 5).into_iter().chain(scrfd(None)).collect();
    for both in [behind, before] {
        let found = read(both);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].bbox, &found[0].points), (alone[0].bbox, &alone[0].points));
    }
}

#[test]
fn tensors_that_change_between_two_frames_are_read_as_what_they_are() {
    let (mut h, _) = harness("hailopose engine=tensors", 192, 192);
    let mut bytes = vec![0u8; 48 * 48 * 17];
    (0..17).for_each(|i| bytes[((24 + i) * 48 + 12 + i) * 17 + i] = 250);
    let heat = || Made {
        kind: format_type::UINT8,
        bytes: bytes.clone(),
        ..Made::floats([48, 48, 17], &[])
    };
    let movenet = || Made::floats([1, 17, 3], &person());
    let mut first_point = |tensor: Made| {
        let mut buffer = frame(192, 192);
        tensor.attach(&mut buffer, Release::V4_22);
        let out = h.push_and_pull(buffer).unwrap();
        meta::landmark::read(&out).pop().map(|person| person.points[0])
    };
    for _ in 0..2 {
        let [x, y, _] = first_point(movenet()).unwrap();
        assert!((x - 0.9).abs() < 1e-3 && (y - 0.1).abs() < 1e-3, "{x} {y}");
        let [x, y, _] = first_point(heat()).unwrap();
        assert!((x - 0.26).abs() < 0.02 && (y - 0.51).abs() < 0.02, "{x} {y}");
    }
}
