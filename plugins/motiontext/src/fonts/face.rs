//! A font that text was set in, and what its glyphs look like.

use std::sync::{Arc, OnceLock};

use harfrust::{ShaperData, ShaperInstance, Variation};
use skrifa::{
    FontRef, GlyphId, MetadataProvider, Tag,
    instance::{LocationRef, NormalizedCoord, Size},
    outline::{DrawSettings, Engine, GlyphStyles, HintingInstance, HintingOptions, OutlinePen, SmoothMode},
};

use super::guarded;

/// Skia's slope of letters that it slants itself.
const OBLIQUE: f32 = 0.25;
/// Skia thickens letters by this share of the em.
const EMBOLDEN: f32 = 1.0 / 34.0;

/// What the weights and slopes of a font share.
pub struct Typeface {
    data: Arc<[u8]>,
    index: u32,
    pub(super) shaper: ShaperData,
    has_color: bool,
    /// Which script each glyph is hinted for.
    styles: OnceLock<GlyphStyles>,
}

/// Which of a font's looks is wanted. Those that look the same are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Bits of the number; none for fonts of one weight.
    pub weight: Option<u32>,
    /// To be made up.
    pub slanted: bool,
    pub emboldened: bool,
}

/// A font at one weight, with what had to be added because no better one was there.
pub struct Face {
    pub(super) typeface: Arc<Typeface>,
    pub(super) instance: ShaperInstance,
    coords: Vec<NormalizedCoord>,
    pub units_per_em: f32,
    /// Font units above and below the base line, and between lines.
    ascent: f32,
    descent: f32,
    leading: f32,
    /// How far letters lean to the right for each unit upwards; 0 unless it had to be made up.
    pub slant: f32,
    /// How much is added to the thickness of strokes, as a share of the em; 0 unless it had to be made up.
    pub embolden: f32,
    /// Some of its glyphs are pictures or have colours of their own.
    pub has_color: bool,
}

impl Typeface {
    /// `None` if it is broken.
    pub fn new(data: Arc<[u8]>, index: u32) -> Option<Self> {
        guarded(|| {
            let font = FontRef::from_index(&data, index).ok()?;
            let has = |tag: &[u8; 4]| font.table_data(Tag::new(tag)).is_some();
            Some(Self {
                shaper: ShaperData::new(&font),
                has_color: has(b"CBDT") || has(b"sbix") || has(b"COLR"),
                styles: OnceLock::new(),
                index,
                data: data.clone(),
            })
        })
    }

    /// The font's tables; they were read before, so that `None` does not come up.
    fn font(&self) -> Option<FontRef<'_>> {
        FontRef::from_index(&self.data, self.index).ok()
    }
}

impl Face {
    /// `None` if the font is broken.
    pub fn new(typeface: Arc<Typeface>, cut: Cut) -> Option<Self> {
        guarded(|| Self::of(typeface, cut))
    }

    fn of(typeface: Arc<Typeface>, cut: Cut) -> Option<Self> {
        let font = typeface.font()?;
        let variations = cut.weight.map(|bits| ("wght", f32::from_bits(bits)));
        let coords = font.axes().location(variations).coords().to_vec();
        let metrics = font.metrics(Size::unscaled(), LocationRef::new(&coords));
        if metrics.units_per_em == 0 {
            return None;
        }
        Some(Self {
            instance: ShaperInstance::from_variations(&font, variations.map(Variation::from)),
            coords,
            units_per_em: f32::from(metrics.units_per_em),
            ascent: metrics.ascent,
            descent: -metrics.descent,
            leading: metrics.leading,
            slant: if cut.slanted { OBLIQUE } else { 0.0 },
            embolden: if cut.emboldened { EMBOLDEN } else { 0.0 },
            has_color: typeface.has_color,
            typeface,
        })
    }

    /// As [`Typeface::font`].
    pub fn font(&self) -> Option<FontRef<'_>> {
        self.typeface.font()
    }

    /// Ascent, descent and line height at `size` px, in whole pixels as Chromium rounds them.
    pub fn line(&self, size: f32) -> (f32, f32, f32) {
        let scale = size / self.units_per_em;
        let ascent = (self.ascent * scale).round();
        let descent = (self.descent * scale).round();
        (ascent, descent, ascent + descent + (self.leading * scale).round())
    }

    pub fn has_glyph(&self, character: char) -> bool {
        guarded(|| self.font()?.charmap().map(character)).is_some_and(|glyph| glyph.to_u32() != 0)
    }

    /// Draws the outline of a glyph in font units, y upwards. `false` if it has none or is broken.
    pub fn outline(&self, glyph: u16, pen: &mut impl OutlinePen) -> bool {
        let settings = DrawSettings::unhinted(Size::unscaled(), LocationRef::new(&self.coords));
        self.draw(glyph, settings, pen)
    }

    /// What `hinted` needs for glyphs of `size` px: edges are moved up and down to whole rows, and nothing sideways, as
    /// FreeType's light hinting does it. `None` for fonts that cannot be hinted.
    pub fn hinter(&self, size: f32) -> Option<HintingInstance> {
        guarded(|| {
            let font = self.font()?;
            let outlines = font.outline_glyphs();
            let styles = self.typeface.styles.get_or_init(|| GlyphStyles::new(&outlines));
            let options = HintingOptions {
                engine: Engine::Auto(Some(styles.clone())),
                target: SmoothMode::Light.into(),
            };
            HintingInstance::new(&outlines, Size::new(size), LocationRef::new(&self.coords), options).ok()
        })
    }

    /// As `outline`, but in px of the hinter's size.
    pub fn hinted(&self, glyph: u16, hinter: &HintingInstance, pen: &mut impl OutlinePen) -> bool {
        self.draw(glyph, DrawSettings::hinted(hinter, false), pen)
    }

    fn draw<'a>(&self, glyph: u16, settings: DrawSettings<'a>, pen: &mut impl OutlinePen) -> bool {
        let drawn = guarded(|| {
            let outline = self.font()?.outline_glyphs().get(GlyphId::from(glyph))?;
            outline.draw(settings, pen).ok()
        });
        drawn.is_some()
    }
}
