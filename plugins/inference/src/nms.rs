//! Intersection over union and non-maximum suppression.

/// Box as x0, y0, x1, y1.
pub type Rect = [f32; 4];

/// Intersection over union, 0 for empty or non-finite boxes.
pub fn iou(a: &Rect, b: &Rect) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let intersection = width * height;
    let union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection;
    if union > 0.0 { intersection / union } else { 0.0 }
}

/// A scored box with `N` values in all, the first four of them the box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<const N: usize> {
    pub score: f32,
    pub values: [f32; N],
}

impl<const N: usize> Candidate<N> {
    fn rect(&self) -> Rect {
        [self.values[0], self.values[1], self.values[2], self.values[3]]
    }
}

/// Candidates that are looked at, the best ones: bounds the work, which grows with their square.
const MOST: usize = 1000;

/// Weighted non-maximum suppression as BlazeFace is meant to be used (Bazarevsky et al. 2019, section 4): each group of
/// boxes that overlap its best one by more than `threshold` becomes one box, the mean weighted by score, with the
/// group's best score. Leaves `candidates` empty; result in order of falling score.
pub fn weighted_nms<const N: usize>(candidates: &mut Vec<Candidate<N>>, threshold: f32) -> Vec<Candidate<N>> {
    candidates.retain(|c| c.score.is_finite() && c.values.iter().all(|v| v.is_finite()));
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MOST);
    let mut kept = Vec::new();
    while let Some(&best) = candidates.first() {
        let rect = best.rect();
        let mut sum = [0.0f32; N];
        let mut weight = 0.0f32;
        let (mut index, mut members) = (0, 0);
        candidates.retain(|c| {
            // A degenerate box does not even overlap itself, yet it must leave the list.
            let member = index == 0 || iou(&rect, &c.rect()) > threshold;
            index += 1;
            if member {
                members += 1;
                weight += c.score;
                sum.iter_mut().zip(&c.values).for_each(|(s, v)| *s += c.score * v);
            }
            !member
        });
        // A group of one is kept to the bit.
        let values = if members > 1 && weight > 0.0 {
            sum.map(|s| s / weight)
        } else {
            best.values
        };
        kept.push(Candidate {
            score: best.score,
            values,
        });
    }
    kept
}

/// Plain non-maximum suppression: of boxes that overlap by more than `threshold` the best one stays, up to `limit` of them.
/// Leaves `candidates` in no useful state; result in order of falling score.
pub fn nms<const N: usize>(candidates: &mut Vec<Candidate<N>>, threshold: f32, limit: usize) -> Vec<Candidate<N>> {
    candidates.retain(|c| c.score.is_finite() && c.values.iter().all(|v| v.is_finite()));
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MOST);
    let mut kept: Vec<Candidate<N>> = Vec::new();
    for candidate in candidates {
        if kept.len() >= limit {
            break;
        }
        let rect = candidate.rect();
        if !kept.iter().any(|k| iou(&k.rect(), &rect) > threshold) {
            kept.push(*candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_boxes_the_best_stays_as_it_is() {
        let mut list = vec![
            candidate(0.5, [1.0, 0.0, 11.0, 10.0]),
            candidate(1.0, [0.0, 0.0, 10.0, 10.0]),
            candidate(0.6, [50.0, 50.0, 60.0, 60.0]),
            candidate(f32::NAN, [70.0, 50.0, 80.0, 60.0]),
        ];
        let kept = nms(&mut list.clone(), 0.3, 10);
        assert_eq!(
            kept,
            [
                candidate(1.0, [0.0, 0.0, 10.0, 10.0]),
                candidate(0.6, [50.0, 50.0, 60.0, 60.0])
            ]
        );
        // An overlap at the threshold is none: 90 of 110.
        assert_eq!(nms(&mut list.clone(), 90.0 / 110.0, 10).len(), 3);
        assert_eq!(nms(&mut list, 0.3, 1).len(), 1);
    }

    fn candidate(score: f32, values: [f32; 4]) -> Candidate<4> {
        Candidate { score, values }
    }

    #[test]
    fn iou_of_known_boxes() {
        assert_eq!(iou(&[0.0, 0.0, 2.0, 2.0], &[0.0, 0.0, 2.0, 2.0]), 1.0);
        assert_eq!(iou(&[0.0, 0.0, 2.0, 2.0], &[1.0, 0.0, 3.0, 2.0]), 1.0 / 3.0);
        assert_eq!(iou(&[0.0, 0.0, 1.0, 1.0], &[2.0, 2.0, 3.0, 3.0]), 0.0);
    }

    #[test]
    fn iou_of_degenerate_boxes_is_zero() {
        assert_eq!(iou(&[1.0; 4], &[1.0; 4]), 0.0);
        assert_eq!(iou(&[f32::NAN; 4], &[0.0, 0.0, 1.0, 1.0]), 0.0);
    }

    #[test]
    fn overlapping_boxes_become_their_weighted_mean() {
        let mut list = vec![
            candidate(0.5, [1.0, 0.0, 11.0, 10.0]),
            candidate(1.0, [0.0, 0.0, 10.0, 10.0]),
            candidate(0.6, [50.0, 50.0, 60.0, 60.0]),
        ];
        let kept = weighted_nms(&mut list, 0.3);
        assert!(list.is_empty());
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].score, 1.0);
        assert!((kept[0].values[0] - 1.0 / 3.0).abs() < 1e-6, "{:?}", kept[0]);
        assert_eq!(kept[1], candidate(0.6, [50.0, 50.0, 60.0, 60.0]));
    }

    #[test]
    fn nan_and_infinite_candidates_are_dropped() {
        let mut list = vec![
            candidate(f32::NAN, [0.0, 0.0, 1.0, 1.0]),
            candidate(0.9, [0.0, f32::NAN, 1.0, 1.0]),
            candidate(0.9, [0.0, 0.0, f32::INFINITY, 1.0]),
        ];
        assert!(weighted_nms(&mut list, 0.3).is_empty());
    }

    #[test]
    fn degenerate_boxes_end_and_do_not_loop() {
        let mut list = vec![
            candidate(0.9, [5.0; 4]),
            candidate(0.8, [5.0; 4]),
            candidate(0.0, [9.0, 9.0, 1.0, 1.0]),
        ];
        assert_eq!(weighted_nms(&mut list, 0.3).len(), 3);
    }
}
