//! Scenarios in-band.

use super::*;
use std::sync::mpsc;

pub struct Feed {
    pub pad: gst::Pad,
    pub source: gst::Pad,
}

impl Feed {
    fn new(o: &Overlay, segment: gst::Segment) -> Self {
        let pad = o.element.request_pad_simple("scenario_sink").unwrap();
        let source = gst::Pad::builder(gst::PadDirection::Src).name("source").build();
        source.set_active(true).unwrap();
        source.link(&pad).unwrap();
        let feed = Self { pad, source };
        assert!(feed.source.push_event(gst::event::StreamStart::new("scenario")));
        let caps = gst::Caps::new_empty_simple("application/x-motiontext-json");
        assert!(feed.source.push_event(gst::event::Caps::new(&caps)));
        assert!(feed.source.push_event(gst::event::Segment::new(&segment)));
        feed
    }

    pub fn timed(o: &Overlay) -> Self {
        Self::new(o, gst::FormattedSegment::<gst::ClockTime>::new().upcast())
    }

    fn whole(o: &Overlay) -> Self {
        Self::new(o, gst::FormattedSegment::<gst::format::Bytes>::new().upcast())
    }

    pub fn push(&self, json: &str, pts: Option<gst::ClockTime>) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.source.push(document(json, pts))
    }

    /// Pushes from a thread of its own, which waits.
    pub fn push_later(
        &self,
        json: &str,
        pts: gst::ClockTime,
    ) -> mpsc::Receiver<Result<gst::FlowSuccess, gst::FlowError>> {
        let (sender, receiver) = mpsc::channel();
        let (source, buffer) = (self.source.clone(), document(json, Some(pts)));
        std::thread::spawn(move || sender.send(source.push(buffer)));
        receiver
    }
}

pub fn document(json: &str, pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(json.as_bytes().to_vec());
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

#[test]
fn a_stream_in_bytes_is_one_scenario_as_a_whole() {
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::whole(&o);
    let text = scenario("Hi");
    let (head, tail) = text.split_at(100);
    feed.push(head, Some(ms(0))).unwrap();
    feed.push(tail, None).unwrap();
    assert!(!o.is_drawn(ms(2000)), "it is not complete");
    assert!(feed.source.push_event(gst::event::Eos::new()));
    assert!(o.is_drawn(ms(2033)));
}

#[test]
fn a_scenario_without_a_time_counts_at_once() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let feed = Feed::timed(&o);
    feed.push(&scenario("Hi").replace("[1, 3]", "[5, 6]"), None).unwrap();
    assert!(!o.is_drawn(ms(2000)));
    assert!(o.is_drawn(ms(5500)));
    // The last one counts.
    feed.push(&scenario("Hi").replace("[1, 3]", "[7, 8]"), None).unwrap();
    feed.push(&scenario("Hi"), None).unwrap();
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn a_scenario_with_a_time_waits_for_its_frame() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi").replace("[1, 3]", "[0, 9]"))], &rgb());
    let feed = Feed::timed(&o);
    let done = feed.push_later(&scenario("Hi there").replace("[1, 3]", "[5, 9]"), ms(2000));
    let mut time = 0;
    // It shows what it had until then, however long the other one takes to come.
    assert!(o.is_drawn(ms(1967)));
    until(|| {
        time += 1;
        !o.is_drawn(ms(2000 + time))
    });
    assert_eq!(done.recv_timeout(PATIENCE).unwrap(), Ok(gst::FlowSuccess::Ok));
    assert!(o.is_drawn(ms(5500)));
}

#[test]
fn a_broken_scenario_costs_a_warning_and_the_old_one_stays() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let feed = Feed::timed(&o);
    for json in ["", "{", "\u{0}", r#"{"version": "7"}"#] {
        feed.push(json, None).unwrap();
    }
    assert!(o.is_drawn(ms(2000)));
    assert_eq!(o.warnings().len(), 4);
}

#[test]
fn a_stream_without_end_is_cut_off() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let feed = Feed::whole(&o);
    let block = " ".repeat(4 << 20);
    let pushes = (0..100).take_while(|_| feed.push(&block, None).is_ok()).count();
    assert!(pushes < 10, "{pushes} blocks of 4 MiB");
    assert!(feed.source.push_event(gst::event::Eos::new()));
    let warnings = o.warnings();
    assert!(warnings[0].contains("split it"), "{warnings:?}");
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn a_flush_a_stop_an_end_and_a_release_wake_who_waits() {
    for way in 0..4 {
        let mut o = Overlay::new(&[], &rgb());
        let feed = Feed::timed(&o);
        o.draw(frame(&rgb(), ms(0)));
        let done = feed.push_later(&scenario("Hi"), ms(60_000));
        let expected = match way {
            0 => {
                feed.source.push_event(gst::event::FlushStart::new());
                gst::FlowError::Flushing
            }
            1 => {
                o.element.set_state(gst::State::Ready).unwrap();
                gst::FlowError::Flushing
            }
            2 => {
                o.harness.push_event(gst::event::Eos::new());
                gst::FlowError::Eos
            }
            _ => {
                o.element.release_request_pad(&feed.pad);
                gst::FlowError::Flushing
            }
        };
        let result = done.recv_timeout(PATIENCE).unwrap();
        // Who had not begun yet finds no pad any more.
        assert!(
            result == Err(expected) || (way == 3 && result == Err(gst::FlowError::NotLinked)),
            "way {way}: {result:?}"
        );
    }
}

#[test]
fn after_a_flush_it_takes_scenarios_again() {
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    feed.source.push_event(gst::event::FlushStart::new());
    assert!(feed.push(&scenario("Hi"), None).is_err());
    feed.source.push_event(gst::event::FlushStop::new(true));
    feed.source
        .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    feed.push(&scenario("Hi"), None).unwrap();
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn after_the_end_of_the_video_a_seek_goes_on() {
    let mut o = Overlay::new(&[], &rgb());
    let feed = Feed::timed(&o);
    o.harness.push_event(gst::event::Eos::new());
    assert_eq!(feed.push(&scenario("Hi"), None), Err(gst::FlowError::Eos));
    for event in [
        gst::event::FlushStart::new(),
        gst::event::FlushStop::new(true),
        gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()),
    ] {
        o.harness.push_event(event);
    }
    feed.push(&scenario("Hi"), None).unwrap();
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn there_is_one_such_pad_and_it_comes_and_goes() {
    let mut o = Overlay::new(&[], &rgb());
    let pad = o.element.request_pad_simple("scenario_sink").unwrap();
    let template = pad.pad_template().unwrap();
    assert!(o.element.request_pad(&template, None, None).is_none());
    o.element.release_request_pad(&pad);
    let feed = Feed::timed(&o);
    feed.push(&scenario("Hi"), None).unwrap();
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn its_events_are_not_the_videos() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let feed = Feed::timed(&o);
    while o.harness.try_pull_event().is_some() {}
    feed.source.push_event(gst::event::Gap::builder(ms(1)).build());
    feed.source.push_event(gst::event::Eos::new());
    assert!(o.harness.try_pull_event().is_none());
    assert!(o.is_drawn(ms(2000)));
}

#[test]
fn every_frame_of_a_pipeline_shows_the_scenario_of_a_file() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "a.json",
        scenario("Hi").replace("[1, 3]", "[0, 9]") + &" ".repeat(10_000),
    );
    let line = format!(
        "videotestsrc num-buffers=20 pattern=black ! video/x-raw,format=RGB,width=64,height=32,framerate=30/1 ! \
         motiontextoverlay name=o fonts-dir=\"{FONTS}\" ! fakesink name=s enable-last-sample=true \
         filesrc location=\"{}\" ! application/x-motiontext-json ! o.scenario_sink",
        path.display()
    );
    let pipeline = common::parse(&line);
    let sink = pipeline.by_name("s").unwrap();
    let pad = sink.static_pad("sink").unwrap();
    let (sender, lit) = mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            sender.send(bytes(buffer).iter().any(|value| *value > 128)).unwrap();
        }
        gst::PadProbeReturn::Ok
    });
    common::run(&pipeline).unwrap();
    assert_eq!(lit.try_iter().collect::<Vec<_>>(), [true; 20]);
}
