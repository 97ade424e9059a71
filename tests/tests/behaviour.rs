//! `pipelines/behaviour-camera.yaml`: files played in real time, and its cameras with stand-ins for the devices.

use nunchi_tests::clip::logged;
use nunchi_tests::{Output, gst, product, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const MINUTES: Duration = Duration::from_secs(180);

/// `nunchi run` of a description; its files go to `DIR/out`.
fn nunchi(dir: &Path, description: &Path, more: &[&str]) -> Output {
    run(
        Command::new(product("nunchi"))
            .current_dir(dir)
            // No Hailo here, whatever the machine has.
            .env("NUNCHI_HAILORT", "/no/such/library.so")
            .args(["run", "--run-dir", "out", "--quiet", "--format", "json"])
            .arg(description)
            .args(more),
        MINUTES,
    )
}

fn shipped() -> PathBuf {
    root().join("pipelines/behaviour-camera.yaml")
}

/// Decodes the streams of a file whole and checks that their formats are these.
#[track_caller]
fn plays(dir: &Path, file: &Path, streams: &[&str]) {
    let branches: String = streams
        .iter()
        .map(|caps| format!(" d. ! {caps} ! fakesink sync=false"))
        .collect();
    let line = format!("-q filesrc location={} ! decodebin name=d{branches}", file.display());
    let output = run(gst("gst-launch-1.0", dir).args(line.split_whitespace()), MINUTES);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{line}: {}",
        output.stderr
    );
}

/// Whether an MP4 has a track of one kind (`vide`, `soun`), which its handler box names.
fn has_track(file: &Path, kind: &str) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let handler = [b"hdlr\0\0\0\0\0\0\0\0", kind.as_bytes()].concat();
    bytes.windows(handler.len()).any(|w| w == handler)
}

/// The clip of postures, with sound put to it or as it is.
fn clip(dir: &Path, sound: bool) -> PathBuf {
    let silent = root().join("media/posture.mp4");
    if !sound {
        return silent;
    }
    let file = dir.join("sound.mp4");
    let line = format!(
        "-q filesrc location={} ! qtdemux ! h264parse ! queue ! mp4mux name=m ! filesink location={} \
         audiotestsrc num-buffers=300 ! audio/x-raw,rate=44100,channels=2 ! voaacenc ! aacparse ! queue ! m.",
        silent.display(),
        file.display()
    );
    let output = run(gst("gst-launch-1.0", dir).args(line.split_whitespace()), MINUTES);
    assert!(output.status.success(), "{}", output.stderr);
    file
}

#[test]
fn a_file_is_played_in_real_time_and_recorded_with_the_sound_it_has() {
    for sound in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let input = format!("input={}", clip(dir.path(), sound).display());
        let begun = Instant::now();
        let output = nunchi(dir.path(), &shipped(), &["preset=file", &input]);
        assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
        assert!(begun.elapsed() >= Duration::from_millis(6900), "the clip lasts 7 s");

        let video = dir.path().join("out/mp4/video.mp4");
        let (size, pcm) = ("video/x-raw,width=480,height=600", "audio/x-raw,rate=44100,channels=2");
        plays(dir.path(), &video, &[size, pcm][..1 + usize::from(sound)]);
        assert_eq!((has_track(&video, "vide"), has_track(&video, "soun")), (true, sound));

        let log = dir.path().join("out/xml/log.xml");
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("<merged_session>"), "{text}");
        let found = logged(&log);
        for kind in ["presence", "body_tilt", "head_tilt"] {
            assert!(found.iter().any(|(_, k, _)| k == kind), "no {kind}: {found:?}");
        }
        let times: Vec<f64> = found.iter().map(|(time, ..)| time.parse().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

/// The shipped description with sources that need no device.
fn with_stand_ins(dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(shipped()).unwrap();
    let camera = "v4l2src device=${device} do-timestamp=true";
    let jpeg = format!("{camera} ! image/jpeg,width=1280,height=720,framerate=30/1");
    assert!(text.contains(&jpeg) && text.matches(camera).count() == 2 && text.contains("pulsesrc"));
    // The name keeps the parameter in use.
    let picture = "videotestsrc is-live=true name=${device}";
    let text = text
        .replace(
            &jpeg,
            &format!(
                "{picture} ! video/x-raw,width=1280,height=720,framerate=30/1 ! jpegenc ! image/jpeg,framerate=30/1"
            ),
        )
        .replace(camera, picture)
        .replace("pulsesrc", "audiotestsrc is-live=true");
    let path = dir.join("stand-ins.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn both_cameras_are_recorded_in_their_size_at_their_rate_with_a_microphone_or_without() {
    for (preset, microphone, size, rate) in [
        ("webcam", "pulse", "video/x-raw,width=640,height=480", 15),
        ("a6700", "none", "video/x-raw,width=360,height=640", 24),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let description = with_stand_ins(dir.path());
        let set = [format!("preset={preset}"), format!("microphone={microphone}")];
        let output = nunchi(dir.path(), &description, &[&set[0], &set[1], "--timeout", "4s"]);
        assert_eq!(output.status.code(), Some(124), "{}\n{}", output.stdout, output.stderr);
        let video = dir.path().join("out/mp4/video.mp4");
        let sound = microphone == "pulse";
        let streams = [size, "audio/x-raw,rate=16000,channels=1"];
        plays(dir.path(), &video, &streams[..1 + usize::from(sound)]);
        assert_eq!(has_track(&video, "soun"), sound, "{preset}");
        let summary: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let (frames, seconds) = (
            summary["frames"].as_u64().unwrap(),
            summary["seconds"].as_f64().unwrap(),
        );
        // A busy machine records fewer; never more than the camera gives.
        assert!(
            frames >= 2 && frames as f64 <= f64::from(rate) * seconds + 1.0,
            "{preset}: {frames} in {seconds} s"
        );
    }
}

#[test]
fn what_is_missing_ends_the_run_or_is_done_without() {
    const HAILO: [&str; 3] = ["engine=hailo", "face_hef=x.hef", "pose_hef=x.hef"];
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.hef"), b"\x01HEF{}").unwrap();
    for (more, code, needle) in [
        (
            &["device=/no/such/camera", "microphone=none"][..],
            66,
            "/no/such/camera",
        ),
        (&["preset=file", "input=/no/such/clip.mp4"], 66, "/no/such/clip.mp4"),
        (
            &["preset=file", HAILO[0], HAILO[1], HAILO[2], "fallback=error"],
            69,
            "HailoRT",
        ),
        (&["preset=file", HAILO[0]], 65, "give one with hef-path"),
        (&["preset=webcm"], 65, "did you mean `webcam`?"),
    ] {
        let output = nunchi(dir.path(), &shipped(), more);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", output.stderr);
        assert!(output.stderr.contains(needle), "{more:?}: {}", output.stderr);
    }
    let output = nunchi(
        dir.path(),
        &shipped(),
        &["preset=file", HAILO[0], HAILO[1], HAILO[2], "--timeout", "3s"],
    );
    assert_eq!(output.status.code(), Some(124), "{}", output.stderr);
    assert!(dir.path().join("out/mp4/video.mp4").exists(), "{}", output.stdout);
}

#[test]
fn every_shipped_description_is_sound_in_every_choice() {
    let dir = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(root().join("pipelines"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    assert!(files.contains(&shipped()));
    let output = run(
        Command::new(product("nunchi"))
            .current_dir(dir.path())
            .arg("validate")
            .args(&files),
        MINUTES,
    );
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!(
        output.stdout.matches(": ok (").count(),
        files.len(),
        "{}",
        output.stdout
    );
}
