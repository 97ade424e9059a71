//! The double's HEFs: see `README.md`.

use std::path::{Path, PathBuf};

use hailort_abi::{Format, QuantInfo, Status, VStreamInfo, array, format_order, format_type};
use serde::Deserialize;

use crate::behaviour::Behaviour;

const MAGIC: &[u8] = b"\x01HEF";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hef {
    #[serde(default = "hailo8")]
    pub arch: String,
    pub group: String,
    #[serde(default = "one")]
    pub groups: usize,
    pub network: Network,
    pub inputs: Vec<Stream>,
    pub outputs: Vec<Stream>,
    #[serde(default)]
    behaviour: String,
    /// Where relative paths start.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    Onnx(PathBuf),
    Affine([f32; 2]),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub name: String,
    /// Height, width, channels.
    pub shape: [u32; 3],
    #[serde(default)]
    pub scale: f32,
    #[serde(default)]
    pub zero_point: f32,
    #[serde(default = "eight")]
    pub bits: u32,
    pub from: Option<String>,
    pub nms: Option<Nms>,
    /// `format.order`, to have one that nobody expects.
    #[serde(default)]
    pub order: u32,
    /// Bytes that the frame size is told wrong by.
    #[serde(default)]
    pub size_error: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nms {
    pub order: NmsOrder,
    pub classes: u32,
    /// Most boxes of a class, or of all of them.
    pub boxes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NmsOrder {
    ByClass,
    ByScore,
}

fn hailo8() -> String {
    "HAILO8".to_owned()
}

fn one() -> usize {
    1
}

fn eight() -> u32 {
    8
}

impl Hef {
    pub fn of_file(path: &Path) -> Result<Self, Status> {
        if !path.exists() {
            return Err(Status::OPEN_FILE_FAILURE);
        }
        let bytes = std::fs::read(path).map_err(|_| Status::FILE_OPERATION_FAILURE)?;
        if bytes.is_empty() {
            return Err(Status::FILE_OPERATION_FAILURE);
        }
        Self::parse(&bytes, path.parent().unwrap_or(Path::new("")))
    }

    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, Status> {
        let json = bytes.strip_prefix(MAGIC).ok_or(Status::HEF_NOT_SUPPORTED)?;
        let mut hef: Self = serde_json::from_slice(json).map_err(|_| Status::HEF_FILE_CORRUPTED)?;
        hef.folder = folder.to_owned();
        hef.behaviour().map(|_| hef).ok_or(Status::HEF_FILE_CORRUPTED)
    }

    /// What the environment and this HEF ask for together.
    pub fn behaviour(&self) -> Option<Behaviour> {
        Behaviour::of_environment().with(&self.behaviour)
    }

    pub fn infos(&self) -> impl Iterator<Item = VStreamInfo> {
        let inputs = self.inputs.iter().map(|stream| (stream, hailort_abi::HOST_TO_DEVICE));
        let outputs = self.outputs.iter().map(|stream| (stream, hailort_abi::DEVICE_TO_HOST));
        inputs.chain(outputs).map(|(stream, direction)| VStreamInfo {
            network_name: array(&format!("{0}/{0}", self.group)),
            direction,
            ..stream.info()
        })
    }
}

impl Stream {
    pub fn info(&self) -> VStreamInfo {
        let [height, width, features] = self.shape;
        VStreamInfo {
            name: array(&self.name),
            format: self.format(format_type::AUTO),
            shape: match self.nms {
                None => [height, width, features, 0],
                // The places of the third and fourth differ between 4.20 and 4.21: nobody may read them.
                Some(nms) => [nms.classes, nms.boxes, u32::MAX, u32::MAX],
            },
            quant_info: QuantInfo {
                zero_point: self.zero_point,
                scale: if self.scale == 0.0 { 1.0 } else { self.scale },
                limit_min: 0.0,
                limit_max: 0.0,
            },
            ..VStreamInfo::default()
        }
    }

    /// The format that the host gets when it asks for `kind`.
    pub fn format(&self, kind: u32) -> Format {
        let order = match self.nms.map(|nms| nms.order) {
            _ if self.order != 0 => self.order,
            Some(NmsOrder::ByClass) => format_order::NMS_BY_CLASS,
            Some(NmsOrder::ByScore) => format_order::NMS_BY_SCORE,
            None if self.shape[0] == 1 && self.shape[1] == 1 => format_order::NC,
            None => format_order::NHWC,
        };
        let native = match (self.nms, self.bits) {
            (Some(_), _) => format_type::FLOAT32,
            (None, 16) => format_type::UINT16,
            (None, _) => format_type::UINT8,
        };
        Format {
            kind: if kind == format_type::AUTO { native } else { kind },
            order,
            flags: 0,
        }
    }

    /// Elements of a tensor, or values of the rows that boxes are made of.
    pub fn len(&self) -> usize {
        self.shape.iter().map(|&side| side as usize).product()
    }

    /// Bytes of a frame in the host's format.
    pub fn frame_size(&self, format: Format) -> usize {
        let element = match format.kind {
            format_type::UINT8 => 1,
            format_type::UINT16 => 2,
            _ => 4,
        };
        match self.nms {
            None => self.len() * element,
            Some(Nms {
                order: NmsOrder::ByClass,
                classes,
                boxes,
            }) => classes as usize * (1 + 5 * boxes as usize) * 4,
            Some(Nms { boxes, .. }) => 2 + hailort_abi::DETECTION * boxes as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"group": "g", "network": {"affine": [1, 0]},
        "inputs": [{"name": "g/in", "shape": [2, 2, 3]}], "outputs": [{"name": "g/out", "shape": [1, 1, 5]}]}"#;

    fn parse(json: &str) -> Result<Hef, Status> {
        Hef::parse(&[MAGIC, json.as_bytes()].concat(), Path::new(""))
    }

    #[test]
    fn a_plain_one_is_read() {
        let hef = parse(PLAIN).unwrap();
        let infos: Vec<_> = hef.infos().collect();
        assert_eq!(hailort_abi::text(&infos[0].name), "g/in");
        assert_eq!(
            (infos[0].format.order, infos[1].format.order),
            (format_order::NHWC, format_order::NC)
        );
        assert_eq!(
            hef.outputs[0].frame_size(hef.outputs[0].format(format_type::FLOAT32)),
            20
        );
    }

    #[test]
    fn wrong_ones_have_the_statuses_of_the_real_library() {
        let folder = std::env::temp_dir();
        assert_eq!(
            Hef::of_file(&folder.join("nothing.hef")).unwrap_err(),
            Status::OPEN_FILE_FAILURE
        );
        assert_eq!(Hef::of_file(&folder).unwrap_err(), Status::FILE_OPERATION_FAILURE);
        assert_eq!(Hef::parse(b"junk", &folder).unwrap_err(), Status::HEF_NOT_SUPPORTED);
        assert_eq!(Hef::parse(MAGIC, &folder).unwrap_err(), Status::HEF_FILE_CORRUPTED);
        let unknown = PLAIN.replace("\"group\"", "\"colour\": 1, \"group\"");
        assert_eq!(parse(&unknown).unwrap_err(), Status::HEF_FILE_CORRUPTED);
        let behaviour = PLAIN.replace("\"group\"", "\"behaviour\": \"lose@1\", \"group\"");
        assert_eq!(parse(&behaviour).unwrap_err(), Status::HEF_FILE_CORRUPTED);
    }
}
