//! What a scenario's folder may do to who opens it.

use std::{fs, path::Path};

use nunchi_motiontext::{
    Options, Warning,
    player::{Player, Stage},
    scene::Image,
};
use serde_json::{Value, json};

const SANS: &[u8] = include_bytes!("fonts/sans.ttf");
const STAGE: Stage = Stage {
    width: 64,
    height: 64,
    pixel_aspect: 1.0,
};

fn with_nodes(children: Vec<Value>) -> Value {
    json!({
        "version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "16:9"},
        "tracks": [{"id": "a", "type": "free", "layer": 1}],
        "cues": [{"id": "c", "track": "a", "root": {"id": "g", "eType": "group", "displayTime": [0, 9], "children": children}}],
    })
}

fn node(index: usize, kind: &str, src: &str) -> Value {
    json!({
        "id": format!("n{index}"), "eType": kind, "src": src,
        "layout": {"position": {"x": 0.5, "y": 0.5}, "anchor": "cc", "size": {"width": 0.5, "height": 0.5}},
    })
}

fn open(folder: &Path, scenario: &Value) -> (Player, Vec<Warning>) {
    open_with(folder, scenario, &mut |path| panic!("asked for {}", path.display()))
}

fn open_with(
    folder: &Path,
    scenario: &Value,
    still: &mut dyn FnMut(&Path) -> Result<Image, String>,
) -> (Player, Vec<Warning>) {
    let path = folder.join("a.json");
    fs::write(&path, scenario.to_string()).unwrap();
    Player::open(&path, &Options::default(), None, still).unwrap()
}

/// A picture of white pixels, which takes little room in its file.
fn white(path: &Path, side: u32) {
    let file = fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![255; (side * side) as usize]).unwrap();
    writer.finish().unwrap();
}

/// The same as often as there are nodes would be more than all pictures may have together.
#[test]
fn a_picture_in_many_nodes_is_one() {
    let folder = tempfile::tempdir().unwrap();
    white(&folder.path().join("a.png"), 4096);
    let nodes = (0..100).map(|index| {
        let src = ["a.png", "./a.png", "define.logo"][index % 3];
        node(index, "image", src)
    });
    let mut scenario = with_nodes(nodes.collect());
    scenario["define"] = json!({"logo": {"type": "image", "src": "a.png"}});
    let (mut player, warnings) = open(folder.path(), &scenario);
    assert_eq!(warnings, []);
    assert_eq!(player.scenario().assets().len(), 1);
    assert!(!player.picture(1.0, STAGE).tiles.is_empty());
}

#[test]
fn a_video_in_many_nodes_is_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("v.mp4"), "a video").unwrap();
    let nodes = (0..100).map(|index| node(index, "video", "v.mp4"));
    let mut asked = 0;
    open_with(folder.path(), &with_nodes(nodes.collect()), &mut |_| {
        asked += 1;
        Err("no picture".to_owned())
    });
    assert_eq!(asked, 1);
}

#[test]
fn pictures_beyond_all_bounds_are_neither_decoded_nor_told_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    white(&folder.path().join("0.png"), 4096);
    let nodes = (0..2000).map(|index| {
        let name = format!("{index}.png");
        if index > 0 {
            fs::hard_link(folder.path().join("0.png"), folder.path().join(&name)).unwrap();
        }
        node(index, "image", &name)
    });
    let (mut player, warnings) = open(folder.path(), &with_nodes(nodes.collect()));
    assert_eq!(warnings.len(), 201);
    assert!(warnings[0].message.contains("pixels") && warnings[0].path.contains("children[8]"));
    assert!(warnings[200].message.contains("1792 more"), "{}", warnings[200]);
    assert!(!player.picture(1.0, STAGE).tiles.is_empty());
}

#[test]
fn a_font_under_many_names_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.ttf");
    fs::write(&path, SANS).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(60 << 20)
        .unwrap();
    let fonts = (0..10).map(|name| (format!("f{name}"), json!({"type": "font", "src": "mine.ttf"})));
    let mut scenario = with_nodes(Vec::new());
    scenario["define"] = Value::Object(fonts.collect());
    let (_, warnings) = open(folder.path(), &scenario);
    assert_eq!(warnings, []);
}

#[test]
fn fonts_beyond_all_bounds_are_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut scenario = with_nodes(Vec::new());
    for name in 0..6 {
        let file = format!("{name}.ttf");
        let path = folder.path().join(&file);
        fs::write(&path, SANS).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(60 << 20)
            .unwrap();
        scenario["define"][format!("f{name}")] = json!({"type": "font", "src": file});
    }
    let (_, warnings) = open(folder.path(), &scenario);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.message.contains("all fonts together"))
    );
}

/// Opening a pipe that nobody writes to would never end.
#[cfg(unix)]
#[test]
fn pipes_and_folders_are_no_assets() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::create_dir(folder.path().join("folder")).unwrap();
    let nodes = ["image", "video"]
        .iter()
        .flat_map(|kind| [node(0, kind, "pipe"), node(1, kind, "folder")]);
    let mut scenario = with_nodes(nodes.collect());
    scenario["define"] = json!({"f": {"type": "font", "src": "pipe"}, "g": {"type": "font", "src": "folder"}});
    let (_, warnings) = open(folder.path(), &scenario);
    let refused = warnings
        .iter()
        .filter(|warning| warning.message.contains("it is not a file"));
    assert_eq!(refused.count(), 6, "{warnings:?}");
}
