//! A network on the device: opened, streaming, closed.

use std::ffi::c_char;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use hailort_abi::{
    Format, InputVStream, MAX_STREAMS, NetworkGroup, OutputVStream, Status, VStreamInfo, VStreamParamsByName,
    format_type, text,
};

use super::super::{EngineError, ModelSource, TensorInfo};
use super::device::{Configured, Lease};
use super::hef::{self, Hef};
use super::library::Library;
use super::options::{HailoOptions, StreamFormat};
use super::stream::{Done, Job, StreamId, Worker};
use super::unsupported;

/// HailoRT's own queue per stream.
const QUEUE: u32 = 2;
/// Deepest queue that is asked for.
const MAX_QUEUE: u32 = 64;

/// What the library holds for one network. Dropped in HailoRT's order: streams, group and HEF, device.
struct Handles {
    library: Arc<Library>,
    inputs: Vec<InputVStream>,
    outputs: Vec<OutputVStream>,
    group: Option<Configured>,
    lease: Lease,
    /// Whether every frame came back, so that the group can be used again.
    clean: bool,
}

impl Drop for Handles {
    fn drop(&mut self) {
        let api = &self.library.api;
        // SAFETY: streams that were created and are released once; the threads that used them have ended.
        unsafe {
            if !self.outputs.is_empty() {
                let _ = (api.hailo_release_output_vstreams)(self.outputs.as_ptr(), self.outputs.len());
            }
            if !self.inputs.is_empty() {
                let _ = (api.hailo_release_input_vstreams)(self.inputs.as_ptr(), self.inputs.len());
            }
        }
        if let Some(group) = self.group.take().filter(|_| self.clean) {
            self.lease.reuse(group);
        }
    }
}

/// The network with its threads. Dropping it waits for them: do that on a thread that nobody depends on.
pub(super) struct Session {
    writers: Vec<Worker>,
    readers: Vec<Worker>,
    handles: Handles,
}

/// A session as it was opened, and what its owner needs of it.
pub(super) struct Opened {
    pub session: Session,
    pub done: Receiver<Done>,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
}

impl Session {
    /// Waits for the device without a bound of its own.
    pub fn open(source: &ModelSource, options: &HailoOptions) -> Result<Opened, EngineError> {
        let library = Library::get()?;
        let model = source.read()?;
        let hef = Hef::open(&library, source, &model)?;
        let mut hasher = DefaultHasher::new();
        model.hash(&mut hasher);
        drop(model);
        let infos = hef
            .streams()
            .map_err(|status| failed("the streams of the HEF", status))?;

        let lease = Lease::open(&library, options)?;
        let group = lease.configure(source, hef, hasher.finish(), options.batch_size)?;
        let handle = group.handle;
        let mut handles = Handles {
            library,
            inputs: Vec::new(),
            outputs: Vec::new(),
            group: Some(group),
            lease,
            clean: true,
        };
        schedule(&handles.library, handle, options)?;
        handles.create(handle, &infos, options)?;
        let (inputs, outputs) = handles.describe(source)?;

        let (sender, done) = channel();
        let mut session = Self {
            writers: Vec::new(),
            readers: Vec::new(),
            handles,
        };
        session.spawn(&sender).map_err(|error| {
            unsupported(
                format!("no thread could be started: {error}"),
                "raise the limit of processes",
            )
        })?;
        Ok(Opened {
            session,
            done,
            inputs,
            outputs,
        })
    }

    fn spawn(&mut self, done: &Sender<Done>) -> std::io::Result<()> {
        let api = self.handles.library.api;
        for (index, &stream) in self.handles.inputs.iter().enumerate() {
            // SAFETY: the stream lives until the thread has ended; the buffer is the job's own, of the frame's size.
            let write =
                move |buffer: *mut _, size| unsafe { (api.hailo_vstream_write_raw_buffer)(stream, buffer, size) };
            self.writers
                .push(Worker::spawn(StreamId::Input(index), done.clone(), write)?);
        }
        for (index, &stream) in self.handles.outputs.iter().enumerate() {
            // SAFETY: as above.
            let read = move |buffer, size| unsafe { (api.hailo_vstream_read_raw_buffer)(stream, buffer, size) };
            self.readers
                .push(Worker::spawn(StreamId::Output(index), done.clone(), read)?);
        }
        Ok(())
    }

    /// Hands a buffer to the thread of its stream; gives it back when that has ended.
    pub fn start(&self, stream: StreamId, job: Job) -> Result<(), Job> {
        let worker = match stream {
            StreamId::Input(index) => &self.writers[index],
            StreamId::Output(index) => &self.readers[index],
        };
        worker.jobs.send(job).map_err(|unsent| unsent.0)
    }

    /// The device failed: nobody else gets it, and the threads are told to stop waiting when this is dropped.
    pub fn lose(&self) {
        self.handles.lease.lose();
    }

    /// Frames are under way, or will never come: what is left cannot be used again.
    pub fn soil(&mut self) {
        self.handles.clean = false;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(group) = self.handles.group.as_ref().filter(|_| !self.handles.clean) {
            // Ends reads and writes that wait for the device.
            // SAFETY: a group that is configured.
            let _ = unsafe { (self.handles.library.api.hailo_shutdown_network_group)(group.handle) };
        }
        let (jobs, threads): (Vec<_>, Vec<_>) = self
            .writers
            .drain(..)
            .chain(self.readers.drain(..))
            .map(|worker| (worker.jobs, worker.thread))
            .unzip();
        drop(jobs);
        for thread in threads {
            // A worker has nothing that panics.
            let _ = thread.join();
        }
    }
}

impl Handles {
    fn create(
        &mut self,
        group: NetworkGroup,
        infos: &[VStreamInfo],
        options: &HailoOptions,
    ) -> Result<(), EngineError> {
        let api = self.library.api;
        let queue = QUEUE.max(options.frames_at_once() as u32).min(MAX_QUEUE);
        let timeout = u32::try_from(options.frame_timeout.as_millis()).unwrap_or(u32::MAX - 1);
        let params = |format: StreamFormat, make: Make| {
            let kind = format_of(format);
            let mut params = vec![VStreamParamsByName::default(); MAX_STREAMS];
            let mut count = params.len();
            // SAFETY: a configured group, an array and its length.
            unsafe { make(group, false, kind, params.as_mut_ptr(), &mut count) }.ok()?;
            params.truncate(count);
            for one in &mut params {
                one.params.timeout_ms = timeout;
                one.params.queue_size = queue;
                if infos
                    .iter()
                    .any(|info| same_name(&info.name, &one.name) && hef::is_nms(info.format))
                {
                    one.params.user_buffer_format.kind = format_type::FLOAT32;
                }
            }
            Ok(params)
        };
        let inputs = params(options.input, api.hailo_make_input_vstream_params);
        let inputs = inputs.map_err(|status| failed("the inputs", status))?;
        let outputs = params(options.output, api.hailo_make_output_vstream_params);
        let outputs = outputs.map_err(|status| failed("the outputs", status))?;

        let mut streams = vec![InputVStream::NULL; inputs.len()];
        // SAFETY: arrays of that length.
        let status =
            unsafe { (api.hailo_create_input_vstreams)(group, inputs.as_ptr(), inputs.len(), streams.as_mut_ptr()) };
        status.ok().map_err(|status| failed("the inputs", status))?;
        self.inputs = streams;

        let mut streams = vec![OutputVStream::NULL; outputs.len()];
        // SAFETY: arrays of that length.
        let status =
            unsafe { (api.hailo_create_output_vstreams)(group, outputs.as_ptr(), outputs.len(), streams.as_mut_ptr()) };
        status.ok().map_err(|status| failed("the outputs", status))?;
        self.outputs = streams;
        Ok(())
    }

    /// The streams as tensors.
    fn describe(&self, source: &ModelSource) -> Result<(Vec<TensorInfo>, Vec<TensorInfo>), EngineError> {
        let api = &self.library.api;
        let one = |ask: &dyn Fn(&mut VStreamInfo, &mut Format, &mut usize) -> Result<(), Status>| {
            let (mut info, mut format, mut size) = (VStreamInfo::default(), Format::default(), 0);
            ask(&mut info, &mut format, &mut size).map_err(|status| failed("the streams", status))?;
            hef::tensor(source, &info, format, Some(size))
        };
        let input = |&stream: &InputVStream| {
            // SAFETY: a stream that was created, and valid pointers.
            one(&|info, format, size| unsafe {
                (api.hailo_get_input_vstream_info)(stream, info).ok()?;
                (api.hailo_get_input_vstream_user_format)(stream, format).ok()?;
                (api.hailo_get_input_vstream_frame_size)(stream, size).ok()
            })
        };
        let output = |&stream: &OutputVStream| {
            // SAFETY: a stream that was created, and valid pointers.
            one(&|info, format, size| unsafe {
                (api.hailo_get_output_vstream_info)(stream, info).ok()?;
                (api.hailo_get_output_vstream_user_format)(stream, format).ok()?;
                (api.hailo_get_output_vstream_frame_size)(stream, size).ok()
            })
        };
        let inputs = self.inputs.iter().map(input).collect::<Result<_, _>>()?;
        let outputs = self.outputs.iter().map(output).collect::<Result<_, _>>()?;
        Ok((inputs, outputs))
    }
}

type Make = unsafe extern "C" fn(NetworkGroup, bool, u32, *mut VStreamParamsByName, *mut usize) -> Status;

fn format_of(format: StreamFormat) -> u32 {
    match format {
        StreamFormat::Native => format_type::AUTO,
        StreamFormat::Float => format_type::FLOAT32,
    }
}

fn same_name(a: &[c_char], b: &[c_char]) -> bool {
    text(a) == text(b)
}

fn schedule(library: &Library, group: NetworkGroup, options: &HailoOptions) -> Result<(), EngineError> {
    let api = &library.api;
    let all = std::ptr::null();
    let timeout = u32::try_from(options.scheduler_timeout.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: a configured group; null stands for all of its networks. The priority was checked.
    let status = unsafe {
        (api.hailo_set_scheduler_timeout)(group, timeout, all)
            .ok()
            .and_then(|()| (api.hailo_set_scheduler_threshold)(group, options.scheduler_threshold, all).ok())
            .and_then(|()| (api.hailo_set_scheduler_priority)(group, options.scheduler_priority, all).ok())
    };
    status.map_err(|status| {
        unsupported(
            format!("the scheduler refuses its settings ({status})"),
            "use the defaults of scheduler-timeout-ms, scheduler-threshold and scheduler-priority",
        )
    })
}

fn failed(what: &str, status: Status) -> EngineError {
    unsupported(
        format!("{what} cannot be opened ({status})"),
        "see `hailortcli run` with the same file",
    )
}

/// What a call that runs on its own thread left behind.
enum Outcome<T> {
    None,
    Some(T),
    /// Nobody waits any more.
    Abandoned,
}

/// Runs `call` on a thread of its own, because calls of HailoRT can hang, and waits for it, `bound` at most. `None` when
/// it is not back by then: it goes on, and drops there what it comes back with, as that can hang as well.
pub(super) fn bounded<T: Send + 'static>(
    name: &str,
    bound: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let shared = Arc::new((Mutex::new(Outcome::None), Condvar::new()));
    // Held here too: where there is no thread to be had, what `call` owns is left alone rather than dropped by the caller.
    let work = Arc::new(Mutex::new(Some(call)));
    let (theirs, job) = (Arc::clone(&shared), Arc::clone(&work));
    let run = move || {
        let call = job.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = call.map(|call| std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)));
        let (outcome, ready) = &*theirs;
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let abandoned = matches!(*outcome, Outcome::Abandoned);
        match result {
            Some(Ok(value)) if !abandoned => *outcome = Outcome::Some(value),
            late => {
                *outcome = Outcome::Abandoned;
                drop(outcome);
                drop(late);
            }
        }
        ready.notify_all();
    };
    if std::thread::Builder::new().name(name.to_owned()).spawn(run).is_err() {
        std::mem::forget(work);
        return None;
    }
    let (outcome, ready) = &*shared;
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut outcome, _) = ready
        .wait_timeout_while(outcome, bound, |outcome| matches!(outcome, Outcome::None))
        .unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *outcome, Outcome::Abandoned) {
        Outcome::Some(value) => Some(value),
        Outcome::None | Outcome::Abandoned => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_call_in_time_gives_its_result() {
        assert_eq!(bounded("test", Duration::from_secs(10), || 7), Some(7));
    }

    #[test]
    fn a_call_that_hangs_is_left_behind() {
        let (_keep, never) = channel::<()>();
        let start = Instant::now();
        let result = bounded("test", Duration::from_millis(20), move || never.recv().is_ok());
        assert_eq!(result, None);
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn what_comes_too_late_is_dropped_where_it_was_made() {
        struct Tells(Sender<std::thread::ThreadId>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.send(std::thread::current().id());
            }
        }
        let (go, wait) = channel::<()>();
        let (sender, told) = channel();
        let late = bounded("test", Duration::from_millis(20), move || {
            let _ = wait.recv();
            Tells(sender)
        });
        assert!(late.is_none());
        drop(go);
        let dropped_on = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_ne!(dropped_on, std::thread::current().id());
    }

    #[test]
    fn a_call_that_panics_gives_nothing() {
        assert_eq!(
            bounded("test", Duration::from_secs(10), || -> u8 {
                std::panic::resume_unwind(Box::new(()))
            }),
            None
        );
    }
}
