//! Walking over the tensor row by row.
//!
//! In a row, positions are linear in the pixel's index. So the pixels whose four neighbours are all inside the frame
//! form one interval, which is solved for once and then sampled without a test per pixel; what is left are a few pixels
//! across the border and black.

use std::ops::Range;

use super::geometry::{Border, Sampling, Window};
use super::source::{ONE, Source, Span};
use super::target::{CHUNK, Colours, Target};
use crate::frame::FrameView;

/// Positions beyond this many pixels are far outside of any frame; below it, no product here can overflow.
const FAR: f64 = (1u64 << 28) as f64;

/// Fills the whole target.
pub(super) fn run(frame: &FrameView<'_>, sampling: &Sampling, target: &mut Target<'_>) {
    let source = Source::new(frame);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, the line above says so.
        unsafe { rows_avx2(&source, sampling, target) };
        return;
    }
    rows(&source, sampling, target);
}

/// The same code, compiled for AVX2: twice as many pixels at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn rows_avx2(source: &Source<'_>, sampling: &Sampling, target: &mut Target<'_>) {
    rows(source, sampling, target);
}

#[inline(always)]
fn rows(source: &Source<'_>, sampling: &Sampling, target: &mut Target<'_>) {
    let Window { x, y, width, height } = sampling.window;
    let columns = x.min(target.width)..x.saturating_add(width).min(target.width);
    let lines = y.min(target.height)..y.saturating_add(height).min(target.height);
    for row in 0..target.height {
        let line = if lines.contains(&row) {
            Line::new(source, sampling, columns.start, row)
        } else {
            None
        };
        match line {
            None => target.black(row, 0, target.width),
            Some(line) => {
                target.black(row, 0, columns.start);
                line.fill(source, target, row, &columns);
                target.black(row, columns.end, target.width);
            }
        }
    }
}

/// Positions of one row, fixed point: pixel `i` of the window shows (x + i dx, y + i dy).
struct Line {
    x: i64,
    y: i64,
    dx: i64,
    dy: i64,
    border: Border,
}

impl Line {
    /// `None` when the map is not finite or far away: nothing of the frame is seen.
    fn new(source: &Source<'_>, sampling: &Sampling, column: usize, row: usize) -> Option<Self> {
        let [a, b, c, d, e, f] = sampling.matrix;
        let (column, row) = (column as f64, row as f64);
        let fixed = |value: f64| (value.abs() <= FAR).then(|| (value * ONE as f64).round() as i64);
        let mut line = Self {
            x: fixed(a * column + b * row + c)?,
            y: fixed(d * column + e * row + f)?,
            dx: fixed(a)?,
            dy: fixed(d)?,
            border: sampling.border,
        };
        if line.border == Border::Replicate && line.dy == 0 {
            // The first and last rows of a resize; a 65536th of a pixel keeps the lower neighbour inside.
            line.y = line.y.clamp(0, ((source.height as i64 - 1) * ONE - 1).max(0));
        }
        Some(line)
    }

    #[inline(always)]
    fn fill(&self, source: &Source<'_>, target: &mut Target<'_>, row: usize, columns: &Range<usize>) {
        let count = columns.len();
        let (width, height) = (source.width as i64, source.height as i64);
        let inside = intersect(
            &solve(self.x, self.dx, 0, (width - 1) * ONE, count),
            &solve(self.y, self.dy, 0, (height - 1) * ONE, count),
        );
        let touching = match self.border {
            Border::Replicate => 0..count,
            Border::Black => intersect(
                &solve(self.x, self.dx, 1 - ONE, width * ONE, count),
                &solve(self.y, self.dy, 1 - ONE, height * ONE, count),
            ),
        };
        let inside = if inside.is_empty() {
            touching.end..touching.end
        } else {
            inside
        };
        target.black(row, columns.start, columns.start + touching.start);
        self.edge(source, target, row, columns.start, touching.start..inside.start);
        let mut colours = Colours::BLACK;
        let mut index = inside.start;
        while index < inside.end {
            let (x, y) = self.at(index);
            let count = (inside.end - index).min(CHUNK);
            // A step that does not fit leaves only one pixel inside, which needs no step.
            let step = |step: i64| if count == 1 { 0 } else { step as i32 };
            let span = Span {
                x: x as i32,
                y: y as i32,
                dx: step(self.dx),
                dy: step(self.dy),
                count,
            };
            source.sample_span(&span, &mut colours);
            target.put(columns.start + index, row, count, &colours);
            index += count;
        }
        self.edge(source, target, row, columns.start, inside.end..touching.end);
        target.black(row, columns.start + touching.end, columns.end);
    }

    /// Pixels that need more care than speed.
    fn edge(&self, source: &Source<'_>, target: &mut Target<'_>, row: usize, first: usize, indices: Range<usize>) {
        let mut colours = Colours::BLACK;
        for index in indices {
            let (x, y) = self.at(index);
            [colours.r[0], colours.g[0], colours.b[0]] = source.sample(x, y, self.border);
            target.put(first + index, row, 1, &colours);
        }
    }

    fn at(&self, index: usize) -> (i64, i64) {
        (self.x + self.dx * index as i64, self.y + self.dy * index as i64)
    }
}

/// The indices below `count` for which `low <= start + index * step < high`.
fn solve(start: i64, step: i64, low: i64, high: i64, count: usize) -> Range<usize> {
    let limit = |value: i64| value.clamp(0, count as i64) as usize;
    let ceil_div = |a: i64, b: i64| -(-a).div_euclid(b);
    match step {
        0 if (low..high).contains(&start) => 0..count,
        0 => 0..0,
        1.. => limit(ceil_div(low - start, step))..limit(ceil_div(high - start, step)),
        // Mirrored: -high < -start + index * -step <= -low.
        _ => limit((start - high).div_euclid(-step) + 1)..limit((start - low).div_euclid(-step) + 1),
    }
}

fn intersect(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn solve_gives_exactly_the_indices_that_fit(
            start in -1000i64..1000, step in -50i64..50, low in -500i64..500, size in 0i64..800, count in 0usize..200,
        ) {
            let high = low + size;
            let range = solve(start, step, low, high, count);
            for index in 0..count {
                let fits = (low..high).contains(&(start + step * index as i64));
                prop_assert_eq!(range.contains(&index), fits, "index {} of {:?}", index, range);
            }
        }
    }
}
