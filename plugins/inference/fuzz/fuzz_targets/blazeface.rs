//! Any floats as the detector's output: no panic, no endless loop, only finite faces above the threshold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_inference::face::blazeface::{Decoder, VALUES};
use nunchi_inference::preprocess::Letterbox;

fuzz_target!(|data: &[u8]| {
    let (words, _) = data.as_chunks::<4>();
    let mut floats = words.iter().map(|word| f32::from_le_bytes(*word));
    let mut next = || floats.next().unwrap_or(0.0);
    let (threshold, iou) = (next(), next());
    let letterbox = Letterbox { scale: next(), pad: [next(), next()] };
    let values: Vec<f32> = floats.collect();
    let (scores, regressors) = values.split_at(values.len() / (VALUES + 1));
    for face in Decoder::default().decode(regressors, scores, &letterbox, threshold, iou) {
        assert!(face.score > threshold && face.score <= 1.0);
        assert!(face.bbox.iter().chain(face.keypoints.iter().flatten()).all(|v| !v.is_nan()));
    }
});
