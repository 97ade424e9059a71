//! What the element tests share.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod pictures;

use gst::prelude::*;
use gstnunchi::meta;
use nunchi_events::{Event, State};
use std::sync::Once;

/// Initialises GStreamer and registers the plugin, as the launcher does.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstnunchi::plugin_register_static().unwrap();
    });
}

pub fn ms(value: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(value)
}

/// An event with a message that names it.
pub fn event(kind: &str, state: State) -> Event {
    Event::new(kind, state, format!("{kind} {}", state.as_str()))
}

/// A small buffer at a time, with events.
pub fn buffer(pts: impl Into<Option<gst::ClockTime>>, events: &[Event]) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(16).unwrap();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(pts);
        meta::event::append(buffer, events.iter().map(meta::event::to_structure));
    }
    buffer
}

/// The types of the buffer's events.
pub fn kinds(buffer: &gst::BufferRef) -> Vec<String> {
    meta::event::read(buffer)
        .iter()
        .map(|s| s.get::<String>("type").unwrap_or_default())
        .collect()
}

/// The buffer's events.
pub fn events(buffer: &gst::BufferRef) -> Vec<Event> {
    meta::event::read(buffer)
        .iter()
        .filter_map(|s| meta::event::from_structure(s))
        .collect()
}

/// Runs a pipeline to its end. The error is the first one on the bus, as "element: message".
#[track_caller]
pub fn run(pipeline: &gst::Pipeline) -> Result<Vec<gst::Message>, String> {
    let bus = pipeline.bus().unwrap();
    let mut seen = Vec::new();
    let mut outcome = Ok(());
    if pipeline.set_state(gst::State::Playing).is_ok() {
        loop {
            let Some(message) = bus.timed_pop(gst::ClockTime::from_seconds(60)) else {
                outcome = Err("no end within a minute".to_string());
                break;
            };
            let done = matches!(message.view(), gst::MessageView::Eos(_) | gst::MessageView::Error(_));
            seen.push(message);
            if done {
                break;
            }
        }
    } else {
        while let Some(message) = bus.pop() {
            seen.push(message);
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    for message in &seen {
        if let gst::MessageView::Error(error) = message.view() {
            let source = message.src().map(|s| s.name().to_string()).unwrap_or_default();
            return Err(format!(
                "{source}: {} [{}]",
                error.error(),
                error.debug().unwrap_or_default()
            ));
        }
    }
    outcome.map(|()| seen)
}

/// Runs a pipeline to its end and returns the buffers that reached the sink of that name.
#[track_caller]
pub fn collect(pipeline: &gst::Pipeline, sink: &str) -> Vec<gst::Buffer> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let pad = pipeline.by_name(sink).unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = sender.send(info.buffer().unwrap().to_owned());
        gst::PadProbeReturn::Ok
    });
    run(pipeline).unwrap();
    receiver.try_iter().collect()
}

#[track_caller]
pub fn parse(line: &str) -> gst::Pipeline {
    gst::parse::launch(line).unwrap().downcast().unwrap()
}

/// The element under test, out of the bin that a harness makes of a launch line.
#[track_caller]
pub fn inner(harness: &gst_check::Harness) -> gst::Element {
    let element = harness.element().unwrap();
    match element.downcast::<gst::Bin>() {
        Ok(bin) => bin.children().pop().unwrap(),
        Err(element) => element,
    }
}

/// Threads and open files of this process.
pub fn resources() -> (usize, usize) {
    let count = |dir: &str| std::fs::read_dir(dir).map(|d| d.count()).unwrap_or(0);
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// Waits until this process has no more threads and open files than `bound`: a thread that was joined is counted
/// until the kernel has taken it away, which may be a moment later.
#[track_caller]
pub fn no_more_than(bound: (usize, usize)) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let now = resources();
        if now.0 <= bound.0 && now.1 <= bound.1 {
            return;
        }
        assert!(
            std::time::Instant::now() < end,
            "threads and files: {now:?}, at most {bound:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// A file of the repository.
pub fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
        .canonicalize()
        .unwrap()
}
