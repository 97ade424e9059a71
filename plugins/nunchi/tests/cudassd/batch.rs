//! Several frames of one stream at once.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// A frame of one level, which the small networks tell apart.
fn grey(level: u8, (width, height): (u32, u32)) -> Picture {
    init();
    let info = gst_video::VideoInfo::builder(VideoFormat::Gray8, width, height)
        .fps(gst::Fraction::new(25, 1))
        .build()
        .unwrap();
    Picture {
        caps: info.to_caps().unwrap(),
        buffer: gst::Buffer::from_mut_slice(vec![level; info.size()]),
    }
}

/// Another level for each frame.
fn level(n: u64) -> u8 {
    (20 + n * 53 % 200) as u8
}

const SIZE: (u32, u32) = (64, 48);

/// Times and objects of `count` frames that went through the element.
fn through(count: u64, properties: &str) -> Vec<(Option<u64>, Vec<Object>)> {
    init();
    let first = grey(0, SIZE);
    let pipeline = parse(&format!(
        "appsrc name=src format=time ! cudassd name=ssd fail-on-error=true engine=onnxruntime {properties} ! fakesink name=sink"
    ));
    let src = pipeline.by_name("src").unwrap();
    src.set_property("caps", &first.caps);
    for n in 0..count {
        let frame = grey(level(n), SIZE).at(ms(n * 40));
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let all = collect(&pipeline, "sink");
    let found = |buffer: &gst::Buffer| objects(buffer, (1.0, 1.0));
    all.iter()
        .map(|buffer| (buffer.pts().map(gst::ClockTime::mseconds), found(buffer)))
        .collect()
}

#[test]
fn frames_leave_in_order_each_with_its_own_objects() {
    for name in ["ssd300.onnx", "torchvision.onnx", "tf.onnx", "nms-tf.onnx"] {
        let properties = |batch: u32| format!("{} batch-size={batch} score-threshold=0.1", network(name));
        let alone = through(11, &properties(1));
        let times: Vec<_> = alone.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, (0..11).map(|n| Some(n * 40)).collect::<Vec<_>>());
        assert!(alone.iter().all(|(_, objects)| !objects.is_empty()), "{name}");
        assert!(alone[0].1 != alone[1].1, "{name}: the frame shows");
        // 11 frames: the last batch is never full.
        for batch in [2, 4, 8, 16] {
            let together = through(11, &properties(batch));
            assert_eq!(together.len(), alone.len(), "{name} {batch}");
            for ((time, found), (wanted_time, wanted)) in together.iter().zip(&alone) {
                assert_eq!(time, wanted_time, "{name} {batch}");
                assert_eq!(found.len(), wanted.len(), "{name} {batch} at {time:?}");
                for (a, b) in found.iter().zip(wanted) {
                    assert_eq!((&a.name, a.track), (&b.name, b.track), "{name} {batch}");
                    let near = a.sides.iter().zip(b.sides).all(|(a, b)| (a - b).abs() < 1e-4);
                    assert!(near && (a.confidence - b.confidence).abs() < 1e-4, "{a:?} {b:?}");
                }
            }
        }
    }
}

#[test]
fn the_end_of_the_stream_and_of_the_segment_bring_out_what_waits() {
    let picture = grey(99, SIZE);
    // Nothing else has them leave.
    let properties = format!("{} batch-size=8 batch-timeout=3600000000000", network("nms-tf.onnx"));
    for event in [
        gst::event::Eos::new(),
        gst::event::Caps::new(&grey(1, (32, 32)).caps),
        gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()),
        gst::event::Gap::builder(ms(200)).duration(ms(40)).build(),
    ] {
        let mut h = harness(&picture, &properties);
        for n in 0..3 {
            h.push(picture.at(ms(n * 40))).unwrap();
        }
        assert_eq!(h.buffers_in_queue(), 0);
        assert!(h.push_event(event.clone()));
        let times: Vec<_> = (0..3).map(|_| h.pull().unwrap().pts().unwrap().mseconds()).collect();
        assert_eq!(times, [0, 40, 80], "{event:?}");
    }
}

#[test]
fn a_flush_in_the_middle_of_a_batch_drops_its_frames_and_no_others() {
    let picture = grey(99, SIZE);
    let properties = format!(
        "{} batch-size=4 batch-timeout=3600000000000 score-threshold=0.1",
        network("nms-tf.onnx")
    );
    let mut h = harness(&picture, &properties);
    let reference = {
        let mut h = harness(&picture, &format!("{} score-threshold=0.1", network("nms-tf.onnx")));
        names(&h.push_and_pull(picture.at(ms(0))).unwrap())
    };
    for round in 0..5u64 {
        for n in 0..3 {
            h.push(picture.at(ms(round * 1000 + n * 40))).unwrap();
        }
        h.push_event(gst::event::FlushStart::new());
        h.push_event(gst::event::FlushStop::new(true));
        h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        assert_eq!(h.buffers_in_queue(), 0);
    }
    for n in 0..4 {
        h.push(picture.at(ms(9000 + n * 40))).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    for n in 0..4 {
        let out = h.pull().unwrap();
        assert_eq!(out.pts(), Some(ms(9000 + n * 40)));
        assert_eq!(names(&out), reference);
    }
    assert_eq!(h.buffers_in_queue(), 0);
}

#[test]
fn frames_under_way_of_one_stream_hold_up_no_other() {
    let picture = grey(99, SIZE);
    let properties = format!(
        "{} batch-size=4 batch-timeout=3600000000000 batch-group=busy",
        network("nms-tf.onnx")
    );
    let mut busy = harness(&picture, &properties);
    let mut other = harness(&picture, &properties);
    busy.push(picture.at(ms(0))).unwrap();
    other.push(picture.at(ms(0))).unwrap();
    other.push_event(gst::event::Eos::new());
    assert_eq!(other.pull().unwrap().pts(), Some(ms(0)));
    // Its frame was in the same batch, and leaves now or with the end.
    busy.push_event(gst::event::Eos::new());
    assert_eq!(busy.pull().unwrap().pts(), Some(ms(0)));
}

#[test]
fn a_live_frame_does_not_wait_for_others_for_ever() {
    // A live source of one frame: the time-out has it go on.
    let picture = grey(99, SIZE);
    let properties = format!("{} batch-size=8 batch-timeout=1000000", network("nms-tf.onnx"));
    let mut h = harness(&picture, &properties);
    let (sender, arrived) = mpsc::channel();
    let pad = h.sinkpad().unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = sender.send(());
        gst::PadProbeReturn::Ok
    });
    for n in 0..3 {
        h.push(picture.at(ms(n * 40))).unwrap();
        arrived
            .recv_timeout(PATIENCE)
            .expect("the frame leaves though none follows");
        assert_eq!(h.pull().unwrap().pts(), Some(ms(n * 40)));
    }
}

#[test]
fn latency_is_what_a_frame_waits_at_most() {
    init();
    let latency = |fps: &str, properties: &str| {
        let pipeline = parse(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=GRAY8,width=64,height=48,framerate={fps} ! \
             cudassd name=ssd {} {properties} ! fakesink",
            network("nms-tf.onnx")
        ));
        pipeline.set_state(gst::State::Playing).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(30)).0.unwrap();
        let latency = |pad: &str| {
            let mut query = gst::query::Latency::new();
            let element = pipeline.by_name("ssd").unwrap();
            let pad = element.static_pad(pad).unwrap();
            assert!(if pad.direction() == gst::PadDirection::Src {
                pad.query(&mut query)
            } else {
                pad.peer_query(&mut query)
            });
            query.result().1
        };
        let added = latency("src") - latency("sink");
        pipeline.set_state(gst::State::Null).unwrap();
        added.mseconds()
    };
    assert_eq!(latency("25/1", ""), 0);
    assert_eq!(latency("25/1", "batch-size=2"), 40);
    assert_eq!(latency("25/1", "batch-size=8"), 40, "the time-out's 40 ms");
    assert_eq!(latency("25/1", "batch-size=8 batch-timeout=1000000000"), 280);
}

#[test]
fn a_model_of_one_picture_takes_one_at_a_time() {
    let picture = picture("dog.jpg", "I420");
    let mut h = harness(&picture, "batch-size=8 batch-timeout=3600000000000");
    for n in 0..3 {
        assert_eq!(names(&h.push_and_pull(picture.at(ms(n * 40))).unwrap()).len(), 4);
    }
}

#[test]
fn more_buffers_are_asked_for_than_a_batch_keeps() {
    // A pool of few buffers upstream would stand still.
    init();
    let pipeline = parse(&format!(
        "videotestsrc num-buffers=40 ! video/x-raw,format=GRAY8,width=64,height=48 ! cudassd {} batch-size=16 batch-timeout=3600000000000 ! \
         fakesink name=sink",
        network("nms-tf.onnx")
    ));
    assert_eq!(collect(&pipeline, "sink").len(), 40);
}
