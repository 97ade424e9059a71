//! What is to be seen at one time: made by the layout, drawn by the raster.

use std::sync::Arc;

use crate::fonts::Shaped;
pub use crate::transform::Transform;

/// Items from back to front.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scene {
    pub items: Vec<Item>,
}

/// One thing to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// From the content's own pixels to those of the stage.
    pub transform: Transform,
    /// 0..=1
    pub opacity: f32,
    pub blend: Blend,
    /// Applied in order to the drawn content, before opacity and blending.
    pub filters: Vec<Filter>,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The origin is the left end of the base line.
    Text(Text),
    /// From the origin to the right and down.
    Box(Panel),
    /// From the origin to the right and down, stretched to `size`.
    Image { image: Arc<Image>, size: [f32; 2] },
    /// `color` in the middle of a box of `size` from the origin, none at `radius` (a share of the distance to the farthest
    /// corner, as CSS has it); `solid` is the share up to which the colour stays as it is.
    Glow {
        size: [f32; 2],
        color: Rgba,
        solid: f32,
        radius: f32,
    },
    /// Items whose transforms lead to the layer's pixels, from which the item's own leads on. Drawn on a layer of its own, which the item's filters, opacity and blend mode then apply to. `clip`: a box of that size from the
    /// item's origin, with rounded corners.
    Layer { scene: Scene, clip: Option<Panel> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub shaped: Arc<Shaped>,
    pub color: Rgba,
    /// Painted over the fill, centred on the edge of the glyphs.
    pub stroke: Option<Stroke>,
    /// The first is in front, all behind the fill.
    pub shadows: Vec<Shadow>,
    /// If it is turned or slanted, its pixels are, after it was drawn upright: softer, as a browser has it for what moves on a layer of its own.
    pub turns_pixels: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// px
    pub width: f32,
    pub color: Rgba,
}

/// As CSS has it: the standard deviation of the blur is half of `blur`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shadow {
    /// px
    pub dx: f32,
    pub dy: f32,
    pub blur: f32,
    pub color: Rgba,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Width and height of the border's outer edge, px.
    pub size: [f32; 2],
    pub background: Rgba,
    /// The border lies inside of `size`.
    pub border: Option<Stroke>,
    /// Of the outer edge, px: top left, top right, bottom right, bottom left.
    pub radius: [f32; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Blend {
    #[default]
    Normal,
    Screen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Filter {
    /// Standard deviation, px.
    Blur(f32),
    /// 1 changes nothing.
    Brightness(f32),
    Contrast(f32),
    Saturate(f32),
}

/// Straight alpha, each 0..=1, in sRGB as CSS writes it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rgba {
    pub r: f32,
    pub g: f32,
    pub b: f32,
    pub a: f32,
}

/// A picture, straight alpha, four bytes a pixel in the order R, G, B, A, rows without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}
