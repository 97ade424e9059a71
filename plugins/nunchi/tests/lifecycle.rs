//! Starting and stopping a hundred times leaves no thread, no file and no object behind. One test alone in its program: it
//! counts what the whole process has.

mod common;

use common::*;
use gst::prelude::*;

#[test]
fn a_hundred_starts_leave_nothing_behind() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("f_log.xml");
    let captions = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/captions.json");
    // A small network: what is looked for is what a start leaves behind, not how long it takes.
    let ssd = file("plugins/inference/tests/data/ssd/nms-tf.onnx");
    let line = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=I420,width=64,height=48 ! hailopose engine=embedded ! hailoface engine=embedded ! cudassd engine=embedded batch-size=2 model=\"{}\" ! eventthrottle ! \
         tee name=t ! queue ! analysisoverlay ! motiontextoverlay location=\"{}\" ! nvencsink location=\"{}\" overwrite=true t. ! queue ! xmllogsink location=\"{}\"",
        ssd.display(),
        captions.display(),
        dir.path().join("video.mp4").display(),
        log.display()
    );
    let pipeline = parse(&line);
    run(&pipeline).unwrap();
    let before = resources();
    for _ in 0..100 {
        run(&pipeline).unwrap();
    }
    // Stopped in the middle, without waiting for anything.
    let abrupt = parse(&line.replace("num-buffers=3", "num-buffers=1000000"));
    for _ in 0..20 {
        abrupt.set_state(gst::State::Playing).unwrap();
        abrupt.set_state(gst::State::Null).unwrap();
    }
    drop((pipeline, abrupt));
    no_more_than(before);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        2,
        "no temporary file stays"
    );
}
