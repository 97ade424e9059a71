//! What is read from pictures, and the events and metadata that follow.

use super::*;

const PEOPLE: [&str; 4] = ["obama.jpg", "biden.jpg", "astronaut.png", "camera.png"];

#[test]
fn every_format_agrees_with_the_reference() {
    for format in FORMATS {
        let people = PEOPLE.map(|name| (name, picture(name, format)));
        let mut h = harness(&people[0].1, "engine=openvino");
        for (name, picture) in &people {
            // Another size: whoever was followed is forgotten.
            h.set_src_caps(picture.caps.clone());
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, picture, &out);
        }
    }
}

#[test]
fn every_engine_agrees_with_the_reference() {
    for engine in ENGINES {
        for name in PEOPLE {
            let picture = picture(name, "RGB");
            let mut h = harness(&picture, &format!("engine={engine}"));
            assert_eq!(inner(&h).property_value("engine").serialize().unwrap(), engine);
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, &picture, &out);
        }
    }
}

#[test]
fn where_nobody_is_nothing_is_found() {
    for name in ["china.jpg", "horses.jpg"] {
        for engine in ENGINES {
            let picture = picture(name, "I420");
            let mut h = harness(&picture, &format!("engine={engine}"));
            for n in 0..3 {
                let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
                assert!(
                    meta::landmark::read(&out).is_empty() && events(&out).is_empty(),
                    "{name} {engine}"
                );
                assert!(out.meta::<gst_video::VideoRegionOfInterestMeta>().is_none());
            }
        }
    }
}

/// Types, labels and states of a buffer's events.
fn told(buffer: &gst::BufferRef) -> Vec<String> {
    let line = |e: &nunchi_events::Event| format!("{} {} {}", e.kind, e.label, e.state.as_str());
    events(buffer).iter().map(line).collect()
}

#[test]
fn somebody_upright_is_silent() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    for n in 0..5 {
        assert!(told(&h.push_and_pull(picture.at(ms(n * 40))).unwrap()).is_empty());
    }
}

#[test]
fn a_head_seen_from_the_side_is_tilted_from_start_to_end() {
    let tilted = picture("camera.png", "I420");
    let empty = black(VideoFormat::I420, tilted.info().width(), tilted.info().height());
    let mut h = harness(&tilted, "presence-timeout=100000000");
    let first = h.push_and_pull(tilted.at(ms(0))).unwrap();
    let event = events(&first).pop().unwrap();
    assert_eq!(told(&first), ["head_tilt head_tilt start"]);
    let tilt = event.value.unwrap();
    assert!((tilt - 3.81).abs() < 0.3, "{tilt}");
    assert_eq!(event.message, format!("Head tilt detected ({tilt:.1})"));
    assert_eq!(
        told(&h.push_and_pull(tilted.at(ms(40))).unwrap()),
        ["head_tilt head_tilt ongoing"]
    );
    let mut ends = Vec::new();
    for n in 2..7u64 {
        let out = h.push_and_pull(empty.at(ms(n * 40))).unwrap();
        ends.extend(
            events(&out)
                .into_iter()
                .map(|e| (n, e.kind, e.state, e.object_id, e.message)),
        );
    }
    let end = (4, "head_tilt".to_string(), End, Some(-1), "Person lost".to_string());
    assert_eq!(
        ends,
        [end],
        "120 ms after the last sight is the first time beyond the timeout"
    );
}

#[test]
fn a_body_that_moves_away_is_tilted_by_its_longest_trunk() {
    // The same person at 0.65 of the size.
    let near = picture("camera.png", "RGB");
    let far = decode(
        "camera.png",
        "video/x-raw,width=332,height=332 ! videobox left=-90 right=-90 top=-90 bottom=-90 ! videoconvert ! \
         video/x-raw,format=RGB,width=512,height=512",
    );
    let mut h = harness(&near, "head-tilt-threshold=1000");
    assert!(told(&h.push_and_pull(near.at(ms(0))).unwrap()).is_empty());
    let out = h.push_and_pull(far.at(ms(40))).unwrap();
    let event = events(&out).pop().unwrap();
    assert_eq!((event.kind.as_str(), event.state), ("body_tilt", Start));
    assert_eq!(event.track_id, Some(1), "the same person");
    let ratio = event.value.unwrap();
    assert!((1.35..1.6).contains(&ratio), "{ratio}");
    assert_eq!(event.threshold, Some(1.15));
    assert!(event.message.ends_with(&format!(", {ratio:.2})")), "{}", event.message);
    assert_eq!(
        told(&h.push_and_pull(far.at(ms(80))).unwrap()),
        ["body_tilt body_tilt ongoing"]
    );
    assert_eq!(
        told(&h.push_and_pull(near.at(ms(120))).unwrap()),
        ["body_tilt body_tilt end"]
    );
}

#[test]
fn hands_at_a_camera_are_a_gesture_for_those_who_set_the_thresholds_so() {
    let picture = picture("camera.png", "I420");
    let gesture = |properties: &str| {
        let out = harness(&picture, properties).push_and_pull(picture.at(ms(0))).unwrap();
        events(&out).into_iter().find(|e| e.kind == "gesture")
    };
    assert_eq!(gesture("gesture-threshold=7"), None, "the wrists are not seen");
    assert_eq!(gesture("keypoint-threshold=0.3"), None, "not near enough");
    let event = gesture("keypoint-threshold=0.3 gesture-threshold=7").unwrap();
    assert_eq!(event.label, "left_hand");
    assert!(
        event.message.starts_with("Left hand gesture detected (dist: 9"),
        "{}",
        event.message
    );
    let value = event.value.unwrap();
    assert!((value - 6.48).abs() < 0.1, "{value}");
    assert_eq!(
        gesture("keypoint-threshold=0.3 gesture-threshold=7 rule-confidence=0.4"),
        None
    );
}

#[test]
fn a_person_keeps_the_number_and_a_new_one_gets_another() {
    let obama = picture("obama.jpg", "I420");
    let empty = black(VideoFormat::I420, obama.info().width(), obama.info().height());
    let mut h = harness(&obama, "presence-timeout=0");
    let track = |h: &mut gst_check::Harness, t| body(&h.push_and_pull(obama.at(ms(t))).unwrap()).track_id;
    assert_eq!((track(&mut h, 0), track(&mut h, 40)), (1, 1));
    h.push_and_pull(empty.at(ms(80))).unwrap();
    assert_eq!(track(&mut h, 120), 2);
}

#[test]
fn events_carry_what_the_schema_says() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "head-tilt-threshold=2");
    let out = h.push_and_pull(picture.at(ms(5000))).unwrap();
    let tilt = events(&out).into_iter().find(|e| e.kind == "head_tilt").unwrap();
    assert_eq!((tilt.label.as_str(), tilt.state), ("head_tilt", Start));
    assert_eq!(tilt.message, format!("Head tilt detected ({:.1})", tilt.value.unwrap()));
    assert_eq!(tilt.threshold, Some(2.0));
    assert!((0.4..0.6).contains(&tilt.confidence.unwrap()));
    assert_eq!(
        (tilt.running_time, tilt.pts),
        (Some(5_000_000_000), Some(5_000_000_000))
    );
    assert_eq!((tilt.track_id, tilt.object_id), (Some(1), Some(0)));
    assert!(tilt.source.unwrap().contains("hailopose"));
    assert!(tilt.attrs.contains_key("x_min"));
}

#[test]
fn regions_have_dl_streamers_parameters_and_unique_ids() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "other", (0, 0, 4, 4)).set_id(6);
    let out = h.push_and_pull(buffer).unwrap();
    let all: Vec<_> = out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().collect();
    assert_eq!(all.len(), 2, "the other producer's region stays");
    let roi = all.iter().find(|m| m.roi_type() == "person").unwrap();
    assert_eq!(roi.id(), 7);
    let detection = roi.param("detection").unwrap();
    let (x, _, w, _) = roi.rect();
    let width = f64::from(picture.info().width());
    assert!((detection.get::<f64>("x_max").unwrap() - f64::from(x + w) / width).abs() < 1e-9);
    assert!(detection.get::<f64>("confidence").unwrap() > 0.5);
    assert_eq!(roi.param("object_id").unwrap().get::<i32>("id"), Ok(1));
    let verdict = |name: &str| {
        let s = roi.param(name)?;
        Some((s.get::<String>("label").unwrap(), s.get::<i32>("label_id").unwrap()))
    };
    assert_eq!(verdict("head_tilt"), Some(("head_tilt".into(), 1)));
    assert_eq!(verdict("body_tilt"), Some(("symmetric".into(), 0)));
    assert_eq!(verdict("distance"), Some(("good_distance".into(), 0)));
    assert_eq!(
        verdict("gesture"),
        None,
        "the wrists are not seen: nothing is said of them"
    );
    assert_eq!(body(&out).object_id, 7);
}

#[test]
fn the_box_holds_the_points_that_are_seen() {
    let picture = picture("obama.jpg", "I420");
    let out = harness(&picture, "").push_and_pull(picture.at(ms(0))).unwrap();
    let body = body(&out);
    let [x, y, w, h] = body.bbox;
    for point in body.points.iter().filter(|p| p[2] >= 0.4) {
        let inside = (x - 1e-6..=x + w + 1e-6).contains(&point[0]) && (y - 1e-6..=y + h + 1e-6).contains(&point[1]);
        assert!(inside, "{point:?} in {:?}", body.bbox);
    }
}

#[test]
fn other_producers_events_stay() {
    let picture = picture("camera.png", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    meta::event::append(
        buffer.get_mut().unwrap(),
        [gst::Structure::builder("event").field("type", "foreign").build()],
    );
    let out = h.push_and_pull(buffer).unwrap();
    assert_eq!(kinds(&out), ["foreign", "head_tilt"]);
}

#[test]
fn smoothing_steadies_the_points_in_the_metadata() {
    let left = picture("obama.jpg", "I420");
    let (w, h) = (left.info().width(), left.info().height());
    let right = decode(
        "obama.jpg",
        &format!("videobox left=-40 right=40 ! videoscale ! video/x-raw,format=I420,width={w},height={h}"),
    );
    let moved = |properties: &str| {
        let mut h = harness(&left, properties);
        let first = body(&h.push_and_pull(left.at(ms(0))).unwrap());
        let second = body(&h.push_and_pull(right.at(ms(40))).unwrap());
        (second.points[5][0] - first.points[5][0]) * f64::from(w)
    };
    let (raw, steady) = (moved(""), moved("smoothing=true"));
    // The second step of the filter goes 0.74 of the way.
    assert!(
        (raw - 40.0).abs() < 4.0 && (steady / raw - 0.741).abs() < 0.01,
        "{raw} {steady}"
    );
}
