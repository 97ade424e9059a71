//! One network for several streams.

use super::*;
use std::sync::mpsc;

/// A line of frames of a size through an element of the group, for `parse`.
fn line(name: &str, count: u32, (width, height): (u32, u32), fps: u32, properties: &str) -> String {
    format!(
        "videotestsrc pattern=blink num-buffers={count} ! video/x-raw,format=GRAY8,width={width},height={height},framerate={fps}/1 ! \
         cudassd name=ssd-{name} fail-on-error=true score-threshold=0.1 {} {properties} ! fakesink name={name} ",
        network("ssd300.onnx")
    )
}

type Frames = Vec<(Option<gst::ClockTime>, Vec<Object>)>;

/// What arrives at sinks `a` and `b` of one pipeline.
fn both(line: &str) -> [Frames; 2] {
    init();
    let pipeline = parse(line);
    let (sender, receiver) = mpsc::channel();
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let pad = pipeline.by_name(name).unwrap().static_pad("sink").unwrap();
        let sender = sender.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let buffer = info.buffer().unwrap();
            let _ = sender.send((index, buffer.pts(), objects(buffer, (1.0, 1.0))));
            gst::PadProbeReturn::Ok
        });
    }
    run(&pipeline).unwrap();
    let mut found = [Vec::new(), Vec::new()];
    for (index, time, objects) in receiver.try_iter() {
        found[index].push((time, objects));
    }
    found
}

/// Names and tracks are the same, places nearly.
#[track_caller]
fn assert_alike(found: &Frames, wanted: &Frames) {
    assert_eq!(found.len(), wanted.len());
    for ((time, found), (wanted_time, wanted)) in found.iter().zip(wanted) {
        assert_eq!((time, found.len()), (wanted_time, wanted.len()));
        for (a, b) in found.iter().zip(wanted) {
            assert_eq!((&a.name, a.track), (&b.name, b.track));
            assert!(
                a.sides.iter().zip(b.sides).all(|(a, b)| (a - b).abs() < 1e-4),
                "{a:?} {b:?}"
            );
        }
    }
}

#[test]
fn sources_of_different_size_and_length_share_batches_and_mix_nothing_up() {
    let of = |properties: &str| {
        let a = line("a", 37, (64, 48), 25, properties);
        both(&format!("{a} {}", line("b", 23, (50, 70), 10, properties)))
    };
    let apart = of("");
    assert_eq!((apart[0].len(), apart[1].len()), (37, 23));
    assert!(apart[0][0].1 != apart[1][0].1 || apart[0][1].1 != apart[1][1].1);
    for (batch, timeout) in [(2, 3_600_000_000_000u64), (4, 3_600_000_000_000), (5, 2_000_000)] {
        let group = format!("batch-size={batch} batch-timeout={timeout} batch-group=g{batch}");
        let together = of(&group);
        for (found, wanted) in together.iter().zip(&apart) {
            assert_alike(found, wanted);
        }
    }
}

#[test]
fn who_leaves_a_group_holds_up_nobody() {
    // The first ends at once; the second has never a full batch and goes on.
    let group = "batch-size=8 batch-timeout=3600000000000 batch-group=left";
    let found = both(&format!(
        "{} {}",
        line("a", 1, (64, 48), 25, group),
        line("b", 30, (64, 48), 25, group)
    ));
    assert_eq!((found[0].len(), found[1].len()), (1, 30));
}

#[test]
fn a_group_of_two_models_is_refused() {
    init();
    let a = line("a", 5, (64, 48), 25, "batch-group=two");
    let b = line("b", 5, (64, 48), 25, "batch-group=two").replace("ssd300.onnx", "tf.onnx");
    let error = run(&parse(&format!("{a} {b}"))).unwrap_err();
    assert!(
        error.contains("batch-group=two") && error.contains("another group"),
        "{error}"
    );
}
