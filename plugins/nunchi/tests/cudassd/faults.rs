//! Models, labels, settings and frames that will not do.

use super::*;

/// The error that a pipeline with such an element ends with.
#[track_caller]
fn error(properties: &str) -> String {
    init();
    run(&parse(&format!(
        "videotestsrc num-buffers=2 ! cudassd name=ssd {properties} ! fakesink"
    )))
    .unwrap_err()
}

fn model(name: &str) -> String {
    format!(
        "model=\"{}\"",
        file(&format!("plugins/inference/models/{name}")).display()
    )
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let e = error("model=/nowhere/model.onnx");
    assert!(e.contains("/nowhere/model.onnx") && e.starts_with("ssd: "), "{e}");
}

#[test]
fn a_damaged_model_is_named_by_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.onnx");
    std::fs::write(&garbage, b"this is not a network").unwrap();
    let cut = dir.path().join("cut.onnx");
    let whole = std::fs::read(file("plugins/inference/tests/data/ssd/ssd300.onnx")).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for engine in ENGINES {
        for model in [&garbage, &cut] {
            let e = error(&format!("engine={engine} model=\"{}\"", model.display()));
            assert!(
                e.contains(model.file_name().unwrap().to_str().unwrap()),
                "{engine}: {e}"
            );
        }
    }
}

#[test]
fn a_network_that_is_no_ssd_is_named_with_its_shapes() {
    for engine in ENGINES {
        let e = error(&format!("engine={engine} {}", model("emotion_fer7_64.onnx")));
        assert!(
            e.contains("expected") && e.contains("SSD") && e.contains("[1, 7]"),
            "{engine}: {e}"
        );
    }
}

#[test]
fn a_family_that_the_network_is_not_of_is_refused() {
    let e = error(&format!("model-family=ssd300 {}", network("tf.onnx")));
    assert!(e.contains("ssd300") || e.contains("SSD300"), "{e}");
    let e = error("model-family=nms");
    assert!(e.contains("expected"), "{e}");
}

#[test]
fn labels_of_another_length_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, count) in [("few", 3), ("many", 500), ("none", 0)] {
        let path = dir.path().join(name);
        let text: String = (0..count).map(|n| format!("thing{n}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let e = error(&format!("labels-file=\"{}\"", path.display()));
        assert!(e.contains(name), "{e}");
        assert!(count == 0 || e.contains(&count.to_string()) && e.contains("90"), "{e}");
    }
    let e = error("labels-file=/nowhere/names.txt");
    assert!(e.contains("/nowhere/names.txt"), "{e}");
}

#[test]
fn settings_that_cannot_work_say_what_would() {
    for (properties, says) in [
        ("classes=unicorn", "unicorn"),
        ("mean=red", "mean=red"),
        ("std=1,2", "std=1,2"),
        ("std=0", "std"),
        ("mean=nan", "mean"),
        ("detections-location=all.txt", "infer%d.txt"),
        ("detections-location=/nowhere/infer%d.txt", "/nowhere"),
        ("engine=hailo", "Hailo"),
        ("engine=tensors", "Hailo"),
        ("device=TOASTER:0", "TOASTER"),
        ("engine=embedded precision=bf16", "precision"),
    ] {
        let e = error(properties);
        assert!(e.contains(says), "{properties}: {e}");
    }
}

#[test]
fn values_out_of_range_and_unknown_ones_are_refused() {
    init();
    for line in [
        "cudassd engine=abacus",
        "cudassd model-family=yolo",
        "cudassd preprocess=shred",
        "cudassd score-threshold=high",
        "cudassd colour=red",
    ] {
        assert!(gst::parse::launch(line).is_err(), "{line}");
    }
    let element = gst::ElementFactory::make("cudassd").build().unwrap();
    for (property, wrong) in [
        ("score-threshold", 1.5f32),
        ("score-threshold", -0.1),
        ("iou-threshold", 2.0),
    ] {
        let outcome = std::panic::catch_unwind(|| element.set_property(property, wrong));
        assert!(
            outcome.is_err() || element.property::<f32>(property) != wrong,
            "{property}"
        );
    }
    for (property, wrong) in [("batch-size", 0u32), ("batch-size", 257), ("max-objects", 1001)] {
        let outcome = std::panic::catch_unwind(|| element.set_property(property, wrong));
        assert!(
            outcome.is_err() || element.property::<u32>(property) != wrong,
            "{property}"
        );
    }
    let _ = std::panic::catch_unwind(|| element.set_property("score-threshold", f32::NAN));
    assert!(!element.property::<f32>("score-threshold").is_nan());
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_or_a_warning() {
    if std::path::Path::new("/dev/nvidia0").exists() {
        return;
    }
    init();
    let line = "videotestsrc num-buffers=1 ! cudassd engine=onnxruntime device=CUDA:0 fallback=cpu ! fakesink";
    let messages = run(&parse(line)).unwrap();
    assert!(
        messages.iter().any(|m| m.type_() == gst::MessageType::Warning),
        "the fallback is said"
    );
    let e = error("engine=onnxruntime device=CUDA:0");
    assert!(e.contains("CUDA"), "{e}");
}

#[test]
fn what_steers_the_loading_stays_as_it_is_while_the_element_runs() {
    init();
    let pipeline = parse("videotestsrc num-buffers=2 ! cudassd name=ssd ! fakesink");
    let ssd = pipeline.by_name("ssd").unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(60)).0.unwrap();
    let value = |name: &str| {
        ssd.property_value(name)
            .serialize()
            .map(|v| v.to_string())
            .unwrap_or_default()
    };
    for (name, other) in [
        ("batch-size", "4"),
        ("classes", "dog"),
        ("batch-group", "x"),
        ("labels-file", "x"),
    ] {
        let before = value(name);
        ssd.set_property_from_str(name, other);
        assert_eq!(value(name), before, "{name}");
    }
    ssd.set_property("score-threshold", 0.75f32);
    assert_eq!(ssd.property::<f32>("score-threshold"), 0.75);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn text_files_that_cannot_be_written_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let picture = picture("dog.jpg", "I420");
    // A folder stands where the second file should.
    std::fs::create_dir(dir.path().join("infer2.txt")).unwrap();
    let properties = format!(
        "fail-on-error=true detections-location=\"{}/infer%d.txt\"",
        dir.path().display()
    );
    let mut h = harness(&picture, &properties);
    h.push(picture.at(ms(0))).unwrap();
    assert_eq!(h.push(picture.at(ms(40))), Err(gst::FlowError::Error));
}

#[test]
fn a_buffer_that_is_too_small_warns_once_and_passes() {
    for batch in [1, 4] {
        let picture = black(VideoFormat::I420, 64, 48);
        let pipeline = parse(&format!(
            "appsrc name=src format=time ! cudassd name=ssd {} batch-size={batch} ! fakesink name=sink",
            network("nms-tf.onnx")
        ));
        let src = pipeline.by_name("src").unwrap();
        src.set_property("caps", &picture.caps);
        for n in 0..10 {
            let frame = if n % 2 == 0 {
                picture.at(ms(n * 40))
            } else {
                buffer(ms(n * 40), &[])
            };
            let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
        }
        let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
        let messages = run(&pipeline).unwrap();
        let warnings = messages.iter().filter(|m| m.type_() == gst::MessageType::Warning);
        assert_eq!(warnings.count(), 1);
        let stats = pipeline.by_name("ssd").unwrap().property::<gst::Structure>("stats");
        let counts = ["frames", "inferences", "errors"].map(|name| stats.get::<u64>(name).unwrap());
        assert_eq!(counts, [10, 5, 5], "batches of {batch}");
    }
}

#[test]
fn formats_that_are_not_read_do_not_negotiate() {
    init();
    for caps in [
        "video/x-raw,format=P010_10LE",
        "video/x-raw(memory:NVMM),format=NV12",
        "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved",
    ] {
        let line = format!("fakesrc num-buffers=1 ! {caps},width=64,height=64,framerate=25/1 ! cudassd ! fakesink");
        let outcome = gst::parse::launch(&line)
            .map_err(|e| e.to_string())
            .and_then(|p| run(&p.downcast().unwrap()));
        assert!(outcome.is_err(), "{caps}");
    }
}

#[test]
fn end_of_stream_before_the_first_buffer_passes() {
    let picture = black(VideoFormat::I420, 64, 48);
    for batch in [1, 4] {
        let mut h = harness(&picture, &format!("{} batch-size={batch}", network("nms-tf.onnx")));
        assert!(h.push_event(gst::event::Eos::new()));
        assert_eq!(h.events_received(), 4, "stream start, caps, segment, end");
    }
}
