//! What is refused, what is left out with a warning, and what is wanted from outside.

use super::*;

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
