//! Buffers, sizes, flushes, properties: what the stream brings.

use super::*;

#[test]
fn the_picture_and_the_upstream_buffer_stay_as_they_are() {
    let picture = picture("dog.jpg", "I420");
    let mut h = harness(&picture, "");
    let shared = picture.at(ms(0));
    h.push(shared.clone()).unwrap();
    let out = h.pull().unwrap();
    assert_eq!((names(&out).len(), names(&shared).len()), (4, 0));
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
            let mut harness = harness(&picture, "fail-on-error=true");
            harness.push_and_pull(picture.at(ms(0))).unwrap();
        }
    }
}

#[test]
fn a_new_size_ends_what_went_on_and_is_followed() {
    let large = picture("dog.jpg", "I420");
    let small = pictures::decode("dog.jpg", "video/x-raw,format=NV12,width=384,height=288");
    let mut h = harness(&large, "classes=dog min-duration=0");
    let first = h.push_and_pull(large.at(ms(0))).unwrap();
    h.set_src_caps(small.caps.clone());
    let second = h.push_and_pull(small.at(ms(40))).unwrap();
    let states: Vec<_> = events(&second).into_iter().map(|event| event.state.as_str()).collect();
    assert_eq!(states, ["end", "start"]);
    let (first, second) = (
        objects(&first, (1.0, 1.0)).remove(0),
        objects(&second, (1.0, 1.0)).remove(0),
    );
    assert!(
        first.sides.iter().zip(second.sides).all(|(a, b)| (a - b).abs() < 0.03),
        "{first:?} {second:?}"
    );
    assert_ne!(first.track, second.track);
}

#[test]
fn a_still_picture_without_frame_rate_and_timestamp_is_read() {
    let mut picture = picture("dog.jpg", "I420");
    picture.caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
    let mut h = harness(&picture, "");
    assert_eq!(names(&h.push_and_pull(picture.at(None)).unwrap()).len(), 4);
}

#[test]
fn frames_between_inferences_carry_boxes_but_no_events() {
    let picture = picture("dog.jpg", "I420");
    let mut h = harness(&picture, "inference-interval=3 min-duration=0 classes=dog");
    let counts: Vec<_> = (0..6)
        .map(|n| {
            let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
            (names(&out).len(), events(&out).len())
        })
        .collect();
    assert_eq!(counts, [(1, 1), (1, 0), (1, 0), (1, 1), (1, 0), (1, 0)]);
}

#[test]
fn a_flush_forgets_objects_and_classes() {
    let picture = picture("dog.jpg", "I420");
    let mut h = harness(&picture, "min-duration=0 classes=dog");
    let at = |h: &mut gst_check::Harness, time| {
        let out = h.push_and_pull(picture.at(ms(time))).unwrap();
        (events(&out)[0].state.as_str(), objects(&out, (1.0, 1.0))[0].track)
    };
    assert_eq!(at(&mut h, 0), ("start", 1));
    assert_eq!(at(&mut h, 40), ("ongoing", 1));
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(at(&mut h, 80), ("start", 2));
}

#[test]
fn a_threshold_changes_from_the_next_frame_on() {
    let picture = picture("dog.jpg", "I420");
    let mut h = harness(&picture, "score-threshold=0.99");
    assert_eq!(names(&h.push_and_pull(picture.at(ms(0))).unwrap()), [""; 0]);
    inner(&h).set_property("score-threshold", 0.9f32);
    assert_eq!(names(&h.push_and_pull(picture.at(ms(40))).unwrap()), ["bicycle"]);
}

#[test]
fn what_runs_is_said_on_the_bus() {
    init();
    let messages = run(&parse(
        "videotestsrc num-buffers=1 ! cudassd name=ssd engine=embedded ! fakesink",
    ))
    .unwrap();
    let said = messages
        .iter()
        .find_map(|m| m.structure().filter(|s| s.name() == "nunchi-engine"))
        .unwrap();
    assert_eq!(
        (said.get::<&str>("element"), said.get::<&str>("engine")),
        (Ok("ssd"), Ok("embedded"))
    );
}

#[test]
fn objects_are_throttled_and_logged_like_other_events() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.xml");
    let picture = picture("dog.jpg", "I420");
    let pipeline = parse(&format!(
        "appsrc name=src format=time ! cudassd classes=dog min-duration=0 ! eventthrottle interval=1000000000 ! xmllogsink location=\"{}\"",
        log.display()
    ));
    let src = pipeline.by_name("src").unwrap();
    src.set_property("caps", &picture.caps);
    for n in 0..30 {
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&picture.at(ms(n * 100))]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    run(&pipeline).unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.matches("dog in view").count();
    assert!((1..=4).contains(&lines), "{text}");
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::ElementFactory::make("cudassd").build().unwrap();
    for (name, value) in [
        ("engine", "onnxruntime"),
        ("device", "CUDA:0"),
        ("precision", "f16"),
        ("threads", "3"),
        ("fallback", "cpu"),
        ("model", "a.onnx"),
        ("labels-file", "names.txt"),
        ("model-family", "ssd300"),
        ("preprocess", "center-crop"),
        ("channel-order", "bgr"),
        ("mean", "0.1,0.2,0.3"),
        ("std", "0.5"),
        ("score-threshold", "0.25"),
        ("iou-threshold", "0.5"),
        ("max-objects", "7"),
        ("classes", "dog"),
        ("batch-size", "8"),
        ("batch-timeout", "1000"),
        ("batch-group", "street"),
        ("detections-location", "infer%d.txt"),
        ("json-location", "objects.jsonl"),
        ("min-duration", "5"),
        ("presence-timeout", "6"),
        ("inference-interval", "2"),
        ("analytics-meta", "off"),
        ("nvds-meta", "off"),
        ("qos", "false"),
        ("fail-on-error", "true"),
    ] {
        element.set_property_from_str(name, value);
        let now = element
            .property_value(name)
            .serialize()
            .unwrap()
            .replace(['"', '\\'], "");
        assert_eq!(now, value, "{name}");
    }
}
