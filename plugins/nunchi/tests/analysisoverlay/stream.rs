//! Buffers, caps, properties and states.

use super::*;

#[test]
fn a_gap_buffer_passes_untouched_with_its_flag() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let mut buffer = with_region(flat(&info, 5), &region((8, 8, 40, 40)));
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let out = draw(&mut h, buffer);
    assert!(changed(&out, &info, 5).is_empty());
    assert!(out.flags().contains(gst::BufferFlags::GAP));
}

#[test]
fn a_frame_smaller_than_its_caps_passes_with_one_warning() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let bus = gst::Bus::new();
    h.find_element("analysisoverlay").unwrap().set_bus(Some(&bus));
    for _ in 0..3 {
        let buffer = gst::Buffer::from_mut_slice(vec![5u8; 100]);
        let out = draw(&mut h, with_region(buffer, &region((8, 8, 40, 40))));
        assert_eq!(bytes(&out), [5; 100]);
    }
    let warnings = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning])).count();
    assert_eq!(warnings, 1);
}

#[test]
fn metadata_timestamps_and_flags_stay() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let buffer = with_points(
        with_region(flat(&info, 5), &region((8, 8, 40, 40))),
        "hand/1",
        vec![[0.5, 0.5, 1.0]],
    );
    let mut buffer = with_event(buffer, "smile", "start", "x");
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::from_mseconds(40));
        buffer.set_duration(gst::ClockTime::from_mseconds(20));
        buffer.set_offset(7);
        buffer.set_flags(gst::BufferFlags::DISCONT);
    }
    let out = draw(&mut h, buffer);
    assert_eq!(out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), 1);
    assert_eq!((landmark::read(&out).len(), event::read(&out).len()), (1, 1));
    assert_eq!((out.pts(), out.duration(), out.offset()), (ms(40), ms(20), 7));
    assert!(out.flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn the_stream_may_change_size_and_format() {
    let first = info(VideoFormat::I420, 32, 16);
    let mut h = overlay("line-width=1 draw-labels=false", &first);
    assert!(is_drawn(&mut h, with_region(flat(&first, 90), &region((2, 2, 8, 8)))));
    let second = info(VideoFormat::Rgb, 17, 15);
    h.set_src_caps(second.to_caps().unwrap());
    let out = draw(&mut h, with_region(flat(&second, 0), &region((2, 2, 8, 8))));
    assert_eq!(changed(&out, &second, 0), outline(2, 2, 10, 10));
}

#[test]
fn a_format_of_more_than_eight_bits_is_refused() {
    let first = info(VideoFormat::I420, 32, 16);
    let mut h = overlay("", &first);
    draw(&mut h, flat(&first, 0));
    let deep = info(VideoFormat::P01010le, 32, 16).to_caps().unwrap();
    for caps in [deep, gst::Caps::builder("image/jpeg").build()] {
        // A refused sticky event shows at the next buffer.
        h.push_event(gst::event::Caps::new(&caps));
        assert_eq!(h.push(flat(&first, 0)), Err(gst::FlowError::NotNegotiated), "{caps}");
    }
}

#[test]
fn a_frame_before_caps_is_not_negotiated() {
    init();
    let mut h = Harness::new("analysisoverlay");
    h.play();
    assert!(h.push_event(gst::event::StreamStart::new("s")));
    assert!(h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    assert_eq!(
        h.push(gst::Buffer::from_mut_slice(vec![0u8; 64])),
        Err(gst::FlowError::NotNegotiated)
    );
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::parse::launch(
        "analysisoverlay draw-boxes=false draw-labels=false draw-landmarks=false draw-captions=false line-width=5 \
         font-size=30 caption-duration=2500000000 min-confidence=0.25",
    )
    .unwrap();
    for name in ["draw-boxes", "draw-labels", "draw-landmarks", "draw-captions"] {
        assert!(!element.property::<bool>(name), "{name}");
    }
    assert_eq!(
        (
            element.property::<u32>("line-width"),
            element.property::<u32>("font-size")
        ),
        (5, 30)
    );
    assert_eq!(element.property::<u64>("caption-duration"), 2_500_000_000);
    assert_eq!(element.property::<f64>("min-confidence"), 0.25);
}

#[test]
fn properties_that_make_no_sense_are_refused() {
    init();
    for line in [
        "colour=red",
        "draw-boxes=perhaps",
        "line-width=wide",
        "caption-duration=soon",
        "min-confidence=x",
    ] {
        assert!(
            gst::parse::launch(&format!("analysisoverlay {line}")).is_err(),
            "{line}"
        );
    }
}

#[test]
fn every_property_says_what_it_is_and_may_change_while_playing() {
    init();
    let element = gst::ElementFactory::make("analysisoverlay").build().unwrap();
    let own: Vec<_> = element
        .list_properties()
        .iter()
        .filter(|p| p.owner_type() == element.type_())
        .cloned()
        .collect();
    assert_eq!(own.len(), 8);
    for property in own {
        assert!(!property.nick().is_empty() && property.blurb().is_some_and(|blurb| blurb.len() > 10));
        assert!(
            property.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING),
            "{}",
            property.name()
        );
    }
    let factory = element.factory().unwrap();
    assert_eq!(factory.rank(), gst::Rank::NONE);
    assert_eq!(factory.metadata("klass"), Some("Filter/Effect/Video"));
}

#[test]
fn a_property_counts_from_the_next_frame_on() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("draw-labels=false", &info);
    let element = h.find_element("analysisoverlay").unwrap();
    assert!(is_drawn(&mut h, with_region(flat(&info, 9), &region((8, 8, 40, 40)))));
    element.set_property("draw-boxes", false);
    assert!(!is_drawn(&mut h, with_region(flat(&info, 9), &region((8, 8, 40, 40)))));
}

#[test]
fn tracks_differ_in_color() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("draw-labels=false line-width=2", &info);
    let mut corner = |track| {
        let mut region = region((0, 0, 64, 64));
        region.track_id = track;
        bytes(&draw(&mut h, with_region(flat(&info, 0), &region)))[..3].to_vec()
    };
    let colors: BTreeSet<_> = (0..6).map(&mut corner).collect();
    assert_eq!(colors.len(), 6);
    assert_eq!(corner(3), corner(3));
}

#[test]
fn text_of_any_length_and_script_is_cut_to_the_frame() {
    let info = info(VideoFormat::I420, 64, 48);
    let mut h = overlay("font-size=256", &info);
    for message in ["x".repeat(5000), "눈치 \u{0} \n\t é ÿ \u{1F600}".into(), String::new()] {
        assert!(is_drawn(
            &mut h,
            with_event(flat(&info, 90), "smile", "instant", &message)
        ));
    }
}

#[test]
fn the_end_may_come_first_and_twice() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("", &info);
    assert!(h.push_event(gst::event::Eos::new()));
    h.push_event(gst::event::Eos::new());
    let ends = std::iter::from_fn(|| h.try_pull_event())
        .filter(|e| e.type_() == gst::EventType::Eos)
        .count();
    assert!(ends >= 1);
    assert_eq!(h.push(flat(&info, 0)), Err(gst::FlowError::Eos));
}

#[test]
fn downstream_flow_returns_pass_through() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("", &info);
    let pad = h.sinkpad().unwrap();
    assert!(h.push_upstream_event(gst::event::Reconfigure::new()));
    pad.set_active(false).unwrap();
    assert_eq!(h.push(flat(&info, 0)), Err(gst::FlowError::Flushing));
}

#[test]
fn a_hundred_starts_and_stops() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! analysisoverlay ! fakesink async=false",
    )
    .unwrap();
    for _ in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// The buffers are passed on as they are, so only what comes next can say whether rows may be padded.
#[test]
fn padded_rows_are_offered_upstream_only_where_downstream_takes_them() {
    let info = info(VideoFormat::I420, 64, 48);
    let offered = |downstream_takes_them: bool| {
        let mut h = overlay("", &info);
        if downstream_takes_them {
            h.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
        }
        draw(&mut h, flat(&info, 0));
        let mut query = gst::query::Allocation::new(Some(&info.to_caps().unwrap()), false);
        let pad = h.element().unwrap().static_pad("sink").unwrap();
        assert!(pad.query(&mut query));
        query.find_allocation_meta::<gst_video::VideoMeta>().is_some()
    };
    assert!(offered(true));
    assert!(!offered(false));
}
