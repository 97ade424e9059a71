//! Buffers, sizes, QoS, flushes and properties.

use super::*;

#[test]
fn the_picture_and_the_upstream_buffer_stay_as_they_are() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let shared = picture.at(ms(0));
    h.push(shared.clone()).unwrap();
    let out = h.pull().unwrap();
    assert!(!events(&out).is_empty());
    assert!(meta::landmark::read(&shared).is_empty() && !meta::event::is_present(&shared));
    assert_eq!(
        shared.peek_memory(0).as_ptr(),
        out.peek_memory(0).as_ptr(),
        "not even copied"
    );
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
    let mut h = harness(&tight, "engine=openvino");
    let out = h.push_and_pull(buffer).unwrap();
    assert_like_reference("obama.jpg", &tight, &out);
}

#[test]
fn a_new_size_in_the_middle_ends_what_went_on_and_is_followed() {
    let large = picture("camera.png", "I420");
    let small = decode("camera.png", "video/x-raw,format=NV12,width=300,height=300");
    let mut h = harness(&large, "");
    let first = h.push_and_pull(large.at(ms(0))).unwrap();
    h.set_src_caps(small.caps.clone());
    let second = h.push_and_pull(small.at(ms(40))).unwrap();
    let states: Vec<_> = events(&second)
        .into_iter()
        .map(|e| (e.kind, e.state, e.track_id))
        .collect();
    assert_eq!(
        states[..2],
        [
            ("head_tilt".to_string(), End, Some(1)),
            ("head_tilt".to_string(), Start, Some(2))
        ]
    );
    let (first, second) = (body(&first), body(&second));
    for (a, b) in first.points.iter().zip(&second.points).filter(|(a, _)| a[2] >= 0.45) {
        assert!((a[0] - b[0]).hypot(a[1] - b[1]) < 0.03, "{a:?} {b:?}");
    }
}

#[test]
fn a_still_picture_without_frame_rate_and_timestamp_is_read() {
    let mut picture = picture("obama.jpg", "I420");
    picture.caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
    let mut h = harness(&picture, "");
    let out = h.push_and_pull(picture.at(None)).unwrap();
    assert_eq!(body(&out).points.len(), 17);
}

#[test]
fn frames_between_inferences_carry_boxes_but_no_events() {
    let picture = picture("camera.png", "I420");
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
fn gap_buffers_and_gap_events_pass_unread() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let out = h.push_and_pull(buffer).unwrap();
    assert!(events(&out).is_empty() && meta::landmark::read(&out).is_empty());
    assert!(h.push_event(gst::event::Gap::builder(ms(40)).duration(ms(40)).build()));
    assert!(!events(&h.push_and_pull(picture.at(ms(80))).unwrap()).is_empty());
}

#[test]
fn late_frames_skip_the_inference_not_the_picture() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    h.push_and_pull(picture.at(ms(0))).unwrap();
    h.push_upstream_event(gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 100_000_000, ms(0)));
    let late = h.push_and_pull(picture.at(ms(40))).unwrap();
    assert_eq!(
        (meta::landmark::read(&late).len(), events(&late).len()),
        (1, 0),
        "the last box, no event"
    );
    assert!(!events(&h.push_and_pull(picture.at(ms(200))).unwrap()).is_empty());
    let stats = inner(&h).property::<gst::Structure>("stats");
    assert_eq!(
        (stats.get::<u64>("skipped"), stats.get::<u64>("inferences")),
        (Ok(1), Ok(2))
    );
    inner(&h).set_property_from_str("qos", "false");
    h.push_upstream_event(gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 100_000_000, ms(200)));
    assert!(!events(&h.push_and_pull(picture.at(ms(240))).unwrap()).is_empty());
}

#[test]
fn a_flush_and_a_new_stream_forget_people_and_their_longest_trunk() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let tilt = |h: &mut gst_check::Harness, t| {
        let out = h.push_and_pull(picture.at(ms(t))).unwrap();
        let event = events(&out).into_iter().find(|e| e.kind == "head_tilt").unwrap();
        (event.state, event.track_id.unwrap())
    };
    assert_eq!((tilt(&mut h, 0), tilt(&mut h, 40)), ((Start, 1), (Ongoing, 1)));
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    let segment = || gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
    h.push_event(segment());
    assert_eq!(tilt(&mut h, 80), (Start, 2));
    h.push_event(gst::event::StreamStart::new("other"));
    h.push_event(gst::event::Caps::new(&picture.caps));
    h.push_event(segment());
    assert_eq!(tilt(&mut h, 120), (Start, 3));
}

#[test]
fn a_threshold_changes_from_the_next_frame_on() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "head-tilt-threshold=10");
    assert!(events(&h.push_and_pull(picture.at(ms(0))).unwrap()).is_empty());
    inner(&h).set_property_from_str("head-tilt-threshold", "3.5");
    assert_eq!(kinds(&h.push_and_pull(picture.at(ms(40))).unwrap()), ["head_tilt"]);
}

#[test]
fn running_time_and_not_the_timestamp_is_told() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(1000));
    segment.set_base(ms(300));
    h.push_event(gst::event::Segment::new(&segment));
    let out = h.push_and_pull(picture.at(ms(1040))).unwrap();
    let event = events(&out).pop().unwrap();
    assert_eq!(
        (event.running_time, event.pts),
        (Some(340_000_000), Some(1_040_000_000))
    );
}

#[test]
fn what_runs_is_said_on_the_bus() {
    init();
    let pipeline = parse("videotestsrc num-buffers=1 ! hailopose name=pose engine=embedded ! fakesink");
    let messages = run(&pipeline).unwrap();
    let said = messages
        .iter()
        .find_map(|m| m.structure().filter(|s| s.name() == "nunchi-engine"))
        .unwrap();
    assert_eq!(
        (said.get::<&str>("element"), said.get::<&str>("engine")),
        (Ok("pose"), Ok("embedded"))
    );
}

#[test]
fn faces_and_bodies_are_read_in_one_line() {
    let picture = picture("obama.jpg", "I420");
    init();
    let mut h = gst_check::Harness::new_parse("hailopose ! hailoface smile-min-duration=0");
    h.set_src_caps(picture.caps.clone());
    let out = h.push_and_pull(picture.at(ms(0))).unwrap();
    let layouts: Vec<_> = meta::landmark::read(&out)
        .into_iter()
        .map(|l| (l.object_id, l.layout))
        .collect();
    assert_eq!(
        layouts,
        [
            (0, "body-pose/coco-17".to_string()),
            (1, "face-landmarks/478".to_string())
        ]
    );
    assert!(kinds(&out).contains(&"smile".to_string()));
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::ElementFactory::make("hailopose").build().unwrap();
    for (name, value) in [
        ("engine", "onnxruntime"),
        ("device", "CUDA:0"),
        ("precision", "bf16"),
        ("threads", "3"),
        ("fallback", "cpu"),
        ("model", "a.onnx"),
        ("max-people", "7"),
        ("inference-interval", "2"),
        ("score-threshold", "0.25"),
        ("iou-threshold", "0.5"),
        ("keypoint-threshold", "0.75"),
        ("presence-timeout", "1000"),
        ("smoothing", "true"),
        ("rule-confidence", "0.5"),
        ("asymmetry-threshold", "1.2"),
        ("shortening-threshold", "1.3"),
        ("head-tilt-threshold", "4"),
        ("gesture-threshold", "6.5"),
        ("crossed-threshold", "0.5"),
        ("far-threshold", "6"),
        ("near-threshold", "50"),
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
fn defaults_are_those_of_the_recording_system() {
    init();
    let element = gst::ElementFactory::make("hailopose").build().unwrap();
    for (name, value) in [
        ("asymmetry-threshold", 1.1),
        ("shortening-threshold", 1.15),
        ("head-tilt-threshold", 3.5),
        ("gesture-threshold", 5.5),
        ("crossed-threshold", 0.3),
        ("far-threshold", 5.0),
        ("near-threshold", 40.0),
    ] {
        assert_eq!(element.property::<f64>(name), value, "{name}");
    }
    assert_eq!(element.property::<f32>("keypoint-threshold"), 0.4);
    assert_eq!(element.property::<f32>("rule-confidence"), 0.3);
    assert!(!element.property::<bool>("smoothing"));
}
