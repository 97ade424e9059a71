//! Faces: detection, 478 landmarks, 52 blendshapes, emotion.
//!
//! Left and right are the person's. The usual order is: [`FaceNet::detect`], [`Roi::from_detection`],
//! [`FaceNet::mesh`], then in every further frame [`Roi::from_landmarks`] and `mesh` again. A face that was just detected
//! wants `mesh` twice, the second time on the region of the first: only then is [`Mesh::presence`] a safe filter.

pub mod blazeface;
mod detector;
pub mod lightface;
mod model;
mod names;
mod roi;
pub mod scrfd;

use crate::engine::{EngineError, EngineKind, EngineOptions, Interrupt, ModelSource, Network, TensorInfo};
use crate::frame::FrameView;
use crate::models;
use crate::preprocess::{Channels, Sampling, Scaling};
use detector::{BLAZEFACE, Detector, LIGHTFACE, SCRFD};
use model::{Family, Model};

pub use detector::detections;
pub use names::{BLENDSHAPE_NAMES, EMOTIONS};
pub use roi::Roi;

/// Number of landmarks.
pub const LANDMARKS: usize = 478;
/// Side of the landmark network's input.
const CROP: usize = 256;
const LANDMARKS_478: Family = Family {
    input: ("image", &[1, 3, CROP, CROP]),
    outputs: &[
        ("landmarks", &[1, 1, 1, 3 * LANDMARKS]),
        ("presence_logit", &[1, 1, 1, 1]),
    ],
};
const BLENDSHAPES_52: Family = Family {
    input: ("points", &[1, names::BLENDSHAPE_LANDMARKS.len(), 2]),
    outputs: &[("blendshapes", &[BLENDSHAPE_NAMES.len()])],
};
/// Each with the side of its input and the places of its classes in [`EMOTIONS`].
const EMOTION_FAMILIES: [(Family, usize, &[usize]); 2] = [
    (
        Family {
            input: ("image", &[1, 1, 64, 64]),
            outputs: &[("emotions", &[1, EMOTIONS.len()])],
        },
        64,
        &[0, 1, 2, 3, 4, 5, 6],
    ),
    // `best_model_float32_5class`: angry, disgust, happy, neutral, surprise.
    (
        Family {
            input: ("image", &[1, 3, 128, 128]),
            outputs: &[("emotions", &[1, 5])],
        },
        128,
        &[0, 1, 3, 6, 5],
    ),
];
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

impl FaceModels {
    /// The same without a Hailo: what is compiled in stands for each HEF.
    #[must_use]
    pub fn on_cpu(&self) -> Self {
        let own = Self::default();
        let pick = |source: &ModelSource, own: ModelSource| if source.is_hef() { own } else { source.clone() };
        Self {
            detector: pick(&self.detector, own.detector),
            landmarks: pick(&self.landmarks, own.landmarks),
            blendshapes: pick(&self.blendshapes, own.blendshapes),
            emotion: pick(&self.emotion, own.emotion),
        }
    }

    /// Whether one of them is compiled for a Hailo.
    pub fn any_hef(&self) -> bool {
        let all = [&self.detector, &self.landmarks, &self.blendshapes, &self.emotion];
        all.into_iter().any(ModelSource::is_hef)
    }
}

/// What a network with these tensors is taken for here; `None` where nothing here reads it.
pub fn family(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Option<&'static str> {
    let [(seven, ..), (five, ..)] = EMOTION_FAMILIES;
    let all = [
        (BLAZEFACE, "blazeface"),
        (SCRFD, "scrfd"),
        (LIGHTFACE, "lightface"),
        (LANDMARKS_478, "face-landmarks-478"),
        (BLENDSHAPES_52, "blendshapes-52"),
        (seven, "emotions-7"),
        (five, "emotions-5"),
    ];
    let found = all
        .into_iter()
        .find(|(family, _)| family.order(inputs, outputs).is_some());
    found.map(|(_, name)| name)
}

/// The four networks, loaded.
pub struct FaceNet {
    detector: Detector,
    landmarks: Model,
    blendshapes: Model,
    emotion: Model,
    /// Which of [`EMOTION_FAMILIES`] it is.
    emotion_family: usize,
}

impl FaceNet {
    /// Loads all four and compares their inputs and outputs with what is decoded here. With [`EngineKind::Hailo`] the HEFs
    /// run there and the others on the CPU; an error when none is a HEF.
    pub fn load(models: &FaceModels, options: &EngineOptions) -> Result<Self, EngineError> {
        if options.kind == EngineKind::Hailo && !models.any_hef() {
            return Err(EngineError::Conflict {
                engine: options.kind.to_string(),
                what: "none of the models is a HEF".to_owned(),
                remedy: "give one, such as scrfd_2.5g.hef as the detector".to_owned(),
            });
        }
        let cpu = options.on_cpu();
        let place = |source: &ModelSource| {
            let elsewhere = options.kind == EngineKind::Hailo && !source.is_hef();
            if elsewhere { &cpu } else { options }
        };
        let emotions = EMOTION_FAMILIES.map(|(family, ..)| family);
        let detector = Detector::load(&models.detector, place(&models.detector))?;
        let (landmarks, _) = Model::load(&models.landmarks, place(&models.landmarks), &[LANDMARKS_478])?;
        let (blendshapes, _) = Model::load(&models.blendshapes, place(&models.blendshapes), &[BLENDSHAPES_52])?;
        let (emotion, emotion_family) = Model::load(&models.emotion, place(&models.emotion), &emotions)?;
        Ok(Self {
            detector,
            landmarks,
            blendshapes,
            emotion,
            emotion_family,
        })
    }

    /// The engine that is really used: the Hailo where one of the networks runs there.
    pub fn engine(&self) -> EngineKind {
        self.chief().engine()
    }

    /// The device that is really used.
    pub fn device(&self) -> String {
        self.chief().device().to_owned()
    }

    fn chief(&self) -> &dyn Network {
        let landmarks = &*self.landmarks.network;
        let all = [
            self.detector.network(),
            landmarks,
            &*self.blendshapes.network,
            &*self.emotion.network,
        ];
        let on_hailo = all.into_iter().find(|network| network.engine() == EngineKind::Hailo);
        on_hailo.unwrap_or(landmarks)
    }

    /// What is worth a warning at start, such as a fallback to the CPU.
    pub fn note(&self) -> Option<String> {
        self.landmarks.network.note().map(str::to_owned)
    }

    /// Has all waiting for a device end while this is raised.
    pub fn set_interrupt(&mut self, interrupt: &Interrupt) {
        self.detector.set_interrupt(interrupt.clone());
        for model in [&mut self.landmarks, &mut self.blendshapes, &mut self.emotion] {
            model.network.set_interrupt(interrupt.clone());
        }
    }

    /// Faces with a score above `threshold`, merged above an overlap of `iou`, best first.
    pub fn detect(&mut self, frame: &FrameView<'_>, threshold: f32, iou: f32) -> Result<Vec<Detection>, EngineError> {
        self.detector.detect(frame, threshold, iou)
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
        self.landmarks
            .fill(frame, &sampling, (CROP, CROP), Channels::Rgb, Scaling::UNIT)?;
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

    /// Which of the known emotion networks it is.
    pub fn emotion_model(&self) -> &'static str {
        ["emotion_fer7_64", "emotion_5class_128"][self.emotion_family]
    }

    /// Probabilities in the order of [`EMOTIONS`], 0 for those that the network does not know, for the face in the box x0, y0, x1,
    /// y1. A box without an area gives zeros.
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
        let (_, side, classes) = EMOTION_FAMILIES[self.emotion_family];
        let size = (side, side);
        let sampling = Sampling::crop([x0 - mx, y0 - my, x1 + mx, y1 + my], size);
        self.emotion
            .fill(frame, &sampling, size, Channels::Gray, Scaling::SIGNED_UNIT)?;
        self.emotion.run()?;
        let [output] = self.emotion.outputs()?;
        Ok(emotions(output, classes))
    }
}

/// Probabilities of the classes in their places among [`EMOTIONS`]. Some networks end before the softmax: what are not shares
/// of 1 are logits. A network that says too little says nothing: not a number, not 0.
fn emotions(output: &[f32], classes: &[usize]) -> [f32; EMOTIONS.len()] {
    let mut emotions = [0.0; EMOTIONS.len()];
    let values = output.get(..classes.len()).unwrap_or(&[]);
    // Rounding each to 8 bits moves the sum by less than this.
    let shares = (values.iter().sum::<f32>() - 1.0).abs() < 0.05 && values.iter().all(|v| (-0.01..=1.01).contains(v));
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = values.iter().map(|v| (v - most).exp()).sum();
    for (index, &class) in classes.iter().enumerate() {
        emotions[class] = values.get(index).map_or(f32::NAN, |v| {
            if shares {
                v.clamp(0.0, 1.0)
            } else {
                (v - most).exp() / sum
            }
        });
    }
    emotions
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(emotions: &[f32; 7], name: &str) -> f32 {
        emotions[EMOTIONS.iter().position(|e| *e == name).unwrap()]
    }

    #[test]
    fn five_classes_find_their_places() {
        let (_, _, five) = EMOTION_FAMILIES[1];
        let found = emotions(&[0.1, 0.15, 0.4, 0.05, 0.3], five);
        for (name, share) in [
            ("angry", 0.1),
            ("disgust", 0.15),
            ("happy", 0.4),
            ("neutral", 0.05),
            ("surprise", 0.3),
            ("fear", 0.0),
            ("sad", 0.0),
        ] {
            assert_eq!(of(&found, name), share, "{name}");
        }
    }

    #[test]
    fn logits_become_shares_and_the_largest_stays_the_largest() {
        let (_, _, five) = EMOTION_FAMILIES[1];
        let found = emotions(&[-3.0, 0.0, 5.1, 2.0, -1.0], five);
        assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{found:?}");
        assert!(of(&found, "happy") > 0.9 && of(&found, "neutral") < 0.1, "{found:?}");
        // Huge ones do not overflow.
        assert_eq!(of(&emotions(&[0.0, 0.0, 3e38, 0.0, -3e38], five), "happy"), 1.0);
    }

    #[test]
    fn too_few_values_and_no_numbers_say_nothing() {
        let (_, _, five) = EMOTION_FAMILIES[1];
        for output in [&[][..], &[0.5, 0.5], &[0.1, f32::NAN, 0.4, 0.05, 0.3]] {
            let found = emotions(output, five);
            assert!(of(&found, "happy").is_nan(), "{output:?}: {found:?}");
        }
    }
}
