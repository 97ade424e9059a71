//! Non-maximum suppression of the boxes of one class, many comparisons at once.

use super::lanes::LANES;
use crate::nms::Rect;

/// Boxes that are kept, in columns of [`LANES`].
#[derive(Debug, Default)]
pub(super) struct Kept {
    columns: Vec<Column>,
    count: usize,
}

/// Free lanes hold an empty box, which overlaps nothing.
#[derive(Debug, Default, Clone, Copy)]
struct Column {
    x0: [f32; LANES],
    y0: [f32; LANES],
    x1: [f32; LANES],
    y1: [f32; LANES],
    area: [f32; LANES],
}

impl Kept {
    pub fn clear(&mut self) {
        self.columns.clear();
        self.count = 0;
    }

    /// Whether a box overlaps one of the kept by more than `threshold` (intersection over union); if it does not, it is kept, too.
    #[inline(always)]
    pub fn admit(&mut self, [x0, y0, x1, y1]: Rect, threshold: f32) -> bool {
        let area = (x1 - x0) * (y1 - y0);
        for column in &self.columns {
            let mut overlaps = false;
            for lane in 0..LANES {
                let width = x1.min(column.x1[lane]) - x0.max(column.x0[lane]);
                let height = y1.min(column.y1[lane]) - y0.max(column.y0[lane]);
                let intersection = width.max(0.0) * height.max(0.0);
                let union = area + column.area[lane] - intersection;
                // Of two boxes without area nothing is known: 0 / 0 is not above any threshold.
                overlaps |= intersection / union > threshold;
            }
            if overlaps {
                return false;
            }
        }
        let lane = self.count % LANES;
        if lane == 0 {
            self.columns.push(Column::default());
        }
        if let Some(column) = self.columns.last_mut() {
            column.x0[lane] = x0;
            column.y0[lane] = y0;
            column.x1[lane] = x1;
            column.y1[lane] = y1;
            column.area[lane] = area;
        }
        self.count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(boxes: &[Rect], threshold: f32) -> Vec<usize> {
        let mut kept = Kept::default();
        kept.columns.push(Column::default());
        kept.clear();
        (0..boxes.len()).filter(|&i| kept.admit(boxes[i], threshold)).collect()
    }

    #[test]
    fn of_overlapping_boxes_the_first_stays() {
        let boxes = [[0.0, 0.0, 1.0, 1.0], [0.1, 0.0, 1.1, 1.0], [2.0, 2.0, 3.0, 3.0]];
        assert_eq!(kept(&boxes, 0.5), [0, 2]);
        assert_eq!(kept(&boxes, 0.9), [0, 1, 2]);
    }

    #[test]
    fn boxes_without_area_suppress_nothing() {
        assert_eq!(kept(&[[0.5; 4], [0.5; 4], [0.0, 0.0, 1.0, 1.0]], 0.0), [0, 1, 2]);
    }

    #[test]
    fn an_overlap_at_the_threshold_is_none() {
        let boxes = [[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0]];
        assert_eq!(kept(&boxes, 1.0 / 3.0), [0, 1]);
        assert_eq!(kept(&boxes, (1.0f32 / 3.0).next_down()), [0]);
    }

    proptest! {
        #[test]
        fn it_is_the_plain_greedy_suppression(
            corners in proptest::collection::vec((0.0f32..1.0, 0.0f32..1.0, 0.0f32..0.6, 0.0f32..0.6), 0..90),
            threshold in 0.0f32..1.0,
        ) {
            let boxes: Vec<Rect> = corners.iter().map(|&(x, y, w, h)| [x, y, x + w, y + h]).collect();
            let mut expected: Vec<usize> = Vec::new();
            for (index, one) in boxes.iter().enumerate() {
                if !expected.iter().any(|&other| crate::nms::iou(one, &boxes[other]) > threshold) {
                    expected.push(index);
                }
            }
            prop_assert_eq!(kept(&boxes, threshold), expected);
        }
    }
}
