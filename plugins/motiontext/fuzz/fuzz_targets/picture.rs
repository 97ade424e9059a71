//! No bytes make the reader of pictures panic, and what it reads can be drawn turned and shrunk. Run: `cargo +nightly fuzz run picture` in
//! `plugins/motiontext`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_motiontext::{
    fonts::Fonts,
    image,
    raster::Raster,
    scene::{Blend, Content, Item, Scene, Transform},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(picture) = image::decode(bytes, image::MAX_PIXELS) else { return };
    assert_eq!(picture.pixels.len(), picture.width as usize * picture.height as usize * 4);
    let item = Item {
        transform: Transform([0.8, -0.6, 20.0, 0.6, 0.8, 5.0, 0.0, 0.0, 1.0]),
        opacity: 1.0,
        blend: Blend::Normal,
        filters: Vec::new(),
        content: Content::Image { image: picture.into(), size: [40.0, 30.0] },
    };
    Raster::new(64, 64).draw(&Scene { items: vec![item] }, &Fonts::new());
});
