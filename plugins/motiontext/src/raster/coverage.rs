//! From an outline to how much of each pixel it covers, exactly.
//!
//! Each edge adds, in each row that it crosses, the area to its right to one pixel and what is left of its height to the
//! next; the sum along the row is then the coverage. Overlapping parts count once (the non-zero rule, but for pixels
//! where contours of opposite directions meet).

use std::f32::consts::SQRT_2;

use zeno::{Command, Point};

use super::geometry::Rect;
use crate::transform::{FAR, Transform};

/// Curves are cut into lines that are off by no more than this, px.
const TOLERANCE: f32 = 0.1;
/// Of one curve.
const MAX_LINES: f32 = 64.0;

pub type Path = Vec<Command>;

/// Coverage of the pixels of a rectangle, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mask {
    pub rect: Rect,
    pub data: Vec<u8>,
}

impl Mask {
    pub fn row(&self, y: i32) -> &[u8] {
        let width = self.rect.width();
        let start = (y - self.rect.y0) as usize * width;
        &self.data[start..start + width]
    }
}

/// The path where the map takes it. `None` if any of it is behind the eye, endless or far away.
pub fn mapped(path: &[Command], matrix: &Transform) -> Option<Path> {
    let map = |point: &Point| {
        let (x, y) = matrix.map(point.x.into(), point.y.into())?;
        Some(Point::new(x as f32, y as f32))
    };
    path.iter()
        .map(|command| {
            Some(match command {
                Command::MoveTo(to) => Command::MoveTo(map(to)?),
                Command::LineTo(to) => Command::LineTo(map(to)?),
                Command::QuadTo(by, to) => Command::QuadTo(map(by)?, map(to)?),
                Command::CurveTo(by, and, to) => Command::CurveTo(map(by)?, map(and)?, map(to)?),
                Command::Close => Command::Close,
            })
        })
        .collect()
}

/// A rectangle from the origin with elliptic corners of the given radii, clockwise from the top left.
pub fn rounded(x0: f32, y0: f32, x1: f32, y1: f32, radii: [[f32; 2]; 4]) -> Path {
    /// How far the handles of a quarter circle reach.
    const KAPPA: f32 = 4.0 / 3.0 * (SQRT_2 - 1.0);
    let mut path = Vec::with_capacity(10);
    // Of each corner: where it is, and the directions along the edge that comes in and the edge that goes out.
    let corners = [
        ([x0, y0], [0.0, -1.0], [1.0, 0.0]),
        ([x1, y0], [1.0, 0.0], [0.0, 1.0]),
        ([x1, y1], [0.0, 1.0], [-1.0, 0.0]),
        ([x0, y1], [-1.0, 0.0], [0.0, -1.0]),
    ];
    for (([x, y], before, after), [rx, ry]) in corners.into_iter().zip(radii) {
        let at = |k: f32, [dx, dy]: [f32; 2]| Point::new(x + dx * rx * k, y + dy * ry * k);
        let start = at(-1.0, before);
        path.push(if path.is_empty() {
            Command::MoveTo(start)
        } else {
            Command::LineTo(start)
        });
        if rx > 0.0 && ry > 0.0 {
            path.push(Command::CurveTo(
                at(KAPPA - 1.0, before),
                at(1.0 - KAPPA, after),
                at(1.0, after),
            ));
        }
    }
    path.push(Command::Close);
    path
}

/// The pixels that the path may touch, `None` if it is nowhere or endless.
pub fn bounds(path: &[Command]) -> Option<Rect> {
    let mut low = [f32::INFINITY; 2];
    let mut high = [f32::NEG_INFINITY; 2];
    let mut add = |point: &Point| {
        // A NaN is not less than anything: it must not slip through.
        let sound = point.x.abs() < FAR as f32 && point.y.abs() < FAR as f32;
        low = [low[0].min(point.x), low[1].min(point.y)];
        high = [high[0].max(point.x), high[1].max(point.y)];
        sound
    };
    let sound = path.iter().all(|command| match command {
        Command::MoveTo(to) | Command::LineTo(to) => add(to),
        Command::QuadTo(by, to) => add(by) && add(to),
        Command::CurveTo(by, and, to) => add(by) && add(and) && add(to),
        Command::Close => true,
    });
    (sound && low[0] <= high[0]).then(|| Rect {
        x0: low[0].floor() as i32,
        y0: low[1].floor() as i32,
        x1: high[0].ceil() as i32,
        y1: high[1].ceil() as i32,
    })
}

/// The coverage of the part of the path within `clip`; `None` if there is none.
pub fn fill(path: &[Command], clip: &Rect) -> Option<Mask> {
    let rect = bounds(path)?.intersect(clip);
    if rect.is_empty() {
        return None;
    }
    let mut sums = Sums::new(rect);
    let mut start = Point::new(0.0, 0.0);
    let mut from = start;
    for command in path {
        match *command {
            Command::MoveTo(to) => {
                sums.line(from, start);
                start = to;
                from = to;
            }
            Command::LineTo(to) => {
                sums.line(from, to);
                from = to;
            }
            Command::QuadTo(by, to) => {
                // The error of n lines is |second difference| / (8 n n) of a quarter of the bend.
                let bend = (from.x - 2.0 * by.x + to.x).hypot(from.y - 2.0 * by.y + to.y);
                let count = steps(bend / 4.0);
                let mut last = from;
                for step in 1..=count {
                    let t = step as f32 / count as f32;
                    let s = 1.0 - t;
                    let at = |a: f32, b: f32, c: f32| s * s * a + 2.0 * s * t * b + t * t * c;
                    let next = Point::new(at(from.x, by.x, to.x), at(from.y, by.y, to.y));
                    sums.line(last, next);
                    last = next;
                }
                from = to;
            }
            Command::CurveTo(by, and, to) => {
                let first = (from.x - 2.0 * by.x + and.x).hypot(from.y - 2.0 * by.y + and.y);
                let second = (by.x - 2.0 * and.x + to.x).hypot(by.y - 2.0 * and.y + to.y);
                let count = steps(first.max(second) * 0.75);
                let mut last = from;
                for step in 1..=count {
                    let t = step as f32 / count as f32;
                    let s = 1.0 - t;
                    let at = |a: f32, b: f32, c: f32, d: f32| {
                        s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
                    };
                    let next = Point::new(at(from.x, by.x, and.x, to.x), at(from.y, by.y, and.y, to.y));
                    sums.line(last, next);
                    last = next;
                }
                from = to;
            }
            Command::Close => {
                sums.line(from, start);
                from = start;
            }
        }
    }
    sums.line(from, start);
    Some(sums.finish())
}

/// Into how many lines a curve is cut that is `bend` away from its chord.
fn steps(bend: f32) -> u32 {
    (bend / TOLERANCE).sqrt().ceil().clamp(1.0, MAX_LINES) as u32
}

struct Sums {
    rect: Rect,
    /// One more than the width: what is right of the rectangle goes there.
    stride: usize,
    width: f32,
    height: f32,
    data: Vec<f32>,
}

impl Sums {
    fn new(rect: Rect) -> Self {
        let stride = rect.width() + 2;
        Self {
            rect,
            stride,
            width: rect.width() as f32,
            height: rect.height() as f32,
            data: vec![0.0; stride * rect.height()],
        }
    }

    fn line(&mut self, from: Point, to: Point) {
        let shift = |point: Point| (point.x - self.rect.x0 as f32, point.y - self.rect.y0 as f32);
        let ((x0, y0), (x1, y1)) = (shift(from), shift(to));
        if y0 == y1 {
            return;
        }
        let (direction, x0, y0, x1, y1) = if y0 < y1 {
            (1.0, x0, y0, x1, y1)
        } else {
            (-1.0, x1, y1, x0, y0)
        };
        if y1 <= 0.0 || y0 >= self.height {
            return;
        }
        // Where it leaves the rectangle on a side it goes on along that side: cut there, if it does.
        let slope = (x1 - x0) / (y1 - y0);
        let mut cuts = [y0, y0, y1, y1];
        if slope != 0.0 {
            let at = |x: f32| (y0 + (x - x0) / slope).clamp(y0, y1);
            let (left, right) = (at(0.0), at(self.width));
            cuts[1] = left.min(right);
            cuts[2] = left.max(right);
        }
        for pair in cuts.windows(2) {
            let x_at = |y: f32| (x0 + (y - y0) * slope).clamp(0.0, self.width);
            if pair[1] > pair[0] {
                let (a, b) = (x_at(pair[0]), x_at(pair[1]));
                self.edge(direction, a, pair[0], b, pair[1]);
            }
        }
    }

    /// From top to bottom, within the rectangle's width.
    fn edge(&mut self, direction: f32, x0: f32, y0: f32, x1: f32, y1: f32) {
        let slope = (x1 - x0) / (y1 - y0);
        let mut x = if y0 < 0.0 { x0 - y0 * slope } else { x0 };
        let first = y0.max(0.0);
        let last = y1.min(self.height);
        let mut y = first;
        let mut row = first as usize;
        while y < last {
            let end = ((row + 1) as f32).min(last);
            let dy = end - y;
            let next = (x + slope * dy).clamp(0.0, self.width);
            let d = dy * direction;
            let (left, right) = if x < next { (x, next) } else { (next, x) };
            let line = &mut self.data[row * self.stride..(row + 1) * self.stride];
            let left_floor = left.floor();
            let at = left_floor as usize;
            let until = right.ceil() as usize;
            if until <= at + 1 {
                let middle = 0.5 * (left + right) - left_floor;
                line[at] += d - d * middle;
                line[at + 1] += d * middle;
            } else {
                let share = 1.0 / (right - left);
                let start = left - left_floor;
                let area = 0.5 * share * (1.0 - start) * (1.0 - start);
                let rest = right - until as f32 + 1.0;
                let last_area = 0.5 * share * rest * rest;
                line[at] += d * area;
                if until == at + 2 {
                    line[at + 1] += d * (1.0 - area - last_area);
                } else {
                    let second = share * (1.5 - start);
                    line[at + 1] += d * (second - area);
                    for value in &mut line[at + 2..until - 1] {
                        *value += d * share;
                    }
                    let sum = second + (until - at - 3) as f32 * share;
                    line[until - 1] += d * (1.0 - sum - last_area);
                }
                line[until] += d * last_area;
            }
            x = next;
            y = end;
            row += 1;
        }
    }

    fn finish(self) -> Mask {
        let width = self.rect.width();
        let mut data = Vec::with_capacity(width * self.rect.height());
        for line in self.data.chunks_exact(self.stride) {
            let mut sum = 0.0;
            data.extend(line[..width].iter().map(|value| {
                sum += value;
                (sum.abs().min(1.0) * 255.0 + 0.5) as u8
            }));
        }
        Mask { rect: self.rect, data }
    }
}
