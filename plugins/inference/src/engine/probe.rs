//! What is installed, for diagnosis.

use super::{EngineError, EngineKind};

/// One engine, as found on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    pub kind: EngineKind,
    pub available: bool,
    /// Version of the library; empty when there is none.
    pub version: String,
    /// Where the library was found; empty when there is none or it is compiled in.
    pub path: String,
    /// Devices that the engine says it has.
    pub devices: Vec<String>,
    /// What is missing and what to do about it.
    pub remedy: Option<String>,
}

impl EngineStatus {
    /// From version, path and devices, or why there are none.
    pub(super) fn new(kind: EngineKind, opened: Result<(String, String, Vec<String>), EngineError>) -> Self {
        match opened {
            Ok((version, path, devices)) => Self {
                kind,
                available: true,
                version,
                path,
                devices,
                remedy: None,
            },
            Err(error) => Self {
                kind,
                available: false,
                version: String::new(),
                path: String::new(),
                devices: Vec::new(),
                remedy: Some(error.to_string()),
            },
        }
    }
}

/// Looks for every engine. Opens libraries, runs nothing.
pub fn probe() -> Vec<EngineStatus> {
    vec![
        super::hailo::status(),
        #[cfg(feature = "openvino")]
        super::openvino::status(),
        #[cfg(feature = "onnxruntime")]
        super::onnxruntime::status(),
        #[cfg(feature = "embedded-engine")]
        super::embedded::status(),
        #[cfg(not(feature = "openvino"))]
        EngineStatus::new(EngineKind::OpenVino, Err(super::not_built(EngineKind::OpenVino))),
        #[cfg(not(feature = "onnxruntime"))]
        EngineStatus::new(EngineKind::OnnxRuntime, Err(super::not_built(EngineKind::OnnxRuntime))),
        #[cfg(not(feature = "embedded-engine"))]
        EngineStatus::new(EngineKind::Embedded, Err(super::not_built(EngineKind::Embedded))),
    ]
}
