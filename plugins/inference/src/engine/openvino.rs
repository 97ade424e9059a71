//! OpenVINO through its C library, opened at run time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use openvino::{
    CompiledModel, Core, DeviceType, ElementType, InferRequest, InferenceErrorKind, Model, Node, PropertyKey,
    RwPropertyKey, Shape, Tensor,
};

use super::library::Search;
use super::share::Shared;
use super::{EngineError, EngineKind, EngineStatus, Network, Precision, Request, TensorInfo, TensorMut, TensorRef};

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
    outputs: Vec<Tensor>,
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
    let model = core.read_model_from_buffer(request.model, None).map_err(corrupt)?;
    if model.is_dynamic() {
        return Err(EngineError::ModelShape {
            model: request.source.to_string(),
            expected: "fixed shapes".to_owned(),
            found: "a dimension that is open".to_owned(),
        });
    }
    let inputs = describe(&model, request, model.get_inputs_len(), Model::get_input_by_index)?;
    let outputs = describe(&model, request, model.get_outputs_len(), Model::get_output_by_index)?;

    let precision = match request.options.precision {
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

fn describe(
    model: &Model,
    request: &Request<'_>,
    count: Result<usize, openvino::InferenceError>,
    node: impl Fn(&Model, usize) -> Result<Node, openvino::InferenceError>,
) -> Result<Vec<TensorInfo>, EngineError> {
    let one = |index| {
        let node = node(model, index)?;
        let shape = node
            .get_shape()?
            .get_dimensions()
            .iter()
            .map(|&side| usize::try_from(side).unwrap_or(0))
            .collect();
        Ok((TensorInfo::onnx(node.get_name()?, shape), node.get_element_type()?))
    };
    let all: Result<Vec<_>, _> = count.and_then(|count| (0..count).map(one).collect());
    let corrupt = |error: openvino::InferenceError| EngineError::ModelCorrupt {
        model: request.source.to_string(),
        engine: KIND,
        reason: short(&error.to_string()),
    };
    all.map_err(corrupt)?
        .into_iter()
        .map(|(info, data_type)| match data_type {
            ElementType::F32 => Ok(info),
            other => Err(EngineError::ModelShape {
                model: request.source.to_string(),
                expected: "32-bit floats".to_owned(),
                found: format!("{} of {other:?}", info.name),
            }),
        })
        .collect()
}

fn slot(compiled: &Compiled) -> Result<Slot, EngineError> {
    let build = || {
        let mut model = compiled.model.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = model.create_infer_request()?;
        let tensor = |info: &TensorInfo| {
            let dimensions: Vec<i64> = info.shape.iter().map(|&side| side as i64).collect();
            Tensor::new(ElementType::F32, &Shape::new(&dimensions)?)
        };
        // Own tensors: their memory stays where it is, whatever the plugin does with the ones of the request.
        let inputs: Vec<Tensor> = compiled.inputs.iter().map(tensor).collect::<Result<_, _>>()?;
        let outputs: Vec<Tensor> = compiled.outputs.iter().map(tensor).collect::<Result<_, _>>()?;
        for (index, input) in inputs.iter().enumerate() {
            request.set_input_tensor_by_index(index, input)?;
        }
        for (index, output) in outputs.iter().enumerate() {
            request.set_output_tensor_by_index(index, output)?;
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
        let tensor = self
            .idle_slot(slot)?
            .inputs
            .get_mut(index)
            .ok_or_else(|| failed("no such input"))?;
        tensor.get_data_mut().map(TensorMut::F32).map_err(inference)
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
        let slot = self.slot(slot)?;
        if !slot.in_flight {
            return Err(failed("nothing was submitted"));
        }
        if alone {
            slot.in_flight = false;
            return Ok(());
        }
        match slot
            .request
            .wait(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX))
        {
            Ok(()) => {
                slot.in_flight = false;
                Ok(())
            }
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
        let tensor = slot.outputs.get(index).ok_or_else(|| failed("no such output"))?;
        tensor.get_data().map(TensorRef::F32).map_err(inference)
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
