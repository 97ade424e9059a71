//! What goes wrong is told with its reason, and nothing is left behind.

use super::double::{BEHAVIOUR, CUDA, NVENC, double, in_a_process};
use super::*;
use nunchi_nvenc::gpus;
use std::time::{Duration, Instant};

#[test]
fn without_the_driver_the_library_and_the_remedy_are_named() {
    let test = "faults::without_the_driver_the_library_and_the_remedy_are_named";
    if !in_a_process(test, &[(NVENC, "/nowhere/libnvidia-encode.so.1")]) {
        return;
    }
    for error in [refused(&config()), gpus().unwrap_err()] {
        assert_tells(&error, &["libnvidia-encode.so.1", "/nowhere", "530.41", "NUNCHI_NVENC"]);
        assert!(error.is_permanent());
    }
}

#[test]
fn without_cuda_it_is_named() {
    let double = double();
    if !in_a_process(
        "faults::without_cuda_it_is_named",
        &[(NVENC, &double), (CUDA, "/nowhere/libcuda.so.1")],
    ) {
        return;
    }
    assert_tells(&refused(&config()), &["libcuda.so.1", "/nowhere", "NUNCHI_CUDA"]);
}

#[test]
fn another_library_in_its_place_is_told() {
    let double = double();
    if !in_a_process(
        "faults::another_library_in_its_place_is_told",
        &[(NVENC, "/proc/self/exe"), (CUDA, &double)],
    ) {
        return;
    }
    assert_tells(&refused(&config()), &["libnvidia-encode.so.1 cannot be opened"]);
}

#[test]
fn an_old_driver_is_told_with_the_version_that_is_needed() {
    if !on_the_double(
        "faults::an_old_driver_is_told_with_the_version_that_is_needed",
        "version=12.0",
    ) {
        return;
    }
    assert_tells(&refused(&config()), &["NVENC 12.0", "12.1", "530.41"]);
    assert_clean();
}

#[test]
fn a_machine_without_a_gpu_is_told() {
    if !on_the_double("faults::a_machine_without_a_gpu_is_told", "devices=0") {
        return;
    }
    for error in [refused(&config()), gpus().unwrap_err()] {
        assert_tells(&error, &["no NVIDIA GPU", "CUDA_ERROR_NO_DEVICE", "nvidia-smi"]);
    }
    assert_clean();
}

#[test]
fn a_gpu_that_is_not_there_is_told_with_the_number_of_those_that_are() {
    if !on_the_double(
        "faults::a_gpu_that_is_not_there_is_told_with_the_number_of_those_that_are",
        "devices=2",
    ) {
        return;
    }
    let with = |device| Config { device, ..config() };
    assert_tells(&refused(&with(2)), &["no GPU 2", "has 2"]);
    assert_eq!(Encoder::open(&with(1)).unwrap().gpu(), "Double GPU 1");
    assert_clean();
}

#[test]
fn a_gpu_without_an_encoder_is_told() {
    if !on_the_double("faults::a_gpu_without_an_encoder_is_told", "encoder=off") {
        return;
    }
    let error = refused(&config());
    assert_tells(&error, &["Double GPU 0 has no video encoder", "H100"]);
    assert!(error.is_permanent());
    let found = gpus().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].encoders, Err(error));
    assert_clean();
}

#[test]
fn the_gpus_and_what_they_encode_are_listed() {
    if !on_the_double(
        "faults::the_gpus_and_what_they_encode_are_listed",
        "devices=2,codecs=h264+h265,size=640x480",
    ) {
        return;
    }
    let found = gpus().unwrap();
    let names: Vec<_> = found.iter().map(|gpu| gpu.name.as_str()).collect();
    assert_eq!(names, ["Double GPU 0", "Double GPU 1"]);
    let encoders = found[1].encoders.as_ref().unwrap();
    let codecs: Vec<_> = encoders.iter().map(|encoder| encoder.codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::H265]);
    assert_eq!((encoders[0].max_width, encoders[0].max_height), (640, 480));
    assert_eq!((encoders[0].ten_bit, encoders[1].ten_bit), (false, true));
    assert_clean();
}

#[test]
fn a_codec_that_the_gpu_has_not_is_told_with_those_that_it_has() {
    if !on_the_double(
        "faults::a_codec_that_the_gpu_has_not_is_told_with_those_that_it_has",
        "codecs=h264+h265",
    ) {
        return;
    }
    let config = Config {
        codec: Codec::Av1,
        ..config()
    };
    assert_tells(&refused(&config), &["AV1", "only H.264, H.265"]);
    assert_clean();
}

#[test]
fn sizes_outside_of_the_limits_are_told_with_them() {
    if !on_the_double("faults::sizes_outside_of_the_limits_are_told_with_them", "size=640x480") {
        return;
    }
    let of = |width, height| Config {
        width,
        height,
        ..config()
    };
    for (width, height) in [(642, 480), (640, 482), (30, 480), (640, 30)] {
        let error = refused(&of(width, height));
        assert_tells(&error, &[&format!("{width}x{height}"), "32x32 to 640x480"]);
    }
    Encoder::open(&of(640, 480)).unwrap();
    assert_tells(&refused(&of(63, 48)), &["even"]);
    assert_clean();
}

#[test]
fn what_the_gpu_cannot_is_told() {
    if !on_the_double("faults::what_the_gpu_cannot_is_told", "ten-bit=off,b-frames=0") {
        return;
    }
    let ten_bit = Config {
        codec: Codec::H265,
        format: Format::P010,
        ..config()
    };
    assert_tells(&refused(&ten_bit), &["H.265 with 10 bits"]);
    let b_frames = Config {
        b_frames: 2,
        ..config()
    };
    assert_tells(&refused(&b_frames), &["B frames"]);
    assert_clean();
}

#[test]
fn one_session_too_many_is_told_and_possible_later() {
    if !on_the_double("faults::one_session_too_many_is_told_and_possible_later", "sessions=2") {
        return;
    }
    let first = Encoder::open(&config()).unwrap();
    let mut second = Encoder::open(&config()).unwrap();
    let error = refused(&config());
    assert_tells(
        &error,
        &["no further encoder", "limit of sessions", "NV_ENC_ERR_OUT_OF_MEMORY"],
    );
    assert!(!error.is_permanent());
    drop(first);
    let mut third = Encoder::open(&config()).unwrap();
    assert_eq!((all(&mut second, 0..3).len(), all(&mut third, 0..3).len()), (3, 3));
    drop((second, third));
    assert_clean();
}

#[test]
fn a_frame_that_fails_leaves_the_encoder_usable() {
    if !on_the_double(
        "faults::a_frame_that_fails_leaves_the_encoder_usable",
        "error@2,memory@4",
    ) {
        return;
    }
    let mut encoder = Encoder::open(&config()).unwrap();
    let mut packets = Vec::new();
    let mut errors = Vec::new();
    for number in 0..6 {
        match encode(&mut encoder, number, false) {
            Ok(some) => packets.extend(some),
            Err(error) => errors.push(error),
        }
    }
    assert_eq!(indices(&packets), [0, 1, 3, 5]);
    assert_tells(
        &errors[0],
        &[
            "nvEncEncodePicture",
            "NV_ENC_ERR_GENERIC",
            "the double was told to fail",
        ],
    );
    assert_eq!(
        errors[1..],
        [Error::Memory {
            during: "nvEncEncodePicture"
        }]
    );
    drop(encoder);
    assert_clean();
}

#[test]
fn a_lost_device_ends_everything_at_once() {
    if !on_the_double("faults::a_lost_device_ends_everything_at_once", "lost@5,latency=5") {
        return;
    }
    let config = Config {
        tuning: Tuning::Quality,
        ..config()
    };
    let mut encoder = Encoder::open(&config).unwrap();
    let mut results: Vec<_> = (0..8).map(|number| encode(&mut encoder, number, false)).collect();
    let start = Instant::now();
    let lost = results.split_off(5);
    assert!(results.iter().all(Result::is_ok));
    for result in lost {
        assert_tells(
            &result.unwrap_err(),
            &["the GPU was lost during nvEncEncodePicture", "dmesg"],
        );
    }
    assert!(matches!(encoder.flush(), Err(Error::Lost { .. })));
    assert!(matches!(encoder.headers(), Err(Error::Lost { .. })));
    drop(encoder);
    // Nor does anybody else get it again.
    assert!(Encoder::open(&config).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_clean();
}

#[test]
fn planes_that_are_too_small_are_refused_before_anything_is_read() {
    if !on_the_double(
        "faults::planes_that_are_too_small_are_refused_before_anything_is_read",
        "",
    ) {
        return;
    }
    let mut encoder = Encoder::open(&config()).unwrap();
    let (luma, chroma) = (vec![0; WIDTH * HEIGHT], vec![0; WIDTH * HEIGHT / 2]);
    let plane = |data, stride| Plane { data, stride };
    for (planes, part) in [
        (vec![plane(&luma[..], WIDTH)], "1 planes, not 2"),
        (vec![plane(&luma[1..], WIDTH), plane(&chroma, WIDTH)], "plane 0"),
        (vec![plane(&luma, WIDTH), plane(&chroma, WIDTH - 1)], "plane 1"),
        (vec![plane(&luma, WIDTH), plane(&chroma, usize::MAX)], "plane 1"),
    ] {
        assert_tells(&encoder.encode(&planes, 0, false).unwrap_err(), &["NV12 128x96", part]);
    }
    // The last row needs no padding.
    let end = WIDTH * HEIGHT / 2;
    let planes = [plane(&luma, WIDTH), plane(&chroma[..end], WIDTH)];
    assert_eq!(encoder.encode(&planes, 9, false).unwrap()[0].index, 9);
}

#[test]
fn a_word_that_the_double_does_not_know_is_no_driver_for_anyone() {
    let double = double();
    let variables = [(NVENC, double.as_str()), (CUDA, &double), (BEHAVIOUR, "colour=red")];
    if !in_a_process(
        "faults::a_word_that_the_double_does_not_know_is_no_driver_for_anyone",
        &variables,
    ) {
        return;
    }
    assert_eq!(refused(&config()), Error::DriverTooOld { major: 0, minor: 0 });
}
