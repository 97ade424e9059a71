//! How long the words of an event stand.

use super::*;

#[test]
fn a_caption_stays_for_its_duration() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("font-size=16", &info);
    let start = with_event(flat(&info, 200), "smile", "start", "Smile detected");
    let drawn = changed(&draw(&mut h, start), &info, 200);
    assert!(!drawn.is_empty() && drawn.iter().all(|&(x, y)| y >= 60 && x < 260));
    assert!(is_drawn(&mut h, at(flat(&info, 200), ms(999))));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(1000))));
}

#[test]
fn the_duration_is_running_time_not_timestamps() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("caption-duration=1000000000", &info);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    segment.set_start(gst::ClockTime::from_seconds(10));
    segment.set_base(gst::ClockTime::from_seconds(3));
    assert!(h.push_event(gst::event::Segment::new(&segment)));
    assert!(is_drawn(
        &mut h,
        at(with_event(flat(&info, 200), "smile", "instant", "x"), ms(10_000))
    ));
    assert!(is_drawn(&mut h, at(flat(&info, 200), ms(11_900))));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(12_000))));
}

#[test]
fn the_end_of_a_condition_has_no_caption() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    assert!(!is_drawn(
        &mut h,
        with_event(flat(&info, 200), "smile", "end", "Smile ended")
    ));
}

#[test]
fn captions_pile_up_to_four_lines() {
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut h = overlay("font-size=16", &info);
    let mut height = |count: usize| {
        let kinds = ["a", "b", "c", "d", "e", "f"];
        let buffer = kinds[..count]
            .iter()
            .fold(flat(&info, 200), |b, kind| with_event(b, kind, "start", "message"));
        let drawn = changed(&draw(&mut h, buffer), &info, 200);
        drawn.iter().map(|&(_, y)| y).min().unwrap()
    };
    let (one, four) = (height(1), height(4));
    assert!(four < one);
    assert_eq!(height(6), four);
}

#[test]
fn flush_segment_and_restart_clear_the_captions() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    let start = || with_event(flat(&info, 200), "smile", "start", "Smile detected");
    let segment = || gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());

    assert!(is_drawn(&mut h, start()));
    assert!(h.push_event(gst::event::FlushStart::new()));
    assert!(h.push_event(gst::event::FlushStop::new(true)));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));

    assert!(is_drawn(&mut h, start()));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));

    assert!(is_drawn(&mut h, start()));
    let element = h.find_element("analysisoverlay").unwrap();
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    assert!(h.push_event(gst::event::StreamStart::new("again")));
    assert!(h.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));
}

#[test]
fn frames_without_timestamps_show_an_event_once() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    assert!(is_drawn(
        &mut h,
        at(with_event(flat(&info, 200), "smile", "start", "x"), None)
    ));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), None)));
}
