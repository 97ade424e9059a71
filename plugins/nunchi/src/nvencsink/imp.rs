use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::adaptive::Adaptive;
use super::backlog::Bounds;
use super::chain::{self, Chain, Done, End, Plan};
use super::container;
use super::encoders;
use super::gate::{Dropped, Host, Kind, Limits, Together};
use super::settings::{self, Codec, Container, Settings, SizeChange};
use super::stats::{self, Stats};
use super::trial::{self, Choice};
use super::writer;
use super::{CAT, FrameGate};

/// How often the memory of the process is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is looked whether something that nobody tells has come true.
const LOOK: Duration = Duration::from_millis(50);
/// A file begins without sound of which nothing has come by then.
const SOUND_PATIENCE: Duration = Duration::from_secs(10);
/// Sound is behind the picture by no more than this.
const SOUND_LAG: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(2);
/// What stands for a size while none is known.
const ANY_SIZE: (i32, i32) = (640, 360);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was decided at the start.
#[derive(Clone)]
struct Decided {
    settings: Settings,
    container: Container,
    codec: Codec,
    location: String,
}

/// Of the run, reset when it starts.
#[derive(Default)]
struct Run {
    decided: Option<Decided>,
    choice: Option<Choice>,
    /// Files of this run, the oldest first, while `max-files` limits them.
    files: VecDeque<PathBuf>,
    /// When the last message of statistics went out.
    told: Option<Instant>,
    warned_back: bool,
}

/// The memory of the process, looked at now and then.
#[derive(Default)]
struct Memory {
    looked: Option<Instant>,
    resident_mb: u64,
}

/// Locks, in the order in which they may be taken together: the gates' `hold`, `chain`, then one of the others, which are not held
/// while anything outside is called.
pub struct NvencSink {
    settings: Mutex<Settings>,
    video: FrameGate,
    pace: gst::Element,
    host: Arc<Weak>,
    together: Arc<Together>,
    audio: Mutex<Vec<AudioPad>>,
    chain: Mutex<Option<Chain>>,
    /// There is a chain, or there will never be one.
    changed: Condvar,
    /// What says that the file is finished, and to whom.
    end: Mutex<Option<(gst::Element, Arc<Done>)>>,
    run: Mutex<Run>,
    /// Of the next file.
    number: Arc<AtomicU32>,
    stats: Mutex<Stats>,
    adaptive: Mutex<Adaptive>,
    memory: Mutex<Memory>,
    /// The end of the file is that of the stream.
    ends: AtomicBool,
    /// The streams of the file are known.
    begun: AtomicBool,
    stopping: AtomicBool,
    /// It was playing, so that there may be something to finish.
    played: AtomicBool,
    /// Frames of gates that are gone.
    dropped_before: AtomicU64,
}

#[derive(Clone)]
struct AudioPad {
    pad: gst::GhostPad,
    gate: FrameGate,
}

impl NvencSink {
    fn fail(&self, text: &str) {
        gst::element_imp_error!(self, gst::ResourceError::Settings, ["{text}"]);
    }

    /// Everything that can be known before the first frame.
    fn decide(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let wrong = |text: String| gst::error_msg!(gst::ResourceError::Settings, ["{text}"]);
        let (container, codec, location) = container::check(&settings).map_err(wrong)?;
        let first = PathBuf::from(container::file(&location, 0));
        writer::check(&first, settings.overwrite)
            .map_err(|error| gst::error_msg!(gst::ResourceError::OpenWrite, ["{error}"]))?;
        let caps = gst::Caps::builder("video/x-raw")
            .field("width", ANY_SIZE.0)
            .field("height", ANY_SIZE.1)
            .build();
        let choice = trial::choose(&settings, codec, &caps)
            .map_err(|error| gst::error_msg!(gst::ResourceError::NotFound, ["{error}"]))?;
        *lock(&self.run) = Run {
            decided: Some(Decided {
                settings,
                container,
                codec,
                location,
            }),
            ..Run::default()
        };
        self.choose(choice);
        Ok(())
    }

    fn choose(&self, choice: Choice) {
        let changed = lock(&self.run)
            .choice
            .replace(choice.clone())
            .is_none_or(|last| last != choice);
        if !changed {
            return;
        }
        if choice.fallback {
            gst::element_imp_warning!(self, gst::ResourceError::NotFound, ["{}", choice.reason]);
        }
        let structure = gst::Structure::builder("nunchi-encoder")
            .field("encoder", &choice.candidate.name)
            .field("reason", &choice.reason)
            .build();
        self.post(structure);
        self.obj().notify("encoder-used");
        self.obj().notify("encoder-reason");
    }

    fn post(&self, structure: gst::Structure) {
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }

    fn decided(&self) -> Option<(Decided, Choice)> {
        let run = lock(&self.run);
        Some((run.decided.clone()?, run.choice.clone()?))
    }

    /// What takes frames of these caps, linked to the gate.
    fn video_caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        let size = chain::size(caps).ok_or(gst::FlowError::NotNegotiated)?;
        let (goes_on, open) = {
            let chain = lock(&self.chain);
            let open = chain.as_ref().is_some_and(|chain| chain.done.get() == End::Open);
            (open && chain.as_ref().is_some_and(|chain| chain.size == size), open)
        };
        if goes_on {
            return Ok(());
        }
        self.begun.store(true, Ordering::Relaxed);
        let audio = self.sounding();
        if open {
            if lock(&self.settings).size_change == SizeChange::Error {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Format,
                    [
                        "the size of the video changes to {}x{}: set size-change=new-segment to go on in the next file",
                        size.0,
                        size.1
                    ]
                );
                return Err(gst::FlowError::NotNegotiated);
            }
            self.ends.store(false, Ordering::Relaxed);
            let entry = lock(&self.chain).as_ref().map(|chain| chain.entry.clone());
            if let Some(entry) = entry {
                // Then the muxer does not wait for it any more, and takes the sound up to there.
                entry.send_event(gst::event::Eos::new());
            }
            if let Some(next) = gate.imp().next_start() {
                self.sound_up_to(&audio, next);
            }
        }
        // While the sound changes over, none of it is on its way.
        let changing = if open { audio.as_slice() } else { &[] };
        let _quiet: Vec<_> = changing.iter().map(|audio| audio.gate.imp().hold()).collect();
        let audio: Vec<_> = audio
            .iter()
            .filter(|audio| audio.gate.imp().has_more())
            .cloned()
            .collect();
        self.change_over(gate, caps, &audio).map_err(|error| {
            self.fail(&error);
            gst::FlowError::Error
        })?;
        for audio in &audio {
            audio.gate.imp().set_until(None);
        }
        Ok(())
    }

    /// Lets the sound before `end` into the file that ends there, if it comes in time.
    fn sound_up_to(&self, audio: &[AudioPad], end: gst::ClockTime) {
        for audio in audio {
            audio.gate.imp().set_until(Some(end));
        }
        let until = Instant::now() + SOUND_LAG;
        while Instant::now() < until && !audio.iter().all(|audio| audio.gate.imp().has_reached(end)) {
            std::thread::sleep(GLANCE);
        }
    }

    /// The streams of sound that there is something of. A muxer has to know them all before it begins.
    fn sounding(&self) -> Vec<AudioPad> {
        let begun = Instant::now();
        loop {
            let audio = lock(&self.audio).clone();
            let silent = audio.iter().find(|audio| audio.gate.imp().came().is_none());
            let late = begun.elapsed() >= SOUND_PATIENCE;
            match silent {
                Some(_) if !late && !self.stopping.load(Ordering::Relaxed) => std::thread::sleep(GLANCE),
                silent => {
                    if let Some(silent) = silent.filter(|_| late) {
                        gst::element_imp_warning!(
                            self,
                            gst::StreamError::Failed,
                            [
                                "nothing came to {} within {} s: the file begins without it",
                                silent.pad.name(),
                                SOUND_PATIENCE.as_secs()
                            ]
                        );
                    }
                    return audio
                        .into_iter()
                        .filter(|audio| audio.gate.imp().came() == Some(true))
                        .collect();
                }
            }
        }
    }

    /// From the file before, if there is one, to the next.
    fn change_over(&self, gate: &FrameGate, caps: &gst::Caps, audio: &[AudioPad]) -> Result<(), String> {
        let bin = self.obj();
        let bin = bin.upcast_ref::<gst::Bin>();
        let (decided, choice) = self.decided().ok_or("the element was not started")?;
        let last = lock(&self.chain).take();
        for pad in std::iter::once(gate).chain(audio.iter().map(|audio| &audio.gate)) {
            let source = pad.imp().srcpad();
            if let Some(peer) = source.peer() {
                // They were linked to each other.
                let _ = source.unlink(&peer);
            }
        }
        let first = last.is_none();
        if let Some(last) = last {
            last.finish_all();
            let timeout = Duration::from(lock(&self.settings).finalize_timeout);
            if last.done.wait(Instant::now() + timeout) == End::Open {
                self.warn_unfinished();
            }
            lock(&self.end).take();
            last.remove(bin);
        }
        let choice = self.fitting(&decided, choice, caps)?;
        let plan = Plan {
            settings: &decided.settings,
            container: decided.container,
            codec: decided.codec,
            location: &decided.location,
            number: &self.number,
            choice: &choice,
            caps,
            audio: audio.iter().map(|audio| audio.pad.name().to_string()).collect(),
        };
        let mut chain = Chain::new(bin, &plan)?;
        lock(&self.stats).renewed();
        *lock(&self.adaptive) = Adaptive::default();
        *lock(&self.end) = Some((chain.end.clone(), chain.done.clone()));
        self.count_encoded(&chain.encoder);
        let started = chain.start(bin).and_then(|()| {
            gate.imp()
                .srcpad()
                .link(&chain.entry)
                .map(|_| ())
                .map_err(|error| error.to_string())
        });
        if started.is_ok() && !first {
            for audio in audio {
                if let Some(caps) = audio.gate.imp().caps() {
                    let entry = chain.sound(bin, &audio.pad.name(), &caps)?;
                    audio
                        .gate
                        .imp()
                        .srcpad()
                        .link(&entry)
                        .map_err(|error| error.to_string())?;
                }
            }
        }
        *lock(&self.chain) = Some(chain);
        self.changed.notify_all();
        started
    }

    /// The encoder that was chosen, if it takes frames of these caps; another one otherwise.
    fn fitting(&self, decided: &Decided, choice: Choice, caps: &gst::Caps) -> Result<Choice, String> {
        if choice.candidate.family.is_software()
            && caps
                .features(0)
                .is_none_or(|features| features.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY))
        {
            return Ok(choice);
        }
        let choice = trial::choose(&decided.settings, decided.codec, caps)?;
        self.choose(choice.clone());
        Ok(choice)
    }

    fn count_encoded(&self, encoder: &gst::Element) {
        let Some(pad) = encoder.static_pad("src") else { return };
        let sink = self.obj().downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(sink), Some(buffer)) = (sink.upgrade(), info.buffer()) {
                lock(&sink.imp().stats).left(buffer.size(), Instant::now());
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn audio_caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        let name = lock(&self.audio)
            .iter()
            .find(|audio| audio.gate == *gate)
            .map(|audio| audio.pad.name())
            .ok_or(gst::FlowError::Flushing)?;
        let mut chain = lock(&self.chain);
        // The file begins when the size of the video is known.
        while !chain.as_ref().is_some_and(|chain| chain.done.get() == End::Open) {
            if self.stopping.load(Ordering::Relaxed) || self.video.imp().is_through() {
                return Err(gst::FlowError::Flushing);
            }
            (chain, _) = self
                .changed
                .wait_timeout(chain, LOOK)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let Some(now) = chain.as_mut() else {
            return Err(gst::FlowError::Flushing);
        };
        if !now.has_sound(&name) {
            gst::info!(CAT, imp = self, "{name} came after the file had begun");
            return Err(gst::FlowError::NotLinked);
        }
        let obj = self.obj();
        let linked = now.sound(obj.upcast_ref(), &name, caps).and_then(|entry| {
            if gate.imp().srcpad().is_linked() {
                return Ok(());
            }
            gate.imp()
                .srcpad()
                .link(&entry)
                .map(|_| ())
                .map_err(|error| error.to_string())
        });
        drop(chain);
        linked.map_err(|error| {
            self.fail(&error);
            gst::FlowError::Error
        })
    }

    fn ending(&self, gate: &FrameGate, broken: bool) {
        let stopping = self.stopping.load(Ordering::Relaxed);
        match gate.imp().kind() {
            Kind::Video => {
                self.ends.store(!broken && !stopping, Ordering::Relaxed);
                let none = lock(&self.chain).is_none();
                if none && !broken && !stopping {
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Failed,
                        ["the video ended before its first frame: no file was written"]
                    );
                    let end = gst::message::Eos::builder().src(&*self.obj()).build();
                    let _ = self.obj().post_message(end);
                }
                if none {
                    self.changed.notify_all();
                }
                if broken {
                    // Nothing more can become of the sound either.
                    for audio in lock(&self.audio).clone() {
                        audio.gate.imp().refuse(gst::FlowError::Error);
                        audio.gate.imp().drain();
                    }
                }
            }
            Kind::Audio => {
                let name = lock(&self.audio)
                    .iter()
                    .find(|audio| audio.gate == *gate)
                    .map(|audio| audio.pad.name());
                if let (Some(name), Some(chain)) = (name, lock(&self.chain).as_ref()) {
                    chain.finish_sound(&name);
                }
                if broken {
                    self.video.imp().refuse(gst::FlowError::Error);
                    self.video.imp().drain();
                }
            }
        }
    }

    fn limits(&self) -> Limits {
        let (bounds, policy, limit) = {
            let settings = lock(&self.settings);
            let bounds = Bounds {
                buffers: settings.max_buffers as usize,
                bytes: usize::try_from(settings.max_bytes).unwrap_or(usize::MAX),
            };
            (bounds, settings.drop_policy, u64::from(settings.memory_limit))
        };
        Limits {
            bounds,
            policy,
            pressed: limit > 0 && self.resident_mb() > limit,
        }
    }

    fn resident_mb(&self) -> u64 {
        let mut memory = lock(&self.memory);
        let now = Instant::now();
        if memory
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= MEMORY_INTERVAL)
        {
            memory.looked = Some(now);
            memory.resident_mb = stats::resident_mb();
        }
        memory.resident_mb
    }

    fn passing(&self, level: f64) {
        let now = Instant::now();
        lock(&self.stats).entered(now);
        let (adaptive, interval) = {
            let settings = lock(&self.settings);
            (settings.adaptive, settings.stats_interval)
        };
        if adaptive {
            let share = lock(&self.adaptive).observe(level, now);
            if let Some(share) = share {
                self.spend(share);
            }
        }
        if !interval.is_zero() {
            let due = {
                let mut run = lock(&self.run);
                let last = *run.told.get_or_insert(now);
                let due = now.duration_since(last) >= Duration::from(interval);
                if due {
                    run.told = Some(now);
                }
                due
            };
            if due {
                self.post_stats();
            }
        }
    }

    /// That share of the bitrate.
    fn spend(&self, share: f64) {
        let target = lock(&self.chain)
            .as_ref()
            .map(|chain| (chain.encoder.clone(), chain.family, chain.wanted.bitrate));
        let Some((encoder, family, bitrate)) = target else {
            return;
        };
        let bitrate = (f64::from(bitrate) * share).max(1.0) as u32;
        let taken = encoders::set_bitrate(&encoder, family, bitrate);
        gst::info!(CAT, imp = self, "{bitrate} kbit/s, taken: {taken}");
        let structure = gst::Structure::builder("nunchi-encode-adapted")
            .field("bitrate", bitrate)
            .build();
        self.post(structure);
    }

    fn counts(&self) -> (u64, u64) {
        let dropped = self.dropped_before.load(Ordering::Relaxed) + self.video.imp().dropped();
        (lock(&self.stats).processed, dropped)
    }

    fn post_stats(&self) {
        let (processed, dropped) = self.counts();
        let (bytes, fps, latency) = {
            let mut stats = lock(&self.stats);
            (stats.bytes, stats.fps(Instant::now()), stats.latency())
        };
        let structure = gst::Structure::builder("nunchi-encode-stats")
            .field("processed-frames", processed)
            .field("dropped-frames", dropped)
            .field("drop-rate", stats::drop_rate(processed, dropped))
            .field("encoded-bytes", bytes)
            .field("queue-level", self.video.imp().waiting())
            .field("encode-fps", fps)
            .field("memory-peak-mb", stats::peak_mb())
            .field("latency", u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))
            .build();
        self.post(structure);
    }

    fn dropped(&self, drop: Dropped) {
        let (processed, dropped) = self.counts();
        gst::debug!(CAT, imp = self, "{} frames dropped at {}", drop.frames, drop.at);
        let mut message = gst::message::Qos::builder(true)
            .src(&*self.obj())
            .running_time(drop.at)
            .timestamp(drop.at)
            .stats(
                gst::format::Buffers::from_u64(processed),
                gst::format::Buffers::from_u64(dropped),
            );
        if let Some(duration) = drop.duration {
            message = message.duration(duration);
        }
        let _ = self.obj().post_message(message.build());
        let overflow = gst::event::Qos::new(gst::QOSType::Overflow, 2.0, gst::ClockTimeDiff::from(1_u8), drop.at);
        self.video.imp().sinkpad().push_event(overflow);
        if drop.first {
            gst::element_imp_warning!(
                self,
                gst::CoreError::Clock,
                [
                    "frames come faster than they can be encoded, and are dropped: {dropped} so far. Fewer or smaller frames, preset=ultrafast or adaptive=true help"
                ]
            );
        }
    }

    fn went_back(&self, kind: Kind, at: gst::ClockTime) {
        let first = !std::mem::replace(&mut lock(&self.run).warned_back, true);
        if first {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                [
                    "the times of the {} went back; in the file they go on, from {at}",
                    if kind == Kind::Video { "video" } else { "sound" }
                ]
            );
        }
    }

    /// Ends the file, whatever was still to come.
    fn finish(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.changed.notify_all();
        if !self.played.load(Ordering::Relaxed) {
            return;
        }
        let timeout = Duration::from(lock(&self.settings).finalize_timeout);
        let until = Instant::now() + timeout;
        let audio = lock(&self.audio).clone();
        self.video.imp().drain();
        for audio in &audio {
            audio.gate.imp().drain();
        }
        loop {
            let done = lock(&self.end).as_ref().map(|(_, done)| done.clone());
            let through = self.video.imp().is_through();
            match done {
                Some(done) => {
                    let slice = (Instant::now() + LOOK).min(until);
                    if done.wait(slice) != End::Open {
                        return;
                    }
                }
                // The video never had a frame.
                None if through => return,
                None => {
                    let guard = lock(&self.chain);
                    let _ = self.changed.wait_timeout(guard, LOOK);
                }
            }
            if Instant::now() >= until {
                self.warn_unfinished();
                return;
            }
        }
    }

    fn warn_unfinished(&self) {
        let number = self.number.load(Ordering::Relaxed).saturating_sub(1);
        let Some((decided, _)) = self.decided() else { return };
        let part = writer::temporary(Path::new(&container::file(&decided.location, number)));
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Write,
            [
                "the file was not finished within finalize-timeout; what was written is in {}",
                part.display()
            ]
        );
    }

    fn clear(&self) {
        lock(&self.end).take();
        let chain = lock(&self.chain).take();
        if let Some(chain) = chain {
            chain.remove(self.obj().upcast_ref());
        }
    }

    fn reset(&self) {
        self.video.imp().reset();
        for audio in lock(&self.audio).iter() {
            audio.gate.imp().reset();
        }
        self.together.reset();
        *lock(&self.stats) = Stats::default();
        *lock(&self.adaptive) = Adaptive::default();
        self.number.store(0, Ordering::Relaxed);
        self.dropped_before.store(0, Ordering::Relaxed);
        self.ends.store(false, Ordering::Relaxed);
        self.begun.store(false, Ordering::Relaxed);
        self.stopping.store(false, Ordering::Relaxed);
        self.played.store(false, Ordering::Relaxed);
    }

    fn set_open(&self, open: bool) {
        self.video.imp().set_open(open);
        for audio in lock(&self.audio).iter() {
            audio.gate.imp().set_open(open);
        }
    }

    /// A file was written: the oldest goes if there are too many.
    fn written(&self, structure: &gst::StructureRef) {
        let Ok(location) = structure.get::<&str>("location") else {
            return;
        };
        let most = lock(&self.settings).max_files as usize;
        if most == 0 {
            return;
        }
        let mut gone = Vec::new();
        {
            let mut run = lock(&self.run);
            run.files.push_back(location.into());
            while run.files.len() > most {
                gone.extend(run.files.pop_front());
            }
        }
        for path in gone {
            if let Err(error) = std::fs::remove_file(&path) {
                gst::warning!(CAT, imp = self, "{} stays: {error}", path.display());
            }
        }
    }
}

/// The gates' way to the element.
struct Weak(glib::WeakRef<super::NvencSink>);

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
            end: Mutex::default(),
            run: Mutex::default(),
            number: Arc::default(),
            stats: Mutex::default(),
            adaptive: Mutex::default(),
            memory: Mutex::default(),
            ends: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            played: AtomicBool::new(false),
            dropped_before: AtomicU64::new(0),
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
        let target = self.pace.static_pad("sink").expect("clocksync and identity have one");
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
            gst::StateChange::ReadyToPaused => self.reset(),
            gst::StateChange::PausedToPlaying => {
                self.played.store(true, Ordering::Relaxed);
                self.set_open(true);
            }
            gst::StateChange::PlayingToPaused => self.set_open(false),
            gst::StateChange::PausedToReady => self.finish(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        match transition {
            gst::StateChange::PausedToReady => self.clear(),
            gst::StateChange::ReadyToNull => {
                let mut run = lock(&self.run);
                run.decided = None;
            }
            _ => {}
        }
        // Nothing prerolls: frames wait until it plays.
        result.map(|success| {
            if success == gst::StateChangeSuccess::Async {
                gst::StateChangeSuccess::Success
            } else {
                success
            }
        })
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
        let _ = obj.remove(&gate);
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
            _ => self.parent_query(query),
        }
    }
}

impl BinImpl for NvencSink {
    fn handle_message(&self, message: gst::Message) {
        let end = lock(&self.end).clone();
        let from_end = |end: &gst::Element| {
            message
                .src()
                .is_some_and(|source| source == end || source.has_as_ancestor(end))
        };
        let end = end.filter(|(end, _)| from_end(end));
        match (message.view(), end) {
            (gst::MessageView::Eos(_), Some((element, done))) => {
                if message.src() == Some(element.upcast_ref()) {
                    done.set(End::Finished);
                    if self.ends.load(Ordering::Relaxed) {
                        self.post_stats();
                        self.parent_handle_message(message);
                    }
                }
                return;
            }
            // The end plays all the time; what it says of its states is of no interest to anybody.
            (gst::MessageView::AsyncStart(_) | gst::MessageView::AsyncDone(_), Some(_)) => return,
            (gst::MessageView::Error(_), Some((_, done))) => {
                done.set(End::Failed);
                self.video.imp().refuse(gst::FlowError::Error);
            }
            (gst::MessageView::Element(told), _) => {
                if let Some(structure) = told.structure()
                    && structure.name() == "nunchi-file-written"
                {
                    self.written(structure);
                }
            }
            _ => {}
        }
        self.parent_handle_message(message);
    }
}
