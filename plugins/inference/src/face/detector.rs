//! Finding faces in the whole frame, with whichever detector the model is.

use super::model::{Family, Model};
use super::{Detection, blazeface, scrfd};
use crate::engine::{EngineError, EngineOptions, ModelSource, Network};
use crate::frame::FrameView;
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

enum Decoder {
    BlazeFace(blazeface::Decoder),
    Scrfd(scrfd::Decoder),
}

/// A loaded detector.
pub(super) struct Detector {
    model: Model,
    decoder: Decoder,
}

impl Detector {
    pub fn load(source: &ModelSource, options: &EngineOptions) -> Result<Self, EngineError> {
        let (model, family) = Model::load(source, options, &[BLAZEFACE, SCRFD])?;
        let decoder = match family {
            0 => Decoder::BlazeFace(blazeface::Decoder::default()),
            _ => Decoder::Scrfd(scrfd::Decoder::default()),
        };
        Ok(Self { model, decoder })
    }

    pub fn network(&self) -> &dyn Network {
        &*self.model.network
    }

    /// Faces with a score above `threshold`, merged above an overlap of `iou`, best first.
    pub fn detect(&mut self, frame: &FrameView<'_>, threshold: f32, iou: f32) -> Result<Vec<Detection>, EngineError> {
        let side = match self.decoder {
            Decoder::BlazeFace(_) => blazeface::INPUT,
            Decoder::Scrfd(_) => scrfd::INPUT,
        };
        let (sampling, letterbox) = Sampling::letterbox((frame.width(), frame.height()), side);
        self.model
            .fill(frame, &sampling, (side, side), Channels::Rgb, Scaling::SIGNED_UNIT)?;
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
        }
    }
}
