//! Pictures of a folder as frames.

mod common;

use common::*;
use gst::prelude::*;
use gstnunchi::meta;
use std::path::Path;

/// Names, sizes and times of what comes out of a folder, and how many warnings.
fn through(folder: &Path, properties: &str) -> (Vec<(String, i32, u64)>, usize) {
    init();
    let pipeline = parse(&format!(
        "imagefoldersrc name=src location=\"{}\" {properties} ! fakesink name=sink",
        folder.display()
    ));
    let (sender, receiver) = std::sync::mpsc::channel();
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer().unwrap();
        let caps = pad.current_caps().unwrap();
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        assert!(buffer.size() >= info.size(), "{caps} {}", buffer.size());
        let _ = sender.send((
            meta::file::read(buffer).unwrap(),
            info.width() as i32,
            buffer.pts().unwrap().mseconds(),
        ));
        gst::PadProbeReturn::Ok
    });
    let messages = run(&pipeline).unwrap();
    let warnings = messages
        .iter()
        .filter(|m| m.type_() == gst::MessageType::Warning)
        .count();
    assert_eq!(
        pipeline.by_name("src").unwrap().property::<u64>("broken"),
        warnings as u64
    );
    (receiver.try_iter().collect(), warnings)
}

fn copy(folder: &Path, from: &str, to: &str) {
    std::fs::copy(file(&format!("tests/media/{from}")), folder.join(to)).unwrap();
}

#[test]
fn pictures_come_in_the_order_of_their_names_in_their_sizes() {
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path(), "dog.jpg", "b.JPG");
    copy(dir.path(), "camera.png", "a.png");
    copy(dir.path(), "dog.jpg", "c.jpeg");
    // A name does not make a picture what it is.
    copy(dir.path(), "camera.png", "d.jpg");
    std::fs::create_dir(dir.path().join("e.jpg")).unwrap();
    std::fs::write(dir.path().join("readme.txt"), "x").unwrap();
    let (frames, warnings) = through(dir.path(), "");
    let wanted = [
        ("a.png", 512, 0),
        ("b.JPG", 768, 1000),
        ("c.jpeg", 768, 2000),
        ("d.jpg", 512, 3000),
    ];
    assert_eq!(frames, wanted.map(|(name, width, time)| (name.to_owned(), width, time)));
    assert_eq!(warnings, 0);
    let (frames, _) = through(dir.path(), "duration=40000000");
    assert_eq!(frames[3].2, 120);
}

#[test]
fn a_picture_that_cannot_be_read_is_passed_over_and_named() {
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path(), "dog.jpg", "good.jpg");
    let whole = std::fs::read(dir.path().join("good.jpg")).unwrap();
    std::fs::write(dir.path().join("cut.jpg"), &whole[..300]).unwrap();
    std::fs::write(dir.path().join("empty.png"), "").unwrap();
    std::fs::write(dir.path().join("text.webp"), "no picture").unwrap();
    // A picture of 60000 x 60000 in its head.
    let mut huge = std::fs::read(file("tests/media/camera.png")).unwrap();
    huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    std::fs::write(dir.path().join("huge.png"), huge).unwrap();
    let (frames, warnings) = through(dir.path(), "");
    assert_eq!((frames.len(), warnings), (1, 4));
    assert_eq!(frames[0].0, "good.jpg");
}

#[test]
fn colours_are_those_of_the_picture() {
    init();
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path(), "camera.png", "a.png");
    let pipeline = parse(&format!(
        "imagefoldersrc location=\"{}\" ! fakesink name=sink",
        dir.path().display()
    ));
    let frame = collect(&pipeline, "sink").pop().unwrap();
    let wanted = pictures::picture("camera.png", "RGBx");
    let (found, wanted) = (frame.map_readable().unwrap(), wanted.buffer.map_readable().unwrap());
    let same = found.chunks(4).zip(wanted.chunks(4)).all(|(a, b)| a[..3] == b[..3]);
    assert!(same && found.len() == wanted.len());
}

#[test]
fn the_length_is_known() {
    init();
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5 {
        copy(dir.path(), "camera.png", &format!("{n}.png"));
    }
    let pipeline = parse(&format!(
        "imagefoldersrc location=\"{}\" ! fakesink",
        dir.path().display()
    ));
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(gst::ClockTime::from_seconds(30)).0.unwrap();
    assert_eq!(pipeline.query_duration::<gst::ClockTime>(), Some(ms(5000)));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_folder_that_will_not_do_is_named() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("file");
    std::fs::write(&plain, "x").unwrap();
    for (location, says) in [
        ("/no/such/folder".to_owned(), "/no/such/folder"),
        (plain.display().to_string(), "file"),
        (dir.path().display().to_string(), "no picture"),
        (String::new(), "location"),
    ] {
        let error = run(&parse(&format!("imagefoldersrc location=\"{location}\" ! fakesink"))).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}
