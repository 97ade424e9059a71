//! Work around the network on a GPU, where its tensors stay: frames to its input, its heads to objects, so that only boxes come back.
//!
//! Frames in the GPU's memory are sampled there. Those in system memory are sampled by the processor into pinned memory, which a
//! stream of its own copies while the next frame is sampled: a 300 x 300 picture of floats is smaller than the frame it was made
//! from. The kernels are compiled for the GPU at the start, by NVRTC. What the kernels have no room for (more than
//! [`MOST_CANDIDATES`] candidates of a class, more than [`MOST_FOUND`] objects), the processor decodes.

mod parameters;

use std::sync::Arc;

use nunchi_cuda::{Buffer, Context, Driver, Event, Kernel, Module, Pinned, Stream};

use super::Limits;
use super::decode::{Decoder, Found};
use super::family::{Activation, Heads, Plan};
use super::preprocess::{Picture, Preprocess};
use crate::engine::{DataType, EngineError, EngineKind, GpuTensors, Network, TensorMut};
use crate::frame::{DeviceFrame, FrameView};
use parameters as raw;

const SOURCE: &str = include_str!("kernels.cu");
/// Threads of a block.
const BLOCK: u32 = 128;
/// Candidates of a class that are kept, as in the kernels.
const MOST_CANDIDATES: usize = 2048;
/// Objects of a picture that are kept.
const MOST_FOUND: usize = 2048;

/// What became of a picture of the batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Objects, in the order of classes and falling scores, and how many anchors were left out.
    Found(Vec<Found>, usize),
    /// There was no room for all of it.
    Overflow,
}

/// What is looked for in a picture.
pub(super) struct Wish<'a> {
    pub limits: &'a Limits,
    /// Of each class of the network.
    pub wanted: Vec<bool>,
    /// Boxes that overlap by more are one.
    pub overlap: f32,
}

pub(super) struct Gpu {
    engine: EngineKind,
    device: String,
    context: Arc<Context>,
    compute: Stream,
    uploads: Stream,
    uploaded: Event,
    fill: Kernel<raw::Fill>,
    /// `None` where the network's outputs are lists, or of a size that only an inference tells.
    decode: Option<Decode>,
    /// Pictures of the batch that the processor fills.
    staging: Pinned,
    /// Copies of frames in memory of other contexts.
    copies: Option<Buffer>,
    tensors: GpuTensors,
    data_type: DataType,
    /// Values of a picture.
    length: usize,
    _module: Module,
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // What is queued uses what is dropped after this. Of a lost GPU nothing is.
        let _ = self.uploads.synchronize();
        let _ = self.compute.synchronize();
    }
}

struct Decode {
    scan: Kernel<raw::Heads>,
    suppress: Kernel<raw::Heads>,
    /// What does not change from batch to batch.
    heads: raw::Heads,
    /// Boxes and scores among the network's outputs.
    outputs: [usize; 2],
    activation: Activation,
    /// Limits and wanted classes of each picture.
    wishes: Pinned,
    /// Statuses and objects of each picture.
    results: Pinned,
    memory: Memory,
}

/// What the addresses in [`raw::Heads`] point to.
struct Memory {
    wishes: Buffer,
    status: Buffer,
    counts: Buffer,
    found: Buffer,
    _others: Vec<Buffer>,
}

impl Gpu {
    /// Moves the tensors of a network to the GPU that runs it; `None` for one on the processor.
    ///
    /// # Errors
    /// The driver or NVRTC is missing or fails: then the network is as before, and the processor prepares its input.
    pub fn attach(network: &mut dyn Network, decoder: &Decoder) -> Result<Option<Self>, EngineError> {
        let Some(index) = network.gpu() else { return Ok(None) };
        let (engine, device) = (network.engine(), network.device().to_owned());
        let failed = |error| failure(engine, &device, error);
        let context = Driver::get().and_then(|driver| Context::of_device(driver, index));
        let context = Arc::new(context.map_err(failed)?);
        let image = context
            .architecture()
            .and_then(|architecture| nunchi_cuda::compile(SOURCE, &architecture));
        let module = Module::load(&context, &image.map_err(failed)?).map_err(failed)?;
        // SAFETY: `raw` has the structures of the kernels, which the source in this folder shows.
        let fill = unsafe { module.kernel("nunchi_fill") }.map_err(failed)?;
        let input = network.inputs().first().map(|info| (info.data_type, info.len()));
        let (data_type, values) = input.unwrap_or((DataType::F32, 0));
        let length = values / decoder.batch().max(1);
        let streams = || Ok((Stream::new(&context)?, Stream::new(&context)?, Event::new(&context)?));
        let (compute, uploads, uploaded) = streams().map_err(failed)?;
        let staging = Pinned::new(&context, values * data_type.size()).map_err(failed)?;
        let decode = match decoder.plan() {
            Plan::Heads(heads) => Decode::new(&module, &context, &compute, heads, decoder).map_err(failed)?,
            Plan::Lists(_) => None,
        };
        // Last, so that nothing is changed where something is missing.
        let tensors = network.bind_to_gpu()?;
        let decode = decode.and_then(|decode| decode.over(&tensors));
        Ok(Some(Self {
            engine,
            device,
            compute,
            uploads,
            uploaded,
            fill,
            decode,
            staging,
            copies: None,
            tensors,
            data_type,
            length,
            _module: module,
            context,
        }))
    }

    fn check<T>(&self, result: Result<T, nunchi_cuda::Error>) -> Result<T, EngineError> {
        result.map_err(|error| failure(self.engine, &self.device, error))
    }

    /// Bytes from one picture of the input to the next.
    fn picture_bytes(&self) -> usize {
        self.length * self.data_type.size()
    }

    fn input(&self) -> u64 {
        self.tensors.inputs.first().copied().unwrap_or_default()
    }

    /// Samples a frame in system memory and has it copied.
    pub fn fill_from_host(
        &mut self,
        picture: &Picture,
        preprocess: &Preprocess,
        index: usize,
        frame: &FrameView<'_>,
    ) -> Result<(), EngineError> {
        let whole = match self.data_type {
            DataType::F32 => TensorMut::F32(self.staging.floats_mut()),
            _ => TensorMut::U8(self.staging.bytes_mut()),
        };
        let filled = picture.fill(preprocess, frame, index, whole);
        filled.map_err(|error| self.inference(error.to_string()))?;
        self.upload(index)
    }

    /// Copies a picture that was prepared elsewhere.
    pub fn put(&mut self, index: usize, picture: &[u8]) -> Result<(), EngineError> {
        let bytes = self.picture_bytes();
        let place = self.staging.bytes_mut().get_mut(index * bytes..(index + 1) * bytes);
        match place.filter(|place| place.len() == picture.len()) {
            Some(place) => place.copy_from_slice(picture),
            None => return Err(self.inference(format!("{} bytes are no picture of {bytes}", picture.len()))),
        }
        self.upload(index)
    }

    fn upload(&self, index: usize) -> Result<(), EngineError> {
        let bytes = self.picture_bytes();
        let from = &self.staging.bytes()[index * bytes..(index + 1) * bytes];
        // SAFETY: both are as long; the staging memory is written again after a submit, which waits for the copies, and both live
        // until this is dropped, which waits too.
        self.check(unsafe { self.uploads.upload(from, self.input() + (index * bytes) as u64) })
    }

    /// Samples a frame in memory of the GPU. Its memory may be used again when this returns.
    pub fn fill_from_device(
        &mut self,
        picture: &Picture,
        preprocess: &Preprocess,
        index: usize,
        frame: &DeviceFrame,
    ) -> Result<(), EngineError> {
        let queued = self.queue_fill(picture, preprocess, index, frame);
        // Also where only a part of it could be queued.
        let done = self.check(self.compute.synchronize());
        queued.and(done)
    }

    fn queue_fill(
        &mut self,
        picture: &Picture,
        preprocess: &Preprocess,
        index: usize,
        frame: &DeviceFrame,
    ) -> Result<(), EngineError> {
        let theirs = Driver::get().and_then(|driver| Context::of_pointer(driver, frame.plane(0).pointer));
        let theirs = self.check(theirs)?;
        let mut planes = [frame.plane(0), frame.plane(1), frame.plane(2)];
        let count = frame.format().planes();
        {
            let current = self.check(theirs.enter())?;
            for (plane, at) in planes.iter().take(count).enumerate() {
                let bytes = frame.bytes(plane);
                let there = self.check(current.bytes_from(at.pointer))?;
                if there < bytes {
                    return Err(self.inference(format!(
                        "plane {plane} of a frame has {there} bytes, {bytes} are needed"
                    )));
                }
            }
            // Who wrote the frame did so in a stream of their own.
            self.check(current.synchronize())?;
        }
        // What the processor put in this place before must not come after it.
        self.check(self.uploads.record(&self.uploaded))?;
        self.check(self.compute.wait(&self.uploaded))?;
        if theirs.raw() != self.context.raw() {
            let total: usize = (0..count).map(|plane| frame.bytes(plane)).sum();
            if self.copies.as_ref().is_none_or(|copies| copies.bytes() < total) {
                self.copies = Some(self.check(Buffer::new(&self.context, total))?);
            }
            let mut to = self.copies.as_ref().map_or(0, Buffer::pointer);
            for (plane, at) in planes.iter_mut().take(count).enumerate() {
                let bytes = frame.bytes(plane);
                // SAFETY: so many bytes are there, which was asked above, and here, which was allocated.
                self.check(unsafe { self.compute.copy_from(at.pointer, &theirs, to, bytes) })?;
                at.pointer = to;
                to += bytes as u64;
            }
        }
        let output = self.input() + (index * self.picture_bytes()) as u64;
        let bytes = self.data_type == DataType::U8;
        let parameters = raw::Fill::new(frame, &planes, picture, preprocess, output, bytes);
        let pixels = (picture.width * picture.height) as u32;
        // SAFETY: the planes and the picture are as large as the parameters say; the caller waits for the kernel.
        let queued = unsafe {
            self.fill
                .launch(&self.compute, [pixels.div_ceil(BLOCK), 1, 1], BLOCK, &parameters)
        };
        self.check(queued)
    }

    /// Waits until the input is there: the network has a stream of its own.
    pub fn before_inference(&self) -> Result<(), EngineError> {
        self.check(self.uploads.record(&self.uploaded))?;
        self.check(self.compute.wait(&self.uploaded))?;
        self.check(self.compute.synchronize())
    }

    /// The pictures of the batch as the network has them.
    pub fn pictures(&mut self) -> Result<Vec<u8>, EngineError> {
        let mut bytes = vec![0; self.staging.bytes().len()];
        self.check(self.uploads.synchronize())?;
        // SAFETY: the input is as long; the wait below comes before anybody uses the bytes.
        let queued = unsafe { self.compute.download(self.input(), &mut bytes) };
        let done = self.compute.synchronize();
        self.check(queued.and(done))?;
        Ok(bytes)
    }

    /// Whether the input is bytes, not floats.
    pub fn takes_bytes(&self) -> bool {
        self.data_type == DataType::U8
    }

    pub fn decodes(&self) -> bool {
        self.decode.is_some()
    }

    /// Whether an output is left in the GPU's memory.
    pub fn holds(&self, output: usize) -> bool {
        self.tensors.outputs.get(output).is_some_and(Option::is_some)
    }

    /// An output of floats that lies in the GPU's memory.
    pub fn output(&self, index: usize, values: usize) -> Result<Vec<f32>, EngineError> {
        let from = self.tensors.outputs.get(index).copied().flatten();
        let from = from.ok_or_else(|| self.inference(format!("output {index} is not on the GPU")))?;
        let mut bytes = vec![0u8; values * 4];
        // SAFETY: the output has so many values; the wait below comes before anybody uses the bytes.
        let queued = unsafe { self.compute.download(from, &mut bytes) };
        let done = self.compute.synchronize();
        self.check(queued.and(done))?;
        let (floats, _) = bytes.as_chunks::<4>();
        Ok(floats.iter().map(|four| f32::from_ne_bytes(*four)).collect())
    }

    /// Objects in the first pictures of the batch.
    pub fn decode(&mut self, pictures: &[Wish<'_>]) -> Result<Vec<Outcome>, EngineError> {
        let Some(decode) = &mut self.decode else {
            return Err(failure(
                self.engine,
                &self.device,
                nunchi_cuda::Error::Call {
                    call: "decode",
                    reason: "the heads are not on the GPU".to_owned(),
                },
            ));
        };
        let outcome = decode.run(&self.compute, pictures);
        outcome.map_err(|error| {
            // Nothing may be under way that writes into memory of ours.
            let _ = self.compute.synchronize();
            failure(self.engine, &self.device, error)
        })
    }

    fn inference(&self, reason: String) -> EngineError {
        EngineError::Inference {
            engine: self.engine,
            reason,
        }
    }
}

impl Decode {
    fn new(
        module: &Module,
        context: &Arc<Context>,
        stream: &Stream,
        heads: &Heads,
        decoder: &Decoder,
    ) -> Result<Option<Self>, nunchi_cuda::Error> {
        let (batch, anchors) = (decoder.batch(), heads.boxes.anchors);
        if anchors == 0 {
            return Ok(None);
        }
        let classes = heads.scores.width - usize::from(heads.background);
        let capacity = anchors.min(MOST_CANDIDATES);
        let lists = batch * classes;
        let buffer = |bytes: usize| Buffer::new(context, bytes);
        let defaults = match &heads.coder {
            None => None,
            Some(coder) => {
                let bytes: Vec<u8> = coder.boxes.iter().flatten().flat_map(|v| v.to_ne_bytes()).collect();
                let memory = buffer(bytes.len())?;
                // SAFETY: as long; the wait below comes before the bytes go.
                let queued = unsafe { stream.upload(&bytes, memory.pointer()) };
                stream.synchronize().and(queued)?;
                Some(memory)
            }
        };
        let wishes = batch * (size_of::<raw::Limits>() + classes);
        let (statuses, founds) = (
            batch * size_of::<raw::Status>(),
            batch * MOST_FOUND * size_of::<raw::Found>(),
        );
        let memory = Memory {
            wishes: buffer(wishes)?,
            status: buffer(statuses)?,
            counts: buffer(lists * 4)?,
            found: buffer(founds)?,
            _others: Vec::new(),
        };
        let candidates = buffer(lists * capacity * size_of::<raw::Candidate>())?;
        let sorted = buffer(lists * capacity * size_of::<raw::Candidate>())?;
        let rects = buffer(lists * capacity * 16)?;
        let int = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
        let raw_heads = raw::Heads {
            boxes: 0,
            scores: 0,
            defaults: defaults.as_ref().map_or(0, Buffer::pointer),
            limits: memory.wishes.pointer(),
            wanted: memory.wishes.pointer() + (batch * size_of::<raw::Limits>()) as u64,
            candidates: candidates.pointer(),
            counts: memory.counts.pointer(),
            sorted: sorted.pointer(),
            rects: rects.pointer(),
            found: memory.found.pointer(),
            status: memory.status.pointer(),
            anchors: int(anchors),
            width: int(heads.scores.width),
            classes: int(classes),
            box_planes: heads.boxes.planes.into(),
            score_planes: heads.scores.planes.into(),
            background: heads.background.into(),
            activation: raw::activation(heads.activation),
            transposed: heads.coder.as_ref().is_some_and(|coder| coder.is_transposed()).into(),
            bounded: heads.coder.as_ref().is_some_and(|coder| coder.is_bounded()).into(),
            capacity: int(capacity),
            most: int(MOST_FOUND),
        };
        // SAFETY: as for the other kernel.
        let (scan, suppress) = unsafe { (module.kernel("nunchi_scan")?, module.kernel("nunchi_suppress")?) };
        Ok(Some(Self {
            scan,
            suppress,
            heads: raw_heads,
            outputs: [heads.boxes.index, heads.scores.index],
            activation: heads.activation,
            wishes: Pinned::new(context, wishes)?,
            results: Pinned::new(context, statuses + founds)?,
            memory: Memory {
                _others: defaults.into_iter().chain([candidates, sorted, rects]).collect(),
                ..memory
            },
        }))
    }

    /// The same over the tensors of a network; nothing where its heads are not on the GPU.
    fn over(mut self, tensors: &GpuTensors) -> Option<Self> {
        let [boxes, scores] = self.outputs.map(|index| tensors.outputs.get(index).copied().flatten());
        (self.heads.boxes, self.heads.scores) = (boxes?, scores?);
        Some(self)
    }

    fn run(&mut self, stream: &Stream, pictures: &[Wish<'_>]) -> Result<Vec<Outcome>, nunchi_cuda::Error> {
        let (heads, count) = (self.heads, pictures.len());
        if count == 0 {
            return Ok(Vec::new());
        }
        let classes = heads.classes as usize;
        let (limits, wanted) = {
            let bytes = self.wishes.bytes_mut();
            let at = (heads.wanted - heads.limits) as usize;
            bytes.split_at_mut(at)
        };
        let (limits, _) = limits.as_chunks_mut::<{ size_of::<raw::Limits>() }>();
        for (index, wish) in pictures.iter().enumerate() {
            limits[index] = raw::Limits::new(wish.limits, wish.overlap, self.activation).to_bytes();
            let row = &mut wanted[index * classes..(index + 1) * classes];
            row.iter_mut()
                .zip(&wish.wanted)
                .for_each(|(byte, wanted)| *byte = u8::from(*wanted));
        }
        let statuses = self.memory.status.bytes();
        let grid = |x: usize| [u32::try_from(x).unwrap_or(u32::MAX), count as u32, 1];
        let (status, found) = self.results.bytes_mut().split_at_mut(statuses);
        // SAFETY: all memory has the sizes of the batch; the waits come before anybody uses or changes it.
        unsafe {
            stream.upload(self.wishes.bytes(), self.memory.wishes.pointer())?;
            stream.zero(heads.counts, self.memory.counts.bytes())?;
            stream.zero(heads.status, statuses)?;
            let blocks = (heads.anchors as usize).div_ceil(BLOCK as usize);
            self.scan.launch(stream, grid(blocks), BLOCK, &heads)?;
            self.suppress.launch(stream, grid(classes), BLOCK, &heads)?;
            stream.download(heads.status, status)?;
        }
        stream.synchronize()?;
        let (status, _) = status.as_chunks::<{ size_of::<raw::Status>() }>();
        let status: Vec<_> = status[..count].iter().map(raw::Status::of_bytes).collect();
        let each = MOST_FOUND * size_of::<raw::Found>();
        for (index, status) in status.iter().enumerate().filter(|(_, status)| status.overflow == 0) {
            let bytes = index * each..index * each + status.found as usize * size_of::<raw::Found>();
            if !bytes.is_empty() {
                // SAFETY: as above.
                unsafe { stream.download(heads.found + bytes.start as u64, &mut found[bytes]) }?;
            }
        }
        stream.synchronize()?;
        let outcome = |(index, status): (usize, raw::Status)| {
            if status.overflow != 0 {
                return Outcome::Overflow;
            }
            let (all, _) = found[index * each..(index + 1) * each].as_chunks::<{ size_of::<raw::Found>() }>();
            let mut all: Vec<_> = all[..status.found as usize].iter().map(raw::Found::of_bytes).collect();
            // Blocks end in any order; this is the processor's.
            all.sort_unstable_by_key(|found| (found.class_index, found.rank));
            let found = all.into_iter().map(|found| Found {
                class: found.class_index as usize,
                score: found.score,
                rect: found.rect,
            });
            Outcome::Found(found.collect(), status.dropped as usize)
        };
        Ok(status.into_iter().enumerate().map(outcome).collect())
    }
}

/// A failure of CUDA in the words of engines.
fn failure(engine: EngineKind, device: &str, error: nunchi_cuda::Error) -> EngineError {
    let reason = error.to_string();
    match error {
        nunchi_cuda::Error::Memory { .. } => EngineError::OutOfMemory {
            engine,
            device: device.to_owned(),
            reason,
        },
        nunchi_cuda::Error::Lost { .. } => EngineError::DeviceLost { engine, reason },
        _ => EngineError::Inference { engine, reason },
    }
}
