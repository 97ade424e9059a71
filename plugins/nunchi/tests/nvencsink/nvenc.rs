//! NVENC by the driver alone, on the double of it.

use super::common::run;
use super::double::on_the_double;
use super::*;

#[test]
fn the_gpu_is_the_first_choice_where_there_is_one() {
    if !on_the_double("nvenc::the_gpu_is_the_first_choice_where_there_is_one", "") {
        return;
    }
    let folder = folder();
    for (codec, name) in [("h264", "h264"), ("h265", "hevc")] {
        let file = path(&folder, &format!("{codec}.mp4"));
        let pipeline = pipeline(
            &test_video(60, 320, 240),
            &file,
            &format!("codec={codec} gop-size=20 encoder=nvenc"),
        );
        run(&pipeline).unwrap();
        assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "nvenc-direct");
        let probed = probe(&file);
        assert_eq!((probed.codec.as_str(), probed.video.len()), (name, 60));
        let keys: Vec<usize> = (0..60).filter(|at| probed.video[*at].key).collect();
        assert_eq!(keys, [0, 20, 40]);
    }
    // Nobody has to ask for it.
    let file = path(&folder, "auto.mp4");
    let pipeline = pipeline(&test_video(10, 320, 240), &file, "");
    run(&pipeline).unwrap();
    assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "nvenc-direct");
}

#[test]
fn a_gpu_without_an_encoder_is_told_as_such() {
    if !on_the_double("nvenc::a_gpu_without_an_encoder_is_told_as_such", "encoder=off") {
        return;
    }
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let error = run(&pipeline(&test_video(5, 320, 240), &file, "encoder=nvenc")).unwrap_err();
    assert!(
        error.contains("NVENC is not possible here") && error.contains("no video encoder"),
        "{error}"
    );
    let pipeline = pipeline(&test_video(5, 320, 240), &file, "");
    run(&pipeline).unwrap();
    assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "x264enc");
    let reason = sink(&pipeline).property::<String>("encoder-reason");
    assert!(reason.contains("nvenc-direct"), "{reason}");
}

#[test]
fn a_size_that_the_gpu_does_not_take_goes_to_another() {
    if !on_the_double(
        "nvenc::a_size_that_the_gpu_does_not_take_goes_to_another",
        "size=640x480",
    ) {
        return;
    }
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let pipeline = pipeline(&test_video(5, 1280, 720), &file, "");
    run(&pipeline).unwrap();
    assert_eq!(sink(&pipeline).property::<String>("encoder-used"), "x264enc");
    assert_eq!(probe(&file).video.len(), 5);
}

#[test]
fn a_gpu_that_is_lost_leaves_a_whole_file() {
    if !on_the_double("nvenc::a_gpu_that_is_lost_leaves_a_whole_file", "lost@100") {
        return;
    }
    let folder = folder();
    let file = path(&folder, "a.mp4");
    let error = run(&pipeline(
        &test_video(300, 320, 240),
        &file,
        "encoder=nvenc tune=low-latency",
    ))
    .unwrap_err();
    assert!(!error.is_empty());
    assert_eq!(names(folder.path()), ["a.mp4"]);
    let frames = probe(&file).video.len();
    assert!((80..=100).contains(&frames), "{frames}");
}
