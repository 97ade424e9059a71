//! From nodes to boxes, with the habits of the profile.
//!
//! In the profile preview the boxes are those that the existing renderer makes, each with what it brings along: an empty box before a
//! group's children, which takes a gap, a line or a cell; paddings that children take from what their group measures when they come into
//! it; no padding for children of a group with gaps.

use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::flow::{self, Block, Columns, Display};
use super::text::{self, Inline, Measure, Piece, PieceKind};
use crate::css::Length;
use crate::effects::{self, Channels, Inner, Subject, Units};
use crate::fonts::FontStyle;
use crate::model::{
    Align, Anchor, Arrange, ChildrenLayout, Content, Dialect, Document, Mode, Node, PanelStyle, Size, Span, TextStyle,
    Track, WhiteSpace,
};
use crate::parse::{Options, Profile};
use crate::scene::{Image, Rgba, Shadow, Stroke};

/// The font of the page that scenarios are shown on by the existing renderer.
const PAGE_FONT: &str = "NanumGothic";
/// px
const PAGE_FONT_SIZE: f64 = 16.0;
/// px, of text that says no size.
const TEXT_SIZE: f64 = 32.0;

/// What a box is for.
#[derive(Debug, Clone)]
pub(super) enum Tag<'a> {
    Nothing,
    Group(&'a Node, &'a PanelStyle),
    Text(Box<TextTag<'a>>),
    /// The lines of a text node.
    Lines,
    Picture(&'a Node, Arc<Image>),
}

/// A text node at the time of the scene.
#[derive(Debug, Clone)]
pub(super) struct TextTag<'a> {
    pub(super) node: &'a Node,
    pub(super) channels: Channels,
    pub(super) inner: Inner,
    pub(super) look: TextLook,
}

/// How text looks without effects.
#[derive(Debug, Clone)]
pub(super) struct TextLook {
    pub(super) color: Rgba,
    pub(super) shadows: Vec<Shadow>,
    pub(super) stroke: Option<Stroke>,
    pub(super) opacity: f64,
}

pub(super) struct Builder<'a, 'm> {
    pub(super) document: &'a Document,
    pub(super) options: &'a Options,
    pub(super) pictures: &'a [Option<Arc<Image>>],
    /// Of the scenario's time line.
    pub(super) time: f64,
    pub(super) stage: [f64; 2],
    pub(super) measure: &'m mut dyn Measure,
}

/// What a node's box takes from the box around it.
#[derive(Clone, Copy)]
struct Around<'a> {
    track: &'a Track,
    /// The measures of the group around it, px.
    outer: [f64; 2],
    /// The containing block for positions.
    containing: [f64; 2],
    /// The group sets gaps, and no padding with them.
    gaps: bool,
    inherited_shadows: Option<&'a TextStyle>,
    depth: usize,
}

impl<'a> Builder<'a, '_> {
    fn is_preview(&self) -> bool {
        self.options.profile == Profile::Preview
    }

    /// How much larger px lengths are drawn than they are written.
    pub(super) fn px_scale(&self) -> f64 {
        let height = self.options.reference_height;
        if height > 0.0 {
            (self.stage[1] / height).clamp(1e-3, 1e3)
        } else {
            1.0
        }
    }

    /// Px of a length that counts shares of `whole`.
    fn px(&self, length: Length, whole: f64) -> f64 {
        match length {
            Length::Px(px) => px * self.px_scale(),
            Length::Share(share) => share * whole,
        }
    }

    fn scaled(&self, size: Size) -> Size {
        match size {
            Length::Px(px) => Length::Px(px * self.px_scale()),
            share => share,
        }
    }

    /// Px of a length that counts shares of the stage's height, in whole px as far as it is a share.
    fn of_height(&self, length: Length) -> f64 {
        match length {
            Length::Px(px) => px * self.px_scale(),
            Length::Share(share) => (share * self.stage[1]).round(),
        }
    }

    /// Everything that is to be seen.
    pub(super) fn stage(&mut self) -> Block<Tag<'a>> {
        let mut stage = Block::new(Tag::Nothing, Display::Block { align: Align::Start });
        stage.size = self.stage.map(|side| Some(Length::Px(side)));
        let (document, time) = (self.document, self.time);
        for cue in document.cues.iter().filter(|cue| cue.life.holds(time)) {
            let around = Around {
                track: &document.tracks[cue.track],
                outer: self.stage,
                containing: self.stage,
                gaps: false,
                inherited_shadows: None,
                depth: 0,
            };
            stage.children.extend(self.node(&cue.root, around));
        }
        stage
    }

    fn is_shown(&self, node: &Node) -> bool {
        let Span { start, end } = node.time;
        match self.document.dialect {
            Dialect::V2 => node.time.is_finite() && node.time.holds(self.time),
            Dialect::V13 => {
                start <= self.time
                    && self.time < end
                    && match &node.content {
                        Content::Group { children, .. } => children.iter().any(|child| self.is_shown(child)),
                        _ => true,
                    }
            }
        }
    }

    fn node(&mut self, node: &'a Node, around: Around<'a>) -> Option<Block<Tag<'a>>> {
        if !self.is_shown(node) {
            return None;
        }
        let mut block = match &node.content {
            Content::Group { children, panel } => self.group(node, children, panel, around),
            Content::Text(text) => self.text(node, text, around),
            Content::Picture(asset) => self.picture(node, *asset)?,
        };
        let layout = &node.layout;
        block.position = layout.position.map(|pair| pair.map(|size| self.scaled(size)));
        block.anchor = anchor(node);
        block.safe = layout.safe_clamp.then_some(around.track.safe);
        for axis in 0..2 {
            block.size[axis] = layout.size[axis].map(|size| self.scaled(size));
            if !self.is_preview() {
                block.max[axis] = layout.max[axis].map(|size| self.scaled(size)).or(block.max[axis]);
            }
        }
        Some(block)
    }

    /// Of a node on this track.
    fn mode(&self, node: &Node, track: &Track) -> Mode {
        let constraints = &track.constraints;
        if constraints.breakout {
            return if self.is_preview() {
                Mode::Absolute
            } else {
                node.layout.mode.unwrap_or(Mode::Absolute)
            };
        }
        node.layout.mode.or(constraints.mode).unwrap_or(Mode::Absolute)
    }

    fn group(
        &mut self,
        node: &'a Node,
        children: &'a [Node],
        panel: &'a PanelStyle,
        around: Around<'a>,
    ) -> Block<Tag<'a>> {
        let constraints = &around.track.constraints;
        let mode = self.mode(node, around.track);
        let arranged = node.layout.children.as_ref();
        let mut block = Block::new(Tag::Group(node, panel), self.display(node, mode, arranged, around));
        block.border = panel.border.map_or(0.0, |border| self.of_height(border.width).max(0.0));
        block.padding = self
            .padding(node, Some(panel), mode, around)
            .map(|side| side + block.border);
        if mode != Mode::Absolute {
            block.min = constraints.min.map(|share| share.map(Length::Share));
            block.max = constraints.max.map(|share| share.map(Length::Share));
        }
        block.max[0] = self.max_width(arranged, around).or(block.max[0]);
        // As wide as documented, not as what is right of the position.
        block.whole_room = !self.is_preview();
        block.position = node.layout.position.map(|pair| pair.map(|size| self.scaled(size)));
        block.size = node.layout.size.map(|size| size.map(|size| self.scaled(size)));
        self.children(&mut block, node, children, mode, arranged, around);
        block
    }

    fn display(&self, node: &Node, mode: Mode, arranged: Option<&ChildrenLayout>, around: Around<'_>) -> Display {
        let constraints = &around.track.constraints;
        let between = self.gaps_between(arranged);
        let shared_gap = match node.layout.gap {
            Some(gap) if between => gap,
            _ => constraints.gap,
        };
        let line_gap = if mode == Mode::Absolute {
            0.0
        } else {
            (shared_gap * self.stage[1]).round()
        };
        if let Some(arranged) = arranged {
            let (align, justify) = (arranged.align, arranged.justify);
            let gap = if between { self.gap(node, arranged, around) } else { 0.0 };
            match arranged.arrange {
                Arrange::Flow if arranged.vertical => {
                    return Display::Column {
                        align,
                        justify,
                        gap: if between { gap } else { line_gap },
                    };
                }
                Arrange::Flow => {
                    return Display::Row {
                        wrap: arranged.wrap,
                        align,
                        justify,
                        gap,
                        line_gap,
                    };
                }
                Arrange::Grid => {
                    let gap = (arranged.gap * self.stage[1]).round();
                    return Display::Grid {
                        gap,
                        columns: Columns::Fit,
                    };
                }
                Arrange::Stack => {}
            }
        }
        let Anchor { x, y } = anchor_or(node, constraints.anchor);
        let side = |share: f64| match share {
            0.0 => Align::Start,
            1.0 => Align::End,
            _ => Align::Center,
        };
        match mode {
            Mode::Flow if constraints.horizontal => Display::Row {
                wrap: false,
                align: side(y),
                justify: side(x),
                gap: line_gap,
                line_gap,
            },
            Mode::Flow => Display::Column {
                align: side(x),
                justify: side(y),
                gap: line_gap,
            },
            Mode::Grid => Display::Grid {
                gap: line_gap,
                columns: Columns::Each,
            },
            Mode::Absolute => Display::Block {
                align: node.style.align.unwrap_or(Align::Start),
            },
        }
    }

    /// Whether gaps are only between children. In the existing renderer each child of a 2.0 group, and each word of a 1.3 one, has its own.
    fn gaps_between(&self, arranged: Option<&ChildrenLayout>) -> bool {
        !self.is_preview()
            || (self.document.dialect == Dialect::V13 && arranged.is_some_and(|arranged| arranged.vertical))
    }

    /// Px that a group puts between its children.
    fn gap(&self, node: &Node, arranged: &ChildrenLayout, around: Around<'_>) -> f64 {
        let em = if arranged.gap_em > 0.0 {
            arranged.gap_em * self.font_size(&node.style, TEXT_SIZE)
        } else {
            0.0
        };
        (around.outer[usize::from(arranged.vertical)] * arranged.gap).round() + em
    }

    /// Top, right, bottom and left without the border.
    fn padding(&self, node: &Node, panel: Option<&PanelStyle>, mode: Mode, around: Around<'_>) -> [f64; 4] {
        if around.gaps && self.is_preview() {
            return [0.0; 4];
        }
        if let Some(sides) = panel.and_then(|panel| panel.padding) {
            return sides.map(|side| self.of_height(side).max(0.0));
        }
        let both = |[x, y]: [f64; 2]| [y, x, y, x];
        if let (Some(padding), true) = (node.layout.padding, panel.is_some()) {
            return both(padding.map(|share| (share * self.stage[1]).round()));
        }
        match around.track.constraints.padding {
            Some([x, y]) if mode != Mode::Absolute && (panel.is_some() || self.is_preview()) => {
                both([(around.outer[0] * x).round(), (around.outer[1] * y).round()])
            }
            _ => [0.0; 4],
        }
    }

    /// What `childrenLayout` says of the group's width.
    fn max_width(&self, arranged: Option<&ChildrenLayout>, around: Around<'_>) -> Option<Size> {
        let arranged = arranged.filter(|arranged| arranged.wrap && arranged.arrange == Arrange::Flow)?;
        let constraints = &around.track.constraints;
        // Where the parent is not measured yet there is nothing to count from.
        if around.outer[0] <= 0.0 || (self.is_preview() && constraints.of_type && constraints.breakout) {
            return None;
        }
        let share = match arranged.max_width {
            Some(Length::Share(share)) => share,
            _ => f64::INFINITY,
        };
        let safe = 1.0 - constraints.safe.left - constraints.safe.right;
        let share = share
            .min(safe)
            .min(constraints.max[0].unwrap_or(1.0))
            .min(arranged.max_width_rel.unwrap_or(1.0));
        let px = (share.max(0.0) * around.outer[0]).round();
        Some(Length::Px(match arranged.max_width {
            Some(Length::Px(most)) => px.min(most * self.px_scale()),
            _ => px,
        }))
    }

    fn children(
        &mut self,
        block: &mut Block<Tag<'a>>,
        node: &'a Node,
        children: &'a [Node],
        mode: Mode,
        arranged: Option<&ChildrenLayout>,
        around: Around<'a>,
    ) {
        let flows = arranged.filter(|arranged| arranged.arrange == Arrange::Flow);
        let gap = flows.map_or(0.0, |arranged| self.gap(node, arranged, around));
        let gaps = arranged.is_some_and(|arranged| arranged.gap > 0.0 && arranged.arrange != Arrange::Stack);
        let margin = match flows {
            Some(_) if self.gaps_between(arranged) => [0.0; 4],
            Some(arranged) if arranged.vertical => [gap, 0.0, 0.0, 0.0],
            Some(_) => [0.0, gap, 0.0, 0.0],
            None => [0.0; 4],
        };
        if self.is_preview() && self.document.dialect == Dialect::V2 {
            // What group effects move in the existing renderer, and nothing is in it.
            let line = match block.display {
                Display::Block { .. } => self.empty_line(&node.style),
                _ => 0.0,
            };
            let mut empty = Block::new(Tag::Nothing, Display::Fixed([0.0, line]));
            empty.margin = if matches!(flows, Some(arranged) if arranged.vertical) {
                [0.0; 4]
            } else {
                margin
            };
            block.children.push(empty);
        }
        let containing = if block.position.is_some() {
            around.outer
        } else {
            around.containing
        };
        let mut around = Around {
            outer: containing,
            containing,
            gaps,
            inherited_shadows: Some(&node.style),
            depth: around.depth + 1,
            ..around
        };
        // What children measure of this group: its parent's, unless one of them needs to know better.
        let needs_measure = |child: &Node| match &child.content {
            Content::Group { .. } => child
                .layout
                .children
                .as_ref()
                .is_some_and(|arranged| arranged.gap > 0.0 || arranged.wrap),
            _ => false,
        };
        let grows = self.is_preview() && mode != Mode::Absolute && !gaps && around.track.constraints.padding.is_some();
        if !grows && around.depth <= MEASURED_DEPTH && children.iter().any(needs_measure) {
            let mut trial = block.clone();
            trial.children.extend(children.iter().filter_map(|child| {
                self.node(
                    child,
                    Around {
                        outer: [0.0; 2],
                        ..around
                    },
                )
            }));
            around.outer = flow::measured(&trial, containing, self.measure);
        }
        for child in children {
            let inner = Around {
                outer: if grows { [0.0; 2] } else { around.outer },
                ..around
            };
            let Some(mut boxed) = self.node(child, inner) else {
                continue;
            };
            boxed.margin = margin;
            block.children.push(boxed);
            if grows && block.children.len() <= MEASURED_CHILDREN {
                around.outer = flow::measured(block, containing, self.measure);
            }
            if grows && let Content::Text(_) = child.content {
                let padding = self.padding(child, None, self.mode(child, around.track), around);
                if let Some(last) = block.children.last_mut() {
                    last.padding = padding;
                }
            }
        }
    }

    /// The height of a line in which a group has nothing.
    fn empty_line(&mut self, style: &TextStyle) -> f64 {
        let font = self.font(style, PAGE_FONT_SIZE);
        let height = self.line_height(style, f64::from(font.size));
        text::line_height(&font, height, self.measure)
    }

    fn font_size(&self, style: &TextStyle, or: f64) -> f64 {
        let size = match (style.size, style.size_rel) {
            (Some(size), _) => self.px(size, PAGE_FONT_SIZE * self.px_scale()),
            (None, Some(share)) => (self.stage[1] * share).round().max(1.0),
            (None, None) => or * self.px_scale(),
        };
        size.clamp(0.1, LARGEST_FONT)
    }

    fn font(&self, style: &TextStyle, or: f64) -> FontStyle {
        let unsized_text = style.size.is_none() && style.size_rel.is_none() && or > PAGE_FONT_SIZE;
        let written = !self.is_preview();
        FontStyle {
            families: style.families.clone().unwrap_or_else(|| vec![PAGE_FONT.to_owned()]),
            size: self.font_size(style, or) as f32,
            weight: style.weight.unwrap_or(if unsized_text { 700 } else { 400 }),
            italic: style.italic.unwrap_or(false) && written,
            letter_spacing: if written {
                (style.letter_spacing.unwrap_or(0.0) * self.px_scale()) as f32
            } else {
                0.0
            },
        }
    }

    fn line_height(&self, style: &TextStyle, font_size: f64) -> Option<f64> {
        style
            .line_height
            .map(|height| self.px(height, font_size).min(4.0 * LARGEST_FONT))
    }

    fn picture(&mut self, node: &'a Node, asset: Option<usize>) -> Option<Block<Tag<'a>>> {
        let image = self.pictures.get(asset?)?.clone()?;
        let natural = [f64::from(image.width), f64::from(image.height)];
        // One side given, the other follows.
        let ratio = natural[0] / natural[1].max(1.0);
        let side = |axis: usize| node.layout.size[axis].map(|size| self.px(size, self.stage[axis]));
        let size = match (side(0), side(1)) {
            (Some(width), Some(height)) => [width, height],
            (Some(width), None) => [width, width / ratio.max(1e-6)],
            (None, Some(height)) => [height * ratio, height],
            (None, None) => natural.map(|side| side * self.px_scale()),
        };
        Some(Block::new(Tag::Picture(node, image), Display::Fixed(size)))
    }

    fn text(&mut self, node: &'a Node, text: &'a Arc<str>, around: Around<'a>) -> Block<Tag<'a>> {
        let style = &*node.style;
        let font = self.font(style, TEXT_SIZE);
        let look = self.look(style, around.inherited_shadows);
        let white_space = style.white_space.unwrap_or(WhiteSpace::Normal);
        let keep = matches!(white_space, WhiteSpace::Pre | WhiteSpace::PreWrap);
        let text = text::collapse(text, keep);
        let letters: Vec<&str> = if node.chain.is_empty() {
            Vec::new()
        } else {
            text.graphemes(true).collect()
        };
        let words = words(&text);
        let subject = Subject {
            letters: letters.len(),
            words: words.iter().filter(|word| !is_space(word)).count(),
            shadow: look.shadows.first().copied(),
            profile: self.options.profile,
            dialect: self.document.dialect,
            pinned_random: self.options.pinned_random,
            chain: &node.chain,
        };
        let channels = effects::channels(&subject, self.time);
        let inner = effects::inner(&subject, self.time);
        let size = f64::from(font.size);
        let inline = Inline {
            pieces: self.pieces(&text, &letters, &words, &inner.units, size),
            line_height: self.line_height(style, size),
            font,
            wrap: !matches!(white_space, WhiteSpace::NoWrap | WhiteSpace::Pre),
            keep,
            align: style.align.unwrap_or(Align::Start),
        };
        let align = inline.align;
        let mode = self.mode(node, around.track);
        let constraints = &around.track.constraints;
        let constrained = self.is_preview() && mode != Mode::Absolute;
        let display = if constrained {
            self.display(node, mode, None, around)
        } else {
            Display::Block { align }
        };
        let mut block = Block::new(
            Tag::Text(Box::new(TextTag {
                node,
                channels,
                inner,
                look,
            })),
            display,
        );
        block.padding = self.padding(node, None, mode, around);
        if constrained {
            block.min = constraints.min.map(|share| share.map(Length::Share));
            block.max = constraints.max.map(|share| share.map(Length::Share));
        }
        block.children.push(Block::new(Tag::Lines, Display::Text(inline)));
        block
    }

    fn pieces(&self, text: &Arc<str>, letters: &[&str], words: &[&str], units: &Units, font_size: f64) -> Vec<Piece> {
        let run = |text: Arc<str>| Piece {
            text,
            kind: PieceKind::Run,
        };
        let atom = |text: &str, margin: f64, clip: bool, break_before: bool| Piece {
            // A letter that is a space keeps its width.
            text: if text == " " { "\u{a0}".into() } else { text.into() },
            kind: PieceKind::Atom {
                margin,
                clip,
                break_before,
            },
        };
        match units {
            Units::Whole => vec![run(text.clone())],
            Units::Letters { with_text, .. } => {
                let mut pieces = Vec::with_capacity(letters.len() + 2);
                if *with_text {
                    pieces.push(run(text.clone()));
                    pieces.push(Piece {
                        text: "".into(),
                        kind: PieceKind::LineEnd,
                    });
                }
                let opportunities: Vec<usize> = if self.is_preview() {
                    Vec::new()
                } else {
                    unicode_linebreak::linebreaks(text).map(|(at, _)| at).collect()
                };
                let mut at = 0;
                for letter in letters {
                    // A browser may break between any two of such boxes.
                    let breaks = at > 0 && (self.is_preview() || opportunities.binary_search(&at).is_ok());
                    pieces.push(atom(letter, 0.0, false, breaks));
                    at += letter.len();
                }
                pieces
            }
            Units::Words { margin, clip, .. } => {
                let piece = |word: &&str| {
                    if is_space(word) {
                        run((*word).into())
                    } else {
                        atom(word, margin * font_size, *clip, true)
                    }
                };
                words.iter().map(piece).collect()
            }
            Units::Typed { shown, cursor, .. } => {
                let typed: String = letters.iter().take(*shown).copied().collect();
                let cursor = cursor.as_deref().filter(|cursor| !cursor.is_empty());
                let mut pieces = vec![run(typed.into())];
                pieces.extend(cursor.map(|cursor| run(cursor.into())));
                pieces
            }
        }
    }

    fn look(&self, style: &TextStyle, group: Option<&TextStyle>) -> TextLook {
        let color = style.color.unwrap_or(Rgba::WHITE);
        let stroke = style.stroke.map(|stroke| Stroke {
            width: self.of_height(stroke.width).max(1.0) as f32,
            color: stroke.color,
        });
        let scale = self.px_scale();
        let shadows = match &style.shadows {
            Some(list) => list
                .iter()
                .map(|shadow| Shadow {
                    dx: (shadow.offset[0] * scale) as f32,
                    dy: (shadow.offset[1] * scale) as f32,
                    blur: (shadow.blur * scale) as f32,
                    color: shadow.color.unwrap_or(color),
                })
                .collect(),
            // The outline that text has by itself. Upstream gives it to groups too, and a stroked text inherits it from there.
            None if stroke.is_none() || (self.is_preview() && group.is_some_and(|group| group.stroke.is_none())) => {
                [2.0, 4.0, 8.0]
                    .map(|blur| Shadow {
                        dx: 0.0,
                        dy: 0.0,
                        blur: blur * scale as f32,
                        color: Rgba::BLACK,
                    })
                    .to_vec()
            }
            None => Vec::new(),
        };
        let opacity = if self.is_preview() {
            1.0
        } else {
            style.opacity.unwrap_or(1.0)
        };
        TextLook {
            color,
            shadows,
            stroke,
            opacity,
        }
    }
}

/// px
const LARGEST_FONT: f64 = 4096.0;
/// Deeper groups, and more children, measure by what those before them measured: it takes a layout of its own for each.
const MEASURED_DEPTH: usize = 3;
const MEASURED_CHILDREN: usize = 40;

fn anchor(node: &Node) -> Anchor {
    node.layout.anchor.unwrap_or(Anchor::CENTER)
}

fn anchor_or(node: &Node, or: Option<Anchor>) -> Anchor {
    node.layout.anchor.or(or).unwrap_or(Anchor::CENTER)
}

fn is_space(word: &str) -> bool {
    word.chars().all(char::is_whitespace)
}

/// Words and the spaces between them, by turns.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut last: Option<bool> = None;
    for (at, c) in text.char_indices() {
        let space = c.is_whitespace();
        if last.is_some_and(|last| last != space) {
            words.push(&text[start..at]);
            start = at;
        }
        last = Some(space);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}
