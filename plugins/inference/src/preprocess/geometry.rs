//! Which position of the frame each pixel of the tensor shows.

/// What a position outside the frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// The nearest pixel of the frame.
    Replicate,
    /// Black, blended in within the outermost pixel.
    Black,
}

/// The part of the tensor that shows the frame, in pixels of the tensor; the rest is black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// An affine map from pixels (x, y) of the tensor to positions of the frame:
/// `(m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5])`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    pub matrix: [f64; 6],
    pub border: Border,
    pub window: Window,
}

/// How a frame lies in the tensor that it was letterboxed into.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Pixels of the tensor per pixel of the frame.
    pub scale: f32,
    /// Border on the left and at the top, in pixels of the tensor.
    pub pad: [f32; 2],
}

impl Letterbox {
    /// From a position in the tensor to one in the frame.
    pub fn to_frame(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [(x - self.pad[0]) / self.scale, (y - self.pad[1]) / self.scale]
    }
}

impl Sampling {
    /// The whole frame in the middle of a `size` x `size` square, proportions kept.
    pub fn letterbox(frame: (u32, u32), size: usize) -> (Self, Letterbox) {
        Self::letterbox_into(frame, (size, size))
    }

    /// The whole frame in the middle of a `size.0` x `size.1` tensor, proportions kept.
    pub fn letterbox_into((width, height): (u32, u32), size: (usize, usize)) -> (Self, Letterbox) {
        let scale = (size.0 as f64 / f64::from(width)).min(size.1 as f64 / f64::from(height));
        // Half to even, as the networks' reference does it; never nothing.
        let side = |length: u32, most: usize| ((f64::from(length) * scale).round_ties_even() as usize).clamp(1, most);
        let (inner_width, inner_height) = (side(width, size.0), side(height, size.1));
        let window = Window {
            x: (size.0 - inner_width) / 2,
            y: (size.1 - inner_height) / 2,
            width: inner_width,
            height: inner_height,
        };
        let letterbox = Letterbox {
            scale: scale as f32,
            pad: [window.x as f32, window.y as f32],
        };
        (Self::resize((width, height), window), letterbox)
    }

    /// The whole frame on a `size.0` x `size.1` tensor, proportions not kept.
    pub fn stretch(frame: (u32, u32), size: (usize, usize)) -> Self {
        Self::resize(
            frame,
            Window {
                x: 0,
                y: 0,
                width: size.0,
                height: size.1,
            },
        )
    }

    /// The largest part in the middle of the frame that has the proportions of a `size.0` x `size.1` tensor, on all of it.
    pub fn centre_crop((width, height): (u32, u32), size: (usize, usize)) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        let ratio = (width / size.0 as f64).min(height / size.1 as f64);
        // The middle of the tensor shows the middle of the frame.
        let start = |length: f64, size: usize| (length - ratio * size as f64) / 2.0 + 0.5 * ratio - 0.5;
        Self {
            matrix: [ratio, 0.0, start(width, size.0), 0.0, ratio, start(height, size.1)],
            border: Border::Replicate,
            window: Window {
                x: 0,
                y: 0,
                width: size.0,
                height: size.1,
            },
        }
    }

    /// Pixel areas correspond, so centres do not: position = (pixel + 0.5) * ratio - 0.5.
    fn resize((width, height): (u32, u32), window: Window) -> Self {
        let (rx, ry) = (
            f64::from(width) / window.width as f64,
            f64::from(height) / window.height as f64,
        );
        let start = |ratio: f64, pad: usize| (0.5 - pad as f64) * ratio - 0.5;
        Self {
            matrix: [rx, 0.0, start(rx, window.x), 0.0, ry, start(ry, window.y)],
            border: Border::Replicate,
            window,
        }
    }

    /// A square of side `size` frame pixels round (`cx`, `cy`), turned by `rotation` radians clockwise on the screen,
    /// on a `side` x `side` tensor. Corners correspond to pixel centres, as in the networks' reference.
    pub fn rotated_square(cx: f32, cy: f32, size: f32, rotation: f32, side: usize) -> Self {
        let (size, half) = (f64::from(size), f64::from(size) / 2.0);
        let (sin, cos) = f64::from(rotation).sin_cos();
        let k = size / side as f64;
        let (x, y) = (f64::from(cx), f64::from(cy));
        Self {
            matrix: [
                cos * k,
                -sin * k,
                x - cos * half + sin * half,
                sin * k,
                cos * k,
                y - sin * half - cos * half,
            ],
            border: Border::Black,
            window: Window {
                x: 0,
                y: 0,
                width: side,
                height: side,
            },
        }
    }

    /// The box x0, y0, x1, y1 of the frame on a `size.0` x `size.1` tensor, proportions not kept.
    pub fn crop([x0, y0, x1, y1]: [f32; 4], size: (usize, usize)) -> Self {
        let window = Window {
            x: 0,
            y: 0,
            width: size.0,
            height: size.1,
        };
        let (rx, ry) = (f64::from(x1 - x0) / size.0 as f64, f64::from(y1 - y0) / size.1 as f64);
        Self {
            matrix: [
                rx,
                0.0,
                f64::from(x0) + 0.5 * rx - 0.5,
                0.0,
                ry,
                f64::from(y0) + 0.5 * ry - 0.5,
            ],
            border: Border::Black,
            window,
        }
    }

    /// Position of the frame that pixel (x, y) of the tensor shows.
    pub fn position(&self, x: f32, y: f32) -> [f32; 2] {
        let [a, b, c, d, e, f] = self.matrix;
        let (x, y) = (f64::from(x), f64::from(y));
        [(a * x + b * y + c) as f32, (d * x + e * y + f) as f32]
    }
}
