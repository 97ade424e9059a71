//! Coverage of a shape: how much (0 to 255) of each pixel of an area belongs to it.

use super::canvas::Rect;

/// Areas begin at multiples of this, the coarsest chroma subsampling (4:1:1), so that no block of pixels with a common
/// chroma sample is cut.
const ALIGN: i32 = 4;

/// Shapes of one color. Where they overlap the larger coverage counts, so that joints of a line do not show.
#[derive(Debug)]
pub struct Mask {
    area: Rect,
    data: Vec<u8>,
    reduced: Vec<u8>,
    /// Sums of columns, while reducing.
    sums: Vec<u16>,
    /// Subsampling of what `reduced` holds.
    reduced_for: Option<(u32, u32)>,
}

impl Default for Mask {
    fn default() -> Self {
        Self {
            area: Rect::new(0, 0, 0, 0),
            data: Vec::new(),
            reduced: Vec::new(),
            sums: Vec::new(),
            reduced_for: None,
        }
    }
}

impl Mask {
    /// Starts anew, empty, for shapes within `area` of a picture with these bounds. What lies outside is cut.
    pub fn begin(&mut self, area: Rect, bounds: Rect) {
        let area = area.intersect(&bounds);
        let up = |v: i32, end: i32| (v.saturating_add(ALIGN - 1) / ALIGN * ALIGN).min(end);
        self.area = if area.is_empty() {
            Rect::new(0, 0, 0, 0)
        } else {
            Rect {
                x0: area.x0 / ALIGN * ALIGN,
                y0: area.y0 / ALIGN * ALIGN,
                x1: up(area.x1, bounds.x1),
                y1: up(area.y1, bounds.y1),
            }
        };
        self.data.clear();
        self.data
            .resize(self.area.width() as usize * self.area.height() as usize, 0);
        self.reduced_for = None;
    }

    pub const fn area(&self) -> Rect {
        self.area
    }

    /// A line with round ends; a disc where both ends are the same. Pixel (0, 0) covers [0, 1) in both directions.
    pub fn line(&mut self, a: [f64; 2], b: [f64; 2], width: f64) {
        let radius = (width / 2.0).max(0.5);
        let reach = radius + 0.5;
        let Some((a, b)) = clip(a, b, self.area, reach) else {
            return;
        };
        let direction = [b[0] - a[0], b[1] - a[1]];
        let length2 = direction[0] * direction[0] + direction[1] * direction[1];
        let rows = self.rows(a[1].min(b[1]) - reach, a[1].max(b[1]) + reach);
        for y in rows {
            let center = f64::from(y) + 0.5;
            // The part of the line that is near enough to reach this row.
            let near = |edge: f64| ((edge - a[1]) / direction[1]).clamp(0.0, 1.0);
            let (t0, t1) = if direction[1] == 0.0 {
                (0.0, 1.0)
            } else {
                (near(center - reach), near(center + reach))
            };
            let (xa, xb) = (a[0] + t0 * direction[0], a[0] + t1 * direction[0]);
            let columns = self.columns(xa.min(xb) - reach, xa.max(xb) + reach);
            let row = self.row(y);
            for x in columns {
                let offset = [f64::from(x) + 0.5 - a[0], center - a[1]];
                let along = offset[0] * direction[0] + offset[1] * direction[1];
                let t = if length2 > 0.0 {
                    (along / length2).clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let (dx, dy) = (offset[0] - t * direction[0], offset[1] - t * direction[1]);
                let coverage = (radius + 0.5 - (dx * dx + dy * dy).sqrt()).clamp(0.0, 1.0);
                raise(
                    &mut self.data[row + (x - self.area.x0) as usize],
                    (coverage * 255.0 + 0.5) as u8,
                );
            }
        }
    }

    /// A picture of coverages with its top left corner at (x, y).
    pub fn stamp(&mut self, x: i32, y: i32, width: usize, coverage: &[u8]) {
        let columns = x.max(self.area.x0)..x.saturating_add(width as i32).min(self.area.x1);
        if width == 0 || columns.is_empty() {
            return;
        }
        for (line, y) in coverage.chunks_exact(width).zip(y..) {
            if (self.area.y0..self.area.y1).contains(&y) {
                let start = self.row(y) + (columns.start - self.area.x0) as usize;
                let visible = &line[(columns.start - x) as usize..(columns.end - x) as usize];
                self.data[start..][..visible.len()]
                    .iter_mut()
                    .zip(visible)
                    .for_each(|(c, &to)| raise(c, to));
            }
        }
    }

    /// The coverage for a component with this subsampling (powers of two, at most 2): row by row the mean of each block,
    /// at the picture's edge of what there is of the block.
    pub fn coverage(&mut self, w_sub: u32, h_sub: u32) -> &[u8] {
        if (w_sub, h_sub) == (0, 0) {
            return &self.data;
        }
        if self.reduced_for != Some((w_sub, h_sub)) {
            match w_sub {
                0 => self.reduce::<1>(h_sub),
                1 => self.reduce::<2>(h_sub),
                _ => self.reduce::<4>(h_sub),
            }
            self.reduced_for = Some((w_sub, h_sub));
        }
        &self.reduced
    }

    fn reduce<const WIDTH: usize>(&mut self, h_sub: u32) {
        self.reduced.clear();
        let width = self.area.width() as usize;
        if width == 0 {
            return;
        }
        for band in self.data.chunks(width << h_sub) {
            self.sums.clear();
            self.sums.resize(width, 0);
            for row in band.chunks_exact(width) {
                self.sums.iter_mut().zip(row).for_each(|(sum, &c)| *sum += u16::from(c));
            }
            let rows = (band.len() / width) as u16;
            let (blocks, rest) = self.sums.as_chunks::<WIDTH>();
            let full = rows * WIDTH as u16;
            // A frame of even height has full bands only, and these are powers of two.
            if full.is_power_of_two() {
                let shift = full.trailing_zeros();
                self.reduced.extend(
                    blocks
                        .iter()
                        .map(|block| ((block.iter().sum::<u16>() + full / 2) >> shift) as u8),
                );
            } else {
                self.reduced.extend(
                    blocks
                        .iter()
                        .map(|block| ((block.iter().sum::<u16>() + full / 2) / full) as u8),
                );
            }
            if !rest.is_empty() {
                let count = rows * rest.len() as u16;
                self.reduced
                    .push(((rest.iter().sum::<u16>() + count / 2) / count) as u8);
            }
        }
    }

    fn rows(&self, from: f64, to: f64) -> std::ops::Range<i32> {
        (from.floor() as i32).max(self.area.y0)..(to.ceil() as i32).min(self.area.y1)
    }

    fn columns(&self, from: f64, to: f64) -> std::ops::Range<i32> {
        (from.floor() as i32).max(self.area.x0)..(to.ceil() as i32).min(self.area.x1)
    }

    /// Index of the first pixel of row `y`, which must lie in the area.
    const fn row(&self, y: i32) -> usize {
        (y - self.area.y0) as usize * self.area.width() as usize
    }
}

fn raise(coverage: &mut u8, to: u8) {
    *coverage = (*coverage).max(to);
}

/// The part of the line within `margin` of the area (Liang and Barsky 1984): keeps the arithmetic small whatever the
/// coordinates are. `None` where nothing is left, or for a coordinate that is no number.
fn clip(a: [f64; 2], b: [f64; 2], area: Rect, margin: f64) -> Option<([f64; 2], [f64; 2])> {
    let direction = [b[0] - a[0], b[1] - a[1]];
    if area.is_empty() || !a.iter().chain(&direction).all(|v| v.is_finite()) {
        return None;
    }
    let low = [f64::from(area.x0) - margin, f64::from(area.y0) - margin];
    let high = [f64::from(area.x1) + margin, f64::from(area.y1) + margin];
    let (mut t0, mut t1) = (0.0f64, 1.0f64);
    for axis in 0..2 {
        if direction[axis] == 0.0 {
            if a[axis] < low[axis] || a[axis] > high[axis] {
                return None;
            }
            continue;
        }
        let (enter, leave) = (
            (low[axis] - a[axis]) / direction[axis],
            (high[axis] - a[axis]) / direction[axis],
        );
        t0 = t0.max(enter.min(leave));
        t1 = t1.min(enter.max(leave));
    }
    if t0 > t1 {
        return None;
    }
    let at = |t: f64| [a[0] + t * direction[0], a[1] + t * direction[1]];
    Some((at(t0), at(t1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Rect = Rect::new(0, 0, 10, 7);

    fn mask(area: Rect) -> Mask {
        let mut mask = Mask::default();
        mask.begin(area, BOUNDS);
        mask
    }

    #[test]
    fn areas_are_aligned_and_within_the_picture() {
        assert_eq!(mask(Rect::new(5, 5, 6, 6)).area(), Rect::new(4, 4, 8, 7));
        assert_eq!(mask(Rect::new(-9, -9, i32::MAX, i32::MAX)).area(), BOUNDS);
        assert!(mask(Rect::new(20, 20, 30, 30)).area().is_empty());
    }

    #[test]
    fn an_empty_mask_takes_any_shape() {
        let mut mask = mask(Rect::new(3, 3, 3, 9));
        mask.line([0.0, 0.0], [5.0, 5.0], 2.0);
        mask.stamp(0, 0, 2, &[255; 4]);
        assert!(mask.coverage(1, 1).is_empty());
    }

    #[test]
    fn a_horizontal_line_covers_its_rows() {
        let mut mask = mask(BOUNDS);
        mask.line([-5.0, 3.0], [50.0, 3.0], 2.0);
        let rows: Vec<u8> = mask.coverage(0, 0).chunks(10).map(|row| row[4]).collect();
        assert_eq!(rows, [0, 0, 255, 255, 0, 0, 0]);
    }

    #[test]
    fn lines_without_a_place_cover_nothing() {
        let mut mask = mask(BOUNDS);
        for wild in [f64::NAN, f64::INFINITY, f64::MAX, -f64::MAX] {
            mask.line([wild, 1.0], [wild, 3.0], 2.0);
            mask.line([1.0, wild], [3.0, wild], 2.0);
        }
        mask.line([f64::MAX, 0.0], [f64::MIN, 3.0], 2.0);
        assert!(mask.coverage(0, 0).iter().all(|&c| c == 0));
    }

    #[test]
    fn blocks_at_the_edge_count_what_there_is() {
        let mut mask = mask(BOUNDS);
        mask.stamp(0, 0, 10, &[200; 70]);
        for (w_sub, h_sub, size) in [(1, 1, 5 * 4), (1, 0, 5 * 7), (2, 0, 3 * 7), (2, 2, 3 * 2)] {
            assert_eq!(mask.coverage(w_sub, h_sub), vec![200; size], "{w_sub} {h_sub}");
        }
    }

    #[test]
    fn a_stamp_is_cut_on_every_side() {
        for (x, y) in [
            (-3, -3),
            (8, 5),
            (-100, 2),
            (100, 2),
            (i32::MAX, i32::MAX),
            (i32::MIN, i32::MIN),
        ] {
            mask(BOUNDS).stamp(x, y, 4, &[255; 16]);
        }
    }
}
