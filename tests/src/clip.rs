//! Clips through the elements in this process, and logs of them calculated by hand.

use gst::prelude::*;
use gstnunchi::meta;
use nunchi_events::{Event, State, xml};
use std::collections::BTreeMap;
use std::path::Path;

/// Initialises GStreamer with the elements of this process.
pub fn init() {
    gst::init().expect("GStreamer is there");
    gstnunchi::plugin_register_static().expect("the plugin registers");
}

/// Plays a file through the elements and shows every sample that arrives.
pub fn each_sample(file: &Path, elements: &str, mut see: impl FnMut(gst::Sample)) {
    let line = format!(
        "filesrc location=\"{}\" ! decodebin ! {elements} ! appsink name=sink sync=false",
        file.display()
    );
    let pipeline = gst::parse::launch(&line)
        .expect(&line)
        .downcast::<gst::Pipeline>()
        .expect("several elements are a pipeline");
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .expect("the line ends with it");
    pipeline.set_state(gst::State::Playing).expect("the pipeline starts");
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
        see(sample);
    }
    assert!(sink.is_eos(), "{line}");
    pipeline.set_state(gst::State::Null).expect("the pipeline stops");
}

/// Every event of a clip as the analysers report it, with its time in milliseconds.
pub fn unthrottled(file: &Path, analysers: &str) -> Vec<(u64, Event)> {
    let mut all = Vec::new();
    each_sample(file, analysers, |sample| {
        let buffer = sample.buffer().expect("a sample with a buffer");
        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
        let time = segment.and_then(|s| s.to_running_time(buffer.pts()));
        let time = time.expect("a time in a segment of time").mseconds();
        all.extend(
            meta::event::read(buffer)
                .iter()
                .filter_map(|s| Some((time, meta::event::from_structure(s)?))),
        );
    });
    all
}

/// The throttle by hand: of each type the first, then whatever is two seconds or more after the last one taken. Time in seconds as
/// the log has it, type and message.
pub fn by_hand(events: &[(u64, Event)]) -> Vec<(String, String, String)> {
    let mut last = BTreeMap::new();
    let mut taken = Vec::new();
    for (time, event) in events.iter().filter(|(_, e)| e.state != State::End) {
        if last.get(&event.kind).is_none_or(|l| time - l >= 2000) {
            last.insert(event.kind.clone(), *time);
            taken.push((
                format!("{:.1}", *time as f64 / 1000.0),
                event.kind.clone(),
                event.message.clone(),
            ));
        }
    }
    taken
}

/// The same of a log.
pub fn logged(path: &Path) -> Vec<(String, String, String)> {
    let frames = xml::read(path).expect("a log").frames;
    let flat = frames.into_iter().flat_map(|f| {
        let elapsed = format!("{:.1}", f.elapsed_seconds);
        f.results.into_iter().map(move |r| (elapsed.clone(), r.kind, r.message))
    });
    flat.collect()
}
