//! Letters: Noto Sans Mono (SIL Open Font License), pre-rasterised by `noto-sans-mono-bitmap` at four sizes and resampled
//! for the others.

use super::mask::Mask;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, RasterizedChar, get_raster};
use std::collections::HashMap;

const SIZES: [(usize, RasterHeight); 4] = [
    (16, RasterHeight::Size16),
    (20, RasterHeight::Size20),
    (24, RasterHeight::Size24),
    (32, RasterHeight::Size32),
];
/// Stands for a character that the font does not have.
const UNKNOWN: char = '?';

/// The font at one size. Letters are rasterised when first used; there are fewer than 200.
#[derive(Debug)]
pub struct Font {
    size: usize,
    advance: usize,
    glyphs: HashMap<char, Box<[u8]>>,
}

impl Font {
    /// `size` is the height of a line in pixels.
    pub fn new(size: u32) -> Self {
        let size = size.max(1) as usize;
        let width = letter(UNKNOWN, size).map_or(1, |(glyph, height)| glyph.width() * size / height);
        Self {
            size,
            advance: width.max(1),
            glyphs: HashMap::new(),
        }
    }

    /// Height of a line in pixels.
    pub const fn size(&self) -> u32 {
        self.size as u32
    }

    /// Width of a character in pixels.
    pub const fn advance(&self) -> i32 {
        self.advance as i32
    }

    /// Width of a text in pixels.
    pub fn width(&self, text: &str) -> i32 {
        i32::try_from(text.chars().count())
            .unwrap_or(i32::MAX)
            .saturating_mul(self.advance())
    }

    /// Puts one line of text into the mask with its top left corner at (x, y).
    pub fn draw(&mut self, mask: &mut Mask, x: i32, y: i32, text: &str) {
        let mut x = x;
        for c in text.chars() {
            if x >= mask.area().x1 {
                break;
            }
            if c != ' ' {
                let (size, advance) = (self.size, self.advance);
                // Unknown characters share one entry, so that outside text cannot make the table grow.
                let known = if letter(c, size).is_some() { c } else { UNKNOWN };
                let glyph = self
                    .glyphs
                    .entry(known)
                    .or_insert_with(|| rasterise(known, advance, size));
                mask.stamp(x, y, advance, glyph);
            }
            x = x.saturating_add(self.advance());
        }
    }
}

/// The stored picture to make size `size` of, and its height: the next larger one, or the largest.
fn letter(c: char, size: usize) -> Option<(RasterizedChar, usize)> {
    let (height, raster) = SIZES
        .into_iter()
        .find(|(height, _)| *height >= size)
        .unwrap_or(SIZES[3]);
    Some((get_raster(c, FontWeight::Regular, raster)?, height))
}

fn rasterise(c: char, width: usize, height: usize) -> Box<[u8]> {
    let Some((glyph, _)) = letter(c, height) else {
        return vec![0; width * height].into();
    };
    let columns = weights(glyph.width(), width);
    let rows = weights(glyph.height(), height);
    let mut out = Vec::with_capacity(width * height);
    for (y, row_weights) in &rows {
        for (x, column_weights) in &columns {
            let mut sum = 0.0;
            for (row, wy) in row_weights.iter().enumerate() {
                for (column, wx) in column_weights.iter().enumerate() {
                    sum += f32::from(glyph.pixel(x + column, y + row).unwrap_or(0)) * wx * wy;
                }
            }
            out.push(sum.round() as u8);
        }
    }
    out.into()
}

/// For each of `to` output positions the first of `from` inputs and their weights (sum 1): a triangle filter, which
/// interpolates when enlarging and averages when reducing.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f32 / to as f32;
    let support = scale.max(1.0);
    (0..to)
        .map(|index| {
            let center = (index as f32 + 0.5) * scale - 0.5;
            let first = (center - support).ceil().max(0.0) as usize;
            let last = ((center + support).floor().max(0.0) as usize).min(from - 1);
            let mut weights: Vec<f32> = (first..=last)
                .map(|i| (1.0 - (i as f32 - center).abs() / support).max(0.0))
                .collect();
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|w| *w /= sum.max(f32::EPSILON));
            (first, weights)
        })
        .collect()
}
