//! Laying a picture over a video frame, in the frame's own format: only the picture's tiles are touched.
//!
//! Every sample of the frame becomes c + d (255 - a) / 255, where d is the sample, a the alpha, and c the premultiplied
//! colour as the frame's format writes it. A chroma sample that stands for several pixels gets the mean of theirs.

use crate::raster::{Picture, Tile};

/// How the pixels of a frame lie in memory; named as in GStreamer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Y42b,
    Y444,
    Yuy2,
    Uyvy,
    Gray8,
    Rgb,
    Bgr,
    Rgbx,
    Bgrx,
    Xrgb,
    Xbgr,
    /// Straight alpha, as all of these four.
    Rgba,
    Bgra,
    Argb,
    Abgr,
}

/// Which YCbCr the frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

/// Which numbers stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 16..=235, chroma 16..=240.
    Limited,
    /// 0..=255.
    Full,
}

/// Rows of `stride` bytes each.
#[derive(Debug)]
pub struct Plane<'a> {
    pub data: &'a mut [u8],
    pub stride: usize,
}

/// A frame to draw on.
#[derive(Debug)]
pub struct Frame<'a> {
    pub format: Format,
    /// px
    pub width: usize,
    pub height: usize,
    /// As many as the format has, in its order.
    pub planes: &'a mut [Plane<'a>],
    /// Not looked at in RGB.
    pub matrix: Matrix,
    pub range: Range,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlendError {
    #[error("a {format:?} frame has {needed} planes, not {given}")]
    Planes {
        format: Format,
        needed: usize,
        given: usize,
    },
    #[error("plane {plane} of the {width} x {height} frame is too small: {given} bytes in rows of {stride}")]
    Small {
        plane: usize,
        width: usize,
        height: usize,
        stride: usize,
        given: usize,
    },
}

/// What one number of a pixel is made of, in 1/65536: red, green, blue, alpha.
type Weights = [i32; 4];
const ONE: f64 = 65536.0;

/// One of the numbers that a pixel has.
#[derive(Debug, Clone, Copy)]
struct Component {
    plane: usize,
    /// Bytes from the begin of the row, and from one sample to the next.
    offset: usize,
    step: usize,
    /// Whether one sample stands for two columns, or two rows.
    halves: (bool, bool),
    weights: Weights,
}

/// Lays the picture over the frame. What lies beyond the frame is cut off.
pub fn blend(picture: &Picture, frame: &mut Frame<'_>) -> Result<(), BlendError> {
    let components = components(frame.format, frame.matrix, frame.range);
    check(frame, &components)?;
    for tile in &picture.tiles {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, the line above says so.
            unsafe { tile_avx2(tile, frame, &components) };
            continue;
        }
        blend_tile(tile, frame, &components);
    }
    Ok(())
}

/// The same code, compiled for AVX2: eight samples at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn tile_avx2(tile: &Tile, frame: &mut Frame<'_>, components: &[Component]) {
    blend_tile(tile, frame, components);
}

fn check(frame: &Frame<'_>, components: &[Component]) -> Result<(), BlendError> {
    let needed = components.iter().map(|component| component.plane).max().unwrap_or(0) + 1;
    if frame.planes.len() < needed {
        return Err(BlendError::Planes {
            format: frame.format,
            needed,
            given: frame.planes.len(),
        });
    }
    if frame.width == 0 || frame.height == 0 {
        return Ok(());
    }
    for component in components {
        let plane = &frame.planes[component.plane];
        let columns = halved(frame.width, component.halves.0);
        let rows = halved(frame.height, component.halves.1);
        let row = component.offset + (columns - 1) * component.step + 1;
        let bytes = (rows - 1)
            .checked_mul(plane.stride)
            .and_then(|above| above.checked_add(row));
        if row > plane.stride || bytes.is_none_or(|bytes| bytes > plane.data.len()) {
            return Err(BlendError::Small {
                plane: component.plane,
                width: frame.width,
                height: frame.height,
                stride: plane.stride,
                given: plane.data.len(),
            });
        }
    }
    Ok(())
}

fn halved(length: usize, half: bool) -> usize {
    if half { length.div_ceil(2) } else { length }
}

#[inline(always)]
fn blend_tile(tile: &Tile, frame: &mut Frame<'_>, components: &[Component]) {
    let (x, y) = (tile.x() as usize, tile.y() as usize);
    let width = (tile.width() as usize).min(frame.width.saturating_sub(x));
    let height = (tile.height() as usize).min(frame.height.saturating_sub(y));
    if width == 0 || height == 0 {
        return;
    }
    if has_alpha(frame.format) {
        for row in 0..height {
            blend_alpha_row(&tile.row(row as u32)[..width], frame, components, x, y + row);
        }
        return;
    }
    let mut means = Vec::new();
    for row in 0..height {
        let pixels = &tile.row(row as u32)[..width];
        let Some((first, last)) = touched(pixels) else { continue };
        for component in components.iter().filter(|component| component.halves == (false, false)) {
            write(component, frame, x + first, y + row, &pixels[first..last]);
        }
    }
    let sub: Vec<&Component> = components.iter().filter(|component| component.halves.0).collect();
    let Some(tall) = sub.first().map(|component| component.halves.1) else {
        return;
    };
    // Chroma rows that the tile touches; with tiles on even rows and columns, each is touched by one tile only.
    let (first_row, last_row) = if tall {
        (y / 2, (y + height).div_ceil(2))
    } else {
        (y, y + height)
    };
    for row in first_row..last_row {
        let lines = if tall { [2 * row, 2 * row + 1] } else { [row, row] };
        let inside = |line: usize| line.min(frame.height - 1);
        let pixels = lines.map(|line| {
            // Below the frame there is nothing to take the mean with: the last row counts for both.
            let line = inside(line);
            (line >= y && line < y + height).then(|| &tile.row((line - y) as u32)[..width])
        });
        means.clear();
        mean_row(pixels, x, width, frame.width, &mut means);
        let Some((first, last)) = touched(&means) else { continue };
        for component in &sub {
            write(component, frame, x / 2 + first, row, &means[first..last]);
        }
    }
}

/// From the first pixel that is not empty to behind the last.
#[inline(always)]
fn touched(pixels: &[u32]) -> Option<(usize, usize)> {
    let first = pixels.iter().position(|pixel| *pixel != 0)?;
    let last = pixels.iter().rposition(|pixel| *pixel != 0)?;
    Some((first, last + 1))
}

/// The mean of each two columns of two rows; `x` is the column of the first pixel, `end` the width of the frame.
#[inline(always)]
fn mean_row(rows: [Option<&[u32]>; 2], x: usize, width: usize, end: usize, out: &mut Vec<u32>) {
    const ODD: u32 = 0x00ff_00ff;
    let [a, b] = rows;
    let at = |row: Option<&[u32]>, column: usize| row.map_or(0, |row| row[column]);
    let mean = |four: [u32; 4]| {
        let odd: u32 = four.iter().map(|pixel| pixel & ODD).sum();
        let even: u32 = four.iter().map(|pixel| (pixel >> 8) & ODD).sum();
        let half = 0x0002_0002;
        ((odd + half) >> 2) & ODD | (((even + half) >> 2) & ODD) << 8
    };
    let mut column = 0;
    if x % 2 == 1 {
        out.push(mean([0, 0, at(a, 0), at(b, 0)]));
        column = 1;
    }
    if let (Some(a), Some(b)) = (a, b) {
        let pairs = a[column..].chunks_exact(2).zip(b[column..].chunks_exact(2));
        out.extend(pairs.map(|(a, b)| mean([a[0], a[1], b[0], b[1]])));
        column += (width - column) / 2 * 2;
    } else {
        while column + 1 < width {
            out.push(mean([
                at(a, column),
                at(b, column),
                at(a, column + 1),
                at(b, column + 1),
            ]));
            column += 2;
        }
    }
    if column < width {
        // Right of the frame there is nothing to take the mean with.
        let again = x + column + 1 == end;
        let next = |row| if again { at(row, column) } else { 0 };
        out.push(mean([at(a, column), at(b, column), next(a), next(b)]));
    }
}

#[inline(always)]
fn write(component: &Component, frame: &mut Frame<'_>, x: usize, y: usize, pixels: &[u32]) {
    let plane = &mut frame.planes[component.plane];
    let start = y * plane.stride + component.offset + x * component.step;
    let samples = &mut plane.data[start..];
    // Constant steps, so that the loops become vector code.
    match component.step {
        1 => samples_row::<1>(samples, pixels, component.weights),
        2 => samples_row::<2>(samples, pixels, component.weights),
        3 => samples_row::<3>(samples, pixels, component.weights),
        _ => samples_row::<4>(samples, pixels, component.weights),
    }
}

#[inline(always)]
fn samples_row<const STEP: usize>(samples: &mut [u8], pixels: &[u32], [r, g, b, a]: Weights) {
    let count = pixels.len();
    let samples = &mut samples[..(count - 1) * STEP + 1];
    for (sample, pixel) in samples.iter_mut().step_by(STEP).zip(pixels) {
        let channel = |shift: u32| ((pixel >> shift) & 0xff) as i32;
        let alpha = channel(24);
        let color = (channel(16) * r + channel(8) * g + channel(0) * b + alpha * a + 32768) >> 16;
        let below = i32::from(*sample) * (255 - alpha) + 128;
        *sample = (color + ((below + (below >> 8)) >> 8)).clamp(0, 255) as u8;
    }
}

/// Frames with an alpha channel: straight, so that colours are divided by the alpha that comes out.
fn blend_alpha_row(pixels: &[u32], frame: &mut Frame<'_>, components: &[Component], x: usize, y: usize) {
    let plane = &mut frame.planes[0];
    let start = y * plane.stride + x * 4;
    let [r, g, b, a] = [0, 1, 2, 3].map(|at| components[at].offset);
    for (out, pixel) in plane.data[start..].chunks_exact_mut(4).zip(pixels) {
        let alpha = pixel >> 24;
        if alpha == 0 {
            continue;
        }
        let under = u32::from(out[a]) * (255 - alpha);
        let sum = alpha * 255 + under;
        for (offset, shift) in [(r, 16), (g, 8), (b, 0)] {
            let color = ((pixel >> shift) & 0xff) * 255 * 255 + u32::from(out[offset]) * under;
            out[offset] = ((color + sum / 2) / sum).min(255) as u8;
        }
        out[a] = ((sum + 127) / 255) as u8;
    }
}

fn has_alpha(format: Format) -> bool {
    matches!(format, Format::Rgba | Format::Bgra | Format::Argb | Format::Abgr)
}

fn components(format: Format, matrix: Matrix, range: Range) -> Vec<Component> {
    let [luma, blue, red] = ycbcr(matrix, range);
    let whole = |plane, offset, step, weights| Component {
        plane,
        offset,
        step,
        halves: (false, false),
        weights,
    };
    let half = |plane, offset, step, tall, weights| Component {
        plane,
        offset,
        step,
        halves: (true, tall),
        weights,
    };
    let rgb = |offsets: &[usize], step| {
        let one = ONE as i32;
        let weights = [[one, 0, 0, 0], [0, one, 0, 0], [0, 0, one, 0], [0, 0, 0, one]];
        offsets
            .iter()
            .zip(weights)
            .map(|(&offset, weights)| whole(0, offset, step, weights))
            .collect()
    };
    match format {
        Format::I420 => vec![
            whole(0, 0, 1, luma),
            half(1, 0, 1, true, blue),
            half(2, 0, 1, true, red),
        ],
        Format::Yv12 => vec![
            whole(0, 0, 1, luma),
            half(2, 0, 1, true, blue),
            half(1, 0, 1, true, red),
        ],
        Format::Nv12 => vec![
            whole(0, 0, 1, luma),
            half(1, 0, 2, true, blue),
            half(1, 1, 2, true, red),
        ],
        Format::Nv21 => vec![
            whole(0, 0, 1, luma),
            half(1, 1, 2, true, blue),
            half(1, 0, 2, true, red),
        ],
        Format::Y42b => vec![
            whole(0, 0, 1, luma),
            half(1, 0, 1, false, blue),
            half(2, 0, 1, false, red),
        ],
        Format::Y444 => vec![whole(0, 0, 1, luma), whole(1, 0, 1, blue), whole(2, 0, 1, red)],
        Format::Yuy2 => vec![
            whole(0, 0, 2, luma),
            half(0, 1, 4, false, blue),
            half(0, 3, 4, false, red),
        ],
        Format::Uyvy => vec![
            whole(0, 1, 2, luma),
            half(0, 0, 4, false, blue),
            half(0, 2, 4, false, red),
        ],
        Format::Gray8 => vec![whole(0, 0, 1, luma)],
        Format::Rgb => rgb(&[0, 1, 2], 3),
        Format::Bgr => rgb(&[2, 1, 0], 3),
        Format::Rgbx => rgb(&[0, 1, 2], 4),
        Format::Bgrx => rgb(&[2, 1, 0], 4),
        Format::Xrgb => rgb(&[1, 2, 3], 4),
        Format::Xbgr => rgb(&[3, 2, 1], 4),
        Format::Rgba => rgb(&[0, 1, 2, 3], 4),
        Format::Bgra => rgb(&[2, 1, 0, 3], 4),
        Format::Argb => rgb(&[1, 2, 3, 0], 4),
        Format::Abgr => rgb(&[3, 2, 1, 0], 4),
    }
}

/// Luma, blue and red difference of a premultiplied pixel (ITU-R BT.601, BT.709 and BT.2020); the offsets go with alpha.
fn ycbcr(matrix: Matrix, range: Range) -> [Weights; 3] {
    let (kr, kb) = match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let (black, luma, chroma) = match range {
        Range::Limited => (16.0, 219.0 / 255.0, 224.0 / 255.0),
        Range::Full => (0.0, 1.0, 1.0),
    };
    let kg = 1.0 - kr - kb;
    let (to_blue, to_red) = (chroma / 2.0 / (1.0 - kb), chroma / 2.0 / (1.0 - kr));
    let fixed = |weights: [f64; 4]| weights.map(|weight| (weight * ONE).round() as i32);
    [
        fixed([kr * luma, kg * luma, kb * luma, black / 255.0]),
        fixed([-kr * to_blue, -kg * to_blue, (1.0 - kb) * to_blue, 128.0 / 255.0]),
        fixed([(1.0 - kr) * to_red, -kg * to_red, -kb * to_red, 128.0 / 255.0]),
    ]
}

#[cfg(test)]
#[path = "blend_tests.rs"]
mod tests;
