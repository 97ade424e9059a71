mod common;

use common::*;
use gst::prelude::*;
use gst_video::VideoFormat;
use gstnunchi::meta::{self, landmark::Landmarks};
use nunchi_events::State::{End, Ongoing, Start};

const FORMATS: [&str; 17] = [
    "RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR", "I420", "YV12", "NV12", "NV21",
    "YUY2", "UYVY", "GRAY8",
];
const ENGINES: [&str; 3] = ["openvino", "onnxruntime", "embedded"];

/// A decoded picture in a format: its caps and its bytes.
#[derive(Clone)]
struct Picture {
    caps: gst::Caps,
    buffer: gst::Buffer,
}

impl Picture {
    fn info(&self) -> gst_video::VideoInfo {
        gst_video::VideoInfo::from_caps(&self.caps).unwrap()
    }

    fn at(&self, pts: impl Into<Option<gst::ClockTime>>) -> gst::Buffer {
        let mut buffer = self.buffer.copy();
        buffer.get_mut().unwrap().set_pts(pts);
        buffer
    }

    fn size(&self) -> (f64, f64) {
        (self.info().width().into(), self.info().height().into())
    }
}

/// A picture of the repository as the filter has it. JPEG is decoded with the decoder that the reference's numbers agree with:
/// others put the colours a little elsewhere.
fn decode(name: &str, filter: &str) -> Picture {
    init();
    let path = file(&format!("tests/media/{name}"));
    let bytes = std::fs::read(&path).unwrap();
    let (width, height, rgb) = if name.ends_with(".png") {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width, info.height, rgb)
    } else {
        let mut decoder = zune_jpeg::JpegDecoder::new(zune_core::bytestream::ZCursor::new(bytes));
        let rgb = decoder.decode().unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        (width as u32, height as u32, rgb)
    };
    let row = width as usize * 3;
    let padded: Vec<u8> = rgb
        .chunks(row)
        .flat_map(|r| r.iter().copied().chain(std::iter::repeat_n(0, (4 - row % 4) % 4)))
        .collect();
    let pipeline = parse(&format!(
        "appsrc name=src format=time caps=video/x-raw,format=RGB,width={width},height={height},framerate=25/1 ! videoconvert ! \
         videoscale ! {filter} ! fakesink name=sink"
    ));
    let mut buffer = gst::Buffer::from_mut_slice(padded);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    let src = pipeline.by_name("src").unwrap();
    let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let _ = sender.send(Picture {
            caps: pad.current_caps().unwrap(),
            buffer: info.buffer().unwrap().to_owned(),
        });
        gst::PadProbeReturn::Ok
    });
    run(&pipeline).unwrap();
    let picture = receiver.try_recv().unwrap();
    Picture {
        buffer: picture.buffer.copy_deep().unwrap(),
        ..picture
    }
}

fn picture(name: &str, format: &str) -> Picture {
    decode(name, &format!("video/x-raw,format={format}"))
}

fn black(format: VideoFormat, width: u32, height: u32) -> Picture {
    init();
    let info = gst_video::VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    let buffer = gst::Buffer::from_mut_slice(vec![16u8; info.size()]);
    Picture {
        caps: info.to_caps().unwrap(),
        buffer,
    }
}

fn harness(picture: &Picture, properties: &str) -> gst_check::Harness {
    init();
    let mut h = gst_check::Harness::new_parse(&format!("hailoface threads=1 precision=f32 {properties}"));
    h.set_src_caps(picture.caps.clone());
    h
}

/// Landmarks of the one face of a picture.
#[track_caller]
fn face(buffer: &gst::BufferRef) -> Landmarks {
    let mut all = meta::landmark::read(buffer);
    assert_eq!(all.len(), 1, "one face");
    all.pop().unwrap()
}

/// The reference's landmarks of a picture, in pixels, and its smile.
fn golden(name: &str, channel: &str) -> Option<(Vec<[f64; 2]>, f64)> {
    let text = std::fs::read_to_string(file("plugins/inference/tests/data/face_goldens.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let face = all[name][channel].get(0)?;
    let numbers = |key: &str| -> Vec<f64> {
        face[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let scores = numbers("blendshapes");
    Some((
        numbers("mesh").chunks(2).map(|p| [p[0], p[1]]).collect(),
        (scores[44] + scores[45]) / 2.0,
    ))
}

/// Landmarks within 1 pixel and the smile within 0.02 of the reference, where the frame holds the picture's colours as they are.
/// With subsampled or no colours the detector's box, of which one pixel is up to 17 of the picture, comes out a little
/// elsewhere, and landmarks follow their region: the reference's own move by 1.3 pixels when its input goes through 4:2:0.
/// There the bound is a hundredth of the face's width. (From the reference's own regions every format is within 1 pixel and
/// 0.02: nunchi-inference tests that.)
#[track_caller]
fn assert_like_reference(name: &str, channel: &str, picture: &Picture, out: &gst::BufferRef) {
    let Some((points, smile)) = golden(name, channel) else {
        assert!(meta::landmark::read(out).is_empty(), "{name}: the reference finds none");
        return;
    };
    let found = face(out);
    let (w, h) = picture.size();
    let exact = picture.info().is_rgb();
    let (pixels, score) = if exact {
        (1.0, 0.02)
    } else {
        (found.bbox[2] * w / 100.0, 0.05)
    };
    let distance = |(a, b): (&[f64; 3], &[f64; 2])| (a[0] * w - b[0]).hypot(a[1] * h - b[1]);
    let worst = found.points.iter().zip(&points).map(distance).fold(0.0, f64::max);
    let roi = out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap();
    let judged = roi.param("smile").unwrap();
    let seen = judged.get::<f64>("confidence").unwrap();
    let seen = if judged.get::<i32>("label_id").unwrap() == 1 {
        seen
    } else {
        1.0 - seen
    };
    let format = picture.info().format();
    assert!(worst <= pixels, "{name} {format}: off by {worst:.2} pixels");
    assert!(
        (seen - smile).abs() <= score,
        "{name} {format}: smile {seen:.3}, not {smile:.3}"
    );
}

#[test]
fn every_format_agrees_with_the_reference() {
    for format in FORMATS {
        let portraits = ["obama.jpg", "biden.jpg", "astronaut.png"].map(|name| (name, picture(name, format)));
        let mut h = harness(&portraits[0].1, "engine=openvino smile-min-duration=0");
        for (name, picture) in &portraits {
            // Another size: whatever was followed is forgotten.
            h.set_src_caps(picture.caps.clone());
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, if format == "GRAY8" { "grey" } else { "rgb" }, picture, &out);
        }
    }
}

#[test]
fn every_engine_agrees_with_the_reference() {
    for engine in ENGINES {
        for name in ["obama.jpg", "biden.jpg", "astronaut.png"] {
            let picture = picture(name, "RGB");
            let mut h = harness(&picture, &format!("engine={engine} smile-min-duration=0"));
            assert_eq!(inner(&h).property_value("engine").serialize().unwrap(), engine);
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, "rgb", &picture, &out);
        }
    }
}

#[test]
fn where_nobody_is_nothing_is_found() {
    for name in ["china.jpg", "horses.jpg"] {
        for engine in ENGINES {
            let picture = picture(name, "I420");
            let mut h = harness(&picture, &format!("engine={engine}"));
            for n in 0..5 {
                let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
                assert!(
                    meta::landmark::read(&out).is_empty() && events(&out).is_empty(),
                    "{name} {engine}"
                );
                assert!(out.meta::<gst_video::VideoRegionOfInterestMeta>().is_none());
            }
        }
    }
}

#[test]
fn a_smile_starts_after_its_minimum_duration_and_goes_on() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=200000000 emotion-interval=0");
    let states: Vec<_> = (0..10)
        .map(|n| {
            let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
            events(&out).into_iter().find(|e| e.kind == "smile").map(|e| e.state)
        })
        .collect();
    assert_eq!(states[..5], [None; 5]);
    assert_eq!(
        states[5..],
        [Some(Start), Some(Ongoing), Some(Ongoing), Some(Ongoing), Some(Ongoing)]
    );
}

#[test]
fn a_neutral_face_does_not_smile_and_open_eyes_are_not_closed() {
    let picture = picture("biden.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0 eyes-closed-min-duration=0");
    for n in 0..10 {
        let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
        assert!(
            kinds(&out).iter().all(|k| k != "smile" && k != "eyes_closed"),
            "{:?}",
            kinds(&out)
        );
        assert!(kinds(&out).contains(&"presence".to_string()));
    }
}

#[test]
fn shut_eyes_are_reported_and_end_when_they_open() {
    let shut = picture("biden-eyes-shut.png", "I420");
    let open = picture("biden.jpg", "I420");
    let mut h = harness(&shut, "eyes-closed-min-duration=100000000 emotion-interval=0");
    let mut seen = Vec::new();
    for n in 0..10u64 {
        // The pictures differ in size: what was going on ends with the first frame of the new one.
        if n == 6 {
            h.set_src_caps(open.caps.clone());
        }
        let out = h
            .push_and_pull(if n < 6 {
                shut.at(ms(n * 40))
            } else {
                open.at(ms(n * 40))
            })
            .unwrap();
        seen.extend(
            events(&out)
                .into_iter()
                .filter(|e| e.kind == "eyes_closed")
                .map(|e| (n, e.state)),
        );
    }
    assert_eq!(seen, [(3, Start), (4, Ongoing), (5, Ongoing), (6, End)]);
}

#[test]
fn a_face_that_leaves_ends_what_was_going_on() {
    let obama = picture("obama.jpg", "I420");
    let empty = black(VideoFormat::I420, obama.info().width(), obama.info().height());
    let mut h = harness(
        &obama,
        "smile-min-duration=0 emotion-interval=0 presence-timeout=100000000",
    );
    h.push_and_pull(obama.at(ms(0))).unwrap();
    let mut ends = Vec::new();
    for n in 1..6u64 {
        let out = h.push_and_pull(empty.at(ms(n * 40))).unwrap();
        ends.extend(events(&out).into_iter().map(|e| (n, e.kind, e.state, e.object_id)));
    }
    let end = |kind: &str| (3, kind.to_string(), End, Some(-1));
    assert_eq!(
        ends,
        [end("smile"), end("presence")],
        "120 ms is the first time beyond the timeout"
    );
}

#[test]
fn a_face_keeps_its_number_and_a_new_one_gets_another() {
    let obama = picture("obama.jpg", "I420");
    let empty = black(VideoFormat::I420, obama.info().width(), obama.info().height());
    let mut h = harness(&obama, "presence-timeout=0");
    let track = |h: &mut gst_check::Harness, t| face(&h.push_and_pull(obama.at(ms(t))).unwrap()).track_id;
    assert_eq!((track(&mut h, 0), track(&mut h, 40)), (1, 1));
    h.push_and_pull(empty.at(ms(80))).unwrap();
    assert_eq!(track(&mut h, 120), 2);
}

#[test]
fn events_carry_what_the_schema_says() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0 smile-threshold=0.6");
    let out = h.push_and_pull(picture.at(ms(5000))).unwrap();
    let smile = events(&out).into_iter().find(|e| e.kind == "smile").unwrap();
    assert_eq!((smile.label.as_str(), smile.state), ("smile", Start));
    assert_eq!(smile.message, format!("Smile detected ({:.2})", smile.value.unwrap()));
    assert_eq!(smile.threshold, Some(0.6f32 as f64));
    assert_eq!(
        (smile.running_time, smile.pts),
        (Some(5_000_000_000), Some(5_000_000_000))
    );
    assert_eq!((smile.track_id, smile.object_id), (Some(1), Some(0)));
    assert!(smile.source.unwrap().contains("hailoface"));
    assert!(smile.attrs.contains_key("x_min"));
}

#[test]
fn regions_have_dl_streamers_parameters_and_unique_ids() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "other", (0, 0, 4, 4)).set_id(6);
    let out = h.push_and_pull(buffer).unwrap();
    let all: Vec<_> = out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().collect();
    assert_eq!(all.len(), 2, "the other producer's region stays");
    let roi = all.iter().find(|m| m.roi_type() == "face").unwrap();
    assert_eq!(roi.id(), 7);
    let detection = roi.param("detection").unwrap();
    let (x, _, w, _) = roi.rect();
    let width = f64::from(picture.info().width());
    assert!((detection.get::<f64>("x_min").unwrap() - f64::from(x) / width).abs() < 1e-9);
    assert!((detection.get::<f64>("x_max").unwrap() - f64::from(x + w) / width).abs() < 1e-9);
    assert!(detection.get::<f64>("confidence").unwrap() > 0.5);
    assert_eq!(roi.param("object_id").unwrap().get::<i32>("id"), Ok(1));
    for name in ["smile", "eyes_closed", "emotion"] {
        assert_eq!(roi.param(name).unwrap().get::<&str>("attribute_name"), Ok(name));
    }
    assert_eq!(face(&out).object_id, 7);
}

#[test]
fn other_producers_events_stay() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    meta::event::append(
        buffer.get_mut().unwrap(),
        [gst::Structure::builder("event").field("type", "foreign").build()],
    );
    let out = h.push_and_pull(buffer).unwrap();
    assert_eq!(kinds(&out)[..2], ["foreign", "presence"]);
}

#[test]
fn the_picture_and_the_upstream_buffer_stay_as_they_are() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let shared = picture.at(ms(0));
    h.push(shared.clone()).unwrap();
    let out = h.pull().unwrap();
    assert!(meta::landmark::read(&shared).is_empty() && !meta::event::is_present(&shared));
    assert_eq!(
        shared.map_readable().unwrap().as_slice(),
        out.map_readable().unwrap().as_slice()
    );
    assert_eq!(
        shared.peek_memory(0).as_ptr(),
        out.peek_memory(0).as_ptr(),
        "not even copied"
    );
}

#[test]
fn padded_rows_are_read_by_their_stride() {
    let tight = picture("obama.jpg", "RGB");
    let info = tight.info();
    let (row, stride) = (info.width() as usize * 3, 4096);
    let mut padded = vec![0xa5u8; stride * info.height() as usize];
    let map = tight.buffer.map_readable().unwrap();
    for (to, from) in padded.chunks_mut(stride).zip(map.chunks(info.stride()[0] as usize)) {
        to[..row].copy_from_slice(&from[..row]);
    }
    let mut buffer = gst::Buffer::from_mut_slice(padded);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(ms(0));
        gst_video::VideoMeta::add_full(
            buffer,
            gst_video::VideoFrameFlags::empty(),
            VideoFormat::Rgb,
            info.width(),
            info.height(),
            &[0],
            &[stride as i32],
        )
        .unwrap();
    }
    let mut h = harness(&tight, "engine=openvino smile-min-duration=0");
    let out = h.push_and_pull(buffer).unwrap();
    assert_like_reference("obama.jpg", "rgb", &tight, &out);
}

#[test]
fn tiny_and_odd_frames_pass() {
    for (w, h) in [(1, 1), (2, 1), (3, 5), (17, 1), (641, 359)] {
        for format in [
            VideoFormat::I420,
            VideoFormat::Nv12,
            VideoFormat::Yuy2,
            VideoFormat::Rgb,
            VideoFormat::Gray8,
        ] {
            let picture = black(format, w, h);
            let mut harness = harness(&picture, "fail-on-error=true engine=openvino");
            harness.push_and_pull(picture.at(ms(0))).unwrap();
        }
    }
}

#[test]
fn a_new_size_in_the_middle_is_followed() {
    let large = picture("obama.jpg", "I420");
    let small = decode("obama.jpg", "video/x-raw,format=NV12,width=456,height=570");
    let mut h = harness(&large, "");
    let first = face(&h.push_and_pull(large.at(ms(0))).unwrap());
    h.set_src_caps(small.caps.clone());
    let second = face(&h.push_and_pull(small.at(ms(40))).unwrap());
    let worst = first
        .points
        .iter()
        .zip(&second.points)
        .map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]))
        .fold(0.0, f64::max);
    assert!(worst < 0.01, "the same places in parts of the frame, {worst}");
}

#[test]
fn a_still_picture_without_frame_rate_and_timestamp_is_read() {
    let mut picture = picture("obama.jpg", "I420");
    picture.caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
    let mut h = harness(&picture, "");
    let out = h.push_and_pull(picture.at(None)).unwrap();
    assert_eq!(face(&out).points.len(), 478);
}

#[test]
fn frames_between_inferences_carry_boxes_but_no_events() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "inference-interval=3");
    let counts: Vec<_> = (0..6)
        .map(|n| {
            let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
            (meta::landmark::read(&out).len(), events(&out).is_empty())
        })
        .collect();
    assert_eq!(
        counts,
        [(1, false), (1, true), (1, true), (1, false), (1, true), (1, true)]
    );
    assert_eq!(
        inner(&h).property::<gst::Structure>("stats").get::<u64>("inferences"),
        Ok(2)
    );
}

#[test]
fn gap_buffers_pass_unread() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let out = h.push_and_pull(buffer).unwrap();
    assert!(events(&out).is_empty() && meta::landmark::read(&out).is_empty());
}

#[test]
fn late_frames_skip_the_inference_not_the_picture() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    h.push_and_pull(picture.at(ms(0))).unwrap();
    h.push_upstream_event(gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 100_000_000, ms(0)));
    let late = h.push_and_pull(picture.at(ms(40))).unwrap();
    assert_eq!(
        (meta::landmark::read(&late).len(), events(&late).len()),
        (1, 0),
        "the last box, no event"
    );
    let in_time = h.push_and_pull(picture.at(ms(200))).unwrap();
    assert!(!events(&in_time).is_empty());
    let stats = inner(&h).property::<gst::Structure>("stats");
    assert_eq!(
        (stats.get::<u64>("skipped"), stats.get::<u64>("inferences")),
        (Ok(1), Ok(2))
    );
}

#[test]
fn without_qos_every_frame_is_read() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "qos=false");
    h.push_upstream_event(gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 100_000_000, ms(0)));
    assert!(!events(&h.push_and_pull(picture.at(ms(40))).unwrap()).is_empty());
}

#[test]
fn a_flush_forgets_faces() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0");
    let smile = |h: &mut gst_check::Harness, t| {
        let out = h.push_and_pull(picture.at(ms(t))).unwrap();
        events(&out).into_iter().find(|e| e.kind == "smile").unwrap().state
    };
    assert_eq!((smile(&mut h, 0), smile(&mut h, 40)), (Start, Ongoing));
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(smile(&mut h, 80), Start);
}

#[test]
fn a_threshold_changes_from_the_next_frame_on() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0 smile-threshold=1.0");
    let smiles =
        |h: &mut gst_check::Harness, t| kinds(&h.push_and_pull(picture.at(ms(t))).unwrap()).contains(&"smile".into());
    assert!(!smiles(&mut h, 0));
    inner(&h).set_property_from_str("smile-threshold", "0.5");
    assert!(smiles(&mut h, 40));
}

#[test]
fn the_engine_is_not_changed_under_way() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "engine=openvino");
    let element = inner(&h);
    element.set_property_from_str("engine", "embedded");
    h.push_and_pull(picture.at(ms(0))).unwrap();
    assert_eq!(
        element.property_value("engine").serialize().unwrap(),
        "openvino",
        "what really runs"
    );
    assert_eq!(element.property::<String>("device"), "CPU");
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(
        element.property_value("engine").serialize().unwrap(),
        "embedded",
        "what will run"
    );
}

#[test]
fn what_runs_is_said_on_the_bus() {
    init();
    let pipeline = parse("videotestsrc num-buffers=1 ! hailoface name=face engine=embedded ! fakesink");
    let messages = run(&pipeline).unwrap();
    let said = messages
        .iter()
        .find_map(|m| m.structure().filter(|s| s.name() == "nunchi-engine"))
        .unwrap();
    assert_eq!(
        (said.get::<&str>("element"), said.get::<&str>("engine")),
        (Ok("face"), Ok("embedded"))
    );
}

#[test]
fn no_more_faces_than_wanted() {
    // Two portraits side by side.
    init();
    let side = |n: &str, x: u32| {
        format!(
            "filesrc location=\"{}\" ! decodebin ! videoconvert ! videoscale ! video/x-raw,width=480,height=600 ! imagefreeze num-buffers=1 ! mix.sink_{x}",
            file(&format!("tests/media/{n}")).display()
        )
    };
    let count = |max: u32| {
        let pipeline = parse(&format!(
            "compositor name=mix sink_1::xpos=480 ! video/x-raw,format=I420,width=960,height=600,framerate=25/1 ! hailoface max-faces={max} engine=openvino ! fakesink name=sink {} {}",
            side("obama.jpg", 0),
            side("astronaut.png", 1)
        ));
        collect(&pipeline, "sink")
            .last()
            .map_or(0, |buffer| meta::landmark::read(buffer).len())
    };
    assert_eq!((count(1), count(4)), (1, 2));
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::ElementFactory::make("hailoface").build().unwrap();
    for (name, value) in [
        ("engine", "onnxruntime"),
        ("device", "CUDA:0"),
        ("precision", "bf16"),
        ("threads", "3"),
        ("fallback", "cpu"),
        ("detector-model", "a.onnx"),
        ("max-faces", "7"),
        ("inference-interval", "2"),
        ("detection-interval", "0"),
        ("emotion-interval", "0"),
        ("score-threshold", "0.25"),
        ("presence-timeout", "1000"),
        ("eyes-closed-min-duration", "5"),
        ("analytics-meta", "off"),
        ("qos", "false"),
        ("fail-on-error", "true"),
    ] {
        element.set_property_from_str(name, value);
        assert_eq!(
            element.property_value(name).serialize().unwrap().replace('"', ""),
            value,
            "{name}"
        );
    }
}

#[test]
fn every_property_describes_itself() {
    init();
    for factory in ["hailoface", "eventthrottle", "xmllogsink", "analysisoverlay"] {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        for property in element
            .list_properties()
            .iter()
            .filter(|p| p.owner_type() == element.type_())
        {
            assert!(
                property.blurb().is_some_and(|b| b.len() > 10),
                "{factory} {}",
                property.name()
            );
        }
        assert_eq!(element.factory().unwrap().rank(), gst::Rank::NONE);
    }
}

/// The error that a pipeline with such an element ends with.
#[track_caller]
fn error(properties: &str) -> String {
    init();
    run(&parse(&format!(
        "videotestsrc num-buffers=2 ! hailoface name=face {properties} ! fakesink"
    )))
    .unwrap_err()
}

#[test]
fn a_model_that_is_not_there_is_named() {
    for property in ["detector-model", "landmark-model", "blendshape-model", "emotion-model"] {
        let e = error(&format!("{property}=/nowhere/model.onnx"));
        assert!(e.contains("/nowhere/model.onnx") && e.starts_with("face: "), "{e}");
    }
}

#[test]
fn a_damaged_model_is_named_by_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.onnx");
    std::fs::write(&garbage, b"this is not a network").unwrap();
    let cut = dir.path().join("cut.onnx");
    let whole = std::fs::read(file("plugins/inference/models/face_detection_short_range.onnx")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for engine in ENGINES {
        for model in [&garbage, &cut] {
            let e = error(&format!("engine={engine} detector-model=\"{}\"", model.display()));
            assert!(
                e.contains(model.file_name().unwrap().to_str().unwrap()),
                "{engine}: {e}"
            );
        }
    }
}

#[test]
fn a_model_of_another_shape_is_named_with_both_shapes() {
    let other = file("plugins/inference/models/face_blendshapes_52.onnx");
    for engine in ENGINES {
        let e = error(&format!("engine={engine} detector-model=\"{}\"", other.display()));
        assert!(
            e.contains("expected") && e.contains("found") && e.contains("128"),
            "{engine}: {e}"
        );
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_or_a_warning() {
    if std::path::Path::new("/dev/nvidia0").exists() {
        return run(&parse(
            "videotestsrc num-buffers=1 ! hailoface engine=onnxruntime device=CUDA:0 fallback=cpu ! fakesink",
        ))
        .map(drop)
        .unwrap();
    }
    let e = error("engine=onnxruntime device=CUDA:0");
    assert!(
        !e.contains("Resource not found"),
        "the text for people says what is wrong: {e}"
    );
    assert!(e.contains("CUDA"), "{e}");
    let pipeline =
        parse("videotestsrc num-buffers=1 ! hailoface engine=onnxruntime device=CUDA:0 fallback=cpu ! fakesink");
    let messages = run(&pipeline).unwrap();
    assert!(
        messages.iter().any(|m| m.type_() == gst::MessageType::Warning),
        "the fallback is said"
    );
}

#[test]
fn a_precision_that_the_engine_lacks_is_refused() {
    for engine in ["onnxruntime", "embedded"] {
        let e = error(&format!("engine={engine} precision=bf16"));
        assert!(e.contains("precision"), "{e}");
    }
}

#[test]
fn a_device_that_is_none_is_refused() {
    let e = error("device=TOASTER:0");
    assert!(e.contains("TOASTER"), "{e}");
}

#[test]
fn analytics_that_is_wanted_must_be_there() {
    init();
    let line = "videotestsrc num-buffers=1 ! hailoface engine=embedded analytics-meta=on ! fakesink";
    let outcome = run(&parse(line));
    if meta::analytics::is_available() {
        outcome.unwrap();
    } else {
        let e = outcome.unwrap_err();
        assert!(e.contains("libgstanalytics") && e.contains("1.24"), "{e}");
    }
}

#[test]
fn formats_that_are_not_read_do_not_negotiate() {
    for caps in [
        "video/x-raw,format=P010_10LE",
        "video/x-raw(memory:NVMM),format=NV12",
        "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved",
    ] {
        init();
        let line = format!(
            "fakesrc num-buffers=1 ! {caps},width=64,height=64,framerate=25/1 ! hailoface engine=embedded ! fakesink"
        );
        let outcome = gst::parse::launch(&line)
            .map_err(|e| e.to_string())
            .and_then(|p| run(&p.downcast().unwrap()));
        assert!(outcome.is_err(), "{caps}");
    }
}

#[test]
fn a_buffer_that_is_too_small_warns_once_and_passes() {
    let picture = black(VideoFormat::I420, 64, 48);
    init();
    let pipeline = parse("appsrc name=src format=time ! hailoface engine=embedded ! fakesink");
    let src = pipeline.by_name("src").unwrap();
    src.set_property("caps", &picture.caps);
    for n in 0..5 {
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer(ms(n * 40), &[])]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let messages = run(&pipeline).unwrap();
    assert_eq!(
        messages
            .iter()
            .filter(|m| m.type_() == gst::MessageType::Warning)
            .count(),
        1
    );
}

#[test]
fn a_bad_frame_is_an_error_when_the_user_wants_it_so() {
    let picture = black(VideoFormat::I420, 64, 48);
    let mut h = harness(&picture, "engine=embedded fail-on-error=true");
    assert_eq!(h.push(buffer(ms(0), &[])), Err(gst::FlowError::Error));
}

#[test]
fn values_out_of_range_and_unknown_ones_are_refused() {
    init();
    for line in [
        "hailoface engine=abacus",
        "hailoface colour=red",
        "hailoface fallback=hope",
        "hailoface threads=some",
    ] {
        assert!(gst::parse::launch(line).is_err(), "{line}");
    }
    let element = gst::ElementFactory::make("hailoface").build().unwrap();
    for (property, wrong) in [("max-faces", 0u32), ("inference-interval", 0)] {
        let outcome = std::panic::catch_unwind(|| element.set_property(property, wrong));
        assert!(outcome.is_err() || element.property::<u32>(property) > 0, "{property}");
    }
}

#[test]
fn end_of_stream_before_the_first_buffer_passes() {
    let picture = black(VideoFormat::I420, 64, 48);
    let mut h = harness(&picture, "engine=embedded");
    assert!(h.push_event(gst::event::Eos::new()));
    assert_eq!(h.events_received(), 4, "stream start, caps, segment, end");
}
