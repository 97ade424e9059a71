//! What the streams of one file know of each other, and of the element around.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backlog::Bounds;
use super::settings::DropPolicy;
use super::{FrameGate, timeline};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
}

/// The element around, which knows the encoder and the file.
pub trait Host: Send + Sync {
    /// Frames of these caps are next: what takes them is to be linked to the source pad.
    fn caps(&self, gate: &FrameGate, caps: &gst::Caps) -> Result<(), gst::FlowError>;
    /// All of the stream was passed on, or there never was any; the end is next. `broken`: because of an error.
    fn ending(&self, gate: &FrameGate, broken: bool);
    /// What can be taken.
    fn accepted(&self, gate: &FrameGate) -> gst::Caps;
    /// The bounds and the rule as they are now.
    fn limits(&self) -> Limits;
    /// A frame of video is about to go to the encoder. `level`: the share of the queue that is filled.
    fn passing(&self, level: f64);
    /// Frames of video went for want of room.
    fn dropped(&self, drop: Dropped);
    /// Time went back, and the file's did not.
    fn went_back(&self, kind: Kind, at: gst::ClockTime);
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bounds: Bounds,
    pub policy: DropPolicy,
    /// Memory of the process is short.
    pub pressed: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Dropped {
    pub frames: usize,
    /// The first after a time without any.
    pub first: bool,
    pub at: gst::ClockTime,
    pub duration: Option<gst::ClockTime>,
}

/// What the streams of one file know of each other.
#[derive(Default)]
pub struct Together {
    pub timeline: Mutex<timeline::Shared>,
    pub levels: Mutex<Vec<Arc<Level>>>,
}

/// How much of one stream waits, for the others to see.
#[derive(Default)]
pub struct Level {
    pub frames: AtomicUsize,
    pub ended: AtomicBool,
}

impl Together {
    /// As before the first frame.
    pub fn reset(&self) {
        *lock(&self.timeline) = timeline::Shared::default();
    }

    /// Whether another stream has nothing: then the muxer waits for it, and it may come only after more of this one.
    pub fn others_starve(&self, own: &Arc<Level>) -> bool {
        lock(&self.levels).iter().any(|level| {
            !Arc::ptr_eq(level, own)
                && level.frames.load(Ordering::Relaxed) == 0
                && !level.ended.load(Ordering::Relaxed)
        })
    }
}
