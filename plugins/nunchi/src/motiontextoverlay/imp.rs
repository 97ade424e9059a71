use super::compose::Composer;
use super::feed::{Due, Fed, Feed};
use super::settings::{self, Settings, TimeBase};
use super::{negotiate, paint, still};
use gst::{glib, prelude::*, subclass::prelude::*};
use nunchi_motiontext::{
    Warning,
    player::{OpenError, Player, Stage},
    raster::Picture,
};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "motiontextoverlay",
        gst::DebugColorFlags::empty(),
        Some("Overlay of MotionText scenarios"),
    )
});

const FEED_PAD: &str = "scenario_sink";
const FEED_CAPS: &str = "application/x-motiontext-json";
/// So many warnings are kept for the property, and so many are written out in a message.
const MAX_WARNINGS: usize = 500;
const MAX_TOLD: usize = 5;

/// What is done with pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Attach,
    /// `attached`: what came attached is blended, too, because nobody downstream does it.
    Blend {
        attached: bool,
    },
}

/// What the streaming thread works with.
#[derive(Default)]
struct Stream {
    /// `None` until caps are set.
    negotiated: Option<(gst_video::VideoInfo, Mode)>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    player: Option<Box<Player>>,
    composer: Composer,
    /// Frames that could not be drawn into since the start; only the first is reported on the bus.
    failed: u64,
}

/// The scenario that properties ask for.
#[derive(Default)]
struct Wanted {
    settings: Settings,
    /// Changes are loaded at once.
    started: bool,
    /// Loaded, and to be shown from the next frame on; `Some(None)`: nothing is to be shown.
    next: Option<Option<Box<Player>>>,
    /// What is shown came in-band, from this, and is read anew where a property changes how.
    fed: Option<Arc<[u8]>>,
}

/// The locks are taken one at a time, but that `loading` is held while a scenario is read and put in place, so that the last
/// change wins. None is held while something is pushed or posted.
pub struct MotionTextOverlay {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    feed: Feed,
    wanted: Mutex<Wanted>,
    loading: Mutex<()>,
    stream: Mutex<Stream>,
    warnings: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl MotionTextOverlay {
    /// Loads what the properties ask for and puts it in place for the next frame.
    fn load(&self) -> Result<(), OpenError> {
        let loading = lock(&self.loading);
        let warnings = loop {
            let (settings, fed) = {
                let wanted = lock(&self.wanted);
                (wanted.settings.clone(), wanted.fed.clone())
            };
            let loaded = match &fed {
                Some(json) => Some(parse(json, &settings)?),
                None => open(&settings)?,
            };
            let (player, warnings) = loaded.unzip();
            let mut wanted = lock(&self.wanted);
            // Another one may have been taken meanwhile; no more than that, as its pad waits for this to end.
            if wanted.fed.as_ref().map(Arc::as_ptr) == fed.as_ref().map(Arc::as_ptr) {
                wanted.next = Some(player.map(Box::new));
                break warnings.unwrap_or_default();
            }
        };
        if let Some(json) = self.feed.waiting() {
            let settings = lock(&self.wanted).settings.clone();
            let player = Box::new(parse(&json, &settings)?.0);
            self.feed.exchange(Fed { player, json });
        }
        let before = std::mem::take(&mut *lock(&self.warnings));
        let new = self.keep(&warnings);
        drop(loading);
        if new.is_empty() && !before.is_empty() {
            self.obj().notify("warnings");
        }
        self.tell(new);
        Ok(())
    }

    /// Keeps and reports what is shown differently than its author may think.
    fn warn(&self, new: &[Warning]) {
        self.tell(self.keep(new));
    }

    fn keep(&self, new: &[Warning]) -> Vec<String> {
        let new: Vec<String> = new.iter().map(ToString::to_string).collect();
        let mut warnings = lock(&self.warnings);
        let room = MAX_WARNINGS.saturating_sub(warnings.len());
        warnings.extend(new.iter().take(room).cloned());
        new
    }

    fn tell(&self, new: Vec<String>) {
        if new.is_empty() {
            return;
        }
        self.obj().notify("warnings");
        let mut text = new[..new.len().min(MAX_TOLD)].join("; ");
        if new.len() > MAX_TOLD {
            text.push_str(&format!("; and {} more (property warnings)", new.len() - MAX_TOLD));
        }
        let details = gst::Structure::builder("motiontext-warnings")
            .field("warnings", gst::Array::new(new))
            .build();
        gst::element_imp_warning!(self, gst::StreamError::Format, ("The scenario: {text}"), details: details);
    }

    /// Agrees with downstream on what is done with pictures.
    fn negotiate(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info =
            gst_video::VideoInfo::from_caps(caps).map_err(|_| gst::loggable_error!(CAT, "Not raw video: {caps}"))?;
        let has_overlay = negotiate::has_overlay(caps);
        let overlaid = negotiate::with_overlay(caps);
        let plain = if has_overlay {
            negotiate::without_overlay(caps)
        } else {
            caps.clone()
        };
        let can_blend = plain.is_subset(&negotiate::blended()) && self.srcpad.peer_query_accept_caps(&plain);
        let mut mode = Mode::Blend { attached: has_overlay };
        if self.srcpad.peer_query_accept_caps(&overlaid) {
            // Some answer the query for an allocation only when they have caps.
            let _ = self.srcpad.push_event(gst::event::Caps::new(&overlaid));
            let mut query = gst::query::Allocation::new(Some(&overlaid), false);
            let answered = self.srcpad.peer_query(&mut query);
            let taken = answered
                && query
                    .find_allocation_meta::<gst_video::VideoOverlayCompositionMeta>()
                    .is_some();
            if taken || !can_blend {
                mode = Mode::Attach;
            }
        } else if !can_blend {
            return Err(gst::loggable_error!(
                CAT,
                "Downstream takes neither pictures attached to {caps} nor frames that they can be blended into"
            ));
        }
        if mode != Mode::Attach && !self.srcpad.push_event(gst::event::Caps::new(&plain)) {
            return Err(gst::loggable_error!(CAT, "Downstream refused {plain}"));
        }
        gst::debug!(CAT, imp = self, "{mode:?} with {caps}");
        lock(&self.stream).negotiated = Some((info, mode));
        Ok(())
    }

    fn renegotiate(&self) -> Result<(), gst::FlowError> {
        let Some(caps) = self.sinkpad.current_caps() else {
            return Err(gst::FlowError::NotNegotiated);
        };
        self.negotiate(&caps).map_err(|error| {
            self.srcpad.mark_reconfigure();
            if self.srcpad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return gst::FlowError::Flushing;
            }
            error.log_with_imp(self);
            gst::FlowError::NotNegotiated
        })
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.srcpad.check_reconfigure() {
            self.renegotiate()?;
        }
        let buffer = self.draw(buffer)?;
        self.srcpad.push(buffer)
    }

    /// The frame with what is to be seen at its time.
    fn draw(&self, mut buffer: gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
        let running_time = lock(&self.stream).running_time(&buffer);
        let lacks = running_time.is_some_and(|time| self.feed.lacks(time));
        let fed = self.feed.take(running_time, lacks && !self.is_live())?;
        let (time_base, time_offset, next) = {
            let mut wanted = lock(&self.wanted);
            let mut next = wanted.next.take();
            if let Some(fed) = fed {
                wanted.fed = Some(fed.json);
                next = Some(Some(fed.player));
            }
            (wanted.settings.time_base, wanted.settings.time_offset, next)
        };
        let mut guard = lock(&self.stream);
        let stream = &mut *guard;
        if let Some(player) = next {
            stream.player = player;
        }
        let Some((info, mode)) = &stream.negotiated else {
            return Err(gst::FlowError::NotNegotiated);
        };
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            return Ok(buffer);
        }
        let time = match time_base {
            TimeBase::StreamTime => stream.stream_time(&buffer),
            TimeBase::RunningTime => running_time,
        };
        let stage = stage(info);
        let mut missing = Vec::new();
        let picture = match (&mut stream.player, time) {
            (Some(player), Some(time)) => {
                let time = i128::from(time.nseconds()) - i128::from(time_offset);
                let picture = player.picture(time as f64 / 1e9, stage);
                missing = player.missing();
                Some(picture)
            }
            _ => None,
        };
        let drawn = lay(&mut stream.composer, *mode, info, picture.as_ref(), &mut buffer);
        let mut first = None;
        if let Err(reason) = drawn {
            stream.failed += 1;
            gst::debug!(CAT, imp = self, "A frame cannot be drawn into: {reason}");
            first = (stream.failed == 1).then_some(reason);
        }
        drop(guard);
        self.warn(&missing);
        if let Some(reason) = first {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("A frame cannot be drawn into: {reason}. It passes as it is."),
                ["pts {:?}, {} bytes", buffer.pts(), buffer.size()]
            );
        }
        Ok(buffer)
    }

    /// Whether the video or the scenarios come at a pace of their own, so that waiting would only make frames late.
    fn is_live(&self) -> bool {
        let feed = self.obj().static_pad(FEED_PAD);
        [Some(self.sinkpad.clone()), feed].into_iter().flatten().any(|pad| {
            let mut query = gst::query::Latency::new();
            pad.peer_query(&mut query) && query.result().0
        })
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        // The scenarios first: when the video goes on after a seek, they have begun anew already.
        if let Some(feed) = self.obj().static_pad(FEED_PAD) {
            // Whether its source can do it does not matter to the video.
            let _ = feed.push_event(event.clone());
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::Caps(caps) => {
                // Answered here; what downstream gets may differ.
                self.srcpad.check_reconfigure();
                match self.negotiate(&caps.caps_owned()) {
                    Ok(()) => return true,
                    Err(error) => {
                        self.srcpad.mark_reconfigure();
                        error.log_with_imp(self);
                        return false;
                    }
                }
            }
            EventView::Segment(segment) => {
                let segment = segment.segment();
                lock(&self.stream).segment = segment.downcast_ref::<gst::ClockTime>().cloned();
            }
            EventView::FlushStart(_) => self.feed.release_video(),
            EventView::FlushStop(_) => {
                lock(&self.stream).segment = None;
                self.feed.video_flushed(event.seqnum());
                // A seek goes on after an end.
                self.feed.reopen();
            }
            EventView::Eos(_) => self.feed.close(gst::FlowError::Eos),
            EventView::StreamStart(_) => self.feed.reopen(),
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Caps(query) => {
                let sink = *pad == self.sinkpad;
                let (other, caps): (_, fn(&gst::Caps) -> gst::Caps) = if sink {
                    (&self.srcpad, negotiate::sink_caps)
                } else {
                    (&self.sinkpad, negotiate::src_caps)
                };
                // Not our peer's filter: its features are others on the other side.
                let caps = caps(&other.peer_query_caps(None));
                let caps = match query.filter() {
                    Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                    None => caps,
                };
                query.set_result(&caps);
                true
            }
            QueryViewMut::Allocation(_) if *pad == self.sinkpad => self.allocation(query),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Frames pass as they are, so whatever downstream proposes is right; and what comes attached is blended here if it is
    /// not attached further.
    fn allocation(&self, query: &mut gst::QueryRef) -> bool {
        let blends = matches!(lock(&self.stream).negotiated, Some((_, Mode::Blend { attached: true })));
        let answered = self.srcpad.peer_query(query);
        let gst::QueryViewMut::Allocation(query) = query.view_mut() else {
            return answered;
        };
        if blends
            && query
                .find_allocation_meta::<gst_video::VideoOverlayCompositionMeta>()
                .is_none()
        {
            query.add_allocation_meta::<gst_video::VideoOverlayCompositionMeta>(None);
            return true;
        }
        answered
    }

    fn feed_chain(&self, buffer: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.feed.due(buffer) {
            Some(due) => {
                let json = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
                self.feed_scenario(Arc::from(&*json), due)?;
            }
            None => self.feed.append(buffer)?,
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// A scenario that cannot be shown costs a warning; the one before stays.
    fn feed_scenario(&self, json: Arc<[u8]>, due: Due) -> Result<(), gst::FlowError> {
        self.feed.room(due.from)?;
        let loading = lock(&self.loading);
        let settings = lock(&self.wanted).settings.clone();
        let (player, warnings) = match parse(&json, &settings) {
            Ok(parsed) => parsed,
            Err(error) => {
                drop(loading);
                self.feed.reach(due.until);
                self.refused(&error);
                return Ok(());
            }
        };
        let player = Box::new(player);
        let put = self.feed.put(due, Fed { player, json });
        drop(loading);
        self.warn(&warnings);
        put?;
        self.feed.taken(due.from)
    }

    fn refused(&self, error: &OpenError) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Decode,
            ("The scenario cannot be shown: {error}. The one before stays.")
        );
    }

    fn feed_event(&self, event: &gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::FlushStart(_) => self.feed.close(gst::FlowError::Flushing),
            EventView::FlushStop(_) => self.feed.flushed(event.seqnum()),
            EventView::StreamStart(_) => self.feed.start_stream(),
            EventView::Segment(segment) => self.feed.set_segment(segment.segment()),
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                self.feed.gap(start, duration);
            }
            EventView::Eos(_) => {
                if let Some(json) = self.feed.complete() {
                    // It has no time to wait for, and a closed pad needs it no more.
                    let _ = self.feed_scenario(json.into(), Due::WHOLE);
                }
                self.feed.reach(Due::WHOLE.until);
            }
            _ => {}
        }
        // Nothing of it is of the video.
        true
    }
}

impl Stream {
    /// The part of the frame that the segment shows begins at this time.
    fn begin(&self, buffer: &gst::BufferRef) -> Option<(&gst::FormattedSegment<gst::ClockTime>, gst::ClockTime)> {
        let (segment, pts) = (self.segment.as_ref()?, buffer.pts()?);
        let end = buffer.duration().and_then(|duration| pts.checked_add(duration));
        let (begin, _) = segment.clip(pts, end.unwrap_or(pts))?;
        Some((segment, begin?))
    }

    fn running_time(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        let (segment, begin) = self.begin(buffer)?;
        segment.to_running_time(begin)
    }

    fn stream_time(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        let (segment, begin) = self.begin(buffer)?;
        segment.to_stream_time(begin)
    }
}

fn open(settings: &Settings) -> Result<Option<(Player, Vec<Warning>)>, OpenError> {
    let options = settings.options();
    let fonts = settings.fonts_dir.as_deref();
    Ok(match (&settings.location, &settings.scenario) {
        (Some(path), _) => Some(Player::open(path, &options, fonts, &mut still::stills())?),
        (None, Some(json)) => Some(parse(json.as_bytes(), settings)?),
        (None, None) => None,
    })
}

/// A scenario without a folder of its own.
fn parse(json: &[u8], settings: &Settings) -> Result<(Player, Vec<Warning>), OpenError> {
    let fonts = settings.fonts_dir.as_deref();
    Player::parse(json, &settings.options(), fonts, &mut still::stills())
}

fn stage(info: &gst_video::VideoInfo) -> Stage {
    let par = info.par();
    Stage {
        width: info.width(),
        height: info.height(),
        pixel_aspect: f64::from(par.numer()) / f64::from(par.denom()),
    }
}

/// A frame on which there is nothing to draw is not touched.
fn lay(
    composer: &mut Composer,
    mode: Mode,
    info: &gst_video::VideoInfo,
    picture: Option<&Arc<Picture>>,
    buffer: &mut gst::Buffer,
) -> Result<(), String> {
    let picture = picture.filter(|picture| !picture.tiles.is_empty());
    match (mode, picture) {
        (Mode::Attach, Some(picture)) => composer.attach(picture, buffer.make_mut())?,
        (Mode::Blend { attached: false }, Some(picture)) => paint::paint(buffer.make_mut(), info, picture)?,
        (Mode::Blend { attached: true }, picture) => paint::paint_all(buffer, info, picture.map(Arc::as_ref))?,
        (_, None) => {}
    }
    Ok(())
}

#[glib::object_subclass]
impl ObjectSubclass for MotionTextOverlay {
    const NAME: &'static str = "GstNunchiMotionTextOverlay";
    type Type = super::MotionTextOverlay;
    type ParentType = gst::Element;

    fn with_class(klass: &Self::Class) -> Self {
        let template = |name| klass.pad_template(name).expect("the templates below");
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.chain(buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.query(pad, query))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(
                    parent,
                    || gst::Iterator::from_vec(Vec::new()),
                    |this| gst::Iterator::from_vec(vec![this.srcpad.clone()]),
                )
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.query(pad, query))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(
                    parent,
                    || gst::Iterator::from_vec(Vec::new()),
                    |this| gst::Iterator::from_vec(vec![this.sinkpad.clone()]),
                )
            })
            .build();
        Self {
            sinkpad,
            srcpad,
            feed: Feed::default(),
            wanted: Mutex::default(),
            loading: Mutex::default(),
            stream: Mutex::default(),
            warnings: Mutex::default(),
        }
    }
}

impl ObjectImpl for MotionTextOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        let mut wanted = lock(&self.wanted);
        if !wanted.settings.set(name, value) {
            drop(wanted);
            gst::error!(CAT, imp = self, "No such property: {name}");
            return;
        }
        let started = wanted.started;
        if started {
            // Of two sources the one that was given last is meant.
            match name {
                "location" if wanted.settings.location.is_some() => wanted.settings.scenario = None,
                "scenario" if wanted.settings.scenario.is_some() => wanted.settings.location = None,
                _ => {}
            }
        }
        if matches!(name, "location" | "scenario") {
            wanted.fed = None;
        }
        let impatient = wanted.settings.impatient;
        drop(wanted);
        if name == "wait-scenario" {
            self.feed.set_impatient(impatient);
        }
        if started
            && !matches!(name, "time-base" | "time-offset" | "wait-scenario")
            && let Err(error) = self.load()
        {
            self.refused(&error);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "warnings" {
            return gst::Array::new(lock(&self.warnings).clone()).to_value();
        }
        let value = lock(&self.wanted).settings.get(pspec.name());
        value.unwrap_or_else(|| pspec.default_value().clone())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            obj.add_pad(pad).expect("a new element has no pads");
        }
    }
}

impl GstObjectImpl for MotionTextOverlay {}

impl ElementImpl for MotionTextOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "MotionText overlay",
                "Filter/Editor/Video",
                "Draws animated captions that a MotionText scenario describes",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let video = negotiate::template();
            let feed = gst::Caps::new_empty_simple(FEED_CAPS);
            let template = |name, direction, presence, caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("constant arguments")
            };
            vec![
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &video),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, &video),
                template(FEED_PAD, gst::PadDirection::Sink, gst::PadPresence::Request, &feed),
            ]
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let obj = self.obj();
        if obj.static_pad(FEED_PAD).is_some() {
            gst::warning!(CAT, imp = self, "There is one {FEED_PAD} already");
            return None;
        }
        let pad = gst::Pad::builder_from_template(template)
            .name(FEED_PAD)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.feed_chain(&buffer))
            })
            .event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.feed_event(&event))
            })
            .iterate_internal_links_function(|_, _| gst::Iterator::from_vec(Vec::new()))
            .build();
        let linked = |linked: bool| {
            let this = self.downgrade();
            move || {
                if let Some(this) = this.upgrade() {
                    this.feed.set_linked(linked);
                }
            }
        };
        let (link, unlink) = (linked(true), linked(false));
        pad.connect_linked(move |_, _| link());
        pad.connect_unlinked(move |_, _| unlink());
        pad.set_active(true).ok()?;
        obj.add_pad(&pad).ok()?;
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.feed.close(gst::FlowError::Flushing);
        // It may be gone already.
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
        self.feed.set_linked(false);
        self.feed.flushed(gst::Seqnum::next());
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            gst::StateChange::PausedToReady => self.feed.stop(),
            _ => {}
        }
        let done = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && done.is_err())
        {
            let mut wanted = lock(&self.wanted);
            wanted.started = false;
            wanted.next = None;
            wanted.fed = None;
            drop(wanted);
            *lock(&self.stream) = Stream::default();
        }
        done
    }
}

impl MotionTextOverlay {
    fn start(&self) -> Result<(), gst::StateChangeError> {
        *lock(&self.stream) = Stream::default();
        lock(&self.warnings).clear();
        self.feed.start();
        let mut wanted = lock(&self.wanted);
        let both = wanted.settings.location.is_some() && wanted.settings.scenario.is_some();
        wanted.started = !both;
        wanted.next = None;
        drop(wanted);
        if both {
            gst::element_imp_error!(
                self,
                gst::LibraryError::Settings,
                ("location and scenario are both set: set one of them")
            );
            return Err(gst::StateChangeError);
        }
        self.load().map_err(|error| {
            lock(&self.wanted).started = false;
            match error {
                OpenError::File { .. } | OpenError::Fonts(_) => {
                    gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{error}"));
                }
                OpenError::Scenario { .. } | OpenError::Text(_) => {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Decode,
                        ("The scenario cannot be shown: {error}")
                    );
                }
            }
            gst::StateChangeError
        })
    }
}
