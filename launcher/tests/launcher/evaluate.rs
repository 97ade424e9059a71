//! `nunchi evaluate`: real pictures through a real network.

use crate::helper::*;
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MEDIA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media");
const MADE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/coco");

/// COCO's number of a name of the goldens.
fn category(name: &str) -> u64 {
    let all = [
        ("person", 1),
        ("bicycle", 2),
        ("car", 3),
        ("cat", 17),
        ("dog", 18),
        ("horse", 19),
        ("sheep", 20),
        ("cow", 21),
    ];
    all.iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("{name}"))
        .1
}

/// Annotations of the test pictures, as the reference finds the objects.
fn annotations() -> Value {
    let goldens = std::fs::read_to_string(format!("{ROOT}/plugins/inference/tests/data/ssd_goldens.json")).unwrap();
    let goldens: Value = serde_json::from_str(&goldens).unwrap();
    let (mut images, mut found) = (Vec::new(), Vec::new());
    let mut categories = std::collections::BTreeMap::new();
    for (id, (name, golden)) in (1..).zip(goldens["pictures"].as_object().unwrap()) {
        images.push(json!({"id": id, "file_name": name}));
        for object in golden["objects"].as_array().unwrap() {
            let side = |index: usize| object["box"][index].as_f64().unwrap();
            let (w, h) = (side(2) - side(0), side(3) - side(1));
            let name = object["name"].as_str().unwrap();
            categories.insert(category(name), name.to_owned());
            found.push(json!({
                "id": found.len() + 1, "image_id": id, "category_id": category(name),
                "bbox": [side(0), side(1), w, h], "area": w * h, "iscrowd": 0
            }));
        }
    }
    let categories: Vec<_> = categories
        .iter()
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect();
    json!({"images": images, "annotations": found, "categories": categories})
}

fn evaluate(p: &Place, args: &[&str]) -> Done {
    p.nunchi(&[&["evaluate"], args].concat())
}

#[test]
fn the_embedded_network_finds_what_the_reference_finds() {
    let p = Place::new();
    p.write("annotations.json", annotations().to_string());
    let common = ["--coco", "annotations.json", "--format", "json"];
    let run = [
        &common[..],
        &[
            "--images",
            MEDIA,
            "--score-threshold",
            "0.5",
            "--save",
            "found.json",
            "--engine",
            "openvino",
        ],
    ]
    .concat();
    let output = evaluate(&p, &run);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let scores: Value = serde_json::from_str(&output.out).unwrap();
    let value = |scores: &Value, row: usize| scores["rows"][row]["value"].as_f64().unwrap();
    assert_eq!(scores["pictures"], 4);
    // Within a pixel of each side.
    assert!(value(&scores, 0) > 0.95 && value(&scores, 1) > 0.999, "{}", output.out);
    // What was found can be measured again, and in the form of pycocotools.
    let again = evaluate(&p, &[&common[..], &["--results", "found.json"]].concat());
    assert_eq!(again.out, output.out);
    let text = evaluate(
        &p,
        &[
            "--coco",
            "annotations.json",
            "--results",
            "found.json",
            "--per-category",
        ],
    );
    assert!(
        text.out
            .starts_with(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = "),
        "{}",
        text.out
    );
    assert!(text.out.contains("\n bicycle "), "{}", text.out);
    assert_eq!(text.out.matches('@').count(), 12);
}

#[test]
fn results_of_others_are_measured_without_a_network() {
    let p = Place::new();
    let file = |name: &str| format!("{MADE}/{name}");
    let (annotations, results) = (file("annotations.json"), file("good.json"));
    let output = evaluate(&p, &["--coco", &annotations, "--results", &results]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    // As pycocotools printed it.
    let first = " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.374";
    assert_eq!(output.out.lines().next(), Some(first));
    let last = " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.688";
    assert_eq!(output.out.lines().last(), Some(last));
}

#[test]
fn what_cannot_be_measured_is_said() {
    let p = Place::new();
    let good = annotations();
    p.write("good.json", good.to_string());
    p.write("names.txt", (0..90).map(|n| format!("thing {n}\n")).collect::<String>());
    let mut other = good.clone();
    other["images"][0]["file_name"] = json!("nowhere.jpg");
    p.write("missing.json", other.to_string());
    other["images"][0]["file_name"] = json!("../media/dog.jpg");
    p.write("outside.json", other.to_string());
    p.write("pictures/dog.jpg", "no picture");
    other["images"] = json!([{"id": 1, "file_name": "dog.jpg"}]);
    other["annotations"] = json!([]);
    p.write("damaged.json", other.to_string());
    p.write(
        "stranger.json",
        r#"[{"image_id":99,"category_id":1,"bbox":[0,0,1,1],"score":1}]"#,
    );
    let emotion = format!("{ROOT}/plugins/inference/models/emotion_fer7_64.onnx");
    for (args, code, says) in [
        (&["--coco", "no.json", "--images", MEDIA][..], 66, "no.json"),
        (&["--coco", "names.txt", "--images", MEDIA], 66, "names.txt"),
        (&["--coco", "good.json"], 2, "--images"),
        (&["--coco", "good.json", "--images", "/no/folder"], 66, "/no/folder"),
        (&["--coco", "missing.json", "--images", MEDIA], 66, "nowhere.jpg"),
        (
            &["--coco", "outside.json", "--images", MEDIA],
            66,
            "leads out of the folder",
        ),
        (&["--coco", "damaged.json", "--images", "pictures"], 66, "dog.jpg"),
        (&["--coco", "good.json", "--results", "stranger.json"], 66, "picture 99"),
        (
            &["--coco", "good.json", "--images", MEDIA, "--model", &emotion],
            69,
            "SSD",
        ),
        (
            &["--coco", "good.json", "--images", MEDIA, "--model", "/no/model.onnx"],
            66,
            "/no/model.onnx",
        ),
        (
            &["--coco", "good.json", "--images", MEDIA, "--labels", "names.txt"],
            65,
            "thing 0",
        ),
        (
            &["--coco", "good.json", "--images", MEDIA, "--engine", "abacus"],
            2,
            "abacus",
        ),
        (
            &["--coco", "good.json", "--images", MEDIA, "--family", "yolo"],
            2,
            "yolo",
        ),
        (
            &["--coco", "good.json", "--images", MEDIA, "--score-threshold", "7"],
            65,
            "threshold",
        ),
        (
            &[
                "--coco",
                "good.json",
                "--images",
                MEDIA,
                "--save",
                "/no/folder/found.json",
                "--engine",
                "openvino",
            ],
            73,
            "/no/folder",
        ),
    ] {
        let output = evaluate(&p, args);
        assert!(output.err.contains(says), "{args:?}: {}", output.err);
        assert_eq!(output.code, Some(code), "{args:?}: {}", output.err);
        assert!(output.out.is_empty(), "{args:?}: {}", output.out);
    }
}
