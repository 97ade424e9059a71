//! Scenarios that come in-band, through the request pad.
//!
//! A stream in time format carries one scenario in each buffer, which counts from the buffer's running time on. A stream in
//! bytes, as `filesrc` gives it, is one scenario as a whole, which counts from its end on.
//!
//! Each side waits for the other: the pad until the video has come to the time of its scenario, and the video until all
//! scenarios up to its frame have come.

use nunchi_motiontext::player::Player;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Bytes of a scenario that is not complete yet; larger ones are refused by the parser.
const MAX_BYTES: usize = 33 << 20;

/// Hands scenarios from the request pad's thread to that of the video, one at a time.
#[derive(Default)]
pub struct Feed {
    state: Mutex<State>,
    changed: Condvar,
}

/// A scenario, and what it was read from.
pub struct Fed {
    pub player: Box<Player>,
    pub json: Arc<[u8]>,
}

/// What the time stamps of a buffer say, in running time.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// Its scenario counts from then on; at once without one.
    pub from: Option<gst::ClockTime>,
    /// No other one is due before; unknown without one.
    pub until: Option<gst::ClockTime>,
}

#[derive(Default)]
struct State {
    /// The request pad is linked.
    linked: bool,
    /// The video never waits.
    impatient: bool,
    /// The video does not wait: it is flushing, or stops.
    released: bool,
    /// Since when the pad may not wait: it is flushing, or the video has ended.
    closed: Option<gst::FlowError>,
    stream: Stream,
    /// Of the last flush.
    flushed: Option<gst::Seqnum>,
}

/// What a flush forgets.
#[derive(Default)]
struct Stream {
    waiting: Option<Waiting>,
    /// All scenarios that are due before have come, in running time.
    come: gst::ClockTime,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    bytes: Vec<u8>,
}

struct Waiting {
    /// In running time; at once without one.
    due: Option<gst::ClockTime>,
    fed: Fed,
}

impl Due {
    /// The whole stream, which has no time.
    pub const WHOLE: Self = Self {
        from: None,
        until: Some(gst::ClockTime::MAX),
    };
}

impl State {
    /// Whether a scenario may still come that a frame at this running time has to show.
    fn lacks(&self, time: gst::ClockTime) -> bool {
        let later = |waiting: &Waiting| waiting.due.is_some_and(|due| due > time);
        self.linked && !self.impatient && self.stream.come <= time && !self.stream.waiting.as_ref().is_some_and(later)
    }

    fn take(&mut self, time: Option<gst::ClockTime>) -> Option<Fed> {
        let due = match (self.stream.waiting.as_ref()?.due, time) {
            (Some(due), Some(time)) => due <= time,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let taken = self.stream.waiting.take_if(|_| due);
        taken.map(|waiting| waiting.fed)
    }
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|e| e.into_inner())
    }

    /// Whether a scenario may still come that a frame at this running time has to show.
    pub fn lacks(&self, time: gst::ClockTime) -> bool {
        self.state().lacks(time)
    }

    /// The scenario that a frame at this running time has to show, if another one has come. `waits` while one may still come.
    pub fn take(&self, time: Option<gst::ClockTime>, waits: bool) -> Result<Option<Fed>, gst::FlowError> {
        let mut last = None;
        let mut state = self.state();
        loop {
            while let Some(fed) = state.take(time) {
                last = Some(fed);
                self.changed.notify_all();
            }
            if !waits || !time.is_some_and(|time| state.lacks(time)) {
                return Ok(last);
            }
            if state.released {
                return Err(gst::FlowError::Flushing);
            }
            state = self.wait(state);
        }
    }

    /// Waits until there is room for a scenario with that time, as long as the pad may wait. One without replaces another.
    pub fn room(&self, due: Option<gst::ClockTime>) -> Result<(), gst::FlowError> {
        let mut state = self.state();
        // The one before may still wait for the first frame.
        while state.closed.is_none() && due.is_some() && state.stream.waiting.is_some() {
            state = self.wait(state);
        }
        state.closed.map_or(Ok(()), Err)
    }

    /// Offers a scenario to the video.
    pub fn put(&self, due: Due, fed: Fed) -> Result<(), gst::FlowError> {
        let mut state = self.state();
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        state.stream.waiting = Some(Waiting { due: due.from, fed });
        state.stream.come = due.until.unwrap_or(state.stream.come);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits until the video has come so far that it took the scenario, as long as the pad may wait.
    pub fn taken(&self, due: Option<gst::ClockTime>) -> Result<(), gst::FlowError> {
        let mut state = self.state();
        while state.closed.is_none() && due.is_some() && state.stream.waiting.is_some() {
            state = self.wait(state);
        }
        match state.closed {
            Some(reason) if state.stream.waiting.is_some() => Err(reason),
            _ => Ok(()),
        }
    }

    /// What the scenario that waits was read from.
    pub fn waiting(&self) -> Option<Arc<[u8]>> {
        let state = self.state();
        state.stream.waiting.as_ref().map(|waiting| waiting.fed.json.clone())
    }

    /// Puts in place of the scenario that waits the same one, read anew.
    pub fn exchange(&self, fed: Fed) {
        let mut state = self.state();
        if let Some(waiting) = &mut state.stream.waiting
            && Arc::ptr_eq(&waiting.fed.json, &fed.json)
        {
            waiting.fed = fed;
        }
    }

    /// From now on the pad waits no more and takes nothing.
    pub fn close(&self, reason: gst::FlowError) {
        self.change(|state| state.closed = Some(reason));
    }

    /// The video goes on after an end, so that the pad may wait again; not if it is flushing.
    pub fn reopen(&self) {
        let mut state = self.state();
        if state.closed == Some(gst::FlowError::Eos) {
            state.closed = None;
        }
    }

    /// Neither side waits any more.
    pub fn stop(&self) {
        self.change(|state| {
            state.closed = Some(gst::FlowError::Flushing);
            state.released = true;
        });
    }

    /// Starts anew.
    pub fn start(&self) {
        self.change(|state| {
            *state = State {
                linked: state.linked,
                impatient: state.impatient,
                ..State::default()
            };
        });
    }

    pub fn set_linked(&self, linked: bool) {
        self.change(|state| state.linked = linked);
    }

    pub fn set_impatient(&self, impatient: bool) {
        self.change(|state| state.impatient = impatient);
    }

    /// The pad has been flushed.
    pub fn flushed(&self, flush: gst::Seqnum) {
        self.change(|state| {
            state.closed = None;
            state.stream = Stream::default();
            state.flushed = Some(flush);
        });
    }

    /// The video is flushing.
    pub fn release_video(&self) {
        self.change(|state| state.released = true);
    }

    /// The video has been flushed, and times count anew: what waits for one of before does not belong there, unless it came
    /// after the same flush.
    pub fn video_flushed(&self, flush: gst::Seqnum) {
        self.change(|state| {
            state.released = false;
            if state.flushed != Some(flush) {
                state.stream.waiting.take_if(|waiting| waiting.due.is_some());
            }
        });
    }

    /// Begins another stream.
    pub fn start_stream(&self) {
        self.reopen();
        self.state().stream.come = gst::ClockTime::ZERO;
    }

    /// Begins a part of the stream. What has been offered stays.
    pub fn set_segment(&self, segment: &gst::Segment) {
        self.change(|state| {
            let stream = &mut state.stream;
            stream.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
            stream.bytes.clear();
            if let Some(base) = stream.segment.as_ref().and_then(gst::FormattedSegment::base) {
                stream.come = stream.come.max(base);
            }
        });
    }

    /// For a while there is no scenario.
    pub fn gap(&self, start: gst::ClockTime, duration: Option<gst::ClockTime>) {
        self.change(|state| {
            let end = start.saturating_add(duration.unwrap_or(gst::ClockTime::ZERO));
            if let Some(end) = state.stream.running_time(end) {
                state.stream.come = end;
            }
        });
    }

    /// All scenarios that are due before that time have come; those that are refused, too.
    pub fn reach(&self, until: Option<gst::ClockTime>) {
        self.change(|state| state.stream.come = until.unwrap_or(state.stream.come));
    }

    /// Whether each buffer is a scenario, and if so, when this one counts.
    pub fn due(&self, buffer: &gst::BufferRef) -> Option<Due> {
        let state = self.state();
        let segment = state.stream.segment.as_ref()?;
        let Some(pts) = buffer.pts() else {
            return Some(Due::WHOLE);
        };
        let from = segment.to_running_time(pts);
        let end = buffer.duration().map(|duration| pts.saturating_add(duration));
        let until = end
            .and_then(|end| state.stream.running_time(end))
            .max(from.map(|from| from.saturating_add(gst::ClockTime::from_nseconds(1))));
        Some(Due { from, until })
    }

    /// Adds to the scenario that the whole stream is.
    pub fn append(&self, buffer: &gst::BufferRef) -> Result<(), gst::FlowError> {
        let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut state = self.state();
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        let bytes = &mut state.stream.bytes;
        let room = MAX_BYTES - bytes.len();
        let part = &data[..data.len().min(room)];
        bytes.extend_from_slice(part);
        if data.len() > room {
            return Err(gst::FlowError::Eos);
        }
        Ok(())
    }

    /// The scenario that the whole stream was; nothing if its buffers were scenarios.
    pub fn complete(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let bytes = std::mem::take(&mut state.stream.bytes);
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Stream {
    /// Of a time within the segment; what is beyond its end counts as its end.
    fn running_time(&self, time: gst::ClockTime) -> Option<gst::ClockTime> {
        let segment = self.segment.as_ref()?;
        let time = segment.stop().map_or(time, |stop| stop.min(time));
        segment.to_running_time(time)
    }
}
