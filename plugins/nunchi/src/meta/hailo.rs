//! Tensors that the stock element `hailonet` attaches to a frame, read without its library.
//!
//! Each lies in a buffer of its own, which a `GstParentBufferMeta` ties to the frame and a `GstHailoTensorMeta` describes: by
//! `hailo_vstream_info_t` of HailoRT 4.20 and 4.21, by `hailo_tensor_metadata_t` from 4.22 on. The size of the meta tells which.

use gst::{glib, glib::translate::IntoGlib};
use hailort_abi::{QuantInfo, TensorMetadata, VStreamInfo, format_order, format_type, text};
use nunchi_inference::{
    engine::{DataType, EngineError, Layout, Quantisation, TensorInfo, TensorRef},
    pose::grid::Values,
};
use std::ffi::c_char;

/// Name under which the elements register their meta.
const API: &str = "GstHailoTensorMetaAPI";

/// A meta with its payload.
#[repr(C)]
struct Attached<T> {
    meta: gst::ffi::GstMeta,
    payload: T,
}

/// A tensor of a frame.
pub struct Tensor {
    info: TensorInfo,
    data: gst::MappedBuffer<gst::buffer::Readable>,
}

impl Tensor {
    pub fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// Its numbers, dequantised as they are read.
    pub fn values(&self) -> Values<'_> {
        let bytes = self.data.as_slice();
        // SAFETY: any bits are numbers of these types. What is not aligned is left out, and `new` has seen to it that nothing is.
        let data = unsafe {
            match self.info.data_type {
                DataType::U8 => TensorRef::U8(bytes),
                DataType::U16 => TensorRef::U16(bytes.align_to().1),
                DataType::F32 => TensorRef::F32(bytes.align_to().1),
                DataType::I32 => TensorRef::I32(bytes.align_to().1),
                DataType::I64 => TensorRef::I64(bytes.align_to().1),
            }
        };
        Values::new(data, self.info.quantisation)
    }

    /// Checks that the data is what the description says.
    fn new(description: Description, buffer: gst::Buffer) -> Result<Self, EngineError> {
        let Description {
            name,
            kind,
            shape,
            quant,
        } = description;
        let data = buffer
            .into_mapped_buffer_readable()
            .map_err(|_| refused(format!("the tensor {name} cannot be mapped")))?;
        let [height, width, channels] = shape.map(|side| side as usize);
        let count = height.checked_mul(width).and_then(|cells| cells.checked_mul(channels));
        let bytes = data.len();
        // hailonet states the HEF's type also where it was told to give floats, so the size decides, but never for less.
        let stated = match kind {
            format_type::UINT16 => DataType::U16,
            format_type::FLOAT32 => DataType::F32,
            _ => DataType::U8,
        };
        let needs = |kind: DataType| count.and_then(|count| count.checked_mul(kind.size()));
        let exact = [DataType::U8, DataType::U16, DataType::F32]
            .into_iter()
            .find(|kind| kind.size() >= stated.size() && needs(*kind) == Some(bytes));
        // A buffer may be longer than its tensor.
        let whole = needs(stated).is_some_and(|needed| needed <= bytes);
        let Some(data_type) = exact
            .or(Some(stated).filter(|_| whole))
            .filter(|_| count.is_some_and(|count| count > 0))
        else {
            return Err(refused(format!(
                "the tensor {name} of {height}x{width}x{channels} has {bytes} bytes"
            )));
        };
        if !(data.as_slice().as_ptr() as usize).is_multiple_of(data_type.size()) {
            return Err(refused(format!("the tensor {name} lies at an odd address")));
        }
        let quantisation = Quantisation {
            scale: quant.scale,
            zero_point: quant.zero_point,
        };
        let info = TensorInfo {
            name,
            shape: vec![height, width, channels],
            data_type,
            layout: Layout::Nhwc,
            quantisation: Some(quantisation).filter(|_| data_type != DataType::F32),
        };
        Ok(Self { info, data })
    }
}

/// What both payloads say.
struct Description {
    name: String,
    kind: u32,
    shape: [u32; 3],
    quant: QuantInfo,
}

/// What a buffer that is tied to a frame is.
enum Kind {
    /// No tensor.
    Other,
    /// What HailoRT makes of a HEF that ends in the choice of boxes: its size is not that of its shape, and nothing here reads it.
    Boxes,
    Tensor(Description),
}

impl Kind {
    fn new(name: &[c_char], kind: u32, boxes: bool, [a, b, c, _]: [u32; 4], quant: QuantInfo) -> Self {
        if boxes {
            return Self::Boxes;
        }
        Self::Tensor(Description {
            name: text(name),
            kind,
            shape: [a, b, c],
            quant,
        })
    }
}

/// The tensors of a frame, in the order in which they were attached, without lists of boxes. An error where there is none, or one is
/// not what it says.
pub fn tensors(buffer: &gst::BufferRef) -> Result<Vec<Tensor>, EngineError> {
    // Known where the elements' plugin is loaded.
    let api = glib::Type::from_name(API);
    let mut all = Vec::new();
    let mut boxes = false;
    for parent in buffer.iter_meta::<gst::ParentBufferMeta>() {
        let buffer = parent.parent_owned();
        match api.map_or(Ok(Kind::Other), |api| describe(&buffer, api))? {
            Kind::Tensor(description) => all.push(Tensor::new(description, buffer)?),
            Kind::Boxes => boxes = true,
            Kind::Other => {}
        }
    }
    if all.is_empty() {
        let (what, remedy) = match boxes {
            true => (
                "engine=tensors, and the frame carries a list of boxes instead of tensors",
                "use a HEF without NMS, or choose another engine",
            ),
            false => (
                "engine=tensors, and the frame carries none of hailonet",
                "put hailonet in front, with no element between that drops metadata, or choose another engine",
            ),
        };
        return Err(EngineError::Tensors {
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
    Ok(all)
}

/// What the meta of a buffer says of it.
fn describe(buffer: &gst::BufferRef, api: glib::Type) -> Result<Kind, EngineError> {
    // SAFETY: a valid buffer; the meta lives as long as it. The size says which payload there is, whose fields may hold any bits.
    unsafe {
        let meta = gst::ffi::gst_buffer_get_meta(buffer.as_mut_ptr(), api.into_glib());
        if meta.is_null() {
            return Ok(Kind::Other);
        }
        let size = (*(*meta).info).size;
        if size == size_of::<Attached<VStreamInfo>>() {
            let info = (*meta.cast::<Attached<VStreamInfo>>()).payload;
            let boxes = [
                format_order::NMS_WITH_BYTE_MASK,
                format_order::NMS_BY_CLASS,
                format_order::NMS_BY_SCORE,
            ]
            .contains(&info.format.order);
            return Ok(Kind::new(
                &info.name,
                info.format.kind,
                boxes,
                info.shape,
                info.quant_info,
            ));
        }
        if size == size_of::<Attached<TensorMetadata>>() {
            let info = (*meta.cast::<Attached<TensorMetadata>>()).payload;
            return Ok(Kind::new(
                &info.name,
                info.kind,
                info.is_nms != 0,
                info.shape,
                info.quant_info,
            ));
        }
        Err(refused(format!("a tensor is described in {size} bytes")))
    }
}

fn refused(what: String) -> EngineError {
    EngineError::Tensors {
        what,
        remedy: "use hailonet of HailoRT 4.20 to 4.23, or choose another engine".to_owned(),
    }
}

const _: () = {
    assert!(size_of::<Attached<VStreamInfo>>() == 456);
    assert!(size_of::<Attached<TensorMetadata>>() == 184);
};
