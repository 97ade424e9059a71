//! Reading pixels of a frame: one at a time anywhere, or many at once inside.

use super::geometry::Border;
use super::target::{CHUNK, Colours};
use crate::frame::{FrameView, Matrix, PixelFormat, Range};

/// Fraction bits of a position.
pub(super) const FRACTION: u32 = 16;
pub(super) const ONE: i64 = 1 << FRACTION;

/// How RGB follows from Y, U, V: r = y + rv (v - 128) and so on, y = ys (Y - y0).
#[derive(Clone, Copy)]
struct Conversion {
    y0: f32,
    ys: f32,
    rv: f32,
    gu: f32,
    gv: f32,
    bu: f32,
}

impl Conversion {
    /// ITU-R BT.601, BT.709, BT.2020 (non-constant luminance).
    fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = match matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        };
        let kg = 1.0 - kr - kb;
        let (y0, ys, cs) = match range {
            Range::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0.0, 1.0, 1.0),
        };
        Self {
            y0,
            ys,
            rv: cs * 2.0 * (1.0 - kr),
            gu: -cs * 2.0 * (1.0 - kb) * kb / kg,
            gv: -cs * 2.0 * (1.0 - kr) * kr / kg,
            bu: cs * 2.0 * (1.0 - kb),
        }
    }

    #[inline(always)]
    fn rgb(&self, y: f32, u: f32, v: f32) -> [f32; 3] {
        let y = (y - self.y0) * self.ys;
        let (u, v) = (u - 128.0, v - 128.0);
        [
            clamp(y + self.rv * v),
            clamp(y + self.gu * u + self.gv * v),
            clamp(y + self.bu * u),
        ]
    }
}

#[inline(always)]
fn clamp(value: f32) -> f32 {
    value.clamp(0.0, 255.0)
}

/// y0, ys, rv, gu, gv, bu: r = y + rv (v - 128) and so on, y = ys (Y - y0).
pub(crate) fn conversion(matrix: Matrix, range: Range) -> [f32; 6] {
    let all = Conversion::new(matrix, range);
    [all.y0, all.ys, all.rv, all.gu, all.gv, all.bu]
}

/// A component's plane, its first byte there, and bytes from one sample to the next.
type Place = (usize, usize, usize);

/// Where the samples of a format stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// Bytes of a pixel; those of r, g, b in it.
    Packed {
        step: usize,
        offsets: [usize; 3],
    },
    Luma,
    /// Y, U, V; logarithm of the rows of luma that share a row of chroma.
    Yuv {
        components: [Place; 3],
        rows: u32,
    },
}

pub(crate) fn arrangement(format: PixelFormat) -> Arrangement {
    let packed = |step, offsets| Arrangement::Packed { step, offsets };
    let yuv = |components, rows| Arrangement::Yuv { components, rows };
    match format {
        PixelFormat::Rgb => packed(3, [0, 1, 2]),
        PixelFormat::Bgr => packed(3, [2, 1, 0]),
        PixelFormat::Rgbx => packed(4, [0, 1, 2]),
        PixelFormat::Bgrx => packed(4, [2, 1, 0]),
        PixelFormat::Xrgb => packed(4, [1, 2, 3]),
        PixelFormat::Xbgr => packed(4, [3, 2, 1]),
        PixelFormat::I420 => yuv([(0, 0, 1), (1, 0, 1), (2, 0, 1)], 1),
        PixelFormat::Yv12 => yuv([(0, 0, 1), (2, 0, 1), (1, 0, 1)], 1),
        PixelFormat::Nv12 => yuv([(0, 0, 1), (1, 0, 2), (1, 1, 2)], 1),
        PixelFormat::Nv21 => yuv([(0, 0, 1), (1, 1, 2), (1, 0, 2)], 1),
        PixelFormat::Yuy2 => yuv([(0, 0, 2), (0, 1, 4), (0, 3, 4)], 0),
        PixelFormat::Uyvy => yuv([(0, 1, 2), (0, 0, 4), (0, 2, 4)], 0),
        PixelFormat::Gray8 => Arrangement::Luma,
    }
}

/// Where the bytes of a pixel stand.
#[derive(Clone, Copy)]
enum Layout<'a> {
    /// `shifts`: bits of r, g, b in a pixel read as little-endian.
    Packed {
        data: &'a [u8],
        stride: usize,
        step: usize,
        shifts: [u32; 3],
    },
    Luma {
        data: &'a [u8],
        stride: usize,
    },
    /// Luma of (x, y) is at y * stride + x * step + first; chroma of it at (y >> rows) * stride + (x >> 1) * step.
    Yuv {
        luma: Component<'a>,
        u: Component<'a>,
        v: Component<'a>,
        rows: u32,
    },
}

#[derive(Clone, Copy)]
struct Component<'a> {
    data: &'a [u8],
    stride: usize,
    step: usize,
}

impl Component<'_> {
    /// Sample (x, y) of this component's own grid.
    #[inline(always)]
    fn get(&self, x: usize, y: usize) -> f32 {
        f32::from(self.data[y * self.stride + x * self.step])
    }

    /// One byte, without the check of [`get`](Self::get).
    ///
    /// # Safety
    /// `offset` must be that of a sample of the component's grid, whose bytes [`FrameView::new`] has counted.
    #[inline(always)]
    unsafe fn byte(&self, offset: usize) -> u8 {
        debug_assert!(offset < self.data.len());
        // SAFETY: the caller's promise.
        unsafe { *self.data.get_unchecked(offset) }
    }

    /// The byte at `offset` and the next one, as a little-endian word.
    ///
    /// # Safety
    /// Both must be bytes of the component.
    #[inline(always)]
    unsafe fn pair(&self, offset: usize) -> u16 {
        debug_assert!(offset + 1 < self.data.len());
        // SAFETY: the caller's promise; an array of bytes has no alignment.
        u16::from_le_bytes(unsafe { self.data.as_ptr().add(offset).cast::<[u8; 2]>().read() })
    }
}

/// A frame with everything that depends on its format worked out.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub width: usize,
    pub height: usize,
    layout: Layout<'a>,
    conversion: Conversion,
}

/// Consecutive positions inside the frame: 16.16 fixed point, all in 0..side-1 (exclusive), so that both neighbours of
/// every one exist.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub x: i32,
    pub y: i32,
    pub dx: i32,
    pub dy: i32,
    pub count: usize,
}

impl Span {
    #[inline(always)]
    fn at(&self, index: usize) -> (i32, i32) {
        let index = index as i32;
        (
            self.x.wrapping_add(self.dx.wrapping_mul(index)),
            self.y.wrapping_add(self.dy.wrapping_mul(index)),
        )
    }

    /// Whether it keeps its promise. Positions are linear in the index, so both ends tell.
    fn is_inside(&self, width: usize, height: usize) -> bool {
        let inside = |start: i32, step: i32, side: usize| {
            let last = i64::from(start) + i64::from(step) * (self.count as i64 - 1);
            let limit = (side as i64 - 1) * ONE;
            (0..limit).contains(&i64::from(start)) && (0..limit).contains(&last)
        };
        self.count > 0 && inside(self.x, self.dx, width) && inside(self.y, self.dy, height)
    }
}

impl<'a> Source<'a> {
    pub fn new(frame: &FrameView<'a>) -> Self {
        let component = |(plane, first, step): Place| {
            let plane = frame.plane(plane);
            Component {
                data: plane.data.get(first..).unwrap_or(&[]),
                stride: plane.stride,
                step,
            }
        };
        let first = frame.plane(0);
        let layout = match arrangement(frame.format()) {
            Arrangement::Packed { step, offsets } => Layout::Packed {
                data: first.data,
                stride: first.stride,
                step,
                shifts: offsets.map(|offset| 8 * offset as u32),
            },
            Arrangement::Luma => Layout::Luma {
                data: first.data,
                stride: first.stride,
            },
            Arrangement::Yuv {
                components: [luma, u, v],
                rows,
            } => Layout::Yuv {
                luma: component(luma),
                u: component(u),
                v: component(v),
                rows,
            },
        };
        Self {
            width: frame.width() as usize,
            height: frame.height() as usize,
            layout,
            conversion: Conversion::new(frame.matrix(), frame.range()),
        }
    }

    /// Colour of pixel (x, y), which must lie in the frame.
    fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        match &self.layout {
            Layout::Packed {
                data,
                stride,
                step,
                shifts,
            } => {
                let pixel = &data[y * stride + x * step..][..*step];
                shifts.map(|shift| f32::from(pixel[shift as usize / 8]))
            }
            Layout::Luma { data, stride } => self.conversion.rgb(f32::from(data[y * stride + x]), 128.0, 128.0),
            Layout::Yuv { luma, u, v, rows } => {
                let (cx, cy) = (x / 2, y >> rows);
                self.conversion.rgb(luma.get(x, y), u.get(cx, cy), v.get(cx, cy))
            }
        }
    }

    /// Colour at any position (fixed point), with whatever `border` puts outside.
    pub fn sample(&self, x: i64, y: i64, border: Border) -> [f32; 3] {
        let (width, height) = (self.width as i64, self.height as i64);
        let (left, top) = (x >> FRACTION, y >> FRACTION);
        let (fx, fy) = ((x & (ONE - 1)) as f32 / ONE as f32, (y & (ONE - 1)) as f32 / ONE as f32);
        let mut sum = [0.0; 3];
        for (dx, dy, weight) in [
            (0, 0, (1.0 - fx) * (1.0 - fy)),
            (1, 0, fx * (1.0 - fy)),
            (0, 1, (1.0 - fx) * fy),
            (1, 1, fx * fy),
        ] {
            let (px, py) = (left + dx, top + dy);
            let outside = px < 0 || py < 0 || px >= width || py >= height;
            if outside && border == Border::Black {
                continue;
            }
            let pixel = self.pixel(px.clamp(0, width - 1) as usize, py.clamp(0, height - 1) as usize);
            sum.iter_mut()
                .zip(pixel)
                .for_each(|(sum, value)| *sum += weight * value);
        }
        sum
    }

    /// Colours of all positions of `span`, which has at most [`CHUNK`] of them.
    #[inline(always)]
    pub fn sample_span(&self, span: &Span, colours: &mut Colours) {
        let count = span.count;
        // One test for the whole span stands for those of every pixel; it cannot fail unless the sampler is wrong.
        assert!(
            count <= CHUNK && span.is_inside(self.width, self.height),
            "a span outside the frame"
        );
        match &self.layout {
            Layout::Packed {
                data,
                stride,
                step,
                shifts,
            } => {
                let (mut tl, mut tr) = ([0u32; CHUNK], [0u32; CHUNK]);
                let (mut bl, mut br) = ([0u32; CHUNK], [0u32; CHUNK]);
                // Of 3-byte pixels the right one is read one byte early, so as not to read past the last of the frame.
                let (right, early) = if *step == 3 { (2, 8) } else { (4, 0) };
                let read = |offset: usize| {
                    debug_assert!(offset + 4 <= data.len());
                    // SAFETY: `offset` starts within pixel x of row y and ends within pixel x + 1, and both lie in the
                    // frame by the assertion above.
                    u32::from_le_bytes(unsafe { data.as_ptr().add(offset).cast::<[u8; 4]>().read() })
                };
                for i in 0..count {
                    let (x, y) = span.at(i);
                    let offset = (y >> FRACTION) as usize * stride + (x >> FRACTION) as usize * step;
                    tl[i] = read(offset);
                    tr[i] = read(offset + right);
                    bl[i] = read(offset + stride);
                    br[i] = read(offset + stride + right);
                }
                let out = [&mut colours.r, &mut colours.g, &mut colours.b];
                for (out, shift) in out.into_iter().zip(shifts) {
                    for i in 0..CHUNK {
                        let byte = |word: u32, shift: u32| ((word >> shift) & 255) as f32;
                        let (fx, fy) = fractions(span, i);
                        out[i] = bilinear(
                            [byte(tl[i], *shift), byte(tr[i], *shift + early)],
                            [byte(bl[i], *shift), byte(br[i], *shift + early)],
                            fx,
                            fy,
                        );
                    }
                }
            }
            Layout::Luma { data, stride } => {
                let luma = self.luma_span(
                    span,
                    &Component {
                        data,
                        stride: *stride,
                        step: 1,
                    },
                );
                for (i, luma) in luma.into_iter().enumerate() {
                    let y = clamp((luma - self.conversion.y0) * self.conversion.ys);
                    (colours.r[i], colours.g[i], colours.b[i]) = (y, y, y);
                }
            }
            Layout::Yuv { luma, u, v, rows } => {
                let luma = self.luma_span(span, luma);
                let (mut us, mut vs) = ([0u8; CHUNK], [0u8; CHUNK]);
                let half = 1 << (FRACTION - 1);
                for i in 0..count {
                    let (x, y) = span.at(i);
                    let column = ((x + half) >> (FRACTION + 1)) as usize;
                    let row = ((y + half) >> (FRACTION + rows)) as usize;
                    // SAFETY: x and y round to a pixel of the frame by the assertion above, and each one has chroma.
                    unsafe {
                        us[i] = u.byte(row * u.stride + column * u.step);
                        vs[i] = v.byte(row * v.stride + column * v.step);
                    }
                }
                for i in 0..CHUNK {
                    let rgb = self.conversion.rgb(luma[i], f32::from(us[i]), f32::from(vs[i]));
                    (colours.r[i], colours.g[i], colours.b[i]) = rgb.into();
                }
            }
        }
    }

    #[inline(always)]
    fn luma_span(&self, span: &Span, luma: &Component<'_>) -> [f32; CHUNK] {
        // Left neighbour in the low byte, right one in the high byte: one load for both where they are adjacent.
        let (mut top, mut bottom) = ([0u16; CHUNK], [0u16; CHUNK]);
        if luma.step == 1 {
            for i in 0..span.count {
                let (x, y) = span.at(i);
                let offset = (y >> FRACTION) as usize * luma.stride + (x >> FRACTION) as usize;
                // SAFETY: pixel (x, y) and its right and lower neighbours lie in the frame: the caller has tested the
                // span.
                (top[i], bottom[i]) = unsafe { (luma.pair(offset), luma.pair(offset + luma.stride)) };
            }
        } else {
            for i in 0..span.count {
                let (x, y) = span.at(i);
                let offset = (y >> FRACTION) as usize * luma.stride + (x >> FRACTION) as usize * luma.step;
                // SAFETY: as above.
                let pair = |offset| unsafe { [luma.byte(offset), luma.byte(offset + luma.step)] };
                top[i] = u16::from_le_bytes(pair(offset));
                bottom[i] = u16::from_le_bytes(pair(offset + luma.stride));
            }
        }
        let mut out = [0.0; CHUNK];
        for i in 0..CHUNK {
            let (fx, fy) = fractions(span, i);
            let split = |pair: u16| [f32::from(pair & 255), f32::from(pair >> 8)];
            out[i] = bilinear(split(top[i]), split(bottom[i]), fx, fy);
        }
        out
    }
}

#[inline(always)]
fn fractions(span: &Span, index: usize) -> (f32, f32) {
    let (x, y) = span.at(index);
    let fraction = |position: i32| (position & (ONE as i32 - 1)) as f32 * (1.0 / ONE as f32);
    (fraction(x), fraction(y))
}

#[inline(always)]
fn bilinear(top: [f32; 2], bottom: [f32; 2], fx: f32, fy: f32) -> f32 {
    let top_value = top[0] + (top[1] - top[0]) * fx;
    let bottom_value = bottom[0] + (bottom[1] - bottom[0]) * fx;
    top_value + (bottom_value - top_value) * fy
}
