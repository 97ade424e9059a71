//! Where frames wait for the encoder: a queue with a rule for too many, in front of each stream of the file.
//!
//! What comes in leaves on one time line from zero on, whatever segments, seeks and jumps there were. A flush empties the queue and goes no
//! further, for what is behind has been written. It has no factory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use gst::{glib, prelude::*, subclass::prelude::*};

use super::CAT;
use super::backlog::{Backlog, Bounds, Offered, Waiting};
use super::settings::{DropPolicy, MAX_BUFFERS, MAX_BUFFERS_BLOCKING};
use super::streams::{Dropped, Host, Kind, Level, Limits, Together};
use super::timeline::Timeline;

/// How often it is looked whether there is room after all: memory and other streams do not say when they have some.
const LOOK: Duration = Duration::from_millis(50);
/// Frames that are dropped within so long of each other are told of once.
const EPISODE: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// Sound waits without being counted in frames.
const AUDIO_BYTES: usize = 32 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Item {
    Frame(gst::Buffer),
    Event(gst::Event),
}

impl Waiting for Item {
    fn bytes(&self) -> Option<usize> {
        match self {
            Self::Frame(buffer) => Some(buffer.size()),
            Self::Event(_) => None,
        }
    }
}

#[derive(Default)]
struct State {
    backlog: Backlog<Item>,
    timeline: Timeline,
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// Of one frame, by the frame rate.
    duration: Option<gst::ClockTime>,
    caps: Option<gst::Caps>,
    is_live: bool,
    started: bool,
    /// Passes frames on.
    open: bool,
    /// Takes nothing more, and passes on what there is.
    draining: bool,
    flushing: bool,
    active: bool,
    ended: bool,
    /// The end was passed on: what comes after a seek begins anew.
    again: bool,
    passed: bool,
    flow: Option<gst::FlowError>,
    key_frame: bool,
    /// Frames from there on wait for the next file.
    until: Option<gst::ClockTime>,
    /// Where the last one was that was dropped.
    last_drop: Option<gst::ClockTime>,
    dropped: u64,
}

pub struct FrameGate {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    role: OnceLock<Role>,
    state: Mutex<State>,
    /// Something changed that somebody may wait for.
    changed: Condvar,
    level: Arc<Level>,
    /// Held while something is passed on.
    passing: Mutex<()>,
    /// A frame, or word that there is a gap.
    has_come: AtomicBool,
}

struct Role {
    kind: Kind,
    host: Arc<dyn Host>,
    together: Arc<Together>,
}

impl FrameGate {
    pub fn init(&self, kind: Kind, host: Arc<dyn Host>, together: Arc<Together>) {
        lock(&together.levels).push(self.level.clone());
        let _ = self.role.set(Role { kind, host, together });
    }

    fn role(&self) -> &Role {
        self.role.get().expect("set where the element is made")
    }

    pub fn kind(&self) -> Kind {
        self.role().kind
    }

    /// The stream is none of the file's any more.
    pub fn leave(&self) {
        let levels = &self.role().together.levels;
        lock(levels).retain(|level| !Arc::ptr_eq(level, &self.level));
    }

    pub fn sinkpad(&self) -> &gst::Pad {
        &self.sinkpad
    }

    pub fn srcpad(&self) -> &gst::Pad {
        &self.srcpad
    }

    /// As long as this is held nothing is passed on.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        lock(&self.passing)
    }

    /// Frames that wait.
    pub fn waiting(&self) -> u64 {
        self.level.frames.load(Ordering::Relaxed) as u64
    }

    pub fn dropped(&self) -> u64 {
        lock(&self.state).dropped
    }

    /// Whether frames may go on to the encoder.
    pub fn set_open(&self, open: bool) {
        lock(&self.state).open = open;
        self.changed.notify_all();
    }

    /// Nothing more is taken; what there is goes on, and then the end.
    pub fn drain(&self) {
        let mut state = lock(&self.state);
        if !state.ended {
            state.ended = true;
            let end = Item::Event(gst::event::Eos::new());
            state
                .backlog
                .offer(end, DropPolicy::Block, &Bounds { buffers: 0, bytes: 0 }, false);
        }
        state.draining = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Whether everything went on, the end with it.
    pub fn is_through(&self) -> bool {
        lock(&self.state).passed
    }

    /// Whether the stream is at its end: a seek may take it back.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).ended
    }

    /// Whether anything has come yet, or will never.
    pub fn came(&self) -> Option<bool> {
        if self.has_come.load(Ordering::Relaxed) {
            return Some(true);
        }
        lock(&self.state).ended.then_some(false)
    }

    /// Where the next frame is in the file.
    pub fn next_start(&self) -> Option<gst::ClockTime> {
        lock(&self.state).backlog.iter().find_map(start)
    }

    /// Frames from `until` on are not passed on.
    pub fn set_until(&self, until: Option<gst::ClockTime>) {
        lock(&self.state).until = until;
        self.changed.notify_all();
    }

    /// Whether everything before that was passed on.
    pub fn has_reached(&self, until: gst::ClockTime) -> bool {
        let state = lock(&self.state);
        match state.backlog.front() {
            Some(item) => start(item).is_some_and(|start| start >= until),
            None => state.ended,
        }
    }

    /// Whether there are frames, or may be.
    pub fn has_more(&self) -> bool {
        let state = lock(&self.state);
        !state.ended || state.backlog.buffers() > 0
    }

    /// Caps of what goes on now.
    pub fn caps(&self) -> Option<gst::Caps> {
        lock(&self.state).caps.clone()
    }

    /// As before the first frame.
    pub fn reset(&self) {
        let mut state = lock(&self.state);
        let (open, active) = (state.open, state.active);
        *state = State {
            open,
            active,
            ..State::default()
        };
        self.level.frames.store(0, Ordering::Relaxed);
        self.level.ended.store(false, Ordering::Relaxed);
        self.has_come.store(false, Ordering::Relaxed);
    }

    fn limits(&self, state: &State) -> Limits {
        let role = self.role();
        let mut limits = role.host.limits();
        if role.kind == Kind::Audio {
            limits.policy = DropPolicy::Block;
            limits.bounds = Bounds {
                buffers: 0,
                bytes: AUDIO_BYTES,
            };
            return limits;
        }
        if limits.policy == DropPolicy::Auto {
            limits.policy = if state.is_live {
                DropPolicy::DropOldest
            } else {
                DropPolicy::Block
            };
        }
        if limits.bounds.buffers == 0 {
            limits.bounds.buffers = match limits.policy {
                DropPolicy::Block => MAX_BUFFERS_BLOCKING,
                _ => MAX_BUFFERS,
            };
        }
        // The muxer waits for another stream, which may lie behind more of this one: the bytes alone count then.
        if limits.policy == DropPolicy::Block && limits.bounds.bytes > 0 && role.together.others_starve(&self.level) {
            limits.bounds.buffers = 0;
        }
        limits
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let role = self.role();
        self.has_come.store(true, Ordering::Relaxed);
        let mut state = lock(&self.state);
        if let Some(refused) = refusal(&state) {
            return Err(refused);
        }
        let stamp = buffer.pts().or(buffer.dts());
        let running = stamp.and_then(|stamp| state.segment.to_running_time(stamp));
        if stamp.is_some() && running.is_none() {
            gst::trace!(CAT, imp = self, "outside of the segment");
            return Ok(gst::FlowSuccess::Ok);
        }
        let duration = buffer.duration().or(state.duration);
        let placed = {
            let mut shared = lock(&role.together.timeline);
            state.timeline.place(&mut shared, running, duration)
        };
        let mut buffer = buffer;
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(placed.start);
            buffer.set_dts(gst::ClockTime::NONE);
        }
        let mut item = Item::Frame(buffer);
        let mut back = placed.back;
        loop {
            let limits = self.limits(&state);
            let pressed = limits.pressed && role.kind == Kind::Video;
            match state.backlog.offer(item, limits.policy, &limits.bounds, pressed) {
                Offered::Taken { dropped, key_frame } => {
                    state.key_frame |= key_frame;
                    let drop = count(&mut state, dropped, placed.start, duration);
                    self.level.frames.store(state.backlog.buffers(), Ordering::Relaxed);
                    std::mem::drop(state);
                    self.changed.notify_all();
                    if std::mem::take(&mut back) {
                        role.host.went_back(role.kind, placed.start);
                    }
                    if let Some(drop) = drop {
                        role.host.dropped(drop);
                    }
                    return Ok(gst::FlowSuccess::Ok);
                }
                Offered::Dropped => {
                    let drop = count(&mut state, 1, placed.start, duration);
                    std::mem::drop(state);
                    if let Some(drop) = drop {
                        role.host.dropped(drop);
                    }
                    return Ok(gst::FlowSuccess::Ok);
                }
                Offered::Full(frame) => {
                    item = frame;
                    (state, _) = self
                        .changed
                        .wait_timeout(state, LOOK)
                        .unwrap_or_else(PoisonError::into_inner);
                    if let Some(refused) = refusal(&state) {
                        return Err(refused);
                    }
                }
            }
        }
    }

    /// Nothing comes behind the end that a stop has put there.
    fn enqueue(&self, state: &mut State, event: gst::Event) {
        if state.draining {
            return;
        }
        let anywhere = Bounds { buffers: 0, bytes: 0 };
        state
            .backlog
            .offer(Item::Event(event), DropPolicy::Block, &anywhere, false);
        self.changed.notify_all();
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        let role = self.role();
        match event.view() {
            gst::EventView::FlushStart(_) => {
                lock(&self.state).flushing = true;
                self.changed.notify_all();
                true
            }
            gst::EventView::FlushStop(_) => {
                let mut state = lock(&self.state);
                state.flushing = false;
                // What is no frame is still true for those that come.
                let kept: Vec<_> = state.backlog.clear().filter(keeps).collect();
                for item in kept {
                    state
                        .backlog
                        .offer(item, DropPolicy::Block, &Bounds { buffers: 0, bytes: 0 }, false);
                }
                self.level.frames.store(0, Ordering::Relaxed);
                state.segment = gst::FormattedSegment::new();
                if state.ended && !state.draining {
                    state.ended = false;
                    self.level.ended.store(false, Ordering::Relaxed);
                }
                state.timeline.flushed();
                lock(&role.together.timeline).flushed(event.seqnum());
                drop(state);
                self.changed.notify_all();
                true
            }
            gst::EventView::Segment(segment) => {
                let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() else {
                    gst::element_imp_error!(self, gst::StreamError::Format, ("a segment in time is needed"));
                    return false;
                };
                lock(&self.state).segment = segment.clone();
                true
            }
            gst::EventView::Caps(caps) => {
                let mut query = gst::query::Latency::new();
                let is_live = self.sinkpad.peer_query(&mut query) && query.result().0;
                let mut state = lock(&self.state);
                let rate = caps
                    .caps()
                    .structure(0)
                    .and_then(|s| s.get::<gst::Fraction>("framerate").ok());
                state.duration = rate.filter(|rate| rate.numer() > 0).and_then(|rate| {
                    gst::ClockTime::SECOND.mul_div_round(rate.denom().try_into().ok()?, rate.numer().try_into().ok()?)
                });
                state.is_live = is_live;
                self.enqueue(&mut state, event);
                true
            }
            gst::EventView::Eos(_) => {
                let mut state = lock(&self.state);
                if !state.ended {
                    state.ended = true;
                    self.enqueue(&mut state, event);
                }
                true
            }
            gst::EventView::StreamStart(_) => {
                let mut state = lock(&self.state);
                state.ended &= state.draining;
                if !std::mem::replace(&mut state.started, true) {
                    self.enqueue(&mut state, event);
                }
                true
            }
            gst::EventView::Gap(gap) => {
                if role.kind == Kind::Audio {
                    self.has_come.store(true, Ordering::Relaxed);
                    let mut state = lock(&self.state);
                    let (start, duration) = gap.get();
                    if let Some(running) = state.segment.to_running_time(start) {
                        let placed = {
                            let mut shared = lock(&role.together.timeline);
                            state.timeline.place(&mut shared, Some(running), duration)
                        };
                        let gap = gst::event::Gap::builder(placed.start).duration(duration).build();
                        self.enqueue(&mut state, gap);
                    }
                }
                true
            }
            gst::EventView::Tag(_) | gst::EventView::CustomDownstream(_) | gst::EventView::Toc(_) => {
                let mut state = lock(&self.state);
                if refusal(&state).is_none() {
                    self.enqueue(&mut state, event);
                }
                true
            }
            // Selections, protections and the like say nothing to a file.
            _ => true,
        }
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let accepted = self.role().host.accepted(&self.obj());
                let result = caps.filter().map_or_else(
                    || accepted.clone(),
                    |filter| filter.intersect_with_mode(&accepted, gst::CapsIntersectMode::First),
                );
                caps.set_result(&result);
                true
            }
            gst::QueryViewMut::AcceptCaps(accept) => {
                let accepted = self.role().host.accepted(&self.obj());
                let takes = accept.caps().can_intersect(&accepted);
                accept.set_result(takes);
                true
            }
            gst::QueryViewMut::Allocation(allocation) => {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                // What waits is not at the source's disposal meanwhile.
                let info = allocation
                    .get_owned()
                    .0
                    .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
                if let (Kind::Video, Some(info)) = (self.kind(), info) {
                    let waiting = self.limits(&lock(&self.state)).bounds.buffers.clamp(1, 64) as u32;
                    allocation.add_allocation_pool(gst::BufferPool::NONE, info.size() as u32, waiting + 1, 0);
                }
                true
            }
            gst::QueryViewMut::Drain(_) => true,
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            // The file is not to be seen: nobody downstream is late, or wants another size.
            gst::EventView::Qos(_) | gst::EventView::Reconfigure(_) => true,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let mut upstream = gst::query::Latency::new();
            if !self.sinkpad.peer_query(&mut upstream) {
                return false;
            }
            let (live, least, most) = upstream.result();
            let waits = {
                let state = lock(&self.state);
                let buffers = self.limits(&state).bounds.buffers as u64;
                state
                    .duration
                    .filter(|_| buffers > 0)
                    .map(|one| one.saturating_mul(buffers))
            };
            latency.set(
                live,
                least,
                most.zip(waits).map(|(most, waits)| most.saturating_add(waits)),
            );
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn activate(&self, active: bool) -> Result<(), gst::LoggableError> {
        lock(&self.state).active = active;
        self.changed.notify_all();
        if active {
            let gate = self.obj().downgrade();
            let work = move || {
                if let Some(gate) = gate.upgrade() {
                    gate.imp().work();
                }
            };
            self.srcpad
                .start_task(work)
                .map_err(|_| gst::loggable_error!(CAT, "the task does not start"))
        } else {
            self.srcpad
                .stop_task()
                .map_err(|_| gst::loggable_error!(CAT, "the task does not stop"))
        }
    }

    /// Passes on what is next.
    fn work(&self) {
        let (item, key_frame, level) = {
            let mut state = lock(&self.state);
            loop {
                if !state.active {
                    drop(state);
                    let _ = self.srcpad.pause_task();
                    return;
                }
                // After an error only the end goes on, so that what was written is finished.
                let waits = state.until.is_some_and(|until| {
                    let next = state.backlog.front().and_then(start);
                    next.is_some_and(|next| next >= until)
                });
                if (state.open || state.draining) && !state.flushing && !state.backlog.is_empty() && !waits {
                    break;
                }
                (state, _) = self
                    .changed
                    .wait_timeout(state, LOOK)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            let Some(item) = state.backlog.take() else { return };
            self.level.frames.store(state.backlog.buffers(), Ordering::Relaxed);
            let is_frame = matches!(item, Item::Frame(_));
            let key_frame = is_frame && std::mem::take(&mut state.key_frame);
            let bounds = self.limits(&state).bounds;
            let level = if bounds.buffers == 0 {
                0.0
            } else {
                state.backlog.buffers() as f64 / bounds.buffers as f64
            };
            (item, key_frame, level)
        };
        self.changed.notify_all();
        let passing = lock(&self.passing);
        let result = match item {
            Item::Frame(buffer) => self.pass_frame(buffer, key_frame, level),
            Item::Event(event) => self.pass_event(event),
        };
        drop(passing);
        if let Err(error) = result
            && error != gst::FlowError::Flushing
        {
            self.fail(error);
        }
    }

    fn pass_frame(&self, buffer: gst::Buffer, key_frame: bool, level: f64) -> Result<(), gst::FlowError> {
        let role = self.role();
        let (failed, again) = {
            let mut state = lock(&self.state);
            let again = std::mem::take(&mut state.again).then(|| state.caps.clone()).flatten();
            (state.flow.is_some(), again)
        };
        if failed {
            return Ok(());
        }
        if let Some(caps) = again {
            self.begin();
            role.host.caps(&self.obj(), &caps)?;
            self.srcpad.push_event(gst::event::Caps::new(&caps));
            self.srcpad
                .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        }
        if role.kind == Kind::Video {
            role.host.passing(level);
            if key_frame {
                let event = gst_video::DownstreamForceKeyUnitEvent::builder()
                    .all_headers(true)
                    .build();
                self.srcpad.push_event(event);
            }
        }
        self.srcpad.push(buffer).map(|_| ())
    }

    fn begin(&self) {
        let id = self.srcpad.create_stream_id(&*self.obj(), None);
        self.srcpad.push_event(gst::event::StreamStart::new(&id));
    }

    fn pass_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        let role = self.role();
        match event.view() {
            gst::EventView::Caps(caps) => {
                if lock(&self.state).flow.is_some() {
                    return Ok(());
                }
                let caps = caps.caps_owned();
                role.host.caps(&self.obj(), &caps)?;
                let first = lock(&self.state).caps.replace(caps).is_none();
                self.srcpad.push_event(event);
                if first {
                    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                    self.srcpad.push_event(gst::event::Segment::new(&segment));
                }
                Ok(())
            }
            gst::EventView::Eos(_) => {
                self.level.ended.store(true, Ordering::Relaxed);
                let broken = {
                    let mut state = lock(&self.state);
                    state.again = true;
                    state.flow.is_some_and(|flow| flow != gst::FlowError::Eos)
                };
                role.host.ending(&self.obj(), broken);
                self.srcpad.push_event(event);
                lock(&self.state).passed = true;
                self.changed.notify_all();
                Ok(())
            }
            _ => {
                // An event that nobody takes is no error.
                self.srcpad.push_event(event);
                Ok(())
            }
        }
    }

    /// What comes is refused from now on, and the file is finished with what it has.
    fn fail(&self, error: gst::FlowError) {
        gst::debug!(CAT, imp = self, "downstream says {error:?}");
        // The file does without this stream.
        let alone = self.kind() == Kind::Audio && error == gst::FlowError::NotLinked;
        self.refuse(if alone { gst::FlowError::Eos } else { error });
        self.drain();
    }

    /// Downstream is broken, whatever this stream itself has seen of it.
    pub fn refuse(&self, error: gst::FlowError) {
        lock(&self.state).flow.get_or_insert(error);
        self.changed.notify_all();
    }
}

/// What is to be told of frames that are dropped, if any are.
fn count(state: &mut State, frames: usize, at: gst::ClockTime, duration: Option<gst::ClockTime>) -> Option<Dropped> {
    if frames == 0 {
        return None;
    }
    state.dropped += frames as u64;
    let last = state.last_drop.replace(at);
    let first = last.is_none_or(|last| at.saturating_sub(last) > EPISODE);
    Some(Dropped {
        frames,
        first,
        at,
        duration,
    })
}

/// Why nothing is taken.
fn refusal(state: &State) -> Option<gst::FlowError> {
    if state.flushing || !state.active {
        return Some(gst::FlowError::Flushing);
    }
    state.flow.or_else(|| state.ended.then_some(gst::FlowError::Eos))
}

/// Where a frame is in the file.
fn start(item: &Item) -> Option<gst::ClockTime> {
    match item {
        Item::Frame(buffer) => buffer.pts(),
        Item::Event(_) => None,
    }
}

/// What a flush leaves.
fn keeps(item: &Item) -> bool {
    match item {
        Item::Frame(_) => false,
        Item::Event(event) => !matches!(event.type_(), gst::EventType::Eos | gst::EventType::Gap),
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FrameGate {
    const NAME: &'static str = "GstNunchiFrameGate";
    type Type = super::FrameGate;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let sink = class.pad_template("sink").expect("declared below");
        let src = class.pad_template("src").expect("declared below");
        let sinkpad = gst::Pad::builder_from_template(&sink)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.chain(buffer))
            })
            .event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&src)
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .activatemode_function(|_, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "a panic")),
                    |this| {
                        if mode == gst::PadMode::Push {
                            this.activate(active)
                        } else {
                            Err(gst::loggable_error!(CAT, "no pull mode"))
                        }
                    },
                )
            })
            .build();
        Self {
            sinkpad,
            srcpad,
            role: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
            level: Arc::default(),
            passing: Mutex::default(),
            has_come: AtomicBool::new(false),
        }
    }
}

impl ObjectImpl for FrameGate {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            obj.add_pad(pad).expect("a new element has no pad of that name");
        }
    }
}

impl GstObjectImpl for FrameGate {}

impl ElementImpl for FrameGate {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
            let any = gst::Caps::new_any();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any)
                        .expect("a template of constant parts")
                })
                .into()
        });
        &TEMPLATES
    }
}
