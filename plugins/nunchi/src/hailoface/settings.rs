//! The properties of `hailoface`: one place for names, ranges, defaults and storage.

use super::{reading::Rules, tracker::Policy};
use crate::analyser::hysteresis::Limits;
use crate::analyser::{Options, property};
use gst::{glib, prelude::*};
use nunchi_inference::engine::EngineError;
use nunchi_inference::face::FaceModels;

const MS: u64 = 1_000_000;

#[derive(Debug, Clone)]
pub struct Settings {
    pub options: Options,
    pub detector_model: Option<String>,
    pub landmark_model: Option<String>,
    pub blendshape_model: Option<String>,
    pub emotion_model: Option<String>,
    pub max_faces: u32,
    pub detection_interval: u32,
    pub emotion_interval: u32,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub presence_threshold: f32,
    pub presence_timeout: u64,
    pub smile_threshold: f32,
    pub smile_release: f32,
    pub smile_min_duration: u64,
    pub eyes_closed_threshold: f32,
    pub eyes_closed_release: f32,
    pub eyes_closed_min_duration: u64,
    pub emotion_threshold: f32,
    pub emotion_min_duration: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: Options::default(),
            detector_model: None,
            landmark_model: None,
            blendshape_model: None,
            emotion_model: None,
            max_faces: 4,
            detection_interval: 15,
            emotion_interval: 5,
            score_threshold: 0.5,
            iou_threshold: 0.3,
            presence_threshold: 0.5,
            presence_timeout: 500 * MS,
            smile_threshold: 0.5,
            smile_release: 0.35,
            smile_min_duration: 200 * MS,
            eyes_closed_threshold: 0.65,
            eyes_closed_release: 0.5,
            // Longer than a blink, which takes 100 to 400 ms.
            eyes_closed_min_duration: 400 * MS,
            emotion_threshold: 0.5,
            emotion_min_duration: 500 * MS,
        }
    }
}

impl AsRef<Options> for Settings {
    fn as_ref(&self) -> &Options {
        &self.options
    }
}

impl Settings {
    /// On the CPU instead of the wanted device, `detector-model` stands for the HEF, and what is built in for models that are
    /// compiled for a Hailo.
    pub fn models(&self, on_cpu: bool) -> FaceModels {
        let embedded = FaceModels::default();
        let detector = property::source(self.detector_model.as_ref(), embedded.detector);
        let models = FaceModels {
            detector: if on_cpu {
                detector
            } else {
                self.options.hailo.or(detector)
            },
            landmarks: property::source(self.landmark_model.as_ref(), embedded.landmarks),
            blendshapes: property::source(self.blendshape_model.as_ref(), embedded.blendshapes),
            emotion: property::source(self.emotion_model.as_ref(), embedded.emotion),
        };
        if on_cpu { models.on_cpu() } else { models }
    }

    /// Refuses settings that contradict each other.
    pub fn check(&self) -> Result<(), EngineError> {
        self.options.check(self.models(false).any_hef())?;
        // The other networks run here.
        if self.options.are_tensors_attached() && self.detector_model.is_some() {
            return Err(self.options.unused_beside_tensors("detector-model"));
        }
        Ok(())
    }

    pub fn policy(&self) -> Policy {
        Policy {
            max_faces: self.max_faces as usize,
            detection_interval: self.detection_interval,
            presence_threshold: self.presence_threshold,
            timeout: self.presence_timeout,
        }
    }

    pub fn rules(&self) -> Rules {
        let limits = |on: f32, off: f32, min_duration| Limits {
            on: on.into(),
            off: off.into(),
            min_duration,
        };
        Rules {
            smile: limits(self.smile_threshold, self.smile_release, self.smile_min_duration),
            eyes_closed: limits(
                self.eyes_closed_threshold,
                self.eyes_closed_release,
                self.eyes_closed_min_duration,
            ),
            // An emotion that was reported goes on until another one is stronger or it is hardly there.
            emotion: limits(
                self.emotion_threshold,
                self.emotion_threshold * 0.8,
                self.emotion_min_duration,
            ),
        }
    }

    /// Stores a property. GObject has checked type and range against the ParamSpec.
    pub fn set(&mut self, name: &str, new: &glib::Value) {
        if self.options.set(name, new) {
            return;
        }
        match name {
            "detector-model" => self.detector_model = property::path(new),
            "landmark-model" => self.landmark_model = property::path(new),
            "blendshape-model" => self.blendshape_model = property::path(new),
            "emotion-model" => self.emotion_model = property::path(new),
            "max-faces" => self.max_faces = property::value(new),
            "detection-interval" => self.detection_interval = property::value(new),
            "emotion-interval" => self.emotion_interval = property::value(new),
            "score-threshold" => self.score_threshold = property::value(new),
            "iou-threshold" => self.iou_threshold = property::value(new),
            "presence-threshold" => self.presence_threshold = property::value(new),
            "presence-timeout" => self.presence_timeout = property::value(new),
            "smile-threshold" => self.smile_threshold = property::value(new),
            "smile-release" => self.smile_release = property::value(new),
            "smile-min-duration" => self.smile_min_duration = property::value(new),
            "eyes-closed-threshold" => self.eyes_closed_threshold = property::value(new),
            "eyes-closed-release" => self.eyes_closed_release = property::value(new),
            "eyes-closed-min-duration" => self.eyes_closed_min_duration = property::value(new),
            "emotion-threshold" => self.emotion_threshold = property::value(new),
            "emotion-min-duration" => self.emotion_min_duration = property::value(new),
            name => unreachable!("property {name} is not writable"),
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        if let Some(value) = self.options.get(name) {
            return value;
        }
        match name {
            "detector-model" => self.detector_model.to_value(),
            "landmark-model" => self.landmark_model.to_value(),
            "blendshape-model" => self.blendshape_model.to_value(),
            "emotion-model" => self.emotion_model.to_value(),
            "max-faces" => self.max_faces.to_value(),
            "detection-interval" => self.detection_interval.to_value(),
            "emotion-interval" => self.emotion_interval.to_value(),
            "score-threshold" => self.score_threshold.to_value(),
            "iou-threshold" => self.iou_threshold.to_value(),
            "presence-threshold" => self.presence_threshold.to_value(),
            "presence-timeout" => self.presence_timeout.to_value(),
            "smile-threshold" => self.smile_threshold.to_value(),
            "smile-release" => self.smile_release.to_value(),
            "smile-min-duration" => self.smile_min_duration.to_value(),
            "eyes-closed-threshold" => self.eyes_closed_threshold.to_value(),
            "eyes-closed-release" => self.eyes_closed_release.to_value(),
            "eyes-closed-min-duration" => self.eyes_closed_min_duration.to_value(),
            "emotion-threshold" => self.emotion_threshold.to_value(),
            "emotion-min-duration" => self.emotion_min_duration.to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }

    /// The writable properties.
    pub fn properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        let mut all = Options::properties();
        all.extend([
            property::model(
                "detector-model",
                "Detector model",
                "ONNX file with BlazeFace's layout; empty: the embedded one",
            ),
            property::model(
                "landmark-model",
                "Landmark model",
                "ONNX file with the layout of MediaPipe's 478 landmarks; empty: the embedded one",
            ),
            property::model(
                "blendshape-model",
                "Blendshape model",
                "ONNX file with the layout of MediaPipe's 52 blendshapes; empty: the embedded one",
            ),
            property::model(
                "emotion-model",
                "Emotion model",
                "ONNX file with seven classes (64x64 grey); empty: the embedded one",
            ),
            property::count(
                "max-faces",
                "Maximum faces",
                "Faces that are followed at once, the largest first",
                (1, 64, d.max_faces),
            ),
            property::count(
                "detection-interval",
                "Detection interval",
                "Frames between two searches for further faces while there is room; 0: search only when no face is in view or one was lost",
                (0, 10_000, d.detection_interval),
            ),
            property::count(
                "emotion-interval",
                "Emotion interval",
                "Read emotions in every Nth inference; 0: never",
                (0, 1000, d.emotion_interval),
            ),
            property::score(
                "score-threshold",
                "Score threshold",
                "Least score of a detected face",
                d.score_threshold,
            ),
            property::score(
                "iou-threshold",
                "IoU threshold",
                "Detections that overlap by more than this are one face",
                d.iou_threshold,
            ),
            property::score(
                "presence-threshold",
                "Presence threshold",
                "Least score of the landmarks for a face to count as there",
                d.presence_threshold,
            ),
            property::time(
                "presence-timeout",
                "Presence timeout",
                "How long a face may be out of sight, in nanoseconds, before it counts as gone",
                d.presence_timeout,
            ),
            property::score(
                "smile-threshold",
                "Smile threshold",
                "A smile starts at this score",
                d.smile_threshold,
            ),
            property::score(
                "smile-release",
                "Smile release",
                "A smile ends below this score",
                d.smile_release,
            ),
            property::time(
                "smile-min-duration",
                "Smile minimum duration",
                "How long a smile must last, in nanoseconds, before it is reported",
                d.smile_min_duration,
            ),
            property::score(
                "eyes-closed-threshold",
                "Eyes closed threshold",
                "Eyes count as closed from this score on (mean of both)",
                d.eyes_closed_threshold,
            ),
            property::score(
                "eyes-closed-release",
                "Eyes closed release",
                "Eyes count as open again below this score",
                d.eyes_closed_release,
            ),
            property::time(
                "eyes-closed-min-duration",
                "Eyes closed minimum duration",
                "How long eyes must be closed, in nanoseconds, before it is reported (a blink takes up to 400 ms)",
                d.eyes_closed_min_duration,
            ),
            property::score(
                "emotion-threshold",
                "Emotion threshold",
                "Least score of an emotion",
                d.emotion_threshold,
            ),
            property::time(
                "emotion-min-duration",
                "Emotion minimum duration",
                "How long an emotion must last, in nanoseconds, before it is reported",
                d.emotion_min_duration,
            ),
        ]);
        all
    }
}
