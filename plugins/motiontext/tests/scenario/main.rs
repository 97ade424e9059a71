//! What scenarios say and what becomes of it, beyond what was measured in a browser.

mod old;
mod reading;
mod showing;

use nunchi_motiontext::{
    AssetKind, Figure, FigureKind, OffsetMode, Options, Paint, Profile, Scenario, Source, Warning,
    fonts::Fonts,
    scene::{Content, Image, Rgba},
};
use serde_json::{Value, json};

const STAGE: (u32, u32) = (1280, 720);

fn document() -> Options {
    Options {
        profile: Profile::Document,
        ..Options::default()
    }
}

/// A 2.0 document on a free track around the root of its only cue.
fn around(root: Value) -> Value {
    json!({
        "version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "16:9"},
        "tracks": [{"id": "a", "type": "free", "layer": 1, "defaultStyle": {"fontFamily": "DejaVu Sans", "fontSizeRel": 0.05}}],
        "cues": [{"id": "c", "track": "a", "root": root}],
    })
}

fn text(layout: Value) -> Value {
    json!({"id": "t", "eType": "text", "text": "some text", "displayTime": [1, 3], "layout": layout})
}

fn read(value: &Value, options: &Options) -> (Scenario, Vec<Warning>) {
    Scenario::parse(&serde_json::to_vec(value).unwrap(), options).unwrap_or_else(|error| panic!("{error}"))
}

fn error(value: &Value) -> String {
    match Scenario::parse(&serde_json::to_vec(value).unwrap(), &Options::default()) {
        Ok(_) => panic!("{value} was read"),
        Err(error) => error.to_string(),
    }
}

fn flatten(figures: Vec<Figure>) -> Vec<Figure> {
    figures
        .into_iter()
        .flat_map(|mut figure| {
            let children = flatten(std::mem::take(&mut figure.children));
            [figure].into_iter().chain(children)
        })
        .collect()
}

fn figures(value: &Value, options: &Options, t: f64) -> Vec<Figure> {
    let mut fonts = Fonts::new();
    fonts.add_system();
    flatten(read(value, options).0.figures(t, STAGE, &mut fonts))
}

/// The only figure of a kind and node.
fn figure(value: &Value, options: &Options, t: f64, kind: FigureKind, node: &str) -> Figure {
    let found: Vec<Figure> = figures(value, options, t)
        .into_iter()
        .filter(|figure| figure.kind == kind && &*figure.node == node)
        .collect();
    assert_eq!(found.len(), 1, "{kind:?} {node} at {t}");
    found.into_iter().next().unwrap()
}

fn runs(value: &Value, options: &Options, t: f64) -> Vec<Figure> {
    figures(value, options, t)
        .into_iter()
        .filter(|figure| figure.kind == FigureKind::Run)
        .collect()
}

fn color(figure: &Figure) -> Rgba {
    match &figure.paint {
        Paint::Text { color, .. } => *color,
        other => panic!("{other:?}"),
    }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.01
}
