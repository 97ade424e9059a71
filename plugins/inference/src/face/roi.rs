//! The rotated square that the landmark network looks at.

use super::Detection;

/// How much larger the square is than the face's box.
const MARGIN: f32 = 1.5;
/// Outer corners of the person's right and left eye.
const EYE_CORNERS: [usize; 2] = [33, 263];

/// Rotated square of the frame that the landmark network looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roi {
    pub cx: f32,
    pub cy: f32,
    /// Side in pixels.
    pub size: f32,
    /// Radians, clockwise on the screen.
    pub rotation: f32,
}

impl Roi {
    /// The first region of a detected face: eyes horizontal, round the centre of the box.
    pub fn from_detection(detection: &Detection) -> Self {
        let [x0, y0, x1, y1] = detection.bbox;
        let [right_eye, left_eye, ..] = detection.keypoints;
        Self {
            cx: (x0 + x1) / 2.0,
            cy: (y0 + y1) / 2.0,
            size: MARGIN * (x1 - x0).max(y1 - y0),
            rotation: (left_eye[1] - right_eye[1]).atan2(left_eye[0] - right_eye[0]),
        }
    }

    /// The next region of a face whose landmarks are known: the box of all landmarks along the line of the eyes. Of
    /// fewer than 264 points it is the region of nothing, which [`is_usable`](Self::is_usable) refuses.
    pub fn from_landmarks(points: &[[f32; 3]]) -> Self {
        let (Some(right), Some(left)) = (points.get(EYE_CORNERS[0]), points.get(EYE_CORNERS[1])) else {
            return Self {
                cx: 0.0,
                cy: 0.0,
                size: 0.0,
                rotation: 0.0,
            };
        };
        let rotation = (left[1] - right[1]).atan2(left[0] - right[0]);
        let (sin, cos) = rotation.sin_cos();
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for [x, y, _] in points {
            // Turned back so that the eyes are level.
            let level = [x * cos + y * sin, y * cos - x * sin];
            for axis in 0..2 {
                low[axis] = low[axis].min(level[axis]);
                high[axis] = high[axis].max(level[axis]);
            }
        }
        let [mx, my] = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        Self {
            cx: mx * cos - my * sin,
            cy: mx * sin + my * cos,
            size: MARGIN * (high[0] - low[0]).max(high[1] - low[1]),
            rotation,
        }
    }

    /// Whether it is finite and has an area.
    pub fn is_usable(&self) -> bool {
        let finite = [self.cx, self.cy, self.size, self.rotation]
            .iter()
            .all(|v| v.is_finite());
        finite && self.size > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(right_eye: [f32; 2], left_eye: [f32; 2]) -> Detection {
        let mut keypoints = [[0.0; 2]; 6];
        (keypoints[0], keypoints[1]) = (right_eye, left_eye);
        Detection {
            score: 1.0,
            bbox: [10.0, 20.0, 50.0, 40.0],
            keypoints,
        }
    }

    #[test]
    fn a_level_face_is_not_turned() {
        let roi = Roi::from_detection(&detection([20.0, 30.0], [40.0, 30.0]));
        assert_eq!(
            roi,
            Roi {
                cx: 30.0,
                cy: 30.0,
                size: 60.0,
                rotation: 0.0
            }
        );
    }

    #[test]
    fn a_lower_left_eye_turns_clockwise() {
        let roi = Roi::from_detection(&detection([20.0, 30.0], [30.0, 40.0]));
        assert!((roi.rotation - std::f32::consts::FRAC_PI_4).abs() < 1e-6);
    }

    #[test]
    fn landmarks_on_a_turned_square_give_it_back() {
        let (sin, cos) = 0.5f32.sin_cos();
        let at = |u: f32, v: f32| [100.0 + u * cos - v * sin, 50.0 + u * sin + v * cos, 0.0];
        let mut points = vec![at(0.0, 0.0); 478];
        (points[33], points[263]) = (at(-5.0, 0.0), at(5.0, 0.0));
        (points[0], points[1]) = (at(-10.0, -10.0), at(10.0, 10.0));
        let roi = Roi::from_landmarks(&points);
        assert!((roi.cx - 100.0).abs() < 1e-4 && (roi.cy - 50.0).abs() < 1e-4, "{roi:?}");
        assert!(
            (roi.size - 30.0).abs() < 1e-4 && (roi.rotation - 0.5).abs() < 1e-6,
            "{roi:?}"
        );
    }

    #[test]
    fn too_few_or_coincident_or_broken_landmarks_are_not_usable() {
        assert!(!Roi::from_landmarks(&[]).is_usable());
        assert!(!Roi::from_landmarks(&[[1.0; 3]; 263]).is_usable());
        assert!(!Roi::from_landmarks(&[[7.0; 3]; 478]).is_usable());
        assert!(!Roi::from_landmarks(&[[f32::NAN; 3]; 478]).is_usable());
        assert!(!Roi::from_landmarks(&[[f32::INFINITY; 3]; 478]).is_usable());
    }
}
