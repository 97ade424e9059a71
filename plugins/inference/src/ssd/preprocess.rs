//! From frames to the network's input, and from its boxes back to frames.

use crate::engine::{DataType, EngineError, TensorInfo, TensorMut};
use crate::frame::FrameView;
use crate::nms::Rect;
use crate::preprocess::{Channels, Sampling, Scaling, TargetError, fill_nchw_f32, fill_nhwc_f32, fill_nhwc_u8};

/// Which part of the frame the network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resize {
    /// All of it, proportions not kept.
    Stretch,
    /// The largest part in its middle that has the input's proportions.
    CentreCrop,
}

/// Order of the input's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColourOrder {
    Rgb,
    Bgr,
}

/// How a frame becomes the input: value = (level / 255 - mean) / std, for each channel in the input's order. An input of bytes takes
/// the levels as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocess {
    pub resize: Resize,
    pub channels: ColourOrder,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Preprocess {
    /// NVIDIA's SSD300: (x * 256 - 128) / 128.
    pub const SSD300: Self = Self {
        resize: Resize::CentreCrop,
        ..Self::SIGNED
    };
    /// torchvision's SSD300: the means of the pictures that Caffe's VGG was trained on, levels not scaled.
    pub const VGG: Self = Self::stretch([0.482_35, 0.458_82, 0.407_84], [1.0 / 255.0; 3]);
    /// -1..1.
    pub const SIGNED: Self = Self::stretch([0.5; 3], [0.5; 3]);

    /// The whole frame, red first.
    pub const fn stretch(mean: [f32; 3], std: [f32; 3]) -> Self {
        Self {
            resize: Resize::Stretch,
            channels: ColourOrder::Rgb,
            mean,
            std,
        }
    }

    /// Refuses what would make no picture.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        let sound = |v: &f32| v.is_finite();
        if self.mean.iter().all(sound) && self.std.iter().all(|v| sound(v) && *v > 0.0) {
            return Ok(());
        }
        Err(EngineError::Conflict {
            engine: "preprocess".to_owned(),
            what: format!("mean {:?} and std {:?} make no picture", self.mean, self.std),
            remedy: "use numbers, for std above 0".to_owned(),
        })
    }

    fn channels(&self) -> Channels {
        match self.channels {
            ColourOrder::Rgb => Channels::Rgb,
            ColourOrder::Bgr => Channels::Bgr,
        }
    }

    pub(super) fn is_bgr(&self) -> bool {
        self.channels == ColourOrder::Bgr
    }

    pub(super) fn scaling(&self) -> Scaling {
        Scaling {
            scale: std::array::from_fn(|c| 1.0 / (255.0 * self.std[c])),
            offset: std::array::from_fn(|c| -self.mean[c] / self.std[c]),
        }
    }
}

/// What is not done as the family's authors do: `None` for what is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Changes {
    pub resize: Option<Resize>,
    pub channels: Option<ColourOrder>,
    pub mean: Option<[f32; 3]>,
    pub std: Option<[f32; 3]>,
}

impl Changes {
    pub(super) fn of(&self, own: Preprocess) -> Preprocess {
        Preprocess {
            resize: self.resize.unwrap_or(own.resize),
            channels: self.channels.unwrap_or(own.channels),
            mean: self.mean.unwrap_or(own.mean),
            std: self.std.unwrap_or(own.std),
        }
    }
}

impl From<Preprocess> for Changes {
    fn from(all: Preprocess) -> Self {
        Self {
            resize: Some(all.resize),
            channels: Some(all.channels),
            mean: Some(all.mean),
            std: Some(all.std),
        }
    }
}

/// The network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Picture {
    pub batch: usize,
    pub width: usize,
    pub height: usize,
    /// Colours of a pixel together.
    interleaved: bool,
}

impl Picture {
    /// `None` for what frames cannot be sampled into.
    pub fn of(inputs: &[TensorInfo]) -> Option<Self> {
        let [info] = inputs else { return None };
        let (batch, height, width, interleaved) = match info.shape[..] {
            [batch, 3, height, width] => (batch, height, width, false),
            [batch, height, width, 3] => (batch, height, width, true),
            [3, height, width] => (1, height, width, false),
            [height, width, 3] => (1, height, width, true),
            _ => return None,
        };
        let fits = match info.data_type {
            DataType::F32 => true,
            DataType::U8 => interleaved,
            DataType::U16 | DataType::I32 | DataType::I64 => false,
        };
        (fits && !info.is_empty()).then_some(Self {
            batch,
            width,
            height,
            interleaved,
        })
    }

    pub fn interleaved(&self) -> bool {
        self.interleaved
    }

    pub fn sampling(&self, resize: Resize, frame: (u32, u32)) -> Sampling {
        match resize {
            Resize::Stretch => Sampling::stretch(frame, (self.width, self.height)),
            Resize::CentreCrop => Sampling::centre_crop(frame, (self.width, self.height)),
        }
    }

    /// Fills picture `index` of the batch.
    pub fn fill(
        &self,
        preprocess: &Preprocess,
        frame: &FrameView<'_>,
        index: usize,
        input: TensorMut<'_>,
    ) -> Result<(), TargetError> {
        let sampling = self.sampling(preprocess.resize, (frame.width(), frame.height()));
        let (size, channels) = ((self.width, self.height), preprocess.channels());
        let length = 3 * self.width * self.height;
        let part = index.saturating_mul(length)..index.saturating_add(1).saturating_mul(length);
        match input {
            TensorMut::F32(tensor) => {
                let tensor = tensor.get_mut(part).unwrap_or_default();
                let fill = if self.interleaved { fill_nhwc_f32 } else { fill_nchw_f32 };
                fill(frame, &sampling, size, channels, preprocess.scaling(), tensor)
            }
            TensorMut::U8(tensor) => fill_nhwc_u8(
                frame,
                &sampling,
                size,
                channels,
                tensor.get_mut(part).unwrap_or_default(),
            ),
            TensorMut::U16(_) => Err(TargetError {
                expected: length,
                found: 0,
            }),
        }
    }

    /// A box in parts of the input as one in parts of the frame, cut at its edges. `None` when nothing is left of it.
    pub fn place(&self, resize: Resize, (width, height): (u32, u32), [x0, y0, x1, y1]: Rect) -> Option<Rect> {
        let (across, down) = match resize {
            Resize::Stretch => (1.0, 1.0),
            Resize::CentreCrop => {
                let (width, height) = (
                    f64::from(width) / self.width as f64,
                    f64::from(height) / self.height as f64,
                );
                let ratio = width.min(height);
                ((ratio / width) as f32, (ratio / height) as f32)
            }
        };
        let part = |at: f32, seen: f32| {
            // To the bit where everything is seen.
            let at = if seen == 1.0 { at } else { (at - 0.5) * seen + 0.5 };
            at.clamp(0.0, 1.0)
        };
        let rect = [part(x0, across), part(y0, down), part(x1, across), part(y1, down)];
        (rect[2] > rect[0] && rect[3] > rect[1]).then_some(rect)
    }
}
