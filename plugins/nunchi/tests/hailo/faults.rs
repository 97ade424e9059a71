//! Devices and frames that fail with others in flight.

use super::*;

/// Pushes until the stream ends; whether it did.
fn push_some(stream: &mut Stream, numbers: std::ops::Range<u32>) -> bool {
    numbers.into_iter().any(|number| stream.push(number).is_err())
}

#[test]
fn a_lost_device_ends_the_stream_with_one_error_behind_what_was_read() {
    if !on_the_double("faults::a_lost_device_ends_the_stream_with_one_error_behind_what_was_read") {
        return;
    }
    for fault in ["lost@5", "timeout@5", "hang@5"] {
        let mut stream = Stream::new(
            &format!("latency=5,{fault}"),
            "frames-in-flight=4 inference-timeout-ms=300",
        );
        assert!(push_some(&mut stream, 0..30), "{fault}");
        // Sources send this after an error.
        assert!(stream.h.push_event(gst::event::Eos::new()));
        let mut seen = stream.seen();
        assert_eq!(seen.pop(), Some(Seen::Event(gst::EventType::Eos)));
        // A device that goes takes the results with it that were not yet fetched.
        assert!(
            seen.len() <= 5 && (fault == "lost@5" || seen.len() == 5),
            "{fault}: {seen:?}"
        );
        assert!(seen.iter().copied().eq((0..5).map(read).take(seen.len())), "{seen:?}");
        let (errors, warnings) = stream.complaints();
        assert!(errors.len() == 1 && errors[0].contains("lost"), "{fault}: {errors:?}");
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn with_a_fallback_what_was_in_flight_passes_unread_and_the_cpu_goes_on() {
    if !on_the_double("faults::with_a_fallback_what_was_in_flight_passes_unread_and_the_cpu_goes_on") {
        return;
    }
    for fault in ["lost@5", "timeout@5", "hang@5"] {
        let mut stream = Stream::new(
            &format!("latency=5,{fault}"),
            "frames-in-flight=4 inference-timeout-ms=300 fallback=cpu score-threshold=0 keypoint-threshold=0",
        );
        stream.push_all(0..20);
        assert!(stream.h.push_event(gst::event::Eos::new()));
        let mut seen = stream.seen();
        assert_eq!(seen.pop(), Some(Seen::Event(gst::EventType::Eos)));
        let numbers: Vec<_> = seen
            .iter()
            .map(|seen| matches!(seen, Seen::Frame(n, _) if *n < 20))
            .collect();
        assert_eq!(numbers, [true; 20], "{fault}");
        let unread: Vec<_> = seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Frame(number, None) => Some(*number),
                _ => None,
            })
            .collect();
        assert!((1..=8).contains(&unread.len()), "{fault}: {unread:?}");
        assert!(
            unread[0] <= 5 && unread.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{unread:?}"
        );
        assert_eq!(stream.stat("errors"), unread.len() as u64);
        assert_eq!(stream.stat("inferences"), 20 - unread.len() as u64);
        let (errors, warnings) = stream.complaints();
        assert_eq!(errors, [""; 0]);
        assert!(
            warnings.len() == 1
                && warnings[0].contains("The CPU does the work")
                && !warnings[0].contains("fallback=cpu"),
            "{warnings:?}"
        );
        let engine = inner(&stream.h).property_value("engine").serialize().unwrap();
        assert_ne!(engine, "hailo");
    }
}

#[test]
fn a_bad_frame_costs_itself_alone() {
    if !on_the_double("faults::a_bad_frame_costs_itself_alone") {
        return;
    }
    let mut stream = Stream::new("latency=5,short@3,short@5", "frames-in-flight=4");
    stream.push_all(0..9);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let expected: Vec<_> = (0..9)
        .map(|number| Seen::Frame(number, Some(number).filter(|n| ![3, 5].contains(n))))
        .collect();
    assert_eq!(stream.seen()[..9], expected);
    let (errors, warnings) = stream.complaints();
    assert_eq!(
        (errors.len(), warnings.len(), stream.stat("errors")),
        (0, 1, 2),
        "{warnings:?}"
    );
}

#[test]
fn a_bad_frame_ends_the_stream_once_where_the_user_wants_it_so() {
    if !on_the_double("faults::a_bad_frame_ends_the_stream_once_where_the_user_wants_it_so") {
        return;
    }
    let mut stream = Stream::new("latency=5,short@2,short@3", "frames-in-flight=4 fail-on-error=true");
    assert!(push_some(&mut stream, 0..9));
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(stream.seen(), [read(0), read(1), Seen::Event(gst::EventType::Eos)]);
    assert_eq!(stream.complaints().0.len(), 1);
}

#[test]
fn a_frame_that_is_none_waits_for_its_turn() {
    if !on_the_double("faults::a_frame_that_is_none_waits_for_its_turn") {
        return;
    }
    let mut stream = Stream::new("latency=250", "frames-in-flight=8");
    stream.push_all(0..2);
    let mut short = gst::Buffer::with_size(5).unwrap();
    short.get_mut().unwrap().set_pts(ms(2));
    stream.h.push(short).unwrap();
    stream.push_all(3..5);
    assert_eq!(stream.seen(), []);
    assert!(stream.h.push_event(gst::event::Eos::new()));
    let expected = [read(0), read(1), Seen::Frame(2, None), read(3), read(4)];
    assert_eq!(stream.seen()[..5], expected);
    assert_eq!(stream.complaints().1.len(), 1);
}

#[test]
fn a_stop_with_frames_in_flight_leaves_nothing_behind() {
    if !on_the_double("faults::a_stop_with_frames_in_flight_leaves_nothing_behind") {
        return;
    }
    let mut stream = Stream::new("latency=30", "frames-in-flight=8");
    let element = stream.h.element().unwrap();
    let before = double::threads();
    for _ in 0..5 {
        stream.push_all(0..5);
        element.set_state(gst::State::Null).unwrap();
        assert_eq!(double::handles(), 0);
        element.set_state(gst::State::Playing).unwrap();
        assert!(stream.h.push_event(gst::event::StreamStart::new("again")));
        assert!(stream.h.push_event(gst::event::Caps::new(&caps(SIDE))));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(stream.h.push_event(gst::event::Segment::new(&segment)));
    }
    assert!(stream.seen().iter().all(|seen| matches!(seen, Seen::Event(_))));
    double::eventually("threads end", || double::threads() <= before);
}

/// Has a thread wait for the device, which does not answer; what the thread gets, once it does.
fn wait_for_the_device(stream: &mut Stream) -> Receiver<Result<gst::FlowSuccess, gst::FlowError>> {
    let pad = inner(&stream.h).static_pad("sink").unwrap();
    let (sender, answer) = channel();
    std::thread::spawn(move || {
        let answers = (0..9).map(|number| pad.chain(frame(number, SIDE)));
        let _ = sender.send(
            answers
                .into_iter()
                .find(Result::is_err)
                .unwrap_or(Ok(gst::FlowSuccess::Ok)),
        );
    });
    double::eventually("the device has frames", || stream.stat("frames") >= 2);
    assert!(
        answer.recv_timeout(std::time::Duration::from_millis(200)).is_err(),
        "it waits"
    );
    answer
}

#[test]
fn a_flush_and_a_stop_wake_the_thread_that_waits_for_the_device() {
    if !on_the_double("faults::a_flush_and_a_stop_wake_the_thread_that_waits_for_the_device") {
        return;
    }
    let soon = std::time::Duration::from_secs(1);
    for stops in [false, true] {
        // It may wait for ten minutes.
        let mut stream = Stream::new("hang@0", "frames-in-flight=2 inference-timeout-ms=600000");
        let answer = wait_for_the_device(&mut stream);
        let element = inner(&stream.h);
        let begin = std::time::Instant::now();
        if stops {
            element.set_state(gst::State::Null).unwrap();
        } else {
            assert!(stream.h.push_event(gst::event::FlushStart::new()));
        }
        assert_eq!(answer.recv_timeout(soon), Ok(Err(gst::FlowError::Flushing)), "{stops}");
        if !stops {
            assert!(stream.h.push_event(gst::event::FlushStop::new(true)));
            assert!(begin.elapsed() < soon, "nor does the end of the flush wait for it");
            element.set_state(gst::State::Null).unwrap();
        }
        // Closing such a device takes three seconds at most.
        assert!(begin.elapsed() < 5 * soon, "{:?}", begin.elapsed());
        assert_eq!(stream.complaints(), (vec![], vec![]), "giving up is no failure");
    }
}

#[test]
fn what_downstream_refuses_ends_the_drain() {
    if !on_the_double("faults::what_downstream_refuses_ends_the_drain") {
        return;
    }
    let mut stream = Stream::new("latency=20", "frames-in-flight=8");
    stream.push_all(0..4);
    let sink = inner(&stream.h).static_pad("src").unwrap();
    let (sender, refused) = channel();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = sender.send(());
        info.flow_res = Err(gst::FlowError::Eos);
        info.data = None;
        gst::PadProbeReturn::Handled
    });
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(refused.try_iter().count(), 1, "the others are not even tried");
    assert_eq!(stream.complaints(), (vec![], vec![]));
}
