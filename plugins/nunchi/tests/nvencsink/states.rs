//! Starting, stopping and pausing, also without an end of the stream.

use super::common::{no_more_than, resources};
use super::*;
use std::time::{Duration, Instant};

const LIVE: &str = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=50/1";

/// Until so many frames were encoded.
#[track_caller]
fn until(sink: &gst::Element, frames: u64) {
    let begun = Instant::now();
    while sink.property::<u64>("processed-frames") < frames {
        assert!(begun.elapsed() < Duration::from_secs(20), "{frames} frames");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_stop_without_an_end_leaves_a_whole_file() {
    let folder = folder();
    for name in ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.m3u8", "a-%02d.mp4"] {
        let file = path(&folder, name);
        let properties = if name.contains('%') {
            "max-size-time=500000000"
        } else {
            ""
        };
        let pipeline = pipeline(LIVE, &file, &format!("tune=low-latency {properties}"));
        pipeline.set_state(gst::State::Playing).unwrap();
        until(&sink(&pipeline), 40);
        pipeline.set_state(gst::State::Null).unwrap();
        let (processed, dropped): (u64, u64) = (
            sink(&pipeline).property("processed-frames"),
            sink(&pipeline).property("dropped-frames"),
        );
        let frames: usize = if name.contains('%') {
            names(folder.path())
                .iter()
                .filter(|name| name.starts_with("a-0") && name.ends_with(".mp4"))
                .map(|name| probe(&folder.path().join(name)).video.len())
                .sum()
        } else {
            probe(&file).video.len()
        };
        assert_eq!((frames as u64, dropped), (processed, 0), "{name}");
    }
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn pausing_is_no_end() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(100, 64, 48), &file, "");
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..5 {
        pipeline.set_state(gst::State::Paused).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(matches!(end.unwrap().view(), gst::MessageView::Eos(_)));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(probe(&file).video.len(), 100);
}

#[test]
fn the_end_is_told_again_after_a_pause() {
    let folder = folder();
    let pipeline = pipeline(&test_video(10, 64, 48), &path(&folder, "a.mp4"), "");
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    for round in 0..3 {
        pipeline.set_state(gst::State::Playing).unwrap();
        let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &ends);
        assert!(matches!(end.unwrap().view(), gst::MessageView::Eos(_)), "round {round}");
        pipeline.set_state(gst::State::Paused).unwrap();
        assert_eq!(
            pipeline.state(gst::ClockTime::from_seconds(30)).0,
            Ok(gst::StateChangeSuccess::Success)
        );
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn it_is_paused_with_its_first_frame() {
    let folder = folder();
    // With an element in front that is done before it, and with the clock in between.
    for properties in ["", "sync=true"] {
        let pipeline = pipeline(
            "appsrc name=source is-live=false format=time",
            &path(&folder, "a.mp4"),
            properties,
        );
        let source = pipeline.by_name("source").unwrap();
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 64, 48)
            .build()
            .unwrap();
        source.set_property("caps", info.to_caps().unwrap());
        assert_eq!(
            pipeline.set_state(gst::State::Paused),
            Ok(gst::StateChangeSuccess::Async)
        );
        assert_eq!(
            pipeline.state(gst::ClockTime::from_mseconds(50)).0,
            Ok(gst::StateChangeSuccess::Async)
        );
        let mut frame = gst::Buffer::with_size(info.size()).unwrap();
        frame.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        source
            .emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame])
            .into_result()
            .unwrap();
        assert_eq!(
            pipeline.state(gst::ClockTime::from_seconds(30)).0,
            Ok(gst::StateChangeSuccess::Success)
        );
        pipeline.set_state(gst::State::Null).unwrap();
    }
    // The end is enough, too.
    let pipeline = pipeline("videotestsrc num-buffers=0", &path(&folder, "b.mp4"), "");
    pipeline.set_state(gst::State::Paused).unwrap();
    assert_eq!(
        pipeline.state(gst::ClockTime::from_seconds(30)).0,
        Ok(gst::StateChangeSuccess::Success)
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_never_played_leaves_no_file() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(100, 64, 48), &file, "");
    for state in [gst::State::Ready, gst::State::Paused] {
        pipeline.set_state(state).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(names(folder.path()).is_empty(), "{state:?}");
    }
}

#[test]
fn again_and_again() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(10, 64, 48), &file, "overwrite=true preset=ultrafast");
    let bus = pipeline.bus().unwrap();
    let round = |abrupt: bool| {
        pipeline.set_state(gst::State::Playing).unwrap();
        if !abrupt {
            let end = bus.timed_pop_filtered(
                gst::ClockTime::from_seconds(30),
                &[gst::MessageType::Eos, gst::MessageType::Error],
            );
            assert!(matches!(end.unwrap().view(), gst::MessageView::Eos(_)));
        }
        pipeline.set_state(gst::State::Null).unwrap();
    };
    round(false);
    let before = resources();
    for count in 0..40 {
        round(count % 2 == 1);
    }
    // Other tests of this program run beside this one.
    no_more_than((usize::MAX, before.1 + 60));
    assert_eq!(names(folder.path()), ["a.mp4"]);
    round(false);
    assert_eq!(probe(&file).video.len(), 10);
}

#[test]
fn a_file_that_cannot_be_finished_in_time_is_kept_and_told() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(
        LIVE,
        &file,
        "tune=low-latency finalize-timeout=100000000 drop-policy=block",
    );
    // The encoder takes a second for each frame from some time on.
    let element = sink(&pipeline);
    let count = std::sync::Arc::new(Count::default());
    element
        .downcast_ref::<gst::Bin>()
        .unwrap()
        .connect_element_added(move |_, element| {
            if element.factory().is_some_and(|factory| factory.name() == "x264enc") {
                let count = count.clone();
                element
                    .static_pad("sink")
                    .unwrap()
                    .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                        if count.next() > 60 {
                            std::thread::sleep(Duration::from_millis(500));
                        }
                        gst::PadProbeReturn::Ok
                    });
            }
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    until(&element, 60);
    while element.property::<u64>("queue-level") < 5 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let begun = Instant::now();
    // In NULL the bus has nothing to say any more.
    pipeline.set_state(gst::State::Ready).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut told = Vec::new();
    while let Some(message) = pipeline.bus().unwrap().pop() {
        told.push(message);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let warned = warnings(&told);
    assert!(warned.iter().any(|text| text.contains("a.mp4.part")), "{warned:?}");
    assert_eq!(names(folder.path()), ["a.mp4.part"]);
    assert!(probe(&path(&folder, "a.mp4.part")).video.len() >= 30);
}
