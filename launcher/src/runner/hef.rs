//! What a HEF holds, for `nunchi doctor --hef`. Read in a child, since the vendor's library may crash on a damaged one.

use std::path::{Path, PathBuf};

use nunchi_inference::engine::hailo::describe_hef;
use nunchi_inference::engine::{EngineError, Layout, ModelSource, TensorInfo};
use nunchi_inference::{face, pose};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// One file.
#[derive(Debug, Serialize, Deserialize)]
pub struct HefFact {
    pub file: PathBuf,
    /// Names of the network groups; our elements run files with one.
    pub networks: Vec<String>,
    /// What our elements take it for; `None` where none of them reads it.
    pub family: Option<Family>,
    /// Tensors of the first network.
    pub inputs: Vec<TensorFact>,
    pub outputs: Vec<TensorFact>,
    /// Why nothing else is filled in.
    pub error: Option<Failure>,
}

/// A network that an element reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Family {
    pub element: String,
    /// The element's property that takes such a file.
    pub property: String,
    pub name: String,
}

/// An input or output as the file has it.
#[derive(Debug, Serialize, Deserialize)]
pub struct TensorFact {
    pub name: String,
    pub shape: Vec<usize>,
    /// `u8`, `u16` or `f32`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `nhwc`, `nchw`, `plain`, `nms-by-class` or `nms-by-score`.
    pub layout: String,
    /// Real value = scale * (stored value - zero point).
    pub scale: Option<f32>,
    pub zero_point: Option<f32>,
    /// Boxes after non-maximum suppression: of each class, or in all.
    pub nms_boxes: Option<usize>,
    pub nms_classes: Option<usize>,
    /// All of it in words.
    pub text: String,
}

pub fn read(file: &Path) -> HefFact {
    let mut fact = HefFact {
        file: file.into(),
        networks: Vec::new(),
        family: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        error: None,
    };
    match describe_hef(&ModelSource::File(file.into())) {
        Ok(hef) => {
            fact.family = family(&hef.inputs, &hef.outputs);
            fact.inputs = hef.inputs.iter().map(tensor).collect();
            fact.outputs = hef.outputs.iter().map(tensor).collect();
            fact.networks = hef.groups;
        }
        Err(error) => {
            let exit = match error {
                EngineError::ModelMissing { .. } => Exit::NoInput,
                _ => Exit::Unavailable,
            };
            fact.error = Some(Failure::new(exit, error.to_string()));
        }
    }
    fact
}

fn family(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Option<Family> {
    let of = |element: &str, property: &str, name: &str| Family {
        element: element.into(),
        property: property.into(),
        name: name.into(),
    };
    if let Some(decoder) = pose::Decoder::new(inputs, outputs) {
        return Some(of("hailopose", "hef-path", decoder.family().as_str()));
    }
    let name = face::family(inputs, outputs)?;
    let property = match name {
        "face-landmarks-478" => "landmark-model",
        "blendshapes-52" => "blendshape-model",
        "emotions-7" | "emotions-5" => "emotion-model",
        _ => "hef-path",
    };
    Some(of("hailoface", property, name))
}

fn tensor(info: &TensorInfo) -> TensorFact {
    let (layout, nms_classes, nms_boxes) = match info.layout {
        Layout::Nhwc => ("nhwc", None, None),
        Layout::Nchw => ("nchw", None, None),
        Layout::Plain => ("plain", None, None),
        Layout::NmsByClass { classes, boxes } => ("nms-by-class", Some(classes), Some(boxes)),
        Layout::NmsByScore { boxes } => ("nms-by-score", None, Some(boxes)),
    };
    TensorFact {
        name: info.name.clone(),
        shape: info.shape.clone(),
        kind: info.data_type.as_str().into(),
        layout: layout.into(),
        scale: info.quantisation.map(|q| q.scale),
        zero_point: info.quantisation.map(|q| q.zero_point),
        nms_boxes,
        nms_classes,
        text: info.to_string(),
    }
}
