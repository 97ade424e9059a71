//! From the settings to files: what is decided at the start, made when the size of the video is known, and finished at the end.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gst::{prelude::*, subclass::prelude::*};

use super::adaptive::Adaptive;
use super::chain::{self, Chain, Done, End, Plan};
use super::container;
use super::imp::{AudioPad, Decided, NvencSink, Run, lock};
use super::settings::SizeChange;
use super::stats::Stats;
use super::streams::Kind;
use super::trial::{self, Choice};
use super::writer;
use super::{CAT, FrameGate};

/// How often it is looked whether something that nobody tells has come true.
const LOOK: Duration = Duration::from_millis(50);
/// A file begins without sound of which nothing has come by then.
const SOUND_PATIENCE: Duration = Duration::from_secs(10);
/// Sound is behind the picture by no more than this.
const SOUND_LAG: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(2);
/// What stands for a size while none is known.
const ANY_SIZE: (i32, i32) = (640, 360);

impl NvencSink {
    pub(super) fn fail(&self, text: &str) {
        gst::element_imp_error!(self, gst::ResourceError::Settings, ("{text}"));
    }

    /// Everything that can be known before the first frame.
    pub(super) fn decide(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let wrong = |text: String| gst::error_msg!(gst::ResourceError::Settings, ("{text}"));
        let (container, codec, location) = container::check(&settings).map_err(wrong)?;
        let first = PathBuf::from(container::file(&location, 0));
        writer::check(&first, settings.overwrite)
            .map_err(|error| gst::error_msg!(gst::ResourceError::OpenWrite, ("{error}")))?;
        let caps = gst::Caps::builder("video/x-raw")
            .field("width", ANY_SIZE.0)
            .field("height", ANY_SIZE.1)
            .build();
        let choice = trial::choose(&settings, codec, &caps)
            .map_err(|error| gst::error_msg!(gst::ResourceError::NotFound, ("{error}")))?;
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

    pub(super) fn choose(&self, choice: Choice) {
        let changed = lock(&self.run)
            .choice
            .replace(choice.clone())
            .is_none_or(|last| last != choice);
        if !changed {
            return;
        }
        if choice.fallback {
            gst::element_imp_warning!(self, gst::ResourceError::NotFound, ("{}", choice.reason));
        }
        let structure = gst::Structure::builder("nunchi-encoder")
            .field("encoder", &choice.candidate.name)
            .field("reason", &choice.reason)
            .build();
        self.post(structure);
        self.obj().notify("encoder-used");
        self.obj().notify("encoder-reason");
    }

    pub(super) fn post(&self, structure: gst::Structure) {
        let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }

    pub(super) fn decided(&self) -> Option<(Decided, Choice)> {
        let run = lock(&self.run);
        Some((run.decided.clone()?, run.choice.clone()?))
    }

    /// What takes frames of these caps, linked to the gate.
    pub(super) fn video_caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError> {
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
                    (
                        "the size of the video changes to {}x{}: set size-change=new-segment to go on in the next file",
                        size.0,
                        size.1
                    )
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
    pub(super) fn sound_up_to(&self, audio: &[AudioPad], end: gst::ClockTime) {
        for audio in audio {
            audio.gate.imp().set_until(Some(end));
        }
        let until = Instant::now() + SOUND_LAG;
        while Instant::now() < until && !audio.iter().all(|audio| audio.gate.imp().has_reached(end)) {
            std::thread::sleep(GLANCE);
        }
    }

    /// The streams of sound that there is something of. A muxer has to know them all before it begins.
    pub(super) fn sounding(&self) -> Vec<AudioPad> {
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
                            (
                                "nothing came to {} within {} s: the file begins without it",
                                silent.pad.name(),
                                SOUND_PATIENCE.as_secs()
                            )
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
    pub(super) fn change_over(&self, gate: &FrameGate, caps: &gst::Caps, audio: &[AudioPad]) -> Result<(), String> {
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
            lock(&self.done).take();
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
        *lock(&self.done) = Some(chain.done.clone());
        self.count_encoded(&chain.encoder);
        let (sink, done) = (self.obj().downgrade(), chain.done.clone());
        let listen = move |message| {
            if let Some(sink) = sink.upgrade() {
                sink.imp().told(message, &done);
            }
        };
        let started = chain.start(bin, listen).and_then(|()| {
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
    pub(super) fn fitting(&self, decided: &Decided, choice: Choice, caps: &gst::Caps) -> Result<Choice, String> {
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

    pub(super) fn audio_caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError> {
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

    pub(super) fn ending(&self, gate: &FrameGate, broken: bool) {
        let stopping = self.stopping.load(Ordering::Relaxed);
        match gate.imp().kind() {
            Kind::Video => {
                self.ends.store(!broken && !stopping, Ordering::Relaxed);
                let none = lock(&self.chain).is_none();
                if none && !broken && !stopping {
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Failed,
                        ("the video ended before its first frame: no file was written")
                    );
                    self.tell_the_end(gst::Seqnum::next());
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

    /// What the muxer and the file have to say.
    fn told(&self, message: gst::Message, done: &Done) {
        let obj = self.obj();
        let own = match message.view() {
            gst::MessageView::Eos(_) => {
                done.set(End::Finished);
                if self.ends.load(Ordering::Relaxed) {
                    self.post_stats();
                    self.tell_the_end(message.seqnum());
                }
                return;
            }
            gst::MessageView::StreamStart(start) => {
                let start_again = gst::message::StreamStart::builder().src(&*obj).seqnum(message.seqnum());
                match start.group_id() {
                    Some(group) => start_again.group_id(group).build(),
                    None => start_again.build(),
                }
            }
            gst::MessageView::Error(_) => {
                done.set(End::Failed);
                self.video.imp().refuse(gst::FlowError::Error);
                message
            }
            gst::MessageView::Element(told) => {
                if let Some(structure) = told.structure()
                    && structure.name() == "nunchi-file-written"
                {
                    self.written(structure);
                }
                message
            }
            gst::MessageView::Warning(_) | gst::MessageView::Info(_) | gst::MessageView::Tag(_) => message,
            // States, clocks and latencies there are of no interest to anybody.
            _ => return,
        };
        // Without a bus nobody listens.
        let _ = obj.post_message(own);
    }

    /// Tells that everything was written, now and whenever it goes on to PLAYING after a pause: the pipeline around forgets it when it pauses.
    fn tell_the_end(&self, seqnum: gst::Seqnum) {
        *lock(&self.ended) = Some(seqnum);
        let end = gst::message::Eos::builder().src(&*self.obj()).seqnum(seqnum).build();
        let _ = self.obj().post_message(end);
    }

    pub(super) fn tell_the_end_again(&self) {
        let ended = *lock(&self.ended);
        if let Some(seqnum) = ended.filter(|_| self.video.imp().has_ended()) {
            self.tell_the_end(seqnum);
        }
    }

    /// Ends the file, whatever was still to come.
    pub(super) fn finish(&self) {
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
            let done = lock(&self.done).clone();
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

    pub(super) fn warn_unfinished(&self) {
        let number = self.number.load(Ordering::Relaxed).saturating_sub(1);
        let Some((decided, _)) = self.decided() else { return };
        let part = writer::temporary(Path::new(&container::file(&decided.location, number)));
        gst::element_imp_warning!(
            self,
            gst::ResourceError::Write,
            (
                "the file was not finished within finalize-timeout; what was written is in {}",
                part.display()
            )
        );
    }

    pub(super) fn clear(&self) {
        lock(&self.done).take();
        let chain = lock(&self.chain).take();
        if let Some(chain) = chain {
            chain.remove(self.obj().upcast_ref());
        }
    }

    pub(super) fn reset(&self) {
        self.video.imp().reset();
        for audio in lock(&self.audio).iter() {
            audio.gate.imp().reset();
        }
        self.together.reset();
        *lock(&self.stats) = Stats::default();
        *lock(&self.adaptive) = Adaptive::default();
        self.number.store(0, Ordering::Relaxed);
        self.ends.store(false, Ordering::Relaxed);
        lock(&self.ended).take();
        self.begun.store(false, Ordering::Relaxed);
        self.stopping.store(false, Ordering::Relaxed);
        self.played.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_open(&self, open: bool) {
        self.video.imp().set_open(open);
        for audio in lock(&self.audio).iter() {
            audio.gate.imp().set_open(open);
        }
    }

    /// A file was written: the oldest goes if there are too many.
    pub(super) fn written(&self, structure: &gst::StructureRef) {
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
