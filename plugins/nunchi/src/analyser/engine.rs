//! The engine of an analyser, as properties have it.

use gst::{glib, prelude::*};
use nunchi_inference::engine::{EngineKind, Precision as EnginePrecision};

/// What runs the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiEngine")]
pub enum Engine {
    /// The fastest that is there.
    #[default]
    #[enum_value(name = "The fastest engine that is there", nick = "auto")]
    Auto,
    #[enum_value(name = "HailoRT (Hailo-8, Hailo-8L; takes a HEF)", nick = "hailo")]
    Hailo,
    #[enum_value(name = "OpenVINO (Intel and AMD processors, Arm)", nick = "openvino")]
    OpenVino,
    #[enum_value(name = "ONNX Runtime (CPU, CUDA, TensorRT)", nick = "onnxruntime")]
    OnnxRuntime,
    /// Built in, needs no library.
    #[enum_value(name = "Embedded engine (nothing to install)", nick = "embedded")]
    Embedded,
    /// None: the tensors came with the frame.
    #[enum_value(name = "The tensors that hailonet has attached to the frame", nick = "tensors")]
    Tensors,
}

impl Engine {
    /// Name as in the property.
    pub fn nick(self) -> String {
        let value = self.to_value();
        glib::EnumValue::from_value(&value).map_or_else(String::new, |(_, value)| value.nick().to_owned())
    }
}

impl From<Engine> for EngineKind {
    fn from(engine: Engine) -> Self {
        match engine {
            // Networks whose tensors do not come with the frame run where they would by themselves.
            Engine::Auto | Engine::Tensors => EngineKind::Auto,
            Engine::Hailo => EngineKind::Hailo,
            Engine::OpenVino => EngineKind::OpenVino,
            Engine::OnnxRuntime => EngineKind::OnnxRuntime,
            Engine::Embedded => EngineKind::Embedded,
        }
    }
}

impl From<EngineKind> for Engine {
    fn from(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Hailo => Engine::Hailo,
            EngineKind::OpenVino => Engine::OpenVino,
            EngineKind::OnnxRuntime => Engine::OnnxRuntime,
            EngineKind::Embedded => Engine::Embedded,
            EngineKind::Auto => Engine::Auto,
        }
    }
}

/// Arithmetic of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiPrecision")]
pub enum Precision {
    /// What the engine holds best on this machine.
    #[default]
    #[enum_value(name = "What the engine holds best on this machine", nick = "auto")]
    Auto,
    #[enum_value(name = "32-bit floating point", nick = "f32")]
    F32,
    #[enum_value(name = "bfloat16 where the processor has it", nick = "bf16")]
    Bf16,
    #[enum_value(name = "16-bit floating point where the device has it", nick = "f16")]
    F16,
}

impl From<Precision> for EnginePrecision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => EnginePrecision::Auto,
            Precision::F32 => EnginePrecision::F32,
            Precision::Bf16 => EnginePrecision::Bf16,
            Precision::F16 => EnginePrecision::F16,
        }
    }
}

/// What to do when the wanted engine or device is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiFallback")]
pub enum Fallback {
    #[default]
    #[enum_value(name = "Stop with an error", nick = "error")]
    Error,
    #[enum_value(name = "Warn and infer on the CPU", nick = "cpu")]
    Cpu,
}

/// How networks share a Hailo. `hailonet` has both; with `none` a network has the device for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiSchedulingAlgorithm")]
pub enum SchedulingAlgorithm {
    #[enum_value(name = "None: refused here", nick = "none")]
    None,
    #[default]
    #[enum_value(name = "Round robin", nick = "round-robin")]
    RoundRobin,
}

/// Whether to write `GstAnalyticsRelationMeta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiAnalyticsMeta")]
pub enum AnalyticsMeta {
    /// Where GStreamer's analytics library is there (1.24 and later).
    #[default]
    #[enum_value(name = "Where GStreamer has it (1.24 and later)", nick = "auto")]
    Auto,
    #[enum_value(name = "Always; an error where GStreamer lacks it", nick = "on")]
    On,
    #[enum_value(name = "Never", nick = "off")]
    Off,
}

/// Whether to write `NvDsObjectMeta` and custom messages into a batch meta of DeepStream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiNvdsMeta")]
pub enum NvdsMeta {
    /// Where the buffer carries a batch meta, and its version is known.
    #[default]
    #[enum_value(name = "Where the buffer carries DeepStream's batch meta", nick = "auto")]
    Auto,
    #[enum_value(name = "Never", nick = "off")]
    Off,
}
