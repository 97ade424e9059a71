//! The analysers on the double of HailoRT, in processes of their own as users start them.

use nunchi_tests::{Output, clip, gst, product, root, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(240);

/// A folder with our networks as HEFs of the double, which run them on the CPU.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.hef(
            "face.hef",
            "face_detection_short_range.onnx",
            128,
            &[("regressors", [1, 896, 16]), ("scores", [1, 896, 1])],
        );
        place.hef(
            "pose.hef",
            "movenet_lightning_17.onnx",
            192,
            &[("keypoints", [1, 17, 3])],
        );
        place
    }

    fn hef(&self, name: &str, onnx: &str, side: usize, outputs: &[(&str, [usize; 3])]) {
        let outputs: Vec<Value> = outputs
            .iter()
            .map(|(output, shape)| json!({"name": format!("{name}/{output}"), "shape": shape, "from": output}))
            .collect();
        let manifest = json!({
            "group": name,
            "network": {"onnx": root().join("plugins/inference/models").join(onnx)},
            "inputs": [{"name": format!("{name}/in"), "shape": [side, side, 3], "scale": 1.0 / 127.5, "zero_point": 127.5}],
            "outputs": outputs,
        });
        std::fs::write(self.path(name), [b"\x01HEF", manifest.to_string().as_bytes()].concat()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `gst-launch-1.0` with the double, which behaves so.
    fn launch(&self, behaviour: &str, analysers: &str, log: &str) -> Command {
        let mut command = gst("gst-launch-1.0", self.0.path());
        let line = format!(
            "filesrc location={} ! decodebin ! {analysers} ! xmllogsink location={}",
            root().join("media/posture.mp4").display(),
            self.path(log).display()
        );
        command
            .args(["-m"])
            .args(line.split_whitespace())
            .env("NUNCHI_HAILORT", product("libhailort_double.so"))
            .env("HAILORT_DOUBLE", behaviour);
        command
    }

    fn run(&self, behaviour: &str, analysers: &str, log: &str) -> Output {
        run(&mut self.launch(behaviour, analysers, log), BOUND)
    }
}

fn all_of(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

#[track_caller]
fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", all_of(output));
}

#[track_caller]
fn assert_fails(output: &Output, needles: &[&str]) {
    let text = all_of(output);
    assert!(!output.status.success(), "{text}");
    for needle in needles {
        assert!(text.contains(needle), "{needle:?} is not in: {text}");
    }
}

fn kinds(log: &Path) -> Vec<(String, String)> {
    let all = clip::logged(log).into_iter().map(|(time, kind, _)| (time, kind));
    all.filter(|(_, kind)| kind != "emotion").collect()
}

const BOTH: &str =
    "hailopose engine=hailo hef-path=pose.hef ! hailoface engine=hailo hef-path=face.hef ! eventthrottle";

#[test]
fn pose_and_face_share_a_device_and_log_what_the_cpu_logs() {
    let place = Place::new();
    let chip = place.run("", BOTH, "chip.xml");
    assert_ok(&chip);
    assert!(all_of(&chip).contains("engine=(string)hailo"), "{}", all_of(&chip));
    assert_ok(&place.run("", "hailopose ! hailoface ! eventthrottle", "cpu.xml"));
    let events = kinds(&place.path("chip.xml"));
    assert!(events.iter().any(|(_, kind)| kind == "body_tilt"), "{events:?}");
    assert!(events.iter().any(|(_, kind)| kind == "presence"), "{events:?}");
    assert_eq!(events, kinds(&place.path("cpu.xml")));
}

#[test]
fn two_processes_use_one_device_through_the_service() {
    let place = Place::new();
    let lock = place.path("device");
    let behaviour = format!("device={}", lock.display());
    let shared = |element: &str| format!("{element} multi-process-service=true");
    let pose = shared("hailopose engine=hailo hef-path=pose.hef");
    let face = shared("hailoface engine=hailo hef-path=face.hef");
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| place.run(&behaviour, &pose, "pose.xml"));
        let one = place.run(&behaviour, &face, "face.xml");
        (one, other.join().expect("it asserts nothing"))
    });
    assert_ok(&first);
    assert_ok(&second);
    assert!(!kinds(&place.path("pose.xml")).is_empty() && !kinds(&place.path("face.xml")).is_empty());
}

#[test]
fn a_device_that_is_lost_ends_the_stream_and_the_log_is_whole() {
    let place = Place::new();
    let line = "hailopose engine=hailo hef-path=pose.hef";
    assert_fails(
        &place.run("lost@40", line, "log.xml"),
        &["Pose analysis failed", "lost"],
    );
    assert!(!kinds(&place.path("log.xml")).is_empty(), "what was seen before");
}

#[test]
fn a_device_that_is_lost_is_replaced_by_the_cpu_where_the_user_wants_it() {
    let place = Place::new();
    let line = "hailopose engine=hailo hef-path=pose.hef fallback=cpu";
    for fault in ["lost@10", "timeout@10", "hang@10"] {
        let line = format!("{line} inference-timeout-ms=500");
        let output = place.run(fault, &line, "log.xml");
        assert_ok(&output);
        let text = all_of(&output);
        assert_eq!(
            text.matches("The CPU does the work from the next frame on").count(),
            1,
            "{fault}: {text}"
        );
    }
    assert_ok(&place.run("", "hailopose", "cpu.xml"));
    let (log, cpu) = (kinds(&place.path("log.xml")), kinds(&place.path("cpu.xml")));
    assert_eq!(log.last(), cpu.last(), "the end of the clip is read");
}

#[test]
fn a_missing_device_is_an_error_or_a_warning() {
    let place = Place::new();
    let line = |engine: &str| format!("hailoface engine={engine} hef-path=face.hef");
    assert_fails(
        &place.run("devices=0", &line("hailo"), "log.xml"),
        &["hailoface", "device"],
    );
    for line in [line("auto"), line("hailo") + " fallback=cpu"] {
        let output = place.run("devices=0", &line, "log.xml");
        assert_ok(&output);
        assert!(all_of(&output).contains("The CPU does the work"), "{}", all_of(&output));
    }
}

#[test]
fn a_wrong_version_and_a_wrong_model_are_named() {
    let place = Place::new();
    let line = "hailoface engine=hailo hef-path=face.hef";
    assert_fails(&place.run("version=5.2.0", line, "log.xml"), &["5.2.0", "4.20"]);
    std::fs::write(place.path("empty.hef"), "").unwrap();
    std::fs::write(place.path("garbage.hef"), "\x01HEF garbage").unwrap();
    for (file, needle) in [
        ("no.hef", "no.hef"),
        ("empty.hef", "empty.hef"),
        ("garbage.hef", "garbage.hef"),
    ] {
        let line = format!("hailopose engine=hailo hef-path={file}");
        assert_fails(&place.run("", &line, "log.xml"), &[needle]);
    }
    // A network that is no detector, and none at all.
    assert_fails(
        &place.run("", "hailoface engine=hailo hef-path=pose.hef", "log.xml"),
        &["does not fit", "regressors"],
    );
    let openvino = "hailopose hef-path=pose.hef engine=openvino";
    std::fs::write(place.path("model.onnx"), "ONNX").unwrap();
    // With the fallback too: no other device would help.
    for (line, needle) in [
        ("hailoface engine=hailo fallback=cpu", "none of the models is a HEF"),
        ("hailopose engine=hailo fallback=cpu", "none of the models is a HEF"),
        (openvino, "engine=auto"),
        ("hailopose hef-path=model.onnx scheduling-algorithm=1", "is no HEF"),
        ("hailopose hef-path=pose.hef device=CUDA:0 fallback=cpu", "CUDA:0"),
        (
            "hailopose hef-path=pose.hef multi-process-service=true vdevice-group-id=UNIQUE",
            "vdevice-group-id=SHARED",
        ),
        ("hailopose hef-path=nowhere.hef fallback=cpu", "nowhere.hef"),
        ("hailopose hef-path=pose.hef scheduling-algorithm=0", "use round-robin"),
    ] {
        assert_fails(&place.run("", line, "log.xml"), &[needle]);
    }
    // Where the library is missing, a name that is wrong is wrong all the same.
    assert_fails(
        &place.run("version=5.2.0", "hailopose hef-path=nowhere.hef", "log.xml"),
        &["nowhere.hef"],
    );
}

#[test]
fn on_the_cpu_the_users_own_model_takes_over() {
    let place = Place::new();
    let other = root().join("plugins/inference/models/emotion_fer7_64.onnx");
    let line = format!("hailopose hef-path=pose.hef fallback=cpu model={}", other.display());
    // Which is no pose network, and that is told: it was really asked for.
    assert_fails(
        &place.run("devices=0", &line, "log.xml"),
        &["emotion_fer7_64", "does not fit"],
    );
    assert_ok(&place.run("", &line, "log.xml"));
}

#[test]
fn bad_tensors_cost_a_frame_each() {
    let place = Place::new();
    // Bytes that mean nothing cannot be told from a picture of something else.
    for (fault, told) in [("nan@5", true), ("garbage@5", false), ("short@5", true)] {
        for line in [
            "hailoface engine=hailo hef-path=face.hef",
            "hailopose engine=hailo hef-path=pose.hef",
        ] {
            let output = place.run(fault, line, "log.xml");
            assert_ok(&output);
            assert!(!kinds(&place.path("log.xml")).is_empty(), "{fault}");
            let text = all_of(&output);
            assert_eq!(
                text.contains("of a frame failed, the frame passes unread"),
                told,
                "{fault}: {text}"
            );
        }
        let output = place.run(
            fault,
            "hailopose engine=hailo hef-path=pose.hef fail-on-error=true",
            "log.xml",
        );
        assert_eq!(output.status.success(), !told, "{fault}");
    }
}

/// `nunchi doctor --hef` with a library in the place of HailoRT.
fn doctor(place: &Place, library: &str, more: &[&str]) -> Output {
    run(
        Command::new(product("nunchi"))
            .current_dir(place.0.path())
            .env("NUNCHI_HAILORT", library)
            .arg("doctor")
            .args(more),
        BOUND,
    )
}

#[test]
fn doctor_tells_what_hefs_hold_and_who_reads_them() {
    let place = Place::new();
    let library = product("libhailort_double.so").display().to_string();
    let odd = json!({
        "group": "odd", "network": {"affine": [1, 0]},
        "inputs": [{"name": "odd/in", "shape": [8, 8, 3], "scale": 0.5, "zero_point": 3}],
        "outputs": [{"name": "odd/boxes", "shape": [1, 1, 8], "nms": {"order": "by_class", "classes": 2, "boxes": 10}}],
    });
    std::fs::write(place.path("odd.hef"), [b"\x01HEF", odd.to_string().as_bytes()].concat()).unwrap();

    let text = doctor(&place, &library, &["--hef", "face.hef", "pose.hef", "odd.hef"]);
    assert!(text.status.success(), "{}", text.stderr);
    for needle in [
        "face.hef\n  network  face.hef\n  family   blazeface: hailoface hef-path=",
        "  input    face.hef/in 1x128x128x3 NHWC u8 scale 0.0078",
        "  family   movenet: hailopose hef-path=",
        "  family   unknown",
        "NMS of 2 classes, 10 boxes of each",
    ] {
        assert!(text.stdout.contains(needle), "{needle}: {}", text.stdout);
    }
    let json = doctor(&place, &library, &["--format", "json", "--hef", "odd.hef"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let hef = &report["hefs"][0];
    assert_eq!((&hef["networks"], &hef["family"]), (&json!(["odd"]), &Value::Null));
    assert_eq!(
        (&hef["inputs"][0]["shape"], &hef["inputs"][0]["type"]),
        (&json!([1, 8, 8, 3]), &json!("u8"))
    );
    assert_eq!(
        (&hef["inputs"][0]["scale"], &hef["inputs"][0]["zero_point"]),
        (&json!(0.5), &json!(3.0))
    );
    assert_eq!(
        (
            &hef["outputs"][0]["layout"],
            &hef["outputs"][0]["nms_classes"],
            &hef["outputs"][0]["nms_boxes"]
        ),
        (&json!("nms-by-class"), &json!(2), &json!(10))
    );
}

#[test]
fn doctor_tells_why_a_hef_cannot_be_read_and_reads_the_others() {
    let place = Place::new();
    let library = product("libhailort_double.so").display().to_string();
    std::fs::write(place.path("junk.hef"), b"junk").unwrap();
    std::fs::write(place.path("empty.hef"), b"").unwrap();
    for (library, files, code, needles) in [
        (
            library.as_str(),
            &["no.hef", "pose.hef"][..],
            66,
            &["no.hef", "cannot be read"][..],
        ),
        (
            &library,
            &["junk.hef", "no.hef"],
            69,
            &["junk.hef", "damaged", "no.hef"],
        ),
        (&library, &["empty.hef"], 69, &["empty.hef", "empty"]),
        (
            "/no/such/library.so",
            &["pose.hef"],
            69,
            &["/no/such/library.so", "install HailoRT"],
        ),
    ] {
        let done = doctor(&place, library, &[&["--hef"], files].concat());
        assert_eq!(done.status.code(), Some(code), "{files:?}: {}", done.stderr);
        assert!(
            needles.iter().all(|n| done.stderr.contains(n)),
            "{files:?}: {}",
            done.stderr
        );
        let readable = files.contains(&"pose.hef") && library.ends_with("double.so");
        assert_eq!(done.stdout.contains("movenet"), readable, "{files:?}: {}", done.stdout);
    }
    let json = doctor(&place, &library, &["--format", "json", "--hef", "junk.hef"]);
    assert_eq!(json.status.code(), Some(69));
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["hefs"][0]["error"]["exit"], "unavailable");
    assert_eq!(
        doctor(&place, &library, &["--hef"]).status.code(),
        Some(2),
        "no file given"
    );
}
