use crate::helper::*;

#[test]
fn the_committed_schema_is_current() {
    let committed = include_str!("../../../docs/schema/pipeline.schema.json");
    let done = Place::new().nunchi(&["schema"]);
    assert_eq!(
        done.out, committed,
        "run: nunchi schema > docs/schema/pipeline.schema.json"
    );
}

#[test]
fn every_key_of_the_schema_is_described() {
    let schema: serde_json::Value = serde_json::from_str(&nunchi::spec::json_schema()).unwrap();
    let mut types = vec![("Description".to_owned(), &schema)];
    types.extend(schema["$defs"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v)));
    for (name, kind) in types {
        for (key, property) in kind["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn list_shows_names_parameters_and_broken_files() {
    let p = Place::new();
    p.write("pipelines/one.yaml", "version: 1\nname: one\ndescription: Does one thing.\nparams: {n: {type: integer, default: 3, description: How many.}}\nprocesses: {p: {launch: 'fakesrc num-buffers=${n} ! fakesink'}}\n");
    p.write("pipelines/two.yaml", "nonsense: true\n");
    let done = p.nunchi(&["list"]);
    done.succeeds();
    for needle in [
        "one\n  Does one thing.",
        "n=3  How many.",
        "two\n  broken; see: nunchi validate",
    ] {
        assert!(done.out.contains(needle), "{needle}: {}", done.out);
    }
    let json: Vec<serde_json::Value> = serde_json::from_str(&p.nunchi(&["list", "--format", "json"]).out).unwrap();
    let one = json.iter().find(|e| e["name"] == "one").unwrap();
    assert_eq!(
        (&one["params"][0]["name"], &one["params"][0]["default"]),
        (&"n".into(), &3.into())
    );
    assert!(json.iter().any(|e| e["name"] == "two" && e["error"].is_string()));
}

#[test]
fn doctor_tells_what_there_is_and_its_exit_code_agrees() {
    let p = Place::new();
    let json = p.nunchi(&["doctor", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let missing = report["required_missing"].as_array().unwrap();
    assert!(report["fonts"]["count"].is_u64() && report["fonts"]["korean"].is_boolean());
    assert_eq!(json.code, Some(if missing.is_empty() { 0 } else { 69 }), "{}", json.out);
    assert!(
        report["facts"]["elements"]
            .as_array()
            .unwrap()
            .iter()
            .any(|e| e["name"] == "filesrc" && e["found"] == true)
    );
    let codecs = report["facts"]["codecs"].as_array().unwrap();
    let h264 = codecs.iter().find(|codec| codec["codec"] == "h264").unwrap();
    assert_eq!(h264["available"], true, "x264 or openh264 is there: {h264}");
    assert!(codecs.iter().all(|codec| !codec["reason"].as_str().unwrap().is_empty()));
    let text = p.nunchi(&["doctor"]);
    for needle in [
        "What nvencsink encodes with",
        "Inference engines",
        "Devices",
        "Encoders",
        "x264enc",
        "Elements (GStreamer 1.",
    ] {
        assert!(text.out.contains(needle), "{needle}: {}", text.out);
    }
}

#[test]
fn doctor_names_what_is_missing() {
    let p = Place::new();
    // An empty plugin folder and registry: GStreamer without any plugin.
    let done = p
        .command(&["doctor"])
        .env("GST_PLUGIN_SYSTEM_PATH_1_0", p.path("none"))
        .env("GST_REGISTRY_1_0", p.path("registry"))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(69), "{out}");
    assert!(
        out.contains("Missing:") && out.contains("gstreamer1.0-plugins-good"),
        "{out}"
    );
    let install = out.lines().find(|l| l.starts_with("Install:")).unwrap_or_default();
    for package in ["libgstreamer1.0-0", "gstreamer1.0-plugins-ugly", "gstreamer1.0-libav"] {
        assert!(install.contains(package), "{package}: {install}");
    }
}
