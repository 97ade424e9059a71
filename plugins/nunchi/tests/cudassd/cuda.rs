//! Frames in CUDA memory where no GPU runs the network: they are brought to system memory.

use super::*;

#[test]
fn frames_in_cuda_memory_are_read_by_the_processor_too() {
    let here = picture("dog.jpg", "NV12");
    let info = here.info();
    let mut caps = here.caps.clone();
    caps.make_mut()
        .set_features_simple(Some(gst::CapsFeatures::new(["memory:CUDAMemory"])));
    let there = Picture {
        caps: caps.clone(),
        buffer: here.buffer.clone(),
    };
    let properties = "engine=embedded";
    let found = |picture: &Picture, buffer: gst::Buffer| {
        let mut h = harness(picture, properties);
        assert_eq!(h.push(buffer), Ok(gst::FlowSuccess::Ok));
        let buffer = h.pull().unwrap();
        let sink = h.element().unwrap().static_pad("src").unwrap();
        (objects(&buffer, picture.size()), sink.current_caps().unwrap(), buffer)
    };
    let (expected, ..) = found(&here, here.at(gst::ClockTime::ZERO));
    assert!(!expected.is_empty());
    let bytes = here.buffer.map_readable().unwrap();
    let mut buffer = gst::Buffer::new();
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.append_memory(cuda_memory::wrap_shared(bytes.as_ptr().addr() as u64, bytes.len()));
        buffer.set_pts(gst::ClockTime::ZERO);
        let meta = here.buffer.meta::<gst_video::VideoMeta>();
        let (offset, stride) = match &meta {
            Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
            None => (info.offset().to_vec(), info.stride().to_vec()),
        };
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add_full(
            buffer,
            flags,
            info.format(),
            info.width(),
            info.height(),
            &offset,
            &stride,
        )
        .unwrap();
    }
    let (objects, caps_after, buffer) = found(&there, buffer);
    assert_eq!(objects, expected);
    // The frame goes on where it was.
    assert_eq!(caps_after, caps);
    assert_eq!(buffer.n_memory(), 1);
    let memory = buffer.peek_memory(0);
    assert!(
        memory
            .allocator()
            .is_some_and(|allocator| allocator.type_().name() == "NunchiTestCudaAllocator")
    );
}

#[test]
fn other_analysers_take_no_frames_in_cuda_memory() {
    init();
    for (element, takes) in [("cudassd", true), ("hailoface", false), ("hailopose", false)] {
        let factory = gst::ElementFactory::find(element).unwrap();
        let caps = gst::Caps::builder("video/x-raw")
            .features(["memory:CUDAMemory"])
            .field("format", "NV12")
            .field("width", 64)
            .field("height", 64)
            .field("framerate", gst::Fraction::new(25, 1))
            .build();
        assert_eq!(factory.can_sink_all_caps(&caps), takes, "{element}");
        assert_eq!(factory.can_src_all_caps(&caps), takes, "{element}");
    }
}
