use super::*;
use crate::fonts::FontStyle;

const SANS: &[u8] = include_bytes!("../../tests/fonts/sans.ttf");

fn be_u32(data: &[u8], at: usize) -> usize {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize
}

fn white(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![255; (width * height) as usize]).unwrap();
    writer.finish().unwrap();
    file
}

/// A font whose every glyph is this picture, and how many it has.
fn of_pictures(picture: &[u8]) -> (Vec<u8>, u16) {
    let tables = usize::from(u16::from_be_bytes([SANS[4], SANS[5]]));
    let records = SANS[12..12 + tables * 16].chunks_exact(16);
    let maxp = records.clone().find(|record| &record[..4] == b"maxp").unwrap();
    let at = be_u32(maxp, 8) + 4;
    let glyphs = u16::from_be_bytes([SANS[at], SANS[at + 1]]);

    let first = 4 + (usize::from(glyphs) + 1) * 4;
    let length = 8 + picture.len();
    let mut sbix = [[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 12], [0, 100, 0, 72]].concat();
    for glyph in 0..=usize::from(glyphs) {
        sbix.extend(((first + glyph * length) as u32).to_be_bytes());
    }
    for _ in 0..glyphs {
        sbix.extend([0; 4]);
        sbix.extend(b"png ");
        sbix.extend(picture);
    }

    // The font as it is behind a directory that is one record longer, and the new table behind both.
    let mut font = SANS[..12].to_vec();
    font[4..6].copy_from_slice(&(tables as u16 + 1).to_be_bytes());
    let start = SANS.len() + 16;
    let mut directory: Vec<Vec<u8>> = records
        .map(|record| {
            let offset = (be_u32(record, 8) + 16) as u32;
            [&record[..8], &offset.to_be_bytes(), &record[12..]].concat()
        })
        .collect();
    directory.push(
        [
            &b"sbix\0\0\0\0"[..],
            &(start as u32).to_be_bytes(),
            &(sbix.len() as u32).to_be_bytes(),
        ]
        .concat(),
    );
    directory.sort();
    font.extend(directory.concat());
    font.extend(&SANS[12 + tables * 16..]);
    font.extend(sbix);
    (font, glyphs)
}

fn open(data: Vec<u8>) -> (Fonts, FontId) {
    let mut fonts = Fonts::new();
    fonts.add_data("pictures", data).unwrap();
    let style = FontStyle {
        families: vec!["pictures".to_owned()],
        size: 20.0,
        weight: 400,
        italic: false,
        letter_spacing: 0.0,
    };
    let font = fonts.shape("a", &style).glyphs[0].font;
    (fonts, font)
}

#[test]
fn enormous_pictures_of_glyphs_are_not_read() {
    for (side, is_read) in [(1024, true), (1025, false)] {
        let (data, _) = of_pictures(&white(1024, side));
        let (fonts, font) = open(data);
        assert_eq!(Pictures::default().emoji(&fonts, font, 5).is_some(), is_read, "{side}");
    }
}

#[test]
fn pictures_of_glyphs_are_bounded_together() {
    let (data, count) = of_pictures(&white(1024, 1000));
    assert!(count > 40);
    let (fonts, font) = open(data);
    let mut pictures = Pictures::default();
    let mut held = Vec::new();
    for glyph in 0..40 {
        let (image, _) = pictures.emoji(&fonts, font, glyph).unwrap();
        let mut surface = Surface::new(Rect::new(0, 0, 16, 16));
        pictures.draw(&mut surface, &image, &stretch(&image, [16.0, 16.0]));
        held.push(Arc::downgrade(&image));
    }
    let alive: usize = held
        .iter()
        .filter_map(std::sync::Weak::upgrade)
        .map(|image| image.pixels.len() / 4)
        .sum();
    assert!(alive > 0 && alive <= MAX_KEPT, "{alive} pixels");
}
