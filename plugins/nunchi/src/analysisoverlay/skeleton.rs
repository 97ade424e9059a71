//! Which keypoints of a layout are joined by lines.

/// How to draw a keypoint layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skeleton {
    /// Lines from point to point.
    pub chains: &'static [&'static [u16]],
    /// Points that get a disc; `None`: all of them.
    pub dots: Option<&'static [u16]>,
    /// Width of the lines relative to that of a box.
    pub weight: f64,
}

impl Skeleton {
    /// Skeleton of a layout by its name; points alone for a layout that is not known.
    pub fn of(layout: &str) -> Self {
        match layout {
            "body-pose/coco-17" => Self {
                chains: COCO_17,
                dots: None,
                weight: 1.0,
            },
            "face-landmarks/478" => Self {
                chains: FACE_478,
                dots: Some(&PUPILS),
                weight: 0.5,
            },
            _ => Self {
                chains: &[],
                dots: None,
                weight: 1.0,
            },
        }
    }
}

/// Centers of the irises in the face mesh.
const PUPILS: [u16; 2] = [468, 473];

/// COCO's 17 points: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; the left one first.
const COCO_17: &[&[u16]] = &[
    &[3, 1, 0, 2, 4],
    &[9, 7, 5, 6, 8, 10],
    &[5, 11, 13, 15],
    &[6, 12, 14, 16],
    &[11, 12],
];

/// Contours of MediaPipe's face mesh; a drawn triangle mesh would hide the face.
const FACE_478: &[&[u16]] = &[
    // Face oval.
    &[
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
    ],
    // Lips, outer and inner.
    &[
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61,
    ],
    &[
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78,
    ],
    // Right and left eye.
    &[
        33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246, 33,
    ],
    &[
        263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263,
    ],
    // Right and left brow.
    &[70, 63, 105, 66, 107],
    &[300, 293, 334, 296, 336],
    // Bridge and wings of the nose.
    &[168, 6, 197, 195, 5, 4],
    &[98, 97, 2, 326, 327],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(layout: &str) -> Option<u16> {
        let skeleton = Skeleton::of(layout);
        skeleton
            .chains
            .iter()
            .copied()
            .flatten()
            .chain(skeleton.dots.unwrap_or_default())
            .copied()
            .max()
    }

    #[test]
    fn every_index_is_within_its_layout() {
        assert_eq!(largest("body-pose/coco-17"), Some(16));
        assert_eq!(largest("face-landmarks/478"), Some(473));
    }

    #[test]
    fn an_unknown_layout_has_points_and_no_lines() {
        let skeleton = Skeleton::of("hand/21");
        assert!(skeleton.dots.is_none() && skeleton.chains.is_empty());
    }
}
