//! What is left of a recording when its process is killed, or its disk is full.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// This program again, as the one that records: it is the only test that runs then.
fn recorder(location: &Path, limit: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::records_until_it_is_killed", "--nocapture"])
        .env("NUNCHI_TEST_RECORD", location)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(limit) = limit {
        command.env("NUNCHI_TEST_LIMIT", limit.to_string());
    }
    command.spawn().unwrap()
}

/// Not a test by itself: without a location it has nothing to do.
#[test]
#[allow(clippy::print_stdout, reason = "who watches it reads that")]
fn records_until_it_is_killed() {
    let Some(location) = std::env::var_os("NUNCHI_TEST_RECORD") else {
        return;
    };
    init();
    let pipeline = parse(&format!(
        "nvencsink name=sink location=\"{}\" tune=low-latency preset=ultrafast gop-size=25 fragment-duration=500000000 \
         videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=50/1 ! sink.sink audiotestsrc is-live=true ! sink.audio_0",
        Path::new(&location).display()
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    loop {
        let processed: u64 = sink(&pipeline).property("processed-frames");
        println!("frames {processed}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_kill_costs_no_more_than_a_fragment() {
    let folder = folder();
    // At fifty moments of its first 2.5 s, some after each other, so that it does not take long: five recorders side by side.
    for round in 0..10_u64 {
        let children: Vec<_> = (0..5_u64)
            .map(|number| {
                let file = path(&folder, &format!("{round}-{number}.mp4"));
                let mut child = recorder(&file, None);
                // Golden ratio steps spread the moments evenly.
                let share = ((round * 5 + number) as f64 * 0.618_033_988_75).fract();
                let wanted = (10.0 + share * 115.0) as u64;
                let output = BufReader::new(child.stdout.take().unwrap());
                let watching = std::thread::spawn(move || {
                    let mut seen = 0;
                    for line in output.lines().map_while(Result::ok) {
                        if let Some(frames) = line.strip_prefix("frames ").and_then(|text| text.parse().ok()) {
                            seen = frames;
                            if seen >= wanted {
                                break;
                            }
                        }
                    }
                    child.kill().unwrap();
                    child.wait().unwrap();
                    seen
                });
                (file, wanted, watching)
            })
            .collect();
        for (file, wanted, watching) in children {
            let encoded: u64 = watching.join().unwrap();
            assert!(encoded >= wanted, "{encoded} of {wanted}");
            let part = path(
                &folder,
                &format!("{}.part", file.file_name().unwrap().to_str().unwrap()),
            );
            // A fragment has 25 frames, from key frame to key frame; the muxer holds the one that is not complete, and sound may lie behind.
            let kept = try_probe(&part).map_or(0, |probed| probed.video.len() as u64);
            assert!(kept + 25 + 25 >= encoded, "{kept} of {encoded} frames are left");
            if kept > 0 {
                decoded(&part, &["-f", "null"]);
            }
        }
    }
}
