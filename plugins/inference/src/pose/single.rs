//! Networks that read the points of one person: MoveNet (positions) and ViTPose (heat maps).

use super::grid::{Grid, Values};
use super::{KEYPOINTS, Keypoint, Limits, Pose};
use crate::preprocess::Letterbox;

/// Least number of points that make a person: fewer have no extent to speak of, and a cluttered picture yields one or two.
const LEAST_POINTS: usize = 3;
/// Neighbours of a peak must differ by more than this for the point to move between them.
const LEAST_SLOPE: f32 = 0.01;
/// How far it moves then, in cells.
const SHIFT: f32 = 0.25;

/// MoveNet's output, 17 times (y, x, confidence) in parts of the letterboxed square of `side` pixels, as points of the frame.
/// What is not a number, or missing, is a point at 0 with confidence 0.
pub fn movenet(values: &Values<'_>, side: usize, letterbox: &Letterbox) -> [Keypoint; KEYPOINTS] {
    std::array::from_fn(|index| {
        let [y, x, confidence] = std::array::from_fn(|i| values.get(3 * index + i));
        let [x, y] = letterbox.to_frame([x * side as f32, y * side as f32]);
        Keypoint::sound(x, y, confidence)
    })
}

/// Heat maps, one channel a point, stretched over a frame of `size` pixels.
///
/// A point lies in the cell of its channel's peak (the first one in reading order), a quarter of a cell towards the larger
/// neighbour in each direction (Newell et al. 2016, section 3.1; only inside of the map), and is as sure as the peak is high.
/// Cells that are not a number are passed over; a channel without a number gives a point at 0 with confidence 0.
pub fn heat_maps(map: &Grid<'_>, size: (u32, u32)) -> [Keypoint; KEYPOINTS] {
    std::array::from_fn(|channel| heat_map(map, channel, size).unwrap_or_default())
}

fn heat_map(map: &Grid<'_>, channel: usize, (frame_width, frame_height): (u32, u32)) -> Option<Keypoint> {
    let (height, width) = (map.shape.height, map.shape.width);
    let mut peak: Option<(f32, usize, usize)> = None;
    for y in 0..height {
        for x in 0..width {
            let value = map.at(y, x, channel);
            if value.is_finite() && peak.is_none_or(|(best, ..)| value > best) {
                peak = Some((value, x, y));
            }
        }
    }
    let (confidence, column, row) = peak?;
    let (mut x, mut y) = (column as f32, row as f32);
    if (1..width.saturating_sub(1)).contains(&column) && (1..height.saturating_sub(1)).contains(&row) {
        x += shift(map.at(row, column - 1, channel), map.at(row, column + 1, channel));
        y += shift(map.at(row - 1, column, channel), map.at(row + 1, column, channel));
    }
    let x = x * frame_width as f32 / width as f32;
    let y = y * frame_height as f32 / height as f32;
    Some(Keypoint::sound(x, y, confidence))
}

/// Towards the larger one of two neighbours.
fn shift(before: f32, after: f32) -> f32 {
    let slope = after - before;
    // False as well for what is not a number.
    if slope.abs() > LEAST_SLOPE {
        SHIFT.copysign(slope)
    } else {
        0.0
    }
}

/// The person whose points these are: the box of the points that are seen, and their mean confidence as score. `None` where
/// too few are seen or the score is below the limit: networks for one person always answer, whether somebody is there or not.
pub(super) fn person(keypoints: [Keypoint; KEYPOINTS], limits: &Limits) -> Option<Pose> {
    let mut bbox = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    let (mut count, mut sum) = (0, 0.0);
    for point in keypoints.iter().filter(|p| p.confidence >= limits.keypoint) {
        bbox = [
            bbox[0].min(point.x),
            bbox[1].min(point.y),
            bbox[2].max(point.x),
            bbox[3].max(point.y),
        ];
        count += 1;
        sum += point.confidence;
    }
    let score = sum / count as f32;
    let found = count >= LEAST_POINTS && score >= limits.score && bbox[2] > bbox[0] && bbox[3] > bbox[1];
    found.then_some(Pose { score, bbox, keypoints })
}

#[cfg(test)]
mod tests {
    use super::super::grid::Shape;
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        score: 0.25,
        iou: 0.7,
        keypoint: 0.4,
        people: 4,
    };
    const SHAPE: Shape = Shape {
        height: 64,
        width: 48,
        channels: KEYPOINTS,
        channels_first: false,
    };

    fn grid(data: &[f32]) -> Grid<'_> {
        Grid {
            values: Values::from(data),
            shape: SHAPE,
        }
    }

    /// Maps with a bump round each point (x, y in cells, height), in order channels last.
    fn maps(points: &[(f32, f32, f32); KEYPOINTS]) -> Vec<f32> {
        let mut data = vec![0.0; 64 * 48 * KEYPOINTS];
        for y in 0..64 {
            for x in 0..48 {
                for (channel, (cx, cy, peak)) in points.iter().enumerate() {
                    let distance = (x as f32 - cx).powi(2) + (y as f32 - cy).powi(2);
                    data[(y * 48 + x) * KEYPOINTS + channel] = peak * (-distance / 8.0).exp();
                }
            }
        }
        data
    }

    #[test]
    fn movenet_points_come_back_in_frame_pixels() {
        // 1280x720 in a square of 192: scale 0.15, 42 rows of border above.
        let letterbox = Letterbox {
            scale: 0.15,
            pad: [0.0, 42.0],
        };
        let mut output = vec![0.0; 51];
        output[3..6].copy_from_slice(&[0.5, 0.25, 0.9]);
        let points = movenet(&Values::from(&output[..]), 192, &letterbox);
        assert!((points[1].x - 320.0).abs() < 1e-3 && (points[1].y - 360.0).abs() < 1e-3);
        assert_eq!(points[1].confidence, 0.9);
    }

    #[test]
    fn movenet_without_numbers_has_points_without_confidence() {
        let letterbox = Letterbox {
            scale: 1.0,
            pad: [0.0; 2],
        };
        for output in [&[f32::NAN; 51][..], &[f32::INFINITY; 51], &[0.5; 2], &[]] {
            let points = movenet(&Values::from(output), 192, &letterbox);
            assert_eq!(points, [Keypoint::default(); KEYPOINTS], "{output:?}");
        }
        let nothing = Letterbox {
            scale: 0.0,
            pad: [0.0; 2],
        };
        let points = movenet(&Values::from(&[0.5; 51][..]), 192, &nothing);
        assert_eq!(points, [Keypoint::default(); KEYPOINTS]);
    }

    #[test]
    fn planted_points_are_found_within_a_quarter_cell() {
        let points = std::array::from_fn(|i| (5.0 + 2.2 * i as f32, 60.0 - 3.3 * i as f32, 0.5 + 0.02 * i as f32));
        let data = maps(&points);
        let found = heat_maps(&grid(&data), (480, 640));
        for (found, (x, y, peak)) in found.iter().zip(&points) {
            assert!((found.x - 10.0 * x).abs() <= 2.6, "{found:?}, planted at {}", 10.0 * x);
            assert!((found.y - 10.0 * y).abs() <= 2.6, "{found:?}, planted at {}", 10.0 * y);
            assert!(
                found.confidence <= *peak && found.confidence > 0.9 * peak,
                "{found:?}, {peak}"
            );
        }
    }

    /// One channel with a peak at (10, 20) and given neighbours left, right, above, below.
    fn peak_with([left, right, above, below]: [f32; 4], at: (usize, usize)) -> Keypoint {
        let mut data = vec![0.0; 64 * 48 * KEYPOINTS];
        let (x, y) = at;
        let mut set = |x: usize, y: usize, value| {
            if x < 48 && y < 64 {
                data[(y * 48 + x) * KEYPOINTS] = value;
            }
        };
        set(x.wrapping_sub(1), y, left);
        set(x + 1, y, right);
        set(x, y.wrapping_sub(1), above);
        set(x, y + 1, below);
        set(x, y, 0.9);
        // One frame pixel a cell.
        heat_maps(&grid(&data), (48, 64))[0]
    }

    #[test]
    fn the_peak_moves_a_quarter_cell_towards_the_larger_neighbour() {
        let at = |neighbours| {
            let point = peak_with(neighbours, (10, 20));
            (point.x, point.y)
        };
        assert_eq!(at([0.2, 0.5, 0.5, 0.2]), (10.25, 19.75));
        assert_eq!(at([0.5, 0.2, 0.2, 0.5]), (9.75, 20.25));
        assert_eq!(at([0.5; 4]), (10.0, 20.0));
        // At 0.01 nothing moves, above it does.
        assert_eq!(at([0.0, 0.01, 0.0, 0.0]), (10.0, 20.0));
        assert_eq!(at([0.0, 0.0101, 0.0, 0.0]), (10.25, 20.0));
        assert_eq!(at([f32::NAN, 0.5, 0.1, f32::INFINITY]).0, 10.0);
    }

    #[test]
    fn a_peak_on_the_border_stays() {
        for at in [(0, 20), (47, 20), (10, 0), (10, 63), (0, 0), (47, 63)] {
            let point = peak_with([0.1, 0.8, 0.1, 0.8], at);
            assert_eq!((point.x, point.y), (at.0 as f32, at.1 as f32));
        }
    }

    #[test]
    fn equal_peaks_go_to_the_first() {
        let data = vec![0.7; 64 * 48 * KEYPOINTS];
        let points = heat_maps(&grid(&data), (48, 64));
        assert_eq!(
            points[16],
            Keypoint {
                x: 0.0,
                y: 0.0,
                confidence: 0.7
            }
        );
    }

    #[test]
    fn maps_without_numbers_and_short_ones_do_not_panic() {
        let nothing = [Keypoint::default(); KEYPOINTS];
        assert_eq!(
            heat_maps(&grid(&vec![f32::NAN; 64 * 48 * KEYPOINTS]), (48, 64)),
            nothing
        );
        assert_eq!(heat_maps(&grid(&[]), (48, 64)), nothing);
        // Channels first, cut off in the second one: the first is read, the second as far as it goes.
        let mut data = vec![0.0; 64 * 48 + 10];
        data[48 * 5 + 7] = 0.8;
        let cut = Grid {
            values: Values::from(&data[..]),
            shape: Shape {
                channels_first: true,
                ..SHAPE
            },
        };
        let points = heat_maps(&cut, (48, 64));
        assert_eq!((points[0].x, points[0].y, points[0].confidence), (7.0, 5.0, 0.8));
        assert_eq!(points[2], Keypoint::default());
    }

    #[test]
    fn a_person_needs_three_points() {
        let mut keypoints = [Keypoint::default(); KEYPOINTS];
        for (index, point) in keypoints.iter_mut().enumerate().take(3) {
            *point = Keypoint {
                x: 10.0 * index as f32,
                y: 5.0 * index as f32,
                confidence: 0.4,
            };
        }
        let pose = person(keypoints, &LIMITS).unwrap();
        assert_eq!(pose.bbox, [0.0, 0.0, 20.0, 10.0]);
        assert!((pose.score - 0.4).abs() < 1e-6);
        assert!(person(keypoints, &Limits { score: 0.41, ..LIMITS }).is_none());
        keypoints[2].confidence = 0.399;
        assert!(person(keypoints, &LIMITS).is_none());
        assert!(person([Keypoint::default(); KEYPOINTS], &LIMITS).is_none());
    }

    #[test]
    fn points_on_one_spot_are_no_person() {
        let spot = Keypoint {
            x: 3.0,
            y: 3.0,
            confidence: 0.9,
        };
        assert!(person([spot; KEYPOINTS], &LIMITS).is_none());
        let zero = Limits {
            keypoint: 0.0,
            ..LIMITS
        };
        assert!(person([Keypoint::default(); KEYPOINTS], &zero).is_none());
        let nan = Limits {
            keypoint: f32::NAN,
            ..LIMITS
        };
        assert!(person([spot; KEYPOINTS], &nan).is_none());
    }

    proptest! {
        #[test]
        fn whatever_the_network_says_points_are_numbers(
            data in proptest::collection::vec(proptest::num::f32::ANY, 0..500), scale in proptest::num::f32::ANY,
        ) {
            let letterbox = Letterbox { scale, pad: [0.0, 12.0] };
            for point in movenet(&Values::from(&data[..]), 192, &letterbox) {
                prop_assert!(point.x.is_finite() && point.y.is_finite() && (0.0..=1.0).contains(&point.confidence));
            }
            for point in heat_maps(&grid(&data), (640, 480)) {
                prop_assert!((0.0..=640.0).contains(&point.x) && (0.0..=480.0).contains(&point.y));
                prop_assert!((0.0..=1.0).contains(&point.confidence));
            }
        }
    }
}
