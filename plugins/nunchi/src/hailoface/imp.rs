use super::{
    AnalyticsMeta, Engine, NvdsMeta,
    reading::{FaceEvents, Reading},
    settings::{Settings, properties},
    tracker::{FaceFinder, Track, Tracker},
};
use crate::{
    frame,
    meta::{
        self,
        landmark::{FACE_478, Landmarks},
        roi::{Attribute, Region},
    },
    time::RunningTime,
};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use nunchi_events::{AttrValue, Event};
use nunchi_inference::{
    engine::EngineError,
    face::{self, Detection, FaceNet, Mesh, Roi},
    frame::FrameView,
};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("hailoface", gst::DebugColorFlags::empty(), Some("Face analysis")));

/// The `roi_type` of our regions and the label of `presence` events.
const LABEL: &str = "face";
/// `unique_component_id` of our objects in DeepStream's metadata, out of the way of the small numbers that users give nvinfer.
const NVDS_COMPONENT: i32 = 6801;
/// At most one warning about failing frames in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(5);

/// What the streaming thread owns while the element runs.
struct Streaming {
    net: FaceNet,
    info: Option<gst_video::VideoInfo>,
    tracker: Tracker<FaceEvents>,
    /// Frames since the start or the last flush.
    frames: u64,
    inferences: u64,
    last_warning: Option<Instant>,
    time: RunningTime,
    /// Events that no frame has carried yet: ends at a change of size, and what an inference that failed halfway had found.
    pending: Vec<(Option<usize>, Event)>,
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
    /// Whether it was said why nothing reaches DeepStream's metadata.
    nvds_warned: bool,
}

/// Locks, in the order in which they may be taken together: `streaming`, `settings`, `facts`. Only `streaming` is held during
/// inference, and nothing but the streaming thread, start and stop takes it. No lock is held while a message is posted.
#[derive(Default)]
pub struct HailoFace {
    streaming: Mutex<Option<Streaming>>,
    settings: Mutex<Settings>,
    facts: Mutex<Facts>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The networks on one frame.
struct InFrame<'a> {
    net: &'a mut FaceNet,
    view: &'a FrameView<'a>,
    score_threshold: f32,
    iou_threshold: f32,
}

impl FaceFinder for InFrame<'_> {
    type Error = EngineError;
    fn detect(&mut self) -> Result<Vec<Detection>, EngineError> {
        self.net.detect(self.view, self.score_threshold, self.iou_threshold)
    }
    fn mesh(&mut self, roi: &Roi) -> Result<Mesh, EngineError> {
        self.net.mesh(self.view, roi)
    }
}

/// What is attached to a buffer.
struct Findings {
    faces: Vec<(Region, Landmarks, gst::ClockTime)>,
    /// Events with the index of their face, where it is in view.
    events: Vec<(Option<usize>, Event)>,
    time: gst::ClockTime,
}

impl Streaming {
    /// Reads the faces of a frame at `time`.
    fn analyse(
        &mut self,
        view: &FrameView<'_>,
        time: gst::ClockTime,
        settings: &Settings,
    ) -> Result<Findings, EngineError> {
        let rules = settings.rules();
        let mut finder = InFrame {
            net: &mut self.net,
            view,
            score_threshold: settings.score_threshold,
            iou_threshold: settings.iou_threshold,
        };
        let ended = self.tracker.update(&mut finder, time.nseconds(), &settings.policy())?;
        let with_emotions =
            settings.emotion_interval > 0 && self.inferences.is_multiple_of(settings.emotion_interval.into());
        self.inferences += 1;
        let size = (view.width(), view.height());
        for mut track in ended {
            let ends = with_track(track.id, track.state.finish());
            self.pending.extend(ends.map(|event| (None, event)));
        }
        let mut faces = Vec::new();
        for track in self.tracker.visible_mut() {
            let reading = match read(&mut self.net, view, track, with_emotions, settings) {
                Ok(reading) => reading,
                Err(error) => {
                    // What was found up to here goes with the next frame, which numbers its faces anew.
                    self.pending.truncate(meta::event::MAX_EVENTS);
                    self.pending.iter_mut().for_each(|(face, _)| *face = None);
                    return Err(error);
                }
            };
            let events = with_track(track.id, track.state.update(&reading, time.nseconds(), &rules));
            let index = describe(track, size).map(|face| {
                faces.push(face);
                faces.len() - 1
            });
            self.pending.extend(events.map(|event| (index, event)));
        }
        Ok(Findings {
            faces,
            events: std::mem::take(&mut self.pending),
            time,
        })
    }

    /// What was found last, without events: for frames that are not read.
    fn repeat(&self, size: (u32, u32), time: gst::ClockTime) -> Findings {
        Findings {
            faces: self
                .tracker
                .visible()
                .filter_map(|track| describe(track, size))
                .collect(),
            events: Vec::new(),
            time,
        }
    }

    fn reset(&mut self) {
        self.pending.clear();
        self.time = RunningTime::default();
        self.tracker.clear();
        self.frames = 0;
        self.inferences = 0;
    }
}

/// Scores of one face.
fn read(
    net: &mut FaceNet,
    view: &FrameView<'_>,
    track: &mut Track<FaceEvents>,
    with_emotions: bool,
    settings: &Settings,
) -> Result<Reading, EngineError> {
    let scores = net.blendshapes(&track.mesh)?;
    if with_emotions {
        track.state.last_emotions = Some(net.emotion(view, track.bbox)?);
    }
    let (left_eye_closed, right_eye_closed) = face::eye_closedness(&scores);
    Ok(Reading {
        presence: track.mesh.presence,
        smile: face::smile(&scores),
        left_eye_closed,
        right_eye_closed,
        emotions: track.state.last_emotions.filter(|_| settings.emotion_interval > 0),
    })
}

fn with_track(id: u64, events: Vec<Event>) -> impl Iterator<Item = Event> {
    events.into_iter().map(move |mut event| {
        event.track_id = Some(id);
        event
    })
}

/// The metadata of one face; `None` for one that lies outside of the frame.
fn describe(track: &Track<FaceEvents>, size: (u32, u32)) -> Option<(Region, Landmarks, gst::ClockTime)> {
    let (w, h) = (size.0 as f32, size.1 as f32);
    let [x0, y0, x1, y1] = track.bbox;
    let (left, top) = (x0.clamp(0.0, w).floor(), y0.clamp(0.0, h).floor());
    let (right, bottom) = (x1.clamp(0.0, w).ceil(), y1.clamp(0.0, h).ceil());
    if right <= left || bottom <= top {
        return None;
    }
    let reading = &track.state.last;
    let verdict = |name, yes: &str, no: &str, active: bool, score: f32, model| Attribute {
        name,
        label: if active { yes } else { no }.to_string(),
        label_id: i32::from(active),
        // A score that is no number says nothing.
        confidence: Some(if active { score } else { 1.0 - score })
            .filter(|s| s.is_finite())
            .unwrap_or_default()
            .into(),
        model,
    };
    let mut attributes = vec![
        verdict(
            "smile",
            "smile",
            "no_smile",
            track.state.is_smiling(),
            reading.smile,
            "face_blendshapes_52",
        ),
        verdict(
            "eyes_closed",
            "eyes_closed",
            "eyes_open",
            track.state.are_eyes_closed(),
            reading.eyes_closed(),
            "face_blendshapes_52",
        ),
    ];
    if let Some((label, score)) = reading.emotion() {
        let label_id = face::EMOTIONS.iter().position(|e| *e == label).map_or(-1, |i| i as i32);
        attributes.push(Attribute {
            name: "emotion",
            label: label.to_string(),
            label_id,
            confidence: score.into(),
            model: "emotion_fer7_64",
        });
    }
    let region = Region {
        label: LABEL,
        rect: (left as u32, top as u32, (right - left) as u32, (bottom - top) as u32),
        confidence: reading.presence.into(),
        label_id: 0,
        track_id: track.id,
        attributes,
    };
    let (w, h) = (f64::from(w), f64::from(h));
    let presence = f64::from(track.mesh.presence);
    let landmarks = Landmarks {
        object_id: -1,
        track_id: track.id,
        layout: FACE_478.to_string(),
        bbox: [
            f64::from(x0) / w,
            f64::from(y0) / h,
            f64::from(x1 - x0) / w,
            f64::from(y1 - y0) / h,
        ],
        points: track
            .mesh
            .points
            .iter()
            .map(|[x, y, _]| [f64::from(*x) / w, f64::from(*y) / h, presence])
            .collect(),
    };
    Some((region, landmarks, gst::ClockTime::from_nseconds(track.first_seen)))
}

impl HailoFace {
    /// Whether the frame will come too late anyway, by the last QoS event.
    fn is_late(&self, time: gst::ClockTime, settings: &Settings) -> bool {
        settings.qos && lock(&self.facts).earliest.is_some_and(|earliest| time < earliest)
    }

    /// Reads the frame, or repeats what was found last.
    fn examine(&self, buffer: &gst::BufferRef, settings: &Settings) -> Result<Findings, Failure> {
        let mut guard = lock(&self.streaming);
        let streaming = guard
            .as_mut()
            .ok_or_else(|| Failure::fatal("the element was not started"))?;
        let time = streaming.time.of(buffer, &self.obj().segment(), &*self.obj());
        let late = self.is_late(time, settings);
        let info = streaming
            .info
            .clone()
            .ok_or_else(|| Failure::fatal("no caps before the first buffer"))?;
        let due = streaming.frames.is_multiple_of(settings.inference_interval.into());
        streaming.frames += 1;
        lock(&self.facts).frames += 1;
        if late || !due || buffer.flags().contains(gst::BufferFlags::GAP) {
            if late && due {
                lock(&self.facts).skipped += 1;
            }
            return Ok(streaming.repeat((info.width(), info.height()), time));
        }
        let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)
            .map_err(|_| Failure::frame("the buffer does not hold a frame of its caps"))?;
        let view = frame::view(&mapped).map_err(|e| Failure::frame(&e.to_string()))?;
        let begin = Instant::now();
        let findings = streaming
            .analyse(&view, time, settings)
            .map_err(|e| Failure::frame(&e.to_string()))?;
        let mut facts = lock(&self.facts);
        facts.inferences += 1;
        facts.inference_time += begin.elapsed();
        Ok(findings)
    }

    fn attach(&self, buffer: &mut gst::BufferRef, findings: Findings, settings: &Settings) {
        let size = {
            let guard = lock(&self.streaming);
            let Some(info) = guard.as_ref().and_then(|s| s.info.as_ref()) else {
                return;
            };
            (info.width(), info.height())
        };
        let running_time = findings.time;
        let pts = buffer.pts();
        let analytics = Self::wants_analytics(settings);
        let mut ids = Vec::with_capacity(findings.faces.len());
        let mut landmarks = Vec::with_capacity(findings.faces.len());
        let mut regions = Vec::with_capacity(findings.faces.len());
        for (region, mut points, first_seen) in findings.faces {
            let id = meta::roi::append(buffer, &region, size);
            if analytics {
                meta::analytics::append(buffer, &region, Some(first_seen));
            }
            points.object_id = id;
            ids.push(id);
            landmarks.push(points);
            regions.push(region);
        }
        meta::landmark::append(buffer, &landmarks);
        let source = self.obj().name();
        let locate = |(face, mut event): (Option<usize>, Event)| {
            if let Some(bbox) = face.map(|index| landmarks[index].bbox) {
                let [x, y, w, h] = bbox;
                for (name, value) in [("x_min", x), ("y_min", y), ("x_max", x + w), ("y_max", y + h)] {
                    event.attrs.insert(name.to_string(), AttrValue::Float(value));
                }
            }
            event.object_id = Some(face.map_or(-1, |index| ids[index]));
            event.source = Some(source.to_string());
            event.running_time = Some(running_time.nseconds());
            event.pts = pts.map(gst::ClockTime::nseconds);
            event
        };
        let events: Vec<Event> = findings.events.into_iter().map(locate).collect();
        if settings.nvds_meta == NvdsMeta::Auto {
            let findings = meta::nvds::Findings {
                size,
                component: NVDS_COMPONENT,
                regions: &regions,
                events: &events,
            };
            if let Err(error) = meta::nvds::append(buffer, &findings) {
                self.warn_of_nvds(&error);
            }
        }
        meta::event::append(buffer, events.iter().map(meta::event::to_structure));
    }

    /// Says once what keeps findings from DeepStream's metadata; the stream and its other metadata go on.
    fn warn_of_nvds(&self, error: &meta::nvds::NvdsError) {
        if !std::mem::replace(&mut lock(&self.facts).nvds_warned, true) {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Failed,
                (
                    "DeepStream's metadata lacks what was found: {}; nvds-meta=off does without",
                    error
                )
            );
        }
    }

    /// One bad frame is worth a warning, not the stream, unless the user wants it so.
    fn fail(&self, failure: Failure, settings: &Settings) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Failure { text, fatal } = failure;
        if fatal || settings.fail_on_error {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("Face analysis failed: {}", text));
            return Err(gst::FlowError::Error);
        }
        let warn = {
            let mut guard = lock(&self.streaming);
            lock(&self.facts).errors += 1;
            guard.as_mut().is_some_and(|streaming| {
                let quiet = streaming.last_warning.is_some_and(|at| at.elapsed() < WARNING_INTERVAL);
                if !quiet {
                    streaming.last_warning = Some(Instant::now());
                }
                !quiet
            })
        };
        if warn {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("Face analysis of a frame failed, the frame passes unread: {}", text)
            );
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn reset(&self) {
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            streaming.reset();
        }
        lock(&self.facts).earliest = None;
    }

    fn wants_analytics(settings: &Settings) -> bool {
        settings.analytics_meta != AnalyticsMeta::Off && meta::analytics::is_available()
    }
}

/// Why a frame was not read.
struct Failure {
    text: String,
    fatal: bool,
}

impl Failure {
    fn frame(text: &str) -> Self {
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

/// The element error of an engine that cannot be started: which class it is, what it says.
fn start_error(error: &EngineError) -> gst::ErrorMessage {
    match error {
        EngineError::LibraryMissing { .. } | EngineError::ModelMissing { .. } => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{error}"))
        }
        EngineError::ModelCorrupt { .. } | EngineError::ModelShape { .. } => {
            gst::error_msg!(gst::ResourceError::Read, ("{error}"))
        }
        _ => gst::error_msg!(gst::LibraryError::Init, ("{error}")),
    }
}

#[glib::object_subclass]
impl ObjectSubclass for HailoFace {
    const NAME: &'static str = "GstNunchiHailoFace";
    type Type = super::HailoFace;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for HailoFace {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut all = properties();
            all.push(
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("frames, inferences, skipped (too late), errors (guint64), average-inference-time (guint64, ns)")
                    .read_only()
                    .build(),
            );
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => {
                let facts = lock(&self.facts);
                let average = facts.inference_time.as_nanos() / u128::from(facts.inferences.max(1));
                gst::Structure::builder("stats")
                    .field("frames", facts.frames)
                    .field("inferences", facts.inferences)
                    .field("skipped", facts.skipped)
                    .field("errors", facts.errors)
                    .field("average-inference-time", average as u64)
                    .build()
                    .to_value()
            }
            name @ ("engine" | "device") => {
                let used = lock(&self.facts).used.clone();
                match (name, used) {
                    ("engine", Some((engine, _))) => engine.to_value(),
                    (_, Some((_, device))) => device.to_value(),
                    (name, None) => lock(&self.settings).get(name),
                }
            }
            name => lock(&self.settings).get(name),
        }
    }
}

impl GstObjectImpl for HailoFace {}

impl ElementImpl for HailoFace {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Face analyser",
                "Filter/Analyzer/Video",
                "Finds faces and reads landmarks, smile, closed eyes and emotion into metadata",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = frame::caps();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                        .expect("a template of constant parts")
                })
                .to_vec()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for HailoFace {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        if settings.analytics_meta == AnalyticsMeta::On && !meta::analytics::is_available() {
            return Err(gst::error_msg!(
                gst::ResourceError::NotFound,
                ("analytics-meta=on needs libgstanalytics-1.0.so.0, which comes with GStreamer 1.24 and later (gst-plugins-bad); set analytics-meta=auto to do without")
            ));
        }
        let begin = Instant::now();
        let net = FaceNet::load(&settings.models(), &settings.engine_options()).map_err(|e| start_error(&e))?;
        let used = (Engine::from(net.engine()), net.device());
        gst::info!(
            CAT,
            imp = self,
            "{:?} on {} loaded in {:?}",
            used.0,
            used.1,
            begin.elapsed()
        );
        let note = net.note();
        let message = gst::Structure::builder("nunchi-engine")
            .field("element", self.obj().name().as_str())
            .field("engine", net.engine().as_str())
            .field("device", &used.1)
            .build();
        *lock(&self.facts) = Facts {
            used: Some(used),
            ..Default::default()
        };
        *lock(&self.streaming) = Some(Streaming {
            net,
            info: None,
            tracker: Tracker::default(),
            frames: 0,
            inferences: 0,
            last_warning: None,
            time: RunningTime::default(),
            pending: Vec::new(),
        });
        if let Some(note) = note {
            gst::element_imp_warning!(self, gst::ResourceError::NotFound, ("{}", note));
        }
        let message = gst::message::Element::builder(message).src(&*self.obj()).build();
        // Fails only where the element is in no pipeline: then nobody wants the message.
        let _ = self.obj().post_message(message);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.streaming).take();
        lock(&self.facts).used = None;
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "not the caps of raw video: {incaps}"))?;
        if let Some(streaming) = lock(&self.streaming).as_mut() {
            // Landmarks are kept in pixels: with another size they mean nothing.
            let same_size = streaming
                .info
                .as_ref()
                .is_some_and(|old| (old.width(), old.height()) == (info.width(), info.height()));
            if !same_size {
                for mut track in streaming.tracker.clear() {
                    let ends = with_track(track.id, track.state.finish());
                    streaming.pending.extend(ends.map(|event| (None, event)));
                }
            }
            streaming.info = Some(info);
        }
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_) => self.reset(),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Qos(qos) = event.view() {
            let (_, _, diff, timestamp) = qos.get();
            // As the QoS design has it: a late buffer pushes the deadline out by its lateness, an early one pulls it in.
            lock(&self.facts).earliest = timestamp.map(|t| match u64::try_from(diff) {
                Ok(late) => t.saturating_add(gst::ClockTime::from_nseconds(late.saturating_mul(2))),
                Err(_) => t.saturating_sub(gst::ClockTime::from_nseconds(diff.unsigned_abs())),
            });
        }
        self.parent_src_event(event)
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = lock(&self.settings).clone();
        match self.examine(buffer, &settings) {
            Ok(findings) => {
                self.attach(buffer, findings, &settings);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(failure) => self.fail(failure, &settings),
        }
    }
}
