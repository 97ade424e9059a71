//! Order, completeness, and what keeps its place among the frames.

use super::*;

#[test]
fn ten_thousand_frames_come_out_in_order_with_their_own_keypoints() {
    if !on_the_double("flight::ten_thousand_frames_come_out_in_order_with_their_own_keypoints") {
        return;
    }
    const FRAMES: u32 = 10_000;
    let mut stream = Stream::new("latency=1", "frames-in-flight=8");
    let mut next = 0;
    let mut most = 0;
    for number in 0..FRAMES {
        stream.push(number).unwrap();
        for seen in stream.seen() {
            assert_eq!(seen, read(next));
            next += 1;
        }
        most = most.max(number + 1 - next);
        // The harness keeps what comes out.
        while stream.h.try_pull().is_some() {}
    }
    assert_eq!(most, 7, "one less than in flight is kept back");
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let mut rest: Vec<_> = (next..FRAMES).map(read).collect();
    rest.push(Seen::Event(gst::EventType::Eos));
    assert_eq!(stream.seen(), rest);
    assert_eq!(stream.stat("inferences"), u64::from(FRAMES));
}

#[test]
fn one_in_flight_gives_each_frame_at_once() {
    if !on_the_double("flight::one_in_flight_gives_each_frame_at_once") {
        return;
    }
    let mut stream = Stream::new("latency=5", "frames-in-flight=1");
    for number in 0..20 {
        stream.push(number).unwrap();
        assert_eq!(stream.seen(), [read(number)]);
    }
}

#[test]
fn two_elements_share_a_device_with_frames_of_both_in_flight() {
    if !on_the_double("flight::two_elements_share_a_device_with_frames_of_both_in_flight") {
        return;
    }
    let stream = Stream::new("latency=2", "frames-in-flight=4");
    let hef = stream.hef();
    let one = format!("hailopose engine=hailo frames-in-flight=4 hef-path={}", hef.display());
    let mut h = gst_check::Harness::new_parse(&format!("{one} ! {one}"));
    h.set_src_caps(caps(SIDE));
    for number in 0..500 {
        h.push(frame(number, SIDE)).unwrap();
    }
    assert!(h.push_event(gst::event::Eos::new()));
    for expected in 0..500 {
        let out = h.pull().unwrap();
        let points = meta::landmark::read(&out);
        assert_eq!((number(&out), told(&out), points.len()), (expected, Some(expected), 2));
        assert_eq!(points[0].points, points[1].points);
    }
    assert!(h.try_pull().is_none());
}

#[test]
fn serialised_events_and_queries_keep_their_place() {
    if !on_the_double("flight::serialised_events_and_queries_keep_their_place") {
        return;
    }
    let mut stream = Stream::new("latency=250", "frames-in-flight=8");
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    for (index, event) in [
        gst::event::Tag::new(gst::TagList::new()),
        gst::event::Gap::builder(ms(0)).duration(ms(40)).build(),
        gst::event::Segment::new(&segment),
        gst::event::CustomDownstream::new(gst::Structure::new_empty("own")),
        gst::event::Caps::new(&caps(SIDE)),
        gst::event::StreamStart::new("other"),
    ]
    .into_iter()
    .enumerate()
    {
        let (first, kind) = (index as u32 * 3, event.type_());
        stream.push_all(first..first + 3);
        assert_eq!(stream.seen(), [], "they are in flight");
        assert!(stream.h.push_event(event));
        let seen = stream.seen();
        assert_eq!(seen[..3], [read(first), read(first + 1), read(first + 2)], "{kind:?}");
        // Caps that do not change are not sent again.
        assert!(seen[3..].iter().all(|&seen| seen == Seen::Event(kind)), "{seen:?}");
    }
    assert!(stream.h.push_event(gst::event::Caps::new(&caps(SIDE))));
    assert!(stream.h.push_event(gst::event::Segment::new(&segment)));
    stream.seen();
    let pad = stream.h.element().unwrap().static_pad("sink").unwrap();
    stream.push_all(20..23);
    let mut allocation = gst::query::Allocation::new(Some(&caps(SIDE)), true);
    pad.query(&mut allocation);
    let oob = gst::event::CustomDownstreamOob::new(gst::Structure::new_empty("own"));
    assert!(stream.h.push_event(oob));
    assert_eq!(
        stream.seen(),
        [Seen::Event(gst::EventType::CustomDownstreamOob)],
        "neither waits"
    );
    pad.query(&mut gst::query::Drain::new());
    assert_eq!(stream.seen(), [read(20), read(21), read(22)]);
}

#[test]
fn frames_of_another_size_wait_for_those_before() {
    if !on_the_double("flight::frames_of_another_size_wait_for_those_before") {
        return;
    }
    let mut stream = Stream::new("latency=30", "frames-in-flight=8");
    stream.push_all(0..5);
    stream.h.set_src_caps(caps(2 * SIDE));
    let seen = stream.seen();
    assert_eq!(seen[..5], (0..5).map(read).collect::<Vec<_>>());
    assert!(seen[5..].contains(&Seen::Event(gst::EventType::Caps)), "{seen:?}");
    stream.h.push(frame(5, 2 * SIDE)).unwrap();
    stream.h.set_src_caps(caps(SIDE));
    stream.push_all(6..8);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let seen = stream.seen();
    let numbers: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Frame(number, told) => Some((*number, told.is_some())),
            Seen::Event(_) => None,
        })
        .collect();
    assert_eq!(numbers, [(5, true), (6, true), (7, true)]);
}

#[test]
fn a_flush_drops_what_is_in_flight_and_its_results() {
    if !on_the_double("flight::a_flush_drops_what_is_in_flight_and_its_results") {
        return;
    }
    let mut stream = Stream::new("latency=40", "frames-in-flight=4");
    stream.push_all(0..3);
    assert!(stream.h.push_event(gst::event::FlushStart::new()));
    assert!(stream.h.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(stream.h.push_event(gst::event::Segment::new(&segment)));
    stream.push_all(10..30);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let mut expected: Vec<_> = [
        gst::EventType::FlushStart,
        gst::EventType::FlushStop,
        gst::EventType::Segment,
    ]
    .map(Seen::Event)
    .to_vec();
    expected.extend((10..30).map(read));
    expected.push(Seen::Event(gst::EventType::Eos));
    assert_eq!(stream.seen(), expected);
    assert_eq!(stream.complaints(), (vec![], vec![]));
}

#[test]
fn a_flush_waits_for_no_result() {
    if !on_the_double("flight::a_flush_waits_for_no_result") {
        return;
    }
    let mut stream = Stream::new("latency=400", "frames-in-flight=8");
    stream.push_all(0..6);
    let begin = std::time::Instant::now();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    // Each leaves some behind, in slots that are needed again.
    for _ in 0..3 {
        assert!(stream.h.push_event(gst::event::FlushStart::new()));
        assert!(stream.h.push_event(gst::event::FlushStop::new(true)));
        assert!(begin.elapsed() < std::time::Duration::from_millis(300));
    }
    assert!(stream.h.push_event(gst::event::Segment::new(&segment)));
    stream.push_all(10..30);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let mut frames = stream.seen();
    frames.retain(|seen| matches!(seen, Seen::Frame(..)));
    assert_eq!(
        frames,
        (10..30).map(read).collect::<Vec<_>>(),
        "each with its own result"
    );
    assert_eq!(stream.complaints(), (vec![], vec![]));
}

#[test]
fn a_discontinuity_stays_with_its_frame() {
    if !on_the_double("flight::a_discontinuity_stays_with_its_frame") {
        return;
    }
    let mut stream = Stream::new("latency=30", "frames-in-flight=4");
    for number in 0..6 {
        let mut buffer = frame(number, SIDE);
        if number == 3 {
            buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        }
        stream.h.push(buffer).unwrap();
    }
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let marked: Vec<_> = std::iter::from_fn(|| stream.h.try_pull())
        .map(|buffer| buffer.flags().contains(gst::BufferFlags::DISCONT))
        .collect();
    assert_eq!(marked[1..], [false, false, true, false, false]);
}

#[test]
fn frames_that_are_not_read_wait_for_those_before_and_carry_what_they_found() {
    if !on_the_double("flight::frames_that_are_not_read_wait_for_those_before_and_carry_what_they_found") {
        return;
    }
    let mut stream = Stream::new("latency=250", "frames-in-flight=8 inference-interval=3");
    stream.push_all(0..6);
    assert_eq!(stream.seen(), []);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let expected: Vec<_> = (0..6).map(|number| Seen::Frame(number, Some(number / 3 * 3))).collect();
    assert_eq!(stream.seen()[..6], expected);
    assert_eq!(stream.stat("inferences"), 2);
}

#[test]
fn late_frames_pass_unread_behind_those_in_flight() {
    if !on_the_double("flight::late_frames_pass_unread_behind_those_in_flight") {
        return;
    }
    let mut stream = Stream::new("latency=30", "frames-in-flight=8");
    stream.push_all(0..2);
    let late = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 1_000_000, ms(2));
    stream.h.push_upstream_event(late);
    stream.push_all(2..6);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let expected = [
        read(0),
        read(1),
        Seen::Frame(2, Some(1)),
        Seen::Frame(3, Some(1)),
        read(4),
        read(5),
    ];
    assert_eq!(stream.seen()[..6], expected);
    assert_eq!((stream.stat("skipped"), stream.stat("inferences")), (2, 4));
}
