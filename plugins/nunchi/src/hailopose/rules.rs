//! Posture rules on the 17 points of a body.
//!
//! Which points a rule reads, what it measures and where it is met are those of the recording system that these elements
//! replace; its logs and ours are read by the same people. All measures are in pixels of the frame, or ratios of such.

use nunchi_inference::pose::{KEYPOINTS, Keypoint};

const LEFT_EYE: usize = 1;
const RIGHT_EYE: usize = 2;
const LEFT_SHOULDER: usize = 5;
const RIGHT_SHOULDER: usize = 6;
const LEFT_WRIST: usize = 9;
const RIGHT_WRIST: usize = 10;
const LEFT_HIP: usize = 11;
const RIGHT_HIP: usize = 12;

/// The distance of the eyes, in pixels, of somebody who sits right.
const RIGHT_EYE_DISTANCE: f64 = 20.0;
/// Stands in for an eye distance of nothing.
const LEAST_EYE_DISTANCE: f64 = 0.1;

/// When a rule is met. Each is met beyond its threshold, not at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A rule is silent when one of its points is less sure than this.
    pub confidence: f32,
    /// The longer side of the trunk, shoulder to hip, relative to the shorter.
    pub asymmetry: f64,
    /// The greatest length that the trunk has had, relative to its length now.
    pub shortening: f64,
    /// The wider horizontal distance of an eye from its shoulder, relative to the narrower.
    pub head_tilt: f64,
    /// A wrist's distance from the nearer eye, in eye distances: a hand nearer than this is a gesture.
    pub gesture: f64,
    /// The wrists' difference in height, in eye distances, above which crossed hands count as crossed.
    pub crossed: f64,
    /// Eyes nearer to each other than this many pixels are too far away, …
    pub far: f64,
    /// … and those further apart too close.
    pub near: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            confidence: 0.3,
            asymmetry: 1.1,
            shortening: 1.15,
            head_tilt: 3.5,
            gesture: 5.5,
            crossed: 0.3,
            far: 5.0,
            near: 40.0,
        }
    }
}

/// What a rule says of one body in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub detected: bool,
    /// One word for it; [`Verdict::UNKNOWN`] where the rule could not be applied.
    pub label: &'static str,
    /// Text for people and logs.
    pub message: String,
    /// The least confidence among the points that were read.
    pub confidence: f64,
    /// What was measured, and what it was compared with.
    pub value: f64,
    pub threshold: f64,
}

impl Verdict {
    pub const UNKNOWN: &'static str = "unknown";

    fn unknown(message: &str) -> Self {
        Self {
            detected: false,
            label: Self::UNKNOWN,
            message: message.to_string(),
            confidence: 0.0,
            value: 0.0,
            threshold: 0.0,
        }
    }
}

/// All verdicts on one body, in the order in which they are reported. `distance` is never reported as an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Posture {
    pub body_tilt: Verdict,
    pub head_tilt: Verdict,
    pub distance: Verdict,
    pub gesture: Verdict,
}

/// The points with those below `threshold` (or without a number) set to zero: they take no part in anything.
pub fn seen(points: &[Keypoint; KEYPOINTS], threshold: f32) -> [Keypoint; KEYPOINTS] {
    points.map(|point| {
        if point.confidence >= threshold {
            point
        } else {
            Keypoint::default()
        }
    })
}

/// What is remembered of a body from frame to frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Body {
    /// The greatest distance between the middles of shoulders and hips so far.
    longest: f64,
}

impl Body {
    /// Applies all rules to the points of a frame.
    pub fn judge(&mut self, points: &[Keypoint; KEYPOINTS], thresholds: &Thresholds) -> Posture {
        Posture {
            body_tilt: self.body_tilt(points, thresholds),
            head_tilt: head_tilt(points, thresholds),
            distance: distance(points, thresholds),
            gesture: gesture(points, thresholds),
        }
    }

    fn body_tilt(&mut self, points: &[Keypoint; KEYPOINTS], thresholds: &Thresholds) -> Verdict {
        let used = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP];
        let Some((confidence, [left_shoulder, right_shoulder, left_hip, right_hip])) = read(points, used, thresholds)
        else {
            return Verdict::unknown("Low confidence in shoulders or hips");
        };
        let trunk = length(middle(left_shoulder, right_shoulder), middle(left_hip, right_hip));
        if trunk.is_finite() {
            self.longest = self.longest.max(trunk);
        }
        let asymmetry = ratio(length(left_shoulder, left_hip), length(right_shoulder, right_hip));
        let shortening = self.longest / trunk;
        if !asymmetry.is_finite() || !shortening.is_finite() {
            return Verdict::unknown("zero shoulder/hip distance");
        }
        let shortened = shortening > thresholds.shortening;
        let detected = asymmetry > thresholds.asymmetry || shortened;
        let (label, text) = if detected {
            ("body_tilt", "Body asymmetry detected ")
        } else {
            ("symmetric", "Symmetric posture")
        };
        let by_length = shortened && asymmetry <= thresholds.asymmetry;
        let (value, threshold) = if by_length {
            (shortening, thresholds.shortening)
        } else {
            (asymmetry, thresholds.asymmetry)
        };
        Verdict {
            detected,
            label,
            message: format!("{text}({asymmetry:.2}, {shortening:.2})"),
            confidence,
            value,
            threshold,
        }
    }
}

fn head_tilt(points: &[Keypoint; KEYPOINTS], thresholds: &Thresholds) -> Verdict {
    let used = [LEFT_EYE, RIGHT_EYE, LEFT_SHOULDER, RIGHT_SHOULDER];
    let Some((confidence, positions)) = read(points, used, thresholds) else {
        return Verdict::unknown("Low confidence in eyes or shoulders");
    };
    let [left_eye, right_eye, left_shoulder, right_shoulder] = positions.map(|[x, _]| x);
    let (left, right) = ((left_shoulder - left_eye).abs(), (right_shoulder - right_eye).abs());
    let tilt = ratio(left, right);
    if positions.iter().any(|[x, _]| *x == 0.0) || !tilt.is_finite() {
        return Verdict::unknown("zero head/shoulder detection");
    }
    let detected = tilt > thresholds.head_tilt;
    let (label, text) = if detected {
        ("head_tilt", "Head tilt detected ")
    } else {
        ("aligned", "Head aligned")
    };
    Verdict {
        detected,
        label,
        message: format!("{text}({tilt:.1})"),
        confidence,
        value: tilt,
        threshold: thresholds.head_tilt,
    }
}

/// How far the eyes are apart, which tells how far away somebody is.
fn distance(points: &[Keypoint; KEYPOINTS], thresholds: &Thresholds) -> Verdict {
    let Some((confidence, [left, right])) = read(points, [LEFT_EYE, RIGHT_EYE], thresholds) else {
        return Verdict::unknown("Low confidence in eyes");
    };
    let eyes = length(left, right);
    let difference = (eyes - RIGHT_EYE_DISTANCE).abs() / RIGHT_EYE_DISTANCE * 100.0;
    let (detected, label, threshold, message) = if eyes < thresholds.far {
        (
            true,
            "too_far",
            thresholds.far,
            format!("Too far (eye dist: {eyes:.1}px)"),
        )
    } else if eyes > thresholds.near {
        (
            true,
            "too_close",
            thresholds.near,
            format!("Too close (eye dist: {eyes:.1}px)"),
        )
    } else {
        (
            false,
            "good_distance",
            thresholds.near,
            format!("Good distance (diff: {difference:.1}%)"),
        )
    };
    Verdict {
        detected,
        label,
        message,
        confidence,
        value: eyes,
        threshold,
    }
}

/// A hand near the face.
fn gesture(points: &[Keypoint; KEYPOINTS], thresholds: &Thresholds) -> Verdict {
    let used = [LEFT_WRIST, RIGHT_WRIST, LEFT_EYE, RIGHT_EYE];
    let Some((confidence, [left, right, left_eye, right_eye])) = read(points, used, thresholds) else {
        return Verdict::unknown("Low confidence in wrists or eyes");
    };
    let eyes = length(left_eye, right_eye);
    let eyes = if eyes == 0.0 { LEAST_EYE_DISTANCE } else { eyes };
    let verdict = |detected, label, message, value| Verdict {
        detected,
        label,
        message,
        confidence,
        value,
        threshold: thresholds.gesture,
    };
    let reach = |wrist| length(wrist, left_eye).min(length(wrist, right_eye));
    let (left_reach, right_reach) = (reach(left), reach(right));
    let nearest = left_reach.min(right_reach) / eyes;
    if left[0] < right[0] && (left[1] - right[1]).abs() / eyes > thresholds.crossed {
        return verdict(false, "hands_crossed", "Hands are crossed".to_string(), nearest);
    }
    for (reach, label, name) in [(left_reach, "left_hand", "Left"), (right_reach, "right_hand", "Right")] {
        if reach / eyes < thresholds.gesture {
            let message = format!("{name} hand gesture detected (dist: {reach:.1}px)");
            return verdict(true, label, message, reach / eyes);
        }
    }
    verdict(false, "no_gesture", "No gesture detected".to_string(), nearest)
}

/// The positions of some points and the least confidence among them; `None` where that is too low or a position is not a number.
fn read<const N: usize>(
    points: &[Keypoint; KEYPOINTS],
    used: [usize; N],
    thresholds: &Thresholds,
) -> Option<(f64, [[f64; 2]; N])> {
    let points = used.map(|index| points[index]);
    // False as well for what is not a number. A point that is not seen has no confidence, whatever the threshold.
    let sure = points
        .iter()
        .all(|p| p.confidence > 0.0 && p.confidence >= thresholds.confidence && p.x.is_finite() && p.y.is_finite());
    let least = points.iter().map(|p| p.confidence).fold(1.0, f32::min);
    sure.then(|| (f64::from(least), points.map(|p| [f64::from(p.x), f64::from(p.y)])))
}

fn length(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

fn middle(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
}

/// The larger one relative to the smaller; infinite or not a number where that is nothing.
fn ratio(a: f64, b: f64) -> f64 {
    a.max(b) / a.min(b)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
