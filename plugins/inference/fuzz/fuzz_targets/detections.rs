//! Any bytes as a list of boxes from the chip: no panic, never more boxes than the network can have, only finite ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_inference::engine::{Layout, TensorRef, read_detections};

fuzz_target!(|data: &[u8]| {
    let Some((&[classes, boxes], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (classes, boxes) = (usize::from(classes), usize::from(boxes));
    let floats: Vec<f32> = rest.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let mut found = Vec::new();
    for (tensor, layout, most) in [
        (TensorRef::F32(&floats), Layout::NmsByClass { classes, boxes }, classes * boxes),
        (TensorRef::U8(rest), Layout::NmsByScore { boxes }, boxes),
    ] {
        let read = read_detections(tensor, layout, &mut found);
        assert!(found.len() <= most && (read.is_ok() || found.is_empty()));
        for detection in &found {
            let [x0, y0, x1, y1] = detection.rect;
            assert!(detection.score.is_finite() && x1 > x0 && y1 > y0);
        }
    }
});
