//! Scenarios that come in-band, through the request pad.
//!
//! A stream in time format carries one scenario in each buffer, which counts from the buffer's running time on. A stream in
//! bytes, as `filesrc` gives it, is one scenario as a whole, which counts from its end on.

use nunchi_motiontext::player::Player;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Bytes of a scenario that is not complete yet; larger ones are refused by the parser.
const MAX_BYTES: usize = 33 << 20;

/// Hands scenarios from the request pad's thread to that of the video, one at a time.
#[derive(Default)]
pub struct Feed {
    state: Mutex<State>,
    taken: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when the pad may not wait: it is flushing, or the video has ended.
    closed: Option<gst::FlowError>,
    waiting: Option<Waiting>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    bytes: Vec<u8>,
}

struct Waiting {
    /// In running time; at once without one.
    due: Option<gst::ClockTime>,
    player: Box<Player>,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The scenario that a frame at this running time has to show, if another one has come.
    pub fn take(&self, time: Option<gst::ClockTime>) -> Option<Box<Player>> {
        let mut state = self.state();
        let due = match (&state.waiting.as_ref()?.due, time) {
            (Some(due), Some(time)) => *due <= time,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !due {
            return None;
        }
        let waiting = state.waiting.take();
        self.taken.notify_all();
        waiting.map(|waiting| waiting.player)
    }

    /// Offers a scenario, and waits until the video has come so far, as long as the pad may wait.
    pub fn offer(&self, due: Option<gst::ClockTime>, player: Box<Player>) -> Result<(), gst::FlowError> {
        let mut state = self.state();
        // The one before may still wait for the first frame.
        while state.closed.is_none() && due.is_some() && state.waiting.is_some() {
            state = self.taken.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        state.waiting = Some(Waiting { due, player });
        while state.closed.is_none() && due.is_some() && state.waiting.is_some() {
            state = self.taken.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        match state.closed {
            Some(reason) if state.waiting.is_some() => Err(reason),
            _ => Ok(()),
        }
    }

    /// From now on the pad waits no more and takes nothing.
    pub fn close(&self, reason: gst::FlowError) {
        let mut state = self.state();
        state.closed = Some(reason);
        self.taken.notify_all();
    }

    /// Starts anew.
    pub fn open(&self) {
        *self.state() = State::default();
    }

    /// The video goes on after an end, so that the pad may wait again; not if it is flushing.
    pub fn reopen(&self) {
        let mut state = self.state();
        if state.closed == Some(gst::FlowError::Eos) {
            state.closed = None;
        }
    }

    /// Begins another stream, or part of one. What has been offered stays.
    pub fn set_segment(&self, segment: &gst::Segment) {
        let mut state = self.state();
        state.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        state.bytes.clear();
    }

    /// Whether each buffer is a scenario, and if so, from which running time on this one counts.
    pub fn due(&self, buffer: &gst::BufferRef) -> Option<Option<gst::ClockTime>> {
        let state = self.state();
        let segment = state.segment.as_ref()?;
        Some(buffer.pts().and_then(|pts| segment.to_running_time(pts)))
    }

    /// Adds to the scenario that the whole stream is.
    pub fn append(&self, buffer: &gst::BufferRef) -> Result<(), gst::FlowError> {
        let data = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut state = self.state();
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        let room = MAX_BYTES - state.bytes.len();
        let part = &data[..data.len().min(room)];
        state.bytes.extend_from_slice(part);
        if data.len() > room {
            return Err(gst::FlowError::Eos);
        }
        Ok(())
    }

    /// The scenario that the whole stream was; nothing if its buffers were scenarios.
    pub fn complete(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let bytes = std::mem::take(&mut state.bytes);
        (!bytes.is_empty()).then_some(bytes)
    }
}
