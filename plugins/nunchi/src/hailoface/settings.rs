//! The properties of `hailoface`: one place for names, ranges, defaults and storage.

use super::{
    AnalyticsMeta, Engine, Fallback, NvdsMeta, Precision, hysteresis::Limits, reading::Rules, tracker::Policy,
};
use gst::{glib, prelude::*};
use nunchi_inference::engine::{EngineOptions, ModelSource};
use nunchi_inference::face::FaceModels;

const MS: u64 = 1_000_000;

#[derive(Debug, Clone)]
pub struct Settings {
    pub engine: Engine,
    pub device: String,
    pub precision: Precision,
    pub threads: u32,
    pub fallback: Fallback,
    pub detector_model: Option<String>,
    pub landmark_model: Option<String>,
    pub blendshape_model: Option<String>,
    pub emotion_model: Option<String>,
    pub max_faces: u32,
    pub inference_interval: u32,
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
    pub analytics_meta: AnalyticsMeta,
    pub nvds_meta: NvdsMeta,
    pub qos: bool,
    pub fail_on_error: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            device: String::new(),
            precision: Precision::default(),
            threads: 0,
            fallback: Fallback::default(),
            detector_model: None,
            landmark_model: None,
            blendshape_model: None,
            emotion_model: None,
            max_faces: 4,
            inference_interval: 1,
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
            analytics_meta: AnalyticsMeta::default(),
            nvds_meta: NvdsMeta::default(),
            qos: true,
            fail_on_error: false,
        }
    }
}

impl Settings {
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            kind: self.engine.into(),
            device: self.device.clone(),
            precision: self.precision.into(),
            threads: self.threads,
            fallback_cpu: self.fallback == Fallback::Cpu,
            ..EngineOptions::default()
        }
    }

    pub fn models(&self) -> FaceModels {
        let mut models = FaceModels::default();
        for (slot, path) in [
            (&mut models.detector, &self.detector_model),
            (&mut models.landmarks, &self.landmark_model),
            (&mut models.blendshapes, &self.blendshape_model),
            (&mut models.emotion, &self.emotion_model),
        ] {
            if let Some(path) = path {
                *slot = ModelSource::File(path.into());
            }
        }
        models
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
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        fn get<T: for<'a> glib::value::FromValue<'a>>(value: &glib::Value) -> T {
            value
                .get()
                .unwrap_or_else(|_| unreachable!("GObject has checked the type"))
        }
        let path = |value: &glib::Value| get::<Option<String>>(value).filter(|p| !p.is_empty());
        match name {
            "engine" => self.engine = get(value),
            "device" => self.device = get::<Option<String>>(value).unwrap_or_default(),
            "precision" => self.precision = get(value),
            "threads" => self.threads = get(value),
            "fallback" => self.fallback = get(value),
            "detector-model" => self.detector_model = path(value),
            "landmark-model" => self.landmark_model = path(value),
            "blendshape-model" => self.blendshape_model = path(value),
            "emotion-model" => self.emotion_model = path(value),
            "max-faces" => self.max_faces = get(value),
            "inference-interval" => self.inference_interval = get(value),
            "detection-interval" => self.detection_interval = get(value),
            "emotion-interval" => self.emotion_interval = get(value),
            "score-threshold" => self.score_threshold = get(value),
            "iou-threshold" => self.iou_threshold = get(value),
            "presence-threshold" => self.presence_threshold = get(value),
            "presence-timeout" => self.presence_timeout = get(value),
            "smile-threshold" => self.smile_threshold = get(value),
            "smile-release" => self.smile_release = get(value),
            "smile-min-duration" => self.smile_min_duration = get(value),
            "eyes-closed-threshold" => self.eyes_closed_threshold = get(value),
            "eyes-closed-release" => self.eyes_closed_release = get(value),
            "eyes-closed-min-duration" => self.eyes_closed_min_duration = get(value),
            "emotion-threshold" => self.emotion_threshold = get(value),
            "emotion-min-duration" => self.emotion_min_duration = get(value),
            "analytics-meta" => self.analytics_meta = get(value),
            "nvds-meta" => self.nvds_meta = get(value),
            "qos" => self.qos = get(value),
            "fail-on-error" => self.fail_on_error = get(value),
            name => unreachable!("property {name} is not writable"),
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "engine" => self.engine.to_value(),
            "device" => self.device.to_value(),
            "precision" => self.precision.to_value(),
            "threads" => self.threads.to_value(),
            "fallback" => self.fallback.to_value(),
            "detector-model" => self.detector_model.to_value(),
            "landmark-model" => self.landmark_model.to_value(),
            "blendshape-model" => self.blendshape_model.to_value(),
            "emotion-model" => self.emotion_model.to_value(),
            "max-faces" => self.max_faces.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
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
            "analytics-meta" => self.analytics_meta.to_value(),
            "nvds-meta" => self.nvds_meta.to_value(),
            "qos" => self.qos.to_value(),
            "fail-on-error" => self.fail_on_error.to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }
}

/// The writable properties, in the order in which `gst-inspect-1.0` shows them after sorting by name.
pub fn properties() -> Vec<glib::ParamSpec> {
    let d = Settings::default();
    let score = |name: &'static str, nick: &str, blurb: &str, default: f32| {
        glib::ParamSpecFloat::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let time = |name: &'static str, nick: &str, blurb: &str, default: u64| {
        glib::ParamSpecUInt64::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(3_600_000 * MS)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let model = |name: &'static str, nick: &str, blurb: &str| {
        glib::ParamSpecString::builder(name)
            .nick(nick)
            .blurb(blurb)
            .mutable_ready()
            .build()
    };
    let count = |name: &'static str, nick: &str, blurb: &str, min: u32, max: u32, default: u32| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(min)
            .maximum(max)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("engine", d.engine)
            .nick("Engine")
            .blurb("What runs the networks; once started, what really does")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("device")
            .nick("Device")
            .blurb("CPU, CUDA:0, TENSORRT:0, …; empty: the engine's default; once started, what is really used")
            .default_value(Some(""))
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("precision", d.precision)
            .nick("Precision")
            .blurb("Arithmetic of the networks")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("threads")
            .nick("Threads")
            .blurb("Threads of the engine on the CPU; 0: the engine's choice")
            .maximum(256)
            .default_value(d.threads)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("fallback", d.fallback)
            .nick("Fallback")
            .blurb("What to do when the wanted engine or device is missing")
            .mutable_ready()
            .build(),
        model(
            "detector-model",
            "Detector model",
            "ONNX file with BlazeFace's layout; empty: the embedded one",
        ),
        model(
            "landmark-model",
            "Landmark model",
            "ONNX file with the layout of MediaPipe's 478 landmarks; empty: the embedded one",
        ),
        model(
            "blendshape-model",
            "Blendshape model",
            "ONNX file with the layout of MediaPipe's 52 blendshapes; empty: the embedded one",
        ),
        model(
            "emotion-model",
            "Emotion model",
            "ONNX file with seven classes (64x64 grey); empty: the embedded one",
        ),
        count(
            "max-faces",
            "Maximum faces",
            "Faces that are followed at once, the largest first",
            1,
            64,
            d.max_faces,
        ),
        count(
            "inference-interval",
            "Inference interval",
            "Read faces in every Nth frame; the frames between carry the last boxes and no events",
            1,
            1000,
            d.inference_interval,
        ),
        count(
            "detection-interval",
            "Detection interval",
            "Frames between two searches for further faces while there is room; 0: search only when no face is in view or one was lost",
            0,
            10_000,
            d.detection_interval,
        ),
        count(
            "emotion-interval",
            "Emotion interval",
            "Read emotions in every Nth inference; 0: never",
            0,
            1000,
            d.emotion_interval,
        ),
        score(
            "score-threshold",
            "Score threshold",
            "Least score of a detected face",
            d.score_threshold,
        ),
        score(
            "iou-threshold",
            "IoU threshold",
            "Detections that overlap by more than this are one face",
            d.iou_threshold,
        ),
        score(
            "presence-threshold",
            "Presence threshold",
            "Least score of the landmarks for a face to count as there",
            d.presence_threshold,
        ),
        time(
            "presence-timeout",
            "Presence timeout",
            "How long a face may be out of sight, in nanoseconds, before it counts as gone",
            d.presence_timeout,
        ),
        score(
            "smile-threshold",
            "Smile threshold",
            "A smile starts at this score",
            d.smile_threshold,
        ),
        score(
            "smile-release",
            "Smile release",
            "A smile ends below this score",
            d.smile_release,
        ),
        time(
            "smile-min-duration",
            "Smile minimum duration",
            "How long a smile must last, in nanoseconds, before it is reported",
            d.smile_min_duration,
        ),
        score(
            "eyes-closed-threshold",
            "Eyes closed threshold",
            "Eyes count as closed from this score on (mean of both)",
            d.eyes_closed_threshold,
        ),
        score(
            "eyes-closed-release",
            "Eyes closed release",
            "Eyes count as open again below this score",
            d.eyes_closed_release,
        ),
        time(
            "eyes-closed-min-duration",
            "Eyes closed minimum duration",
            "How long eyes must be closed, in nanoseconds, before it is reported (a blink takes up to 400 ms)",
            d.eyes_closed_min_duration,
        ),
        score(
            "emotion-threshold",
            "Emotion threshold",
            "Least score of an emotion",
            d.emotion_threshold,
        ),
        time(
            "emotion-min-duration",
            "Emotion minimum duration",
            "How long an emotion must last, in nanoseconds, before it is reported",
            d.emotion_min_duration,
        ),
        glib::ParamSpecEnum::builder_with_default("analytics-meta", d.analytics_meta)
            .nick("Analytics meta")
            .blurb("Whether to write GstAnalyticsRelationMeta, which stock elements of GStreamer 1.24 and later read")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("nvds-meta", d.nvds_meta)
            .nick("NvDs meta")
            .blurb("Whether to write objects and events into the NvDsBatchMeta of DeepStream that a buffer carries")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("qos")
            .nick("QoS")
            .blurb("Skip the inference of frames that will be shown too late; the frames themselves pass")
            .default_value(d.qos)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("fail-on-error")
            .nick("Fail on error")
            .blurb("Stop with an error when the inference of a frame fails, instead of warning and going on")
            .default_value(d.fail_on_error)
            .mutable_playing()
            .build(),
    ]
}
