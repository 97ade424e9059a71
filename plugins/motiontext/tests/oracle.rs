//! The profile preview against what the existing renderer drew in a browser, at every time that was measured: `tests/oracle/README.md`.
//! `make oracle` shows the same as tables and pictures.
#![allow(clippy::print_stdout)]

mod compare;

use compare::{
    boxes::{self, Comparison, Expected},
    corpus::{STAGE, data, fonts, is_excluded, names, scenario_as_shown, source},
    frames::{self, ENOUGH, bound, goldens, similarities},
};
use nunchi_motiontext::{Options, Profile, Scenario, scene::Image};

#[test]
fn preview_shows_what_the_browser_showed() {
    let mut fonts = fonts();
    let mut failed = 0;
    for name in names().iter().filter(|name| is_excluded(name).is_none()) {
        let comparison = boxes::compare(name, Profile::Preview, &mut fonts);
        assert!(comparison.values > 0, "nothing of {name} was compared");
        if comparison.differences.is_empty() {
            continue;
        }
        failed += 1;
        println!("\n{name}: {} differences", comparison.differences.len());
        comparison
            .differences
            .iter()
            .take(6)
            .for_each(|difference| println!("  {difference}"));
    }
    assert_eq!(failed, 0, "scenarios differ");
}

#[test]
fn a_wrong_place_is_seen() {
    let json = String::from_utf8(source("p_spin_default")).unwrap();
    let data = data("p_spin_default");
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

#[test]
fn frames_look_like_those_of_the_browser() {
    let goldens = goldens();
    assert_eq!(goldens.len(), 199);
    let mut fonts = fonts();
    let mut failed = Vec::new();
    for golden in &goldens {
        let (scenario, _) = scenario_as_shown(&golden.scenario, &data(&golden.scenario));
        let ours = frames::draw(&scenario, golden.t, &mut fonts);
        let reached = similarities(&ours, &golden.read());
        let worst = reached.into_iter().fold(1.0, f64::min);
        println!("{worst:.4} {}", golden.name);
        let (bound, reason) = bound(&golden.name);
        // A NaN is not enough.
        let enough = worst >= bound;
        if !enough {
            failed.push(format!("{}: {reached:.4?}, less than {bound}", golden.name));
        } else if reason.is_some() && worst >= ENOUGH {
            failed.push(format!("{}: {worst:.4} needs no exception", golden.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn other_pictures_are_less_alike() {
    let mut fonts = fonts();
    let golden = goldens()
        .into_iter()
        .find(|golden| golden.name == "p_spin_default@2.000")
        .unwrap();
    let theirs = golden.read();
    let mut like = |t: f64, from: &str, to: &str| {
        let json = String::from_utf8(source("p_spin_default")).unwrap();
        assert!(json.contains(from));
        let (scenario, _) = Scenario::parse(json.replace(from, to).as_bytes(), &Options::default()).unwrap();
        let reached = similarities(&frames::draw(&scenario, t, &mut fonts), &theirs);
        reached.into_iter().fold(1.0, f64::min)
    };
    assert!(like(2.0, "Nunchi", "Nunchi") >= ENOUGH);
    assert!(like(2.02, "Nunchi", "Nunchi") < ENOUGH);
    assert!(like(2.0, "Nunchi", "Munchi") < ENOUGH);
    assert!(like(2.0, "\"x\": 0.5", "\"x\": 0.501") < ENOUGH);
    assert!(like(2.0, "#ffffff", "#909090") < ENOUGH);
    let nothing = Image {
        pixels: vec![0; theirs.pixels.len()],
        ..theirs.clone()
    };
    assert!(similarities(&nothing, &theirs)[0] < 0.8);
    assert_eq!(similarities(&nothing, &nothing), [1.0; 3]);
    assert!((similarities(&theirs, &theirs)[1] - 1.0).abs() < 1e-9);
}

/// Documents and what upstream's parser says to them.
#[test]
fn errors_read_as_upstream_has_them() {
    let errors = data("_errors");
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
