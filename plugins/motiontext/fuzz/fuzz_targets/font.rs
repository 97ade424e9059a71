//! No bytes make the reader of fonts, the shaper or the raster panic. Run: `cargo +nightly fuzz run font` in `plugins/motiontext`.
#![no_main]

use std::{panic, sync::Once};

use libfuzzer_sys::fuzz_target;
use nunchi_motiontext::{
    fonts::{FontStyle, Fonts},
    raster::Raster,
    scene::{Blend, Content, Item, Rgba, Scene, Stroke, Text, Transform},
};

/// Panics of the crates that read fonts are caught; libFuzzer would end at the first.
static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    QUIET.call_once(|| panic::set_hook(Box::new(|_| {})));
    let mut fonts = Fonts::new();
    if fonts.add_data("fuzzed", bytes).is_err() {
        return;
    }
    for (weight, italic) in [(400, false), (700, true)] {
        let style = FontStyle {
            families: vec!["fuzzed".to_owned()],
            size: 24.0,
            weight,
            italic,
            letter_spacing: 0.0,
        };
        let shaped = fonts.shape("Ag ﬁ é 안녕 שלום سلام 👍🏽", &style);
        let white = Rgba { r: 1.0, g: 1.0, b: 1.0, a: 1.0 };
        let text = Text {
            shaped,
            color: white,
            stroke: Some(Stroke { width: 2.0, color: white }),
            shadows: Vec::new(),
        };
        let item = Item {
            transform: Transform([1.0, 0.0, 4.0, 0.0, 1.0, 40.0, 0.0, 0.0, 1.0]),
            opacity: 1.0,
            blend: Blend::Normal,
            filters: Vec::new(),
            content: Content::Text(text),
        };
        Raster::new(256, 64).draw(&Scene { items: vec![item] }, &fonts);
    }
});
