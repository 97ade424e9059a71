//! Inference engines behind one trait.
//!
//! A [`Network`] is a loaded model with a number of *slots*. A slot owns one set of input and output tensors and can
//! hold one request in flight. The caller fills the inputs in place, submits, completes, and reads the outputs in
//! place, so that no frame costs an allocation or a copy:
//!
//! ```no_run
//! # use nunchi_inference::{engine::*, models};
//! # use std::time::Duration;
//! let mut network = load(&models::face_detector(), &EngineOptions::default())?;
//! network.input(0, 0)?.f32()?.fill(0.0);
//! network.submit(0)?;
//! network.complete(0, Duration::from_secs(5))?;
//! let scores = network.output(0, 1)?.f32()?;
//! # Ok::<(), EngineError>(())
//! ```
//!
//! # Accelerators
//! A device behind a queue (Hailo) fits the same trait: a slot is one frame handed to the threads of the device's
//! streams, [`Network::submit`] does not wait, [`Network::complete`] waits with a bound, several slots are in flight at
//! once and complete in the order they were submitted, each output is a tensor of its own with its data type, [`Layout`]
//! and [`Quantisation`]. The device is opened once per process and group id and shared by the networks of several
//! elements; sharing among processes is the work of the device's service. A HEF goes to the Hailo engine by itself:
//!
//! ```no_run
//! # use nunchi_inference::engine::*;
//! # use std::time::Duration;
//! let hef = ModelSource::File("scrfd_2.5g.hef".into());
//! let mut network = load(&hef, &EngineOptions::default())?;
//! let slots = network.set_slots(4)?;
//! for frame in 0..100 {
//!     let slot = frame % slots;
//!     if frame >= slots {
//!         network.complete(slot, Duration::from_secs(5))?;
//!         let scores = network.output(slot, 0)?.f32()?;
//!     }
//!     network.input(slot, 0)?.u8()?.fill(128);
//!     network.submit(slot)?;
//! }
//! # Ok::<(), EngineError>(())
//! ```
//!
//! # Falling back
//! A HEF runs on the Hailo only, and its tensors differ from those of the ONNX network that does the same work. So the
//! owner of a network falls back, not the engine: on an error that [`EngineError::may_fall_back`], from [`load`] or in
//! mid-stream from `submit` or `complete`, it loads its ONNX model with [`EngineOptions::on_cpu`], drops the lost network
//! and goes on with the next frame. Frames that were in flight are lost with the device.

mod detections;
#[cfg(feature = "embedded-engine")]
mod embedded;
pub mod hailo;
mod interrupt;
mod library;
#[cfg(feature = "onnxruntime")]
mod onnxruntime;
#[cfg(feature = "openvino")]
mod openvino;
mod probe;
mod share;
mod tensor;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

pub use detections::{Detection, read_detections};
pub use hailo::HailoOptions;
pub use interrupt::Interrupt;
pub use probe::{EngineStatus, probe};
pub use tensor::{DataType, Layout, Quantisation, TensorInfo, TensorMut, TensorRef};

/// Bound of a synchronous inference.
const INFER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most threads that may be asked for: above it the number is a mistake.
const MAX_THREADS: u32 = 1024;
/// Most pictures that go through a network at once.
const MAX_BATCH: u32 = 256;

/// Which implementation runs the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// Hailo for a HEF; ONNX Runtime when a GPU is the device; on the CPU the first of OpenVINO, ONNX Runtime and embedded
    /// that is there.
    #[default]
    Auto,
    /// HailoRT, for HEFs.
    Hailo,
    OpenVino,
    OnnxRuntime,
    /// tract, compiled in: nothing to install.
    Embedded,
}

impl EngineKind {
    /// Name as in properties and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Hailo => "hailo",
            Self::OpenVino => "openvino",
            Self::OnnxRuntime => "onnxruntime",
            Self::Embedded => "embedded",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EngineKind {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let all = [
            Self::Auto,
            Self::Hailo,
            Self::OpenVino,
            Self::OnnxRuntime,
            Self::Embedded,
        ];
        all.into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| EngineError::Unsupported {
                engine: text.to_owned(),
                what: "is not an engine".to_owned(),
                remedy: "use auto, hailo, openvino, onnxruntime or embedded".to_owned(),
            })
    }
}

/// Arithmetic of the network. Fixed-precision engines ignore what they do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// [`F32`](Self::F32) on a CPU (OpenVINO on ARM: 16 bits where the CPU has them); TF32 on CUDA, 16 bits on TensorRT.
    #[default]
    Auto,
    /// Equal numbers on every machine, but for rounding.
    F32,
    /// OpenVINO's, for CPUs with AMX or AVX512-BF16: faster, and less is found.
    Bf16,
    F16,
}

/// How to load a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EngineOptions {
    pub kind: EngineKind,
    /// `""` for the default, `CPU`, `CUDA:0`, `TENSORRT:0`, `HAILO`.
    pub device: String,
    pub precision: Precision,
    /// CPU threads; 0 leaves it to the engine.
    pub threads: u32,
    /// What the leading side of the inputs is where the model leaves it open; 0 is 1. A model that fixes it keeps its own.
    pub batch: u32,
    /// Whether a wanted device that does not answer may be replaced by the CPU.
    pub fallback_cpu: bool,
    /// For a HEF.
    pub hailo: HailoOptions,
}

impl EngineOptions {
    /// These, for the ONNX model that takes over from a device that is missing or lost.
    #[must_use]
    pub fn on_cpu(&self) -> Self {
        Self {
            kind: EngineKind::Auto,
            device: String::new(),
            precision: Precision::Auto,
            ..self.clone()
        }
    }
}

/// The largest file that is taken for a model: what ONNX can hold in one.
const MOST_BYTES: u64 = 2 << 30;

/// Where a model (ONNX, or HEF for the Hailo) comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// Name for messages, and the bytes.
    Embedded(&'static str, &'static [u8]),
    File(PathBuf),
}

impl ModelSource {
    /// Whether it is compiled for a Hailo: by its name, or by its first bytes.
    pub fn is_hef(&self) -> bool {
        hailo::is_hef(self)
    }

    /// The bytes of the model.
    pub fn read(&self) -> Result<Cow<'static, [u8]>, EngineError> {
        match self {
            Self::Embedded(_, bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => read_file(path)
                .map(Cow::Owned)
                .map_err(|reason| EngineError::ModelMissing {
                    model: self.to_string(),
                    reason,
                }),
        }
    }
}

/// Not from a pipe or a device, which may never end, nor what is too large for a network.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let text = |error: std::io::Error| error.to_string();
    let metadata = std::fs::metadata(path).map_err(text)?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MOST_BYTES {
        return Err(format!(
            "it has {} bytes, more than any network ({MOST_BYTES})",
            metadata.len()
        ));
    }
    std::fs::read(path).map_err(text)
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(name, _) => write!(f, "{name} (built in)"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What went wrong, with the thing and the remedy named.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    #[error("{library} could not be opened: {reason}; {install}")]
    LibraryMissing {
        library: String,
        reason: String,
        install: String,
    },
    #[error("model {model} cannot be read: {reason}")]
    ModelMissing { model: String, reason: String },
    #[error("model {model} is damaged or not a network that {engine} can run: {reason}")]
    ModelCorrupt {
        model: String,
        engine: EngineKind,
        reason: String,
    },
    #[error("model {model} does not fit: expected {expected}, found {found}")]
    ModelShape {
        model: String,
        expected: String,
        found: String,
    },
    #[error("{engine}: {what}; {remedy}")]
    Unsupported {
        engine: String,
        what: String,
        remedy: String,
    },
    /// As [`Unsupported`](Self::Unsupported), but the settings are at fault and no other device would help.
    #[error("{engine}: {what}; {remedy}")]
    Conflict {
        engine: String,
        what: String,
        remedy: String,
    },
    #[error("inference with {engine} failed: {reason}")]
    Inference { engine: EngineKind, reason: String },
    /// Tensors that came with a frame, from another element.
    #[error("{what}; {remedy}")]
    Tensors { what: String, remedy: String },
    /// The network gives this for all that is submitted from now on.
    #[error("the device of engine {engine} was lost: {reason}; restart, or use fallback=cpu to go on without it")]
    DeviceLost { engine: EngineKind, reason: String },
    /// The next inference may succeed, a smaller one will sooner.
    #[error(
        "{engine} has no memory left on {device}: {reason}; use a smaller batch-size, end what else uses the GPU, or use fallback=cpu"
    )]
    OutOfMemory {
        engine: EngineKind,
        device: String,
        reason: String,
    },
    /// An [`Interrupt`] was raised. The result is dropped when it comes.
    #[error("the inference was given up, because its stream is flushed or stopped")]
    Interrupted,
}

impl EngineError {
    /// Whether another device could do better: the library, the device or its driver is at fault, not the model or the settings.
    pub fn may_fall_back(&self) -> bool {
        matches!(
            self,
            Self::LibraryMissing { .. } | Self::Unsupported { .. } | Self::DeviceLost { .. } | Self::OutOfMemory { .. }
        )
    }
}

/// For engines that have one slot.
#[cfg(any(feature = "onnxruntime", feature = "embedded-engine"))]
fn only_slot(engine: EngineKind, slot: usize) -> Result<(), EngineError> {
    if slot == 0 {
        return Ok(());
    }
    Err(EngineError::Inference {
        engine,
        reason: format!("slot {slot} of 1"),
    })
}

/// Where the tensors of a network lie in the memory of its GPU, until it is dropped. All of slot 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuTensors {
    /// Address of each input.
    pub inputs: Vec<u64>,
    /// Address of each output; `None` for those that [`Network::output`] still gives.
    pub outputs: Vec<Option<u64>>,
}

/// A loaded model. See the [module documentation](self).
pub trait Network: Send {
    /// What really runs it.
    fn engine(&self) -> EngineKind;

    /// The device that really runs it, in the engine's spelling.
    fn device(&self) -> &str;

    /// What is worth a warning at start, such as a fallback that was taken.
    fn note(&self) -> Option<&str> {
        None
    }

    fn inputs(&self) -> &[TensorInfo];

    fn outputs(&self) -> &[TensorInfo];

    /// How many requests can be in flight. Never 0.
    fn slots(&self) -> usize;

    /// Asks for `count` slots, 0 for as many as keep the engine busy, and returns how many there are now. Engines without a
    /// queue stay at 1.
    fn set_slots(&mut self, count: usize) -> Result<usize, EngineError> {
        let _ = count;
        Ok(self.slots())
    }

    /// Input tensor `index` of `slot`, to be filled in place. An error while the slot is in flight; waits for nothing but what was
    /// in it and is [discarded](Self::discard).
    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError>;

    /// Starts the inference of `slot`.
    fn submit(&mut self, slot: usize) -> Result<(), EngineError>;

    /// Waits until the inference of `slot` has ended, `timeout` at most. An error when nothing was submitted.
    fn complete(&mut self, slot: usize, timeout: Duration) -> Result<(), EngineError>;

    /// Output tensor `index` of `slot`, read in place. Valid after [`complete`](Self::complete).
    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError>;

    /// Whether the inference of `slot` has ended, well or not: then [`complete`](Self::complete) does not wait. Ask while it
    /// is in flight.
    fn is_complete(&mut self, slot: usize) -> bool {
        let _ = slot;
        true
    }

    /// As [`complete`](Self::complete), with the bound of the engine: a device that owes the result for longer is lost.
    fn finish(&mut self, slot: usize) -> Result<(), EngineError> {
        self.complete(slot, INFER_TIMEOUT)
    }

    /// Drops the results of all that is in flight. Where a device still owes them, that waits for none: whoever needs the slot
    /// next does.
    fn discard(&mut self) {
        for slot in 0..self.slots() {
            // Of a slot that is free, or a device that is lost, the next frame in it tells.
            let _ = self.finish(slot);
        }
    }

    /// Has all waiting end while this is raised; what was waited for is [discarded](Self::discard). An engine without a queue
    /// has nothing to wait for.
    fn set_interrupt(&mut self, interrupt: Interrupt) {
        let _ = interrupt;
    }

    /// The GPU of NVIDIA that runs it, counted as CUDA does.
    fn gpu(&self) -> Option<u32> {
        None
    }

    /// Leaves inputs and outputs in the GPU's memory from now on. [`input`](Self::input) gives them no more, and
    /// [`output`](Self::output) only those without an address. Whoever fills the inputs waits for that before
    /// [`submit`](Self::submit); the outputs are there after [`complete`](Self::complete).
    fn bind_to_gpu(&mut self) -> Result<GpuTensors, EngineError> {
        Err(EngineError::Inference {
            engine: self.engine(),
            reason: "it has no tensors on a GPU".to_owned(),
        })
    }

    /// Submit and finish.
    fn infer(&mut self, slot: usize) -> Result<(), EngineError> {
        self.submit(slot)?;
        self.finish(slot)
    }
}

/// Loads a model. Libraries are opened here, at the first call that needs them.
///
/// With [`EngineKind::Auto`] an engine whose library is missing is passed over; a damaged model or a wanted device that
/// does not answer is an error unless [`EngineOptions::fallback_cpu`] allows the CPU. A HEF goes to the Hailo; what
/// replaces it when that does not answer is another model, which its owner loads (see the module's description).
pub fn load(source: &ModelSource, options: &EngineOptions) -> Result<Box<dyn Network>, EngineError> {
    if options.threads > MAX_THREADS {
        return Err(EngineError::Unsupported {
            engine: options.kind.to_string(),
            what: format!("{} threads", options.threads),
            remedy: format!("use 0 (the engine's choice) to {MAX_THREADS}"),
        });
    }
    if options.kind == EngineKind::Hailo || (options.kind == EngineKind::Auto && hailo::is_hef(source)) {
        return hailo::load(source, &options.device, &options.hailo);
    }
    if options.batch > MAX_BATCH {
        return Err(EngineError::Conflict {
            engine: options.kind.to_string(),
            what: format!("a batch of {}", options.batch),
            remedy: format!("use 0 (one picture) to {MAX_BATCH}"),
        });
    }
    let device = Device::parse(&options.device)?;
    let model = source.read()?;
    let request = Request {
        source,
        model: &model,
        options,
    };
    let network = match load_on(&request, device) {
        Err(error) if options.fallback_cpu && device != Device::Cpu && error.may_fall_back() => {
            let note = format!("{} is not used: {error}", options.device);
            load_on(&request, Device::Cpu).map(|inner| Box::new(Fallback { inner, note }) as Box<dyn Network>)
        }
        result => result,
    };
    drop(model);
    give_back();
    network
}

/// Gives the system back what loading used: the C library keeps it otherwise, two or three times the size of the network.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number only and may be called in any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What the back ends get.
struct Request<'a> {
    source: &'a ModelSource,
    model: &'a [u8],
    options: &'a EngineOptions,
}

#[cfg(any(feature = "openvino", feature = "onnxruntime", feature = "embedded-engine"))]
impl Request<'_> {
    /// The sides of an input, `None` for those that the model leaves open: only the leading one may be, and becomes the batch.
    fn fixed(&self, name: &str, sides: impl IntoIterator<Item = Option<usize>>) -> Result<Vec<usize>, EngineError> {
        let sides: Vec<_> = sides.into_iter().collect();
        let batch = self.options.batch.max(1) as usize;
        let fixed = |(axis, side): (usize, &Option<usize>)| side.or((axis == 0).then_some(batch));
        let shape: Option<_> = sides.iter().enumerate().map(fixed).collect();
        shape.ok_or_else(|| {
            let text = |side: &Option<usize>| side.map_or("?".to_owned(), |side| side.to_string());
            let sides = sides.iter().map(text).collect::<Vec<_>>().join(", ");
            self.misfit(
                "inputs whose sides are fixed, but for the leading one",
                format!("{name} [{sides}]"),
            )
        })
    }

    fn misfit(&self, expected: &str, found: String) -> EngineError {
        EngineError::ModelShape {
            model: self.source.to_string(),
            expected: expected.to_owned(),
            found,
        }
    }
}

/// What engines take and give, for messages.
#[cfg(any(feature = "openvino", feature = "onnxruntime", feature = "embedded-engine"))]
const INPUT_TYPES: &str = "inputs of f32 or u8";
#[cfg(any(feature = "openvino", feature = "onnxruntime", feature = "embedded-engine"))]
const OUTPUT_TYPES: &str = "outputs of f32, u8, i32 or i64";

/// [`EngineOptions::device`], understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Device {
    Cpu,
    Cuda(u32),
    TensorRt(u32),
}

impl Device {
    fn parse(text: &str) -> Result<Self, EngineError> {
        let upper = text.trim().to_ascii_uppercase();
        let (name, index) = upper.split_once(':').unwrap_or((&upper, "0"));
        match (name, index.parse()) {
            ("" | "CPU", Ok(0)) => Ok(Self::Cpu),
            ("CUDA", Ok(index)) => Ok(Self::Cuda(index)),
            ("TENSORRT", Ok(index)) => Ok(Self::TensorRt(index)),
            _ => Err(EngineError::Unsupported {
                engine: "device".to_owned(),
                what: format!("\"{text}\" is not a device"),
                remedy: "use CPU, CUDA:n or TENSORRT:n; HAILO takes a HEF".to_owned(),
            }),
        }
    }
}

fn load_on(request: &Request<'_>, device: Device) -> Result<Box<dyn Network>, EngineError> {
    let half = matches!(request.options.precision, Precision::Bf16 | Precision::F16);
    if half && device == Device::Cpu && matches!(request.options.kind, EngineKind::OnnxRuntime | EngineKind::Embedded) {
        return Err(EngineError::Unsupported {
            engine: request.options.kind.to_string(),
            what: "has 32-bit arithmetic only on the CPU".to_owned(),
            remedy: "use precision=auto or f32, or engine=openvino".to_owned(),
        });
    }
    if half && matches!(device, Device::Cuda(_)) {
        return Err(EngineError::Unsupported {
            engine: request.options.kind.to_string(),
            what: "computes on CUDA in the graph's own numbers".to_owned(),
            remedy: "use precision=auto or f32, device=TENSORRT:n, or a graph in 16 bits".to_owned(),
        });
    }
    match request.options.kind {
        EngineKind::Hailo => hailo::load(request.source, &request.options.device, &request.options.hailo),
        EngineKind::OpenVino => load_openvino(request, device),
        EngineKind::OnnxRuntime => load_onnxruntime(request, device),
        EngineKind::Embedded => load_embedded(request, device),
        EngineKind::Auto if device != Device::Cpu => load_onnxruntime(request, device),
        EngineKind::Auto => {
            let missing = |error: &EngineError| matches!(error, EngineError::LibraryMissing { .. });
            match load_openvino(request, device) {
                Err(error) if missing(&error) => {}
                result => return result,
            }
            match load_onnxruntime(request, device) {
                Err(error) if missing(&error) => load_embedded(request, device),
                result => result,
            }
        }
    }
}

#[cfg(feature = "openvino")]
fn load_openvino(request: &Request<'_>, device: Device) -> Result<Box<dyn Network>, EngineError> {
    if device != Device::Cpu {
        return Err(wrong_device(EngineKind::OpenVino, request));
    }
    openvino::load(request)
}

#[cfg(not(feature = "openvino"))]
fn load_openvino(_: &Request<'_>, _: Device) -> Result<Box<dyn Network>, EngineError> {
    Err(not_built(EngineKind::OpenVino))
}

#[cfg(feature = "onnxruntime")]
fn load_onnxruntime(request: &Request<'_>, device: Device) -> Result<Box<dyn Network>, EngineError> {
    onnxruntime::load(request, device)
}

#[cfg(not(feature = "onnxruntime"))]
fn load_onnxruntime(_: &Request<'_>, _: Device) -> Result<Box<dyn Network>, EngineError> {
    Err(not_built(EngineKind::OnnxRuntime))
}

#[cfg(feature = "embedded-engine")]
fn load_embedded(request: &Request<'_>, device: Device) -> Result<Box<dyn Network>, EngineError> {
    if device != Device::Cpu {
        return Err(wrong_device(EngineKind::Embedded, request));
    }
    embedded::load(request)
}

#[cfg(not(feature = "embedded-engine"))]
fn load_embedded(_: &Request<'_>, _: Device) -> Result<Box<dyn Network>, EngineError> {
    Err(not_built(EngineKind::Embedded))
}

#[cfg(any(feature = "openvino", feature = "embedded-engine"))]
fn wrong_device(engine: EngineKind, request: &Request<'_>) -> EngineError {
    EngineError::Unsupported {
        engine: engine.to_string(),
        what: format!("cannot use the device {}", request.options.device),
        remedy: "use engine=onnxruntime for CUDA and TensorRT, or device=CPU".to_owned(),
    }
}

#[cfg(not(all(feature = "openvino", feature = "onnxruntime", feature = "embedded-engine")))]
fn not_built(engine: EngineKind) -> EngineError {
    EngineError::LibraryMissing {
        library: engine.to_string(),
        reason: "this build leaves the engine out".to_owned(),
        install: format!("build nunchi-inference with the feature of {engine}"),
    }
}

/// A network on the CPU in place of the wanted device.
struct Fallback {
    inner: Box<dyn Network>,
    note: String,
}

impl Network for Fallback {
    fn engine(&self) -> EngineKind {
        self.inner.engine()
    }

    fn device(&self) -> &str {
        self.inner.device()
    }

    fn note(&self) -> Option<&str> {
        Some(&self.note)
    }

    fn inputs(&self) -> &[TensorInfo] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[TensorInfo] {
        self.inner.outputs()
    }

    fn slots(&self) -> usize {
        self.inner.slots()
    }

    fn set_slots(&mut self, count: usize) -> Result<usize, EngineError> {
        self.inner.set_slots(count)
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        self.inner.input(slot, index)
    }

    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        self.inner.submit(slot)
    }

    fn complete(&mut self, slot: usize, timeout: Duration) -> Result<(), EngineError> {
        self.inner.complete(slot, timeout)
    }

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        self.inner.output(slot, index)
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        self.inner.is_complete(slot)
    }

    fn finish(&mut self, slot: usize) -> Result<(), EngineError> {
        self.inner.finish(slot)
    }
}
