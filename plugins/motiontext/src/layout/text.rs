//! Lines of text, and of boxes that stand in lines as letters do.

use std::borrow::Cow;
use std::sync::Arc;

use unicode_linebreak::{BreakOpportunity, linebreaks};

use crate::fonts::{FontStyle, Fonts, Shaped};
use crate::model::Align;

/// What sets text. Apart from [`Fonts`] only tests have another.
pub trait Measure {
    fn shape(&mut self, text: &str, style: &FontStyle) -> Arc<Shaped>;
}

impl Measure for Fonts {
    fn shape(&mut self, text: &str, style: &FontStyle) -> Arc<Shaped> {
        Fonts::shape(self, text, style)
    }
}

/// What stands in the lines of one text.
#[derive(Debug, Clone)]
pub(super) struct Inline {
    pub(super) pieces: Vec<Piece>,
    pub(super) font: FontStyle,
    /// px; none is the font's own.
    pub(super) line_height: Option<f64>,
    pub(super) wrap: bool,
    /// Spaces and line ends count as they are written.
    pub(super) keep: bool,
    pub(super) align: Align,
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: Arc<str>,
    pub(super) kind: PieceKind,
    /// Not of the weight of the rest.
    pub(super) weight: Option<u16>,
}

impl Inline {
    fn font_of(&self, piece: &Piece) -> Cow<'_, FontStyle> {
        match piece.weight {
            Some(weight) => Cow::Owned(FontStyle {
                weight,
                ..self.font.clone()
            }),
            None => Cow::Borrowed(&self.font),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PieceKind {
    /// Runs on, over several lines if need be.
    Run,
    /// Stands as one letter does.
    Atom {
        /// px left and right
        margin: f64,
        /// Stands on its lower edge.
        clip: bool,
        break_before: bool,
    },
    LineEnd,
}

/// Where a piece came to stand, px from the upper left corner.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) piece: usize,
    /// x, y, width, height: of an atom its box, of a run what its lines take up.
    pub(super) rect: [f64; 4],
    pub(super) lines: Vec<Line>,
}

/// A line of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub shaped: Arc<Shaped>,
    /// px from the upper left corner of the box that it stands in.
    pub x: f64,
    pub baseline: f64,
    /// x, y, width, height of what the font reserves for it.
    pub rect: [f64; 4],
}

/// All pieces and how much room they take.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    pub(super) sets: Vec<Set>,
    pub(super) size: [f64; 2],
}

/// As fine as a browser measures, px; widths are rounded up to it.
const GRAIN: f64 = 64.0;

/// Above and below the base line, px, whole as browsers have it.
#[derive(Debug, Clone, Copy)]
struct Extent {
    above: f64,
    below: f64,
}

struct Metrics {
    font: Extent,
    /// With the leading.
    line: Extent,
}

fn metrics(inline: &Inline, measure: &mut dyn Measure) -> Metrics {
    let shaped = measure.shape("x", &inline.font);
    let font = Extent {
        above: f64::from(shaped.ascent).round(),
        below: f64::from(shaped.descent).round(),
    };
    let gap = f64::from(shaped.line_height - shaped.ascent - shaped.descent)
        .round()
        .max(0.0);
    let height = inline.line_height.unwrap_or(font.above + font.below + gap);
    let above = font.above + ((height - font.above - font.below) / 2.0).floor();
    Metrics {
        font,
        line: Extent {
            above,
            below: height - above,
        },
    }
}

/// What the line breaker sees: a word with the spaces behind it, or an atom.
struct Item {
    piece: usize,
    start: usize,
    end: usize,
    width: f64,
    /// Without the spaces behind it.
    inked: f64,
    break_before: bool,
    /// Whatever follows stands on the next line.
    ends_line: bool,
}

/// Text as it is set: white space is one space, unless it counts.
pub(super) fn collapse(text: &str, keep: bool) -> Arc<str> {
    if keep || !text.contains([' ', '\n', '\t', '\r']) {
        return text.into();
    }
    let mut collapsed = String::with_capacity(text.len());
    let mut space = true;
    for c in text.chars() {
        let white = matches!(c, ' ' | '\n' | '\t' | '\r');
        if !(white && space) {
            collapsed.push(if white { ' ' } else { c });
        }
        space = white;
    }
    collapsed.truncate(collapsed.trim_end_matches(' ').len());
    collapsed.into()
}

fn items(inline: &Inline, measure: &mut dyn Measure) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (piece, content) in inline.pieces.iter().enumerate() {
        let text = &*content.text;
        let font = inline.font_of(content);
        match content.kind {
            PieceKind::LineEnd => {
                if let Some(last) = items.last_mut() {
                    last.ends_line = true;
                }
            }
            PieceKind::Atom {
                margin, break_before, ..
            } => {
                let width = width(text, &font, measure) + 2.0 * margin;
                let (start, end) = (0, text.len());
                items.push(Item {
                    piece,
                    start,
                    end,
                    width,
                    inked: width,
                    break_before,
                    ends_line: false,
                });
            }
            PieceKind::Run => {
                let mut start = 0;
                let mut break_before = !items.is_empty();
                for (end, opportunity) in breaks(text) {
                    let word = &text[start..end];
                    let ink = word.trim_end_matches(['\n', '\r']);
                    let inked = if inline.keep { ink } else { ink.trim_end_matches(' ') };
                    let inked_width = width(inked, &font, measure);
                    let full = if ink == inked {
                        inked_width
                    } else {
                        width(ink, &font, measure)
                    };
                    let mandatory = opportunity == BreakOpportunity::Mandatory && end < text.len();
                    let ends_line = mandatory && inline.keep;
                    items.push(Item {
                        piece,
                        start,
                        end,
                        width: full,
                        inked: inked_width,
                        break_before,
                        ends_line,
                    });
                    (start, break_before) = (end, true);
                }
            }
        }
    }
    items
}

/// Where lines may break as Unicode has it, and after every space, as browsers have it.
fn breaks(text: &str) -> Vec<(usize, BreakOpportunity)> {
    let mut all: Vec<_> = linebreaks(text).collect();
    let spaces = text
        .match_indices(' ')
        .map(|(at, _)| at + 1)
        .filter(|at| !text[*at..].starts_with(' ') && *at < text.len());
    let known = all.len();
    for at in spaces {
        if all[..known].binary_search_by_key(&at, |(at, _)| *at).is_err() {
            all.push((at, BreakOpportunity::Allowed));
        }
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

fn width(text: &str, font: &FontStyle, measure: &mut dyn Measure) -> f64 {
    if text.is_empty() {
        return 0.0;
    }
    (f64::from(measure.shape(text, font).width) * GRAIN).ceil() / GRAIN
}

/// The least and the most width that the pieces want.
pub(super) fn intrinsic(inline: &Inline, measure: &mut dyn Measure) -> [f64; 2] {
    let (mut least, mut most) = (0.0_f64, 0.0_f64);
    let (mut word, mut line) = (0.0_f64, 0.0_f64);
    for item in items(inline, measure) {
        if item.break_before && inline.wrap {
            word = 0.0;
        }
        least = least.max(word + item.inked);
        most = most.max(line + item.inked);
        word += item.width;
        line += item.width;
        if item.ends_line {
            (word, line) = (0.0, 0.0);
        }
    }
    [least, most]
}

/// Sets the pieces in lines of a width.
pub(super) fn set(inline: &Inline, available: f64, measure: &mut dyn Measure) -> Lines {
    let Metrics { font, line } = metrics(inline, measure);
    let items = items(inline, measure);
    let mut lines = Lines::default();
    let mut top = 0.0;
    let mut first = 0;
    while first < items.len() {
        let mut last = first;
        let mut x = items[first].width;
        while last + 1 < items.len() && !items[last].ends_line {
            let next = &items[last + 1];
            if next.break_before && inline.wrap && x + next.inked > available + 1.0 / GRAIN {
                break;
            }
            x += next.width;
            last += 1;
        }
        let width = x - items[last].width + items[last].inked;
        top += set_line(
            inline,
            &items[first..=last],
            [available, width],
            top,
            (font, line),
            &mut lines,
            measure,
        );
        lines.size[0] = lines.size[0].max(width);
        first = last + 1;
    }
    if items.is_empty() {
        top = line.above + line.below;
    }
    lines.size[1] = top;
    lines.sets.sort_by_key(|set| set.piece);
    lines
}

/// Returns the height of the line.
fn set_line(
    inline: &Inline,
    items: &[Item],
    [available, width]: [f64; 2],
    top: f64,
    (font, line): (Extent, Extent),
    lines: &mut Lines,
    measure: &mut dyn Measure,
) -> f64 {
    let (mut above, mut below) = (line.above, line.below);
    for item in items {
        if matches!(inline.pieces[item.piece].kind, PieceKind::Atom { clip: true, .. }) {
            above = above.max(line.above + line.below);
            below = below.max(line.below);
        }
    }
    above = above.max(line.above);
    below = below.max(line.below);
    let baseline = top + above;
    let free = (available - width).max(0.0);
    let mut x = match inline.align {
        Align::Start | Align::Between => 0.0,
        Align::Center => free / 2.0,
        Align::End => free,
    };
    let mut index = 0;
    while index < items.len() {
        let item = &items[index];
        let piece = &inline.pieces[item.piece];
        if let PieceKind::Atom { margin, clip, .. } = piece.kind {
            let height = line.above + line.below;
            let shaped = measure.shape(&piece.text, &inline.font_of(piece));
            let lower = if clip { 0.0 } else { line.below };
            let rect = [x + margin, baseline + lower - height, item.width - 2.0 * margin, height];
            let inner = [0.0, line.above - font.above, rect[2], font.above + font.below];
            let own = Line {
                shaped,
                x: 0.0,
                baseline: line.above,
                rect: inner,
            };
            lines.sets.push(Set {
                piece: item.piece,
                rect,
                lines: vec![own],
            });
            x += item.width;
            index += 1;
            continue;
        }
        // All words of one run on one line are set together.
        let mut end = index;
        while end + 1 < items.len() && items[end + 1].piece == item.piece {
            end += 1;
        }
        let text = &piece.text[item.start..items[end].end];
        let text = text.trim_end_matches(['\n', '\r']);
        let text = if end + 1 == items.len() && !inline.keep {
            text.trim_end_matches(' ')
        } else {
            text
        };
        let shaped = measure.shape(text, &inline.font_of(piece));
        let width = f64::from(shaped.width);
        let rect = [x, baseline - font.above, width, font.above + font.below];
        let own = Line {
            shaped,
            x,
            baseline,
            rect,
        };
        x += items[index..=end].iter().map(|item| item.width).sum::<f64>();
        match lines.sets.last_mut().filter(|set| set.piece == item.piece) {
            Some(set) => {
                let right = (set.rect[0] + set.rect[2]).max(rect[0] + rect[2]);
                set.rect[0] = set.rect[0].min(rect[0]);
                set.rect[2] = right - set.rect[0];
                set.rect[3] = rect[1] + rect[3] - set.rect[1];
                set.lines.push(own);
            }
            None => lines.sets.push(Set {
                piece: item.piece,
                rect,
                lines: vec![own],
            }),
        }
        index = end + 1;
    }
    above + below
}

/// The height of an empty line.
pub(super) fn line_height(font: &FontStyle, line_height: Option<f64>, measure: &mut dyn Measure) -> f64 {
    let inline = Inline {
        pieces: Vec::new(),
        font: font.clone(),
        line_height,
        wrap: false,
        keep: false,
        align: Align::Start,
    };
    let Metrics { line, .. } = metrics(&inline, measure);
    line.above + line.below
}
