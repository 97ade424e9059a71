//! From a line of text to glyphs: runs of one direction, one script and one font, shaped by HarfBuzz's rules.

use std::{ops::Range, str::FromStr};

use harfrust::{Direction, Feature, Script, ShapeOptions, UnicodeBuffer};
use unicode_bidi::{Level, ParagraphBidiInfo};
use unicode_script::{Script as UnicodeScript, UnicodeScript as _};
use unicode_segmentation::UnicodeSegmentation;

use super::{FontId, FontStyle, Glyph, face::Face, guarded};

/// A stretch of the text in one font and one script.
struct Run {
    text: Range<usize>,
    font: FontId,
    script: UnicodeScript,
}

/// Who has the glyphs: the library of fonts.
pub trait Faces {
    /// The font for a grapheme, an already used one if it has its characters.
    fn pick(&mut self, grapheme: &str) -> Option<FontId>;
    fn face(&self, font: FontId) -> Option<&Face>;
}

/// Glyphs from left to right, and the width of all, px.
pub fn shape_line(text: &str, style: &FontStyle, faces: &mut impl Faces) -> (Vec<Glyph>, f32) {
    let mut glyphs = Vec::new();
    let mut x = 0.0;
    if text.is_empty() {
        return (glyphs, x);
    }
    let bidi = ParagraphBidiInfo::new(text, Some(Level::ltr()));
    let (levels, stretches) = bidi.visual_runs(0..text.len());
    for stretch in stretches {
        if stretch.is_empty() {
            continue;
        }
        let backwards = levels[stretch.start].is_rtl();
        let mut runs = split(text, stretch, faces);
        if backwards {
            runs.reverse();
        }
        for run in runs {
            if let Some(face) = faces.face(run.font) {
                x = shape_run(text, &run, backwards, style, face, x, &mut glyphs);
            }
        }
    }
    (glyphs, x)
}

fn split(text: &str, stretch: Range<usize>, faces: &mut impl Faces) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, grapheme) in text[stretch.clone()].grapheme_indices(true) {
        let Some(font) = faces.pick(grapheme) else { continue };
        let range = stretch.start + at..stretch.start + at + grapheme.len();
        let script = grapheme
            .chars()
            .map(|c| c.script())
            .find(|script| !matches!(script, UnicodeScript::Common | UnicodeScript::Inherited))
            .unwrap_or(UnicodeScript::Common);
        match runs.last_mut() {
            Some(run)
                if run.font == font
                    && run.text.end == range.start
                    && (run.script == script
                        || script == UnicodeScript::Common
                        || run.script == UnicodeScript::Common) =>
            {
                run.text.end = range.end;
                if run.script == UnicodeScript::Common {
                    run.script = script;
                }
            }
            _ => runs.push(Run {
                text: range,
                font,
                script,
            }),
        }
    }
    runs
}

/// Adds the run's glyphs from `x` on; answers where the next run begins.
fn shape_run(
    text: &str,
    run: &Run,
    backwards: bool,
    style: &FontStyle,
    face: &Face,
    mut x: f32,
    glyphs: &mut Vec<Glyph>,
) -> f32 {
    let Some(font) = face.font() else { return x };
    let mut buffer = UnicodeBuffer::new();
    for (at, character) in text[run.text.clone()].char_indices() {
        buffer.add(character, (run.text.start + at) as u32);
    }
    buffer.set_pre_context(&text[..run.text.start]);
    buffer.set_post_context(&text[run.text.end..]);
    buffer.set_direction(if backwards {
        Direction::RightToLeft
    } else {
        Direction::LeftToRight
    });
    if let Ok(script) = Script::from_str(run.script.short_name()) {
        buffer.set_script(script);
    }
    // CSS Text: no optional ligatures where letters are spaced.
    let spaced = ["-liga", "-clig"].map(Feature::from_str);
    let features: Vec<Feature> = if style.letter_spacing == 0.0 {
        Vec::new()
    } else {
        spaced.into_iter().flatten().collect()
    };
    let shaped = guarded(|| {
        let shaper = face
            .typeface
            .shaper
            .shaper(&font)
            .instance(Some(&face.instance))
            .build();
        Some(shaper.shape(buffer, ShapeOptions::new().features(&features)))
    });
    let Some(shaped) = shaped else { return x };

    let scale = style.size / face.units_per_em;
    let infos = shaped.glyph_infos();
    for (at, (info, position)) in infos.iter().zip(shaped.glyph_positions()).enumerate() {
        glyphs.push(Glyph {
            font: run.font,
            // Shaping never makes up glyphs; ids beyond 16 bits exist only in fonts that nobody has.
            id: u16::try_from(info.glyph_id).unwrap_or(0),
            x: x + position.x_offset as f32 * scale,
            y: -(position.y_offset as f32) * scale,
            cluster: info.cluster,
        });
        x += position.x_advance as f32 * scale;
        if infos.get(at + 1).is_none_or(|next| next.cluster != info.cluster) {
            x += style.letter_spacing;
        }
    }
    x
}
