//! Objects: boxes of classes, by networks of the SSD kind (Liu et al. 2016).
//!
//! A [`Detector`] is a network of one of these families, which its outputs tell apart in any order, with one row of values for
//! each anchor or one plane for each value:
//!
//! | family | outputs for N pictures | scores | picture |
//! |---|---|---|---|
//! | [`Family::Ssd300`] | `ploc` N x 4 x 8732, `plabel` N x 81 x 8732 | softmax | centre crop, -1..1 |
//! | [`Family::TorchVision`] | `bbox_regression` N x 8732 x 4 or N x 3234 x 4, `cls_logits` | softmax | stretched, the mean of VGG's pictures or -1..1 |
//! | [`Family::Tf`] | `box_encodings` N x 1917 x 4, `class_logits` | sigmoid | stretched, -1..1 |
//! | [`Family::TfDecoded`] | `boxes` N x n x 4, `scores` N x n x classes | as they are | stretched, -1..1 |
//! | [`Family::Nms`] | lists of boxes, scores and classes | as they are | stretched, -1..1, bytes, or torchvision's 0..1 |
//!
//! Of a network on a GPU the tensors stay there: frames are sampled, heads decoded and boxes suppressed by kernels that are compiled at
//! the start. Without the driver or NVRTC the processor does that, and [`Detector::note`] says so.
//!
//! Where a network gives both, decoded boxes are taken in place of raw ones. A picture of bytes is taken as it is.
//!
//! ```no_run
//! # use nunchi_inference::{engine::*, frame::FrameView, models, ssd::*};
//! # fn of(frames: &[FrameView<'_>]) -> Result<(), EngineError> {
//! let options = EngineOptions { batch: 4, ..EngineOptions::default() };
//! let mut detector = Detector::load(&models::object_detector(), &options, &Setup::default())?;
//! let limits = detector.default_limits();
//! for frames in frames.chunks(detector.batch()) {
//!     for (index, frame) in frames.iter().enumerate() {
//!         detector.fill(0, index, frame)?;
//!     }
//!     detector.submit(0)?;
//!     let sizes: Vec<_> = frames.iter().map(|frame| (frame.width(), frame.height())).collect();
//!     for object in detector.finish(0, &sizes, &limits)?.iter().flatten() {
//!         println!("{} {:.2}", detector.labels().name(object.class), object.score);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod boxes;
mod decode;
mod family;
mod gpu;
mod labels;
mod lanes;
mod nms;
mod preprocess;
mod scan;

use crate::engine::{
    self, EngineError, EngineKind, EngineOptions, Interrupt, ModelSource, Network, TensorMut, TensorRef,
};
use crate::frame::Pixels;
use crate::nms::Rect;

pub use boxes::{Coder, DefaultBox};
pub use decode::Decoder;
pub use family::Family;
pub use labels::{COCO, Labels, coco_index};
pub use preprocess::{Changes, ColourOrder, Preprocess, Resize};

/// One object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Index of its label.
    pub class: usize,
    /// 0 to 1.
    pub score: f32,
    /// x0, y0, x1, y1 as parts of the frame's width and height, 0 to 1, with an area.
    pub rect: Rect,
}

/// What counts as an object.
///
/// Objects come by falling score. Reversed, they are what a stable sort by rising score makes of the classes' lists one after
/// the other, each with the best first, cut to its last `max_detections`: the order in which NVIDIA's decoder leaves them.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Scores are above it. 0 to 1.
    pub score_threshold: f32,
    /// Boxes of a class that overlap by more (intersection over union) are one object; those of SSD300 by as much. 0 to 1. Without
    /// effect where the graph has the suppression.
    pub iou_threshold: f32,
    /// So many of the best boxes of a class are looked at.
    pub per_class: usize,
    /// Objects of a picture at most, the best ones.
    pub max_detections: usize,
    /// Labels of classes that are looked for; none for all.
    pub classes: Vec<usize>,
}

impl Limits {
    /// Refuses thresholds that are out of range.
    ///
    /// # Errors
    /// [`EngineError::Conflict`].
    pub fn check(&self) -> Result<(), EngineError> {
        let thresholds = [("score", self.score_threshold), ("iou", self.iou_threshold)];
        match thresholds.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            None => Ok(()),
            Some((name, value)) => Err(EngineError::Conflict {
                engine: "detection".to_owned(),
                what: format!("a {name} threshold of {value}"),
                remedy: "use 0 to 1".to_owned(),
            }),
        }
    }

    fn takes(&self, class: usize) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

/// What is known of a network besides its file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Setup {
    pub family: Family,
    pub preprocess: Changes,
    /// `None` for COCO's where the network has 80 or 90 classes, else numbers. The 80 of COCO also fit a network with COCO's 90
    /// numbers, whose gaps are then left out.
    pub labels: Option<Labels>,
}

/// An object detector, loaded.
pub struct Detector {
    /// Uses the network's tensors, so it goes first.
    gpu: Option<gpu::Gpu>,
    network: Box<dyn Network>,
    decoder: Decoder,
    slots: Vec<Batch>,
    note: Option<String>,
}

/// Pictures of a batch, as a network gets them.
#[derive(Debug, Clone, PartialEq)]
pub enum Pictures {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

/// Which pictures of a batch are there.
#[derive(Debug, Clone, Default)]
struct Batch {
    filled: Vec<bool>,
    submitted: Vec<bool>,
}

/// An output of a network.
enum Output<'a> {
    Here(TensorRef<'a>),
    Copied(Vec<f32>),
}

impl<'a> Output<'a> {
    /// All of them, brought here from the GPU where they are there.
    fn all(network: &'a dyn Network, gpu: Option<&gpu::Gpu>, slot: usize) -> Result<Vec<Self>, EngineError> {
        let output = |(index, info): (usize, &engine::TensorInfo)| match gpu {
            Some(gpu) if gpu.holds(index) => gpu.output(index, info.len()).map(Output::Copied),
            _ => network.output(slot, index).map(Output::Here),
        };
        network.outputs().iter().enumerate().map(output).collect()
    }

    fn tensor(&self) -> TensorRef<'_> {
        match self {
            Self::Here(tensor) => *tensor,
            Self::Copied(values) => TensorRef::F32(values),
        }
    }
}

impl Detector {
    /// Loads a network and finds out of which family it is. [`EngineOptions::batch`] pictures go through it at once where the
    /// model leaves that open.
    ///
    /// # Errors
    /// As [`engine::load`] and [`Decoder::new`].
    pub fn load(model: &ModelSource, options: &EngineOptions, setup: &Setup) -> Result<Self, EngineError> {
        Self::over(engine::load(model, options)?, setup, &model.to_string())
    }

    /// The same for a network that is loaded already; `model` is its name in messages.
    pub fn over(mut network: Box<dyn Network>, setup: &Setup, model: &str) -> Result<Self, EngineError> {
        let decoder = Decoder::new(network.inputs(), network.outputs(), setup, model)?;
        let mut note = network.note().map(str::to_owned);
        let gpu = match gpu::Gpu::attach(&mut *network, &decoder) {
            Err(error @ (EngineError::OutOfMemory { .. } | EngineError::DeviceLost { .. })) => return Err(error),
            Err(error) => {
                note = Some(format!("the processor prepares what the GPU reads: {error}"));
                None
            }
            Ok(gpu) => gpu,
        };
        let mut detector = Self {
            gpu,
            network,
            decoder,
            slots: Vec::new(),
            note,
        };
        detector.forget();
        Ok(detector)
    }

    pub fn family(&self) -> Family {
        self.decoder.family()
    }

    /// The engine that is really used.
    pub fn engine(&self) -> EngineKind {
        self.network.engine()
    }

    /// The device that is really used.
    pub fn device(&self) -> &str {
        self.network.device()
    }

    /// What is worth a warning at start, such as a fallback to the CPU.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Pictures that go through the network at once: what was asked for, or what the model fixes.
    pub fn batch(&self) -> usize {
        self.decoder.batch()
    }

    /// Width and height of the input.
    pub fn input_size(&self) -> (usize, usize) {
        self.decoder.input_size()
    }

    /// How a frame becomes the input.
    pub fn preprocess(&self) -> &Preprocess {
        self.decoder.preprocess()
    }

    /// Names of the classes.
    pub fn labels(&self) -> &Labels {
        self.decoder.labels()
    }

    /// What the authors of the family set.
    pub fn default_limits(&self) -> Limits {
        self.decoder.default_limits()
    }

    /// Boxes that were left out because they or their scores were no numbers, since the network was loaded.
    pub fn dropped(&self) -> u64 {
        self.decoder.dropped()
    }

    /// Asks for `count` batches in flight at once, 0 for as many as keep the engine busy, and gives how many there can be. An
    /// engine that refuses stays at what it has.
    pub fn set_slots(&mut self, count: usize) -> usize {
        let granted = self.network.set_slots(count);
        let slots = granted.unwrap_or_else(|_| self.network.slots());
        self.forget();
        slots
    }

    /// Whether frames in memory of a GPU are read.
    pub fn takes_device_frames(&self) -> bool {
        self.gpu.is_some()
    }

    /// Puts a frame in picture `index` of a slot that is free.
    ///
    /// # Errors
    /// A slot that is not there or in flight, an index beyond the batch; a frame in memory of a GPU where
    /// [none is taken](Self::takes_device_frames), or that holds less than its size.
    pub fn fill<'a>(&mut self, slot: usize, index: usize, frame: impl Into<Pixels<'a>>) -> Result<(), EngineError> {
        let batch = self.batch();
        if index >= batch {
            return Err(self.failure(format!("picture {index} of a batch of {batch}")));
        }
        self.slot(slot)?;
        let (picture, preprocess) = (self.decoder.picture(), self.decoder.preprocess());
        match (frame.into(), &mut self.gpu) {
            (Pixels::Device(frame), Some(gpu)) => gpu.fill_from_device(picture, preprocess, index, frame)?,
            (Pixels::Host(frame), Some(gpu)) => gpu.fill_from_host(picture, preprocess, index, frame)?,
            (Pixels::Host(frame), None) => {
                let input = self.network.input(slot, 0)?;
                let filled = picture.fill(preprocess, frame, index, input);
                filled.map_err(|error| self.failure(error.to_string()))?;
            }
            (Pixels::Device(_), None) => {
                return Err(self.failure("a frame in the memory of a GPU cannot be read on the processor".to_owned()));
            }
        }
        self.slot(slot)?.filled[index] = true;
        Ok(())
    }

    /// The pictures in a slot that is not in flight, filled or not, as the network gets them.
    pub fn pictures(&mut self, slot: usize) -> Result<Pictures, EngineError> {
        if let Some(gpu) = &mut self.gpu {
            let bytes = gpu.pictures()?;
            return Ok(if gpu.takes_bytes() {
                Pictures::U8(bytes)
            } else {
                let (floats, _) = bytes.as_chunks::<4>();
                Pictures::F32(floats.iter().map(|four| f32::from_ne_bytes(*four)).collect())
            });
        }
        Ok(match self.network.input(slot, 0)? {
            TensorMut::F32(data) => Pictures::F32(data.to_vec()),
            TensorMut::U8(data) => Pictures::U8(data.to_vec()),
            TensorMut::U16(_) => return Err(self.failure("an input of words".to_owned())),
        })
    }

    /// Puts picture `from` of another batch of a network with the same input in picture `index` of a slot.
    ///
    /// # Errors
    /// As [`fill`](Self::fill), and where the pictures are of another size or type.
    pub fn put(&mut self, slot: usize, index: usize, pictures: &Pictures, from: usize) -> Result<(), EngineError> {
        fn copy<T: Copy>(to: &mut [T], index: usize, pictures: &[T], from: usize, length: usize) -> Option<()> {
            let to = to.get_mut(index * length..(index + 1) * length)?;
            to.copy_from_slice(pictures.get(from * length..(from + 1) * length)?);
            Some(())
        }
        let (batch, (width, height)) = (self.batch(), self.input_size());
        let length = 3 * width * height;
        let range = from * length..(from + 1) * length;
        let wrong = || format!("picture {from} cannot be picture {index} of a batch of {batch}");
        if let Some(gpu) = &mut self.gpu {
            let bytes = match pictures {
                Pictures::F32(all) => {
                    let floats = all.get(range).unwrap_or_default();
                    floats.iter().flat_map(|value| value.to_ne_bytes()).collect()
                }
                Pictures::U8(all) => all.get(range).unwrap_or_default().to_vec(),
            };
            if index >= batch || bytes.is_empty() {
                return Err(self.failure(wrong()));
            }
            gpu.put(index, &bytes)?;
            self.slot(slot)?.filled[index] = true;
            return Ok(());
        }
        let copied = match (self.network.input(slot, 0)?, pictures) {
            (TensorMut::F32(to), Pictures::F32(all)) if index < batch => copy(to, index, all, from, length),
            (TensorMut::U8(to), Pictures::U8(all)) if index < batch => copy(to, index, all, from, length),
            _ => None,
        };
        copied.ok_or_else(|| self.failure(wrong()))?;
        self.slot(slot)?.filled[index] = true;
        Ok(())
    }

    /// Starts the inference of what was filled. Waits for nothing where the engine has a queue.
    ///
    /// # Errors
    /// Nothing was filled since the last time; what the engine says.
    pub fn submit(&mut self, slot: usize) -> Result<(), EngineError> {
        let batch = self.slot(slot)?;
        if !batch.filled.contains(&true) {
            return Err(self.failure(format!("nothing was put in slot {slot}")));
        }
        if let Some(gpu) = &self.gpu {
            gpu.before_inference()?;
        }
        self.network.submit(slot)?;
        let batch = self.slot(slot)?;
        batch.submitted.clone_from(&batch.filled);
        batch.filled.fill(false);
        Ok(())
    }

    /// Whether [`finish`](Self::finish) of a slot in flight would not wait.
    pub fn is_complete(&mut self, slot: usize) -> bool {
        self.network.is_complete(slot)
    }

    /// The objects in each of the first pictures of the batch that was submitted in this slot, as many as `sizes` of frames in pixels
    /// are given. See [`Limits`] for their order.
    ///
    /// # Errors
    /// More sizes than pictures were filled, thresholds out of range, outputs that are not what the family gives or no numbers.
    pub fn finish(
        &mut self,
        slot: usize,
        sizes: &[(u32, u32)],
        limits: &Limits,
    ) -> Result<Vec<Vec<Detection>>, EngineError> {
        let pictures: Vec<_> = sizes.iter().map(|&size| (size, limits)).collect();
        self.finish_each(slot, &pictures)?.into_iter().collect()
    }

    /// As [`finish`](Self::finish), with limits and a result for each picture: one whose outputs cannot be read fails alone.
    ///
    /// # Errors
    /// As [`finish`](Self::finish), but for outputs that are no numbers.
    pub fn finish_each(
        &mut self,
        slot: usize,
        pictures: &[((u32, u32), &Limits)],
    ) -> Result<Vec<Result<Vec<Detection>, EngineError>>, EngineError> {
        pictures.iter().try_for_each(|(_, limits)| limits.check())?;
        self.network.finish(slot)?;
        let submitted = std::mem::take(&mut self.slot(slot)?.submitted);
        let there = submitted.iter().take_while(|there| **there).count();
        if pictures.len() > there {
            let reason = format!("{} pictures are wanted of a batch that holds {there}", pictures.len());
            return Err(self.failure(reason));
        }
        if self.gpu.as_ref().is_some_and(gpu::Gpu::decodes) {
            return self.decode_on_gpu(slot, pictures);
        }
        let outputs = Output::all(&*self.network, self.gpu.as_ref(), slot)?;
        let outputs: Vec<_> = outputs.iter().map(Output::tensor).collect();
        let engine = self.network.engine();
        let decode = |(index, &(size, limits))| {
            let found = self.decoder.decode(&outputs, index, size, limits);
            found.map_err(|reason| EngineError::Inference { engine, reason })
        };
        Ok(pictures.iter().enumerate().map(decode).collect())
    }

    /// What the kernels found, and what the processor does where they had no room.
    fn decode_on_gpu(
        &mut self,
        slot: usize,
        pictures: &[((u32, u32), &Limits)],
    ) -> Result<Vec<Result<Vec<Detection>, EngineError>>, EngineError> {
        let engine = self.network.engine();
        let decoder = &self.decoder;
        let mut wishes = Vec::with_capacity(pictures.len());
        for &(_, limits) in pictures {
            wishes.push(gpu::Wish {
                limits,
                wanted: decoder.wanted(decoder.classes(), limits),
                overlap: decoder.overlap(limits),
            });
        }
        let outcomes = match &mut self.gpu {
            Some(gpu) => gpu.decode(&wishes)?,
            None => Vec::new(),
        };
        let full = outcomes.iter().any(|one| matches!(one, gpu::Outcome::Overflow));
        let outputs = if full {
            Output::all(&*self.network, self.gpu.as_ref(), slot)?
        } else {
            Vec::new()
        };
        let outputs: Vec<_> = outputs.iter().map(Output::tensor).collect();
        let mut all = Vec::with_capacity(pictures.len());
        for (index, (outcome, &(size, limits))) in outcomes.into_iter().zip(pictures).enumerate() {
            let found = match outcome {
                gpu::Outcome::Found(found, dropped) => self.decoder.decoded(found, dropped, size, limits),
                gpu::Outcome::Overflow => self.decoder.decode(&outputs, index, size, limits),
            };
            all.push(found.map_err(|reason| EngineError::Inference { engine, reason }));
        }
        Ok(all)
    }

    /// Drops what is in flight and what was filled.
    pub fn clear(&mut self) {
        self.network.discard();
        self.forget();
    }

    /// Has all waiting for a device end while this is raised.
    pub fn set_interrupt(&mut self, interrupt: Interrupt) {
        self.network.set_interrupt(interrupt);
    }

    /// No slot holds anything.
    fn forget(&mut self) {
        let batch = Batch {
            filled: vec![false; self.batch()],
            submitted: Vec::new(),
        };
        self.slots = vec![batch; self.network.slots()];
    }

    fn slot(&mut self, slot: usize) -> Result<&mut Batch, EngineError> {
        let (engine, count) = (self.network.engine(), self.slots.len());
        self.slots.get_mut(slot).ok_or_else(|| EngineError::Inference {
            engine,
            reason: format!("slot {slot} of {count}"),
        })
    }

    fn failure(&self, reason: String) -> EngineError {
        EngineError::Inference {
            engine: self.engine(),
            reason,
        }
    }
}
