//! tract: pure Rust, compiled in. Runs on one thread and on the CPU only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tract_onnx::prelude::*;

use super::share::Shared;
use super::{
    EngineError, EngineKind, EngineStatus, ModelSource, Network, Request, TensorInfo, TensorMut, TensorRef, only_slot,
};

const KIND: EngineKind = EngineKind::Embedded;

static MODELS: Shared<Compiled> = Shared::new();

/// An optimised model, shared by the networks that were loaded alike.
struct Compiled {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
}

struct Embedded {
    compiled: Arc<Compiled>,
    /// Handed to each run by reference count, and written again when the run has let go of it.
    input_tensors: Vec<Arc<Tensor>>,
    output_tensors: TVec<TValue>,
    submitted: bool,
    note: Option<String>,
}

pub(super) fn load(request: &Request<'_>) -> Result<Box<dyn Network>, EngineError> {
    let compiled = MODELS.get(request, || {
        // A damaged file must not take the process with it, whatever the parser makes of it.
        let compiled = catch_unwind(AssertUnwindSafe(|| compile(request.model)))
            .unwrap_or_else(|_| Err(TractError::msg("the parser gave up")));
        let compiled = compiled.map_err(|error| EngineError::ModelCorrupt {
            model: request.source.to_string(),
            engine: KIND,
            reason: format!("{error:#}"),
        })?;
        compiled.ok_or_else(|| not_fixed(request.source))
    })?;
    let input_tensors = compiled
        .inputs
        .iter()
        .map(|info| Tensor::zero::<f32>(&info.shape).map(Arc::new));
    let input_tensors = input_tensors.collect::<TractResult<_>>().map_err(inference)?;
    let threads = request.options.threads;
    Ok(Box::new(Embedded {
        compiled,
        input_tensors,
        output_tensors: TVec::new(),
        submitted: false,
        note: (threads > 1).then(|| format!("engine=embedded runs on one thread: threads={threads} has no effect")),
    }))
}

pub(super) fn status() -> EngineStatus {
    EngineStatus::new(
        KIND,
        Ok(("tract 0.23".to_owned(), String::new(), vec!["CPU".to_owned()])),
    )
}

/// `None` when an input or output is not of 32-bit floats of fixed shape.
fn compile(model: &[u8]) -> TractResult<Option<Compiled>> {
    let model = onnx().model_for_read(&mut &model[..])?;
    // The optimiser renames, so take the names now.
    let input_names: Vec<String> = model
        .input_outlets()?
        .iter()
        .map(|outlet| model.node(outlet.node).name.clone())
        .collect();
    let label = |outlet: &OutletId| {
        model
            .outlet_label(*outlet)
            .unwrap_or(&model.node(outlet.node).name)
            .to_owned()
    };
    let output_names: Vec<String> = model.output_outlets()?.iter().map(label).collect();

    let model = model.into_optimized()?;
    let mut inputs = Vec::new();
    for (index, name) in input_names.into_iter().enumerate() {
        let Some(info) = describe(name, model.input_fact(index)?) else {
            return Ok(None);
        };
        inputs.push(info);
    }
    let mut outputs = Vec::new();
    for (index, name) in output_names.into_iter().enumerate() {
        let Some(info) = describe(name, model.output_fact(index)?) else {
            return Ok(None);
        };
        outputs.push(info);
    }
    Ok(Some(Compiled {
        plan: model.into_runnable()?,
        inputs,
        outputs,
    }))
}

fn describe(name: String, fact: &TypedFact) -> Option<TensorInfo> {
    let shape = fact
        .shape
        .as_concrete()
        .filter(|_| fact.datum_type == f32::datum_type())?;
    Some(TensorInfo::onnx(name, shape.to_vec()))
}

fn not_fixed(source: &ModelSource) -> EngineError {
    EngineError::ModelShape {
        model: source.to_string(),
        expected: "32-bit floats of fixed shape".to_owned(),
        found: "another type or an open dimension".to_owned(),
    }
}

impl Network for Embedded {
    fn engine(&self) -> EngineKind {
        KIND
    }

    fn device(&self) -> &str {
        "CPU"
    }

    fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.compiled.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.compiled.outputs
    }

    fn slots(&self) -> usize {
        1
    }

    fn input(&mut self, slot: usize, index: usize) -> Result<TensorMut<'_>, EngineError> {
        only_slot(KIND, slot)?;
        let tensor = self
            .input_tensors
            .get_mut(index)
            .ok_or_else(|| failed("no such input"))?;
        let view = Arc::make_mut(tensor)
            .to_plain_array_view_mut::<f32>()
            .map_err(inference)?;
        view.into_slice()
            .map(TensorMut::F32)
            .ok_or_else(|| failed("the tensor is not contiguous"))
    }

    /// Runs at once, on the calling thread.
    fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        only_slot(KIND, slot)?;
        let inputs = self
            .input_tensors
            .iter()
            .map(|tensor| TValue::from_const(Arc::clone(tensor)))
            .collect();
        self.output_tensors = self.compiled.plan.run(inputs).map_err(inference)?;
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

    fn output(&self, slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        only_slot(KIND, slot)?;
        let tensor = self.output_tensors.get(index).ok_or_else(|| failed("no such output"))?;
        tensor
            .try_as_plain_ram()
            .and_then(|view| view.as_slice::<f32>())
            .map(TensorRef::F32)
            .map_err(inference)
    }
}

fn inference(error: TractError) -> EngineError {
    failed(&format!("{error:#}"))
}

fn failed(reason: &str) -> EngineError {
    EngineError::Inference {
        engine: KIND,
        reason: reason.to_owned(),
    }
}
