//! Counts what flows: buffers into every sink, video frames, and the picture size, by pad probes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::ipc::{Progress, SinkProgress};

/// No frame seen yet.
const NO_TIME: u64 = u64::MAX;

struct Pad {
    element: gst::glib::WeakRef<gst::Element>,
    sink: Option<String>,
    buffers: AtomicU64,
    /// Stream time of the last buffer, ns.
    position: AtomicU64,
    /// Stream time at which the last buffer ends, ns.
    end: AtomicU64,
    eos: AtomicBool,
    /// The element that writes this stream, when its file holds pictures of one size only.
    one_size: Option<String>,
    /// The size has changed: such a file ends there, or a player could not read the rest.
    cut: AtomicBool,
    format: Mutex<Format>,
}

/// Where a file had to end before the stream.
pub struct Cut {
    pub muxer: String,
    pub from: (i32, i32),
    pub to: (i32, i32),
    /// Stream time, ns.
    pub at: u64,
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
    /// Watches the sink pads of every element of the launch line.
    pub fn attach(pipeline: &gst::Pipeline) -> Self {
        let mut pads = Vec::new();
        for element in super::named(pipeline.upcast_ref()) {
            let is_sink = element.element_flags().contains(gst::ElementFlags::SINK);
            let one_size = holds_one_size(&element).then(|| element.name().to_string());
            for pad in element.sink_pads() {
                let watched = Arc::new(Pad {
                    element: element.downgrade(),
                    sink: is_sink.then(|| element.name().to_string()),
                    buffers: AtomicU64::new(0),
                    position: AtomicU64::new(NO_TIME),
                    end: AtomicU64::new(0),
                    eos: AtomicBool::new(false),
                    one_size: one_size.clone(),
                    cut: AtomicBool::new(false),
                    format: Mutex::default(),
                });
                let for_probe = watched.clone();
                let mask =
                    gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
                pad.add_probe(mask, move |_, info| {
                    match &info.data {
                        Some(gst::PadProbeData::Buffer(buffer)) => for_probe.count(1, Some(buffer)),
                        Some(gst::PadProbeData::BufferList(list)) => {
                            for_probe.count(list.len() as u64, list.iter().next_back());
                        }
                        Some(gst::PadProbeData::Event(event)) => for_probe.event(event),
                        _ => {}
                    }
                    if for_probe.cuts() {
                        info.data = Some(gst::PadProbeData::Event(gst::event::Eos::new()));
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
        let mut sinks = self.pads.iter().filter(|p| p.sink.is_some() && p.is_there()).peekable();
        sinks.peek().is_some() && sinks.all(|p| p.eos.load(Relaxed))
    }

    /// A change of the picture's size in mid-stream: from, to.
    pub fn size_change(&self) -> Option<((i32, i32), (i32, i32))> {
        self.pads.iter().find_map(|p| p.format.lock().ok()?.change)
    }

    /// The file that ended where the size changed.
    pub fn cut(&self) -> Option<Cut> {
        self.pads.iter().filter(|p| p.cut.load(Relaxed)).find_map(|p| {
            let (from, to) = p.format.lock().ok()?.change?;
            let muxer = p.one_size.clone()?;
            let at = p.end.load(Relaxed);
            Some(Cut { muxer, from, to, at })
        })
    }

    /// Where the video ended and where it should have, ns, when that is far before its time. The length of the video itself
    /// stands in its segment; that of the whole input counts only when `alone`, since another stream may be longer.
    pub fn shortfall(&self, pipeline: &gst::Pipeline, alone: bool) -> Option<(u64, u64)> {
        let raw = self.pads.iter().filter(|p| p.format.lock().is_ok_and(|f| f.raw_video));
        let last = raw.max_by_key(|p| p.end.load(Relaxed))?;
        let segment = last.format.lock().ok()?.segment.clone();
        let own = segment.and_then(|s| s.to_stream_time(s.stop()?)).map(|t| t.nseconds());
        let whole = own.or_else(|| alone.then(|| duration(pipeline)).flatten())?;
        let end = last.end.load(Relaxed);
        (end + (whole / 50).max(1_000_000_000) < whole).then_some((end, whole))
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
            duration: duration(pipeline),
            warnings: 0,
            sinks: self
                .pads
                .iter()
                .filter(|p| p.is_there())
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

fn duration(pipeline: &gst::Pipeline) -> Option<u64> {
    let duration = pipeline.query_duration::<gst::ClockTime>();
    duration.map(|d| d.nseconds()).filter(|d| *d > 0)
}

/// MPEG-TS can change; the others describe the picture once, in a header.
fn holds_one_size(element: &gst::Element) -> bool {
    let Some(factory) = element.factory() else { return false };
    factory.has_type(gst::ElementFactoryType::MUXER) && factory.name() != "mpegtsmux"
}

impl Pad {
    /// Not in a branch that was taken out for lack of a stream.
    fn is_there(&self) -> bool {
        self.element.upgrade().is_some_and(|e| e.parent().is_some())
    }

    /// Whether the stream has to end here, before a picture that its file cannot hold; true once.
    fn cuts(&self) -> bool {
        self.one_size.is_some() && self.format.lock().is_ok_and(|f| f.change.is_some()) && !self.cut.swap(true, Relaxed)
    }

    fn count(&self, buffers: u64, last: Option<&gst::BufferRef>) {
        self.buffers.fetch_add(buffers, Relaxed);
        let Some((buffer, pts)) = last.and_then(|b| Some((b, b.pts()?))) else {
            return;
        };
        let segment = self.format.lock().ok().and_then(|f| f.segment.clone());
        let time = segment.and_then(|s| s.to_stream_time(pts)).unwrap_or(pts);
        self.position.store(time.nseconds(), Relaxed);
        let end = time.saturating_add(buffer.duration().unwrap_or_default());
        self.end.fetch_max(end.nseconds(), Relaxed);
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
