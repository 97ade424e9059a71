//! HailoRT through its C library, opened at run time: HEFs on a Hailo-8 or Hailo-8L.
//!
//! One virtual device per process and group id carries the networks of all elements, scheduled round-robin by HailoRT.
//! Every stream of a network has a thread that waits for the device, so that several frames are in flight and the
//! caller waits in [`Network::complete`] only.
//!
//! # Bounds
//! Opening takes [`HailoOptions::start_timeout`] at most. A stream that owes a frame for
//! [`HailoOptions::frame_timeout`] is an [`EngineError::DeviceLost`], as is any failure but a single bad frame; from then
//! on submitting to that network, and completing what is not yet done, gives that error. An [`Interrupt`] ends waiting within
//! 20 ms. Dropping a network waits for the frame time-out and a second at most, never more than three seconds, and leaves what
//! hangs in the library behind, with the memory that it may still write to.

mod device;
mod hef;
mod library;
mod options;
mod session;
mod stream;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hailort_abi::Status;

use super::{EngineError, EngineKind, Interrupt, Layout, ModelSource, Network, TensorInfo, TensorMut, TensorRef};
use session::{Opened, Session, bounded};
use stream::{Buffer, Done, Job, StreamId};

pub(super) use hef::is_hef;
pub use hef::{HefDescription, describe_hef};
pub(super) use library::status;
pub use options::{HailoOptions, StreamFormat};

const KIND: EngineKind = EngineKind::Hailo;
/// Most frames in flight.
const MAX_SLOTS: usize = 32;
/// Frames in flight that keep a device busy: those that it works on, and as many that are on their way.
const SLOTS: usize = 8;
/// What a late result, or closing, may take beyond the frame time-out.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// What closing may take in any case: reads and writes that wait were told to end.
const STOP_MOST: Duration = Duration::from_secs(3);
/// How often whoever waits looks whether it shall go on.
const SLICE: Duration = Duration::from_millis(20);

/// The buffers of one frame. Those that are away are in the hands of a stream.
struct Slot {
    inputs: Vec<Option<Buffer>>,
    outputs: Vec<Option<Buffer>>,
    /// Streams that are not done with it.
    waiting: usize,
    submitted: bool,
    /// Nobody wants the result.
    discarded: bool,
    failure: Option<String>,
}

struct Hailo {
    /// Taken when it is closed.
    session: Option<Session>,
    done: Receiver<Done>,
    device: String,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    slots: Vec<Slot>,
    /// Why nothing more comes.
    lost: Option<String>,
    /// Slots that keep the device busy.
    enough: usize,
    stop_timeout: Duration,
    frame_timeout: Duration,
    interrupt: Interrupt,
}

/// Loads a HEF. `device` is the engine-independent property: empty or `HAILO`.
pub(super) fn load(
    source: &ModelSource,
    device: &str,
    options: &HailoOptions,
) -> Result<Box<dyn Network>, EngineError> {
    if !matches!(device.trim().to_ascii_uppercase().as_str(), "" | "HAILO") {
        return Err(conflict(
            format!("{source} does not run on the device {device}"),
            "leave device empty or HAILO, or give an ONNX model",
        ));
    }
    options.check()?;
    let (owned, wanted) = (source.clone(), options.clone());
    let opened = bounded("hailo-start", options.start_timeout, move || {
        Session::open(&owned, &wanted)
    });
    let Opened {
        session,
        done,
        inputs,
        outputs,
    } = opened.unwrap_or_else(|| {
        Err(unsupported(
            format!("the device was not ready within {:?}", options.start_timeout),
            "see `dmesg | grep -i hailo`; restart the machine when it stays like that",
        ))
    })?;
    let mut network = Hailo {
        session: Some(session),
        done,
        device: match options.device_id.as_str() {
            "" => "HAILO".to_owned(),
            id => format!("HAILO:{id}"),
        },
        inputs,
        outputs,
        slots: Vec::new(),
        lost: None,
        enough: options.frames_at_once().max(SLOTS),
        stop_timeout: options.frame_timeout.saturating_add(STOP_GRACE),
        frame_timeout: options.frame_timeout,
        interrupt: Interrupt::default(),
    };
    network.set_slots(1)?;
    Ok(Box::new(network))
}

impl Hailo {
    fn slot(&mut self, index: usize) -> Result<&mut Slot, EngineError> {
        let count = self.slots.len();
        self.slots
            .get_mut(index)
            .ok_or_else(|| failed(format!("slot {index} of {count}")))
    }

    fn device_lost(&self) -> Option<EngineError> {
        self.lost.as_ref().map(|reason| EngineError::DeviceLost {
            engine: KIND,
            reason: reason.clone(),
        })
    }

    /// Remembers the first reason, and has the session end what waits.
    fn lose(&mut self, reason: String, status: Option<Status>) -> EngineError {
        let reason = self.lost.get_or_insert(reason).clone();
        if let Some(session) = &mut self.session {
            session.soil();
            // A stream that is late says nothing of the other networks on the device.
            if status != Some(Status::TIMEOUT) {
                session.lose();
            }
        }
        EngineError::DeviceLost { engine: KIND, reason }
    }

    /// Puts a buffer back into its slot.
    fn accept(&mut self, done: Done) -> Result<(), EngineError> {
        let Done { stream, job, status } = done;
        let info = match stream {
            StreamId::Input(index) => self.inputs.get(index),
            StreamId::Output(index) => self.outputs.get(index),
        };
        let name = info.map(|info| info.name.clone()).unwrap_or_default();
        // Behind the last box of a list stands what was there before.
        let whole =
            info.is_some_and(|info| !matches!(info.layout, Layout::NmsByClass { .. } | Layout::NmsByScore { .. }));
        match status {
            Status::SUCCESS if whole && matches!(stream, StreamId::Output(_)) && job.buffer.has_nan() => {
                self.slot(job.slot)?.failure = Some(format!("{name}: values that are no numbers"));
            }
            Status::SUCCESS => {}
            status if stream::is_bad_frame(stream, status) => {
                self.slot(job.slot)?.failure = Some(format!("{name}: {status}"))
            }
            Status::TIMEOUT => {
                let reason = format!("{name}: no answer within {:?} ({status})", self.frame_timeout);
                return Err(self.lose(reason, Some(status)));
            }
            status => return Err(self.lose(format!("{name}: {status}"), Some(status))),
        }
        // A frame that was lost never counts as done.
        let slot = self.slot(job.slot)?;
        let place = match stream {
            StreamId::Input(index) => slot.inputs.get_mut(index),
            StreamId::Output(index) => slot.outputs.get_mut(index),
        };
        if let Some(place) = place {
            *place = Some(job.buffer);
        }
        slot.waiting = slot.waiting.saturating_sub(1);
        Ok(())
    }

    /// Waits for what is in the slot and not wanted any more. The device works through its queue in order, so that costs it nothing.
    fn settle(&mut self, slot: usize) -> Result<(), EngineError> {
        if !self.slot(slot)?.discarded {
            return Ok(());
        }
        match self.finish(slot) {
            Err(error @ (EngineError::DeviceLost { .. } | EngineError::Interrupted)) => Err(error),
            // Whether that frame was good is all the same now.
            Ok(()) | Err(_) => {
                self.slot(slot)?.discarded = false;
                Ok(())
            }
        }
    }

    fn in_flight(&self) -> bool {
        self.slots.iter().any(|slot| slot.submitted)
    }
}

impl Network for Hailo {
    fn engine(&self) -> EngineKind {
        KIND
    }

    fn device(&self) -> &str {
        &self.device
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn set_slots(&mut self, count: usize) -> Result<usize, EngineError> {
        for slot in 0..self.slots.len() {
            self.settle(slot)?;
        }
        if self.in_flight() {
            return Err(failed(
                "the number of slots cannot change with frames in flight".to_owned(),
            ));
        }
        let buffers = |infos: &[TensorInfo]| infos.iter().map(|info| Some(Buffer::new(info))).collect();
        let slot = || Slot {
            inputs: buffers(&self.inputs),
            outputs: buffers(&self.outputs),
            waiting: 0,
            submitted: false,
            discarded: false,
            failure: None,
        };
        let count = if count == 0 { self.enough } else { count };
        self.slots.resize_with(count.clamp(1, MAX_SLOTS), slot);
        Ok(self.slots.len())
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        self.settle(slot)?;
        let chosen = self.slot(slot)?;
        if chosen.submitted {
            return Err(failed(format!("slot {slot} is in flight")));
        }
        let buffer = chosen.inputs.get_mut(index).and_then(Option::as_mut);
        buffer
            .map(Buffer::get_mut)
            .ok_or_else(|| failed("no such input".to_owned()))
    }

    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        if let Some(error) = self.device_lost() {
            return Err(error);
        }
        let (inputs, outputs) = (self.inputs.len(), self.outputs.len());
        let chosen = self.slot(slot)?;
        if chosen.submitted {
            return Err(failed(format!("slot {slot} is in flight")));
        }
        chosen.submitted = true;
        chosen.failure = None;
        let streams = (0..inputs)
            .map(StreamId::Input)
            .chain((0..outputs).map(StreamId::Output));
        for stream in streams {
            let chosen = self.slot(slot)?;
            let place = match stream {
                StreamId::Input(index) => &mut chosen.inputs[index],
                StreamId::Output(index) => &mut chosen.outputs[index],
            };
            let Some(buffer) = place.take() else {
                return Err(self.lose("a buffer is missing".to_owned(), None));
            };
            chosen.waiting += 1;
            let job = Job { slot, buffer };
            let started = self.session.as_ref().map(|session| session.start(stream, job));
            if !matches!(started, Some(Ok(()))) {
                // Its thread has ended with a failure that stands in the queue of what is done.
                while let Ok(done) = self.done.try_recv() {
                    self.accept(done)?;
                }
                return Err(self.lose("a stream has ended".to_owned(), None));
            }
        }
        Ok(())
    }

    fn complete(&mut self, slot: usize, timeout: Duration) -> Result<(), EngineError> {
        if !self.slot(slot)?.submitted {
            return Err(self
                .device_lost()
                .unwrap_or_else(|| failed("nothing was submitted".to_owned())));
        }
        let start = Instant::now();
        loop {
            let chosen = self.slot(slot)?;
            if chosen.waiting == 0 {
                chosen.submitted = false;
                return match chosen.failure.take() {
                    Some(reason) => Err(failed(reason)),
                    None => Ok(()),
                };
            }
            if let Some(error) = self.device_lost() {
                return Err(error);
            }
            if self.interrupt.is_raised() {
                self.slot(slot)?.discarded = true;
                return Err(EngineError::Interrupted);
            }
            let left = timeout.saturating_sub(start.elapsed());
            match self.done.recv_timeout(left.min(SLICE)) {
                Ok(done) => self.accept(done)?,
                Err(RecvTimeoutError::Timeout) if left > SLICE => {}
                Err(RecvTimeoutError::Timeout) => return Err(failed(format!("no result within {timeout:?}"))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.lose("all its streams have ended".to_owned(), None));
                }
            }
        }
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        while let Ok(done) = self.done.try_recv() {
            // A loss is remembered, and told by `complete`.
            let _ = self.accept(done);
        }
        self.lost.is_some() || self.slots.get(slot).is_none_or(|slot| slot.waiting == 0)
    }

    /// A device that owes the frame beyond its bound is lost, even where HailoRT's own time-out does not hold.
    fn finish(&mut self, slot: usize) -> Result<(), EngineError> {
        let bound = self.stop_timeout;
        let result = self.complete(slot, bound);
        let late = result.as_ref().is_err_and(|error| *error != EngineError::Interrupted);
        if late && self.lost.is_none() && self.slot(slot)?.submitted {
            return Err(self.lose(format!("no result within {bound:?}"), Some(Status::TIMEOUT)));
        }
        result
    }

    fn discard(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.discarded = slot.submitted);
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.interrupt = interrupt;
    }

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        let slot = self.slots.get(slot).ok_or_else(|| failed("no such slot".to_owned()))?;
        if slot.submitted {
            return Err(failed("the slot is in flight".to_owned()));
        }
        let buffer = slot.outputs.get(index).and_then(Option::as_ref);
        buffer
            .map(Buffer::get)
            .ok_or_else(|| failed("no such output".to_owned()))
    }
}

impl Drop for Hailo {
    fn drop(&mut self) {
        let busy = self.in_flight();
        if let Some(mut session) = self.session.take() {
            if busy {
                session.soil();
            }
            bounded("hailo-stop", self.stop_timeout.min(STOP_MOST), move || drop(session));
        }
    }
}

fn failed(reason: String) -> EngineError {
    EngineError::Inference { engine: KIND, reason }
}

fn unsupported(what: String, remedy: &str) -> EngineError {
    EngineError::Unsupported {
        engine: KIND.to_string(),
        what,
        remedy: remedy.to_owned(),
    }
}

/// Settings that no device could follow.
fn conflict(what: String, remedy: &str) -> EngineError {
    EngineError::Conflict {
        engine: KIND.to_string(),
        what,
        remedy: remedy.to_owned(),
    }
}
