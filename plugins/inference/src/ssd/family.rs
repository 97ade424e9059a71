//! Which family a network is of, from the names and shapes of its outputs.
//!
//! A side of a shape that is 0 is known after an inference only, and fits every number until then.

use std::fmt;
use std::str::FromStr;

use super::boxes::Coder;
use super::preprocess::{Picture, Preprocess};
use crate::engine::{DataType, EngineError, TensorInfo};

/// Kinds of SSD networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Family {
    /// Found from the outputs.
    #[default]
    Auto,
    /// NVIDIA's SSD300 v1.1: raw heads, softmax.
    Ssd300,
    /// torchvision's SSD300 (VGG-16) and SSDLite320 (MobileNetV3): raw heads, softmax.
    TorchVision,
    /// TensorFlow Object Detection API, 1917 anchors: raw heads, sigmoid.
    Tf,
    /// Boxes and scores of every anchor, decoded in the graph.
    TfDecoded,
    /// Boxes, scores and classes after suppression in the graph.
    Nms,
}

impl Family {
    const ALL: [Self; 6] = [
        Self::Auto,
        Self::Ssd300,
        Self::TorchVision,
        Self::Tf,
        Self::TfDecoded,
        Self::Nms,
    ];

    /// Name as in properties and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ssd300 => "ssd300",
            Self::TorchVision => "torchvision",
            Self::Tf => "tf",
            Self::TfDecoded => "tf-decoded",
            Self::Nms => "nms",
        }
    }

    /// What its outputs look like, for messages.
    fn outputs(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Ssd300 => "ssd300: ploc [N,4,8732], plabel [N,81,8732]",
            Self::TorchVision => {
                "torchvision: bbox_regression [N,8732,4] or [N,3234,4], cls_logits [N,8732,91] or [N,3234,91]"
            }
            Self::Tf => "tf: box_encodings [N,1917,4] or [N,1,1917,4], class_logits [N,1917,91]",
            Self::TfDecoded => "tf-decoded: boxes [N,n,4], scores [N,n,classes]",
            Self::Nms => {
                "nms: detection_boxes [N,n,4], detection_scores [N,n], detection_classes [N,n], num_detections [N], or \
                 boxes [n,4], labels [n], scores [n]"
            }
        }
    }

    /// What was wanted, for messages.
    fn expected(self) -> String {
        let families = if self == Self::Auto { &Self::ALL[1..] } else { &[self] };
        let outputs: Vec<_> = families.iter().map(|family| family.outputs()).collect();
        format!(
            "one picture [N,3,H,W] or [N,H,W,3] and the outputs of an SSD ({})",
            outputs.join("; ")
        )
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Family {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        Self::ALL
            .into_iter()
            .find(|family| family.as_str() == text)
            .ok_or_else(|| EngineError::Conflict {
                engine: "model-family".to_owned(),
                what: format!("\"{text}\" is not a family of networks"),
                remedy: format!("use {}", Self::ALL.map(Self::as_str).join(", ")),
            })
    }
}

/// An output with one row of values for each anchor, or one plane for each value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Head {
    /// Of the output.
    pub index: usize,
    /// 0 where only the inference tells.
    pub anchors: usize,
    /// Values of an anchor.
    pub width: usize,
    /// Planes: all anchors of the first value come first.
    pub planes: bool,
}

/// From what a network gives for a class to its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// Over all classes.
    Softmax,
    Sigmoid,
    /// They are scores.
    None,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heads {
    pub boxes: Head,
    pub scores: Head,
    /// `None`: boxes are y0, x0, y1, x1 already.
    pub coder: Option<Coder>,
    /// Whether the first class is the background.
    pub background: bool,
    pub activation: Activation,
}

/// Indices of outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lists {
    pub boxes: usize,
    pub scores: usize,
    pub classes: usize,
    pub count: Option<usize>,
    /// Corners are x, y, x, y, not y, x, y, x.
    pub x_first: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    Heads(Box<Heads>),
    Lists(Lists),
}

/// What [`recognise`] found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recognised {
    pub family: Family,
    pub plan: Plan,
    pub picture: Picture,
    pub preprocess: Preprocess,
}

/// The family of a network with these tensors. `labels`: number of classes without the background, where it is known.
pub(super) fn recognise(
    inputs: &[TensorInfo],
    outputs: &[TensorInfo],
    wanted: Family,
    labels: Option<usize>,
    model: &str,
) -> Result<Recognised, EngineError> {
    let found = Picture::of(inputs).and_then(|picture| {
        let search = Search {
            outputs,
            picture: &picture,
            labels,
        };
        let (family, plan, preprocess) = search.find(wanted)?;
        Some(Recognised {
            family,
            plan,
            picture,
            preprocess,
        })
    });
    found.ok_or_else(|| EngineError::ModelShape {
        model: model.to_owned(),
        expected: wanted.expected(),
        found: format!("{} -> {}", TensorInfo::list(inputs), TensorInfo::list(outputs)),
    })
}

/// Names that tell boxes and scores of a family apart from others.
const NAMES: [(Family, [&[&str]; 2]); 4] = [
    (
        Family::TfDecoded,
        [&["boxes", "raw_detection_boxes"], &["scores", "raw_detection_scores"]],
    ),
    (Family::Ssd300, [&["ploc"], &["plabel"]]),
    (Family::TorchVision, [&["bbox_regression"], &["cls_logits"]]),
    (
        Family::Tf,
        [
            &["box_encodings", "raw_box_encodings"],
            &["class_logits", "class_predictions", "class_predictions_with_background"],
        ],
    ),
];

struct Search<'a> {
    outputs: &'a [TensorInfo],
    picture: &'a Picture,
    labels: Option<usize>,
}

impl Search<'_> {
    fn find(&self, wanted: Family) -> Option<(Family, Plan, Preprocess)> {
        let is_wanted = |family: Family| wanted == Family::Auto || wanted == family;
        if is_wanted(Family::Nms)
            && let Some(lists) = self.lists()
        {
            let preprocess = if lists.x_first {
                // The whole network of torchvision, with its own resize and mean.
                Preprocess::stretch([0.0; 3], [1.0; 3])
            } else {
                Preprocess::SIGNED
            };
            return Some((Family::Nms, Plan::Lists(lists), preprocess));
        }
        for (family, [boxes, scores]) in NAMES.into_iter().filter(|(family, _)| is_wanted(*family)) {
            let pair = self.named(boxes).zip(self.named(scores));
            if let Some(found) = pair.and_then(|(boxes, scores)| self.heads(family, boxes, scores)) {
                return Some(found);
            }
        }
        // By shape alone: the pair must be the only one.
        let indices = || 0..self.outputs.len();
        let mut pairs = indices().flat_map(|boxes| indices().map(move |scores| (boxes, scores)));
        let mut fit = Vec::new();
        for (boxes, scores) in pairs.by_ref().filter(|(boxes, scores)| boxes != scores) {
            let family = if wanted == Family::Auto {
                self.by_anchors(boxes)
            } else {
                Some(wanted)
            };
            fit.extend(family.and_then(|family| self.heads(family, boxes, scores)));
        }
        let only = fit.len() == 1;
        fit.pop().filter(|_| only)
    }

    /// Index of the output with one of these names; what stands before the last `/` and after a `:` does not count.
    fn named(&self, names: &[&str]) -> Option<usize> {
        let plain = |info: &TensorInfo| {
            let name = info.name.split(':').next().unwrap_or_default();
            name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
        };
        self.outputs
            .iter()
            .position(|info| names.contains(&plain(info).as_str()))
    }

    fn by_anchors(&self, boxes: usize) -> Option<Family> {
        let head = self.boxes(boxes)?;
        match head.anchors {
            8732 if head.planes => Some(Family::Ssd300),
            8732 | 3234 => Some(Family::TorchVision),
            1917 => Some(Family::Tf),
            _ => None,
        }
    }

    /// The two sides of a head; axes of length 1 besides are passed over.
    fn sides(&self, index: usize) -> Option<[usize; 2]> {
        let info = self.outputs.get(index)?;
        let (batch, sides) = match info.shape[..] {
            [batch, first, second] | [batch, 1, first, second] | [batch, first, 1, second] => (batch, [first, second]),
            _ => return None,
        };
        let fits = info.data_type == DataType::F32 && [0, self.picture.batch].contains(&batch);
        fits.then_some(sides)
    }

    fn boxes(&self, index: usize) -> Option<Head> {
        let (anchors, planes) = match self.sides(index)? {
            [anchors, 4] => (anchors, false),
            [4, anchors] => (anchors, true),
            _ => return None,
        };
        Some(Head {
            index,
            anchors,
            width: 4,
            planes,
        })
    }

    /// The scores of as many anchors as `boxes` has.
    fn scores(&self, index: usize, boxes: &Head) -> Option<Head> {
        let [first, second] = self.sides(index)?;
        let fits = |anchors: usize| anchors == 0 || boxes.anchors == 0 || anchors == boxes.anchors;
        // Where both orders are possible it is that of the boxes.
        let planes = match (fits(first), fits(second)) {
            (true, true) => boxes.planes,
            (false, true) => true,
            (true, false) => false,
            (false, false) => return None,
        };
        let (anchors, width) = if planes { (second, first) } else { (first, second) };
        Some(Head {
            index,
            anchors,
            width,
            planes,
        })
    }

    fn heads(&self, family: Family, boxes: usize, scores: usize) -> Option<(Family, Plan, Preprocess)> {
        let mut boxes = self.boxes(boxes)?;
        let mut scores = self.scores(scores, &boxes)?;
        let anchors = boxes.anchors.max(scores.anchors);
        let (coder, activation, preprocess) = match (family, anchors) {
            (Family::Ssd300, 0 | 8732) => (Some(Coder::ssd300()), Activation::Softmax, Preprocess::SSD300),
            (Family::TorchVision, 0 | 8732) if anchors > 0 || self.picture.width == 300 => {
                (Some(Coder::torchvision_vgg()), Activation::Softmax, Preprocess::VGG)
            }
            (Family::TorchVision, 0 | 3234) => {
                (Some(Coder::torchvision_lite()), Activation::Softmax, Preprocess::SIGNED)
            }
            (Family::Tf, 0 | 1917) => (Some(Coder::tf()), Activation::Sigmoid, Preprocess::SIGNED),
            (Family::TfDecoded, _) => (None, Activation::None, Preprocess::SIGNED),
            _ => return None,
        };
        let anchors = coder.as_ref().map_or(anchors, |coder| coder.boxes.len());
        (boxes.anchors, scores.anchors) = (anchors, anchors);
        // Decoded scores come with or without the background.
        let background = coder.is_some()
            || match self.labels {
                Some(labels) => scores.width == labels + 1,
                None => matches!(scores.width, 81 | 91),
            };
        let plan = Heads {
            boxes,
            scores,
            coder,
            background,
            activation,
        };
        (scores.width > usize::from(background)).then(|| (family, Plan::Heads(Box::new(plan)), preprocess))
    }

    fn lists(&self) -> Option<Lists> {
        let named = Lists {
            boxes: self.named(&["detection_boxes"]).or_else(|| self.named(&["boxes"]))?,
            scores: self.named(&["detection_scores"]).or_else(|| self.named(&["scores"]))?,
            classes: self
                .named(&["detection_classes"])
                .or_else(|| self.named(&["labels", "classes"]))?,
            count: self.named(&["num_detections"]),
            x_first: self.named(&["detection_boxes"]).is_none(),
        };
        let shape = |index: usize| self.outputs[index].shape.as_slice();
        let is = |index: usize, of: &[DataType]| of.contains(&self.outputs[index].data_type);
        let batch = [0, self.picture.batch];
        let fits = match (shape(named.boxes), shape(named.scores), shape(named.classes)) {
            // One picture, without an axis for it.
            ([_, 4], [_], [_]) => self.picture.batch == 1,
            ([n, _, 0 | 4], [_, _], [_, _]) => batch.contains(n),
            ([0, 0, 0], [..], [..]) => true,
            _ => false,
        };
        let typed = is(named.boxes, &[DataType::F32])
            && is(named.scores, &[DataType::F32])
            && is(named.classes, &[DataType::F32, DataType::I32, DataType::I64]);
        (fits && typed).then_some(named)
    }
}
