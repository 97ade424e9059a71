use super::compose::Composer;
use super::feed::Feed;
use super::scenarios::Wanted;
use super::settings::{self, TimeBase};
use super::{negotiate, paint};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::VideoOverlayCompositionMeta;
use nunchi_motiontext::{
    player::{Player, Stage},
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
pub struct Stream {
    /// `None` until caps are set.
    negotiated: Option<(gst_video::VideoInfo, Mode)>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    player: Option<Box<Player>>,
    composer: Composer,
    /// Frames that could not be drawn into since the start; only the first is reported on the bus.
    failed: u64,
}

/// The locks are taken one at a time, but that `loading` is held while a scenario is read and put in place, so that the last
/// change wins. None is held while something is pushed or posted.
pub struct MotionTextOverlay {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    pub(super) feed: Feed,
    pub(super) wanted: Mutex<Wanted>,
    pub(super) loading: Mutex<()>,
    pub(super) stream: Mutex<Stream>,
    pub(super) warnings: Mutex<Vec<String>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl MotionTextOverlay {
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
            let taken = answered && query.find_allocation_meta::<VideoOverlayCompositionMeta>().is_some();
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
            // What is attached to it would be lost, as nobody downstream lays it over.
            if *mode != (Mode::Blend { attached: true }) || buffer.meta::<VideoOverlayCompositionMeta>().is_none() {
                return Ok(buffer);
            }
            buffer.make_mut().unset_flags(gst::BufferFlags::GAP);
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
        if blends && query.find_allocation_meta::<VideoOverlayCompositionMeta>().is_none() {
            query.add_allocation_meta::<VideoOverlayCompositionMeta>(None);
            return true;
        }
        answered
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
