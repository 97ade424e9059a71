//! Which pixels change, in every format, and whose memory.

use super::*;

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
