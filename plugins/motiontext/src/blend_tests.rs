use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fonts::Fonts;
use crate::raster::Raster;
use crate::scene::{Blend, Content, Image, Item, Scene, Transform};

const PLANAR: [Format; 6] = [
    Format::I420,
    Format::Yv12,
    Format::Nv12,
    Format::Nv21,
    Format::Y42b,
    Format::Y444,
];
const PACKED: [Format; 8] = [
    Format::Yuy2,
    Format::Uyvy,
    Format::Gray8,
    Format::Rgb,
    Format::Bgr,
    Format::Rgbx,
    Format::Bgrx,
    Format::Xrgb,
];
const ALPHA: [Format; 4] = [Format::Rgba, Format::Bgra, Format::Argb, Format::Abgr];

/// An image of pixels (straight alpha) at (x, y) of a frame.
fn picture(size: (u32, u32), at: (u32, u32), image: (u32, u32), pixel: impl Fn(u32, u32) -> [u8; 4]) -> Arc<Picture> {
    let pixels = (0..image.0 * image.1)
        .flat_map(|n| pixel(n % image.0, n / image.0))
        .collect();
    let item = Item {
        transform: Transform([1.0, 0.0, at.0.into(), 0.0, 1.0, at.1.into(), 0.0, 0.0, 1.0]),
        opacity: 1.0,
        blend: Blend::Normal,
        filters: Vec::new(),
        content: Content::Image {
            image: Arc::new(Image {
                width: image.0,
                height: image.1,
                pixels,
            }),
            size: [image.0 as f32, image.1 as f32],
        },
    };
    Raster::new(size.0, size.1).draw(&Scene { items: vec![item] }, &Fonts::new())
}

/// Planes with rows of 7 bytes more than needed, every byte `fill`.
fn planes(format: Format, width: usize, height: usize, fill: u8) -> Vec<(Vec<u8>, usize)> {
    let parts = components(format, Matrix::Bt601, Range::Limited);
    let count = parts.iter().map(|part| part.plane).max().unwrap() + 1;
    (0..count)
        .map(|plane| {
            let of = || parts.iter().filter(|part| part.plane == plane);
            let row = of().map(|part| halved(width, part.halves.0) * part.step).max().unwrap();
            let rows = of().map(|part| halved(height, part.halves.1)).max().unwrap();
            (vec![fill; (row + 7) * rows], row + 7)
        })
        .collect()
}

fn run(
    picture: &Picture,
    format: Format,
    (width, height): (usize, usize),
    (matrix, range): (Matrix, Range),
    memory: &mut [(Vec<u8>, usize)],
) -> Result<(), BlendError> {
    let mut planes: Vec<Plane<'_>> = memory
        .iter_mut()
        .map(|(data, stride)| Plane { data, stride: *stride })
        .collect();
    blend(
        picture,
        &mut Frame {
            format,
            width,
            height,
            planes: &mut planes,
            matrix,
            range,
        },
    )
}

/// The sample of each component for a pixel, by the definition, from straight colours in floating point.
fn expected(picture: &Picture, part: &Component, x: usize, y: usize, before: u8) -> f64 {
    let rgba = picture.to_rgba();
    let (width, height) = (picture.width as usize, picture.height as usize);
    let columns = if part.halves.0 { vec![2 * x, 2 * x + 1] } else { vec![x] };
    let rows = if part.halves.1 { vec![2 * y, 2 * y + 1] } else { vec![y] };
    let mut sums = [0.0; 4];
    let mut count = 0.0;
    for (x, y) in rows
        .iter()
        .flat_map(|y| columns.iter().map(move |x| (*x, *y)))
        .filter(|(x, y)| *x < width && *y < height)
    {
        let pixel = &rgba[(y * width + x) * 4..][..4];
        let alpha = f64::from(pixel[3]);
        for (sum, value) in sums
            .iter_mut()
            .zip([0, 1, 2].map(|at| f64::from(pixel[at]) * alpha / 255.0))
        {
            *sum += value;
        }
        sums[3] += alpha;
        count += 1.0;
    }
    let [r, g, b, a] = sums.map(|sum| sum / count);
    let [wr, wg, wb, wa] = part.weights.map(|weight| f64::from(weight) / ONE);
    r * wr + g * wg + b * wb + a * wa + f64::from(before) * (1.0 - a / 255.0)
}

fn assert_blended(picture: &Picture, format: Format, matrix: Matrix, range: Range) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut memory = planes(format, width, height, 90);
    run(picture, format, (width, height), (matrix, range), &mut memory).unwrap();
    let mut written: Vec<Vec<bool>> = memory.iter().map(|(data, _)| vec![false; data.len()]).collect();
    for part in components(format, matrix, range) {
        let (data, stride) = &memory[part.plane];
        for y in 0..halved(height, part.halves.1) {
            for x in 0..halved(width, part.halves.0) {
                let at = y * stride + part.offset + x * part.step;
                let wanted = expected(picture, &part, x, y, 90);
                let got = f64::from(data[at]);
                assert!((wanted - got).abs() < 1.6, "{format:?} {x},{y}: {got} for {wanted}");
                written[part.plane][at] = true;
            }
        }
    }
    for ((data, _), written) in memory.iter().zip(written) {
        let untouched = data.iter().zip(written).filter(|(_, written)| !written);
        assert!(
            untouched.clone().all(|(byte, _)| *byte == 90),
            "{format:?} wrote beyond its rows"
        );
    }
}

/// Colours and alphas that differ from pixel to pixel.
fn patchwork(x: u32, y: u32) -> [u8; 4] {
    [x * 37 + y, x + y * 53, x * y * 11, x * 29 + y * 31].map(|value| value as u8)
}

#[test]
fn every_format_gets_what_the_definition_says_at_odd_places_and_sizes() {
    for (size, at, image) in [
        ((33, 19), (5, 3), (17, 11)),
        ((16, 8), (0, 0), (16, 8)),
        ((21, 9), (20, 8), (1, 1)),
        ((1, 1), (0, 0), (1, 1)),
    ] {
        let picture = picture(size, at, image, patchwork);
        for format in PLANAR.into_iter().chain(PACKED) {
            assert_blended(&picture, format, Matrix::Bt601, Range::Limited);
            assert_blended(&picture, format, Matrix::Bt709, Range::Full);
        }
        assert_blended(&picture, Format::I420, Matrix::Bt2020, Range::Limited);
    }
}

#[test]
fn white_red_and_black_are_those_of_the_standards() {
    for (color, matrix, range, wanted) in [
        ([255, 255, 255, 255], Matrix::Bt601, Range::Limited, [235, 128, 128]),
        ([0, 0, 0, 255], Matrix::Bt709, Range::Limited, [16, 128, 128]),
        ([255, 0, 0, 255], Matrix::Bt601, Range::Limited, [81, 90, 240]),
        ([255, 0, 0, 255], Matrix::Bt709, Range::Limited, [63, 102, 240]),
        ([0, 0, 255, 255], Matrix::Bt709, Range::Limited, [32, 240, 118]),
        ([255, 255, 255, 255], Matrix::Bt709, Range::Full, [255, 128, 128]),
        ([0, 0, 0, 255], Matrix::Bt601, Range::Full, [0, 128, 128]),
    ] {
        let picture = picture((8, 8), (0, 0), (8, 8), |_, _| color);
        let mut memory = planes(Format::Y444, 8, 8, 77);
        run(&picture, Format::Y444, (8, 8), (matrix, range), &mut memory).unwrap();
        let got: Vec<u8> = memory.iter().map(|(data, _)| data[0]).collect();
        assert_eq!(got, wanted, "{color:?} {matrix:?} {range:?}");
    }
}

#[test]
fn nothing_to_show_changes_nothing() {
    let nothing = Raster::new(16, 16).draw(&Scene::default(), &Fonts::new());
    let clear = picture((16, 16), (3, 3), (5, 5), |_, _| [200, 100, 50, 0]);
    for format in PLANAR.into_iter().chain(PACKED).chain(ALPHA) {
        let mut memory = planes(format, 16, 16, 90);
        let before = memory.clone();
        run(&nothing, format, (16, 16), (Matrix::Bt601, Range::Full), &mut memory).unwrap();
        run(&clear, format, (16, 16), (Matrix::Bt601, Range::Full), &mut memory).unwrap();
        assert_eq!(memory, before);
    }
}

#[test]
fn on_frames_with_alpha_colours_stay_straight() {
    let half_red = picture((8, 8), (0, 0), (8, 8), |_, _| [255, 0, 0, 128]);
    for (format, order) in ALPHA
        .into_iter()
        .zip([[0, 1, 2, 3], [2, 1, 0, 3], [1, 2, 3, 0], [3, 2, 1, 0]])
    {
        // Over nothing, the picture itself.
        let mut memory = planes(format, 8, 8, 0);
        run(&half_red, format, (8, 8), (Matrix::Bt601, Range::Full), &mut memory).unwrap();
        assert_eq!(order.map(|at| memory[0].0[at]), [255, 0, 0, 128], "{format:?}");
        // Over opaque white, opaque pink.
        let mut memory = planes(format, 8, 8, 255);
        run(&half_red, format, (8, 8), (Matrix::Bt601, Range::Full), &mut memory).unwrap();
        assert_eq!(order.map(|at| memory[0].0[at]), [255, 127, 127, 255], "{format:?}");
    }
}

#[test]
fn a_frame_smaller_than_the_picture_is_not_overrun() {
    let picture = picture((64, 64), (0, 0), (64, 64), patchwork);
    for format in PLANAR.into_iter().chain(PACKED).chain(ALPHA) {
        for size in [(0, 0), (1, 1), (33, 17), (64, 3)] {
            let mut memory = planes(format, size.0.max(1), size.1.max(1), 90);
            run(&picture, format, size, (Matrix::Bt601, Range::Limited), &mut memory).unwrap();
        }
    }
}

#[test]
fn missing_and_short_planes_are_errors() {
    let picture = picture((16, 16), (0, 0), (16, 16), patchwork);
    let colours = (Matrix::Bt601, Range::Limited);
    for format in PLANAR.into_iter().chain(PACKED).chain(ALPHA) {
        let mut memory = planes(format, 16, 16, 90);
        let last = memory.pop().unwrap();
        let error = run(&picture, format, (16, 16), colours, &mut memory).unwrap_err();
        assert!(matches!(error, BlendError::Planes { .. }), "{format:?}: {error}");

        let mut short = last.clone();
        short.0.truncate(short.0.len() - last.1);
        memory.push(short);
        let error = run(&picture, format, (16, 16), colours, &mut memory).unwrap_err();
        assert!(matches!(error, BlendError::Small { .. }), "{format:?}: {error}");

        *memory.last_mut().unwrap() = (last.0, 3);
        let error = run(&picture, format, (16, 16), colours, &mut memory).unwrap_err();
        assert!(error.to_string().contains("too small"), "{format:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any picture anywhere on any frame of any size.
    #[test]
    fn any_place_and_size_is_blended_by_the_definition(
        size in (1u32..40, 1u32..24),
        at in (0u32..40, 0u32..24),
        image in (1u32..24, 1u32..24),
        format in 0usize..14,
    ) {
        let picture = picture(size, at, image, patchwork);
        let format = PLANAR.into_iter().chain(PACKED).nth(format).unwrap();
        assert_blended(&picture, format, Matrix::Bt709, Range::Limited);
    }
}
