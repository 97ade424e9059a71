//! Sound beside the picture: in time, late, short, encoded.

use super::common::run;
use super::*;
use std::sync::mpsc;

const RATE: usize = 48_000;

/// 25 grey frames a second that turn white at 1 s, and a tone that begins then.
fn clap(location: &Path, properties: &str) -> gst::Pipeline {
    init();
    let line = format!(
        "appsrc name=v format=time caps=video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! sink.sink \
         appsrc name=a format=time caps=audio/x-raw,format=S16LE,rate={RATE},channels=1,layout=interleaved ! sink.audio_0 \
         nvencsink name=sink location=\"{}\" {properties}",
        location.display()
    );
    let pipeline = parse(&line);
    let push = |name: &str, at: gst::ClockTime, duration: gst::ClockTime, data: Vec<u8>| {
        let mut buffer = gst::Buffer::from_mut_slice(data);
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_pts(at);
            buffer.set_duration(duration);
        }
        let source = pipeline.by_name(name).unwrap();
        assert_eq!(
            source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]),
            gst::FlowReturn::Ok
        );
    };
    let frame = gst::ClockTime::from_mseconds(40);
    for number in 0..75_u64 {
        let grey = if number < 25 { 20 } else { 235 };
        push("v", frame * number, frame, vec![grey; 64 * 48]);
        let samples = (0..RATE / 25).flat_map(|sample| {
            let at = number as usize * RATE / 25 + sample;
            let loud = if at < RATE { 0.0 } else { 20_000.0 };
            let value = (at as f64 * 1000.0 * std::f64::consts::TAU / RATE as f64).sin() * loud;
            (value as i16).to_le_bytes()
        });
        push("a", frame * number, frame, samples.collect());
    }
    for name in ["v", "a"] {
        let source = pipeline.by_name(name).unwrap();
        let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    }
    pipeline
}

/// When the picture turns white and when the sound begins, as a player has it.
fn moments(file: &Path) -> (f64, f64) {
    let probed = probe(file);
    let grey = decoded(
        file,
        &[
            "-an",
            "-vsync",
            "passthrough",
            "-vf",
            "scale=16:16",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
        ],
    );
    let white = grey.chunks(256).position(|frame| frame[128] > 128).unwrap();
    let first = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "a",
            "-show_entries",
            "frame=pts_time",
            "-read_intervals",
            "%+#4",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    let start: f64 = text.lines().next().unwrap().trim_end_matches(',').parse().unwrap();
    let sound = decoded(file, &["-vn", "-ac", "1", "-ar", "48000", "-f", "s16le"]);
    let loud = sound
        .chunks_exact(2)
        .position(|sample| i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs() > 6000)
        .unwrap();
    (probed.video[white].at, start + loud as f64 / RATE as f64)
}

#[test]
fn sound_and_picture_are_together() {
    let folder = folder();
    let mut differences = Vec::new();
    for name in ["a.mp4", "a.mkv", "a.ts", "a.avi", "fragments.mp4"] {
        let file = path(&folder, name);
        let properties = if name == "fragments.mp4" { "container=fmp4" } else { "" };
        run(&clap(&file, properties)).unwrap();
        let (seen, heard) = moments(&file);
        differences.push((name, heard - seen));
    }
    // Half of what anybody would notice.
    assert!(
        differences.iter().all(|(_, late)| late.abs() <= 0.010),
        "{differences:?}"
    );
}

#[test]
fn sound_that_is_encoded_already_stays_as_it_is() {
    let folder = folder();
    let file = path(&folder, "a.mkv");
    init();
    let line = format!(
        "nvencsink name=sink location=\"{}\" {} ! sink.sink audiotestsrc num-buffers=50 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! sink.audio_0",
        file.display(),
        test_video(30, 64, 48)
    );
    run(&parse(&line)).unwrap();
    let probed = probe(&file);
    assert_eq!((probed.audio_codec.as_str(), probed.video.len()), ("opus", 30));
    assert!(probed.audio.len() >= 49);
}

#[test]
fn sound_that_a_container_cannot_hold_is_refused() {
    let folder = folder();
    let file = path(&folder, "a.avi");
    init();
    let line = format!(
        "nvencsink name=sink location=\"{}\" {} ! sink.sink audiotestsrc num-buffers=50 ! audio/x-raw,rate=48000 ! opusenc ! sink.audio_0",
        file.display(),
        test_video(30, 64, 48)
    );
    let error = run(&parse(&line)).unwrap_err();
    assert!(
        error.contains("not-negotiated") || error.contains("Internal data"),
        "{error}"
    );
}

#[test]
fn sound_that_ends_early_starts_late_or_never_comes() {
    let folder = folder();
    let audio = |spec: &str, name: &str| {
        let file = path(&folder, name);
        init();
        let line = format!(
            "nvencsink name=sink location=\"{}\" {} ! sink.sink {spec} ! sink.audio_0",
            file.display(),
            test_video(300, 64, 48)
        );
        run(&parse(&line)).unwrap_or_else(|error| panic!("{name}: {error}"));
        probe(&file)
    };
    let early = audio("audiotestsrc num-buffers=20 ! audio/x-raw,rate=44100", "early.mp4");
    assert_eq!(early.video.len(), 300);
    assert!(early.audio.last().unwrap().at < 1.0);
    // From 5 s on: more frames come before it than may wait.
    let late = audio(
        "audiotestsrc num-buffers=100 timestamp-offset=5000000000 ! audio/x-raw,rate=44100",
        "late.mp4",
    );
    assert_eq!(late.video.len(), 300);
    assert!((late.audio[0].at - 5.0).abs() < 0.03, "{:?}", late.audio[0]);
    let none = audio("audiotestsrc num-buffers=0 ! audio/x-raw,rate=44100", "none.mp4");
    assert_eq!((none.video.len(), none.audio.len()), (300, 0));
}

#[test]
fn one_thread_for_both_does_not_stand_still() {
    // All of the video comes before any of the sound, from one thread, more than may wait.
    let folder = folder();
    let file = path(&folder, "a.mp4");
    init();
    let line = format!(
        "appsrc name=v format=time caps=video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 ! sink.sink \
         appsrc name=a format=time caps=audio/x-raw,format=S16LE,rate={RATE},channels=1,layout=interleaved ! sink.audio_0 \
         nvencsink name=sink location=\"{}\" max-buffers=5",
        file.display()
    );
    let pipeline = parse(&line);
    let pads: Vec<gst::Pad> = ["v", "a"]
        .iter()
        .map(|name| {
            pipeline
                .by_name(name)
                .unwrap()
                .static_pad("src")
                .unwrap()
                .peer()
                .unwrap()
        })
        .collect();
    let caps: Vec<gst::Caps> = ["v", "a"]
        .iter()
        .map(|name| pipeline.by_name(name).unwrap().property("caps"))
        .collect();
    for name in ["v", "a"] {
        let source = pipeline.by_name(name).unwrap();
        let pad = source.static_pad("src").unwrap();
        pad.unlink(&pad.peer().unwrap()).unwrap();
        pipeline.remove(&source).unwrap();
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let (done, finished) = mpsc::channel();
    let pushing = std::thread::spawn(move || {
        for (pad, caps) in pads.iter().zip(&caps) {
            pad.send_event(gst::event::StreamStart::new(&pad.name()));
            pad.send_event(gst::event::Caps::new(caps));
            pad.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        }
        let frame = gst::ClockTime::from_mseconds(40);
        for (pad, size) in [(&pads[0], 64 * 48), (&pads[1], RATE / 25 * 2)] {
            for number in 0..50_u64 {
                let mut buffer = gst::Buffer::from_mut_slice(vec![0_u8; size]);
                {
                    let buffer = buffer.get_mut().unwrap();
                    buffer.set_pts(frame * number);
                    buffer.set_duration(frame);
                }
                pad.chain(buffer).unwrap();
            }
            pad.send_event(gst::event::Eos::new());
        }
        done.send(()).unwrap();
    });
    finished
        .recv_timeout(std::time::Duration::from_secs(30))
        .expect("it goes on");
    pushing.join().unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(matches!(end.unwrap().view(), gst::MessageView::Eos(_)));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(probe(&file).video.len(), 50);
}
