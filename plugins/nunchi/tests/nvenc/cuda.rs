//! Frames in CUDA memory, which stays where it is.

use super::*;
use crate::cuda_memory;
use crate::double::{Memory, objects};

/// A stream with caps of CUDA memory.
fn stream(format: VideoFormat, properties: &[(&str, &str)]) -> Stream {
    let mut stream = Stream::new(Codec::H264, properties);
    let mut caps = gst_video::VideoInfo::builder(format, WIDTH, HEIGHT)
        .build()
        .unwrap()
        .to_caps()
        .unwrap();
    caps.make_mut()
        .set_features_simple(Some(gst::CapsFeatures::new(["memory:CUDAMemory"])));
    stream.h.set_src_caps(caps);
    stream
}

/// A frame of NV12 with the pixels of [`frame`].
fn upload(number: u64) -> Memory {
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    let memory = Memory::new(0, width, height * 3 / 2);
    let pixels = frame(number, WIDTH, HEIGHT);
    memory.write(0, memory.pitch, &pixels.map_readable().unwrap(), width);
    memory
}

fn wrap(memory: &Memory, number: u64) -> gst::Buffer {
    let size = memory.pitch * HEIGHT as usize * 3 / 2;
    let mut buffer = gst::Buffer::new();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.append_memory(cuda_memory::wrap(memory.pointer, size));
        buffer.set_pts(gst::ClockTime::from_mseconds(40 * number));
        let flags = gst_video::VideoFrameFlags::empty();
        let chroma = memory.pitch * HEIGHT as usize;
        let stride = memory.pitch as i32;
        gst_video::VideoMeta::add_full(
            buffer,
            flags,
            VideoFormat::Nv12,
            WIDTH,
            HEIGHT,
            &[0, chroma],
            &[stride, stride],
        )
        .unwrap();
    }
    buffer
}

#[test]
fn frames_on_the_gpu_are_encoded_where_they_are() {
    if !on_the_double("cuda::frames_on_the_gpu_are_encoded_where_they_are", "") {
        return;
    }
    let properties = [("rc-mode", "constqp"), ("quality", "80")];
    let mut there = stream(VideoFormat::Nv12, &properties);
    let mut here = Stream::new(Codec::H264, &properties);
    let pool: Vec<_> = (0..3).map(upload).collect();
    let mut after_the_pool = 0;
    for number in 0..9 {
        let memory = &pool[number as usize % 3];
        assert_eq!(there.h.push(wrap(memory, number)), Ok(gst::FlowSuccess::Ok));
        let mut same = frame(number % 3, WIDTH, HEIGHT);
        same.get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_mseconds(40 * number));
        assert_eq!(here.h.push(same), Ok(gst::FlowSuccess::Ok));
        if number == 2 {
            after_the_pool = objects();
        }
    }
    assert_eq!(objects(), after_the_pool, "nothing is copied or registered again");
    assert_eq!(there.pulled(), here.pulled());
    drop((there, here, pool));
    assert_clean();
}

#[test]
fn frames_that_are_held_back_stay_until_they_are_encoded() {
    if !on_the_double(
        "cuda::frames_that_are_held_back_stay_until_they_are_encoded",
        "latency=2",
    ) {
        return;
    }
    let mut stream = stream(VideoFormat::Nv12, &[("tune", "quality")]);
    let pool: Vec<_> = (0..6).map(upload).collect();
    for (number, memory) in (0..).zip(&pool) {
        assert_eq!(stream.h.push(wrap(memory, number)), Ok(gst::FlowSuccess::Ok));
    }
    assert!(stream.h.push_event(gst::event::Eos::new()));
    assert_eq!(stream.numbers(), [0, 1, 2, 3, 4, 5]);
    drop((stream, pool));
    assert_clean();
}

#[test]
fn system_memory_under_caps_of_cuda_is_refused() {
    if !on_the_double("cuda::system_memory_under_caps_of_cuda_is_refused", "") {
        return;
    }
    let mut stream = stream(VideoFormat::Nv12, &[]);
    assert_eq!(stream.push(0), Err(gst::FlowError::Error));
    let (errors, _) = stream.complaints();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("CUDA memory, which it is not"), "{errors:?}");
}

#[test]
fn memory_that_the_driver_does_not_know_is_refused() {
    if !on_the_double("cuda::memory_that_the_driver_does_not_know_is_refused", "") {
        return;
    }
    let mut stream = stream(VideoFormat::Nv12, &[]);
    let freed = wrap(&upload(0), 0);
    assert_eq!(stream.h.push(freed), Err(gst::FlowError::Error));
    let (errors, _) = stream.complaints();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("cuPointerGetAttribute"), "{errors:?}");
    drop(stream);
    assert_clean();
}

#[test]
fn a_change_of_the_bit_rate_before_the_first_frame_waits_for_it() {
    if !on_the_double("cuda::a_change_of_the_bit_rate_before_the_first_frame_waits_for_it", "") {
        return;
    }
    let mut stream = stream(VideoFormat::Nv12, &[]);
    stream.h.element().unwrap().set_property_from_str("bitrate", "300");
    let pool: Vec<_> = (0..3).map(upload).collect();
    for (number, memory) in (0..).zip(&pool) {
        assert_eq!(stream.h.push(wrap(memory, number)), Ok(gst::FlowSuccess::Ok));
    }
    assert_eq!(stream.numbers(), [0, 1, 2]);
    assert_eq!(stream.complaints(), (vec![], vec![]));
}
