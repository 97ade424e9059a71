//! What no browser was asked for, as pictures of our own that were looked at: the profile document, files of version 1.3, pictures, fonts that a
//! scenario brings, other frames than 16:9, times that are snapped to frames.
//!
//! NUNCHI_WRITE_GOLDENS=1 writes them anew.

#[path = "compare/similarity.rs"]
mod similarity;

use std::{env, fs, path::PathBuf};

use nunchi_motiontext::{
    AssetKind, Options, Profile, Scenario, Source, fonts::Fonts, image, raster::Raster, scene::Image,
};
use similarity::similarity;

/// Below it something moved: what remains is the arithmetic of other processors.
const ENOUGH: f64 = 0.995;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Assets are those of `tests`; a scenario without fonts of its own has all of `tests/fonts`.
fn draw(name: &str, profile: Profile, t: f64, (width, height): (u32, u32)) -> Image {
    let json = fs::read(folder().join("goldens").join(format!("{name}.json"))).unwrap();
    let options = Options {
        profile,
        folder: Some(folder()),
        ..Options::default()
    };
    let (mut scenario, warnings) = Scenario::parse(&json, &options).unwrap();
    assert!(warnings.is_empty(), "{name}: {warnings:?}");
    let mut fonts = Fonts::new();
    let assets = scenario.assets().to_vec();
    for (at, asset) in assets.iter().enumerate() {
        let Source::File(path) = &asset.source else {
            panic!("{name} wants {:?}", asset.source)
        };
        let data = fs::read(path).unwrap();
        match &asset.kind {
            AssetKind::Font { families } => {
                for family in families {
                    fonts.add_data(family, data.clone()).unwrap();
                }
            }
            AssetKind::Picture => scenario.set_picture(at, image::decode(&data, image::MAX_PIXELS).unwrap().into()),
            AssetKind::Video => panic!("{name} has a video"),
        }
    }
    if !assets.iter().any(|asset| matches!(asset.kind, AssetKind::Font { .. })) {
        fonts.add_folder(&folder().join("fonts")).unwrap();
    }
    let scene = scenario.scene(t, (width, height), &mut fonts);
    Image {
        width,
        height,
        pixels: Raster::new(width, height).draw(&scene, &fonts).to_rgba(),
    }
}

fn likeness(a: &Image, b: &Image) -> f64 {
    similarity(a, b, 0).min(similarity(a, b, 255))
}

fn check(name: &str, profile: Profile, t: f64, (width, height): (u32, u32)) {
    let drawn = draw(name, profile, t, (width, height));
    let path = folder()
        .join("goldens")
        .join(format!("{name}@{t:.3}-{width}x{height}.png"));
    if env::var_os("NUNCHI_WRITE_GOLDENS").is_some() {
        let mut encoder = png::Encoder::new(fs::File::create(&path).unwrap(), width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_compression(png::Compression::High);
        encoder.write_header().unwrap().write_image_data(&drawn.pixels).unwrap();
    }
    let golden = image::decode(&fs::read(&path).unwrap(), image::MAX_PIXELS).unwrap();
    assert_eq!((golden.width, golden.height), (width, height));
    assert!(golden.pixels.iter().any(|value| *value > 0), "{path:?} is empty");
    let reached = likeness(&drawn, &golden);
    assert!(reached >= ENOUGH, "{path:?}: {reached:.4}");
}

#[test]
fn the_profile_document() {
    for t in [1.0, 3.0] {
        check("document", Profile::Document, t, (640, 360));
    }
    // In the other profile it is another picture.
    let pictures = [Profile::Document, Profile::Preview].map(|profile| draw("caption", profile, 1.0, (640, 360)));
    assert!(likeness(&pictures[0], &pictures[1]) < ENOUGH);
}

#[test]
fn version_1_3() {
    for t in [0.5, 1.5, 3.0] {
        check("version-1.3", Profile::Preview, t, (640, 360));
    }
}

#[test]
fn pictures_of_every_kind() {
    check("pictures", Profile::Preview, 1.0, (640, 360));
}

#[test]
fn fonts_that_the_scenario_brings() {
    check("fonts", Profile::Preview, 1.0, (640, 360));
}

#[test]
fn frames_of_every_shape() {
    for size in [(640, 360), (640, 480), (360, 640), (427, 239), (161, 401)] {
        check("caption", Profile::Preview, 1.3, size);
    }
}

#[test]
fn times_are_those_of_frames() {
    let at = |t: f64| draw("caption", Profile::Preview, t, (640, 360)).pixels;
    let golden = at(1.3);
    for t in [1.2501, 1.2999, 1.3499] {
        assert!(at(t) == golden, "{t}");
    }
    assert!(at(1.2499) != golden && at(1.3501) != golden);
}
