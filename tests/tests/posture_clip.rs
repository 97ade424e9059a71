//! Bodies and faces of one clip in one line: what the logs say of it.

use nunchi_events::xml;
use nunchi_tests::clip::{by_hand, init, logged, unthrottled};
use nunchi_tests::{gst, product, root, run};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const MINUTES: Duration = Duration::from_secs(180);

fn clip() -> PathBuf {
    root().join("media/posture.mp4")
}

/// The times of one type of event in a log, in seconds.
fn times(log: &[(String, String, String)], kind: &str) -> Vec<f64> {
    let of_kind = log.iter().filter(|(_, k, _)| k == kind);
    of_kind.map(|(time, ..)| time.parse().unwrap()).collect()
}

#[test]
fn bodies_and_faces_of_one_line_come_into_one_log() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let line = format!(
        "filesrc location={} ! decodebin ! hailopose ! hailoface ! eventthrottle ! xmllogsink location=log.xml \
         session-root=pose_session",
        clip().display()
    );
    let output = run(
        gst("gst-launch-1.0", dir.path())
            .arg("-q")
            .args(line.split_whitespace()),
        MINUTES,
    );
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    let log = dir.path().join("log.xml");
    let found = logged(&log);
    assert_eq!(found, by_hand(&unthrottled(&clip(), "hailopose ! hailoface")));

    // What the clip's description says: somebody upright for a second, who leans over in the next one and stays so for a third;
    // from 3 s on somebody bent, seen from the side, who gets smaller; from 6 s on nobody.
    let body = times(&found, "body_tilt");
    assert!(body[0] > 1.0 && body[0] < 1.6, "{body:?}");
    let head = times(&found, "head_tilt");
    assert!(head[0] > 1.6 && head[0] < 2.0, "{head:?}");
    assert!(head.iter().any(|t| (3.0..6.0).contains(t)), "{head:?}");
    assert!(times(&found, "presence")[0] == 0.0, "{found:?}");
    assert!(times(&found, "gesture").is_empty(), "{found:?}");
    assert!(
        found.iter().all(|(time, ..)| time.parse::<f64>().unwrap() < 6.0),
        "{found:?}"
    );
    let said = |kind: &str| found.iter().find(|r| r.1 == kind).unwrap().2.as_str();
    assert!(
        said("body_tilt").starts_with("Body asymmetry detected (1.1"),
        "{found:?}"
    );
    assert!(said("head_tilt").starts_with("Head tilt detected ("), "{found:?}");
    let session = xml::read(&log).unwrap();
    assert!(session.end_time.is_some() && !session.truncated);
}

#[test]
fn the_shipped_pipeline_logs_postures_and_draws_skeletons() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("out");
    let output = run(
        Command::new(product("nunchi"))
            .current_dir(dir.path())
            .args(["run", "--run-dir"])
            .arg(&run_dir)
            .arg(root().join("pipelines/posture-file.yaml"))
            .arg(format!("input={}", clip().display())),
        MINUTES,
    );
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    let found = logged(&run_dir.join("xml/p_log.xml"));
    assert_eq!(found, by_hand(&unthrottled(&clip(), "hailopose")));
    assert!(times(&found, "body_tilt").len() > 1 && times(&found, "presence").is_empty());
    let video = run_dir.join("mp4/annotated.mp4");
    assert!(std::fs::metadata(&video).unwrap().len() > 10_000);
}
