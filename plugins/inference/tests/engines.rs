//! Loading models and running them: what must fail, must fail with a clear error in every engine.

mod common;

use std::time::{Duration, Instant};

use common::process::in_a_process;
use common::{ENGINES, options};
use nunchi_inference::engine::{
    EngineError, EngineKind, EngineOptions, Layout, ModelSource, Network, Precision, load, probe,
};
use nunchi_inference::face::{FaceModels, FaceNet};
use nunchi_inference::models;

#[track_caller]
fn detector(options: &EngineOptions) -> Box<dyn Network> {
    match load(&models::face_detector(), options) {
        Ok(network) => network,
        Err(error) => panic!("{error}\n`make` provides the libraries: run `make test`"),
    }
}

#[track_caller]
fn refused(source: &ModelSource, options: &EngineOptions) -> EngineError {
    match load(source, options) {
        Ok(_) => panic!("{source} was loaded with {options:?}"),
        Err(EngineError::LibraryMissing { .. }) => panic!("`make` provides the libraries: run `make test`"),
        Err(error) => error,
    }
}

#[test]
fn every_engine_tells_the_same_names_and_shapes() {
    for kind in ENGINES {
        let network = detector(&options(kind));
        assert_eq!(
            (network.engine(), network.device(), network.note()),
            (kind, "CPU", None)
        );
        let input = &network.inputs()[0];
        assert_eq!(
            (input.name.as_str(), input.shape.as_slice()),
            ("image", [1, 3, 128, 128].as_slice())
        );
        assert_eq!((input.layout, input.len()), (Layout::Nchw, 3 * 128 * 128));
        let mut outputs: Vec<_> = network
            .outputs()
            .iter()
            .map(|o| (o.name.clone(), o.shape.clone()))
            .collect();
        outputs.sort();
        assert_eq!(
            outputs,
            [
                ("regressors".to_owned(), vec![1, 896, 16]),
                ("scores".to_owned(), vec![1, 896, 1])
            ]
        );
    }
}

#[test]
fn auto_takes_openvino_on_the_cpu() {
    assert_eq!(detector(&EngineOptions::default()).engine(), EngineKind::OpenVino);
}

#[test]
fn networks_loaded_twice_do_not_disturb_each_other() {
    for kind in ENGINES {
        let (mut a, mut b) = (detector(&options(kind)), detector(&options(kind)));
        a.input(0, 0).unwrap().f32().unwrap().fill(0.5);
        b.input(0, 0).unwrap().f32().unwrap().fill(-0.5);
        a.infer(0).unwrap();
        b.infer(0).unwrap();
        let scores = |network: &dyn Network| network.output(0, 1).unwrap().f32().unwrap().to_vec();
        assert_ne!(scores(&*a), scores(&*b), "{kind}");
        let before = scores(&*a);
        drop(b);
        a.infer(0).unwrap();
        assert_eq!(scores(&*a), before, "{kind}");
    }
}

#[test]
fn two_requests_are_in_flight_at_once() {
    let mut network = detector(&options(EngineKind::OpenVino));
    assert_eq!(network.set_slots(2).unwrap(), 2);
    network.input(0, 0).unwrap().f32().unwrap().fill(0.5);
    network.input(1, 0).unwrap().f32().unwrap().fill(-0.5);
    network.submit(0).unwrap();
    network.submit(1).unwrap();
    assert!(
        network.input(0, 0).is_err(),
        "the tensors of a slot in flight are out of reach"
    );
    assert!(network.output(1, 0).is_err());
    assert!(network.submit(1).is_err());
    assert!(network.set_slots(1).is_err(), "frames are in flight");
    network.complete(0, Duration::from_secs(10)).unwrap();
    let start = Instant::now();
    while !network.is_complete(1) {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    network.complete(1, Duration::ZERO).unwrap();
    let scores = |slot| network.output(slot, 1).unwrap().f32().unwrap().to_vec();
    let (first, second) = (scores(0), scores(1));
    assert_ne!(first, second);

    let mut single = detector(&options(EngineKind::OpenVino));
    single.input(0, 0).unwrap().f32().unwrap().fill(-0.5);
    single.infer(0).unwrap();
    assert_eq!(single.output(0, 1).unwrap().f32().unwrap(), second);
}

#[test]
fn wrong_slots_inputs_and_order_of_calls_are_errors() {
    for kind in ENGINES {
        let mut network = detector(&options(kind));
        assert!(network.input(9, 0).is_err(), "{kind}");
        assert!(network.input(0, 9).is_err(), "{kind}");
        assert!(network.output(9, 0).is_err(), "{kind}");
        assert!(network.output(0, 9).is_err(), "{kind}");
        assert!(network.submit(9).is_err(), "{kind}");
        assert!(
            network.complete(0, Duration::from_millis(1)).is_err(),
            "{kind}: nothing was submitted"
        );
        assert_eq!(network.set_slots(0).unwrap(), 1, "{kind}: more would only be late");
        network.submit(0).unwrap();
        assert!(network.is_complete(0), "{kind}");
        network.finish(0).unwrap();
        assert!(network.finish(0).is_err(), "{kind}: that was fetched");
    }
}

#[test]
fn nan_input_gives_an_answer_and_no_panic() {
    for kind in ENGINES {
        let mut network = detector(&options(kind));
        network.input(0, 0).unwrap().f32().unwrap().fill(f32::NAN);
        network.infer(0).unwrap();
        assert_eq!(network.output(0, 1).unwrap().f32().unwrap().len(), 896, "{kind}");
    }
}

#[test]
fn a_missing_model_is_named() {
    for kind in ENGINES {
        let error = refused(&ModelSource::File("/nowhere/face.onnx".into()), &options(kind));
        assert!(matches!(error, EngineError::ModelMissing { .. }), "{error}");
        assert!(error.to_string().contains("/nowhere/face.onnx"), "{error}");
    }
}

#[test]
fn a_folder_is_not_a_model() {
    let error = refused(&ModelSource::File(std::env::temp_dir()), &options(EngineKind::Embedded));
    assert!(matches!(error, EngineError::ModelMissing { .. }), "{error}");
}

#[test]
fn a_damaged_model_is_an_error_in_every_engine() {
    let whole = models::face_detector().read().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[u8]); 4] = [
        ("text.onnx", b"this is not a network"),
        ("half.onnx", &whole[..whole.len() / 2]),
        ("short.onnx", &whole[..whole.len() - 3]),
        ("empty.onnx", b""),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for kind in ENGINES {
            let error = refused(&ModelSource::File(path.clone()), &options(kind));
            let named = matches!(error, EngineError::ModelCorrupt { .. } | EngineError::ModelShape { .. });
            assert!(named && error.to_string().contains(name), "{kind}: {error}");
        }
    }
}

#[test]
fn a_model_from_a_file_is_the_same_as_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.onnx");
    std::fs::write(&path, models::face_detector().read().unwrap()).unwrap();
    for kind in ENGINES {
        let network = load(&ModelSource::File(path.clone()), &options(kind)).unwrap();
        assert_eq!(network.inputs(), detector(&options(kind)).inputs());
    }
}

#[test]
fn another_network_is_refused_as_the_detector() {
    for kind in ENGINES {
        for other in [
            models::face_blendshapes(),
            models::face_landmarks(),
            models::face_emotion(),
        ] {
            let models = FaceModels {
                detector: other,
                ..FaceModels::default()
            };
            let Err(error) = FaceNet::load(&models, &options(kind)) else {
                panic!("{kind} took it")
            };
            let EngineError::ModelShape { expected, found, .. } = &error else {
                panic!("{error}")
            };
            assert!(
                expected.contains("regressors[1, 896, 16]") && !found.contains("regressors"),
                "{error}"
            );
        }
    }
}

#[test]
fn too_many_threads_are_refused() {
    for kind in ENGINES {
        let error = refused(
            &models::face_detector(),
            &EngineOptions {
                threads: 5000,
                ..options(kind)
            },
        );
        assert!(error.to_string().contains("5000 threads"), "{error}");
    }
}

#[test]
fn every_thread_count_gives_the_same_answer() {
    for kind in ENGINES {
        let run = |threads| {
            let mut network = detector(&EngineOptions {
                threads,
                ..options(kind)
            });
            network.input(0, 0).unwrap().f32().unwrap().fill(0.25);
            network.infer(0).unwrap();
            network.output(0, 1).unwrap().f32().unwrap().to_vec()
        };
        for (one, two) in run(1).iter().zip(&run(2)) {
            assert!((one - two).abs() < 1e-2, "{kind}: {one} {two}");
        }
    }
}

#[test]
fn an_unknown_device_is_refused() {
    for device in ["GPU 7", "CUDA:x", "CPU:3", "cuda:-1"] {
        let options = EngineOptions {
            device: device.to_owned(),
            ..EngineOptions::default()
        };
        let error = refused(&models::face_detector(), &options);
        assert!(error.to_string().contains(device), "{error}");
    }
}

#[test]
fn engines_without_the_device_say_which_has_it() {
    for kind in [EngineKind::OpenVino, EngineKind::Embedded] {
        let error = refused(
            &models::face_detector(),
            &EngineOptions {
                device: "CUDA:0".to_owned(),
                ..options(kind)
            },
        );
        assert!(error.to_string().contains("onnxruntime"), "{error}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_unless_the_cpu_may_replace_it() {
    // No machine has a hundredth GPU.
    for device in ["CUDA:99", "TENSORRT:99"] {
        for kind in [EngineKind::Auto, EngineKind::OnnxRuntime] {
            let wanted = EngineOptions {
                device: device.to_owned(),
                ..options(kind)
            };
            let error = refused(&models::face_detector(), &wanted);
            assert!(matches!(error, EngineError::Unsupported { .. }), "{error}");
            let network = detector(&EngineOptions {
                fallback_cpu: true,
                ..wanted
            });
            assert_eq!(network.device(), "CPU");
            assert!(
                network.note().is_some_and(|note| note.contains(device)),
                "{:?}",
                network.note()
            );
        }
    }
}

#[test]
fn a_damaged_model_is_not_blamed_on_the_device() {
    let wanted = EngineOptions {
        device: "CUDA:99".into(),
        fallback_cpu: true,
        ..options(EngineKind::OnnxRuntime)
    };
    let error = refused(&ModelSource::Embedded("junk.onnx", b"junk"), &wanted);
    assert!(matches!(error, EngineError::ModelCorrupt { .. }), "{error}");
}

#[test]
fn engine_names_are_read_and_written() {
    for kind in [
        EngineKind::Auto,
        EngineKind::OpenVino,
        EngineKind::OnnxRuntime,
        EngineKind::Embedded,
    ] {
        assert_eq!(kind.as_str().parse::<EngineKind>().unwrap(), kind);
    }
    assert!(
        "OpenVINO"
            .parse::<EngineKind>()
            .unwrap_err()
            .to_string()
            .contains("embedded")
    );
}

#[test]
fn reduced_precision_runs_or_is_refused_but_never_panics() {
    for precision in [Precision::Auto, Precision::Bf16, Precision::F16] {
        for kind in ENGINES {
            match load(
                &models::face_detector(),
                &EngineOptions {
                    precision,
                    ..options(kind)
                },
            ) {
                Ok(mut network) => network.infer(0).unwrap(),
                Err(error) => assert!(matches!(error, EngineError::Unsupported { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn the_probe_finds_all_three_engines() {
    let found = probe();
    for kind in ENGINES {
        let status = found.iter().find(|status| status.kind == kind).unwrap();
        assert!(
            status.available,
            "{status:?}\n`make` provides the libraries: run `make test`"
        );
        assert!(
            !status.version.is_empty() && status.devices.contains(&"CPU".to_owned()),
            "{status:?}"
        );
        assert_eq!(status.remedy, None);
    }
}

#[test]
fn a_wrong_library_path_names_the_path_and_the_remedy() {
    let variables = [
        ("NUNCHI_OPENVINO_LIB", "/nowhere/libopenvino_c.so"),
        ("ORT_DYLIB_PATH", "/nowhere/libort.so"),
    ];
    if !in_a_process("a_wrong_library_path_names_the_path_and_the_remedy", &variables) {
        return;
    }
    for (kind, (variable, path)) in [EngineKind::OpenVino, EngineKind::OnnxRuntime]
        .into_iter()
        .zip(variables)
    {
        let Err(error) = load(&models::face_detector(), &options(kind)) else {
            panic!("{kind} was loaded")
        };
        assert!(matches!(error, EngineError::LibraryMissing { .. }), "{error}");
        for part in [path, variable, "make"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(
            probe()
                .iter()
                .any(|status| status.kind == kind && !status.available && status.remedy.is_some())
        );
    }
    assert_eq!(
        load(&models::face_detector(), &EngineOptions::default())
            .unwrap()
            .engine(),
        EngineKind::Embedded
    );
}

#[test]
fn a_library_of_something_else_is_refused() {
    let variables = [("NUNCHI_OPENVINO_LIB", "libc.so.6"), ("ORT_DYLIB_PATH", "libc.so.6")];
    let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = libc
        .lines()
        .filter_map(|l| l.find('/').map(|at| &l[at..]))
        .find(|p| p.contains("libc.so"))
        .unwrap();
    let variables = variables.map(|(name, _)| (name, libc));
    if !in_a_process("a_library_of_something_else_is_refused", &variables) {
        return;
    }
    for kind in [EngineKind::OpenVino, EngineKind::OnnxRuntime] {
        let Err(error) = load(&models::face_detector(), &options(kind)) else {
            panic!("{kind} was loaded")
        };
        assert!(matches!(error, EngineError::LibraryMissing { .. }), "{error}");
    }
}

#[test]
fn without_openvino_auto_takes_onnxruntime() {
    if in_a_process(
        "without_openvino_auto_takes_onnxruntime",
        &[("NUNCHI_OPENVINO_LIB", "/nowhere/x.so")],
    ) {
        let network = load(&models::face_detector(), &EngineOptions::default()).unwrap();
        assert_eq!(network.engine(), EngineKind::OnnxRuntime);
    }
}

#[test]
fn halves_on_cuda_are_refused_with_what_would_do() {
    for precision in [Precision::Bf16, Precision::F16] {
        let wanted = EngineOptions {
            device: "CUDA:0".to_owned(),
            precision,
            ..options(EngineKind::OnnxRuntime)
        };
        let error = load(&models::object_detector(), &wanted).map(|_| ()).unwrap_err();
        assert!(
            error.to_string().contains("TENSORRT:n") && error.may_fall_back(),
            "{error}"
        );
    }
}
