//! A session: its resources, its frames, and what may be done when.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gst_video::VideoFormat;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS as Status;

use crate::behaviour::{Behaviour, Codec, Fault};
use crate::software::{Encoded, Rate, Setup, Software};
use crate::{cuda, objects};

/// Memory that was registered as a frame.
#[derive(Clone, Copy)]
pub struct Resource {
    pub address: usize,
    pub pitch: usize,
    pub format: VideoFormat,
    pub width: u32,
    pub height: u32,
}

impl Resource {
    /// Whether memory of the context is as large as the frame.
    fn is_memory(&self, context: usize) -> bool {
        let (width, height) = (self.width as usize, self.height as usize);
        let (row, rows) = match self.format {
            VideoFormat::Bgra | VideoFormat::Rgba => (4 * width, height),
            VideoFormat::P01010le => (2 * width, height + height / 2),
            _ => (width, height + height / 2),
        };
        self.pitch >= row && cuda::is_memory(self.address, self.pitch * rows, context)
    }
}

/// A buffer for a packet.
enum Output {
    Free,
    /// Promised to a frame.
    Waiting,
    /// Encoded and not yet read.
    Filled(Packet),
    Locked(#[allow(dead_code, reason = "the reader looks at the bytes")] Packet),
}

pub struct Packet {
    pub encoded: Encoded,
    pub timestamp: u64,
}

/// A frame that is not yet encoded: it is read when its packet is, as late as any real encoder might.
struct Job {
    mapped: usize,
    output: usize,
    timestamp: u64,
    key: bool,
}

pub struct Frame {
    pub mapped: usize,
    pub output: usize,
    pub timestamp: u64,
    pub key: bool,
    pub width: u32,
    pub height: u32,
}

struct Running {
    software: Software,
    /// Frames from one P frame to the next; those between are held back.
    interval: u32,
}

pub struct Session {
    pub behaviour: Behaviour,
    context: usize,
    running: Option<Running>,
    resources: BTreeMap<usize, Resource>,
    /// Mappings, and what they map.
    mapped: BTreeMap<usize, usize>,
    outputs: BTreeMap<usize, Output>,
    jobs: VecDeque<Job>,
    /// How many of the jobs, from the first on, may be read.
    promised: usize,
    frames: u64,
    /// Frames came since the last end of stream.
    open: bool,
    error: CString,
}

type Sessions = Mutex<BTreeMap<usize, Arc<Mutex<Session>>>>;
static SESSIONS: LazyLock<Sessions> = LazyLock::new(Mutex::default);

/// Opens a session in a context.
pub fn open(context: usize) -> Result<usize, Status> {
    let behaviour = Behaviour::of_environment();
    if objects::lost() {
        return Err(Status::NV_ENC_ERR_GENERIC);
    }
    if !cuda::is_context(context) {
        return Err(Status::NV_ENC_ERR_INVALID_ENCODERDEVICE);
    }
    if !behaviour.encoder {
        return Err(Status::NV_ENC_ERR_UNSUPPORTED_DEVICE);
    }
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if sessions.len() >= behaviour.sessions {
        return Err(Status::NV_ENC_ERR_OUT_OF_MEMORY);
    }
    let handle = objects::handle();
    let session = Session {
        behaviour,
        context,
        running: None,
        resources: BTreeMap::new(),
        mapped: BTreeMap::new(),
        outputs: BTreeMap::new(),
        jobs: VecDeque::new(),
        promised: 0,
        frames: 0,
        open: false,
        error: CString::default(),
    };
    sessions.insert(handle, Arc::new(Mutex::new(session)));
    Ok(handle)
}

pub fn get(handle: usize) -> Option<Arc<Mutex<Session>>> {
    let sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    sessions.get(&handle).cloned()
}

/// Ends a session. The real library wants all resources back before, and does not tell.
pub fn close(handle: usize) -> Result<(), Status> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let session = sessions.remove(&handle).ok_or(Status::NV_ENC_ERR_INVALID_PTR)?;
    drop(sessions);
    objects::gone();
    let session = session.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, left) in [
        ("mapped resources", session.mapped.len()),
        ("registered resources", session.resources.len()),
        ("bitstream buffers", session.outputs.len()),
    ] {
        if left > 0 {
            objects::misuse(&format!("a session is destroyed with {left} {what}"));
        }
    }
    if session.open && !objects::lost() {
        objects::misuse("a session is destroyed without an end of stream");
    }
    Ok(())
}

impl Session {
    fn running(&mut self) -> Result<&mut Running, Status> {
        self.running.as_mut().ok_or(Status::NV_ENC_ERR_ENCODER_NOT_INITIALIZED)
    }

    /// An error that the session tells of.
    fn fail<T>(&mut self, status: Status, text: &str) -> Result<T, Status> {
        self.error = CString::new(text).unwrap_or_default();
        Err(status)
    }

    pub fn error(&self) -> &CString {
        &self.error
    }

    /// The context of the session must be current in the thread that calls.
    pub fn check_thread(&self) {
        if cuda::current() != Some(self.context) {
            objects::misuse("NVENC is called without its context being current");
        }
    }

    pub fn initialize(&mut self, setup: Setup, interval: u32) -> Result<(), Status> {
        if self.running.is_some() {
            return Err(Status::NV_ENC_ERR_INVALID_CALL);
        }
        if !self.behaviour.codecs.contains(&setup.codec) {
            return Err(Status::NV_ENC_ERR_UNSUPPORTED_PARAM);
        }
        let (width, height) = self.behaviour.size;
        if setup.width > width
            || setup.height > height
            || !setup.width.is_multiple_of(2)
            || !setup.height.is_multiple_of(2)
        {
            return self.fail(Status::NV_ENC_ERR_INVALID_PARAM, "the size is not supported");
        }
        if interval > self.behaviour.b_frames + 1 {
            return self.fail(Status::NV_ENC_ERR_INVALID_PARAM, "so many B frames are not supported");
        }
        self.running = Some(Running {
            software: Software::new(setup),
            interval,
        });
        Ok(())
    }

    /// Another bit rate; all else must be as it was.
    pub fn reconfigure(&mut self, setup: &Setup) -> Result<(), Status> {
        if !self.behaviour.live_bitrate {
            return Err(Status::NV_ENC_ERR_UNSUPPORTED_PARAM);
        }
        let running = self.running()?;
        let old = running.software.setup();
        if (old.width, old.height, old.codec, old.gop) != (setup.width, setup.height, setup.codec, setup.gop) {
            return self.fail(Status::NV_ENC_ERR_INVALID_PARAM, "only the rate may change");
        }
        running.software.set_rate(setup.rate);
        Ok(())
    }

    pub fn register(&mut self, resource: Resource) -> Result<usize, Status> {
        self.running()?;
        if !resource.is_memory(self.context) {
            return Err(Status::NV_ENC_ERR_RESOURCE_REGISTER_FAILED);
        }
        let handle = objects::handle();
        self.resources.insert(handle, resource);
        Ok(handle)
    }

    pub fn unregister(&mut self, handle: usize) -> Result<(), Status> {
        self.resources
            .remove(&handle)
            .ok_or(Status::NV_ENC_ERR_RESOURCE_NOT_REGISTERED)?;
        if self.mapped.values().any(|&mapped| mapped == handle) {
            objects::misuse("a resource is unregistered that is mapped");
        }
        objects::gone();
        Ok(())
    }

    pub fn map(&mut self, handle: usize) -> Result<(usize, VideoFormat), Status> {
        let resource = self
            .resources
            .get(&handle)
            .ok_or(Status::NV_ENC_ERR_RESOURCE_NOT_REGISTERED)?;
        if self.mapped.values().any(|&mapped| mapped == handle) {
            return Err(Status::NV_ENC_ERR_MAP_FAILED);
        }
        let mapped = objects::handle();
        self.mapped.insert(mapped, handle);
        Ok((mapped, resource.format))
    }

    pub fn unmap(&mut self, mapped: usize) -> Result<(), Status> {
        self.mapped
            .remove(&mapped)
            .ok_or(Status::NV_ENC_ERR_RESOURCE_NOT_MAPPED)?;
        objects::gone();
        if self.open && !objects::lost() && self.jobs.iter().any(|job| job.mapped == mapped) {
            objects::misuse("a frame is unmapped before its packet was read");
        }
        Ok(())
    }

    pub fn create_output(&mut self) -> Result<usize, Status> {
        self.running()?;
        let handle = objects::handle();
        self.outputs.insert(handle, Output::Free);
        Ok(handle)
    }

    pub fn destroy_output(&mut self, handle: usize) -> Result<(), Status> {
        let output = self.outputs.remove(&handle).ok_or(Status::NV_ENC_ERR_INVALID_PTR)?;
        if matches!(output, Output::Locked(_)) {
            objects::misuse("a bitstream buffer is destroyed that is locked");
        }
        objects::gone();
        Ok(())
    }

    /// Takes a frame. Success promises all frames so far.
    pub fn encode(&mut self, frame: Frame) -> Result<(), Status> {
        let running = self.running()?;
        let setup = running.software.setup();
        let (interval, size) = (running.interval, (setup.width, setup.height));
        if (frame.width, frame.height) != size {
            return self.fail(Status::NV_ENC_ERR_INVALID_PARAM, "the frame has another size");
        }
        if !self.mapped.contains_key(&frame.mapped) {
            return Err(Status::NV_ENC_ERR_RESOURCE_NOT_MAPPED);
        }
        if !matches!(self.outputs.get(&frame.output), Some(Output::Free)) {
            return self.fail(Status::NV_ENC_ERR_INVALID_PARAM, "the bitstream buffer is not free");
        }
        let number = self.frames;
        self.frames += 1;
        match self.behaviour.fault(number) {
            Some(Fault::Memory) => return self.fail(Status::NV_ENC_ERR_OUT_OF_MEMORY, "no memory"),
            Some(Fault::Error) => return self.fail(Status::NV_ENC_ERR_GENERIC, "the double was told to fail"),
            Some(Fault::Lost) => {
                objects::lose();
                return Err(Status::NV_ENC_ERR_GENERIC);
            }
            None => {}
        }
        self.open = true;
        self.outputs.insert(frame.output, Output::Waiting);
        self.jobs.push_back(Job {
            mapped: frame.mapped,
            output: frame.output,
            timestamp: frame.timestamp,
            key: frame.key,
        });
        let held = (self.jobs.len() - self.promised) as u32;
        if held < interval && number > 0 && !frame.key {
            return Err(Status::NV_ENC_ERR_NEED_MORE_INPUT);
        }
        self.promise();
        Ok(())
    }

    /// What was held back is encoded: first the last frame, as a P frame is, then those before it, as B frames are. Buffers
    /// stay in the order in which they were given.
    fn promise(&mut self) {
        let mut group: Vec<_> = self.jobs.drain(self.promised..).collect();
        let outputs: Vec<_> = group.iter().map(|job| job.output).collect();
        if !group.is_empty() {
            group.rotate_right(1);
        }
        self.jobs.extend(
            group
                .into_iter()
                .zip(outputs)
                .map(|(job, output)| Job { output, ..job }),
        );
        self.promised = self.jobs.len();
    }

    pub fn end(&mut self) -> Result<(), Status> {
        self.running()?;
        self.promise();
        self.open = false;
        Ok(())
    }

    /// Encodes what is promised up to this buffer, and gives its packet.
    pub fn lock(&mut self, output: usize) -> Result<&Packet, Status> {
        match self.outputs.get(&output) {
            None => return Err(Status::NV_ENC_ERR_INVALID_PTR),
            Some(Output::Free | Output::Locked(_)) => return Err(Status::NV_ENC_ERR_INVALID_CALL),
            Some(Output::Waiting | Output::Filled(_)) => {}
        }
        while matches!(self.outputs.get(&output), Some(Output::Waiting)) {
            if self.promised == 0 {
                // The real library would wait for ever.
                objects::misuse("a packet is awaited that was not promised");
                return Err(Status::NV_ENC_ERR_LOCK_BUSY);
            }
            self.encode_next()?;
        }
        let Some(Output::Filled(packet)) = self.outputs.insert(output, Output::Free) else {
            return Err(Status::NV_ENC_ERR_GENERIC);
        };
        self.outputs.insert(output, Output::Locked(packet));
        match self.outputs.get(&output) {
            Some(Output::Locked(packet)) => Ok(packet),
            _ => Err(Status::NV_ENC_ERR_GENERIC),
        }
    }

    fn encode_next(&mut self) -> Result<(), Status> {
        std::thread::sleep(self.behaviour.latency);
        let job = self.jobs.pop_front().ok_or(Status::NV_ENC_ERR_GENERIC)?;
        self.promised -= 1;
        let resource = self
            .mapped
            .get(&job.mapped)
            .and_then(|handle| self.resources.get(handle))
            .copied();
        let Some(resource) = resource else {
            return self.fail(Status::NV_ENC_ERR_RESOURCE_NOT_MAPPED, "the frame is no longer mapped");
        };
        if !resource.is_memory(self.context) {
            return self.fail(Status::NV_ENC_ERR_GENERIC, "the frame's memory was freed");
        }
        let software = &mut self.running()?.software;
        // SAFETY: the memory is there and as large as the frame.
        let encoded = unsafe { software.encode(resource.format, resource.address, resource.pitch, job.key) };
        match encoded {
            Ok(encoded) => {
                let packet = Packet {
                    encoded,
                    timestamp: job.timestamp,
                };
                self.outputs.insert(job.output, Output::Filled(packet));
                Ok(())
            }
            Err(text) => self.fail(Status::NV_ENC_ERR_GENERIC, &text),
        }
    }

    pub fn unlock(&mut self, output: usize) -> Result<(), Status> {
        match self.outputs.get_mut(&output) {
            Some(output @ Output::Locked(_)) => {
                *output = Output::Free;
                Ok(())
            }
            Some(_) => Err(Status::NV_ENC_ERR_INVALID_CALL),
            None => Err(Status::NV_ENC_ERR_INVALID_PTR),
        }
    }

    /// The headers, out of a grey picture that a second encoder makes.
    pub fn headers(&mut self) -> Result<Vec<u8>, Status> {
        let setup = self.running()?.software.setup().clone();
        let (codec, width, height) = (setup.codec, setup.width as usize, setup.height as usize);
        let grey = vec![128u8; width * height * 3 / 2];
        let mut software = Software::new(setup);
        let address = grey.as_ptr().expose_provenance();
        // SAFETY: a whole frame.
        match unsafe { software.encode(VideoFormat::Nv12, address, width, true) } {
            Ok(encoded) => Ok(crate::software::headers(codec, &encoded.data)),
            Err(text) => self.fail(Status::NV_ENC_ERR_GENERIC, &text),
        }
    }
}

/// What the settings ask of the encoder.
pub fn setup(codec: Codec, size: (u32, u32), framerate: (u32, u32), gop: u32, rate: Rate) -> Setup {
    Setup {
        codec,
        width: size.0,
        height: size.1,
        framerate,
        gop,
        rate,
    }
}
