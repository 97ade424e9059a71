//! The Hailo engine on the double of HailoRT: right numbers, right order, many networks, nothing left behind.

mod common;

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::hailo::{
    BEHAVIOUR, Hefs, LIBRARY, detector, double, echo, eventually, floats, handles, hasty, open, opened, options,
    receive, refused, send, stream, threads,
};
use common::process::in_a_process;
use nunchi_inference::engine::hailo::{HailoOptions, StreamFormat, describe_hef};
use nunchi_inference::engine::{
    DataType, EngineError, EngineKind, EngineOptions, Layout, ModelSource, Network, TensorRef, load, probe,
    read_detections,
};
use nunchi_inference::models;
use serde_json::json;

/// Runs the rest of a test in a process that has the double.
fn on_the_double(test: &str, behaviour: &str) -> bool {
    in_a_process(test, &[(LIBRARY, &double()), (BEHAVIOUR, behaviour)])
}

/// Pixels that are different everywhere.
fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 % 251) as u8).collect()
}

/// What the embedded engine makes of the pixels: scores and boxes.
fn on_the_cpu(pixels: &[u8]) -> [Vec<f32>; 2] {
    let mut network = load(&models::face_detector(), &common::options(EngineKind::Embedded)).unwrap();
    let tensor = network.input(0, 0).unwrap().f32().unwrap();
    for (at, &pixel) in pixels.iter().enumerate() {
        tensor[at % 3 * 128 * 128 + at / 3] = f32::from(pixel) / 127.5 - 1.0;
    }
    network.infer(0).unwrap();
    ["scores", "regressors"].map(|name| {
        let index = network.outputs().iter().position(|info| info.name == name).unwrap();
        network.output(0, index).unwrap().f32().unwrap().to_vec()
    })
}

#[track_caller]
fn assert_near(a: &[f32], b: &[f32], most: f32) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= most, "{worst}");
}

#[test]
fn a_network_gives_the_numbers_of_the_cpu() {
    if !on_the_double("a_network_gives_the_numbers_of_the_cpu", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.json("detector.hef", &detector(0.0));
    let mut network = opened(&hef, &options());
    assert_eq!((network.engine(), network.device()), (EngineKind::Hailo, "HAILO"));
    let input = &network.inputs()[0];
    assert_eq!(
        (input.shape.as_slice(), input.layout),
        ([1, 128, 128, 3].as_slice(), Layout::Nhwc)
    );
    assert_eq!(input.data_type, DataType::U8);
    let pixels = pixels(input.len());
    network.input(0, 0).unwrap().u8().unwrap().copy_from_slice(&pixels);
    network.infer(0).unwrap();
    for (index, wanted) in on_the_cpu(&pixels).iter().enumerate() {
        assert_near(network.output(0, index).unwrap().f32().unwrap(), wanted, 1e-3);
    }
}

#[test]
fn float_inputs_give_what_pixels_give() {
    if !on_the_double("float_inputs_give_what_pixels_give", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.json("detector.hef", &detector(0.0));
    let mut network = opened(&hef, &floats());
    assert_eq!(network.inputs()[0].quantisation, None);
    let pixels = pixels(network.inputs()[0].len());
    let input = network.input(0, 0).unwrap().f32().unwrap();
    for (value, &pixel) in input.iter_mut().zip(&pixels) {
        *value = f32::from(pixel) / 127.5 - 1.0;
    }
    network.infer(0).unwrap();
    let [scores, _] = on_the_cpu(&pixels);
    assert_near(network.output(0, 0).unwrap().f32().unwrap(), &scores, 1e-3);
}

#[test]
fn native_outputs_and_their_scales_give_the_floats() {
    if !on_the_double("native_outputs_and_their_scales_give_the_floats", "") {
        return;
    }
    let scale = 0.5;
    let hefs = Hefs::new();
    let hef = hefs.json("detector.hef", &detector(scale));
    let native = HailoOptions {
        output: StreamFormat::Native,
        ..options()
    };
    let (mut stored, mut real) = (opened(&hef, &native), opened(&hef, &options()));
    let pixels = pixels(stored.inputs()[0].len());
    for network in [&mut stored, &mut real] {
        network.input(0, 0).unwrap().u8().unwrap().copy_from_slice(&pixels);
        network.infer(0).unwrap();
    }
    let quantisation = stored.outputs()[0].quantisation.unwrap();
    assert_eq!((quantisation.scale, quantisation.zero_point), (0.5, 200.0));
    let bytes = stored.output(0, 0).unwrap().u8().unwrap();
    let scores: Vec<f32> = bytes.iter().map(|&byte| quantisation.real(byte)).collect();
    assert_eq!(scores, real.output(0, 0).unwrap().f32().unwrap());
    let [wanted, _] = on_the_cpu(&pixels);
    let within: Vec<f32> = wanted.iter().map(|s| s.clamp(scale * -200.0, scale * 55.0)).collect();
    assert_near(&scores, &within, scale / 2.0 + 1e-3);
}

#[test]
fn sixteen_bits_several_inputs_and_outputs() {
    if !on_the_double("sixteen_bits_several_inputs_and_outputs", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.json(
        "many.hef",
        &json!({
            "group": "many",
            "network": {"affine": [2, 1]},
            "inputs": [
                {"name": "many/left", "shape": [1, 2, 1], "scale": 1},
                {"name": "many/right", "shape": [1, 1, 3], "scale": 0.5, "zero_point": 1, "bits": 16},
            ],
            "outputs": [
                {"name": "many/wide", "shape": [2, 2, 2], "scale": 0.25, "zero_point": 8, "bits": 16},
                {"name": "many/small", "shape": [1, 1, 2]},
            ],
        }),
    );
    let native = HailoOptions {
        output: StreamFormat::Native,
        ..options()
    };
    let mut network = opened(&hef, &native);
    let types: Vec<_> = network
        .inputs()
        .iter()
        .chain(network.outputs())
        .map(|info| info.data_type)
        .collect();
    assert_eq!(types, [DataType::U8, DataType::U16, DataType::U16, DataType::U8]);
    network.input(0, 0).unwrap().u8().unwrap().copy_from_slice(&[1, 2]);
    match network.input(0, 1).unwrap() {
        nunchi_inference::engine::TensorMut::U16(values) => values.copy_from_slice(&[1, 3, 401]),
        other => panic!("{other:?}"),
    }
    network.infer(0).unwrap();
    // 1, 2, 0, 1, 200 times 2 plus 1, over and over.
    let quantisation = network.outputs()[0].quantisation.unwrap();
    let TensorRef::U16(wide) = network.output(0, 0).unwrap() else {
        panic!("u16")
    };
    let wide: Vec<f32> = wide.iter().map(|&value| quantisation.real(value)).collect();
    assert_eq!(wide, [3.0, 5.0, 1.0, 3.0, 401.0, 3.0, 5.0, 1.0]);
    assert_eq!(network.output(0, 1).unwrap().u8().unwrap(), [3, 5]);
    assert!(network.output(0, 1).unwrap().f32().is_err());
}

#[test]
fn ten_thousand_frames_come_back_in_order() {
    if !on_the_double("ten_thousand_frames_come_back_in_order", "") {
        return;
    }
    let hefs = Hefs::new();
    for slots in [1, 2, 4] {
        let mut network = opened(&hefs.echo("echo.hef", ""), &options());
        assert_eq!(network.set_slots(slots).unwrap(), slots);
        let (numbers, error) = stream(&mut *network, 10_000);
        assert_eq!(error, None);
        assert!(numbers.iter().copied().eq(0..10_000), "{slots} slots");
    }
}

#[test]
fn frames_in_flight_hide_the_latency() {
    if !on_the_double("frames_in_flight_hide_the_latency", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "latency=20,flight=4");
    let time = |slots: usize| {
        let mut network = opened(&hef, &options());
        network.set_slots(slots).unwrap();
        let start = Instant::now();
        let (numbers, error) = stream(&mut *network, 40);
        assert_eq!((numbers.len(), error), (40, None));
        start.elapsed()
    };
    let (one, four) = (time(1), time(4));
    assert!(one >= Duration::from_millis(800), "{one:?}");
    assert!(four < one / 2, "{four:?} with four in flight, {one:?} with one");
}

#[test]
fn a_result_is_known_to_be_there_before_it_is_fetched() {
    if !on_the_double("a_result_is_known_to_be_there_before_it_is_fetched", "") {
        return;
    }
    let hefs = Hefs::new();
    let mut network = opened(&hefs.echo("echo.hef", "latency=100,flight=1,short@1"), &options());
    network.set_slots(3).unwrap();
    for slot in 0..3 {
        send(&mut *network, slot, slot as u32).unwrap();
    }
    assert!(!network.is_complete(0) && !network.is_complete(2));
    let wait = |network: &mut dyn Network, slot| {
        let start = Instant::now();
        while !network.is_complete(slot) {
            assert!(start.elapsed() < Duration::from_secs(10), "no result");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait(&mut *network, 0);
    assert!(!network.is_complete(2), "it comes 200 ms later");
    network.complete(0, Duration::ZERO).unwrap();
    wait(&mut *network, 1);
    assert!(
        network.complete(1, Duration::ZERO).is_err(),
        "a bad frame is complete too"
    );
    network.finish(2).unwrap();
    assert!(network.finish(2).is_err(), "nothing was submitted");
}

#[test]
fn by_itself_the_engine_takes_as_many_slots_as_keep_the_device_busy() {
    if !on_the_double("by_itself_the_engine_takes_as_many_slots_as_keep_the_device_busy", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "");
    let slots = |batch_size, scheduler_threshold| {
        let asked = HailoOptions {
            batch_size,
            scheduler_threshold,
            ..options()
        };
        opened(&hef, &asked).set_slots(0).unwrap()
    };
    assert_eq!((slots(0, 0), slots(16, 0), slots(1, 12)), (8, 16, 12));
    assert_eq!(slots(64, 0), 32, "there is a bound");
}

#[test]
fn several_networks_run_on_one_device_at_once() {
    if !on_the_double("several_networks_run_on_one_device_at_once", "devices=1") {
        return;
    }
    let hefs = Hefs::new();
    let (first, second) = (hefs.echo("a.hef", "latency=1"), hefs.echo("b.hef", ""));
    std::thread::scope(|scope| {
        for hef in [&first, &second, &first, &second] {
            scope.spawn(move || {
                let mut network = opened(hef, &options());
                network.set_slots(2).unwrap();
                let (numbers, error) = stream(&mut *network, 500);
                assert_eq!(error, None);
                assert!(numbers.iter().copied().eq(0..500));
            });
        }
    });
    assert_eq!(handles(), 0);
}

#[test]
fn groups_share_only_within_themselves() {
    if !on_the_double("groups_share_only_within_themselves", "devices=1") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "");
    let group = |id: &str| HailoOptions {
        vdevice_group_id: id.to_owned(),
        ..options()
    };
    let first = opened(&hef, &group("A"));
    let second = opened(&hef, &group("A"));
    for other in ["B", "UNIQUE"] {
        let error = refused(&hef, &group(other));
        for part in ["is not free", "(74)", "vdevice-group-id", "multi-process-service"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(error.may_fall_back());
    }
    let mixed = HailoOptions {
        multi_process_service: true,
        ..group("A")
    };
    assert!(refused(&hef, &mixed).to_string().contains("open with another"));
    drop((first, second));
    let alone = opened(&hef, &group("UNIQUE"));
    assert!(open(&hef, &group("UNIQUE")).is_err());
    drop(alone);
    drop(opened(&hef, &group("B")));
}

/// The other process: `NUNCHI_OTHER` holds `service` or `alone` and the HEF. Tells that it runs, and waits for the end of
/// its input.
#[test]
fn the_other_process() {
    let Ok(wanted) = std::env::var("NUNCHI_OTHER") else {
        return;
    };
    let (sharing, hef) = wanted.split_once(' ').unwrap();
    let mut network = opened(&ModelSource::File(hef.into()), &sharing_options(sharing == "service"));
    network.set_slots(2).unwrap();
    let (numbers, error) = stream(&mut *network, 200);
    assert_eq!((numbers.len(), error), (200, None));
    std::fs::write(format!("{hef}.running"), "").unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let (numbers, error) = stream(&mut *network, 200);
    assert_eq!((numbers.len(), error), (200, None));
}

fn sharing_options(service: bool) -> HailoOptions {
    HailoOptions {
        multi_process_service: service,
        ..options()
    }
}

/// Runs `here` while another process has a network on the same device.
fn beside_another_process(service: bool, here: impl FnOnce(&ModelSource)) {
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "latency=1");
    let sharing = if service { "service" } else { "alone" };
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process", "--nocapture"])
        .env("NUNCHI_OTHER", format!("{sharing} {}", hefs.path("echo.hef").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the other process runs", || hefs.path("echo.hef.running").exists());
    here(&hef);
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success(), "the other process noticed nothing");
}

/// A device that all processes of one test see.
fn device_among_processes(test: &str) -> bool {
    let lock = std::env::temp_dir().join(format!("nunchi-{test}-{}", std::process::id()));
    let ours = on_the_double(test, &format!("device={}", lock.display()));
    let _ = std::fs::remove_file(lock);
    ours
}

#[test]
fn two_processes_share_the_device_through_the_service() {
    if !device_among_processes("two_processes_share_the_device_through_the_service") {
        return;
    }
    beside_another_process(true, |hef| {
        let mut network = opened(hef, &sharing_options(true));
        network.set_slots(2).unwrap();
        let (numbers, error) = stream(&mut *network, 200);
        assert_eq!(error, None);
        assert!(numbers.iter().copied().eq(0..200));
    });
}

#[test]
fn two_processes_without_the_service_are_told_of_it() {
    if !device_among_processes("two_processes_without_the_service_are_told_of_it") {
        return;
    }
    beside_another_process(false, |hef| {
        for service in [false, true] {
            let error = refused(hef, &sharing_options(service));
            assert!(
                error.to_string().contains("multi-process-service=true in all of them"),
                "{error}"
            );
        }
    });
}

#[test]
fn boxes_come_in_both_orders() {
    if !on_the_double("boxes_come_in_both_orders", "") {
        return;
    }
    let rows: [[f32; 6]; 3] = [
        [1.0, 0.5, 0.125, 0.25, 0.5, 0.75],
        [0.0, 0.75, 0.0, 0.0, 1.0, 1.0],
        [0.0; 6],
    ];
    let hefs = Hefs::new();
    for order in ["by_class", "by_score"] {
        let hef = hefs.json(
            "nms.hef",
            &json!({
                "group": "nms",
                "network": {"affine": [1, 0]},
                "inputs": [{"name": "nms/in", "shape": [1, 3, 6], "scale": 1.0 / 256.0, "bits": 16}],
                "outputs": [{"name": "nms/out", "shape": [1, 3, 6], "nms": {"order": order, "classes": 3, "boxes": 5}}],
            }),
        );
        // Lists of boxes are floats, whatever is asked for.
        for output in [StreamFormat::Float, StreamFormat::Native] {
            let mut network = opened(&hef, &HailoOptions { output, ..floats() });
            network
                .input(0, 0)
                .unwrap()
                .f32()
                .unwrap()
                .copy_from_slice(rows.as_flattened());
            network.infer(0).unwrap();
            let mut found = Vec::new();
            read_detections(network.output(0, 0).unwrap(), network.outputs()[0].layout, &mut found).unwrap();
            let told: Vec<_> = found.iter().map(|d| (d.class, d.score, d.rect)).collect();
            assert_eq!(
                told,
                [(0, 0.75, [0.0, 0.0, 1.0, 1.0]), (1, 0.5, [0.25, 0.125, 0.75, 0.5])],
                "{order}"
            );
        }
    }
}

#[test]
fn opening_and_closing_leaves_nothing_behind() {
    if !on_the_double("opening_and_closing_leaves_nothing_behind", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "latency=1");
    drop(opened(&hef, &options()));
    let before = threads();
    for round in 0..100 {
        let mut network = opened(&hef, &options());
        network.set_slots(3).unwrap();
        // Sometimes idle, sometimes with frames in flight.
        for slot in 0..round % 4 {
            send(&mut *network, slot, round as u32).unwrap();
        }
        drop(network);
        assert_eq!(handles(), 0, "round {round}");
    }
    eventually("the threads have ended", || threads() <= before);
}

#[test]
fn a_device_that_stays_open_does_not_fill_up() {
    if !on_the_double("a_device_that_stays_open_does_not_fill_up", "") {
        return;
    }
    let hefs = Hefs::new();
    let (hef, other) = (hefs.echo("echo.hef", ""), hefs.echo("other.hef", "latency=1"));
    let _holder = opened(&other, &options());
    let mut after_first = None;
    for _ in 0..20 {
        let mut network = opened(&hef, &options());
        let (numbers, error) = stream(&mut *network, 3);
        assert_eq!((numbers, error), (vec![0, 1, 2], None));
        drop(network);
        assert_eq!(*after_first.get_or_insert_with(handles), handles());
    }
}

#[test]
fn slots_follow_the_rules_of_every_engine() {
    if !on_the_double("slots_follow_the_rules_of_every_engine", "") {
        return;
    }
    let hefs = Hefs::new();
    let mut network = opened(&hefs.echo("echo.hef", "latency=50"), &options());
    assert!(
        network.complete(0, Duration::from_millis(1)).is_err(),
        "nothing was submitted"
    );
    assert!(network.input(9, 0).is_err() && network.input(0, 9).is_err());
    assert!(network.output(9, 0).is_err() && network.output(0, 9).is_err());
    assert!(network.submit(9).is_err());
    assert!(network.input(0, 0).unwrap().f32().is_err(), "it takes bytes");
    assert_eq!(network.set_slots(0).unwrap(), 8);
    assert_eq!(network.set_slots(1_000).unwrap(), 32);
    send(&mut *network, 5, 77).unwrap();
    assert!(network.submit(5).is_err());
    assert!(network.input(5, 0).is_err() && network.output(5, 0).is_err());
    assert!(network.set_slots(2).is_err(), "a frame is in flight");
    let early = network.complete(5, Duration::from_millis(1)).unwrap_err();
    assert!(
        matches!(&early, EngineError::Inference { reason, .. } if reason.contains("no result within 1ms")),
        "{early}"
    );
    assert_eq!(receive(&mut *network, 5).unwrap(), 77);
    assert_eq!(network.set_slots(2).unwrap(), 2);
}

#[test]
fn scheduling_options_are_taken() {
    if !on_the_double("scheduling_options_are_taken", "") {
        return;
    }
    let hefs = Hefs::new();
    let hailo = HailoOptions {
        device_id: "0000:01:00.0".into(),
        scheduler_timeout: Duration::from_millis(20),
        scheduler_threshold: 4,
        scheduler_priority: 31,
        batch_size: 8,
        ..options()
    };
    let mut network = opened(&hefs.echo("echo.hef", ""), &hailo);
    assert_eq!(network.device(), "HAILO:0000:01:00.0");
    assert_eq!(stream(&mut *network, 10).0.len(), 10);
}

#[test]
fn each_engine_takes_its_own_models() {
    if !on_the_double("each_engine_takes_its_own_models", "") {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "");
    let engine = |kind| EngineOptions {
        kind,
        ..EngineOptions::default()
    };
    assert_eq!(
        load(&hef, &engine(EngineKind::Hailo)).unwrap().engine(),
        EngineKind::Hailo
    );
    assert_eq!(
        load(&hef, &EngineOptions::default()).unwrap().engine(),
        EngineKind::Hailo
    );
    let Err(error) = load(&models::face_detector(), &engine(EngineKind::Hailo)) else {
        panic!("an ONNX model on the Hailo")
    };
    assert!(matches!(error, EngineError::ModelCorrupt { .. }), "{error}");
    let Err(error) = load(&hef, &engine(EngineKind::Embedded)) else {
        panic!("a HEF on the CPU")
    };
    assert!(matches!(error, EngineError::ModelCorrupt { .. }), "{error}");
    for (device, works) in [("HAILO", true), ("hailo", true), ("CPU", false), ("CUDA:0", false)] {
        let options = EngineOptions {
            device: device.to_owned(),
            ..EngineOptions::default()
        };
        assert_eq!(load(&hef, &options).is_ok(), works, "{device}");
    }
}

#[test]
fn a_hef_from_memory_runs_too() {
    if !on_the_double("a_hef_from_memory_runs_too", "") {
        return;
    }
    let bytes = [b"\x01HEF", serde_json::to_vec(&echo("")).unwrap().as_slice()].concat();
    let source = ModelSource::Embedded("echo.hef", bytes.leak());
    assert_eq!(stream(&mut *opened(&source, &hasty()), 5).0, [0, 1, 2, 3, 4]);
}

#[test]
fn the_probe_and_a_hef_tell_what_is_there() {
    if !on_the_double("the_probe_and_a_hef_tell_what_is_there", "devices=2,version=4.20.0") {
        return;
    }
    let found = probe();
    let hailo = found.iter().find(|status| status.kind == EngineKind::Hailo).unwrap();
    assert!(hailo.available && hailo.remedy.is_none());
    assert_eq!(
        (hailo.version.as_str(), hailo.path.as_str()),
        ("4.20.0", double().as_str())
    );
    assert_eq!(
        hailo.devices,
        [
            "HAILO8 0000:01:00.0 firmware 4.20.0",
            "HAILO8 0000:02:00.0 firmware 4.20.0"
        ]
    );

    let hefs = Hefs::new();
    let hef = describe_hef(&hefs.json("detector.hef", &detector(0.5))).unwrap();
    assert_eq!(hef.groups, ["detector"]);
    assert!(
        hef.inputs[0]
            .to_string()
            .starts_with("detector/in 1x128x128x3 NHWC u8 scale 0.0078")
    );
    assert_eq!(
        hef.outputs[0].to_string(),
        "detector/scores 1x1x896x1 NHWC u8 scale 0.5 zero point 200"
    );
    assert!(describe_hef(&hefs.write("junk.hef", b"junk")).is_err());
    assert!(describe_hef(&ModelSource::File(hefs.path("nothing.hef"))).is_err());
    assert_eq!(handles(), 0);
}
