//! From an item to the pieces that it is drawn with: masks in a colour, and pixels.

use std::sync::Arc;

use super::blur;
use super::coverage::{self, Mask};
use super::filter;
use super::geometry::Rect;
use super::glyphs::{EVERYWHERE, Glyphs, Look, Request, luminance};
use super::pictures::{self, Pictures};
use super::pixels::{Mode, Surface, premultiplied};
use crate::fonts::Fonts;
use crate::scene::{Blend, Content, Filter, Item, Panel, Rgba, Shadow, Text};
use crate::transform::Transform;

/// Layers within layers.
const MAX_DEPTH: usize = 16;
/// Larger letters (em in px of the frame) are not turned as pixels.
const MAX_TURNED_EM: f64 = 256.0;

/// Something to lay over what is there.
#[derive(Debug, Clone)]
pub enum Piece {
    Mask {
        mask: Arc<Mask>,
        at: (i32, i32),
        color: u32,
    },
    Pixels {
        surface: Arc<Surface>,
        /// 256 is all.
        opacity: u32,
        mode: Mode,
    },
}

impl Piece {
    pub fn bounds(&self) -> Rect {
        match self {
            Self::Mask { mask, at, .. } => mask.rect.moved(at.0, at.1),
            Self::Pixels { surface, .. } => surface.rect,
        }
    }

    pub fn paint(&self, surface: &mut Surface, clip: &Rect) {
        match self {
            Self::Mask { mask, at, color } => surface.stamp(mask, *at, *color, clip),
            Self::Pixels {
                surface: above,
                opacity,
                mode,
            } => surface.lay(above, (0, 0), *opacity, *mode, clip),
        }
    }
}

/// An item, ready to be painted.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    pub pieces: Vec<Piece>,
    /// What they touch within the frame.
    pub bounds: Rect,
    /// All is in one surface, to which the item's opacity is applied only when it is painted.
    pub isolated: bool,
    /// Pixels of the letters' masks.
    pub painted: usize,
}

impl Prepared {
    /// Of its surfaces.
    pub fn pixels(&self) -> usize {
        let of = |piece: &Piece| match piece {
            Piece::Mask { .. } => 0,
            Piece::Pixels { surface, .. } => surface.pixels.len(),
        };
        self.pieces.iter().map(of).sum()
    }
}

/// How the parts of an item are drawn.
#[derive(Clone, Copy)]
struct Place<'a> {
    matrix: &'a Transform,
    opacity: f32,
    clip: &'a Rect,
}

/// Prepares items.
pub struct Painter<'a> {
    pub fonts: &'a Fonts,
    pub glyphs: &'a mut Glyphs,
    pub pictures: &'a mut Pictures,
    pub frame: Rect,
    /// Pixels that surfaces may still take.
    pub budget: usize,
    /// Pixels that masks of letters may still have.
    pub paint: usize,
}

impl Painter<'_> {
    pub fn prepare(&mut self, item: &Item) -> Prepared {
        let mut pieces = Vec::new();
        let paint = self.paint;
        let clip = self.frame;
        let isolated = self.item(item, &Transform::IDENTITY, &clip, 0, &mut pieces);
        pieces.retain(|piece| !piece.bounds().intersect(&clip).is_empty());
        let bounds = pieces
            .iter()
            .fold(Rect::EMPTY, |all, piece| all.union(&piece.bounds()))
            .intersect(&clip);
        Prepared {
            isolated: isolated && pieces.len() == 1,
            pieces,
            bounds,
            painted: paint - self.paint,
        }
    }

    /// Whether the item was drawn on a surface of its own.
    fn item(&mut self, item: &Item, base: &Transform, clip: &Rect, depth: usize, out: &mut Vec<Piece>) -> bool {
        let matrix = base.times(&item.transform);
        // NaN is not more than nothing.
        let seen = item.opacity > 0.0 && matrix.is_finite() && depth < MAX_DEPTH;
        if !seen {
            return false;
        }
        let opacity = item.opacity.min(1.0);
        let rounded_clip = match &item.content {
            Content::Layer { clip, .. } => clip.as_ref(),
            _ => None,
        };
        let mode = match item.blend {
            Blend::Normal => Mode::Over,
            Blend::Screen => Mode::Screen,
        };
        let alone = !item.filters.is_empty()
            || mode != Mode::Over
            || rounded_clip.is_some()
            || opacity < 1.0 && overlaps_itself(&item.content);
        if !alone {
            let place = Place {
                matrix: &matrix,
                opacity,
                clip,
            };
            self.content(&item.content, place, depth, out);
            return false;
        }
        let scale = matrix.scale_at(0.0, 0.0);
        let reach = item
            .filters
            .iter()
            .map(|filter| match filter {
                Filter::Blur(sigma) => blur::reach(sigma * scale),
                _ => 0,
            })
            .sum();
        let clip = clip.grown(reach);
        let mut pieces = Vec::new();
        let place = Place {
            matrix: &matrix,
            opacity: 1.0,
            clip: &clip,
        };
        self.content(&item.content, place, depth, &mut pieces);
        let touched = pieces
            .iter()
            .fold(Rect::EMPTY, |all, piece| all.union(&piece.bounds()))
            .intersect(&clip)
            .grown(reach);
        let Some(mut surface) = self.surface(touched) else {
            return false;
        };
        for piece in &pieces {
            piece.paint(&mut surface, &clip);
        }
        if let Some(panel) = rounded_clip {
            let mask = panel_path(panel, 0.0)
                .and_then(|path| coverage::mapped(&path, &matrix))
                .and_then(|path| coverage::fill(&path, &surface.rect));
            surface.cut(&mask.unwrap_or_default());
        }
        filter::apply(&mut surface, &item.filters, scale);
        out.push(Piece::Pixels {
            surface: Arc::new(surface),
            opacity: (opacity * 256.0 + 0.5) as u32,
            mode,
        });
        true
    }

    /// `None` when there is nothing to draw on it, or no memory left for it.
    fn surface(&mut self, rect: Rect) -> Option<Surface> {
        let area = rect.area();
        if area == 0 || area > self.budget {
            return None;
        }
        self.budget -= area;
        Some(Surface::new(rect))
    }

    fn content(&mut self, content: &Content, place: Place<'_>, depth: usize, out: &mut Vec<Piece>) {
        let Place { matrix, opacity, clip } = place;
        match content {
            Content::Text(text) if text.turns_pixels && !matrix.is_upright() => self.turned(text, place, out),
            Content::Text(text) => self.text(text, place, out),
            Content::Box(panel) => panel_pieces(panel, place, out),
            Content::Image { image, size } => {
                let stretch = pictures::stretch(image, *size);
                let rect = pictures::bounds(&matrix.times(&stretch), image.width as usize, image.height as usize)
                    .intersect(clip);
                if let Some(mut surface) = self.surface(rect) {
                    self.pictures.draw(&mut surface, image, &matrix.times(&stretch));
                    out.push(pixels(surface, opacity));
                }
            }
            Content::Glow {
                size,
                color,
                solid,
                radius,
            } => {
                let Some((path, inverse)) =
                    coverage::mapped(&coverage::rounded(0.0, 0.0, size[0], size[1], [[0.0; 2]; 4]), matrix)
                        .zip(matrix.inverse())
                else {
                    return;
                };
                let Some(mask) = coverage::fill(&path, clip) else {
                    return;
                };
                if let Some(mut surface) = self.surface(mask.rect) {
                    filter::glow(&mut surface, &mask, &inverse, *size, color, *solid, *radius);
                    out.push(pixels(surface, opacity));
                }
            }
            Content::Layer { scene, .. } => {
                for item in &scene.items {
                    self.item(item, matrix, clip, depth + 1, out);
                }
            }
        }
    }

    /// Upright in its size first, then its pixels where they belong. What is seen in perspective or too large for that is drawn as it stands.
    fn turned(&mut self, text: &Text, place: Place<'_>, out: &mut Vec<Piece>) {
        let Place { matrix, opacity, clip } = place;
        let [a, b, c, d] = [0, 3, 1, 4].map(|at| matrix.0[at]);
        let scale = [a.hypot(b), c.hypot(d)];
        let em = f64::from(text.shaped.size) * scale[0].max(scale[1]);
        if !(matrix.is_affine() && em > 0.0 && em <= MAX_TURNED_EM) {
            return self.text(text, place, out);
        }
        let mut pieces = Vec::new();
        let upright = Place {
            matrix: &Transform::scale(scale),
            opacity: 1.0,
            clip: &EVERYWHERE,
        };
        self.text(text, upright, &mut pieces);
        let touched = pieces
            .iter()
            .fold(Rect::EMPTY, |all, piece| all.union(&piece.bounds()))
            .intersect(&EVERYWHERE);
        // Between the last pixel and nothing there is half of both.
        let Some(mut layer) = self.surface(touched.grown(1)) else {
            return;
        };
        for piece in &pieces {
            piece.paint(&mut layer, &touched);
        }
        let corner = [f64::from(layer.rect.x0), f64::from(layer.rect.y0)];
        let matrix = matrix
            .times(&Transform::scale(scale.map(f64::recip)))
            .times(&Transform::translate(corner));
        let rect = pictures::bounds(&matrix, layer.rect.width(), layer.rect.height()).intersect(clip);
        if let Some(mut surface) = self.surface(rect) {
            pictures::turned(&mut surface, layer, &matrix);
            out.push(pixels(surface, opacity));
        }
    }

    fn text(&mut self, text: &Text, place: Place<'_>, out: &mut Vec<Piece>) {
        // From the last shadow, which is at the bottom, to the first.
        let mut rest = &text.shadows[..];
        while let Some(last) = rest.last() {
            let alike = rest
                .iter()
                .rev()
                .take(4)
                .take_while(|shadow| shadow.color == last.color && (shadow.dx, shadow.dy) == (last.dx, last.dy))
                .count()
                // Not even itself, where a number is none.
                .max(1);
            let (before, group) = rest.split_at(rest.len() - alike);
            self.shadows(text, group, last, place, out);
            rest = before;
        }
        let fill = Look::Fill {
            luminance: luminance(text.color.r, text.color.g, text.color.b),
        };
        self.glyphs(text, (0.0, 0.0), fill, &text.color, place, out);
        if let Some(stroke) = &text.stroke
            && stroke.width > 0.0
        {
            let look = Look::Stroke {
                width: stroke.width,
                luminance: luminance(stroke.color.r, stroke.color.g, stroke.color.b),
            };
            self.glyphs(text, (0.0, 0.0), look, &stroke.color, place, out);
        }
    }

    /// Shadows of one colour in one place.
    fn shadows(&mut self, text: &Text, group: &[Shadow], last: &Shadow, place: Place<'_>, out: &mut Vec<Piece>) {
        let mut sigmas = [-1.0; 4];
        for (sigma, shadow) in sigmas.iter_mut().zip(group) {
            *sigma = (shadow.blur / 2.0).max(0.0);
        }
        let alpha = last.color.a.clamp(0.0, 1.0);
        let look = Look::Shadow { sigmas, alpha };
        let offset = (f64::from(last.dx), f64::from(last.dy));
        self.glyphs(text, offset, look, &last.color, place, out);
    }

    fn glyphs(
        &mut self,
        text: &Text,
        offset: (f64, f64),
        look: Look,
        color: &Rgba,
        place: Place<'_>,
        out: &mut Vec<Piece>,
    ) {
        let Place { matrix, opacity, clip } = place;
        let color = premultiplied(color, opacity);
        if color >> 24 == 0 {
            return;
        }
        for glyph in &text.shaped.glyphs {
            let request = Request {
                font: glyph.font,
                id: glyph.id,
                size: text.shaped.size,
                matrix,
                origin: (f64::from(glyph.x) + offset.0, f64::from(glyph.y) + offset.1),
                look,
            };
            if self.fonts.face(glyph.font).is_some_and(|face| face.has_color)
                && let Some((image, place)) = self.pictures.emoji(self.fonts, glyph.font, glyph.id)
            {
                if matches!(look, Look::Fill { .. }) {
                    let size = f64::from(request.size);
                    let stand = Transform::translate([request.origin.0, request.origin.1]);
                    let place = Transform([
                        place[0] * size,
                        0.0,
                        place[2] * size,
                        0.0,
                        place[1] * size,
                        place[3] * size,
                        0.0,
                        0.0,
                        1.0,
                    ]);
                    let matrix = matrix.times(&stand).times(&place);
                    let rect = pictures::bounds(&matrix, image.width as usize, image.height as usize).intersect(clip);
                    if let Some(mut surface) = self.surface(rect) {
                        self.pictures.draw(&mut surface, &image, &matrix);
                        out.push(pixels(surface, opacity * text.color.a));
                    }
                }
                continue;
            }
            if self.paint == 0 {
                return;
            }
            if let Some((mask, at)) = self.glyphs.get(self.fonts, &request, clip) {
                self.paint = self.paint.saturating_sub(mask.rect.area());
                out.push(Piece::Mask { mask, at, color });
            }
        }
    }
}

fn pixels(surface: Surface, opacity: f32) -> Piece {
    Piece::Pixels {
        surface: Arc::new(surface),
        opacity: (opacity.clamp(0.0, 1.0) * 256.0 + 0.5) as u32,
        mode: Mode::Over,
    }
}

/// Whether opacity applied to each part would show parts through each other.
fn overlaps_itself(content: &Content) -> bool {
    match content {
        Content::Text(text) => !text.shadows.is_empty() || text.stroke.is_some(),
        Content::Box(panel) => panel.border.is_some(),
        Content::Image { .. } | Content::Glow { .. } => false,
        Content::Layer { .. } => true,
    }
}

/// The background under the whole box, the border over it.
fn panel_pieces(panel: &Panel, place: Place<'_>, out: &mut Vec<Piece>) {
    let Place { matrix, opacity, clip } = place;
    let mut piece = |path: Option<coverage::Path>, color: &Rgba| {
        let color = premultiplied(color, opacity);
        let mask = path
            .filter(|_| color >> 24 != 0)
            .and_then(|path| coverage::mapped(&path, matrix))
            .and_then(|path| coverage::fill(&path, clip));
        out.extend(mask.map(|mask| Piece::Mask {
            mask: Arc::new(mask),
            at: (0, 0),
            color,
        }));
    };
    piece(panel_path(panel, 0.0), &panel.background);
    if let Some(border) = &panel.border
        && border.width > 0.0
    {
        let ring = panel_path(panel, 0.0).map(|mut ring| {
            // The other way round, so that the inside counts as none.
            ring.extend(panel_path(panel, border.width).map(reversed).unwrap_or_default());
            ring
        });
        piece(ring, &border.color);
    }
}

/// The edge of the box, or that of what is inside of a border of width `inset`; `None` if nothing is left.
fn panel_path(panel: &Panel, inset: f32) -> Option<coverage::Path> {
    let [width, height] = panel.size;
    if !(width > 2.0 * inset && height > 2.0 * inset) {
        return None;
    }
    let radius = panel.radius.map(|radius| radius.max(0.0));
    // CSS Backgrounds 3, 5.5: all radii shrink alike until no two on a side overlap.
    let [tl, tr, br, bl] = radius;
    let fit = [(width, tl + tr), (height, tr + br), (width, br + bl), (height, bl + tl)]
        .into_iter()
        .map(|(side, sum)| if sum > side { side / sum } else { 1.0 })
        .fold(1.0, f32::min);
    let radii = radius.map(|radius| [(radius * fit - inset).max(0.0); 2]);
    Some(coverage::rounded(inset, inset, width - inset, height - inset, radii))
}

/// The same closed outline in the other direction.
fn reversed(path: coverage::Path) -> coverage::Path {
    use zeno::Command;
    let mut out = Vec::with_capacity(path.len());
    let end = |command: &Command| match *command {
        Command::MoveTo(to) | Command::LineTo(to) | Command::QuadTo(_, to) | Command::CurveTo(_, _, to) => Some(to),
        Command::Close => None,
    };
    let points: Vec<_> = path.iter().filter_map(end).collect();
    out.extend(points.last().map(|last| Command::MoveTo(*last)));
    let segments: Vec<_> = path.iter().filter(|command| end(command).is_some()).collect();
    for at in (1..segments.len()).rev() {
        out.push(match *segments[at] {
            Command::CurveTo(by, and, _) => Command::CurveTo(and, by, points[at - 1]),
            Command::QuadTo(by, _) => Command::QuadTo(by, points[at - 1]),
            _ => Command::LineTo(points[at - 1]),
        });
    }
    out.push(Command::Close);
    out
}
