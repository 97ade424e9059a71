//! ONNX Runtime, opened at run time: CPU, CUDA and TensorRT.
//!
//! A session is not shared: the runtime's allocators make concurrent runs of one session unsafe, and queueing several
//! elements behind one lock would cost more than the weights.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider};
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::SessionBuilder;
use ort::session::{IoBinding, Session};
use ort::value::{DynTensor, Outlet, PrimitiveTensorElementType, TensorElementType, ValueType};

use super::library::Search;
use super::{
    DataType, Device, EngineError, EngineKind, EngineStatus, GpuTensors, INPUT_TYPES, Network, OUTPUT_TYPES, Precision,
    Request, TensorInfo, TensorMut, TensorRef, only_slot,
};

const SEARCH: Search = Search {
    name: "ONNX Runtime",
    variable: "ORT_DYLIB_PATH",
    folder: "onnxruntime",
    prefix: "libonnxruntime.so",
    sonames: &["libonnxruntime.so.1", "libonnxruntime.so"],
    install: "run `make`, which unpacks it, or install ONNX Runtime 1.17 or newer (onnxruntime-gpu for CUDA)",
};
const KIND: EngineKind = EngineKind::OnnxRuntime;

/// There is one runtime per process: the first library that opens stays.
static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);

#[derive(Clone)]
struct Library {
    environment: Environment,
    path: String,
}

struct OnnxRuntime {
    binding: IoBinding,
    /// Bound once: filled and read in place.
    input_tensors: Vec<DynTensor>,
    output_tensors: Vec<Output>,
    /// Its allocators may be those of the tensors, so it goes after them.
    session: Session,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    device: Device,
    device_name: String,
    /// The inputs are in its memory.
    on_gpu: bool,
    submitted: bool,
}

enum Output {
    /// Bound once and read in place.
    Bound(DynTensor),
    /// The same in the memory of the GPU, for who knows its address.
    OnGpu(#[expect(dead_code, reason = "kept while the binding writes to it")] DynTensor),
    /// Its size is known after a run only: the runtime allocates it in each. Nothing before the first.
    Late(Option<DynTensor>),
}

pub(super) fn load(request: &Request<'_>, device: Device) -> Result<Box<dyn Network>, EngineError> {
    let library = library()?;
    let builder = configure(&library, request, device).map_err(|error| EngineError::Unsupported {
        engine: KIND.to_string(),
        what: format!("cannot use the device {}: {error}", device_name(device)),
        remedy: "install onnxruntime-gpu with the CUDA (and TensorRT) libraries it wants, or use fallback=cpu".into(),
    });
    let session = builder?
        .commit_from_memory(request.model)
        .map_err(|error| match device {
            Device::Cpu => corrupt(request, &error),
            Device::Cuda(_) | Device::TensorRt(_) => EngineError::Unsupported {
                engine: KIND.to_string(),
                what: format!("the device {} refuses {}: {error}", device_name(device), request.source),
                remedy: "look at nvidia-smi, or use fallback=cpu".to_owned(),
            },
        })?;
    let inputs = session.inputs().iter().map(|outlet| input(request, outlet));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let batch = Batch::of(session.inputs(), &inputs);
    let outputs = session.outputs().iter().map(|outlet| output(request, outlet, &batch));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    bind(session, inputs, outputs, device)
        .map(|network| Box::new(network) as Box<dyn Network>)
        .map_err(inference)
}

pub(super) fn status() -> EngineStatus {
    let opened = library().map(|library| {
        let mut devices = vec!["CPU".to_owned()];
        // Compiled in; whether a GPU answers shows when a model is loaded.
        if ep::CUDA::is_available().unwrap_or(false) {
            devices.push("CUDA".to_owned());
        }
        if ep::TensorRT::is_available().unwrap_or(false) {
            devices.push("TENSORRT".to_owned());
        }
        (version(ort::info(), &library.path), library.path, devices)
    });
    EngineStatus::new(KIND, opened)
}

/// The build line names the branch `rel-1.32.0`; other builds are known by their file name only.
fn version(info: &str, path: &str) -> String {
    let branch = info
        .split("rel-")
        .nth(1)
        .map(|rest| rest.split([',', ' ']).next().unwrap_or(""));
    let file = path.split("libonnxruntime.so.").nth(1);
    branch.or(file).unwrap_or_default().to_owned()
}

/// Opens the library at the first call; a failure is tried anew at the next.
fn library() -> Result<Library, EngineError> {
    let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = library.as_ref() {
        return Ok(library.clone());
    }
    let opened = SEARCH.open(|path: &Path| {
        // Never lazily: the binding panics when it has to look for the library itself.
        let environment = ort::init_from(path).map_err(|error| error.to_string())?;
        let environment = environment
            .with_name("nunchi")
            .with_telemetry(false)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Library {
            environment,
            path: path.display().to_string(),
        })
    })?;
    Ok(library.insert(opened).clone())
}

fn configure(library: &Library, request: &Request<'_>, device: Device) -> Result<SessionBuilder, String> {
    fn text<T>(error: ort::Error<T>) -> String {
        error.to_string()
    }
    let mut builder = Session::builder(&library.environment)
        .map_err(text)?
        .with_log_level(ort::logging::LogLevel::Fatal)
        .map_err(text)?
        // Spinning workers would burn a core between two frames.
        .with_intra_op_spinning(false)
        .map_err(text)?;
    if request.options.threads > 0 {
        builder = builder
            .with_intra_threads(request.options.threads as usize)
            .map_err(text)?;
    }
    let precision = request.options.precision;
    let cuda = |index: u32| {
        ep::CUDA::default()
            .with_device_id(index.cast_signed())
            // 19 bits in products, where the GPU has it.
            .with_tf32(precision != Precision::F32)
            .build()
            .error_on_failure()
    };
    match device {
        Device::Cpu => Ok(builder),
        Device::Cuda(index) => builder.with_execution_providers([cuda(index)]).map_err(text),
        Device::TensorRt(index) => {
            let mut tensorrt = ep::TensorRT::default()
                .with_device_id(index.cast_signed())
                .with_fp16(matches!(precision, Precision::Auto | Precision::F16))
                .with_bf16(precision == Precision::Bf16);
            // Making an engine takes minutes: the next start finds it, by graph, GPU and versions.
            if let Some(folder) = cache() {
                let folder = folder.display().to_string();
                tensorrt = tensorrt
                    .with_engine_cache(true)
                    .with_engine_cache_path(&folder)
                    .with_timing_cache(true)
                    .with_timing_cache_path(folder);
            }
            let tensorrt = tensorrt.build().error_on_failure();
            // CUDA takes the nodes that TensorRT leaves.
            builder.with_execution_providers([tensorrt, cuda(index)]).map_err(text)
        }
    }
}

/// The user's folder for TensorRT's engines, which is made; `None` where it cannot be.
fn cache() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    let folder = base.join("nunchi/tensorrt");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

fn input(request: &Request<'_>, outlet: &Outlet) -> Result<TensorInfo, EngineError> {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(request.misfit(INPUT_TYPES, format!("{} of {:?}", outlet.name(), outlet.dtype())));
    };
    let data_type = data_type(*ty).filter(|kind| matches!(kind, DataType::F32 | DataType::U8));
    let data_type = data_type.ok_or_else(|| request.misfit(INPUT_TYPES, format!("{} of {ty}", outlet.name())))?;
    let shape = request.fixed(outlet.name(), shape.iter().map(|&side| usize::try_from(side).ok()))?;
    Ok(TensorInfo::onnx(outlet.name().to_owned(), shape, data_type))
}

/// A side that bears the name of the batch is the batch; another open one is 0.
fn output(request: &Request<'_>, outlet: &Outlet, batch: &Batch) -> Result<TensorInfo, EngineError> {
    let ValueType::Tensor {
        ty,
        shape,
        dimension_symbols,
    } = outlet.dtype()
    else {
        return Err(request.misfit(OUTPUT_TYPES, format!("{} of {:?}", outlet.name(), outlet.dtype())));
    };
    let data_type = data_type(*ty).ok_or_else(|| request.misfit(OUTPUT_TYPES, format!("{} of {ty}", outlet.name())))?;
    let names = dimension_symbols.iter().map(String::as_str);
    let side = |(&side, name): (&i64, &str)| usize::try_from(side).unwrap_or_else(|_| batch.size(name));
    let shape = shape.iter().zip(names).map(side).collect();
    Ok(TensorInfo::onnx(outlet.name().to_owned(), shape, data_type))
}

fn data_type(of: TensorElementType) -> Option<DataType> {
    match of {
        TensorElementType::Float32 => Some(DataType::F32),
        TensorElementType::Uint8 => Some(DataType::U8),
        TensorElementType::Int32 => Some(DataType::I32),
        TensorElementType::Int64 => Some(DataType::I64),
        _ => None,
    }
}

fn element_type(of: DataType) -> TensorElementType {
    match of {
        DataType::F32 => TensorElementType::Float32,
        DataType::U8 => TensorElementType::Uint8,
        DataType::U16 => TensorElementType::Uint16,
        DataType::I32 => TensorElementType::Int32,
        DataType::I64 => TensorElementType::Int64,
    }
}

/// What the model calls the leading side of its first input, where that is open, and what it has become.
struct Batch {
    name: String,
    size: usize,
}

impl Batch {
    fn of(outlets: &[Outlet], inputs: &[TensorInfo]) -> Self {
        let name = match outlets.first().map(Outlet::dtype) {
            Some(ValueType::Tensor { dimension_symbols, .. }) => dimension_symbols.first().cloned(),
            _ => None,
        };
        let size = inputs.first().and_then(|info| info.shape.first());
        Self {
            name: name.unwrap_or_default(),
            size: size.copied().unwrap_or(0),
        }
    }

    fn size(&self, name: &str) -> usize {
        if !name.is_empty() && name == self.name {
            self.size
        } else {
            0
        }
    }
}

fn bind(
    session: Session,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    device: Device,
) -> Result<OnnxRuntime, ort::Error> {
    let allocator = Allocator::default();
    let mut binding = session.create_binding()?;
    let tensor = |info: &TensorInfo| DynTensor::new(&allocator, element_type(info.data_type), info.shape.clone());
    let input_tensors = inputs.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    for (info, tensor) in inputs.iter().zip(&input_tensors) {
        binding.bind_input(info.name.as_str(), tensor)?;
    }
    let mut output_tensors = Vec::with_capacity(outputs.len());
    for info in &outputs {
        if info.is_empty() {
            output_tensors.push(Output::Late(None));
        } else {
            let mut tensor = tensor(info)?;
            binding.bind_output(info.name.as_str(), &mut tensor)?;
            output_tensors.push(Output::Bound(tensor));
        }
    }
    let device_name = device_name(device);
    Ok(OnnxRuntime {
        session,
        binding,
        input_tensors,
        output_tensors,
        inputs,
        outputs,
        device,
        device_name,
        on_gpu: false,
        submitted: false,
    })
}

fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "CPU".to_owned(),
        Device::Cuda(index) => format!("CUDA:{index}"),
        Device::TensorRt(index) => format!("TENSORRT:{index}"),
    }
}

impl OnnxRuntime {
    /// Binds tensors in the memory of a GPU instead of the system's.
    fn move_tensors(&mut self, index: u32) -> Result<GpuTensors, ort::Error> {
        let memory = MemoryInfo::new(
            AllocationDevice::CUDA,
            index.cast_signed(),
            AllocatorType::Device,
            MemoryType::Default,
        )?;
        let allocator = Allocator::new(&self.session, memory)?;
        let tensor = |info: &TensorInfo| DynTensor::new(&allocator, element_type(info.data_type), info.shape.clone());
        let inputs = self.inputs.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
        // Floats only: what else a network gives is a few numbers, and whoever wants them reads them by their type.
        let bound = |(info, output): (&TensorInfo, &Output)| match output {
            Output::Bound(_) | Output::OnGpu(_) if info.data_type == DataType::F32 => tensor(info).map(Some),
            _ => Ok(None),
        };
        let outputs = self.outputs.iter().zip(&self.output_tensors).map(bound);
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let address = |tensor: &DynTensor| tensor.data_ptr().addr() as u64;
        let tensors = GpuTensors {
            inputs: inputs.iter().map(address).collect(),
            outputs: outputs.iter().map(|tensor| tensor.as_ref().map(address)).collect(),
        };
        let mut binding = self.session.create_binding()?;
        for (info, tensor) in self.inputs.iter().zip(&inputs) {
            binding.bind_input(info.name.as_str(), tensor)?;
        }
        let mut moved = Vec::with_capacity(outputs.len());
        for (info, tensor) in self.outputs.iter().zip(outputs) {
            moved.push(match tensor {
                Some(mut tensor) => {
                    binding.bind_output(info.name.as_str(), &mut tensor)?;
                    Output::OnGpu(tensor)
                }
                None if info.is_empty() => Output::Late(None),
                None => {
                    let host = Allocator::default();
                    let mut tensor = DynTensor::new(&host, element_type(info.data_type), info.shape.clone())?;
                    binding.bind_output(info.name.as_str(), &mut tensor)?;
                    Output::Bound(tensor)
                }
            });
        }
        // The old tensors go after the binding that knows them.
        self.binding = binding;
        self.input_tensors = inputs;
        self.output_tensors = moved;
        self.on_gpu = true;
        Ok(tensors)
    }

    fn run(&mut self) -> Result<(), ort::Error> {
        if self.device != Device::Cpu {
            // Where the first node is on another device than the tensor, the copy is made when an input is bound.
            for (info, tensor) in self.inputs.iter().zip(&self.input_tensors) {
                self.binding.bind_input(info.name.as_str(), tensor)?;
            }
        }
        for (info, output) in self.outputs.iter().zip(&mut self.output_tensors) {
            if let Output::Late(value) = output {
                // Bound anew, or the run would want to write into what the last one allocated.
                *value = None;
                self.binding.bind_output_to_device(info.name.as_str(), &host()?)?;
            }
        }
        let mut results = self.session.run_binding(&self.binding)?;
        for (info, output) in self.outputs.iter().zip(&mut self.output_tensors) {
            if let Output::Late(value) = output {
                *value = results.remove(&info.name).map(|value| value.downcast()).transpose()?;
            }
        }
        drop(results);
        if self.device != Device::Cpu {
            self.binding.synchronize_outputs()?;
        }
        Ok(())
    }
}

/// The memory that outputs are read from.
fn host() -> Result<MemoryInfo<'static>, ort::Error> {
    MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)
}

impl Network for OnnxRuntime {
    fn engine(&self) -> EngineKind {
        KIND
    }

    fn device(&self) -> &str {
        &self.device_name
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn slots(&self) -> usize {
        1
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        only_slot(KIND, slot)?;
        if self.on_gpu {
            return Err(failed("the inputs are in the memory of the GPU"));
        }
        let tensor = self
            .input_tensors
            .get_mut(index)
            .ok_or_else(|| failed("no such input"))?;
        match self.inputs[index].data_type {
            DataType::U8 => tensor.try_extract_tensor_mut().map(|(_, data)| TensorMut::U8(data)),
            _ => tensor.try_extract_tensor_mut().map(|(_, data)| TensorMut::F32(data)),
        }
        .map_err(inference)
    }

    /// Runs at once: the runtime has no queue that could be waited on with a bound.
    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        only_slot(KIND, slot)?;
        self.run().map_err(|error| match self.device {
            Device::Cpu => inference(error),
            Device::Cuda(_) | Device::TensorRt(_) => device_failure(&self.device_name, &error.to_string()),
        })?;
        self.submitted = true;
        Ok(())
    }

    fn complete(&mut self, slot: usize, _timeout: Duration) -> Result<(), EngineError> {
        only_slot(KIND, slot)?;
        if std::mem::take(&mut self.submitted) {
            Ok(())
        } else {
            Err(failed("nothing was submitted"))
        }
    }

    fn gpu(&self) -> Option<u32> {
        match self.device {
            Device::Cpu => None,
            Device::Cuda(index) | Device::TensorRt(index) => Some(index),
        }
    }

    fn bind_to_gpu(&mut self) -> Result<GpuTensors, EngineError> {
        let Some(index) = self.gpu() else {
            return Err(failed("it runs on the CPU"));
        };
        self.move_tensors(index)
            .map_err(|error| device_failure(&self.device_name, &error.to_string()))
    }

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        only_slot(KIND, slot)?;
        let outputs = self.output_tensors.get(index).zip(self.outputs.get(index));
        match outputs.ok_or_else(|| failed("no such output"))? {
            (Output::OnGpu(_), _) => Err(failed("the output is in the memory of the GPU")),
            (Output::Bound(tensor) | Output::Late(Some(tensor)), info) => read(tensor, info.data_type),
            (Output::Late(None), _) => Err(failed("nothing was inferred")),
        }
    }
}

fn read(tensor: &DynTensor, data_type: DataType) -> Result<TensorRef<'_>, EngineError> {
    fn data<T: PrimitiveTensorElementType>(tensor: &DynTensor) -> Result<&[T], EngineError> {
        // What is empty may have no memory to point to.
        if tensor.shape().num_elements() == 0 {
            return Ok(&[]);
        }
        tensor.try_extract_tensor().map(|(_, data)| data).map_err(inference)
    }
    match data_type {
        DataType::F32 => data(tensor).map(TensorRef::F32),
        DataType::U8 => data(tensor).map(TensorRef::U8),
        DataType::U16 => data(tensor).map(TensorRef::U16),
        DataType::I32 => data(tensor).map(TensorRef::I32),
        DataType::I64 => data(tensor).map(TensorRef::I64),
    }
}

fn corrupt(request: &Request<'_>, error: &dyn Display) -> EngineError {
    EngineError::ModelCorrupt {
        model: request.source.to_string(),
        engine: KIND,
        reason: error.to_string(),
    }
}

fn inference(error: ort::Error) -> EngineError {
    failed(&error.to_string())
}

/// What a failure on a GPU means. The runtime tells CUDA's codes in its text only: `CUDA failure 719: unspecified launch failure ; GPU=0 ; …`.
fn device_failure(device: &str, text: &str) -> EngineError {
    const MEMORY: [&str; 5] = [
        "out of memory",
        "failed to allocate memory",
        "cuda_error_out_of_memory",
        "cublas_status_alloc_failed",
        "cudnn_status_alloc_failed",
    ];
    /// After these no call succeeds any more, as `CUresult` is described: device unavailable, no device, ECC, illegal access, time-out, a context that
    /// is gone, traps and failures of a kernel, unknown.
    const LOST: [u32; 14] = [46, 100, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999];
    let small = text.to_ascii_lowercase();
    let code = small.split("cuda failure ").nth(1).and_then(|rest| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    let reason = text.to_owned();
    if code == Some(2) || MEMORY.iter().any(|said| small.contains(said)) {
        let (engine, device) = (KIND, device.to_owned());
        return EngineError::OutOfMemory { engine, device, reason };
    }
    if code.is_some_and(|code| LOST.contains(&code)) {
        return EngineError::DeviceLost { engine: KIND, reason };
    }
    failed(text)
}

fn failed(reason: &str) -> EngineError {
    EngineError::Inference {
        engine: KIND,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{device_failure, version};
    use crate::engine::EngineError;

    #[test]
    fn failures_of_a_gpu_are_told_apart() {
        for text in [
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=box ; file=cuda_allocator.cc ; line=54 ; expr=cudaMalloc((void**)&p, size);",
            "Non-zero status code returned while running Conv node. Failed to allocate memory for requested buffer of size 1073741824",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        ] {
            let error = device_failure("CUDA:0", text);
            assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}");
            assert!(error.may_fall_back() && error.to_string().contains("CUDA:0"));
        }
        for text in [
            "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
            "CUDA failure 719: unspecified launch failure ; GPU=0",
            "CUDA failure 46: all CUDA-capable devices are busy or unavailable",
        ] {
            let error = device_failure("CUDA:0", text);
            assert!(matches!(error, EngineError::DeviceLost { .. }), "{error}");
        }
        for text in [
            "CUDA failure 1: invalid argument",
            "CUDA failure x",
            "Invalid input name",
            "",
        ] {
            let error = device_failure("CUDA:0", text);
            assert!(
                matches!(error, EngineError::Inference { .. }) && !error.may_fall_back(),
                "{error}"
            );
        }
    }

    #[test]
    fn the_version_is_read_from_the_build_line_or_the_file() {
        assert_eq!(
            version("ORT Build Info: git-branch=rel-1.19.0, git-commit-id=26250ae", ""),
            "1.19.0"
        );
        assert_eq!(version("nothing", "/opt/libonnxruntime.so.1.32.0"), "1.32.0");
        assert_eq!(version("", "libonnxruntime.so"), "");
    }
}
