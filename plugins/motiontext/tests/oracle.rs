//! The profile preview against what the existing renderer drew in a browser, at every time that was measured: `tests/oracle/README.md`.
#![allow(clippy::print_stdout)]

mod compare;

use std::{fs, path::Path};

use compare::{Comparison, Expected};
use nunchi_motiontext::{Options, Scenario, fonts::Fonts};
use serde_json::Value;

const STAGE: (u32, u32) = (1280, 720);

/// What is not compared, as the specification has it: upstream's results there are mistakes that nobody can have meant.
fn is_excluded(name: &str) -> Option<&'static str> {
    match name {
        "l_safe_clamp_groups" | "l_safe_clamp_sized_groups" | "l_safe_clamp_texts" => {
            Some("safeAreaClamp is not imitated")
        }
        "t_percent_display_time" => Some("upstream refuses percent display times"),
        _ => None,
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn fonts() -> Fonts {
    let mut fonts = Fonts::new();
    fonts.add_system();
    for family in ["NanumGothic", "DejaVu Sans"] {
        assert!(
            fonts.has_family(family),
            "install fonts-nanum and fonts-dejavu-core: {family} is missing"
        );
    }
    fonts
}

fn compare(name: &str, folder: &Path, fonts: &mut Fonts) -> Comparison {
    let json = fs::read(folder.join("scenarios").join(format!("{name}.json"))).unwrap();
    let data = read(&folder.join("data").join(format!("{name}.json")));
    // A random number of 0..1 that was pinned for the measurement.
    let pinned_random = data["random_value"].as_f64().map(|value| 2.0 * value - 1.0);
    let options = Options {
        pinned_random,
        ..Options::default()
    };
    let (scenario, _) = Scenario::parse(&json, &options).unwrap();
    let mut comparison = Comparison::default();
    for sample in data["samples"].as_array().unwrap() {
        let t = sample["t"].as_f64().unwrap();
        let expected = Expected::of(name, &data, sample);
        let figures = scenario.figures(t, STAGE, fonts);
        comparison.add(name, t, &expected, &figures);
    }
    comparison
}

#[test]
fn preview_shows_what_the_browser_showed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let mut names: Vec<String> = fs::read_dir(folder.join("data"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('_'))
        .collect();
    names.sort();
    assert_eq!(names.len(), 131);
    let mut fonts = fonts();
    let mut failed = Vec::new();
    println!(
        "{:<44} {:>7} {:>8} {:>8} {:>8}  result",
        "scenario", "values", "px", "matrix", "opacity"
    );
    for name in &names {
        if let Some(reason) = is_excluded(name) {
            println!(
                "{name:<44} {:>7} {:>8} {:>8} {:>8}  excluded: {reason}",
                "-", "-", "-", "-"
            );
            continue;
        }
        let comparison = compare(name, &folder, &mut fonts);
        let result = if comparison.differences.is_empty() {
            "pass"
        } else {
            "FAIL"
        };
        let [px, matrix, opacity] = comparison.worst;
        println!(
            "{name:<44} {:>7} {px:>8.3} {matrix:>8.4} {opacity:>8.4}  {result}",
            comparison.values
        );
        if !comparison.differences.is_empty() {
            failed.push((name, comparison.differences));
        }
    }
    let excluded = names.iter().filter(|name| is_excluded(name).is_some()).count();
    println!(
        "{} pass, {} fail, {excluded} excluded",
        names.len() - failed.len() - excluded,
        failed.len()
    );
    for (name, differences) in &failed {
        println!("\n{name}: {} differences", differences.len());
        differences
            .iter()
            .take(6)
            .for_each(|difference| println!("  {difference}"));
    }
    assert!(failed.is_empty(), "{} scenarios differ", failed.len());
}

#[test]
fn a_wrong_place_is_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let json = fs::read_to_string(folder.join("scenarios/p_spin_default.json")).unwrap();
    let data = read(&folder.join("data/p_spin_default.json"));
    let sample = data["samples"]
        .as_array()
        .unwrap()
        .iter()
        .find(|sample| sample["t"] == 2.0)
        .unwrap();
    let mut fonts = fonts();
    for (from, to) in [
        ("\"x\": 0.5", "\"x\": 0.502"),
        ("#ffffff", "#fffcff"),
        ("spin@2.0.0", "pulse@2.0.0"),
        ("Nunchi", "nunchi"),
    ] {
        assert!(json.contains(from), "{from}");
        let (scenario, _) = Scenario::parse(json.replace(from, to).as_bytes(), &Options::default()).unwrap();
        let mut comparison = Comparison::default();
        let figures = scenario.figures(2.0, STAGE, &mut fonts);
        comparison.add(
            "p_spin_default",
            2.0,
            &Expected::of("p_spin_default", &data, sample),
            &figures,
        );
        assert!(!comparison.differences.is_empty(), "{from} -> {to}");
    }
}

/// Documents and what upstream's parser says to them.
#[test]
fn errors_read_as_upstream_has_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    let errors = read(&folder.join("data/_errors.json"));
    for (name, case) in errors.as_object().unwrap() {
        let json = serde_json::to_vec(&case["document"]).unwrap();
        let options = Options {
            strict_ids: true,
            ..Options::default()
        };
        let said = Scenario::parse(&json, &options)
            .map(|_| ())
            .map_err(|error| error.to_string());
        let expected = match name.as_str() {
            // Both are understood here.
            "no_version" | "v13" => Ok(()),
            "v21" => Err("Unsupported scenario version: 2.1".to_owned()),
            // Upstream trips over it.
            "no_root" => Err("cues[0].root: Root node is required and must be an object".to_owned()),
            _ => case["error"].as_str().map_or(Ok(()), |text| Err(text.to_owned())),
        };
        assert_eq!(said, expected, "{name}");
        if name.starts_with("dup_") && name != "dup_track" || name.starts_with("node_id_") {
            let (_, warnings) = Scenario::parse(&json, &Options::default()).unwrap();
            assert!(
                warnings
                    .iter()
                    .any(|warning| warning.message.starts_with("Duplicate node ID")),
                "{name}"
            );
        }
    }
}
