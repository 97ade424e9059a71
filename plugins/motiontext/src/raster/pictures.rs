//! Pictures at any map: sampled between pixels, from a smaller copy when they are shrunk.

use std::{collections::HashMap, sync::Arc};

use skrifa::{
    GlyphId,
    bitmap::{BitmapData, BitmapStrikes, Origin},
};

use super::coverage::{self, Mask};
use super::geometry::Rect;
use super::pixels::Surface;
use crate::fonts::{FontId, Fonts, guarded};
use crate::image;
use crate::scene::Image;
use crate::transform::Transform;

/// Pictures of glyphs that are kept, and those that were looked for.
const MAX_EMOJI: usize = 256;
/// Pixels of such a picture; those of real fonts have 512 x 512 at most.
const MAX_EMOJI_PIXELS: usize = 1 << 20;

/// Copies of pictures may have so many pixels together, and pictures of glyphs, too.
const MAX_KEPT: usize = 16 << 20;

/// Where a picture of one pixel by one lies in an em of one: width and height of a pixel, x and y of the corner.
type Place = [f64; 4];

/// The picture of a glyph and its place.
type Emoji = (Arc<Image>, Place);

/// Pictures of glyphs, and copies of pictures that are ready to be sampled.
#[derive(Default)]
pub struct Pictures {
    emoji: HashMap<(FontId, u16), Option<Emoji>>,
    /// Pixels of `emoji`.
    emoji_pixels: usize,
    /// By the object's address and how often it was halved. The object is held, so that no other gets its address.
    sources: HashMap<(usize, u32), (Arc<Image>, Arc<Source>)>,
    /// Pixels of `sources`.
    kept: usize,
}

impl Pictures {
    /// The picture of a glyph that is one; y grows downwards from the base line.
    pub fn emoji(&mut self, fonts: &Fonts, font: FontId, glyph: u16) -> Option<Emoji> {
        if let Some(known) = self.emoji.get(&(font, glyph)) {
            return known.clone();
        }
        let emoji = read_emoji(fonts, font, glyph);
        let pixels = emoji.as_ref().map_or(0, |(image, _)| image.pixels.len() / 4);
        self.emoji_pixels += pixels;
        if self.emoji.len() >= MAX_EMOJI || self.emoji_pixels > MAX_KEPT {
            self.emoji.clear();
            self.emoji_pixels = pixels;
            // Their copies hold them.
            self.sources.clear();
            self.kept = 0;
        }
        self.emoji.insert((font, glyph), emoji.clone());
        emoji
    }

    /// Draws the image onto an empty surface.
    pub fn draw(&mut self, surface: &mut Surface, image: &Arc<Image>, matrix: &Transform) {
        let Some(mut inverse) = matrix.inverse() else { return };
        let edge = coverage::mapped(&frame_of(image.width as usize, image.height as usize), matrix)
            .and_then(|path| coverage::fill(&path, &surface.rect));
        let Some(edge) = edge else { return };
        // In half the size again and again, until no pixel of it is passed over.
        let [a, b, c, d] = [0, 3, 1, 4].map(|at| inverse.0[at] / inverse.0[8]);
        let step = a.hypot(b).max(c.hypot(d));
        let smallest = image.width.min(image.height).max(1).ilog2();
        let halvings = ((step / 1.5).log2().ceil().max(0.0) as u32).min(smallest);
        let Some(source) = self.source(image, halvings) else {
            return;
        };
        for _ in 0..halvings {
            inverse = Transform([0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]).times(&inverse);
        }
        sample(surface, &edge, &source, &inverse);
    }

    /// `None` if the image lacks pixels.
    fn source(&mut self, image: &Arc<Image>, halvings: u32) -> Option<Arc<Source>> {
        let key = (Arc::as_ptr(image).addr(), halvings);
        if let Some((_, source)) = self.sources.get(&key) {
            return Some(source.clone());
        }
        let mut source = Source::new(image)?;
        for _ in 0..halvings {
            source = halved(&source);
        }
        let source = Arc::new(source);
        self.kept += source.pixels.len();
        if self.kept > MAX_KEPT {
            self.sources.clear();
            self.kept = source.pixels.len();
        }
        self.sources.insert(key, (image.clone(), source.clone()));
        Some(source)
    }
}

fn read_emoji(fonts: &Fonts, font: FontId, glyph: u16) -> Option<Emoji> {
    let face = fonts.face(font)?;
    let font = face.font()?;
    let largest = skrifa::instance::Size::new(f32::MAX);
    let bitmap = guarded(|| BitmapStrikes::new(&font).glyph_for_size(largest, GlyphId::from(glyph)))?;
    let BitmapData::Png(data) = bitmap.data else {
        return None;
    };
    let image = image::decode(data, MAX_EMOJI_PIXELS).ok()?;
    let (ppem_x, ppem_y) = (f64::from(bitmap.ppem_x), f64::from(bitmap.ppem_y));
    if !(ppem_x > 0.0 && ppem_y > 0.0) {
        return None;
    }
    let em = f64::from(face.units_per_em);
    let x = f64::from(bitmap.bearing_x) / em + f64::from(bitmap.inner_bearing_x) / ppem_x;
    let up = f64::from(bitmap.bearing_y) / em + f64::from(bitmap.inner_bearing_y) / ppem_y;
    let top = match bitmap.placement_origin {
        Origin::TopLeft => up,
        Origin::BottomLeft => up + f64::from(image.height) / ppem_y,
    };
    Some((Arc::new(image), [1.0 / ppem_x, 1.0 / ppem_y, x, -top]))
}

/// From pixels of the image to a box of `size`.
pub fn stretch(image: &Image, size: [f32; 2]) -> Transform {
    let scale = |side: f32, pixels: u32| f64::from(side) / f64::from(pixels.max(1));
    let (x, y) = (scale(size[0], image.width), scale(size[1], image.height));
    Transform([x, 0.0, 0.0, 0.0, y, 0.0, 0.0, 0.0, 1.0])
}

fn frame_of(width: usize, height: usize) -> coverage::Path {
    coverage::rounded(0.0, 0.0, width as f32, height as f32, [[0.0; 2]; 4])
}

/// What a picture of that size touches.
pub fn bounds(matrix: &Transform, width: usize, height: usize) -> Rect {
    coverage::mapped(&frame_of(width, height), matrix)
        .and_then(|path| coverage::bounds(&path))
        .unwrap_or(Rect::EMPTY)
}

/// Draws one surface onto another, empty one. The outermost pixels of what is drawn must be empty.
pub fn turned(surface: &mut Surface, upright: Surface, matrix: &Transform) {
    let Some(inverse) = matrix.inverse() else { return };
    let everything = Mask {
        rect: surface.rect,
        data: vec![255; surface.rect.area()],
    };
    let source = Source {
        width: upright.rect.width(),
        height: upright.rect.height(),
        pixels: upright.pixels,
    };
    sample(surface, &everything, &source, &inverse);
}

fn sample(surface: &mut Surface, edge: &Mask, source: &Source, inverse: &Transform) {
    let (right, bottom) = (source.width as i64 - 1, source.height as i64 - 1);
    for y in edge.rect.y0..edge.rect.y1 {
        let coverage = edge.row(y);
        let row = surface.row_mut(y, edge.rect.x0, edge.rect.x1);
        for ((pixel, &coverage), x) in row.iter_mut().zip(coverage).zip(edge.rect.x0..) {
            if coverage == 0 {
                continue;
            }
            let Some((u, v)) = inverse.map(f64::from(x) + 0.5, f64::from(y) + 0.5) else {
                continue;
            };
            let (u, v) = (u - 0.5, v - 0.5);
            let (fu, fv) = ((u - u.floor()) as f32, (v - v.floor()) as f32);
            let at = |dx: i64, dy: i64| {
                let x = (u.floor() as i64 + dx).clamp(0, right) as usize;
                let y = (v.floor() as i64 + dy).clamp(0, bottom) as usize;
                source.pixels[y * source.width + x]
            };
            let corners = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
            let weights = [(1.0 - fu) * (1.0 - fv), fu * (1.0 - fv), (1.0 - fu) * fv, fu * fv]
                .map(|weight| weight * f32::from(coverage) / 255.0);
            let channel = |shift: u32| {
                let sum: f32 = corners
                    .iter()
                    .zip(weights)
                    .map(|(corner, weight)| ((corner >> shift) & 0xff) as f32 * weight)
                    .sum();
                ((sum + 0.5) as u32) << shift
            };
            *pixel = channel(0) | channel(8) | channel(16) | channel(24);
        }
    }
}

/// Premultiplied.
struct Source {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
}

impl Source {
    fn new(image: &Image) -> Option<Self> {
        let (width, height) = (image.width as usize, image.height as usize);
        let bytes = width.checked_mul(height)?.checked_mul(4)?;
        let pixels = image.pixels.get(..bytes).filter(|pixels| !pixels.is_empty())?;
        let premultiplied = |pixel: &[u8]| {
            let alpha = u32::from(pixel[3]);
            let channel = |value: u8| (u32::from(value) * alpha + 127) / 255;
            alpha << 24 | channel(pixel[0]) << 16 | channel(pixel[1]) << 8 | channel(pixel[2])
        };
        Some(Self {
            width,
            height,
            pixels: pixels.chunks_exact(4).map(premultiplied).collect(),
        })
    }
}

fn halved(source: &Source) -> Source {
    let (width, height) = (source.width.div_ceil(2), source.height.div_ceil(2));
    let at = |x: usize, y: usize| source.pixels[y.min(source.height - 1) * source.width + x.min(source.width - 1)];
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let four = [
                at(2 * x, 2 * y),
                at(2 * x + 1, 2 * y),
                at(2 * x, 2 * y + 1),
                at(2 * x + 1, 2 * y + 1),
            ];
            let channel = |shift: u32| {
                let sum: u32 = four.iter().map(|pixel| (pixel >> shift) & 0xff).sum();
                ((sum + 2) / 4) << shift
            };
            pixels.push(channel(0) | channel(8) | channel(16) | channel(24));
        }
    }
    Source { width, height, pixels }
}

#[cfg(test)]
#[path = "pictures_tests.rs"]
mod tests;
