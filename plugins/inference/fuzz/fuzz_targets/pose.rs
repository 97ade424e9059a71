//! Any floats as the output of a pose network: no panic, no endless loop, only finite people above the threshold.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_inference::engine::{DataType, Layout, Quantisation, TensorInfo, TensorRef};
use nunchi_inference::pose::{Decoder, Limits, grid::Values};

fn info(shape: &[usize], data_type: DataType, layout: Layout) -> TensorInfo {
    TensorInfo { name: String::new(), shape: shape.to_vec(), data_type, layout, quantisation: None }
}

/// The first byte chooses family and order of axes, the next five numbers are limits and scale, the rest is the output.
fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let (words, _) = data.as_chunks::<4>();
    let mut floats = words.iter().map(|word| f32::from_le_bytes(*word));
    let mut next = || floats.next().unwrap_or(0.0);
    let limits = Limits { score: next(), iou: next(), keypoint: next(), people: usize::from(choice >> 4) };
    let quantisation = Some(Quantisation { scale: next(), zero_point: next() });
    let numbers: Vec<f32> = floats.collect();
    let onnx = |shape: &[usize]| info(shape, DataType::F32, Layout::Nchw);
    let hef = |shape: &[usize]| info(shape, DataType::U8, Layout::Nhwc);
    let heads = [[8, 8, 64], [8, 8, 1], [8, 8, 51], [4, 4, 64], [4, 4, 1], [4, 4, 51], [2, 2, 64], [2, 2, 1], [2, 2, 51]];
    let (input, outputs) = match choice % 5 {
        0 => (onnx(&[1, 3, 192, 192]), vec![onnx(&[1, 1, 17, 3])]),
        1 => (hef(&[256, 192, 3]), vec![hef(&[16, 12, 17])]),
        2 => (onnx(&[1, 3, 64, 64]), vec![onnx(&[1, 56, 84])]),
        3 => (hef(&[64, 64, 3]), heads.iter().map(|shape| hef(shape)).collect()),
        _ => (onnx(&[1, 3, 64, 64]), heads.iter().map(|[h, w, c]| onnx(&[1, *c, *h, *w])).collect()),
    };
    let decoder = Decoder::new(&[input], &outputs).expect("shapes of a family");
    // Each output starts elsewhere in the same numbers; in bytes where the family has them.
    let values: Vec<_> = (0..outputs.len())
        .map(|index| match choice % 5 {
            1 | 3 => Values::new(TensorRef::U8(&data[(index * 97).min(data.len())..]), quantisation),
            _ => Values::from(&numbers[(index * 31).min(numbers.len())..]),
        })
        .collect();
    let found = decoder.decode(&values, (1280, 720), &limits);
    assert!(found.len() <= limits.people);
    for pose in found {
        assert!(pose.score >= limits.score || pose.score == 1.0);
        assert!(pose.bbox[2] > pose.bbox[0] && pose.bbox[3] > pose.bbox[1]);
        assert!(pose.keypoints.iter().all(|p| p.x.is_finite() && p.y.is_finite() && (0.0..=1.0).contains(&p.confidence)));
    }
});
