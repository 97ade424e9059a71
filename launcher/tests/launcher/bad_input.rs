use std::fs;
use std::path::Path;

use crate::helper::*;

/// Transcodes this file, which must fail so.
#[track_caller]
fn input_fails(input: &Path, code: i32, needles: &[&str]) -> Place {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    let done = p.nunchi(&["run", "p.yaml", &format!("input={}", input.display()), "--run-dir", "r"]);
    done.fails(code, needles);
    assert!(
        done.err.contains(&input.display().to_string()),
        "the input is named: {}",
        done.err
    );
    assert!(p.read("r/summary.json").contains("\"result\": \"failed\""));
    p
}

#[test]
fn text_named_mp4() {
    let p = Place::new();
    input_fails(
        &p.write("t.mp4", "just some text, no video at all\n".repeat(50)),
        69,
        &["is not a video"],
    );
}

#[test]
fn rubbish_named_mp4() {
    let p = Place::new();
    let rubbish: Vec<u8> = (0..20_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    input_fails(&p.write("t.mp4", rubbish), 69, &[]);
}

#[test]
fn empty_file() {
    let p = Place::new();
    input_fails(&p.write("t.mp4", ""), 66, &["is empty"]);
}

#[test]
fn missing_file() {
    let p = input_fails(Path::new("/no/such/clip.mp4"), 66, &["does not exist", "help:"]);
    assert!(!p.path("r/mp4/o.mp4").exists());
}

#[test]
fn folder_as_input() {
    input_fails(Path::new("/tmp"), 66, &["is a folder"]);
}

#[test]
fn clip_with_audio_only() {
    let p = input_fails(&clip("audio.mp4"), 69, &["has no video", "audio/"]);
    assert!(p.read("r/logs/p.dot").contains("digraph"), "the graph is kept");
}

#[test]
fn clip_cut_off_before_its_index() {
    let p = Place::new();
    let whole = fs::read(clip("good.mp4")).unwrap();
    input_fails(
        &p.write("t.mp4", &whole[..whole.len() / 2]),
        69,
        &["damaged or cut short"],
    );
}

#[test]
fn clip_cut_off_behind_its_index_is_a_fault_and_gives_what_is_there() {
    let p = Place::new();
    let whole = fs::read(clip("fast.mp4")).unwrap();
    p.write("t.mp4", &whole[..whole.len() / 3]);
    p.pipeline(
        TRANSCODE,
        &format!("{INPUT}\nrestart: {{policy: on-failure, delay: 10ms}}"),
    );
    p.nunchi(&["run", "p.yaml", "input=t.mp4", "--run-dir", "r"]).fails(
        1,
        &["t.mp4 ends at 0:0", " of 0:02: it is cut short or damaged", "help:"],
    );
    let got = frames(&p.path("r/mp4/o.mp4"));
    assert!((5..30).contains(&got), "{got}");
    assert_eq!(p.read("r/logs/p.log").matches("started, pid").count(), 1, "no retry");
}

#[test]
fn a_new_size_in_the_middle_ends_a_file_that_holds_one() {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    let input = format!("input={}", clip("change.h264").display());
    p.nunchi(&["run", "p.yaml", &input, "--run-dir", "r"]).fails(
        1,
        &[
            "changes from 160x120 to 320x180",
            "mp4mux",
            "holds one size",
            "help: cut the input",
        ],
    );
    assert_eq!(frames(&p.path("r/mp4/o.mp4")), 30, "all that has the first size");
}

#[test]
fn a_clip_whose_sound_is_longer_is_whole() {
    let p = Place::new();
    p.pipeline(
        "filesrc location=${input} ! decodebin ! videoconvert ! fakesink sync=false",
        "params: {input: {type: path}}",
    );
    let input = format!("input={}", clip("longer-sound.mkv").display());
    p.nunchi(&["run", "p.yaml", &input]).succeeds();
}

#[test]
fn hostile_value_is_only_a_file_name() {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    let done = p.nunchi(&["run", "p.yaml", "input=x\" ! filesink location=evil \\"]);
    done.fails(66, &["! filesink location=evil", "does not exist"]);
    assert!(!p.path("evil").exists());
}

#[test]
fn unwritable_run_folder() {
    let p = Place::new();
    p.pipeline("fakesrc num-buffers=1 ! fakesink", "outputs: {v: mp4/o.mp4}");
    p.write("file", "");
    p.nunchi(&["run", "p.yaml", "--run-dir", "file/x"])
        .fails(73, &["cannot make the folder", "file/x", "--run-dir"]);
    p.nunchi(&["run", "p.yaml", "--run-dir", "/proc/x"])
        .fails(73, &["/proc/x"]);
}

#[test]
fn unwritable_output_of_the_pipeline() {
    let p = Place::new();
    p.pipeline(
        "fakesrc num-buffers=1 ! filesink location=${out}",
        "params: {out: {type: path}}",
    );
    p.write("file", "");
    p.nunchi(&["run", "p.yaml", "out=file/x/o"])
        .fails(73, &["cannot write to", "file/x"]);
    p.nunchi(&["run", "p.yaml", "out=/tmp"])
        .fails(73, &["/tmp", "is a folder"]);
}

#[test]
fn missing_output_folders_are_made() {
    let p = Place::new();
    p.pipeline(
        "fakesrc num-buffers=1 sizetype=fixed filltype=zero ! filesink location=${out}",
        "params: {out: {type: path}}",
    );
    p.nunchi(&["run", "p.yaml", "out=a/b/c/o"]).succeeds();
    assert!(p.path("a/b/c/o").exists());
}

#[test]
fn full_disk() {
    let p = Place::new();
    let launch = "videotestsrc ! x264enc tune=zerolatency ! h264parse ! mp4mux fragment-duration=100 ! filesink location=${out} buffer-mode=unbuffered";
    p.pipeline(launch, "params: {out: {type: path}}");
    p.nunchi(&["run", "p.yaml", "out=/dev/full"])
        .fails(73, &["no space left", "/dev/full", "--run-dir"]);
}

#[test]
fn unknown_key_in_the_description() {
    let p = Place::new();
    p.pipeline("fakesrc ! fakesink", "helth: {}");
    p.nunchi(&["run", "p.yaml"])
        .fails(65, &["p.yaml:3:1: unknown key `helth`", "did you mean `health`?"]);
}

#[test]
fn unknown_and_wrong_parameters() {
    let p = Place::new();
    let n = "params: {count: {type: integer, minimum: 1, maximum: 9, default: 1, bind: {process: p, element: src, property: num-buffers}}}";
    p.pipeline("fakesrc name=src ! fakesink", n);
    p.nunchi(&["run", "p.yaml", "coutn=1"])
        .fails(65, &["no parameter `coutn`", "did you mean `count`?"]);
    p.nunchi(&["run", "p.yaml", "count=10"])
        .fails(65, &["`count` is 10, must lie between 1 and 9"]);
    p.nunchi(&["run", "p.yaml", "count=x"])
        .fails(65, &["must be a whole number"]);
    p.nunchi(&["run", "p.yaml", "--set", "count"]).fails(2, &["key=value"]);
}

#[test]
fn a_value_the_property_does_not_take() {
    let p = Place::new();
    let n = "params: {count: {type: integer, default: 1, bind: {process: p, element: src, property: num-buffers}}}";
    p.pipeline("fakesrc name=src ! fakesink", n);
    p.nunchi(&["run", "p.yaml", "count=99999999999"])
        .fails(65, &["parameter `count`", "from -1 to 2147483647"]);
    assert!(!p.path("run").exists() || !p.read("run").contains("running"));
}

#[test]
fn an_element_that_does_not_exist() {
    let p = Place::new();
    p.pipeline("fakesrc ! fakesnk", "");
    p.nunchi(&["run", "p.yaml"])
        .fails(69, &["no element `fakesnk`", "did you mean `fakesink`?"]);
}

#[test]
fn a_required_parameter_that_is_not_given() {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    p.nunchi(&["run", "p.yaml"]).fails(65, &["`input` is required"]);
}

#[test]
fn secrets_that_are_not_there() {
    let p = Place::new();
    p.pipeline("fakesrc name=${env:NUNCHI_TEST_UNSET} ! fakesink", "");
    p.nunchi(&["run", "p.yaml"])
        .fails(78, &["NUNCHI_TEST_UNSET is not set"]);
    p.pipeline("fakesrc name=${file:/no/such/secret} ! fakesink", "");
    p.nunchi(&["run", "p.yaml"]).fails(78, &["/no/such/secret"]);
}

#[test]
fn no_camera() {
    let p = Place::new();
    p.pipeline("v4l2src device=/dev/video99 ! fakesink", "");
    p.nunchi(&["run", "p.yaml"]).fails(66, &["/dev/video99"]);
}

#[test]
fn wrong_command_lines() {
    let p = Place::new();
    p.nunchi(&[]).fails(2, &["Usage"]);
    p.nunchi(&["rnu"]).fails(2, &["run"]);
    p.nunchi(&["run"]).fails(2, &["PIPELINE"]);
    p.nunchi(&["run", "x", "--timeout", "soon"])
        .fails(2, &["not a duration"]);
    p.nunchi(&["run", "no/such.yaml"]).fails(66, &["no/such.yaml"]);
}
