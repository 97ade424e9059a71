//! What is found in pictures, and the metadata, events and files that tell it.

use super::*;
use nunchi_events::State::{End, Ongoing, Start};

#[test]
fn every_engine_finds_what_the_reference_finds() {
    for engine in ENGINES {
        for name in ["person.jpg", "dog.jpg", "horses.jpg", "china.jpg"] {
            let picture = picture(name, "RGB");
            let mut h = harness(&picture, &format!("engine={engine}"));
            assert_eq!(inner(&h).property_value("engine").serialize().unwrap(), engine);
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, &picture, &out);
        }
    }
}

#[test]
fn every_format_of_colours_shows_the_same_objects() {
    for format in pictures::FORMATS.into_iter().filter(|format| *format != "GRAY8") {
        let picture = picture("dog.jpg", format);
        let mut h = harness(&picture, "score-threshold=0.75");
        let mut found = names(&h.push_and_pull(picture.at(ms(0))).unwrap());
        found.sort();
        assert_eq!(found, ["bicycle", "car", "dog"], "{format}");
    }
}

#[test]
fn metadata_is_what_other_elements_expect() {
    let picture = picture("person.jpg", "RGB");
    let mut h = harness(&picture, "score-threshold=0.9");
    let mut buffer = picture.at(ms(0));
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "other", (0, 0, 4, 4)).set_id(6);
    let out = h.push_and_pull(buffer).unwrap();
    let all: Vec<_> = out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().collect();
    let ids: Vec<_> = all.iter().map(|region| (region.roi_type(), region.id())).collect();
    assert_eq!(ids, [("other", 6), ("person", 7), ("sheep", 8)]);
    let (x, y, width, height) = all[1].rect();
    let detection = all[1].param("detection").unwrap();
    assert_eq!(detection.get::<i32>("label_id"), Ok(0));
    let right = detection.get::<f64>("x_max").unwrap() * picture.size().0;
    assert!((right - f64::from(x + width)).abs() <= 1.0 && width > 50 && height > 200 && y > 50);
    // The same objects, for who draws and logs.
    let boxes = meta::landmark::read(&out);
    let ids: Vec<_> = boxes
        .iter()
        .map(|b| (b.object_id, b.track_id, b.points.len()))
        .collect();
    assert_eq!(ids, [(7, 1, 0), (8, 2, 0)]);
    assert!(boxes.iter().all(|b: &Landmarks| b.layout.is_empty()));
}

#[test]
fn classes_that_are_not_wanted_are_not_told() {
    let picture = picture("dog.jpg", "RGB");
    let of = |properties: &str| names(&harness(&picture, properties).push_and_pull(picture.at(ms(0))).unwrap());
    assert_eq!(of("classes=dog"), ["dog"]);
    assert_eq!(of("classes=\"car, bicycle\""), ["bicycle", "car"]);
    assert_eq!(of("classes=zebra"), [""; 0]);
    assert_eq!(of("max-objects=1"), ["bicycle"]);
    assert_eq!(of("score-threshold=0.95"), ["bicycle"]);
    assert_eq!(of("score-threshold=1"), [""; 0]);
    assert!(of("score-threshold=0.2").len() > of("").len());
}

#[test]
fn overlap_decides_what_is_one_object() {
    let picture = picture("dog.jpg", "RGB");
    // The family of raw heads, whose boxes are suppressed here.
    let count = |threshold: &str| {
        let properties = format!("model-family=tf score-threshold=0.3 iou-threshold={threshold}");
        let out = harness(&picture, &properties).push_and_pull(picture.at(ms(0))).unwrap();
        names(&out).len()
    };
    assert!(count("1") > 2 * count("-1"), "{} {}", count("1"), count("-1"));
    assert!(count("0") <= count("-1"));
}

/// Types, labels, states and messages of a buffer's events.
fn told(buffer: &gst::BufferRef) -> Vec<(String, String, nunchi_events::State, String)> {
    let events = events(buffer).into_iter();
    events.map(|e| (e.kind, e.label, e.state, e.message)).collect()
}

#[test]
fn a_class_comes_into_view_stays_and_goes() {
    let dog = picture("dog.jpg", "I420");
    let info = dog.info();
    let empty = black(VideoFormat::I420, info.width(), info.height());
    let mut h = harness(&dog, "classes=dog min-duration=100000000");
    let line = |state, message: &str| ("object".to_owned(), "dog".to_owned(), state, message.to_owned());
    let mut at = |picture: &Picture, time: u64| told(&h.push_and_pull(picture.at(ms(time))).unwrap());
    assert_eq!(at(&dog, 0), []);
    assert_eq!(at(&dog, 80), [], "not long enough");
    assert_eq!(at(&dog, 120), [line(Start, "dog in view")]);
    assert_eq!(at(&dog, 160), [line(Ongoing, "dog in view")]);
    assert_eq!(at(&empty, 200), [line(Ongoing, "dog in view")], "missed for a moment");
    assert_eq!(at(&dog, 240), [line(Ongoing, "dog in view")]);
    assert_eq!(at(&empty, 280), [line(Ongoing, "dog in view")]);
    assert_eq!(at(&empty, 400), [line(End, "dog out of view")]);
    assert_eq!(at(&empty, 440), []);
}

#[test]
fn several_of_a_class_are_counted() {
    let picture = picture("horses.jpg", "RGB");
    let mut h = harness(&picture, "min-duration=0 score-threshold=0.3 classes=horse");
    let out = h.push_and_pull(picture.at(ms(0))).unwrap();
    let count = names(&out).len();
    assert!(count > 1);
    assert_eq!(told(&out)[0].3, format!("horse in view ({count})"));
    // The count, and the box of the best one in parts of the frame.
    let event = events(&out).remove(0);
    let best = objects(&out, (1.0, 1.0)).remove(0);
    assert_eq!(
        (event.value, event.confidence),
        (Some(count as f64), Some(best.confidence))
    );
    let side = |name: &str| match event.attrs[name] {
        nunchi_events::AttrValue::Float(side) => side,
        ref other => panic!("{name}: {other:?}"),
    };
    for (name, side_of_best) in ["x_min", "y_min", "x_max", "y_max"].into_iter().zip(best.sides) {
        assert!((side(name) - side_of_best).abs() < 1e-5, "{name}");
    }
}

#[test]
fn an_object_keeps_its_number() {
    let dog = picture("dog.jpg", "I420");
    let info = dog.info();
    let empty = black(VideoFormat::I420, info.width(), info.height());
    let mut h = harness(&dog, "classes=dog presence-timeout=100000000");
    let mut at = |picture: &Picture, time: u64| {
        let out = h.push_and_pull(picture.at(ms(time))).unwrap();
        objects(&out, (1.0, 1.0)).first().map(|object| object.track)
    };
    assert_eq!((at(&dog, 0), at(&dog, 40), at(&empty, 80)), (Some(1), Some(1), None));
    assert_eq!(at(&dog, 120), Some(1));
    assert_eq!(at(&dog, 300), Some(2));
}

#[test]
fn a_text_file_of_each_frame_has_five_lines_for_each_object() {
    let dir = tempfile::tempdir().unwrap();
    let dog = picture("dog.jpg", "RGB");
    let info = dog.info();
    let empty = black(VideoFormat::Rgb, info.width(), info.height());
    let location = dir.path().join("infer%d.txt");
    let mut h = harness(
        &dog,
        &format!("score-threshold=0.7 detections-location=\"{}\"", location.display()),
    );
    let found = objects(&h.push_and_pull(dog.at(ms(0))).unwrap(), (1.0, 1.0));
    h.push_and_pull(empty.at(ms(40))).unwrap();
    let text = std::fs::read_to_string(dir.path().join("infer1.txt")).unwrap();
    let numbers: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
    // The surest last, as the earlier system wrote them.
    let wanted: Vec<f64> = found
        .iter()
        .rev()
        .zip([16.0, 2.0, 1.0])
        .flat_map(|(object, class)| object.sides.into_iter().chain([class]))
        .collect();
    assert_eq!(numbers.len(), 15, "{text}");
    assert!(
        numbers.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-3),
        "{numbers:?} {wanted:?}"
    );
    assert_eq!(std::fs::read_to_string(dir.path().join("infer2.txt")).unwrap(), "");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn names_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("names.txt");
    let text: String = (0..90).map(|n| format!("thing {n}\n")).collect();
    std::fs::write(&path, text).unwrap();
    let picture = picture("dog.jpg", "RGB");
    let mut h = harness(
        &picture,
        &format!("labels-file=\"{}\" score-threshold=0.7", path.display()),
    );
    let found = names(&h.push_and_pull(picture.at(ms(0))).unwrap());
    assert_eq!(found, ["thing 1", "thing 2", "thing 17"]);
}

#[test]
fn the_middle_of_a_frame_is_found_where_it_lies() {
    // A crop of the middle has its boxes in the frame's own places.
    let picture = picture("dog.jpg", "RGB");
    let (width, height) = picture.size();
    let find = |properties: &str| {
        let mut h = harness(&picture, &format!("classes=dog {properties}"));
        objects(&h.push_and_pull(picture.at(ms(0))).unwrap(), (width, height))
            .remove(0)
            .sides
    };
    let (whole, middle) = (find("preprocess=stretch"), find("preprocess=center-crop"));
    for (a, b) in whole.iter().zip(middle) {
        assert!((a - b).abs() < 12.0, "{whole:?} {middle:?}");
    }
}

#[test]
fn colours_and_levels_can_be_set() {
    let picture = picture("dog.jpg", "RGB");
    let found = |properties: &str| {
        let mut h = harness(&picture, properties);
        objects(&h.push_and_pull(picture.at(ms(0))).unwrap(), picture.size())
    };
    // What the family does by itself.
    let own = found("");
    assert_eq!(found("channel-order=rgb mean=0.5 std=0.5,0.5,0.5"), own);
    assert_ne!(found("channel-order=bgr"), own);
    assert_ne!(found("mean=0.2"), own);
}

#[test]
fn each_frame_is_a_line_of_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("objects.jsonl");
    let dog = picture("dog.jpg", "RGB");
    let info = dog.info();
    let empty = black(VideoFormat::Rgb, info.width(), info.height());
    let mut h = harness(
        &dog,
        &format!("score-threshold=0.7 json-location=\"{}\"", path.display()),
    );
    let read = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let found = objects(&h.push_and_pull(dog.at(ms(0))).unwrap(), dog.size());
    assert_eq!(read().len(), 1, "it is there as soon as the frame is read");
    h.push_and_pull(empty.at(ms(40))).unwrap();
    let lines = read();
    let head = |line: &serde_json::Value| {
        let number = |name: &str| line[name].as_f64().unwrap();
        [number("frame"), number("time"), number("width"), number("height")]
    };
    assert_eq!(head(&lines[0]), [1.0, 0.0, 768.0, 576.0]);
    assert_eq!(head(&lines[1]), [2.0, 0.04, 768.0, 576.0]);
    assert_eq!(lines[1]["objects"].as_array().unwrap().len(), 0);
    let objects = lines[0]["objects"].as_array().unwrap();
    assert_eq!(objects.len(), found.len());
    for (line, wanted) in objects.iter().zip(found) {
        assert_eq!(line["label"], wanted.name);
        assert_eq!(line["track"], wanted.track);
        assert!((line["confidence"].as_f64().unwrap() - wanted.confidence).abs() < 1e-5);
        for (side, wanted) in wanted.sides.iter().enumerate() {
            assert!((line["box"][side].as_f64().unwrap() - wanted).abs() < 0.01, "{line}");
        }
    }
    assert_eq!(
        (&objects[2]["label"], &objects[2]["class"]),
        (&"dog".into(), &16.into())
    );
}
