//! The way of a frame through an analyser.

use super::{AnalyticsMeta, Engine, Options};
use crate::{
    frame,
    meta::{self, landmark::Landmarks, roi::Region},
    time::RunningTime,
};
use gst::{glib, prelude::*};
use gst_base::prelude::*;
use nunchi_events::{AttrValue, Event};
use nunchi_inference::{
    engine::{EngineError, EngineKind},
    frame::FrameView,
};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// At most one warning about failing frames in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// An object in a frame, as it is attached.
pub struct Found {
    pub region: Region,
    pub landmarks: Landmarks,
    pub first_seen: gst::ClockTime,
}

/// Events that no frame has carried yet, each with the index of its object among those found, where it is in view.
pub type Pending = Vec<(Option<usize>, Event)>;

/// Networks, and what is remembered of the objects that they find.
pub trait Analysis: Send {
    type Settings;
    /// For messages: `Face analysis`.
    const NAME: &'static str;

    /// What really runs the networks.
    fn engine(&self) -> (EngineKind, String);

    /// What is worth a warning at start.
    fn note(&self) -> Option<String>;

    /// Reads the frame at `time`. Adds to `events` what began, goes on or ended; what was added before an error goes with the next
    /// frame, without its object.
    fn analyse(
        &mut self,
        view: &FrameView<'_>,
        time: gst::ClockTime,
        settings: &Self::Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError>;

    /// What was found last, for frames of `size` pixels that are not read.
    fn repeat(&self, size: (u32, u32)) -> Vec<Found>;

    /// Forgets all objects and ends what was going on: frames of another size follow, in which their positions mean nothing.
    fn end_all(&mut self, events: &mut Pending);

    /// Forgets all objects: time starts anew.
    fn reset(&mut self);
}

/// The events of one object over time.
pub fn with_track(id: u64, events: Vec<Event>) -> impl Iterator<Item = Event> {
    events.into_iter().map(move |mut event| {
        event.track_id = Some(id);
        event
    })
}

/// What the streaming thread owns while the element runs.
struct Streaming<A> {
    analysis: A,
    info: Option<gst_video::VideoInfo>,
    /// Frames since the start or the last flush.
    frames: u64,
    last_warning: Option<Instant>,
    time: RunningTime,
    /// Ends at a change of size, and what an inference that failed halfway had found.
    pending: Pending,
}

/// What properties show; also the deadline that QoS events set.
#[derive(Default)]
struct Facts {
    used: Option<(Engine, String)>,
    frames: u64,
    inferences: u64,
    skipped: u64,
    errors: u64,
    inference_time: Duration,
    earliest: Option<gst::ClockTime>,
}

/// Takes frames through an [`Analysis`] and attaches what it finds.
///
/// Locks, in the order in which they may be taken together: `streaming`, `facts`. Only `streaming` is held during inference, and
/// nothing but the streaming thread, start and stop takes it. No lock is held while a message is posted.
pub struct Runner<A> {
    streaming: Mutex<Option<Streaming<A>>>,
    facts: Mutex<Facts>,
}

impl<A> Default for Runner<A> {
    fn default() -> Self {
        Self {
            streaming: Mutex::default(),
            facts: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What is attached to a buffer.
struct Findings {
    objects: Vec<Found>,
    events: Pending,
    time: gst::ClockTime,
    /// Width and height of the frame.
    size: (u32, u32),
}

/// Why a frame was not read.
struct Failure {
    text: String,
    fatal: bool,
}

impl Failure {
    fn frame(text: impl ToString) -> Self {
        Self {
            text: text.to_string(),
            fatal: false,
        }
    }
    fn fatal(text: &str) -> Self {
        Self {
            text: text.to_string(),
            fatal: true,
        }
    }
}

impl<A: Analysis> Runner<A> {
    /// From now on frames go through `analysis`. Says on the bus what runs it.
    pub fn start(&self, element: &gst_base::BaseTransform, analysis: A) {
        let (kind, device) = analysis.engine();
        let note = analysis.note();
        let message = gst::Structure::builder("nunchi-engine")
            .field("element", element.name().as_str())
            .field("engine", kind.as_str())
            .field("device", &device)
            .build();
        *lock(&self.facts) = Facts {
            used: Some((kind.into(), device)),
            ..Default::default()
        };
        *lock(&self.streaming) = Some(Streaming {
            analysis,
            info: None,
            frames: 0,
            last_warning: None,
            time: RunningTime::default(),
            pending: Vec::new(),
        });
        if let Some(note) = note {
            gst::element_warning!(element, gst::ResourceError::NotFound, ("{}", note));
        }
        let message = gst::message::Element::builder(message).src(element).build();
        // Fails only where the element is in no pipeline: then nobody wants the message.
        let _ = element.post_message(message);
    }

    pub fn stop(&self) {
        lock(&self.streaming).take();
        lock(&self.facts).used = None;
    }

    /// Frames of this kind follow.
    pub fn set_info(&self, info: gst_video::VideoInfo) {
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            let size = |info: &gst_video::VideoInfo| (info.width(), info.height());
            if streaming.info.as_ref().map(size) != Some(size(&info)) {
                streaming.analysis.end_all(&mut streaming.pending);
            }
            streaming.info = Some(info);
        }
    }

    /// Takes notice of an event on the sink pad.
    pub fn sink_event(&self, event: &gst::Event) {
        if matches!(
            event.view(),
            gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_)
        ) {
            if let Some(streaming) = lock(&self.streaming).as_mut() {
                streaming.analysis.reset();
                streaming.pending.clear();
                streaming.time = RunningTime::default();
                streaming.frames = 0;
            }
            lock(&self.facts).earliest = None;
        }
    }

    /// Takes notice of an event on the source pad.
    pub fn src_event(&self, event: &gst::Event) {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, _, diff, timestamp) = qos.get();
            // As the QoS design has it: a late buffer pushes the deadline out by its lateness, an early one pulls it in.
            lock(&self.facts).earliest = timestamp.map(|t| match u64::try_from(diff) {
                Ok(late) => t.saturating_add(gst::ClockTime::from_nseconds(late.saturating_mul(2))),
                Err(_) => t.saturating_sub(gst::ClockTime::from_nseconds(diff.unsigned_abs())),
            });
        }
    }

    /// The value of `stats`, or of `engine` or `device` while the element runs.
    pub fn property(&self, name: &str) -> Option<glib::Value> {
        let facts = lock(&self.facts);
        match name {
            "stats" => {
                let average = facts.inference_time.as_nanos() / u128::from(facts.inferences.max(1));
                let stats = gst::Structure::builder("stats")
                    .field("frames", facts.frames)
                    .field("inferences", facts.inferences)
                    .field("skipped", facts.skipped)
                    .field("errors", facts.errors)
                    .field("average-inference-time", average as u64)
                    .build();
                Some(stats.to_value())
            }
            "engine" => facts.used.as_ref().map(|(engine, _)| engine.to_value()),
            "device" => facts.used.as_ref().map(|(_, device)| device.to_value()),
            _ => None,
        }
    }

    /// Reads a frame and attaches what is found. One that cannot be read passes with a warning, or stops the stream where the user
    /// wants it so.
    pub fn transform(
        &self,
        element: &gst_base::BaseTransform,
        buffer: &mut gst::BufferRef,
        options: &Options,
        settings: &A::Settings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.examine(element, buffer, options, settings) {
            Ok(findings) => {
                let analytics = options.analytics_meta != AnalyticsMeta::Off && meta::analytics::is_available();
                attach(buffer, findings, &element.name(), analytics);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(failure) => self.fail(element, failure, options),
        }
    }

    /// Reads the frame, or repeats what was found last.
    fn examine(
        &self,
        element: &gst_base::BaseTransform,
        buffer: &gst::BufferRef,
        options: &Options,
        settings: &A::Settings,
    ) -> Result<Findings, Failure> {
        let mut guard = lock(&self.streaming);
        let streaming = guard
            .as_mut()
            .ok_or_else(|| Failure::fatal("the element was not started"))?;
        let time = streaming.time.of(buffer, &element.segment(), element);
        let info = streaming
            .info
            .clone()
            .ok_or_else(|| Failure::fatal("no caps before the first buffer"))?;
        let size = (info.width(), info.height());
        let due = streaming.frames.is_multiple_of(options.inference_interval.into());
        streaming.frames += 1;
        let late = {
            let mut facts = lock(&self.facts);
            let late = options.qos && facts.earliest.is_some_and(|earliest| time < earliest);
            facts.frames += 1;
            facts.skipped += u64::from(late && due);
            late
        };
        if late || !due || buffer.flags().contains(gst::BufferFlags::GAP) {
            return Ok(Findings {
                objects: streaming.analysis.repeat(size),
                events: Vec::new(),
                time,
                size,
            });
        }
        let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)
            .map_err(|_| Failure::frame("the buffer does not hold a frame of its caps"))?;
        let view = frame::view(&mapped).map_err(Failure::frame)?;
        let begin = Instant::now();
        let objects = streaming
            .analysis
            .analyse(&view, time, settings, &mut streaming.pending)
            .map_err(|error| {
                // The next frame, which these events go with, numbers its objects anew.
                streaming.pending.truncate(meta::event::MAX_EVENTS);
                streaming.pending.iter_mut().for_each(|(object, _)| *object = None);
                Failure::frame(error)
            })?;
        let mut facts = lock(&self.facts);
        facts.inferences += 1;
        facts.inference_time += begin.elapsed();
        Ok(Findings {
            objects,
            events: std::mem::take(&mut streaming.pending),
            time,
            size,
        })
    }

    /// One bad frame is worth a warning, not the stream, unless the user wants it so.
    fn fail(
        &self,
        element: &gst_base::BaseTransform,
        Failure { text, fatal }: Failure,
        options: &Options,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if fatal || options.fail_on_error {
            gst::element_error!(element, gst::StreamError::Failed, ("{} failed: {}", A::NAME, text));
            return Err(gst::FlowError::Error);
        }
        lock(&self.facts).errors += 1;
        let warn = lock(&self.streaming).as_mut().is_some_and(|streaming| {
            let quiet = streaming.last_warning.is_some_and(|at| at.elapsed() < WARNING_INTERVAL);
            if !quiet {
                streaming.last_warning = Some(Instant::now());
            }
            !quiet
        });
        if warn {
            gst::element_warning!(
                element,
                gst::StreamError::Failed,
                ("{} of a frame failed, the frame passes unread: {}", A::NAME, text)
            );
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

fn attach(buffer: &mut gst::BufferRef, findings: Findings, source: &str, analytics: bool) {
    let pts = buffer.pts();
    let mut ids = Vec::with_capacity(findings.objects.len());
    let mut landmarks = Vec::with_capacity(findings.objects.len());
    for mut found in findings.objects {
        let id = meta::roi::append(buffer, &found.region, findings.size);
        if analytics {
            meta::analytics::append(buffer, &found.region, Some(found.first_seen));
        }
        found.landmarks.object_id = id;
        ids.push(id);
        landmarks.push(found.landmarks);
    }
    meta::landmark::append(buffer, &landmarks);
    let events = findings.events.into_iter().map(|(object, mut event)| {
        if let Some(index) = object {
            let [x, y, w, h] = landmarks[index].bbox;
            for (name, value) in [("x_min", x), ("y_min", y), ("x_max", x + w), ("y_max", y + h)] {
                event.attrs.insert(name.to_string(), AttrValue::Float(value));
            }
        }
        event.object_id = Some(object.map_or(-1, |index| ids[index]));
        event.source = Some(source.to_string());
        event.running_time = Some(findings.time.nseconds());
        event.pts = pts.map(gst::ClockTime::nseconds);
        meta::event::to_structure(&event)
    });
    meta::event::append(buffer, events);
}
