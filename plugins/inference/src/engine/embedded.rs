//! tract: pure Rust, compiled in. Runs on one thread and on the CPU only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_hir::infer::{DimFact, Factoid};

use super::share::Shared;
use super::{
    DataType, EngineError, EngineKind, EngineStatus, INPUT_TYPES, Network, OUTPUT_TYPES, Request, TensorInfo,
    TensorMut, TensorRef, only_slot,
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
        catch_unwind(AssertUnwindSafe(|| compile(request))).unwrap_or_else(|_| {
            Err(EngineError::ModelCorrupt {
                model: request.source.to_string(),
                engine: KIND,
                reason: "the parser gave up".to_owned(),
            })
        })
    })?;
    let input_tensors = compiled
        .inputs
        .iter()
        .map(|info| Tensor::zero_dt(datum_type(info.data_type), &info.shape).map(Arc::new));
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

fn compile(request: &Request<'_>) -> Result<Compiled, EngineError> {
    let corrupt = |error: TractError| EngineError::ModelCorrupt {
        model: request.source.to_string(),
        engine: KIND,
        reason: format!("{error:#}"),
    };
    let mut model = onnx().model_for_read(&mut &request.model[..]).map_err(corrupt)?;
    // The optimiser renames, so take the names now.
    let mut inputs = Vec::new();
    for (index, outlet) in model.input_outlets().map_err(corrupt)?.to_vec().into_iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        let fact = model.input_fact(index).map_err(corrupt)?.clone();
        let data_type = fact.datum_type.concretize().and_then(data_type);
        let data_type = data_type
            .filter(|kind| matches!(kind, DataType::F32 | DataType::U8))
            .ok_or_else(|| request.misfit(INPUT_TYPES, format!("{name} of {}", fact.format_dt_shape())))?;
        let side = |side: &DimFact| side.concretize().and_then(|side| side.to_usize().ok());
        let shape = request.fixed(&name, fact.shape.dims().map(side))?;
        let fact = InferenceFact::dt_shape(datum_type(data_type), &shape);
        model.set_input_fact(index, fact).map_err(corrupt)?;
        inputs.push(TensorInfo::onnx(name, shape, data_type));
    }
    let label = |outlet: &OutletId| {
        model
            .outlet_label(*outlet)
            .unwrap_or(&model.node(outlet.node).name)
            .to_owned()
    };
    let output_names: Vec<String> = model.output_outlets().map_err(corrupt)?.iter().map(label).collect();

    let model = model.into_optimized().map_err(corrupt)?;
    let mut outputs = Vec::new();
    for (index, name) in output_names.into_iter().enumerate() {
        let fact = model.output_fact(index).map_err(corrupt)?;
        let data_type = data_type(fact.datum_type);
        let data_type = data_type.ok_or_else(|| request.misfit(OUTPUT_TYPES, format!("{name} of {fact:?}")))?;
        let shape = fact.shape.iter().map(|side| side.to_usize().unwrap_or(0)).collect();
        outputs.push(TensorInfo::onnx(name, shape, data_type));
    }
    Ok(Compiled {
        plan: model.into_runnable().map_err(corrupt)?,
        inputs,
        outputs,
    })
}

fn data_type(of: DatumType) -> Option<DataType> {
    match of {
        DatumType::F32 => Some(DataType::F32),
        DatumType::U8 => Some(DataType::U8),
        DatumType::I32 => Some(DataType::I32),
        DatumType::I64 => Some(DataType::I64),
        _ => None,
    }
}

fn datum_type(of: DataType) -> DatumType {
    match of {
        DataType::F32 => DatumType::F32,
        DataType::U8 => DatumType::U8,
        DataType::U16 => DatumType::U16,
        DataType::I32 => DatumType::I32,
        DataType::I64 => DatumType::I64,
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
        fn data<T: Datum>(tensor: &mut Tensor) -> Result<&mut [T], EngineError> {
            let view = tensor.to_plain_array_view_mut::<T>().map_err(inference)?;
            view.into_slice().ok_or_else(|| failed("the tensor is not contiguous"))
        }
        let tensor = Arc::make_mut(tensor);
        match tensor.datum_type() {
            DatumType::U8 => data(tensor).map(TensorMut::U8),
            _ => data(tensor).map(TensorMut::F32),
        }
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
        fn data<T: Datum>(tensor: &Tensor) -> Result<&[T], EngineError> {
            let view = tensor.try_as_plain_ram().map_err(inference)?;
            view.as_slice().map_err(inference)
        }
        match tensor.datum_type() {
            DatumType::U8 => data(tensor).map(TensorRef::U8),
            DatumType::I32 => data(tensor).map(TensorRef::I32),
            DatumType::I64 => data(tensor).map(TensorRef::I64),
            _ => data(tensor).map(TensorRef::F32),
        }
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
