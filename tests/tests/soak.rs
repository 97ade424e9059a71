//! Memory stays flat over many frames.

use gst::prelude::*;

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Runs `frames` buffers through the elements; resident memory after half of them and at the end. (OpenVINO takes memory for some seconds before it stays.)
fn soak(frames: u32, line: &str) -> (u64, u64) {
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let early = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let sink = pipeline.by_name("probe").unwrap().static_pad("sink").unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let seen = early.clone();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == frames / 2 {
            seen.store(resident(), std::sync::atomic::Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus
        .timed_pop_filtered(
            gst::ClockTime::from_seconds(300),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        )
        .expect("an end within five minutes");
    let late = resident();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    (early.load(std::sync::atomic::Ordering::Relaxed), late)
}

/// One test, alone in its program, because it measures the whole process.
#[test]
fn memory_is_flat_over_a_hundred_thousand_frames() {
    gst::init().unwrap();
    gstnunchi::plugin_register_static().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.xml");
    // The whole chain a hundred thousand times, with few inferences; then every part of it at work in each of fewer frames.
    let (early, late) = soak(
        100_000,
        "videotestsrc num-buffers=100000 pattern=black ! video/x-raw,format=I420,width=32,height=32 ! \
         hailoface engine=embedded inference-interval=1000 ! eventthrottle ! analysisoverlay ! fakesink name=probe",
    );
    assert!(late < early + 8 * 1024, "{early} KiB after half, {late} KiB at the end");
    // Captions drawn a thousand times a second: letters at ever new places and sizes.
    let captions = nunchi_tests::root().join("plugins/nunchi/benches/captions/moving.json");
    let (early, late) = soak(
        20_000,
        &format!(
            "videotestsrc num-buffers=20000 pattern=black ! video/x-raw,format=I420,width=320,height=180,framerate=1000/1 ! \
             motiontextoverlay location=\"{}\" ! fakesink name=probe",
            captions.display()
        ),
    );
    assert!(late < early + 8 * 1024, "{early} KiB after half, {late} KiB at the end");
    let portrait = nunchi_tests::root().join("tests/media/astronaut.png");
    let (early, late) = soak(
        3_000,
        &format!(
            "filesrc location=\"{}\" ! pngdec ! imagefreeze num-buffers=3000 ! videoscale ! videoconvert ! \
             video/x-raw,format=I420,width=256,height=256 ! hailoface ! analysisoverlay ! xmllogsink name=probe location=\"{}\"",
            portrait.display(),
            log.display()
        ),
    );
    // A leaked frame (98 KB) or its landmarks (34 KB) would take 50 MB and more; a busy machine starts some of the engine's
    // threads, each with a heap of its own, only now.
    assert!(
        late < early + 24 * 1024,
        "{early} KiB after half, {late} KiB at the end"
    );
}
