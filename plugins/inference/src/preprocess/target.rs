//! Where samples go.

/// Colour channels of the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    Rgb,
    Bgr,
    /// BT.601 luma.
    Gray,
}

impl Channels {
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// value = sample * scale + offset, for each channel of the tensor in its order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaling {
    pub scale: [f32; 3],
    pub offset: [f32; 3],
}

impl Scaling {
    /// 0..=255 to 0..=1.
    pub const UNIT: Self = Self::alike(1.0 / 255.0, 0.0);
    /// 0..=255 to -1..=1.
    pub const SIGNED_UNIT: Self = Self::alike(1.0 / 127.5, -1.0);

    /// The same for every channel.
    pub const fn alike(scale: f32, offset: f32) -> Self {
        Self {
            scale: [scale; 3],
            offset: [offset; 3],
        }
    }
}

/// Pixels that are computed together: the work arrays stay in the first cache.
pub(super) const CHUNK: usize = 64;

/// Colours of up to [`CHUNK`] pixels, 0..=255.
pub(super) struct Colours {
    pub r: [f32; CHUNK],
    pub g: [f32; CHUNK],
    pub b: [f32; CHUNK],
}

impl Colours {
    pub const BLACK: Self = Self {
        r: [0.0; CHUNK],
        g: [0.0; CHUNK],
        b: [0.0; CHUNK],
    };
}

enum Memory<'a> {
    Planar(&'a mut [f32], Scaling),
    Interleaved(&'a mut [u8]),
    InterleavedFloats(&'a mut [f32], Scaling),
}

/// A tensor that is being filled.
pub(super) struct Target<'a> {
    memory: Memory<'a>,
    pub width: usize,
    pub height: usize,
    channels: Channels,
}

impl<'a> Target<'a> {
    pub fn planar(tensor: &'a mut [f32], width: usize, height: usize, channels: Channels, scaling: Scaling) -> Self {
        Self {
            memory: Memory::Planar(tensor, scaling),
            width,
            height,
            channels,
        }
    }

    pub fn interleaved(tensor: &'a mut [u8], width: usize, height: usize, channels: Channels) -> Self {
        Self {
            memory: Memory::Interleaved(tensor),
            width,
            height,
            channels,
        }
    }

    pub fn interleaved_floats(
        tensor: &'a mut [f32],
        width: usize,
        height: usize,
        channels: Channels,
        scaling: Scaling,
    ) -> Self {
        Self {
            memory: Memory::InterleavedFloats(tensor, scaling),
            width,
            height,
            channels,
        }
    }

    /// Makes the pixels `from..to` of row `y` black.
    pub fn black(&mut self, y: usize, from: usize, to: usize) {
        let mut x = from;
        while x < to {
            let count = (to - x).min(CHUNK);
            self.put(x, y, count, &Colours::BLACK);
            x += count;
        }
    }

    /// Writes `count` pixels from (x, y) on.
    #[inline(always)]
    pub fn put(&mut self, x: usize, y: usize, count: usize, colours: &Colours) {
        let (r, g, b) = (&colours.r[..count], &colours.g[..count], &colours.b[..count]);
        let start = y * self.width + x;
        let plane = self.width * self.height;
        match &mut self.memory {
            Memory::Planar(tensor, Scaling { scale, offset }) => {
                let mut write = |channel: usize, from: &[f32]| {
                    let (scale, offset) = (scale[channel], offset[channel]);
                    let to = &mut tensor[channel * plane + start..][..count];
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(to, from)| *to = level(*from) * scale + offset);
                };
                match self.channels {
                    Channels::Rgb => [r, g, b].into_iter().enumerate().for_each(|(c, from)| write(c, from)),
                    Channels::Bgr => [b, g, r].into_iter().enumerate().for_each(|(c, from)| write(c, from)),
                    Channels::Gray => {
                        let (scale, offset) = (scale[0], offset[0]);
                        let to = &mut tensor[start..][..count];
                        for (i, to) in to.iter_mut().enumerate() {
                            *to = level(luma(r[i], g[i], b[i])) * scale + offset;
                        }
                    }
                }
            }
            Memory::Interleaved(tensor) => {
                let channels = self.channels.count();
                let to = tensor[start * channels..][..count * channels].chunks_exact_mut(channels);
                for (i, to) in to.enumerate() {
                    match self.channels {
                        Channels::Rgb => to.copy_from_slice(&[byte(r[i]), byte(g[i]), byte(b[i])]),
                        Channels::Bgr => to.copy_from_slice(&[byte(b[i]), byte(g[i]), byte(r[i])]),
                        Channels::Gray => to[0] = byte(luma(r[i], g[i], b[i])),
                    }
                }
            }
            Memory::InterleavedFloats(tensor, Scaling { scale, offset }) => {
                let channels = self.channels.count();
                let to = tensor[start * channels..][..count * channels].chunks_exact_mut(channels);
                for (i, to) in to.enumerate() {
                    let colours = match self.channels {
                        Channels::Rgb => [r[i], g[i], b[i]],
                        Channels::Bgr => [b[i], g[i], r[i]],
                        Channels::Gray => [luma(r[i], g[i], b[i]); 3],
                    };
                    for (channel, to) in to.iter_mut().enumerate() {
                        *to = level(colours[channel]) * scale[channel] + offset[channel];
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn luma(r: f32, g: f32, b: f32) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// The nearest whole level. The networks were made for pictures of bytes, and the detector is touchy: between rounded and
/// unrounded input its box moves by a pixel on a large portrait.
#[inline(always)]
fn level(value: f32) -> f32 {
    (value + 0.5).floor()
}

#[inline(always)]
fn byte(value: f32) -> u8 {
    (value + 0.5) as u8
}
