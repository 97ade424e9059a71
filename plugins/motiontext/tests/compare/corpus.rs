//! The files of `tests/oracle`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nunchi_motiontext::{Options, Profile, Scenario, fonts::Fonts};
use serde_json::Value;

use super::frames;

pub const STAGE: (u32, u32) = (1280, 720);
pub const SCENARIOS: usize = 131;

/// What is not compared, as the specification has it: upstream's results there are mistakes that nobody can have meant.
pub fn is_excluded(name: &str) -> Option<&'static str> {
    match name {
        "l_safe_clamp_groups" | "l_safe_clamp_sized_groups" | "l_safe_clamp_texts" => {
            Some("safeAreaClamp is not imitated")
        }
        "t_percent_display_time" => Some("upstream refuses percent display times"),
        _ => None,
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

/// Of all scenarios, in order.
pub fn names() -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.file_stem().unwrap().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = fs::read_dir(folder().join("data"))
        .unwrap()
        .map(name)
        .filter(|name| !name.starts_with('_'))
        .collect();
    names.sort();
    assert_eq!(names.len(), SCENARIOS);
    names
}

pub fn data(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join("data").join(format!("{name}.json"))).unwrap()).unwrap()
}

pub fn source(name: &str) -> Vec<u8> {
    fs::read(folder().join("scenarios").join(format!("{name}.json"))).unwrap()
}

/// The scenario with the random numbers that were pinned for the measurement.
pub fn scenario(name: &str, data: &Value, profile: Profile) -> Scenario {
    parse(&source(name), data, profile)
}

/// The scenario as the frames of the browser show it, and how it differs from what it says.
pub fn scenario_as_shown(name: &str, data: &Value) -> (Scenario, Option<&'static str>) {
    let mut document = serde_json::from_slice(&source(name)).unwrap();
    let change = frames::as_shown(name, &mut document);
    (
        parse(&serde_json::to_vec(&document).unwrap(), data, Profile::Preview),
        change,
    )
}

fn parse(json: &[u8], data: &Value, profile: Profile) -> Scenario {
    // Of 0..1 there, of -1..1 here.
    let pinned_random = data["random_value"].as_f64().map(|value| 2.0 * value - 1.0);
    let options = Options {
        pinned_random,
        profile,
        ..Options::default()
    };
    Scenario::parse(json, &options).unwrap().0
}

/// The system's, among which those of the measurement must be.
pub fn fonts() -> Fonts {
    let mut fonts = Fonts::new();
    fonts.add_system();
    for family in ["NanumGothic", "DejaVu Sans"] {
        assert!(
            fonts.has_family(family),
            "the font {family} is missing: apt-get install fonts-nanum fonts-dejavu-core"
        );
    }
    fonts
}
