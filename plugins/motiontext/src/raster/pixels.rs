//! Premultiplied pixels and how things are laid over them.
//!
//! A pixel is 0xAARRGGBB, so that its bytes lie as B, G, R, A on little-endian machines. Two channels are worked on at a
//! time, in the halves of 32 bits, in loops that the compiler turns into vector code.

use super::coverage::Mask;
use super::geometry::Rect;
use crate::scene::Rgba;

/// Every other channel: red and blue.
const ODD: u32 = 0x00ff_00ff;
const HALF: u32 = 0x0080_0080;

/// Premultiplied pixels of a rectangle of the frame, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Surface {
    pub rect: Rect,
    pub pixels: Vec<u32>,
}

/// How pixels meet what is below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Over,
    Screen,
}

/// Channels of 0..=255 as a share of 256: 255 must be the whole.
#[inline(always)]
fn share(value: u32) -> u32 {
    value + (value >> 7)
}

/// The pixel times `factor` / 256.
#[inline(always)]
fn scaled(pixel: u32, factor: u32) -> u32 {
    let odd = (((pixel & ODD) * factor + HALF) >> 8) & ODD;
    let even = (((pixel >> 8) & ODD) * factor + HALF) & !ODD;
    odd | even
}

#[inline(always)]
fn over(below: u32, above: u32) -> u32 {
    above + scaled(below, 256 - share(above >> 24))
}

/// Screen of premultiplied colours: a + b - a b in every channel, alpha too.
#[inline(always)]
fn screen(below: u32, above: u32) -> u32 {
    let mut out = 0;
    for shift in [0, 8, 16, 24] {
        let (a, b) = ((below >> shift) & 0xff, (above >> shift) & 0xff);
        out |= (a + b - (a * b + 127) / 255) << shift;
    }
    out
}

/// Straight colour times `opacity`, premultiplied.
pub fn premultiplied(color: &Rgba, opacity: f32) -> u32 {
    let unit = |value: f32| if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    let alpha = unit(color.a) * unit(opacity);
    let channel = |value: f32| (unit(value) * alpha * 255.0 + 0.5) as u32;
    ((alpha * 255.0 + 0.5) as u32) << 24 | channel(color.r) << 16 | channel(color.g) << 8 | channel(color.b)
}

impl Surface {
    /// Fully transparent.
    pub fn new(rect: Rect) -> Self {
        Self {
            rect,
            pixels: vec![0; rect.area()],
        }
    }

    pub fn row_mut(&mut self, y: i32, x0: i32, x1: i32) -> &mut [u32] {
        let start = (y - self.rect.y0) as usize * self.rect.width();
        &mut self.pixels[start..][(x0 - self.rect.x0) as usize..(x1 - self.rect.x0) as usize]
    }

    pub fn row(&self, y: i32, x0: i32, x1: i32) -> &[u32] {
        let start = (y - self.rect.y0) as usize * self.rect.width();
        &self.pixels[start..][(x0 - self.rect.x0) as usize..(x1 - self.rect.x0) as usize]
    }

    /// Makes `rect` transparent.
    pub fn clear(&mut self, rect: &Rect) {
        let rect = rect.intersect(&self.rect);
        for y in rect.y0..rect.y1 {
            self.row_mut(y, rect.x0, rect.x1).fill(0);
        }
    }

    /// Lays the colour where the mask, moved by `at`, has coverage; only inside of `clip`.
    pub fn stamp(&mut self, mask: &Mask, at: (i32, i32), color: u32, clip: &Rect) {
        let rect = mask.rect.moved(at.0, at.1).intersect(clip).intersect(&self.rect);
        let from = (rect.x0 - mask.rect.x0 - at.0) as usize;
        for y in rect.y0..rect.y1 {
            let coverage = &mask.row(y - at.1)[from..from + rect.width()];
            stamp_row(self.row_mut(y, rect.x0, rect.x1), coverage, color);
        }
    }

    /// Lays the pixels times `opacity` / 256 over those here, moved by `at`; only inside of `clip`.
    pub fn lay(&mut self, above: &Self, at: (i32, i32), opacity: u32, mode: Mode, clip: &Rect) {
        let rect = above.rect.moved(at.0, at.1).intersect(clip).intersect(&self.rect);
        for y in rect.y0..rect.y1 {
            let source = above.row(y - at.1, rect.x0 - at.0, rect.x1 - at.0);
            lay_row(self.row_mut(y, rect.x0, rect.x1), source, opacity, mode);
        }
    }

    /// Keeps what the mask covers.
    pub fn cut(&mut self, mask: &Mask) {
        let rect = mask.rect.intersect(&self.rect);
        for y in self.rect.y0..self.rect.y1 {
            let (x0, x1) = (self.rect.x0, self.rect.x1);
            if y < rect.y0 || y >= rect.y1 {
                self.row_mut(y, x0, x1).fill(0);
                continue;
            }
            self.row_mut(y, x0, rect.x0).fill(0);
            self.row_mut(y, rect.x1, x1).fill(0);
            let coverage = &mask.row(y)[(rect.x0 - mask.rect.x0) as usize..];
            for (pixel, &coverage) in self.row_mut(y, rect.x0, rect.x1).iter_mut().zip(coverage) {
                *pixel = scaled(*pixel, share(coverage.into()));
            }
        }
    }
}

fn stamp_row(row: &mut [u32], coverage: &[u8], color: u32) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, the line above says so.
        unsafe { stamp_row_avx2(row, coverage, color) };
        return;
    }
    stamp_row_any(row, coverage, color);
}

/// The same code, compiled for AVX2: eight pixels at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn stamp_row_avx2(row: &mut [u32], coverage: &[u8], color: u32) {
    stamp_row_any(row, coverage, color);
}

#[inline(always)]
fn stamp_row_any(row: &mut [u32], coverage: &[u8], color: u32) {
    for (pixel, &coverage) in row.iter_mut().zip(coverage) {
        *pixel = over(*pixel, scaled(color, share(coverage.into())));
    }
}

fn lay_row(row: &mut [u32], above: &[u32], opacity: u32, mode: Mode) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, the line above says so.
        unsafe { lay_row_avx2(row, above, opacity, mode) };
        return;
    }
    lay_row_any(row, above, opacity, mode);
}

/// The same code, compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn lay_row_avx2(row: &mut [u32], above: &[u32], opacity: u32, mode: Mode) {
    lay_row_any(row, above, opacity, mode);
}

#[inline(always)]
fn lay_row_any(row: &mut [u32], above: &[u32], opacity: u32, mode: Mode) {
    match mode {
        Mode::Over => {
            for (pixel, &above) in row.iter_mut().zip(above) {
                *pixel = over(*pixel, scaled(above, opacity));
            }
        }
        Mode::Screen => {
            for (pixel, &above) in row.iter_mut().zip(above) {
                *pixel = screen(*pixel, scaled(above, opacity));
            }
        }
    }
}
