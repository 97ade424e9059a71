//! Frames, time, and what becomes of them.

use super::*;

const FORMATS: [VideoFormat; 19] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
];

#[test]
fn a_caption_shows_during_its_lifetime_only() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let drawn = [0, 999, 1000, 2000, 2999, 3001, 60_000].map(|time| o.is_drawn(ms(time)));
    assert_eq!(drawn, [false, false, true, true, true, false, false]);
}

#[test]
fn a_caption_stands_where_the_layout_puts_it_in_every_format() {
    for format in FORMATS {
        let info = info(format, 64, 32);
        let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &info);
        let [left, top, right, bottom] = o.changed(ms(2000)).unwrap_or_else(|| panic!("nothing in {format:?}"));
        // The outline is soft and two pixels wide or so.
        assert!(
            (14..31).contains(&left) && (33..50).contains(&right),
            "{format:?}: {left}..{right}"
        );
        assert!(
            (2..16).contains(&top) && (16..30).contains(&bottom),
            "{format:?}: {top}..{bottom}"
        );
        assert!(!o.is_drawn(ms(4000)), "{format:?}");
    }
}

#[test]
fn odd_and_upright_and_tiny_frames_are_drawn_into() {
    for (width, height) in [
        (17, 15),
        (63, 33),
        (33, 63),
        (80, 60),
        (36, 64),
        (64, 2),
        (2, 64),
        (1, 1),
    ] {
        for format in [
            VideoFormat::I420,
            VideoFormat::Nv12,
            VideoFormat::Yuy2,
            VideoFormat::Rgb,
        ] {
            let info = info(format, width, height);
            let mut o = Overlay::new(&[("scenario", &scenario("Hi there"))], &info);
            let before = o.draw(frame(&info, ms(500)));
            assert_eq!(bytes(&before), vec![GREY; info.size()], "{format:?} {width}x{height}");
            let out = o.draw(frame(&info, ms(2000)));
            assert_eq!(out.size(), info.size());
            if width.min(height) > 10 {
                assert!(changed(&out, &info).is_some(), "{format:?} {width}x{height}");
            }
        }
    }
}

#[test]
fn pixels_that_are_not_square_show_the_caption_in_its_proportions() {
    let square = info(VideoFormat::Rgb, 128, 64);
    let wide = VideoInfo::builder(VideoFormat::Rgb, 64, 64)
        .par(gst::Fraction::new(2, 1))
        .build()
        .unwrap();
    let width = |info: &VideoInfo| {
        let [left, _, right, _] = Overlay::new(&[("scenario", &scenario("Hi there"))], info)
            .changed(ms(2000))
            .unwrap();
        right - left + 1
    };
    let (square, wide) = (width(&square), width(&wide));
    assert!((wide * 2).abs_diff(square) <= 6, "{square} squeezed to {wide}");
}

#[test]
fn the_same_time_gives_the_same_picture_however_it_was_reached() {
    let text = scenario("Hi there").replace(
        r#""displayTime""#,
        r#""pluginChain": [{"name": "fadein"}, {"name": "spin"}], "displayTime""#,
    );
    let mut played = Overlay::new(&[("scenario", &text)], &rgb());
    let frames: Vec<_> = (0..60)
        .map(|n| bytes(&played.draw(frame(&rgb(), ms(1000 + n * 33)))))
        .collect();
    assert!(frames.windows(2).any(|pair| pair[0] != pair[1]));
    for n in [59, 0, 30, 31, 7] {
        let mut fresh = Overlay::new(&[("scenario", &text)], &rgb());
        assert_eq!(
            bytes(&fresh.draw(frame(&rgb(), ms(1000 + n * 33)))),
            frames[n as usize],
            "frame {n}"
        );
        // And by a seek of the one that played.
        for event in [
            gst::event::FlushStart::new(),
            gst::event::FlushStop::new(true),
            gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()),
        ] {
            assert!(played.harness.push_event(event));
        }
        assert_eq!(
            bytes(&played.draw(frame(&rgb(), ms(1000 + n * 33)))),
            frames[n as usize],
            "frame {n}"
        );
    }
}

#[test]
fn the_position_in_the_media_counts_or_the_time_that_was_played() {
    init();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(10_000));
    segment.set_time(ms(10_000));
    segment.set_position(ms(10_000));
    let text = scenario("Hi");
    for (base, early, late) in [("stream-time", false, true), ("running-time", true, false)] {
        let text = if base == "stream-time" {
            text.replace("[1, 3]", "[11, 13]")
        } else {
            text.clone()
        };
        let mut o = Overlay::new(&[("scenario", &text), ("time-base", base)], &rgb());
        o.harness.push_event(gst::event::Segment::new(&segment));
        assert!(o.is_drawn(ms(12_000)), "{base}");
        assert!(!o.is_drawn(ms(10_500)), "{base}");
        // Changed while playing, the other one counts from the next frame on.
        o.element
            .set_property_from_str("time-base", if early { "stream-time" } else { "running-time" });
        assert_eq!(o.is_drawn(ms(12_000)), early && late, "{base}");
    }
}

#[test]
fn an_offset_shows_everything_later_or_earlier() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi")), ("time-offset", "5000000000")], &rgb());
    assert!(!o.is_drawn(ms(2000)));
    assert!(o.is_drawn(ms(7000)));
    o.element.set_property("time-offset", -1_500_000_000i64);
    assert!(o.is_drawn(ms(0)));
    assert!(!o.is_drawn(ms(2000)));
    for extreme in [i64::MIN, i64::MAX] {
        o.element.set_property("time-offset", extreme);
        assert!(!o.is_drawn(ms(2000)));
    }
}

#[test]
fn frames_outside_of_the_segment_and_without_a_time_pass_untouched() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(2500));
    segment.set_time(ms(2500));
    o.harness.push_event(gst::event::Segment::new(&segment));
    assert!(!o.is_drawn(ms(2000)));
    assert!(o.is_drawn(ms(2600)));
    let out = o.draw(frame(&rgb(), None));
    assert_eq!(changed(&out, &rgb()), None);
    o.harness.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::format::Bytes>::new(),
    ));
    assert!(!o.is_drawn(ms(2600)));
}

#[test]
fn a_frame_that_somebody_else_holds_is_not_changed() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let held = frame(&rgb(), ms(2000));
    let out = o.draw(held.clone());
    assert_eq!(changed(&held, &rgb()), None);
    assert!(changed(&out, &rgb()).is_some());
}

#[test]
fn a_frame_without_a_caption_is_not_copied() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let held = frame(&rgb(), ms(500));
    let out = o.draw(held.clone());
    assert_eq!(out.as_ptr(), held.as_ptr());
}

#[test]
fn metadata_timestamps_and_flags_stay() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let mut buffer = frame(&rgb(), ms(2000));
    {
        let buffer = buffer.get_mut().unwrap();
        gst_video::VideoRegionOfInterestMeta::add(buffer, "face", (1, 2, 3, 4));
        buffer.set_offset(7);
        buffer.set_flags(gst::BufferFlags::DISCONT);
    }
    let out = o.draw(buffer);
    assert_eq!(out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), 1);
    assert_eq!(
        (out.pts(), out.duration(), out.offset()),
        (Some(ms(2000)), Some(ms(33)), 7)
    );
    assert!(out.flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn a_gap_passes_untouched_with_its_flag() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let mut buffer = frame(&rgb(), ms(2000));
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let out = o.draw(buffer);
    assert_eq!(changed(&out, &rgb()), None);
    assert!(out.flags().contains(gst::BufferFlags::GAP));
    assert!(o.harness.push_event(gst::event::Gap::builder(ms(2100)).build()));
}

#[test]
fn a_frame_smaller_than_its_caps_passes_with_one_warning() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    for _ in 0..3 {
        let mut buffer = gst::Buffer::from_mut_slice(vec![5u8; 100]);
        buffer.get_mut().unwrap().set_pts(ms(2000));
        assert_eq!(bytes(&o.draw(buffer)), [5; 100]);
    }
    let warnings = o.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("cannot be drawn into"), "{warnings:?}");
}

#[test]
fn size_and_format_may_change_in_mid_stream() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    assert!(o.is_drawn(ms(2000)));
    for info in [
        info(VideoFormat::I420, 101, 75),
        info(VideoFormat::Nv12, 40, 90),
        info(VideoFormat::Gray8, 64, 32),
    ] {
        o.harness.set_src_caps(info.to_caps().unwrap());
        o.info = info;
        assert!(o.is_drawn(ms(2100)));
        assert!(!o.is_drawn(ms(3100)));
    }
}

#[test]
fn a_frame_before_caps_is_not_negotiated() {
    let mut o = Overlay::without_caps(&[("scenario", &scenario("Hi"))], &rgb());
    let pad = o.element.static_pad("sink").unwrap();
    pad.send_event(gst::event::StreamStart::new("x"));
    pad.send_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(pad.chain(frame(&rgb(), ms(2000))), Err(gst::FlowError::NotNegotiated));
    assert!(o.harness.try_pull().is_none());
}

#[test]
fn what_downstream_answers_goes_upstream() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let sink = o.element.static_pad("src").unwrap().peer().unwrap();
    sink.set_active(false).unwrap();
    assert_eq!(o.harness.push(frame(&rgb(), ms(2000))), Err(gst::FlowError::Flushing));
}

#[test]
fn start_stop_and_start_again_shows_the_same() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let first = bytes(&o.draw(frame(&rgb(), ms(2000))));
    for _ in 0..3 {
        o.element.set_state(gst::State::Ready).unwrap();
        o.element.set_state(gst::State::Playing).unwrap();
        o.harness.push_event(gst::event::StreamStart::new("again"));
        o.harness.set_src_caps(rgb().to_caps().unwrap());
        o.harness
            .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        assert_eq!(bytes(&o.draw(frame(&rgb(), ms(2000)))), first);
    }
}

#[test]
fn a_seek_in_a_pipeline_shows_what_playing_shows() {
    init();
    let line = format!(
        "videotestsrc pattern=black ! video/x-raw,format=RGB,width=64,height=32,framerate=30/1 ! motiontextoverlay name=o fonts-dir=\"{FONTS}\" ! \
         fakesink name=s enable-last-sample=true"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("o").unwrap().set_property("scenario", scenario("Hi"));
    pipeline.set_state(gst::State::Paused).unwrap();
    let sink = pipeline.by_name("s").unwrap();
    let picture = |position: u64| {
        pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, ms(position))
            .unwrap();
        pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
        let sample = sink.property::<Option<gst::Sample>>("last-sample").unwrap();
        bytes(sample.buffer().unwrap())
    };
    let pictures = [2000, 500, 1500, 5000].map(picture);
    pipeline.set_state(gst::State::Null).unwrap();
    let lit = pictures.map(|picture| picture.iter().any(|value| *value > 128));
    assert_eq!(lit, [true, false, true, false]);
}
