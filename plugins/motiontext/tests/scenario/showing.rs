//! What is seen, where and when.

use super::*;

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
