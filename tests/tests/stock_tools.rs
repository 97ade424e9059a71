//! The built plugin under GStreamer's own tools, as a user has it who drops in the one file.

use nunchi_events::xml;
use nunchi_tests::{gst, root, run};
use std::time::Duration;

const BOUND: Duration = Duration::from_secs(120);
const ELEMENTS: [&str; 9] = [
    "hailoface",
    "hailopose",
    "cudassd",
    "imagefoldersrc",
    "eventthrottle",
    "xmllogsink",
    "analysisoverlay",
    "motiontextoverlay",
    "nvencsink",
];

#[test]
fn inspect_lists_every_element() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = run(gst("gst-inspect-1.0", dir.path()).arg("nunchi"), BOUND);
    for element in ELEMENTS {
        assert!(plugin.stdout.contains(element), "{}{}", plugin.stdout, plugin.stderr);
        let one = run(gst("gst-inspect-1.0", dir.path()).arg(element), BOUND);
        assert!(
            one.status.success() && one.stdout.contains("none (0)"),
            "{}{}",
            one.stdout,
            one.stderr
        );
    }
}

#[test]
fn the_plugin_loads_where_no_inference_library_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = gst("gst-inspect-1.0", dir.path());
    command
        .env("NUNCHI_OPENVINO_LIB", "/nowhere/libopenvino_c.so")
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    assert!(run(command.arg("hailoface"), BOUND).status.success());
}

#[test]
fn a_library_that_is_missing_is_one_error_that_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    for (engine, variable) in [("openvino", "NUNCHI_OPENVINO_LIB"), ("onnxruntime", "ORT_DYLIB_PATH")] {
        let mut command = gst("gst-launch-1.0", dir.path());
        command
            .env(variable, "/nowhere/lib.so")
            .args(["videotestsrc", "num-buffers=1", "!", "hailoface"]);
        let output = run(command.arg(format!("engine={engine}")).args(["!", "fakesink"]), BOUND);
        assert!(!output.status.success());
        assert!(
            output.stderr.contains("/nowhere/lib.so") && output.stderr.contains(variable),
            "{}",
            output.stderr
        );
        assert_eq!(
            output.stderr.matches("ERROR: from element").count(),
            1,
            "{}",
            output.stderr
        );
    }
}

#[test]
fn auto_does_with_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = gst("gst-launch-1.0", dir.path());
    command
        .env("NUNCHI_OPENVINO_LIB", "/nowhere/a.so")
        .env("ORT_DYLIB_PATH", "/nowhere/b.so");
    let output = run(
        command.args(["-m", "videotestsrc", "num-buffers=1", "!", "hailoface", "!", "fakesink"]),
        BOUND,
    );
    assert!(output.status.success(), "{}", output.stderr);
    assert!(output.stdout.contains("engine=(string)embedded"), "{}", output.stdout);
}

#[test]
fn nothing_leaks() {
    let dir = tempfile::tempdir().unwrap();
    let clip = root().join("media/sample.mp4");
    let mut command = gst("gst-launch-1.0", dir.path());
    command
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1");
    command.args(["filesrc"]).arg(format!("location={}", clip.display()));
    let rest = "! decodebin ! hailoface inference-interval=5 ! eventthrottle ! tee name=t \
                t. ! queue ! analysisoverlay ! motiontextoverlay location=CAPTIONS ! nvencsink location=out.mp4 t. ! queue ! xmllogsink location=f_log.xml";
    let captions = root().join("media/captions.json");
    let rest = rest.replace("CAPTIONS", captions.to_str().unwrap());
    let output = run(command.args(rest.split_whitespace()), BOUND);
    assert!(output.status.success(), "{}", output.stderr);
    let leaks: Vec<_> = output
        .stderr
        .lines()
        .filter(|l| l.contains("object-alive, type-name=(string)G"))
        .collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(!xml::read(dir.path().join("f_log.xml")).unwrap().frames.is_empty());
}

#[test]
fn a_killed_pipeline_leaves_a_log_that_parses() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("f_log.xml");
    let clip = root().join("media/sample.mp4");
    let mut command = gst("gst-launch-1.0", dir.path());
    command.arg("filesrc").arg(format!("location={}", clip.display()));
    command.args("! decodebin ! hailoface ! xmllogsink location=f_log.xml".split_whitespace());
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let deadline = std::time::Instant::now() + BOUND;
    // Once it is in the middle of writing, it dies.
    while std::fs::metadata(&log).map_or(0, |m| m.len()) < 8_000 {
        assert!(
            std::time::Instant::now() < deadline && child.try_wait().unwrap().is_none(),
            "no log grew"
        );
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let session = xml::read(&log).unwrap();
    assert!(!session.truncated && session.end_time.is_none() && session.frames.len() > 10);
}

#[test]
fn a_clip_without_faces_gives_an_empty_session() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["china.jpg", "horses.jpg"] {
        let mut command = gst("gst-launch-1.0", dir.path());
        command
            .arg("filesrc")
            .arg(format!("location={}", root().join("tests/media").join(name).display()));
        let line = "! jpegdec ! imagefreeze num-buffers=10 ! hailoface ! eventthrottle ! xmllogsink location=f_log.xml";
        let output = run(command.args(line.split_whitespace()), BOUND);
        assert!(output.status.success(), "{}", output.stderr);
        assert!(
            xml::read(dir.path().join("f_log.xml")).unwrap().frames.is_empty(),
            "{name}"
        );
    }
}
