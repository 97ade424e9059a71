//! CSS filters on a surface, and the radial gradient of the glow effect.

use super::blur;
use super::coverage::Mask;
use super::pixels::{Surface, premultiplied};
use crate::scene::{Filter, Rgba};
use crate::transform::Transform;

/// In order; `scale` is from the item's own pixels to those of the surface.
pub fn apply(surface: &mut Surface, filters: &[Filter], scale: f32) {
    for filter in filters {
        match *filter {
            Filter::Blur(sigma) => blur::surface(surface, sigma * scale),
            Filter::Brightness(factor) => each(surface, factor, |color, _, factor| color.map(|c| c * factor)),
            Filter::Contrast(factor) => each(surface, factor, |color, alpha, factor| {
                color.map(|c| (c - alpha / 2.0) * factor + alpha / 2.0)
            }),
            // https://drafts.fxtf.org/filter-effects/#ref-for-attr-valuedef-type-saturate
            Filter::Saturate(factor) => each(surface, factor, |[r, g, b], _, factor| {
                let grey = 0.213 * r + 0.715 * g + 0.072 * b;
                [r, g, b].map(|c| grey + (c - grey) * factor)
            }),
        }
    }
}

/// Colours are premultiplied; what leaves 0..=alpha is put back.
fn each(surface: &mut Surface, factor: f32, change: impl Fn([f32; 3], f32, f32) -> [f32; 3]) {
    if factor.is_nan() || factor < 0.0 {
        return;
    }
    let factor = factor.min(1e4);
    for pixel in &mut surface.pixels {
        let [b, g, r, a] = pixel.to_le_bytes();
        if a == 0 {
            continue;
        }
        let alpha = f32::from(a);
        let color = change([r, g, b].map(f32::from), alpha, factor);
        let [r, g, b] = color.map(|value| (value.clamp(0.0, alpha) + 0.5) as u8);
        *pixel = u32::from_le_bytes([b, g, r, a]);
    }
}

/// A round gradient from the middle of a box of `size`, through `mask`.
pub fn glow(
    surface: &mut Surface,
    mask: &Mask,
    inverse: &Transform,
    size: [f32; 2],
    color: &Rgba,
    solid: f32,
    radius: f32,
) {
    let half = size.map(|side| f64::from(side) / 2.0);
    if !(half[0] > 0.0 && half[1] > 0.0) {
        return;
    }
    let corner = half[0].hypot(half[1]);
    for y in surface.rect.y0..surface.rect.y1 {
        let coverage = mask.row(y);
        let x0 = surface.rect.x0;
        let row = surface.row_mut(y, x0, mask.rect.x1);
        for ((pixel, &coverage), x) in row.iter_mut().zip(coverage).zip(x0..) {
            let Some((u, v)) = inverse.map(f64::from(x) + 0.5, f64::from(y) + 0.5) else {
                continue;
            };
            let distance = ((u - half[0]).hypot(v - half[1]) / corner) as f32;
            let share = if distance <= solid {
                1.0
            } else if distance < radius {
                (radius - distance) / (radius - solid)
            } else {
                0.0
            };
            *pixel = premultiplied(color, share * f32::from(coverage) / 255.0);
        }
    }
}
