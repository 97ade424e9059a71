//! Each rule at its threshold, just below and just above; and what it must stay silent on.

use super::*;

/// The smallest step of a coordinate: thresholds are approached in steps of it.
const STEP: f32 = 1.0 / 1024.0;

/// Someone upright, facing the camera: trunk 100 px long, eyes 20 px apart, hands at the hips.
fn upright() -> [Keypoint; KEYPOINTS] {
    let mut points = [Keypoint::default(); KEYPOINTS];
    for (index, x, y) in [
        (0, 200.0, 60.0),
        (LEFT_EYE, 210.0, 50.0),
        (RIGHT_EYE, 190.0, 50.0),
        (LEFT_SHOULDER, 240.0, 100.0),
        (RIGHT_SHOULDER, 160.0, 100.0),
        (LEFT_WRIST, 260.0, 210.0),
        (RIGHT_WRIST, 140.0, 210.0),
        (LEFT_HIP, 240.0, 200.0),
        (RIGHT_HIP, 160.0, 200.0),
    ] {
        points[index] = Keypoint { x, y, confidence: 0.9 };
    }
    points
}

fn with(changes: &[(usize, f32, f32)]) -> [Keypoint; KEYPOINTS] {
    let mut points = upright();
    for (index, x, y) in changes {
        points[*index] = Keypoint {
            x: *x,
            y: *y,
            confidence: 0.9,
        };
    }
    points
}

fn judge(points: &[Keypoint; KEYPOINTS]) -> Posture {
    Body::default().judge(points, &Thresholds::default())
}

#[test]
fn an_upright_body_is_silent_in_the_documented_words() {
    let posture = judge(&upright());
    let said = [posture.body_tilt, posture.head_tilt, posture.distance, posture.gesture].map(|v| {
        assert!(!v.detected, "{v:?}");
        v.message
    });
    assert_eq!(
        said,
        [
            "Symmetric posture(1.00, 1.00)",
            "Head aligned(1.0)",
            "Good distance (diff: 0.0%)",
            "No gesture detected"
        ]
    );
}

#[test]
fn one_side_of_the_trunk_longer_than_the_other() {
    // The left side is 110 px, the right one 100: a ratio of 1.1, which is not beyond the threshold.
    let side = |hip: f32| judge(&with(&[(LEFT_HIP, 240.0, hip)])).body_tilt;
    let at = side(210.0);
    assert!(!at.detected);
    assert_eq!(at.message, "Symmetric posture(1.10, 1.00)");
    assert!(!side(210.0 - STEP).detected);
    let above = side(210.0 + STEP);
    assert!(above.detected);
    assert_eq!(above.message, "Body asymmetry detected (1.10, 1.00)");
    assert_eq!(above.threshold, 1.1);
    assert!(above.value > 1.1 && above.value < 1.1001);
    // The other side alike.
    assert!(!judge(&with(&[(RIGHT_HIP, 160.0, 210.0)])).body_tilt.detected);
    assert!(judge(&with(&[(RIGHT_HIP, 160.0, 210.0 + STEP)])).body_tilt.detected);
}

#[test]
fn a_trunk_that_looks_shorter_than_it_was() {
    let mut body = Body::default();
    let mut length = |trunk: f32| {
        let points = with(&[(LEFT_HIP, 240.0, 100.0 + trunk), (RIGHT_HIP, 160.0, 100.0 + trunk)]);
        body.judge(&points, &Thresholds::default()).body_tilt
    };
    // 115 px at the longest: 100 px now is a ratio of 1.15.
    assert!(!length(115.0).detected);
    assert!(!length(100.0).detected, "at the threshold");
    assert!(!length(100.0 + STEP).detected);
    let above = length(100.0 - STEP);
    assert!(above.detected);
    assert_eq!(above.message, "Body asymmetry detected (1.00, 1.15)");
    assert_eq!(above.threshold, 1.15);
    assert!(above.value > 1.15);
    // The longest stays the longest.
    assert_eq!(length(57.5).message, "Body asymmetry detected (1.00, 2.00)");
    assert_eq!(length(115.0).message, "Symmetric posture(1.00, 1.00)");
}

#[test]
fn each_body_has_its_own_longest_trunk() {
    let tall = with(&[(LEFT_HIP, 240.0, 400.0), (RIGHT_HIP, 160.0, 400.0)]);
    let (mut first, mut second) = (Body::default(), Body::default());
    first.judge(&tall, &Thresholds::default());
    assert!(first.judge(&upright(), &Thresholds::default()).body_tilt.detected);
    assert!(!second.judge(&upright(), &Thresholds::default()).body_tilt.detected);
}

#[test]
fn frames_that_are_not_sure_do_not_lengthen_the_trunk() {
    let mut body = Body::default();
    let mut unsure = with(&[(LEFT_HIP, 240.0, 500.0), (RIGHT_HIP, 160.0, 500.0)]);
    unsure[LEFT_HIP].confidence = 0.299;
    body.judge(&unsure, &Thresholds::default());
    assert!(!body.judge(&upright(), &Thresholds::default()).body_tilt.detected);
}

#[test]
fn a_head_nearer_to_one_shoulder() {
    // Eyes and shoulders on one side 70 px apart, on the other 20: a ratio of 3.5.
    let head = |left_eye: f32| judge(&with(&[(LEFT_EYE, left_eye, 50.0), (RIGHT_EYE, 180.0, 50.0)])).head_tilt;
    let at = head(170.0);
    assert!(!at.detected);
    assert_eq!(at.message, "Head aligned(3.5)");
    assert!(!head(170.0 + STEP).detected);
    let above = head(170.0 - STEP);
    assert!(above.detected);
    assert_eq!(above.message, "Head tilt detected (3.5)");
    assert_eq!(above.threshold, 3.5);
    // The distance counts, not the direction: the eye may be beyond the shoulder.
    assert!(
        judge(&with(&[(LEFT_EYE, 310.0 + STEP, 50.0), (RIGHT_EYE, 180.0, 50.0)]))
            .head_tilt
            .detected
    );
}

#[test]
fn a_head_or_shoulder_at_zero_is_silent() {
    for (index, y) in [
        (LEFT_EYE, 50.0),
        (RIGHT_EYE, 50.0),
        (LEFT_SHOULDER, 100.0),
        (RIGHT_SHOULDER, 100.0),
    ] {
        let verdict = judge(&with(&[(index, 0.0, y)])).head_tilt;
        assert_eq!(
            (verdict.detected, verdict.message.as_str()),
            (false, "zero head/shoulder detection")
        );
    }
    // An eye straight above its shoulder: a horizontal distance of nothing.
    let verdict = judge(&with(&[(LEFT_EYE, 240.0, 50.0)])).head_tilt;
    assert_eq!(verdict.message, "zero head/shoulder detection");
    let both = judge(&with(&[(LEFT_EYE, 240.0, 50.0), (RIGHT_EYE, 160.0, 50.0)])).head_tilt;
    assert_eq!(both.message, "zero head/shoulder detection");
}

#[test]
fn the_distance_of_the_eyes() {
    let eyes = |apart: f32| judge(&with(&[(LEFT_EYE, 190.0 + apart, 50.0)])).distance;
    assert_eq!(eyes(5.0).message, "Good distance (diff: 75.0%)");
    assert_eq!(eyes(5.0 - STEP).label, "too_far");
    assert_eq!(eyes(4.0).message, "Too far (eye dist: 4.0px)");
    assert_eq!(eyes(40.0).message, "Good distance (diff: 100.0%)");
    assert_eq!(eyes(40.0 + STEP).label, "too_close");
    assert_eq!(eyes(50.0).message, "Too close (eye dist: 50.0px)");
}

#[test]
fn a_hand_at_the_face() {
    // Eyes 20 px apart: 5.5 eye distances are 110 px. The hand is straight below the left eye.
    let left = |reach: f32| judge(&with(&[(LEFT_WRIST, 210.0, 50.0 + reach)])).gesture;
    assert_eq!(left(110.0).message, "No gesture detected");
    assert!(!left(110.0 + STEP).detected);
    let near = left(110.0 - STEP);
    assert!(near.detected && near.value < 5.5);
    assert_eq!((near.label, near.threshold), ("left_hand", 5.5));
    assert_eq!(left(42.5).message, "Left hand gesture detected (dist: 42.5px)");
    let right = |reach: f32| judge(&with(&[(RIGHT_WRIST, 190.0, 50.0 + reach)])).gesture;
    assert!(!right(110.0).detected);
    assert_eq!(right(110.0 - STEP).label, "right_hand");
    assert_eq!(right(10.0).message, "Right hand gesture detected (dist: 10.0px)");
    // The nearer eye counts.
    let far_side = judge(&with(&[(LEFT_WRIST, 190.0 - 30.0, 50.0), (RIGHT_WRIST, 140.0, 52.0)])).gesture;
    assert_eq!(far_side.message, "Left hand gesture detected (dist: 30.0px)");
}

#[test]
fn with_both_hands_the_left_one_is_reported() {
    let posture = judge(&with(&[(LEFT_WRIST, 215.0, 60.0), (RIGHT_WRIST, 185.0, 60.0)]));
    assert_eq!(posture.gesture.label, "left_hand");
}

#[test]
fn crossed_hands_are_no_gesture() {
    // The left wrist left of the right one, 6 px (0.3 eye distances) apart in height.
    let crossed = |above: f32| judge(&with(&[(LEFT_WRIST, 195.0, 60.0), (RIGHT_WRIST, 205.0, 60.0 + above)])).gesture;
    assert_eq!(crossed(6.0).label, "left_hand", "at the threshold they are not crossed");
    assert_eq!(crossed(6.0 - STEP).label, "left_hand");
    let verdict = crossed(6.0 + STEP);
    assert_eq!(
        (verdict.detected, verdict.message.as_str()),
        (false, "Hands are crossed")
    );
    // Side by side, or at the same place, they are not crossed at all.
    let level = judge(&with(&[(LEFT_WRIST, 200.0, 60.0), (RIGHT_WRIST, 200.0, 90.0)])).gesture;
    assert_eq!(level.label, "left_hand");
}

#[test]
fn eyes_in_one_place_count_as_a_tenth_of_a_pixel_apart() {
    let at = |reach: f32| {
        let eyes = [(LEFT_EYE, 200.0, 50.0), (RIGHT_EYE, 200.0, 50.0)];
        judge(&with(&[eyes[0], eyes[1], (LEFT_WRIST, 200.0, 50.0 + reach)])).gesture
    };
    assert!(at(0.54).detected);
    assert!(!at(0.56).detected);
}

#[test]
fn a_point_that_is_not_sure_silences_the_rules_that_read_it() {
    let silent = |index: usize, confidence: f32| {
        // Everything is detected otherwise.
        let mut points = with(&[
            (LEFT_HIP, 240.0, 250.0),
            (LEFT_EYE, 125.0, 50.0),
            (LEFT_WRIST, 215.0, 60.0),
        ]);
        let before = judge(&points);
        assert!(before.body_tilt.detected && before.head_tilt.detected && before.gesture.detected);
        points[index].confidence = confidence;
        let posture = judge(&points);
        [
            &posture.body_tilt,
            &posture.head_tilt,
            &posture.distance,
            &posture.gesture,
        ]
        .map(|v| {
            let low = v.message.starts_with("Low confidence in ");
            assert!(!low || (!v.detected && v.label == Verdict::UNKNOWN));
            low
        })
    };
    for index in [LEFT_SHOULDER, RIGHT_SHOULDER] {
        assert_eq!(silent(index, 0.299), [true, true, false, false]);
    }
    for index in [LEFT_HIP, RIGHT_HIP] {
        assert_eq!(silent(index, 0.299), [true, false, false, false]);
    }
    for index in [LEFT_EYE, RIGHT_EYE] {
        assert_eq!(silent(index, 0.299), [false, true, true, true]);
    }
    for index in [LEFT_WRIST, RIGHT_WRIST] {
        assert_eq!(silent(index, 0.299), [false, false, false, true]);
        assert_eq!(silent(index, f32::NAN), [false, false, false, true]);
        assert_eq!(silent(index, 0.3), [false; 4], "at the threshold it is sure");
    }
}

#[test]
fn points_below_the_threshold_are_zeroed_whole() {
    let mut points = upright();
    points[3] = Keypoint {
        x: 5.0,
        y: 6.0,
        confidence: 0.4,
    };
    points[4] = Keypoint {
        x: 5.0,
        y: 6.0,
        confidence: 0.399,
    };
    points[7].confidence = f32::NAN;
    let seen = seen(&points, 0.4);
    assert_eq!(seen[3], points[3]);
    assert_eq!(seen[4], Keypoint::default());
    assert_eq!(seen[7], Keypoint::default());
}

#[test]
fn nothing_is_detected_on_zeros_and_on_one_spot() {
    let zeros = judge(&[Keypoint::default(); KEYPOINTS]);
    let spot = judge(
        &[Keypoint {
            x: 30.0,
            y: 40.0,
            confidence: 0.9,
        }; KEYPOINTS],
    );
    for posture in [&zeros, &spot] {
        assert!(!posture.body_tilt.detected && !posture.head_tilt.detected);
    }
    assert!(!zeros.gesture.detected && !zeros.distance.detected);
    assert_eq!(spot.body_tilt.message, "zero shoulder/hip distance");
    assert_eq!(spot.distance.label, "too_far");
}

#[test]
fn points_that_are_not_seen_take_no_part_at_any_threshold() {
    let thresholds = Thresholds {
        confidence: 0.0,
        ..Thresholds::default()
    };
    // Hands beside the eyes, and nothing of it seen.
    let raised = with(&[(LEFT_WRIST, 210.0, 50.0), (RIGHT_WRIST, 190.0, 50.0)]);
    let verdicts = Body::default().judge(&seen(&raised, 0.95), &thresholds);
    for verdict in [
        &verdicts.body_tilt,
        &verdicts.head_tilt,
        &verdicts.distance,
        &verdicts.gesture,
    ] {
        assert!(!verdict.detected, "{verdict:?}");
        assert_eq!(verdict.label, Verdict::UNKNOWN);
    }
    // What is seen counts, however unsure.
    assert!(Body::default().judge(&seen(&raised, 0.0), &thresholds).gesture.detected);
}

#[test]
fn a_trunk_or_a_side_without_length_is_silent_and_leaves_the_longest() {
    let mut body = Body::default();
    body.judge(&upright(), &Thresholds::default());
    // Shoulders and hips cross over: both middles are in one place.
    let folded = with(&[(LEFT_HIP, 160.0, 100.0), (RIGHT_HIP, 240.0, 100.0)]);
    let verdict = body.judge(&folded, &Thresholds::default()).body_tilt;
    assert_eq!(
        (verdict.detected, verdict.message.as_str()),
        (false, "zero shoulder/hip distance")
    );
    let one_side = with(&[(LEFT_HIP, 240.0, 100.0)]);
    assert!(!body.judge(&one_side, &Thresholds::default()).body_tilt.detected);
    assert!(!body.judge(&upright(), &Thresholds::default()).body_tilt.detected);
}

#[test]
fn what_is_not_a_number_is_silent_and_leaves_no_trace() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut body = Body::default();
        for index in 0..KEYPOINTS {
            let posture = body.judge(&with(&[(index, bad, bad)]), &Thresholds::default());
            for verdict in [posture.body_tilt, posture.head_tilt, posture.distance, posture.gesture] {
                assert!(
                    !verdict.detected && verdict.value.is_finite(),
                    "point {index} at {bad}: {verdict:?}"
                );
            }
        }
        let after = body.judge(&upright(), &Thresholds::default());
        assert_eq!(after.body_tilt.message, "Symmetric posture(1.00, 1.00)");
    }
}

#[test]
fn thresholds_are_what_is_compared_with() {
    let strict = Thresholds {
        asymmetry: 1.0,
        head_tilt: 1.0,
        gesture: 20.0,
        ..Thresholds::default()
    };
    let leaning = with(&[(LEFT_HIP, 240.0, 200.0 + STEP), (LEFT_EYE, 210.0 - STEP, 50.0)]);
    let posture = Body::default().judge(&leaning, &strict);
    assert!(posture.body_tilt.detected && posture.head_tilt.detected && posture.gesture.detected);
    let never = Thresholds {
        asymmetry: f64::NAN,
        shortening: f64::NAN,
        head_tilt: f64::NAN,
        gesture: f64::NAN,
        ..Thresholds::default()
    };
    let posture = Body::default().judge(&leaning, &never);
    assert!(!posture.body_tilt.detected && !posture.head_tilt.detected && !posture.gesture.detected);
}
