//! From boxes in their places to figures: transforms, effects, colours.

use std::sync::Arc;

use super::build::Tag;
use super::figure::{Figure, FigureKind, Paint};
use super::flow::{Block, Display, Fragment};
use super::place::Place;
use super::text::{Inline, PieceKind, Set};
use super::typeset::TextTag;
use crate::css::Length;
use crate::effects::{Channels, Effect, Look, Under, Units};
use crate::model::{Anchor, Dialect, Document, Node, PanelStyle, Transforms};
use crate::parse::{Options, Profile};
use crate::scene::{Blend, Filter, Panel, Rgba, Stroke};
use crate::transform::Transform;

pub(super) struct Painter<'a> {
    pub(super) document: &'a Document,
    pub(super) options: &'a Options,
    pub(super) time: f64,
    /// Of px lengths.
    pub(super) scale: f64,
    pub(super) stage: [f64; 2],
}

type Boxed<'a> = Block<Tag<'a>>;

impl Painter<'_> {
    fn is_preview(&self) -> bool {
        self.options.profile == Profile::Preview
    }

    /// The cues are in the order in which they are drawn.
    pub(super) fn figures(&self, root: &Boxed<'_>, fragment: &Fragment) -> Vec<Figure> {
        let stage = Place::stage(self.is_preview());
        let pairs = root.children.iter().zip(&fragment.children);
        let mut lifted = Vec::new();
        let drawn: Vec<_> = pairs
            .filter_map(|(child, fragment)| Some((child, self.figure(child, fragment, &stage, &mut lifted)?.1)))
            .collect();
        if lifted.is_empty() {
            return drawn.into_iter().map(|(_, figure)| figure).collect();
        }
        let mut figures: Vec<(f64, Figure)> = drawn
            .into_iter()
            .map(|(child, figure)| (self.layer(child), figure))
            .collect();
        // Above what is in that layer anyway.
        figures.append(&mut lifted);
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        figures.into_iter().map(|(_, figure)| figure).collect()
    }

    /// Of the track of a cue's root.
    fn layer(&self, root: &Boxed<'_>) -> f64 {
        let node = root.tag.node();
        let cues = &self.document.cues;
        let cue = node.and_then(|node| cues.iter().find(|cue| std::ptr::eq(&raw const cue.root, node)));
        cue.map_or(0.0, |cue| self.document.tracks[cue.track].layer)
    }

    /// Those that break out of the group go to `lifted`, with the layer in which they are drawn.
    fn children(
        &self,
        block: &Boxed<'_>,
        fragment: &Fragment,
        place: &Place,
        lifted: &mut Vec<(f64, Figure)>,
    ) -> Vec<Figure> {
        let mut figures: Vec<(f64, Figure)> = Vec::with_capacity(block.children.len());
        for (child, fragment) in block.children.iter().zip(&fragment.children) {
            let Some((z, figure)) = self.figure(child, fragment, place, lifted) else {
                continue;
            };
            match child.tag.node().and_then(|node| node.breakout) {
                Some(layer) => lifted.push((layer, figure)),
                None => figures.push((z, figure)),
            }
        }
        if !self.is_preview() {
            figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        figures.into_iter().map(|(_, figure)| figure).collect()
    }

    /// With the height at which it lies among its siblings.
    fn figure(
        &self,
        block: &Boxed<'_>,
        fragment: &Fragment,
        around: &Place,
        lifted: &mut Vec<(f64, Figure)>,
    ) -> Option<(f64, Figure)> {
        let node = block.tag.node()?;
        let mut place = around.at(fragment.at);
        if let Some(transform) = self.own_transform(block, node, fragment.size) {
            place = place.transformed(&transform);
        }
        let mut figure = plain(FigureKind::Group, &node.id, fragment.size, &place);
        match &block.tag {
            Tag::Group(_, panel) => {
                if !self.is_preview() {
                    // Upstream moves an empty box instead of the group.
                    let channels = self.group_channels(node);
                    place = place.transformed(&self.channels(&channels, fragment.size));
                    figure.opacity *= channels.opacity.unwrap_or(1.0);
                    figure.put(&place);
                }
                figure.opacity *= panel.opacity.unwrap_or(1.0);
                let drawn = self.panel(panel, block.border, fragment.size);
                if node.layout.clip {
                    figure.clip = Some(drawn.radius);
                }
                figure.paint = Paint::Panel(drawn);
                figure.children = self.children(block, fragment, &place, lifted);
            }
            Tag::Picture(_, image) => {
                let channels = self.group_channels(node);
                figure.kind = FigureKind::Picture;
                figure.put(&place.transformed(&self.channels(&channels, fragment.size)));
                figure.opacity *= channels.opacity.unwrap_or(1.0);
                figure.paint = Paint::Image(image.clone());
            }
            Tag::Text(text) => {
                figure.kind = FigureKind::Node;
                figure.opacity *= text.look.opacity;
                figure.children.extend(self.text(text, block, fragment, &place));
            }
            Tag::Nothing | Tag::Lines => {}
        }
        Some((node.layout.z, figure))
    }

    /// What the node's own layout does to its box.
    fn own_transform(&self, block: &Boxed<'_>, node: &Node, size: [f64; 2]) -> Option<Transform> {
        let layout = &node.layout;
        let origin = layout.origin.unwrap_or([Length::Share(0.5); 2]);
        let origin = [self.px(origin[0], size[0]), self.px(origin[1], size[1])];
        let mut matrix = Transform::IDENTITY;
        if block.position.is_some() {
            let Anchor { x, y } = block.anchor;
            matrix = Transform::translate([-x * size[0], -y * size[1]]);
        } else if self.is_preview() {
            // Upstream transforms only what has a position.
            return None;
        }
        matrix = matrix.times(&self.transforms(&layout.transform, size));
        if let Some((offset, transforms)) = &layout.shift {
            if let Some(offset) = offset {
                matrix = matrix.times(&Transform::translate([
                    self.px(offset[0], size[0]),
                    self.px(offset[1], size[1]),
                ]));
            }
            matrix = matrix.times(&self.transforms(transforms, size));
        }
        Some(matrix.about(origin))
    }

    fn px(&self, length: Length, whole: f64) -> f64 {
        match length {
            Length::Px(px) => px * self.scale,
            Length::Share(share) => share * whole,
        }
    }

    fn transforms(&self, transforms: &Transforms, size: [f64; 2]) -> Transform {
        let mut matrix = Transform::IDENTITY;
        if let Some([x, y]) = transforms.translate {
            matrix = matrix.times(&Transform::translate([self.px(x, size[0]), self.px(y, size[1])]));
        }
        if let Some(scale) = transforms.scale {
            matrix = matrix.times(&Transform::scale(scale));
        }
        if let Some(degrees) = transforms.rotate {
            matrix = matrix.times(&Transform::rotate(degrees));
        }
        if let Some(skew) = transforms.skew {
            matrix = matrix.times(&Transform::skew(skew));
        }
        matrix
    }

    fn group_channels(&self, node: &Node) -> Channels {
        let subject = crate::effects::Subject {
            letters: 0,
            words: 0,
            shadow: None,
            profile: self.options.profile,
            dialect: self.document.dialect,
            pinned_random: self.options.pinned_random,
            chain: &node.chain,
        };
        crate::effects::channels(&subject, self.time)
    }

    /// About the middle of the box.
    fn channels(&self, channels: &Channels, size: [f64; 2]) -> Transform {
        let shift = [
            channels.tx.unwrap_or(0.0) * self.scale,
            channels.ty.unwrap_or(0.0) * self.scale,
        ];
        let shift = Transform::translate(shift);
        let scale = Transform::scale([channels.sx.unwrap_or(1.0), channels.sy.unwrap_or(1.0)]);
        let turned = Transform::rotate(channels.rotate.unwrap_or(0.0));
        let matrix = match self.document.dialect {
            Dialect::V2 => shift.times(&scale).times(&turned),
            Dialect::V13 => scale.times(&shift).times(&turned),
        };
        matrix.about([size[0] / 2.0, size[1] / 2.0])
    }

    fn panel(&self, style: &PanelStyle, border: f64, size: [f64; 2]) -> Panel {
        let height = self.stage[1];
        let radius = match (style.radius, style.border_radius) {
            (Some(sides), _) => sides,
            (None, Some(radius)) => [radius; 4],
            (None, None) => [Length::Px(0.0); 4],
        };
        Panel {
            size: size.map(|side| side as f32),
            background: style.background.unwrap_or_default(),
            border: style.border.map(|own| Stroke {
                width: border as f32,
                color: own.color,
            }),
            radius: radius.map(|radius| match radius {
                Length::Px(px) => (px * self.scale).max(0.0) as f32,
                Length::Share(share) => (share * height).round().max(0.0) as f32,
            }),
        }
    }

    /// The box that effects move as a whole, and what is in it.
    fn text(&self, text: &TextTag<'_>, block: &Boxed<'_>, fragment: &Fragment, around: &Place) -> Option<Figure> {
        let (lines, at) = block
            .children
            .iter()
            .zip(&fragment.children)
            .find(|(child, _)| matches!(child.tag, Tag::Lines))?;
        let Display::Text(inline) = &lines.display else {
            return None;
        };
        let node = text.node;
        let channels = &text.channels;
        let mut place = around.at(at.at).transformed(&self.channels(channels, at.size));
        if self.is_preview() && node.chain.iter().any(Effect::only_moves) {
            place = place.without_rest();
        }
        let mut wrapper = plain(FigureKind::Wrapper, &node.id, at.size, &place);
        wrapper.opacity = channels.opacity.unwrap_or(1.0);
        let mut whole = Look::default();
        for look in &text.inner.whole {
            place = place.transformed(&self.look(look, at.size, None));
            whole.opacity *= look.opacity;
            whole
                .filters
                .extend(look.filters.iter().map(|filter| self.filter(*filter)));
            whole.color = look.color.or(whole.color);
            whole.shadows = look.shadows.clone().or(whole.shadows);
        }
        for under in &text.inner.under {
            wrapper.children.push(self.under(under, node, at.size, &place));
        }
        let view = match text.inner.units {
            Units::Letters {
                perspective: Some(distance),
                ..
            } => Some((distance * self.scale, middle(inline, &at.lines.sets))),
            _ => None,
        };
        let run = |set: &Set, place: &Place| self.run(text, inline, set, &whole, (at.size, view), place);
        for mut run in at.lines.sets.iter().filter_map(|set| run(set, &place)) {
            run.opacity *= whole.opacity;
            run.filters.splice(0..0, whole.filters.iter().copied());
            wrapper.children.push(run);
        }
        for ghost in &text.inner.ghosts {
            let place = place.transformed(&self.look(ghost, at.size, None));
            for mut run in at.lines.sets.iter().filter_map(|set| run(set, &place)) {
                if let (Paint::Text { color, .. }, Some(own)) = (&mut run.paint, ghost.color) {
                    *color = own;
                }
                run.opacity = ghost.opacity;
                run.blend = Blend::Screen;
                wrapper.children.push(run);
            }
        }
        Some(wrapper)
    }

    fn under(&self, under: &Under, node: &Node, size: [f64; 2], place: &Place) -> Figure {
        let mut layer = plain(FigureKind::Layer, &node.id, size, place);
        match under {
            Under::Glow { color, opacity } => {
                layer.opacity = *opacity;
                layer.filters = vec![Filter::Blur((24.0 * self.scale) as f32)];
                layer.paint = Paint::Glow {
                    color: *color,
                    solid: 0.3,
                    radius: 0.8,
                };
            }
            Under::Flames { opacity } => {
                // A warm light in place of the picture of flames, which is not ours.
                layer.opacity = *opacity;
                layer.paint = Paint::Glow {
                    color: Rgba::opaque(1.0, 0.45, 0.05),
                    solid: 0.2,
                    radius: 0.9,
                };
            }
        }
        layer
    }

    /// One text, word or letter.
    fn run(
        &self,
        text: &TextTag<'_>,
        inline: &Inline,
        set: &Set,
        whole: &Look,
        (size, view): ([f64; 2], Option<(f64, [f64; 2])>),
        around: &Place,
    ) -> Option<Figure> {
        let piece = &inline.pieces[set.piece];
        if piece.text.is_empty() {
            return None;
        }
        let atom = matches!(piece.kind, PieceKind::Atom { .. });
        let [x, y, width, height] = set.rect;
        let typed = matches!(text.inner.units, Units::Typed { .. });
        // A run of its own has the box of the whole; a typed one is as long as it is.
        let (at, size) = if atom || typed {
            ([x, y], [width, height])
        } else {
            ([0.0; 2], size)
        };
        let look = look_of(text, inline, set.piece);
        let place = around.at(at);
        let mut run = plain(FigureKind::Run, &text.node.id, size, &place);
        if let Some(look) = look {
            let view = view.map(|(distance, [cx, cy])| (distance, [cx - at[0], cy - at[1]]));
            run.put(&place.transformed(&self.look(look, size, view)));
            run.opacity = look.opacity;
            run.filters = look.filters.iter().map(|filter| self.filter(*filter)).collect();
        }
        let shadows = look.and_then(|look| look.shadows.as_ref()).or(whole.shadows.as_ref());
        let color = match text.inner.units {
            // The cursor is white by itself.
            Units::Typed { cursor_visible, .. } if set.piece == 1 => {
                run.opacity = if cursor_visible { 1.0 } else { 0.0 };
                Rgba::WHITE
            }
            _ => look
                .and_then(|look| look.color)
                .or(whole.color)
                .unwrap_or(text.look.color),
        };
        let mut lines = set.lines.clone();
        if typed {
            for line in &mut lines {
                line.x -= x;
                line.baseline -= y;
                line.rect[0] -= x;
                line.rect[1] -= y;
            }
        }
        if matches!(piece.kind, PieceKind::Atom { clip: true, .. }) {
            run.clip = Some([0.0; 4]);
        }
        // A browser gives what GSAP moves a layer of its own, for as long as it moves.
        let moves = text.inner.whole.iter().chain(look).any(|look| look.moves);
        run.text = piece.text.clone();
        run.paint = Paint::Text {
            lines,
            color,
            stroke: text.look.stroke,
            shadows: shadows.unwrap_or(&text.look.shadows).clone(),
            turns_pixels: moves && self.is_preview(),
        };
        Some(run)
    }

    /// What a look does to a box. Where its turns are seen from is given in px of the box.
    fn look(&self, look: &Look, size: [f64; 2], view: Option<(f64, [f64; 2])>) -> Transform {
        let origin = [look.origin[0] * size[0], look.origin[1] * size[1]];
        let (distance, eye) = view.unwrap_or((f64::INFINITY, [0.0; 2]));
        let at = [0, 1].map(|axis| origin[axis] + look.shift[axis] * self.scale - eye[axis]);
        Transform::translate(eye)
            .times(&Transform::turned(look.turn, at, distance))
            .times(&Transform::skew([look.skew, 0.0]))
            .times(&Transform::scale(look.scale))
            .times(&Transform::translate([-origin[0], -origin[1]]))
    }

    fn filter(&self, filter: Filter) -> Filter {
        match filter {
            Filter::Blur(px) => Filter::Blur(px * self.scale as f32),
            other => other,
        }
    }
}

impl Figure {
    fn put(&mut self, place: &Place) {
        self.transform = place.exact();
        self.drawn = place.drawn();
    }
}

fn plain(kind: FigureKind, node: &Arc<str>, size: [f64; 2], place: &Place) -> Figure {
    Figure {
        kind,
        node: node.clone(),
        text: "".into(),
        size,
        transform: place.exact(),
        drawn: place.drawn(),
        opacity: 1.0,
        blend: Blend::Normal,
        filters: Vec::new(),
        clip: None,
        paint: Paint::Nothing,
        children: Vec::new(),
    }
}

/// What the effects say of one letter or word.
fn look_of<'t>(text: &'t TextTag<'_>, inline: &Inline, piece: usize) -> Option<&'t Look> {
    let is_atom = |piece: &super::text::Piece| matches!(piece.kind, PieceKind::Atom { .. });
    if !is_atom(&inline.pieces[piece]) {
        return None;
    }
    match &text.inner.units {
        // A text above the letters takes two pieces, the line's end with it.
        Units::Letters { looks, with_text, .. } => looks.get(piece - if *with_text { 2 } else { 0 }),
        Units::Words { looks, .. } => looks.get(inline.pieces[..piece].iter().filter(|piece| is_atom(piece)).count()),
        Units::Whole | Units::Typed { .. } => None,
    }
}

/// The middle of all letters.
fn middle(inline: &Inline, sets: &[Set]) -> [f64; 2] {
    let atoms = sets
        .iter()
        .filter(|set| matches!(inline.pieces[set.piece].kind, PieceKind::Atom { .. }));
    let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for Set {
        rect: [x, y, width, height],
        ..
    } in atoms
    {
        bounds = [
            bounds[0].min(*x),
            bounds[1].min(*y),
            bounds[2].max(x + width),
            bounds[3].max(y + height),
        ];
    }
    if bounds[0] > bounds[2] {
        [0.0; 2]
    } else {
        [(bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0]
    }
}
