//! Frames that come too fast, too slow, twice, or not in time.

use super::common::run;
use super::*;
use std::time::{Duration, Instant};

/// Holds up the encoder for so long with each frame.
fn slow(sink: &gst::Element, encoder: &'static str, each: Duration) {
    sink.downcast_ref::<gst::Bin>()
        .unwrap()
        .connect_element_added(move |_, element| {
            if element.factory().is_some_and(|factory| factory.name() == encoder) {
                let pad = element.static_pad("sink").unwrap();
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    std::thread::sleep(each);
                    gst::PadProbeReturn::Ok
                });
            }
        });
}

fn counts(sink: &gst::Element) -> (u64, u64) {
    (sink.property("processed-frames"), sink.property("dropped-frames"))
}

#[test]
fn a_slow_encoder_loses_nothing_of_a_file() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(2000, 64, 48), &file, "preset=ultrafast max-buffers=10");
    slow(&sink(&pipeline), "x264enc", Duration::from_millis(1));
    let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (seen, element) = (most.clone(), sink(&pipeline));
    sink(&pipeline)
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            seen.fetch_max(element.property("queue-level"), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    run(&pipeline).unwrap();
    assert_eq!(counts(&sink(&pipeline)), (2000, 0));
    let most = most.load(Ordering::Relaxed);
    assert!((5..=10).contains(&most), "{most}");
    assert_eq!(probe(&file).video.len(), 2000);
}

#[test]
fn what_is_not_encoded_is_counted_as_dropped() {
    for policy in ["drop-newest", "drop-oldest", "skip-to-keyframe"] {
        let folder = folder();
        let file = path(&folder, "a.mp4");
        let pipeline = pipeline(
            &test_video(400, 64, 48),
            &file,
            &format!("preset=ultrafast tune=low-latency max-buffers=8 gop-size=1000 drop-policy={policy}"),
        );
        slow(&sink(&pipeline), "x264enc", Duration::from_millis(4));
        let pad = sink(&pipeline).static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            std::thread::sleep(Duration::from_millis(1));
            gst::PadProbeReturn::Ok
        });
        let messages = run(&pipeline).unwrap();
        let (processed, dropped) = counts(&sink(&pipeline));
        assert_eq!(processed + dropped, 400, "{policy}");
        assert!(dropped > 0 && processed > 8, "{policy}: {processed} {dropped}");
        let probed = probe(&file);
        assert_eq!(probed.video.len() as u64, processed, "{policy}");
        let keys = probed.video.iter().filter(|packet| packet.key).count();
        assert_eq!(keys > 1, policy == "skip-to-keyframe", "{policy}: {keys}");
        assert_eq!(
            warnings(&messages).len(),
            1,
            "{policy}: one warning for one time of dropping"
        );
        let qos = messages
            .iter()
            .filter(|message| matches!(message.view(), gst::MessageView::Qos(_)))
            .count();
        assert!(qos > 0, "{policy}");
        let rate: f64 = sink(&pipeline).property("drop-rate");
        assert!((rate - dropped as f64 / 400.0).abs() < 1e-9);
    }
}

#[test]
fn live_sources_drop_by_themselves_and_files_do_not() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let source = "videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=64,height=48,framerate=60/1";
    let pipeline = pipeline(source, &file, "preset=ultrafast tune=low-latency max-buffers=2");
    slow(&sink(&pipeline), "x264enc", Duration::from_millis(40));
    let begun = Instant::now();
    run(&pipeline).unwrap();
    let (processed, dropped) = counts(&sink(&pipeline));
    assert_eq!(processed + dropped, 60);
    assert!(dropped > 0, "{processed} {dropped}");
    // The source was not held up by more than what waits: 60 frames of 40 ms would be 2.4 s.
    assert!(begun.elapsed() < Duration::from_millis(2200), "{:?}", begun.elapsed());
}

#[test]
fn a_slow_disk_holds_up_nobody_and_loses_nothing_unsaid() {
    let folder = folder();
    let file = path(&folder, "a.ts");
    let source =
        "videotestsrc is-live=true num-buffers=60 pattern=snow ! video/x-raw,width=64,height=48,framerate=60/1";
    let pipeline = pipeline(source, &file, "preset=ultrafast tune=low-latency max-buffers=2");
    sink(&pipeline)
        .downcast_ref::<gst::Bin>()
        .unwrap()
        .connect_element_added(move |_, element| {
            if element.factory().is_some_and(|factory| factory.name() == "h264parse") {
                let pad = element.static_pad("src").unwrap();
                pad.connect_linked(move |_, muxer| {
                    let muxer = muxer.parent_element().unwrap();
                    let file = muxer.static_pad("src").unwrap().peer();
                    // What is written takes a while to be taken.
                    file.unwrap()
                        .add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, |_, _| {
                            std::thread::sleep(Duration::from_millis(40));
                            gst::PadProbeReturn::Ok
                        });
                });
            }
        });
    let (begun, last) = (
        Instant::now(),
        std::sync::Arc::new(std::sync::Mutex::new(Duration::MAX)),
    );
    let seen = last.clone();
    let pad = sink(&pipeline).static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        *seen.lock().unwrap() = begun.elapsed();
        gst::PadProbeReturn::Ok
    });
    run(&pipeline).unwrap();
    let (processed, dropped) = counts(&sink(&pipeline));
    assert_eq!(processed + dropped, 60);
    assert!(dropped > 0, "{processed} {dropped}");
    // The last frame came after a second, as the source made it, and not after more than two.
    let last = *last.lock().unwrap();
    assert!(last < Duration::from_millis(1800), "{last:?}");
    assert_eq!(probe(&file).video.len() as u64, processed);
}

#[test]
fn short_memory_lets_one_frame_wait() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(100, 64, 48), &file, "preset=ultrafast memory-limit=1");
    let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (seen, element) = (most.clone(), sink(&pipeline));
    sink(&pipeline)
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            seen.fetch_max(element.property("queue-level"), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    run(&pipeline).unwrap();
    assert_eq!(counts(&sink(&pipeline)), (100, 0));
    assert!(most.load(Ordering::Relaxed) <= 1);
}

#[test]
fn frames_that_pile_up_get_fewer_bits() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(
        &test_video(400, 64, 48),
        &file,
        "preset=ultrafast tune=low-latency max-buffers=10 adaptive=true bitrate=1000",
    );
    slow(&sink(&pipeline), "x264enc", Duration::from_millis(4));
    let messages = run(&pipeline).unwrap();
    let adapted = told(&messages, "nunchi-encode-adapted");
    assert!(
        adapted.iter().any(|told| told.get::<u32>("bitrate").unwrap() == 750),
        "{adapted:?}"
    );
    assert_eq!(counts(&sink(&pipeline)), (400, 0));
}

fn appsrc(location: &Path, properties: &str) -> (gst::Pipeline, gst::Element) {
    init();
    let pipeline = parse(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! nvencsink name=sink location=\"{}\" {properties}",
        location.display()
    ));
    let source = pipeline.by_name("in").unwrap();
    (pipeline, source)
}

fn push(source: &gst::Element, pts: Option<u64>) {
    let mut buffer = gst::Buffer::from_mut_slice(vec![100_u8; 64 * 48]);
    buffer
        .get_mut()
        .unwrap()
        .set_pts(pts.map(gst::ClockTime::from_mseconds));
    assert_eq!(
        source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]),
        gst::FlowReturn::Ok
    );
}

#[test]
fn times_that_jump_and_frames_without_any() {
    let folder = folder();
    let file = path(&folder, "a.mkv");
    let (pipeline, source) = appsrc(&file, "");
    for at in [Some(0), Some(40), None, Some(5000), Some(0), Some(40), None, Some(40)] {
        push(&source, at);
    }
    let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let messages = run(&pipeline).unwrap();
    let probed = probe(&file);
    let times: Vec<i64> = probed
        .video
        .iter()
        .map(|packet| (packet.at * 1000.0).round() as i64)
        .collect();
    assert_eq!(times, [0, 40, 80, 5000, 5040, 5080, 5120, 5120]);
    assert_eq!(warnings(&messages).len(), 1, "{:?}", warnings(&messages));
}

#[test]
fn a_seek_that_flushes_goes_on_in_the_same_file() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(3000, 64, 48), &file, "preset=ultrafast");
    let (sender, reached) = std::sync::mpsc::channel();
    let count = Count::default();
    sink(&pipeline)
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if count.next() == 100 {
                sender.send(()).unwrap();
            }
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    reached.recv_timeout(Duration::from_secs(20)).unwrap();
    pipeline
        .seek(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            gst::ClockTime::from_seconds(50),
            gst::SeekType::Set,
            gst::ClockTime::from_seconds(52),
        )
        .unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(matches!(end.unwrap().view(), gst::MessageView::Eos(_)));
    pipeline.set_state(gst::State::Null).unwrap();
    let probed = probe(&file);
    let frames = probed.video.len();
    assert!((60..=3000).contains(&frames), "{frames}");
    let gaps = probed
        .video
        .windows(2)
        .filter(|pair| pair[1].at - pair[0].at > 3.0)
        .count();
    assert_eq!(gaps, 0, "the file goes on where it was");
}

#[test]
fn a_key_frame_when_one_is_asked_for() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(60, 64, 48), &file, "gop-size=1000 tune=low-latency");
    let count = Count::default();
    let pad = sink(&pipeline).static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        if count.next() == 40 {
            let event = gst_video::DownstreamForceKeyUnitEvent::builder().build();
            pad.send_event(event);
        }
        gst::PadProbeReturn::Ok
    });
    run(&pipeline).unwrap();
    let probed = probe(&file);
    let keys: Vec<usize> = (0..60).filter(|at| probed.video[*at].key).collect();
    assert_eq!(keys, [0, 39]);
}

#[test]
fn it_keeps_the_pace_of_the_clock_if_wanted() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let begun = Instant::now();
    run(&pipeline(&test_video(15, 64, 48), &file, "sync=true")).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(460), "{:?}", begun.elapsed());
    assert_eq!(probe(&file).video.len(), 15);
}
