//! Faces: detection, 478 landmarks, 52 blendshapes, emotion.
//!
//! Left and right are the person's. The usual order is: [`FaceNet::detect`], [`Roi::from_detection`],
//! [`FaceNet::mesh`], then in every further frame [`Roi::from_landmarks`] and `mesh` again. A face that was just detected
//! wants `mesh` twice, the second time on the region of the first: only then is [`Mesh::presence`] a safe filter.

pub mod blazeface;
mod names;
mod roi;
pub mod scrfd;

use crate::engine::{self, EngineError, EngineKind, EngineOptions, ModelSource, Network, TensorInfo};
use crate::frame::FrameView;
use crate::models;
use crate::preprocess::{Channels, Sampling, Scaling, TargetError, fill_nchw_f32};

pub use names::{BLENDSHAPE_NAMES, EMOTIONS};
pub use roi::Roi;

/// Number of landmarks.
pub const LANDMARKS: usize = 478;
/// Side of the landmark network's input.
const CROP: usize = 256;
/// Side of the emotion network's input.
const EMOTION_CROP: usize = 64;
/// How much larger the emotion network's crop is than the face's box.
const EMOTION_MARGIN: f32 = 1.1;

/// One detected face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// 0..=1.
    pub score: f32,
    /// x0, y0, x1, y1 in pixels of the frame; may reach beyond it.
    pub bbox: [f32; 4],
    /// Right eye, left eye, nose tip, mouth, right ear, left ear, in pixels of the frame.
    pub keypoints: [[f32; 2]; 6],
}

/// The landmarks of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    /// [`LANDMARKS`] points: x, y in pixels of the frame; z in the same unit, smaller is nearer.
    pub points: Box<[[f32; 3]]>,
    /// How sure the network is that there is a face, 0..=1.
    pub presence: f32,
}

/// The four networks. The default is what is compiled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceModels {
    pub detector: ModelSource,
    pub landmarks: ModelSource,
    pub blendshapes: ModelSource,
    pub emotion: ModelSource,
}

impl Default for FaceModels {
    fn default() -> Self {
        Self {
            detector: models::face_detector(),
            landmarks: models::face_landmarks(),
            blendshapes: models::face_blendshapes(),
            emotion: models::face_emotion(),
        }
    }
}

/// The four networks, loaded.
pub struct FaceNet {
    detector: Model<2>,
    landmarks: Model<2>,
    blendshapes: Model<1>,
    emotion: Model<1>,
    decoder: blazeface::Decoder,
}

impl FaceNet {
    /// Loads all four and compares their inputs and outputs with what is decoded here.
    pub fn load(models: &FaceModels, options: &EngineOptions) -> Result<Self, EngineError> {
        use blazeface::{ANCHORS, INPUT, VALUES};
        Ok(Self {
            detector: Model::load(
                &models.detector,
                options,
                ("image", &[1, 3, INPUT, INPUT]),
                [("regressors", &[1, ANCHORS, VALUES]), ("scores", &[1, ANCHORS, 1])],
            )?,
            landmarks: Model::load(
                &models.landmarks,
                options,
                ("image", &[1, 3, CROP, CROP]),
                [
                    ("landmarks", &[1, 1, 1, 3 * LANDMARKS]),
                    ("presence_logit", &[1, 1, 1, 1]),
                ],
            )?,
            blendshapes: Model::load(
                &models.blendshapes,
                options,
                ("points", &[1, names::BLENDSHAPE_LANDMARKS.len(), 2]),
                [("blendshapes", &[BLENDSHAPE_NAMES.len()])],
            )?,
            emotion: Model::load(
                &models.emotion,
                options,
                ("image", &[1, 1, EMOTION_CROP, EMOTION_CROP]),
                [("emotions", &[1, EMOTIONS.len()])],
            )?,
            decoder: blazeface::Decoder::default(),
        })
    }

    /// The engine that is really used.
    pub fn engine(&self) -> EngineKind {
        self.landmarks.network.engine()
    }

    /// The device that is really used.
    pub fn device(&self) -> String {
        self.landmarks.network.device().to_owned()
    }

    /// What is worth a warning at start, such as a fallback to the CPU.
    pub fn note(&self) -> Option<String> {
        self.landmarks.network.note().map(str::to_owned)
    }

    /// Faces with a score above `threshold`, merged above an overlap of `iou`, best first.
    pub fn detect(&mut self, frame: &FrameView<'_>, threshold: f32, iou: f32) -> Result<Vec<Detection>, EngineError> {
        let side = blazeface::INPUT;
        let (sampling, letterbox) = Sampling::letterbox((frame.width(), frame.height()), side);
        let input = self.detector.input()?;
        fill_nchw_f32(
            frame,
            &sampling,
            (side, side),
            Channels::Rgb,
            Scaling::SIGNED_UNIT,
            input,
        )
        .map_err(|error| self.detector.wrong_size(&error))?;
        self.detector.run()?;
        let [regressors, scores] = self.detector.outputs()?;
        Ok(self.decoder.decode(regressors, scores, &letterbox, threshold, iou))
    }

    /// Landmarks of the face in `roi`. A region that is not [usable](Roi::is_usable), or a network that answers with
    /// something else than numbers, gives points at 0 and presence 0.
    pub fn mesh(&mut self, frame: &FrameView<'_>, roi: &Roi) -> Result<Mesh, EngineError> {
        let nothing = || Mesh {
            points: vec![[0.0; 3]; LANDMARKS].into_boxed_slice(),
            presence: 0.0,
        };
        if !roi.is_usable() {
            return Ok(nothing());
        }
        let sampling = Sampling::rotated_square(roi.cx, roi.cy, roi.size, roi.rotation, CROP);
        let input = self.landmarks.input()?;
        fill_nchw_f32(frame, &sampling, (CROP, CROP), Channels::Rgb, Scaling::UNIT, input)
            .map_err(|error| self.landmarks.wrong_size(&error))?;
        self.landmarks.run()?;
        let [landmarks, presence] = self.landmarks.outputs()?;
        let scale = roi.size / CROP as f32;
        let (crop_points, _) = landmarks.as_chunks::<3>();
        let points: Box<[[f32; 3]]> = crop_points
            .iter()
            .map(|&[x, y, z]| {
                let [x, y] = sampling.position(x, y);
                [x, y, z * scale]
            })
            .collect();
        let presence = presence.first().map_or(0.0, |&logit| sigmoid(logit));
        let sound = presence.is_finite() && points.iter().flatten().all(|v| v.is_finite());
        Ok(if sound { Mesh { points, presence } } else { nothing() })
    }

    /// Blendshape weights, 0..=1, in the order of [`BLENDSHAPE_NAMES`]. An error when the mesh has fewer than
    /// [`LANDMARKS`] points.
    pub fn blendshapes(&mut self, mesh: &Mesh) -> Result<[f32; 52], EngineError> {
        if mesh.points.len() < LANDMARKS {
            return Err(EngineError::Inference {
                engine: self.engine(),
                reason: format!("a mesh of {} points, blendshapes need {LANDMARKS}", mesh.points.len()),
            });
        }
        let (input, _) = self.blendshapes.input()?.as_chunks_mut::<2>();
        for (point, &index) in input.iter_mut().zip(&names::BLENDSHAPE_LANDMARKS) {
            let [x, y, _] = mesh.points[usize::from(index)];
            *point = [x, y];
        }
        self.blendshapes.run()?;
        let [output] = self.blendshapes.outputs()?;
        Ok(weights(output))
    }

    /// Probabilities in the order of [`EMOTIONS`] for the face in the box x0, y0, x1, y1. A box without an area gives
    /// zeros.
    pub fn emotion(&mut self, frame: &FrameView<'_>, bbox: [f32; 4]) -> Result<[f32; 7], EngineError> {
        let [x0, y0, x1, y1] = bbox;
        let (width, height) = (x1 - x0, y1 - y0);
        let usable = bbox.iter().all(|v| v.is_finite()) && width > 0.0 && height > 0.0;
        if !usable {
            return Ok([0.0; 7]);
        }
        let (mx, my) = (
            (EMOTION_MARGIN - 1.0) / 2.0 * width,
            (EMOTION_MARGIN - 1.0) / 2.0 * height,
        );
        let size = (EMOTION_CROP, EMOTION_CROP);
        let sampling = Sampling::crop([x0 - mx, y0 - my, x1 + mx, y1 + my], size);
        let input = self.emotion.input()?;
        fill_nchw_f32(frame, &sampling, size, Channels::Gray, Scaling::SIGNED_UNIT, input)
            .map_err(|error| self.emotion.wrong_size(&error))?;
        self.emotion.run()?;
        let [output] = self.emotion.outputs()?;
        Ok(weights(output))
    }
}

/// How much of a smile, 0..=1: the mean of both mouth corners.
pub fn smile(blendshapes: &[f32; 52]) -> f32 {
    (blendshapes[44] + blendshapes[45]) / 2.0
}

/// How closed the left and the right eye are, 0..=1.
pub fn eye_closedness(blendshapes: &[f32; 52]) -> (f32, f32) {
    (blendshapes[9], blendshapes[10])
}

/// Not a number stays not a number.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit.clamp(-100.0, 100.0)).exp())
}

/// `N` values in 0..=1. What is not a number stays so: the reader knows then that the network said nothing.
fn weights<const N: usize>(output: &[f32]) -> [f32; N] {
    std::array::from_fn(|index| output.get(index).map_or(f32::NAN, |v| v.clamp(0.0, 1.0)))
}

/// A network with one input and `N` outputs of known names and shapes.
struct Model<const N: usize> {
    network: Box<dyn Network>,
    /// Where the outputs stand in the network's order.
    order: [usize; N],
}

impl<const N: usize> Model<N> {
    fn load(
        source: &ModelSource,
        options: &EngineOptions,
        input: (&str, &[usize]),
        outputs: [(&str, &[usize]); N],
    ) -> Result<Self, EngineError> {
        let network = engine::load(source, options)?;
        let fits = |info: &TensorInfo, (name, shape): (&str, &[usize])| info.name == name && info.shape == shape;
        let input_fits = network.inputs().len() == 1 && fits(&network.inputs()[0], input);
        let order = outputs.map(|wanted| network.outputs().iter().position(|info| fits(info, wanted)));
        if !input_fits || order.iter().any(Option::is_none) {
            let text = |infos: &[TensorInfo]| {
                infos
                    .iter()
                    .map(|info| format!("{}{:?}", info.name, info.shape))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let wanted = outputs.map(|(name, shape)| format!("{name}{shape:?}")).join(", ");
            return Err(EngineError::ModelShape {
                model: source.to_string(),
                expected: format!("{}{:?} -> {wanted}", input.0, input.1),
                found: format!("{} -> {}", text(network.inputs()), text(network.outputs())),
            });
        }
        Ok(Self {
            network,
            order: order.map(Option::unwrap_or_default),
        })
    }

    fn input(&mut self) -> Result<&mut [f32], EngineError> {
        self.network.input(0, 0)?.f32()
    }

    fn run(&mut self) -> Result<(), EngineError> {
        self.network.infer(0)
    }

    fn outputs(&self) -> Result<[&[f32]; N], EngineError> {
        let mut outputs: [&[f32]; N] = [&[]; N];
        for (output, &index) in outputs.iter_mut().zip(&self.order) {
            *output = self.network.output(0, index)?.f32()?;
        }
        Ok(outputs)
    }

    fn wrong_size(&self, error: &TargetError) -> EngineError {
        EngineError::Inference {
            engine: self.network.engine(),
            reason: error.to_string(),
        }
    }
}
