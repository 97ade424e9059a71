//! Tensors as engines show them.

use super::{EngineError, EngineKind};

/// Type of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    F32,
    U8,
    U16,
}

/// Order of the axes of a picture-like tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    Nchw,
    Nhwc,
    /// Not a picture.
    Plain,
}

/// Real value = scale * (stored value - zero point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    pub scale: f32,
    pub zero_point: f32,
}

/// What is known of an input or output before the first inference.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    pub name: String,
    pub shape: Vec<usize>,
    pub data_type: DataType,
    pub layout: Layout,
    pub quantisation: Option<Quantisation>,
}

impl TensorInfo {
    /// A float tensor of an ONNX network: NCHW when it has four axes.
    #[allow(dead_code, reason = "unused in a build without engines")]
    pub(super) fn onnx(name: String, shape: Vec<usize>) -> Self {
        let layout = if shape.len() == 4 { Layout::Nchw } else { Layout::Plain };
        Self {
            name,
            shape,
            data_type: DataType::F32,
            layout,
            quantisation: None,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Elements to be written.
#[derive(Debug)]
pub enum TensorMut<'a> {
    F32(&'a mut [f32]),
    U8(&'a mut [u8]),
    U16(&'a mut [u16]),
}

impl<'a> TensorMut<'a> {
    /// The floats, or an error when the network takes something else.
    pub fn f32(self) -> Result<&'a mut [f32], EngineError> {
        match self {
            Self::F32(data) => Ok(data),
            Self::U8(_) | Self::U16(_) => Err(not_f32()),
        }
    }
}

/// Elements to be read.
#[derive(Debug, Clone, Copy)]
pub enum TensorRef<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
    U16(&'a [u16]),
}

impl<'a> TensorRef<'a> {
    /// The floats, or an error when the network gives something else.
    pub fn f32(self) -> Result<&'a [f32], EngineError> {
        match self {
            Self::F32(data) => Ok(data),
            Self::U8(_) | Self::U16(_) => Err(not_f32()),
        }
    }
}

fn not_f32() -> EngineError {
    EngineError::Inference {
        engine: EngineKind::Auto,
        reason: "the tensor does not hold 32-bit floats".to_owned(),
    }
}
