//! The way of a frame through an analyser.

use super::{
    Engine, Fallback,
    analysis::{Analysis, Frame},
    attach::{Findings, Pending, attach},
    start_error,
};
use crate::{
    cuda, frame,
    meta::{self, nvds::NvdsError},
    time::RunningTime,
};
use gst::{glib, prelude::*};
use gst_base::{prelude::*, subclass::base_transform::GenerateOutputSuccess};
use gst_video::video_frame::Readable;
use nunchi_inference::{
    engine::{EngineError, Interrupt},
    frame::{DeviceFrame, Pixels},
};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// At most one warning about failing frames in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// A frame on its way through the element.
struct Passing {
    work: Work,
    time: gst::ClockTime,
    /// Frames of the stream before it.
    number: u64,
}

/// What becomes of a frame.
#[expect(clippy::large_enum_variant, reason = "nearly all frames are of the largest one")]
enum Work {
    /// It is being read in this slot, since then.
    Read(Held, usize, Instant),
    /// It carries what was found last.
    Repeat(gst::Buffer),
    /// It cannot be read.
    Fail(gst::Buffer, Failure),
    /// It was lost with the device, which the frame before it told.
    Lost(gst::Buffer),
}

/// A frame that is kept while it is read.
#[expect(clippy::large_enum_variant, reason = "nearly all frames are of the largest one")]
enum Held {
    Host(gst_video::VideoFrame<Readable>),
    Device(gst::Buffer, DeviceFrame),
}

impl Held {
    /// The frame of a buffer, on the GPU if it is there and may stay there.
    fn new(buffer: gst::Buffer, info: &gst_video::VideoInfo, on_gpu: bool) -> Result<Self, (gst::Buffer, Failure)> {
        if on_gpu && cuda::memory(&buffer).is_some() {
            return match frame::device(&buffer, info) {
                Ok(frame) => Ok(Self::Device(buffer, frame)),
                Err(error) => Err((buffer, Failure::Frame(error.to_string()))),
            };
        }
        gst_video::VideoFrame::from_buffer_readable(buffer, info)
            .map(Self::Host)
            .map_err(|buffer| {
                let text = "the buffer does not hold a frame of its caps";
                (buffer, Failure::Frame(text.to_owned()))
            })
    }

    fn buffer(&self) -> &gst::BufferRef {
        match self {
            Self::Host(frame) => frame.buffer(),
            Self::Device(buffer, _) => buffer,
        }
    }

    fn into_buffer(self) -> gst::Buffer {
        match self {
            Self::Host(frame) => frame.into_buffer(),
            Self::Device(buffer, _) => buffer,
        }
    }

    /// Has its pixels read.
    fn with_pixels<T>(&self, read: impl FnOnce(Pixels<'_>) -> Result<T, EngineError>) -> Result<T, Failure> {
        match self {
            Self::Host(frame) => {
                let mapped = frame.as_video_frame_ref();
                let view = frame::view(&mapped).map_err(|error| Failure::Frame(error.to_string()))?;
                read(Pixels::Host(&view)).map_err(Failure::Engine)
            }
            Self::Device(_, frame) => read(Pixels::Device(frame)).map_err(Failure::Engine),
        }
    }
}

impl Passing {
    /// This frame after the device was lost.
    fn lost(self) -> Self {
        let work = match self.work {
            Work::Read(frame, ..) => Work::Lost(frame.into_buffer()),
            Work::Fail(buffer, _) => Work::Lost(buffer),
            other => other,
        };
        Self { work, ..self }
    }
}

/// What the streaming thread owns while the element runs.
struct Streaming<A> {
    analysis: A,
    info: Option<gst_video::VideoInfo>,
    live: bool,
    /// Frames that wait for their results or behind those, the oldest first; fewer than `depth` between two calls.
    under_way: VecDeque<Passing>,
    depth: usize,
    /// The slot of the next frame that is read. They go round, so it is free while fewer than `depth` are under way.
    slot: usize,
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

impl<A: Analysis> Streaming<A> {
    fn set_depth(&mut self, settings: &A::Settings) {
        self.depth = self.analysis.set_depth(self.live, settings).max(1);
        self.slot = 0;
    }

    /// By how much frames are late because others must come before them; without a frame rate 0, or as long as they wait at most.
    fn kept(&self) -> gst::ClockTime {
        if self.depth <= 1 {
            return gst::ClockTime::ZERO;
        }
        let fps = self.info.as_ref().map(gst_video::VideoInfo::fps);
        let frame = fps.filter(|fps| fps.numer() > 0).and_then(|fps| {
            gst::ClockTime::SECOND.mul_div_ceil(fps.denom().unsigned_abs().into(), fps.numer().unsigned_abs().into())
        });
        let others = frame.map(|frame| frame.saturating_mul(self.depth as u64 - 1));
        match (others, self.analysis.patience()) {
            (Some(others), Some(patience)) => others.min(patience),
            (others, patience) => others.or(patience).unwrap_or_default(),
        }
    }

    /// Drops what is under way and forgets what was seen.
    fn reset(&mut self) {
        self.under_way.clear();
        self.analysis.reset();
        self.pending.clear();
    }
}

/// What properties and queries show; also the deadline that QoS events set.
#[derive(Default)]
struct Facts {
    used: Option<(Engine, String)>,
    depth: usize,
    kept: gst::ClockTime,
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
/// nothing but the streaming thread, start and stop takes it: what has that thread give up waiting takes none. No lock is held while a message is posted or a buffer pushed.
pub struct Runner<A> {
    streaming: Mutex<Option<Streaming<A>>>,
    facts: Mutex<Facts>,
    /// Raised while the stream is flushed or stopped.
    interrupt: Interrupt,
}

impl<A> Default for Runner<A> {
    fn default() -> Self {
        Self {
            streaming: Mutex::default(),
            facts: Mutex::default(),
            interrupt: Interrupt::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
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
enum Failure {
    /// Before it reached the networks.
    Frame(String),
    Engine(EngineError),
    Fatal(&'static str),
}

impl<A: Analysis> Runner<A> {
    /// Loads the networks, on the CPU where the wanted device is missing and that is allowed. From now on frames go through
    /// them. Says on the bus what runs them.
    pub fn start(&self, element: &gst_base::BaseTransform, settings: &A::Settings) -> Result<(), gst::ErrorMessage> {
        let (mut analysis, missing) = match A::load(settings, false) {
            Err(error) if error.may_fall_back() && settings.as_ref().may_start_on_cpu() => {
                let analysis = A::load(settings, true).map_err(|e| start_error(&e))?;
                (
                    analysis,
                    Some(format!("{}. The CPU does the work", without_fallback(&error))),
                )
            }
            result => (result.map_err(|e| start_error(&e))?, None),
        };
        self.interrupt.lift();
        analysis.set_interrupt(&self.interrupt);
        let (engine, device) = analysis.engine();
        let moved = missing.is_some();
        let note = missing.or_else(|| analysis.note());
        let message = gst::Structure::builder("nunchi-engine")
            .field("element", element.name().as_str())
            .field("engine", engine.nick())
            .field("device", &device)
            .build();
        *lock(&self.facts) = Facts {
            used: Some((engine, device)),
            ..Default::default()
        };
        *lock(&self.streaming) = Some(Streaming {
            analysis,
            info: None,
            live: false,
            under_way: VecDeque::new(),
            depth: 1,
            slot: 0,
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

    /// What `look` sees of the analysis; `None` while it is not started.
    pub fn with_analysis<T>(&self, look: impl FnOnce(&A) -> T) -> Option<T> {
        lock(&self.streaming)
            .as_ref()
            .map(|streaming| look(&streaming.analysis))
    }

    /// Has the streaming thread give up what it waits for: before a stop, which waits for that thread.
    pub fn interrupt(&self) {
        self.interrupt.raise();
    }

    pub fn stop(&self) {
        lock(&self.streaming).take();
        let mut facts = lock(&self.facts);
        facts.used = None;
        facts.depth = 0;
        facts.kept = gst::ClockTime::ZERO;
    }

    /// Whether the networks are loaded: what steers their loading must not change now.
    pub fn is_started(&self) -> bool {
        lock(&self.facts).used.is_some()
    }

    /// Frames of this kind follow.
    pub fn set_info(&self, element: &gst_base::BaseTransform, info: gst_video::VideoInfo, settings: &A::Settings) {
        let mut query = gst::query::Latency::new();
        let live = element.sink_pad().peer_query(&mut query) && query.result().0;
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            let size = |info: &gst_video::VideoInfo| (info.width(), info.height());
            if streaming.info.as_ref().map(size) != Some(size(&info)) {
                streaming.analysis.end_all(&mut streaming.pending);
            }
            streaming.info = Some(info);
            streaming.live = live;
            // Only where the pads are negotiated anew for the same frames are some still under way.
            if streaming.under_way.is_empty() {
                streaming.set_depth(settings);
            }
        }
        self.tell_latency(element);
    }

    /// Has the pipeline ask for the latency where it has changed.
    fn tell_latency(&self, element: &gst_base::BaseTransform) {
        let now = lock(&self.streaming)
            .as_ref()
            .map(|streaming| (streaming.depth, streaming.kept()));
        let (depth, kept) = now.unwrap_or_default();
        let before = {
            let mut facts = lock(&self.facts);
            facts.depth = depth;
            std::mem::replace(&mut facts.kept, kept)
        };
        if before != kept {
            // Fails only where the element is in no pipeline.
            let _ = element.post_message(gst::message::Latency::builder().src(element).build());
        }
    }

    /// Does what an event on the sink pad asks for before it goes on: a serialised one keeps its place among the frames.
    pub fn sink_event(&self, element: &gst_base::BaseTransform, event: &gst::Event, settings: &A::Settings) {
        let anew = match event.view() {
            gst::EventView::FlushStart(_) => {
                self.interrupt.raise();
                false
            }
            gst::EventView::FlushStop(_) => {
                self.interrupt.lift();
                true
            }
            view => {
                if event.is_serialized() {
                    // What downstream does not take, it has said it does not want.
                    let _ = self.drain(element, settings);
                }
                matches!(view, gst::EventView::StreamStart(_))
            }
        };
        if anew {
            if let Some(streaming) = lock(&self.streaming).as_mut() {
                streaming.reset();
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

    /// Answers a query with the help of `forward`, which has the base class answer it. A serialised one keeps its place among
    /// the frames; that for buffers waits for none, because it is asked in the middle of a stream too.
    pub fn query(
        &self,
        element: &gst_base::BaseTransform,
        query: &mut gst::QueryRef,
        settings: &A::Settings,
        forward: impl FnOnce(&mut gst::QueryRef) -> bool,
    ) -> bool {
        if query.is_serialized() && query.type_() != gst::QueryType::Allocation {
            let _ = self.drain(element, settings);
        }
        if !forward(query) {
            return false;
        }
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let kept = lock(&self.facts).kept;
            let (live, least, most) = latency.result();
            if live {
                latency.set(
                    live,
                    least.saturating_add(kept),
                    most.map(|most| most.saturating_add(kept)),
                );
            }
        }
        true
    }

    /// Asks for as many buffers more as are kept under way, so that a pool upstream does not run dry; whether there was something to
    /// ask for. Of the metadata that downstream takes it says nothing: the buffers go there as they are.
    pub fn propose_allocation(&self, query: &mut gst::query::Allocation) -> bool {
        let kept = lock(&self.facts).depth.saturating_sub(1) as u32;
        if kept == 0 {
            return false;
        }
        let first = query.allocation_pools().next();
        if let Some((pool, size, least, most)) = first {
            let least = least.saturating_add(kept);
            let most = if most == 0 { 0 } else { most.max(least) };
            query.set_nth_allocation_pool(0, pool.as_ref(), size, least, most);
            return true;
        }
        let caps = query.get().0;
        let Some(info) = caps.and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()) else {
            return false;
        };
        query.add_allocation_pool(gst::BufferPool::NONE, info.size() as u32, kept, 0);
        true
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

    /// What goes out after `input` came in, which is asked for with `None` until nothing does: the oldest frame under way where
    /// it is read, or where no more may be under way.
    pub fn generate(
        &self,
        element: &gst_base::BaseTransform,
        input: Option<gst::Buffer>,
        settings: &A::Settings,
    ) -> Result<GenerateOutputSuccess, gst::FlowError> {
        if let Some(buffer) = input {
            if buffer.flags().contains(gst::BufferFlags::DISCONT) {
                // The base class marks what comes next.
                self.drain(element, settings)?;
            }
            if let Err(failure) = self.admit(element, buffer, settings) {
                self.fail(element, failure, settings)?;
            }
        }
        let oldest = self.oldest(element, false, settings)?;
        Ok(oldest.map_or(GenerateOutputSuccess::NoOutput, GenerateOutputSuccess::Buffer))
    }

    /// Pushes what is read already. For a thread that holds the lock of the sink pad's stream.
    pub fn push_complete(&self, element: &gst_base::BaseTransform, settings: &A::Settings) {
        while let Ok(Some(buffer)) = self.oldest(element, false, settings) {
            // What is wrong downstream, the next frame hears as well.
            if element.src_pad().push(buffer).is_err() {
                return;
            }
        }
    }

    /// Pushes all that is under way.
    fn drain(&self, element: &gst_base::BaseTransform, settings: &A::Settings) -> Result<(), gst::FlowError> {
        while let Some(buffer) = self.oldest(element, true, settings)? {
            if let Err(error) = element.src_pad().push(buffer) {
                if let Some(streaming) = lock(&self.streaming).as_mut() {
                    streaming.reset();
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Starts reading a frame, or decides what else becomes of it.
    fn admit(
        &self,
        element: &gst_base::BaseTransform,
        buffer: gst::Buffer,
        settings: &A::Settings,
    ) -> Result<(), Failure> {
        let options = settings.as_ref();
        let mut guard = lock(&self.streaming);
        let streaming = guard.as_mut().ok_or(Failure::Fatal("the element was not started"))?;
        let time = streaming.time.of(&buffer, &element.segment(), element);
        let info = streaming
            .info
            .as_ref()
            .ok_or(Failure::Fatal("no caps before the first buffer"))?;
        let due = streaming.frames.is_multiple_of(options.inference_interval.into());
        let number = streaming.frames;
        streaming.frames += 1;
        let late = {
            let mut facts = lock(&self.facts);
            let late = options.qos && facts.earliest.is_some_and(|earliest| time < earliest);
            facts.frames += 1;
            facts.skipped += u64::from(late && due);
            late
        };
        let work = if late || !due || buffer.flags().contains(gst::BufferFlags::GAP) {
            Work::Repeat(buffer)
        } else {
            match Held::new(buffer, info, streaming.analysis.takes_device_frames()) {
                Ok(frame) => {
                    let begin = Instant::now();
                    let submitted =
                        frame.with_pixels(|pixels| streaming.analysis.submit(streaming.slot, pixels, settings));
                    match submitted {
                        Ok(()) => {
                            let slot = streaming.slot;
                            streaming.slot = (slot + 1) % streaming.depth;
                            Work::Read(frame, slot, begin)
                        }
                        Err(failure) => Work::Fail(frame.into_buffer(), failure),
                    }
                }
                Err((buffer, failure)) => Work::Fail(buffer, failure),
            }
        };
        streaming.under_way.push_back(Passing { work, time, number });
        Ok(())
    }

    /// The oldest frame under way, with what was found in it. One that is not read yet is waited for where `wait` says so or no
    /// more may be under way. One that cannot be read passes with a warning, or stops the stream where the user wants it so.
    fn oldest(
        &self,
        element: &gst_base::BaseTransform,
        wait: bool,
        settings: &A::Settings,
    ) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Some((mut buffer, result)) = self.examine(wait, settings) else {
            return Ok(None);
        };
        let news = lock(&self.streaming)
            .as_mut()
            .and_then(|streaming| streaming.analysis.news());
        if let Some(news) = news {
            gst::element_warning!(element, gst::ResourceError::Failed, ("{}: {}", A::NAME, news));
        }
        match result {
            Ok(Some(findings)) => {
                let (name, component) = (element.name(), A::NVDS_COMPONENT);
                if let Err(error) = attach(buffer.make_mut(), findings, &name, settings.as_ref(), component) {
                    self.warn_of_nvds(element, &error);
                }
            }
            Ok(None) => lock(&self.facts).errors += 1,
            Err(failure) => self.fail(element, failure, settings)?,
        }
        Ok(Some(buffer))
    }

    /// Takes the oldest frame from those under way, and what it carries: nothing where it was lost with the device.
    fn examine(&self, wait: bool, settings: &A::Settings) -> Option<(gst::Buffer, Result<Option<Findings>, Failure>)> {
        let mut guard = lock(&self.streaming);
        let streaming = guard.as_mut()?;
        let wait = wait || streaming.under_way.len() >= streaming.depth;
        if let Work::Read(_, slot, _) = streaming.under_way.front()?.work
            && !wait
            && !streaming.analysis.is_complete(slot)
        {
            return None;
        }
        let Passing { work, time, number } = streaming.under_way.pop_front()?;
        let size = streaming
            .info
            .as_ref()
            .map_or((0, 0), |info| (info.width(), info.height()));
        let (frame, slot, begin) = match work {
            Work::Read(frame, slot, begin) => (frame, slot, begin),
            Work::Repeat(buffer) => {
                let objects = streaming.analysis.repeat(size);
                let events = Vec::new();
                return Some((
                    buffer,
                    Ok(Some(Findings {
                        objects,
                        inferred: false,
                        events,
                        time,
                        size,
                    })),
                ));
            }
            Work::Fail(buffer, failure) => return Some((buffer, Err(failure))),
            Work::Lost(buffer) => return Some((buffer, Ok(None))),
        };
        let found = frame.with_pixels(|pixels| {
            let frame = Frame {
                pixels,
                buffer: frame.buffer(),
                time,
                number,
            };
            streaming
                .analysis
                .finish(slot, &frame, settings, &mut streaming.pending)
        });
        let buffer = frame.into_buffer();
        let objects = match found {
            Ok(objects) => objects,
            Err(failure) => return Some((buffer, Err(failure))),
        };
        let mut facts = lock(&self.facts);
        facts.inferences += 1;
        facts.inference_time += begin.elapsed();
        let events = std::mem::take(&mut streaming.pending);
        Some((
            buffer,
            Ok(Some(Findings {
                objects,
                inferred: true,
                events,
                time,
                size,
            })),
        ))
    }

    /// Draws the consequence of a frame that could not be read: what to say of it, and how bad it is.
    fn judge(&self, failure: Failure, settings: &A::Settings) -> (Severity, String) {
        let error = match failure {
            Failure::Fatal(text) => return (Severity::Fatal, text.to_owned()),
            Failure::Frame(text) => return (Severity::Frame, text),
            Failure::Engine(error) => error,
        };
        let mut guard = lock(&self.streaming);
        let Some(streaming) = guard.as_mut() else {
            return (Severity::Fatal, error.to_string());
        };
        // The next frame, which these events go with, numbers its objects anew.
        streaming.pending.truncate(meta::event::MAX_EVENTS);
        streaming.pending.iter_mut().for_each(|(object, _)| *object = None);
        if error.may_fall_back() && settings.as_ref().fallback == Fallback::Cpu && !streaming.moved {
            if let Err(other) = streaming.analysis.move_to_cpu(settings) {
                return (Severity::Fatal, format!("{error}; nor can the CPU take over: {other}"));
            }
            streaming.moved = true;
            streaming.under_way = streaming.under_way.drain(..).map(Passing::lost).collect();
            streaming.set_depth(settings);
            lock(&self.facts).used = Some(streaming.analysis.engine());
            return (Severity::Moved, without_fallback(&error));
        }
        // Of a device that is lost nothing more comes.
        let lost = matches!(error, EngineError::DeviceLost { .. } | EngineError::OutOfMemory { .. });
        let severity = if lost { Severity::Fatal } else { Severity::Frame };
        (severity, error.to_string())
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
        failure: Failure,
        settings: &A::Settings,
    ) -> Result<(), gst::FlowError> {
        if let Failure::Engine(EngineError::Interrupted) = failure {
            return Err(gst::FlowError::Flushing);
        }
        let (severity, text) = self.judge(failure, settings);
        lock(&self.facts).errors += 1;
        if severity == Severity::Moved {
            self.tell_latency(element);
            gst::element_warning!(
                element,
                gst::ResourceError::Failed,
                ("{}: {}. The CPU does the work from the next frame on", A::NAME, text)
            );
            return Ok(());
        }
        if severity == Severity::Fatal || settings.as_ref().fail_on_error {
            // The others under way would say the same once more.
            if let Some(streaming) = lock(&self.streaming).as_mut() {
                streaming.reset();
            }
            gst::element_error!(element, gst::StreamError::Failed, ("{} failed: {}", A::NAME, text));
            return Err(gst::FlowError::Error);
        }
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
        Ok(())
    }
}

/// What an error says, without the advice to let the CPU do the work, which it does.
fn without_fallback(error: &EngineError) -> String {
    match error {
        EngineError::DeviceLost { engine, reason } => format!("the device of engine {engine} was lost: {reason}"),
        EngineError::OutOfMemory { engine, device, reason } => {
            format!("{engine} has no memory left on {device}: {reason}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
