//! Tensors as engines show them.

use std::fmt;

use super::{EngineError, EngineKind};

/// Type of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    F32,
    U8,
    U16,
    /// Outputs only.
    I32,
    /// Outputs only.
    I64,
}

impl DataType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::U16 => 2,
            Self::U8 => 1,
        }
    }

    /// Name as in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }
}

/// What the elements are: the axes of a picture-like tensor, or a list of boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    Nchw,
    Nhwc,
    /// Not a picture.
    Plain,
    /// Boxes of each class as f32, at most `boxes` of each: see [`read_detections`](super::read_detections).
    NmsByClass {
        classes: usize,
        boxes: usize,
    },
    /// Records of boxes of all classes as bytes, at most `boxes`: see [`read_detections`](super::read_detections).
    NmsByScore {
        boxes: usize,
    },
}

/// Real value = scale * (stored value - zero point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    pub scale: f32,
    pub zero_point: f32,
}

impl Quantisation {
    /// The real value of a stored one.
    pub fn real(self, stored: impl Into<f32>) -> f32 {
        self.scale * (stored.into() - self.zero_point)
    }
}

/// What is known of an input or output before the first inference.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    pub name: String,
    /// A side of an output that only the inference tells is 0 here, as the number of boxes that a network found; the length of
    /// [`Network::output`](super::Network::output) then tells it.
    pub shape: Vec<usize>,
    pub data_type: DataType,
    pub layout: Layout,
    pub quantisation: Option<Quantisation>,
}

impl TensorInfo {
    /// A tensor of an ONNX network: NCHW when it has four axes.
    #[allow(dead_code, reason = "unused in a build without engines")]
    pub(super) fn onnx(name: String, shape: Vec<usize>, data_type: DataType) -> Self {
        let layout = if shape.len() == 4 { Layout::Nchw } else { Layout::Plain };
        Self {
            name,
            shape,
            data_type,
            layout,
            quantisation: None,
        }
    }

    /// Names and shapes of several, for messages.
    pub fn list(infos: &[Self]) -> String {
        let one = |info: &Self| format!("{}{:?}", info.name, info.shape);
        infos.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `net/conv1 1x80x80x8 NHWC u8 scale 0.02 zero point 12`
impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = || self.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        match self.layout {
            Layout::Nchw => write!(f, "{} {} NCHW", self.name, shape())?,
            Layout::Nhwc => write!(f, "{} {} NHWC", self.name, shape())?,
            Layout::Plain => write!(f, "{} {}", self.name, shape())?,
            Layout::NmsByClass { classes, boxes } => {
                write!(f, "{} NMS of {classes} classes, {boxes} boxes of each", self.name)?;
            }
            Layout::NmsByScore { .. } => write!(f, "{} NMS by score", self.name)?,
        }
        write!(f, " {}", self.data_type.as_str())?;
        match self.quantisation {
            Some(Quantisation { scale, zero_point }) => write!(f, " scale {scale} zero point {zero_point}"),
            None => Ok(()),
        }
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
            Self::U8(_) | Self::U16(_) => Err(other_type(DataType::F32)),
        }
    }

    /// The bytes, or an error when the network takes something else.
    pub fn u8(self) -> Result<&'a mut [u8], EngineError> {
        match self {
            Self::U8(data) => Ok(data),
            Self::F32(_) | Self::U16(_) => Err(other_type(DataType::U8)),
        }
    }
}

/// Elements to be read.
#[derive(Debug, Clone, Copy)]
pub enum TensorRef<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

impl<'a> TensorRef<'a> {
    /// The floats, or an error when the network gives something else.
    pub fn f32(self) -> Result<&'a [f32], EngineError> {
        match self {
            Self::F32(data) => Ok(data),
            _ => Err(other_type(DataType::F32)),
        }
    }

    /// The bytes, or an error when the network gives something else.
    pub fn u8(self) -> Result<&'a [u8], EngineError> {
        match self {
            Self::U8(data) => Ok(data),
            _ => Err(other_type(DataType::U8)),
        }
    }
}

fn other_type(wanted: DataType) -> EngineError {
    EngineError::Inference {
        engine: EngineKind::Auto,
        reason: format!("the tensor does not hold {}", wanted.as_str()),
    }
}
