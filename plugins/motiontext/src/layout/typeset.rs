//! Text nodes: their fonts, their looks, and into what their effects cut them.

use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::build::{Around, Builder, Tag};
use super::flow::{Block, Display};
use super::text::{self, Inline, Piece, PieceKind};
use crate::css::Length;
use crate::effects::{self, Channels, Inner, Subject, Units};
use crate::fonts::FontStyle;
use crate::model::{Align, Mode, Node, TextStyle, WhiteSpace};
use crate::scene::{Rgba, Shadow, Stroke};

/// The font of the page that scenarios are shown on by the existing renderer.
const PAGE_FONT: &str = "NanumGothic";
/// px
const PAGE_FONT_SIZE: f64 = 16.0;
/// px, of text that says no size.
pub(super) const TEXT_SIZE: f64 = 32.0;
/// px
const LARGEST_FONT: f64 = 4096.0;

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

impl<'a> Builder<'a, '_> {
    /// The height of a line in which a group has nothing.
    pub(super) fn empty_line(&mut self, style: &TextStyle) -> f64 {
        let font = self.font(style, PAGE_FONT_SIZE);
        let height = self.line_height(style, f64::from(font.size));
        text::line_height(&font, height, self.measure)
    }

    pub(super) fn font_size(&self, style: &TextStyle, or: f64) -> f64 {
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

    pub(super) fn text(&mut self, node: &'a Node, text: &'a Arc<str>, around: Around<'a>) -> Block<Tag<'a>> {
        let style = &*node.style;
        let font = self.font(style, TEXT_SIZE);
        let look = self.look(style, around.group_style);
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
            weight: None,
        };
        let atom = |text: &str, margin: f64, clip: bool, break_before: bool| Piece {
            // A letter that is a space keeps its width.
            text: if text == " " { "\u{a0}".into() } else { text.into() },
            kind: PieceKind::Atom {
                margin,
                clip,
                break_before,
            },
            weight: None,
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
                        weight: None,
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
                pieces.extend(cursor.map(|cursor| Piece {
                    weight: Some(400),
                    ..run(cursor.into())
                }));
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
