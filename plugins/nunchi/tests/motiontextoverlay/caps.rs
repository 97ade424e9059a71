//! What is agreed with the neighbours, and what comes of it: attached pictures or blended ones.

use super::*;
use gst_video::{VideoOverlayComposition, VideoOverlayCompositionMeta, VideoOverlayRectangle};

const FEATURE: &str = "meta:GstVideoOverlayComposition";

/// Downstream lays attached pictures over frames.
fn laying() -> Overlay {
    let mut o = Overlay::without_caps(&[("scenario", &scenario("Hi"))], &rgb());
    o.harness
        .add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    o.harness.set_src_caps(rgb().to_caps().unwrap());
    o
}

fn overlaid(info: &VideoInfo) -> gst::Caps {
    let mut caps = info.to_caps().unwrap();
    caps.make_mut()
        .set_features(0, Some(gst::CapsFeatures::new(["memory:SystemMemory", FEATURE])));
    caps
}

/// A white rectangle at the top left.
fn white(side: u32) -> VideoOverlayComposition {
    let mut pixels = gst::Buffer::from_mut_slice(vec![255u8; (side * side * 4) as usize]);
    gst_video::VideoMeta::add(
        pixels.get_mut().unwrap(),
        gst_video::VideoFrameFlags::empty(),
        VideoFormat::Bgra,
        side,
        side,
    )
    .unwrap();
    let rectangle = VideoOverlayRectangle::new_raw(
        &pixels,
        0,
        0,
        side,
        side,
        gst_video::VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA,
    );
    VideoOverlayComposition::from(&rectangle)
}

fn attached(buffer: &gst::BufferRef) -> Option<VideoOverlayComposition> {
    buffer
        .meta::<VideoOverlayCompositionMeta>()
        .map(|meta| meta.overlay_owned())
}

fn out_caps(o: &Overlay) -> gst::Caps {
    o.element.static_pad("src").unwrap().current_caps().unwrap()
}

#[test]
fn captions_are_attached_where_downstream_lays_them_over() {
    let mut o = laying();
    let out = o.draw(frame(&rgb(), ms(2000)));
    assert_eq!(changed(&out, &rgb()), None, "the pixels stay");
    assert!(attached(&out).unwrap().n_rectangles() > 0);
    assert!(out_caps(&o).features(0).unwrap().contains(FEATURE));
    assert!(attached(&o.draw(frame(&rgb(), ms(4000)))).is_none());
}

#[test]
fn attached_and_blended_captions_look_the_same() {
    let mut o = laying();
    let mut out = o.draw(frame(&rgb(), ms(2000)));
    let composition = attached(&out).unwrap();
    let ours = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb()).draw(frame(&rgb(), ms(2000)));
    let out = out.make_mut();
    let info = rgb();
    composition
        .blend(&mut gst_video::VideoFrameRef::from_buffer_ref_writable(out, &info).unwrap())
        .unwrap();
    let worst = bytes(out).iter().zip(bytes(&ours)).map(|(a, b)| a.abs_diff(b)).max();
    assert!(worst <= Some(2), "{worst:?}");
}

#[test]
fn a_caption_that_stays_is_the_same_object() {
    let mut o = laying();
    let numbers: Vec<u32> = (0..5)
        .map(|n| attached(&o.draw(frame(&rgb(), ms(1500 + n * 33)))).unwrap().seqnum())
        .collect();
    assert_eq!(numbers, [numbers[0]; 5]);
}

#[test]
fn captions_are_blended_where_nobody_would_lay_them_over() {
    // The harness takes any caps, but does not say that it does anything with what is attached.
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    let out = o.draw(frame(&rgb(), ms(2000)));
    assert!(attached(&out).is_none());
    assert!(changed(&out, &rgb()).is_some());
    assert!(!out_caps(&o).features(0).unwrap().contains(FEATURE));
}

#[test]
fn what_came_attached_stays_beneath() {
    let mut o = laying();
    let info = rgb();
    o.harness.set_src_caps(overlaid(&info));
    let mut buffer = frame(&info, ms(2000));
    VideoOverlayCompositionMeta::add(buffer.get_mut().unwrap(), &white(8));
    let theirs = white(8);
    let out = o.draw(buffer);
    let both = attached(&out).unwrap();
    assert!(both.n_rectangles() > 1);
    assert_eq!(both.rectangle(0).unwrap().render_rectangle(), (0, 0, 8, 8));
    assert_eq!(theirs.n_rectangles(), 1, "it may belong to somebody else");
    assert_eq!(out.iter_meta::<VideoOverlayCompositionMeta>().count(), 1);
}

#[test]
fn what_came_attached_is_blended_too_where_downstream_does_not() {
    let info = rgb();
    let mut o = Overlay::without_caps(&[("scenario", &scenario("Hi"))], &info);
    o.harness.set_src_caps(overlaid(&info));
    let mut query = gst::query::Allocation::new(Some(&overlaid(&info)), false);
    assert!(o.element.static_pad("sink").unwrap().query(&mut query));
    assert!(query.find_allocation_meta::<VideoOverlayCompositionMeta>().is_some());
    for (time, flags) in [
        (2000, gst::BufferFlags::empty()),
        (4000, gst::BufferFlags::empty()),
        (4033, gst::BufferFlags::GAP),
    ] {
        let mut buffer = frame(&info, ms(time));
        buffer.get_mut().unwrap().set_flags(flags);
        VideoOverlayCompositionMeta::add(buffer.get_mut().unwrap(), &white(8));
        let out = o.draw(buffer);
        assert!(
            !out.flags().contains(gst::BufferFlags::GAP),
            "there is something to see"
        );
        assert!(attached(&out).is_none(), "{time}");
        assert_eq!(bytes(&out)[..24], [255; 24], "{time}");
    }
}

#[test]
fn downstream_may_change_its_mind() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    assert!(attached(&o.draw(frame(&rgb(), ms(2000)))).is_none());
    o.harness
        .add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    o.harness.push_upstream_event(gst::event::Reconfigure::new());
    assert!(attached(&o.draw(frame(&rgb(), ms(2033)))).is_some());
    // It takes no such caps any more.
    o.harness.set_sink_caps(rgb().to_caps().unwrap());
    o.harness.push_upstream_event(gst::event::Reconfigure::new());
    let out = o.draw(frame(&rgb(), ms(2066)));
    assert!(attached(&out).is_none());
    assert!(changed(&out, &rgb()).is_some());
}

#[test]
fn formats_that_are_not_blended_into_need_somebody_who_lays_over() {
    let deep = info(VideoFormat::P01010le, 64, 32);
    let mut o = laying();
    o.harness.set_src_caps(deep.to_caps().unwrap());
    let mut buffer = gst::Buffer::with_size(deep.size()).unwrap();
    buffer.get_mut().unwrap().set_pts(ms(2000));
    assert!(attached(&o.draw(buffer)).is_some());

    let mut o = Overlay::without_caps(&[("scenario", &scenario("Hi"))], &deep);
    o.harness.set_sink_caps_str("video/x-raw");
    o.harness.set_src_caps(rgb().to_caps().unwrap());
    o.draw(frame(&rgb(), ms(0)));
    for caps in [deep.to_caps().unwrap(), gst::Caps::builder("image/jpeg").build()] {
        o.harness.push_event(gst::event::Caps::new(&caps));
        assert_eq!(
            o.harness.push(frame(&rgb(), ms(2000))),
            Err(gst::FlowError::NotNegotiated),
            "{caps}"
        );
    }
}

#[test]
fn pads_ask_each_other_for_what_goes_through() {
    let mut o = Overlay::without_caps(&[], &rgb());
    o.harness.set_sink_caps_str("video/x-raw, format=NV12, width=64");
    let sink = o.element.static_pad("sink").unwrap();
    let caps = sink.query_caps(None);
    let accepts = |text: &str| caps.can_intersect(&text.parse::<gst::Caps>().unwrap());
    assert!(accepts("video/x-raw, format=NV12, width=64, height=9"));
    assert!(!accepts("video/x-raw, format=I420, width=64, height=9"));
    assert!(!accepts("video/x-raw, format=NV12, width=65, height=9"));
    assert!(accepts(
        "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition), format=NV12, width=64, height=9"
    ));
    assert!(!accepts(
        "video/x-raw(memory:GLMemory), format=NV12, width=64, height=9"
    ));

    o.harness
        .set_sink_caps_str("video/x-raw(memory:GLMemory, meta:GstVideoOverlayComposition), format=RGBA");
    let caps = sink.query_caps(None);
    let accepts = |text: &str| caps.can_intersect(&text.parse::<gst::Caps>().unwrap());
    assert!(accepts("video/x-raw(memory:GLMemory), format=RGBA"));
    assert!(accepts(
        "video/x-raw(memory:GLMemory, meta:GstVideoOverlayComposition), format=RGBA"
    ));
    assert!(!accepts("video/x-raw, format=RGBA"));
}

#[test]
fn a_filter_limits_the_answer() {
    let o = Overlay::without_caps(&[], &rgb());
    let filter = "video/x-raw, format={ RGB, I420 }, width=10"
        .parse::<gst::Caps>()
        .unwrap();
    for pad in ["sink", "src"] {
        let caps = o.element.static_pad(pad).unwrap().query_caps(Some(&filter));
        assert!(!caps.is_empty() && caps.is_subset(&filter), "{pad}: {caps}");
    }
}

#[test]
fn a_line_with_a_converter_negotiates_by_itself() {
    init();
    for (source, sink) in [
        ("video/x-raw,format=NV12", "video/x-raw,format=I420"),
        ("video/x-raw,format=AYUV64", "video/x-raw,format=RGB"),
        (
            "video/x-raw,format=RGBA",
            "video/x-raw(memory:SystemMemory, meta:GstVideoOverlayComposition)",
        ),
    ] {
        let convert = if source.contains("AYUV64") {
            "videoconvert !"
        } else {
            ""
        };
        let tail = if sink.contains("meta") { "" } else { "videoconvert !" };
        let line = format!(
            "videotestsrc num-buffers=3 ! {source},width=64,height=32 ! {convert} motiontextoverlay name=o fonts-dir=\"{FONTS}\" ! {tail} {sink} ! fakesink"
        );
        let pipeline = common::parse(&line);
        pipeline
            .by_name("o")
            .unwrap()
            .set_property("scenario", scenario("Hi").replace("[1, 3]", "[0, 3]"));
        common::run(&pipeline).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}
