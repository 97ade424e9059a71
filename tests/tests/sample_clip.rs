//! The first real run: the sample clip through `nunchi run pipelines/face-file.yaml`, checked against a calculation by hand.

use nunchi_events::xml;
use nunchi_tests::clip::{by_hand, each_sample, init, logged, unthrottled};
use nunchi_tests::{product, root, run};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MINUTES: Duration = Duration::from_secs(180);

fn decoded_frames(path: &Path) -> Vec<gst::Sample> {
    let mut frames = Vec::new();
    each_sample(path, "videoconvert ! video/x-raw,format=I420", |sample| {
        frames.push(sample)
    });
    frames
}

/// Share of the luma samples of frame `n` that differ clearly between two videos.
fn difference(a: &[gst::Sample], b: &[gst::Sample], n: usize) -> f64 {
    let maps = [a, b].map(|v| v[n].buffer().unwrap().map_readable().unwrap());
    let luma = 1280 * 720;
    let differing = maps[0][..luma]
        .iter()
        .zip(&maps[1][..luma])
        .filter(|(x, y)| x.abs_diff(**y) > 40)
        .count();
    differing as f64 / luma as f64
}

#[test]
fn the_sample_clip_gives_what_a_hand_calculation_gives() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("out");
    let output = run(
        Command::new(product("nunchi"))
            .current_dir(dir.path())
            .args(["run", "--run-dir"])
            .arg(&run_dir)
            .arg(root().join("pipelines/face-file.yaml")),
        MINUTES,
    );
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);

    // The log against the calculation.
    let log = run_dir.join("xml/f_log.xml");
    let expected = by_hand(&unthrottled(&root().join("media/sample.mp4"), "hailoface"));
    let found = logged(&log);
    assert_eq!(found, expected);

    // And against what the clip's description says: neutral, smiles in frames 100 to 299, nobody to frame 349, then the neutral
    // face again with its eyes shut in frames 365 to 414. A smile is reported 0.2 s after its first frame, then every two
    // seconds; closed eyes 0.4 s after their first frame, once, for they last 2 s.
    let smiles: Vec<_> = found.iter().filter(|r| r.1 == "smile").map(|r| r.0.as_str()).collect();
    assert_eq!(smiles, ["4.2", "6.2", "8.2", "10.2"]);
    let shut: Vec<_> = found
        .iter()
        .filter(|r| r.1 == "eyes_closed")
        .map(|r| r.0.as_str())
        .collect();
    assert_eq!(shut, ["15.0"]);
    let alone = found
        .iter()
        .filter(|r| (12.2..14.0).contains(&r.0.parse::<f64>().unwrap()));
    assert_eq!(alone.count(), 0, "nothing is seen where nobody is");
    let session = xml::read(&log).unwrap();
    assert!(session.end_time.is_some() && !session.truncated);

    // The video: all frames, and drawn on where a face is.
    let annotated = decoded_frames(&run_dir.join("mp4/annotated.mp4"));
    let original = decoded_frames(&root().join("media/sample.mp4"));
    assert_eq!((annotated.len(), original.len()), (430, 430));
    for frame in [50, 150, 260] {
        assert!(
            difference(&annotated, &original, frame) > 0.005,
            "something is drawn on frame {frame}"
        );
    }
    assert!(
        difference(&annotated, &original, 340) < 0.002,
        "nothing is drawn where nobody is"
    );

    // The summary.
    let summary: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run_dir.join("summary.json")).unwrap()).unwrap();
    assert!(summary.to_string().contains("smile"), "{summary}");
    assert!(
        output.stdout.contains("annotated.mp4") && output.stdout.contains("smile"),
        "{}",
        output.stdout
    );
}
