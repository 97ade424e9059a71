//! Frames in, packets out.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nunchi_cuda::{Context, Copy2d, Current, DevicePtr};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::capabilities::Capabilities;
use crate::library::{Driver, Zeroed};
use crate::session::{ENCODER_BUSY, NEED_MORE_INPUT, Session};
use crate::settings::Settings;
use crate::surface::{Surface, buffer_format};
use crate::{Config, Error, RateControl};

/// How long an encoder that says it is busy is asked again.
const BUSY: Duration = Duration::from_secs(2);
/// Pieces of somebody else's memory that stay registered: more than a pool of frames has.
const MAX_FOREIGN: usize = 64;
/// More frames than any GOP structure holds back.
const MAX_PENDING: usize = 40;
/// Sequence headers are far smaller.
const MAX_HEADERS: usize = 4096;

/// A plane of a frame in system memory.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A plane of a frame in memory of the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePlane {
    /// `CUdeviceptr`.
    pub pointer: u64,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One encoded frame: an access unit with start codes, or a temporal unit of AV1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub data: Vec<u8>,
    /// The number that the frame came with.
    pub index: u64,
    /// Decoding may begin here.
    pub key: bool,
}

/// Where a frame under way lies.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A surface that goes back to the free ones.
    Own(usize),
    /// Somebody else's, by its place among the registered ones.
    Foreign(u64),
}

/// A frame that the encoder reads.
struct Given {
    index: u64,
    source: Source,
    mapped: *mut c_void,
}

/// A frame under way, and the buffer for a packet, which with B frames is another frame's.
struct Pending {
    given: Given,
    output: *mut c_void,
}

struct Foreign {
    id: u64,
    surface: Surface,
}

/// An encoder of one stream. Frames of one size and format; for others open another one.
///
/// Packets come in the order of decoding, and say by their index which frame they are. With B frames, or tuned for quality, some frames are held back; see
/// [`Encoder::delay`] and [`Encoder::flush`].
pub struct Encoder {
    session: Session,
    settings: Settings,
    config: Config,
    capabilities: Capabilities,
    surfaces: Vec<Surface>,
    free: Vec<usize>,
    /// By the numbers of their memory, the one used longest ago first.
    foreign: VecDeque<Foreign>,
    /// All bitstream buffers, and those that no frame holds.
    outputs: Vec<*mut c_void>,
    free_outputs: Vec<*mut c_void>,
    pending: VecDeque<Pending>,
    /// How many of the pending frames, from the first on, the encoder has promised.
    ready: usize,
    /// Frames were given since the last end of stream.
    open: bool,
    /// The next frame is to be a key frame.
    restart: bool,
    lost: Option<Error>,
}

// SAFETY: handles of the driver, which may be used from any thread, one at a time: every use takes &mut self.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Opens the encoder of a GPU for frames in system memory, or in memory of the GPU's primary context.
    ///
    /// # Errors
    /// Each reason for which this machine cannot encode so, with what helps.
    pub fn open(config: &Config) -> Result<Self, Error> {
        config.check()?;
        let driver = Driver::get()?;
        let context = Context::of_device(Arc::clone(&driver.cuda), config.device)?;
        Self::in_context(driver, context, config)
    }

    /// Opens the encoder in the context of somebody's memory, on whichever GPU that is.
    ///
    /// # Safety
    /// The context lives until the encoder is dropped, as it does while the pointer's owner keeps it.
    ///
    /// # Errors
    /// As [`Encoder::open`]; and when `pointer` is no memory of CUDA.
    pub unsafe fn open_for(config: &Config, pointer: u64) -> Result<Self, Error> {
        config.check()?;
        let driver = Driver::get()?;
        let context = Context::of_pointer(Arc::clone(&driver.cuda), pointer)?;
        Self::in_context(driver, context, config)
    }

    fn in_context(driver: Arc<Driver>, context: Context, config: &Config) -> Result<Self, Error> {
        let session = Session::open(driver, context)?;
        let context = session.context();
        let _current = context.enter()?;
        let capabilities = Capabilities::offered(&session, config.codec)?;
        capabilities.check(config, &session.gpu())?;
        let mut settings = Settings::new(&session, config)?;
        settings.initialize(&session)?;
        Ok(Self {
            session,
            settings,
            config: config.clone(),
            capabilities,
            surfaces: Vec::new(),
            free: Vec::new(),
            foreign: VecDeque::new(),
            outputs: Vec::new(),
            free_outputs: Vec::new(),
            pending: VecDeque::new(),
            ready: 0,
            open: false,
            restart: false,
            lost: None,
        })
    }

    /// Name of the GPU.
    pub fn gpu(&self) -> String {
        self.session.gpu()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How many frames are held back at most before the packet of the first one comes.
    pub fn delay(&self) -> usize {
        self.config.delay()
    }

    /// Encodes a frame in system memory, whose planes may be used again at once.
    ///
    /// # Errors
    /// [`Error::Frame`] when planes are too small; [`Error::Memory`], [`Error::Encode`]; [`Error::Lost`] from then on always.
    pub fn encode(&mut self, planes: &[Plane], index: u64, key: bool) -> Result<Vec<Packet>, Error> {
        self.with_context(|encoder, current| {
            encoder.check_host(planes)?;
            let surface = encoder.free_surface(current)?;
            let uploaded = encoder.upload(current, surface, |plane, target, row, rows| {
                let Plane { data, stride } = planes[plane];
                Copy2d::from_host(data.as_ptr(), stride, target, row, rows)
            });
            if let Err(error) = uploaded {
                encoder.free.push(surface);
                return Err(error);
            }
            encoder.submit(Source::Own(surface), index, key)
        })
    }

    /// Encodes a frame in memory of the GPU. Where its planes lie as NVENC wants them (one behind the other, halved chroma
    /// with half the stride) it is read where it is; else it is copied within the GPU.
    ///
    /// # Safety
    /// The planes stay as they are until the packet of this index has come, or the encoder was flushed or dropped.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; and when the memory is of another context than the encoder's.
    pub unsafe fn encode_device(
        &mut self,
        planes: &[DevicePlane],
        index: u64,
        key: bool,
    ) -> Result<Vec<Packet>, Error> {
        self.with_context(|encoder, current| {
            encoder.check_device(current, planes)?;
            // Who filled the frame may have done so in a stream of its own, of which this knows nothing.
            current.synchronize()?;
            if encoder.lies_as_wanted(planes) {
                let id = encoder.register(current, planes[0])?;
                return encoder.submit(Source::Foreign(id), index, key);
            }
            let surface = encoder.free_surface(current)?;
            let copied = encoder.upload(current, surface, |plane, target, row, rows| {
                let DevicePlane { pointer, stride } = planes[plane];
                Copy2d::from_device(pointer, stride, target, row, rows)
            });
            if let Err(error) = copied {
                encoder.free.push(surface);
                return Err(error);
            }
            encoder.submit(Source::Own(surface), index, key)
        })
    }

    /// Ends the stream so far and gives what was held back. More frames may follow; the next is a key frame.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn flush(&mut self) -> Result<Vec<Packet>, Error> {
        self.with_context(|encoder, _| {
            encoder.end()?;
            encoder.ready = encoder.pending.len();
            encoder.fetch(0)
        })
    }

    /// Another bit rate, in mid-stream and without a key frame.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong one or another kind of rate control; what the GPU cannot; as [`Encoder::encode`].
    pub fn set_rate(&mut self, rate: RateControl) -> Result<(), Error> {
        rate.check()?;
        if std::mem::discriminant(&rate) != std::mem::discriminant(&self.config.rate) {
            return Err(Error::Config(
                "the kind of rate control cannot change in mid-stream".into(),
            ));
        }
        if !self.capabilities.live_bitrate {
            return Err(Error::Unsupported {
                gpu: self.gpu(),
                codec: self.config.codec,
                what: "with a bit rate that changes in mid-stream".into(),
            });
        }
        self.with_context(|encoder, _| encoder.settings.reconfigure(&encoder.session, &rate))?;
        self.config.rate = rate;
        Ok(())
    }

    /// The headers of the stream (SPS and PPS, also VPS; the sequence header of AV1). They also come with each key frame.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn headers(&mut self) -> Result<Vec<u8>, Error> {
        self.with_context(|encoder, _| {
            let mut bytes = vec![0u8; MAX_HEADERS];
            let mut size = 0u32;
            let mut params = Zeroed::<nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD>::new();
            let params = params.pointer();
            // SAFETY: a session, our own structure, an array and its length.
            let status = unsafe {
                (*params).version = nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER;
                (*params).inBufferSize = MAX_HEADERS as u32;
                (*params).spsppsBuffer = bytes.as_mut_ptr().cast();
                (*params).outSPSPPSPayloadSize = &mut size;
                (encoder.session.api().sequence_params)(encoder.session.handle(), params)
            };
            encoder.session.check("nvEncGetSequenceParams", status)?;
            bytes.truncate(size as usize);
            Ok(bytes)
        })
    }

    /// Runs calls with the context current. After a loss no call reaches the driver.
    fn with_context<T>(&mut self, body: impl FnOnce(&mut Self, &Current) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        let context = self.session.context();
        let result = context
            .enter()
            .map_err(Error::from)
            .and_then(|current| body(self, &current));
        if let Err(error @ Error::Lost { .. }) = &result {
            self.lost = Some(error.clone());
        }
        result
    }

    fn wrong(&self, reason: String) -> Error {
        let Config {
            format, width, height, ..
        } = self.config;
        Error::Frame {
            format,
            width,
            height,
            reason,
        }
    }

    /// Bytes of a row, and rows, of each plane.
    fn planes(&self) -> Vec<(usize, usize)> {
        let (width, height) = (self.config.width as usize, self.config.height as usize);
        self.config.format.planes(width, height)
    }

    fn check_count(&self, given: usize, wanted: usize) -> Result<(), Error> {
        if given == wanted {
            return Ok(());
        }
        Err(self.wrong(format!("it has {given} planes, not {wanted}")))
    }

    fn check_host(&self, planes: &[Plane]) -> Result<(), Error> {
        let wanted = self.planes();
        self.check_count(planes.len(), wanted.len())?;
        for (index, (plane, (row, rows))) in planes.iter().zip(wanted).enumerate() {
            let end = plane
                .stride
                .checked_mul(rows - 1)
                .and_then(|start| start.checked_add(row));
            if plane.stride < row || end.is_none_or(|end| end > plane.data.len()) {
                return Err(self.wrong(format!(
                    "plane {index} has {} bytes with a stride of {}",
                    plane.data.len(),
                    plane.stride
                )));
            }
        }
        Ok(())
    }

    fn check_device(&self, current: &Current, planes: &[DevicePlane]) -> Result<(), Error> {
        let wanted = self.planes();
        self.check_count(planes.len(), wanted.len())?;
        for (index, (plane, (row, rows))) in planes.iter().zip(wanted).enumerate() {
            if !current.owns(plane.pointer)? {
                return Err(self.wrong("its memory is of another context of CUDA than the encoder's".into()));
            }
            let end = plane
                .stride
                .checked_mul(rows - 1)
                .and_then(|start| start.checked_add(row));
            let there = current.bytes_from(plane.pointer)?;
            if plane.stride < row || end.is_none_or(|end| end > there) {
                return Err(self.wrong(format!(
                    "plane {index} has {there} bytes with a stride of {}",
                    plane.stride
                )));
            }
        }
        Ok(())
    }

    fn lies_as_wanted(&self, planes: &[DevicePlane]) -> bool {
        let DevicePlane { pointer, stride } = planes[0];
        let layout = self.config.format.layout(stride, self.config.height as usize);
        planes
            .iter()
            .zip(layout)
            .all(|(plane, (offset, stride))| plane.stride == stride && plane.pointer == pointer + offset as DevicePtr)
    }

    /// A surface that no frame holds.
    fn free_surface(&mut self, current: &Current) -> Result<usize, Error> {
        if let Some(surface) = self.free.pop() {
            return Ok(surface);
        }
        let surface = Surface::allocate(&self.session, current, &self.config)?;
        self.surfaces.push(surface);
        Ok(self.surfaces.len() - 1)
    }

    /// Fills a surface by the copies that `plane` gives for number, target with stride, bytes of a row and rows.
    fn upload(
        &self,
        current: &Current,
        surface: usize,
        plane: impl Fn(usize, (DevicePtr, usize), usize, usize) -> Copy2d,
    ) -> Result<(), Error> {
        let Surface { pointer, pitch, .. } = self.surfaces[surface];
        let layout = self.config.format.layout(pitch, self.config.height as usize);
        for (index, ((row, rows), (offset, stride))) in self.planes().into_iter().zip(layout).enumerate() {
            let copy = plane(index, (pointer + offset as DevicePtr, stride), row, rows);
            // SAFETY: planes were checked to hold the rows, surfaces were allocated for them.
            unsafe { current.copy(&copy) }?;
        }
        Ok(())
    }

    /// Registers somebody else's memory, once for as long as it exists: an address may come again as other memory.
    fn register(&mut self, current: &Current, plane: DevicePlane) -> Result<u64, Error> {
        let id = current.buffer_id(plane.pointer)?;
        let DevicePlane { pointer, stride } = plane;
        let held = |pending: &VecDeque<Pending>, id| {
            let mut sources = pending.iter().map(|pending| pending.given.source);
            sources.any(|source| matches!(source, Source::Foreign(held) if held == id))
        };
        if let Some(at) = self.foreign.iter().position(|foreign| foreign.id == id)
            && let Some(foreign) = self.foreign.remove(at)
        {
            if (foreign.surface.pointer, foreign.surface.pitch) == (pointer, stride) {
                self.foreign.push_back(foreign);
                return Ok(id);
            }
            if held(&self.pending, id) {
                self.foreign.push_back(foreign);
                return Err(self.wrong("two frames lie in one piece of memory".into()));
            }
            foreign.surface.release(&self.session, current);
        }
        // Memory that is gone, or that was not used for long.
        let stale = |foreign: &Foreign| foreign.surface.pointer == pointer;
        let full = self.foreign.len() >= MAX_FOREIGN;
        let place = self.foreign.iter().position(stale).or(full.then_some(0));
        if let Some(at) = place.filter(|&at| !held(&self.pending, self.foreign[at].id))
            && let Some(foreign) = self.foreign.remove(at)
        {
            foreign.surface.release(&self.session, current);
        }
        let surface = Surface::foreign(&self.session, &self.config, pointer, stride)?;
        self.foreign.push_back(Foreign { id, surface });
        Ok(id)
    }

    fn surface(&self, source: Source) -> Option<&Surface> {
        match source {
            Source::Own(index) => self.surfaces.get(index),
            Source::Foreign(id) => self
                .foreign
                .iter()
                .find(|foreign| foreign.id == id)
                .map(|foreign| &foreign.surface),
        }
    }

    /// Hands a frame to the encoder, and gives the packets that are due.
    fn submit(&mut self, source: Source, index: u64, key: bool) -> Result<Vec<Packet>, Error> {
        match self.start(source, index, key || self.restart) {
            Ok(pending) => self.pending.push_back(pending),
            Err(error) => {
                self.free_source(source);
                return Err(error);
            }
        }
        self.restart = false;
        self.fetch(self.config.overlap())
    }

    fn start(&mut self, source: Source, index: u64, key: bool) -> Result<Pending, Error> {
        if self.pending.len() >= MAX_PENDING {
            return Err(Error::Encode {
                call: "nvEncEncodePicture",
                reason: format!("the encoder holds back more than {MAX_PENDING} frames"),
            });
        }
        let surface = self
            .surface(source)
            .ok_or_else(|| self.wrong("its memory is not registered".into()))?;
        let pitch = surface.pitch;
        let mapped = surface.map(&self.session)?;
        let output = match self.free_output() {
            Ok(output) => output,
            Err(error) => {
                self.unmap(mapped);
                return Err(error);
            }
        };
        let mut params = Zeroed::<nv::NV_ENC_PIC_PARAMS>::new();
        let params = params.pointer();
        let flags = if key {
            nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32
        } else {
            0
        };
        // SAFETY: our own structure.
        unsafe {
            (*params).version = nv::NV_ENC_PIC_PARAMS_VER;
            (*params).inputWidth = self.config.width;
            (*params).inputHeight = self.config.height;
            // The surface was registered with it, in 32 bits.
            (*params).inputPitch = pitch as u32;
            (*params).encodePicFlags = flags;
            (*params).inputTimeStamp = index;
            (*params).inputBuffer = mapped;
            (*params).outputBitstream = output;
            (*params).bufferFmt = buffer_format(self.config.format);
            (*params).pictureStruct = nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME;
        }
        let status = self.picture(params);
        if status != 0 && status != NEED_MORE_INPUT {
            let error = self.session.check("nvEncEncodePicture", status);
            self.unmap(mapped);
            self.free_outputs.push(output);
            error?;
        }
        self.open = true;
        if status == 0 {
            // All that was held back comes with this one.
            self.ready = self.pending.len() + 1;
        }
        Ok(Pending {
            given: Given { index, source, mapped },
            output,
        })
    }

    /// `nvEncEncodePicture`, again for as long as the encoder is busy.
    fn picture(&self, params: *mut nv::NV_ENC_PIC_PARAMS) -> u32 {
        let start = Instant::now();
        loop {
            // SAFETY: a session and a filled structure.
            let status = unsafe { (self.session.api().encode)(self.session.handle(), params) };
            if status != ENCODER_BUSY || start.elapsed() > BUSY {
                return status;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Tells the encoder that no frame follows for now.
    fn end(&mut self) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        let mut params = Zeroed::<nv::NV_ENC_PIC_PARAMS>::new();
        let params = params.pointer();
        // SAFETY: our own structure.
        unsafe {
            (*params).version = nv::NV_ENC_PIC_PARAMS_VER;
            (*params).encodePicFlags = nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32;
        }
        let status = self.picture(params);
        self.session.check("nvEncEncodePicture", status)?;
        (self.open, self.restart) = (false, true);
        Ok(())
    }

    /// Takes packets until no more than `keep` frames are under way, or the encoder wants more frames first.
    fn fetch(&mut self, keep: usize) -> Result<Vec<Packet>, Error> {
        let mut packets = Vec::new();
        while self.ready > 0 && self.pending.len() > keep {
            let Some(Pending { mut given, output }) = self.pending.pop_front() else {
                break;
            };
            self.ready -= 1;
            let packet = self.read(output);
            self.free_outputs.push(output);
            // The encoder is done with the frame of the packet; the one given first it may still read.
            if let Ok(Packet { index, .. }) = packet
                && index != given.index
                && let Some(other) = self.pending.iter_mut().find(|other| other.given.index == index)
            {
                std::mem::swap(&mut given, &mut other.given);
            }
            self.unmap(given.mapped);
            self.free_source(given.source);
            packets.push(packet?);
        }
        Ok(packets)
    }

    /// Waits for a frame and copies it.
    fn read(&self, output: *mut c_void) -> Result<Packet, Error> {
        let mut params = Zeroed::<nv::NV_ENC_LOCK_BITSTREAM>::new();
        let params = params.pointer();
        // SAFETY: a session, our own structure; the bytes are valid while the buffer is locked. The type of the picture is
        // read as the number that it is in C.
        unsafe {
            (*params).version = nv::NV_ENC_LOCK_BITSTREAM_VER;
            (*params).outputBitstream = output;
            let status = (self.session.api().lock)(self.session.handle(), params);
            self.session.check("nvEncLockBitstream", status)?;
            let size = (*params).bitstreamSizeInBytes as usize;
            let bytes = (*params).bitstreamBufferPtr.cast::<u8>();
            let data = if bytes.is_null() {
                Vec::new()
            } else {
                std::slice::from_raw_parts(bytes, size).to_vec()
            };
            let kind = (&raw const (*params).pictureType).cast::<u32>().read();
            let index = (*params).outputTimeStamp;
            let status = (self.session.api().unlock)(self.session.handle(), output);
            self.session.check("nvEncUnlockBitstream", status)?;
            Ok(Packet {
                data,
                index,
                key: kind == nv::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR as u32,
            })
        }
    }

    fn free_output(&mut self) -> Result<*mut c_void, Error> {
        if let Some(output) = self.free_outputs.pop() {
            return Ok(output);
        }
        let mut params = Zeroed::<nv::NV_ENC_CREATE_BITSTREAM_BUFFER>::new();
        let params = params.pointer();
        // SAFETY: a session and our own structure.
        let output = unsafe {
            (*params).version = nv::NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
            let status = (self.session.api().create_bitstream)(self.session.handle(), params);
            self.session.check("nvEncCreateBitstreamBuffer", status)?;
            (*params).bitstreamBuffer
        };
        self.outputs.push(output);
        Ok(output)
    }

    fn free_source(&mut self, source: Source) {
        if let Source::Own(surface) = source {
            self.free.push(surface);
        }
    }

    fn unmap(&self, mapped: *mut c_void) {
        // SAFETY: mapped once, by this session.
        let _ = unsafe { (self.session.api().unmap)(self.session.handle(), mapped) };
    }
}

impl Drop for Encoder {
    /// Gives everything back: frames, surfaces, buffers, then the session, then the context.
    fn drop(&mut self) {
        let context = self.session.context();
        // A context that cannot be entered is gone with all that was in it.
        let Ok(current) = context.enter() else { return };
        if self.lost.is_none() {
            // An encoder must be told the end before it is destroyed.
            let _ = self.end();
        }
        for pending in std::mem::take(&mut self.pending) {
            self.unmap(pending.given.mapped);
        }
        let foreign = std::mem::take(&mut self.foreign)
            .into_iter()
            .map(|foreign| foreign.surface);
        for surface in std::mem::take(&mut self.surfaces).into_iter().chain(foreign) {
            surface.release(&self.session, &current);
        }
        for output in std::mem::take(&mut self.outputs) {
            // SAFETY: created by this session, destroyed once.
            let _ = unsafe { (self.session.api().destroy_bitstream)(self.session.handle(), output) };
        }
    }
}
