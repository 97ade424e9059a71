//! The properties of `hailopose`: one place for names, ranges, defaults and storage.

use super::{rules::Thresholds, tracker::Policy};
use crate::analyser::{Options, Precision, property};
use gst::{glib, prelude::*};
use nunchi_inference::engine::{EngineError, ModelSource};
use nunchi_inference::models;
use nunchi_inference::pose::Limits;

#[derive(Debug, Clone)]
pub struct Settings {
    pub options: Options,
    pub model: Option<String>,
    pub frames_in_flight: u32,
    pub max_people: u32,
    pub score_threshold: f32,
    pub iou_threshold: f32,
    pub keypoint_threshold: f32,
    pub presence_timeout: u64,
    pub smoothing: bool,
    pub thresholds: Thresholds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: Options::default(),
            model: None,
            frames_in_flight: 0,
            max_people: 4,
            score_threshold: 0.25,
            iou_threshold: 0.7,
            keypoint_threshold: 0.4,
            presence_timeout: 500_000_000,
            smoothing: false,
            thresholds: Thresholds::default(),
        }
    }
}

impl AsRef<Options> for Settings {
    fn as_ref(&self) -> &Options {
        &self.options
    }
}

impl Settings {
    /// The HEF or the model; on the CPU instead of the wanted device, the model alone, where it is none compiled for a Hailo.
    pub fn model(&self, on_cpu: bool) -> ModelSource {
        let model = property::source(self.model.as_ref(), models::body_pose());
        match on_cpu {
            false => self.options.hailo.or(model),
            true if model.is_hef() => models::body_pose(),
            true => model,
        }
    }

    /// Refuses settings that contradict each other.
    pub fn check(&self) -> Result<(), EngineError> {
        self.options.check(self.model(false).is_hef())?;
        let unused = [
            ("model", self.model.is_some()),
            ("frames-in-flight", self.frames_in_flight != 0),
            ("device", !self.options.device.is_empty()),
            ("precision", self.options.precision != Precision::default()),
            ("threads", self.options.threads != 0),
        ];
        if let Some((name, _)) = unused.into_iter().find(|(_, set)| *set)
            && self.options.are_tensors_attached()
        {
            return Err(self.options.unused_beside_tensors(name));
        }
        let Thresholds { far, near, .. } = self.thresholds;
        if far > near {
            return Err(EngineError::Conflict {
                engine: "hailopose".to_owned(),
                what: format!("far-threshold {far} above near-threshold {near}: nobody is at a good distance"),
                remedy: "eyes nearer together than far-threshold are far away, wider apart than near-threshold near"
                    .to_owned(),
            });
        }
        Ok(())
    }

    pub fn limits(&self) -> Limits {
        Limits {
            score: self.score_threshold,
            iou: self.iou_threshold,
            keypoint: self.keypoint_threshold,
            people: self.max_people as usize,
        }
    }

    pub fn policy(&self) -> Policy {
        Policy {
            keypoint_threshold: self.keypoint_threshold,
            timeout: self.presence_timeout,
        }
    }

    /// Stores a property. GObject has checked type and range against the ParamSpec.
    pub fn set(&mut self, name: &str, new: &glib::Value) {
        if self.options.set(name, new) {
            return;
        }
        let rules = &mut self.thresholds;
        match name {
            "model" => self.model = property::path(new),
            "frames-in-flight" => self.frames_in_flight = property::value(new),
            "max-people" => self.max_people = property::value(new),
            "score-threshold" => self.score_threshold = property::value(new),
            "iou-threshold" => self.iou_threshold = property::value(new),
            "keypoint-threshold" => self.keypoint_threshold = property::value(new),
            "presence-timeout" => self.presence_timeout = property::value(new),
            "smoothing" => self.smoothing = property::value(new),
            "rule-confidence" => rules.confidence = property::value(new),
            "asymmetry-threshold" => rules.asymmetry = property::value(new),
            "shortening-threshold" => rules.shortening = property::value(new),
            "head-tilt-threshold" => rules.head_tilt = property::value(new),
            "gesture-threshold" => rules.gesture = property::value(new),
            "crossed-threshold" => rules.crossed = property::value(new),
            "far-threshold" => rules.far = property::value(new),
            "near-threshold" => rules.near = property::value(new),
            name => unreachable!("property {name} is not writable"),
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        if let Some(value) = self.options.get(name) {
            return value;
        }
        let rules = &self.thresholds;
        match name {
            "model" => self.model.to_value(),
            "frames-in-flight" => self.frames_in_flight.to_value(),
            "max-people" => self.max_people.to_value(),
            "score-threshold" => self.score_threshold.to_value(),
            "iou-threshold" => self.iou_threshold.to_value(),
            "keypoint-threshold" => self.keypoint_threshold.to_value(),
            "presence-timeout" => self.presence_timeout.to_value(),
            "smoothing" => self.smoothing.to_value(),
            "rule-confidence" => rules.confidence.to_value(),
            "asymmetry-threshold" => rules.asymmetry.to_value(),
            "shortening-threshold" => rules.shortening.to_value(),
            "head-tilt-threshold" => rules.head_tilt.to_value(),
            "gesture-threshold" => rules.gesture.to_value(),
            "crossed-threshold" => rules.crossed.to_value(),
            "far-threshold" => rules.far.to_value(),
            "near-threshold" => rules.near.to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }

    /// The writable properties.
    pub fn properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        let rules = d.thresholds;
        // Ratios of two lengths, the larger one first.
        let ratio = |name, nick, blurb, default| property::number(name, nick, blurb, (1.0, 1000.0, default));
        let eyes = |name, nick, blurb, default| property::number(name, nick, blurb, (0.0, 1000.0, default));
        let pixels = |name, nick, blurb, default| property::number(name, nick, blurb, (0.0, 100_000.0, default));
        let mut all = Options::properties();
        all.extend([
            property::model(
                "model",
                "Model",
                "ONNX file of a pose network (MoveNet, ViTPose heat maps, YOLOv8 pose); empty: the embedded MoveNet",
            ),
            glib::ParamSpecUInt::builder("frames-in-flight")
                .nick("Frames in flight")
                .blurb("Frames that a device with a queue (Hailo) works on at once, each but one a frame of latency; 0: 2 behind a live source, else as many as keep it busy")
                .maximum(32)
                .default_value(d.frames_in_flight)
                .mutable_ready()
                .build(),
            property::count(
                "max-people",
                "Maximum people",
                "People who are read at once, the best seen first; MoveNet and ViTPose read one",
                (1, 64, d.max_people),
            ),
            property::score(
                "score-threshold",
                "Score threshold",
                "Least score of a person: the detector's, or the mean confidence of the keypoints that are seen",
                d.score_threshold,
            ),
            property::score(
                "iou-threshold",
                "IoU threshold",
                "Detections that overlap by more than this are one person",
                d.iou_threshold,
            ),
            property::score(
                "keypoint-threshold",
                "Keypoint threshold",
                "Keypoints that are less sure than this are not seen: no rule and no box is made of them",
                d.keypoint_threshold,
            ),
            property::time(
                "presence-timeout",
                "Presence timeout",
                "How long a person may be out of sight, in nanoseconds, before they count as gone",
                d.presence_timeout,
            ),
            glib::ParamSpecBoolean::builder("smoothing")
                .nick("Smoothing")
                .blurb("Steady the keypoints with a Kalman filter each, before the rules and in the metadata")
                .default_value(d.smoothing)
                .mutable_playing()
                .build(),
            property::score(
                "rule-confidence",
                "Rule confidence",
                "A posture rule is silent when one of its keypoints is less sure than this",
                rules.confidence,
            ),
            ratio(
                "asymmetry-threshold",
                "Asymmetry threshold",
                "body_tilt: one side of the trunk, shoulder to hip, is longer than the other by more than this factor",
                rules.asymmetry,
            ),
            ratio(
                "shortening-threshold",
                "Shortening threshold",
                "body_tilt: the trunk was longer than it is now by more than this factor",
                rules.shortening,
            ),
            ratio(
                "head-tilt-threshold",
                "Head tilt threshold",
                "head_tilt: one eye is further from its shoulder, horizontally, than the other by more than this factor",
                rules.head_tilt,
            ),
            eyes(
                "gesture-threshold",
                "Gesture threshold",
                "gesture: a wrist is nearer to an eye than this many distances between the eyes",
                rules.gesture,
            ),
            eyes(
                "crossed-threshold",
                "Crossed threshold",
                "Hands that are crossed, and apart in height by more than this many distances between the eyes, are no gesture",
                rules.crossed,
            ),
            pixels(
                "far-threshold",
                "Far threshold",
                "Somebody whose eyes are fewer pixels apart than this is too far away (an attribute of the region)",
                rules.far,
            ),
            pixels(
                "near-threshold",
                "Near threshold",
                "Somebody whose eyes are more pixels apart than this is too close (an attribute of the region)",
                rules.near,
            ),
        ]);
        all
    }
}
