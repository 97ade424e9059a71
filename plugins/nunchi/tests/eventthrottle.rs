mod common;

use common::*;
use gst::prelude::*;
use gstnunchi::meta;
use nunchi_events::Event;
use nunchi_events::State::{End, Instant, Ongoing, Start};

const CAPS: &str = "video/x-raw,format=GRAY8,width=4,height=4,framerate=25/1";

fn harness(properties: &str) -> gst_check::Harness {
    init();
    let mut h = gst_check::Harness::new_parse(&format!("eventthrottle {properties}"));
    h.set_src_caps_str(CAPS);
    h
}

/// Pushes one event at each time; returns the times at which it came out.
fn times(h: &mut gst_check::Harness, pushed: &[u64], make: impl Fn(u64) -> Event) -> Vec<u64> {
    let mut passed = Vec::new();
    for t in pushed {
        let out = h.push_and_pull(buffer(ms(*t), &[make(*t)])).unwrap();
        if !kinds(&out).is_empty() {
            passed.push(*t);
        }
    }
    passed
}

#[test]
fn passes_once_per_interval_and_the_boundary_passes() {
    let mut h = harness("");
    let pushed: Vec<u64> = (0..=6000).step_by(40).collect();
    assert_eq!(
        times(&mut h, &pushed, |_| event("smile", Ongoing)),
        [0, 2000, 4000, 6000]
    );
}

#[test]
fn the_nanosecond_before_the_boundary_does_not_pass() {
    let mut h = harness("interval=2000000000");
    let push = |h: &mut gst_check::Harness, ns: u64| {
        let out = h
            .push_and_pull(buffer(gst::ClockTime::from_nseconds(ns), &[event("smile", Ongoing)]))
            .unwrap();
        kinds(&out).len()
    };
    assert_eq!(push(&mut h, 5), 1);
    assert_eq!(push(&mut h, 2_000_000_004), 0);
    assert_eq!(push(&mut h, 2_000_000_005), 1);
}

#[test]
fn types_do_not_share_an_interval() {
    let mut h = harness("");
    let out = h
        .push_and_pull(buffer(ms(0), &[event("smile", Ongoing), event("eyes_closed", Ongoing)]))
        .unwrap();
    assert_eq!(kinds(&out), ["smile", "eyes_closed"]);
}

#[test]
fn two_of_a_type_in_one_buffer_are_two() {
    let mut h = harness("");
    let out = h
        .push_and_pull(buffer(ms(0), &[event("smile", Ongoing), event("smile", Ongoing)]))
        .unwrap();
    assert_eq!(kinds(&out), ["smile"]);
}

fn on_object(kind: &str, label: &str, track: u64) -> Event {
    Event {
        label: label.into(),
        track_id: Some(track),
        ..event(kind, Ongoing)
    }
}

#[test]
fn each_key_groups_as_it_says() {
    let all = [
        on_object("emotion", "happy", 1),
        on_object("emotion", "angry", 1),
        on_object("emotion", "happy", 2),
        on_object("emotion", "happy", 1),
    ];
    for (key, expected) in [
        ("type", 1),
        ("type-label", 2),
        ("type-object", 2),
        ("type-object-label", 3),
    ] {
        let mut h = harness(&format!("key={key}"));
        let out = h.push_and_pull(buffer(ms(0), &all)).unwrap();
        assert_eq!(kinds(&out).len(), expected, "key={key}");
    }
}

#[test]
fn an_object_id_serves_where_no_track_is() {
    let mut h = harness("key=type-object");
    let with = |id| Event {
        object_id: Some(id),
        ..event("smile", Ongoing)
    };
    let out = h.push_and_pull(buffer(ms(0), &[with(0), with(1), with(1)])).unwrap();
    assert_eq!(kinds(&out).len(), 2);
}

#[test]
fn an_object_id_of_minus_one_is_no_object() {
    let mut h = harness("key=type-object");
    let nobody = Event {
        object_id: Some(-1),
        ..event("smile", Ongoing)
    };
    let out = h
        .push_and_pull(buffer(ms(0), &[nobody, event("smile", Ongoing)]))
        .unwrap();
    assert_eq!(kinds(&out).len(), 1);
}

#[test]
fn burst_lets_that_many_through() {
    let mut h = harness("burst=3");
    let pushed: Vec<u64> = (0..=2400).step_by(200).collect();
    assert_eq!(
        times(&mut h, &pushed, |_| event("smile", Ongoing)),
        [0, 200, 400, 2000, 2200, 2400]
    );
}

#[test]
fn the_end_passes_when_the_start_has() {
    let mut h = harness("");
    let pass = |h: &mut gst_check::Harness, t, state| {
        !kinds(&h.push_and_pull(buffer(ms(t), &[event("smile", state)])).unwrap()).is_empty()
    };
    assert!(pass(&mut h, 0, Start));
    assert!(pass(&mut h, 500, End));
    assert!(!pass(&mut h, 600, Start), "within the interval");
    assert!(!pass(&mut h, 700, End), "its start was not seen");
}

#[test]
fn without_pass_end_an_end_is_an_event_like_others() {
    let mut h = harness("pass-end=false");
    assert_eq!(times(&mut h, &[0], |_| event("smile", Start)), [0]);
    assert!(times(&mut h, &[500], |_| event("smile", End)).is_empty());
    assert_eq!(times(&mut h, &[2000], |_| event("smile", End)), [2000]);
}

#[test]
fn suppressed_events_are_counted_on_the_next_that_passes() {
    let mut h = harness("");
    times(&mut h, &[0, 100, 200, 300], |_| event("smile", Ongoing));
    let out = h.push_and_pull(buffer(ms(2000), &[event("smile", Ongoing)])).unwrap();
    assert_eq!(meta::event::read(&out)[0].get::<u64>("suppressed"), Ok(3));
    let element = inner(&h);
    assert_eq!(element.property::<u64>("passed"), 2);
    assert_eq!(element.property::<u64>("suppressed"), 3);
}

#[test]
fn unknown_types_and_fields_pass_through() {
    let mut h = harness("");
    let mut buffer = buffer(ms(0), &[]);
    let strange = gst::Structure::builder("event")
        .field("type", "earthquake")
        .field("magnitude", 7.5f64)
        .build();
    meta::event::append(buffer.get_mut().unwrap(), [strange.clone()]);
    let out = h.push_and_pull(buffer).unwrap();
    assert_eq!(meta::event::read(&out), [strange]);
}

#[test]
fn a_meta_that_is_no_list_is_left_empty_handed() {
    let mut h = harness("");
    let mut buffer = buffer(ms(0), &[]);
    let mut meta = gst::meta::CustomMeta::add(buffer.get_mut().unwrap(), meta::event::NAME).unwrap();
    meta.mut_structure().set("events", "nonsense");
    assert!(kinds(&h.push_and_pull(buffer).unwrap()).is_empty());
}

#[test]
fn an_event_without_type_or_of_wrong_types_does_no_harm() {
    let mut h = harness("key=type-object-label");
    let mut buffer = buffer(ms(0), &[]);
    let odd = gst::Structure::builder("event")
        .field("type", 5i32)
        .field("state", 3.0f64)
        .field("track-id", "x")
        .build();
    meta::event::append(buffer.get_mut().unwrap(), [odd, gst::Structure::new_empty("event")]);
    assert_eq!(
        meta::event::read(&h.push_and_pull(buffer).unwrap()).len(),
        1,
        "both have the same, empty key"
    );
}

#[test]
fn buffers_are_never_dropped_nor_changed() {
    let mut h = harness("");
    for t in 0..10 {
        let mut buffer = buffer(ms(t), &[event("smile", Ongoing)]);
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_duration(ms(1));
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            buffer.set_offset(t);
        }
        let out = h.push_and_pull(buffer).unwrap();
        assert_eq!((out.pts(), out.duration(), out.offset()), (Some(ms(t)), Some(ms(1)), t));
        assert!(out.flags().contains(gst::BufferFlags::DELTA_UNIT));
    }
    assert_eq!(h.buffers_received(), 10);
}

#[test]
fn a_buffer_without_events_gets_none() {
    let mut h = harness("");
    let out = h.push_and_pull(gst::Buffer::with_size(4).unwrap()).unwrap();
    assert!(!meta::event::is_present(&out));
}

#[test]
fn a_branch_of_a_tee_keeps_all_events() {
    let mut h = harness("");
    h.push(buffer(ms(0), &[event("smile", Ongoing)])).unwrap();
    let original = buffer(ms(100), &[event("smile", Ongoing)]);
    h.push(original.clone()).unwrap();
    h.pull().unwrap();
    assert!(kinds(&h.pull().unwrap()).is_empty());
    assert_eq!(
        kinds(&original),
        ["smile"],
        "the buffer was shared: it must not be written"
    );
}

#[test]
fn running_time_counts_not_the_timestamp() {
    let mut h = harness("");
    // Rate 2: two seconds of timestamps are one of running time.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    segment.set_start(ms(10_000));
    h.push_event(gst::event::Segment::new(&segment));
    let pushed = [10_000, 12_000, 13_999, 14_000];
    assert_eq!(times(&mut h, &pushed, |_| event("smile", Ongoing)), [10_000, 14_000]);
}

#[test]
fn a_flush_forgets() {
    let mut h = harness("");
    assert_eq!(times(&mut h, &[0, 100], |_| event("smile", Ongoing)), [0]);
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    let counters = (
        inner(&h).property::<u64>("passed"),
        inner(&h).property::<u64>("suppressed"),
    );
    assert_eq!(counters, (1, 1), "the counters stay");
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(times(&mut h, &[200], |_| event("smile", Ongoing)), [200]);
}

#[test]
fn a_new_stream_forgets() {
    let mut h = harness("");
    assert_eq!(times(&mut h, &[0, 100], |_| event("smile", Ongoing)), [0]);
    h.push_event(gst::event::StreamStart::new("another"));
    h.push_event(gst::event::Caps::new(&CAPS.parse().unwrap()));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    assert_eq!(times(&mut h, &[200], |_| event("smile", Ongoing)), [200]);
}

#[test]
fn time_that_jumps_back_starts_anew() {
    let mut h = harness("");
    assert_eq!(
        times(&mut h, &[60_000, 100, 200], |_| event("smile", Ongoing)),
        [60_000, 100]
    );
}

#[test]
fn a_buffer_without_timestamp_has_the_time_of_the_one_before() {
    let mut h = harness("");
    let mut passed = 0;
    for n in 0..100u64 {
        let pts = (n % 30 != 29).then(|| ms(n * 100));
        passed += kinds(&h.push_and_pull(buffer(pts, &[event("smile", Ongoing)])).unwrap()).len();
    }
    assert_eq!(passed, 5, "at 0, 2, 4, 6 and 8 seconds");
}

#[test]
fn without_timestamps_an_event_passes_once() {
    let mut h = harness("");
    let passed: usize = (0..5)
        .map(|_| kinds(&h.push_and_pull(buffer(None, &[event("smile", Instant)])).unwrap()).len())
        .sum();
    assert_eq!(passed, 1);
}

#[test]
fn any_caps_are_taken() {
    for caps in [
        "audio/x-opus,channels=1",
        "video/x-h264,stream-format=avc,alignment=au",
        "application/x-anything",
    ] {
        init();
        let mut h = gst_check::Harness::new("eventthrottle");
        h.set_src_caps_str(caps);
        assert_eq!(
            kinds(&h.push_and_pull(buffer(ms(0), &[event("smile", Start)])).unwrap()),
            ["smile"],
            "{caps}"
        );
    }
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::ElementFactory::make("eventthrottle").build().unwrap();
    for (name, value) in [
        ("interval", "500000000"),
        ("key", "type-object-label"),
        ("burst", "7"),
        ("pass-end", "false"),
        ("post-messages", "false"),
    ] {
        element.set_property_from_str(name, value);
        assert_eq!(
            element.property_value(name).serialize().unwrap().replace('"', ""),
            value
        );
    }
}

#[test]
fn values_out_of_range_are_refused() {
    init();
    let element = gst::ElementFactory::make("eventthrottle").build().unwrap();
    for line in [
        "eventthrottle key=colour",
        "eventthrottle interval=soon",
        "eventthrottle shape=round",
    ] {
        assert!(gst::parse::launch(line).is_err(), "{line}");
    }
    let burst = element
        .find_property("burst")
        .unwrap()
        .downcast::<gst::glib::ParamSpecUInt>()
        .unwrap();
    assert_eq!((burst.minimum(), burst.maximum()), (1, 1000));
    assert!(
        element
            .find_property("passed")
            .unwrap()
            .flags()
            .contains(gst::glib::ParamFlags::READABLE)
    );
    assert!(
        !element
            .find_property("passed")
            .unwrap()
            .flags()
            .contains(gst::glib::ParamFlags::WRITABLE)
    );
}

#[test]
fn a_change_of_the_interval_counts_from_the_next_buffer() {
    let mut h = harness("");
    assert_eq!(times(&mut h, &[0, 500], |_| event("smile", Ongoing)), [0]);
    inner(&h).set_property("interval", 600_000_000u64);
    assert_eq!(
        times(&mut h, &[599, 600, 1100, 1200], |_| event("smile", Ongoing)),
        [600, 1200]
    );
}

#[test]
fn counters_start_anew_with_the_element() {
    let mut h = harness("");
    times(&mut h, &[0, 100], |_| event("smile", Ongoing));
    let element = inner(&h);
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(element.property::<u64>("passed"), 1, "readable after the end");
    element.set_state(gst::State::Playing).unwrap();
    assert_eq!(
        (element.property::<u64>("passed"), element.property::<u64>("suppressed")),
        (0, 0)
    );
}

fn messages(properties: &str) -> Vec<gst::Structure> {
    init();
    let pipeline = parse(&format!(
        "appsrc name=src format=time caps={CAPS} ! eventthrottle {properties} ! fakesink"
    ));
    let src = pipeline.by_name("src").unwrap();
    for t in [0u64, 100, 2000] {
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer(ms(t), &[event("smile", Ongoing)])]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let messages = run(&pipeline).unwrap();
    messages
        .iter()
        .filter_map(|m| {
            m.structure()
                .filter(|s| s.name() == "nunchi-event")
                .map(|s| s.to_owned())
        })
        .collect()
}

#[test]
fn what_passes_is_posted_on_the_bus() {
    let posted = messages("");
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[0].get::<&str>("type"), Ok("smile"));
    assert_eq!(posted[1].get::<u64>("suppressed"), Ok(1));
}

#[test]
fn nothing_is_posted_when_nobody_wants_it() {
    assert!(messages("post-messages=false").is_empty());
}

#[test]
fn end_of_stream_before_the_first_buffer_and_twice() {
    let mut h = harness("");
    assert!(h.push_event(gst::event::Eos::new()));
    assert!(!h.push_event(gst::event::Eos::new()), "the pad is at its end");
}
