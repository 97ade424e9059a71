//! What scenarios say and what becomes of it, beyond what was measured in a browser.

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

#[test]
fn what_is_no_scenario() {
    let parse = |bytes: &[u8]| {
        Scenario::parse(bytes, &Options::default())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert!(parse(b"").is_err_and(|text| text.contains("not JSON")));
    assert!(parse(b"{\"version\": NaN}").is_err_and(|text| text.contains("not JSON")));
    assert!(parse(b"{\"version\": 1e999}").is_err_and(|text| text.contains("not JSON")));
    assert!(parse(b"\xff\xfe").is_err_and(|text| text.contains("not JSON")));
    assert_eq!(parse(b"[]"), Err("Scenario must be a valid JSON object".into()));
    assert_eq!(
        parse(b"{\"version\": 2}"),
        Err("Unsupported scenario version: 2".into())
    );
    assert_eq!(
        parse(b"\xef\xbb\xbf{\"version\": \"9\"}"),
        Err("Unsupported scenario version: 9".into())
    );
}

#[test]
fn too_large_too_deep_too_many() {
    let parse = |bytes: &[u8]| {
        Scenario::parse(bytes, &Options::default())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let spaces = vec![b' '; 100 << 20];
    assert!(parse(&spaces).is_err_and(|text| text.contains("bytes, at most")));
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    assert!(parse(&deep).is_err_and(|text| text.contains("recursion limit")));
    let many = format!("[{}]", vec!["1"; 1_100_000].join(","));
    assert!(parse(many.as_bytes()).is_err_and(|text| text.contains("values")));
    let mut cues = around(text(json!({})));
    let cue = cues["cues"][0].clone();
    cues["cues"] = vec![cue; 200_000].into();
    assert!(error(&cues).contains("values"));
}

#[test]
fn groups_as_deep_as_json_goes() {
    let mut node = text(json!({"position": {"x": 0.5, "y": 0.5}}));
    for level in 0..58 {
        node = json!({"id": format!("g{level}"), "eType": "group", "displayTime": [1, 3], "children": [node],
            "layout": {"mode": "grid", "childrenLayout": {"mode": "flow", "gap": 0.01}, "size": {"width": 1e6}}});
    }
    let value = around(node);
    assert_eq!(runs(&value, &Options::default(), 2.0).len(), 1);
    assert_eq!(runs(&value, &document(), 2.0).len(), 1);
}

#[test]
fn errors_name_the_place() {
    let mut value = around(json!({"id": "g", "eType": "group", "children": [{"id": "", "eType": "text"}]}));
    let parsed = Scenario::parse(&serde_json::to_vec(&value).unwrap(), &Options::default());
    assert_eq!(
        parsed.err().map(|error| error.path),
        Some("cues[0].root.children[0].id".into())
    );
    value["cues"][0]["root"]["children"] = json!([]);
    value["cues"][0]["root"]["baseTime"] = json!([1, "x"]);
    assert_eq!(
        error(&value),
        "cues[0].root.baseTime: timeRange end must be a finite number"
    );
    value["cues"][0]["root"] = json!(7);
    assert_eq!(
        error(&value),
        "cues[0].root: Root node is required and must be an object"
    );
    value["define"] = json!([]);
    assert_eq!(error(&value), "define: must be an object");
}

#[test]
fn what_is_left_out_is_said() {
    let mut root = text(json!({"position": "middle", "anchor": "xx", "size": {"width": -1}}));
    root["style"] = json!({"color": "not a colour", "fontSize": "big", "textShadow": "red", "stroke": {"color": "red"}, "fontFamily": 7});
    root["pluginChain"] =
        json!([{"name": "nosuch@2.0.0"}, {"name": "spin", "params": {"fullTurns": "round"}, "timeOffset": [1]}, 7]);
    root["eType"] = json!("text");
    let (_, warnings) = read(&around(root), &Options::default());
    let said = |path: &str| warnings.iter().any(|warning| warning.path == path);
    for path in [
        "layout.position",
        "layout.anchor",
        "style.color",
        "style.fontSize",
        "style.textShadow",
        "style.stroke",
        "style.fontFamily",
        "pluginChain[0]",
        "pluginChain[1].params.fullTurns",
        "pluginChain[1].timeOffset",
        "pluginChain[2]",
    ] {
        assert!(said(&format!("cues[0].root.{path}")), "{path}: {warnings:?}");
    }
}

#[test]
fn shadows_without_end_are_cut_with_a_warning() {
    let with_shadows = |count| {
        let mut root = text(json!({}));
        root["style"] = json!({"textShadow": vec!["1px 1px red"; count].join(",")});
        around(root)
    };
    assert_eq!(read(&with_shadows(32), &Options::default()).1, []);
    let (_, warnings) = read(&with_shadows(33), &Options::default());
    assert_eq!(warnings[0].path, "cues[0].root.style.textShadow");
    let figures = runs(&with_shadows(20_000), &Options::default(), 2.0);
    let Some(Paint::Text { shadows, .. }) = figures.first().map(|figure| &figure.paint) else {
        panic!("{figures:?}")
    };
    assert_eq!(shadows.len(), 32);
}

#[test]
fn a_million_warnings_are_not_kept() {
    let children: Vec<Value> = (0..5000)
        .map(|index| json!({"id": format!("n{index}"), "eType": "nothing"}))
        .collect();
    let (_, warnings) = read(
        &around(json!({"id": "g", "eType": "group", "children": children})),
        &Options::default(),
    );
    assert_eq!(warnings.len(), 201);
    assert_eq!(warnings[200].message, "4800 more warnings");
}

#[test]
fn assets_are_named_and_not_loaded() {
    let mut value = around(json!({"id": "g", "eType": "group", "displayTime": [0, 9], "children": [
        {"id": "i", "eType": "image", "src": "define.logo", "layout": {"position": {"x": 0.5, "y": 0.5}, "size": {"width": 0.25}}},
        {"id": "out", "eType": "image", "src": "../secret.png"},
        {"id": "web", "eType": "image", "src": "https://example.com/a.png"},
        {"id": "v", "eType": "video", "src": "clip.mp4"},
    ]}));
    value["define"] = json!({"logo": {"type": "image", "src": "logo.png"}, "face": {"type": "font", "family": "Mine", "url": "mine.ttf"}});
    let options = Options {
        folder: Some("/nowhere/at/all".into()),
        ..Options::default()
    };
    let (mut scenario, warnings) = read(&value, &options);
    let sources: Vec<_> = scenario
        .assets()
        .iter()
        .map(|asset| (asset.kind.clone(), asset.source.clone()))
        .collect();
    let file = |name: &str| Source::File(format!("/nowhere/at/all/{name}").into());
    let families = vec!["Mine".to_owned(), "face".to_owned()];
    assert_eq!(
        sources,
        [
            (AssetKind::Font { families }, file("mine.ttf")),
            (AssetKind::Picture, file("logo.png")),
            (AssetKind::Video, file("clip.mp4")),
        ]
    );
    for path in [
        "cues[0].root.children[1].src",
        "cues[0].root.children[2].src",
        "cues[0].root.children[3]",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.path == path),
            "{path}: {warnings:?}"
        );
    }
    let mut fonts = Fonts::new();
    assert!(scenario.scene(1.0, STAGE, &mut fonts).items.is_empty());
    scenario.set_picture(
        1,
        Image {
            width: 4,
            height: 2,
            pixels: vec![0; 32],
        }
        .into(),
    );
    scenario.set_picture(
        99,
        Image {
            width: 4,
            height: 2,
            pixels: vec![0; 32],
        }
        .into(),
    );
    let scene = scenario.scene(1.0, STAGE, &mut fonts);
    assert_eq!(scene.items.len(), 1);
    assert!(matches!(
        scene.items[0].content,
        Content::Image {
            size: [320.0, 160.0],
            ..
        }
    ));
    assert!(is_near(scene.items[0].transform.0[2], 480.0) && is_near(scene.items[0].transform.0[5], 280.0));
}

#[test]
fn positions_in_every_form() {
    for position in [
        json!({"x": 0.25, "y": 0.5}),
        json!([0.25, 0.5]),
        json!({"x": "25%", "y": "360px"}),
        json!(["320px", "50%"]),
    ] {
        for options in [Options::default(), document()] {
            let node = figure(
                &around(text(json!({"anchor": "tl", "position": position}))),
                &options,
                2.0,
                FigureKind::Node,
                "t",
            );
            assert!(
                is_near(node.rect()[0], 320.0) && is_near(node.rect()[1], 360.0),
                "{position}"
            );
        }
    }
}

#[test]
fn safe_area_holds_the_box_of_a_text_and_the_point_of_a_group() {
    let mut value = around(text(
        json!({"anchor": "br", "position": {"x": 1, "y": 0}, "safeAreaClamp": true}),
    ));
    value["stage"]["safeArea"] = json!({"right": 0.1, "top": 0.2});
    value["tracks"][0]["safeArea"] = json!({"right": 0.2});
    let [x, y, width, _] = figure(&value, &Options::default(), 2.0, FigureKind::Node, "t").rect();
    assert!(is_near(x + width, 0.8 * 1280.0) && is_near(y, 0.2 * 720.0), "{x} {y}");
    let child = json!({"id": "u", "eType": "text", "text": "in it"});
    value["cues"][0]["root"] = json!({"id": "g", "eType": "group", "displayTime": [1, 3], "children": [child],
        "layout": {"anchor": "bl", "position": {"x": 0, "y": 0}, "safeAreaClamp": true}});
    let [x, y, _, height] = figure(&value, &Options::default(), 2.0, FigureKind::Group, "g").rect();
    assert!(is_near(x, 0.0) && is_near(y + height, 144.0), "{x} {y}");
}

#[test]
fn windows_in_every_mode() {
    // A quarter turn over the window tells where in it the time is.
    let turned = |offset: Value, mode: OffsetMode, profile: Profile, t: f64| {
        let mut root = text(json!({"position": {"x": 0.5, "y": 0.5}}));
        root["baseTime"] = json!([2, 4]);
        root["displayTime"] = json!([0, 9]);
        root["pluginChain"] = json!([{"name": "spin", "params": {"fullTurns": 0.25}, "timeOffset": offset}]);
        let options = Options {
            offset_mode: mode,
            profile,
            ..Options::default()
        };
        let m = figure(&around(root), &options, t, FigureKind::Wrapper, "t").transform.0;
        m[3].atan2(m[0]).to_degrees()
    };
    let (preview, document) = (Profile::Preview, Profile::Document);
    let half = json!(["0%", "50%"]);
    assert!(is_near(turned(half.clone(), OffsetMode::Auto, preview, 3.5), 45.0));
    assert!(is_near(turned(half.clone(), OffsetMode::Start, preview, 2.5), 45.0));
    assert!(is_near(turned(half.clone(), OffsetMode::Auto, document, 2.5), 45.0));
    assert!(is_near(turned(half, OffsetMode::Boundary, document, 3.5), 45.0));
    assert!(is_near(
        turned(json!(["0%", "-50%"]), OffsetMode::Auto, document, 2.5),
        45.0
    ));
    assert!(is_near(turned(json!([0, -1]), OffsetMode::Smart, preview, 2.5), 45.0));
    // Nothing given: twice as long in the preview, the effect's own in the document.
    assert!(is_near(turned(Value::Null, OffsetMode::Auto, preview, 4.0), 45.0));
    assert!(is_near(turned(Value::Null, OffsetMode::Auto, document, 3.0), 45.0));
    // What was turned stays so in the preview alone.
    assert!(is_near(turned(json!([0, 0]), OffsetMode::Auto, preview, 5.0), 90.0));
    assert!(is_near(turned(json!([0, 0]), OffsetMode::Auto, document, 5.0), 0.0));
    assert!(is_near(turned(json!([0, 0]), OffsetMode::Auto, preview, 1.0), 0.0));
}

#[test]
fn percent_times_are_shares_of_the_parents() {
    let mut root = json!({"id": "g", "eType": "group", "displayTime": [2, 6], "children": [text(json!({}))]});
    root["children"][0]["displayTime"] = json!(["25%", "75%"]);
    for (t, count) in [(2.5, 0), (3.0, 1), (5.0, 1), (5.5, 0)] {
        assert_eq!(runs(&around(root.clone()), &Options::default(), t).len(), count, "{t}");
    }
    root["displayTime"] = json!(["0%", "50%"]);
    assert!(error(&around(root)).contains("timeRange start must be a finite number"));
}

#[test]
fn nothing_outside_of_its_time() {
    let mut value = around(text(json!({})));
    let seen = |value: &Value, options: &Options, t: f64| runs(value, options, t).len() == 1;
    for options in [Options::default(), document()] {
        for (t, shown) in [(0.999, false), (1.0, true), (3.0, true), (3.001, false)] {
            assert_eq!(seen(&value, &options, t), shown, "{t}");
        }
    }
    value["cues"][0]["domLifetime"] = json!([2, 2.5]);
    assert!(seen(&value, &Options::default(), 2.0) && !seen(&value, &Options::default(), 1.5));
    let (_, warnings) = read(&value, &Options::default());
    assert!(warnings.iter().any(|warning| warning.message.contains("domLifetime")));
    // Without any time: never, or as long as the cue lives.
    value["cues"][0]["root"]["displayTime"] = Value::Null;
    assert!(
        !seen(&value, &Options::default(), 2.2) && seen(&value, &document(), 2.2) && !seen(&value, &document(), 2.6)
    );
}

#[test]
fn frames_are_snapped_to() {
    let mut value = around(text(json!({})));
    value["timebase"]["fps"] = json!(2);
    value["behavior"] = json!({"snapToFrame": true});
    for (t, count) in [(0.74, 0), (0.76, 1), (3.24, 1), (3.26, 0)] {
        assert_eq!(runs(&value, &Options::default(), t).len(), count, "{t}");
    }
    value["behavior"]["snapToFrame"] = json!(false);
    assert_eq!(runs(&value, &Options::default(), 0.76).len(), 0);
}

#[test]
fn still_scenes_are_known() {
    let mut root = text(json!({}));
    root["pluginChain"] = json!([{"name": "spin", "timeOffset": [0.5, -1]}]);
    let (scenario, _) = read(&around(root), &Options::default());
    let life = scenario.lifetime().unwrap();
    assert_eq!((life.start, life.end), (0.5, 3.5));
    assert_eq!(scenario.still_until(0.0), 0.5);
    assert_eq!(scenario.still_until(1.1), 1.5);
    assert_eq!(scenario.still_until(1.7), 1.7);
    assert_eq!(scenario.still_until(2.1), 3.0);
    // There at the last instant, and then no more.
    assert_eq!(scenario.still_until(3.0), 3.0);
    assert_eq!(scenario.still_until(9.0), f64::INFINITY);
    let (empty, _) = read(
        &json!({"version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "auto"}, "tracks": [], "cues": []}),
        &Options::default(),
    );
    assert_eq!(empty.lifetime(), None);
    assert_eq!(empty.still_until(0.0), f64::INFINITY);
}

#[test]
fn layers_and_depth_count_in_the_document() {
    let mut value = around(text(json!({"zIndex": 2})));
    value["tracks"] = json!([{"id": "a", "type": "free", "layer": 5}, {"id": "b", "type": "free", "layer": 1}]);
    let cue = |id: &str, track: &str, z: i32| {
        json!({"id": format!("c{id}"), "track": track,
        "root": {"id": id, "eType": "text", "text": "x", "displayTime": [1, 3], "layout": {"zIndex": z, "position": {"x": 0.5, "y": 0.5}}}})
    };
    value["cues"] = json!([cue("top", "a", 3), cue("low", "a", -1), cue("bottom", "b", 99)]);
    let order = |options: &Options| -> Vec<String> {
        runs(&value, options, 2.0)
            .iter()
            .map(|run| run.node.to_string())
            .collect()
    };
    assert_eq!(order(&Options::default()), ["top", "low", "bottom"]);
    assert_eq!(order(&document()), ["bottom", "low", "top"]);
}

#[test]
fn what_breaks_out_is_drawn_in_its_layer_without_clip_in_the_document() {
    let mut value = around(
        json!({"id": "g", "eType": "group", "displayTime": [0, 9], "boxStyle": {"opacity": 0.5},
        "layout": {"position": {"x": 0.5, "y": 0.5}, "size": {"width": 0.2, "height": 0.2}, "overflow": "clip"}, "children": [
            {"id": "out", "eType": "text", "text": "out", "layout": {"position": {"x": 0.9, "y": 0.5}}, "effectScope": {"breakout": {"mode": "lift", "toLayer": 5}}},
            {"id": "in", "eType": "text", "text": "in", "layout": {"position": {"x": 0.1, "y": 0.5}}},
        ]}),
    );
    value["tracks"][0]["layer"] = json!(1);
    for (id, layer) in [("b", 4), ("c", 6)] {
        let track = json!({"id": id, "type": "free", "layer": layer});
        value["tracks"].as_array_mut().unwrap().push(track);
        let root = json!({"id": format!("{id}-text"), "eType": "text", "text": id, "displayTime": [0, 9], "layout": {"position": {"x": 0.5, "y": 0.1}}});
        let cue = json!({"id": format!("{id}-cue"), "track": id, "root": root});
        value["cues"].as_array_mut().unwrap().push(cue);
    }
    let order = |value: &Value, options: &Options| -> Vec<String> {
        let texts = runs(value, options, 1.0);
        texts.iter().map(|run| run.text.to_string()).collect()
    };
    assert_eq!(order(&value, &document()), ["in", "b", "out", "c"]);
    assert_eq!(order(&value, &Options::default()), ["out", "in", "b", "c"]);
    // Without its layer it stays, and its place is the same.
    let place = |value: &Value| figure(value, &document(), 1.0, FigureKind::Run, "out").rect();
    let lifted = place(&value);
    value["cues"][0]["root"]["children"][0]["effectScope"] = json!({"breakout": {"mode": "portal"}});
    assert_eq!(order(&value, &document()), ["out", "in", "b", "c"]);
    assert_eq!(place(&value), lifted);
}

#[test]
fn gaps_only_between_words_in_the_document() {
    let word = |id: &str| json!({"id": id, "eType": "text", "text": "word"});
    let root = json!({"id": "g", "eType": "group", "displayTime": [1, 3], "children": [word("a"), word("b")],
        "boxStyle": {"padding": "10px"},
        "layout": {"anchor": "tl", "position": {"x": 0, "y": 0}, "childrenLayout": {"mode": "flow", "gap": 0.01}}});
    let width = |options: &Options, kind, node: &str| figure(&around(root.clone()), options, 2.0, kind, node).rect()[2];
    let word = width(&document(), FigureKind::Node, "a");
    assert!(is_near(
        width(&document(), FigureKind::Group, "g"),
        2.0 * word + 13.0 + 20.0
    ));
    assert!(is_near(
        width(&Options::default(), FigureKind::Group, "g"),
        2.0 * word + 3.0 * 13.0 + 20.0
    ));
}

#[test]
fn lines_as_wide_as_documented() {
    let words: Vec<Value> = (0..12)
        .map(|index| json!({"id": format!("w{index}"), "eType": "text", "text": "several"}))
        .collect();
    let root = json!({"id": "g", "eType": "group", "displayTime": [1, 3], "children": words,
        "layout": {"anchor": "bc", "position": {"x": 0.5, "y": 0.9}, "childrenLayout": {"mode": "flow", "gap": 0.01, "maxWidth": "90%"}}});
    let widest = |options: &Options| figure(&around(root.clone()), options, 2.0, FigureKind::Group, "g").rect()[2];
    // A browser gives it what is right of its position.
    assert!(is_near(widest(&Options::default()), 640.0));
    assert!(widest(&document()) > 1000.0 && widest(&document()) <= 1152.01);
}

#[test]
fn effects_of_a_group_move_it_in_the_document() {
    let mut root = json!({"id": "g", "eType": "group", "displayTime": [1, 3], "children": [text(json!({}))],
        "layout": {"position": {"x": 0.5, "y": 0.5}}});
    root["pluginChain"] =
        json!([{"name": "slideInLeft", "timeOffset": [0, 0]}, {"name": "fadeIn", "timeOffset": [0, 0]}]);
    let left = |options: &Options, t: f64| runs(&around(root.clone()), options, t)[0].rect()[0];
    assert!(is_near(left(&document(), 1.0) + 100.0, left(&document(), 3.0)));
    assert!(is_near(left(&Options::default(), 1.0), left(&Options::default(), 3.0)));
    assert!(is_near(
        figure(&around(root.clone()), &document(), 1.0, FigureKind::Group, "g").opacity,
        0.0
    ));
}

#[test]
fn both_halves_of_an_effect_only_in_the_preview() {
    let mut root = text(json!({"position": {"x": 0.5, "y": 0.5}}));
    root["pluginChain"] = json!([{"name": "pulse", "params": {"maxScale": 1.5, "cycles": 1}, "timeOffset": [0, 0]}]);
    let scale = |options: &Options| runs(&around(root.clone()), options, 2.0)[0].transform.0[0];
    assert!(is_near(scale(&Options::default()), 2.25) && is_near(scale(&document()), 1.5));
}

#[test]
fn a_typewriter_counts_real_seconds_in_the_document() {
    let mut root = text(json!({}));
    root["pluginChain"] =
        json!([{"name": "typewriter", "params": {"typingSpeed": 0.25, "showCursor": false}, "timeOffset": [0, 0]}]);
    let typed = |options: &Options| runs(&around(root.clone()), options, 2.1)[0].text.to_string();
    assert_eq!(typed(&document()), "some");
    assert_eq!(typed(&Options::default()), "so");
}

#[test]
fn a_cursor_is_as_wide_as_in_normal_weight() {
    let mut root = text(json!({"position": {"x": 0.5, "y": 0.5}}));
    let mut cursor = |weight: u16| {
        root["style"] = json!({"fontWeight": weight});
        root["pluginChain"] = json!([{"name": "typewriter", "params": {"cursorChar": "W"}, "timeOffset": [0, 0]}]);
        let runs = runs(&around(root.clone()), &Options::default(), 2.0);
        assert_eq!(
            runs.iter().map(|run| &*run.text).collect::<Vec<_>>(),
            ["some text", "W"]
        );
        (runs[0].rect()[2], runs[1].rect()[2])
    };
    let (normal, bold) = (cursor(400), cursor(700));
    assert!(bold.0 > normal.0 && is_near(bold.1, normal.1));
}

#[test]
fn random_amounts_differ_by_node_and_stay_the_same() {
    let letters = |id: &str| {
        let mut root = text(json!({"position": {"x": 0.5, "y": 0.5}}));
        root["id"] = json!(id);
        root["pluginChain"] = json!([{"name": "magnetic", "timeOffset": [0, 0]}]);
        runs(&around(root), &Options::default(), 1.6)
            .iter()
            .map(|run| run.transform.0[2])
            .collect::<Vec<f64>>()
    };
    assert_eq!(letters("a"), letters("a"));
    assert_ne!(letters("a"), letters("b"));
    assert_eq!(letters("a").len(), "some text".len());
}

#[test]
fn letters_are_what_readers_take_for_letters() {
    let mut root = text(json!({}));
    root["text"] = json!("e\u{301}👩‍👩‍👧한");
    root["pluginChain"] = json!([{"name": "cwi-color", "timeOffset": [0, 0]}]);
    let letters: Vec<String> = runs(&around(root), &Options::default(), 2.0)
        .iter()
        .map(|run| run.text.to_string())
        .collect();
    assert_eq!(letters, ["e\u{301}", "👩‍👩‍👧", "한"]);
}

#[test]
fn speakers_have_colours_of_the_scenarios_palette_in_the_document() {
    let mut root = text(json!({}));
    root["pluginChain"] = json!([{"name": "cwi-color", "params": {"speaker": "b"}, "timeOffset": [0, 0]}]);
    let mut value = around(root);
    value["define"] = json!({"speakerPalette": {"b": "#00ff00"}});
    assert_eq!(
        color(&runs(&value, &document(), 3.0)[0]),
        Rgba {
            r: 0.0,
            g: 1.0,
            b: 0.0,
            a: 1.0
        }
    );
    assert_eq!(color(&runs(&value, &Options::default(), 3.0)[0]).b, 0.0);
}

#[test]
fn references_within_palettes_and_fonts_are_followed() {
    let speaking = |palette: Value, define: Value| {
        let mut root = text(json!({}));
        root["pluginChain"] = json!([{"name": "cwi-color", "params": {"speaker": "b"}, "timeOffset": [0, 0]}]);
        let mut value = around(root);
        value["speakerPalette"] = palette;
        value["define"] = define;
        color(&runs(&value, &document(), 3.0)[0])
    };
    let green = Rgba {
        r: 0.0,
        g: 1.0,
        b: 0.0,
        a: 1.0,
    };
    let palette = json!({"b": "define.green"});
    assert_eq!(
        speaking(Value::Null, json!({"green": "#00ff00", "speakerPalette": palette})),
        green
    );
    assert_eq!(
        speaking(json!("define.p"), json!({"green": "#00ff00", "p": palette})),
        green
    );

    let mut value = around(text(json!({})));
    value["define"] = json!({
        "file": "mine.ttf", "direct": {"type": "font", "src": "define.file"},
        "pack": {"fonts": [{"type": "font", "family": "Deep", "src": "deep.ttf"}]},
    });
    let options = Options {
        folder: Some("/nowhere/at/all".into()),
        ..Options::default()
    };
    let (scenario, warnings) = read(&value, &options);
    assert_eq!(warnings, []);
    let fonts: Vec<_> = scenario
        .assets()
        .iter()
        .map(|asset| (&asset.kind, &asset.source))
        .collect();
    let of = |families: [&str; 2]| AssetKind::Font {
        families: families.map(str::to_owned).to_vec(),
    };
    let file = |name: &str| Source::File(format!("/nowhere/at/all/{name}").into());
    assert!(
        fonts.contains(&(&of(["Deep", "fonts"]), &file("deep.ttf"))),
        "{fonts:?}"
    );
    let direct = AssetKind::Font {
        families: vec!["direct".to_owned()],
    };
    assert!(fonts.contains(&(&direct, &file("mine.ttf"))), "{fonts:?}");
}

#[test]
fn fonts_without_end_are_cut_with_a_warning() {
    let mut value = around(text(json!({})));
    value["define"] = json!({"one": {"type": "font", "src": "a.ttf"}, "many": vec!["define.one"; 1000]});
    let options = Options {
        folder: Some("/nowhere/at/all".into()),
        ..Options::default()
    };
    let (_, warnings) = read(&value, &options);
    assert!(warnings[0].message.contains("more than 256 fonts"), "{warnings:?}");
}

#[test]
fn lengths_scale_with_the_reference_height() {
    let mut root = text(json!({}));
    root["style"] = json!({"fontSize": "24px"});
    let height = |reference_height: f64| {
        let options = Options {
            reference_height,
            ..Options::default()
        };
        figure(&around(root.clone()), &options, 2.0, FigureKind::Node, "t").rect()[3]
    };
    assert_eq!(height(0.0), 28.0);
    assert_eq!(height(360.0), 56.0);
    assert_eq!(height(f64::NAN), 28.0);
}

/// A 1.3 document with these children in its only group.
fn old(children: Value) -> Value {
    json!({"version": "1.3", "tracks": [{"id": "a", "type": "subtitle", "layer": 1, "defaultStyle": {"fontSizeRel": 0.05}}],
        "cues": [{"root": {"eType": "group", "layout": {"position": [0.5, 0.9]}, "children": children}}]})
}

#[test]
fn version_1_3_by_its_own_rules_of_time() {
    let value = old(json!([
        {"type": "text", "content": "one", "absStart": "1", "absEnd": 2},
        {"e_type": "text", "text": "two", "absStart": 1.5, "absEnd": 3},
    ]));
    let seen = |t: f64| -> Vec<String> {
        runs(&value, &Options::default(), t)
            .iter()
            .map(|run| run.text.to_string())
            .collect()
    };
    assert!(seen(0.99).is_empty());
    assert_eq!(seen(1.0), ["one"]);
    assert_eq!(seen(1.5), ["one", "two"]);
    // The end does not belong to it.
    assert_eq!(seen(2.0), ["two"]);
    assert!(seen(3.0).is_empty());
    assert!(figures(&value, &Options::default(), 0.5).is_empty());
    // Anchored at the bottom, words beside each other.
    let both = runs(&value, &Options::default(), 1.7);
    assert!(
        is_near(both[0].rect()[1], both[1].rect()[1])
            && both[1].rect()[0] > both[0].rect()[0] + both[0].rect()[2] + 10.0
    );
    assert!(both[0].rect()[1] + both[0].rect()[3] <= 0.9 * 720.0 + 0.01);
}

#[test]
fn version_1_3_pushes_and_flows_downwards() {
    let mut value = old(json!([
        {"type": "text", "text": "one", "absStart": 1, "absEnd": 2},
        {"type": "text", "text": "two", "absStart": 1, "absEnd": 3},
    ]));
    let tops = |value: &Value, t: f64| -> Vec<f64> {
        runs(value, &Options::default(), t)
            .iter()
            .map(|run| run.rect()[1])
            .collect()
    };
    value["tracks"][0]["overlapPolicy"] = json!("push");
    let [one, two] = tops(&value, 1.5)[..] else {
        panic!("two lines")
    };
    assert!(is_near(two - one, runs(&value, &Options::default(), 1.5)[0].rect()[3]));
    // What is gone takes no room.
    assert!(is_near(tops(&value, 2.5)[0], two));
    value["tracks"][0]["overlapPolicy"] = json!("ignore");
    value["cues"][0]["root"]["layout"]["mode"] = json!("flow");
    value["cues"][0]["root"]["layout"]["gapRel"] = json!(0.1);
    let [one, two] = tops(&value, 1.5)[..] else {
        panic!("two lines")
    };
    assert!(two - one > 72.0 + 20.0);
}

#[test]
fn version_1_3_windows() {
    let turned = |effect: Value, t: f64| {
        let mut effect = effect;
        effect["name"] = json!("spin");
        effect["params"] = json!({"fullTurns": 0.25});
        let value = old(json!([{"type": "text", "text": "x", "absStart": 2, "absEnd": 6, "pluginChain": [effect]}]));
        let m = runs(&value, &Options::default(), t)[0].transform.0;
        m[3].atan2(m[0]).to_degrees()
    };
    assert!(is_near(turned(json!({}), 4.0), 45.0));
    assert!(is_near(turned(json!({"relStart": 2}), 5.0), 45.0));
    assert!(is_near(turned(json!({"relStartPct": 0.5}), 5.0), 45.0));
    assert!(is_near(turned(json!({"relEnd": -2}), 3.0), 45.0));
    // To the end after it is taken into the node's time.
    assert!(is_near(turned(json!({"relEndPct": 0.35}), 4.0), 45.0));
    assert!(is_near(turned(json!({"relEnd": -2}), 5.0), 0.0));
}

#[test]
fn version_1_3_colours_count_from_the_word() {
    let value = |effect: Value| {
        let mut value =
            old(json!([{"type": "text", "text": "x", "absStart": 2, "absEnd": 6, "pluginChain": [effect]}]));
        value["definitions"] = json!({"tint": "#0000ff"});
        value
    };
    let effect = json!({"name": "cwi-color", "params": {"t0": 1, "t1": 2, "color": "definitions.tint"}});
    let blue = |t: f64| color(&runs(&value(effect.clone()), &Options::default(), t)[0]);
    assert_eq!(
        blue(4.5),
        Rgba {
            r: 0.0,
            g: 0.0,
            b: 1.0,
            a: 1.0
        }
    );
    assert_eq!(blue(2.5).r, 1.0);
    let archived = json!({"name": "cwi@1.0.0", "params": {"kind": "loud", "t0": 1, "t1": 2}});
    let scale = |t: f64| runs(&value(archived.clone()), &Options::default(), t)[0].transform.0[0];
    assert!(is_near(scale(2.5), 1.0) && scale(3.5) > 2.0 && is_near(scale(4.5), 1.0));
}

#[test]
fn version_1_3_says_what_is_wrong() {
    assert!(
        error(&old(json!([{"type": "text", "absStart": 3, "absEnd": 3}]))).contains("must be greater than absStart")
    );
    let inverted =
        json!([{"type": "text", "absStart": 1, "absEnd": 2, "pluginChain": [{"name": "spin", "relStart": 2}]}]);
    assert!(
        error(&old(inverted))
            .starts_with("cues[0].root.children[0].pluginChain[0]: the effect ends at 2 before it begins at 3")
    );
    let mut value = old(json!([]));
    value["cues"][0]["track"] = json!("zz");
    assert_eq!(error(&value), "cues[0].track: Unknown track ID \"zz\"");
    value["tracks"] = json!([]);
    assert_eq!(error(&value), "tracks must be a non-empty array");
    value["timebase"] = json!({"unit": "frames"});
    assert!(error(&value).starts_with("timebase.unit must be"));
}

#[test]
fn versions_are_told_apart_by_what_they_have() {
    let mut value = around(text(json!({})));
    value.as_object_mut().unwrap().remove("version");
    assert_eq!(runs(&value, &Options::default(), 2.0).len(), 1);
    let mut value = old(json!([{"type": "text", "text": "x", "absStart": 1, "absEnd": 2}]));
    value.as_object_mut().unwrap().remove("version");
    assert_eq!(runs(&value, &Options::default(), 1.5).len(), 1);
}
