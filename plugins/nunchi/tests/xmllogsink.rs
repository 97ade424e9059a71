mod common;

use common::*;
use gst::prelude::*;
use gstnunchi::meta;
use nunchi_events::State::{End, Ongoing, Start};
use nunchi_events::{Event, xml};
use std::path::{Path, PathBuf};

const T0: &str = "2025-10-18T17:34:26.292100";

struct Log {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn log(name: &str) -> Log {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    Log { _dir: dir, path }
}

/// A running sink with a pad to push into.
fn harness(path: &Path, properties: &str) -> gst_check::Harness {
    init();
    let mut h = gst_check::Harness::new_parse(&format!(
        "xmllogsink location=\"{}\" start-time={T0} {properties}",
        path.display()
    ));
    h.set_src_caps_str("video/x-raw,format=GRAY8,width=4,height=4,framerate=25/1");
    h
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn smile() -> Event {
    Event {
        message: "Smile detected (0.93)".into(),
        ..event("smile", Ongoing)
    }
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(
        ms(680),
        &[
            smile(),
            Event {
                message: "happy".into(),
                ..event("emotion", Start)
            },
        ],
    ))
    .unwrap();
    assert_eq!(
        text(&log.path),
        "<?xml version='1.0' encoding='utf-8'?>\n<face_session start_time=\"2025-10-18T17:34:26.292100\">\
         <frame timestamp=\"2025-10-18T17:34:26.972100\" elapsed_seconds=\"0.7\"><analysis>\
         <result type=\"smile\" message=\"Smile detected (0.93)\" /><result type=\"emotion\" message=\"happy\" />\
         </analysis></frame></face_session>"
    );
}

#[test]
fn the_end_of_the_stream_ends_the_session() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(1000), &[smile()])).unwrap();
    h.push(buffer(ms(3500), &[])).unwrap();
    h.push_event(gst::event::Eos::new());
    inner(&h).set_state(gst::State::Null).unwrap();
    let xml = text(&log.path);
    assert!(
        xml.contains("end_time=\"2025-10-18T17:34:29.792100\" duration_seconds=\"3.5\">"),
        "{xml}"
    );
    assert_eq!(xml::read(&log.path).unwrap().frames.len(), 1);
}

#[test]
fn a_stop_without_end_of_stream_ends_the_session_too() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(1000), &[smile()])).unwrap();
    h.element().unwrap().set_state(gst::State::Null).unwrap();
    assert!(text(&log.path).contains("duration_seconds=\"1.0\""));
}

#[test]
fn the_file_parses_after_every_buffer() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    for n in 0..200u64 {
        h.push(buffer(ms(n * 40), &[smile()])).unwrap();
        let session = xml::read(&log.path).unwrap();
        assert_eq!((session.frames.len(), session.truncated), (n as usize + 1, false));
    }
}

#[test]
fn a_session_without_events_is_an_empty_element() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[])).unwrap();
    assert!(text(&log.path).ends_with("<face_session start_time=\"2025-10-18T17:34:26.292100\" />"));
}

#[test]
fn ends_are_not_detections() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[event("smile", End)])).unwrap();
    h.push(buffer(ms(40), &[event("smile", End), event("presence", Ongoing)]))
        .unwrap();
    let frames = xml::read(&log.path).unwrap().frames;
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].results.len(), 1);
}

#[test]
fn unknown_events_of_others_are_logged() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    let mut buffer = buffer(ms(0), &[]);
    let foreign = [
        gst::Structure::builder("event")
            .field("type", "earthquake")
            .field("magnitude", 7.5f64)
            .build(),
        gst::Structure::builder("event")
            .field("type", "object")
            .field("label", "dog")
            .build(),
        gst::Structure::builder("event").field("magnitude", 1.0f64).build(),
        gst::Structure::builder("event").field("type", 7i32).build(),
    ];
    meta::event::append(buffer.get_mut().unwrap(), foreign);
    h.push(buffer).unwrap();
    let xml = text(&log.path);
    assert!(
        xml.contains("type=\"earthquake\" message=\"earthquake\"") && xml.contains("type=\"object\" message=\"dog\"")
    );
    assert_eq!(xml.matches("<result").count(), 2, "an event without a type is none");
}

#[test]
fn hostile_text_stays_text() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    let message = "\"</frame><x a='1'>&\n\u{1}\u{FFFE}한국어";
    h.push(buffer(
        ms(0),
        &[Event {
            message: message.into(),
            ..event("a<b", Start)
        }],
    ))
    .unwrap();
    let frames = xml::read(&log.path).unwrap().frames;
    assert_eq!(frames[0].results.len(), 1);
    assert!(text(&log.path).contains("&lt;/frame&gt;"));
    assert!(text(&log.path).contains("한국어"));
}

#[test]
fn running_time_not_the_timestamp_is_logged() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(60_000));
    segment.set_base(ms(5_000));
    h.push_event(gst::event::Segment::new(&segment));
    h.push(buffer(ms(61_000), &[smile()])).unwrap();
    assert!(
        text(&log.path).contains("elapsed_seconds=\"6.0\""),
        "{}",
        text(&log.path)
    );
}

#[test]
fn a_buffer_without_timestamp_takes_the_last_time() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(1500), &[smile()])).unwrap();
    h.push(buffer(None, &[smile()])).unwrap();
    assert_eq!(text(&log.path).matches("elapsed_seconds=\"1.5\"").count(), 2);
}

/// A buffer whose frame was seen at this Unix time.
fn seen(pts: gst::ClockTime, caps: &str, unix: gst::ClockTime) -> gst::Buffer {
    const NTP_OFFSET: gst::ClockTime = gst::ClockTime::from_seconds(2_208_988_800);
    let mut buffer = buffer(pts, &[smile()]);
    let offset = if caps == "timestamp/x-ntp" {
        NTP_OFFSET
    } else {
        gst::ClockTime::ZERO
    };
    gst::ReferenceTimestampMeta::add(
        buffer.get_mut().unwrap(),
        &gst::Caps::new_empty_simple(caps),
        unix + offset,
        gst::ClockTime::NONE,
    );
    buffer
}

fn local(unix: gst::ClockTime) -> chrono::NaiveDateTime {
    let time = chrono::DateTime::from_timestamp_micros(unix.useconds() as i64).unwrap();
    time.with_timezone(&chrono::Local).naive_local()
}

#[test]
fn times_can_count_from_the_first_buffer() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "time-base=first-buffer");
    for time in [3_600_000, 3_601_500] {
        h.push(buffer(ms(time), &[smile()])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    inner(&h).set_state(gst::State::Null).unwrap();
    let session = xml::read(&log.path).unwrap();
    let elapsed: Vec<f64> = session.frames.iter().map(|frame| frame.elapsed_seconds).collect();
    assert_eq!(elapsed, [0.0, 1.5]);
    assert_eq!(session.start_time, Some(T0.parse().unwrap()));
    assert_eq!(
        session.frames[1].timestamp,
        "2025-10-18T17:34:27.792100".parse().unwrap()
    );
    assert!(
        text(&log.path).contains("duration_seconds=\"1.5\""),
        "{}",
        text(&log.path)
    );
}

#[test]
fn times_can_be_those_of_the_frames() {
    let t0 = gst::ClockTime::from_useconds(1_760_000_000_123_456);
    for caps in ["timestamp/x-ntp", "timestamp/x-unix"] {
        let log = log("f_log.xml");
        // The session begins with the first frame whatever `start-time` says.
        let mut h = harness(&log.path, "time-base=reference");
        h.push(seen(ms(500), caps, t0)).unwrap();
        // It came late: what counts is when it was seen.
        h.push(seen(ms(9000), caps, t0 + ms(40))).unwrap();
        // Without a time of its own it is as far from the last as its running time.
        h.push(buffer(ms(9960), &[smile()])).unwrap();
        // Before the beginning there is no time.
        h.push(seen(ms(10_000), caps, t0.saturating_sub(ms(70)))).unwrap();
        let session = xml::read(&log.path).unwrap();
        let elapsed: Vec<f64> = session.frames.iter().map(|frame| frame.elapsed_seconds).collect();
        assert_eq!(elapsed, [0.0, 0.0, 1.0, 0.0], "{caps}");
        assert_eq!(session.start_time, Some(local(t0)), "{caps}");
        assert_eq!(session.frames[1].timestamp, local(t0 + ms(40)), "{caps}");
        assert_eq!(session.frames[2].timestamp, local(t0 + ms(1000)), "{caps}");
    }
}

#[test]
fn frames_whose_time_nobody_knows_count_from_the_first() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "time-base=reference");
    h.push(buffer(ms(5000), &[smile()])).unwrap();
    // Another clock's time, without a date.
    h.push(seen(ms(6000), "timestamp/x-ptp-of-somebody", ms(1))).unwrap();
    let elapsed = |log: &Log| -> Vec<f64> {
        let session = xml::read(&log.path).unwrap();
        session.frames.iter().map(|frame| frame.elapsed_seconds).collect()
    };
    assert_eq!(elapsed(&log), [0.0, 1.0]);
    // As soon as one has a time, the session is counted by it.
    let t0 = gst::ClockTime::from_useconds(1_760_000_000_123_456);
    h.push(seen(ms(7000), "timestamp/x-unix", t0)).unwrap();
    h.push(seen(ms(8000), "timestamp/x-unix", t0 + ms(300))).unwrap();
    assert_eq!(elapsed(&log).last(), Some(&0.3));
}

#[test]
fn without_a_start_time_the_log_starts_now() {
    init();
    let log = log("f_log.xml");
    let before = chrono::Local::now().naive_local();
    let mut h = gst_check::Harness::new_parse(&format!("xmllogsink location=\"{}\"", log.path.display()));
    h.set_src_caps_str("application/x-a");
    h.push(buffer(ms(2000), &[smile()])).unwrap();
    let stamp = xml::read(&log.path).unwrap().frames[0].timestamp;
    let now = chrono::Local::now().naive_local();
    assert!(
        stamp >= before - chrono::TimeDelta::microseconds(1) && stamp <= now,
        "{before} {stamp} {now}"
    );
}

#[test]
fn a_stream_without_a_buffer_is_a_session_too() {
    init();
    let log = log("f_log.xml");
    let mut h = gst_check::Harness::new_parse(&format!("xmllogsink location=\"{}\"", log.path.display()));
    h.set_src_caps_str("application/x-a");
    h.push_event(gst::event::Eos::new());
    inner(&h).set_state(gst::State::Null).unwrap();
    let session = xml::read(&log.path).unwrap();
    assert!(session.frames.is_empty() && session.end_time.is_some() && session.end_time >= session.start_time);
}

#[test]
fn a_seek_after_the_end_loses_nothing() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[smile()])).unwrap();
    h.push_event(gst::event::Eos::new());
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    h.push(buffer(ms(40), &[smile()])).unwrap();
    assert_eq!(xml::read(&log.path).unwrap().frames.len(), 2);
}

#[test]
fn another_root_and_the_merged_format() {
    let pose = log("p_log.xml");
    harness(&pose.path, "session-root=pose_session")
        .push(buffer(ms(0), &[smile()]))
        .unwrap();
    assert!(text(&pose.path).contains("<pose_session start_time="));
    let merged = log("log.xml");
    harness(&merged.path, "format=merged")
        .push(buffer(ms(0), &[smile()]))
        .unwrap();
    assert!(text(&merged.path).contains("?>\n<merged_session><frame "));
}

#[test]
fn onvif_has_frames_with_objects() {
    let log = log("onvif.xml");
    let mut h = harness(&log.path, "format=onvif");
    let mut seen = Event {
        confidence: Some(0.9),
        track_id: Some(3),
        ..smile()
    };
    for (name, value) in [("x_min", 0.25), ("y_min", 0.25), ("x_max", 0.75), ("y_max", 0.75)] {
        seen.attrs.insert(name.into(), nunchi_events::AttrValue::Float(value));
    }
    h.push(buffer(ms(0), &[seen])).unwrap();
    h.push_event(gst::event::Eos::new());
    let xml = text(&log.path);
    for part in [
        "tt:MetadataStream",
        "<tt:Frame UtcTime=\"",
        "tt:Object",
        "Likelihood=\"0.9",
        "tt:BoundingBox",
        "smile",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
}

#[test]
fn any_stream_is_taken() {
    init();
    for caps in ["audio/x-opus,channels=1", "video/x-h264,stream-format=avc,alignment=au"] {
        let log = log("f_log.xml");
        let mut h = gst_check::Harness::new_parse(&format!("xmllogsink location=\"{}\"", log.path.display()));
        h.set_src_caps_str(caps);
        h.push(buffer(ms(0), &[smile()])).unwrap();
        assert_eq!(xml::read(&log.path).unwrap().frames.len(), 1);
    }
}

#[test]
fn counters_and_their_reset() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[smile(), smile()])).unwrap();
    h.push(buffer(ms(40), &[])).unwrap();
    let sink = inner(&h);
    assert_eq!(
        (
            sink.property::<u64>("events-written"),
            sink.property::<u64>("frames-written")
        ),
        (2, 1)
    );
    sink.set_state(gst::State::Null).unwrap();
    assert_eq!(sink.property::<u64>("events-written"), 2);
    sink.set_state(gst::State::Playing).unwrap();
    assert_eq!(sink.property::<u64>("events-written"), 0);
}

#[test]
fn rotation_by_size_keeps_every_event_and_each_file_whole() {
    let log = log("log%02d.xml");
    let mut h = harness(&log.path, "max-size-bytes=1000");
    for n in 0..50 {
        h.push(buffer(ms(n * 40), &[smile()])).unwrap();
    }
    inner(&h).set_state(gst::State::Null).unwrap();
    let mut frames = 0;
    let mut files = 0;
    for entry in std::fs::read_dir(log.path.parent().unwrap()).unwrap() {
        let session = xml::read(entry.unwrap().path()).unwrap();
        assert!(session.end_time.is_some());
        frames += session.frames.len();
        files += 1;
    }
    assert_eq!(frames, 50);
    assert!(files >= 5, "{files} files");
}

#[test]
fn max_files_removes_the_oldest() {
    let log = log("log%d.xml");
    let mut h = harness(&log.path, "max-size-bytes=1 max-files=3");
    for n in 0..10 {
        h.push(buffer(ms(n * 40), &[smile()])).unwrap();
    }
    let mut names: Vec<_> = std::fs::read_dir(log.path.parent().unwrap())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["log7.xml", "log8.xml", "log9.xml"]);
}

#[test]
fn the_rotate_action_starts_a_file() {
    let log = log("log%d.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[smile()])).unwrap();
    assert!(inner(&h).emit_by_name::<bool>("rotate", &[]));
    h.push(buffer(ms(40), &[smile()])).unwrap();
    assert!(text(&log.path.with_file_name("log0.xml")).contains("end_time"));
    assert!(log.path.with_file_name("log1.xml").exists());
}

#[test]
fn rotate_without_a_number_is_refused() {
    let log = log("log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[smile()])).unwrap();
    assert!(!inner(&h).emit_by_name::<bool>("rotate", &[]));
    assert_eq!(xml::read(&log.path).unwrap().frames.len(), 1);
}

/// The error that a pipeline with such a sink ends with.
fn error(properties: &str) -> String {
    init();
    run(&parse(&format!(
        "fakesrc num-buffers=1 ! xmllogsink name=log {properties}"
    )))
    .unwrap_err()
}

#[test]
fn no_location_is_an_error_that_says_so() {
    assert!(error("").contains("set the property location"));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let e = error("location=/nowhere/at/all/log.xml");
    assert!(e.contains("/nowhere/at/all/log.xml") && e.contains("folder"), "{e}");
}

#[test]
fn a_folder_in_the_place_of_the_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let e = error(&format!("location=\"{}\"", dir.path().display()));
    assert!(e.contains("not a regular file"), "{e}");
}

#[test]
fn a_root_that_is_no_xml_name_is_refused() {
    let log = log("l.xml");
    let e = error(&format!("location=\"{}\" session-root=\"a b\"", log.path.display()));
    assert!(e.contains("'a b'"), "{e}");
}

#[test]
fn a_start_time_that_is_none_is_refused() {
    let log = log("l.xml");
    let e = error(&format!("location=\"{}\" start-time=yesterday", log.path.display()));
    assert!(e.contains("'yesterday'"), "{e}");
}

#[test]
fn rotation_needs_a_number_in_the_location() {
    let log = log("l.xml");
    let e = error(&format!("location=\"{}\" max-size-bytes=100", log.path.display()));
    assert!(e.contains("%d"), "{e}");
}

#[test]
fn a_full_disk_is_one_error_and_the_log_stays_whole() {
    init();
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    h.push(buffer(ms(0), &[smile()])).unwrap();
    let size = std::fs::metadata(&log.path).unwrap().len();
    // A limit on the size of files fails a write as a full disk does, and is lifted again at once. It holds for the whole
    // process, so it is far above what the other tests write.
    let big = Event {
        message: "x".repeat(15_000),
        ..smile()
    };
    let limited = rlimit_file_size(1 << 20, || {
        (0..100).find_map(|n| h.push(buffer(ms(40 + n), std::slice::from_ref(&big))).err())
    });
    assert_eq!(limited, Some(gst::FlowError::Error));
    let session = xml::read(&log.path).unwrap();
    assert!(
        !session.truncated && session.frames.len() > 60,
        "{}",
        session.frames.len()
    );
    assert!(std::fs::metadata(&log.path).unwrap().len() > size);
}

/// Runs `f` while no file of this process may grow beyond `bytes`.
fn rlimit_file_size<T>(bytes: u64, f: impl FnOnce() -> T) -> T {
    use std::ffi::c_int;
    #[repr(C)]
    struct Rlimit {
        soft: u64,
        hard: u64,
    }
    unsafe extern "C" {
        fn getrlimit(resource: c_int, limit: *mut Rlimit) -> c_int;
        fn setrlimit(resource: c_int, limit: *const Rlimit) -> c_int;
        fn signal(number: c_int, handler: usize) -> usize;
    }
    const RLIMIT_FSIZE: c_int = 1;
    const SIGXFSZ: c_int = 25;
    const SIG_IGN: usize = 1;
    let mut before = Rlimit { soft: 0, hard: 0 };
    // SAFETY: plain calls of the C library with valid pointers.
    unsafe {
        signal(SIGXFSZ, SIG_IGN);
        assert_eq!(getrlimit(RLIMIT_FSIZE, &mut before), 0);
        assert_eq!(
            setrlimit(
                RLIMIT_FSIZE,
                &Rlimit {
                    soft: bytes,
                    hard: before.hard
                }
            ),
            0
        );
    }
    let result = f();
    // SAFETY: as above.
    unsafe { assert_eq!(setrlimit(RLIMIT_FSIZE, &before), 0) };
    result
}

#[test]
fn properties_by_string() {
    init();
    let sink = gst::ElementFactory::make("xmllogsink").build().unwrap();
    for (name, value) in [
        ("location", "a.xml"),
        ("format", "onvif"),
        ("session-root", "pose_session"),
        ("start-time", T0),
        ("time-base", "reference"),
        ("sync-mode", "frame"),
        ("max-size-bytes", "4096"),
        ("max-files", "3"),
    ] {
        sink.set_property_from_str(name, value);
        assert_eq!(
            sink.property_value(name).serialize().unwrap().replace(['"', '\\'], ""),
            value,
            "{name}"
        );
    }
}

#[test]
fn unknown_properties_and_values_are_refused() {
    init();
    for line in [
        "xmllogsink format=json",
        "xmllogsink colour=red",
        "xmllogsink max-files=many",
    ] {
        assert!(gst::parse::launch(line).is_err(), "{line}");
    }
}

#[test]
fn it_does_not_wait_for_the_clock() {
    init();
    let sink = gst::ElementFactory::make("xmllogsink").build().unwrap();
    assert!(!sink.property::<bool>("sync"));
}

#[test]
fn the_end_of_a_decoded_stream_arrives_every_time() {
    // With async=false it did not, one time in six.
    let log = log("f_log.xml");
    init();
    for _ in 0..25 {
        run(&parse(&format!(
            "filesrc location=\"{}\" ! decodebin ! videoconvert ! xmllogsink location=\"{}\"",
            file("tests/media/astronaut.png").display(),
            log.path.display()
        )))
        .unwrap();
    }
}

#[test]
fn events_behind_an_encoder_are_logged() {
    let log = log("f_log.xml");
    init();
    let pipeline = parse(&format!(
        "appsrc name=src format=time caps=video/x-raw,format=I420,width=64,height=64,framerate=25/1 ! jpegenc ! xmllogsink location=\"{}\"",
        log.path.display()
    ));
    let src = pipeline.by_name("src").unwrap();
    let mut frame = gst::Buffer::with_size(64 * 64 * 3 / 2).unwrap();
    frame.get_mut().unwrap().set_pts(ms(0));
    meta::event::append(frame.get_mut().unwrap(), [meta::event::to_structure(&smile())]);
    let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    run(&pipeline).unwrap();
    assert_eq!(xml::read(&log.path).unwrap().frames.len(), 1);
}

#[test]
fn end_of_stream_first_and_twice_leaves_an_empty_session() {
    let log = log("f_log.xml");
    let mut h = harness(&log.path, "");
    assert!(h.push_event(gst::event::Eos::new()));
    h.push_event(gst::event::Eos::new());
    inner(&h).set_state(gst::State::Null).unwrap();
    let session = xml::read(&log.path).unwrap();
    assert!(session.frames.is_empty() && session.end_time.is_some());
}

#[test]
fn padded_rows_are_welcome() {
    let log = log("log.xml");
    let h = harness(&log.path, "");
    let caps: gst::Caps = "video/x-raw,format=I420,width=64,height=48,framerate=30/1"
        .parse()
        .unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), false);
    assert!(h.element().unwrap().static_pad("sink").unwrap().query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
}
