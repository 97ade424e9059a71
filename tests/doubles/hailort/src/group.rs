//! A configured network: frames go in, are worked on for a while, and come out in order.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hailort_abi::{Format, Status};

use crate::behaviour::{Behaviour, Fault};
use crate::device::Device;
use crate::hef::Hef;
use crate::model::{self, Model};

/// Longest wait before the device is looked at again.
const POLL: Duration = Duration::from_millis(20);

pub struct Group {
    pub hef: Arc<Hef>,
    pub device: Arc<Device>,
    behaviour: Behaviour,
    model: Mutex<Model>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Frames that wait for the other inputs, per input.
    pending: Vec<VecDeque<Vec<f32>>>,
    /// Results, per output.
    results: Vec<VecDeque<Finished>>,
    /// When the last frames are done, as many as are worked on at once.
    done: VecDeque<Instant>,
    frames: u64,
    shut: bool,
}

struct Finished {
    at: Instant,
    values: Arc<[f32]>,
    fault: Option<Fault>,
}

/// A stream's side of the group.
#[derive(Clone)]
pub struct End {
    pub group: Arc<Group>,
    pub index: usize,
    pub format: Format,
    pub timeout: Duration,
    pub queue: usize,
}

impl Group {
    pub fn new(hef: Arc<Hef>, device: Arc<Device>) -> Result<Self, Status> {
        let behaviour = hef.behaviour().ok_or(Status::HEF_FILE_CORRUPTED)?;
        std::thread::sleep(behaviour.start);
        let state = State {
            pending: hef.inputs.iter().map(|_| VecDeque::new()).collect(),
            results: hef.outputs.iter().map(|_| VecDeque::new()).collect(),
            ..State::default()
        };
        Ok(Self {
            model: Mutex::new(Model::load(&hef)?),
            hef,
            device,
            behaviour,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shut(&self) {
        self.state().shut = true;
        self.changed.notify_all();
    }

    /// Streams are made anew: nothing of the old ones may come out.
    pub fn reset(&self) {
        let mut state = self.state();
        state.pending.iter_mut().for_each(VecDeque::clear);
        state.results.iter_mut().for_each(VecDeque::clear);
    }

    fn check(&self, state: &State) -> Result<(), Status> {
        self.device.check()?;
        if state.shut { Err(Status::STREAM_ABORT) } else { Ok(()) }
    }

    /// Waits for a change until `until`, a little while at most.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let pause = until.saturating_duration_since(Instant::now()).min(POLL);
        let waited = self.changed.wait_timeout(state, pause);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Runs what is complete. The model's lock keeps the order of two writers.
    fn run(&self) -> Result<(), Status> {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut state = self.state();
            if state.pending.iter().any(VecDeque::is_empty) {
                return Ok(());
            }
            let inputs: Vec<_> = state.pending.iter_mut().filter_map(VecDeque::pop_front).collect();
            drop(state);
            let outputs = model.run(&self.hef, &inputs)?;

            let mut state = self.state();
            let now = Instant::now();
            let free = match state.done.len() >= self.behaviour.flight {
                true => state.done.pop_front().unwrap_or(now).max(now),
                false => now,
            };
            let at = free + self.behaviour.latency;
            state.done.push_back(at);
            let fault = self.behaviour.fault(state.frames);
            state.frames += 1;
            for (queue, values) in state.results.iter_mut().zip(outputs) {
                let values = values.into();
                queue.push_back(Finished { at, values, fault });
            }
            self.changed.notify_all();
        }
    }
}

impl End {
    pub fn frame_size(&self, input: bool) -> usize {
        let streams = if input {
            &self.group.hef.inputs
        } else {
            &self.group.hef.outputs
        };
        let stream = &streams[self.index];
        stream.frame_size(self.format) + stream.size_error
    }

    /// `hailo_vstream_write_raw_buffer`
    pub fn write(&self, bytes: &[u8]) -> Result<(), Status> {
        if bytes.len() != self.frame_size(true) {
            return Err(Status::INVALID_ARGUMENT);
        }
        let group = &self.group;
        let values = model::read(&group.hef.inputs[self.index], self.format, bytes);
        let until = Instant::now() + self.timeout;
        let mut state = group.state();
        loop {
            group.check(&state)?;
            let waiting = state.results.iter().map(VecDeque::len).max().unwrap_or(0) + state.pending[self.index].len();
            if waiting < group.behaviour.flight + self.queue {
                break;
            }
            if Instant::now() >= until {
                return Err(Status::TIMEOUT);
            }
            state = group.wait(state, until);
        }
        state.pending[self.index].push_back(values);
        drop(state);
        group.run()
    }

    /// `hailo_vstream_read_raw_buffer`
    pub fn read(&self, bytes: &mut [u8]) -> Result<(), Status> {
        if bytes.len() != self.frame_size(false) {
            return Err(Status::INVALID_ARGUMENT);
        }
        let group = &self.group;
        let until = Instant::now() + self.timeout;
        let mut state = group.state();
        let result = loop {
            let front = state.results[self.index].front();
            let fault = front.and_then(|result| result.fault);
            if fault == Some(Fault::Stuck) {
                drop(state);
                loop {
                    std::thread::park();
                }
            }
            group.check(&state)?;
            let now = Instant::now();
            let at = front.map(|result| result.at);
            let withheld = matches!(fault, Some(Fault::Timeout | Fault::Hang));
            if !withheld && at.is_some_and(|at| at <= now) {
                break state.results[self.index].pop_front().ok_or(Status::INTERNAL_FAILURE)?;
            }
            if now >= until && fault != Some(Fault::Hang) {
                return Err(Status::TIMEOUT);
            }
            let next = at.filter(|_| !withheld).map_or(now + POLL, |at| at.min(now + POLL));
            state = group.wait(state, next);
        };
        drop(state);
        group.changed.notify_all();
        self.deliver(&result, bytes)
    }

    fn deliver(&self, result: &Finished, bytes: &mut [u8]) -> Result<(), Status> {
        let frame = model::write(&self.group.hef.outputs[self.index], self.format, &result.values);
        let length = frame.len().min(bytes.len());
        match result.fault {
            Some(Fault::Lost) => {
                self.group.device.lost.store(true, Ordering::Relaxed);
                return Err(Status::DRIVER_OPERATION_FAILED);
            }
            Some(Fault::Short) => {
                bytes[..length / 2].copy_from_slice(&frame[..length / 2]);
                return Err(Status::INVALID_FRAME);
            }
            Some(Fault::Nan) => bytes
                .as_chunks_mut::<4>()
                .0
                .iter_mut()
                .for_each(|four| *four = f32::NAN.to_ne_bytes()),
            Some(Fault::Garbage) => bytes.fill(0xa5),
            _ => bytes[..length].copy_from_slice(&frame[..length]),
        }
        Ok(())
    }
}
