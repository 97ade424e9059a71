//! A network with one input, known by the shapes of what goes in and comes out.

use crate::engine::{self, EngineError, EngineOptions, Layout, ModelSource, Network, TensorInfo, TensorMut};
use crate::frame::FrameView;
use crate::preprocess::{Channels, Sampling, Scaling, fill_nchw_f32, fill_nhwc_u8};

/// What a network must look like. Leading axes of 1 do not count, and the names are for messages only: compilers of
/// accelerators rename, and put the channels last.
pub(super) struct Family {
    /// Name and shape, channels first.
    pub input: (&'static str, &'static [usize]),
    /// Names and shapes, told apart by shape.
    pub outputs: &'static [(&'static str, &'static [usize])],
}

impl Family {
    /// Where the outputs stand in the network's order; `None` for another network.
    pub fn order(&self, inputs: &[TensorInfo], outputs: &[TensorInfo]) -> Option<Vec<usize>> {
        let [input] = inputs else { return None };
        let mut wanted = self.input.1.to_vec();
        if input.layout == Layout::Nhwc && wanted.len() == 4 {
            wanted[1..].rotate_left(1);
        }
        if significant(&input.shape) != significant(&wanted) {
            return None;
        }
        self.places(outputs)
    }

    /// Where the outputs stand among these; `None` where one is missing.
    pub fn places(&self, outputs: &[TensorInfo]) -> Option<Vec<usize>> {
        let place = |(_, shape): &(&str, &[usize])| {
            let fits = |info: &TensorInfo| significant(&info.shape) == significant(shape);
            outputs.iter().position(fits)
        };
        self.outputs.iter().map(place).collect()
    }

    pub fn text(&self) -> String {
        let one = |(name, shape): &(&str, &[usize])| format!("{name}{shape:?}");
        let outputs: Vec<String> = self.outputs.iter().map(one).collect();
        format!("{} -> {}", one(&self.input), outputs.join(", "))
    }
}

/// The axes after the leading ones.
fn significant(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|&&side| side == 1).count();
    &shape[ones..]
}

/// A loaded network of a known family.
pub(super) struct Model {
    pub network: Box<dyn Network>,
    /// Where the family's outputs stand in the network's order.
    order: Vec<usize>,
}

impl Model {
    /// Loads a network and finds which of the families it is.
    pub fn load(
        source: &ModelSource,
        options: &EngineOptions,
        families: &[Family],
    ) -> Result<(Self, usize), EngineError> {
        let network = engine::load(source, options)?;
        let found = families
            .iter()
            .enumerate()
            .find_map(|(index, family)| Some((index, family.order(network.inputs(), network.outputs())?)));
        if let Some((index, order)) = found {
            return Ok((Self { network, order }, index));
        }
        let text = TensorInfo::list;
        let expected: Vec<String> = families.iter().map(Family::text).collect();
        Err(EngineError::ModelShape {
            model: source.to_string(),
            expected: expected.join(", or "),
            found: format!("{} -> {}", text(network.inputs()), text(network.outputs())),
        })
    }

    /// The input as floats.
    pub fn input(&mut self) -> Result<&mut [f32], EngineError> {
        self.network.input(0, 0)?.f32()
    }

    /// Fills the input with a part of the frame, `size` is width and height: floats of channels first are scaled, bytes of
    /// channels last are taken as they are (an accelerator scales by itself), grey ones repeated for each channel.
    pub fn fill(
        &mut self,
        frame: &FrameView<'_>,
        sampling: &Sampling,
        size: (usize, usize),
        channels: Channels,
        scaling: Scaling,
    ) -> Result<(), EngineError> {
        let engine = self.network.engine();
        let filled = match self.network.input(0, 0)? {
            TensorMut::F32(tensor) => {
                let used = size.0 * size.1 * channels.count();
                match tensor.split_at_mut_checked(used) {
                    Some((first, others)) if channels == Channels::Gray && others.len() % used.max(1) == 0 => {
                        let filled = fill_nchw_f32(frame, sampling, size, channels, scaling, first);
                        others
                            .chunks_exact_mut(used.max(1))
                            .for_each(|plane| plane.copy_from_slice(first));
                        filled
                    }
                    _ => fill_nchw_f32(frame, sampling, size, channels, scaling, tensor),
                }
            }
            TensorMut::U8(tensor) => {
                let used = size.0 * size.1 * channels.count();
                let copies = tensor.len() / used.max(1);
                match tensor.get_mut(..used) {
                    Some(part) if copies > 1 && channels == Channels::Gray => {
                        let filled = fill_nhwc_u8(frame, sampling, size, channels, part);
                        repeat(tensor, used, copies);
                        filled
                    }
                    _ => fill_nhwc_u8(frame, sampling, size, channels, tensor),
                }
            }
            TensorMut::U16(_) => {
                return Err(EngineError::Inference {
                    engine,
                    reason: "the network takes 16-bit pixels; compile it for 8 bits".to_owned(),
                });
            }
        };
        filled.map_err(|error| EngineError::Inference {
            engine,
            reason: error.to_string(),
        })
    }

    pub fn run(&mut self) -> Result<(), EngineError> {
        self.network.infer(0)
    }

    /// The outputs in the family's order. `N` is how many it has.
    pub fn outputs<const N: usize>(&self) -> Result<[&[f32]; N], EngineError> {
        let mut outputs: [&[f32]; N] = [&[]; N];
        for (output, &index) in outputs.iter_mut().zip(&self.order) {
            *output = self.network.output(0, index)?.f32()?;
        }
        Ok(outputs)
    }
}

/// Makes `copies` of each of the first `used` bytes, next to each other. From the end, so that none is overwritten unread.
fn repeat(tensor: &mut [u8], used: usize, copies: usize) {
    for index in (0..used).rev() {
        let value = tensor[index];
        tensor[index * copies..][..copies].fill(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_ones_do_not_count() {
        assert_eq!(significant(&[1, 1, 1, 1434]), [1434]);
        assert_eq!(significant(&[1, 3, 1, 2]), [3, 1, 2]);
        assert_eq!(significant(&[1, 1]), [0usize; 0]);
    }

    #[test]
    fn grey_is_repeated_for_each_channel() {
        let mut tensor = [1, 2, 3, 0, 0, 0, 0, 0, 0];
        repeat(&mut tensor, 3, 3);
        assert_eq!(tensor, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    }
}
