//! What is left of a recording when its process is killed, or its disk is full.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// This program again, as the one that records: it is the only test that runs then.
fn recorder(location: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::records_until_it_is_killed", "--nocapture"])
        .env("NUNCHI_TEST_RECORD", location)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
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

/// Not a test by itself either: a file of 200 frames, and what was told of it.
#[test]
#[allow(clippy::print_stdout, reason = "who started it reads that")]
fn records_a_short_file() {
    let Some(location) = std::env::var_os("NUNCHI_TEST_SHORT") else {
        return;
    };
    init();
    let properties = "tune=low-latency preset=ultrafast gop-size=10 bitrate=2000 fragment-duration=200000000";
    let source = "videotestsrc pattern=snow num-buffers=200 ! video/x-raw,width=160,height=120,framerate=50/1";
    let pipeline = pipeline(source, Path::new(&location), properties);
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
    pipeline.set_state(gst::State::Null).unwrap();
    let messages: Vec<_> = end.into_iter().chain(bus.iter()).collect();
    for message in messages {
        match message.view() {
            gst::MessageView::Eos(_) => println!("eos"),
            gst::MessageView::Error(error) => println!("error {}", error.error()),
            _ => {}
        }
    }
}

/// Has a short file recorded where no file may be larger than so many blocks of 512 bytes; what was told.
fn short_file(location: &Path, blocks: Option<u64>) -> Vec<String> {
    let limit = blocks.map_or_else(String::new, |blocks| format!("ulimit -f {blocks};"));
    // Without the signal a write fails, as on a disk that is full.
    let output = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; {limit} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "crash::records_a_short_file", "--nocapture"])
        .env("NUNCHI_TEST_SHORT", location)
        // Its registry is written by others, without a limit.
        .env("GST_REGISTRY_UPDATE", "no")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let at = line
                .find("eos")
                .filter(|at| line.ends_with("eos") && *at + 3 == line.len());
            at.or_else(|| line.find("error ")).map(|at| line[at..].to_owned())
        })
        .collect()
}

#[test]
fn a_disk_that_fills_up_is_one_error_and_costs_no_more_than_a_fragment() {
    let folder = folder();
    let whole = path(&folder, "whole.mp4");
    assert_eq!(short_file(&whole, None), ["eos"]);
    let blocks = std::fs::metadata(&whole).unwrap().len() / 512;
    let sizes: Vec<u64> = probe(&whole).video.iter().map(|_| 1).collect();
    assert_eq!(sizes.len(), 200);
    // In the middle, and while the file is finished, at each of its last blocks.
    for (number, limit) in [blocks / 4, blocks / 2]
        .into_iter()
        .chain(blocks.saturating_sub(14)..=blocks)
        .enumerate()
    {
        let file = path(&folder, &format!("{number}.mp4"));
        let told = short_file(&file, Some(limit));
        let part = path(&folder, &format!("{number}.mp4.part"));
        if told == ["eos"] {
            // The index of the fragments is larger than that of the plain file.
            assert_eq!(probe(&file).video.len(), 200);
            assert!(!part.exists());
            continue;
        }
        assert_eq!(told.len(), 1, "{limit} of {blocks}: {told:?}");
        assert!(
            told[0].contains(part.file_name().unwrap().to_str().unwrap()),
            "{told:?}"
        );
        assert!(!file.exists());
        let kept = probe(&part).video.len() as u64;
        // A fragment has 10 frames, and the muxer holds another one.
        let written = 200 * limit / blocks;
        assert!(
            kept + 30 >= written.min(200),
            "{limit} of {blocks} blocks: {kept} frames"
        );
        decoded(&part, &["-f", "null"]);
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
                let mut child = recorder(&file);
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
