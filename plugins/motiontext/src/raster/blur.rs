//! Gaussian blur as Skia's software raster does it: exactly when it is narrow, else by three running averages.

use std::f32::consts::PI;

use super::coverage::Mask;
use super::geometry::Rect;
use super::pixels::Surface;

/// Wider blurs are not told apart from each other, and cost memory.
const MAX_SIGMA: f32 = 128.0;
/// Below this nothing is to be seen of it.
const MIN_SIGMA: f32 = 0.05;
/// Up to here the kernel itself; above, running averages.
const EXACT: f32 = 2.0;

/// How far a blur spreads, px.
pub fn reach(sigma: f32) -> i32 {
    if sound(sigma) == 0.0 {
        0
    } else {
        (3.0 * sound(sigma)).ceil() as i32
    }
}

fn sound(sigma: f32) -> f32 {
    if sigma.is_nan() || sigma < MIN_SIGMA {
        0.0
    } else {
        sigma.min(MAX_SIGMA)
    }
}

/// The mask, blurred and as much larger as the blur spreads.
pub fn mask(mask: &Mask, sigma: f32) -> Mask {
    let reach = reach(sigma);
    if reach == 0 {
        return mask.clone();
    }
    let rect = mask.rect.grown(reach);
    let mut planes = vec![0.0; rect.area()];
    copy_in(&mut planes, &rect, &mask.rect, |at| f32::from(mask.data[at]));
    blur_plane(&mut planes, rect.width(), rect.height(), sound(sigma));
    Mask {
        rect,
        data: planes.iter().map(|value| (value + 0.5) as u8).collect(),
    }
}

/// The surface, blurred in place: what spreads beyond it is lost.
pub fn surface(surface: &mut Surface, sigma: f32) {
    let sigma = sound(sigma);
    if sigma == 0.0 || surface.rect.is_empty() {
        return;
    }
    let (width, height) = (surface.rect.width(), surface.rect.height());
    let mut plane = vec![0.0; width * height];
    for shift in [0, 8, 16, 24] {
        for (value, pixel) in plane.iter_mut().zip(&surface.pixels) {
            *value = ((pixel >> shift) & 0xff) as f32;
        }
        blur_plane(&mut plane, width, height, sigma);
        for (value, pixel) in plane.iter().zip(&mut surface.pixels) {
            *pixel = (*pixel & !(0xff << shift)) | (((value + 0.5) as u32).min(255) << shift);
        }
    }
}

fn copy_in(plane: &mut [f32], rect: &Rect, inner: &Rect, value: impl Fn(usize) -> f32) {
    let (width, inner_width) = (rect.width(), inner.width());
    for row in 0..inner.height() {
        let y = (inner.y0 - rect.y0) as usize + row;
        let x = (inner.x0 - rect.x0) as usize;
        for column in 0..inner_width {
            plane[y * width + x + column] = value(row * inner_width + column);
        }
    }
}

fn blur_plane(plane: &mut [f32], width: usize, height: usize, sigma: f32) {
    if sigma < EXACT {
        let kernel = kernel(sigma);
        convolve_rows(plane, width, &kernel);
        convolve_columns(plane, width, height, &kernel);
    } else {
        // https://drafts.fxtf.org/filter-effects/#funcdef-filter-blur: for even windows the first two are off by half a
        // pixel to either side, and the third is one longer.
        let window = (sigma * 3.0 * (2.0 * PI).sqrt() / 4.0 + 0.5).floor() as usize;
        let half = window / 2;
        let passes = if window % 2 == 1 {
            [(half, half); 3]
        } else {
            [(half, half - 1), (half - 1, half), (half, half)]
        };
        let mut line = vec![0.0; width.max(height)];
        for (before, after) in passes {
            for row in plane.chunks_exact_mut(width) {
                average_row(row, &mut line, before, after);
            }
            average_columns(plane, width, height, before, after);
        }
    }
}

/// The right half of the kernel, the middle first.
fn kernel(sigma: f32) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil() as i32;
    let weight = |x: i32| (-((x * x) as f32) / (2.0 * sigma * sigma)).exp();
    let sum: f32 = (-reach..=reach).map(weight).sum();
    (0..=reach).map(|x| weight(x) / sum).collect()
}

fn convolve_rows(plane: &mut [f32], width: usize, kernel: &[f32]) {
    let reach = kernel.len() - 1;
    let mut padded = vec![0.0; width + 2 * reach];
    for row in plane.chunks_exact_mut(width) {
        padded[reach..reach + width].copy_from_slice(row);
        for value in row.iter_mut() {
            *value = 0.0;
        }
        for (distance, weight) in kernel.iter().enumerate() {
            let left = &padded[reach - distance..][..width];
            let right = &padded[reach + distance..][..width];
            let weight = if distance == 0 { weight / 2.0 } else { *weight };
            for ((value, a), b) in row.iter_mut().zip(left).zip(right) {
                *value += weight * (a + b);
            }
        }
    }
}

fn convolve_columns(plane: &mut [f32], width: usize, height: usize, kernel: &[f32]) {
    let source = plane.to_vec();
    let reach = kernel.len() - 1;
    for (y, row) in plane.chunks_exact_mut(width).enumerate() {
        row.fill(0.0);
        let from = y.saturating_sub(reach);
        let until = (y + reach + 1).min(height);
        for other in from..until {
            let weight = kernel[other.abs_diff(y)];
            for (value, a) in row.iter_mut().zip(&source[other * width..(other + 1) * width]) {
                *value += weight * a;
            }
        }
    }
}

/// Each value becomes the mean of those from `before` to its left up to `after` to its right.
fn average_row(row: &mut [f32], line: &mut [f32], before: usize, after: usize) {
    let width = row.len();
    let line = &mut line[..width];
    line.copy_from_slice(row);
    let share = 1.0 / (before + after + 1) as f32;
    let mut sum: f32 = line[..after.min(width)].iter().sum();
    for (x, value) in row.iter_mut().enumerate() {
        sum += line.get(x + after).copied().unwrap_or(0.0);
        *value = (sum * share).max(0.0);
        if x >= before {
            sum -= line[x - before];
        }
    }
}

fn average_columns(plane: &mut [f32], width: usize, height: usize, before: usize, after: usize) {
    let source = plane.to_vec();
    let share = 1.0 / (before + after + 1) as f32;
    let row = |y: usize| &source[y * width..(y + 1) * width];
    let mut sums = vec![0.0; width];
    for y in 0..after.min(height) {
        for (sum, value) in sums.iter_mut().zip(row(y)) {
            *sum += value;
        }
    }
    for (y, out) in plane.chunks_exact_mut(width).enumerate() {
        if y + after < height {
            for (sum, value) in sums.iter_mut().zip(row(y + after)) {
                *sum += value;
            }
        }
        for (value, sum) in out.iter_mut().zip(&sums) {
            *value = (sum * share).max(0.0);
        }
        if y >= before {
            for (sum, value) in sums.iter_mut().zip(row(y - before)) {
                *sum -= value;
            }
        }
    }
}
