//! What comes out.

use super::*;
use crate::common::{no_more_than, resources};
use gst_video::prelude::*;

/// Frames that reach the end of a pipeline, as I420: time and pixels.
#[track_caller]
fn pictures(line: &str) -> Vec<(gst::ClockTime, Vec<u8>)> {
    let line = format!("{line} ! videoconvert ! video/x-raw,format=I420 ! fakesink name=end");
    let buffers = common::collect(&parse(&line), "end");
    let picture = |buffer: &gst::Buffer| (buffer.pts().unwrap(), buffer.map_readable().unwrap().to_vec());
    buffers.iter().map(picture).collect()
}

/// How far pixels are apart on average.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[track_caller]
fn assert_survives(source: &str, properties: &str, decoder: &str, frames: usize) {
    let before = pictures(source);
    let after = pictures(&format!("{source} ! nvencdirect {properties} ! {decoder}"));
    assert_eq!((before.len(), after.len()), (frames, frames), "{properties}");
    for ((time, old), (later, new)) in before.iter().zip(&after) {
        let distance = distance(old, new);
        assert!(
            time == later && distance < 6.0,
            "{properties}: {time} {later} {distance}"
        );
    }
    // A picture is nearer to its own original than to another: nothing is repeated or swapped.
    let (first, last) = (&before[0].1, &before[frames - 1].1);
    let end = &after[frames - 1].1;
    assert!(distance(last, end) < distance(first, end), "{properties}");
}

const DECODERS: [(&str, &str); 3] = [
    ("h264", "h264parse ! avdec_h264"),
    ("h265", "h265parse ! avdec_h265"),
    ("av1", "av1parse ! av1dec"),
];

#[test]
fn pictures_survive_each_codec() {
    if !on_the_double("stream::pictures_survive_each_codec", "") {
        return;
    }
    init();
    let source =
        "videotestsrc num-buffers=60 pattern=ball ! video/x-raw,format=NV12,width=160,height=120,framerate=30/1";
    for (codec, decoder) in DECODERS {
        assert_survives(source, &format!("codec={codec}"), decoder, 60);
        assert_clean();
    }
}

#[test]
fn pictures_survive_each_format() {
    if !on_the_double("stream::pictures_survive_each_format", "") {
        return;
    }
    init();
    for (format, codec, decoder) in [
        ("NV12", "h264", DECODERS[0].1),
        ("I420", "h264", DECODERS[0].1),
        ("YV12", "h264", DECODERS[0].1),
        ("BGRA", "h264", DECODERS[0].1),
        ("RGBA", "h264", DECODERS[0].1),
        ("P010_10LE", "h265", DECODERS[1].1),
    ] {
        // A width that is not a multiple of what strides are rounded to.
        let source = format!(
            "videotestsrc num-buffers=12 pattern=ball ! video/x-raw,format={format},width=150,height=118,framerate=30/1"
        );
        assert_survives(
            &source,
            &format!("codec={codec} rc-mode=constqp quality=80"),
            decoder,
            12,
        );
    }
    assert_clean();
}

#[test]
fn the_output_says_what_it_is() {
    if !on_the_double("stream::the_output_says_what_it_is", "") {
        return;
    }
    for (codec, wanted) in [
        (
            Codec::H264,
            "video/x-h264,stream-format=byte-stream,alignment=au,profile=high",
        ),
        (
            Codec::H265,
            "video/x-h265,stream-format=byte-stream,alignment=au,profile=main",
        ),
        (
            Codec::Av1,
            "video/x-av1,stream-format=obu-stream,alignment=tu,profile=main",
        ),
    ] {
        let mut stream = Stream::new(codec, &[]);
        stream.push_all(0..1);
        let caps = stream
            .h
            .element()
            .unwrap()
            .static_pad("src")
            .unwrap()
            .current_caps()
            .unwrap();
        let size = ",width=160,height=120,framerate=25/1";
        let wanted: gst::Caps = format!("{wanted}{size}").parse().unwrap();
        assert!(caps.is_subset(&wanted), "{caps}");
    }
}

#[test]
fn key_frames_come_by_the_gop_and_by_events_from_both_sides() {
    if !on_the_double("stream::key_frames_come_by_the_gop_and_by_events_from_both_sides", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("gop-size", "10")]);
    stream.push_all(0..12);
    assert_eq!(stream.keys(), [0, 10]);
    let event = gst_video::DownstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    assert!(stream.h.push_event(event));
    stream.push_all(12..14);
    assert_eq!(stream.keys(), [12]);
    let event = gst_video::UpstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    assert!(stream.h.push_upstream_event(event));
    stream.push_all(14..16);
    assert_eq!(stream.keys(), [14]);
    let told = std::iter::from_fn(|| stream.h.try_pull_event());
    let told = told.filter(|event| gst_video::ForceKeyUnitEvent::is(event)).count();
    assert_eq!(told, 2, "downstream hears of each");
}

#[test]
fn the_end_of_the_stream_brings_what_was_held_back() {
    if !on_the_double("stream::the_end_of_the_stream_brings_what_was_held_back", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("tune", "quality")]);
    stream.push_all(0..5);
    assert_eq!(stream.numbers(), [0, 1, 2]);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(stream.numbers(), [3, 4]);
    let last = std::iter::from_fn(|| stream.h.try_pull_event()).last().unwrap();
    assert_eq!(last.type_(), gst::EventType::Eos);
}

#[test]
fn the_end_may_come_before_the_first_frame() {
    if !on_the_double("stream::the_end_may_come_before_the_first_frame", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("tune", "quality")]);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(stream.numbers(), [0; 0]);
    assert_eq!(stream.complaints(), (vec![], vec![]));
    drop(stream);
    assert_clean();
}

#[test]
fn a_flush_forgets_what_was_held_back() {
    if !on_the_double("stream::a_flush_forgets_what_was_held_back", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("tune", "quality")]);
    stream.push_all(0..5);
    stream.numbers();
    assert!(stream.h.push_event(gst::event::FlushStart::new()));
    assert!(stream.h.push_event(gst::event::FlushStop::new(true)));
    assert!(
        stream
            .h
            .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()))
    );
    stream.push_all(20..24);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let seen: Vec<_> = stream
        .pulled()
        .into_iter()
        .map(|(number, _, key)| (number, key))
        .collect();
    assert_eq!(seen, [(20, true), (21, false), (22, false), (23, false)]);
    assert_eq!(stream.complaints(), (vec![], vec![]));
}

#[test]
fn another_size_ends_one_stream_and_begins_the_next() {
    if !on_the_double("stream::another_size_ends_one_stream_and_begins_the_next", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("tune", "quality")]);
    stream.push_all(0..5);
    stream.h.set_src_caps(info(320, 240).to_caps().unwrap());
    for number in 5..8 {
        assert_eq!(stream.h.push(frame(number, 320, 240)), Ok(gst::FlowSuccess::Ok));
    }
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let seen: Vec<_> = stream
        .pulled()
        .into_iter()
        .map(|(number, _, key)| (number, key))
        .collect();
    let wanted: Vec<_> = (0..8).map(|number| (number, number == 0 || number == 5)).collect();
    assert_eq!(seen, wanted);
    let widths = std::iter::from_fn(|| stream.h.try_pull_event()).filter_map(|event| match event.view() {
        gst::EventView::Caps(caps) => caps.caps().structure(0)?.get::<i32>("width").ok(),
        _ => None,
    });
    assert_eq!(widths.collect::<Vec<_>>(), [160, 320]);
    drop(stream);
    assert_clean();
}

#[test]
fn the_bit_rate_changes_while_playing() {
    if !on_the_double("stream::the_bit_rate_changes_while_playing", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("rc-mode", "cbr"), ("bitrate", "2000")]);
    let bytes = |stream: &mut Stream, numbers: std::ops::Range<u64>| {
        stream.push_all(numbers);
        stream.pulled().iter().map(|&(_, bytes, _)| bytes).sum::<usize>()
    };
    bytes(&mut stream, 0..10);
    let before = bytes(&mut stream, 10..30);
    stream.h.element().unwrap().set_property_from_str("bitrate", "200");
    bytes(&mut stream, 30..40);
    let after = bytes(&mut stream, 40..60);
    assert!(before > 2 * after, "{before} {after}");
    assert_eq!(stream.complaints(), (vec![], vec![]));
}

#[test]
fn a_bit_rate_that_cannot_change_warns_once_and_the_stream_goes_on() {
    if !on_the_double(
        "stream::a_bit_rate_that_cannot_change_warns_once_and_the_stream_goes_on",
        "live-bitrate=off",
    ) {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[]);
    stream.push_all(0..3);
    stream.h.element().unwrap().set_property_from_str("bitrate", "200");
    stream.push_all(3..6);
    assert_eq!(stream.numbers(), [0, 1, 2, 3, 4, 5]);
    let (errors, warnings) = stream.complaints();
    assert_eq!((errors.len(), warnings.len()), (0, 1), "{warnings:?}");
    assert!(warnings[0].contains("changes in mid-stream"), "{warnings:?}");
}

#[test]
fn what_is_fixed_while_playing_stays() {
    if !on_the_double("stream::what_is_fixed_while_playing_stays", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[("gop-size", "5")]);
    stream.push_all(0..1);
    let element = stream.h.element().unwrap();
    for (name, value) in [
        ("gop-size", "3"),
        ("codec", "h265"),
        ("tune", "quality"),
        ("rc-mode", "cbr"),
    ] {
        let before = element.property_value(name).serialize().unwrap();
        element.set_property_from_str(name, value);
        assert_eq!(element.property_value(name).serialize().unwrap(), before, "{name}");
    }
    stream.push_all(1..7);
    assert_eq!(stream.keys(), [0, 5]);
}

#[test]
fn the_latency_is_that_of_the_frames_held_back() {
    if !on_the_double("stream::the_latency_is_that_of_the_frames_held_back", "") {
        return;
    }
    for (tune, milliseconds) in [("low-latency", 0), ("quality", 80)] {
        let mut stream = Stream::new(Codec::H264, &[("tune", tune)]);
        stream.push_all(0..1);
        let latency = stream.h.query_latency().unwrap();
        assert_eq!(latency, gst::ClockTime::from_mseconds(milliseconds), "{tune}");
    }
}

#[test]
fn frames_without_a_rate_are_encoded() {
    if !on_the_double("stream::frames_without_a_rate_are_encoded", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[]);
    let caps = "video/x-raw,format=NV12,width=160,height=120,framerate=0/1,interlace-mode=progressive";
    stream.h.set_src_caps(caps.parse().unwrap());
    stream.push_all(0..3);
    assert_eq!(stream.numbers(), [0, 1, 2]);
}

#[test]
fn odd_sizes_and_ten_bits_for_h264_are_not_negotiated() {
    if !on_the_double("stream::odd_sizes_and_ten_bits_for_h264_are_not_negotiated", "") {
        return;
    }
    init();
    for caps in ["format=NV12,width=63,height=48", "format=P010_10LE,width=64,height=48"] {
        let line = format!("videotestsrc num-buffers=2 ! video/x-raw,{caps} ! nvencdirect ! fakesink");
        let error = gst::parse::launch(&line).unwrap_err().to_string();
        assert!(error.contains("can't handle caps"), "{error}");
    }
    // Nor in mid-stream.
    let mut stream = Stream::new(Codec::H264, &[]);
    stream.push_all(0..2);
    let odd = "video/x-raw,format=NV12,width=63,height=48,framerate=25/1";
    stream
        .h
        .push_event(gst::event::Caps::new(&odd.parse::<gst::Caps>().unwrap()));
    assert_eq!(stream.h.push(frame(2, 64, 48)), Err(gst::FlowError::NotNegotiated));
    assert_eq!(stream.numbers(), [0, 1]);
    drop(stream);
    // A converter in front finds what is taken.
    let line = "videotestsrc num-buffers=2 ! video/x-raw,format=P010_10LE,width=64,height=48 ! videoconvert ! nvencdirect ! fakesink";
    run(&parse(line)).unwrap();
    assert_clean();
}

#[test]
fn fifty_lives_leave_nothing_behind() {
    if !on_the_double("stream::fifty_lives_leave_nothing_behind", "") {
        return;
    }
    init();
    let line =
        "videotestsrc num-buffers=4 ! video/x-raw,format=NV12,width=64,height=48 ! nvencdirect name=enc ! fakesink";
    let pipeline = parse(line);
    run(&pipeline).unwrap();
    let before = resources();
    for _ in 0..50 {
        run(&pipeline).unwrap();
        assert_clean();
    }
    no_more_than((before.0 + 2, before.1 + 2));
}

#[test]
fn stopping_in_mid_stream_leaves_nothing_behind() {
    if !on_the_double("stream::stopping_in_mid_stream_leaves_nothing_behind", "latency=2") {
        return;
    }
    init();
    for _ in 0..10 {
        let pipeline =
            parse("videotestsrc ! video/x-raw,format=NV12,width=64,height=48 ! nvencdirect ! fakesink name=end");
        let (sender, seen) = channel();
        let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = sender.send(());
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        seen.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        assert_clean();
    }
}
