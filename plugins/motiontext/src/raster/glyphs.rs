//! Glyphs as masks, made once for each look and place within a pixel, and kept.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use skrifa::outline::{HintingInstance, OutlinePen};
use zeno::{Command, Join, PathBuilder, Point, Stroke as ZenoStroke};

use super::blur;
use super::coverage::{self, Mask, Path};
use super::geometry::Rect;
use crate::fonts::{Face, FontId, Fonts};
use crate::transform::Transform;

/// What all masks may take together, bytes.
const MAX_BYTES: usize = 48 << 20;
/// What an entry takes besides its mask.
const ENTRY: usize = 160;
/// Larger letters (em in px of the frame) are drawn where they stand, cut to the frame, and not kept.
const MAX_KEPT_EM: f64 = 512.0;
/// Skia draws larger letters as paths, neither hinted nor corrected.
const MAX_CORRECTED_EM: f64 = 256.0;
/// Letters are put at quarters of a pixel, as Skia does it.
const PHASES: f64 = 4.0;
/// Maps are told apart by 64ths of a pixel across the em, as FreeType tells sizes apart: coarser, and hinting would round an
/// edge to another row now and then.
const MAP_STEPS: f64 = 64.0;
/// Text of its own size is at rest, or nearly so. Where it then stands on half a pixel (px, within this), it goes down or right, whatever the
/// noise of its map says: effects that swing into place must not let single letters stand a pixel higher.
const TIE: f64 = 1.0 / 64.0;
const AT_REST: f64 = 1.0 / 128.0;
const MITER_LIMIT: f32 = 4.0;
/// px
const MAX_STROKE: f32 = 4096.0;
/// Hinters that are kept, each for one font at one size.
const MAX_HINTERS: usize = 128;

/// Masks that are kept are not cut.
pub const EVERYWHERE: Rect = Rect {
    x0: -4096,
    y0: -4096,
    x1: 4096,
    y1: 4096,
};

/// A hinter, and how many of the text's own pixels one of its pixels is.
type Hinter<'a> = (&'a HintingInstance, f32);

/// What is drawn of a glyph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// In a colour of that luminance, 0..=7.
    Fill { luminance: u8 },
    /// Width in px of the text's own.
    Stroke { width: f32, luminance: u8 },
    /// Up to four shadows of one colour in one place, laid over each other: standard deviations in px of the text's own, and
    /// the alpha of the colour.
    Shadow { sigmas: [f32; 4], alpha: f32 },
}

/// A glyph and how it is mapped.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub font: FontId,
    pub id: u16,
    /// px
    pub size: f32,
    /// From the text's own pixels, y downwards, to those of the frame.
    pub matrix: &'a Transform,
    /// Of the glyph, in the text's own pixels.
    pub origin: (f64, f64),
    pub look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    font: FontId,
    id: u16,
    size: u32,
    /// Of the em, in `MAP_STEPS`.
    map: [i32; 4],
    phase: [u8; 2],
    look: [u32; 5],
}

struct Kept {
    mask: Option<Arc<Mask>>,
    used: u64,
}

/// Masks by glyph, map, phase and look.
#[derive(Default)]
pub struct Glyphs {
    kept: HashMap<Key, Kept>,
    bytes: usize,
    /// Counts pictures.
    now: u64,
    /// By font and size of the em, in `MAP_STEPS`.
    hinters: HashMap<(FontId, i32), Option<HintingInstance>>,
}

impl Glyphs {
    /// A new picture begins: what was not used in the last one may go.
    pub fn next(&mut self) {
        self.now += 1;
        if self.hinters.len() > MAX_HINTERS {
            self.hinters.clear();
        }
        if self.bytes > MAX_BYTES {
            let now = self.now;
            self.kept.retain(|_, kept| kept.used + 1 >= now);
            self.bytes = self.kept.values().map(Kept::bytes).sum();
        }
        if self.bytes > MAX_BYTES {
            self.kept.clear();
            self.bytes = 0;
        }
    }

    /// The mask of the glyph and where to put it; `None` if it is blank or not to be seen within `clip`.
    pub fn get(&mut self, fonts: &Fonts, request: &Request<'_>, clip: &Rect) -> Option<(Arc<Mask>, (i32, i32))> {
        let (x, y) = request.matrix.map(request.origin.0, request.origin.1)?;
        let linear = request.matrix.linear_at(request.origin.0, request.origin.1)?;
        let em = linear.map(|value| value * f64::from(request.size));
        let extent = em.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        if extent == 0.0 || !extent.is_finite() {
            return None;
        }
        if !request.matrix.is_affine() || extent > MAX_KEPT_EM {
            let mask = draw_in_place(fonts.face(request.font)?, request, extent, clip)?;
            return Some((Arc::new(mask), (0, 0)));
        }
        let map = em.map(|value| (value * MAP_STEPS).round() as i32);
        // Lines of text stand on whole pixels, unless they are turned.
        let (across, down) = (map[1] == 0 && map[2] == 0, map[0] == 0 && map[3] == 0);
        let rests = (extent / f64::from(request.size) - 1.0).abs() < AT_REST;
        let half = if rests { 0.5 + TIE } else { 0.5 };
        let (x, phase_x) = if down { ((x + half).floor(), 0) } else { phase(x) };
        let (y, phase_y) = if across { ((y + half).floor(), 0) } else { phase(y) };
        let key = Key {
            font: request.font,
            id: request.id,
            size: request.size.to_bits(),
            map,
            phase: [phase_x, phase_y],
            look: request.look.key(),
        };
        let now = self.now;
        let kept = match self.kept.entry(key) {
            Entry::Occupied(kept) => kept.into_mut(),
            Entry::Vacant(vacant) => {
                let face = fonts.face(request.font)?;
                let unit = MAP_STEPS * f64::from(request.size);
                let [a, b, c, d] = map.map(|value| f64::from(value) / unit);
                let (px, py) = (f64::from(phase_x) / PHASES, f64::from(phase_y) / PHASES);
                let matrix = Transform([a, c, px, b, d, py, 0.0, 0.0, 1.0]);
                // As Skia: not if it is turned or slanted, and not if it is large.
                let height = map[2].abs().max(map[3].abs());
                let hinter = ((across || down) && height != 0 && extent <= MAX_CORRECTED_EM && face.slant == 0.0)
                    .then(|| {
                        let size = f64::from(height) / MAP_STEPS;
                        let hinter = self.hinters.entry((request.font, height));
                        let hinter = hinter.or_insert_with(|| face.hinter(size as f32)).as_ref()?;
                        Some((hinter, request.size / size as f32))
                    })
                    .flatten();
                let mask = draw(face, request, hinter, &matrix, extent, &EVERYWHERE);
                let kept = Kept {
                    mask: mask.map(Arc::new),
                    used: now,
                };
                self.bytes += kept.bytes();
                vacant.insert(kept)
            }
        };
        kept.used = now;
        kept.mask.clone().map(|mask| (mask, (x as i32, y as i32)))
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        ENTRY + self.mask.as_ref().map_or(0, |mask| mask.data.len())
    }
}

impl Look {
    fn key(&self) -> [u32; 5] {
        match *self {
            Self::Fill { luminance } => [0, luminance.into(), 0, 0, 0],
            Self::Stroke { width, luminance } => [1, luminance.into(), width.to_bits(), 0, 0],
            Self::Shadow { sigmas, alpha } => {
                let [a, b, c, d] = sigmas.map(f32::to_bits);
                // Alphas of colours have 256 steps, and the first place tells the looks apart.
                [2 + (alpha * 255.0) as u32, a, b, c, d]
            }
        }
    }
}

/// The whole pixel and the quarter within it.
fn phase(at: f64) -> (f64, u8) {
    let at = at + 0.5 / PHASES;
    let whole = at.floor();
    (whole, ((at - whole) * PHASES) as u8)
}

/// Without phases and quantised maps: for perspective and very large letters.
fn draw_in_place(face: &Face, request: &Request<'_>, extent: f64, clip: &Rect) -> Option<Mask> {
    let (x, y) = request.origin;
    let matrix = request.matrix.times(&Transform::translate([x, y]));
    draw(face, request, None, &matrix, extent, clip)
}

/// `matrix` maps the text's own pixels, measured from the glyph's origin.
fn draw(
    face: &Face,
    request: &Request<'_>,
    hinter: Option<Hinter<'_>>,
    matrix: &Transform,
    extent: f64,
    clip: &Rect,
) -> Option<Mask> {
    let path = outline(face, request.id, request.size, hinter)?;
    let corrected = |mask: Mask, luminance: u8| {
        if extent <= MAX_CORRECTED_EM && matrix.is_affine() {
            correct(mask, luminance)
        } else {
            mask
        }
    };
    match request.look {
        Look::Fill { luminance } => {
            let mask = filled(face, &path, request.size, matrix, clip)?;
            Some(corrected(mask, luminance))
        }
        Look::Stroke { width, luminance } => {
            let mask = coverage::fill(&coverage::mapped(&stroked(&path, width), matrix)?, clip)?;
            Some(corrected(mask, luminance))
        }
        Look::Shadow { sigmas, alpha } => {
            let scale = matrix.scale_at(0.0, 0.0);
            let reach = sigmas.iter().map(|sigma| blur::reach(sigma * scale)).max()?;
            let mask = filled(face, &path, request.size, matrix, &clip.grown(reach))?;
            let mut together: Option<Mask> = None;
            for sigma in sigmas.iter().filter(|sigma| **sigma >= 0.0) {
                let blurred = blur::mask(&mask, sigma * scale);
                together = Some(match together {
                    None => blurred,
                    Some(under) => laid_over(under, blurred, alpha),
                });
            }
            together
        }
    }
}

/// Two masks that one colour of that alpha is laid through, as the one that does the same.
fn laid_over(a: Mask, b: Mask, alpha: f32) -> Mask {
    let (mut large, small) = if a.data.len() >= b.data.len() { (a, b) } else { (b, a) };
    let rect = small.rect.intersect(&large.rect);
    for y in rect.y0..rect.y1 {
        let width = large.rect.width();
        let start = (y - large.rect.y0) as usize * width + (rect.x0 - large.rect.x0) as usize;
        for (under, over) in large.data[start..].iter_mut().zip(small.row(y)) {
            let (u, o) = (f32::from(*under), f32::from(*over));
            *under = (u + o - u * o * alpha / 255.0 + 0.5) as u8;
        }
    }
    large
}

fn filled(face: &Face, path: &Path, size: f32, matrix: &Transform, clip: &Rect) -> Option<Mask> {
    let mask = coverage::fill(&coverage::mapped(path, matrix)?, clip)?;
    if face.embolden == 0.0 {
        return Some(mask);
    }
    let edge = stroked(path, size * face.embolden);
    Some(match coverage::fill(&coverage::mapped(&edge, matrix)?, clip) {
        Some(edge) => laid_over(mask, edge, 1.0),
        None => mask,
    })
}

/// The outline of a stroke along the path.
fn stroked(path: &Path, width: f32) -> Path {
    let mut stroke = ZenoStroke::new(width.clamp(0.0, MAX_STROKE));
    stroke.join(Join::Miter).miter_limit(MITER_LIMIT);
    let mut edge = Vec::new();
    zeno::apply(path, stroke, None, &mut edge);
    edge
}

/// The outline at `size` px, y downwards; `None` if there is none.
fn outline(face: &Face, glyph: u16, size: f32, hinter: Option<Hinter<'_>>) -> Option<Path> {
    let pen = |scale: f32| Pen {
        path: Vec::new(),
        scale,
        slant: face.slant,
        // Letters that are made bolder grow to the right and up, not on all sides.
        shift: size * face.embolden / 2.0,
    };
    let hinted = hinter.and_then(|(hinter, scale)| {
        let mut pen = pen(scale);
        face.hinted(glyph, hinter, &mut pen).then_some(pen.path)
    });
    // What cannot be hinted may still have an outline.
    let path = hinted.or_else(|| {
        let mut pen = pen(size / face.units_per_em);
        face.outline(glyph, &mut pen).then_some(pen.path)
    })?;
    (!path.is_empty()).then_some(path)
}

struct Pen {
    path: Path,
    scale: f32,
    slant: f32,
    shift: f32,
}

impl Pen {
    fn point(&self, x: f32, y: f32) -> Point {
        Point::new(
            (x + y * self.slant) * self.scale + self.shift,
            -y * self.scale - self.shift,
        )
    }
}

impl OutlinePen for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.point(x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.point(x, y));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.path.quad_to(self.point(cx, cy), self.point(x, y));
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        let command = Command::CurveTo(self.point(ax, ay), self.point(bx, by), self.point(x, y));
        self.path.push(command);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// Skia makes text a little heavier or lighter by the luminance of its colour, so that it looks equally heavy on what it is
/// likely to stand on (`SkMaskGamma`): blending is meant to happen at the gamma of the screen, and dark text gets contrast.
fn correct(mut mask: Mask, luminance: u8) -> Mask {
    let table = correction(luminance);
    for value in &mut mask.data {
        *value = table[usize::from(*value)];
    }
    mask
}

const GAMMA: f32 = 1.2;
const CONTRAST: f32 = 0.2;

pub(super) fn correction(luminance: u8) -> [u8; 256] {
    let source = f32::from(luminance) / 7.0;
    let below = 1.0 - source;
    let linear = |value: f32| value.powf(GAMMA);
    let contrast = CONTRAST * linear(below);
    std::array::from_fn(|at| {
        let raw = at as f32 / 255.0;
        let alpha = raw + (1.0 - raw) * contrast * raw;
        let out = if (source - below).abs() < 1.0 / 256.0 {
            alpha
        } else {
            let mixed = linear(source) * alpha + linear(below) * (1.0 - alpha);
            (mixed.powf(1.0 / GAMMA) - below) / (source - below)
        };
        (out * 255.0 + 0.5) as u8
    })
}

/// The class of a colour that `Look` wants: eight steps, as Skia tells them apart.
pub fn luminance(r: f32, g: f32, b: f32) -> u8 {
    let linear = |value: f32| {
        if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0).powf(GAMMA)
        }
    };
    let sum = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    ((sum.powf(1.0 / GAMMA) * 255.0 + 0.5) as u8) >> 5
}
