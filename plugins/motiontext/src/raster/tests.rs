use std::sync::Arc;

use proptest::prelude::*;
use zeno::{Command, Point};

use super::coverage::{fill, rounded};
use super::*;
use crate::fonts::{FontStyle, Shaped};
use crate::scene::{Blend, Filter, Image, Panel, Rgba, Shadow, Stroke, Text};
use crate::transform::Transform;

const WHITE: Rgba = Rgba {
    r: 1.0,
    g: 1.0,
    b: 1.0,
    a: 1.0,
};
const RED: Rgba = Rgba {
    r: 1.0,
    g: 0.0,
    b: 0.0,
    a: 1.0,
};

fn fonts() -> Fonts {
    let mut fonts = Fonts::new();
    for data in [
        &include_bytes!("../../tests/fonts/hangul.ttf")[..],
        include_bytes!("../../tests/fonts/sans.ttf"),
        include_bytes!("../../tests/fonts/emoji.ttf"),
    ] {
        fonts.add_data("test", data).unwrap();
    }
    fonts
}

fn shaped(fonts: &mut Fonts, text: &str, size: f32) -> Arc<Shaped> {
    fonts.shape(
        text,
        &FontStyle {
            families: vec!["Nunchi Sans".to_owned()],
            size,
            weight: 400,
            italic: false,
            letter_spacing: 0.0,
        },
    )
}

fn at(x: f64, y: f64) -> Transform {
    Transform([1.0, 0.0, x, 0.0, 1.0, y, 0.0, 0.0, 1.0])
}

fn item(transform: Transform, content: Content) -> Item {
    Item {
        transform,
        opacity: 1.0,
        blend: Blend::Normal,
        filters: Vec::new(),
        content,
    }
}

fn text(shaped: Arc<Shaped>, color: Rgba) -> Content {
    Content::Text(Text {
        shaped,
        color,
        stroke: None,
        shadows: Vec::new(),
        turns_pixels: false,
    })
}

fn panel(width: f32, height: f32, background: Rgba) -> Panel {
    Panel {
        size: [width, height],
        background,
        border: None,
        radius: [0.0; 4],
    }
}

fn draw(width: u32, height: u32, items: Vec<Item>, fonts: &Fonts) -> Arc<Picture> {
    Raster::new(width, height).draw(&Scene { items }, fonts)
}

/// R, G, B, A, straight.
fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 4] {
    let start = (y * picture.width + x) as usize * 4;
    picture.to_rgba()[start..start + 4].try_into().unwrap()
}

fn is_sound(picture: &Picture) -> bool {
    let rects: Vec<Rect> = picture.tiles.iter().map(|tile| tile.surface.rect).collect();
    let frame = Rect::new(0, 0, picture.width, picture.height);
    let inside = rects.iter().all(|rect| rect.intersect(&frame) == *rect);
    let apart = rects
        .iter()
        .enumerate()
        .all(|(n, rect)| rects[n + 1..].iter().all(|other| rect.intersect(other).is_empty()));
    // Premultiplied: no colour is more than the alpha.
    let premultiplied = picture.tiles.iter().flat_map(|tile| tile.pixels()).all(|pixel| {
        let [b, g, r, a] = pixel.to_le_bytes();
        r.max(g).max(b) <= a
    });
    inside && apart && premultiplied
}

#[test]
fn a_rectangle_between_pixels_covers_them_in_part() {
    let path = rounded(1.25, 2.0, 3.5, 3.5, [[0.0; 2]; 4]);
    let mask = fill(&path, &Rect::new(0, 0, 10, 10)).unwrap();
    assert_eq!(mask.rect, Rect::new(1, 2, 3, 2));
    assert_eq!(mask.data, [191, 255, 128, 96, 128, 64]);
}

#[test]
fn a_circle_has_the_area_of_a_circle() {
    let path = rounded(3.0, 3.0, 43.0, 43.0, [[20.0; 2]; 4]);
    let mask = fill(&path, &Rect::new(0, 0, 64, 64)).unwrap();
    let area = mask.data.iter().map(|value| f64::from(*value)).sum::<f64>() / 255.0;
    // Chords lie inside of the circle, by two thirds of the tolerance on average.
    let missing = 400.0 * std::f64::consts::PI - area;
    assert!(
        (-1.0..40.0 * std::f64::consts::PI * 0.1 * 0.7).contains(&missing),
        "{missing}"
    );
}

#[test]
fn endless_and_far_paths_cover_nothing() {
    let clip = Rect::new(0, 0, 10, 10);
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
        assert!(fill(&rounded(0.0, 0.0, x, 5.0, [[0.0; 2]; 4]), &clip).is_none(), "{x}");
    }
    assert!(fill(&[], &clip).is_none());
    assert!(fill(&rounded(20.0, 0.0, 30.0, 5.0, [[0.0; 2]; 4]), &clip).is_none());
}

#[test]
fn blurring_spreads_but_keeps_the_sum() {
    let mask = fill(&rounded(0.0, 0.0, 9.0, 7.0, [[0.0; 2]; 4]), &Rect::new(0, 0, 20, 20)).unwrap();
    let sum = |mask: &coverage::Mask| mask.data.iter().map(|value| f64::from(*value)).sum::<f64>();
    for sigma in [0.3, 1.0, 1.9, 2.0, 3.3, 8.0] {
        let blurred = blur::mask(&mask, sigma);
        let ratio = sum(&blurred) / sum(&mask);
        assert!((ratio - 1.0).abs() < 0.03, "{sigma}: {ratio}");
        let mirrored: Vec<u8> = blurred.data.iter().rev().copied().collect();
        let most = blurred.data.iter().zip(&mirrored).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most <= Some(1), "{sigma}: not symmetric");
    }
    for sigma in [0.0, -1.0, f32::NAN] {
        assert_eq!(blur::mask(&mask, sigma), mask);
    }
    assert!(blur::mask(&mask, f32::INFINITY).rect.width() < 1000);
}

#[test]
fn a_box_is_its_colour_and_its_border_is_inside() {
    let content = Content::Box(Panel {
        border: Some(Stroke { width: 3.0, color: RED }),
        radius: [4.0; 4],
        ..panel(40.0, 20.0, WHITE)
    });
    let picture = draw(64, 32, vec![item(at(10.0, 6.0), content)], &Fonts::new());
    assert_eq!(pixel(&picture, 30, 16), [255, 255, 255, 255]);
    assert_eq!(pixel(&picture, 11, 16), [255, 0, 0, 255]);
    assert_eq!(pixel(&picture, 9, 16)[3], 0);
    assert!(pixel(&picture, 10, 6)[3] < 60, "the corner is round");
    assert!(is_sound(&picture));
}

#[test]
fn too_large_radii_shrink_to_a_stadium() {
    let content = Content::Box(Panel {
        radius: [500.0; 4],
        ..panel(40.0, 20.0, WHITE)
    });
    let picture = draw(40, 20, vec![item(at(0.0, 0.0), content)], &Fonts::new());
    assert_eq!(pixel(&picture, 20, 0)[3], 255);
    assert_eq!(pixel(&picture, 0, 0)[3], 0);
    assert!(pixel(&picture, 0, 10)[3] > 200);
}

#[test]
fn text_stands_on_its_base_line() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "HHH", 40.0);
    let picture = draw(200, 80, vec![item(at(20.0, 60.0), text(shaped, WHITE))], &fonts);
    let rgba = picture.to_rgba();
    let row = |y: usize| rgba[y * 800..(y + 1) * 800].chunks_exact(4).any(|pixel| pixel[3] > 128);
    assert!(row(59) && !row(60) && row(40) && !row(20));
    assert!(is_sound(&picture));
}

#[test]
fn a_broken_glyph_is_blank_and_does_no_harm() {
    use skrifa::{FontRef, MetadataProvider, Tag, raw::TableProvider};
    let mut data = include_bytes!("../../tests/fonts/sans.ttf").to_vec();
    let font = FontRef::new(&data).unwrap();
    let tables = font.table_directory().table_records();
    let glyphs = tables.iter().find(|table| table.tag() == Tag::new(b"glyf")).unwrap();
    let glyph = font.charmap().map('o').unwrap();
    let start = font.loca(None).unwrap().get_raw(glyph.to_u32() as usize).unwrap();
    let start = (glyphs.offset() + start) as usize;
    // No contours, but data.
    data[start..start + 2].fill(0);
    let mut fonts = Fonts::new();
    fonts.add_data("broken", data).unwrap();
    let style = FontStyle {
        families: vec!["broken".to_owned()],
        size: 20.0,
        weight: 400,
        italic: false,
        letter_spacing: 0.0,
    };
    let shown = |fonts: &mut Fonts, line: &str| {
        let shaped = fonts.shape(line, &style);
        draw(64, 64, vec![item(at(8.0, 40.0), text(shaped, WHITE))], fonts)
    };
    assert!(shown(&mut fonts, "o").tiles.is_empty());
    assert!(!shown(&mut fonts, "z").tiles.is_empty());
}

#[test]
fn text_at_rest_on_half_a_pixel_stands_below_it() {
    let mut fonts = fonts();
    let word = shaped(&mut fonts, "HH", 20.0);
    let drawn = |scale: f64, y: f64| {
        let transform = Transform([scale, 0.0, 10.0, 0.0, scale, y, 0.0, 0.0, 1.0]);
        draw(64, 64, vec![item(transform, text(word.clone(), WHITE))], &fonts).to_rgba()
    };
    let below = drawn(1.0, 41.0);
    for y in [40.49, 40.5, 40.51] {
        assert!(drawn(1.0, y) == below, "{y}");
    }
    assert!(drawn(1.0, 40.48) != below);
    // What is not at rest goes where it is nearer.
    assert!(drawn(1.5, 40.49) != drawn(1.5, 41.0));
}

#[test]
fn text_that_turns_as_pixels_is_as_much_as_text_that_turns_as_outlines() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "Run", 40.0);
    let drawn = |matrix: Transform, turns_pixels: bool| {
        let content = Content::Text(Text {
            shaped: shaped.clone(),
            color: WHITE,
            stroke: None,
            shadows: Vec::new(),
            turns_pixels,
        });
        let picture = draw(160, 160, vec![item(at(40.0, 60.0).times(&matrix), content)], &fonts);
        picture.to_rgba()
    };
    let ink = |pixels: &[u8]| pixels.chunks(4).map(|pixel| f64::from(pixel[3])).sum::<f64>();
    for turn in [10.0, 45.0, 200.0] {
        let matrix = Transform::rotate(turn).times(&Transform::scale([1.3, 0.9]));
        let (outlines, pixels) = (drawn(matrix, false), drawn(matrix, true));
        assert_ne!(outlines, pixels, "{turn}");
        let ratio = ink(&pixels) / ink(&outlines);
        assert!((0.9..1.1).contains(&ratio), "{turn}: {ratio}");
        let sharp = |pixels: &[u8]| pixels.chunks(4).filter(|pixel| pixel[3] == 255).count();
        assert!(sharp(&pixels) < sharp(&outlines), "{turn}");
    }
    // What is not turned, in perspective or very large is drawn as ever.
    let steep = Transform::turned([0.0, 40.0, 10.0], [0.0; 2], 400.0);
    for matrix in [
        Transform::IDENTITY,
        Transform::rotate(90.0),
        Transform::scale([2.0, 0.5]),
        steep,
        Transform::rotate(20.0).times(&Transform::scale([30.0; 2])),
    ] {
        assert_eq!(drawn(matrix, false), drawn(matrix, true), "{matrix:?}");
    }
    // All on a line, or nowhere.
    for matrix in [
        Transform::rotate(30.0).times(&Transform::scale([1.0, 0.0])),
        Transform::rotate(30.0).times(&Transform::scale([0.0; 2])),
        Transform::rotate(30.0).times(&Transform::scale([1e-300; 2])),
    ] {
        assert_eq!(ink(&drawn(matrix, true)), 0.0, "{matrix:?}");
    }
}

#[test]
fn strokes_lie_over_the_fill_and_shadows_under_it() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "I", 60.0);
    let plain = draw(80, 80, vec![item(at(20.0, 60.0), text(shaped.clone(), WHITE))], &fonts);
    let content = Content::Text(Text {
        shaped,
        color: WHITE,
        stroke: Some(Stroke { width: 4.0, color: RED }),
        shadows: vec![Shadow {
            dx: 10.0,
            dy: 0.0,
            blur: 0.0,
            color: Rgba {
                a: 0.5,
                ..Rgba::default()
            },
        }],
        turns_pixels: false,
    });
    let picture = draw(80, 80, vec![item(at(20.0, 60.0), content)], &fonts);
    let stem = (0..80).find(|x| pixel(&plain, *x, 40)[3] == 255).unwrap();
    assert_eq!(pixel(&picture, stem - 1, 40), [255, 0, 0, 255]);
    assert_eq!(pixel(&picture, stem + 2, 40), [255, 255, 255, 255]);
    assert_eq!(pixel(&picture, stem + 12, 40), [0, 0, 0, 128]);
}

#[test]
fn emoji_are_in_colour() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "😀", 48.0);
    let picture = draw(80, 80, vec![item(at(10.0, 60.0), text(shaped, RED))], &fonts);
    let [r, g, b, a] = pixel(&picture, 20, 50);
    assert!(a == 255 && r > 180 && g > 130 && b < 120, "{r} {g} {b} {a}");
}

#[test]
fn opacity_of_a_shadowed_text_does_not_show_the_shadow_through_it() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "I", 60.0);
    let content = Content::Text(Text {
        shaped,
        color: WHITE,
        stroke: None,
        shadows: vec![Shadow {
            dx: 0.0,
            dy: 0.0,
            blur: 4.0,
            color: Rgba {
                a: 1.0,
                ..Rgba::default()
            },
        }],
        turns_pixels: false,
    });
    let half = Item {
        opacity: 0.5,
        ..item(at(20.0, 60.0), content)
    };
    let picture = draw(80, 80, vec![half], &fonts);
    let brightest = (0..80)
        .map(|x| pixel(&picture, x, 40))
        .max_by_key(|pixel| pixel[0])
        .unwrap();
    assert_eq!(brightest, [255, 255, 255, 128]);
}

#[test]
fn layers_are_clipped_filtered_and_screened() {
    let clip = Some(panel(10.0, 10.0, Rgba::default()));
    let inner = Scene {
        items: vec![item(at(0.0, 0.0), Content::Box(panel(30.0, 30.0, RED)))],
    };
    let clipped = item(
        at(5.0, 5.0),
        Content::Layer {
            scene: inner.clone(),
            clip,
        },
    );
    let picture = draw(64, 64, vec![clipped], &Fonts::new());
    assert_eq!(pixel(&picture, 14, 14), [255, 0, 0, 255]);
    assert_eq!(pixel(&picture, 16, 14)[3], 0);

    let dark = Item {
        filters: vec![Filter::Brightness(0.5)],
        ..item(at(0.0, 0.0), Content::Box(panel(8.0, 8.0, WHITE)))
    };
    let picture = draw(64, 64, vec![dark], &Fonts::new());
    assert_eq!(pixel(&picture, 4, 4), [128, 128, 128, 255]);

    let blue = Rgba {
        b: 1.0,
        a: 1.0,
        ..Rgba::default()
    };
    let screened = Item {
        blend: Blend::Screen,
        ..item(at(0.0, 0.0), Content::Box(panel(8.0, 8.0, blue)))
    };
    let under = item(at(0.0, 0.0), Content::Box(panel(8.0, 8.0, RED)));
    let picture = draw(64, 64, vec![under, screened], &Fonts::new());
    assert_eq!(pixel(&picture, 4, 4), [255, 0, 255, 255]);
}

#[test]
fn images_are_stretched_and_turned() {
    let image = Arc::new(Image {
        width: 2,
        height: 1,
        pixels: vec![255, 0, 0, 255, 0, 0, 255, 255],
    });
    let content = Content::Image {
        image,
        size: [40.0, 20.0],
    };
    // A quarter turn clockwise: left becomes top.
    let turned = Transform([0.0, -1.0, 30.0, 1.0, 0.0, 5.0, 0.0, 0.0, 1.0]);
    let picture = draw(64, 64, vec![item(turned, content)], &Fonts::new());
    assert_eq!(pixel(&picture, 20, 8), [255, 0, 0, 255]);
    assert_eq!(pixel(&picture, 20, 42), [0, 0, 255, 255]);
    assert_eq!(pixel(&picture, 31, 20)[3], 0);
}

#[test]
fn an_image_that_lacks_pixels_is_not_drawn() {
    let content = |width, height, pixels| Content::Image {
        image: Arc::new(Image { width, height, pixels }),
        size: [10.0, 10.0],
    };
    for content in [
        content(100, 100, vec![0; 16]),
        content(0, 0, vec![]),
        content(u32::MAX, u32::MAX, vec![1; 4]),
    ] {
        let picture = draw(64, 64, vec![item(at(0.0, 0.0), content)], &Fonts::new());
        assert!(
            picture
                .tiles
                .iter()
                .all(|tile| tile.pixels().iter().all(|pixel| *pixel == 0))
        );
    }
}

#[test]
fn a_glow_fades_from_the_middle() {
    let glow = Content::Glow {
        size: [40.0, 40.0],
        color: RED,
        solid: 0.3,
        radius: 0.6,
    };
    let picture = draw(64, 64, vec![item(at(0.0, 0.0), glow)], &Fonts::new());
    assert_eq!(pixel(&picture, 20, 20), [255, 0, 0, 255]);
    let (near, far) = (pixel(&picture, 30, 20)[3], pixel(&picture, 35, 20)[3]);
    assert!(near > far && far > 0 && pixel(&picture, 1, 1)[3] == 0, "{near} {far}");
}

#[test]
fn the_same_scene_gives_the_same_object() {
    let mut fonts = fonts();
    let shaped = shaped(&mut fonts, "abc", 30.0);
    let scene = Scene {
        items: vec![item(at(10.0, 40.0), text(shaped, WHITE))],
    };
    let mut raster = Raster::new(100, 60);
    let first = raster.draw(&scene, &fonts);
    assert!(Arc::ptr_eq(&first, &raster.draw(&scene.clone(), &fonts)));
    assert_eq!(
        *first,
        *draw(100, 60, scene.items, &fonts),
        "and another raster draws the same"
    );
}

#[test]
fn who_holds_a_picture_keeps_it() {
    let boxes = |x: f64| vec![item(at(x, 8.0), Content::Box(panel(10.0, 10.0, WHITE)))];
    let mut raster = Raster::new(64, 64);
    let first = raster.draw(&Scene { items: boxes(8.0) }, &Fonts::new());
    let copy = (*first).clone();
    raster.draw(&Scene { items: boxes(9.0) }, &Fonts::new());
    assert_eq!(*first, copy);
}

#[test]
fn things_far_apart_are_separate_tiles() {
    let small = |x, y| item(at(x, y), Content::Box(panel(10.0, 10.0, WHITE)));
    let picture = draw(
        1280,
        720,
        vec![small(10.0, 10.0), small(1200.0, 700.0), small(15.0, 12.0)],
        &Fonts::new(),
    );
    assert_eq!(picture.tiles.len(), 2);
    assert!(picture.tiles.iter().map(|tile| tile.pixels().len()).sum::<usize>() < 2000);
}

#[test]
fn many_things_everywhere_are_few_tiles() {
    let items: Vec<Item> = (0..3000)
        .map(|n| {
            item(
                at(f64::from(n * 37 % 1270), f64::from(n * 91 % 710)),
                Content::Box(panel(2.0, 2.0, WHITE)),
            )
        })
        .collect();
    let picture = draw(1280, 720, items, &Fonts::new());
    assert!(picture.tiles.len() <= MAX_TILES && is_sound(&picture));
}

#[test]
fn senseless_items_draw_nothing_and_do_no_harm() {
    let mut fonts = fonts();
    let word = shaped(&mut fonts, "abc", 30.0);
    let empty = shaped(&mut fonts, "", 30.0);
    let zero = shaped(&mut fonts, "abc", 0.0);
    let contents = [
        text(word, WHITE),
        text(empty, WHITE),
        text(zero, WHITE),
        Content::Box(panel(f32::NAN, 10.0, WHITE)),
        Content::Box(panel(-10.0, 10.0, WHITE)),
        Content::Box(panel(f32::INFINITY, 10.0, WHITE)),
        Content::Glow {
            size: [0.0, f32::NAN],
            color: WHITE,
            solid: f32::NAN,
            radius: f32::NAN,
        },
        Content::Layer {
            scene: Scene::default(),
            clip: Some(panel(f32::NAN, f32::NAN, WHITE)),
        },
    ];
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, -1e300, 1e-300];
    let mut items = Vec::new();
    for content in &contents {
        for value in odd {
            for place in 0..9 {
                let mut transform = at(20.0, 30.0);
                transform.0[place] = value;
                items.push(Item {
                    filters: vec![
                        Filter::Blur(f32::NAN),
                        Filter::Saturate(f32::INFINITY),
                        Filter::Contrast(-1.0),
                    ],
                    opacity: value as f32,
                    ..item(transform, content.clone())
                });
                items.push(item(transform, content.clone()));
            }
        }
    }
    let picture = draw(100, 100, items, &fonts);
    assert!(is_sound(&picture));
}

#[test]
fn what_is_off_the_frame_makes_no_tile() {
    let mut fonts = fonts();
    let word = shaped(&mut fonts, "abc", 30.0);
    for (x, y) in [(-500.0, 30.0), (500.0, 30.0), (20.0, -100.0), (20.0, 900.0), (1e9, 1e9)] {
        let picture = draw(100, 100, vec![item(at(x, y), text(word.clone(), WHITE))], &fonts);
        assert!(picture.tiles.is_empty(), "{x} {y}");
    }
}

#[test]
fn frames_without_pixels_and_frames_too_large_are_no_harm() {
    let one = vec![item(at(0.0, 0.0), Content::Box(panel(50.0, 50.0, WHITE)))];
    assert!(draw(0, 0, one.clone(), &Fonts::new()).tiles.is_empty());
    assert!(draw(0, 100, one.clone(), &Fonts::new()).tiles.is_empty());
    let huge = draw(u32::MAX, u32::MAX, one, &Fonts::new());
    assert_eq!((huge.width, huge.height), (MAX_SIDE, MAX_SIDE));
}

#[test]
fn enormous_letters_are_cut_to_the_frame() {
    let mut fonts = fonts();
    let word = shaped(&mut fonts, "안H", 16_000.0);
    let content = Content::Text(Text {
        shaped: word,
        color: WHITE,
        stroke: Some(Stroke { width: 1e9, color: RED }),
        shadows: vec![Shadow {
            dx: f32::NAN,
            dy: 1e30,
            blur: f32::INFINITY,
            color: WHITE,
        }],
        turns_pixels: false,
    });
    let picture = draw(640, 360, vec![item(at(-3000.0, 5000.0), content)], &fonts);
    assert!(is_sound(&picture));
}

#[test]
fn layers_within_layers_end_somewhere() {
    let mut inner = item(at(0.0, 0.0), Content::Box(panel(10.0, 10.0, WHITE)));
    for _ in 0..200 {
        inner = Item {
            opacity: 0.9,
            ..item(
                at(0.0, 0.0),
                Content::Layer {
                    scene: Scene { items: vec![inner] },
                    clip: None,
                },
            )
        };
    }
    assert!(draw(64, 64, vec![inner], &Fonts::new()).tiles.is_empty());
}

#[test]
fn layers_without_end_stay_within_the_budget() {
    let full = Item {
        filters: vec![Filter::Contrast(1.0)],
        ..item(at(0.0, 0.0), Content::Box(panel(640.0, 360.0, WHITE)))
    };
    let mut raster = Raster::new(640, 360);
    // All at once, and one more each time.
    for count in [300, 301, 302, 303] {
        let items = vec![full.clone(); count];
        raster.draw(&Scene { items }, &Fonts::new());
    }
    let pixels: usize = raster.prepared.iter().map(Prepared::pixels).sum();
    assert!(pixels <= 640 * 360 * BUDGET_FRAMES + BUDGET_PIXELS, "{pixels}");
}

#[test]
fn letters_without_end_stay_within_the_budget() {
    let mut fonts = fonts();
    let word = shaped(&mut fonts, "HHHH", 400.0);
    let one = item(at(0.0, 300.0), text(word, WHITE));
    let mut raster = Raster::new(640, 360);
    // All at once, and one more each time.
    for count in [3000, 3001, 3002] {
        let items = vec![one.clone(); count];
        raster.draw(&Scene { items }, &fonts);
        let painted: usize = raster.prepared.iter().map(|item| item.painted).sum();
        let most = 640 * 360 * PAINT_FRAMES + PAINT_PIXELS;
        assert!(painted > most / 2 && painted <= most, "{painted}");
        let masks = raster.prepared.iter().flat_map(|item| &item.pieces).count();
        assert!(masks < 4 * 3000, "{masks}");
    }
}

#[test]
fn perspective_makes_the_far_side_smaller() {
    let content = Content::Box(panel(40.0, 40.0, WHITE));
    let mut transform = at(10.0, 10.0);
    transform.0[6] = 0.02;
    let picture = draw(64, 64, vec![item(transform, content)], &Fonts::new());
    let column = |x: u32| (0..64).filter(|y| pixel(&picture, x, *y)[3] > 128).count();
    assert!(column(11) > column(25) && column(25) > 0);
    // Behind the eye.
    let mut behind = at(10.0, 10.0);
    behind.0[8] = -1.0;
    let content = Content::Box(panel(40.0, 40.0, WHITE));
    assert!(
        draw(64, 64, vec![item(behind, content)], &Fonts::new())
            .tiles
            .is_empty()
    );
}

#[test]
fn corrections_keep_order_and_ends() {
    let inverse = Transform([2.0, 1.0, 5.0, 0.0, 3.0, -7.0, 0.0, 0.0, 1.0]);
    let back = inverse.inverse().unwrap().times(&inverse);
    assert!(
        back.0
            .iter()
            .zip(Transform::IDENTITY.0)
            .all(|(a, b)| (a - b).abs() < 1e-12)
    );
    for luminance in 0..8 {
        let table = glyphs::correction(luminance);
        assert!(table.is_sorted() && table[0] == 0 && table[255] == 255, "{luminance}");
    }
}

/// The element owns both, and is called from whichever thread streams.
#[test]
fn rasters_and_fonts_may_go_to_other_threads() {
    let mut fonts = fonts();
    let mut raster = Raster::new(80, 60);
    let scene = Scene {
        items: vec![item(at(5.0, 40.0), text(shaped(&mut fonts, "ab", 30.0), WHITE))],
    };
    let there = std::thread::spawn(move || raster.draw(&scene, &fonts)).join().unwrap();
    assert_eq!(there.tiles.len(), 1);
}

fn words(fonts: &mut Fonts) -> Vec<Arc<Shaped>> {
    ["abc", "안녕", "g"].map(|word| shaped(fonts, word, 28.0)).to_vec()
}

fn any_item(words: Vec<Arc<Shaped>>) -> impl Strategy<Value = Item> {
    (
        0..words.len(),
        0..4u8,
        (-20.0..140.0f64, -20.0..100.0f64),
        prop::sample::select(vec![1.0, 1.0, 0.5, 1.3]),
        prop::sample::select(vec![0.0, 0.0, 0.4]),
        prop::sample::select(vec![1.0f32, 1.0, 0.5, 0.0]),
        any::<bool>(),
    )
        .prop_map(move |(word, kind, (x, y), scale, turn, opacity, filtered)| {
            let (sin, cos) = f64::sin_cos(turn);
            let transform = Transform([scale * cos, -scale * sin, x, scale * sin, scale * cos, y, 0.0, 0.0, 1.0]);
            let content = match kind {
                0 => text(words[word].clone(), WHITE),
                1 => Content::Text(Text {
                    shaped: words[word].clone(),
                    color: RED,
                    stroke: Some(Stroke {
                        width: 2.0,
                        color: WHITE,
                    }),
                    shadows: vec![Shadow {
                        dx: 2.0,
                        dy: 1.0,
                        blur: 5.0,
                        color: Rgba {
                            a: 0.8,
                            ..Rgba::default()
                        },
                    }],
                    turns_pixels: filtered,
                }),
                2 => Content::Box(panel(35.0, 21.0, RED)),
                _ => Content::Layer {
                    scene: Scene {
                        items: vec![item(at(3.0, 3.0), Content::Box(panel(20.0, 20.0, WHITE)))],
                    },
                    clip: Some(panel(15.0, 15.0, WHITE)),
                },
            };
            Item {
                opacity,
                filters: if filtered { vec![Filter::Blur(1.5)] } else { Vec::new() },
                ..item(transform, content)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever came before, a scene looks as if it were drawn alone.
    #[test]
    fn drawing_only_what_changed_shows_the_same(
        pool in prop::collection::vec(any_item(words(&mut fonts())), 8),
        picks in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..6), 1..6),
    ) {
        // Shaped alike, so that the glyphs' fonts have the same numbers.
        let mut fonts = fonts();
        words(&mut fonts);
        let mut raster = Raster::new(160, 120);
        for picks in picks {
            let items: Vec<Item> = picks.iter().map(|pick| pick.get(&pool).clone()).collect();
            let after_others = raster.draw(&Scene { items: items.clone() }, &fonts);
            let alone = draw(160, 120, items, &fonts);
            prop_assert!(after_others.to_rgba() == alone.to_rgba());
            prop_assert!(is_sound(&after_others));
        }
    }

    /// Broken outlines, pictures and tables: something or nothing is drawn.
    #[test]
    fn broken_fonts_are_drawn_without_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..80),
        emoji in any::<bool>(),
    ) {
        let whole = if emoji {
            &include_bytes!("../../tests/fonts/emoji.ttf")[..]
        } else {
            include_bytes!("../../tests/fonts/hangul.ttf")
        };
        let mut data = whole.to_vec();
        for (at, byte) in changes {
            // Not the directory: then it is refused as no font.
            let place = 300 + at.index(data.len() - 300);
            data[place] = byte;
        }
        let mut fonts = Fonts::new();
        if fonts.add_data("Nunchi Sans", data).is_ok() {
            let word = shaped(&mut fonts, "안녕 abc 😀", 30.0);
            let bold = item(at(5.0, 50.0), text(word, WHITE));
            prop_assert!(is_sound(&draw(200, 80, vec![bold], &fonts)));
        }
    }

    /// A part of a shape has the coverage that it has in the whole.
    #[test]
    fn clipping_changes_no_pixel(points in prop::collection::vec((-60.0..60.0f32, -60.0..60.0f32), 3..8)) {
        let mut path = vec![Command::MoveTo(Point::new(points[0].0, points[0].1))];
        path.extend(points[1..].iter().map(|(x, y)| Command::LineTo(Point::new(*x, *y))));
        path.push(Command::Close);
        let (large, small) = (Rect::new(-64, -64, 128, 128), Rect::new(-10, -13, 29, 17));
        let whole = fill(&path, &large);
        let Some(part) = fill(&path, &small) else { return Ok(()) };
        let whole = whole.unwrap();
        for y in part.rect.y0..part.rect.y1 {
            for x in part.rect.x0..part.rect.x1 {
                let a = part.row(y)[(x - part.rect.x0) as usize];
                let b = whole.row(y)[(x - whole.rect.x0) as usize];
                prop_assert!(a.abs_diff(b) <= 1, "{x},{y}: {a} {b}");
            }
        }
    }
}
