//! Fonts and shaped text.

use std::sync::Arc;

/// How text is set.
#[derive(Debug, Clone, PartialEq)]
pub struct FontStyle {
    /// Most wanted first; the fallback fonts follow.
    pub families: Vec<String>,
    /// px
    pub size: f32,
    /// 1..=1000
    pub weight: u16,
    pub italic: bool,
    /// Between characters, px.
    pub letter_spacing: f32,
}

/// One line of text, shaped: bidirectional runs in visual order, with fallback fonts.
#[derive(Debug, Clone, PartialEq)]
pub struct Shaped {
    pub glyphs: Vec<Glyph>,
    /// px
    pub width: f32,
    /// Above the base line, px, of the first family's font.
    pub ascent: f32,
    /// Below the base line, px, positive.
    pub descent: f32,
    /// `line-height: normal`, px.
    pub line_height: f32,
}

/// A glyph at its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glyph {
    pub font: FontId,
    pub id: u16,
    /// Of its origin from the left end of the base line, px; y grows downwards.
    pub x: f32,
    pub y: f32,
    /// Where its cluster begins in the text, bytes.
    pub cluster: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FontId(pub u32);

/// Fonts by family, and the text that was shaped with them.
pub struct Fonts {}

impl Fonts {
    /// Shapes one line. Keeps what it shaped: asked again, it answers the same object.
    pub fn shape(&mut self, _text: &str, _style: &FontStyle) -> Arc<Shaped> {
        Arc::new(Shaped {
            glyphs: Vec::new(),
            width: 0.0,
            ascent: 0.0,
            descent: 0.0,
            line_height: 0.0,
        })
    }
}
