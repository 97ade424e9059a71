//! Rectangles of whole pixels and projective maps.

use crate::scene::Transform;

/// Beyond this many pixels nothing is drawn: frames are smaller by far, and below it no sum here overflows.
pub const FAR: f64 = (1 << 24) as f64;

/// Half open: from (x0, y0) up to but without (x1, y1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    pub x0: i32,
    pub y0: i32,
    pub x1: i32,
    pub y1: i32,
}

impl Rect {
    pub const EMPTY: Self = Self {
        x0: 0,
        y0: 0,
        x1: 0,
        y1: 0,
    };

    pub fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self {
            x0: x,
            y0: y,
            x1: x.saturating_add_unsigned(width),
            y1: y.saturating_add_unsigned(height),
        }
    }

    pub fn width(&self) -> usize {
        (i64::from(self.x1) - i64::from(self.x0)).max(0) as usize
    }

    pub fn height(&self) -> usize {
        (i64::from(self.y1) - i64::from(self.y0)).max(0) as usize
    }

    pub fn area(&self) -> usize {
        self.width().saturating_mul(self.height())
    }

    pub fn is_empty(&self) -> bool {
        self.x0 >= self.x1 || self.y0 >= self.y1
    }

    pub fn intersect(&self, other: &Self) -> Self {
        let common = Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        };
        if common.is_empty() { Self::EMPTY } else { common }
    }

    /// The smallest that holds both.
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() {
            return *other;
        }
        if other.is_empty() {
            return *self;
        }
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    pub fn grown(&self, by: i32) -> Self {
        if self.is_empty() {
            return Self::EMPTY;
        }
        Self {
            x0: self.x0.saturating_sub(by),
            y0: self.y0.saturating_sub(by),
            x1: self.x1.saturating_add(by),
            y1: self.y1.saturating_add(by),
        }
    }

    pub fn moved(&self, x: i32, y: i32) -> Self {
        Self {
            x0: self.x0.saturating_add(x),
            y0: self.y0.saturating_add(y),
            x1: self.x1.saturating_add(x),
            y1: self.y1.saturating_add(y),
        }
    }
}

/// As `Transform`, with what the raster asks of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix(pub [f64; 9]);

impl From<&Transform> for Matrix {
    fn from(transform: &Transform) -> Self {
        Self(transform.0)
    }
}

impl Matrix {
    pub const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);

    pub fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0])
    }

    pub fn is_finite(&self) -> bool {
        self.0.iter().all(|value| value.is_finite())
    }

    pub fn is_affine(&self) -> bool {
        self.0[6] == 0.0 && self.0[7] == 0.0
    }

    /// First `inner`, then this.
    pub fn after(&self, inner: &Self) -> Self {
        let (a, b) = (&self.0, &inner.0);
        let mut out = [0.0; 9];
        for (at, value) in out.iter_mut().enumerate() {
            let (row, column) = (at / 3 * 3, at % 3);
            *value = a[row] * b[column] + a[row + 1] * b[3 + column] + a[row + 2] * b[6 + column];
        }
        Self(out)
    }

    /// `None` behind the eye, or too far away to be of interest.
    pub fn map(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let m = &self.0;
        let w = m[6] * x + m[7] * y + m[8];
        if w.is_nan() || w < 1e-6 {
            return None;
        }
        let (x, y) = ((m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w);
        (x.abs() < FAR && y.abs() < FAR).then_some((x, y))
    }

    pub fn inverse(&self) -> Option<Self> {
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

    /// The affine map that is the same near (x, y): columns (a, b), (c, d).
    pub fn linear_at(&self, x: f64, y: f64) -> Option<[f64; 4]> {
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
    pub fn scale_at(&self, x: f64, y: f64) -> f32 {
        self.linear_at(x, y)
            .map_or(1.0, |[a, b, c, d]| (a * d - b * c).abs().sqrt() as f32)
    }
}
