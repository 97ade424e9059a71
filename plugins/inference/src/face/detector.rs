//! Finding faces in the whole frame, with whichever detector the model is.

use super::model::{Family, Model};
use super::{Detection, blazeface, lightface, scrfd};
use crate::engine::{EngineError, EngineOptions, Interrupt, ModelSource, Network, TensorInfo};
use crate::frame::FrameView;
use crate::pose::grid::Values;
use crate::preprocess::{Channels, Sampling, Scaling};

pub(super) const BLAZEFACE: Family = Family {
    input: ("image", &[1, 3, blazeface::INPUT, blazeface::INPUT]),
    outputs: &[
        ("regressors", &[1, blazeface::ANCHORS, blazeface::VALUES]),
        ("scores", &[1, blazeface::ANCHORS, 1]),
    ],
};

/// Scores, boxes and keypoints of each stride, channels last.
pub(super) const SCRFD: Family = Family {
    input: ("image", &[1, 3, scrfd::INPUT, scrfd::INPUT]),
    outputs: &[
        ("scores/8", &[80, 80, 2]),
        ("boxes/8", &[80, 80, 8]),
        ("keypoints/8", &[80, 80, 20]),
        ("scores/16", &[40, 40, 2]),
        ("boxes/16", &[40, 40, 8]),
        ("keypoints/16", &[40, 40, 20]),
        ("scores/32", &[20, 20, 2]),
        ("boxes/32", &[20, 20, 8]),
        ("keypoints/32", &[20, 20, 20]),
    ],
};

/// Scores and boxes of each grid, channels last.
pub(super) const LIGHTFACE: Family = Family {
    input: ("image", &[1, 3, lightface::INPUT.1, lightface::INPUT.0]),
    outputs: &[
        ("scores/8", &[30, 40, 6]),
        ("boxes/8", &[30, 40, 12]),
        ("scores/16", &[15, 20, 4]),
        ("boxes/16", &[15, 20, 8]),
        ("scores/32", &[8, 10, 4]),
        ("boxes/32", &[8, 10, 8]),
        ("scores/64", &[4, 5, 6]),
        ("boxes/64", &[4, 5, 12]),
    ],
};

enum Decoder {
    BlazeFace(blazeface::Decoder),
    Scrfd(scrfd::Decoder),
    LightFace(lightface::Decoder),
}

/// Faces in a frame of `size` pixels that another element has put through an SCRFD, letterboxed where it is not the network's
/// input itself: from its outputs, in any order. Scores and overlap as in [`FaceNet::detect`](super::FaceNet::detect). An error
/// where they are not those of that network.
pub fn detections(
    outputs: &[(&TensorInfo, Values<'_>)],
    size: (u32, u32),
    threshold: f32,
    iou: f32,
) -> Result<Vec<Detection>, EngineError> {
    let infos: Vec<TensorInfo> = outputs.iter().map(|(info, _)| (*info).clone()).collect();
    let order = SCRFD.places(&infos).ok_or_else(|| EngineError::Tensors {
        what: format!("the tensors are not those of a detector: {}", TensorInfo::list(&infos)),
        remedy: format!("use a network of {}", SCRFD.text()),
    })?;
    let floats = |&index: &usize| {
        let (info, values) = &outputs[index];
        (0..info.len()).map(|at| values.get(at)).collect()
    };
    let floats: Vec<Vec<f32>> = order.iter().map(floats).collect();
    let heads = std::array::from_fn(|stride| scrfd::Head {
        scores: &floats[3 * stride],
        boxes: &floats[3 * stride + 1],
        keypoints: &floats[3 * stride + 2],
    });
    let (_, letterbox) = Sampling::letterbox(size, scrfd::INPUT);
    Ok(scrfd::Decoder::default().decode(&heads, &letterbox, threshold, iou))
}

/// A loaded detector.
pub(super) struct Detector {
    model: Model,
    decoder: Decoder,
}

impl Detector {
    pub fn load(source: &ModelSource, options: &EngineOptions) -> Result<Self, EngineError> {
        let (model, family) = Model::load(source, options, &[BLAZEFACE, SCRFD, LIGHTFACE])?;
        let decoder = match family {
            0 => Decoder::BlazeFace(blazeface::Decoder::default()),
            1 => Decoder::Scrfd(scrfd::Decoder::default()),
            _ => Decoder::LightFace(lightface::Decoder::default()),
        };
        Ok(Self { model, decoder })
    }

    pub fn network(&self) -> &dyn Network {
        &*self.model.network
    }

    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.model.network.set_interrupt(interrupt);
    }

    /// Faces with a score above `threshold`, merged above an overlap of `iou`, best first.
    pub fn detect(&mut self, frame: &FrameView<'_>, threshold: f32, iou: f32) -> Result<Vec<Detection>, EngineError> {
        let size = match self.decoder {
            Decoder::BlazeFace(_) => (blazeface::INPUT, blazeface::INPUT),
            Decoder::Scrfd(_) => (scrfd::INPUT, scrfd::INPUT),
            Decoder::LightFace(_) => lightface::INPUT,
        };
        let (sampling, letterbox) = Sampling::letterbox_into((frame.width(), frame.height()), size);
        self.model
            .fill(frame, &sampling, size, Channels::Rgb, Scaling::SIGNED_UNIT)?;
        self.model.run()?;
        match &mut self.decoder {
            Decoder::BlazeFace(decoder) => {
                let [regressors, scores] = self.model.outputs()?;
                Ok(decoder.decode(regressors, scores, &letterbox, threshold, iou))
            }
            Decoder::Scrfd(decoder) => {
                let outputs: [&[f32]; 9] = self.model.outputs()?;
                let heads = std::array::from_fn(|stride| scrfd::Head {
                    scores: outputs[3 * stride],
                    boxes: outputs[3 * stride + 1],
                    keypoints: outputs[3 * stride + 2],
                });
                Ok(decoder.decode(&heads, &letterbox, threshold, iou))
            }
            Decoder::LightFace(decoder) => {
                let outputs: [&[f32]; 8] = self.model.outputs()?;
                let heads = std::array::from_fn(|grid| lightface::Head {
                    scores: outputs[2 * grid],
                    boxes: outputs[2 * grid + 1],
                });
                Ok(decoder.decode(&heads, &letterbox, threshold, iou))
            }
        }
    }
}
