//! What of the metadata arrives behind the elements that stand between an analyser and a reader.

mod common;

use common::*;
use gst::prelude::*;
use gstnunchi::meta::{self, landmark::Landmarks, roi::Region};
use nunchi_events::State::Start;

fn landmarks() -> Landmarks {
    Landmarks {
        object_id: 0,
        track_id: 9,
        layout: "body-pose/coco-17".into(),
        bbox: [0.25, 0.25, 0.5, 0.5],
        points: vec![[0.25, 0.5, 0.9], [0.75, 0.5, 0.8]],
    }
}

/// Sends a 64x48 I420 frame with all metas through the elements; the buffer that arrives last.
#[track_caller]
fn through(elements: &str) -> gst::Buffer {
    init();
    let pipeline = parse(&format!(
        "appsrc name=src format=time caps=video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! {elements} ! fakesink name=sink"
    ));
    let src = pipeline.by_name("src").unwrap();
    for n in 0..3 {
        let mut frame = gst::Buffer::from_mut_slice(vec![64u8; 64 * 48 * 3 / 2]);
        {
            let frame = frame.get_mut().unwrap();
            frame.set_pts(ms(n * 40));
            frame.set_duration(ms(40));
            meta::event::append(frame, [meta::event::to_structure(&event("smile", Start))]);
            meta::landmark::append(frame, &[landmarks()]);
            let region = Region {
                label: "face",
                rect: (16, 12, 32, 24),
                confidence: 0.9,
                label_id: 0,
                track_id: 9,
                attributes: Vec::new(),
            };
            meta::roi::append(frame, &region, (64, 48));
        }
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    collect(&pipeline, "sink").pop().unwrap()
}

#[track_caller]
fn assert_events(elements: &str) -> gst::Buffer {
    let out = through(elements);
    assert_eq!(kinds(&out), ["smile"], "events behind {elements}");
    out
}

#[test]
fn events_survive_everything_up_to_the_muxer() {
    for elements in [
        "queue",
        "videoconvert ! video/x-raw,format=RGB",
        "videoscale ! video/x-raw,width=32,height=24",
        "videocrop left=8 top=8",
        "videobox left=-8",
        "videoflip method=horizontal-flip",
        "videorate ! video/x-raw,framerate=50/1",
        "alpha ! videoconvert",
        "jpegenc",
        "jpegenc ! jpegdec",
        "x264enc tune=zerolatency ! h264parse",
        "x264enc tune=zerolatency ! h264parse ! avdec_h264",
        "videoconvert ! videocrop left=8 ! videoscale ! video/x-raw,width=20,height=20 ! videoconvert ! jpegenc",
        "eventthrottle interval=0",
        "analysisoverlay",
        "motiontextoverlay",
    ] {
        assert_events(elements);
    }
}

#[test]
fn landmarks_survive_conversion_and_scaling_as_parts_of_the_frame() {
    for elements in [
        "queue",
        "videoconvert ! video/x-raw,format=RGB",
        "videoscale add-borders=false ! video/x-raw,width=32,height=48",
        "jpegenc ! jpegdec",
    ] {
        let out = assert_events(elements);
        assert_eq!(meta::landmark::read(&out), [landmarks()], "{elements}");
    }
}

#[test]
fn landmarks_are_dropped_where_they_would_lie() {
    for elements in ["videocrop left=8", "videobox left=-8"] {
        assert!(meta::landmark::read(&through(elements)).is_empty(), "{elements}");
    }
}

#[test]
fn a_copy_of_the_landmarks_is_one() {
    // A scaler of GStreamer 1.28 asks twice; whatever the version, one meta must come out.
    let out = through("videoscale ! video/x-raw,width=32,height=24 ! videoconvert ! video/x-raw,format=RGB");
    let metas = out
        .iter_meta::<gst::Meta>()
        .filter(|m| m.try_as_custom_meta().is_some_and(|m| m.has_name(meta::landmark::NAME)))
        .count();
    assert_eq!(metas, 1);
}

#[test]
fn boxes_are_rescaled_but_lose_their_parameters() {
    let out = through("videoscale ! video/x-raw,width=32,height=24");
    let roi = out.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap();
    assert_eq!((roi.roi_type(), roi.rect()), ("face", (8, 6, 16, 12)));
}

#[test]
fn more_events_than_a_buffer_holds_are_dropped() {
    init();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.get_mut().unwrap();
    let one = meta::event::to_structure(&event("smile", Start));
    assert_eq!(meta::event::append(buffer, std::iter::repeat_n(one.clone(), 200)), 200);
    assert_eq!(meta::event::append(buffer, std::iter::repeat_n(one, 200)), 56);
    assert_eq!(meta::event::read(buffer).len(), meta::event::MAX_EVENTS);
}

#[test]
fn an_event_comes_back_as_it_was() {
    init();
    let mut original = event("smile", Start);
    original.label = "미소".into();
    original.value = Some(0.5);
    original.confidence = Some(f64::MIN_POSITIVE);
    original.object_id = Some(-1);
    original.track_id = Some(u64::MAX);
    original.utc = Some(1);
    original.attrs.insert("n".into(), nunchi_events::AttrValue::Int(-3));
    original.attrs.insert("b".into(), nunchi_events::AttrValue::Bool(true));
    original.attrs.insert("f".into(), nunchi_events::AttrValue::Float(0.25));
    original
        .attrs
        .insert("s".into(), nunchi_events::AttrValue::Str("".into()));
    assert_eq!(
        meta::event::from_structure(&meta::event::to_structure(&original)),
        Some(original)
    );
}

#[test]
fn malformed_landmarks_are_left_out() {
    init();
    let array = |n: usize| gst::Array::from_values((0..n).map(|i| (i as f64).to_send_value()));
    let object = || {
        gst::Structure::builder("object")
            .field("layout", "x")
            .field("box", array(4))
    };
    let bad = [
        object().build(),
        object().field("points", array(4)).build(),
        object().field("points", "text").build(),
        gst::Structure::builder("object")
            .field("points", array(3))
            .field("box", array(4))
            .build(),
        gst::Structure::builder("object")
            .field("layout", "x")
            .field("box", array(5))
            .field("points", array(3))
            .build(),
        gst::Structure::new_empty("object"),
    ];
    let mut buffer = gst::Buffer::new();
    let mut meta = gst::meta::CustomMeta::add(buffer.get_mut().unwrap(), meta::landmark::NAME).unwrap();
    meta.mut_structure().set("objects", gst::List::new(bad));
    assert!(meta::landmark::read(&buffer).is_empty());
}

#[test]
fn regions_count_their_ids_beyond_strangers() {
    init();
    let mut buffer = gst::Buffer::new();
    let buffer = buffer.get_mut().unwrap();
    gst_video::VideoRegionOfInterestMeta::add(buffer, "x", (0, 0, 1, 1)).set_id(i32::MAX);
    let region = Region {
        label: "face",
        rect: (0, 0, 1, 1),
        confidence: 1.0,
        label_id: 0,
        track_id: 1,
        attributes: Vec::new(),
    };
    let id = meta::roi::append(buffer, &region, (4, 4));
    let ids: Vec<_> = buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .map(|m| m.id())
        .collect();
    assert_eq!(ids.iter().filter(|i| **i == id).count(), 1, "{ids:?}");
}
