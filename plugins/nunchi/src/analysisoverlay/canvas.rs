//! A picture that shapes are blended into, in whatever raw 8-bit format it is.
//!
//! Every such format is a set of components (R, G, B or Y, U, V, and alpha), each a grid of bytes with an offset, a step
//! and a subsampling. A shape is drawn once per component: at full resolution as it is, in a subsampled component with the
//! share of the block that it covers, so that the color of an edge fades as its brightness does.

use super::mask::Mask;
use std::ops::Range;

/// Samples that are looked at together.
const CHUNK: usize = 32;

/// Half-open pixel rectangle; empty where `x1 <= x0` or `y1 <= y0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    pub x0: i32,
    pub y0: i32,
    pub x1: i32,
    pub y1: i32,
}

impl Rect {
    pub const fn new(x0: i32, y0: i32, x1: i32, y1: i32) -> Self {
        Self { x0, y0, x1, y1 }
    }

    /// From position and size; what exceeds 32 bits lies outside of any frame and is cut there.
    pub fn from_size(x: u32, y: u32, width: u32, height: u32) -> Self {
        let cut = |v: u64| v.min(i32::MAX as u64) as i32;
        let end = |start: u32, size: u32| cut(u64::from(start) + u64::from(size));
        Self::new(cut(x.into()), cut(y.into()), end(x, width), end(y, height))
    }

    pub const fn is_empty(&self) -> bool {
        self.x1 <= self.x0 || self.y1 <= self.y0
    }

    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
    }

    pub const fn width(&self) -> i32 {
        self.x1.saturating_sub(self.x0)
    }

    pub const fn height(&self) -> i32 {
        self.y1.saturating_sub(self.y0)
    }
}

/// Full-range R'G'B'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// How a color becomes component values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColorSpace {
    /// Components are luma and color differences (or luma alone) rather than R, G, B.
    pub yuv: bool,
    /// Luma coefficients of red and blue.
    pub kr: f32,
    pub kb: f32,
    /// 0 to 255 instead of 16 to 235 (240 for color differences).
    pub full_range: bool,
}

impl ColorSpace {
    /// Values of the three color components and of opaque alpha. Equations of ITU-R BT.709, section 3.
    fn values(&self, Color(r, g, b): Color) -> [u8; 4] {
        let (r, g, b) = (f32::from(r), f32::from(g), f32::from(b));
        let (scale, chroma_scale, floor) = if self.full_range {
            (1.0, 1.0, 0.0)
        } else {
            (219.0 / 255.0, 224.0 / 255.0, 16.0)
        };
        let level = |v: f32| (floor + v * scale).round() as u8;
        if !self.yuv {
            return [level(r), level(g), level(b), 255];
        }
        let luma = self.kr * r + (1.0 - self.kr - self.kb) * g + self.kb * b;
        let difference = |v: f32, k: f32| (128.0 + (v - luma) / (2.0 * (1.0 - k)) * chroma_scale).round() as u8;
        [level(luma), difference(b, self.kb), difference(r, self.kr), 255]
    }
}

/// Where the samples of one component lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    pub plane: usize,
    /// Bytes from the start of a row to its first sample.
    pub offset: usize,
    /// Bytes from one sample to the next.
    pub step: usize,
    /// Subsampling as a power of two.
    pub w_sub: u32,
    pub h_sub: u32,
}

impl Component {
    /// The samples of a row of `width` pixels that `x` (pixels) touches.
    fn samples(&self, x: Range<i32>) -> Range<usize> {
        blocks(x, self.w_sub)
    }
}

/// The blocks of `1 << sub` pixels that the non-empty pixel range touches.
fn blocks(range: Range<i32>, sub: u32) -> Range<usize> {
    (range.start >> sub) as usize..((range.end - 1) >> sub) as usize + 1
}

/// Memory layout of a frame. Components in the order Y, U, V, A or R, G, B, A.
#[derive(Debug, Clone)]
pub struct Layout {
    pub width: i32,
    pub height: i32,
    pub components: Vec<Component>,
    /// Bytes from row to row, for each plane.
    pub strides: [usize; 4],
    pub color: ColorSpace,
}

/// A mapped frame. Nothing drawn ever leaves its `width` × `height` pixels; row padding stays as it is.
#[derive(Debug)]
pub struct Canvas<'a> {
    layout: Layout,
    planes: [&'a mut [u8]; 4],
    /// Coverage of one row of samples.
    row: Vec<u8>,
}

impl<'a> Canvas<'a> {
    /// `None` where a plane is too small for the layout, or samples lie more than four bytes apart.
    pub fn new(layout: Layout, planes: [&'a mut [u8]; 4]) -> Option<Self> {
        if layout.width <= 0 || layout.height <= 0 {
            return None;
        }
        for component in &layout.components {
            let columns = component.samples(0..layout.width).end;
            let rows = blocks(0..layout.height, component.h_sub).end;
            let row_end = component.offset + (columns - 1) * component.step + 1;
            let stride = *layout.strides.get(component.plane)?;
            if !(1..=4).contains(&component.step)
                || row_end > stride
                || (rows - 1).checked_mul(stride)?.checked_add(row_end)? > planes[component.plane].len()
            {
                return None;
            }
        }
        Some(Self {
            layout,
            planes,
            row: Vec::new(),
        })
    }

    pub const fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.layout.width, self.layout.height)
    }

    /// Fills a rectangle; `alpha` 255 is opaque.
    pub fn fill(&mut self, rect: Rect, color: Color, alpha: u8) {
        let rect = rect.intersect(&self.bounds());
        if rect.is_empty() || alpha == 0 {
            return;
        }
        let Self { layout, planes, row } = self;
        for (component, value) in layout.components.iter().zip(layout.color.values(color)) {
            let columns = component.samples(rect.x0..rect.x1);
            let mut covered = None;
            for y in blocks(rect.y0..rect.y1, component.h_sub) {
                // The first and last row or column of blocks may be covered in part.
                let rows = share(y, rect.y0..rect.y1, component.h_sub, layout.height);
                if covered != Some(rows) {
                    covered = Some(rows);
                    row.clear();
                    row.extend(columns.clone().map(|x| {
                        let columns = share(x, rect.x0..rect.x1, component.w_sub, layout.width);
                        (f32::from(alpha) * rows * columns + 0.5) as u8
                    }));
                }
                blend(planes, &layout.strides, component, columns.start, y, value, row);
            }
        }
    }

    /// Draws the mask's shape in one color.
    pub fn blend(&mut self, mask: &mut Mask, color: Color) {
        let area = mask.area();
        // A mask that was begun for a larger picture would reach outside of this one.
        if area.is_empty() || area.intersect(&self.bounds()) != area {
            return;
        }
        let values = self.layout.color.values(color);
        for (component, value) in self.layout.components.iter().zip(values) {
            let columns = component.samples(area.x0..area.x1);
            let rows = blocks(area.y0..area.y1, component.h_sub);
            let coverage = mask.coverage(component.w_sub, component.h_sub);
            for (y, coverage) in rows.zip(coverage.chunks_exact(columns.len())) {
                blend(
                    &mut self.planes,
                    &self.layout.strides,
                    component,
                    columns.start,
                    y,
                    value,
                    coverage,
                );
            }
        }
    }
}

/// The share (0 to 1) of block `index` that `range` covers, of what there is of the block in a frame of `size` pixels.
fn share(index: usize, range: Range<i32>, sub: u32, size: i32) -> f32 {
    if sub == 0 {
        return 1.0;
    }
    let start = (index as i32) << sub;
    let end = (start + (1 << sub)).min(size);
    let covered = range.end.min(end) - range.start.max(start);
    covered.max(0) as f32 / (end - start).max(1) as f32
}

/// Blends `value` into the samples of a row from column `x` on, each with its own coverage.
fn blend(
    planes: &mut [&mut [u8]; 4],
    strides: &[usize; 4],
    component: &Component,
    x: usize,
    y: usize,
    value: u8,
    coverage: &[u8],
) {
    let start = y * strides[component.plane] + component.offset + x * component.step;
    let Some(samples) = planes[component.plane].get_mut(start..) else {
        return;
    };
    // Most of a mask is empty: look at many samples at a time.
    for (samples, coverage) in samples.chunks_mut(CHUNK * component.step).zip(coverage.chunks(CHUNK)) {
        if *coverage == [0; CHUNK] {
            continue;
        }
        // With the step known the compiler makes vectors of the common cases.
        match component.step {
            1 => samples
                .iter_mut()
                .zip(coverage)
                .for_each(|(sample, &alpha)| *sample = mix(*sample, value, alpha)),
            2 => mix_all::<2>(samples, value, coverage),
            3 => mix_all::<3>(samples, value, coverage),
            _ => mix_all::<4>(samples, value, coverage),
        }
    }
}

fn mix_all<const STEP: usize>(samples: &mut [u8], value: u8, coverage: &[u8]) {
    for (pixel, &alpha) in samples.chunks_mut(STEP).zip(coverage) {
        pixel[0] = mix(pixel[0], value, alpha);
    }
}

/// `below` and `above` in the ratio 255 − alpha to alpha, rounded.
fn mix(below: u8, above: u8, alpha: u8) -> u8 {
    let sum = u16::from(above) * u16::from(alpha) + u16::from(below) * u16::from(255 - alpha) + 128;
    // Division by 255, exact in this range.
    ((sum + (sum >> 8)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: i32, height: i32, stride: usize) -> Layout {
        let component = Component {
            plane: 0,
            offset: 0,
            step: 1,
            w_sub: 0,
            h_sub: 0,
        };
        let color = ColorSpace {
            yuv: true,
            kr: 0.299,
            kb: 0.114,
            full_range: true,
        };
        Layout {
            width,
            height,
            components: vec![component],
            strides: [stride, 0, 0, 0],
            color,
        }
    }

    #[test]
    fn mixing_is_division_by_255_rounded() {
        for below in 0..=255u8 {
            for above in [0, 1, 127, 128, 254, 255u8] {
                for alpha in 0..=255u8 {
                    let (b, a, k) = (f64::from(below), f64::from(above), f64::from(alpha));
                    assert_eq!(
                        mix(below, above, alpha),
                        ((a * k + b * (255.0 - k)) / 255.0).round() as u8
                    );
                }
            }
        }
    }

    #[test]
    fn a_plane_that_is_too_small_is_refused() {
        for (width, height, stride, size) in [
            (4, 4, 4, 15),
            (4, 4, 3, 16),
            (0, 4, 4, 16),
            (4, 0, 4, 16),
            (-1, 4, 4, 16),
        ] {
            let mut data = vec![0; size];
            let planes: [&mut [u8]; 4] = [&mut data, &mut [], &mut [], &mut []];
            assert!(
                Canvas::new(gray(width, height, stride), planes).is_none(),
                "{width}x{height} in {size}"
            );
        }
    }

    #[test]
    fn the_last_row_needs_no_padding() {
        let mut data = vec![0; 3 * 8 + 4];
        let planes: [&mut [u8]; 4] = [&mut data, &mut [], &mut [], &mut []];
        let mut canvas = Canvas::new(gray(4, 4, 8), planes).unwrap();
        canvas.fill(canvas.bounds(), Color(255, 255, 255), 255);
        assert_eq!(data.iter().filter(|&&v| v == 255).count(), 16);
    }

    #[test]
    fn a_rectangle_of_extreme_corners_is_cut_to_the_frame() {
        let mut data = vec![0; 16];
        let planes: [&mut [u8]; 4] = [&mut data, &mut [], &mut [], &mut []];
        let mut canvas = Canvas::new(gray(4, 4, 4), planes).unwrap();
        canvas.fill(Rect::new(i32::MAX, 0, i32::MIN, 4), Color(255, 255, 255), 255);
        canvas.fill(Rect::new(i32::MIN, 3, i32::MAX, i32::MAX), Color(255, 255, 255), 255);
        assert_eq!(data.iter().filter(|&&v| v == 255).count(), 4);
    }

    #[test]
    fn colors_are_the_standard_ones() {
        let bt601 = ColorSpace {
            yuv: true,
            kr: 0.299,
            kb: 0.114,
            full_range: false,
        };
        assert_eq!(bt601.values(Color(255, 255, 255)), [235, 128, 128, 255]);
        assert_eq!(bt601.values(Color(255, 0, 0)), [81, 90, 240, 255]);
        assert_eq!(bt601.values(Color(0, 0, 0)), [16, 128, 128, 255]);
    }
}
