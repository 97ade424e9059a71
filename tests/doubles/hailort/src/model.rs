//! The arithmetic of a network: real values in, real values out.

use hailort_abi::{DETECTION, Format, Status, format_type};
use nunchi_inference::engine::{self, EngineKind, EngineOptions, Layout, ModelSource};

use crate::hef::{Hef, Network, Nms, NmsOrder, Stream};

pub enum Model {
    Affine([f32; 2]),
    /// With the output that each stream shows.
    Onnx(Box<dyn engine::Network>, Vec<usize>),
}

impl Model {
    pub fn load(hef: &Hef) -> Result<Self, Status> {
        let path = match &hef.network {
            Network::Affine(factors) => return Ok(Self::Affine(*factors)),
            Network::Onnx(path) => hef.folder.join(path),
        };
        let options = EngineOptions {
            kind: EngineKind::Embedded,
            ..EngineOptions::default()
        };
        let network = engine::load(&ModelSource::File(path), &options).map_err(|_| Status::HEF_FILE_CORRUPTED)?;
        let index = |(position, stream): (usize, &Stream)| match &stream.from {
            None => Some(position),
            Some(name) => network.outputs().iter().position(|info| info.name == *name),
        };
        let outputs: Option<Vec<usize>> = hef.outputs.iter().enumerate().map(index).collect();
        let outputs = outputs.ok_or(Status::HEF_FILE_CORRUPTED)?;
        let fits = |position: usize| {
            let output = &hef.outputs[position];
            network.outputs().get(outputs[position]).map(|info| info.len()) == Some(output.len())
        };
        let inputs_fit = network
            .inputs()
            .iter()
            .map(engine::TensorInfo::len)
            .eq(hef.inputs.iter().map(Stream::len));
        if inputs_fit && (0..outputs.len()).all(fits) {
            Ok(Self::Onnx(network, outputs))
        } else {
            Err(Status::HEF_FILE_CORRUPTED)
        }
    }

    pub fn run(&mut self, hef: &Hef, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Status> {
        match self {
            Self::Affine([a, b]) => {
                let affine = |stream: &Stream| {
                    let values = inputs.iter().flatten().cycle().take(stream.len());
                    values.map(|x| *a * x + *b).collect()
                };
                Ok(hef.outputs.iter().map(affine).collect())
            }
            Self::Onnx(network, outputs) => onnx(&mut **network, outputs, inputs).ok_or(Status::INTERNAL_FAILURE),
        }
    }
}

fn onnx(network: &mut dyn engine::Network, outputs: &[usize], inputs: &[Vec<f32>]) -> Option<Vec<Vec<f32>>> {
    for (index, values) in inputs.iter().enumerate() {
        let planes = planes(&network.inputs()[index]);
        let tensor = network.input(0, index).ok()?.f32().ok()?;
        match planes {
            // NHWC to NCHW.
            Some((channels, pixels)) => {
                for (at, value) in values.iter().enumerate() {
                    tensor[at % channels * pixels + at / channels] = *value;
                }
            }
            None => tensor.copy_from_slice(values),
        }
    }
    network.infer(0).ok()?;
    let output = |&index: &usize| {
        let tensor = network.output(0, index).ok()?.f32().ok()?;
        Some(match planes(&network.outputs()[index]) {
            Some((channels, pixels)) => (0..tensor.len())
                .map(|at| tensor[at % channels * pixels + at / channels])
                .collect(),
            None => tensor.to_vec(),
        })
    };
    outputs.iter().map(output).collect()
}

/// Channels, and pixels of each, when the tensor is a picture.
fn planes(info: &engine::TensorInfo) -> Option<(usize, usize)> {
    match (info.layout, info.shape.as_slice()) {
        (Layout::Nchw, &[1, channels, height, width]) => Some((channels, height * width)),
        _ => None,
    }
}

/// Real values of a frame that the host wrote.
pub fn read(stream: &Stream, format: Format, bytes: &[u8]) -> Vec<f32> {
    let scale = if stream.scale == 0.0 { 1.0 } else { stream.scale };
    let real = |stored: f32| scale * (stored - stream.zero_point);
    match format.kind {
        format_type::UINT8 => bytes.iter().map(|&b| real(b.into())).collect(),
        format_type::UINT16 => pairs(bytes).map(|pair| real(u16::from_ne_bytes(pair).into())).collect(),
        // HailoRT rounds to the stored type.
        _ => {
            let floats = bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_ne_bytes(four));
            floats.map(|x| real(store(stream, x))).collect()
        }
    }
}

/// A frame as the host reads it.
pub fn write(stream: &Stream, format: Format, values: &[f32]) -> Vec<u8> {
    if let Some(nms) = stream.nms {
        return boxes(nms, values);
    }
    match format.kind {
        format_type::UINT8 => values.iter().map(|&x| store(stream, x) as u8).collect(),
        format_type::UINT16 => values
            .iter()
            .flat_map(|&x| (store(stream, x) as u16).to_ne_bytes())
            .collect(),
        _ if stream.scale == 0.0 => values.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        _ => {
            let real = |&x: &f32| stream.scale * (store(stream, x) - stream.zero_point);
            values.iter().flat_map(|x| real(x).to_ne_bytes()).collect()
        }
    }
}

/// The stored value, a whole number.
fn store(stream: &Stream, real: f32) -> f32 {
    let scale = if stream.scale == 0.0 { 1.0 } else { stream.scale };
    let most = if stream.bits == 16 { 65_535.0 } else { 255.0 };
    (real / scale + stream.zero_point).round().clamp(0.0, most)
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.as_chunks::<2>().0.iter().copied()
}

/// Rows of class, score, y0, x0, y1, x1 in HailoRT's two orders.
fn boxes(nms: Nms, values: &[f32]) -> Vec<u8> {
    let mut rows: Vec<&[f32; 6]> = values
        .as_chunks::<6>()
        .0
        .iter()
        .take_while(|row| row[1] > 0.0)
        .collect();
    let float = |bytes: &mut Vec<u8>, values: &[f32]| bytes.extend(values.iter().flat_map(|v| v.to_ne_bytes()));
    let mut bytes = Vec::new();
    match nms.order {
        NmsOrder::ByClass => {
            for class in 0..nms.classes {
                let of_class: Vec<_> = rows.iter().filter(|row| row[0] as u32 == class).collect();
                let of_class = &of_class[..of_class.len().min(nms.boxes as usize)];
                float(&mut bytes, &[of_class.len() as f32]);
                of_class
                    .iter()
                    .for_each(|row| float(&mut bytes, &[row[2], row[3], row[4], row[5], row[1]]));
            }
        }
        NmsOrder::ByScore => {
            rows.sort_by(|a, b| b[1].total_cmp(&a[1]));
            rows.truncate(nms.boxes as usize);
            bytes.extend((rows.len() as u16).to_ne_bytes());
            for row in rows {
                float(&mut bytes, &[row[2], row[3], row[4], row[5], row[1]]);
                bytes.extend((row[0] as u16).to_ne_bytes());
            }
            debug_assert!((bytes.len() - 2).is_multiple_of(DETECTION));
        }
    }
    bytes
}
