//! What is to be drawn on a frame, and how it looks.

use super::canvas::{Canvas, Color, Rect};
use super::mask::Mask;
use super::skeleton::Skeleton;
use super::text::Font;

/// Bright colors, far apart in hue, that stand out on skin, foliage, sky and shadow alike.
const PALETTE: [Color; 8] = [
    Color(74, 222, 128),
    Color(56, 189, 248),
    Color(251, 191, 36),
    Color(244, 114, 182),
    Color(186, 164, 255),
    Color(251, 146, 60),
    Color(45, 212, 191),
    Color(248, 113, 113),
];
const TEXT: Color = Color(245, 245, 245);
const BACKGROUND: Color = Color(12, 14, 20);
const BACKGROUND_ALPHA: u8 = 168;
/// Longest line of a label in characters; captions are cut at the width of the frame.
const MAX_LABEL_CHARS: usize = 40;

/// The color of a label, and of each track of that label.
pub fn color_of(label: &str, track: Option<u64>) -> Color {
    // FNV-1a, 32 bits: the same color in every process and on every machine.
    let hash = label.bytes().fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let index = u64::from(hash).wrapping_add(track.unwrap_or(0)) % PALETTE.len() as u64;
    PALETTE[index as usize]
}

/// A detected object.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// In pixels; may reach outside of the frame.
    pub rect: Rect,
    pub color: Color,
    /// Text lines; the first in the object's color.
    pub lines: Vec<String>,
}

/// The keypoints of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub skeleton: Skeleton,
    pub color: Color,
    /// In pixels; `None` for a point that is not to be drawn.
    pub points: Vec<Option<[f64; 2]>>,
}

/// A line of text at the bottom left.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptionLine {
    /// Comes first, in its own color; may be empty.
    pub kind: String,
    pub color: Color,
    pub message: String,
}

/// All there is to draw on one frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scene {
    pub regions: Vec<Region>,
    pub figures: Vec<Figure>,
    /// From top to bottom.
    pub captions: Vec<CaptionLine>,
}

impl Scene {
    pub const fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.figures.is_empty() && self.captions.is_empty()
    }
}

/// Sizes in pixels; zero takes one that suits the height of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub boxes: bool,
    pub line_width: u32,
    pub font_size: u32,
}

impl Style {
    fn line_width(&self, height: i32) -> i32 {
        let width = if self.line_width > 0 {
            self.line_width as i32
        } else {
            (height + 135) / 270
        };
        width.clamp(1, i32::from(i16::MAX))
    }

    fn font_size(&self, height: i32) -> u32 {
        if self.font_size > 0 {
            self.font_size
        } else {
            (height / 36).clamp(10, 96) as u32
        }
    }
}

/// Draws scenes; keeps its scratch memory and letters from frame to frame.
#[derive(Debug)]
pub struct Painter {
    mask: Mask,
    font: Font,
}

impl Default for Painter {
    fn default() -> Self {
        Self {
            mask: Mask::default(),
            font: Font::new(16),
        }
    }
}

impl Painter {
    /// Draws the scene; where things overlap, text is above boxes and boxes are above keypoints.
    pub fn paint(&mut self, canvas: &mut Canvas<'_>, scene: &Scene, style: &Style) {
        let height = canvas.bounds().height();
        let line_width = style.line_width(height);
        if self.font.size() != style.font_size(height) {
            self.font = Font::new(style.font_size(height));
        }
        for figure in &scene.figures {
            self.figure(canvas, figure, line_width);
        }
        if style.boxes {
            for region in &scene.regions {
                outline(canvas, region.rect, line_width, region.color);
            }
        }
        for region in &scene.regions {
            self.label(canvas, region, line_width);
        }
        self.captions(canvas, &scene.captions, line_width);
    }

    fn figure(&mut self, canvas: &mut Canvas<'_>, figure: &Figure, line_width: i32) {
        let width = f64::from(line_width) * figure.skeleton.weight;
        let joint = f64::from(line_width) * 2.0;
        let drawn = figure.points.iter().flatten();
        let extent = drawn.fold(None, |extent: Option<[f64; 4]>, &[x, y]| {
            let [x0, y0, x1, y1] = extent.unwrap_or([x, y, x, y]);
            Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
        });
        let Some([x0, y0, x1, y1]) = extent else {
            return;
        };
        // Float to integer saturates, so far-away points do no harm.
        let margin = joint + 2.0;
        let area = Rect::new(
            (x0 - margin).floor() as i32,
            (y0 - margin).floor() as i32,
            (x1 + margin).ceil() as i32,
            (y1 + margin).ceil() as i32,
        );
        self.mask.begin(area, canvas.bounds());
        let point = |index: u16| figure.points.get(usize::from(index)).copied().flatten();
        for chain in figure.skeleton.chains {
            for pair in chain.windows(2) {
                if let (Some(a), Some(b)) = (point(pair[0]), point(pair[1])) {
                    self.mask.line(a, b, width);
                }
            }
        }
        let mut dot = |at: [f64; 2]| self.mask.line(at, at, joint);
        match figure.skeleton.dots {
            Some(dots) => dots.iter().filter_map(|&index| point(index)).for_each(&mut dot),
            None => figure.points.iter().copied().flatten().for_each(&mut dot),
        }
        canvas.blend(&mut self.mask, figure.color);
    }

    /// The text of a region above its box, or inside of it where there is no room above.
    fn label(&mut self, canvas: &mut Canvas<'_>, region: &Region, line_width: i32) {
        let lines: Vec<String> = region.lines.iter().map(|line| cut(line, MAX_LABEL_CHARS)).collect();
        let Some(text_width) = lines.iter().map(|line| self.font.width(line)).max() else {
            return;
        };
        let bounds = canvas.bounds();
        let size = self.font.size() as i32;
        let padding = (size / 5).max(2);
        let width = line_width + 2 * padding + text_width;
        let height = size * lines.len() as i32 + padding;
        let x = region.rect.x0.min(bounds.x1 - width).max(0);
        let above = region.rect.y0 - height;
        let y = if above >= 0 {
            above
        } else {
            region.rect.y0.max(0).saturating_add(line_width)
        };
        let panel = Rect::new(x, y, x.saturating_add(width), y.saturating_add(height));
        canvas.fill(
            Rect {
                x0: x + line_width,
                ..panel
            },
            BACKGROUND,
            BACKGROUND_ALPHA,
        );
        canvas.fill(
            Rect {
                x1: x + line_width,
                ..panel
            },
            region.color,
            255,
        );
        let (x, y) = (x + line_width + padding, y.saturating_add(padding / 2));
        self.text(canvas, x, y, &lines[..1], region.color);
        self.text(canvas, x, y.saturating_add(size), &lines[1..], TEXT);
    }

    fn captions(&mut self, canvas: &mut Canvas<'_>, captions: &[CaptionLine], line_width: i32) {
        let bounds = canvas.bounds();
        let size = self.font.size() as i32;
        let padding = (size / 5).max(2);
        let pitch = size + 2 * padding;
        let margin = size.min(bounds.width() / 16);
        let room = ((bounds.width() - 2 * margin - line_width - 2 * padding) / self.font.advance()).max(0) as usize;
        let mut y = bounds.y1 - margin - pitch * captions.len() as i32;
        for caption in captions {
            let kind = cut(&caption.kind, room);
            let gap = usize::from(!kind.is_empty());
            let message = cut(&caption.message, room.saturating_sub(kind.chars().count() + gap));
            let start = self.font.width(&kind) + self.font.advance() * gap as i32;
            let x = margin;
            let width = line_width + 2 * padding + start + self.font.width(&message);
            let panel = Rect::new(x, y, x + width, y + pitch - 1);
            canvas.fill(
                Rect {
                    x0: x + line_width,
                    ..panel
                },
                BACKGROUND,
                BACKGROUND_ALPHA,
            );
            canvas.fill(
                Rect {
                    x1: x + line_width,
                    ..panel
                },
                caption.color,
                255,
            );
            let x = x + line_width + padding;
            self.text(canvas, x, y + padding, &[kind], caption.color);
            self.text(canvas, x + start, y + padding, &[message], TEXT);
            y += pitch;
        }
    }

    /// Lines of text from (x, y) down.
    fn text(&mut self, canvas: &mut Canvas<'_>, x: i32, y: i32, lines: &[String], color: Color) {
        let size = self.font.size() as i32;
        let width = lines.iter().map(|line| self.font.width(line)).max().unwrap_or(0);
        let area = Rect::new(
            x,
            y,
            x.saturating_add(width),
            y.saturating_add(size * lines.len() as i32),
        );
        self.mask.begin(area, canvas.bounds());
        for (line, index) in lines.iter().zip(0..) {
            self.font.draw(&mut self.mask, x, y.saturating_add(index * size), line);
        }
        canvas.blend(&mut self.mask, color);
    }
}

/// A frame of lines just inside of the rectangle.
fn outline(canvas: &mut Canvas<'_>, rect: Rect, width: i32, color: Color) {
    if rect.is_empty() {
        return;
    }
    let across = width.min((rect.width() + 1) / 2);
    let down = width.min((rect.height() + 1) / 2);
    let (inner_top, inner_bottom) = (rect.y0 + down, (rect.y1 - down).max(rect.y0 + down));
    canvas.fill(Rect { y1: inner_top, ..rect }, color, 255);
    canvas.fill(
        Rect {
            y0: inner_bottom,
            ..rect
        },
        color,
        255,
    );
    canvas.fill(
        Rect {
            x1: rect.x0 + across,
            y0: inner_top,
            y1: inner_bottom,
            ..rect
        },
        color,
        255,
    );
    canvas.fill(
        Rect {
            x0: (rect.x1 - across).max(rect.x0),
            y0: inner_top,
            y1: inner_bottom,
            ..rect
        },
        color,
        255,
    );
}

/// The first `max` characters, with dots where something is missing; line breaks and other control characters become
/// spaces.
fn cut(text: &str, max: usize) -> String {
    let mut line: String = text
        .chars()
        .take(max + 1)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.chars().count() > max {
        line = line
            .chars()
            .take(max.saturating_sub(2))
            .chain("..".chars())
            .take(max)
            .collect();
    }
    line
}
