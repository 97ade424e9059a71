//! What may go wrong with a Hailo: a clear error within its bound, no hang, nothing left behind.

mod common;

use std::time::{Duration, Instant};

use common::hailo::{
    BEHAVIOUR, Hefs, LIBRARY, detector, double, echo, eventually, handles, hasty, open, opened, options, receive,
    refused, send, stream, threads,
};
use common::process::in_a_process;
use nunchi_inference::engine::hailo::HailoOptions;
use nunchi_inference::engine::{EngineError, EngineKind, EngineOptions, ModelSource, load, probe, read_detections};
use nunchi_inference::models;
use serde_json::json;

fn on_the_double(test: &str, behaviour: &str) -> bool {
    in_a_process(test, &[(LIBRARY, &double()), (BEHAVIOUR, behaviour)])
}

/// Longest that a call with hasty bounds may take, on a busy machine too.
const BOUND: Duration = Duration::from_secs(5);

#[track_caller]
fn within_bound<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    result
}

#[track_caller]
fn assert_names(error: &EngineError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn without_the_library_the_remedy_is_named() {
    let variables = [(LIBRARY, "/nowhere/libhailort.so")];
    if !in_a_process("without_the_library_the_remedy_is_named", &variables) {
        return;
    }
    let error = refused(&ModelSource::File("/nowhere/x.hef".into()), &options());
    assert!(matches!(error, EngineError::LibraryMissing { .. }), "{error}");
    assert_names(&error, &["HailoRT", "/nowhere/libhailort.so", "hailo-all", LIBRARY]);
    assert!(error.may_fall_back());
    let found = probe();
    let hailo = found.iter().find(|status| status.kind == EngineKind::Hailo).unwrap();
    assert!(!hailo.available && hailo.remedy.as_ref().is_some_and(|remedy| remedy.contains("hailo-all")));
}

#[test]
fn a_library_of_something_else_is_refused() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut files = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    let libc = files.find(|path| path.contains("libc.so")).unwrap();
    if !in_a_process("a_library_of_something_else_is_refused", &[(LIBRARY, libc)]) {
        return;
    }
    let error = refused(&ModelSource::File("x.hef".into()), &options());
    assert!(matches!(error, EngineError::LibraryMissing { .. }), "{error}");
    assert_names(&error, &["hailo_get_library_version"]);
}

/// One process per version: the library is opened once.
fn version_is_refused(test: &str, version: &str, why: &str) {
    if !on_the_double(test, &format!("version={version}")) {
        return;
    }
    let hefs = Hefs::new();
    let error = refused(&hefs.echo("echo.hef", ""), &options());
    assert!(matches!(error, EngineError::LibraryMissing { .. }), "{error}");
    assert_names(&error, &[version, "4.20 to 4.23", why, "install HailoRT 4.23"]);
    assert_eq!(handles(), 0, "nothing but the version was asked");
}

#[test]
fn version_4_19_is_refused() {
    version_is_refused("version_4_19_is_refused", "4.19.0", "too old");
}

#[test]
fn version_4_24_is_refused() {
    version_is_refused("version_4_24_is_refused", "4.24.0", "not known");
}

#[test]
fn version_5_2_is_refused() {
    version_is_refused("version_5_2_is_refused", "5.2.0", "no longer serves the Hailo-8");
}

fn version_runs(test: &str, version: &str) {
    if on_the_double(test, &format!("version={version}")) {
        let hefs = Hefs::new();
        assert_eq!(
            stream(&mut *opened(&hefs.echo("echo.hef", ""), &options()), 3).0,
            [0, 1, 2]
        );
    }
}

#[test]
fn version_4_20_runs() {
    version_runs("version_4_20_runs", "4.20.1");
}

#[test]
fn version_4_22_runs() {
    version_runs("version_4_22_runs", "4.22.0");
}

#[test]
fn without_a_device_the_owner_falls_back() {
    if !on_the_double("without_a_device_the_owner_falls_back", "devices=0") {
        return;
    }
    let hefs = Hefs::new();
    let wanted = EngineOptions {
        fallback_cpu: true,
        ..EngineOptions::default()
    };
    let Err(error) = load(&hefs.json("detector.hef", &detector(0.0)), &wanted) else {
        panic!("there is no device")
    };
    assert_names(&error, &["no Hailo device was found", "(74)", "hailortcli scan"]);
    assert!(error.may_fall_back());
    assert_ne!(
        load(&models::face_detector(), &wanted.on_cpu()).unwrap().engine(),
        EngineKind::Hailo
    );
    assert_eq!(handles(), 0);
}

#[test]
fn another_device_than_the_one_there_is_named() {
    if !on_the_double("another_device_than_the_one_there_is_named", "") {
        return;
    }
    let hefs = Hefs::new();
    let wanted = HailoOptions {
        device_id: "0000:77:00.0".into(),
        ..options()
    };
    assert_names(&refused(&hefs.echo("echo.hef", ""), &wanted), &["0000:77:00.0", "(74)"]);
}

#[test]
fn a_service_that_does_not_run_is_named() {
    if !on_the_double("a_service_that_does_not_run_is_named", "service=off") {
        return;
    }
    let hefs = Hefs::new();
    let wanted = HailoOptions {
        multi_process_service: true,
        ..options()
    };
    assert_names(
        &refused(&hefs.echo("echo.hef", ""), &wanted),
        &["service does not answer", "systemctl"],
    );
}

#[test]
fn conflicting_options_are_refused_before_the_device_is_asked() {
    if !on_the_double("conflicting_options_are_refused_before_the_device_is_asked", "") {
        return;
    }
    let hefs = Hefs::new();
    let wanted = HailoOptions {
        scheduler_priority: 40,
        ..options()
    };
    assert_names(
        &refused(&hefs.echo("echo.hef", ""), &wanted),
        &["scheduler-priority 40", "0 to 31"],
    );
    assert!(
        !refused(&hefs.echo("echo.hef", ""), &wanted).may_fall_back(),
        "the settings are at fault"
    );
    let nowhere = EngineOptions {
        device: "CUDA:0".to_owned(),
        ..EngineOptions::default()
    };
    let error = load(&hefs.echo("echo.hef", ""), &nowhere).err().unwrap();
    assert_names(&error, &["CUDA:0", "HAILO"]);
    assert!(!error.may_fall_back());
}

#[test]
fn a_start_that_hangs_ends_at_its_bound() {
    if !on_the_double("a_start_that_hangs_ends_at_its_bound", "start=8000") {
        return;
    }
    let hefs = Hefs::new();
    let wanted = HailoOptions {
        start_timeout: Duration::from_millis(100),
        ..options()
    };
    let error = within_bound(|| refused(&hefs.echo("echo.hef", ""), &wanted));
    assert_names(&error, &["not ready within 100ms"]);
    assert!(error.may_fall_back());
    // A second try waits no longer, though the first still holds the device.
    within_bound(|| refused(&hefs.echo("echo.hef", ""), &wanted));
}

#[test]
fn wrong_hefs_are_told_apart() {
    if !on_the_double("wrong_hefs_are_told_apart", "") {
        return;
    }
    let hefs = Hefs::new();
    let missing = ModelSource::File(hefs.path("nothing.hef"));
    let folder = ModelSource::File(hefs.path("."));
    let with = |key: &str, value: serde_json::Value| {
        let mut manifest = echo("");
        manifest[key] = value;
        hefs.json(&format!("{key}.hef"), &manifest)
    };
    let stream = |extra: &str, value: u32| {
        let mut manifest = echo("");
        manifest["outputs"][0][extra] = value.into();
        hefs.json(&format!("{extra}.hef"), &manifest)
    };
    let shaped = |name: &str, shape: [u32; 3], scale: f32| {
        let mut manifest = echo("");
        manifest["outputs"][0]["shape"] = json!(shape);
        manifest["outputs"][0]["scale"] = json!(scale);
        hefs.json(name, &manifest)
    };
    let pipe = hefs.path("pipe.hef");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let cases = [
        (missing, "ModelMissing", "nothing.hef"),
        (
            shaped("vast.hef", [4_000_000_000, 100_000, 17], 1.0),
            "ModelShape",
            "at most",
        ),
        (shaped("large.hef", [100_000, 100_000, 1], 1.0), "ModelShape", "at most"),
        (hefs.write("empty.hef", b""), "ModelCorrupt", "empty"),
        (hefs.write("junk.hef", b"this is no network"), "ModelCorrupt", "(92)"),
        (hefs.write("start.hef", b"\x01HEF"), "ModelCorrupt", "(91)"),
        (with("arch", json!("HAILO15H")), "ModelShape", "for another chip"),
        (with("groups", json!(2)), "ModelShape", "one network group"),
        (stream("order", 13), "ModelShape", "order 13"),
        (stream("size_error", 1), "ModelShape", "17 bytes"),
    ];
    for (source, kind, part) in cases {
        let error = refused(&source, &options());
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.may_fall_back(), "the device is not to blame: {error}");
        assert_eq!(handles(), 0, "{source}");
    }
    let hailo = EngineOptions {
        kind: EngineKind::Hailo,
        ..EngineOptions::default()
    };
    for source in [folder, ModelSource::File(pipe), ModelSource::File("/dev/zero".into())] {
        let error = within_bound(|| load(&source, &hailo).err());
        assert!(matches!(error, Some(EngineError::ModelMissing { .. })), "{error:?}");
    }
    // The device still works.
    drop(opened(&hefs.echo("echo.hef", ""), &options()));
}

/// Frames before the fault are right; then the device is lost within the bound, for good, and closing is bounded too.
fn is_lost(test: &str, fault: &str, reason: &str) {
    if !on_the_double(test, "") {
        return;
    }
    let hefs = Hefs::new();
    let healthy = hefs.echo("healthy.hef", "");
    drop(opened(&healthy, &hasty()));
    let before = threads();
    for slots in [1, 3] {
        let mut network = opened(&hefs.echo("echo.hef", &format!("{fault}@5")), &hasty());
        network.set_slots(slots).unwrap();
        let (numbers, error) = within_bound(|| stream(&mut *network, 20));
        assert_eq!(numbers, [0, 1, 2, 3, 4], "{slots} slots");
        let error = error.unwrap();
        assert!(matches!(error, EngineError::DeviceLost { .. }), "{error}");
        // Reader or writer may notice first.
        assert_names(&error, &["echo/", reason, "fallback=cpu"]);
        assert!(error.may_fall_back());
        for slot in 0..slots {
            within_bound(|| {
                assert_eq!(network.submit(slot).err(), Some(error.clone()));
                assert_eq!(
                    network.complete(slot, Duration::from_secs(60)).err(),
                    Some(error.clone())
                );
            });
        }
        within_bound(|| drop(network));
        assert_eq!(handles(), 0, "{slots} slots");
        eventually("the threads have ended", || threads() <= before);
        // The device is free for the next.
        assert_eq!(stream(&mut *opened(&healthy, &hasty()), 3).0, [0, 1, 2]);
    }
}

#[test]
fn a_device_that_is_lost_is_reported() {
    is_lost("a_device_that_is_lost_is_reported", "lost", "(36)");
}

#[test]
fn a_result_that_never_comes_is_a_lost_device() {
    is_lost(
        "a_result_that_never_comes_is_a_lost_device",
        "timeout",
        "no answer within 300ms",
    );
}

/// The library does not keep its own time-out: the owner's bound holds, and closing ends the wait.
#[test]
fn a_read_that_hangs_ends_with_its_network() {
    if !on_the_double("a_read_that_hangs_ends_with_its_network", "") {
        return;
    }
    let hefs = Hefs::new();
    let mut network = opened(&hefs.echo("echo.hef", "hang@2"), &hasty());
    network.set_slots(2).unwrap();
    for frame in 0..2 {
        send(&mut *network, frame, frame as u32).unwrap();
    }
    for frame in 0..2 {
        assert_eq!(receive(&mut *network, frame).unwrap(), frame as u32);
    }
    send(&mut *network, 0, 2).unwrap();
    let error = within_bound(|| network.complete(0, Duration::from_millis(200))).unwrap_err();
    assert_names(&error, &["no result within 200ms"]);
    within_bound(|| drop(network));
    assert_eq!(handles(), 0);
}

/// Nothing ends the call: it is left behind, with its memory, and the process goes on.
#[test]
fn a_call_that_never_returns_is_left_behind() {
    if !on_the_double("a_call_that_never_returns_is_left_behind", "devices=2") {
        return;
    }
    let hefs = Hefs::new();
    let mut network = opened(&hefs.echo("echo.hef", "stuck@0"), &hasty());
    send(&mut *network, 0, 0).unwrap();
    assert!(within_bound(|| network.complete(0, Duration::from_millis(200))).is_err());
    within_bound(|| drop(network));
    assert!(handles() > 0, "its streams are not taken from under it");
    let other = HailoOptions {
        vdevice_group_id: "OTHER".into(),
        ..hasty()
    };
    assert_eq!(
        stream(&mut *opened(&hefs.echo("other.hef", ""), &other), 3).0,
        [0, 1, 2]
    );
}

#[test]
fn closing_with_frames_in_flight_does_not_wait_for_them() {
    if !on_the_double("closing_with_frames_in_flight_does_not_wait_for_them", "") {
        return;
    }
    let hefs = Hefs::new();
    let slow = HailoOptions {
        frame_timeout: Duration::from_secs(60),
        ..options()
    };
    let mut network = opened(&hefs.echo("echo.hef", "latency=30000"), &slow);
    network.set_slots(4).unwrap();
    for slot in 0..4 {
        send(&mut *network, slot, 0).unwrap();
    }
    within_bound(|| drop(network));
    assert_eq!(handles(), 0);
}

#[test]
fn a_lost_device_is_lost_for_all_its_networks() {
    if !on_the_double("a_lost_device_is_lost_for_all_its_networks", "") {
        return;
    }
    let hefs = Hefs::new();
    let healthy = hefs.echo("healthy.hef", "");
    let mut failing = opened(&hefs.echo("echo.hef", "lost@0"), &hasty());
    let mut other = opened(&healthy, &hasty());
    assert_eq!(stream(&mut *other, 3).0, [0, 1, 2]);
    assert!(stream(&mut *failing, 1).1.is_some());
    let error = within_bound(|| stream(&mut *other, 3)).1.unwrap();
    assert!(matches!(error, EngineError::DeviceLost { .. }), "{error}");
    // It is not handed out again while somebody still holds it.
    assert_names(&refused(&healthy, &hasty()), &["(74)"]);
    drop((failing, other));
    assert_eq!(stream(&mut *opened(&healthy, &hasty()), 3).0, [0, 1, 2]);
}

#[test]
fn one_late_network_does_not_take_the_device_from_the_others() {
    if !on_the_double("one_late_network_does_not_take_the_device_from_the_others", "") {
        return;
    }
    let hefs = Hefs::new();
    let mut late = opened(&hefs.echo("echo.hef", "timeout@0"), &hasty());
    let mut other = opened(&hefs.echo("healthy.hef", ""), &hasty());
    assert!(within_bound(|| stream(&mut *late, 1)).1.is_some());
    drop(late);
    assert_eq!(stream(&mut *other, 3), (vec![0, 1, 2], None));
}

#[test]
fn what_was_done_before_the_loss_is_still_given() {
    if !on_the_double("what_was_done_before_the_loss_is_still_given", "") {
        return;
    }
    let hefs = Hefs::new();
    for fault in ["timeout@2", "hang@2"] {
        let mut network = opened(&hefs.echo("echo.hef", fault), &hasty());
        network.set_slots(4).unwrap();
        for slot in 0..4 {
            send(&mut *network, slot, slot as u32).unwrap();
        }
        for slot in 0..2 {
            network.finish(slot).unwrap();
        }
        let error = within_bound(|| network.finish(2)).unwrap_err();
        assert!(matches!(error, EngineError::DeviceLost { .. }), "{fault}: {error}");
        assert!(network.is_complete(3), "nothing comes that could be waited for");
        assert_eq!(network.finish(3).unwrap_err(), error);
    }
}

#[test]
fn a_short_frame_is_an_error_of_that_frame_only() {
    if !on_the_double("a_short_frame_is_an_error_of_that_frame_only", "") {
        return;
    }
    let hefs = Hefs::new();
    for slots in [1, 3] {
        let mut network = opened(&hefs.echo("echo.hef", "short@4"), &hasty());
        network.set_slots(slots).unwrap();
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for frame in 0..10 + slots {
            let slot = frame % slots;
            if frame >= slots {
                match receive(&mut *network, slot) {
                    Ok(number) => right.push(number),
                    Err(error) => wrong.push(error),
                }
            }
            if frame < 10 {
                send(&mut *network, slot, frame as u32).unwrap();
            }
        }
        assert_eq!(right, [0, 1, 2, 3, 5, 6, 7, 8, 9], "{slots} slots");
        assert_eq!(wrong.len(), 1);
        assert!(matches!(wrong[0], EngineError::Inference { .. }));
        assert_names(&wrong[0], &["echo/out", "INVALID_FRAME (25)"]);
    }
}

#[test]
fn nan_is_an_error_of_its_frame_and_garbage_reaches_the_owner() {
    if !on_the_double("nan_is_an_error_of_its_frame_and_garbage_reaches_the_owner", "") {
        return;
    }
    let hefs = Hefs::new();
    let mut network = opened(&hefs.echo("echo.hef", "nan@0,garbage@1"), &hasty());
    send(&mut *network, 0, 1).unwrap();
    let error = network.complete(0, BOUND).unwrap_err();
    assert!(matches!(error, EngineError::Inference { .. }), "{error}");
    assert_names(&error, &["echo/out", "no numbers"]);
    send(&mut *network, 0, 1).unwrap();
    network.complete(0, BOUND).unwrap();
    assert_eq!(
        network.output(0, 0).unwrap().f32().unwrap()[0],
        f32::from_ne_bytes([0xa5; 4])
    );
    send(&mut *network, 0, 9).unwrap();
    assert_eq!(receive(&mut *network, 0).unwrap(), 9);
}

#[test]
fn garbage_in_lists_of_boxes_is_an_error() {
    if !on_the_double("garbage_in_lists_of_boxes_is_an_error", "") {
        return;
    }
    let hefs = Hefs::new();
    for order in ["by_class", "by_score"] {
        for fault in ["nan", "garbage"] {
            let mut manifest = echo(&format!("{fault}@0"));
            manifest["outputs"][0]["nms"] = json!({"order": order, "classes": 80, "boxes": 100});
            let mut network = opened(&hefs.json("nms.hef", &manifest), &hasty());
            network.infer(0).unwrap();
            let mut found = Vec::new();
            let read = read_detections(network.output(0, 0).unwrap(), network.outputs()[0].layout, &mut found);
            // The bytes of NaN are a count of 0 to the packed order.
            let harmless = (order, fault) == ("by_score", "nan");
            assert_eq!((read.is_ok(), found.len()), (harmless, 0), "{order} {fault}");
        }
    }
}

#[test]
fn the_owner_goes_on_with_the_cpu_from_the_next_frame() {
    if !on_the_double("the_owner_goes_on_with_the_cpu_from_the_next_frame", "lost@3") {
        return;
    }
    let hefs = Hefs::new();
    let options = EngineOptions::default();
    let mut network = load(&hefs.json("detector.hef", &detector(0.0)), &options).unwrap();
    let mut engines = Vec::new();
    for _ in 0..6 {
        match network.infer(0) {
            Ok(()) => engines.push(network.engine() == EngineKind::Hailo),
            Err(error) if error.may_fall_back() => {
                network = load(&models::face_detector(), &options.on_cpu()).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(engines, [true, true, true, false, false]);
    assert_eq!(handles(), 0, "the lost device was closed");
}

#[test]
fn networks_that_open_and_close_at_once_do_not_meet_a_busy_device() {
    if !on_the_double(
        "networks_that_open_and_close_at_once_do_not_meet_a_busy_device",
        "devices=1",
    ) {
        return;
    }
    let hefs = Hefs::new();
    let hef = hefs.echo("echo.hef", "");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let network = open(&hef, &options());
                    assert!(network.is_ok(), "{:?}", network.err());
                }
            });
        }
    });
    assert_eq!(handles(), 0);
}
