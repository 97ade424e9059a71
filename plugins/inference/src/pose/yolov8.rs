//! YOLOv8-pose: several people, each with a box and 17 points.

use super::grid::Grid;
use super::{KEYPOINTS, Keypoint, Limits, Pose, sigmoid};
use crate::nms::{Candidate, nms};
use crate::preprocess::Letterbox;

/// Pixels of the input per cell of the three levels.
pub const STRIDES: [usize; 3] = [8, 16, 32];
/// Bins of the distribution of each side of a box.
const BINS: usize = 16;
/// Channels of a raw box: left, top, right, bottom.
pub const BOX_CHANNELS: usize = 4 * BINS;
/// Channels of the points: x, y, confidence of each.
pub const POINT_CHANNELS: usize = 3 * KEYPOINTS;
/// Channels of the decoded output: centre, size, score, points.
pub const DECODED_CHANNELS: usize = 5 + POINT_CHANNELS;
/// Box and points of a candidate.
const VALUES: usize = 4 + POINT_CHANNELS;

/// The raw output of one level.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// [`BOX_CHANNELS`]: logits of the distances from a cell's centre to the four sides, in cells.
    pub boxes: Grid<'a>,
    /// One channel: how sure the network is that a person's box belongs to the cell.
    pub scores: Grid<'a>,
    /// [`POINT_CHANNELS`]: position relative to the cell in half cells, confidence as a logit.
    pub points: Grid<'a>,
    /// Pixels of the input per cell.
    pub stride: usize,
}

/// People in the raw output of the levels, best first. `logits` says that scores have not been through the sigmoid yet.
///
/// A side of the box is the mean of its distribution over 16 distances (Li et al. 2020, "Generalized Focal Loss", equation 6); a
/// point is at (2 p + cell) x stride. Cells with a value that is not a number or with an empty box are passed over.
pub fn decode_heads(heads: &[Head<'_>], logits: bool, letterbox: &Letterbox, limits: &Limits) -> Vec<Pose> {
    let mut found = Vec::new();
    for head in heads {
        let shape = head.scores.shape;
        for y in 0..shape.height {
            for x in 0..shape.width {
                let raw = head.scores.at(y, x, 0);
                let score = if logits { sigmoid(raw) } else { raw };
                // False as well for what is not a number.
                if score >= limits.score {
                    found.extend(cell(head, x, y, letterbox).map(|values| Candidate { score, values }));
                }
            }
        }
    }
    select(found, limits)
}

/// People in the decoded output that exports to ONNX have: one row of cells with [`DECODED_CHANNELS`], in pixels of the input,
/// scores and confidences in 0..=1. Best first.
pub fn decode_rows(rows: &Grid<'_>, letterbox: &Letterbox, limits: &Limits) -> Vec<Pose> {
    let mut found = Vec::new();
    for index in 0..rows.shape.width {
        let at = |channel| rows.at(0, index, channel);
        let score = at(4);
        if score >= limits.score {
            let [cx, cy, half_width, half_height] = [at(0), at(1), at(2) / 2.0, at(3) / 2.0];
            let corners = [cx - half_width, cy - half_height, cx + half_width, cy + half_height];
            let values = in_frame(corners, letterbox, |i| [at(5 + 3 * i), at(6 + 3 * i), at(7 + 3 * i)]);
            found.extend(values.map(|values| Candidate { score, values }));
        }
    }
    select(found, limits)
}

fn cell(head: &Head<'_>, x: usize, y: usize, letterbox: &Letterbox) -> Option<[f32; VALUES]> {
    let stride = head.stride as f32;
    let (column, row) = (x as f32, y as f32);
    let [left, top, right, bottom] = std::array::from_fn(|side| distance(&head.boxes, x, y, side));
    let corners = [
        (column + 0.5 - left) * stride,
        (row + 0.5 - top) * stride,
        (column + 0.5 + right) * stride,
        (row + 0.5 + bottom) * stride,
    ];
    in_frame(corners, letterbox, |i| {
        let at = |part| head.points.at(y, x, 3 * i + part);
        [
            (2.0 * at(0) + column) * stride,
            (2.0 * at(1) + row) * stride,
            sigmoid(at(2)),
        ]
    })
}

/// Mean of the softmax of a side's bins.
fn distance(boxes: &Grid<'_>, x: usize, y: usize, side: usize) -> f32 {
    let bins: [f32; BINS] = std::array::from_fn(|bin| boxes.at(y, x, side * BINS + bin));
    let largest = bins.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (bin, logit) in bins.iter().enumerate() {
        let weight = (logit - largest).exp();
        sum += weight;
        weighted += weight * bin as f32;
    }
    weighted / sum
}

/// Box and points in pixels of the frame. `None` with a value that is not a number, or is far beyond any frame, or with an
/// empty box.
fn in_frame(corners: [f32; 4], letterbox: &Letterbox, point: impl Fn(usize) -> [f32; 3]) -> Option<[f32; VALUES]> {
    let mut values = [0.0; VALUES];
    values[..2].copy_from_slice(&letterbox.to_frame([corners[0], corners[1]]));
    values[2..4].copy_from_slice(&letterbox.to_frame([corners[2], corners[3]]));
    for index in 0..KEYPOINTS {
        let [x, y, confidence] = point(index);
        let [x, y] = letterbox.to_frame([x, y]);
        values[4 + 3 * index..][..3].copy_from_slice(&[x, y, confidence]);
    }
    let usable = values.iter().all(|v| v.abs() < Keypoint::FAR) && values[2] > values[0] && values[3] > values[1];
    usable.then_some(values)
}

fn select(mut found: Vec<Candidate<VALUES>>, limits: &Limits) -> Vec<Pose> {
    let kept = nms(&mut found, limits.iou, limits.people);
    kept.iter()
        .map(|Candidate { score, values }| Pose {
            score: score.clamp(0.0, 1.0),
            bbox: [values[0], values[1], values[2], values[3]],
            keypoints: std::array::from_fn(|i| {
                let [x, y, confidence] = std::array::from_fn(|part| values[4 + 3 * i + part]);
                Keypoint::sound(x, y, confidence)
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Shape, Values};
    use super::*;
    use crate::engine::{Quantisation, TensorRef};
    use proptest::prelude::*;

    /// 1280x720 in 640 pixels.
    const LETTERBOX: Letterbox = Letterbox {
        scale: 0.5,
        pad: [0.0, 140.0],
    };
    const LIMITS: Limits = Limits {
        score: 0.25,
        iou: 0.7,
        keypoint: 0.4,
        people: 10,
    };

    /// Someone to be found: box and points in input pixels.
    #[derive(Clone)]
    struct Planted {
        bbox: [f32; 4],
        score: f32,
        points: [[f32; 3]; KEYPOINTS],
    }

    fn planted(x: f32, y: f32, width: f32, height: f32, score: f32) -> Planted {
        Planted {
            bbox: [x, y, x + width, y + height],
            score,
            points: std::array::from_fn(|i| {
                let t = i as f32 / 16.0;
                [x + width * t, y + height * (1.0 - t * t), 0.3 + 0.6 * t]
            }),
        }
    }

    fn logit(p: f32) -> f32 {
        (p / (1.0 - p)).ln()
    }

    /// The raw output of one level, and where each tensor's cells stand.
    struct Level {
        side: usize,
        stride: usize,
        boxes: Vec<f32>,
        scores: Vec<f32>,
        points: Vec<f32>,
        channels_first: bool,
    }

    impl Level {
        fn index(&self, channels: usize, x: usize, y: usize, channel: usize) -> usize {
            if self.channels_first {
                (channel * self.side + y) * self.side + x
            } else {
                (y * self.side + x) * channels + channel
            }
        }

        /// Nobody anywhere.
        fn empty(stride: usize, channels_first: bool) -> Self {
            let side = 640 / stride;
            Self {
                side,
                stride,
                boxes: vec![0.0; side * side * BOX_CHANNELS],
                scores: vec![-20.0; side * side],
                points: vec![0.0; side * side * POINT_CHANNELS],
                channels_first,
            }
        }

        /// Writes a person into the cell under the middle of the box. Each side's distribution puts its mass on the two bins
        /// round the distance, so that the mean is the distance.
        fn plant(&mut self, person: &Planted) {
            let [x0, y0, x1, y1] = person.bbox.map(|v| v / self.stride as f32);
            let (x, y) = (((x0 + x1) / 2.0) as usize, ((y0 + y1) / 2.0) as usize);
            let centre = [x as f32 + 0.5, y as f32 + 0.5];
            let at = self.index(1, x, y, 0);
            self.scores[at] = logit(person.score);
            let distances = [centre[0] - x0, centre[1] - y0, x1 - centre[0], y1 - centre[1]];
            for (side, distance) in distances.into_iter().enumerate() {
                assert!((0.0..15.0).contains(&distance), "{distance} cells do not fit the level");
                for bin in 0..BINS {
                    let weight = (1.0 - (bin as f32 - distance).abs()).max(0.0);
                    let at = self.index(BOX_CHANNELS, x, y, side * BINS + bin);
                    self.boxes[at] = weight.max(1e-9).ln();
                }
            }
            for (i, [px, py, confidence]) in person.points.into_iter().enumerate() {
                let stored = [
                    (px / self.stride as f32 - x as f32) / 2.0,
                    (py / self.stride as f32 - y as f32) / 2.0,
                    logit(confidence),
                ];
                for (part, value) in stored.into_iter().enumerate() {
                    let at = self.index(POINT_CHANNELS, x, y, 3 * i + part);
                    self.points[at] = value;
                }
            }
        }

        fn grid<'a>(&self, data: &'a [f32], channels: usize) -> Grid<'a> {
            Grid {
                values: Values::from(data),
                shape: Shape {
                    height: self.side,
                    width: self.side,
                    channels,
                    channels_first: self.channels_first,
                },
            }
        }

        fn head(&self) -> Head<'_> {
            Head {
                boxes: self.grid(&self.boxes, BOX_CHANNELS),
                scores: self.grid(&self.scores, 1),
                points: self.grid(&self.points, POINT_CHANNELS),
                stride: self.stride,
            }
        }
    }

    #[track_caller]
    fn assert_found(pose: &Pose, person: &Planted) {
        let near = |a: f32, b: f32| assert!((a - b).abs() < 0.05, "{a}, planted {b}");
        for corner in 0..2 {
            let wanted = LETTERBOX.to_frame([person.bbox[2 * corner], person.bbox[2 * corner + 1]]);
            near(pose.bbox[2 * corner], wanted[0]);
            near(pose.bbox[2 * corner + 1], wanted[1]);
        }
        assert!((pose.score - person.score).abs() < 1e-4);
        for (found, [x, y, confidence]) in pose.keypoints.iter().zip(&person.points) {
            let wanted = LETTERBOX.to_frame([*x, *y]);
            near(found.x, wanted[0]);
            near(found.y, wanted[1]);
            assert!((found.confidence - confidence).abs() < 1e-4);
        }
    }

    fn scene(channels_first: bool) -> ([Level; 3], [Planted; 3]) {
        let people = [
            planted(60.0, 160.0, 70.0, 90.0, 0.9),
            planted(300.0, 180.0, 150.0, 200.0, 0.8),
            planted(120.0, 150.0, 380.0, 330.0, 0.7),
        ];
        let mut levels = STRIDES.map(|stride| Level::empty(stride, channels_first));
        for (level, person) in levels.iter_mut().zip(&people) {
            level.plant(person);
        }
        (levels, people)
    }

    #[test]
    fn a_planted_person_of_each_level_comes_back_in_either_order_of_axes() {
        for channels_first in [true, false] {
            let (levels, people) = scene(channels_first);
            let heads = levels.each_ref().map(Level::head);
            let found = decode_heads(&heads, true, &LETTERBOX, &LIMITS);
            assert_eq!(found.len(), 3);
            for (pose, person) in found.iter().zip(&people) {
                assert_found(pose, person);
            }
        }
    }

    #[test]
    fn scores_behind_the_sigmoid_are_taken_as_they_are() {
        let (mut levels, people) = scene(false);
        for level in &mut levels {
            level.scores.iter_mut().for_each(|s| *s = sigmoid(*s));
        }
        let heads = levels.each_ref().map(Level::head);
        let found = decode_heads(&heads, false, &LETTERBOX, &LIMITS);
        assert_eq!(found.len(), 3);
        assert_found(&found[0], &people[0]);
    }

    #[test]
    fn quantised_heads_are_read_with_their_scales() {
        let (mut levels, people) = scene(false);
        let quantise = |data: &[f32], scale: f32, zero_point: f32| -> Vec<u16> {
            let stored = |v: &f32| (v / scale + zero_point).round().clamp(0.0, 65535.0) as u16;
            data.iter().map(stored).collect()
        };
        let level = &mut levels[0];
        let points = quantise(&level.points, 0.001, 30_000.0);
        let scores = quantise(&level.scores, 0.001, 30_000.0);
        let mut head = level.head();
        let quantisation = Some(Quantisation {
            scale: 0.001,
            zero_point: 30_000.0,
        });
        head.points.values = Values::new(TensorRef::U16(&points), quantisation);
        head.scores.values = Values::new(TensorRef::U16(&scores), quantisation);
        let found = decode_heads(&[head], true, &LETTERBOX, &LIMITS);
        assert_eq!(found.len(), 1);
        let (found, wanted) = (&found[0].keypoints[3], people[0].points[3]);
        assert!((found.x - 2.0 * wanted[0]).abs() < 0.1, "{found:?}");
        assert!((found.confidence - wanted[2]).abs() < 1e-3, "{found:?}");
    }

    /// The decoded export: channels first, one column a candidate.
    fn rows(people: &[Planted], count: usize) -> Vec<f32> {
        let mut data = vec![0.0; DECODED_CHANNELS * count];
        for (index, person) in people.iter().enumerate() {
            let [x0, y0, x1, y1] = person.bbox;
            let values = [(x0 + x1) / 2.0, (y0 + y1) / 2.0, x1 - x0, y1 - y0, person.score];
            let values = values.into_iter().chain(person.points.into_iter().flatten());
            for (channel, value) in values.enumerate() {
                data[channel * count + 7 * index] = value;
            }
        }
        data
    }

    fn decode(data: &[f32], count: usize, limits: &Limits) -> Vec<Pose> {
        let shape = Shape {
            height: 1,
            width: count,
            channels: DECODED_CHANNELS,
            channels_first: true,
        };
        let values = Values::from(data);
        decode_rows(&Grid { values, shape }, &LETTERBOX, limits)
    }

    #[test]
    fn decoded_rows_come_back_best_first() {
        let people = [
            planted(60.0, 160.0, 70.0, 90.0, 0.5),
            planted(300.0, 180.0, 150.0, 200.0, 0.8),
        ];
        let found = decode(&rows(&people, 8400), 8400, &LIMITS);
        assert_eq!(found.len(), 2);
        assert_found(&found[0], &people[1]);
        assert_found(&found[1], &people[0]);
    }

    #[test]
    fn overlapping_boxes_are_one_person_and_the_best_is_kept() {
        let best = planted(100.0, 150.0, 100.0, 200.0, 0.9);
        let double = planted(104.0, 150.0, 100.0, 200.0, 0.8);
        let neighbour = planted(150.0, 150.0, 100.0, 200.0, 0.7);
        let found = decode(&rows(&[double, best.clone(), neighbour.clone()], 100), 100, &LIMITS);
        assert_eq!(found.len(), 2);
        assert_found(&found[0], &best);
        assert_found(&found[1], &neighbour);
    }

    #[test]
    fn no_more_people_than_wanted() {
        let people: Vec<_> = (0..5)
            .map(|i| planted(100.0 * i as f32, 150.0, 60.0, 100.0, 0.9 - 0.1 * i as f32))
            .collect();
        let data = rows(&people, 100);
        assert_eq!(decode(&data, 100, &Limits { people: 2, ..LIMITS }).len(), 2);
        assert!(decode(&data, 100, &Limits { people: 0, ..LIMITS }).is_empty());
    }

    #[test]
    fn a_score_at_the_threshold_counts_and_one_below_does_not() {
        let data = rows(&[planted(100.0, 150.0, 60.0, 100.0, 0.5)], 10);
        assert_eq!(decode(&data, 10, &Limits { score: 0.5, ..LIMITS }).len(), 1);
        assert!(
            decode(
                &data,
                10,
                &Limits {
                    score: 0.500_1,
                    ..LIMITS
                }
            )
            .is_empty()
        );
        let nan = Limits {
            score: f32::NAN,
            ..LIMITS
        };
        assert!(decode(&data, 10, &nan).is_empty());
    }

    #[test]
    fn values_that_are_no_numbers_and_empty_boxes_are_passed_over() {
        for (channel, bad) in [
            (0, f32::NAN),
            (2, 0.0),
            (3, -5.0),
            (4, f32::NAN),
            (9, f32::INFINITY),
            (1, 1e30),
        ] {
            let mut data = rows(&[planted(100.0, 150.0, 60.0, 100.0, 0.9)], 10);
            data[channel * 10] = bad;
            assert!(decode(&data, 10, &LIMITS).is_empty(), "{channel} {bad}");
        }
        let (mut levels, _) = scene(true);
        levels[0].boxes.fill(f32::NAN);
        levels[1].points.fill(f32::NEG_INFINITY);
        levels[2].scores.fill(f32::NAN);
        let heads = levels.each_ref().map(Level::head);
        assert!(decode_heads(&heads, true, &LETTERBOX, &LIMITS).is_empty());
    }

    #[test]
    fn short_output_finds_nothing() {
        let data = rows(&[planted(100.0, 150.0, 60.0, 100.0, 0.9)], 10);
        assert!(decode(&data[..100], 10, &LIMITS).is_empty());
        assert!(decode(&[], 8400, &LIMITS).is_empty());
        let (levels, _) = scene(true);
        let mut head = levels[0].head();
        head.points.values = Values::from(&levels[0].points[..1000]);
        assert!(decode_heads(&[head], true, &LETTERBOX, &LIMITS).is_empty());
        assert!(decode_heads(&[], true, &LETTERBOX, &LIMITS).is_empty());
    }

    #[test]
    fn a_crowd_in_every_cell_ends() {
        let mut data = vec![0.9; DECODED_CHANNELS * 8400];
        for i in 0..8400 {
            data[i] = (i % 100) as f32 * 6.4;
            data[8400 + i] = (i / 100) as f32 * 7.6;
            data[2 * 8400 + i] = 4.0;
            data[3 * 8400 + i] = 4.0;
        }
        assert_eq!(decode(&data, 8400, &Limits { people: 50, ..LIMITS }).len(), 50);
    }

    proptest! {
        #[test]
        fn whatever_the_network_says_people_are_finite(
            data in proptest::collection::vec(proptest::num::f32::ANY, 0..600), score in proptest::num::f32::ANY,
            iou in proptest::num::f32::ANY, logits: bool,
        ) {
            let limits = Limits { score, iou, ..LIMITS };
            let grid = |channels| Grid {
                values: Values::from(&data[..]),
                shape: Shape { height: 2, width: 2, channels, channels_first: false },
            };
            let head = Head { boxes: grid(BOX_CHANNELS), scores: grid(1), points: grid(POINT_CHANNELS), stride: 8 };
            let mut found = decode_heads(&[head], logits, &LETTERBOX, &limits);
            found.extend(decode(&data, data.len() / DECODED_CHANNELS, &limits));
            for pose in found {
                prop_assert!((0.0..=1.0).contains(&pose.score) && pose.bbox[2] > pose.bbox[0]);
                prop_assert!(pose.keypoints.iter().all(|p| p.x.is_finite() && (0.0..=1.0).contains(&p.confidence)));
            }
        }
    }
}
