//! Buffers, sizes, QoS, flushes and properties.

use super::*;

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
        "openvino",
        "what was asked for while it ran did not count"
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
    for factory in [
        "hailoface",
        "hailopose",
        "eventthrottle",
        "xmllogsink",
        "analysisoverlay",
    ] {
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
