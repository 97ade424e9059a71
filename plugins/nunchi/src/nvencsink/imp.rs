use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gst::{glib, prelude::*, subclass::prelude::*};

use super::adaptive::Adaptive;
use super::backlog::Bounds;
use super::chain::{Chain, Done};
use super::encoders;
use super::preroll::Preroll;
use super::settings::{self, Codec, Container, Settings};
use super::stats::{self, Stats};
use super::streams::{Dropped, Host, Kind, Limits, Together};
use super::trial::Choice;
use super::{CAT, FrameGate};

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was decided at the start.
#[derive(Clone)]
pub(super) struct Decided {
    pub(super) settings: Settings,
    pub(super) container: Container,
    pub(super) codec: Codec,
    pub(super) location: String,
}

/// Of the run, reset when it starts.
#[derive(Default)]
pub(super) struct Run {
    pub(super) decided: Option<Decided>,
    pub(super) choice: Option<Choice>,
    /// Files of this run, the oldest first, while `max-files` limits them.
    pub(super) files: VecDeque<PathBuf>,
    /// When the last message of statistics went out.
    pub(super) told: Option<Instant>,
    pub(super) warned_back: bool,
}

/// The memory of the process, looked at now and then.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) looked: Option<Instant>,
    pub(super) resident_mb: u64,
}

/// Locks, in the order in which they may be taken together: the gates' `hold`, `chain`, then one of the others, which are not held
/// while anything outside is called.
pub struct NvencSink {
    pub(super) settings: Mutex<Settings>,
    pub(super) video: FrameGate,
    pub(super) pace: gst::Element,
    pub(super) host: Arc<Weak>,
    pub(super) together: Arc<Together>,
    pub(super) audio: Mutex<Vec<AudioPad>>,
    pub(super) chain: Mutex<Option<Chain>>,
    /// There is a chain, or there will never be one.
    pub(super) changed: Condvar,
    /// Whether the file is finished.
    pub(super) done: Mutex<Option<Arc<Done>>>,
    /// The end of the stream was told, as the result of that event.
    pub(super) ended: Mutex<Option<gst::Seqnum>>,
    pub(super) run: Mutex<Run>,
    /// Of the next file.
    pub(super) number: Arc<AtomicU32>,
    pub(super) stats: Mutex<Stats>,
    pub(super) adaptive: Mutex<Adaptive>,
    pub(super) memory: Mutex<Memory>,
    /// The end of the file is that of the stream.
    pub(super) ends: AtomicBool,
    /// The streams of the file are known.
    pub(super) begun: AtomicBool,
    pub(super) stopping: AtomicBool,
    /// It was playing, so that there may be something to finish.
    pub(super) played: AtomicBool,
    preroll: Preroll,
}

#[derive(Clone)]
pub(super) struct AudioPad {
    pub(super) pad: gst::GhostPad,
    pub(super) gate: FrameGate,
}

/// The gates' way to the element.
pub(super) struct Weak(glib::WeakRef<super::NvencSink>);

impl Weak {
    fn with<T>(&self, act: impl FnOnce(&NvencSink) -> T) -> Option<T> {
        self.0.upgrade().map(|sink| act(sink.imp()))
    }
}

impl Host for Weak {
    fn caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        self.with(|sink| match gate.imp().kind() {
            Kind::Video => sink.video_caps(gate, caps),
            Kind::Audio => sink.audio_caps(gate, caps),
        })
        .unwrap_or(Err(gst::FlowError::Flushing))
    }

    fn ending(&self, gate: &FrameGate, broken: bool) {
        self.with(|sink| sink.ending(gate, broken));
    }

    fn accepted(&self, gate: &FrameGate) -> gst::Caps {
        self.with(|sink| match gate.imp().kind() {
            Kind::Video => sink.accepted_video(),
            Kind::Audio => sink.accepted_audio(),
        })
        .unwrap_or_else(gst::Caps::new_empty)
    }

    fn limits(&self) -> Limits {
        self.with(NvencSink::limits).unwrap_or(Limits {
            bounds: Bounds { buffers: 1, bytes: 0 },
            policy: settings::DropPolicy::Block,
            pressed: false,
        })
    }

    fn passing(&self, level: f64) {
        self.with(|sink| sink.passing(level));
    }

    fn dropped(&self, drop: Dropped) {
        self.with(|sink| sink.dropped(drop));
    }

    fn went_back(&self, kind: Kind, at: gst::ClockTime) {
        self.with(|sink| sink.went_back(kind, at));
    }
}

impl NvencSink {
    /// Frames in the system's memory of whatever format, and those in a device's memory that the encoder takes.
    fn accepted_video(&self) -> gst::Caps {
        let mut caps = gst::Caps::builder("video/x-raw").build();
        let candidate = lock(&self.run).choice.as_ref().map(|choice| choice.candidate.clone());
        if let Some(candidate) = candidate {
            caps.merge(candidate.takes());
        }
        caps
    }

    fn accepted_audio(&self) -> gst::Caps {
        let container = lock(&self.run)
            .decided
            .as_ref()
            .map_or(Container::Mp4, |decided| decided.container);
        container.audio().caps()
    }
}

impl NvencSink {
    fn entry(&self) -> gst::Pad {
        self.pace.static_pad("sink").expect("clocksync and identity have one")
    }

    fn preroll(&self) {
        let start = gst::message::AsyncStart::builder().src(&*self.obj()).build();
        self.parent_handle_message(start);
        let sink = self.obj().downgrade();
        self.preroll.begin(&self.entry(), move || {
            if let Some(sink) = sink.upgrade() {
                let sink = sink.imp();
                sink.preroll.finish(|| sink.tell_of_preroll());
            }
        });
    }

    fn tell_of_preroll(&self) {
        let done = gst::message::AsyncDone::builder().src(&*self.obj()).build();
        self.parent_handle_message(done);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NvencSink {
    const NAME: &'static str = "GstNunchiNvencSink";
    type Type = super::NvencSink;
    type ParentType = gst::Bin;

    fn new() -> Self {
        let host = Arc::new(Weak(glib::WeakRef::new()));
        let together = Arc::<Together>::default();
        let pace = gst::ElementFactory::make("clocksync").property("sync", false).build();
        Self {
            settings: Mutex::default(),
            video: FrameGate::new(Kind::Video, host.clone(), together.clone()),
            pace: pace.unwrap_or_else(|_| {
                gst::ElementFactory::make("identity")
                    .build()
                    .expect("identity is one of GStreamer's core elements")
            }),
            host,
            together,
            audio: Mutex::default(),
            chain: Mutex::default(),
            changed: Condvar::new(),
            done: Mutex::default(),
            ended: Mutex::default(),
            run: Mutex::default(),
            number: Arc::default(),
            stats: Mutex::default(),
            adaptive: Mutex::default(),
            memory: Mutex::default(),
            ends: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            played: AtomicBool::new(false),
            preroll: Preroll::default(),
        }
    }
}

impl ObjectImpl for NvencSink {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        let name = spec.name();
        if !lock(&self.settings).set(name, value) {
            gst::warning!(CAT, imp = self, "{name} cannot be set");
            return;
        }
        match name {
            "sync" if self.pace.find_property("sync").is_some() => {
                self.pace.set_property("sync", lock(&self.settings).sync);
            }
            "bitrate" => {
                let kbit = lock(&self.settings).bitrate;
                let mut chain = lock(&self.chain);
                let target = chain.as_mut().filter(|_| kbit > 0).map(|chain| {
                    chain.wanted.bitrate = kbit;
                    (chain.encoder.clone(), chain.family)
                });
                drop(chain);
                if let Some((encoder, family)) = target {
                    encoders::set_bitrate(&encoder, family, kbit);
                }
            }
            _ => {}
        }
    }

    fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
        let name = spec.name();
        if let Some(value) = lock(&self.settings).get(name) {
            return value;
        }
        let choice = || lock(&self.run).choice.clone();
        match name {
            "encoder-used" => choice().map(|choice| choice.candidate.name).to_value(),
            "encoder-reason" => choice().map(|choice| choice.reason).to_value(),
            "processed-frames" => self.counts().0.to_value(),
            "dropped-frames" => self.counts().1.to_value(),
            "drop-rate" => {
                let (processed, dropped) = self.counts();
                stats::drop_rate(processed, dropped).to_value()
            }
            "encoded-bytes" => lock(&self.stats).bytes.to_value(),
            "queue-level" => self.video.imp().waiting().to_value(),
            "encode-fps" => lock(&self.stats).fps(Instant::now()).to_value(),
            "memory-peak-mb" => stats::peak_mb().to_value(),
            "latency" => u64::try_from(lock(&self.stats).latency().as_nanos())
                .unwrap_or(u64::MAX)
                .to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        self.host.0.set(Some(&obj));
        // Children come and go; the element is a sink all the time.
        obj.set_suppressed_flags(gst::ElementFlags::SINK | gst::ElementFlags::SOURCE);
        obj.set_element_flags(gst::ElementFlags::SINK);
        let gate: &gst::Element = self.video.upcast_ref();
        obj.add_many([&self.pace, gate]).expect("a new bin takes new elements");
        self.pace.link(gate).expect("both take anything");
        let target = self.entry();
        let class = obj.class();
        let template = class.as_ref().pad_template("sink").expect("declared below");
        let pad = gst::GhostPad::builder_from_template_with_target(&template, &target)
            .expect("a pad that goes with the template")
            .build();
        obj.add_pad(&pad).expect("a new element has no pad of that name");
    }
}

impl GstObjectImpl for NvencSink {}

impl ElementImpl for NvencSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Encoding file sink",
                "Sink/Encoder/Video",
                "Encodes video with NVENC or the best encoder that works, and writes files that survive a crash",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let mut audio = gst::Caps::builder("audio/x-raw").build();
            for container in [Container::Mp4, Container::Mkv, Container::Avi] {
                audio.merge(container.audio().caps());
            }
            let video = gst::Caps::builder("video/x-raw").any_features().build();
            vec![
                gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &video)
                    .expect("a template of constant parts"),
                gst::PadTemplate::new("audio_%u", gst::PadDirection::Sink, gst::PadPresence::Request, &audio)
                    .expect("a template of constant parts"),
            ]
        });
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                if let Err(error) = self.decide() {
                    self.post_error_message(error);
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::ReadyToPaused => {
                self.reset();
                self.preroll();
            }
            gst::StateChange::PausedToPlaying => {
                // Not while it is still being told.
                self.preroll.waits();
                self.played.store(true, Ordering::Relaxed);
                self.set_open(true);
            }
            gst::StateChange::PlayingToPaused => self.set_open(false),
            gst::StateChange::PausedToReady => self.finish(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        if result.is_err() || transition == gst::StateChange::PausedToReady {
            self.preroll.cancel(&self.entry(), || self.tell_of_preroll());
        }
        match transition {
            gst::StateChange::PausedToPlaying if result.is_ok() => self.tell_the_end_again(),
            gst::StateChange::PausedToReady => self.clear(),
            gst::StateChange::ReadyToNull => {
                let mut run = lock(&self.run);
                run.decided = None;
            }
            _ => {}
        }
        if result.is_ok() && transition == gst::StateChange::ReadyToPaused && self.preroll.waits() {
            return Ok(gst::StateChangeSuccess::Async);
        }
        result
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        if self.begun.load(Ordering::Relaxed) {
            gst::info!(CAT, imp = self, "the file has begun: it takes no more streams");
            return None;
        }
        let obj = self.obj();
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let audio = lock(&self.audio);
                let free = |number: &u32| audio.iter().all(|audio| audio.pad.name() != format!("audio_{number}"));
                format!("audio_{}", (0..=u32::MAX).find(free)?)
            }
        };
        let gate = FrameGate::new(Kind::Audio, self.host.clone(), self.together.clone());
        obj.add(&gate).ok()?;
        let target = gate.imp().sinkpad().clone();
        let pad = gst::GhostPad::builder_from_template_with_target(template, &target)
            .ok()?
            .name(name)
            .build();
        gate.imp().set_open(self.played.load(Ordering::Relaxed));
        let _ = gate.sync_state_with_parent();
        pad.set_active(true).ok()?;
        if obj.add_pad(&pad).is_err() {
            gate.imp().leave();
            let _ = gate.set_state(gst::State::Null);
            let _ = obj.remove(&gate);
            return None;
        }
        lock(&self.audio).push(AudioPad { pad: pad.clone(), gate });
        Some(pad.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let released = {
            let mut audio = lock(&self.audio);
            let at = audio.iter().position(|audio| audio.pad.upcast_ref::<gst::Pad>() == pad);
            at.map(|at| audio.remove(at))
        };
        let Some(AudioPad { pad, gate }) = released else { return };
        gate.imp().leave();
        let obj = self.obj();
        let _ = pad.set_active(false);
        let peer = gate.imp().srcpad().peer();
        let _ = gate.set_state(gst::State::Null);
        // When the bin itself goes, its children went before its pads.
        if gate.parent().is_some() {
            let _ = obj.remove(&gate);
        }
        match peer {
            Some(peer) => {
                peer.send_event(gst::event::Eos::new());
            }
            None => {
                if let Some(chain) = lock(&self.chain).as_ref() {
                    chain.finish_sound(&pad.name());
                }
            }
        }
        let _ = obj.remove_pad(&pad);
    }

    /// A file is not to be sought in: a seek is for the sources, and so is the position.
    fn send_event(&self, event: gst::Event) -> bool {
        if !event.is_upstream() {
            return self.parent_send_event(event);
        }
        let audio = lock(&self.audio).clone();
        let mut taken = self.video.imp().sinkpad().push_event(event.clone());
        for audio in audio {
            taken |= audio.gate.imp().sinkpad().push_event(event.clone());
        }
        taken
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view() {
            gst::QueryView::Position(_)
            | gst::QueryView::Duration(_)
            | gst::QueryView::Seeking(_)
            | gst::QueryView::Segment(_) => self.video.imp().sinkpad().peer_query(query),
            gst::QueryView::Latency(_) => self.video.imp().srcpad().query(query),
            _ => self.parent_query(query),
        }
    }
}

impl BinImpl for NvencSink {}
