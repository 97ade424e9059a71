//! Any floats as the heads of an object detector: no panic, only boxes inside the frame, above the threshold, the best first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_inference::engine::{DataType, Layout, TensorInfo, TensorRef};
use nunchi_inference::ssd::{Decoder, Limits, Setup};

fn info(name: &str, shape: &[usize]) -> TensorInfo {
    TensorInfo { name: name.to_owned(), shape: shape.to_vec(), data_type: DataType::F32, layout: Layout::Plain, quantisation: None }
}

/// The first byte chooses family and limits, the next two floats are thresholds, the rest is the outputs.
fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let (words, _) = data.as_chunks::<4>();
    let mut floats = words.iter().map(|word| f32::from_le_bytes(*word));
    let mut next = || floats.next().unwrap_or(0.0);
    let most = usize::from(choice >> 4);
    let limits = Limits {
        score_threshold: next(),
        iou_threshold: next(),
        per_class: 3 * most,
        max_detections: most,
        classes: Vec::new(),
    };
    let numbers: Vec<f32> = floats.collect();
    if numbers.is_empty() || limits.check().is_err() {
        return;
    }
    let (side, outputs) = match choice % 5 {
        0 => (300, vec![info("ploc", &[1, 4, 8732]), info("plabel", &[1, 3, 8732])]),
        1 => (320, vec![info("bbox_regression", &[1, 3234, 4]), info("cls_logits", &[1, 3234, 4])]),
        2 => (300, vec![info("box_encodings", &[1, 1917, 4]), info("class_logits", &[1, 1917, 5])]),
        3 => (64, vec![info("boxes", &[1, 90, 4]), info("scores", &[1, 90, 20])]),
        _ => (
            64,
            vec![
                info("detection_boxes", &[1, 40, 4]),
                info("detection_scores", &[1, 40]),
                info("detection_classes", &[1, 40]),
                info("num_detections", &[1]),
            ],
        ),
    };
    let input = [info("image", &[1, 3, side, side])];
    let mut decoder = Decoder::new(&input, &outputs, &Setup::default(), "fuzz").expect("shapes of a family");
    // Each output starts elsewhere in the same numbers, again and again.
    let values: Vec<Vec<f32>> = (0..outputs.len())
        .map(|index| numbers.iter().cycle().skip(index * 31).take(outputs[index].len()).copied().collect())
        .collect();
    let tensors: Vec<_> = values.iter().map(|values| TensorRef::F32(values)).collect();
    let found = decoder.decode(&tensors, 0, (1280, 720), &limits).unwrap_or_default();
    assert!(found.len() <= most && found.is_sorted_by(|a, b| a.score >= b.score));
    for object in found {
        assert!(object.score > limits.score_threshold && object.class < decoder.labels().len());
        let [x0, y0, x1, y1] = object.rect;
        assert!(0.0 <= x0 && x0 < x1 && x1 <= 1.0 && 0.0 <= y0 && y0 < y1 && y1 <= 1.0);
    }
});
