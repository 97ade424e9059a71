//! Reading a network's output where it lies: any type, any order of the axes, never out of bounds.

use crate::engine::{Layout, Quantisation, TensorInfo, TensorRef};

/// The numbers of a tensor, dequantised as they are read.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    data: TensorRef<'a>,
    quantisation: Quantisation,
}

impl<'a> Values<'a> {
    /// Without a quantisation, bytes and words are taken as they are.
    pub fn new(data: TensorRef<'a>, quantisation: Option<Quantisation>) -> Self {
        Self {
            data,
            quantisation: quantisation.unwrap_or(Quantisation {
                scale: 1.0,
                zero_point: 0.0,
            }),
        }
    }

    /// The same tensor with bytes read as parts of 255, whatever scale the network states.
    pub(super) fn bytes_as_unit(self) -> Self {
        Self {
            data: self.data,
            quantisation: Quantisation {
                scale: 1.0 / 255.0,
                zero_point: 0.0,
            },
        }
    }

    /// Number `index`; not a number beyond the end.
    #[inline]
    pub fn get(&self, index: usize) -> f32 {
        let real = |stored: f32| self.quantisation.scale * (stored - self.quantisation.zero_point);
        match self.data {
            TensorRef::F32(data) => data.get(index).copied().unwrap_or(f32::NAN),
            TensorRef::U8(data) => data.get(index).map_or(f32::NAN, |v| real(f32::from(*v))),
            TensorRef::U16(data) => data.get(index).map_or(f32::NAN, |v| real(f32::from(*v))),
            // No network of this kind gives whole numbers.
            TensorRef::I32(_) | TensorRef::I64(_) => f32::NAN,
        }
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(data: &'a [f32]) -> Self {
        Self::new(TensorRef::F32(data), None)
    }
}

/// Size and order of a tensor of `height` x `width` cells with `channels` numbers each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Channels first ([`Layout::Nchw`]) or last.
    pub channels_first: bool,
}

impl Shape {
    /// Reads `info` as a batch of one picture of `channels` channels. Where both ends of the shape fit, its stated layout
    /// decides.
    pub(super) fn of(info: &TensorInfo, channels: usize) -> Option<Self> {
        let [a, b, c] = match info.shape[..] {
            [a, b, c] | [1, a, b, c] => [a, b, c],
            _ => return None,
        };
        let first = a == channels && (c != channels || info.layout != Layout::Nhwc);
        let (height, width) = match () {
            () if first => (b, c),
            () if c == channels => (a, b),
            () => return None,
        };
        Some(Self {
            height,
            width,
            channels,
            channels_first: first,
        })
    }
}

/// A tensor read as cells.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a> {
    pub values: Values<'a>,
    pub shape: Shape,
}

impl Grid<'_> {
    /// Number `channel` of the cell in column `x` of row `y`; not a number where the tensor is too short.
    #[inline]
    pub fn at(&self, y: usize, x: usize, channel: usize) -> f32 {
        let Shape {
            height,
            width,
            channels,
            channels_first,
        } = self.shape;
        self.values.get(if channels_first {
            (channel * height + y) * width + x
        } else {
            (y * width + x) * channels + channel
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DataType;

    fn info(shape: &[usize], layout: Layout) -> TensorInfo {
        TensorInfo {
            name: String::new(),
            shape: shape.to_vec(),
            data_type: DataType::F32,
            layout,
            quantisation: None,
        }
    }

    #[test]
    fn both_orders_of_axes_read_the_same_cell() {
        // Two channels of 2 x 3 cells: value = 100 channel + 10 y + x.
        let first: Vec<f32> = (0..12)
            .map(|i| (100 * (i / 6) + 10 * (i / 3 % 2) + i % 3) as f32)
            .collect();
        let last: Vec<f32> = (0..12)
            .map(|i| (100 * (i % 2) + 10 * (i / 6) + i / 2 % 3) as f32)
            .collect();
        let grid = |data, channels_first| Grid {
            values: Values::from(data),
            shape: Shape {
                height: 2,
                width: 3,
                channels: 2,
                channels_first,
            },
        };
        for (y, x, c) in [(0, 0, 0), (1, 2, 0), (0, 1, 1), (1, 2, 1)] {
            let wanted = (100 * c + 10 * y + x) as f32;
            assert_eq!(grid(&first[..], true).at(y, x, c), wanted);
            assert_eq!(grid(&last[..], false).at(y, x, c), wanted);
        }
        assert!(grid(&first[..11], true).at(1, 2, 1).is_nan(), "a short tensor");
    }

    #[test]
    fn bytes_and_words_are_dequantised() {
        let quantisation = Some(Quantisation {
            scale: 0.5,
            zero_point: 10.0,
        });
        assert_eq!(Values::new(TensorRef::U8(&[30]), quantisation).get(0), 10.0);
        assert_eq!(Values::new(TensorRef::U16(&[8, 1010]), quantisation).get(1), 500.0);
        assert_eq!(Values::new(TensorRef::U8(&[30]), None).get(0), 30.0);
        let unit = Values::new(TensorRef::U8(&[51]), quantisation).bytes_as_unit();
        assert!((unit.get(0) - 0.2).abs() < 1e-6);
        assert!(Values::new(TensorRef::U8(&[]), None).get(0).is_nan());
    }

    #[test]
    fn a_shape_is_read_with_channels_at_either_end() {
        let shape = |height, width, channels, channels_first| {
            Some(Shape {
                height,
                width,
                channels,
                channels_first,
            })
        };
        assert_eq!(
            Shape::of(&info(&[1, 17, 64, 48], Layout::Nchw), 17),
            shape(64, 48, 17, true)
        );
        assert_eq!(
            Shape::of(&info(&[1, 64, 48, 17], Layout::Nchw), 17),
            shape(64, 48, 17, false)
        );
        assert_eq!(
            Shape::of(&info(&[64, 48, 17], Layout::Nhwc), 17),
            shape(64, 48, 17, false)
        );
        assert_eq!(
            Shape::of(&info(&[1, 64, 64, 64], Layout::Nhwc), 64),
            shape(64, 64, 64, false)
        );
        assert_eq!(
            Shape::of(&info(&[1, 64, 64, 64], Layout::Nchw), 64),
            shape(64, 64, 64, true)
        );
        for wrong in [
            &[17, 64][..],
            &[2, 17, 64, 48],
            &[1, 18, 64, 48],
            &[1, 1, 17, 64, 48],
            &[],
        ] {
            assert_eq!(Shape::of(&info(wrong, Layout::Nchw), 17), None, "{wrong:?}");
        }
    }
}
