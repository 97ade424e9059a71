use super::*;
use nunchi_inference::engine::{DataType, Layout, Network as EngineNetwork, TensorInfo, TensorMut, TensorRef};
use nunchi_inference::frame::{FrameView, PixelFormat, Plane};
use std::path::Path;

const NEVER: Duration = Duration::from_secs(3600);

fn plan(batch: u32, timeout: Duration) -> Plan {
    Plan {
        model: ModelSource::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/tests/data/ssd/nms-tf.onnx")),
        options: EngineOptions {
            kind: EngineKind::Embedded,
            batch,
            ..EngineOptions::default()
        },
        setup: Setup::default(),
        timeout,
    }
}

fn submit(member: &mut Member, slot: usize) {
    let pixels = [99; 64 * 32];
    let planes = [Plane {
        data: &pixels,
        stride: 64,
    }];
    let (matrix, range) = Default::default();
    let view = FrameView::new(PixelFormat::Gray8, 64, 32, &planes, matrix, range).unwrap();
    let limits = member.knowledge().unwrap().1;
    member.submit(slot, Pixels::Host(&view), limits).unwrap();
}

fn joined(group: &str, batch: u32, timeout: Duration) -> Member {
    Member::join(group, &plan(batch, timeout), false).unwrap()
}

#[test]
fn the_last_frame_of_a_batch_has_it_read() {
    let mut member = joined("", 2, NEVER);
    assert_eq!(member.depth(), 2);
    submit(&mut member, 0);
    assert!(!member.is_complete(0));
    submit(&mut member, 1);
    assert!(member.is_complete(0) && member.is_complete(1));
    member.finish(1).unwrap();
    member.finish(0).unwrap();
    assert!(member.finish(0).unwrap_err().to_string().contains("slot 0"));
}

#[test]
fn who_is_alone_waits_for_nobody() {
    let mut member = joined("", 4, NEVER);
    submit(&mut member, 0);
    member.finish(0).unwrap();
    // A flush in the middle of a batch.
    submit(&mut member, 1);
    submit(&mut member, 2);
    member.clear();
    assert!(member.finish(1).is_err());
    for slot in [3, 0, 1] {
        submit(&mut member, slot);
        assert!(!member.is_complete(slot));
    }
    submit(&mut member, 2);
    for slot in [3, 0, 1, 2] {
        assert!(member.is_complete(slot));
        member.finish(slot).unwrap();
    }
}

#[test]
fn members_of_a_group_fill_the_batch_together() {
    let mut first = joined("together", 2, NEVER);
    let mut second = joined("together", 2, NEVER);
    assert!(Arc::ptr_eq(&first.network, &second.network));
    submit(&mut first, 0);
    submit(&mut second, 0);
    assert!(first.is_complete(0) && second.is_complete(0));
    first.finish(0).unwrap();
    // What is left of one is not the other's.
    first.clear();
    second.finish(0).unwrap();
    assert!(lock(&first.network.state).read.is_empty());
}

#[test]
fn nobody_waits_for_anothers_frames() {
    let mut first = joined("impatient", 4, NEVER);
    let mut second = joined("impatient", 4, NEVER);
    submit(&mut first, 0);
    submit(&mut second, 0);
    first.finish(0).unwrap();
    assert!(second.is_complete(0), "it was in the same batch");
    second.finish(0).unwrap();
    submit(&mut first, 0);
    submit(&mut second, 0);
    drop(second);
    first.finish(0).unwrap();
}

#[test]
fn a_batch_that_nobody_fills_is_read_in_time() {
    let mut member = joined("", 4, Duration::from_millis(1));
    let watch = member.watch();
    assert_eq!(watch.wait(), Some(false));
    submit(&mut member, 0);
    let begun = Instant::now();
    while watch.wait() != Some(true) {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert!(member.is_complete(0));
    member.finish(0).unwrap();
    drop(member);
    assert_eq!(watch.wait(), None);
}

#[test]
fn a_group_has_one_network_as_long_as_somebody_is_in_it() {
    let first = joined("one", 2, NEVER);
    let error = Member::join("one", &plan(3, NEVER), false).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("batch-group=one"), "{error}");
    drop(first);
    assert_eq!(joined("one", 3, NEVER).depth(), 3);
}

#[test]
fn what_is_under_way_is_lost_with_the_device() {
    let mut first = joined("lost", 2, NEVER);
    let mut second = joined("lost", 2, NEVER);
    submit(&mut first, 0);
    second.move_to_cpu().unwrap();
    assert!(first.finish(0).unwrap_err().to_string().contains("lost"));
    // It is there already.
    first.move_to_cpu().unwrap();
    submit(&mut first, 0);
    submit(&mut second, 0);
    first.finish(0).unwrap();
    second.finish(0).unwrap();
}

/// A network on a GPU whose memory does for so many pictures at once; the first level of a picture is the score of its only object.
struct Gpu {
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    levels: Vec<f32>,
    boxes: Vec<f32>,
    scores: Vec<f32>,
    holds: usize,
}

const SIDE: usize = 4;
const CLASSES: usize = 80;
/// Only the first shows something.
const BOXES: usize = 2;

impl Gpu {
    fn new(batch: usize, holds: usize) -> Self {
        let tensor = |name: &str, shape: Vec<usize>, layout| TensorInfo {
            name: name.to_owned(),
            shape,
            data_type: DataType::F32,
            layout,
            quantisation: None,
        };
        Self {
            inputs: vec![tensor("image", vec![batch, 3, SIDE, SIDE], Layout::Nchw)],
            outputs: vec![
                tensor("boxes", vec![batch, BOXES, 4], Layout::Plain),
                tensor("scores", vec![batch, BOXES, CLASSES], Layout::Plain),
            ],
            levels: vec![0.0; batch * 3 * SIDE * SIDE],
            boxes: [0.25, 0.25, 0.75, 0.75].repeat(batch * BOXES),
            scores: vec![0.0; batch * BOXES * CLASSES],
            holds,
        }
    }
}

impl EngineNetwork for Gpu {
    fn engine(&self) -> EngineKind {
        EngineKind::OnnxRuntime
    }

    fn device(&self) -> &str {
        "CUDA:0"
    }

    fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    fn slots(&self) -> usize {
        1
    }

    fn input(&mut self, _slot: usize, _index: usize) -> Result<TensorMut<'_>, EngineError> {
        Ok(TensorMut::F32(&mut self.levels))
    }

    fn submit(&mut self, _slot: usize) -> Result<(), EngineError> {
        let batch = self.inputs[0].shape[0];
        if batch > self.holds {
            return Err(EngineError::OutOfMemory {
                engine: self.engine(),
                device: "CUDA:0".to_owned(),
                reason: "CUDA failure 2".to_owned(),
            });
        }
        for picture in 0..batch {
            // Levels are -1..1.
            let level = (self.levels[picture * 3 * SIDE * SIDE] + 1.0) / 2.0;
            // Bright pictures are as from a network that was converted badly: one box is no number, or both.
            let scores = &mut self.scores[picture * BOXES * CLASSES..];
            scores[0] = if level > 0.99 { f32::NAN } else { level };
            scores[CLASSES] = if level > 0.98 { f32::NAN } else { 0.0 };
        }
        Ok(())
    }

    fn complete(&mut self, _slot: usize, _timeout: Duration) -> Result<(), EngineError> {
        Ok(())
    }

    fn output(&self, _slot: usize, index: usize) -> Result<TensorRef<'_>, EngineError> {
        Ok(TensorRef::F32(if index == 0 { &self.boxes } else { &self.scores }))
    }
}

/// A member of a network for batches of eight on a GPU that holds fewer; the CPU holds any.
fn crowded(holds: usize) -> Member {
    let load: Load = Box::new(move |batch, on_cpu| {
        let gpu = Gpu::new(batch as usize, if on_cpu { usize::MAX } else { holds });
        Detector::over(Box::new(gpu), &Setup::default(), "gpu")
    });
    Member::of(Network::over(plan(8, NEVER), load, false).unwrap()).unwrap()
}

/// Submits frames of these levels and gives the scores of what is found in each.
fn scores(member: &mut Member, levels: &[u8]) -> Vec<Result<f32, EngineError>> {
    for (slot, level) in levels.iter().enumerate() {
        let pixels = [*level; SIDE * SIDE];
        let planes = [Plane {
            data: &pixels,
            stride: SIDE,
        }];
        let (matrix, range) = Default::default();
        let view = FrameView::new(PixelFormat::Gray8, SIDE as u32, SIDE as u32, &planes, matrix, range).unwrap();
        let limits = Limits {
            score_threshold: 0.1,
            ..member.knowledge().unwrap().1
        };
        member.submit(slot, Pixels::Host(&view), limits).unwrap();
    }
    let found = (0..levels.len()).map(|slot| member.finish(slot));
    found.map(|found| found.map(|objects| objects[0].score)).collect()
}

const LEVELS: [u8; 8] = [60, 90, 110, 130, 160, 190, 210, 230];

#[test]
fn what_is_too_much_for_the_memory_is_read_in_smaller_batches() {
    let whole: Vec<_> = scores(&mut crowded(8), &LEVELS)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(whole.is_sorted() && whole[0] < whole[7], "{whole:?}");
    for (holds, left) in [(7, 4), (4, 4), (3, 2), (1, 1)] {
        let mut member = crowded(holds);
        let found: Vec<_> = scores(&mut member, &LEVELS).into_iter().map(Result::unwrap).collect();
        assert_eq!(found, whole, "no frame is lost, each has its own");
        let news = member.news().unwrap();
        assert!(
            news.contains("CUDA:0") && news.contains(&format!("have {left} frames")),
            "{news}"
        );
        assert_eq!(member.news(), None);
        // From now on in batches of that size, the last one in part.
        let found: Vec<_> = scores(&mut member, &LEVELS[..5])
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(found, whole[..5]);
        assert_eq!(member.news(), None);
    }
}

#[test]
fn a_smaller_network_that_does_not_fit_either_is_halved_again() {
    let load: Load = Box::new(|batch, _| match batch {
        2..8 => Err(EngineError::OutOfMemory {
            engine: EngineKind::OnnxRuntime,
            device: "CUDA:0".to_owned(),
            reason: "cuMemAlloc".to_owned(),
        }),
        batch => Detector::over(Box::new(Gpu::new(batch as usize, 1)), &Setup::default(), "gpu"),
    });
    let mut member = Member::of(Network::over(plan(8, NEVER), load, false).unwrap()).unwrap();
    assert!(scores(&mut member, &LEVELS).iter().all(Result::is_ok));
    let news = member.news().unwrap();
    assert!(news.contains("have 1 frames"), "{news}");
}

#[test]
fn a_model_with_a_batch_of_its_own_ends_with_the_error_and_not_in_a_circle() {
    let load: Load = Box::new(|_, _| Detector::over(Box::new(Gpu::new(8, 0)), &Setup::default(), "gpu"));
    let mut member = Member::of(Network::over(plan(8, NEVER), load, false).unwrap()).unwrap();
    let found = scores(&mut member, &LEVELS);
    let full = |found: &Result<f32, EngineError>| matches!(found, Err(EngineError::OutOfMemory { .. }));
    assert!(found.iter().all(full), "{found:?}");
}

#[test]
fn a_batch_that_does_not_fit_at_the_start_is_halved_there() {
    let load: Load = Box::new(|batch, _| match batch {
        3.. => Err(EngineError::OutOfMemory {
            engine: EngineKind::OnnxRuntime,
            device: "CUDA:0".to_owned(),
            reason: "cuMemAlloc".to_owned(),
        }),
        batch => Detector::over(Box::new(Gpu::new(batch as usize, 2)), &Setup::default(), "gpu"),
    });
    let mut member = Member::of(Network::over(plan(8, NEVER), load, false).unwrap()).unwrap();
    assert_eq!(member.depth(), 2);
    let news = member.news().unwrap();
    assert!(news.contains("have 2 frames, not 8"), "{news}");
    assert!(scores(&mut member, &LEVELS[..2]).iter().all(Result::is_ok));
}

#[test]
fn a_memory_that_holds_nothing_is_an_error_that_the_cpu_can_mend() {
    let mut member = crowded(0);
    let found = scores(&mut member, &LEVELS);
    assert!(
        found
            .iter()
            .all(|found| matches!(found, Err(error) if error.may_fall_back())),
        "{found:?}"
    );
    member.move_to_cpu().unwrap();
    let found = scores(&mut member, &LEVELS);
    assert!(found.iter().all(Result::is_ok), "{found:?}");
}

#[test]
fn a_network_that_cannot_be_loaded_again_is_an_error_until_the_cpu_takes_over() {
    let load: Load = Box::new(|batch, on_cpu| match (batch, on_cpu) {
        (8, false) => Detector::over(Box::new(Gpu::new(8, 0)), &Setup::default(), "gpu"),
        (batch, true) => Detector::over(Box::new(Gpu::new(batch as usize, usize::MAX)), &Setup::default(), "gpu"),
        _ => Err(EngineError::DeviceLost {
            engine: EngineKind::OnnxRuntime,
            reason: "gone".to_owned(),
        }),
    });
    let mut member = Member::of(Network::over(plan(8, NEVER), load, false).unwrap()).unwrap();
    let found = scores(&mut member, &LEVELS);
    assert!(
        found
            .iter()
            .all(|found| matches!(found, Err(EngineError::DeviceLost { .. }))),
        "{found:?}"
    );
    assert!(member.knowledge().is_err() && member.depth() == 8);
    member.move_to_cpu().unwrap();
    assert!(scores(&mut member, &LEVELS).iter().all(Result::is_ok));
}

#[test]
fn a_picture_that_cannot_be_read_fails_alone() {
    let mut member = crowded(8);
    let levels = [60, 255, 110, 130, 255, 190, 210, 230];
    for (level, found) in levels.iter().zip(scores(&mut member, &levels)) {
        match found {
            Ok(_) => assert_ne!(*level, 255),
            Err(error) => assert!(*level == 255 && error.to_string().contains("is a number"), "{error}"),
        }
    }
    assert_eq!(member.news(), None);
}

#[test]
fn boxes_that_are_no_numbers_are_told_of_once() {
    let mut member = crowded(8);
    let levels = [60, 231, 110, 130, 231, 190, 210, 230];
    assert!(scores(&mut member, &levels).iter().all(Result::is_ok));
    let news = member.news().unwrap();
    assert!(news.starts_with("2 boxes") && news.contains("no numbers"), "{news}");
    assert!(scores(&mut member, &levels).iter().all(Result::is_ok));
    assert_eq!(member.news(), None);
}
