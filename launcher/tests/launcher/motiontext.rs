//! `nunchi motiontext`: real files in, real files out.

use crate::helper::*;
use serde_json::Value;

const FONTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/motiontext/tests/fonts");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/sample.mp4");

/// White text in the middle, from 1 s to 3 s.
fn scenario(more: &str) -> String {
    format!(
        r##"{{"version": "2.0", "timebase": {{"unit": "seconds"}}, "stage": {{"baseAspect": "auto"}},
        "tracks": [{{"id": "a", "type": "free", "layer": 1, "defaultStyle": {{"fontFamily": "Nunchi Sans", "fontSizeRel": 0.25, "color": "#ffffff"}}}}],
        "cues": [{{"id": "c", "track": "a", "root": {{"id": "t", "eType": "text", "text": "Hi", "displayTime": [1, 3],
            "layout": {{"position": {{"x": 0.5, "y": 0.5}}, "anchor": "cc"}}{more}}}}}]}}"##
    )
}

struct Png {
    width: usize,
    pixels: Vec<u8>,
}

impl Png {
    fn read(p: &Place, name: &str) -> Self {
        let mut reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(p.path(name)).unwrap()))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgba);
        Self {
            width: info.width as usize,
            pixels,
        }
    }

    fn height(&self) -> usize {
        self.pixels.len() / 4 / self.width
    }

    fn at(&self, x: usize, y: usize) -> [u8; 4] {
        self.pixels[(y * self.width + x) * 4..][..4].try_into().unwrap()
    }

    /// Whether anything is bright between two columns.
    fn is_lit(&self, from: usize, to: usize) -> bool {
        (0..self.height()).any(|y| (from..to).any(|x| self.at(x, y).iter().all(|value| *value > 150)))
    }
}

#[test]
fn a_sound_scenario_is_ok_and_says_when_it_shows() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    let done = p.nunchi(&["motiontext", "validate", "a.json", "--fonts-dir", FONTS]);
    done.succeeds();
    assert_eq!(done.out, "a.json: ok (alive from 0.500 s to 3.500 s)\n");
    assert_eq!(done.err, "");
}

#[test]
fn the_shipped_scenario_is_sound() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/captions.json");
    let done = Place::new().nunchi(&["motiontext", "validate", file]);
    done.succeeds();
}

#[test]
fn faults_have_their_place_and_their_code() {
    let p = Place::new();
    let deep = format!("{{\"a\": {}", "[".repeat(10_000));
    let broken: [(&str, &str); 6] = [
        ("not json at all", "not JSON"),
        ("", "not JSON"),
        (&deep, "not JSON"),
        (r#"{"version": "3.0"}"#, "Unsupported scenario version: 3.0"),
        (r#"{"version": "2.0"}"#, "timebase"),
        (
            r#"{"version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "3:1"}, "tracks": [], "cues": []}"#,
            "baseAspect",
        ),
    ];
    for (text, expected) in broken {
        p.write("a.json", text);
        for verb in [
            vec!["validate", "a.json"],
            vec!["frame", "a.json", "out.png", "--at", "1"],
            vec!["render", "a.json", "out.mp4", "--video", SAMPLE],
        ] {
            let done = p.nunchi(&[&["motiontext"], &verb[..]].concat());
            assert_eq!(done.code, Some(65), "{verb:?}: {}", done.err);
            assert!(
                done.err.contains(expected) && done.err.contains("a.json"),
                "{verb:?}: {}",
                done.err
            );
        }
    }
    assert!(!p.path("out.png").exists() && !p.path("out.mp4").exists());
}

#[test]
fn too_large_a_file_is_refused_and_not_read_for_ever() {
    let p = Place::new();
    let file = std::fs::File::create(p.path("big.json")).unwrap();
    file.set_len(100 << 20).unwrap();
    let done = p.nunchi(&["motiontext", "validate", "big.json", "/dev/zero"]);
    assert_eq!(done.code, Some(66), "{}", done.err);
    assert!(
        done.err.contains("bytes") && done.err.contains("is not a file"),
        "{}",
        done.err
    );
}

#[test]
fn missing_things_are_named() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    for (args, code, expected) in [
        (vec!["validate", "no.json"], 66, "no.json"),
        (vec!["validate", "a.json", "--fonts-dir", "nofonts"], 66, "nofonts"),
        (vec!["render", "a.json", "o.mp4", "--video", "no.mp4"], 66, "no.mp4"),
        (vec!["frame", "a.json", "no/dir/o.png", "--at", "1"], 73, "no/dir/o.png"),
        (
            vec!["render", "a.json", "no/dir/o.mp4", "--video", SAMPLE],
            73,
            "no/dir/o.mp4",
        ),
        (vec!["render", "a.json", ".", "--video", SAMPLE], 2, "."),
    ] {
        let done = p.nunchi(&[&["motiontext"], &args[..]].concat());
        assert_eq!(done.code, Some(code), "{args:?}: {}", done.err);
        assert!(done.err.contains(expected), "{args:?}: {}", done.err);
    }
}

#[test]
fn warnings_do_not_fail_unless_they_shall() {
    let p = Place::new();
    p.write("a.json", scenario(r#", "pluginChain": [{"name": "nosuch"}]"#));
    let done = p.nunchi(&["motiontext", "validate", "a.json", "--fonts-dir", FONTS]);
    done.succeeds();
    assert!(
        done.err.contains("pluginChain[0]") && done.err.contains("nosuch"),
        "{}",
        done.err
    );
    assert!(
        done.out.contains("ok") && done.out.contains("1 warning"),
        "{}",
        done.out
    );
    let strict = p.nunchi(&["motiontext", "validate", "a.json", "--strict"]);
    assert_eq!(strict.code, Some(65));
    assert!(strict.out.contains("not ok"), "{}", strict.out);
}

#[test]
fn the_account_as_json_has_every_file() {
    let p = Place::new();
    p.write("good.json", scenario("").replace("Nunchi Sans", "No Such Family"));
    p.write("bad.json", "{");
    let done = p.nunchi(&[
        "motiontext",
        "validate",
        "good.json",
        "bad.json",
        "no.json",
        "--format",
        "json",
    ]);
    assert_eq!(done.code, Some(65), "the first fault decides");
    let list: Vec<Value> = serde_json::from_str(&done.out).unwrap();
    let ok: Vec<&Value> = list.iter().map(|one| &one["ok"]).collect();
    assert_eq!(ok, [true, false, false]);
    assert_eq!((&list[0]["start"], &list[0]["end"]), (&0.5.into(), &3.5.into()));
    let missing = list[0]["warnings"].to_string();
    assert!(missing.contains("No Such Family"), "{missing}");
    assert!(list[1]["error"]["message"].as_str().unwrap().contains("not JSON"));
}

#[test]
fn a_frame_is_transparent_but_for_the_text() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    let done = p.nunchi(&[
        "motiontext",
        "frame",
        "a.json",
        "o.png",
        "--at",
        "2",
        "--size",
        "160x90",
        "--fonts-dir",
        FONTS,
    ]);
    done.succeeds();
    assert_eq!(done.out, "o.png: 160 x 90 pixels\n");
    let png = Png::read(&p, "o.png");
    assert_eq!((png.width, png.height()), (160, 90));
    assert_eq!((png.at(0, 0), png.at(159, 89)), ([0; 4], [0; 4]));
    assert!(png.is_lit(60, 100));
    let left = std::fs::read_dir(p.path("")).unwrap();
    assert!(
        !left
            .map(|entry| entry.unwrap().file_name())
            .any(|name| name.to_string_lossy().contains("part"))
    );
}

#[test]
fn a_file_of_ones_own_beside_the_result_is_left_alone() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    p.write("o.png.part", "mine");
    let args = ["motiontext", "frame", "a.json", "o.png", "--at", "2", "--size", "64x36"];
    p.nunchi(&args).succeeds();
    assert_eq!(std::fs::read_to_string(p.path("o.png.part")).unwrap(), "mine");
}

#[test]
fn a_result_never_replaces_its_own_input() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    std::fs::copy(SAMPLE, p.path("v.mp4")).unwrap();
    std::fs::create_dir(p.path("d")).unwrap();
    std::os::unix::fs::symlink("v.mp4", p.path("link.mp4")).unwrap();
    std::os::unix::fs::symlink("a.json", p.path("link.json")).unwrap();
    for args in [
        vec!["render", "a.json", "v.mp4", "--video", "v.mp4"],
        vec!["render", "a.json", "d/../v.mp4", "--video", "v.mp4"],
        vec!["render", "a.json", "v.mp4", "--video", "link.mp4"],
        vec!["render", "a.json", "link.mp4", "--video", "v.mp4"],
        vec!["render", "a.json", "a.json", "--video", "v.mp4"],
        vec!["frame", "a.json", "a.json", "--at", "1"],
        vec!["frame", "a.json", "link.json", "--at", "1"],
    ] {
        let done = p.nunchi(&[&["motiontext"], &args[..]].concat());
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(done.err.contains("its own input"), "{args:?}: {}", done.err);
    }
    assert_eq!(std::fs::read(p.path("v.mp4")).unwrap(), std::fs::read(SAMPLE).unwrap());
    assert_eq!(std::fs::read_to_string(p.path("a.json")).unwrap(), scenario(""));
}

#[test]
fn several_times_make_a_strip() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    let args = [
        "motiontext",
        "frame",
        "a.json",
        "o.png",
        "--at",
        "0.5",
        "50%",
        "0:02.9",
        "3.1",
        "--size",
        "80x40",
        "--columns",
        "3",
        "--background",
        "#102030",
        "--fonts-dir",
        FONTS,
    ];
    p.nunchi(&args).succeeds();
    let png = Png::read(&p, "o.png");
    assert_eq!((png.width, png.height()), (3 * 80 + 8, 2 * 40 + 4));
    assert_eq!(png.at(0, 0), [0x10, 0x20, 0x30, 255]);
    assert_eq!(png.at(81, 0), [0; 4], "between the pictures");
    assert_eq!(
        [(0, 80), (84, 164), (168, 248)].map(|(from, to)| png.is_lit(from, to)),
        [false, true, true]
    );
}

#[test]
fn a_crop_holds_what_is_drawn() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    let args = [
        "motiontext",
        "frame",
        "a.json",
        "o.png",
        "--at",
        "2",
        "--size",
        "640x360",
        "--crop",
        "--fonts-dir",
        FONTS,
    ];
    p.nunchi(&args).succeeds();
    let png = Png::read(&p, "o.png");
    assert!(
        png.width < 200 && png.height() < 200,
        "{} x {}",
        png.width,
        png.height()
    );
    assert!(png.is_lit(0, png.width));
    // Nothing to crop to: all of it.
    let args = [
        "motiontext",
        "frame",
        "a.json",
        "o.png",
        "--at",
        "9",
        "--size",
        "64x36",
        "--crop",
    ];
    p.nunchi(&args).succeeds();
    assert_eq!(Png::read(&p, "o.png").width, 64);
}

#[test]
fn senseless_arguments_are_a_wrong_command_line() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    for wrong in [
        vec!["--at", "NaN"],
        vec!["--at", "-1"],
        vec!["--at", "101%"],
        vec![],
        vec!["--at", "1", "--size", "0x10"],
        vec!["--at", "1", "--size", "10"],
        vec!["--at", "1", "--size", "99999x10"],
        vec!["--at", "1", "--background", "red"],
        vec!["--at", "1", "--profile", "none"],
    ] {
        let done = p.nunchi(&[&["motiontext", "frame", "a.json", "o.png"], &wrong[..]].concat());
        assert_eq!(done.code, Some(2), "{wrong:?}: {}", done.err);
    }
    let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let mut args = vec!["motiontext", "frame", "a.json", "o.png", "--size", "8192x8192", "--at"];
    args.extend(many.iter().map(String::as_str));
    // It would take minutes to draw them first.
    for crop in [&[][..], &["--crop"]] {
        let done = p.nunchi(&[&args[..], crop].concat());
        assert_eq!(done.code, Some(2), "{}", done.err);
        assert!(done.err.contains("too many"), "{}", done.err);
    }
}

#[test]
fn a_video_is_rendered_with_its_captions() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    let clip = short_clip(&p);
    let done = p.nunchi(&[
        "motiontext",
        "render",
        "a.json",
        "o.mp4",
        "--video",
        &clip,
        "--fonts-dir",
        FONTS,
        "--quiet",
    ]);
    done.succeeds();
    assert!(done.out.starts_with("o.mp4: finished, 60 frames"), "{}", done.out);
    let lit = |time| {
        let frame = frame_of(&p, "o.mp4", time);
        frame.iter().filter(|value| **value > 200).count() > 20
    };
    assert_eq!([lit(0.5), lit(1.5)], [false, true]);
    let left: Vec<_> = std::fs::read_dir(p.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("run-")),
        "{left:?}"
    );
}

#[test]
fn what_is_no_video_is_said_and_nothing_stays() {
    let p = Place::new();
    p.write("a.json", scenario(""));
    p.write("clip.mp4", "no video");
    p.write("o.mp4", "what was there");
    let done = p.nunchi(&[
        "motiontext",
        "render",
        "a.json",
        "o.mp4",
        "--video",
        "clip.mp4",
        "--quiet",
    ]);
    assert!(done.code.is_some_and(|code| code != 0), "{}", done.err);
    assert!(done.err.contains("error:"), "{}", done.err);
    assert_eq!(p.read("o.mp4"), "what was there");
    // Sound alone gets as far as the muxer.
    gst_launch(&format!(
        "audiotestsrc num-buffers=50 ! voaacenc ! mp4mux ! filesink location={}",
        p.path("clip.mp4").display()
    ));
    p.nunchi(&[
        "motiontext",
        "render",
        "a.json",
        "o.mp4",
        "--video",
        "clip.mp4",
        "--quiet",
    ])
    .fails(69, &["no video"]);
    assert_eq!(p.read("o.mp4"), "what was there");
    let left: Vec<_> = std::fs::read_dir(p.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("run-")),
        "{left:?}"
    );
}

/// 60 black frames of 160x90, two seconds.
fn short_clip(p: &Place) -> String {
    let path = p.path("clip.mp4");
    let line = format!(
        "videotestsrc num-buffers=60 pattern=black ! video/x-raw,width=160,height=90,framerate=30/1 ! x264enc ! mp4mux ! filesink location={}",
        path.display()
    );
    gst_launch(&line);
    path.to_string_lossy().into_owned()
}

/// The luma of the frame at a time.
fn frame_of(p: &Place, name: &str, time: f64) -> Vec<u8> {
    let raw = p.path("frames.gray");
    gst_launch(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! video/x-raw,format=GRAY8,width=160,height=90 ! filesink location={}",
        p.path(name).display(),
        raw.display()
    ));
    let all = std::fs::read(raw).unwrap();
    let size = 160 * 90;
    all[(time * 30.0) as usize * size..][..size].to_vec()
}

fn gst_launch(line: &str) {
    let done = std::process::Command::new("gst-launch-1.0")
        .arg("-q")
        .args(line.split_whitespace())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
