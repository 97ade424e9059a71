//! Decoding the output of the SCRFD detectors (Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face
//! Detection"), as HEFs of `scrfd_500m` and `scrfd_2.5g` give it.

use super::Detection;
use crate::nms::{Candidate, weighted_nms};
use crate::preprocess::Letterbox;

/// Side of the input square.
pub const INPUT: usize = 640;
/// Pixels of the input between two cells of the three grids.
pub const STRIDES: [usize; 3] = [8, 16, 32];
/// Anchors in each cell, all at its corner.
const ANCHORS: usize = 2;
/// Eyes, nose, corners of the mouth.
const KEYPOINTS: usize = 5;
/// What logits of the background stay below, and scores never come near.
const BACKGROUND: f32 = -0.5;
/// Box and keypoints.
const VALUES: usize = 4 + 2 * KEYPOINTS;

/// The outputs of one stride, each of [INPUT / stride, INPUT / stride, channels], channels last.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// 2 channels: scores, or logits.
    pub scores: &'a [f32],
    /// 8 channels: distances from the anchor to left, top, right, bottom, in strides.
    pub boxes: &'a [f32],
    /// 20 channels: x, y from the anchor, in strides.
    pub keypoints: &'a [f32],
}

/// Work memory.
#[derive(Default)]
pub struct Decoder {
    candidates: Vec<Candidate<VALUES>>,
}

impl Decoder {
    /// Faces with a score above `threshold`, best first; overlapping ones (above `iou`) are merged. Anchors with a value
    /// that is not finite or with an empty box are passed over; what is missing at the end of a slice counts as nothing
    /// found. The detector has no ears: those of a [`Detection`] are its eyes.
    ///
    /// Some HEFs end before the sigmoid and some after it. Nearly all anchors of a picture show no face: their logits lie far
    /// below 0, their scores at 0, or a step of the quantisation beside it. That tells which they are.
    pub fn decode(&mut self, heads: &[Head<'_>; 3], letterbox: &Letterbox, threshold: f32, iou: f32) -> Vec<Detection> {
        self.candidates.clear();
        let (below, count) = heads.iter().fold((0, 0), |(below, count), head| {
            let negative = head.scores.iter().filter(|&&score| score < BACKGROUND).count();
            (below + negative, count + head.scores.len())
        });
        let logits = 2 * below > count;
        for (head, stride) in heads.iter().zip(STRIDES) {
            let side = INPUT / stride;
            let (boxes, _) = head.boxes.as_chunks::<4>();
            let (keypoints, _) = head.keypoints.as_chunks::<{ 2 * KEYPOINTS }>();
            let anchors = head.scores.iter().zip(boxes).zip(keypoints).take(side * side * ANCHORS);
            for (index, ((&score, distances), keypoints)) in anchors.enumerate() {
                let score = if logits { super::sigmoid(score) } else { score };
                // False as well for a score or a threshold that is not a number.
                if score > threshold {
                    let cell = index / ANCHORS;
                    let anchor = [(cell % side) as f32, (cell / side) as f32];
                    self.candidates.extend(
                        frame_values(anchor, stride as f32, distances, keypoints, letterbox)
                            .map(|values| Candidate { score, values }),
                    );
                }
            }
        }
        weighted_nms(&mut self.candidates, iou).iter().map(detection).collect()
    }
}

/// Corners of the box and keypoints, in pixels of the frame; `anchor` in strides.
fn frame_values(
    [ax, ay]: [f32; 2],
    stride: f32,
    [left, top, right, bottom]: &[f32; 4],
    keypoints: &[f32; 2 * KEYPOINTS],
    letterbox: &Letterbox,
) -> Option<[f32; VALUES]> {
    let mut values = [0.0; VALUES];
    let corners = [[ax - left, ay - top], [ax + right, ay + bottom]];
    let (offsets, _) = keypoints.as_chunks::<2>();
    let points = corners
        .into_iter()
        .chain(offsets.iter().map(|[dx, dy]| [ax + dx, ay + dy]));
    for (value, point) in values.as_chunks_mut::<2>().0.iter_mut().zip(points) {
        *value = letterbox.to_frame(point.map(|v| v * stride));
    }
    // Far beyond any frame is as wrong as not a number, and would overflow the mean.
    let usable = values.iter().all(|v| v.abs() < 1e7) && left + right > 0.0 && top + bottom > 0.0;
    usable.then_some(values)
}

fn detection(candidate: &Candidate<VALUES>) -> Detection {
    let v = &candidate.values;
    let point = |index: usize| [v[4 + 2 * index], v[5 + 2 * index]];
    // The network's first eye is the one at the left of the picture: the person's right one.
    let [right_eye, left_eye, nose] = [point(0), point(1), point(2)];
    let mouth = [(v[10] + v[12]) / 2.0, (v[11] + v[13]) / 2.0];
    Detection {
        score: candidate.score,
        bbox: [v[0], v[1], v[2], v[3]],
        keypoints: [right_eye, left_eye, nose, mouth, right_eye, left_eye],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LETTERBOX: Letterbox = Letterbox {
        scale: 0.5,
        pad: [0.0, 140.0],
    };

    /// The three outputs of each stride: scores, boxes, keypoints.
    struct Output([[Vec<f32>; 3]; 3]);

    impl Output {
        fn nothing(background: f32) -> Self {
            Self(STRIDES.map(|stride| {
                let cells = (INPUT / stride).pow(2);
                [vec![background; cells * 2], vec![0.0; cells * 8], vec![0.0; cells * 20]]
            }))
        }

        /// Encodes a face, x0 y0 x1 y1 and five keypoints in pixels of the input, at the anchor nearest to its middle.
        fn plant(&mut self, level: usize, second: bool, score: f32, bbox: [f32; 4], points: [[f32; 2]; 5]) {
            let stride = STRIDES[level];
            let side = INPUT / stride;
            let s = stride as f32;
            let cell = |a: f32, b: f32| ((a + b) / 2.0 / s) as usize;
            let (x, y) = (cell(bbox[0], bbox[2]), cell(bbox[1], bbox[3]));
            let at = (y * side + x) * 2 + usize::from(second);
            let (ax, ay) = (x as f32 * s, y as f32 * s);
            let [scores, boxes, keypoints] = &mut self.0[level];
            scores[at] = score;
            let distances = [ax - bbox[0], ay - bbox[1], bbox[2] - ax, bbox[3] - ay].map(|d| d / s);
            boxes[4 * at..][..4].copy_from_slice(&distances);
            for (i, [px, py]) in points.into_iter().enumerate() {
                keypoints[10 * at + 2 * i..][..2].copy_from_slice(&[(px - ax) / s, (py - ay) / s]);
            }
        }

        fn heads(&self) -> [Head<'_>; 3] {
            self.0.each_ref().map(|[scores, boxes, keypoints]| Head {
                scores,
                boxes,
                keypoints,
            })
        }

        fn decode(&self, threshold: f32) -> Vec<Detection> {
            Decoder::default().decode(&self.heads(), &LETTERBOX, threshold, 0.4)
        }
    }

    const BOX: [f32; 4] = [100.0, 200.0, 180.0, 300.0];
    const POINTS: [[f32; 2]; 5] = [
        [120.0, 230.0],
        [160.0, 232.0],
        [140.0, 250.0],
        [125.0, 275.0],
        [155.0, 277.0],
    ];

    fn near(a: f32, b: f32) -> bool {
        (a - b).abs() < 0.01
    }

    #[test]
    fn a_planted_face_comes_back_in_frame_pixels_on_every_stride() {
        for level in 0..3 {
            for second in [false, true] {
                let mut output = Output::nothing(0.0);
                output.plant(level, second, 0.9, BOX, POINTS);
                let found = output.decode(0.5);
                assert_eq!(found.len(), 1);
                assert!(near(found[0].score, 0.9));
                // (v - pad) / scale
                let expected = [200.0, 120.0, 360.0, 320.0];
                assert!(
                    found[0].bbox.iter().zip(expected).all(|(a, b)| near(*a, b)),
                    "{:?}",
                    found[0]
                );
                assert!(near(found[0].keypoints[0][0], 240.0) && near(found[0].keypoints[0][1], 180.0));
                assert!(near(found[0].keypoints[1][0], 320.0), "the person's left eye");
                assert!(
                    near(found[0].keypoints[3][0], 280.0) && near(found[0].keypoints[3][1], 272.0),
                    "mouth"
                );
            }
        }
    }

    #[test]
    fn logits_are_known_by_their_background() {
        let mut output = Output::nothing(-6.0);
        output.plant(1, false, 2.0, BOX, POINTS);
        assert!(near(output.decode(0.5)[0].score, 0.8808));
        assert!(output.decode(0.89).is_empty());
    }

    #[test]
    fn scores_beside_zero_are_no_logits() {
        // Bytes of a scale of 1/255 round a background of 0 to one step below when the zero point is 1.
        for background in [-1.0 / 255.0, 0.0, 1.0 / 255.0] {
            let mut output = Output::nothing(background);
            output.plant(1, false, 0.9, BOX, POINTS);
            output.0[0][0][7] = -0.02;
            let found = output.decode(0.5);
            assert_eq!(found.len(), 1, "{background}");
            assert!(near(found[0].score, 0.9));
        }
    }

    #[test]
    fn the_same_face_on_two_strides_is_one_and_the_threshold_counts() {
        let mut output = Output::nothing(0.0);
        output.plant(0, false, 0.9, BOX, POINTS);
        output.plant(1, true, 0.6, BOX, POINTS);
        output.plant(1, false, 0.7, BOX.map(|v| v + 300.0), POINTS);
        assert_eq!(output.decode(0.5).len(), 2);
        assert_eq!(output.decode(0.7).len(), 1, "at the threshold is no face");
        assert!(output.decode(f32::NAN).is_empty());
    }

    #[test]
    fn what_is_not_a_number_or_empty_is_no_face() {
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY] {
            let mut output = Output::nothing(0.0);
            output.plant(0, false, 0.9, BOX, POINTS);
            output.0[0][1].iter_mut().filter(|v| **v != 0.0).for_each(|v| *v = bad);
            assert!(output.decode(0.5).is_empty());
            let mut output = Output::nothing(0.0);
            output.plant(0, false, bad, BOX, POINTS);
            let found = output.decode(0.5);
            assert!(found.iter().all(|d| d.score.is_finite()), "{found:?}");
        }
        let mut output = Output::nothing(0.0);
        output.plant(0, false, 0.9, [50.0, 50.0, 50.0, 90.0], POINTS);
        assert!(output.decode(0.5).is_empty());
    }

    #[test]
    fn short_slices_are_nothing_found() {
        let empty = Head {
            scores: &[0.9],
            boxes: &[1.0, 1.0, 1.0],
            keypoints: &[],
        };
        assert!(Decoder::default().decode(&[empty; 3], &LETTERBOX, 0.5, 0.4).is_empty());
    }

    proptest! {
        #[test]
        fn any_values_are_survived(values in prop::collection::vec(prop::num::f32::ANY, 0..400), threshold in prop::num::f32::ANY) {
            let head = Head { scores: &values, boxes: &values, keypoints: &values };
            for face in Decoder::default().decode(&[head; 3], &LETTERBOX, threshold, 0.4) {
                prop_assert!(face.bbox.iter().all(|v| v.is_finite()));
            }
        }
    }
}
