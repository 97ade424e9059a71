//! From nodes to boxes, with the habits of the profile.
//!
//! In the profile preview the boxes are those that the existing renderer makes, each with what it brings along: an empty box before a
//! group's children, which takes a gap, a line or a cell; paddings that children take from what their group measures when they come into
//! it; no padding for children of a group with gaps.

use std::sync::Arc;

use super::flow::{self, Block, Columns, Display};
use super::text::Measure;
use super::typeset::{TEXT_SIZE, TextTag};
use crate::css::Length;
use crate::model::{
    Align, Anchor, Arrange, ChildrenLayout, Content, Dialect, Document, Mode, Node, PanelStyle, Size, Span, TextStyle,
    Track,
};
use crate::parse::{Options, Profile};
use crate::scene::Image;

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

impl<'a> Tag<'a> {
    pub(super) fn node(&self) -> Option<&'a Node> {
        match self {
            Self::Group(node, _) | Self::Picture(node, _) => Some(node),
            Self::Text(text) => Some(text.node),
            Self::Nothing | Self::Lines => None,
        }
    }
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
pub(super) struct Around<'a> {
    pub(super) track: &'a Track,
    /// The measures of the group around it, px.
    outer: [f64; 2],
    /// The containing block for positions.
    containing: [f64; 2],
    /// The group sets gaps, and no padding with them.
    gaps: bool,
    /// Of the group around it, for what a browser inherits.
    pub(super) group_style: Option<&'a TextStyle>,
    depth: usize,
}

impl<'a> Builder<'a, '_> {
    pub(super) fn is_preview(&self) -> bool {
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
    pub(super) fn px(&self, length: Length, whole: f64) -> f64 {
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
    pub(super) fn of_height(&self, length: Length) -> f64 {
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
                group_style: None,
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
    pub(super) fn mode(&self, node: &Node, track: &Track) -> Mode {
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

    pub(super) fn display(
        &self,
        node: &Node,
        mode: Mode,
        arranged: Option<&ChildrenLayout>,
        around: Around<'_>,
    ) -> Display {
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
    pub(super) fn padding(&self, node: &Node, panel: Option<&PanelStyle>, mode: Mode, around: Around<'_>) -> [f64; 4] {
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
            group_style: Some(&node.style),
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
}

/// Deeper groups, and more children, measure by what those before them measured: it takes a layout of its own for each.
const MEASURED_DEPTH: usize = 3;
const MEASURED_CHILDREN: usize = 40;

fn anchor(node: &Node) -> Anchor {
    node.layout.anchor.unwrap_or(Anchor::CENTER)
}

fn anchor_or(node: &Node, or: Option<Anchor>) -> Anchor {
    node.layout.anchor.or(or).unwrap_or(Anchor::CENTER)
}
