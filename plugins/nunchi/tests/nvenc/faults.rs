//! What goes wrong is told once, with its reason.

use super::*;
use crate::double::{CUDA, NVENC, double, in_a_process};

/// The text of the error with which the element refuses to start.
#[track_caller]
fn refusal(codec: Codec) -> String {
    init();
    let element = NvEnc::new(codec);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Ready).is_err());
    element.set_state(gst::State::Null).unwrap();
    let errors: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).collect();
    assert_eq!(errors.len(), 1);
    match errors[0].view() {
        gst::MessageView::Error(error) => {
            assert!(error.error().is::<gst::ResourceError>());
            error.error().to_string()
        }
        _ => unreachable!("filtered"),
    }
}

#[track_caller]
fn assert_tells(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

#[test]
fn without_the_driver_it_does_not_start() {
    if !in_a_process(
        "faults::without_the_driver_it_does_not_start",
        &[(NVENC, "/nowhere/lib.so")],
    ) {
        return;
    }
    assert_tells(
        &refusal(Codec::H264),
        &["libnvidia-encode.so.1", "/nowhere/lib.so", "530.41"],
    );
}

#[test]
fn without_cuda_it_does_not_start() {
    let double = double();
    if !in_a_process(
        "faults::without_cuda_it_does_not_start",
        &[(NVENC, &double), (CUDA, "/nowhere/lib.so")],
    ) {
        return;
    }
    assert_tells(&refusal(Codec::H264), &["libcuda.so.1", "/nowhere/lib.so"]);
}

#[test]
fn with_an_old_driver_it_does_not_start() {
    if !on_the_double("faults::with_an_old_driver_it_does_not_start", "version=11.1") {
        return;
    }
    assert_tells(&refusal(Codec::H264), &["too old", "11.1", "530.41"]);
}

#[test]
fn without_a_gpu_it_does_not_start() {
    if !on_the_double("faults::without_a_gpu_it_does_not_start", "devices=0") {
        return;
    }
    assert_tells(&refusal(Codec::H264), &["no NVIDIA GPU", "CUDA_ERROR_NO_DEVICE"]);
}

#[test]
fn on_a_gpu_without_an_encoder_it_does_not_start() {
    if !on_the_double("faults::on_a_gpu_without_an_encoder_it_does_not_start", "encoder=off") {
        return;
    }
    assert_tells(&refusal(Codec::H265), &["Double GPU 0 has no video encoder"]);
    assert_clean();
}

#[test]
fn a_codec_that_the_gpu_has_not_does_not_start() {
    if !on_the_double(
        "faults::a_codec_that_the_gpu_has_not_does_not_start",
        "codecs=h264+h265",
    ) {
        return;
    }
    assert_tells(&refusal(Codec::Av1), &["does not encode AV1, only H.264, H.265"]);
    assert_clean();
}

#[test]
fn one_encoder_too_many_does_not_start() {
    if !on_the_double("faults::one_encoder_too_many_does_not_start", "sessions=1") {
        return;
    }
    let mut first = Stream::new(Codec::H264, &[]);
    first.push_all(0..2);
    assert_tells(&refusal(Codec::H264), &["no further encoder", "limit of sessions"]);
    first.push_all(2..4);
    assert_eq!(first.numbers(), [0, 1, 2, 3]);
    drop(first);
    let mut second = Stream::new(Codec::H264, &[]);
    second.push_all(0..1);
}

#[test]
fn a_size_that_the_gpu_does_not_take_is_told_with_its_limits() {
    if !on_the_double(
        "faults::a_size_that_the_gpu_does_not_take_is_told_with_its_limits",
        "size=640x480",
    ) {
        return;
    }
    init();
    let line = "videotestsrc num-buffers=2 ! video/x-raw,format=NV12,width=1280,height=720 ! nvencdirect ! fakesink";
    let error = run(&parse(line)).unwrap_err();
    assert_tells(&error, &["1280x720", "32x32 to 640x480", "scale"]);
    assert_clean();
}

/// Pushes until the stream ends; gives what came out and the errors.
fn until_the_end(tune: &str) -> (Vec<u64>, Vec<String>) {
    let mut stream = Stream::new(Codec::H264, &[("tune", tune)]);
    let ended = (0..20).find(|&number| stream.push(number).is_err());
    assert!(ended.is_some());
    // What sources send after an error.
    stream.h.push_event(gst::event::Eos::new());
    let (errors, warnings) = stream.complaints();
    assert_eq!(warnings, [""; 0]);
    let numbers = stream.numbers();
    drop(stream);
    assert_clean();
    (numbers, errors)
}

#[test]
fn an_error_of_the_encoder_is_told_once_behind_all_frames_before_it() {
    if !on_the_double(
        "faults::an_error_of_the_encoder_is_told_once_behind_all_frames_before_it",
        "error@5",
    ) {
        return;
    }
    for tune in ["low-latency", "quality"] {
        let (numbers, errors) = until_the_end(tune);
        assert_eq!(numbers, [0, 1, 2, 3, 4], "{tune}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_tells(&errors[0], &["nvEncEncodePicture", "the double was told to fail"]);
    }
}

#[test]
fn full_memory_in_mid_stream_is_told_once_behind_all_frames_before_it() {
    if !on_the_double(
        "faults::full_memory_in_mid_stream_is_told_once_behind_all_frames_before_it",
        "memory@5",
    ) {
        return;
    }
    let (numbers, errors) = until_the_end("quality");
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_tells(&errors[0], &["memory of the GPU is full"]);
}

#[test]
fn a_lost_gpu_is_told_once_and_stopping_does_not_hang() {
    if !on_the_double("faults::a_lost_gpu_is_told_once_and_stopping_does_not_hang", "lost@5") {
        return;
    }
    let start = std::time::Instant::now();
    let (numbers, errors) = until_the_end("quality");
    // The last two were under way.
    assert_eq!(numbers, [0, 1, 2]);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_tells(&errors[0], &["the GPU was lost", "dmesg"]);
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn a_device_that_is_not_there_does_not_start() {
    if !on_the_double("faults::a_device_that_is_not_there_does_not_start", "") {
        return;
    }
    init();
    let line = "videotestsrc num-buffers=2 ! nvencdirect device=3 ! fakesink";
    assert_tells(&run(&parse(line)).unwrap_err(), &["no GPU 3", "has 1"]);
    assert_clean();
}

#[test]
fn frames_that_are_smaller_than_their_caps_are_refused() {
    if !on_the_double("faults::frames_that_are_smaller_than_their_caps_are_refused", "") {
        return;
    }
    let mut stream = Stream::new(Codec::H264, &[]);
    stream.push_all(0..2);
    assert_eq!(stream.h.push(frame(2, 64, 48)), Err(gst::FlowError::Error));
    let (errors, _) = stream.complaints();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_tells(&errors[0], &["cannot be read"]);
    assert_eq!(stream.numbers(), [0, 1]);
}
