//! A scenario as it was understood: references replaced, styles and times inherited, windows of effects in seconds.

use std::sync::Arc;

use crate::css::{Length, ShadowSpec, Sides};
use crate::effects::Effect;
use crate::scene::Rgba;

/// From and to, seconds, both may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub start: f64,
    pub end: f64,
}

impl Span {
    pub(crate) const ALWAYS: Self = Self {
        start: f64::NEG_INFINITY,
        end: f64::INFINITY,
    };

    pub(crate) fn is_finite(self) -> bool {
        self.start.is_finite() && self.end.is_finite()
    }

    pub(crate) fn length(self) -> f64 {
        (self.end - self.start).max(0.0)
    }

    /// Both ends belong to it.
    pub(crate) fn holds(self, t: f64) -> bool {
        self.start <= t && t <= self.end
    }
}

/// The two languages differ in a few rules of time and layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V2,
    V13,
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) dialect: Dialect,
    /// Times are rounded to frames of this rate.
    pub(crate) snap: Option<f64>,
    pub(crate) tracks: Vec<Track>,
    /// In the order in which they are drawn.
    pub(crate) cues: Vec<Cue>,
}

#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) layer: f64,
    pub(crate) subtitle: bool,
    pub(crate) constraints: Constraints,
    /// The larger of the stage's and the track's, for `safeAreaClamp`.
    pub(crate) safe: Insets,
}

#[derive(Debug)]
pub(crate) struct Cue {
    pub(crate) track: usize,
    /// Outside of it nothing of the cue is drawn.
    pub(crate) life: Span,
    pub(crate) root: Node,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: Arc<str>,
    pub(crate) time: Span,
    pub(crate) layout: Layout,
    pub(crate) style: Arc<TextStyle>,
    pub(crate) chain: Vec<Effect>,
    /// The layer in which it is drawn instead of within its group, without the group's opacity and clip.
    pub(crate) breakout: Option<f64>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Group {
        children: Vec<Node>,
        panel: Box<PanelStyle>,
    },
    Text(Arc<str>),
    /// Index of the asset, or none if it may not be loaded.
    Picture(Option<usize>),
}

/// Shares of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Insets {
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
}

impl Insets {
    pub(crate) fn larger(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            bottom: self.bottom.max(other.bottom),
            left: self.left.max(other.left),
            right: self.right.max(other.right),
        }
    }
}

/// Which point of a box is put at its position: 0 = left or top, 0.5 = centre, 1 = right or bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Anchor {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

impl Anchor {
    pub(crate) const CENTER: Self = Self { x: 0.5, y: 0.5 };
    pub(crate) const BOTTOM: Self = Self { x: 0.5, y: 1.0 };

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let y = match letters.next()? {
            't' => 0.0,
            'c' => 0.5,
            'b' => 1.0,
            _ => return None,
        };
        let x = match letters.next()? {
            'l' => 0.0,
            'c' => 0.5,
            'r' => 1.0,
            _ => return None,
        };
        letters.next().is_none().then_some(Self { x, y })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Absolute,
    Flow,
    Grid,
}

/// How the boxes of a track behave where their own layout says nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constraints {
    /// Not given, but those of the track's type.
    pub(crate) of_type: bool,
    pub(crate) mode: Option<Mode>,
    pub(crate) horizontal: bool,
    /// Boxes are only placed, whatever the mode.
    pub(crate) breakout: bool,
    pub(crate) min: [Option<f64>; 2],
    pub(crate) max: [Option<f64>; 2],
    pub(crate) gap: f64,
    pub(crate) padding: Option<[f64; 2]>,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) safe: Insets,
}

/// A length on the stage: px, or a share of the containing block.
pub(crate) type Size = Length;

#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub(crate) mode: Option<Mode>,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) position: Option<[Size; 2]>,
    pub(crate) size: [Option<Size>; 2],
    pub(crate) max: [Option<Size>; 2],
    /// Shares of the stage's height.
    pub(crate) padding: Option<[f64; 2]>,
    pub(crate) gap: Option<f64>,
    pub(crate) transform: Transforms,
    pub(crate) origin: Option<[Length; 2]>,
    pub(crate) z: f64,
    pub(crate) clip: bool,
    pub(crate) safe_clamp: bool,
    pub(crate) shift: Option<(Option<[Size; 2]>, Transforms)>,
    pub(crate) children: Option<ChildrenLayout>,
}

/// Steps in the order of the CSS list.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Transforms {
    /// Shares of the box's own size, or px.
    pub(crate) translate: Option<[Size; 2]>,
    pub(crate) scale: Option<[f64; 2]>,
    /// Degrees, clockwise.
    pub(crate) rotate: Option<f64>,
    pub(crate) skew: Option<[f64; 2]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrange {
    Flow,
    Grid,
    Stack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Center,
    End,
    Between,
}

#[derive(Debug, Clone)]
pub(crate) struct ChildrenLayout {
    pub(crate) arrange: Arrange,
    pub(crate) vertical: bool,
    /// A share of the parent's width, or height where vertical.
    pub(crate) gap: f64,
    /// On top of it, in the font size of the children.
    pub(crate) gap_em: f64,
    pub(crate) wrap: bool,
    /// Px or a share of the parent's width.
    pub(crate) max_width: Option<Size>,
    pub(crate) max_width_rel: Option<f64>,
    pub(crate) align: Align,
    pub(crate) justify: Align,
}

/// How text looks, as far as it is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextStyle {
    pub(crate) color: Option<Rgba>,
    pub(crate) families: Option<Vec<String>>,
    pub(crate) size: Option<Length>,
    /// A share of the stage's height.
    pub(crate) size_rel: Option<f64>,
    pub(crate) weight: Option<u16>,
    pub(crate) italic: Option<bool>,
    /// Px, or times the font's size.
    pub(crate) line_height: Option<Length>,
    pub(crate) letter_spacing: Option<f64>,
    pub(crate) shadows: Option<Vec<ShadowSpec>>,
    pub(crate) stroke: Option<StrokeStyle>,
    pub(crate) align: Option<Align>,
    pub(crate) white_space: Option<WhiteSpace>,
    pub(crate) opacity: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StrokeStyle {
    /// Px, or a share of the stage's height.
    pub(crate) width: Length,
    pub(crate) color: Rgba,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhiteSpace {
    Normal,
    NoWrap,
    Pre,
    PreWrap,
}

impl TextStyle {
    /// This style, and for what it does not say the other.
    pub(crate) fn over(&self, under: &Self) -> Self {
        macro_rules! merged {
            ($($field:ident),*) => { Self { $($field: self.$field.clone().or_else(|| under.$field.clone())),* } };
        }
        merged!(
            color,
            families,
            size,
            size_rel,
            weight,
            italic,
            line_height,
            letter_spacing,
            shadows,
            stroke,
            align,
            white_space,
            opacity
        )
    }
}

/// How the box of a group looks, as far as it is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct PanelStyle {
    pub(crate) background: Option<Rgba>,
    pub(crate) border: Option<StrokeStyle>,
    /// Px, or shares of the stage's height.
    pub(crate) border_radius: Option<Length>,
    pub(crate) radius: Option<Sides>,
    pub(crate) padding: Option<Sides>,
    pub(crate) opacity: Option<f64>,
}

impl PanelStyle {
    pub(crate) fn over(&self, under: &Self) -> Self {
        macro_rules! merged {
            ($($field:ident),*) => { Self { $($field: self.$field.or(under.$field)),* } };
        }
        merged!(background, border, border_radius, radius, padding, opacity)
    }
}
