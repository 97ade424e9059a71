//! `pluginChain`: which effects, with which parameters, in which window.

use serde_json::Value;

use super::OffsetMode;
use super::reader::{Reader, number};
use crate::css;
use crate::ease::Ease;
use crate::effects::{BuiltinKind, Compose, CwiKind, Effect, Glow, Half, Plugin, Shake, seed};
use crate::error::{Error, Path};
use crate::model::{Dialect, Span};
use crate::scene::Rgba;

/// More effects than these on one node are left out.
const MOST_EFFECTS: usize = 64;

/// What a window is counted from.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub(super) dialect: Dialect,
    pub(super) id: &'a str,
    /// The node's base time, or its display time.
    pub(super) time: Span,
    /// `speakerPalette` of the scenario, for words that name a speaker and no palette.
    pub(super) palette: Option<&'a Value>,
}

pub(super) fn chain(
    reader: &mut Reader<'_>,
    value: &Value,
    base: Base<'_>,
    path: &Path<'_>,
) -> Result<Vec<Effect>, Error> {
    let Some(list) = value.as_array() else {
        if !value.is_null() {
            reader.warnings.add(path, "a list of effects expected: ignored");
        }
        return Ok(Vec::new());
    };
    if list.len() > MOST_EFFECTS {
        reader
            .warnings
            .add(path, format!("more than {MOST_EFFECTS} effects: the rest is left out"));
    }
    let mut effects = Vec::new();
    for (index, spec) in list.iter().take(MOST_EFFECTS).enumerate() {
        effects.extend(effect(reader, spec, index, base, &path.item(index))?);
    }
    Ok(effects)
}

fn effect(
    reader: &mut Reader<'_>,
    spec: &Value,
    index: usize,
    base: Base<'_>,
    path: &Path<'_>,
) -> Result<Option<Effect>, Error> {
    check_offset(&spec["time_offset"], &path.key("time_offset"))?;
    let full = spec["name"]
        .as_str()
        .or_else(|| spec["plugin"].as_str())
        .unwrap_or_default();
    let name = full.split('@').next().unwrap_or_default();
    let archived = full.ends_with("@1.0.0");
    let params_path = path.key("params");
    let mut params = Params {
        value: &spec["params"],
        reader,
        path: &params_path,
    };
    let Some((plugin, offset)) = plugin(name, &mut params, base) else {
        let shown: String = full.chars().take(60).collect();
        reader.warnings.add(path, format!("unknown effect {shown:?}: left out"));
        return Ok(None);
    };
    let times = ["t0", "t1"].map(|key| spec["params"].get(key).and_then(number));
    let window = match (base.dialect, times) {
        // The first versions count from the start of the node, unless offsets are given.
        (_, [Some(t0), Some(t1)])
            if name.starts_with("cwi-") && (archived || base.dialect == Dialect::V13) && !has_offset(spec) =>
        {
            Span {
                start: base.time.start + t0,
                end: base.time.start + t1,
            }
        }
        (Dialect::V13, _) => super::v13::window(spec, base.time, path)?,
        (Dialect::V2, _) => window(reader, spec, base.time, offset, path),
    };
    if !window.is_finite() {
        reader
            .warnings
            .add(path, "an effect needs times that begin and end: left out");
        return Ok(None);
    }
    let window = match plugin {
        // It is over when its own times are.
        Plugin::Cwi { to, .. } => Span {
            end: window.end.max(window.start + to),
            ..window
        },
        _ => window,
    };
    let compose = match spec["compose"].as_str() {
        Some("add") => Compose::Add,
        Some("multiply") => Compose::Multiply,
        _ => Compose::Replace,
    };
    let half = match spec["type"].as_str() {
        Some("channel") => Half::Channel,
        Some("dom") => Half::Inner,
        _ => Half::Both,
    };
    let seed = seed(&[base.id.as_bytes(), name.as_bytes(), &index.to_le_bytes()]);
    Ok(Some(Effect {
        plugin,
        window,
        compose,
        half,
        seed,
    }))
}

fn has_offset(spec: &Value) -> bool {
    [
        "timeOffset",
        "time_offset",
        "relStart",
        "relEnd",
        "relStartPct",
        "relEndPct",
    ]
    .iter()
    .any(|key| !spec[*key].is_null())
}

/// One bound of an offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    Seconds(f64),
    Share(f64),
}

/// A number or text of seconds, or a percentage.
fn bound(value: &Value) -> Option<Bound> {
    match value {
        Value::String(text) => match text.trim().strip_suffix('%') {
            Some(percent) => Some(Bound::Share(number(&Value::from(percent))? / 100.0)),
            None => number(value).map(Bound::Seconds),
        },
        _ => number(value).map(Bound::Seconds),
    }
}

/// Upstream refuses a bad offset under the one name and passes it over under the other.
fn check_offset(value: &Value, path: &Path<'_>) -> Result<(), Error> {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if bound(item).is_none() {
            let message = format!("{path}[{index}] must be a number (seconds) or percentage string like '50%'");
            return Err(Error::said(path, message));
        }
    }
    Ok(())
}

fn window(reader: &mut Reader<'_>, spec: &Value, base: Span, own: [Bound; 2], path: &Path<'_>) -> Span {
    let base = match spec
        .get("baseTime")
        .or_else(|| spec.get("base_time"))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([start, end]) => match (number(start), number(end)) {
            (Some(start), Some(end)) => Span { start, end },
            _ => base,
        },
        _ => base,
    };
    let mut given = |key: &str| {
        reader.field(spec, key, "two times", path, |value| {
            match value.as_array()?.as_slice() {
                [start, end] => Some([bound(start)?, bound(end)?]),
                _ => None,
            }
        })
    };
    let mut offset = given("timeOffset");
    if !reader.is_preview() {
        // Upstream passes this one over.
        offset = offset.or_else(|| {
            reader.field(spec, "time_offset", "two times", path, |value| {
                match value.as_array()?.as_slice() {
                    [start, end] => Some([bound(start)?, bound(end)?]),
                    _ => None,
                }
            })
        });
    }
    let offset = offset.unwrap_or(if reader.is_preview() {
        [Bound::Share(0.0), Bound::Share(1.0)]
    } else {
        own
    });
    let from_start = match reader.offset_mode() {
        OffsetMode::Start => true,
        OffsetMode::Smart => matches!(offset, [Bound::Share(_), Bound::Share(end)] if end > 0.0),
        OffsetMode::Auto | OffsetMode::Boundary => false,
    };
    let at = |from: f64, bound: Bound| match bound {
        Bound::Seconds(seconds) => from + seconds,
        Bound::Share(share) => from + base.length() * share,
    };
    Span {
        start: at(base.start, offset[0]),
        end: at(if from_start { base.start } else { base.end }, offset[1]),
    }
}

/// The parameters of one effect. What is out of its range is taken into it.
struct Params<'a, 'b> {
    value: &'a Value,
    reader: &'a mut Reader<'b>,
    path: &'a Path<'a>,
}

impl Params<'_, '_> {
    fn number(&mut self, keys: &[&str], or: f64, least: f64, most: f64) -> f64 {
        let found = keys
            .iter()
            .find_map(|key| self.reader.number(self.value, key, self.path));
        found.unwrap_or(or).clamp(least, most)
    }

    fn flag(&mut self, key: &str, or: bool) -> bool {
        self.reader.flag(self.value, key, self.path).unwrap_or(or)
    }

    fn within(&mut self, object: &str, key: &str, or: f64, least: f64, most: f64) -> f64 {
        self.value[object]
            .get(key)
            .and_then(number)
            .unwrap_or(or)
            .clamp(least, most)
    }

    fn ease(&mut self, key: &str, or: Ease) -> Ease {
        let found = self
            .reader
            .field(self.value, key, "the name of an ease", self.path, |value| {
                Ease::parse(value.as_str()?)
            });
        found.unwrap_or(or)
    }

    fn color(&mut self, key: &str, or: Rgba) -> Rgba {
        self.reader.color(self.value, key, self.path).unwrap_or(or)
    }

    /// What a word is coloured with, and whether upstream can mix it.
    fn target(&mut self, base: Base<'_>) -> (Rgba, bool) {
        const YELLOW: &str = "#FFD400";
        let speaker = self.value["speaker"].as_str();
        let palette = self.value.get("palette").filter(|palette| palette.is_object());
        // Upstream means to look into the scenario's palette and never does.
        let palette = palette.or_else(|| base.palette.filter(|_| !self.reader.is_preview()));
        let of_speaker = || palette?.get(speaker?)?.as_str();
        let text = self.value["color"].as_str().or_else(of_speaker).unwrap_or(YELLOW);
        let Some(color) = css::color(text) else {
            self.reader
                .warnings
                .add(self.path, "the colour is no CSS colour: #FFD400 instead");
            return (Rgba::bytes(255, 212, 0), true);
        };
        (color, css::is_plain_hex(text) || !self.reader.is_preview())
    }
}

const LONG: f64 = 600.0;
const FAR: f64 = 1e4;

/// The effect and the offset that it has where none is given.
fn plugin(name: &str, params: &mut Params<'_, '_>, base: Base<'_>) -> Option<(Plugin, [Bound; 2])> {
    use Bound::{Seconds, Share};
    let whole = [Seconds(0.0), Seconds(0.0)];
    let around = [Seconds(-0.3), Seconds(0.3)];
    let cycles = |params: &mut Params<'_, '_>, or| params.number(&["cycles"], or, 1.0, 1000.0).floor();
    let plugin = match name {
        "spin" => (
            Plugin::Spin {
                turns: params.number(&["fullTurns"], 1.0, -1000.0, 1000.0),
            },
            whole,
        ),
        "pulse" => (
            Plugin::Pulse {
                scale: params.number(&["maxScale"], 1.2, 0.0, 100.0),
                cycles: cycles(params, 1.0),
            },
            whole,
        ),
        "bobY" => {
            let amplitude = params.number(&["amplitudePx"], 8.0, -FAR, FAR);
            (
                Plugin::BobY {
                    amplitude,
                    cycles: cycles(params, 1.0),
                },
                whole,
            )
        }
        "cwi-bouncing" => {
            let old = params.number(&["popScale"], 1.5, 0.0, 100.0) * 8.0;
            let wave = params.number(&["waveHeight"], old, -FAR, FAR);
            (
                Plugin::CwiBouncing {
                    wave,
                    letter: params.number(&["letterDuration"], 0.6, 0.2, 0.9),
                },
                around,
            )
        }
        "cwi-color" => {
            let (target, mixes) = params.target(base);
            (
                Plugin::CwiColor {
                    target,
                    mixes,
                    bulk: params.flag("bulk", false),
                },
                [Share(0.0), Share(-0.1)],
            )
        }
        "cwi-loud" => {
            let tremble = Shake {
                amplitude: params.within("tremble", "ampPx", 1.5, 0.0, 1000.0),
                frequency: params.within("tremble", "freq", 12.0, 1.0, 1000.0),
            };
            let scale = params.within("pulse", "scale", 2.15, 1.1, 100.0);
            (
                Plugin::CwiLoud {
                    scale,
                    lift: params.within("pulse", "lift", 12.0, -FAR, FAR),
                    tremble,
                },
                around,
            )
        }
        "cwi-whisper" => {
            let flutter = Shake {
                amplitude: params.within("flutter", "amp", 0.02, 0.0, 10.0),
                frequency: params.within("flutter", "freq", 8.0, 0.0, 1000.0),
            };
            let scale = params.within("shrink", "scale", 0.6, 0.1, 1.0);
            (
                Plugin::CwiWhisper {
                    scale,
                    drop: params.within("shrink", "drop", 6.0, -FAR, FAR),
                    flutter,
                },
                around,
            )
        }
        "cwi" => {
            let kind = match params.value["kind"].as_str() {
                Some("loud") => CwiKind::Loud,
                Some("whisper") => CwiKind::Whisper,
                Some("pop") => CwiKind::Pop,
                _ => CwiKind::Color,
            };
            let (target, _) = params.target(base);
            let from = params.number(&["t0"], 0.0, -1e7, 1e7);
            let to = params.number(&["t1"], base.time.length().min(1e7), -1e7, 1e7);
            let tremble = Shake {
                amplitude: params.within("tremble", "ampPx", 1.5, 0.0, 1000.0),
                frequency: params.within("tremble", "freq", 12.0, 0.0, 1000.0),
            };
            let pop = params.number(&["popScale"], 1.15, 0.0, 100.0);
            (
                Plugin::Cwi {
                    kind,
                    target,
                    from,
                    to,
                    pop,
                    tremble,
                },
                whole,
            )
        }
        "fadein" => {
            let plugin = Plugin::FadeIn {
                stagger: params.number(&["staggerDelay"], 0.1, 0.0, LONG),
                length: params.number(&["animationDuration"], 0.8, 0.01, LONG),
                opacity: params.number(&["startOpacity"], 0.0, 0.0, 1.0),
                scale: params.number(&["scaleStart"], 0.9, 0.0, 100.0),
                ease: params.ease("ease", Ease::Out(3)),
            };
            (plugin, around)
        }
        "slideup" => {
            let plugin = Plugin::SlideUp {
                distance: params.number(&["slideDistance"], 30.0, -FAR, FAR),
                length: params.number(&["animationDuration"], 1.0, 0.01, LONG),
                stagger: params.number(&["staggerDelay"], 0.12, 0.0, LONG),
                ease: params.ease("easeType", Ease::Out(3)),
                settles: !params.value["easeType"]
                    .as_str()
                    .is_some_and(|ease| ease.starts_with("back.out")),
                blur: params.flag("blurEffect", true),
            };
            (plugin, around)
        }
        "scalepop" => {
            let plugin = Plugin::ScalePop {
                scale: params.number(&["popScale"], 1.5, 0.0, 100.0),
                length: params.number(&["animationDuration"], 1.2, 0.01, LONG),
                stagger: params.number(&["staggerDelay"], 0.08, 0.0, LONG),
                bounce: params.number(&["bounceStrength"], 0.6, 0.0, 100.0),
                color: params.flag("colorPop", true),
            };
            (plugin, around)
        }
        "elastic" => {
            let plugin = Plugin::Elastic {
                bounce: params.number(&["bounceStrength"], 0.7, 0.0, 100.0),
                length: params.number(&["animationDuration"], 1.5, 0.01, LONG),
                stagger: params.number(&["staggerDelay"], 0.1, 0.0, LONG),
                scale: params.number(&["startScale"], 0.0, 0.0, 100.0),
                overshoot: params.number(&["overshoot"], 1.3, 0.0, 100.0),
            };
            (plugin, around)
        }
        "rotation" => {
            let plugin = Plugin::Rotation {
                degrees: params.number(&["rotationDegrees"], 360.0, -36000.0, 36000.0),
                length: params.number(&["animationDuration"], 1.5, 0.01, LONG),
                stagger: params.number(&["staggerDelay"], 0.1, 0.0, LONG),
                perspective: params.number(&["perspective"], 800.0, 1.0, 1e6),
                axes: [
                    params.flag("axisX", false),
                    params.flag("axisY", true),
                    params.flag("axisZ", false),
                ],
            };
            (plugin, around)
        }
        "magnetic" => {
            let plugin = Plugin::Magnetic {
                strength: params.number(&["magnetStrength"], 15.0, -FAR, FAR),
                length: params.number(&["animationDuration"], 1.2, 0.01, LONG),
                delay: params.number(&["attractionDelay"], 0.1, 0.0, LONG),
                elasticity: params.number(&["elasticity"], 0.8, 0.0, 100.0),
            };
            (plugin, around)
        }
        "glitch" => {
            let plugin = Plugin::Glitch {
                intensity: params.number(&["glitchIntensity"], 5.0, -FAR, FAR),
                length: params.number(&["animationDuration"], 2.0, 0.2, LONG),
                separation: params.flag("colorSeparation", true),
                noise: params.flag("noiseEffect", true),
            };
            (plugin, around)
        }
        "glow" => {
            let glow = Glow {
                color: params.color("color", Rgba::bytes(0, 255, 255)),
                intensity: params.number(&["intensity"], 0.4, 0.0, 1.0),
                pulse: params.flag("pulse", !params.reader.is_preview()),
                cycles: cycles(params, 8.0),
            };
            (Plugin::Glow(glow), around)
        }
        "flames" => {
            let plugin = Plugin::Flames {
                opacity: params.number(&["baseOpacity"], 0.8, 0.0, 1.0),
                flicker: params.number(&["flicker"], 0.3, 0.0, 1.0),
                cycles: cycles(params, 12.0),
            };
            (plugin, around)
        }
        "typewriter" => {
            let cursor = params.value["cursorChar"]
                .as_str()
                .unwrap_or("|")
                .chars()
                .take(16)
                .collect();
            let plugin = Plugin::Typewriter {
                speed: params.number(&["typingSpeed"], 0.05, 1e-4, LONG),
                cursor: params.flag("showCursor", true).then_some(cursor),
                blink: params.flag("cursorBlink", true),
            };
            (plugin, around)
        }
        "fliptype" => {
            let speed = params.number(&["typingSpeed"], 15.0, 0.01, 1e4);
            (
                Plugin::FlipType {
                    speed,
                    delay: params.number(&["typingDelay"], 0.3, 0.0, 1.0),
                },
                around,
            )
        }
        _ => (builtin(name, params, base.dialect)?, whole),
    };
    Some(plugin)
}

/// Each under the parameter names of both versions.
fn builtin(name: &str, params: &mut Params<'_, '_>, dialect: Dialect) -> Option<Plugin> {
    const LEFT: [f64; 2] = [-1.0, 0.0];
    const RIGHT: [f64; 2] = [1.0, 0.0];
    const UP: [f64; 2] = [0.0, -1.0];
    const DOWN: [f64; 2] = [0.0, 1.0];
    let old = dialect == Dialect::V13;
    let kind = match name {
        "fadeIn" => BuiltinKind::FadeIn,
        "fadeOut" => BuiltinKind::FadeOut,
        "slideInLeft" => BuiltinKind::SlideIn(LEFT),
        "slideInRight" => BuiltinKind::SlideIn(RIGHT),
        "slideInUp" => BuiltinKind::SlideIn(UP),
        "slideInDown" => BuiltinKind::SlideIn(DOWN),
        "slideOutLeft" => BuiltinKind::SlideOut(LEFT),
        "slideOutRight" => BuiltinKind::SlideOut(RIGHT),
        "slideOutUp" => BuiltinKind::SlideOut(UP),
        "slideOutDown" => BuiltinKind::SlideOut(DOWN),
        "scaleIn" => BuiltinKind::ScaleIn,
        "scaleOut" => BuiltinKind::ScaleOut,
        "pop" => BuiltinKind::Pop,
        "waveX" => BuiltinKind::Wave(RIGHT),
        "waveY" => BuiltinKind::Wave(DOWN),
        "shakeX" => BuiltinKind::Shake(RIGHT),
        "shakeY" => BuiltinKind::Shake(DOWN),
        "bounce" => BuiltinKind::Bounce,
        "flip" => BuiltinKind::Flip {
            vertical: matches!(params.value["axis"].as_str(), Some("y" | "vertical")),
        },
        _ => return None,
    };
    let (amount, other) = match kind {
        BuiltinKind::SlideIn(_) | BuiltinKind::SlideOut(_) => (params.number(&["distance"], 100.0, -FAR, FAR), 0.0),
        BuiltinKind::ScaleIn => (
            params.number(&["fromScale"], 0.0, -100.0, 100.0),
            params.number(&["toScale"], 1.0, -100.0, 100.0),
        ),
        BuiltinKind::ScaleOut => (
            params.number(&["fromScale"], 1.0, -100.0, 100.0),
            params.number(&["toScale"], 0.0, -100.0, 100.0),
        ),
        BuiltinKind::Pop => (
            params.number(&["popScale", "maxScale"], 1.2, 0.0, 100.0),
            params.number(&["elasticity"], 0.3, -10.0, 10.0),
        ),
        BuiltinKind::Wave(_) => (
            params.number(&["amplitude", "amplitudePx"], if old { 8.0 } else { 10.0 }, -FAR, FAR),
            params.number(&["frequency", "cycles"], 2.0, 0.0, 1000.0),
        ),
        BuiltinKind::Shake(_) => (
            params.number(&["intensity", "amplitudePx"], if old { 6.0 } else { 5.0 }, -FAR, FAR),
            params.number(&["cycles", "frequency"], 8.0, 0.0, 1000.0),
        ),
        _ => (0.0, 0.0),
    };
    let ease = params.ease("easing", Ease::InOut(3));
    Some(Plugin::Builtin {
        kind,
        ease,
        amount,
        other,
    })
}
