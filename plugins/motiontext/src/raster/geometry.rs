//! Rectangles of whole pixels.

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
