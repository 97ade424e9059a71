//! What is read from pictures, and the events and metadata that follow.

use super::*;

#[test]
fn every_format_agrees_with_the_reference() {
    for format in FORMATS {
        let portraits = ["obama.jpg", "biden.jpg", "astronaut.png"].map(|name| (name, picture(name, format)));
        let mut h = harness(&portraits[0].1, "engine=openvino smile-min-duration=0");
        for (name, picture) in &portraits {
            // Another size: whatever was followed is forgotten.
            h.set_src_caps(picture.caps.clone());
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, if format == "GRAY8" { "grey" } else { "rgb" }, picture, &out);
        }
    }
}

#[test]
fn every_engine_agrees_with_the_reference() {
    for engine in ENGINES {
        for name in ["obama.jpg", "biden.jpg", "astronaut.png"] {
            let picture = picture(name, "RGB");
            let mut h = harness(&picture, &format!("engine={engine} smile-min-duration=0"));
            assert_eq!(inner(&h).property_value("engine").serialize().unwrap(), engine);
            let out = h.push_and_pull(picture.at(ms(0))).unwrap();
            assert_like_reference(name, "rgb", &picture, &out);
        }
    }
}

#[test]
fn where_nobody_is_nothing_is_found() {
    for name in ["china.jpg", "horses.jpg"] {
        for engine in ENGINES {
            let picture = picture(name, "I420");
            let mut h = harness(&picture, &format!("engine={engine}"));
            for n in 0..5 {
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

#[test]
fn a_smile_starts_after_its_minimum_duration_and_goes_on() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=200000000 emotion-interval=0");
    let states: Vec<_> = (0..10)
        .map(|n| {
            let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
            events(&out).into_iter().find(|e| e.kind == "smile").map(|e| e.state)
        })
        .collect();
    assert_eq!(states[..5], [None; 5]);
    assert_eq!(
        states[5..],
        [Some(Start), Some(Ongoing), Some(Ongoing), Some(Ongoing), Some(Ongoing)]
    );
}

#[test]
fn a_neutral_face_does_not_smile_and_open_eyes_are_not_closed() {
    let picture = picture("biden.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0 eyes-closed-min-duration=0");
    for n in 0..10 {
        let out = h.push_and_pull(picture.at(ms(n * 40))).unwrap();
        assert!(
            kinds(&out).iter().all(|k| k != "smile" && k != "eyes_closed"),
            "{:?}",
            kinds(&out)
        );
        assert!(kinds(&out).contains(&"presence".to_string()));
    }
}

#[test]
fn shut_eyes_are_reported_and_end_when_they_open() {
    let shut = picture("biden-eyes-shut.png", "I420");
    let open = picture("biden.jpg", "I420");
    let mut h = harness(&shut, "eyes-closed-min-duration=100000000 emotion-interval=0");
    let mut seen = Vec::new();
    for n in 0..10u64 {
        // The pictures differ in size: what was going on ends with the first frame of the new one.
        if n == 6 {
            h.set_src_caps(open.caps.clone());
        }
        let out = h
            .push_and_pull(if n < 6 {
                shut.at(ms(n * 40))
            } else {
                open.at(ms(n * 40))
            })
            .unwrap();
        seen.extend(
            events(&out)
                .into_iter()
                .filter(|e| e.kind == "eyes_closed")
                .map(|e| (n, e.state)),
        );
    }
    assert_eq!(seen, [(3, Start), (4, Ongoing), (5, Ongoing), (6, End)]);
}

#[test]
fn a_face_that_leaves_ends_what_was_going_on() {
    let obama = picture("obama.jpg", "I420");
    let empty = black(VideoFormat::I420, obama.info().width(), obama.info().height());
    let mut h = harness(
        &obama,
        "smile-min-duration=0 emotion-interval=0 presence-timeout=100000000",
    );
    h.push_and_pull(obama.at(ms(0))).unwrap();
    let mut ends = Vec::new();
    for n in 1..6u64 {
        let out = h.push_and_pull(empty.at(ms(n * 40))).unwrap();
        ends.extend(events(&out).into_iter().map(|e| (n, e.kind, e.state, e.object_id)));
    }
    let end = |kind: &str| (3, kind.to_string(), End, Some(-1));
    assert_eq!(
        ends,
        [end("smile"), end("presence")],
        "120 ms is the first time beyond the timeout"
    );
}

#[test]
fn a_face_keeps_its_number_and_a_new_one_gets_another() {
    let obama = picture("obama.jpg", "I420");
    let empty = black(VideoFormat::I420, obama.info().width(), obama.info().height());
    let mut h = harness(&obama, "presence-timeout=0");
    let track = |h: &mut gst_check::Harness, t| face(&h.push_and_pull(obama.at(ms(t))).unwrap()).track_id;
    assert_eq!((track(&mut h, 0), track(&mut h, 40)), (1, 1));
    h.push_and_pull(empty.at(ms(80))).unwrap();
    assert_eq!(track(&mut h, 120), 2);
}

#[test]
fn events_carry_what_the_schema_says() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "smile-min-duration=0 smile-threshold=0.6");
    let out = h.push_and_pull(picture.at(ms(5000))).unwrap();
    let smile = events(&out).into_iter().find(|e| e.kind == "smile").unwrap();
    assert_eq!((smile.label.as_str(), smile.state), ("smile", Start));
    assert_eq!(smile.message, format!("Smile detected ({:.2})", smile.value.unwrap()));
    assert_eq!(smile.threshold, Some(0.6f32 as f64));
    assert_eq!(
        (smile.running_time, smile.pts),
        (Some(5_000_000_000), Some(5_000_000_000))
    );
    assert_eq!((smile.track_id, smile.object_id), (Some(1), Some(0)));
    assert!(smile.source.unwrap().contains("hailoface"));
    assert!(smile.attrs.contains_key("x_min"));
}

#[test]
fn regions_have_dl_streamers_parameters_and_unique_ids() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "other", (0, 0, 4, 4)).set_id(6);
    let out = h.push_and_pull(buffer).unwrap();
    let all: Vec<_> = out.iter_meta::<gst_video::VideoRegionOfInterestMeta>().collect();
    assert_eq!(all.len(), 2, "the other producer's region stays");
    let roi = all.iter().find(|m| m.roi_type() == "face").unwrap();
    assert_eq!(roi.id(), 7);
    let detection = roi.param("detection").unwrap();
    let (x, _, w, _) = roi.rect();
    let width = f64::from(picture.info().width());
    assert!((detection.get::<f64>("x_min").unwrap() - f64::from(x) / width).abs() < 1e-9);
    assert!((detection.get::<f64>("x_max").unwrap() - f64::from(x + w) / width).abs() < 1e-9);
    assert!(detection.get::<f64>("confidence").unwrap() > 0.5);
    assert_eq!(roi.param("object_id").unwrap().get::<i32>("id"), Ok(1));
    for name in ["smile", "eyes_closed", "emotion"] {
        assert_eq!(roi.param(name).unwrap().get::<&str>("attribute_name"), Ok(name));
    }
    assert_eq!(face(&out).object_id, 7);
}

#[test]
fn other_producers_events_stay() {
    let picture = picture("obama.jpg", "I420");
    let mut h = harness(&picture, "");
    let mut buffer = picture.at(ms(0));
    meta::event::append(
        buffer.get_mut().unwrap(),
        [gst::Structure::builder("event").field("type", "foreign").build()],
    );
    let out = h.push_and_pull(buffer).unwrap();
    assert_eq!(kinds(&out)[..2], ["foreign", "presence"]);
}
