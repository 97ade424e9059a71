//! Default boxes (anchors) of the families, generated, and what heads encode relative to them.

use super::lanes::exp;

/// cx, cy, w, h as parts of the input's width and height.
pub type DefaultBox = [f32; 4];

/// Default boxes of a family with the rules by which its heads are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Coder {
    pub boxes: Vec<DefaultBox>,
    /// Heads hold y before x and height before width.
    transposed: bool,
    /// torchvision's: boxes are cut at the picture's edges before they are compared, and their sizes are bounded.
    bounded: bool,
}

/// Largest logarithm of a size relative to the default box, where that is bounded: 1000 pixels of 16 (`BoxCoder`).
const MOST: f32 = 4.135_166_6;

/// What the sizes of all families are encoded with: centres by 10 (of the default box's size), logarithms of sizes by 5.
const CENTRE: f32 = 0.1;
const SIZE: f32 = 0.2;

impl Coder {
    /// NVIDIA's SSD300 (DeepLearningExamples, `dboxes300_coco`): 8732 boxes.
    pub fn ssd300() -> Self {
        let side = 300.0;
        let steps = [8.0, 16.0, 32.0, 64.0, 100.0, 300.0];
        let scales = [21.0, 45.0, 99.0, 153.0, 207.0, 261.0, 315.0];
        let mut boxes = Vec::with_capacity(8732);
        for (level, cells) in [38, 19, 10, 5, 3, 1].into_iter().enumerate() {
            let parts = side / steps[level];
            // The sizes outside, the cells inside: the network has one plane of its map for each size.
            for [w, h] in sizes([scales[level] / side, scales[level + 1] / side], SSD_RATIOS[level]) {
                for cell in 0..cells * cells {
                    let (x, y) = (f64::from(cell % cells), f64::from(cell / cells));
                    boxes.push([(x + 0.5) / parts, (y + 0.5) / parts, w, h].map(|v| v.clamp(0.0, 1.0) as f32));
                }
            }
        }
        Self {
            boxes,
            transposed: false,
            bounded: false,
        }
    }

    /// torchvision's SSD300 on VGG-16 (`ssd300_vgg16`, `DefaultBoxGenerator`): 8732 boxes.
    pub fn torchvision_vgg() -> Self {
        let steps = [8.0, 16.0, 32.0, 64.0, 100.0, 300.0];
        let scales = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05];
        let levels = [38, 19, 10, 5, 3, 1].into_iter().enumerate();
        Self::torchvision(levels.map(|(level, cells)| {
            let sizes = sizes([scales[level], scales[level + 1]], SSD_RATIOS[level]);
            (cells, 300.0 / steps[level], sizes)
        }))
    }

    /// torchvision's SSDLite320 on MobileNetV3 (`ssdlite320_mobilenet_v3_large`): 3234 boxes.
    pub fn torchvision_lite() -> Self {
        let scale = |level: usize| match level {
            6 => 1.0,
            _ => 0.2 + (0.95 - 0.2) * level as f64 / 5.0,
        };
        let levels = [20, 10, 5, 3, 2, 1].into_iter().enumerate();
        Self::torchvision(levels.map(|(level, cells)| {
            let sizes = sizes([scale(level), scale(level + 1)], &[2.0, 3.0]);
            (cells, f64::from(cells), sizes)
        }))
    }

    /// The cells outside, row by row, the sizes inside; only sizes are clipped.
    fn torchvision(levels: impl Iterator<Item = (u32, f64, Vec<[f64; 2]>)>) -> Self {
        let mut boxes = Vec::new();
        for (cells, parts, sizes) in levels {
            for cell in 0..cells * cells {
                let (x, y) = (f64::from(cell % cells), f64::from(cell / cells));
                let clip = |v: f64| v.clamp(0.0, 1.0) as f32;
                let one = |[w, h]: &[f64; 2]| {
                    [
                        ((x + 0.5) / parts) as f32,
                        ((y + 0.5) / parts) as f32,
                        clip(*w),
                        clip(*h),
                    ]
                };
                boxes.extend(sizes.iter().map(one));
            }
        }
        Self {
            boxes,
            transposed: false,
            bounded: true,
        }
    }

    /// The TensorFlow Object Detection API's SSD on MobileNet (`ssd_anchor_generator`, six layers, scales 0.2 to 0.95): 1917
    /// boxes, not clipped.
    pub fn tf() -> Self {
        let scale = |layer: usize| if layer == 6 { 1.0 } else { 0.2 + 0.15 * layer as f64 };
        let size = |scale: f64, ratio: f64| [scale * ratio.sqrt(), scale / ratio.sqrt()];
        let mut boxes = Vec::with_capacity(1917);
        for (layer, cells) in [19u32, 10, 5, 3, 2, 1].into_iter().enumerate() {
            let s = scale(layer);
            let sizes = if layer == 0 {
                // Fewer boxes on the lowest layer, the first of half the scale.
                vec![size(0.1, 1.0), size(s, 2.0), size(s, 0.5)]
            } else {
                let ratios = [1.0, 2.0, 0.5, 3.0, 1.0 / 3.0];
                let mut sizes = ratios.map(|ratio| size(s, ratio)).to_vec();
                sizes.push(size((s * scale(layer + 1)).sqrt(), 1.0));
                sizes
            };
            for cell in 0..cells * cells {
                let centre = |index: u32| (f64::from(index) + 0.5) / f64::from(cells);
                let (cx, cy) = (centre(cell % cells), centre(cell / cells));
                boxes.extend(sizes.iter().map(|&[w, h]| [cx, cy, w, h].map(|v| v as f32)));
            }
        }
        Self {
            boxes,
            transposed: true,
            bounded: false,
        }
    }

    pub(super) fn is_transposed(&self) -> bool {
        self.transposed
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// The box x0, y0, x1, y1 that the four values of a head mean. Finite where they are.
    #[inline(always)]
    pub fn decode(&self, [cx, cy, w, h]: DefaultBox, values: [f32; 4]) -> [f32; 4] {
        let [dx, dy, dw, dh] = if self.transposed {
            [values[1], values[0], values[3], values[2]]
        } else {
            values
        };
        let (cx, cy) = (dx * CENTRE * w + cx, dy * CENTRE * h + cy);
        let most = if self.bounded { MOST } else { f32::INFINITY };
        let grown = |by: f32, size: f32| exp((by * SIZE).min(most)) * size / 2.0;
        let (w, h) = (grown(dw, w), grown(dh, h));
        let rect = [cx - w, cy - h, cx + w, cy + h];
        if self.bounded {
            rect.map(|v| v.clamp(0.0, 1.0))
        } else {
            rect
        }
    }
}

/// Aspect ratios beyond 1, which both SSD300 have.
const SSD_RATIOS: [&[f64]; 6] = [&[2.0], &[2.0, 3.0], &[2.0, 3.0], &[2.0, 3.0], &[2.0], &[2.0]];

/// Widths and heights of a level: the square of its scale, that of the mean with the next one's, both orientations of each ratio.
fn sizes([scale, next]: [f64; 2], ratios: &[f64]) -> Vec<[f64; 2]> {
    let mean = (scale * next).sqrt();
    let mut sizes = vec![[scale; 2], [mean; 2]];
    for ratio in ratios {
        let (long, short) = (scale * ratio.sqrt(), scale / ratio.sqrt());
        sizes.extend([[long, short], [short, long]]);
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_box(found: DefaultBox, expected: DefaultBox) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn every_family_has_its_number_of_boxes() {
        assert_eq!(Coder::ssd300().boxes.len(), 8732);
        assert_eq!(Coder::torchvision_vgg().boxes.len(), 8732);
        assert_eq!(Coder::torchvision_lite().boxes.len(), 3234);
        assert_eq!(Coder::tf().boxes.len(), 1917);
    }

    #[test]
    fn ssd300_goes_through_all_cells_for_each_size() {
        let boxes = Coder::ssd300().boxes;
        assert_box(boxes[0], [0.5 / 37.5, 0.5 / 37.5, 0.07, 0.07]);
        assert_box(boxes[1], [1.5 / 37.5, 0.5 / 37.5, 0.07, 0.07]);
        assert_box(boxes[38], [0.5 / 37.5, 1.5 / 37.5, 0.07, 0.07]);
        assert_box(boxes[1444], [0.5 / 37.5, 0.5 / 37.5, 0.102_469_5, 0.102_469_5]);
        // 38 cells of 1/37.5: the last centre is beyond the picture's edge and clipped.
        assert_box(boxes[37], [1.0, 0.5 / 37.5, 0.07, 0.07]);
        assert_box(boxes[8731], [0.5, 0.5, 0.615_183_2, 1.0]);
    }

    #[test]
    fn torchvision_goes_through_all_sizes_in_each_cell() {
        let boxes = Coder::torchvision_vgg().boxes;
        assert_box(boxes[1], [0.5 / 37.5, 0.5 / 37.5, 0.102_469_5, 0.102_469_5]);
        assert_box(boxes[4], [1.5 / 37.5, 0.5 / 37.5, 0.07, 0.07]);
        // Centres are not clipped.
        assert_box(boxes[37 * 4], [1.0, 0.5 / 37.5, 0.07, 0.07]);
        let boxes = Coder::torchvision_lite().boxes;
        assert_box(boxes[0], [0.025, 0.025, 0.2, 0.2]);
        assert_box(boxes[5], [0.025, 0.025, 0.115_470_05, 0.346_410_15]);
        assert_box(boxes[3233], [0.5, 0.5, 0.95 / 3f32.sqrt(), 1.0]);
    }

    #[test]
    fn tf_has_three_boxes_on_the_lowest_layer_and_six_above() {
        let boxes = Coder::tf().boxes;
        assert_box(boxes[0], [0.5 / 19.0, 0.5 / 19.0, 0.1, 0.1]);
        assert_box(boxes[1], [0.5 / 19.0, 0.5 / 19.0, 0.282_842_7, 0.141_421_35]);
        assert_box(boxes[1083], [0.05, 0.05, 0.35, 0.35]);
        assert_box(boxes[1088], [0.05, 0.05, 0.418_33, 0.418_33]);
        assert_box(boxes[1916], [0.5, 0.5, 0.974_679_4, 0.974_679_4]);
    }

    #[test]
    fn heads_are_relative_to_the_default_box() {
        let default = [0.5, 0.4, 0.2, 0.1];
        assert_box(Coder::ssd300().decode(default, [0.0; 4]), [0.4, 0.35, 0.6, 0.45]);
        let values = [1.0, -1.0, 5.0 * 2f32.ln(), 0.0];
        assert_box(Coder::ssd300().decode(default, values), [0.32, 0.34, 0.72, 0.44]);
        let transposed = [values[1], values[0], values[3], values[2]];
        assert_box(Coder::tf().decode(default, transposed), [0.32, 0.34, 0.72, 0.44]);
    }

    #[test]
    fn huge_sizes_are_bounded_and_stay_finite() {
        let [x0, _, x1, _] = Coder::torchvision_vgg().decode([0.5, 0.5, 0.001, 0.001], [0.0, 0.0, 1e30, 0.0]);
        assert!((x1 - x0 - 0.0625).abs() < 1e-5, "{}", x1 - x0);
        for coder in [Coder::ssd300(), Coder::tf()] {
            let found = coder.decode([0.5; 4], [f32::MAX, -f32::MAX, f32::MAX, f32::MAX]);
            assert!(found.iter().all(|v| v.is_finite()), "{found:?}");
        }
    }
}
