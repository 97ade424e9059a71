//! Decoding the output of `lightface_slim` (Linzaer's "Ultra-Light-Fast-Generic-Face-Detector-1MB"), as its HEF gives it: a
//! single-shot detector with four grids, whose eight outputs come before softmax and boxes.

use super::{Detection, sigmoid};
use crate::nms::{Candidate, weighted_nms};
use crate::preprocess::Letterbox;

/// Width and height of the input.
pub const INPUT: (usize, usize) = (320, 240);
/// Columns and rows of the grids; a cell is 8, 16, 32, 64 pixels wide.
pub const GRIDS: [(usize, usize); 4] = [(40, 30), (20, 15), (10, 8), (5, 4)];
/// Sides of the square anchors round each cell's middle, in pixels of the input.
const ANCHORS: [&[f32]; 4] = [
    &[10.0, 16.0, 24.0],
    &[32.0, 48.0],
    &[64.0, 96.0],
    &[128.0, 192.0, 256.0],
];
/// What a box's offsets are multiplied by, as the network was trained.
const CENTRE_VARIANCE: f32 = 0.1;
const SIZE_VARIANCE: f32 = 0.2;
/// Where the eyes, the nose, the mouth and the ears lie in the box of an upright face; this network does not tell.
const UPRIGHT: [[f32; 2]; 6] = [
    [0.3, 0.4],
    [0.7, 0.4],
    [0.5, 0.6],
    [0.5, 0.78],
    [0.05, 0.45],
    [0.95, 0.45],
];

/// The outputs of one grid, rows of cells, channels last.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// For each anchor of a cell the logits of background and face, or their shares, which sum to 1.
    pub scores: &'a [f32],
    /// For each anchor of a cell the offsets of the middle and the logarithms of the sizes.
    pub boxes: &'a [f32],
}

/// Work memory.
#[derive(Default)]
pub struct Decoder {
    candidates: Vec<Candidate<4>>,
}

impl Decoder {
    /// Faces with a score above `threshold`, best first; overlapping ones (above `iou`) are merged. Anchors with a value
    /// that is not finite are passed over; what is missing at the end of a slice counts as nothing found. The keypoints
    /// are those of an upright face of that box.
    pub fn decode(&mut self, heads: &[Head<'_>; 4], letterbox: &Letterbox, threshold: f32, iou: f32) -> Vec<Detection> {
        self.candidates.clear();
        let shares = heads.iter().all(|head| {
            let (pairs, _) = head.scores.as_chunks::<2>();
            // Rounding to 8 bits moves a sum by less than this.
            pairs.iter().all(|[no, yes]| (no + yes - 1.0).abs() < 0.02)
        });
        for ((head, (columns, rows)), anchors) in heads.iter().zip(GRIDS).zip(ANCHORS) {
            let (scores, _) = head.scores.as_chunks::<2>();
            let (boxes, _) = head.boxes.as_chunks::<4>();
            let count = columns * rows * anchors.len();
            for (index, ([no, yes], offsets)) in scores.iter().zip(boxes).take(count).enumerate() {
                let score = if shares { *yes } else { sigmoid(yes - no) };
                // False as well for a score or a threshold that is not a number.
                if score > threshold {
                    let (cell, side) = (index / anchors.len(), anchors[index % anchors.len()]);
                    let middle = [
                        ((cell % columns) as f32 + 0.5) / columns as f32 * INPUT.0 as f32,
                        ((cell / columns) as f32 + 0.5) / rows as f32 * INPUT.1 as f32,
                    ];
                    let values = corners(middle, side, offsets, letterbox);
                    self.candidates.extend(values.map(|values| Candidate { score, values }));
                }
            }
        }
        weighted_nms(&mut self.candidates, iou).iter().map(detection).collect()
    }
}

/// Corners of the box in pixels of the frame.
fn corners([x, y]: [f32; 2], side: f32, [dx, dy, w, h]: &[f32; 4], letterbox: &Letterbox) -> Option<[f32; 4]> {
    let middle = [x + dx * CENTRE_VARIANCE * side, y + dy * CENTRE_VARIANCE * side];
    let half = [w, h].map(|v| side * (v * SIZE_VARIANCE).exp() / 2.0);
    let [x0, y0] = letterbox.to_frame([middle[0] - half[0], middle[1] - half[1]]);
    let [x1, y1] = letterbox.to_frame([middle[0] + half[0], middle[1] + half[1]]);
    // Far beyond any frame is as wrong as not a number, and would overflow the mean.
    let usable = [x0, y0, x1, y1].iter().all(|v| v.abs() < 1e7) && x1 > x0 && y1 > y0;
    usable.then_some([x0, y0, x1, y1])
}

fn detection(candidate: &Candidate<4>) -> Detection {
    let [x0, y0, x1, y1] = candidate.values;
    Detection {
        score: candidate.score,
        bbox: candidate.values,
        keypoints: UPRIGHT.map(|[x, y]| [x0 + x * (x1 - x0), y0 + y * (y1 - y0)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LETTERBOX: Letterbox = Letterbox {
        scale: 0.25,
        pad: [0.0, 30.0],
    };

    /// Scores and boxes of each grid.
    struct Output([[Vec<f32>; 2]; 4]);

    impl Output {
        fn nothing(background: [f32; 2]) -> Self {
            Self(std::array::from_fn(|level| {
                let anchors = GRIDS[level].0 * GRIDS[level].1 * ANCHORS[level].len();
                [background.repeat(anchors), vec![0.0; anchors * 4]]
            }))
        }

        /// Encodes a box of the input at an anchor of the cell that holds its middle.
        fn plant(&mut self, level: usize, anchor: usize, scores: [f32; 2], [x0, y0, x1, y1]: [f32; 4]) {
            let (columns, rows) = GRIDS[level];
            let (w, h) = (320.0 / columns as f32, 240.0 / rows as f32);
            let (x, y) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
            let (column, row) = ((x / w) as usize, (y / h) as usize);
            let at = (row * columns + column) * ANCHORS[level].len() + anchor;
            let side = ANCHORS[level][anchor];
            self.0[level][0][2 * at..][..2].copy_from_slice(&scores);
            let offset = [(x - (column as f32 + 0.5) * w), (y - (row as f32 + 0.5) * h)].map(|d| d / side / 0.1);
            let size = [x1 - x0, y1 - y0].map(|length| (length / side).ln() / 0.2);
            self.0[level][1][4 * at..][..4].copy_from_slice(&[offset[0], offset[1], size[0], size[1]]);
        }

        fn decode(&self, threshold: f32) -> Vec<Detection> {
            let heads = self.0.each_ref().map(|[scores, boxes]| Head { scores, boxes });
            Decoder::default().decode(&heads, &LETTERBOX, threshold, 0.3)
        }
    }

    const BOX: [f32; 4] = [100.0, 80.0, 140.0, 130.0];

    fn near(a: f32, b: f32) -> bool {
        (a - b).abs() < 0.05
    }

    #[test]
    fn a_planted_face_comes_back_in_frame_pixels_from_every_anchor() {
        for (level, anchors) in ANCHORS.iter().enumerate() {
            for anchor in 0..anchors.len() {
                let mut output = Output::nothing([3.0, -3.0]);
                output.plant(level, anchor, [-1.0, 1.0], BOX);
                let found = output.decode(0.5);
                assert_eq!(found.len(), 1, "grid {level}, anchor {anchor}");
                assert!(near(found[0].score, 0.8808), "{:?}", found[0]);
                // (v - pad) / scale
                let expected = [400.0, 200.0, 560.0, 400.0];
                assert!(
                    found[0].bbox.iter().zip(expected).all(|(a, b)| near(*a, b)),
                    "{:?}",
                    found[0]
                );
                let [right, left, ..] = found[0].keypoints;
                assert!(
                    near(right[1], left[1]) && right[0] < left[0],
                    "upright, the right eye on the left"
                );
            }
        }
    }

    #[test]
    fn shares_are_taken_as_they_are() {
        let mut output = Output::nothing([0.99, 0.01]);
        output.plant(1, 0, [0.3, 0.7], BOX);
        assert!(near(output.decode(0.5)[0].score, 0.7));
        assert!(output.decode(0.71).is_empty());
    }

    #[test]
    fn one_face_from_two_grids_is_one() {
        let mut output = Output::nothing([3.0, -3.0]);
        output.plant(1, 1, [-2.0, 2.0], BOX);
        output.plant(2, 0, [-1.0, 1.0], BOX);
        output.plant(2, 1, [-1.0, 1.0], BOX.map(|v| v + 90.0));
        assert_eq!(output.decode(0.5).len(), 2);
        assert!(output.decode(f32::NAN).is_empty());
    }

    #[test]
    fn what_is_not_a_number_is_no_face() {
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY] {
            let mut output = Output::nothing([3.0, -3.0]);
            output.plant(0, 2, [-1.0, 1.0], BOX);
            output.0[0][1].iter_mut().filter(|v| **v != 0.0).for_each(|v| *v = bad);
            assert!(output.decode(0.5).is_empty(), "{bad} in a box");
            let mut output = Output::nothing([3.0, -3.0]);
            output.plant(0, 2, [bad, bad], BOX);
            assert!(output.decode(0.5).is_empty(), "{bad} as scores");
        }
    }

    #[test]
    fn short_slices_are_nothing_found() {
        let head = Head {
            scores: &[-9.0, 9.0, 1.0],
            boxes: &[0.0; 3],
        };
        assert!(Decoder::default().decode(&[head; 4], &LETTERBOX, 0.5, 0.3).is_empty());
    }

    proptest! {
        #[test]
        fn any_values_are_survived(values in prop::collection::vec(prop::num::f32::ANY, 0..400), threshold in prop::num::f32::ANY) {
            let head = Head { scores: &values, boxes: &values };
            for face in Decoder::default().decode(&[head; 4], &LETTERBOX, threshold, 0.3) {
                prop_assert!(face.bbox.iter().all(|v| v.is_finite()));
            }
        }
    }
}
