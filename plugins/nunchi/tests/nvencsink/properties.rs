//! Properties, as gst-launch sets them, and what is told.

use super::common::run;
use super::*;

#[test]
fn every_property_is_set_by_its_text() {
    init();
    let element = gst::ElementFactory::make("nvencsink").build().unwrap();
    for (name, text) in [
        ("location", "a.mp4"),
        ("codec", "h265"),
        ("encoder", "x264enc"),
        ("fallback", "software"),
        ("bitrate", "1234"),
        ("rc-mode", "quality"),
        ("quality", "77"),
        ("preset", "slow"),
        ("tune", "low-latency"),
        ("gop-size", "12"),
        ("container", "mkv"),
        ("max-size-time", "1000"),
        ("max-size-bytes", "1000"),
        ("max-files", "3"),
        ("fragment-duration", "500000000"),
        ("faststart", "true"),
        ("overwrite", "true"),
        ("size-change", "error"),
        ("audio-bitrate", "96"),
        ("drop-policy", "skip-to-keyframe"),
        ("max-buffers", "7"),
        ("max-bytes", "1000"),
        ("memory-limit", "300"),
        ("adaptive", "true"),
        ("finalize-timeout", "1000000000"),
        ("sync", "true"),
        ("stats-interval", "0"),
    ] {
        element.set_property_from_str(name, text);
        let value = element.property_value(name).serialize().unwrap();
        assert_eq!(value.trim_matches('"'), text, "{name}");
    }
    assert_eq!(element.property::<Option<String>>("encoder-used"), None);
    assert_eq!(element.property::<f64>("drop-rate"), 0.0);
}

#[test]
fn what_was_chosen_is_told() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(5, 64, 48), &file, "encoder=software");
    let messages = run(&pipeline).unwrap();
    let chosen = told(&messages, "nunchi-encoder");
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0].get::<String>("encoder").unwrap(), "x264enc");
    assert!(chosen[0].get::<String>("reason").unwrap().contains("works"));
    assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "x264enc");
}

#[test]
fn statistics_are_told_at_the_end_and_in_between() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(200, 64, 48), &file, "stats-interval=1000000");
    let messages = run(&pipeline).unwrap();
    let all = told(&messages, "nunchi-encode-stats");
    assert!(all.len() > 1);
    let last = all.last().unwrap();
    assert_eq!(last.get::<u64>("processed-frames").unwrap(), 200);
    assert_eq!(last.get::<u64>("dropped-frames").unwrap(), 0);
    let bytes = last.get::<u64>("encoded-bytes").unwrap();
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(bytes > 0 && bytes < size, "{bytes} of {size}");
    assert!(last.get::<f64>("encode-fps").unwrap() > 0.0 && last.get::<u64>("memory-peak-mb").unwrap() > 10);
}

#[test]
fn bits_and_key_frames_are_as_wanted() {
    let folder = folder();
    let source = "videotestsrc pattern=snow num-buffers=90 ! video/x-raw,width=160,height=120,framerate=30/1";
    let size = |name: &str, properties: &str| {
        let file = path(&folder, name);
        run(&pipeline(source, &file, properties)).unwrap();
        std::fs::metadata(&file).unwrap().len()
    };
    let (low, high) = (size("low.mp4", "bitrate=300"), size("high.mp4", "bitrate=3000"));
    assert!(high > 4 * low, "{low} {high}");
    let (worse, better) = (
        size("worse.mp4", "rc-mode=quality quality=10"),
        size("better.mp4", "rc-mode=quality quality=90"),
    );
    assert!(better > 2 * worse, "{worse} {better}");
}

#[test]
fn the_bitrate_changes_while_it_plays() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(
        "videotestsrc pattern=snow num-buffers=300 ! video/x-raw,width=160,height=120,framerate=30/1",
        &file,
        "bitrate=4000 rc-mode=cbr tune=low-latency gop-size=30",
    );
    let element = sink(&pipeline);
    let count = Count::default();
    let target = element.clone();
    element
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if count.next() == 90 {
                target.set_property("bitrate", 300_u32);
            }
            gst::PadProbeReturn::Ok
        });
    run(&pipeline).unwrap();
    let sizes = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0"])
        .arg(&file)
        .output()
        .unwrap();
    let sizes: Vec<u64> = String::from_utf8_lossy(&sizes.stdout)
        .lines()
        .map(|line| line.trim_end_matches(',').parse().unwrap())
        .collect();
    let (first, last): (u64, u64) = (sizes[..60].iter().sum(), sizes[240..].iter().sum());
    assert!(first > 3 * last, "{first} {last}");
}

#[test]
fn position_and_duration_are_those_of_the_source() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(100, 64, 48), &file, "");
    let element = sink(&pipeline);
    let (sender, position) = std::sync::mpsc::channel();
    let count = Count::default();
    element
        .clone()
        .static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if count.next() == 50 {
                sender.send(element.query_position::<gst::ClockTime>()).unwrap();
            }
            gst::PadProbeReturn::Ok
        });
    run(&pipeline).unwrap();
    let position = position.recv().unwrap().unwrap();
    assert!((1500..1800).contains(&position.mseconds()), "{position}");
}

#[test]
fn streams_are_asked_for_before_the_file_begins() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline("videotestsrc is-live=true ! video/x-raw,width=64,height=48", &file, "");
    let element = sink(&pipeline);
    let first = element.request_pad_simple("audio_%u").unwrap();
    let second = element.request_pad_simple("audio_7").unwrap();
    assert_eq!((first.name().as_str(), second.name().as_str()), ("audio_0", "audio_7"));
    element.release_request_pad(&first);
    element.release_request_pad(&second);
    assert_eq!(element.num_sink_pads(), 1);
    pipeline.set_state(gst::State::Playing).unwrap();
    let begun = std::time::Instant::now();
    while element.property::<u64>("encoded-bytes") == 0 && child(&element, "x264enc").is_none() {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::yield_now();
    }
    assert!(element.request_pad_simple("audio_%u").is_none());
    pipeline.set_state(gst::State::Null).unwrap();
}
