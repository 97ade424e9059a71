//! The properties that every analyser has: names, ranges, defaults and storage.

use super::{
    AnalyticsMeta, Engine, Fallback, NvdsMeta, Precision, engine::SchedulingAlgorithm, hailo::Hailo, property,
};
use gst::{glib, prelude::*};
use nunchi_inference::engine::{EngineError, EngineOptions, ModelSource};

#[derive(Debug, Clone)]
pub struct Options {
    pub engine: Engine,
    pub device: String,
    pub precision: Precision,
    pub threads: u32,
    pub fallback: Fallback,
    pub hailo: Hailo,
    pub inference_interval: u32,
    pub analytics_meta: AnalyticsMeta,
    pub nvds_meta: NvdsMeta,
    pub qos: bool,
    pub fail_on_error: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::default(),
            device: String::new(),
            precision: Precision::default(),
            threads: 0,
            fallback: Fallback::default(),
            hailo: Hailo::default(),
            inference_interval: 1,
            analytics_meta: AnalyticsMeta::default(),
            nvds_meta: NvdsMeta::default(),
            qos: true,
            fail_on_error: false,
        }
    }
}

impl Options {
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            kind: self.engine.into(),
            device: self.device.clone(),
            precision: self.precision.into(),
            threads: self.threads,
            batch: 0,
            fallback_cpu: self.fallback == Fallback::Cpu,
            hailo: self.hailo.options(),
        }
    }

    /// Whether the tensors of the main network come with the frame.
    pub fn are_tensors_attached(&self) -> bool {
        self.engine == Engine::Tensors
    }

    /// Refuses settings that contradict each other. `any_hef`: whether one of the models is compiled for a Hailo.
    pub fn check(&self, any_hef: bool) -> Result<(), EngineError> {
        let conflict = |what: String, remedy: &str| {
            Err(EngineError::Conflict {
                engine: self.engine.nick(),
                what,
                remedy: remedy.to_owned(),
            })
        };
        if self.are_tensors_attached() && self.hailo.hef_path.is_some() {
            return conflict(
                "hef-path beside engine=tensors, which would run a network of its own".to_owned(),
                "give the HEF to hailonet, or use engine=hailo",
            );
        }
        if self.are_tensors_attached() && self.hailo != Hailo::default() {
            return Err(self.unused_beside_tensors("a property of the Hailo, such as device-id or batch-size,"));
        }
        if self.hailo.scheduling == SchedulingAlgorithm::None {
            return conflict(
                "scheduling-algorithm=none, with which no two networks share a device".to_owned(),
                "use round-robin",
            );
        }
        if let Some(path) = &self.hailo.hef_path {
            let source = ModelSource::File(path.into());
            // Before the library is looked for: a name that is wrong is wrong with or without it.
            if let Err(reason) = std::fs::metadata(path) {
                return Err(EngineError::ModelMissing {
                    model: source.to_string(),
                    reason: reason.to_string(),
                });
            }
            if !source.is_hef() {
                return conflict(
                    format!("hef-path={path} is no HEF"),
                    "give an ONNX model as the model, without hef-path",
                );
            }
            if !matches!(self.engine, Engine::Auto | Engine::Hailo) {
                return conflict(
                    format!("hef-path={path} is for a Hailo, which this engine does not run on"),
                    "use engine=hailo, or engine=auto",
                );
            }
        }
        if self.engine == Engine::Hailo && !any_hef {
            return conflict("none of the models is a HEF".to_owned(), "give one with hef-path");
        }
        Ok(())
    }

    /// The error of a property that steers what hailonet does with `engine=tensors`.
    pub fn unused_beside_tensors(&self, property: &str) -> EngineError {
        EngineError::Conflict {
            engine: self.engine.nick(),
            what: format!("{property} is set, and steers a network that does not run here"),
            remedy: "give it to hailonet, or choose another engine".to_owned(),
        }
    }

    /// Whether the CPU may stand in for a device that is missing at the start: where the user says so, or leaves the engine
    /// to us.
    pub fn may_start_on_cpu(&self) -> bool {
        self.fallback == Fallback::Cpu || (self.engine == Engine::Auto && self.hailo.hef_path.is_some())
    }

    /// Stores a property; false where it is none of these.
    pub fn set(&mut self, name: &str, new: &glib::Value) -> bool {
        match name {
            "engine" => self.engine = property::value(new),
            "device" => self.device = property::value::<Option<String>>(new).unwrap_or_default(),
            "precision" => self.precision = property::value(new),
            "threads" => self.threads = property::value(new),
            "fallback" => self.fallback = property::value(new),
            "inference-interval" => self.inference_interval = property::value(new),
            "analytics-meta" => self.analytics_meta = property::value(new),
            "nvds-meta" => self.nvds_meta = property::value(new),
            "qos" => self.qos = property::value(new),
            "fail-on-error" => self.fail_on_error = property::value(new),
            name => return self.hailo.set(name, new),
        }
        true
    }

    /// The value of a property; `None` where it is none of these.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "engine" => self.engine.to_value(),
            "device" => self.device.to_value(),
            "precision" => self.precision.to_value(),
            "threads" => self.threads.to_value(),
            "fallback" => self.fallback.to_value(),
            "inference-interval" => self.inference_interval.to_value(),
            "analytics-meta" => self.analytics_meta.to_value(),
            "nvds-meta" => self.nvds_meta.to_value(),
            "qos" => self.qos.to_value(),
            "fail-on-error" => self.fail_on_error.to_value(),
            name => return self.hailo.get(name),
        })
    }

    pub fn properties() -> Vec<glib::ParamSpec> {
        let mut all = Hailo::properties();
        all.extend(Self::common_properties());
        all
    }

    /// Those that are not the Hailo's.
    pub fn common_properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        vec![
            glib::ParamSpecEnum::builder_with_default("engine", d.engine)
                .nick("Engine")
                .blurb("What runs the networks; once started, what really does")
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("device")
                .nick("Device")
                .blurb(
                    "CPU, CUDA:0, TENSORRT:0, HAILO, …; empty: the engine's default; once started, what is really used",
                )
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
            property::count(
                "inference-interval",
                "Inference interval",
                "Read every Nth frame; the frames between carry the last boxes and no events",
                (1, 1000, d.inference_interval),
            ),
            glib::ParamSpecEnum::builder_with_default("analytics-meta", d.analytics_meta)
                .nick("Analytics meta")
                .blurb(
                    "Whether to write GstAnalyticsRelationMeta, which stock elements of GStreamer 1.24 and later read",
                )
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
}
