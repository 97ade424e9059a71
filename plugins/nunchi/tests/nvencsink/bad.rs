//! What cannot be: an error that names the thing and the remedy, and nothing left behind.

use super::common::run;
use super::*;

#[track_caller]
fn refused(location: &Path, properties: &str) -> String {
    run(&pipeline(&test_video(5, 64, 48), location, properties)).unwrap_err()
}

#[test]
fn settings_that_do_not_go_together() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    for (properties, says) in [
        ("max-size-time=1000000000", "a-%05d.mp4"),
        ("max-files=3", "%d"),
        ("container=avi codec=av1", "does not hold"),
        ("container=ts codec=mpeg4", "h264, h265"),
        ("container=mkv faststart=true", "faststart"),
        ("container=hls max-size-bytes=100", "max-size-bytes"),
    ] {
        let error = refused(&file, properties);
        assert!(error.contains(says), "{properties}: {error}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn no_location() {
    init();
    let pipeline = parse(&format!("{} ! nvencsink", test_video(5, 64, 48)));
    let error = run(&pipeline).unwrap_err();
    assert!(error.contains("set the property location"), "{error}");
}

#[test]
fn encoders_that_are_not_there() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let error = refused(&file, "encoder=nvenc");
    assert!(
        error.contains("NVENC is not possible here") && error.contains("fallback=software"),
        "{error}"
    );
    let error = refused(&file, "encoder=no-such-encoder");
    assert!(
        error.contains("no-such-encoder") && error.contains("not installed"),
        "{error}"
    );
    // There, but of something else.
    let error = refused(&file, "encoder=x265enc");
    assert!(error.contains("does not encode video/x-h264"), "{error}");
    let error = refused(&file, "encoder=identity");
    assert!(error.contains("encoder=auto"), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn software_stands_in_for_nvenc_if_it_may() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(5, 64, 48), &file, "encoder=nvenc fallback=software");
    let messages = run(&pipeline).unwrap();
    let warned = warnings(&messages);
    assert!(
        warned.iter().any(|warning| warning.contains("x264enc works")),
        "{warned:?}"
    );
    assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "x264enc");
    assert_eq!(probe(&file).video.len(), 5);
}

#[test]
fn places_where_no_file_can_be() {
    let folder = folder();
    let taken = path(&folder, "taken.mp4");
    std::fs::write(&taken, "mine").unwrap();
    let error = refused(&taken, "");
    assert!(
        error.contains("taken.mp4") && error.contains("overwrite=true"),
        "{error}"
    );
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    let error = refused(&path(&folder, "none/a.mp4"), "");
    assert!(error.contains("does not exist"), "{error}");
    let error = refused(folder.path(), "");
    assert!(error.contains("is a folder"), "{error}");
    let error = refused(Path::new("/proc/a.mp4"), "");
    assert!(error.contains("cannot be written"), "{error}");
    assert_eq!(names(folder.path()), ["taken.mp4"]);
    run(&pipeline(&test_video(5, 64, 48), &taken, "overwrite=true")).unwrap();
    assert_eq!(probe(&taken).video.len(), 5);
}

#[test]
fn a_file_that_another_writes() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let first = pipeline("videotestsrc is-live=true ! video/x-raw,width=64,height=48", &file, "");
    first.set_state(gst::State::Playing).unwrap();
    let part = path(&folder, "a.mp4.part");
    let patience = std::time::Instant::now();
    while !part.exists() {
        assert!(patience.elapsed().as_secs() < 20, "the first one begins");
        std::thread::yield_now();
    }
    let error = refused(&file, "");
    assert!(error.contains("is being written by another"), "{error}");
    first.set_state(gst::State::Null).unwrap();
    assert_eq!(names(folder.path()), ["a.mp4"]);
}

#[test]
fn a_folder_that_is_removed_in_the_middle() {
    let folder = folder();
    let gone = path(&folder, "gone");
    std::fs::create_dir(&gone).unwrap();
    let file = gone.join("a.mp4");
    let pipeline = pipeline(&test_video(120, 64, 48), &file, "");
    let remove = gone.clone();
    let seen = Count::default();
    let pad = sink(&pipeline).static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if seen.next() == 100 {
            // It is there by now or it never will be.
            let _ = std::fs::remove_dir_all(&remove);
        }
        gst::PadProbeReturn::Ok
    });
    run(&pipeline).unwrap();
    assert_eq!(names(&gone), ["a.mp4"]);
    assert_eq!(probe(&file).video.len(), 120);
}

#[test]
fn an_encoder_that_fails_in_the_middle_leaves_a_whole_file() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(300, 64, 48), &file, "tune=low-latency");
    let sink = sink(&pipeline);
    let count = std::sync::Arc::new(Count::default());
    // The parser refuses what the encoder gives from some frame on.
    sink.downcast_ref::<gst::Bin>()
        .unwrap()
        .connect_element_added(move |_, element| {
            if element.factory().is_some_and(|factory| factory.name() == "h264parse") {
                let count = count.clone();
                let pad = element.static_pad("sink").unwrap();
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    if count.next() <= 90 {
                        return gst::PadProbeReturn::Ok;
                    }
                    info.flow_res = Err(gst::FlowError::Error);
                    gst::PadProbeReturn::Handled
                });
            }
        });
    let error = run(&pipeline).unwrap_err();
    assert!(!error.is_empty());
    assert_eq!(names(folder.path()), ["a.mp4"]);
    assert_eq!(probe(&file).video.len(), 90);
}

#[test]
fn an_end_before_the_first_frame() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let messages = run(&pipeline(
        "videotestsrc num-buffers=0 ! video/x-raw,width=64,height=48",
        &file,
        "",
    ))
    .unwrap();
    let _ = messages;
    assert!(names(folder.path()).iter().all(|name| name != "a.mp4.part"));
}

#[test]
fn frame_rates_that_say_nothing_and_times_that_are_missing() {
    let folder = folder();
    let file = path(&folder, "a.mp4");
    run(&pipeline("videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! capssetter caps=video/x-raw,framerate=0/1", &file, "")).unwrap();
    assert_eq!(probe(&file).video.len(), 30);
}
