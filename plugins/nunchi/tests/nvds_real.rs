//! The bridge to DeepStream's metadata against NVIDIA's own libraries of version 9.0, which `make test` takes out of a
//! package of theirs. They need no GPU.
#![cfg(target_arch = "x86_64")]

mod common;
#[path = "common/nvds.rs"]
mod nvds;

use common::*;
use gst::prelude::*;
use nunchi_events::State;
use nvds::{Kit, checks, region, target};
use std::sync::LazyLock;

fn kit() -> &'static Kit {
    static KIT: LazyLock<Kit> = LazyLock::new(|| {
        let folder = target("runtime/deepstream");
        // SAFETY: the first thing that every test here does; nothing of ours runs yet that reads the environment.
        unsafe { std::env::set_var("NUNCHI_NVDS", &folder) };
        Kit::open(&folder, 344, 240, 29)
    });
    &KIT
}

#[test]
fn objects_come_back_as_they_went() {
    checks::objects_come_back_as_they_went(kit());
}

#[test]
fn events_come_back_as_json() {
    checks::events_come_back_as_json(kit());
}

#[test]
fn producers_append() {
    checks::producers_append(kit());
}

#[test]
fn boxes_are_in_pixels_of_the_muxer() {
    checks::boxes_are_in_pixels_of_the_muxer(kit());
}

#[test]
fn a_copy_of_the_buffer_has_copies() {
    checks::a_copy_of_the_buffer_has_copies(kit());
}

#[test]
fn labels_are_cut_to_what_fits() {
    checks::labels_are_cut_to_what_fits(kit());
}

#[test]
fn numbers_that_are_none_stay_out() {
    checks::numbers_that_are_none_stay_out(kit());
}

#[test]
fn the_picture_is_the_only_frame_or_the_first_surface() {
    checks::the_picture_is_the_only_frame_or_the_first_surface(kit());
}

#[test]
fn frames_that_are_not_the_picture_get_nothing() {
    checks::frames_that_are_not_the_picture_get_nothing(kit());
}

#[test]
fn broken_lists_are_not_followed() {
    checks::broken_lists_are_not_followed(kit());
}

#[test]
fn unknown_sizes_are_left_alone() {
    checks::unknown_sizes_are_left_alone(kit());
}

#[test]
fn buffers_without_a_video_batch_are_left_alone() {
    checks::buffers_without_a_video_batch_are_left_alone(kit());
}

#[test]
fn threads_that_share_a_batch_take_turns() {
    checks::threads_that_share_a_batch_take_turns(kit(), 100);
}

#[test]
fn a_frame_takes_more_than_its_pool_began_with() {
    let kit = kit();
    let mut buffer = kit.buffer();
    let regions: Vec<_> = (0..500).map(|id| region((1, 1, 2, 2), id)).collect();
    let events = vec![event("smile", State::Start); 256];
    kit.append(&mut buffer, &regions, &events).unwrap();
    let copy = buffer.copy();
    drop(buffer);
    let frame = &kit.frames(&copy)[0];
    assert_eq!((kit.objects(frame).len(), kit.messages(frame).len()), (500, 256));
}

/// What hailoface makes of a picture of one face whose buffer carries a batch of so many frames, each twice as large as
/// the picture; and the warnings on the way.
fn through_hailoface(properties: &str, frames: u32) -> (gst::Buffer, Vec<String>) {
    let kit = kit();
    let pipeline = parse(&format!(
        "filesrc location={} ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! imagefreeze num-buffers=3 !
         hailoface name=face engine=embedded {properties} ! fakesink name=sink",
        file("tests/media/obama.jpg").display()
    ));
    let pad = pipeline.by_name("face").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps().unwrap();
        let info_of = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let batch = kit.create(2);
        for _ in 0..frames {
            kit.add_frame(&batch, 1, (2 * info_of.width(), 2 * info_of.height()));
        }
        kit.attach(info.buffer_mut().unwrap().make_mut(), &batch, true);
        gst::PadProbeReturn::Ok
    });
    let (sender, receiver) = std::sync::mpsc::channel();
    let sink = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = sender.send(info.buffer().unwrap().to_owned());
        gst::PadProbeReturn::Ok
    });
    let messages = run(&pipeline).unwrap();
    let warnings = messages.iter().filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    });
    (receiver.try_iter().next().unwrap(), warnings.collect())
}

#[test]
fn what_hailoface_finds_is_in_the_batch() {
    let (buffer, warnings) = through_hailoface("", 1);
    assert_eq!(warnings, [""; 0]);
    let kit = kit();
    let frame = &kit.frames(&buffer)[0];
    let objects = kit.objects(frame);
    let roi = buffer.meta::<gst_video::VideoRegionOfInterestMeta>().unwrap();
    let (x, y, w, h) = roi.rect();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].rect, [x, y, w, h].map(|v| 2.0 * v as f32));
    assert_eq!(objects[0].label, b"face");
    assert!(objects[0].confidence > 0.9);
    let types: Vec<_> = kit
        .messages(frame)
        .iter()
        .map(|m| m["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, kinds(&buffer));
    assert!(types.contains(&"presence".to_owned()), "{types:?}");
}

#[test]
fn hailoface_keeps_out_of_the_batch_when_told() {
    let (buffer, warnings) = through_hailoface("nvds-meta=off", 1);
    assert_eq!(warnings, [""; 0]);
    let frame = &kit().frames(&buffer)[0];
    assert!(kit().objects(frame).is_empty() && kit().messages(frame).is_empty());
    assert!(!kinds(&buffer).is_empty());
}

#[test]
fn hailoface_says_once_what_it_could_not_attach_and_goes_on() {
    for (frames, text) in [(0, "none of the 0 frames"), (2, "none of the 2 frames")] {
        let (buffer, warnings) = through_hailoface("", frames);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains(text) && warnings[0].contains("nvds-meta=off"),
            "{warnings:?}"
        );
        assert!(!kinds(&buffer).is_empty(), "our own metadata is there all the same");
    }
}
