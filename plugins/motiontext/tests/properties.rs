//! What holds for every scenario: any order of times gives the same pictures, nothing is infinite, nothing is drawn outside its time.

use nunchi_motiontext::{
    OffsetMode, Options, Profile, Scenario,
    fonts::Fonts,
    scene::{Content, Filter, Item, Rgba, Scene},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const STAGES: [(u32, u32); 5] = [(1280, 720), (640, 480), (720, 1280), (3, 2), (1921, 1081)];

const EFFECTS: [&str; 34] = [
    "spin",
    "pulse",
    "bobY",
    "cwi-bouncing",
    "cwi-color",
    "cwi-loud",
    "cwi-whisper",
    "cwi",
    "fadein",
    "slideup",
    "scalepop",
    "elastic",
    "rotation",
    "magnetic",
    "glitch",
    "glow",
    "flames",
    "typewriter",
    "fliptype",
    "fadeIn",
    "fadeOut",
    "pop",
    "shakeX",
    "shakeY",
    "waveX",
    "waveY",
    "slideInLeft",
    "slideOutUp",
    "scaleIn",
    "scaleOut",
    "bounce",
    "flip",
    "nosuch",
    "",
];

const TEXTS: [&str; 7] = [
    "안녕 Nunchi",
    "",
    " ",
    "a\nb",
    "שלום עולם",
    "👩‍👩‍👧 é",
    "a rather long line that has to be broken somewhere",
];

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-200_i32..200).prop_map(|value| f64::from(value) / 50.0),
        1 => prop::sample::select(vec![0.0, 1e-9, -1e-9, 1e6, -1e6, 1e300, -1e300, f64::MAX, f64::MIN_POSITIVE]),
    ]
}

fn times() -> impl Strategy<Value = Value> {
    (0_i32..100, 0_i32..300).prop_map(|(start, length)| {
        let start = f64::from(start) / 50.0;
        json!([start, start + f64::from(length) / 50.0])
    })
}

fn effect() -> impl Strategy<Value = Value> {
    let keys = [
        "fullTurns",
        "maxScale",
        "cycles",
        "amplitudePx",
        "waveHeight",
        "staggerDelay",
        "animationDuration",
        "popScale",
        "typingSpeed",
        "perspective",
        "overshoot",
        "elasticity",
        "intensity",
        "glitchIntensity",
        "t0",
        "t1",
    ];
    (
        prop::sample::select(EFFECTS.to_vec()),
        prop::collection::vec((prop::sample::select(keys.to_vec()), numbers()), 0..3),
        prop::option::of((numbers(), numbers())),
        prop::sample::select(vec!["replace", "add", "multiply"]),
        prop::sample::select(vec!["channel", "dom", "hybrid"]),
    )
        .prop_map(|(name, params, offset, compose, kind)| {
            let params: serde_json::Map<_, _> = params
                .into_iter()
                .map(|(key, value)| (key.to_owned(), json!(value)))
                .collect();
            let mut effect =
                json!({"name": format!("{name}@2.0.0"), "params": params, "compose": compose, "type": kind});
            if let Some((start, end)) = offset {
                effect["timeOffset"] = json!([start, end]);
            }
            effect
        })
}

fn layout() -> impl Strategy<Value = Value> {
    let children = (
        prop::sample::select(vec!["flow", "grid", "stack"]),
        any::<bool>(),
        numbers(),
        prop::sample::select(vec!["start", "center", "end", "space-between"]),
    )
        .prop_map(|(mode, vertical, gap, justify)| {
            json!({"mode": mode, "direction": if vertical { "vertical" } else { "horizontal" }, "gap": gap, "justify": justify, "maxWidth": "40%"})
        });
    (
        prop::option::of((numbers(), numbers())),
        prop::option::of((numbers(), numbers())),
        prop::option::of(children),
        prop::sample::select(vec!["tl", "cc", "br", "bc"]),
        prop::option::of((numbers(), numbers())),
        prop::sample::select(vec![None, Some("flow"), Some("grid"), Some("absolute")]),
        any::<bool>(),
    )
        .prop_map(|(position, size, children, anchor, scale, mode, clip)| {
            let mut layout = json!({"anchor": anchor, "safeAreaClamp": clip});
            if let Some((x, y)) = position {
                layout["position"] = json!({"x": x, "y": y});
            }
            if let Some((width, height)) = size {
                layout["size"] = json!({"width": width, "height": height});
            }
            if let Some(children) = children {
                layout["childrenLayout"] = children;
            }
            if let Some((x, y)) = scale {
                layout["transform"] =
                    json!({"scale": {"x": x, "y": y}, "rotate": {"deg": x}, "translate": {"x": y, "y": x}});
            }
            if let Some(mode) = mode {
                layout["mode"] = json!(mode);
            }
            if clip {
                layout["overflow"] = json!("clip");
            }
            layout
        })
}

fn node() -> impl Strategy<Value = Value> {
    let text = (
        prop::sample::select(TEXTS.to_vec()),
        prop::option::of(times()),
        layout(),
        prop::collection::vec(effect(), 0..4),
        prop::option::of(numbers()),
    )
        .prop_map(|(text, time, layout, chain, size)| {
            let mut node = json!({"id": "t", "eType": "text", "text": text, "layout": layout, "pluginChain": chain});
            if let Some(time) = time {
                node["displayTime"] = time;
            }
            if let Some(size) = size {
                node["style"] = json!({"fontSizeRel": size, "stroke": {"widthRel": size}, "opacity": 0.5});
            }
            node
        });
    text.prop_recursive(3, 12, 4, |inner| {
        (prop::collection::vec(inner, 0..4), prop::option::of(times()), layout(), prop::collection::vec(effect(), 0..2)).prop_map(
            |(children, time, layout, chain)| {
                let mut node = json!({"id": "g", "eType": "group", "children": children, "layout": layout, "pluginChain": chain,
                    "boxStyle": {"backgroundColor": "rgba(0,0,0,.5)", "padding": "1px 2px", "borderRadius": "4px", "opacity": 0.9}});
                if let Some(time) = time {
                    node["displayTime"] = time;
                }
                node
            },
        )
    })
}

fn scenario() -> impl Strategy<Value = Value> {
    (prop::collection::vec((node(), times(), prop::option::of(times())), 1..4), any::<bool>(), prop::option::of(1..60)).prop_map(
        |(cues, subtitle, fps)| {
            let kind = if subtitle { "subtitle" } else { "free" };
            let mut timebase = json!({"unit": "seconds"});
            if let Some(fps) = fps {
                timebase["fps"] = json!(fps);
            }
            let cues: Vec<Value> = cues
                .into_iter()
                .enumerate()
                .map(|(index, (root, time, life))| {
                    let mut cue = json!({"id": format!("c{index}"), "track": "a", "displayTime": time, "root": root});
                    if let Some(life) = life {
                        cue["domLifetime"] = life;
                    }
                    cue
                })
                .collect();
            json!({
                "version": "2.0", "timebase": timebase, "behavior": {"snapToFrame": fps.is_some()},
                "stage": {"baseAspect": "16:9", "safeArea": {"left": 0.1, "top": 0.1}},
                "tracks": [{"id": "a", "type": kind, "layer": 1, "defaultStyle": {"fontFamily": "DejaVu Sans", "fontSizeRel": 0.05}}],
                "cues": cues,
            })
        },
    )
}

fn options() -> impl Strategy<Value = Options> {
    (
        any::<bool>(),
        prop::sample::select(vec![
            OffsetMode::Auto,
            OffsetMode::Boundary,
            OffsetMode::Start,
            OffsetMode::Smart,
        ]),
        numbers(),
    )
        .prop_map(|(document, offset_mode, reference_height)| Options {
            profile: if document { Profile::Document } else { Profile::Preview },
            offset_mode,
            reference_height,
            ..Options::default()
        })
}

fn fonts() -> Fonts {
    let mut fonts = Fonts::new();
    fonts.add_system();
    fonts
}

fn parsed(value: &Value, options: &Options) -> Scenario {
    Scenario::parse(&serde_json::to_vec(value).unwrap(), options).unwrap().0
}

fn color_is_sound(color: Rgba) -> bool {
    [color.r, color.g, color.b, color.a]
        .iter()
        .all(|value| (0.0..=1.0).contains(value))
}

fn is_sound(item: &Item) -> bool {
    let filters = item.filters.iter().all(|filter| match filter {
        Filter::Blur(x) | Filter::Brightness(x) | Filter::Contrast(x) | Filter::Saturate(x) => {
            x.is_finite() && *x >= 0.0
        }
    });
    let content = match &item.content {
        Content::Text(text) => {
            color_is_sound(text.color)
                && text.shadows.iter().all(|shadow| {
                    color_is_sound(shadow.color)
                        && [shadow.dx, shadow.dy, shadow.blur]
                            .iter()
                            .all(|value| value.is_finite())
                        && shadow.blur >= 0.0
                })
                && text
                    .stroke
                    .is_none_or(|stroke| stroke.width.is_finite() && stroke.width >= 0.0)
        }
        Content::Box(panel) => {
            panel
                .size
                .iter()
                .chain(&panel.radius)
                .all(|value| value.is_finite() && *value >= 0.0)
                && color_is_sound(panel.background)
        }
        Content::Image { size, .. } => size.iter().all(|value| value.is_finite()),
        Content::Glow { size, color, .. } => {
            size.iter().all(|value| value.is_finite() && *value >= 0.0) && color_is_sound(*color)
        }
        Content::Layer { scene, .. } => scene.items.iter().all(is_sound),
    };
    filters && content && (0.0..=1.0).contains(&item.opacity) && item.transform.0.iter().all(|value| value.is_finite())
}

fn assert_sound(scene: &Scene) -> Result<(), TestCaseError> {
    for item in &scene.items {
        prop_assert!(is_sound(item), "{item:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn seeking_is_playing_and_nothing_is_infinite(value in scenario(), options in options(), stage in prop::sample::select(STAGES.to_vec()), times in prop::collection::vec(-1.0_f64..9.0, 1..12)) {
        let mut shared = fonts();
        let played = parsed(&value, &options);
        let mut order = times.clone();
        order.sort_by(f64::total_cmp);
        let scenes: Vec<Scene> = order.iter().map(|t| played.scene(*t, stage, &mut shared)).collect();
        for t in times {
            let sought = parsed(&value, &options).scene(t, stage, &mut shared);
            let at = order.iter().position(|other| *other == t).unwrap();
            prop_assert_eq!(&sought, &scenes[at]);
            assert_sound(&sought)?;
        }
    }

    #[test]
    fn nothing_is_drawn_outside_its_lifetime(value in scenario(), options in options(), t in -1.0_f64..9.0) {
        let mut fonts = fonts();
        let scenario = parsed(&value, &options);
        let life = scenario.lifetime().unwrap();
        let snaps = value["behavior"]["snapToFrame"] == true;
        let frame = if snaps { 1.0 / value["timebase"]["fps"].as_f64().unwrap() } else { 0.0 };
        if t < life.start - frame || t > life.end + frame {
            prop_assert!(scenario.scene(t, (1280, 720), &mut fonts).items.is_empty());
        }
        for t in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300] {
            prop_assert!(scenario.scene(t, (1280, 720), &mut fonts).items.is_empty());
        }
        prop_assert!(scenario.scene(life.start, (0, 720), &mut fonts).items.is_empty());
    }

    #[test]
    fn pulse_comes_back_the_way_it_went(maximum in 0.1_f64..4.0, cycles in 1_u32..6, document in any::<bool>(), length in 0.1_f64..10.0, share in 0.0_f64..0.5) {
        let value = json!({
            "version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "16:9"}, "tracks": [{"id": "a", "type": "free", "layer": 1}],
            "cues": [{"id": "c", "track": "a", "root": {"id": "t", "eType": "text", "text": "there and back", "displayTime": [0, length],
                "layout": {"position": {"x": 0.5, "y": 0.5}},
                "pluginChain": [{"name": "pulse", "params": {"maxScale": maximum, "cycles": cycles}, "timeOffset": [0, 0]}]}}],
        });
        let options = Options { profile: if document { Profile::Document } else { Profile::Preview }, ..Options::default() };
        let scenario = parsed(&value, &options);
        let mut fonts = fonts();
        let mut sizes = |t: f64| -> Vec<f64> {
            scenario.scene(t, (1280, 720), &mut fonts).items.iter().map(|item| item.transform.0[0]).collect()
        };
        let (there, back) = (sizes(length * share), sizes(length * (1.0 - share)));
        prop_assert!(!there.is_empty() && there.len() == back.len());
        for (there, back) in there.iter().zip(&back) {
            prop_assert!((there - back).abs() < 1e-6, "{there} and {back}");
        }
    }

    #[test]
    fn what_is_still_stays(value in scenario(), options in options(), t in -1.0_f64..9.0, share in 0.0_f64..1.0) {
        let mut fonts = fonts();
        let scenario = parsed(&value, &options);
        let until = scenario.still_until(t);
        prop_assert!(until >= t);
        if until > t {
            let scene = scenario.scene(t, (1280, 720), &mut fonts);
            let later = t + (until.min(20.0) - t).max(0.0) * share;
            if later < until {
                prop_assert_eq!(scene, scenario.scene(later, (1280, 720), &mut fonts), "{} and {}", t, later);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Scenario::parse(&bytes, &Options::default());
    }

    #[test]
    fn a_broken_document_is_read_or_refused(value in scenario(), at in any::<prop::sample::Index>(), what in prop::sample::select(vec!["null", "[]", "{}", "\"define.x\"", "-1", "1e400", "true", "\"\""])) {
        // One value anywhere becomes another.
        let text = serde_json::to_string(&value).unwrap();
        let places: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
        let place = places[at.index(places.len())];
        let rest = &text[place + 1..];
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let broken = format!("{}:{what}{}", &text[..place], &rest[end..]);
        if let Ok((scenario, _)) = Scenario::parse(broken.as_bytes(), &Options::default()) {
            let mut fonts = Fonts::new();
            assert_sound(&scenario.scene(1.0, (1280, 720), &mut fonts))?;
        }
    }
}
