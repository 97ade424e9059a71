//! Every container with every codec, segments, playlists, sizes.

use super::common::run;
use super::*;

const SOUND: &str =
    "audiotestsrc num-buffers=90 samplesperbuffer=1000 ! audio/x-raw,rate=44100,channels=2 ! sink.audio_0";

fn with_sound(location: &Path, properties: &str) -> gst::Pipeline {
    let source = format!("{SOUND} {}", test_video(60, 160, 120));
    init();
    parse(&format!(
        "nvencsink name=sink location=\"{}\" {properties} {SOUND} {} ! sink.sink",
        location.display(),
        source.trim_start_matches(SOUND)
    ))
}

#[test]
fn every_codec_in_every_container_is_read_back() {
    let folder = folder();
    for (container, ending) in [
        ("mp4", "mp4"),
        ("fmp4", "mp4"),
        ("mkv", "mkv"),
        ("ts", "ts"),
        ("avi", "avi"),
        ("hls", "m3u8"),
    ] {
        for (codec, name) in [("h264", "h264"), ("h265", "hevc"), ("av1", "av1"), ("mpeg4", "mpeg4")] {
            let holds = match container {
                "avi" => matches!(codec, "h264" | "mpeg4"),
                "ts" | "hls" => matches!(codec, "h264" | "h265"),
                _ => codec != "mpeg4",
            };
            let file = path(&folder, &format!("{container}-{codec}.{ending}"));
            let pipeline = with_sound(
                &file,
                &format!("container={container} codec={codec} gop-size=15 encoder=software"),
            );
            let outcome = run(&pipeline);
            if !holds {
                let error = outcome.unwrap_err();
                assert!(error.contains("does not hold"), "{container} {codec}: {error}");
                continue;
            }
            outcome.unwrap_or_else(|error| panic!("{container} {codec}: {error}"));
            let probed = probe(&file);
            let what = format!("{container} {codec}");
            assert_eq!(probed.codec, name, "{what}");
            assert_eq!(probed.video.len(), 60, "{what}");
            assert!((probed.duration - 2.0).abs() < 0.1, "{what}: {} s", probed.duration);
            // Sound is there to the end, and starts with the picture.
            assert!(probed.audio.len() > 70, "{what}: {}", probed.audio.len());
            assert!(
                (probed.audio[0].at - probed.video[0].at).abs() < 0.03,
                "{what}: {:?} {:?}",
                probed.audio[0],
                probed.video[0]
            );
            let keys: Vec<usize> = (0..60).filter(|at| probed.video[*at].key).collect();
            assert!(keys.windows(2).all(|pair| pair[1] - pair[0] <= 15), "{what}: {keys:?}");
            if container != "hls" {
                let rest = frames_from(&file, "1");
                assert!((25..=45).contains(&rest), "{what}: {rest} frames from 1 s on");
            }
            assert!(!decoded(&file, &["-f", "null"]).iter().any(|byte| *byte != 0));
        }
    }
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".part")));
}

#[test]
fn a_playlist_of_one_segment_ends_every_time() {
    let folder = folder();
    for round in 0..20 {
        let file = path(&folder, "a.m3u8");
        let outcome = run(&with_sound(&file, "container=hls overwrite=true encoder=software"));
        outcome.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

#[test]
fn a_finished_mp4_is_plain_and_has_its_index_in_front_if_wanted() {
    let folder = folder();
    for (faststart, index_first) in [("false", false), ("true", true)] {
        let file = path(&folder, &format!("{faststart}.mp4"));
        run(&pipeline(
            &test_video(60, 160, 120),
            &file,
            &format!("faststart={faststart}"),
        ))
        .unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let find = |name: &[u8]| bytes.windows(4).position(|four| four == name);
        let (moov, mdat) = (find(b"moov").unwrap(), find(b"mdat").unwrap());
        assert_eq!(moov < mdat, index_first, "{faststart}");
        assert_eq!(probe(&file).video.len(), 60);
        assert_eq!(frames_from(&file, "0"), 60);
    }
    assert_eq!(names(folder.path()), ["false.mp4", "true.mp4"]);
}

#[test]
fn segments_are_cut_at_key_frames_and_lose_nothing() {
    let folder = folder();
    let file = path(&folder, "part-%02d.mp4");
    let line = format!(
        "nvencsink name=sink location=\"{}\" max-size-time=1000000000 {} ! sink.sink \
         audiotestsrc num-buffers=147 samplesperbuffer=1000 ! audio/x-raw,rate=44100 ! sink.audio_0",
        file.display(),
        test_video(100, 160, 120)
    );
    init();
    let messages = run(&parse(&line)).unwrap();
    let files = names(folder.path());
    assert_eq!(files, ["part-00.mp4", "part-01.mp4", "part-02.mp4", "part-03.mp4"]);
    let probed: Vec<Probed> = files.iter().map(|name| probe(&folder.path().join(name))).collect();
    let frames: Vec<usize> = probed.iter().map(|file| file.video.len()).collect();
    assert_eq!(frames, [30, 30, 30, 10]);
    assert!(probed.iter().all(|file| file.video[0].key && !file.audio.is_empty()));
    let sound: usize = probed.iter().map(|file| file.audio.len()).sum();
    assert!((143..=147).contains(&sound), "{sound}");
    let written = told(&messages, "nunchi-file-written");
    assert_eq!(written.len(), 4);
    assert!(written[0].get::<String>("location").unwrap().ends_with("part-00.mp4"));
}

#[test]
fn segments_by_size_and_only_the_last_of_them() {
    let folder = folder();
    let file = path(&folder, "part-%d.ts");
    run(&pipeline(
        "videotestsrc pattern=snow num-buffers=120 ! video/x-raw,width=160,height=120,framerate=30/1",
        &file,
        "max-size-bytes=100000 max-files=2 gop-size=5 bitrate=2000",
    ))
    .unwrap();
    let files = names(folder.path());
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(!files.contains(&"part-0.ts".to_owned()), "{files:?}");
    assert!(
        files
            .iter()
            .all(|name| !probe(&folder.path().join(name)).video.is_empty())
    );
}

#[test]
fn a_playlist_lists_its_segments() {
    let folder = folder();
    let file = path(&folder, "live.m3u8");
    run(&pipeline(&test_video(90, 160, 120), &file, "max-size-time=1000000000")).unwrap();
    assert_eq!(
        names(folder.path()),
        ["live-00000.ts", "live-00001.ts", "live-00002.ts", "live.m3u8"]
    );
    let playlist = std::fs::read_to_string(&file).unwrap();
    assert!(
        playlist.contains("#EXT-X-ENDLIST") && playlist.matches("#EXTINF").count() == 3,
        "{playlist}"
    );
}

#[test]
fn sizes_that_no_encoder_takes_are_made_to_fit() {
    let folder = folder();
    for (width, height, codec, fits) in [
        (33, 17, "h264", 34),
        (1, 1, "h264", 16),
        (31, 640, "h265", 64),
        (17, 19, "av1", 18),
        (1, 1, "av1", 16),
    ] {
        let file = path(&folder, &format!("{width}x{height}-{codec}.mkv"));
        run(&pipeline(
            &test_video(5, width, height),
            &file,
            &format!("codec={codec} encoder=software"),
        ))
        .unwrap();
        let probed = probe(&file);
        assert_eq!(
            (probed.width, probed.video.len()),
            (fits, 5),
            "{width}x{height} {codec}"
        );
    }
}

#[test]
fn a_very_large_picture() {
    let folder = folder();
    let file = path(&folder, "8k.mp4");
    run(&pipeline(
        &test_video(2, 7680, 4320),
        &file,
        "preset=ultrafast bitrate=1000",
    ))
    .unwrap();
    assert_eq!((probe(&file).width, probe(&file).video.len()), (7680, 2));
}

#[test]
fn formats_are_made_to_what_players_know() {
    let folder = folder();
    for format in ["RGB", "BGRx", "Y444", "GRAY8", "YUY2", "NV12", "P010_10LE"] {
        let file = path(&folder, &format!("{format}.mp4"));
        let source = format!("videotestsrc num-buffers=3 ! video/x-raw,format={format},width=64,height=48");
        run(&pipeline(&source, &file, "")).unwrap();
        let told = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=pix_fmt", "-of", "csv=p=0"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "yuv420p", "{format}");
    }
}

#[test]
fn another_size_begins_another_file() {
    let folder = folder();
    let file = path(&folder, "video.mp4");
    let line = format!(
        "concat name=c ! nvencsink name=sink location=\"{}\" \
         videotestsrc num-buffers=30 ! video/x-raw,width=160,height=120,framerate=30/1 ! c. \
         videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=30/1 ! c. \
         audiotestsrc num-buffers=72 samplesperbuffer=1000 ! audio/x-raw,rate=44100 ! sink.audio_0",
        file.display()
    );
    init();
    run(&parse(&line)).unwrap();
    assert_eq!(names(folder.path()), ["video-1.mp4", "video.mp4"]);
    let (first, second) = (probe(&file), probe(&path(&folder, "video-1.mp4")));
    assert_eq!((first.width, first.video.len()), (160, 30));
    assert_eq!((second.width, second.video.len()), (320, 20));
    assert!(
        !first.audio.is_empty() && !second.audio.is_empty(),
        "{} {}",
        first.audio.len(),
        second.audio.len()
    );
}

#[test]
fn another_size_is_an_error_if_wanted_and_the_file_is_whole() {
    let folder = folder();
    let file = path(&folder, "video.mp4");
    let line = format!(
        "concat name=c ! nvencsink name=sink location=\"{}\" size-change=error \
         videotestsrc num-buffers=30 ! video/x-raw,width=160,height=120,framerate=30/1 ! c. \
         videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=30/1 ! c.",
        file.display()
    );
    init();
    let error = run(&parse(&line)).unwrap_err();
    assert!(error.contains("size-change=new-segment"), "{error}");
    assert_eq!(names(folder.path()), ["video.mp4"]);
    assert_eq!(probe(&file).video.len(), 30);
}
