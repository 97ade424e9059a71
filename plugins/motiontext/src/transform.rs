//! Projective maps of the plane.

/// Beyond this many pixels nothing is drawn: frames are smaller by far, and below it no sum of the raster overflows.
pub(crate) const FAR: f64 = (1 << 24) as f64;

/// A projective map of points: (x, y) to ((m0 x + m1 y + m2) / w, (m3 x + m4 y + m5) / w), w = m6 x + m7 y + m8. The last row
/// is 0 0 1 but for letters that turn in perspective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform(pub [f64; 9]);

impl Transform {
    pub(crate) const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    pub(crate) fn translate([x, y]: [f64; 2]) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0])
    }

    pub(crate) fn scale([x, y]: [f64; 2]) -> Self {
        Self([x, 0.0, 0.0, 0.0, y, 0.0, 0.0, 0.0, 1.0])
    }

    /// Clockwise, as y grows downwards.
    pub(crate) fn rotate(degrees: f64) -> Self {
        // Quarter turns are exact, so that what is upright again is known to be.
        let (sin, cos) = match degrees.rem_euclid(360.0) {
            0.0 => (0.0, 1.0),
            90.0 => (1.0, 0.0),
            180.0 => (0.0, -1.0),
            270.0 => (-1.0, 0.0),
            other => other.to_radians().sin_cos(),
        };
        Self([cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0])
    }

    pub(crate) fn skew([x, y]: [f64; 2]) -> Self {
        Self([
            1.0,
            x.to_radians().tan(),
            0.0,
            y.to_radians().tan(),
            1.0,
            0.0,
            0.0,
            0.0,
            1.0,
        ])
    }

    /// A plane turned about its axes z, y and x, in this order from the outside, and seen from `distance` px in front of the origin after it
    /// was moved by `at`. Infinitely far away nothing becomes smaller.
    pub(crate) fn turned([x, y, z]: [f64; 3], at: [f64; 2], distance: f64) -> Self {
        let ((sx, cx), (sy, cy)) = (x.to_radians().sin_cos(), y.to_radians().sin_cos());
        // The columns of R_y R_x for the plane's two directions, with depth as the third row.
        let flat = Self([cy, sx * sy, 0.0, 0.0, cx, 0.0, 0.0, 0.0, 1.0]);
        let depth = [-sy, cy * sx];
        let mut turned = Self::translate(at).times(&Self::rotate(z)).times(&flat);
        if distance.is_finite() {
            // CSS Transforms 2, section 4: w = 1 - depth / distance. The turn about z leaves the depth as it is.
            turned.0[6] = -depth[0] / distance;
            turned.0[7] = -depth[1] / distance;
        }
        turned
    }

    /// First `other`, then this.
    pub(crate) fn times(&self, other: &Self) -> Self {
        let (a, b) = (&self.0, &other.0);
        let cell = |index: usize| {
            let (row, column) = (index / 3 * 3, index % 3);
            a[row] * b[column] + a[row + 1] * b[column + 3] + a[row + 2] * b[column + 6]
        };
        Self(std::array::from_fn(cell))
    }

    /// This about a point and not about the origin.
    pub(crate) fn about(&self, [x, y]: [f64; 2]) -> Self {
        Self::translate([x, y]).times(self).times(&Self::translate([-x, -y]))
    }

    /// `None` if everything falls onto a line, or nearly so.
    pub(crate) fn inverse(&self) -> Option<Self> {
        let m = &self.0;
        let minor = |a: usize, b: usize, c: usize, d: usize| m[a] * m[d] - m[b] * m[c];
        let adjugate = [
            minor(4, 5, 7, 8),
            -minor(1, 2, 7, 8),
            minor(1, 2, 4, 5),
            -minor(3, 5, 6, 8),
            minor(0, 2, 6, 8),
            -minor(0, 2, 3, 5),
            minor(3, 4, 6, 7),
            -minor(0, 1, 6, 7),
            minor(0, 1, 3, 4),
        ];
        let determinant = m[0] * adjugate[0] + m[1] * adjugate[3] + m[2] * adjugate[6];
        let inverse = Self(adjugate.map(|value| value / determinant));
        (determinant.abs() > 1e-12 && inverse.is_finite()).then_some(inverse)
    }

    pub(crate) fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w]
    }

    /// Whether everything keeps its size and direction.
    pub(crate) fn only_moves(&self) -> bool {
        let Self([a, b, _, c, d, _, g, h, i]) = *self;
        [a, b, c, d, g, h, i] == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.0.iter().all(|value| value.is_finite())
    }

    pub(crate) fn is_affine(&self) -> bool {
        self.0[6] == 0.0 && self.0[7] == 0.0
    }

    /// Whether lines across and down stay so, or change places.
    pub(crate) fn is_upright(&self) -> bool {
        let Self([a, b, _, c, d, ..]) = *self;
        self.is_affine() && ([b, c] == [0.0; 2] || [a, d] == [0.0; 2])
    }

    /// `None` behind the eye, or too far away to be of interest.
    pub(crate) fn map(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        if w.is_nan() || w < 1e-6 {
            return None;
        }
        let (x, y) = ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w);
        (x.abs() < FAR && y.abs() < FAR).then_some((x, y))
    }

    /// The affine map that is the same near (x, y): columns (a, b), (c, d).
    pub(crate) fn linear_at(&self, x: f64, y: f64) -> Option<[f64; 4]> {
        let m = &self.0;
        let (px, py) = self.map(x, y)?;
        let w = m[6] * x + m[7] * y + m[8];
        Some([
            (m[0] - px * m[6]) / w,
            (m[3] - py * m[6]) / w,
            (m[1] - px * m[7]) / w,
            (m[4] - py * m[7]) / w,
        ])
    }

    /// How much lengths grow, on average, round (x, y).
    pub(crate) fn scale_at(&self, x: f64, y: f64) -> f32 {
        self.linear_at(x, y)
            .map_or(1.0, |[a, b, c, d]| (a * d - b * c).abs().sqrt() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: [f64; 2], b: [f64; 2]) -> bool {
        (a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9
    }

    #[test]
    fn turns_go_clockwise_about_their_point() {
        assert!(close(Transform::rotate(90.0).apply([1.0, 0.0]), [0.0, 1.0]));
        assert!(close(
            Transform::rotate(90.0).about([1.0, 1.0]).apply([2.0, 1.0]),
            [1.0, 2.0]
        ));
        assert!(Transform::rotate(720.0).only_moves() && !Transform::rotate(90.0).only_moves());
        assert!(close(Transform::skew([45.0, 0.0]).apply([0.0, 1.0]), [1.0, 1.0]));
    }

    #[test]
    fn what_comes_nearer_looks_larger() {
        // The left end of a plane that turns about y by a positive angle comes to the front, as CSS has it.
        let turned = Transform::turned([0.0, 30.0, 0.0], [0.0, 0.0], 800.0);
        let (left, right) = (turned.apply([-100.0, 0.0])[0], turned.apply([100.0, 0.0])[0]);
        let flat = 100.0 * 30.0_f64.to_radians().cos();
        assert!((-left).max(right) > flat && (-left).min(right) < flat);
        assert!(close(
            Transform::turned([0.0; 3], [3.0, 4.0], f64::INFINITY).apply([1.0, 1.0]),
            [4.0, 5.0]
        ));
    }

    #[test]
    fn an_inverse_undoes() {
        let matrix = Transform::turned([20.0, 30.0, 40.0], [5.0, 6.0], 400.0);
        let inverse = matrix.inverse().unwrap();
        assert!(close(inverse.apply(matrix.apply([7.0, -8.0])), [7.0, -8.0]));
        assert_eq!(Transform::scale([0.0, 1.0]).inverse(), None);
        assert_eq!(Transform([f64::NAN; 9]).inverse(), None);
    }
}
