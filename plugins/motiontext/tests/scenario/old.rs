//! Version 1.3, and how it is told from 2.0.

use super::*;

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
