//! Which font shows a character that the wanted families lack, and what stands in for families that are not there.

use super::{FontId, FontStyle, Fonts, MAX_MISSING, catalog::key, face::Face, shape::Faces};

/// Families that look alike or have the same widths, as fontconfig's rules pair them, most wanted first.
const STAND_INS: &[(&[&str], &[&str])] = &[
    (&["arial", "helvetica"], &["liberation sans", "arimo", "nimbus sans"]),
    (
        &["times new roman", "times"],
        &["liberation serif", "tinos", "nimbus roman"],
    ),
    (
        &["courier new", "courier"],
        &["liberation mono", "cousine", "nimbus mono ps"],
    ),
    (
        &["sans-serif", "system-ui", "ui-sans-serif", "-apple-system"],
        &[
            "dejavu sans",
            "noto sans",
            "liberation sans",
            "arial",
            "helvetica",
            "segoe ui",
        ],
    ),
    (
        &["serif", "ui-serif"],
        &["dejavu serif", "noto serif", "liberation serif", "times new roman"],
    ),
    (
        &["monospace", "ui-monospace"],
        &["dejavu sans mono", "noto sans mono", "liberation mono", "courier new"],
    ),
];

/// Asked first for characters that the wanted families lack; the fonts added first come next.
const PREFERRED: &[&str] = &[
    "dejavu sans",
    "nanumgothic",
    "noto sans cjk kr",
    "noto sans kr",
    "malgun gothic",
    "apple sd gothic neo",
    "noto sans",
];

const EMOJI: &[&str] = &[
    "noto color emoji",
    "apple color emoji",
    "segoe ui emoji",
    "twemoji mozilla",
];

/// The family itself and those that stand in for it.
pub fn names(family: &str) -> Vec<String> {
    let family = key(family);
    let stand_ins = STAND_INS
        .iter()
        .find(|(of, _)| of.contains(&family.as_str()))
        .map_or(&[][..], |(_, stand_ins)| *stand_ins);
    let stand_ins = stand_ins.iter().map(|name| (*name).to_owned());
    std::iter::once(family).chain(stand_ins).collect()
}

/// Picks a font for each grapheme of one line.
pub struct Picker<'a> {
    pub fonts: &'a mut Fonts,
    pub wanted: Vec<FontId>,
    pub style: &'a FontStyle,
}

impl Faces for Picker<'_> {
    fn pick(&mut self, grapheme: &str) -> Option<FontId> {
        let shown = || grapheme.chars().filter(|&c| !is_invisible(c));
        if is_emoji(grapheme)
            && let Some(font) = self.find(|fonts, entry| fonts.catalog.get(entry).is_of(EMOJI), grapheme)
        {
            return Some(font);
        }
        let has_all = |font: &&FontId| {
            self.fonts
                .face(**font)
                .is_some_and(|face| shown().all(|c| face.has_glyph(c)))
        };
        if let Some(&font) = self.wanted.iter().find(has_all) {
            return Some(font);
        }
        if let Some(font) = self
            .find(|fonts, entry| fonts.catalog.get(entry).is_of(PREFERRED), grapheme)
            .or_else(|| self.find(|_, _| true, grapheme))
        {
            return Some(font);
        }
        for character in shown() {
            let known = self
                .wanted
                .iter()
                .filter_map(|&font| self.fonts.face(font))
                .any(|face| face.has_glyph(character));
            let missing = &mut self.fonts.warnings.characters;
            // Of a grapheme, only what no wanted font has: decomposed letters and marks may be there one by one.
            if !known && missing.len() < MAX_MISSING {
                missing.insert(character);
            }
        }
        // The box that stands for a missing character.
        self.wanted.first().copied()
    }

    fn face(&self, font: FontId) -> Option<&Face> {
        self.fonts.face(font)
    }
}

impl Picker<'_> {
    /// The font of the catalog that has every character, the upright regular one of a family not before the better one.
    fn find(&mut self, among: impl Fn(&Fonts, usize) -> bool, grapheme: &str) -> Option<FontId> {
        let entries: Vec<usize> = (0..self.fonts.catalog.len())
            .filter(|&entry| among(self.fonts, entry))
            .collect();
        let has_all = |fonts: &Fonts, entry: usize| {
            grapheme
                .chars()
                .filter(|&c| !is_invisible(c))
                .all(|c| fonts.catalog.get(entry).covers(c))
        };
        let first = entries.into_iter().find(|&entry| has_all(self.fonts, entry))?;
        let better = self
            .fonts
            .catalog
            .sibling(first, self.style.weight, self.style.italic)
            .filter(|&entry| has_all(self.fonts, entry));
        self.fonts.load(better.unwrap_or(first), self.style)
    }
}

/// Shown by the characters around it, or not at all: no font needs a glyph for it.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Shown as a picture: by itself (Emoji_Presentation, with the few pictographs between them), or because U+FE0F asks for it.
fn is_emoji(grapheme: &str) -> bool {
    if grapheme.contains('\u{fe0e}') {
        return false;
    }
    grapheme.contains('\u{fe0f}')
        || grapheme.chars().next().is_some_and(|c| {
            matches!(c,
                '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}'
                | '\u{1f7e0}'..='\u{1f7eb}' | '\u{1f90c}'..='\u{1f9ff}' | '\u{1fa70}'..='\u{1faff}'
                | '\u{1f004}' | '\u{1f0cf}' | '\u{1f18e}' | '\u{1f191}'..='\u{1f19a}'
                | '⌚' | '⌛' | '⏩'..='⏬' | '⏰' | '⏳' | '◽' | '◾' | '☔' | '☕' | '♈'..='♓' | '♿' | '⚓' | '⚡'
                | '⚪' | '⚫' | '⚽' | '⚾' | '⛄' | '⛅' | '⛎' | '⛔' | '⛪' | '⛲' | '⛳' | '⛵' | '⛺' | '⛽' | '✅'
                | '✊' | '✋' | '✨' | '❌' | '❎' | '❓'..='❕' | '❗' | '➕'..='➗' | '➰' | '➿' | '⬛' | '⬜' | '⭐' | '⭕')
        })
}
