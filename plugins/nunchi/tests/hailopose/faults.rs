//! Models, devices, formats and frames that will not do.

use super::*;

/// The error that a pipeline with such an element ends with.
#[track_caller]
fn error(properties: &str) -> String {
    init();
    run(&parse(&format!(
        "videotestsrc num-buffers=2 ! hailopose name=pose {properties} ! fakesink"
    )))
    .unwrap_err()
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let e = error("model=/nowhere/model.onnx");
    assert!(e.contains("/nowhere/model.onnx") && e.starts_with("pose: "), "{e}");
}

#[test]
fn thresholds_that_leave_nothing_between_them_are_refused() {
    let e = error("far-threshold=50 near-threshold=10");
    assert!(e.contains("far-threshold 50") && e.contains("near-threshold 10"), "{e}");
}

#[test]
fn what_steers_the_loading_stays_as_it_is_while_the_element_runs() {
    init();
    let pipeline = parse("videotestsrc num-buffers=2 ! hailopose name=pose ! fakesink");
    let pose = pipeline.by_name("pose").unwrap();
    pose.set_property_from_str("analytics-meta", "off");
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(30)).0.unwrap();
    let before = |name: &str| pose.property_value(name).serialize().unwrap().to_string();
    for (name, value) in [
        ("analytics-meta", "auto"),
        ("nvds-meta", "off"),
        ("fallback", "cpu"),
        ("threads", "3"),
    ] {
        let was = before(name);
        pose.set_property_from_str(name, value);
        assert_eq!(before(name), was, "{name}");
    }
    // What may change does.
    pose.set_property("keypoint-threshold", 0.7f32);
    assert_eq!(pose.property::<f32>("keypoint-threshold"), 0.7);
    pipeline.set_state(gst::State::Null).unwrap();
    pose.set_property("threads", 3u32);
    assert_eq!(pose.property::<u32>("threads"), 3);
}

#[test]
fn a_damaged_model_is_named_by_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.onnx");
    std::fs::write(&garbage, b"this is not a network").unwrap();
    let cut = dir.path().join("cut.onnx");
    let whole = std::fs::read(file("plugins/inference/models/movenet_lightning_17.onnx")).unwrap();
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
fn a_network_of_no_known_family_is_named_with_its_shapes() {
    let other = file("plugins/inference/models/emotion_fer7_64.onnx");
    for engine in ENGINES {
        let e = error(&format!("engine={engine} model=\"{}\"", other.display()));
        assert!(
            e.contains("expected") && e.contains("MoveNet") && e.contains("[1, 7]"),
            "{engine}: {e}"
        );
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_or_a_warning() {
    let line = "videotestsrc num-buffers=1 ! hailopose engine=onnxruntime device=CUDA:0 fallback=cpu ! fakesink";
    init();
    let messages = run(&parse(line)).unwrap();
    if std::path::Path::new("/dev/nvidia0").exists() {
        return;
    }
    assert!(
        messages.iter().any(|m| m.type_() == gst::MessageType::Warning),
        "the fallback is said"
    );
    let e = error("engine=onnxruntime device=CUDA:0");
    assert!(e.contains("CUDA"), "{e}");
}

#[test]
fn precisions_and_devices_that_are_not_had_are_refused() {
    for engine in ["onnxruntime", "embedded"] {
        let e = error(&format!("engine={engine} precision=bf16"));
        assert!(e.contains("precision"), "{e}");
    }
    let e = error("device=TOASTER:0");
    assert!(e.contains("TOASTER"), "{e}");
}

#[test]
fn analytics_that_is_wanted_must_be_there() {
    init();
    let outcome = run(&parse(
        "videotestsrc num-buffers=1 ! hailopose engine=embedded analytics-meta=on ! fakesink",
    ));
    if meta::analytics::is_available() {
        outcome.unwrap();
    } else {
        let e = outcome.unwrap_err();
        assert!(e.contains("libgstanalytics") && e.contains("1.24"), "{e}");
    }
}

#[test]
fn formats_that_are_not_read_do_not_negotiate() {
    for caps in [
        "video/x-raw,format=P010_10LE",
        "video/x-raw(memory:NVMM),format=NV12",
        "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved",
    ] {
        init();
        let line = format!(
            "fakesrc num-buffers=1 ! {caps},width=64,height=64,framerate=25/1 ! hailopose engine=embedded ! fakesink"
        );
        let outcome = gst::parse::launch(&line)
            .map_err(|e| e.to_string())
            .and_then(|p| run(&p.downcast().unwrap()));
        assert!(outcome.is_err(), "{caps}");
    }
}

#[test]
fn a_buffer_that_is_too_small_warns_once_and_passes() {
    let picture = black(VideoFormat::I420, 64, 48);
    let pipeline = parse("appsrc name=src format=time ! hailopose name=pose engine=embedded ! fakesink");
    let src = pipeline.by_name("src").unwrap();
    src.set_property("caps", &picture.caps);
    for n in 0..5 {
        let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer(ms(n * 40), &[])]);
    }
    let _ = src.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    let messages = run(&pipeline).unwrap();
    let warnings = messages.iter().filter(|m| m.type_() == gst::MessageType::Warning);
    assert_eq!(warnings.count(), 1);
    let stats = pipeline.by_name("pose").unwrap().property::<gst::Structure>("stats");
    assert_eq!((stats.get::<u64>("frames"), stats.get::<u64>("errors")), (Ok(5), Ok(5)));
}

#[test]
fn a_bad_frame_is_an_error_when_the_user_wants_it_so() {
    let picture = black(VideoFormat::I420, 64, 48);
    let mut h = harness(&picture, "engine=embedded fail-on-error=true");
    assert_eq!(h.push(buffer(ms(0), &[])), Err(gst::FlowError::Error));
}

#[test]
fn values_out_of_range_and_unknown_ones_are_refused() {
    init();
    for line in [
        "hailopose engine=abacus",
        "hailopose colour=red",
        "hailopose smoothing=perhaps",
        "hailopose head-tilt-threshold=steep",
    ] {
        assert!(gst::parse::launch(line).is_err(), "{line}");
    }
    let element = gst::ElementFactory::make("hailopose").build().unwrap();
    for (property, wrong) in [("max-people", 0u32), ("max-people", 65), ("inference-interval", 0)] {
        let outcome = std::panic::catch_unwind(|| element.set_property(property, wrong));
        assert!(
            outcome.is_err() || element.property::<u32>(property) != wrong,
            "{property}"
        );
    }
    for (property, wrong) in [
        ("asymmetry-threshold", 0.9),
        ("gesture-threshold", -1.0),
        ("near-threshold", 1e9),
    ] {
        let outcome = std::panic::catch_unwind(|| element.set_property(property, wrong));
        let now = element.property::<f64>(property);
        assert!(outcome.is_err() || (now != wrong), "{property}: {now}");
    }
}

#[test]
fn end_of_stream_before_the_first_buffer_passes() {
    let picture = black(VideoFormat::I420, 64, 48);
    let mut h = harness(&picture, "engine=embedded");
    assert!(h.push_event(gst::event::Eos::new()));
    assert_eq!(h.events_received(), 4, "stream start, caps, segment, end");
}
