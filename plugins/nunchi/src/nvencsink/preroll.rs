//! PAUSED is reached with the first frame, as with any sink.
//!
//! Whoever completes the state of a pipeline tells of it from its own thread, and [`gst::Bin`] remembers only when that is done what it told last: if
//! the application goes on to PLAYING meanwhile, the pipeline takes itself for paused and keeps the end of the stream to itself for ever. Sinks
//! prevent that by a lock that is held while the word goes out, and that the way to PLAYING takes. With an element in front that completes by itself
//! (`decodebin`) there has to be such a sink behind it.

use std::sync::{Mutex, PoisonError};

use gst::prelude::*;

#[derive(Default)]
pub(super) struct Preroll {
    /// Locked while the first frame is told of.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waits: bool,
    probe: Option<gst::PadProbeId>,
}

impl Preroll {
    /// PAUSED is not reached until something came to `pad`: `arrived` is called then.
    pub fn begin(&self, pad: &gst::Pad, arrived: impl Fn() + Send + Sync + 'static) {
        let mut state = self.lock();
        state.waits = true;
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        state.probe = pad.add_probe(kinds, move |_, info| {
            let comes = info
                .event()
                .is_none_or(|event| matches!(event.type_(), gst::EventType::Eos | gst::EventType::Gap));
            if !comes {
                return gst::PadProbeReturn::Ok;
            }
            arrived();
            gst::PadProbeReturn::Remove
        });
    }

    /// Tells of it, if nobody has.
    pub fn finish(&self, tell: impl FnOnce()) {
        let mut state = self.lock();
        // A probe that has been called takes itself away.
        state.probe.take();
        if std::mem::take(&mut state.waits) {
            tell();
        }
    }

    /// Gives up waiting.
    pub fn cancel(&self, pad: &gst::Pad, tell: impl FnOnce()) {
        let probe = self.lock().probe.take();
        if let Some(probe) = probe {
            pad.remove_probe(probe);
        }
        self.finish(tell);
    }

    /// Whether nothing has come yet; not before it has been told of.
    pub fn waits(&self) -> bool {
        self.lock().waits
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
