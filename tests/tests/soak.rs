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

/// Ten minutes of a stream of 50 frames a second, twice as fast as the encoder is, both in a twentieth of their time.
fn overload(folder: &std::path::Path) {
    const FRAMES: u64 = 30_000;
    let line = format!(
        "videotestsrc name=source num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=50/1 ! \
         nvencsink name=probe preset=ultrafast tune=low-latency drop-policy=drop-oldest max-buffers=60 max-size-time=60000000000 max-files=3 \
         location=\"{}\"",
        folder.join("live-%03d.mp4").display()
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("probe").unwrap();
    let late = |pad: &gst::Pad, each: u64| {
        let begun = std::sync::OnceLock::new();
        let count = std::sync::atomic::AtomicU64::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let begun: &std::time::Instant = begun.get_or_init(std::time::Instant::now);
            let due = std::time::Duration::from_micros(each * count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            gst::PadProbeReturn::Ok
        });
    };
    late(&pipeline.by_name("source").unwrap().static_pad("src").unwrap(), 1_000);
    let bin = sink.downcast_ref::<gst::Bin>().unwrap();
    bin.connect_element_added(move |_, element| {
        if element.factory().is_some_and(|factory| factory.name() == "x264enc") {
            late(&element.static_pad("sink").unwrap(), 2_000);
        }
    });
    let (memory, latency) = (
        std::sync::Arc::new([const { std::sync::atomic::AtomicU64::new(0) }; 4]),
        sink.clone(),
    );
    let (seen, count) = (memory.clone(), std::sync::atomic::AtomicU64::new(0));
    sink.static_pad("sink")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if at.is_multiple_of(FRAMES / 4) {
                seen[(at / (FRAMES / 4)) as usize % 4].store(resident(), std::sync::atomic::Ordering::Relaxed);
                // 60 frames wait at most, each for 2 ms; twenty times that on a busy machine.
                assert!(latency.property::<u64>("latency") < 2_400_000_000);
            }
            gst::PadProbeReturn::Ok
        });
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(300), &kinds);
    assert_eq!(end.expect("an end within five minutes").type_(), gst::MessageType::Eos);
    let end = resident();
    let (processed, dropped): (u64, u64) = (sink.property("processed-frames"), sink.property("dropped-frames"));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(processed + dropped, FRAMES);
    assert!(dropped > FRAMES / 4, "{processed} encoded, {dropped} dropped");
    let half = memory[2].load(std::sync::atomic::Ordering::Relaxed);
    assert!(end < half + 8 * 1024, "{half} KiB after half, {end} KiB at the end");
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
    overload(dir.path());
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
