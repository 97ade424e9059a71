//! The way of a frame through an analyser.

use super::{AnalyticsMeta, Engine, Fallback, NvdsMeta, Options, start_error};
use crate::{
    frame,
    meta::{self, landmark::Landmarks, nvds::NvdsError, roi::Region},
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
    /// `unique_component_id` of our objects in DeepStream's metadata, out of the way of the small numbers that users give
    /// nvinfer.
    const NVDS_COMPONENT: i32;

    /// Loads the networks; `on_cpu` instead of on the wanted device, where the built-in models stand for HEFs.
    fn load(settings: &Self::Settings, on_cpu: bool) -> Result<Self, EngineError>
    where
        Self: Sized;

    /// Replaces the networks by those of the CPU. What is remembered of objects stays.
    fn move_to_cpu(&mut self, settings: &Self::Settings) -> Result<(), EngineError>;

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
    /// The networks were moved to the CPU.
    moved: bool,
    /// Whether it was said why nothing reaches DeepStream's metadata.
    nvds_warned: bool,
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

/// What follows of a frame that was not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// The frame passes, and the next one is read.
    Frame,
    /// The frame passes, and the next one is read on the CPU.
    Moved,
    /// The stream ends.
    Fatal,
}

/// Why a frame was not read.
struct Failure {
    text: String,
    severity: Severity,
}

impl Failure {
    fn new(severity: Severity, text: impl ToString) -> Self {
        Self {
            text: text.to_string(),
            severity,
        }
    }
    fn frame(text: impl ToString) -> Self {
        Self::new(Severity::Frame, text)
    }
    fn fatal(text: &str) -> Self {
        Self::new(Severity::Fatal, text)
    }
}

impl<A: Analysis> Runner<A> {
    /// Loads the networks, on the CPU where the wanted device is missing and that is allowed. From now on frames go through
    /// them. Says on the bus what runs them.
    pub fn start(
        &self,
        element: &gst_base::BaseTransform,
        options: &Options,
        settings: &A::Settings,
    ) -> Result<(), gst::ErrorMessage> {
        let (analysis, missing) = match A::load(settings, false) {
            Err(error) if error.may_fall_back() && options.may_start_on_cpu() => {
                let analysis = A::load(settings, true).map_err(|e| start_error(&e))?;
                (analysis, Some(format!("{error}. The CPU does the work")))
            }
            result => (result.map_err(|e| start_error(&e))?, None),
        };
        let (kind, device) = analysis.engine();
        let moved = missing.is_some();
        let note = missing.or_else(|| analysis.note());
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
            moved,
            nvds_warned: false,
            time: RunningTime::default(),
            pending: Vec::new(),
        });
        if let Some(note) = note {
            gst::element_warning!(element, gst::ResourceError::NotFound, ("{}", note));
        }
        let message = gst::message::Element::builder(message).src(element).build();
        // Fails only where the element is in no pipeline: then nobody wants the message.
        let _ = element.post_message(message);
        Ok(())
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
                let component = A::NVDS_COMPONENT;
                if let Err(error) = attach(buffer, findings, &element.name(), options, component) {
                    self.warn_of_nvds(element, &error);
                }
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
            .map_err(|error| self.missed(streaming, error, options, settings))?;
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

    /// Draws the consequence of a frame that could not be read.
    fn missed(
        &self,
        streaming: &mut Streaming<A>,
        error: EngineError,
        options: &Options,
        settings: &A::Settings,
    ) -> Failure {
        // The next frame, which these events go with, numbers its objects anew.
        streaming.pending.truncate(meta::event::MAX_EVENTS);
        streaming.pending.iter_mut().for_each(|(object, _)| *object = None);
        if error.may_fall_back() && options.fallback == Fallback::Cpu && !streaming.moved {
            if let Err(other) = streaming.analysis.move_to_cpu(settings) {
                return Failure::new(Severity::Fatal, format!("{error}; nor can the CPU take over: {other}"));
            }
            streaming.moved = true;
            let (kind, device) = streaming.analysis.engine();
            lock(&self.facts).used = Some((kind.into(), device));
            return Failure::new(Severity::Moved, error);
        }
        // Of a device that is lost nothing more comes.
        let lost = matches!(error, EngineError::DeviceLost { .. });
        Failure::new(if lost { Severity::Fatal } else { Severity::Frame }, error)
    }

    /// Says once what keeps findings from DeepStream's metadata; the stream and its other metadata go on.
    fn warn_of_nvds(&self, element: &gst_base::BaseTransform, error: &NvdsError) {
        let said = lock(&self.streaming)
            .as_mut()
            .is_none_or(|streaming| std::mem::replace(&mut streaming.nvds_warned, true));
        if !said {
            gst::element_warning!(
                element,
                gst::LibraryError::Failed,
                (
                    "DeepStream's metadata lacks what was found: {}; nvds-meta=off does without",
                    error
                )
            );
        }
    }

    /// One bad frame is worth a warning, not the stream, unless the user wants it so.
    fn fail(
        &self,
        element: &gst_base::BaseTransform,
        Failure { text, severity }: Failure,
        options: &Options,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if severity == Severity::Moved {
            gst::element_warning!(
                element,
                gst::ResourceError::Failed,
                ("{}: {}. The CPU does the work from the next frame on", A::NAME, text)
            );
            return Ok(gst::FlowSuccess::Ok);
        }
        if severity == Severity::Fatal || options.fail_on_error {
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

/// Attaches all that was found. An error when DeepStream's metadata is there and could not take it.
fn attach(
    buffer: &mut gst::BufferRef,
    findings: Findings,
    source: &str,
    options: &Options,
    component: i32,
) -> Result<(), NvdsError> {
    let analytics = options.analytics_meta != AnalyticsMeta::Off && meta::analytics::is_available();
    let pts = buffer.pts();
    let mut regions = Vec::with_capacity(findings.objects.len());
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
        regions.push(found.region);
    }
    meta::landmark::append(buffer, &landmarks);
    let locate = |(object, mut event): (Option<usize>, Event)| {
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
        event
    };
    let events: Vec<Event> = findings.events.into_iter().map(locate).collect();
    meta::event::append(buffer, events.iter().map(meta::event::to_structure));
    if options.nvds_meta == NvdsMeta::Off {
        return Ok(());
    }
    let findings = meta::nvds::Findings {
        size: findings.size,
        component,
        regions: &regions,
        events: &events,
    };
    meta::nvds::append(buffer, &findings)
}
