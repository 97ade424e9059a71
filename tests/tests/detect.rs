//! `pipelines/detect-file.yaml` and `detect-folder.yaml`: a video or pictures in; boxes, text files, JSON lines and a log out.

use nunchi_tests::clip::{init, logged, unthrottled};
use nunchi_tests::{Output, gst, product, root, run};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MINUTES: Duration = Duration::from_secs(180);
const FRAMES: usize = 225;

fn detect(dir: &Path, more: &[&str]) -> Output {
    nunchi(dir, "detect-file", more)
}

/// `nunchi run` of a shipped description; its files go to `DIR/out`.
fn nunchi(dir: &Path, name: &str, more: &[&str]) -> Output {
    run(
        Command::new(product("nunchi"))
            .current_dir(dir)
            .args(["run", "--run-dir", "out", "--quiet", "--format", "json"])
            .arg(root().join(format!("pipelines/{name}.yaml")))
            .args(more),
        MINUTES,
    )
}

/// Frames of a video, which is decoded whole.
fn frames(dir: &Path, video: &Path) -> usize {
    let line = format!(
        "filesrc location={} ! decodebin ! fakesink silent=false",
        video.display()
    );
    let output = run(
        gst("gst-launch-1.0", dir).arg("-v").args(line.split_whitespace()),
        MINUTES,
    );
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout.matches("chain").count()
}

#[test]
fn a_video_is_annotated_and_each_frame_has_its_files() {
    let mut all = Vec::new();
    // One frame at a time and four (the embedded network has batches of one, so only the way of the frames differs).
    for (container, batch) in [("mp4", "1"), ("avi", "4")] {
        let dir = tempfile::tempdir().unwrap();
        let set = [format!("container={container}"), format!("batch={batch}")];
        let output = detect(dir.path(), &[&set[0], &set[1], "engine=openvino", "threads=1"]);
        assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
        let out = dir.path().join("out");
        assert_eq!(
            frames(dir.path(), &out.join(format!("video/objects.{container}"))),
            FRAMES
        );

        let json = std::fs::read_to_string(out.join("json/objects.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), FRAMES);
        let mut seen = std::collections::BTreeSet::new();
        for (number, line) in (1..).zip(&lines) {
            assert_eq!(line["frame"], number);
            let text = std::fs::read_to_string(out.join(format!("txts/infer{number}.txt"))).unwrap();
            let numbers: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
            let objects = line["objects"].as_array().unwrap();
            assert_eq!(numbers.len(), 5 * objects.len());
            for (object, five) in objects.iter().rev().zip(numbers.chunks(5)) {
                assert_eq!(object["class"].as_f64().unwrap(), five[4]);
                assert!(
                    (object["box"][2].as_f64().unwrap() - five[2] * 640.0).abs() < 0.01,
                    "{object} {five:?}"
                );
                seen.insert(((number - 1) / 25, object["label"].as_str().unwrap().to_owned()));
            }
        }
        for (second, label) in [(1, "person"), (2, "dog"), (5, "bicycle"), (5, "car"), (8, "horse")] {
            assert!(seen.contains(&(second, label.to_owned())), "{second} {label}: {seen:?}");
        }
        assert!(!seen.iter().any(|(second, _)| *second == 3), "{seen:?}");

        let summary: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let files = |name: &str| {
            let outputs = summary["outputs"].as_array().unwrap().iter();
            outputs.clone().find(|output| output["name"] == name).unwrap()["files"].clone()
        };
        assert_eq!((files("texts"), files("video")), (FRAMES.into(), 1.into()));
        all.push(lines);
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn the_log_has_what_comes_into_view() {
    let dir = tempfile::tempdir().unwrap();
    let output = detect(dir.path(), &["engine=openvino", "threads=1", "classes=person,car"]);
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    let found = logged(&dir.path().join("out/xml/objects.xml"));
    let first = |message: &str| {
        found
            .iter()
            .find(|(_, _, text)| text == message)
            .map(|(time, ..)| time.clone())
    };
    assert_eq!(first("person in view").as_deref(), Some("0.2"), "{found:?}");
    assert_eq!(first("car in view").as_deref(), Some("4.2"), "{found:?}");
    assert!(found.iter().all(|(_, kind, _)| kind == "object"), "{found:?}");
    // Every event of the stream itself, by what it is of.
    init();
    let line = "cudassd engine=openvino threads=1 classes=person,car";
    let events = unthrottled(&root().join("media/objects.mp4"), line);
    let ends = events
        .iter()
        .filter(|(_, event)| event.state == nunchi_events::State::End);
    let ends: Vec<_> = ends.map(|(_, event)| event.label.as_str()).collect();
    assert_eq!(ends, ["person", "car"]);
}

#[test]
fn what_cannot_be_done_ends_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let model = root().join("plugins/inference/models/emotion_fer7_64.onnx");
    let model = format!("model={}", model.display());
    for (set, code, needle) in [
        ("input=/no/such/clip.mp4", 66, "/no/such/clip.mp4"),
        (model.as_str(), 69, "SSD"),
        ("labels=/no/names.txt", 66, "/no/names.txt"),
        ("classes=unicorn", 65, "unicorn"),
        ("score=1.5", 65, "score"),
        ("container=mov", 65, "mov"),
    ] {
        let output = detect(dir.path(), &[set]);
        assert!(output.stderr.contains(needle), "{set}: {}", output.stderr);
        assert_eq!(output.status.code(), Some(code), "{set}: {}", output.stderr);
    }
}

#[test]
fn pictures_of_a_folder_are_told_apart_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    std::fs::create_dir(&folder).unwrap();
    for name in ["dog.jpg", "camera.png", "person.jpg"] {
        std::fs::copy(root().join("tests/media").join(name), folder.join(name)).unwrap();
    }
    let whole = std::fs::read(folder.join("dog.jpg")).unwrap();
    std::fs::write(folder.join("broken.jpg"), &whole[..500]).unwrap();
    std::fs::write(folder.join("notes.txt"), "no picture").unwrap();
    let folder = format!("input={}", folder.display());
    let output = nunchi(dir.path(), "detect-folder", &[&folder, "engine=openvino", "threads=1"]);
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    let out = dir.path().join("out");
    let log = std::fs::read_to_string(out.join("logs/detect.log")).unwrap();
    assert!(log.contains("broken.jpg is passed over"), "{log}");
    let json = std::fs::read_to_string(out.join("json/objects.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heads: Vec<_> = lines
        .iter()
        .map(|line| (line["file"].as_str().unwrap(), line["width"].as_u64().unwrap()))
        .collect();
    assert_eq!(heads, [("camera.png", 512), ("dog.jpg", 768), ("person.jpg", 640)]);
    assert_eq!(lines[1]["objects"][0]["label"], "bicycle");
    for (number, size) in [
        (1, "width=512,height=512"),
        (2, "width=768,height=576"),
        (3, "width=640,height=424"),
    ] {
        assert!(out.join(format!("txts/infer{number}.txt")).exists());
        let picture = out.join(format!("pictures/{number:05}.jpg"));
        let line = format!(
            "filesrc location={} ! jpegdec ! video/x-raw,{size} ! fakesink",
            picture.display()
        );
        let output = run(gst("gst-launch-1.0", dir.path()).args(line.split_whitespace()), MINUTES);
        assert!(output.status.success(), "{}", output.stderr);
    }
    assert_eq!(std::fs::read_dir(out.join("pictures")).unwrap().count(), 3);
}

#[test]
fn a_folder_without_pictures_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, needle) in [(".", "no picture"), ("nowhere", "nowhere")] {
        let output = nunchi(dir.path(), "detect-folder", &[&format!("input={folder}")]);
        assert!(output.stderr.contains(needle), "{}", output.stderr);
        assert_eq!(output.status.code(), Some(66), "{}", output.stderr);
    }
}
