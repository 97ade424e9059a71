//! From a scene to pixels: only what is touched, and of that only what changed.
//!
//! Each item becomes a list of pieces (masks in a colour, ready surfaces), which is kept as long as the item stays the
//! same. Items that lie near each other share a tile. A tile is drawn again where one of its items changed; a scene that
//! is the same gives the same picture.

mod blur;
mod coverage;
mod filter;
mod geometry;
mod glyphs;
mod paint;
mod pictures;
mod pixels;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use geometry::Rect;
use glyphs::Glyphs;
use paint::{Painter, Piece, Prepared};
use pictures::Pictures;
use pixels::Surface;

use crate::fonts::Fonts;
use crate::scene::{Content, Item, Scene};

/// Frames may have this many pixels on a side.
pub const MAX_SIDE: u32 = 16_384;
/// Tiles begin and end at multiples of this, so that small movements keep their size, and chroma samples are whole.
const GRID: i32 = 8;
/// More tiles than this are not worth their overhead.
const MAX_TILES: usize = 24;
/// Tiles are joined when that adds no more than this share, and this many pixels.
const JOIN_SHARE: usize = 4;
const JOIN_PIXELS: usize = 4096;
/// What is beyond is not drawn.
const MAX_ITEMS: usize = 16_384;
/// Surfaces of one scene may have so many times the pixels of the frame, and this many besides.
const BUDGET_FRAMES: usize = 8;
const BUDGET_PIXELS: usize = 8 << 20;
/// The same for the masks of letters, which take no memory of their own but time.
const PAINT_FRAMES: usize = 16;
const PAINT_PIXELS: usize = 16 << 20;

/// What is laid over a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Of the frame, px.
    pub width: u32,
    pub height: u32,
    /// They do not overlap.
    pub tiles: Vec<Arc<Tile>>,
}

/// A rectangle of the frame with its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    surface: Surface,
}

/// Draws scenes for frames of one size.
pub struct Raster {
    width: u32,
    height: u32,
    glyphs: Glyphs,
    pictures: Pictures,
    scene: Scene,
    prepared: Vec<Prepared>,
    picture: Arc<Picture>,
}

impl Picture {
    fn empty(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            tiles: Vec::new(),
        }
    }

    /// The whole frame: four bytes a pixel, R, G, B, A, straight alpha.
    pub fn to_rgba(&self) -> Vec<u8> {
        let mut out = vec![0; self.width as usize * self.height as usize * 4];
        for tile in &self.tiles {
            for row in 0..tile.height() {
                let start = ((tile.y() + row) as usize * self.width as usize + tile.x() as usize) * 4;
                let line = &mut out[start..start + tile.width() as usize * 4];
                for (to, pixel) in line.chunks_exact_mut(4).zip(tile.row(row)) {
                    let [b, g, r, a] = pixel.to_le_bytes();
                    let straight = |c: u8| {
                        (u32::from(c) * 255 + u32::from(a) / 2)
                            .checked_div(a.into())
                            .unwrap_or(0)
                    };
                    to.copy_from_slice(&[straight(r) as u8, straight(g) as u8, straight(b) as u8, a]);
                }
            }
        }
        out
    }
}

impl Tile {
    pub fn x(&self) -> u32 {
        self.surface.rect.x0 as u32
    }

    pub fn y(&self) -> u32 {
        self.surface.rect.y0 as u32
    }

    pub fn width(&self) -> u32 {
        self.surface.rect.width() as u32
    }

    pub fn height(&self) -> u32 {
        self.surface.rect.height() as u32
    }

    /// Premultiplied pixels 0xAARRGGBB, row by row without gaps: on little-endian machines the bytes B, G, R, A.
    pub fn pixels(&self) -> &[u32] {
        &self.surface.pixels
    }

    /// One row of them, counted from the top of the tile.
    pub fn row(&self, row: u32) -> &[u32] {
        let width = self.surface.rect.width();
        &self.surface.pixels[row as usize * width..][..width]
    }
}

impl Raster {
    /// For frames of `width` x `height` pixels, at most `MAX_SIDE` each.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.min(MAX_SIDE), height.min(MAX_SIDE));
        Self {
            width,
            height,
            glyphs: Glyphs::default(),
            pictures: Pictures::default(),
            scene: Scene::default(),
            prepared: Vec::new(),
            picture: Arc::new(Picture::empty(width, height)),
        }
    }

    /// Draws the scene. The text must have been shaped by `fonts`, the same at each call. A scene that shows the same as the
    /// one before gives the same object.
    pub fn draw(&mut self, scene: &Scene, fonts: &Fonts) -> Arc<Picture> {
        let items = &scene.items[..scene.items.len().min(MAX_ITEMS)];
        // What stayed the same at the beginning and at the end.
        let old = &self.scene.items;
        let pairs = || old.iter().zip(items);
        let head = pairs().take_while(|(a, b)| same(a, b)).count();
        if head == old.len() && head == items.len() {
            return self.picture.clone();
        }
        let most = old.len().min(items.len()) - head;
        let tail = old
            .iter()
            .rev()
            .zip(items.iter().rev())
            .take(most)
            .take_while(|(a, b)| same(a, b))
            .count();

        self.glyphs.next();
        let frame = Rect::new(0, 0, self.width, self.height);
        let unchanged = self.prepared[..head]
            .iter()
            .chain(&self.prepared[self.prepared.len() - tail..]);
        let (kept, painted) = unchanged.fold((0, 0), |(kept, painted), item| {
            (kept + item.pixels(), painted + item.painted)
        });
        let mut painter = Painter {
            fonts,
            glyphs: &mut self.glyphs,
            pictures: &mut self.pictures,
            frame,
            budget: (frame.area() * BUDGET_FRAMES + BUDGET_PIXELS).saturating_sub(kept),
            paint: (frame.area() * PAINT_FRAMES + PAINT_PIXELS).saturating_sub(painted),
        };
        let mut before = std::mem::take(&mut self.prepared);
        let rest = before.split_off(head);
        let mut damage: Vec<Rect> = Vec::new();
        let mut prepared = before;
        let gone = rest.len() - tail;
        let changed = head..items.len() - tail;
        for (at, item) in changed.clone().enumerate().map(|(at, index)| (at, &items[index])) {
            // One for one, most changes are of opacity and place.
            let last = (at < gone).then(|| (&self.scene.items[head + at], &rest[at]));
            prepared.push(match last {
                Some((old, ready)) if ready.isolated && same_but_opacity(old, item) => faded(ready, item.opacity),
                Some((old, ready)) if same(old, item) => {
                    prepared.push(ready.clone());
                    continue;
                }
                _ => painter.prepare(item),
            });
        }
        for (at, ready) in rest[..gone].iter().enumerate() {
            let kept = changed.len() > at && same(&self.scene.items[head + at], &items[head + at]);
            if !kept {
                damage.push(ready.bounds);
                damage.extend(
                    prepared
                        .get(head + at)
                        .filter(|_| at < changed.len())
                        .map(|new| new.bounds),
                );
            }
        }
        damage.extend(prepared.iter().skip(head + gone).map(|new| new.bounds));
        prepared.extend(rest.into_iter().skip(gone));

        self.picture = Arc::new(self.compose(&prepared, &damage, &frame));
        self.prepared = prepared;
        self.scene = Scene { items: items.to_vec() };
        self.picture.clone()
    }

    /// Draws the tiles, or the damaged parts of those that were there before.
    fn compose(&mut self, prepared: &[Prepared], damage: &[Rect], frame: &Rect) -> Picture {
        let mut old = std::mem::replace(&mut self.picture, Arc::new(Picture::empty(0, 0)));
        // Whoever still holds the last picture keeps it: then its tiles are copied.
        let mut tiles = match Arc::get_mut(&mut old) {
            Some(picture) => std::mem::take(&mut picture.tiles),
            None => old.tiles.clone(),
        };
        let rects = arrange(prepared.iter().map(|item| item.bounds), frame);
        let tiles = rects
            .into_iter()
            .map(|rect| {
                let last = tiles.iter().position(|tile| tile.surface.rect == rect);
                let (mut tile, dirty) = match last {
                    Some(at) => {
                        let dirty = damage
                            .iter()
                            .fold(Rect::EMPTY, |all, part| all.union(&part.intersect(&rect)));
                        (tiles.swap_remove(at), dirty)
                    }
                    None => (
                        Arc::new(Tile {
                            surface: Surface::new(rect),
                        }),
                        rect,
                    ),
                };
                if !dirty.is_empty() {
                    let surface = &mut Arc::make_mut(&mut tile).surface;
                    if last.is_some() {
                        surface.clear(&dirty);
                    }
                    for piece in prepared
                        .iter()
                        .filter(|item| !item.bounds.intersect(&dirty).is_empty())
                        .flat_map(|item| &item.pieces)
                    {
                        piece.paint(surface, &dirty);
                    }
                }
                tile
            })
            .collect();
        Picture {
            width: self.width,
            height: self.height,
            tiles,
        }
    }
}

/// Rectangles on the grid that hold all of `bounds` and do not overlap.
fn arrange(bounds: impl Iterator<Item = Rect>, frame: &Rect) -> Vec<Rect> {
    let mut tiles: Vec<Rect> = Vec::new();
    for bounds in bounds.filter(|bounds| !bounds.is_empty()) {
        let mut rect = Rect {
            x0: bounds.x0.div_euclid(GRID) * GRID,
            y0: bounds.y0.div_euclid(GRID) * GRID,
            x1: (bounds.x1 + GRID - 1).div_euclid(GRID) * GRID,
            y1: (bounds.y1 + GRID - 1).div_euclid(GRID) * GRID,
        }
        .intersect(frame);
        // A tile that grew may touch others now.
        while let Some(at) = tiles.iter().position(|tile| belong(tile, &rect)).or_else(|| {
            let growth = |at: &usize| tiles[*at].union(&rect).area() - tiles[*at].area();
            (tiles.len() >= MAX_TILES)
                .then(|| (0..tiles.len()).min_by_key(growth))
                .flatten()
        }) {
            rect = rect.union(&tiles.swap_remove(at));
        }
        tiles.push(rect);
    }
    tiles
}

fn belong(a: &Rect, b: &Rect) -> bool {
    let (sum, union) = (a.area() + b.area(), a.union(b).area());
    !a.intersect(b).is_empty() || union <= sum + sum / JOIN_SHARE + JOIN_PIXELS
}

/// Whether the items are drawn the same. Text and images that are the same object are not looked at again.
fn same(a: &Item, b: &Item) -> bool {
    a.opacity == b.opacity && same_but_opacity(a, b)
}

fn same_but_opacity(a: &Item, b: &Item) -> bool {
    a.transform == b.transform
        && a.blend == b.blend
        && a.filters == b.filters
        && match (&a.content, &b.content) {
            (Content::Text(a), Content::Text(b)) => {
                a.color == b.color
                    && a.stroke == b.stroke
                    && a.shadows == b.shadows
                    && a.turns_pixels == b.turns_pixels
                    && (Arc::ptr_eq(&a.shaped, &b.shaped) || a.shaped == b.shaped)
            }
            (Content::Image { image: a, size: left }, Content::Image { image: b, size: right }) => {
                left == right && Arc::ptr_eq(a, b)
            }
            (Content::Layer { scene: a, clip: left }, Content::Layer { scene: b, clip: right }) => {
                left == right && a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same(a, b))
            }
            (a, b) => a == b,
        }
}

/// The same surface, more or less of it.
fn faded(ready: &Prepared, by: f32) -> Prepared {
    let mut faded = ready.clone();
    for piece in &mut faded.pieces {
        if let Piece::Pixels { opacity, .. } = piece {
            *opacity = (by.clamp(0.0, 1.0) * 256.0 + 0.5) as u32;
        }
    }
    faded
}
