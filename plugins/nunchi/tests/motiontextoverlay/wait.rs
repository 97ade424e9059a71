//! Frames wait for the scenarios of their time.

use super::feed::{Feed, PATIENCE, document};
use super::*;
use std::sync::mpsc;
use std::time::Duration;

type Pushed = mpsc::Receiver<Result<gst::FlowSuccess, gst::FlowError>>;

/// The pad's source says whether it is live; a harness itself says that it is.
fn set_live(pad: &gst::Pad, live: bool) {
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Query(query)) = &mut info.data
            && let gst::QueryViewMut::Latency(query) = query.view_mut()
        {
            query.set(live, gst::ClockTime::ZERO, gst::ClockTime::NONE);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

fn overlay() -> Overlay {
    let o = Overlay::new(&[], &rgb());
    set_live(&o.element.static_pad("sink").unwrap(), false);
    o
}

/// Pushes a frame from a thread of its own, which waits.
fn push_later(o: &Overlay, pts: gst::ClockTime) -> Pushed {
    let (sender, receiver) = mpsc::channel();
    let source = o.element.static_pad("sink").unwrap().peer().unwrap();
    let frame = frame(&o.info, pts);
    std::thread::spawn(move || sender.send(source.push(frame)));
    receiver
}

fn waits(pushed: &Pushed) -> bool {
    pushed.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout)
}

/// Whether the caption is on the frame, which comes now.
#[track_caller]
fn is_drawn(o: &mut Overlay, pushed: &Pushed) -> bool {
    assert_eq!(pushed.recv_timeout(PATIENCE).unwrap(), Ok(gst::FlowSuccess::Ok));
    changed(&o.harness.pull().unwrap(), &o.info).is_some()
}

fn timed(json: &str, pts: gst::ClockTime, duration: gst::ClockTime) -> gst::Buffer {
    let mut buffer = document(json, Some(pts));
    buffer.get_mut().unwrap().set_duration(duration);
    buffer
}

#[test]
fn a_frame_waits_for_the_scenario_of_its_time() {
    let mut o = overlay();
    let feed = Feed::timed(&o);
    let pushed = push_later(&o, ms(2000));
    assert!(waits(&pushed));
    feed.push(&scenario("Hi").replace("[1, 3]", "[5, 6]"), Some(ms(0)))
        .unwrap();
    assert!(waits(&pushed), "another one may be due");
    feed.source.push(timed(&scenario("Hi"), ms(1000), ms(1500))).unwrap();
    assert!(is_drawn(&mut o, &pushed));
    assert!(o.is_drawn(ms(2033)));
}

#[test]
fn what_says_that_no_scenario_is_due_lets_frames_go() {
    for way in 0..8 {
        let mut o = overlay();
        let feed = Feed::timed(&o);
        let pushed = push_later(&o, ms(2000));
        assert!(waits(&pushed), "way {way}");
        let mut later = None;
        match way {
            0 => assert!(
                feed.source
                    .push_event(gst::event::Gap::builder(ms(0)).duration(ms(2001)).build())
            ),
            1 => assert!(feed.source.push_event(gst::event::Eos::new())),
            2 => {
                let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
                segment.set_base(ms(3000));
                assert!(feed.source.push_event(gst::event::Segment::new(&segment)));
            }
            3 => later = Some(feed.push_later(&scenario("Hi"), ms(5000))),
            4 => o.element.set_property("wait-scenario", false),
            5 => feed.source.unlink(&feed.pad).unwrap(),
            6 => o.element.release_request_pad(&feed.pad),
            // One that cannot be shown has come, too.
            _ => {
                feed.source.push(timed("{", ms(0), ms(5000))).unwrap();
            }
        }
        assert!(!is_drawn(&mut o, &pushed), "way {way}");
        o.element.set_state(gst::State::Null).unwrap();
        if let Some(later) = later {
            assert_eq!(later.recv_timeout(PATIENCE).unwrap(), Err(gst::FlowError::Flushing));
        }
    }
}

#[test]
fn a_flush_and_a_stop_end_the_wait() {
    for stop in [false, true] {
        let mut o = overlay();
        let _feed = Feed::timed(&o);
        let pushed = push_later(&o, ms(2000));
        assert!(waits(&pushed));
        if stop {
            o.element.set_state(gst::State::Ready).unwrap();
        } else {
            o.harness.push_event(gst::event::FlushStart::new());
        }
        assert_eq!(pushed.recv_timeout(PATIENCE).unwrap(), Err(gst::FlowError::Flushing));
    }
}

#[test]
fn nothing_live_waits() {
    let mut o = Overlay::new(&[], &rgb());
    let _feed = Feed::timed(&o);
    let pushed = push_later(&o, ms(2000));
    assert!(!is_drawn(&mut o, &pushed));

    let mut o = overlay();
    let feed = Feed::timed(&o);
    set_live(&feed.pad, true);
    let pushed = push_later(&o, ms(2000));
    assert!(!is_drawn(&mut o, &pushed));
}

#[test]
fn without_a_pad_a_source_or_a_time_nothing_waits() {
    let mut o = overlay();
    let pushed = push_later(&o, ms(2000));
    assert!(!is_drawn(&mut o, &pushed));
    let _pad = o.element.request_pad_simple("scenario_sink").unwrap();
    let pushed = push_later(&o, ms(2033));
    assert!(!is_drawn(&mut o, &pushed));
    let mut o = overlay();
    let feed = Feed::timed(&o);
    feed.push(&scenario("Hi"), None).unwrap();
    let pushed = push_later(&o, ms(2000));
    assert!(is_drawn(&mut o, &pushed));
}

#[test]
fn seeks_reach_the_scenarios_first_and_the_video_too() {
    let mut o = overlay();
    let feed = Feed::timed(&o);
    let (sender, order) = mpsc::channel();
    let video = o.element.static_pad("sink").unwrap().peer().unwrap();
    for (name, pad) in [("video", video), ("scenarios", feed.source.clone())] {
        let sender = sender.clone();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && event.type_() == gst::EventType::Seek
            {
                sender.send((name, event.seqnum())).unwrap();
            }
            gst::PadProbeReturn::Ok
        });
    }
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        ms(0),
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    let number = seek.seqnum();
    o.harness.push_upstream_event(seek);
    let seen: Vec<_> = order.try_iter().collect();
    assert_eq!(seen, [("scenarios", number), ("video", number)]);
}

fn flush(pad: &gst::Pad, number: gst::Seqnum) {
    pad.push_event(gst::event::FlushStart::builder().seqnum(number).build());
    pad.push_event(gst::event::FlushStop::builder(true).seqnum(number).build());
    pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
}

#[test]
fn what_waits_for_a_time_before_the_videos_flush_is_dropped() {
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    let video = o.element.static_pad("sink").unwrap().peer().unwrap();
    let later = feed.push_later(&scenario("Hi").replace("[1, 3]", "[0, 99]"), ms(60_000));
    assert!(waits(&later));
    flush(&video, gst::Seqnum::next());
    assert_eq!(later.recv_timeout(PATIENCE).unwrap(), Ok(gst::FlowSuccess::Ok));
    assert!(!o.is_drawn(ms(61_000)));
    // One without a time stays, as its source will not send it again.
    feed.push(&scenario("Hi"), None).unwrap();
    flush(&video, gst::Seqnum::next());
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn what_came_after_the_same_flush_is_not() {
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    let video = o.element.static_pad("sink").unwrap().peer().unwrap();
    let number = gst::Seqnum::next();
    flush(&feed.source, number);
    let later = feed.push_later(&scenario("Hi"), ms(1500));
    assert!(waits(&later));
    flush(&video, number);
    assert!(o.is_drawn(ms(2000)));
    assert_eq!(later.recv_timeout(PATIENCE).unwrap(), Ok(gst::FlowSuccess::Ok));
}

/// The effect of this one differs with the profile.
fn fading() -> String {
    scenario("Hi").replace(
        r#""displayTime""#,
        r#""pluginChain": [{"name": "fadeIn", "timeOffset": ["0%", "50%"]}], "displayTime""#,
    )
}

#[test]
fn a_change_of_the_profile_reads_what_came_in_band_anew() {
    let mut expected = Overlay::new(&[("scenario", &fading()), ("profile", "document")], &rgb());
    let expected = bytes(&expected.draw(frame(&rgb(), ms(2000))));
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    feed.push(&fading(), None).unwrap();
    let preview = bytes(&o.draw(frame(&rgb(), ms(2000))));
    assert_ne!(preview, expected);
    o.element.set_property_from_str("profile", "document");
    assert_eq!(bytes(&o.draw(frame(&rgb(), ms(2000)))), expected);
    // One of the properties takes its place, for all changes to come.
    o.element
        .set_property("scenario", scenario("Hi").replace("[1, 3]", "[5, 6]"));
    o.element.set_property_from_str("profile", "preview");
    assert!(!o.is_drawn(ms(2000)));
}

#[test]
fn and_what_waits_for_its_time() {
    let mut expected = Overlay::new(&[("scenario", &fading()), ("profile", "document")], &rgb());
    let expected = bytes(&expected.draw(frame(&rgb(), ms(2000))));
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    let later = feed.push_later(&fading(), ms(2000));
    assert!(waits(&later));
    o.element.set_property_from_str("profile", "document");
    assert_eq!(bytes(&o.draw(frame(&rgb(), ms(2000)))), expected);
    assert_eq!(later.recv_timeout(PATIENCE).unwrap(), Ok(gst::FlowSuccess::Ok));
}

#[test]
fn a_scenario_without_warnings_says_that_there_are_none_now() {
    let o = Overlay::new(
        &[(
            "scenario",
            &scenario("Hi").replace("Nunchi Sans", "").replace("0.25", "-1"),
        )],
        &rgb(),
    );
    assert!(!o.element.property::<gst::Array>("warnings").is_empty());
    let (sender, told) = mpsc::channel();
    o.element
        .connect_notify(Some("warnings"), move |_, _| sender.send(()).unwrap());
    o.element.set_property("scenario", scenario("Hi"));
    assert_eq!(told.try_iter().count(), 1);
    assert!(o.element.property::<gst::Array>("warnings").is_empty());
}
