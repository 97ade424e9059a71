//! Counts what flows: buffers into every sink, video frames, and the picture size, by pad probes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::ipc::{Progress, SinkProgress};

/// No frame seen yet.
const NO_TIME: u64 = u64::MAX;

struct Pad {
    sink: Option<String>,
    buffers: AtomicU64,
    /// Stream time of the last buffer, ns.
    position: AtomicU64,
    eos: AtomicBool,
    format: Mutex<Format>,
}

#[derive(Default)]
struct Format {
    raw_video: bool,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    size: Option<(i32, i32)>,
    /// The first change of size in mid-stream: from, to.
    change: Option<((i32, i32), (i32, i32))>,
}

/// All watched pads of a pipeline.
pub struct Counters {
    pads: Vec<Arc<Pad>>,
}

impl Counters {
    /// Watches the sink pads of every element at the top of the pipeline.
    pub fn attach(pipeline: &gst::Pipeline) -> Self {
        let mut pads = Vec::new();
        for element in pipeline.children() {
            let is_sink = element.element_flags().contains(gst::ElementFlags::SINK);
            for pad in element.sink_pads() {
                let watched = Arc::new(Pad {
                    sink: is_sink.then(|| element.name().to_string()),
                    buffers: AtomicU64::new(0),
                    position: AtomicU64::new(NO_TIME),
                    eos: AtomicBool::new(false),
                    format: Mutex::default(),
                });
                let for_probe = watched.clone();
                let mask =
                    gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
                pad.add_probe(mask, move |_, info| {
                    match &info.data {
                        Some(gst::PadProbeData::Buffer(buffer)) => for_probe.count(1, buffer.pts()),
                        Some(gst::PadProbeData::BufferList(list)) => {
                            for_probe.count(list.len() as u64, list.iter().filter_map(|b| b.pts()).next_back());
                        }
                        Some(gst::PadProbeData::Event(event)) => for_probe.event(event),
                        _ => {}
                    }
                    gst::PadProbeReturn::Ok
                });
                pads.push(watched);
            }
        }
        Self { pads }
    }

    /// Whether a first buffer has reached a sink.
    pub fn any_data(&self) -> bool {
        self.pads
            .iter()
            .any(|p| p.sink.is_some() && p.buffers.load(Relaxed) > 0)
    }

    /// Whether every sink has had its end-of-stream.
    pub fn all_eos(&self) -> bool {
        let mut sinks = self.pads.iter().filter(|p| p.sink.is_some()).peekable();
        sinks.peek().is_some() && sinks.all(|p| p.eos.load(Relaxed))
    }

    /// A change of the picture's size in mid-stream: from, to.
    pub fn size_change(&self) -> Option<((i32, i32), (i32, i32))> {
        self.pads.iter().find_map(|p| p.format.lock().ok()?.change)
    }

    /// Where things stand. Frames are those that a sink got as raw video, else the most that any element got.
    pub fn progress(&self, pipeline: &gst::Pipeline) -> Progress {
        let raw = |p: &&Arc<Pad>| p.format.lock().is_ok_and(|f| f.raw_video);
        let most = |sinks_only: bool| {
            let pads = self.pads.iter().filter(|p| !sinks_only || p.sink.is_some());
            pads.filter(raw).max_by_key(|p| p.buffers.load(Relaxed))
        };
        let counted = most(true).or_else(|| most(false));
        let position = counted.map(|p| p.position.load(Relaxed)).filter(|p| *p != NO_TIME);
        Progress {
            frames: counted.map_or(0, |p| p.buffers.load(Relaxed)),
            position,
            duration: pipeline
                .query_duration::<gst::ClockTime>()
                .map(|d| d.nseconds())
                .filter(|d| *d > 0),
            sinks: self
                .pads
                .iter()
                .filter_map(|p| {
                    let (buffers, eos) = (p.buffers.load(Relaxed), p.eos.load(Relaxed));
                    Some(SinkProgress {
                        name: p.sink.clone()?,
                        buffers,
                        eos,
                    })
                })
                .collect(),
        }
    }
}

impl Pad {
    fn count(&self, buffers: u64, pts: Option<gst::ClockTime>) {
        self.buffers.fetch_add(buffers, Relaxed);
        let Some(pts) = pts else { return };
        let segment = self.format.lock().ok().and_then(|f| f.segment.clone());
        let time = segment.and_then(|s| s.to_stream_time(pts)).unwrap_or(pts);
        self.position.store(time.nseconds(), Relaxed);
    }

    fn event(&self, event: &gst::Event) {
        match event.view() {
            gst::EventView::Caps(caps) => {
                let Some(structure) = caps.caps().structure(0) else {
                    return;
                };
                let Ok(mut format) = self.format.lock() else { return };
                format.raw_video = structure.name() == "video/x-raw";
                let (Ok(width), Ok(height)) = (structure.get::<i32>("width"), structure.get::<i32>("height")) else {
                    return;
                };
                let before = format.size.replace((width, height));
                if let Some(before) = before
                    && before != (width, height)
                {
                    format.change.get_or_insert((before, (width, height)));
                }
            }
            gst::EventView::Segment(segment) => {
                if let Ok(mut format) = self.format.lock() {
                    format.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                }
            }
            // A gap tells that time goes on although there is nothing to show.
            gst::EventView::Gap(_) => {
                self.buffers.fetch_add(1, Relaxed);
            }
            gst::EventView::Eos(_) => self.eos.store(true, Relaxed),
            gst::EventView::FlushStop(_) => self.eos.store(false, Relaxed),
            _ => {}
        }
    }
}
