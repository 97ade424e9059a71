//! `analysisoverlay` in a harness: tiny frames whose pixels can be told by hand.

use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoFrame, VideoInfo};
use gstnunchi::meta::{
    event, landmark,
    roi::{self, Attribute, Region},
};
use std::{collections::BTreeSet, sync::Once};

const FORMATS: &[VideoFormat] = &[
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Nv16,
    VideoFormat::Nv61,
    VideoFormat::Nv24,
    VideoFormat::Yvyu,
    VideoFormat::A420,
    VideoFormat::Ayuv,
    VideoFormat::Gbr,
];

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstnunchi::plugin_register_static().unwrap();
    });
}

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    init();
    VideoInfo::builder(format, width, height)
        .fps(gst::Fraction::new(30, 1))
        .build()
        .unwrap()
}

/// A harness with the properties, e.g. `line-width=1`.
fn overlay(properties: &str, info: &VideoInfo) -> Harness {
    init();
    let mut harness = Harness::new_parse(&format!("analysisoverlay name=overlay {properties}"));
    harness.set_src_caps(info.to_caps().unwrap());
    harness
}

/// A frame with every byte `value`, at time zero.
fn flat(info: &VideoInfo, value: u8) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![value; info.size()]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    buffer
}

fn region(rect: (u32, u32, u32, u32)) -> Region {
    Region {
        label: "face",
        rect,
        confidence: 0.9,
        label_id: 0,
        track_id: 1,
        attributes: Vec::new(),
    }
}

fn with_region(mut buffer: gst::Buffer, region: &Region) -> gst::Buffer {
    roi::append(buffer.get_mut().unwrap(), region, (64, 64));
    buffer
}

fn with_points(mut buffer: gst::Buffer, layout: &str, points: Vec<[f64; 3]>) -> gst::Buffer {
    let landmarks = landmark::Landmarks {
        object_id: 0,
        track_id: 1,
        layout: layout.into(),
        points,
        ..Default::default()
    };
    landmark::append(buffer.get_mut().unwrap(), &[landmarks]);
    buffer
}

fn with_event(mut buffer: gst::Buffer, kind: &str, state: &str, message: &str) -> gst::Buffer {
    let event = gst::Structure::builder("event")
        .field("type", kind)
        .field("state", state)
        .field("message", message)
        .build();
    event::append(buffer.get_mut().unwrap(), [event]);
    buffer
}

fn at(mut buffer: gst::Buffer, pts: Option<gst::ClockTime>) -> gst::Buffer {
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

fn ms(ms: u64) -> Option<gst::ClockTime> {
    Some(gst::ClockTime::from_mseconds(ms))
}

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// Pixels of a packed 3-byte picture that differ from `value`.
fn changed(buffer: &gst::BufferRef, info: &VideoInfo, value: u8) -> BTreeSet<(u32, u32)> {
    let data = bytes(buffer);
    let stride = info.stride()[0] as usize;
    let pixel = |x: u32, y: u32| &data[y as usize * stride + x as usize * 3..][..3];
    let all = (0..info.height()).flat_map(|y| (0..info.width()).map(move |x| (x, y)));
    all.filter(|&(x, y)| pixel(x, y).iter().any(|&v| v != value)).collect()
}

#[track_caller]
fn draw(harness: &mut Harness, buffer: gst::Buffer) -> gst::Buffer {
    harness.push_and_pull(buffer).expect("a frame comes out")
}

/// Whether anything at all was drawn into a flat frame.
#[track_caller]
fn is_drawn(harness: &mut Harness, buffer: gst::Buffer) -> bool {
    let before = bytes(&buffer);
    bytes(&draw(harness, buffer)) != before
}

fn outline(x0: u32, y0: u32, x1: u32, y1: u32) -> BTreeSet<(u32, u32)> {
    let all = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
    all.filter(|&(x, y)| x == x0 || x == x1 - 1 || y == y0 || y == y1 - 1)
        .collect()
}

#[test]
fn a_box_is_an_outline_inside_of_its_rectangle_and_nothing_else() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("line-width=1 draw-labels=false", &info);
    let out = draw(&mut h, with_region(flat(&info, 0), &region((4, 3, 8, 6))));
    assert_eq!(changed(&out, &info, 0), outline(4, 3, 12, 9));
}

#[test]
fn a_thick_line_fills_a_small_box_and_no_more() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("line-width=64 draw-labels=false", &info);
    let out = draw(&mut h, with_region(flat(&info, 0), &region((5, 5, 3, 4))));
    let all = (5..9).flat_map(|y| (5..8).map(move |x| (x, y))).collect();
    assert_eq!(changed(&out, &info, 0), all);
}

#[test]
fn a_box_that_leaves_the_frame_is_cut() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("line-width=1 draw-labels=false", &info);
    let out = draw(&mut h, with_region(flat(&info, 0), &region((10, 12, 100, 100))));
    let expected = outline(10, 12, 110, 112)
        .into_iter()
        .filter(|&(x, y)| x < 16 && y < 16)
        .collect();
    assert_eq!(changed(&out, &info, 0), expected);
}

#[test]
fn boxes_of_no_size_or_outside_of_the_frame_draw_nothing() {
    let info = info(VideoFormat::I420, 16, 16);
    let mut h = overlay("line-width=4", &info);
    let far = u32::MAX;
    for rect in [
        (4, 4, 0, 5),
        (4, 4, 5, 0),
        (16, 0, 4, 4),
        (0, 16, 4, 4),
        (far, far, far, far),
        (far, 0, 1, 1),
    ] {
        let mut buffer = flat(&info, 90);
        gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", rect);
        assert!(!is_drawn(&mut h, buffer), "{rect:?}");
    }
}

#[test]
fn nothing_to_draw_passes_the_same_memory_on() {
    let info = info(VideoFormat::I420, 32, 32);
    let mut h = overlay("", &info);
    let buffer = flat(&info, 7);
    // Held here too, so that a write would have to copy.
    let held = buffer.clone();
    let out = draw(&mut h, buffer);
    assert_eq!(out.peek_memory(0).as_ptr(), held.peek_memory(0).as_ptr());
}

#[test]
fn with_everything_off_metadata_passes_and_pixels_stay() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay(
        "draw-boxes=false draw-labels=false draw-landmarks=false draw-captions=false",
        &info,
    );
    let buffer = with_region(flat(&info, 7), &region((8, 8, 40, 40)));
    let buffer = with_points(buffer, "hand/1", vec![[0.5, 0.5, 1.0]]);
    let buffer = with_event(buffer, "smile", "start", "Smiling");
    let held = buffer.clone();
    let out = draw(&mut h, buffer);
    assert_eq!(out.peek_memory(0).as_ptr(), held.peek_memory(0).as_ptr());
}

#[test]
fn another_holder_of_the_buffer_never_sees_our_writes() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("line-width=1", &info);
    let buffer = with_region(flat(&info, 0), &region((2, 2, 9, 9)));
    let same = buffer.clone();
    let shared_memory = buffer.copy();
    let out = draw(&mut h, buffer);
    assert!(!changed(&out, &info, 0).is_empty());
    assert!(changed(&same, &info, 0).is_empty());
    assert!(changed(&shared_memory, &info, 0).is_empty());
}

#[test]
fn the_other_branch_of_a_tee_stays_clean() {
    init();
    // Both branches in turn: the overlay's first, then the one that must be as the source made it.
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=1 pattern=black ! video/x-raw,format=RGB,width=64,height=48 ! identity name=mark ! \
         tee name=t t. ! analysisoverlay ! fakesink name=drawn signal-handoffs=true \
         t. ! fakesink name=clean signal-handoffs=true",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let mark = pipeline.by_name("mark").unwrap().static_pad("src").unwrap();
    mark.add_probe(gst::PadProbeType::BUFFER, |_, probe| {
        if let Some(buffer) = probe.buffer_mut() {
            roi::append(buffer.make_mut(), &region((4, 4, 40, 40)), (64, 48));
        }
        gst::PadProbeReturn::Ok
    });
    let (sender, receiver) = std::sync::mpsc::channel();
    for name in ["drawn", "clean"] {
        let sender = sender.clone();
        pipeline
            .by_name(name)
            .unwrap()
            .connect("handoff", false, move |values| {
                let buffer = values[1].get::<gst::Buffer>().unwrap();
                sender.send((name, bytes(&buffer).iter().any(|&v| v != 0))).unwrap();
                None
            });
    }
    // Without preroll the two sinks do not wait for each other.
    for name in ["drawn", "clean"] {
        pipeline.by_name(name).unwrap().set_property("async", false);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert_eq!(end.expect("the pipeline ends").type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    let seen: BTreeSet<_> = receiver.try_iter().collect();
    assert_eq!(seen, BTreeSet::from([("clean", false), ("drawn", true)]));
}

fn convert(buffer: gst::Buffer, from: &VideoInfo, to: &VideoInfo) -> gst::Buffer {
    let source = VideoFrame::from_buffer_readable(buffer, from).unwrap();
    let target = gst::Buffer::with_size(to.size()).unwrap();
    let mut target = VideoFrame::from_buffer_writable(target, to).unwrap();
    gst_video::VideoConverter::new(from, to, None)
        .unwrap()
        .frame(&source, &mut target);
    target.into_buffer()
}

#[test]
fn every_format_shows_the_same_picture() {
    let (width, height) = (96, 72);
    let rgb = info(VideoFormat::Rgb, width, height);
    let dress = |buffer| {
        let mut face = region((10, 40, 60, 28));
        face.attributes.push(Attribute {
            name: "smile",
            label: "smile".into(),
            label_id: 0,
            confidence: 0.5,
            model: "m",
        });
        let buffer = with_region(buffer, &face);
        with_points(
            buffer,
            "body-pose/coco-17",
            (0..17).map(|i| [0.1 + 0.05 * f64::from(i), 0.8, 1.0]).collect(),
        )
    };
    let mut h = overlay("line-width=6 font-size=12", &rgb);
    let reference = draw(&mut h, dress(flat(&rgb, 100)));
    for &format in FORMATS {
        let own = info(format, width, height);
        let mut h = overlay("line-width=6 font-size=12", &own);
        let mut frame = convert(flat(&rgb, 100), &rgb, &own);
        frame.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        let drawn = bytes(&convert(draw(&mut h, dress(frame)), &own, &rgb));
        // What the format itself loses is no fault of the drawing.
        let reference = bytes(&convert(convert(reference.clone(), &rgb, &own), &own, &rgb));
        let luma = |p: &[u8]| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        let difference = |a: &[u8], b: &[u8]| -> f64 {
            if format == VideoFormat::Gray8 {
                (luma(a) - luma(b)).abs()
            } else {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(a.abs_diff(*b)))
                    .fold(0.0, f64::max)
            }
        };
        let (a, b) = (reference.as_chunks::<3>().0, drawn.as_chunks::<3>().0);
        let errors: Vec<f64> = a.iter().zip(b).map(|(a, b)| difference(a, b)).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let off = errors.iter().filter(|&&e| e > 32.0).count() as f64 / errors.len() as f64;
        assert!(
            mean < 3.0 && off < 0.03,
            "{format:?}: mean {mean:.2}, share of pixels off {off:.3}"
        );
        // The middle of the box's left edge, free of neighbors.
        let middle = 54 * width as usize + 13;
        assert!(errors[middle] < 6.0, "{format:?}: {:?} for {:?}", b[middle], a[middle]);
    }
}

#[test]
fn matrix_and_range_follow_the_caps() {
    init();
    // face with track 1 is one color of the palette; take it from an RGB picture.
    let rgb = info(VideoFormat::Rgb, 16, 16);
    let out = bytes(&draw(
        &mut overlay("line-width=8 draw-labels=false", &rgb),
        with_region(flat(&rgb, 0), &region((0, 0, 16, 16))),
    ));
    let (r, g, b) = (f64::from(out[0]), f64::from(out[1]), f64::from(out[2]));
    for (colorimetry, kr, kb, floor, scale) in [
        ("bt601", 0.299, 0.114, 16.0, 219.0 / 255.0),
        ("bt709", 0.2126, 0.0722, 16.0, 219.0 / 255.0),
        ("bt2020", 0.2627, 0.0593, 16.0, 219.0 / 255.0),
        ("1:4:0:0", 0.299, 0.114, 0.0, 1.0),
    ] {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", 16)
            .field("height", 16)
            .field("framerate", gst::Fraction::new(0, 1))
            .field("colorimetry", colorimetry)
            .build();
        let own = VideoInfo::from_caps(&caps).unwrap();
        let mut h = overlay("line-width=8 draw-labels=false", &own);
        h.set_src_caps(caps);
        let out = bytes(&draw(&mut h, with_region(flat(&own, 128), &region((0, 0, 16, 16)))));
        let expected = floor + scale * (kr * r + (1.0 - kr - kb) * g + kb * b);
        assert!(
            (f64::from(out[0]) - expected).abs() <= 1.0,
            "{colorimetry}: {} for {expected}",
            out[0]
        );
    }
}

#[test]
fn chroma_of_an_edge_is_weighted_by_what_is_covered() {
    let own = info(VideoFormat::I420, 8, 8);
    let mut h = overlay("line-width=8 draw-labels=false", &own);
    // Columns 0 to 2: the second chroma column is covered by half.
    let out = bytes(&draw(&mut h, with_region(flat(&own, 128), &region((0, 0, 3, 8)))));
    let u = &out[own.offset()[1]..];
    let full = i32::from(u[0]) - 128;
    assert!(full.abs() > 10, "the color has no blue difference to measure");
    assert!((i32::from(u[1]) - 128 - full / 2).abs() <= 1);
    assert_eq!(u[2], 128);
}

#[test]
fn an_odd_sized_frame_of_one_pixel_takes_any_metadata() {
    for &format in FORMATS {
        for (width, height) in [(1, 1), (3, 5), (7, 1), (1, 7), (5, 3)] {
            let own = info(format, width, height);
            let mut h = overlay("line-width=3", &own);
            let buffer = with_region(flat(&own, 50), &region((0, 0, width, height)));
            let buffer = with_points(buffer, "body-pose/coco-17", vec![[0.5, 0.5, 1.0]; 17]);
            let buffer = with_event(buffer, "smile", "start", "Smiling");
            assert!(is_drawn(&mut h, buffer), "{format:?} {width}x{height}");
        }
    }
}

#[test]
fn row_padding_stays_as_it_is() {
    let own = info(VideoFormat::I420, 10, 6);
    let (stride, chroma) = (32usize, 16usize);
    let (u, v, size) = (stride * 6, stride * 6 + chroma * 3, stride * 6 + chroma * 6);
    let mut buffer = gst::Buffer::from_mut_slice(vec![200u8; size]);
    gst_video::VideoMeta::add_full(
        buffer.get_mut().unwrap(),
        gst_video::VideoFrameFlags::empty(),
        VideoFormat::I420,
        10,
        6,
        &[0, u, v],
        &[stride as i32, chroma as i32, chroma as i32],
    )
    .unwrap();
    let mut h = overlay("line-width=2", &own);
    let out = bytes(&draw(&mut h, with_region(buffer, &region((0, 0, 10, 6)))));
    assert_ne!(out[0], 200);
    for (start, stride, width, rows) in [(0, stride, 10, 6), (u, chroma, 5, 3), (v, chroma, 5, 3)] {
        for row in 0..rows {
            let row = &out[start + row * stride..][..stride];
            assert!(row[width..].iter().all(|&v| v == 200));
        }
    }
}

#[test]
fn a_label_stands_above_the_box_and_inside_where_there_is_no_room() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("draw-boxes=false font-size=16", &info);
    let above = changed(
        &draw(&mut h, with_region(flat(&info, 200), &region((20, 60, 40, 30)))),
        &info,
        200,
    );
    assert!(!above.is_empty() && above.iter().all(|&(_, y)| (40..60).contains(&y)));
    let inside = changed(
        &draw(&mut h, with_region(flat(&info, 200), &region((20, 4, 40, 30)))),
        &info,
        200,
    );
    assert!(!inside.is_empty() && inside.iter().all(|&(_, y)| y >= 4));
}

#[test]
fn a_region_that_lost_its_parameters_keeps_box_and_label() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("font-size=16 line-width=1 min-confidence=0.99", &info);
    let mut buffer = flat(&info, 200);
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (20, 60, 40, 30));
    let drawn = changed(&draw(&mut h, buffer), &info, 200);
    assert!(drawn.is_superset(&outline(20, 60, 60, 90)));
    assert!(drawn.iter().any(|&(_, y)| y < 60));
}

#[test]
fn a_region_without_a_type_is_a_box() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("line-width=1 font-size=10", &info);
    let mut buffer = flat(&info, 0);
    // SAFETY: the buffer is writable; a quark of zero is what a producer in C gets from a missing string.
    unsafe {
        let buffer = buffer.get_mut().unwrap().as_mut_ptr();
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(buffer, 0, 20, 30, 20, 20);
    }
    assert!(changed(&draw(&mut h, buffer), &info, 0).is_superset(&outline(20, 30, 40, 50)));
}

#[test]
fn classifications_add_lines_and_malformed_ones_do_not() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("draw-boxes=false font-size=16", &info);
    let mut rows = |params: Vec<gst::Structure>| {
        let mut buffer = flat(&info, 200);
        let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (20, 90, 40, 10));
        params.into_iter().for_each(|param| meta.add_param(param));
        changed(&draw(&mut h, buffer), &info, 200)
            .iter()
            .map(|&(_, y)| y)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let bare = rows(vec![]);
    let smile = || {
        gst::Structure::builder("smile")
            .field("label", "smile")
            .field("confidence", 0.9)
    };
    assert_eq!(rows(vec![smile().build()]), bare + 16);
    assert_eq!(rows(vec![smile().field("confidence", f64::NAN).build()]), bare);
    assert_eq!(rows(vec![gst::Structure::builder("x").field("label", 3).build()]), bare);
    assert_eq!(rows(vec![gst::Structure::new_empty("tensor")]), bare);
    assert_eq!(
        rows(vec![
            gst::Structure::builder("detection").field("confidence", "high").build()
        ]),
        bare
    );
}

#[test]
fn a_low_score_hides_region_and_keypoints() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("min-confidence=0.5", &info);
    let mut weak = region((8, 8, 40, 40));
    weak.confidence = 0.49;
    let buffer = with_points(with_region(flat(&info, 9), &weak), "hand/1", vec![[0.5, 0.5, 1.0]]);
    assert!(!is_drawn(&mut h, buffer));
    weak.confidence = 0.5;
    assert!(is_drawn(&mut h, with_region(flat(&info, 9), &weak)));
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 9), "hand/1", vec![[0.5, 0.5, 0.4]])
    ));
}

#[test]
fn a_score_that_is_no_number_draws_nothing() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let mut odd = region((8, 8, 40, 40));
    odd.confidence = f64::NAN;
    assert!(!is_drawn(&mut h, with_region(flat(&info, 9), &odd)));
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 9), "hand/1", vec![[0.5, 0.5, f64::NAN]])
    ));
}

#[test]
fn a_keypoint_is_a_disc_at_its_place() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("line-width=1", &info);
    let out = draw(&mut h, with_points(flat(&info, 0), "hand/1", vec![[0.5, 0.25, 1.0]]));
    let drawn = changed(&out, &info, 0);
    assert!(drawn.is_superset(&[(15, 7), (16, 7), (15, 8), (16, 8)].into()));
    assert!(
        drawn
            .iter()
            .all(|&(x, y)| (14..18).contains(&x) && (6..10).contains(&y)),
        "{drawn:?}"
    );
}

#[test]
fn a_skeleton_joins_its_points_and_skips_missing_ones() {
    let info = info(VideoFormat::Rgb, 40, 40);
    let mut h = overlay("line-width=2", &info);
    let mut points = vec![[f64::NAN, f64::NAN, 0.0]; 17];
    points[5] = [0.25, 0.5, 1.0];
    points[6] = [0.75, 0.5, 1.0];
    let drawn = changed(
        &draw(&mut h, with_points(flat(&info, 0), "body-pose/coco-17", points)),
        &info,
        0,
    );
    // From shoulder to shoulder, and nowhere else.
    assert!((10..30).all(|x| drawn.contains(&(x, 20))));
    assert!(
        drawn
            .iter()
            .all(|&(x, y)| (7..33).contains(&x) && (17..23).contains(&y))
    );
}

#[test]
fn wild_coordinates_never_panic() {
    let info = info(VideoFormat::Nv12, 33, 21);
    let mut h = overlay("", &info);
    let wild = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        1e30,
        -1e30,
        1e9,
        -0.0,
        0.5,
    ];
    for (index, &a) in wild.iter().enumerate() {
        for layout in ["body-pose/coco-17", "face-landmarks/478", "", "no/such"] {
            let points = (0..478).map(|i| [a, wild[(index + i) % wild.len()], 1.0]).collect();
            draw(&mut h, with_points(flat(&info, 0), layout, points));
        }
    }
}

#[test]
fn too_few_points_for_the_layout_are_drawn_as_far_as_they_go() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("", &info);
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 0), "face-landmarks/478", vec![])
    ));
    assert!(is_drawn(
        &mut h,
        with_points(flat(&info, 0), "body-pose/coco-17", vec![[0.5, 0.5, 1.0]; 3])
    ));
}

#[test]
fn malformed_metadata_is_passed_over() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("", &info);
    let mut buffer = flat(&info, 0);
    {
        let buffer = buffer.get_mut().unwrap();
        let mut meta = gst::meta::CustomMeta::add(buffer, landmark::NAME).unwrap();
        let bad = gst::Structure::builder("object")
            .field("points", gst::Array::new([1.0, 2.0]))
            .build();
        meta.mut_structure().set("objects", gst::List::new([bad]));
        let mut meta = gst::meta::CustomMeta::add(buffer, event::NAME).unwrap();
        meta.mut_structure()
            .set("events", gst::List::new([gst::Structure::new_empty("event")]));
    }
    assert!(!is_drawn(&mut h, buffer));
}

#[test]
fn a_caption_stays_for_its_duration() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("font-size=16", &info);
    let start = with_event(flat(&info, 200), "smile", "start", "Smile detected");
    let drawn = changed(&draw(&mut h, start), &info, 200);
    assert!(!drawn.is_empty() && drawn.iter().all(|&(x, y)| y >= 60 && x < 260));
    assert!(is_drawn(&mut h, at(flat(&info, 200), ms(999))));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(1000))));
}

#[test]
fn the_duration_is_running_time_not_timestamps() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("caption-duration=1000000000", &info);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(2.0);
    segment.set_start(gst::ClockTime::from_seconds(10));
    segment.set_base(gst::ClockTime::from_seconds(3));
    assert!(h.push_event(gst::event::Segment::new(&segment)));
    assert!(is_drawn(
        &mut h,
        at(with_event(flat(&info, 200), "smile", "instant", "x"), ms(10_000))
    ));
    assert!(is_drawn(&mut h, at(flat(&info, 200), ms(11_900))));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(12_000))));
}

#[test]
fn the_end_of_a_condition_has_no_caption() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    assert!(!is_drawn(
        &mut h,
        with_event(flat(&info, 200), "smile", "end", "Smile ended")
    ));
}

#[test]
fn captions_pile_up_to_four_lines() {
    let info = info(VideoFormat::Rgb, 320, 240);
    let mut h = overlay("font-size=16", &info);
    let mut height = |count: usize| {
        let kinds = ["a", "b", "c", "d", "e", "f"];
        let buffer = kinds[..count]
            .iter()
            .fold(flat(&info, 200), |b, kind| with_event(b, kind, "start", "message"));
        let drawn = changed(&draw(&mut h, buffer), &info, 200);
        drawn.iter().map(|&(_, y)| y).min().unwrap()
    };
    let (one, four) = (height(1), height(4));
    assert!(four < one);
    assert_eq!(height(6), four);
}

#[test]
fn flush_segment_and_restart_clear_the_captions() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    let start = || with_event(flat(&info, 200), "smile", "start", "Smile detected");
    let segment = || gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());

    assert!(is_drawn(&mut h, start()));
    assert!(h.push_event(gst::event::FlushStart::new()));
    assert!(h.push_event(gst::event::FlushStop::new(true)));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));

    assert!(is_drawn(&mut h, start()));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));

    assert!(is_drawn(&mut h, start()));
    let element = h.find_element("analysisoverlay").unwrap();
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    assert!(h.push_event(gst::event::StreamStart::new("again")));
    assert!(h.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    assert!(h.push_event(segment()));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), ms(10))));
}

#[test]
fn frames_without_timestamps_show_an_event_once() {
    let info = info(VideoFormat::Rgb, 320, 120);
    let mut h = overlay("", &info);
    assert!(is_drawn(
        &mut h,
        at(with_event(flat(&info, 200), "smile", "start", "x"), None)
    ));
    assert!(!is_drawn(&mut h, at(flat(&info, 200), None)));
}

#[test]
fn a_gap_buffer_passes_untouched_with_its_flag() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let mut buffer = with_region(flat(&info, 5), &region((8, 8, 40, 40)));
    buffer.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
    let out = draw(&mut h, buffer);
    assert!(changed(&out, &info, 5).is_empty());
    assert!(out.flags().contains(gst::BufferFlags::GAP));
}

#[test]
fn a_frame_smaller_than_its_caps_passes_with_one_warning() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let bus = gst::Bus::new();
    h.find_element("analysisoverlay").unwrap().set_bus(Some(&bus));
    for _ in 0..3 {
        let buffer = gst::Buffer::from_mut_slice(vec![5u8; 100]);
        let out = draw(&mut h, with_region(buffer, &region((8, 8, 40, 40))));
        assert_eq!(bytes(&out), [5; 100]);
    }
    let warnings = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning])).count();
    assert_eq!(warnings, 1);
}

#[test]
fn metadata_timestamps_and_flags_stay() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let buffer = with_points(
        with_region(flat(&info, 5), &region((8, 8, 40, 40))),
        "hand/1",
        vec![[0.5, 0.5, 1.0]],
    );
    let mut buffer = with_event(buffer, "smile", "start", "x");
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_pts(gst::ClockTime::from_mseconds(40));
        buffer.set_duration(gst::ClockTime::from_mseconds(20));
        buffer.set_offset(7);
        buffer.set_flags(gst::BufferFlags::DISCONT);
    }
    let out = draw(&mut h, buffer);
    assert_eq!(out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().count(), 1);
    assert_eq!((landmark::read(&out).len(), event::read(&out).len()), (1, 1));
    assert_eq!((out.pts(), out.duration(), out.offset()), (ms(40), ms(20), 7));
    assert!(out.flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn the_stream_may_change_size_and_format() {
    let first = info(VideoFormat::I420, 32, 16);
    let mut h = overlay("line-width=1 draw-labels=false", &first);
    assert!(is_drawn(&mut h, with_region(flat(&first, 90), &region((2, 2, 8, 8)))));
    let second = info(VideoFormat::Rgb, 17, 15);
    h.set_src_caps(second.to_caps().unwrap());
    let out = draw(&mut h, with_region(flat(&second, 0), &region((2, 2, 8, 8))));
    assert_eq!(changed(&out, &second, 0), outline(2, 2, 10, 10));
}

#[test]
fn a_format_of_more_than_eight_bits_is_refused() {
    let first = info(VideoFormat::I420, 32, 16);
    let mut h = overlay("", &first);
    draw(&mut h, flat(&first, 0));
    let deep = info(VideoFormat::P01010le, 32, 16).to_caps().unwrap();
    for caps in [deep, gst::Caps::builder("image/jpeg").build()] {
        // A refused sticky event shows at the next buffer.
        h.push_event(gst::event::Caps::new(&caps));
        assert_eq!(h.push(flat(&first, 0)), Err(gst::FlowError::NotNegotiated), "{caps}");
    }
}

#[test]
fn a_frame_before_caps_is_not_negotiated() {
    init();
    let mut h = Harness::new("analysisoverlay");
    h.play();
    assert!(h.push_event(gst::event::StreamStart::new("s")));
    assert!(h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    assert_eq!(
        h.push(gst::Buffer::from_mut_slice(vec![0u8; 64])),
        Err(gst::FlowError::NotNegotiated)
    );
}

#[test]
fn properties_by_string() {
    init();
    let element = gst::parse::launch(
        "analysisoverlay draw-boxes=false draw-labels=false draw-landmarks=false draw-captions=false line-width=5 \
         font-size=30 caption-duration=2500000000 min-confidence=0.25",
    )
    .unwrap();
    for name in ["draw-boxes", "draw-labels", "draw-landmarks", "draw-captions"] {
        assert!(!element.property::<bool>(name), "{name}");
    }
    assert_eq!(
        (
            element.property::<u32>("line-width"),
            element.property::<u32>("font-size")
        ),
        (5, 30)
    );
    assert_eq!(element.property::<u64>("caption-duration"), 2_500_000_000);
    assert_eq!(element.property::<f64>("min-confidence"), 0.25);
}

#[test]
fn properties_that_make_no_sense_are_refused() {
    init();
    for line in [
        "colour=red",
        "draw-boxes=perhaps",
        "line-width=wide",
        "caption-duration=soon",
        "min-confidence=x",
    ] {
        assert!(
            gst::parse::launch(&format!("analysisoverlay {line}")).is_err(),
            "{line}"
        );
    }
}

#[test]
fn every_property_says_what_it_is_and_may_change_while_playing() {
    init();
    let element = gst::ElementFactory::make("analysisoverlay").build().unwrap();
    let own: Vec<_> = element
        .list_properties()
        .iter()
        .filter(|p| p.owner_type() == element.type_())
        .cloned()
        .collect();
    assert_eq!(own.len(), 8);
    for property in own {
        assert!(!property.nick().is_empty() && property.blurb().is_some_and(|blurb| blurb.len() > 10));
        assert!(
            property.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING),
            "{}",
            property.name()
        );
    }
    let factory = element.factory().unwrap();
    assert_eq!(factory.rank(), gst::Rank::NONE);
    assert_eq!(factory.metadata("klass"), Some("Filter/Effect/Video"));
}

#[test]
fn a_property_counts_from_the_next_frame_on() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("draw-labels=false", &info);
    let element = h.find_element("analysisoverlay").unwrap();
    assert!(is_drawn(&mut h, with_region(flat(&info, 9), &region((8, 8, 40, 40)))));
    element.set_property("draw-boxes", false);
    assert!(!is_drawn(&mut h, with_region(flat(&info, 9), &region((8, 8, 40, 40)))));
}

#[test]
fn tracks_differ_in_color() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("draw-labels=false line-width=2", &info);
    let mut corner = |track| {
        let mut region = region((0, 0, 64, 64));
        region.track_id = track;
        bytes(&draw(&mut h, with_region(flat(&info, 0), &region)))[..3].to_vec()
    };
    let colors: BTreeSet<_> = (0..6).map(&mut corner).collect();
    assert_eq!(colors.len(), 6);
    assert_eq!(corner(3), corner(3));
}

#[test]
fn text_of_any_length_and_script_is_cut_to_the_frame() {
    let info = info(VideoFormat::I420, 64, 48);
    let mut h = overlay("font-size=256", &info);
    for message in ["x".repeat(5000), "눈치 \u{0} \n\t é ÿ \u{1F600}".into(), String::new()] {
        assert!(is_drawn(
            &mut h,
            with_event(flat(&info, 90), "smile", "instant", &message)
        ));
    }
}

#[test]
fn the_end_may_come_first_and_twice() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("", &info);
    assert!(h.push_event(gst::event::Eos::new()));
    h.push_event(gst::event::Eos::new());
    let ends = std::iter::from_fn(|| h.try_pull_event())
        .filter(|e| e.type_() == gst::EventType::Eos)
        .count();
    assert!(ends >= 1);
    assert_eq!(h.push(flat(&info, 0)), Err(gst::FlowError::Eos));
}

#[test]
fn downstream_flow_returns_pass_through() {
    let info = info(VideoFormat::Rgb, 16, 16);
    let mut h = overlay("", &info);
    let pad = h.sinkpad().unwrap();
    assert!(h.push_upstream_event(gst::event::Reconfigure::new()));
    pad.set_active(false).unwrap();
    assert_eq!(h.push(flat(&info, 0)), Err(gst::FlowError::Flushing));
}

#[test]
fn a_hundred_starts_and_stops() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! analysisoverlay ! fakesink async=false",
    )
    .unwrap();
    for _ in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
