//! Regions, keypoints and labels, whole and broken.

use super::*;

#[test]
fn a_label_stands_above_the_box_and_inside_where_there_is_no_room() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("draw-boxes=false font-size=16", &info);
    let above = changed(
        &draw(&mut h, with_region(flat(&info, 200), &region((20, 60, 40, 30)))),
        &info,
        200,
    );
    assert!(!above.is_empty() && above.iter().all(|&(_, y)| (40..60).contains(&y)));
    let inside = changed(
        &draw(&mut h, with_region(flat(&info, 200), &region((20, 4, 40, 30)))),
        &info,
        200,
    );
    assert!(!inside.is_empty() && inside.iter().all(|&(_, y)| y >= 4));
}

#[test]
fn a_region_that_lost_its_parameters_keeps_box_and_label() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("font-size=16 line-width=1 min-confidence=0.99", &info);
    let mut buffer = flat(&info, 200);
    gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (20, 60, 40, 30));
    let drawn = changed(&draw(&mut h, buffer), &info, 200);
    assert!(drawn.is_superset(&outline(20, 60, 60, 90)));
    assert!(drawn.iter().any(|&(_, y)| y < 60));
}

#[test]
fn a_region_without_a_type_is_a_box() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("line-width=1 font-size=10", &info);
    let mut buffer = flat(&info, 0);
    // SAFETY: the buffer is writable; a quark of zero is what a producer in C gets from a missing string.
    unsafe {
        let buffer = buffer.get_mut().unwrap().as_mut_ptr();
        gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(buffer, 0, 20, 30, 20, 20);
    }
    assert!(changed(&draw(&mut h, buffer), &info, 0).is_superset(&outline(20, 30, 40, 50)));
}

#[test]
fn classifications_add_lines_and_malformed_ones_do_not() {
    let info = info(VideoFormat::Rgb, 200, 100);
    let mut h = overlay("draw-boxes=false font-size=16", &info);
    let mut rows = |params: Vec<gst::Structure>| {
        let mut buffer = flat(&info, 200);
        let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", (20, 90, 40, 10));
        params.into_iter().for_each(|param| meta.add_param(param));
        changed(&draw(&mut h, buffer), &info, 200)
            .iter()
            .map(|&(_, y)| y)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let bare = rows(vec![]);
    let smile = || {
        gst::Structure::builder("smile")
            .field("label", "smile")
            .field("confidence", 0.9)
    };
    assert_eq!(rows(vec![smile().build()]), bare + 16);
    assert_eq!(rows(vec![smile().field("confidence", f64::NAN).build()]), bare);
    assert_eq!(rows(vec![gst::Structure::builder("x").field("label", 3).build()]), bare);
    assert_eq!(rows(vec![gst::Structure::new_empty("tensor")]), bare);
    assert_eq!(
        rows(vec![
            gst::Structure::builder("detection").field("confidence", "high").build()
        ]),
        bare
    );
}

#[test]
fn a_low_score_hides_region_and_keypoints() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("min-confidence=0.5", &info);
    let mut weak = region((8, 8, 40, 40));
    weak.confidence = 0.49;
    let buffer = with_points(with_region(flat(&info, 9), &weak), "hand/1", vec![[0.5, 0.5, 1.0]]);
    assert!(!is_drawn(&mut h, buffer));
    weak.confidence = 0.5;
    assert!(is_drawn(&mut h, with_region(flat(&info, 9), &weak)));
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 9), "hand/1", vec![[0.5, 0.5, 0.4]])
    ));
}

#[test]
fn a_score_that_is_no_number_draws_nothing() {
    let info = info(VideoFormat::Rgb, 64, 64);
    let mut h = overlay("", &info);
    let mut odd = region((8, 8, 40, 40));
    odd.confidence = f64::NAN;
    assert!(!is_drawn(&mut h, with_region(flat(&info, 9), &odd)));
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 9), "hand/1", vec![[0.5, 0.5, f64::NAN]])
    ));
}

#[test]
fn a_keypoint_is_a_disc_at_its_place() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("line-width=1", &info);
    let out = draw(&mut h, with_points(flat(&info, 0), "hand/1", vec![[0.5, 0.25, 1.0]]));
    let drawn = changed(&out, &info, 0);
    assert!(drawn.is_superset(&[(15, 7), (16, 7), (15, 8), (16, 8)].into()));
    assert!(
        drawn
            .iter()
            .all(|&(x, y)| (14..18).contains(&x) && (6..10).contains(&y)),
        "{drawn:?}"
    );
}

#[test]
fn a_skeleton_joins_its_points_and_skips_missing_ones() {
    let info = info(VideoFormat::Rgb, 40, 40);
    let mut h = overlay("line-width=2", &info);
    let mut points = vec![[f64::NAN, f64::NAN, 0.0]; 17];
    points[5] = [0.25, 0.5, 1.0];
    points[6] = [0.75, 0.5, 1.0];
    let drawn = changed(
        &draw(&mut h, with_points(flat(&info, 0), "body-pose/coco-17", points)),
        &info,
        0,
    );
    // From shoulder to shoulder, and nowhere else.
    assert!((10..30).all(|x| drawn.contains(&(x, 20))));
    assert!(
        drawn
            .iter()
            .all(|&(x, y)| (7..33).contains(&x) && (17..23).contains(&y))
    );
}

#[test]
fn wild_coordinates_never_panic() {
    let info = info(VideoFormat::Nv12, 33, 21);
    let mut h = overlay("", &info);
    let wild = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        1e30,
        -1e30,
        1e9,
        -0.0,
        0.5,
    ];
    for (index, &a) in wild.iter().enumerate() {
        for layout in ["body-pose/coco-17", "face-landmarks/478", "", "no/such"] {
            let points = (0..478).map(|i| [a, wild[(index + i) % wild.len()], 1.0]).collect();
            draw(&mut h, with_points(flat(&info, 0), layout, points));
        }
    }
}

#[test]
fn too_few_points_for_the_layout_are_drawn_as_far_as_they_go() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("", &info);
    assert!(!is_drawn(
        &mut h,
        with_points(flat(&info, 0), "face-landmarks/478", vec![])
    ));
    assert!(is_drawn(
        &mut h,
        with_points(flat(&info, 0), "body-pose/coco-17", vec![[0.5, 0.5, 1.0]; 3])
    ));
}

#[test]
fn malformed_metadata_is_passed_over() {
    let info = info(VideoFormat::Rgb, 32, 32);
    let mut h = overlay("", &info);
    let mut buffer = flat(&info, 0);
    {
        let buffer = buffer.get_mut().unwrap();
        let mut meta = gst::meta::CustomMeta::add(buffer, landmark::NAME).unwrap();
        let bad = gst::Structure::builder("object")
            .field("points", gst::Array::new([1.0, 2.0]))
            .build();
        meta.mut_structure().set("objects", gst::List::new([bad]));
        let mut meta = gst::meta::CustomMeta::add(buffer, event::NAME).unwrap();
        meta.mut_structure()
            .set("events", gst::List::new([gst::Structure::new_empty("event")]));
    }
    assert!(!is_drawn(&mut h, buffer));
}
