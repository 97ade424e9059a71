//! Comparing figures with the boxes that a browser was asked for.

use std::collections::BTreeMap;

use nunchi_motiontext::{
    Figure, FigureKind, Paint, Profile,
    fonts::Fonts,
    scene::{Blend, Filter, Rgba, Shadow},
};
use serde_json::Value;

use super::corpus::{self, STAGE};

/// px
const PLACE: f64 = 1.5;
const MATRIX: f64 = 0.01;
const OPACITY: f64 = 0.01;
/// Of 255.
const LEVELS: f64 = 2.0;
/// px of a shadow's blur and offset, and amounts of filters.
const AMOUNT: f64 = 0.05;

/// What is compared, apart from texts, kinds and numbers of things, which are equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// px
    Position,
    Size,
    Matrix,
    Opacity,
    /// Levels of 0..=255; alphas count as opacity.
    Colour,
    /// Radii, strokes, blurs in px, amounts of filters.
    Amount,
}

pub const FIELDS: usize = 6;

impl Field {
    /// What a value may be off.
    fn most(self) -> f64 {
        match self {
            Self::Position | Self::Size => PLACE,
            Self::Matrix => MATRIX,
            Self::Opacity => OPACITY,
            Self::Colour => LEVELS,
            Self::Amount => AMOUNT,
        }
    }
}

/// How far a scenario is from what was measured.
#[derive(Default)]
pub struct Comparison {
    pub values: usize,
    /// By `Field`, how far the farthest value is off.
    pub worst: [f64; FIELDS],
    pub differences: Vec<String>,
}

/// What was measured at one time.
pub struct Expected<'a> {
    items: Vec<&'a Value>,
    /// Not comparable at this very instant.
    pub skipped: bool,
    /// Nor the letters of these nodes.
    skip_runs: Vec<&'a str>,
}

/// Effects that upstream shows untouched at the very first instant of their window.
const BRING_IN: [&str; 6] = ["fadein", "slideup", "scalepop", "elastic", "rotation", "magnetic"];

impl<'a> Expected<'a> {
    /// Playback, but where children appear one after the other: playback has those in the order in which they appear, one single seek in that
    /// of the document.
    pub fn of(name: &str, data: &'a Value, sample: &'a Value) -> Self {
        let same_time = |other: &&Value| other["t"] == sample["t"];
        let fresh = data["fresh_seek"]
            .as_array()
            .and_then(|list| list.iter().find(same_time));
        let chosen = if name.starts_with("l_flow_staggered") {
            fresh.unwrap_or(sample)
        } else {
            sample
        };
        let first = sample["t"].as_f64() == data["window"][0].as_f64() && data["window"].is_array();
        let brings_in = |item: &Value| {
            let role = item["role"].as_str().unwrap_or_default();
            first && BRING_IN.iter().any(|effect| role_of(effect) == role)
        };
        let drawn = |item: &&Value| !matches!(item["kind"].as_str(), Some("wrapper_of_group" | "empty"));
        // The word whose window begins just now.
        let late = |item: &&&Value| {
            name == "e_editor_caption_effects_without_offset" && sample["t"] == 2.6 && item["role"] == "fade-char"
        };
        let items: Vec<&Value> = chosen["items"].as_array().unwrap().iter().filter(drawn).collect();
        let skip = items.iter().any(|item| brings_in(item));
        let skip_runs = items
            .iter()
            .filter(late)
            .filter_map(|item| item["node"].as_str())
            .collect();
        Self {
            items,
            skipped: skip,
            skip_runs,
        }
    }
}

/// At all times that were measured.
pub fn compare(name: &str, profile: Profile, fonts: &mut Fonts) -> Comparison {
    let data = corpus::data(name);
    let scenario = corpus::scenario(name, &data, profile);
    let mut comparison = Comparison::default();
    for sample in data["samples"].as_array().unwrap() {
        let t = sample["t"].as_f64().unwrap();
        let expected = Expected::of(name, &data, sample);
        let figures = scenario.figures(t, STAGE, fonts);
        comparison.add(name, t, &expected, &figures);
    }
    comparison
}

fn role_of(effect: &str) -> &'static str {
    match effect {
        "fadein" => "fade-char",
        "slideup" => "slideup-word",
        "scalepop" => "scalepop-char",
        "elastic" => "bounce-word",
        "rotation" => "rotation-char",
        _ => "magnetic-char",
    }
}

/// A figure with what it has from those around it.
struct Found<'a> {
    figure: &'a Figure,
    opacity: f64,
    filters: Vec<Filter>,
}

fn flatten<'a>(figures: &'a [Figure], opacity: f64, filters: &[Filter], list: &mut Vec<Found<'a>>) {
    for figure in figures {
        let opacity = opacity * figure.opacity;
        let filters: Vec<Filter> = filters.iter().chain(&figure.filters).copied().collect();
        list.push(Found {
            figure,
            opacity,
            filters: filters.clone(),
        });
        flatten(&figure.children, opacity, &filters, list);
    }
}

fn kind(figure: &Figure) -> &'static str {
    match figure.kind {
        FigureKind::Group => "group",
        FigureKind::Node => "node",
        FigureKind::Wrapper => "wrapper",
        FigureKind::Run => "run",
        FigureKind::Layer => "layer",
        FigureKind::Picture => "picture",
    }
}

impl Comparison {
    pub fn add(&mut self, name: &str, t: f64, expected: &Expected<'_>, figures: &[Figure]) {
        if expected.skipped {
            return;
        }
        let mut found = Vec::new();
        flatten(figures, 1.0, &[], &mut found);
        let mut ours: BTreeMap<(&str, &str), Vec<&Found<'_>>> = BTreeMap::new();
        for one in &found {
            ours.entry((kind(one.figure), &one.figure.node)).or_default().push(one);
        }
        let mut theirs: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
        for item in &expected.items {
            theirs
                .entry((item["kind"].as_str().unwrap(), item["node"].as_str().unwrap()))
                .or_default()
                .push(item);
        }
        for key in ours.keys().filter(|key| !theirs.contains_key(*key)) {
            self.differences
                .push(format!("t={t} {key:?}: shown, but not by the browser"));
        }
        for (key, items) in &theirs {
            let none = Vec::new();
            let list = ours.get(key).unwrap_or(&none);
            if list.len() != items.len() {
                self.differences.push(format!(
                    "t={t} {key:?}: {} shown, {} by the browser",
                    list.len(),
                    items.len()
                ));
                continue;
            }
            let wrapper = theirs.get(&("wrapper", key.1)).map(|list| list[0]);
            if key.0 == "run" && expected.skip_runs.contains(&key.1) {
                continue;
            }
            for (one, item) in list.iter().zip(items) {
                let place = format!("t={t} {} {} {:?}", key.0, key.1, &*one.figure.text);
                if let Err(left_out) = self.item(name, &place, one, item, wrapper) {
                    self.differences.push(format!("{place}: {left_out}"));
                }
            }
        }
    }

    fn close(&mut self, field: Field, place: &str, name: &str, ours: f64, theirs: f64) {
        self.values += 1;
        let off = (ours - theirs).abs();
        let worst = &mut self.worst[field as usize];
        *worst = worst.max(off);
        if off > field.most() || !off.is_finite() {
            self.differences
                .push(format!("{place}: {name} {ours:.4}, in the browser {theirs:.4}"));
        }
    }

    fn color(&mut self, place: &str, name: &str, ours: Rgba, theirs: &str) -> Result<(), String> {
        let [r, g, b, a] = parse_color(theirs).ok_or_else(|| format!("cannot read the colour {theirs}"))?;
        for (ours, theirs) in [(ours.r, r), (ours.g, g), (ours.b, b)] {
            self.close(Field::Colour, place, name, f64::from(ours) * 255.0, theirs);
        }
        self.close(Field::Opacity, place, name, f64::from(ours.a), a);
        Ok(())
    }

    fn item(
        &mut self,
        name: &str,
        place: &str,
        one: &Found<'_>,
        item: &Value,
        wrapper: Option<&Value>,
    ) -> Result<(), String> {
        let figure = one.figure;
        let array_position = name == "l_array_position" && (item["node"] == "t1" || item["node"] == "r");
        if array_position {
            // Positions written as arrays are not ignored here.
            return Ok(());
        }
        let rect = figure.rect();
        let theirs = numbers(&item["rect"]);
        // Bare groups stand below each other in the order in which playback came to them; there is nothing of them to be seen.
        let axes = if name == "t_lifetime" && item["kind"] == "group" {
            vec![0, 2, 3]
        } else {
            vec![0, 1, 2, 3]
        };
        for axis in axes {
            self.close(
                if axis < 2 { Field::Position } else { Field::Size },
                place,
                ["x", "y", "width", "height"][axis],
                rect[axis],
                theirs[axis],
            );
        }
        let matrix = numbers(&item["m"]);
        let mut m = figure.transform.0;
        if let (Some(wrapper), true) = (wrapper, item["m3d"].is_array()) {
            // Theirs is without perspective; it is seen from the middle of the letters, the second of two lines.
            let [x, y, width, height] = numbers(&wrapper["rect"])[..] else {
                return Err("no wrapper".to_owned());
            };
            for (axis, eye) in [(0, x + width / 2.0), (3, y + height * 0.75)] {
                m[axis] -= eye * m[6];
                m[axis + 1] -= eye * m[7];
            }
        }
        for (index, ours) in [m[0], m[3], m[1], m[4]].into_iter().enumerate() {
            self.close(Field::Matrix, place, "matrix", ours, matrix[index]);
        }
        self.close(
            Field::Opacity,
            place,
            "opacity",
            one.opacity,
            item["opacity"].as_f64().unwrap_or(1.0),
        );
        match &figure.paint {
            Paint::Panel(panel) => {
                self.color(
                    place,
                    "background",
                    panel.background,
                    item["background"].as_str().unwrap_or("rgba(0, 0, 0, 0)"),
                )?;
                let radius = item["radius"]
                    .as_str()
                    .and_then(|text| text.strip_suffix("px"))
                    .map_or(0.0, number);
                self.close(Field::Amount, place, "radius", f64::from(panel.radius[0]), radius);
                let width = item["border"][0]
                    .as_str()
                    .and_then(|text| text.strip_suffix("px"))
                    .map_or(0.0, number);
                self.close(
                    Field::Amount,
                    place,
                    "border",
                    panel.border.map_or(0.0, |border| f64::from(border.width)),
                    width,
                );
                if let (Some(border), Some(color)) = (panel.border, item["border"][1].as_str()) {
                    self.color(place, "border", border.color, color)?;
                }
            }
            Paint::Text {
                lines,
                color,
                stroke,
                shadows,
                ..
            } => {
                self.values += 1;
                let written = collapsed(item["text"].as_str().unwrap_or_default());
                if collapsed(&figure.text) != written {
                    self.differences
                        .push(format!("{place}: text, in the browser {written:?}"));
                }
                let filled = item["fill"].as_str().or(item["color"].as_str()).ok_or("no colour")?;
                // Sized text without a colour is not black here.
                if !(name == "l_text_styles" && filled == "rgb(0, 0, 0)") {
                    self.color(place, "colour", *color, filled)?;
                }
                self.shadows(place, shadows, item["shadow"].as_str().unwrap_or("none"))?;
                self.close(
                    Field::Amount,
                    place,
                    "stroke",
                    stroke.map_or(0.0, |stroke| f64::from(stroke.width)),
                    item["stroke"][0]
                        .as_str()
                        .and_then(|text| text.strip_suffix("px"))
                        .map_or(0.0, number),
                );
                if let (Some(stroke), Some(color)) = (stroke, item["stroke"][1].as_str()) {
                    self.color(place, "stroke", stroke.color, color)?;
                }
                let theirs: Vec<Vec<f64>> = item["lines"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(numbers)
                    .filter(|line| line[2] > 0.0)
                    .collect();
                // `textAlign` is not ignored here.
                let text_align = name == "l_text_multiline" && item["node"] == "m3";
                if !theirs.is_empty() && !text_align {
                    self.values += 1;
                    if theirs.len() != lines.len() {
                        self.differences.push(format!(
                            "{place}: {} lines, in the browser {}",
                            lines.len(),
                            theirs.len()
                        ));
                        return Ok(());
                    }
                    for (line, theirs) in lines.iter().zip(&theirs) {
                        let [x, y, width, height] = line.rect;
                        let mut placed = figure.clone();
                        placed.transform.0[2] += placed.transform.0[0] * x + placed.transform.0[1] * y;
                        placed.transform.0[5] += placed.transform.0[3] * x + placed.transform.0[4] * y;
                        placed.size = [width, height];
                        for (ours, theirs) in placed.rect().into_iter().zip(theirs) {
                            self.close(Field::Position, place, "line", ours, *theirs);
                        }
                    }
                }
            }
            Paint::Nothing | Paint::Glow { .. } | Paint::Image(_) => {}
        }
        if figure.kind != FigureKind::Group {
            self.filters(place, &one.filters, &item["filter"])?;
        }
        let screen = item["blend"]
            .as_array()
            .is_some_and(|list| list.iter().any(|mode| mode == "screen"));
        self.values += 1;
        if screen != (figure.blend == Blend::Screen) {
            self.differences.push(format!("{place}: blend mode"));
        }
        Ok(())
    }

    fn shadows(&mut self, place: &str, ours: &[Shadow], theirs: &str) -> Result<(), String> {
        let list: Vec<&str> = if theirs == "none" {
            Vec::new()
        } else {
            theirs.split(", rgb").collect()
        };
        self.values += 1;
        if list.len() != ours.len() {
            self.differences
                .push(format!("{place}: {} shadows, in the browser {theirs}", ours.len()));
            return Ok(());
        }
        for (shadow, text) in ours.iter().zip(list) {
            let (color, rest) = text.rsplit_once(')').ok_or("no shadow")?;
            let color = format!("rgb{})", color.trim_start_matches("rgb"));
            let lengths: Vec<f64> = rest
                .split_whitespace()
                .map(|word| number(word.trim_end_matches("px")))
                .collect();
            self.color(place, "shadow", shadow.color, &color)?;
            for (ours, theirs) in [shadow.dx, shadow.dy, shadow.blur].into_iter().zip(lengths) {
                self.close(Field::Amount, place, "shadow", f64::from(ours), theirs);
            }
        }
        Ok(())
    }

    fn filters(&mut self, place: &str, ours: &[Filter], theirs: &Value) -> Result<(), String> {
        let mut expected = Vec::new();
        for text in theirs.as_array().into_iter().flatten().filter_map(Value::as_str) {
            for step in text.split_inclusive(')') {
                let (name, amount) = step.trim().trim_end_matches(')').split_once('(').ok_or("no filter")?;
                expected.push((name.to_owned(), number(amount.trim_end_matches("px"))));
            }
        }
        let changes = |(name, amount): &(String, f64)| (amount - if name == "blur" { 0.0 } else { 1.0 }).abs() > 1e-3;
        let ours = ours.iter().map(|filter| match filter {
            Filter::Blur(amount) => ("blur".to_owned(), f64::from(*amount)),
            Filter::Brightness(amount) => ("brightness".to_owned(), f64::from(*amount)),
            Filter::Contrast(amount) => ("contrast".to_owned(), f64::from(*amount)),
            Filter::Saturate(amount) => ("saturate".to_owned(), f64::from(*amount)),
        });
        let ours: Vec<_> = ours.filter(changes).collect();
        expected.retain(changes);
        self.values += 1;
        if ours.len() != expected.len() || ours.iter().zip(&expected).any(|(a, b)| a.0 != b.0) {
            self.differences
                .push(format!("{place}: filters {ours:?}, in the browser {expected:?}"));
            return Ok(());
        }
        for (ours, theirs) in ours.iter().zip(&expected) {
            self.close(Field::Amount, place, &ours.0, ours.1, theirs.1);
        }
        Ok(())
    }
}

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .map(|list| list.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect())
        .unwrap_or_default()
}

fn collapsed(text: &str) -> String {
    if text == "\u{a0}" || text == " " {
        return " ".to_owned();
    }
    text.split([' ', '\n'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `rgb(1, 2, 3)` or `rgba(1, 2, 3, 0.4)`: levels, and alpha of 0..=1.
fn parse_color(text: &str) -> Option<[f64; 4]> {
    let inner = text
        .trim_start_matches("rgba")
        .trim_start_matches("rgb")
        .trim_start_matches('(')
        .trim_end_matches(')');
    let parts: Vec<f64> = inner.split(',').map(number).collect();
    match *parts.as_slice() {
        [r, g, b] => Some([r, g, b, 1.0]),
        [r, g, b, a] => Some([r, g, b, a]),
        _ => None,
    }
}
