use proptest::prelude::*;

use super::*;
use crate::frame::{Matrix, PixelFormat, Plane, Range};

/// A frame in owned memory, every byte different from its neighbours.
struct Owned {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Owned {
    fn new(format: PixelFormat, width: u32, height: u32, padding: usize) -> Self {
        let planes = (0..format.planes()).map(|plane| {
            let (row, rows) = format.plane_size(plane, width, height);
            let stride = row + padding;
            // The last row ends with its last pixel, as frames may.
            let size = (rows - 1) * stride + row;
            ((0..size).map(|i| (i * 37 + plane * 91 + i / 7) as u8).collect(), stride)
        });
        Self {
            format,
            width,
            height,
            planes: planes.collect(),
        }
    }

    fn view(&self) -> FrameView<'_> {
        let planes: Vec<_> = self
            .planes
            .iter()
            .map(|(data, stride)| Plane { data, stride: *stride })
            .collect();
        FrameView::new(
            self.format,
            self.width,
            self.height,
            &planes,
            Matrix::Bt601,
            Range::Full,
        )
        .unwrap()
    }
}

fn fill(frame: &FrameView<'_>, sampling: &Sampling, size: (usize, usize), channels: Channels) -> Vec<f32> {
    let mut tensor = vec![f32::NAN; size.0 * size.1 * channels.count()];
    let scaling = Scaling::alike(1.0, 0.0);
    fill_nchw_f32(frame, sampling, size, channels, scaling, &mut tensor).unwrap();
    tensor
}

/// The same by the definition, pixel by pixel, of an RGB frame.
fn by_definition(frame: &Owned, sampling: &Sampling, (width, height): (usize, usize)) -> Vec<f32> {
    let (data, stride) = &frame.planes[0];
    let (w, h) = (frame.width as i64, frame.height as i64);
    let mut tensor = Vec::new();
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let window = sampling.window;
                let shown = (window.x..window.x + window.width).contains(&x)
                    && (window.y..window.y + window.height).contains(&y);
                let [a, b, c, d, e, f] = sampling.matrix;
                let mut sx = a * x as f64 + b * y as f64 + c;
                let mut sy = d * x as f64 + e * y as f64 + f;
                if sampling.border == Border::Replicate {
                    sx = sx.clamp(0.0, w as f64 - 1.0);
                    sy = sy.clamp(0.0, h as f64 - 1.0);
                }
                let mut sum = 0.0;
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let (px, py) = (sx.floor() as i64 + dx, sy.floor() as i64 + dy);
                    let weight = (1.0 - (sx - px as f64).abs()) * (1.0 - (sy - py as f64).abs());
                    if (0..w).contains(&px) && (0..h).contains(&py) {
                        sum += weight * f64::from(data[py as usize * stride + px as usize * 3 + channel]);
                    }
                }
                tensor.push(if shown { sum as f32 } else { 0.0 });
            }
        }
    }
    tensor
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance,
            "element {index}: {found}, expected {expected}"
        );
    }
}

#[test]
fn a_stretch_to_the_same_size_is_the_frame() {
    let frame = Owned::new(PixelFormat::Rgb, 5, 4, 3);
    let sampling = Sampling::stretch((5, 4), (5, 4));
    assert_close(
        &fill(&frame.view(), &sampling, (5, 4), Channels::Rgb),
        &by_definition(&frame, &sampling, (5, 4)),
        0.01,
    );
}

#[test]
fn letterbox_resize_and_crops_follow_the_definition() {
    let frame = Owned::new(PixelFormat::Rgb, 70, 43, 5);
    let cases = [
        (Sampling::letterbox((70, 43), 128).0, (128, 128)),
        (Sampling::letterbox((70, 43), 20).0, (20, 20)),
        (Sampling::stretch((70, 43), (30, 90)), (30, 90)),
        (Sampling::rotated_square(30.0, 20.0, 25.0, 0.4, 96), (96, 96)),
        (Sampling::rotated_square(60.0, 40.0, 90.0, -2.0, 80), (80, 80)),
        (Sampling::crop([-10.0, 5.0, 40.0, 60.0], (64, 64)), (64, 64)),
    ];
    for (sampling, size) in cases {
        let found = fill(&frame.view(), &sampling, size, Channels::Rgb);
        // Noise of full contrast: a 65536th of a pixel per step shows as a fraction of a level.
        assert_close(&found, &by_definition(&frame, &sampling, size), 0.6);
    }
}

#[test]
fn the_letterbox_is_centred_and_black_around() {
    let frame = Owned::new(PixelFormat::Rgb, 200, 100, 0);
    let (sampling, letterbox) = Sampling::letterbox((200, 100), 128);
    assert_eq!((letterbox.scale, letterbox.pad), (0.64, [0.0, 32.0]));
    assert_eq!(letterbox.to_frame([64.0, 64.0]), [100.0, 50.0]);
    let tensor = fill(&frame.view(), &sampling, (128, 128), Channels::Rgb);
    assert!(
        tensor[..32 * 128]
            .iter()
            .chain(&tensor[96 * 128..128 * 128])
            .all(|v| *v == 0.0)
    );
    assert!(tensor[32 * 128..96 * 128].iter().any(|v| *v > 0.0));
}

#[test]
fn an_extreme_shape_keeps_one_row() {
    let (sampling, _) = Sampling::letterbox((30_000, 1), 128);
    assert_eq!((sampling.window.width, sampling.window.height), (128, 1));
}

#[test]
fn rgb_formats_are_permutations_of_each_other() {
    let rgb = Owned::new(PixelFormat::Rgb, 9, 6, 0);
    let sampling = Sampling::rotated_square(4.0, 3.0, 7.0, 0.3, 16);
    let expected = fill(&rgb.view(), &sampling, (16, 16), Channels::Rgb);
    for (format, order) in [
        (PixelFormat::Bgr, [2, 1, 0].as_slice()),
        (PixelFormat::Rgbx, &[0, 1, 2, 9]),
        (PixelFormat::Bgrx, &[2, 1, 0, 9]),
        (PixelFormat::Xrgb, &[9, 0, 1, 2]),
        (PixelFormat::Xbgr, &[9, 2, 1, 0]),
    ] {
        let pixels = rgb.planes[0].0.chunks_exact(3);
        let data: Vec<u8> = pixels
            .flat_map(|pixel| order.iter().map(|&c: &usize| pixel.get(c).copied().unwrap_or(200)))
            .collect();
        let frame = Owned {
            format,
            width: 9,
            height: 6,
            planes: vec![(data, 9 * order.len())],
        };
        assert_close(
            &fill(&frame.view(), &sampling, (16, 16), Channels::Rgb),
            &expected,
            1e-3,
        );
    }
    let reversed = fill(&rgb.view(), &sampling, (16, 16), Channels::Bgr);
    assert_eq!(
        (&reversed[..256], &reversed[512..]),
        (&expected[512..], &expected[..256])
    );
}

#[test]
fn primary_colours_come_out_of_yuv() {
    // Limited range BT.601 red, and full range BT.709 blue: values of the standards' own tables.
    let cases = [
        ([81u8, 90, 240], Matrix::Bt601, Range::Limited, [255.0, 0.0, 0.0]),
        ([41, 240, 110], Matrix::Bt601, Range::Limited, [0.0, 0.0, 255.0]),
        ([32, 240, 118], Matrix::Bt709, Range::Limited, [0.0, 0.0, 255.0]),
        ([18, 255, 116], Matrix::Bt709, Range::Full, [0.0, 0.0, 255.0]),
        ([235, 128, 128], Matrix::Bt2020, Range::Limited, [255.0, 255.0, 255.0]),
        ([16, 128, 128], Matrix::Bt709, Range::Limited, [0.0, 0.0, 0.0]),
    ];
    for ([y, u, v], matrix, range, expected) in cases {
        let (luma, chroma) = ([y; 16], [u, v, u, v, u, v, u, v]);
        let planes = [
            Plane { data: &luma, stride: 4 },
            Plane {
                data: &chroma,
                stride: 4,
            },
        ];
        let frame = FrameView::new(PixelFormat::Nv12, 4, 4, &planes, matrix, range).unwrap();
        let tensor = fill(&frame, &Sampling::stretch((4, 4), (2, 2)), (2, 2), Channels::Rgb);
        let found = [tensor[0], tensor[4], tensor[8]];
        assert_close(&found, &expected, 3.0);
    }
}

#[test]
fn bytes_are_the_rounded_floats_interleaved() {
    let frame = Owned::new(PixelFormat::I420, 31, 17, 1);
    let sampling = Sampling::rotated_square(15.0, 8.0, 20.0, 1.0, 24);
    let floats = fill(&frame.view(), &sampling, (24, 24), Channels::Rgb);
    let mut bytes = vec![0; 24 * 24 * 3];
    fill_nhwc_u8(&frame.view(), &sampling, (24, 24), Channels::Rgb, &mut bytes).unwrap();
    for (index, byte) in bytes.iter().enumerate() {
        let float = floats[index % 3 * 576 + index / 3];
        assert!((f32::from(*byte) - float).abs() <= 0.501, "{index}: {byte} {float}");
    }
}

#[test]
fn grey_is_the_luma_of_the_colours() {
    let frame = Owned::new(PixelFormat::Bgrx, 20, 20, 0);
    let sampling = Sampling::crop([1.0, 2.0, 15.0, 18.0], (8, 8));
    let rgb = fill(&frame.view(), &sampling, (8, 8), Channels::Rgb);
    let expected: Vec<f32> = (0..64)
        .map(|i| 0.299 * rgb[i] + 0.587 * rgb[64 + i] + 0.114 * rgb[128 + i])
        .collect();
    // The colours are rounded to levels, and so is their luma.
    assert_close(&fill(&frame.view(), &sampling, (8, 8), Channels::Gray), &expected, 1.0);
}

#[test]
fn scaling_is_applied_to_samples_and_to_the_black_around() {
    let white = [255u8; 12];
    let planes = [Plane {
        data: &white,
        stride: 6,
    }];
    let frame = FrameView::new(PixelFormat::Rgb, 2, 2, &planes, Matrix::Bt601, Range::Full).unwrap();
    let sampling = Sampling::rotated_square(0.5, 0.5, 100.0, 0.0, 16);
    let mut tensor = vec![0.0; 3 * 256];
    fill_nchw_f32(
        &frame,
        &sampling,
        (16, 16),
        Channels::Rgb,
        Scaling::SIGNED_UNIT,
        &mut tensor,
    )
    .unwrap();
    assert_eq!(tensor[0], -1.0);
    assert!(tensor.iter().all(|v| (-1.0..=1.0).contains(v)));
}

#[test]
fn every_channel_of_the_tensor_has_its_own_scale_and_offset() {
    let blue = [10u8, 20, 30].repeat(4);
    let planes = [Plane { data: &blue, stride: 6 }];
    let frame = FrameView::new(PixelFormat::Rgb, 2, 2, &planes, Matrix::Bt601, Range::Full).unwrap();
    let sampling = Sampling::stretch((2, 2), (2, 2));
    let scaling = Scaling {
        scale: [1.0, 2.0, 3.0],
        offset: [0.5, 0.25, -100.0],
    };
    let (mut planar, mut interleaved) = ([0.0; 12], [0.0; 12]);
    for (channels, expected) in [
        (Channels::Rgb, [10.5, 40.25, -10.0]),
        (Channels::Bgr, [30.5, 40.25, -70.0]),
    ] {
        fill_nchw_f32(&frame, &sampling, (2, 2), channels, scaling, &mut planar).unwrap();
        fill_nhwc_f32(&frame, &sampling, (2, 2), channels, scaling, &mut interleaved).unwrap();
        for pixel in 0..4 {
            assert_eq!([0, 1, 2].map(|c| planar[4 * c + pixel]), expected);
            assert_eq!(interleaved[3 * pixel..][..3], expected);
        }
    }
    fill_nchw_f32(&frame, &sampling, (2, 2), Channels::Gray, scaling, &mut planar[..4]).unwrap();
    fill_nhwc_f32(
        &frame,
        &sampling,
        (2, 2),
        Channels::Gray,
        scaling,
        &mut interleaved[..4],
    )
    .unwrap();
    assert_eq!((planar[0], &planar[..4]), (18.5, &interleaved[..4]));
}

#[test]
fn a_centre_crop_is_the_middle_of_the_frame() {
    let frame = Owned::new(PixelFormat::Rgb, 60, 20, 3);
    let sampling = Sampling::centre_crop((60, 20), (40, 40));
    let found = fill(&frame.view(), &sampling, (40, 40), Channels::Rgb);
    assert_close(&found, &by_definition(&frame, &sampling, (40, 40)), 0.6);
    // The first pixel shows a quarter into pixel 20, the last of a row three quarters into pixel 39.
    assert_eq!(sampling.position(0.0, 0.0), [19.75, -0.25]);
    assert_eq!(sampling.position(39.0, 39.0), [39.25, 19.25]);
    // Upright, on a wide tensor, and of the tensor's own proportions.
    assert_eq!(
        Sampling::centre_crop((20, 60), (40, 40)).position(0.0, 0.0),
        [-0.25, 19.75]
    );
    assert_eq!(
        Sampling::centre_crop((30, 60), (30, 15)).position(0.0, 0.0),
        [0.0, 22.5]
    );
    assert_eq!(
        Sampling::centre_crop((64, 32), (32, 16)),
        Sampling::stretch((64, 32), (32, 16))
    );
}

#[test]
fn a_tensor_of_the_wrong_size_is_refused() {
    let frame = Owned::new(PixelFormat::Rgb, 4, 4, 0);
    let sampling = Sampling::stretch((4, 4), (4, 4));
    let error = fill_nchw_f32(
        &frame.view(),
        &sampling,
        (4, 4),
        Channels::Rgb,
        Scaling::UNIT,
        &mut [0.0; 47],
    );
    assert_eq!(
        error,
        Err(TargetError {
            expected: 48,
            found: 47
        })
    );
    let error = fill_nhwc_f32(
        &frame.view(),
        &sampling,
        (4, 4),
        Channels::Bgr,
        Scaling::UNIT,
        &mut [0.0; 49],
    );
    assert_eq!(
        error,
        Err(TargetError {
            expected: 48,
            found: 49
        })
    );
    let error = fill_nhwc_u8(&frame.view(), &sampling, (4, 4), Channels::Gray, &mut [0; 17]);
    assert_eq!(
        error,
        Err(TargetError {
            expected: 16,
            found: 17
        })
    );
}

#[test]
fn a_window_beyond_the_tensor_is_cut() {
    let frame = Owned::new(PixelFormat::Gray8, 8, 8, 0);
    let mut sampling = Sampling::stretch((8, 8), (8, 8));
    sampling.window = Window {
        x: 3,
        y: usize::MAX,
        width: usize::MAX,
        height: usize::MAX,
    };
    assert!(
        fill(&frame.view(), &sampling, (8, 8), Channels::Rgb)
            .iter()
            .all(|v| *v == 0.0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_size_stride_or_region_makes_it_panic(
        format in proptest::sample::select(PixelFormat::ALL.to_vec()),
        width in 1u32..40, height in 1u32..40, padding in 0usize..5,
        cx in prop_oneof![-60.0f32..60.0, proptest::num::f32::ANY],
        cy in prop_oneof![-60.0f32..60.0, proptest::num::f32::ANY],
        size in prop_oneof![0.0f32..200.0, proptest::num::f32::ANY],
        rotation in prop_oneof![-7.0f32..7.0, proptest::num::f32::ANY],
        side in 1usize..80,
    ) {
        let frame = Owned::new(format, width, height, padding);
        for sampling in [
            Sampling::rotated_square(cx, cy, size, rotation, side),
            Sampling::letterbox((width, height), side).0,
            Sampling::stretch((width, height), (side, side)),
            Sampling::crop([cx, cy, cx + size, cy + rotation], (side, side)),
        ] {
            let tensor = fill(&frame.view(), &sampling, (side, side), Channels::Rgb);
            prop_assert!(tensor.iter().all(|v| (-0.001..=255.001).contains(v)));
        }
    }

    #[test]
    fn rotated_crops_follow_the_definition(
        width in 2u32..60, height in 2u32..60,
        cx in -10.0f32..70.0, cy in -10.0f32..70.0, size in 1.0f32..90.0, rotation in -3.2f32..3.2,
    ) {
        let frame = Owned::new(PixelFormat::Rgb, width, height, 2);
        let sampling = Sampling::rotated_square(cx, cy, size, rotation, 40);
        let found = fill(&frame.view(), &sampling, (40, 40), Channels::Rgb);
        assert_close(&found, &by_definition(&frame, &sampling, (40, 40)), 0.6);
    }

    #[test]
    fn what_a_frame_view_accepts_can_be_read(
        format in proptest::sample::select(PixelFormat::ALL.to_vec()),
        width in 0u32..30, height in 0u32..30,
        planes in proptest::collection::vec((0usize..1500, 0usize..80), 0..4),
    ) {
        let memory: Vec<(Vec<u8>, usize)> = planes.iter().map(|(size, stride)| (vec![128; *size], *stride)).collect();
        let planes: Vec<_> = memory.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
        if let Ok(frame) = FrameView::new(format, width, height, &planes, Matrix::Bt709, Range::Limited) {
            fill(&frame, &Sampling::letterbox((width, height), 32).0, (32, 32), Channels::Rgb);
            fill(&frame, &Sampling::rotated_square(5.0, 5.0, 30.0, 0.5, 32), (32, 32), Channels::Rgb);
        }
    }
}
