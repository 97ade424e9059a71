//! What frames in flight cost, and that it is told.

use super::*;

#[test]
fn a_live_pipeline_is_told_of_the_frames_that_are_kept() {
    if !on_the_double("latency::a_live_pipeline_is_told_of_the_frames_that_are_kept") {
        return;
    }
    // A harness is a live source. 25 frames a second.
    for (properties, kept) in [
        ("frames-in-flight=4", 120),
        ("frames-in-flight=1", 0),
        ("", 40),
        ("engine=auto hef-path=\"\" frames-in-flight=8 engine=embedded", 0),
    ] {
        let mut stream = Stream::new("", properties);
        stream.h.set_upstream_latency(ms(10));
        assert_eq!(stream.h.query_latency(), Some(ms(10 + kept)), "{properties}");
    }
}

#[test]
fn the_latency_follows_frame_rate_and_device() {
    if !on_the_double("latency::the_latency_follows_frame_rate_and_device") {
        return;
    }
    let mut stream = Stream::new("lost@1", "frames-in-flight=3 fallback=cpu");
    let asked =
        |stream: &Stream| std::iter::from_fn(|| stream.bus.pop()).any(|m| m.type_() == gst::MessageType::Latency);
    assert!(asked(&stream), "the pipeline is to ask anew");
    let mut caps = caps(SIDE);
    caps.make_mut().set("framerate", gst::Fraction::new(50, 1));
    stream.h.set_src_caps(caps.clone());
    assert!(asked(&stream));
    assert_eq!(stream.h.query_latency(), Some(ms(40)));
    stream.h.set_src_caps(caps.clone());
    assert!(!asked(&stream), "nothing has changed");
    caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
    stream.h.set_src_caps(caps.clone());
    assert_eq!(stream.h.query_latency(), Some(ms(0)), "nobody knows");
    caps.make_mut().set("framerate", gst::Fraction::new(1, i32::MAX));
    stream.h.set_src_caps(caps.clone());
    stream.h.set_upstream_latency(gst::ClockTime::MAX - ms(1));
    assert_eq!(
        stream.h.query_latency(),
        Some(gst::ClockTime::MAX),
        "not a moment, by an overflow"
    );
    stream.h.set_upstream_latency(ms(0));
    caps.make_mut().set("framerate", gst::Fraction::new(50, 1));
    stream.h.set_src_caps(caps);
    stream.push_all(0..9);
    assert_eq!(stream.h.query_latency(), Some(ms(0)), "the CPU keeps none");
}

#[test]
fn a_file_keeps_the_device_busy_and_costs_no_latency() {
    if !on_the_double("latency::a_file_keeps_the_device_busy_and_costs_no_latency") {
        return;
    }
    let stream = Stream::new("latency=20", "");
    let pipeline = common::parse(&format!(
        "videotestsrc name=src num-buffers=30 ! video/x-raw,width=192,height=192,format=RGB ! hailopose name=pose engine=hailo hef-path={} ! fakesink",
        stream.hef().display()
    ));
    let pose = pipeline.by_name("pose").unwrap();
    let (sender, passed) = channel();
    for (pad, step) in [("sink", 1), ("src", -1)] {
        let sender = sender.clone();
        let pad = pose.static_pad(pad).unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = sender.send(step);
            gst::PadProbeReturn::Ok
        });
    }
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
    let latency = |name: &str| {
        let mut query = gst::query::Latency::new();
        let element = pipeline.by_name(name).unwrap();
        assert!(element.static_pad("src").unwrap().query(&mut query));
        query.result()
    };
    assert_eq!(latency("pose"), latency("src"));
    common::run(&pipeline).unwrap();
    let mut under_way = 0;
    let counts = passed.try_iter().map(|step: i32| {
        under_way += step;
        under_way
    });
    assert_eq!(counts.max(), Some(8));
}

/// Size and number of the buffers that an element asks for.
fn kept(element: &gst::Element) -> Option<(usize, u32)> {
    let mut query = gst::query::Allocation::new(Some(&caps(SIDE)), true);
    assert!(element.static_pad("sink").unwrap().query(&mut query));
    let first = query.allocation_pools().next();
    first.map(|(_, size, least, _)| (size as usize, least))
}

#[test]
fn upstream_is_asked_for_the_buffers_that_are_kept() {
    if !on_the_double("latency::upstream_is_asked_for_the_buffers_that_are_kept") {
        return;
    }
    let asked = |properties: &str| kept(&Stream::new("", properties).h.element().unwrap());
    assert_eq!(asked("frames-in-flight=5"), Some((3 * SIDE * SIDE, 4)));
    assert_eq!(asked("frames-in-flight=1"), None);
}

#[test]
fn upstream_is_asked_where_downstream_answers_nothing_and_its_source_does_not_stand_still() {
    if !on_the_double("latency::upstream_is_asked_where_downstream_answers_nothing_and_its_source_does_not_stand_still")
    {
        return;
    }
    let stream = Stream::new("latency=5", "");
    let pipeline = common::parse(&format!(
        "appsrc name=src format=time ! hailopose name=pose engine=hailo hef-path={} ! fakesink sync=false",
        stream.hef().display()
    ));
    let source: gst::Element = pipeline.by_name("src").unwrap();
    source.set_property("caps", caps(SIDE));
    pipeline.set_state(gst::State::Playing).unwrap();
    let push = |buffer: gst::Buffer| source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    assert_eq!(push(frame(0, SIDE)), gst::FlowReturn::Ok);
    let pose = pipeline.by_name("pose").unwrap();
    double::eventually("a frame is under way", || {
        pose.property::<gst::Structure>("stats").get("frames") == Ok(1u64)
    });
    let mut query = gst::query::Allocation::new(Some(&caps(SIDE)), true);
    assert!(pose.static_pad("sink").unwrap().query(&mut query));
    let asked = query.allocation_pools().map(|(.., least, _)| least).next();
    assert_eq!(asked, Some(7));
    let metas = query.allocation_metas().count();
    assert_eq!(
        metas, 0,
        "the buffers go to the sink, which has said nothing of strides"
    );
    // A source of six buffers of its own, and what it was asked for.
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps(SIDE)), (3 * SIDE * SIDE) as u32, 0, 6 + 7);
    pool.set_config(config).unwrap();
    pool.set_active(true).unwrap();
    let (sender, pushed) = channel();
    std::thread::spawn(move || {
        for number in 1..60 {
            let Ok(mut buffer) = pool.acquire_buffer(None) else {
                return;
            };
            buffer.get_mut().unwrap().set_pts(ms(number));
            let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        }
        let _ = sender.send(());
    });
    assert_eq!(pushed.recv_timeout(std::time::Duration::from_secs(20)), Ok(()));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_property_has_a_range_and_is_fixed_while_the_element_runs() {
    if !on_the_double("latency::the_property_has_a_range_and_is_fixed_while_the_element_runs") {
        return;
    }
    init();
    let element = gst::ElementFactory::make("hailopose").build().unwrap();
    let spec = element.find_property("frames-in-flight").unwrap();
    let range = spec.downcast_ref::<gst::glib::ParamSpecUInt>().unwrap();
    assert_eq!((range.minimum(), range.maximum(), range.default_value()), (0, 32, 0));
    let mut stream = Stream::new("latency=250", "frames-in-flight=4");
    inner(&stream.h).set_property("frames-in-flight", 1u32);
    stream.push_all(0..3);
    assert_eq!(stream.seen(), [], "as it was at the start");
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(stream.seen()[..3], [read(0), read(1), read(2)]);
}
