//! Fonts and shaped text.
//!
//! Fonts are looked up by family as CSS does it: among those given as data, those of given folders, and the system's; a
//! character that none of the wanted families has is taken from whichever font has it. Shaping follows HarfBuzz
//! (harfrust); advances are not hinted, so that they scale with the size as in a browser with subpixel positions.

mod catalog;
mod face;
mod fallback;
mod guard;
mod shape;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use catalog::MAX_BYTES;
pub use face::Face;
pub(crate) use guard::guarded;

use catalog::{Catalog, Unusable};
use face::Cut;

/// Longer lines are cut: nobody can read them, and shaping takes time and memory in proportion.
const MAX_LINE: usize = 16 << 10;
/// Sizes are limited to this, px.
const MAX_SIZE: f32 = 16_384.0;
/// What the shaped lines may hold together, glyphs; beyond it all are forgotten.
const MAX_KEPT_GLYPHS: usize = 1 << 20;
/// So many characters, families and files are remembered as missing.
const MAX_MISSING: usize = 256;

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
    /// px
    pub size: f32,
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

/// A font of one `Fonts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FontId(pub u32);

#[derive(Debug, thiserror::Error)]
pub enum FontError {
    #[error("{name} is not a TrueType or OpenType font: {reason}")]
    NotAFont { name: String, reason: String },
    #[error("cannot read the folder of fonts {0}: {1}")]
    Folder(PathBuf, io::Error),
    #[error("all fonts together have more than {MAX_BYTES} bytes: {0} is left out")]
    TooMuch(String),
}

/// What could not be shown as wanted, so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FontWarnings {
    /// Families that no font has, and that no other font stands in for.
    pub families: BTreeSet<String>,
    /// Characters that no font has.
    pub characters: BTreeSet<char>,
    /// Files that are not used because all fonts together would be too much.
    pub files: BTreeSet<PathBuf>,
}

/// Fonts by family, and the text that was shaped with them.
#[derive(Default)]
pub struct Fonts {
    catalog: Catalog,
    /// `FontId` counts these. `None`: could not be loaded.
    faces: Vec<Option<Face>>,
    ids: HashMap<FaceKey, FontId>,
    shaped: HashMap<ShapedKey, Arc<Shaped>>,
    kept_glyphs: usize,
    warnings: FontWarnings,
}

/// A font of the catalog, and what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FaceKey {
    entry: usize,
    cut: Cut,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ShapedKey {
    text: Box<str>,
    families: Vec<String>,
    size: u32,
    weight: u16,
    italic: bool,
    letter_spacing: u32,
}

impl Fonts {
    /// No fonts at all: `add_data`, `add_folder` and `add_system`, in the order of preference.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes of fonts may still be used.
    pub fn room(&self) -> usize {
        self.catalog.room()
    }

    /// Adds a font, or a collection, under `name` besides the families that it names itself. The same object under several names
    /// counts once.
    pub fn add_data(&mut self, name: &str, data: impl Into<Arc<[u8]>>) -> Result<(), FontError> {
        self.forget();
        self.catalog.add_data(name, data.into())
    }

    /// Adds every font (.ttf, .otf, .ttc, .otc) below the folder and says how many; files that are none are passed over.
    pub fn add_folder(&mut self, folder: &Path) -> Result<usize, FontError> {
        self.forget();
        self.catalog.add_folder(folder)
    }

    /// Adds the system's fonts and says how many.
    pub fn add_system(&mut self) -> usize {
        self.forget();
        catalog::system_folders()
            .iter()
            .filter_map(|folder| self.catalog.add_folder(folder).ok())
            .sum()
    }

    /// Whether a font of that family is there, itself and not one that stands in for it.
    pub fn has_family(&self, family: &str) -> bool {
        self.catalog.find(family, 400, false).is_some()
    }

    /// Shapes one line. Keeps what it shaped: asked again, it answers the same object.
    pub fn shape(&mut self, text: &str, style: &FontStyle) -> Arc<Shaped> {
        let style = sound(style);
        let text = &text[..text.floor_char_boundary(MAX_LINE)];
        let key = ShapedKey {
            text: text.into(),
            families: style.families.clone(),
            size: style.size.to_bits(),
            weight: style.weight,
            italic: style.italic,
            letter_spacing: style.letter_spacing.to_bits(),
        };
        if let Some(shaped) = self.shaped.get(&key) {
            return shaped.clone();
        }
        let shaped = Arc::new(self.shape_anew(text, &style));
        self.kept_glyphs += shaped.glyphs.len() + 1;
        if self.kept_glyphs > MAX_KEPT_GLYPHS {
            self.shaped.clear();
            self.kept_glyphs = shaped.glyphs.len() + 1;
        }
        self.shaped.insert(key, shaped.clone());
        shaped
    }

    /// The font of a glyph that `shape` gave out.
    pub fn face(&self, font: FontId) -> Option<&Face> {
        self.faces.get(font.0 as usize)?.as_ref()
    }

    /// What was missing in all lines so far.
    pub fn warnings(&self) -> &FontWarnings {
        &self.warnings
    }

    fn shape_anew(&mut self, text: &str, style: &FontStyle) -> Shaped {
        let wanted = self.wanted(style);
        let (ascent, descent, line_height) = match wanted.first().and_then(|&font| self.face(font)) {
            Some(face) => face.line(style.size),
            // No font at all: the proportions of an ordinary one.
            None => (
                (style.size * 0.9).round(),
                (style.size * 0.25).round(),
                (style.size * 1.15).round(),
            ),
        };
        let text: String = text
            .chars()
            // A line has no tabs and breaks: they would be drawn as boxes. Same length, so that clusters stay right.
            .map(|c| if c.is_ascii_control() { ' ' } else { c })
            .collect();
        let mut picker = fallback::Picker {
            fonts: self,
            wanted,
            style,
        };
        let (glyphs, width) = shape::shape_line(&text, style, &mut picker);
        Shaped {
            glyphs,
            width,
            ascent,
            descent,
            line_height,
            size: style.size,
        }
    }

    /// The fonts of the wanted families, and the first that stands in if there is none of them.
    fn wanted(&mut self, style: &FontStyle) -> Vec<FontId> {
        let mut found = Vec::new();
        for family in &style.families {
            let entry = fallback::names(family)
                .iter()
                .map(String::as_str)
                .find_map(|name| self.catalog.find(name, style.weight, style.italic));
            match entry {
                Some(entry) => found.extend(self.load(entry, style)),
                None if self.warnings.families.len() < MAX_MISSING => {
                    self.warnings.families.insert(family.clone());
                }
                None => {}
            }
        }
        if found.is_empty() {
            let stand_in = fallback::names("sans-serif")
                .iter()
                .find_map(|name| self.catalog.find(name, style.weight, style.italic))
                .or((self.catalog.len() > 0).then_some(0));
            found.extend(stand_in.and_then(|entry| self.load(entry, style)));
        }
        found.dedup();
        found
    }

    fn load(&mut self, entry: usize, style: &FontStyle) -> Option<FontId> {
        let cut = self.catalog.get(entry).cut(style.weight, style.italic);
        let key = FaceKey { entry, cut };
        if let Some(&id) = self.ids.get(&key) {
            return self.face(id).map(|_| id);
        }
        let face = match self.catalog.typeface(entry) {
            Ok(typeface) => Face::new(typeface, cut),
            Err(Unusable::Broken) => None,
            Err(Unusable::TooMuch(path)) => {
                if self.warnings.files.len() < MAX_MISSING {
                    self.warnings.files.insert(path);
                }
                None
            }
        };
        let id = FontId(self.faces.len() as u32);
        self.faces.push(face);
        self.ids.insert(key, id);
        self.face(id).map(|_| id)
    }

    /// Another font may be the better choice now.
    fn forget(&mut self) {
        self.shaped.clear();
        self.kept_glyphs = 0;
    }
}

/// Numbers that are none, negative or endless sizes and weights out of range are put right.
fn sound(style: &FontStyle) -> FontStyle {
    let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
    FontStyle {
        families: style.families.iter().take(16).cloned().collect(),
        size: finite(style.size).clamp(0.0, MAX_SIZE),
        weight: style.weight.clamp(1, 1000),
        italic: style.italic,
        letter_spacing: finite(style.letter_spacing).clamp(-MAX_SIZE, MAX_SIZE),
    }
}
