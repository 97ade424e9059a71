//! Decoding the output of the BlazeFace short-range detector.

use super::Detection;
use crate::anchors::{Grid, grid_centres};
use crate::nms::{Candidate, weighted_nms};
use crate::preprocess::Letterbox;

/// Side of the input square.
pub const INPUT: usize = 128;
/// Number of anchors.
pub const ANCHORS: usize = 896;
/// Values per anchor: centre, size, six keypoints.
pub const VALUES: usize = 16;

/// Two anchors in each cell of stride 8, six in each of stride 16.
const GRIDS: [Grid; 2] = [Grid { side: 16, count: 2 }, Grid { side: 8, count: 6 }];

/// Anchors and work memory.
pub struct Decoder {
    centres: Vec<[f32; 2]>,
    candidates: Vec<Candidate<VALUES>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            centres: grid_centres(&GRIDS),
            candidates: Vec::with_capacity(ANCHORS),
        }
    }
}

impl Decoder {
    /// Faces with a score above `threshold`, best first; overlapping ones (above `iou`) are merged.
    ///
    /// `regressors` holds per anchor, in pixels of the input square: centre (relative to the anchor), width, height, six
    /// keypoints (relative to the anchor). `scores` are logits. Anchors with a value that is not finite or with an empty
    /// box are passed over; what is missing at the end of either slice counts as nothing found.
    pub fn decode(
        &mut self,
        regressors: &[f32],
        scores: &[f32],
        letterbox: &Letterbox,
        threshold: f32,
        iou: f32,
    ) -> Vec<Detection> {
        self.candidates.clear();
        let (rows, _) = regressors.as_chunks::<VALUES>();
        for ((row, &logit), centre) in rows.iter().zip(scores).zip(&self.centres) {
            let score = super::sigmoid(logit);
            // False as well for a score or a threshold that is not a number.
            if score > threshold
                && let Some(values) = frame_values(row, centre, letterbox)
            {
                self.candidates.push(Candidate { score, values });
            }
        }
        weighted_nms(&mut self.candidates, iou).iter().map(detection).collect()
    }
}

/// Corners of the box and keypoints, in pixels of the frame.
fn frame_values(row: &[f32; VALUES], centre: &[f32; 2], letterbox: &Letterbox) -> Option<[f32; VALUES]> {
    let [ax, ay] = centre.map(|c| c * INPUT as f32);
    let [cx, cy, width, height] = [row[0] + ax, row[1] + ay, row[2], row[3]];
    let mut values = [0.0; VALUES];
    let mut set = |index: usize, point: [f32; 2]| {
        values[2 * index..][..2].copy_from_slice(&letterbox.to_frame(point));
    };
    set(0, [cx - width / 2.0, cy - height / 2.0]);
    set(1, [cx + width / 2.0, cy + height / 2.0]);
    for index in 2..VALUES / 2 {
        set(index, [row[2 * index] + ax, row[2 * index + 1] + ay]);
    }
    // Far beyond any frame is as wrong as not a number, and would overflow the mean.
    let usable = values.iter().all(|v| v.abs() < 1e7) && width > 0.0 && height > 0.0;
    usable.then_some(values)
}

fn detection(candidate: &Candidate<VALUES>) -> Detection {
    let v = &candidate.values;
    Detection {
        score: candidate.score,
        bbox: [v[0], v[1], v[2], v[3]],
        keypoints: std::array::from_fn(|i| [v[4 + 2 * i], v[5 + 2 * i]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LETTERBOX: Letterbox = Letterbox {
        scale: 0.5,
        pad: [0.0, 16.0],
    };

    /// No face anywhere, but for one anchor with a 20 x 20 box on its centre.
    fn output(anchor: usize, logit: f32) -> (Vec<f32>, Vec<f32>) {
        let mut regressors = vec![0.0; ANCHORS * VALUES];
        let mut scores = vec![-100.0; ANCHORS];
        regressors[anchor * VALUES + 2] = 20.0;
        regressors[anchor * VALUES + 3] = 20.0;
        scores[anchor] = logit;
        (regressors, scores)
    }

    #[test]
    fn a_box_comes_back_in_frame_pixels() {
        let (regressors, scores) = output(0, 2.0);
        let found = Decoder::default().decode(&regressors, &scores, &LETTERBOX, 0.5, 0.3);
        assert_eq!(found.len(), 1);
        assert!((found[0].score - 0.880_797).abs() < 1e-5);
        // The first anchor is at 4, 4 of the square: ((4 -+ 10) - 0) / 0.5, ((4 -+ 10) - 16) / 0.5.
        assert_eq!(found[0].bbox, [-12.0, -44.0, 28.0, -4.0]);
        assert_eq!(found[0].keypoints[0], [8.0, -24.0]);
    }

    #[test]
    fn a_score_at_the_threshold_is_no_face() {
        let (regressors, scores) = output(5, 0.0);
        assert!(
            Decoder::default()
                .decode(&regressors, &scores, &LETTERBOX, 0.5, 0.3)
                .is_empty()
        );
        assert_eq!(
            Decoder::default()
                .decode(&regressors, &scores, &LETTERBOX, 0.49, 0.3)
                .len(),
            1
        );
    }

    #[test]
    fn nan_and_infinity_are_no_faces() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut regressors, scores) = output(7, 3.0);
            regressors[7 * VALUES + 9] = bad;
            assert!(
                Decoder::default()
                    .decode(&regressors, &scores, &LETTERBOX, 0.5, 0.3)
                    .is_empty()
            );
        }
        let (regressors, scores) = output(7, f32::NAN);
        assert!(
            Decoder::default()
                .decode(&regressors, &scores, &LETTERBOX, 0.5, 0.3)
                .is_empty()
        );
        let (regressors, scores) = output(7, 3.0);
        assert!(
            Decoder::default()
                .decode(&regressors, &scores, &LETTERBOX, f32::NAN, 0.3)
                .is_empty()
        );
    }

    #[test]
    fn an_inside_out_box_is_no_face() {
        let (mut regressors, scores) = output(7, 3.0);
        regressors[7 * VALUES + 2] = -20.0;
        assert!(
            Decoder::default()
                .decode(&regressors, &scores, &LETTERBOX, 0.5, 0.3)
                .is_empty()
        );
    }

    #[test]
    fn short_output_finds_nothing_and_does_not_panic() {
        let (regressors, scores) = output(800, 3.0);
        let mut decoder = Decoder::default();
        assert!(
            decoder
                .decode(&regressors[..799], &scores, &LETTERBOX, 0.5, 0.3)
                .is_empty()
        );
        assert!(
            decoder
                .decode(&regressors, &scores[..800], &LETTERBOX, 0.5, 0.3)
                .is_empty()
        );
        assert!(decoder.decode(&[], &[], &LETTERBOX, 0.5, 0.3).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_the_network_says_detections_are_finite(
            regressors in proptest::collection::vec(proptest::num::f32::ANY, 0..400),
            scores in proptest::collection::vec(proptest::num::f32::ANY, 0..30),
            threshold in proptest::num::f32::ANY, iou in proptest::num::f32::ANY,
        ) {
            for face in Decoder::default().decode(&regressors, &scores, &LETTERBOX, threshold, iou) {
                prop_assert!(face.score > threshold && face.score <= 1.0);
                prop_assert!(face.bbox[2] >= face.bbox[0] && face.bbox[3] >= face.bbox[1]);
            }
        }
    }
}
