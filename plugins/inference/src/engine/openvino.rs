//! OpenVINO through its C library, opened at run time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use openvino::{
    CompiledModel, Core, DeviceType, Dimension, ElementType, InferRequest, InferenceErrorKind, Node, PartialShape,
    PropertyKey, RwPropertyKey, Shape, Tensor,
};

use super::library::Search;
use super::share::Shared;
use super::{
    DataType, EngineError, EngineKind, EngineStatus, INPUT_TYPES, Network, OUTPUT_TYPES, Precision, Request,
    TensorInfo, TensorMut, TensorRef,
};

const SEARCH: Search = Search {
    name: "OpenVINO",
    variable: "NUNCHI_OPENVINO_LIB",
    folder: "openvino",
    prefix: "libopenvino_c.so",
    sonames: &["libopenvino_c.so"],
    install: "run `make`, which unpacks it, or install OpenVINO 2025.1 or newer",
};
const KIND: EngineKind = EngineKind::OpenVino;

static MODELS: Shared<Compiled> = Shared::new();
static LIBRARY: Mutex<Option<Library>> = Mutex::new(None);
/// What the binding has opened: it keeps the first file for the life of the process, whatever it is asked for later.
static BOUND: OnceLock<PathBuf> = OnceLock::new();

/// The opened library and its one core.
struct Library {
    core: Core,
    path: String,
    /// What the device does when nothing is asked for.
    precision: String,
}

/// A compiled model, shared by the networks that were loaded alike.
struct Compiled {
    model: Mutex<CompiledModel>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

/// One request with its tensors. The request stands first so that it ends before they are freed.
struct Slot {
    request: InferRequest,
    inputs: Vec<Tensor>,
    /// One whose size only the inference tells is the request's own, taken after it.
    outputs: Vec<Option<Tensor>>,
    in_flight: bool,
}

struct OpenVino {
    compiled: Arc<Compiled>,
    slots: Vec<Slot>,
}

pub(super) fn load(request: &Request<'_>) -> Result<Box<dyn Network>, EngineError> {
    let compiled = MODELS.get(request, || {
        let mut library = library()?;
        let library = library.as_mut().ok_or_else(|| failed("the library is closed"))?;
        compile(library, request)
    })?;
    let slots = vec![slot(&compiled)?];
    Ok(Box::new(OpenVino { compiled, slots }))
}

pub(super) fn status() -> EngineStatus {
    let opened = library().and_then(|mut library| {
        let library = library.as_mut().ok_or_else(|| failed("the library is closed"))?;
        let devices = library
            .core
            .available_devices()
            .map_err(|error| failed(&error.to_string()))?;
        let devices = devices.iter().map(|device| device.as_ref().to_owned()).collect();
        Ok((openvino::version().build_number, library.path.clone(), devices))
    });
    EngineStatus::new(KIND, opened)
}

/// Opens the library at the first call; a failure is tried anew at the next.
fn library() -> Result<MutexGuard<'static, Option<Library>>, EngineError> {
    let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    if library.is_none() {
        *library = Some(SEARCH.open(open)?);
    }
    Ok(library)
}

fn open(path: &Path) -> Result<Library, String> {
    // The binding panics on a library without these, so look first.
    // SAFETY: the file is a shared library that the user or our package put there to be loaded; its initialisers run as
    // with any plugin.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
    for symbol in [c"ov_get_openvino_version", c"ov_core_create", c"ov_version_free"] {
        // SAFETY: the symbol is only looked up, never called through this type.
        unsafe { library.get::<*const ()>(symbol) }.map_err(|error| error.to_string())?;
    }
    if let Some(bound) = BOUND.get().filter(|bound| *bound != path) {
        return Err(format!("this process already uses {}", bound.display()));
    }
    openvino_sys::library::load_from(path)?;
    BOUND.get_or_init(|| path.to_owned());
    let core = Core::new().map_err(|error| error.to_string())?;
    let precision = core
        .get_property(
            &DeviceType::CPU,
            &PropertyKey::Rw(RwPropertyKey::HintInferencePrecision),
        )
        .map_err(|error| format!("no CPU plugin beside it: {error}"))?;
    Ok(Library {
        core,
        path: path.display().to_string(),
        precision,
    })
}

fn compile(library: &mut Library, request: &Request<'_>) -> Result<Compiled, EngineError> {
    let corrupt = |error: openvino::InferenceError| EngineError::ModelCorrupt {
        model: request.source.to_string(),
        engine: KIND,
        reason: short(&error.to_string()),
    };
    let core = &mut library.core;
    let mut model = core.read_model_from_buffer(request.model, None).map_err(corrupt)?;
    let mut inputs = Vec::new();
    for index in 0..model.get_inputs_len().map_err(corrupt)? {
        let node = model.get_input_by_index(index).map_err(corrupt)?;
        let port = Port::new(&node).map_err(corrupt)?;
        let data_type = port
            .data_type()
            .filter(|kind| matches!(kind, DataType::F32 | DataType::U8))
            .ok_or_else(|| request.misfit(INPUT_TYPES, port.to_string()))?;
        let shape = request.fixed(&port.name, port.sides.iter().copied())?;
        if port.sides.contains(&None) {
            let sides: Vec<_> = shape.iter().map(|&side| side as i64).collect();
            let shape = PartialShape::new_static(sides.len() as i64, &sides).map_err(corrupt)?;
            model
                .reshape_by_port_indexes(&[(index, &shape)])
                .map_err(|error| request.misfit("a network that takes a batch", short(&error.to_string())))?;
        }
        inputs.push(TensorInfo::onnx(port.name, shape, data_type));
    }
    let mut outputs = Vec::new();
    for index in 0..model.get_outputs_len().map_err(corrupt)? {
        let node = model.get_output_by_index(index).map_err(corrupt)?;
        let port = Port::new(&node).map_err(corrupt)?;
        let data_type = port.data_type();
        let data_type = data_type.ok_or_else(|| request.misfit(OUTPUT_TYPES, port.to_string()))?;
        let shape = port.sides.iter().map(|side| side.unwrap_or(0)).collect();
        outputs.push(TensorInfo::onnx(port.name, shape, data_type));
    }

    let precision = match request.options.precision {
        // The plugin would take bf16 where the processor has it: a third faster at most, but faces at the edge of what is found are
        // lost, and logs differ from machine to machine.
        Precision::Auto if library.precision == "bf16" => "f32",
        Precision::Auto => library.precision.as_str(),
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16",
        Precision::F16 => "f16",
    };
    let threads = request.options.threads.to_string();
    // They stay on the core until the next compilation, which sets all of them again.
    let properties = [
        (RwPropertyKey::HintPerformanceMode, "LATENCY"),
        (RwPropertyKey::InferenceNumThreads, threads.as_str()),
        (RwPropertyKey::HintInferencePrecision, precision),
        // Pinned threads of several elements would all sit on the first cores.
        (RwPropertyKey::HintEnableCpuPinning, "NO"),
    ];
    core.set_properties(&DeviceType::CPU, properties)
        .map_err(|error| EngineError::Unsupported {
            engine: KIND.to_string(),
            what: format!(
                "refuses {:?} with {threads} threads: {}",
                request.options.precision,
                short(&error.to_string())
            ),
            remedy: "use precision=auto and threads=0".to_owned(),
        })?;
    let model = core.compile_model(&model, DeviceType::CPU).map_err(corrupt)?;
    Ok(Compiled {
        model: Mutex::new(model),
        inputs,
        outputs,
    })
}

/// An input or output as the model has it; open sides are `None`.
struct Port {
    name: String,
    element: ElementType,
    sides: Vec<Option<usize>>,
}

impl Port {
    fn new(node: &Node) -> Result<Self, openvino::InferenceError> {
        let side = |side: &Dimension| {
            let fixed = usize::try_from(side.get_min()).ok();
            fixed.filter(|_| !side.is_dynamic())
        };
        let element = node.get_element_type()?;
        let shape = node.get_partial_shape()?;
        Ok(Self {
            name: node.get_name()?,
            element,
            sides: shape.get_dimensions().iter().map(side).collect(),
        })
    }

    fn data_type(&self) -> Option<DataType> {
        match self.element {
            ElementType::F32 => Some(DataType::F32),
            ElementType::U8 => Some(DataType::U8),
            ElementType::I32 => Some(DataType::I32),
            ElementType::I64 => Some(DataType::I64),
            _ => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.name, self.element)
    }
}

fn element_type(of: DataType) -> ElementType {
    match of {
        DataType::F32 => ElementType::F32,
        DataType::U8 => ElementType::U8,
        DataType::U16 => ElementType::U16,
        DataType::I32 => ElementType::I32,
        DataType::I64 => ElementType::I64,
    }
}

fn slot(compiled: &Compiled) -> Result<Slot, EngineError> {
    let build = || {
        let mut model = compiled.model.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = model.create_infer_request()?;
        let tensor = |info: &TensorInfo| {
            let dimensions: Vec<i64> = info.shape.iter().map(|&side| side as i64).collect();
            Tensor::new(element_type(info.data_type), &Shape::new(&dimensions)?)
        };
        // Own tensors: their memory stays where it is, whatever the plugin does with the ones of the request.
        let inputs: Vec<Tensor> = compiled.inputs.iter().map(tensor).collect::<Result<_, _>>()?;
        let known = |info: &TensorInfo| (!info.is_empty()).then(|| tensor(info)).transpose();
        let outputs: Vec<_> = compiled.outputs.iter().map(known).collect::<Result<_, _>>()?;
        for (index, input) in inputs.iter().enumerate() {
            request.set_input_tensor_by_index(index, input)?;
        }
        for (index, output) in outputs.iter().enumerate() {
            if let Some(output) = output {
                request.set_output_tensor_by_index(index, output)?;
            }
        }
        Ok(Slot {
            request,
            inputs,
            outputs,
            in_flight: false,
        })
    };
    build().map_err(inference)
}

impl OpenVino {
    fn slot(&mut self, slot: usize) -> Result<&mut Slot, EngineError> {
        let count = self.slots.len();
        self.slots
            .get_mut(slot)
            .ok_or_else(|| failed(&format!("slot {slot} of {count}")))
    }

    /// The slot is free again, with its results.
    fn landed(&mut self, index: usize) -> Result<(), EngineError> {
        let compiled = Arc::clone(&self.compiled);
        let slot = self.slot(index)?;
        slot.in_flight = false;
        for (index, (info, output)) in compiled.outputs.iter().zip(&mut slot.outputs).enumerate() {
            if info.is_empty() {
                let tensor = slot.request.get_output_tensor_by_index(index);
                *output = Some(tensor.map_err(inference)?);
            }
        }
        Ok(())
    }

    fn idle_slot(&mut self, index: usize) -> Result<&mut Slot, EngineError> {
        let slot = self.slot(index)?;
        if slot.in_flight {
            Err(failed(&format!("slot {index} is in flight")))
        } else {
            Ok(slot)
        }
    }
}

impl Network for OpenVino {
    fn engine(&self) -> EngineKind {
        KIND
    }

    fn device(&self) -> &str {
        "CPU"
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.compiled.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.compiled.outputs
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn set_slots(&mut self, count: usize) -> Result<usize, EngineError> {
        if self.slots.iter().any(|slot| slot.in_flight) {
            return Err(failed("the number of slots cannot change with frames in flight"));
        }
        while self.slots.len() < count {
            self.slots.push(slot(&self.compiled)?);
        }
        self.slots.truncate(count.max(1));
        Ok(self.slots.len())
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        let data_type = self.compiled.inputs.get(index).map(|info| info.data_type);
        let tensor = self
            .idle_slot(slot)?
            .inputs
            .get_mut(index)
            .ok_or_else(|| failed("no such input"))?;
        match data_type {
            Some(DataType::U8) => tensor.get_data_mut().map(TensorMut::U8),
            _ => tensor.get_data_mut().map(TensorMut::F32),
        }
        .map_err(inference)
    }

    /// A single slot runs here, on the calling thread where one thread suffices: that saves two thread switches.
    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        let alone = self.slots.len() == 1;
        let slot = self.idle_slot(slot)?;
        let started = if alone {
            slot.request.infer()
        } else {
            slot.request.infer_async()
        };
        started.map_err(inference)?;
        slot.in_flight = true;
        Ok(())
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        let alone = self.slots.len() == 1;
        let ended = |slot: &mut Slot| match slot.request.wait(0) {
            Err(error) => error.kind != InferenceErrorKind::ResultNotReady,
            Ok(()) => true,
        };
        alone || self.slot(slot).is_ok_and(ended)
    }

    fn complete(&mut self, slot: usize, timeout: Duration) -> Result<(), EngineError> {
        let alone = self.slots.len() == 1;
        let index = slot;
        let slot = self.slot(index)?;
        if !slot.in_flight {
            return Err(failed("nothing was submitted"));
        }
        if alone {
            return self.landed(index);
        }
        match slot
            .request
            .wait(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
        {
            Ok(()) => self.landed(index),
            Err(error) if error.kind == InferenceErrorKind::ResultNotReady => {
                Err(failed(&format!("no result within {timeout:?}")))
            }
            Err(error) => {
                slot.in_flight = false;
                Err(inference(error))
            }
        }
    }

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        let slot = self.slots.get(slot).ok_or_else(|| failed("no such slot"))?;
        if slot.in_flight {
            return Err(failed("the slot is in flight"));
        }
        let output = slot.outputs.get(index).zip(self.compiled.outputs.get(index));
        let (tensor, info) = output.ok_or_else(|| failed("no such output"))?;
        let tensor = tensor.as_ref().ok_or_else(|| failed("nothing was inferred"))?;
        // Of what is empty there need be no memory.
        if tensor.get_size().map_err(inference)? == 0 {
            return Ok(empty(info.data_type));
        }
        match info.data_type {
            DataType::F32 => tensor.get_data().map(TensorRef::F32),
            DataType::U8 => tensor.get_data().map(TensorRef::U8),
            DataType::U16 => tensor.get_data().map(TensorRef::U16),
            DataType::I32 => tensor.get_data().map(TensorRef::I32),
            DataType::I64 => tensor.get_data().map(TensorRef::I64),
        }
        .map_err(inference)
    }
}

fn empty(data_type: DataType) -> TensorRef<'static> {
    match data_type {
        DataType::F32 => TensorRef::F32(&[]),
        DataType::U8 => TensorRef::U8(&[]),
        DataType::U16 => TensorRef::U16(&[]),
        DataType::I32 => TensorRef::I32(&[]),
        DataType::I64 => TensorRef::I64(&[]),
    }
}

fn inference(error: openvino::InferenceError) -> EngineError {
    failed(&short(&error.to_string()))
}

fn failed(reason: &str) -> EngineError {
    EngineError::Inference {
        engine: KIND,
        reason: reason.to_owned(),
    }
}

/// The library's messages carry source files and whole back traces: the last line with text says what happened.
fn short(message: &str) -> String {
    let last = message.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("no reason given").chars().take(300).collect()
}
