//! From the outputs of a network to the objects of one picture.

use super::family::{Heads, Lists, Plan, Recognised, recognise};
use super::labels::{COCO, COCO_IDS, Labels, coco_index};
use super::nms::Kept;
use super::preprocess::{Picture, Preprocess};
use super::scan::{Candidate, Scan};
use super::{Detection, Family, Limits, Setup};
use crate::engine::{EngineError, TensorInfo, TensorRef};
use crate::nms::Rect;

/// Reads the outputs of one network.
#[derive(Debug)]
pub struct Decoder {
    family: Family,
    plan: Plan,
    picture: Picture,
    preprocess: Preprocess,
    labels: Labels,
    /// Classes are numbered as in COCO's annotations, with gaps, and the labels have none.
    gaps: bool,
    dropped: u64,
    work: Work,
}

/// Memory that is used again for each picture.
#[derive(Debug, Default)]
struct Work {
    wanted: Vec<bool>,
    broken: Vec<bool>,
    candidates: Vec<Vec<Candidate>>,
    kept: Kept,
    found: Vec<Found>,
}

/// In parts of the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Index of its label; of what a GPU decodes at first that of the network.
    pub class: usize,
    pub score: f32,
    pub rect: Rect,
}

impl Decoder {
    /// What reads the outputs of a network with these tensors; `model` is its name in messages.
    ///
    /// # Errors
    /// [`EngineError::ModelShape`] for a network of no family, or of another than the wanted one, and for labels that are not as many
    /// as its classes; [`EngineError::Conflict`] for a mean or std that makes no picture.
    pub fn new(inputs: &[TensorInfo], outputs: &[TensorInfo], setup: &Setup, model: &str) -> Result<Self, EngineError> {
        let given = setup.labels.as_ref().map(Labels::len);
        let Recognised {
            family,
            plan,
            picture,
            preprocess,
        } = recognise(inputs, outputs, setup.family, given, model)?;
        let preprocess = setup.preprocess.of(preprocess);
        preprocess.check()?;
        let classes = match &plan {
            Plan::Heads(heads) => Some(heads.scores.width - usize::from(heads.background)),
            // How many classes there are the graph does not tell.
            Plan::Lists(_) => None,
        };
        let is_coco = |names: usize| names == COCO.len() && matches!(classes, None | Some(COCO_IDS));
        let labels = setup.labels.clone().unwrap_or_else(|| match classes {
            None | Some(80 | COCO_IDS) => Labels::coco(),
            Some(count) => Labels::numbered(count),
        });
        let gaps = is_coco(labels.len());
        if let Some(count) = classes.filter(|&count| count != labels.len() && !gaps) {
            return Err(EngineError::ModelShape {
                model: model.to_owned(),
                expected: format!("one label for each of its {count} classes, without the background"),
                found: labels.to_string(),
            });
        }
        Ok(Self {
            family,
            plan,
            picture,
            preprocess,
            labels,
            gaps,
            dropped: 0,
            work: Work::default(),
        })
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Pictures that go through the network at once.
    pub fn batch(&self) -> usize {
        self.picture.batch
    }

    /// Width and height of the input.
    pub fn input_size(&self) -> (usize, usize) {
        (self.picture.width, self.picture.height)
    }

    /// How a frame becomes the input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Names of the classes that [`Detection::class`] counts.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Boxes that were left out because they or their scores were no numbers, since the network was loaded.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What the authors of the family set.
    pub fn default_limits(&self) -> Limits {
        let limits = |score_threshold, iou_threshold, per_class, max_detections| Limits {
            score_threshold,
            iou_threshold,
            per_class,
            max_detections,
            classes: Vec::new(),
        };
        match (self.family, &self.plan) {
            (Family::Ssd300, _) => limits(0.05, 0.5, 200, 20),
            (Family::TorchVision, Plan::Heads(heads)) if heads.boxes.anchors == 8732 => limits(0.01, 0.45, 400, 200),
            (Family::TorchVision, _) => limits(0.001, 0.55, 300, 300),
            _ => limits(0.4, 0.6, 100, 100),
        }
    }

    /// Objects in picture `index` of the batch, which shows a frame of `size` pixels; see [`Limits`] for their order.
    /// `outputs` are in the network's order.
    ///
    /// # Errors
    /// Outputs that are missing or not as long as the family's, a head in which no number is finite, a class beyond the last label.
    pub fn decode(
        &mut self,
        outputs: &[TensorRef<'_>],
        index: usize,
        size: (u32, u32),
        limits: &Limits,
    ) -> Result<Vec<Detection>, String> {
        self.work.found.clear();
        let dropped = match &self.plan {
            Plan::Heads(_) => self.heads(outputs, index, limits),
            Plan::Lists(lists) => self.lists(*lists, outputs, index, limits),
        }?;
        self.dropped += dropped as u64;
        Ok(self.best(size, limits))
    }

    /// What [`decode`](Self::decode) gives of a picture whose heads were read elsewhere: `found` by classes of the network and
    /// falling scores, `dropped` anchors left out.
    pub(super) fn decoded(
        &mut self,
        found: Vec<Found>,
        dropped: usize,
        size: (u32, u32),
        limits: &Limits,
    ) -> Result<Vec<Detection>, String> {
        if let Plan::Heads(heads) = &self.plan {
            check_dropped(dropped, heads.boxes.anchors)?;
        }
        self.dropped += dropped as u64;
        let label = |found: Found| {
            let class = self.label(found.class).unwrap_or(found.class);
            Found { class, ..found }
        };
        self.work.found = found.into_iter().map(label).collect();
        Ok(self.best(size, limits))
    }

    /// Classes of the network without the background; 0 where it gives lists.
    pub(super) fn classes(&self) -> usize {
        match &self.plan {
            Plan::Heads(heads) => heads.scores.width - usize::from(heads.background),
            Plan::Lists(_) => 0,
        }
    }

    /// Whether each class of the network is looked for.
    pub(super) fn wanted(&self, classes: usize, limits: &Limits) -> Vec<bool> {
        let is_wanted = |class| self.label(class).is_some_and(|label| limits.takes(label));
        (0..classes).map(is_wanted).collect()
    }

    /// Boxes that overlap by more than this are one.
    pub(super) fn overlap(&self, limits: &Limits) -> f32 {
        // NVIDIA's keeps what overlaps by less than the threshold, the others what does not overlap by more.
        match self.family {
            Family::Ssd300 => limits.iou_threshold.next_down(),
            _ => limits.iou_threshold,
        }
    }

    /// The best of what was found, in the frame.
    fn best(&mut self, size: (u32, u32), limits: &Limits) -> Vec<Detection> {
        let found = &mut self.work.found;
        // Stable, and turned round: the exact reverse of a stable sort by rising scores.
        found.sort_by(|a, b| a.score.total_cmp(&b.score));
        let best = found.iter().rev().take(limits.max_detections);
        let place = |found: &Found| {
            let rect = self.picture.place(self.preprocess.resize, size, found.rect)?;
            Some(Detection {
                class: found.class,
                score: found.score,
                rect,
            })
        };
        best.filter_map(place).collect()
    }

    /// The label of class `index` of the network, the background not counted. `None` for a gap in COCO's numbers.
    fn label(&self, index: usize) -> Option<usize> {
        if self.gaps { coco_index(index + 1) } else { Some(index) }
    }

    fn heads(&mut self, outputs: &[TensorRef<'_>], index: usize, limits: &Limits) -> Result<usize, String> {
        let Plan::Heads(heads) = &self.plan else { return Ok(0) };
        let batch = self.picture.batch;
        let boxes = floats(outputs, heads.boxes.index)?;
        let scores = floats(outputs, heads.scores.index)?;
        // Of boxes that are decoded in the graph there may be any number.
        let anchors = match heads.boxes.anchors {
            0 => boxes.len() / (4 * batch),
            anchors => anchors,
        };
        let boxes = part(boxes, "boxes", index, batch, anchors * 4)?;
        let scores = part(scores, "scores", index, batch, anchors * heads.scores.width)?;
        let classes = heads.scores.width - usize::from(heads.background);
        let (wanted, iou) = (self.wanted(classes, limits), self.overlap(limits));
        let label: Vec<usize> = (0..classes).map(|class| self.label(class).unwrap_or(class)).collect();
        let work = &mut self.work;
        work.wanted = wanted;
        work.broken.clear();
        work.broken.resize(anchors, false);
        work.candidates.resize_with(classes, Vec::new);
        work.candidates.iter_mut().for_each(Vec::clear);
        let job = Job {
            heads,
            boxes,
            scores,
            anchors,
            label: &label,
            iou,
            limits,
        };
        job.run(work);
        let dropped = work.broken.iter().filter(|&&broken| broken).count();
        check_dropped(dropped, anchors)?;
        Ok(dropped)
    }

    fn lists(
        &mut self,
        lists: Lists,
        outputs: &[TensorRef<'_>],
        index: usize,
        limits: &Limits,
    ) -> Result<usize, String> {
        let batch = self.picture.batch;
        let boxes = floats(outputs, lists.boxes)?;
        let each = boxes.len() / (4 * batch);
        let boxes = part(boxes, "boxes", index, batch, each * 4)?;
        let scores = part(floats(outputs, lists.scores)?, "scores", index, batch, each)?;
        let classes = *outputs.get(lists.classes).ok_or("there are no classes")?;
        if length(classes) != each * batch {
            return Err(format!("expected {} classes, found {}", each * batch, length(classes)));
        }
        let count = match lists.count {
            None => each,
            Some(output) => {
                let counts = *outputs.get(output).ok_or("there is no number of boxes")?;
                let count = number(counts, index);
                count
                    .filter(|count| (0.0..=each as f64).contains(count))
                    .ok_or_else(|| format!("expected 0 to {each} boxes, found {count:?}"))? as usize
            }
        };
        // Corners in pixels or in parts: no object is smaller than one pixel.
        let (rects, _) = boxes.as_chunks::<4>();
        let rects = &rects[..count];
        let most = rects
            .iter()
            .flatten()
            .copied()
            .filter(|v| v.is_finite())
            .fold(0.0, f32::max);
        let unit = if most > 1.5 {
            [self.picture.width as f32, self.picture.height as f32]
        } else {
            [1.0; 2]
        };
        let mut dropped = 0;
        for (position, (&rect, &score)) in rects.iter().zip(scores).enumerate() {
            let id = number(classes, index * each + position).filter(|id| id.fract() == 0.0 && *id >= 0.0);
            let (Some(id), true) = (id, score.is_finite() && rect.iter().all(|v| v.is_finite())) else {
                dropped += 1;
                continue;
            };
            if score <= limits.score_threshold || id == 0.0 {
                continue;
            }
            let most = if self.gaps { COCO_IDS } else { self.labels.len() };
            if id > most as f64 {
                return Err(format!("expected classes 1 to {most} for the labels given, found {id}"));
            }
            let Some(class) = self.label(id as usize - 1).filter(|&class| limits.takes(class)) else {
                continue;
            };
            let [a, b, c, d] = rect;
            let [x0, y0, x1, y1] = if lists.x_first { rect } else { [b, a, d, c] };
            self.work.found.push(Found {
                class,
                score,
                rect: [x0 / unit[0], y0 / unit[1], x1 / unit[0], y1 / unit[1]],
            });
        }
        check_dropped(dropped, count)?;
        Ok(dropped)
    }
}

/// Refuses a picture in which nothing is a number.
fn check_dropped(dropped: usize, of: usize) -> Result<(), String> {
    if dropped == of && of > 0 {
        return Err(format!("none of the {of} boxes and scores is a number"));
    }
    Ok(())
}

fn floats<'a>(outputs: &[TensorRef<'a>], index: usize) -> Result<&'a [f32], String> {
    match outputs.get(index) {
        Some(TensorRef::F32(values)) => Ok(values),
        Some(_) => Err(format!("output {index} does not hold floats")),
        None => Err(format!("there is no output {index}")),
    }
}

/// That of picture `index` of an output with `each` values for each of `batch` pictures.
fn part<'a>(values: &'a [f32], what: &str, index: usize, batch: usize, each: usize) -> Result<&'a [f32], String> {
    if values.len() != each * batch {
        let expected = each * batch;
        return Err(format!("expected {expected} values of {what}, found {}", values.len()));
    }
    values
        .get(index * each..(index + 1) * each)
        .ok_or_else(|| format!("picture {index} of a batch of {batch}"))
}

fn length(tensor: TensorRef<'_>) -> usize {
    match tensor {
        TensorRef::F32(values) => values.len(),
        TensorRef::U8(values) => values.len(),
        TensorRef::U16(values) => values.len(),
        TensorRef::I32(values) => values.len(),
        TensorRef::I64(values) => values.len(),
    }
}

fn number(tensor: TensorRef<'_>, index: usize) -> Option<f64> {
    match tensor {
        TensorRef::F32(values) => values.get(index).map(|&v| f64::from(v)),
        TensorRef::U8(values) => values.get(index).map(|&v| f64::from(v)),
        TensorRef::U16(values) => values.get(index).map(|&v| f64::from(v)),
        TensorRef::I32(values) => values.get(index).map(|&v| f64::from(v)),
        TensorRef::I64(values) => values.get(index).map(|&v| v as f64),
    }
}

/// The heads of one picture.
struct Job<'a> {
    heads: &'a Heads,
    boxes: &'a [f32],
    scores: &'a [f32],
    anchors: usize,
    /// Of each class that is not the background.
    label: &'a [usize],
    iou: f32,
    limits: &'a Limits,
}

impl Job<'_> {
    fn run(&self, work: &mut Work) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, the line above says so.
            unsafe { self.run_avx2(work) };
            return;
        }
        self.run_plain(work);
    }

    /// The same code, compiled for AVX2: twice as many numbers at a time.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn run_avx2(&self, work: &mut Work) {
        self.run_plain(work);
    }

    #[inline(always)]
    fn run_plain(&self, work: &mut Work) {
        // 0 times what is not finite is no number.
        if self
            .boxes
            .chunks(64)
            .any(|part| part.iter().fold(0.0, |sum, v| sum + v * 0.0) != 0.0)
        {
            for (anchor, broken) in work.broken.iter_mut().enumerate() {
                *broken = self.values(anchor).iter().any(|v| !v.is_finite());
            }
        }
        let scan = Scan {
            heads: self.heads,
            scores: self.scores,
            anchors: self.anchors,
            wanted: &work.wanted,
            threshold: self.limits.score_threshold,
        };
        scan.run(&mut work.candidates, &mut work.broken);
        for (class, candidates) in work.candidates.iter_mut().enumerate() {
            candidates.retain(|candidate| !work.broken[candidate.anchor as usize]);
            self.best(candidates);
            work.kept.clear();
            for candidate in candidates.iter() {
                let rect = self.rect(candidate.anchor as usize);
                if work.kept.admit(rect, self.iou) {
                    work.found.push(Found {
                        class: self.label[class],
                        score: candidate.score,
                        rect,
                    });
                }
            }
        }
    }

    /// Leaves the best ones, the best first; of equals the later anchor, as at the end of a stable sort by rising scores.
    #[inline(always)]
    fn best(&self, candidates: &mut Vec<Candidate>) {
        let order = |a: &Candidate, b: &Candidate| b.score.total_cmp(&a.score).then(b.anchor.cmp(&a.anchor));
        let most = self.limits.per_class;
        if candidates.len() > most {
            candidates.select_nth_unstable_by(most, order);
            candidates.truncate(most);
        }
        candidates.sort_unstable_by(order);
    }

    #[inline(always)]
    fn values(&self, anchor: usize) -> [f32; 4] {
        if self.heads.boxes.planes {
            std::array::from_fn(|value| self.boxes[value * self.anchors + anchor])
        } else {
            std::array::from_fn(|value| self.boxes[4 * anchor + value])
        }
    }

    #[inline(always)]
    fn rect(&self, anchor: usize) -> Rect {
        let values = self.values(anchor);
        match &self.heads.coder {
            Some(coder) => coder.decode(coder.boxes[anchor], values),
            None => [values[1], values[0], values[3], values[2]],
        }
    }
}
