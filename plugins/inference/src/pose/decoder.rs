//! Which family a network is of, how its input is made, and which decoder reads its outputs.

use super::grid::{Grid, Shape, Values};
use super::yolov8::{BOX_CHANNELS, DECODED_CHANNELS, Head, POINT_CHANNELS, STRIDES};
use super::{KEYPOINTS, Limits, Pose, single, yolov8};
use crate::engine::{DataType, TensorInfo};
use crate::preprocess::{Channels, Sampling, Scaling};

/// Kinds of pose networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    MoveNet,
    VitPose,
    Yolov8,
}

impl Family {
    /// Name as in metadata and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MoveNet => "movenet",
            Self::VitPose => "vit_pose",
            Self::Yolov8 => "yolov8_pose",
        }
    }
}

/// Where an output stands in the network's order, and its shape.
type Output = (usize, Shape);

#[derive(Debug, Clone, PartialEq)]
enum Plan {
    /// Index of the output.
    MoveNet(usize),
    HeatMaps(Output),
    /// Boxes, scores and points of each level; whether scores are logits.
    Heads(Box<[[Output; 3]; 3]>, bool),
    Rows(Output),
}

/// Reads the outputs of one network.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    plan: Plan,
    /// Width and height of the input.
    size: (usize, usize),
}

impl Decoder {
    /// The networks that are understood, for error messages.
    pub const EXPECTED: &'static str = "one picture -> [1,1,17,3] (MoveNet), heat maps [h,w,17] (ViTPose), or boxes [h,w,64], \
                                               scores [h,w,1] and points [h,w,51] of strides 8, 16 and 32, or [1,56,n] (YOLOv8 pose)";

    /// What reads the outputs of a network with these tensors; `None` where nothing here does, or it has others besides.
    pub fn new(inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Option<Self> {
        let [input] = inputs else { return None };
        Self::among(input, outputs).filter(|decoder| decoder.outputs() == outputs.len())
    }

    /// What reads those of the tensors that are the outputs of a network with that input, where others may lie between them: raw heads
    /// before a single tensor, and of several that fit the first. `None` where nothing here does.
    pub fn among(input: &TensorInfo, tensors: &[TensorInfo]) -> Option<Self> {
        let shape = Shape::of(input, 3)?;
        // Frames are sampled into floats channels first, or bytes channels last.
        let fits = match input.data_type {
            DataType::F32 => shape.channels_first,
            DataType::U8 => !shape.channels_first,
            DataType::U16 | DataType::I32 | DataType::I64 => false,
        };
        let size = (shape.width, shape.height);
        if !fits || size.0 == 0 || size.1 == 0 {
            return None;
        }
        let square = size.0 == size.1;
        let single = |(index, tensor): (usize, &TensorInfo)| match tensor {
            only if only.len() == 3 * KEYPOINTS && only.shape.ends_with(&[KEYPOINTS, 3]) => {
                square.then_some(Plan::MoveNet(index))
            }
            only => Shape::of(only, KEYPOINTS)
                .filter(|shape| shape.height > 0 && shape.width > 0)
                .map(|shape| Plan::HeatMaps((index, shape)))
                .or_else(|| rows(only).filter(|_| square).map(|shape| Plan::Rows((index, shape)))),
        };
        let heads = Some(tensors).filter(|_| square).and_then(|all| heads(all, size.0));
        let plan = heads.or_else(|| tensors.iter().enumerate().find_map(single))?;
        Some(Self { plan, size })
    }

    /// Number of outputs that are read.
    fn outputs(&self) -> usize {
        match self.plan {
            Plan::Heads(..) => 9,
            Plan::MoveNet(_) | Plan::HeatMaps(_) | Plan::Rows(_) => 1,
        }
    }

    pub fn family(&self) -> Family {
        match self.plan {
            Plan::MoveNet(_) => Family::MoveNet,
            Plan::HeatMaps(_) => Family::VitPose,
            Plan::Heads(..) | Plan::Rows(_) => Family::Yolov8,
        }
    }

    /// Width and height of the input.
    pub fn input_size(&self) -> (usize, usize) {
        self.size
    }

    /// Which position of a frame of `size` pixels each pixel of the input shows.
    pub fn sampling(&self, size: (u32, u32)) -> Sampling {
        match self.family() {
            Family::VitPose => Sampling::stretch(size, self.size),
            Family::MoveNet | Family::Yolov8 => Sampling::letterbox(size, self.size.0).0,
        }
    }

    /// Order of the input's colours.
    pub fn channels(&self) -> Channels {
        match self.family() {
            // As a camera's frames come out of OpenCV, which this network was deployed behind.
            Family::VitPose => Channels::Bgr,
            Family::MoveNet | Family::Yolov8 => Channels::Rgb,
        }
    }

    /// Range of an input of floats.
    pub fn scaling(&self) -> Scaling {
        match self.family() {
            Family::MoveNet => Scaling::SIGNED_UNIT,
            Family::VitPose | Family::Yolov8 => Scaling::UNIT,
        }
    }

    /// People in a frame of `size` pixels, best first. `outputs` are in the network's order; a missing one reads as nothing
    /// found.
    pub fn decode(&self, outputs: &[Values<'_>], size: (u32, u32), limits: &Limits) -> Vec<Pose> {
        let values = |index: usize| outputs.get(index).copied().unwrap_or_else(|| Values::from(&[][..]));
        let grid = |(index, shape): Output| Grid {
            values: values(index),
            shape,
        };
        let letterbox = || Sampling::letterbox(size, self.size.0).1;
        let one = |keypoints| {
            let person = single::person(keypoints, limits);
            person.into_iter().take(limits.people).collect()
        };
        match &self.plan {
            Plan::MoveNet(index) => one(single::movenet(&values(*index), self.size.0, &letterbox())),
            Plan::HeatMaps((index, shape)) => {
                // Bytes are read as parts of 255 even where the network states another scale: the thresholds of the posture rules
                // were set on such numbers.
                let values = values(*index).bytes_as_unit();
                one(single::heat_maps(&Grid { values, shape: *shape }, size))
            }
            Plan::Heads(levels, logits) => {
                let heads: [Head<'_>; 3] = std::array::from_fn(|level| {
                    let [boxes, scores, points] = levels[level].map(grid);
                    Head {
                        boxes,
                        scores,
                        points,
                        stride: STRIDES[level],
                    }
                });
                yolov8::decode_heads(&heads, *logits, &letterbox(), limits)
            }
            Plan::Rows(output) => yolov8::decode_rows(&grid(*output), &letterbox(), limits),
        }
    }
}

/// `[1,56,n]` as one row of cells, channels first.
fn rows(info: &TensorInfo) -> Option<Shape> {
    match info.shape[..] {
        [1, DECODED_CHANNELS, width] if width > 0 => Some(Shape {
            height: 1,
            width,
            channels: DECODED_CHANNELS,
            channels_first: true,
        }),
        _ => None,
    }
}

/// The nine raw outputs, in whatever order they come and whatever lies between them.
fn heads(outputs: &[TensorInfo], side: usize) -> Option<Plan> {
    if !side.is_multiple_of(STRIDES[2]) {
        return None;
    }
    let mut levels = [[None; 3]; 3];
    for (level, stride) in levels.iter_mut().zip(STRIDES) {
        for (slot, channels) in level.iter_mut().zip([BOX_CHANNELS, 1, POINT_CHANNELS]) {
            *slot = outputs.iter().enumerate().find_map(|(index, info)| {
                let shape = Shape::of(info, channels)?;
                (shape.height == side / stride && shape.width == side / stride).then_some((index, shape))
            });
        }
    }
    let [Some(a), Some(b), Some(c)] = levels.map(|level| {
        let [Some(boxes), Some(scores), Some(points)] = level else {
            return None;
        };
        Some([boxes, scores, points])
    }) else {
        return None;
    };
    // The vendor's HEFs, channels last, have the sigmoid of the scores on the chip; an ONNX network that was cut before the
    // decoding has not.
    let logits = a[0].1.channels_first;
    Some(Plan::Heads(Box::new([a, b, c]), logits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Layout;

    fn info(shape: &[usize], data_type: DataType) -> TensorInfo {
        let layout = if data_type == DataType::F32 {
            Layout::Nchw
        } else {
            Layout::Nhwc
        };
        TensorInfo {
            name: "tensor".to_owned(),
            shape: shape.to_vec(),
            data_type,
            layout,
            quantisation: None,
        }
    }

    fn onnx(input: &[usize], outputs: &[&[usize]]) -> Option<Decoder> {
        let outputs: Vec<_> = outputs.iter().map(|s| info(s, DataType::F32)).collect();
        Decoder::new(&[info(input, DataType::F32)], &outputs)
    }

    fn hef(input: &[usize], outputs: &[&[usize]]) -> Option<Decoder> {
        let outputs: Vec<_> = outputs.iter().map(|s| info(s, DataType::U8)).collect();
        Decoder::new(&[info(input, DataType::U8)], &outputs)
    }

    const HEADS: [[usize; 3]; 9] = [
        [20, 20, 51],
        [80, 80, 64],
        [80, 80, 1],
        [80, 80, 51],
        [40, 40, 64],
        [40, 40, 1],
        [40, 40, 51],
        [20, 20, 64],
        [20, 20, 1],
    ];

    #[test]
    fn families_are_told_apart_by_their_shapes() {
        let movenet = onnx(&[1, 3, 192, 192], &[&[1, 1, 17, 3]]).unwrap();
        assert_eq!((movenet.family(), movenet.input_size()), (Family::MoveNet, (192, 192)));
        for heat in [
            hef(&[256, 192, 3], &[&[64, 48, 17]]),
            hef(&[1, 256, 192, 3], &[&[1, 64, 48, 17]]),
            onnx(&[1, 3, 256, 192], &[&[1, 17, 64, 48]]),
        ] {
            let heat = heat.unwrap();
            assert_eq!((heat.family(), heat.input_size()), (Family::VitPose, (192, 256)));
            assert_eq!(heat.channels(), Channels::Bgr);
        }
        let decoded = onnx(&[1, 3, 640, 640], &[&[1, 56, 8400]]).unwrap();
        assert_eq!(decoded.family(), Family::Yolov8);
        let outputs = HEADS.each_ref().map(|s| &s[..]);
        let heads = hef(&[640, 640, 3], &outputs).unwrap();
        assert_eq!((heads.family(), heads.input_size()), (Family::Yolov8, (640, 640)));
    }

    #[test]
    fn the_nine_heads_are_sorted_by_level_and_part() {
        let outputs = HEADS.each_ref().map(|s| &s[..]);
        let Plan::Heads(levels, logits) = hef(&[640, 640, 3], &outputs).unwrap().plan else {
            panic!("heads");
        };
        assert!(!logits);
        assert_eq!(
            levels.map(|level| level.map(|(index, _)| index)),
            [[1, 2, 3], [4, 5, 6], [7, 8, 0]]
        );
        let first = HEADS.map(|[h, w, c]| [1, c, h, w]);
        let outputs = first.each_ref().map(|s| &s[..]);
        let Plan::Heads(_, logits) = onnx(&[1, 3, 640, 640], &outputs).unwrap().plan else {
            panic!("heads");
        };
        assert!(logits, "cut before the decoding");
    }

    #[test]
    fn other_networks_are_refused() {
        let picture = [1, 3, 640, 640];
        for (input, outputs) in [
            (&picture[..], &[&[1, 84, 8400][..]][..]),
            (&picture, &[&[1, 56, 0]]),
            (&picture, &[]),
            (&picture, &[&[1, 56, 8400], &[1, 56, 8400]]),
            (&[1, 3, 192, 256], &[&[1, 1, 17, 3]]),
            (&[1, 1, 192, 192], &[&[1, 1, 17, 3]]),
            (&[1, 3, 0, 0], &[&[1, 1, 17, 3]]),
            (&[1, 3, 256, 192], &[&[1, 17, 0, 48]]),
            (&[1, 192, 192, 3], &[&[1, 1, 17, 3]]),
            (&[146, 2], &[&[52]]),
        ] {
            assert_eq!(onnx(input, outputs), None, "{input:?} {outputs:?}");
        }
        let mut wrong = HEADS;
        wrong[4] = [40, 40, 63];
        let outputs = wrong.each_ref().map(|s| &s[..]);
        assert_eq!(hef(&[640, 640, 3], &outputs), None, "one head of another shape");
        assert_eq!(hef(&[640, 640, 3], &outputs[..8]), None);
        let outputs = HEADS.each_ref().map(|s| &s[..]);
        assert_eq!(hef(&[320, 320, 3], &outputs), None, "heads of another input");
        assert_eq!(
            Decoder::new(
                &[info(&[640, 640, 3], DataType::U16)],
                &[info(&[1, 56, 8400], DataType::F32)]
            ),
            None
        );
    }

    #[test]
    fn outputs_are_picked_among_those_of_other_networks() {
        let input = info(&[640, 640, 3], DataType::U8);
        let tensors = |shapes: &[[usize; 3]]| shapes.iter().map(|s| info(s, DataType::U8)).collect::<Vec<_>>();
        // Those of a face detector in front, one of a classifier behind.
        let mut all = vec![[80, 80, 2], [80, 80, 8], [80, 80, 20], [40, 40, 2]];
        all.extend(HEADS);
        all.push([1, 1, 7]);
        let all = tensors(&all);
        let Plan::Heads(levels, _) = Decoder::among(&input, &all).unwrap().plan else {
            panic!("heads");
        };
        assert_eq!(
            levels.map(|level| level.map(|(index, _)| index)),
            [[5, 6, 7], [8, 9, 10], [11, 12, 4]]
        );
        assert_eq!(
            Decoder::new(std::slice::from_ref(&input), &all),
            None,
            "a network has no others"
        );
        let decoder = Decoder::among(&input, &tensors(&[[20, 20, 51], [1, 17, 3], [1, 17, 3]])).unwrap();
        assert_eq!(decoder.plan, Plan::MoveNet(1), "the first that fits");
        for others in [&[][..], &HEADS[1..], &[[80, 80, 2]]] {
            assert_eq!(Decoder::among(&input, &tensors(others)), None, "{others:?}");
        }
    }

    #[test]
    fn missing_outputs_are_nobody() {
        let limits = Limits {
            score: 0.0,
            iou: 0.7,
            keypoint: 0.0,
            people: 3,
        };
        let outputs = HEADS.each_ref().map(|s| &s[..]);
        for decoder in [
            onnx(&[1, 3, 192, 192], &[&[1, 1, 17, 3]]),
            hef(&[256, 192, 3], &[&[64, 48, 17]]),
            onnx(&[1, 3, 640, 640], &[&[1, 56, 8400]]),
            hef(&[640, 640, 3], &outputs),
        ] {
            assert!(decoder.unwrap().decode(&[], (1280, 720), &limits).is_empty());
        }
    }
}
