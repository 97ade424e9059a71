//! Bodies: the 17 keypoints of COCO, of one person or of several.
//!
//! [`PoseNet`] is a network of one of three families, which its inputs and outputs tell apart:
//!
//! | family | people | input | outputs |
//! |---|---|---|---|
//! | [`Family::MoveNet`] (default) | one | square, letterboxed, RGB, -1..1 | `[1,1,17,3]`: y, x, confidence |
//! | [`Family::VitPose`] | one | 192 x 256, stretched, BGR | heat maps `[64,48,17]` or `[1,17,64,48]` |
//! | [`Family::Yolov8`] | several | square, letterboxed, RGB | nine raw heads, or `[1,56,n]` decoded |
//!
//! Floats are channels first and 0..1 where nothing else is said; bytes are channels last and 0..255, as HEFs take them.

mod decoder;
pub mod grid;
pub mod single;
pub mod yolov8;

use crate::engine::{
    self, EngineError, EngineKind, EngineOptions, Interrupt, ModelSource, Network, TensorInfo, TensorMut,
};
use crate::frame::FrameView;
use crate::preprocess::{fill_nchw_f32, fill_nhwc_u8};

pub use decoder::{Decoder, Family};
use grid::Values;

/// Number of points of a body: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; the left one first.
pub const KEYPOINTS: usize = 17;

/// One point of a body.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Keypoint {
    /// Pixels of the frame; may lie outside of it.
    pub x: f32,
    pub y: f32,
    /// 0..=1.
    pub confidence: f32,
}

impl Keypoint {
    /// Beyond this many pixels a position is as wrong as one that is not a number.
    const FAR: f32 = 1e7;

    /// A point whose parts are numbers; else one at 0 with confidence 0.
    fn sound(x: f32, y: f32, confidence: f32) -> Self {
        if x.abs() < Self::FAR && y.abs() < Self::FAR && confidence.is_finite() {
            let confidence = confidence.clamp(0.0, 1.0);
            Self { x, y, confidence }
        } else {
            Self::default()
        }
    }
}

/// One person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// 0..=1: the detector's score, or the mean confidence of the points that are seen.
    pub score: f32,
    /// x0, y0, x1, y1 in pixels of the frame: the detector's box, or that of the points that are seen.
    pub bbox: [f32; 4],
    pub keypoints: [Keypoint; KEYPOINTS],
}

/// What counts as a person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Least [`Pose::score`].
    pub score: f32,
    /// Boxes that overlap by more are one person.
    pub iou: f32,
    /// Points of at least this confidence are seen.
    pub keypoint: f32,
    /// People at most, the best first.
    pub people: usize,
}

/// A pose network, loaded.
pub struct PoseNet {
    network: Box<dyn Network>,
    decoder: Decoder,
}

impl PoseNet {
    /// Loads a network and finds out of which family it is.
    pub fn load(model: &ModelSource, options: &EngineOptions) -> Result<Self, EngineError> {
        Self::over(engine::load(model, options)?, &model.to_string())
    }

    /// The same for a network that is loaded already; `model` is its name in messages.
    pub fn over(network: Box<dyn Network>, model: &str) -> Result<Self, EngineError> {
        let decoder = Decoder::new(network.inputs(), network.outputs()).ok_or_else(|| {
            let text = TensorInfo::list;
            EngineError::ModelShape {
                model: model.to_owned(),
                expected: Decoder::EXPECTED.to_owned(),
                found: format!("{} -> {}", text(network.inputs()), text(network.outputs())),
            }
        })?;
        Ok(Self { network, decoder })
    }

    pub fn family(&self) -> Family {
        self.decoder.family()
    }

    /// The engine that is really used.
    pub fn engine(&self) -> EngineKind {
        self.network.engine()
    }

    /// The device that is really used.
    pub fn device(&self) -> String {
        self.network.device().to_owned()
    }

    /// What is worth a warning at start, such as a fallback to the CPU.
    pub fn note(&self) -> Option<String> {
        self.network.note().map(str::to_owned)
    }

    /// Asks for `count` frames in flight at once, 0 for as many as keep the engine busy, and gives how many there can be. An
    /// engine that refuses stays at what it has.
    pub fn set_slots(&mut self, count: usize) -> usize {
        let granted = self.network.set_slots(count);
        granted.unwrap_or_else(|_| self.network.slots())
    }

    /// People in a frame, best first.
    pub fn find(&mut self, frame: &FrameView<'_>, limits: &Limits) -> Result<Vec<Pose>, EngineError> {
        self.submit(0, frame)?;
        self.finish(0, (frame.width(), frame.height()), limits)
    }

    /// Starts the inference of a frame in a slot that is free. Waits for nothing where the engine has a queue.
    pub fn submit(&mut self, slot: usize, frame: &FrameView<'_>) -> Result<(), EngineError> {
        let size = (frame.width(), frame.height());
        let (sampling, side) = (self.decoder.sampling(size), self.decoder.input_size());
        let channels = self.decoder.channels();
        let filled = match self.network.input(slot, 0)? {
            TensorMut::F32(tensor) => fill_nchw_f32(frame, &sampling, side, channels, self.decoder.scaling(), tensor),
            TensorMut::U8(tensor) => fill_nhwc_u8(frame, &sampling, side, channels, tensor),
            TensorMut::U16(_) => return Err(self.failure("the input takes words of 16 bit, not a picture")),
        };
        filled.map_err(|error| self.failure(&error.to_string()))?;
        self.network.submit(slot)
    }

    /// Whether [`finish`](Self::finish) of a slot in flight would not wait.
    pub fn is_complete(&mut self, slot: usize) -> bool {
        self.network.is_complete(slot)
    }

    /// People in the frame of `size` pixels that was submitted in this slot, best first.
    pub fn finish(&mut self, slot: usize, size: (u32, u32), limits: &Limits) -> Result<Vec<Pose>, EngineError> {
        self.network.finish(slot)?;
        let infos = self.network.outputs();
        let mut outputs = Vec::with_capacity(infos.len());
        for (index, info) in infos.iter().enumerate() {
            outputs.push(Values::new(self.network.output(slot, index)?, info.quantisation));
        }
        Ok(self.decoder.decode(&outputs, size, limits))
    }

    /// Drops what is in flight.
    pub fn clear(&mut self) {
        self.network.discard();
    }

    /// Has all waiting for a device end while this is raised.
    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.network.set_interrupt(interrupt);
    }

    fn failure(&self, reason: &str) -> EngineError {
        EngineError::Inference {
            engine: self.engine(),
            reason: reason.to_owned(),
        }
    }
}

/// Not a number stays not a number.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit.clamp(-100.0, 100.0)).exp())
}
