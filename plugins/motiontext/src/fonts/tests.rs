use std::fs;

use proptest::prelude::*;

use super::*;

const HANGUL: &[u8] = include_bytes!("../../tests/fonts/hangul.ttf");
const HANGUL_BOLD: &[u8] = include_bytes!("../../tests/fonts/hangul-bold.ttf");
const SANS: &[u8] = include_bytes!("../../tests/fonts/sans.ttf");
const EMOJI: &[u8] = include_bytes!("../../tests/fonts/emoji.ttf");

fn fonts() -> Fonts {
    let mut fonts = Fonts::new();
    for (name, data) in [
        ("hangul", HANGUL),
        ("hangul bold file", HANGUL_BOLD),
        ("sans", SANS),
        ("Noto Color Emoji", EMOJI),
    ] {
        fonts.add_data(name, data).unwrap();
    }
    fonts
}

fn style(family: &str, size: f32) -> FontStyle {
    FontStyle {
        families: vec![family.to_owned()],
        size,
        weight: 400,
        italic: false,
        letter_spacing: 0.0,
    }
}

/// Each glyph's font, as its place in the catalog of `fonts()`.
fn entries(fonts: &Fonts, shaped: &Shaped) -> Vec<usize> {
    let of = |font| {
        let (key, _) = fonts.ids.iter().find(|(_, id)| **id == font).unwrap();
        key.entry
    };
    shaped.glyphs.iter().map(|glyph| of(glyph.font)).collect()
}

/// The widths and heights that Chromium gives for these fonts.
#[test]
fn advances_and_heights_are_chromiums() {
    let mut fonts = fonts();
    for (family, size, text, width, ascent, descent) in [
        ("Nunchi Hangul", 24.0, "안녕 Nunchi", 130.3436, 22.0, 6.0),
        ("Nunchi Hangul", 36.0, "안녕 Nunchi", 195.5161, 33.0, 8.0),
        ("Nunchi Hangul", 50.0, "안녕 Nunchi", 271.5497, 46.0, 12.0),
        ("Nunchi Hangul", 72.0, "안녕 Nunchi", 391.0322, 66.0, 17.0),
        ("Nunchi Sans", 24.0, "Nunchi gy |", 136.2305, 22.0, 6.0),
        ("Nunchi Sans", 36.0, "Nunchi gy |", 204.3457, 33.0, 8.0),
        ("Nunchi Sans", 50.0, "Nunchi gy |", 283.8135, 46.0, 12.0),
        ("Nunchi Sans", 72.0, "Nunchi gy |", 408.6914, 67.0, 17.0),
    ] {
        let shaped = fonts.shape(text, &style(family, size));
        assert!(
            (shaped.width - width).abs() < 0.005,
            "{family} {size}: {}",
            shaped.width
        );
        assert_eq!(
            (shaped.ascent, shaped.descent, shaped.line_height),
            (ascent, descent, ascent + descent)
        );
    }
}

#[test]
fn glyphs_stand_where_the_advances_before_them_end() {
    let shaped = fonts().shape("안녕 Nunchi", &style("nunchi hangul", 36.0));
    let wanted = [0.0, 33.84, 67.68, 77.76, 103.932, 125.748, 147.5641, 164.9881, 186.8041];
    assert_eq!(shaped.glyphs.len(), wanted.len());
    for (glyph, x) in shaped.glyphs.iter().zip(wanted) {
        assert!((glyph.x - x).abs() < 0.005, "{glyph:?}");
    }
    assert_eq!(shaped.glyphs[2].cluster, 6);
}

#[test]
fn asked_again_it_answers_the_same_object() {
    let mut fonts = fonts();
    let first = fonts.shape("하루", &style("sans", 20.0));
    assert!(Arc::ptr_eq(&first, &fonts.shape("하루", &style("sans", 20.0))));
    assert!(!Arc::ptr_eq(&first, &fonts.shape("하루", &style("sans", 21.0))));
}

#[test]
fn bold_takes_the_semibold_font_rather_than_another_family() {
    let mut fonts = fonts();
    let bold = FontStyle {
        weight: 700,
        ..style("Nunchi Hangul", 36.0)
    };
    let shaped = fonts.shape("움직임 in", &bold);
    assert_eq!(entries(&fonts, &shaped), vec![1; 6]);
    // 600 is near enough to 700 not to be thickened.
    assert_eq!(fonts.face(shaped.glyphs[0].font).unwrap().embolden, 0.0);
}

#[test]
fn what_no_font_has_is_made_up() {
    let mut fonts = fonts();
    let bold_italic = FontStyle {
        weight: 700,
        italic: true,
        ..style("Nunchi Sans", 36.0)
    };
    let shaped = fonts.shape("gy", &bold_italic);
    let face = fonts.face(shaped.glyphs[0].font).unwrap();
    assert!(face.embolden > 0.0 && face.slant > 0.0);
    let regular = fonts.shape("gy", &style("Nunchi Sans", 36.0));
    let face = fonts.face(regular.glyphs[0].font).unwrap();
    assert!(face.embolden == 0.0 && face.slant == 0.0);
}

#[test]
fn weights_are_chosen_as_css_has_it() {
    let rank = |wanted, weights: &[f32]| {
        let rank = |w: &f32| catalog::weight_rank(wanted, (*w, *w));
        *weights
            .iter()
            .min_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap())
            .unwrap()
    };
    assert_eq!(rank(700.0, &[400.0, 600.0]), 600.0);
    assert_eq!(rank(700.0, &[400.0, 600.0, 800.0]), 800.0);
    assert_eq!(rank(400.0, &[300.0, 500.0, 700.0]), 500.0);
    assert_eq!(rank(400.0, &[300.0, 600.0]), 300.0);
    assert_eq!(rank(300.0, &[100.0, 400.0]), 100.0);
    assert_eq!(rank(450.0, &[600.0, 900.0]), 600.0);
}

#[test]
fn other_scripts_and_emoji_come_from_other_fonts() {
    let mut fonts = fonts();
    let shaped = fonts.shape("a하😀", &style("Nunchi Sans", 20.0));
    assert_eq!(entries(&fonts, &shaped), [2, 0, 3]);
    assert_eq!(*fonts.warnings(), FontWarnings::default());
    // Skin tones and the selector are part of the grapheme before them.
    let shaped = fonts.shape("👍🏽❤\u{fe0f}", &style("Nunchi Sans", 20.0));
    assert!(entries(&fonts, &shaped).iter().all(|&entry| entry == 3));
    // As text, the heart is not to be had.
    fonts.shape("❤\u{fe0e}", &style("Nunchi Sans", 20.0));
    assert!(fonts.warnings().characters.is_empty());
}

#[test]
fn right_to_left_text_runs_right_to_left() {
    let mut fonts = fonts();
    let shaped = fonts.shape("ab שלום", &style("Nunchi Sans", 20.0));
    let clusters: Vec<u32> = shaped.glyphs.iter().map(|glyph| glyph.cluster).collect();
    assert_eq!(clusters, [0, 1, 2, 9, 7, 5, 3]);
    assert!(shaped.glyphs.is_sorted_by(|a, b| a.x <= b.x));
}

#[test]
fn arabic_letters_join() {
    let mut fonts = fonts();
    let style = style("Nunchi Sans", 20.0);
    let joined = fonts.shape("سلام", &style);
    let alone = fonts.shape("س", &style);
    assert!(joined.glyphs.iter().all(|glyph| glyph.id != alone.glyphs[0].id));
}

#[test]
fn marks_stand_on_their_letters() {
    let mut fonts = fonts();
    let style = style("Nunchi Sans", 20.0);
    let plain = fonts.shape("x", &style);
    let marked = fonts.shape("x\u{301}", &style);
    assert_eq!(marked.glyphs.len(), 2);
    assert_eq!(marked.width, plain.width);
    assert!(marked.glyphs.iter().all(|glyph| glyph.cluster == 0));
}

#[test]
fn spaced_letters_do_not_join() {
    let mut fonts = fonts();
    let narrow = style("Nunchi Sans", 20.0);
    let spaced = FontStyle {
        letter_spacing: 2.0,
        ..narrow.clone()
    };
    let (narrow, spaced) = (fonts.shape("abc", &narrow), fonts.shape("abc", &spaced));
    assert!((spaced.width - narrow.width - 6.0).abs() < 1e-3);
}

#[test]
fn an_unknown_family_is_warned_of_and_another_stands_in() {
    let mut fonts = fonts();
    let shaped = fonts.shape("abc", &style("No Such Family", 20.0));
    assert_eq!(shaped.glyphs.len(), 3);
    assert!(fonts.warnings().families.contains("No Such Family"));
    assert!(!fonts.has_family("No Such Family") && fonts.has_family("nunchi sans"));
}

#[test]
fn a_character_that_no_font_has_is_a_box_and_a_warning() {
    let mut fonts = fonts();
    let shaped = fonts.shape("a漢", &style("Nunchi Sans", 20.0));
    assert_eq!(shaped.glyphs[1].id, 0);
    assert_eq!(fonts.warnings().characters, BTreeSet::from(['漢']));
}

#[test]
fn without_any_font_there_are_heights_but_no_glyphs() {
    let mut fonts = Fonts::new();
    let shaped = fonts.shape("abc", &style("Nunchi Sans", 20.0));
    assert!(shaped.glyphs.is_empty() && shaped.width == 0.0);
    assert!(shaped.line_height > 20.0);
}

#[test]
fn what_is_no_font_is_refused() {
    let mut fonts = Fonts::new();
    for data in [
        &b""[..],
        b"OTTO",
        b"not a font at all",
        &HANGUL[..100],
        b"ttcf\0\0\0\0\xff\xff\xff\xff",
    ] {
        let error = fonts.add_data("mine", data).unwrap_err();
        assert!(error.to_string().starts_with("mine is not"), "{error}");
    }
    assert_eq!(fonts.shape("a", &style("mine", 20.0)).glyphs.len(), 0);
}

#[test]
fn a_folder_gives_its_fonts_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("more");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.TTF"), SANS).unwrap();
    fs::write(folder.path().join("cut.ttf"), &HANGUL[..200]).unwrap();
    fs::write(folder.path().join("empty.otf"), b"").unwrap();
    fs::write(folder.path().join("notes.txt"), HANGUL).unwrap();
    let mut fonts = Fonts::new();
    assert_eq!(fonts.add_folder(folder.path()).unwrap(), 1);
    assert_eq!(fonts.shape("ab", &style("Nunchi Sans", 20.0)).glyphs.len(), 2);
    let missing = fonts.add_folder(&folder.path().join("nowhere")).unwrap_err();
    assert!(missing.to_string().contains("nowhere"));
}

#[test]
fn a_font_that_vanishes_after_it_was_found_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sans.ttf");
    fs::write(&path, SANS).unwrap();
    let mut fonts = Fonts::new();
    fonts.add_folder(folder.path()).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(fonts.shape("ab", &style("Nunchi Sans", 20.0)).glyphs.is_empty());
}

#[test]
fn however_many_weights_of_a_font_are_wanted_its_file_is_held_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sans.ttf"), SANS).unwrap();
    let mut fonts = Fonts::new();
    fonts.add_folder(folder.path()).unwrap();
    for weight in 1..=1000 {
        for italic in [false, true] {
            fonts.shape(
                "a",
                &FontStyle {
                    weight,
                    italic,
                    ..style("Nunchi Sans", 20.0)
                },
            );
        }
    }
    // Thickened or not, slanted or not.
    assert_eq!(fonts.faces.len(), 4);
    assert_eq!(MAX_BYTES - fonts.room(), SANS.len());
}

#[test]
fn the_same_data_under_many_names_counts_once() {
    let mut fonts = Fonts::new();
    let data: Arc<[u8]> = SANS.into();
    for name in 0..100 {
        fonts.add_data(&name.to_string(), data.clone()).unwrap();
    }
    assert_eq!(MAX_BYTES - fonts.room(), SANS.len());
}

#[test]
fn fonts_beyond_all_bounds_are_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    for (name, data) in [("sans.ttf", SANS), ("hangul.ttf", HANGUL)] {
        let path = folder.path().join(name);
        fs::write(&path, data).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(MAX_BYTES as u64 * 3 / 5).unwrap();
    }
    let mut fonts = Fonts::new();
    assert_eq!(fonts.add_folder(folder.path()).unwrap(), 2);
    assert_eq!(fonts.shape("ab", &style("Nunchi Sans", 20.0)).glyphs.len(), 2);
    assert_eq!(fonts.warnings().files, BTreeSet::new());
    fonts.shape("하루", &style("Nunchi Hangul", 20.0));
    assert_eq!(
        fonts.warnings().files,
        BTreeSet::from([folder.path().join("hangul.ttf")])
    );
    let data = vec![0; MAX_BYTES / 2];
    let error = fonts.add_data("mine", data).unwrap_err();
    assert!(matches!(error, FontError::TooMuch(_)), "{error}");
}

#[test]
fn senseless_styles_are_put_right() {
    let mut fonts = fonts();
    for (size, spacing) in [
        (f32::NAN, f32::NAN),
        (-5.0, f32::INFINITY),
        (f32::INFINITY, 0.0),
        (0.0, f32::MAX),
    ] {
        let odd = FontStyle {
            weight: 0,
            letter_spacing: spacing,
            ..style("Nunchi Sans", size)
        };
        let shaped = fonts.shape("ab", &odd);
        assert!(shaped.width.is_finite() && shaped.line_height.is_finite());
    }
}

#[test]
fn endless_lines_are_cut_and_breaks_are_spaces() {
    let mut fonts = fonts();
    let long = fonts.shape(&"하".repeat(100_000), &style("Nunchi Hangul", 20.0));
    assert!(long.glyphs.len() <= MAX_LINE);
    let broken = fonts.shape("a\nb\tc", &style("Nunchi Sans", 20.0));
    let spaces = fonts.shape("a b c", &style("Nunchi Sans", 20.0));
    assert_eq!(broken.glyphs, spaces.glyphs);
}

proptest! {
    /// Any text: finite places, clusters within the text, no panic.
    #[test]
    fn any_text_is_shaped(text in "\\PC{0,40}") {
        let shaped = fonts().shape(&text, &style("Nunchi Sans", 30.0));
        prop_assert!(shaped.width.is_finite());
        for glyph in &shaped.glyphs {
            prop_assert!(glyph.x.is_finite() && glyph.y.is_finite());
            prop_assert!(text.is_char_boundary(glyph.cluster as usize));
        }
    }

    /// A broken font is refused or shows something; it never panics.
    #[test]
    fn broken_fonts_do_no_harm(changes in prop::collection::vec((0..SANS.len(), any::<u8>()), 1..60)) {
        let mut data = SANS.to_vec();
        for (at, byte) in changes {
            data[at] = byte;
        }
        let mut fonts = Fonts::new();
        if fonts.add_data("broken", data).is_ok() {
            let shaped = fonts.shape("x\u{301} سلام fi", &style("broken", 30.0));
            prop_assert!(shaped.width.is_finite());
        }
    }
}
