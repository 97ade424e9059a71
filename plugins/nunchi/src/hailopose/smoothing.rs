//! Steadies the points of a body over time.

use nunchi_inference::pose::{KEYPOINTS, Keypoint};

/// Variance that a step adds to position and velocity, in pixels squared.
const PROCESS_NOISE: f64 = 0.001;
/// Variance of a measured position, in pixels squared.
const MEASUREMENT_NOISE: f64 = 0.7;

/// A Kalman filter for each point: constant velocity, one step an inference (Welch and Bishop, "An Introduction to the Kalman
/// Filter", section 1). Both axes have the same noise and so the same covariance.
#[derive(Debug, Clone, Default)]
pub struct Smoothing {
    points: [Option<Motion>; KEYPOINTS],
}

/// Position and velocity per axis; covariance `[[a, b], [b, c]]` of the two.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Motion {
    position: [f64; 2],
    velocity: [f64; 2],
    a: f64,
    b: f64,
    c: f64,
}

impl Motion {
    /// At rest, unsure by a pixel and a pixel a step.
    fn at(position: [f64; 2]) -> Self {
        Self {
            position,
            velocity: [0.0; 2],
            a: 1.0,
            b: 0.0,
            c: 1.0,
        }
    }

    fn update(&mut self, measured: [f64; 2]) {
        let a = self.a + 2.0 * self.b + self.c + PROCESS_NOISE;
        let b = self.b + self.c;
        let c = self.c + PROCESS_NOISE;
        let (gain, velocity_gain) = (a / (a + MEASUREMENT_NOISE), b / (a + MEASUREMENT_NOISE));
        for (axis, measured) in measured.into_iter().enumerate() {
            let predicted = self.position[axis] + self.velocity[axis];
            let surprise = measured - predicted;
            self.position[axis] = predicted + gain * surprise;
            self.velocity[axis] += velocity_gain * surprise;
        }
        self.a = (1.0 - gain) * a;
        self.b = (1.0 - gain) * b;
        self.c = c - velocity_gain * b;
    }
}

impl Smoothing {
    /// The points, steadied. A point without confidence is not seen: it is left as it is, and starts anew when it is seen again.
    pub fn update(&mut self, points: &[Keypoint; KEYPOINTS]) -> [Keypoint; KEYPOINTS] {
        let mut steady = *points;
        for ((point, state), steady) in points.iter().zip(&mut self.points).zip(&mut steady) {
            let usable = point.confidence > 0.0 && point.x.is_finite() && point.y.is_finite();
            if !usable {
                *state = None;
                continue;
            }
            let measured = [f64::from(point.x), f64::from(point.y)];
            match state {
                None => *state = Some(Motion::at(measured)),
                Some(motion) => {
                    motion.update(measured);
                    steady.x = motion.position[0] as f32;
                    steady.y = motion.position[1] as f32;
                }
            }
        }
        steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> [Keypoint; KEYPOINTS] {
        [Keypoint { x, y, confidence: 0.8 }; KEYPOINTS]
    }

    #[test]
    fn the_first_sight_and_a_point_at_rest_stay() {
        let mut smoothing = Smoothing::default();
        for _ in 0..20 {
            assert_eq!(smoothing.update(&at(50.0, 60.0)), at(50.0, 60.0));
        }
    }

    #[test]
    fn the_first_steps_are_those_of_the_textbook() {
        // Predicted covariance [[2.001, 1], [1, 1.001]], gain 2.001 / 2.701 and 1 / 2.701.
        let mut smoothing = Smoothing::default();
        smoothing.update(&at(0.0, 0.0));
        let second = smoothing.update(&at(10.0, -10.0))[4];
        assert!((second.x - 7.408_367).abs() < 1e-4 && (second.y + 7.408_367).abs() < 1e-4);
        let motion = smoothing.points[4].unwrap();
        assert!((motion.velocity[0] - 10.0 / 2.701).abs() < 1e-9);
        let (a, b, c) = (0.7 * 2.001 / 2.701, 0.7 / 2.701, 1.001 - 1.0 / 2.701);
        assert!((motion.a - a).abs() < 1e-9 && (motion.b - b).abs() < 1e-9 && (motion.c - c).abs() < 1e-9);
    }

    #[test]
    fn jitter_is_reduced_and_steady_motion_is_followed() {
        let mut smoothing = Smoothing::default();
        let (mut error, mut jitter) = (0.0f32, 0.0f32);
        for step in 0..200 {
            let truth = 100.0 + 2.0 * step as f32;
            // Up and down by a pixel: not random, so that the test is the same every time.
            let noise = if step % 2 == 0 { 1.0 } else { -1.0 };
            let steady = smoothing.update(&at(truth + noise, 50.0))[9];
            if step >= 100 {
                error = error.max((steady.x - truth).abs());
                jitter = jitter.max(noise.abs());
            }
        }
        assert!(error < 0.2 * jitter, "{error}");
    }

    #[test]
    fn a_point_that_was_away_starts_anew() {
        let mut smoothing = Smoothing::default();
        smoothing.update(&at(0.0, 0.0));
        let away = [Keypoint::default(); KEYPOINTS];
        assert_eq!(smoothing.update(&away), away);
        assert_eq!(
            smoothing.update(&at(300.0, 300.0)),
            at(300.0, 300.0),
            "not drawn across the picture"
        );
    }

    #[test]
    fn what_is_not_a_number_is_passed_on_and_forgotten() {
        let mut smoothing = Smoothing::default();
        smoothing.update(&at(5.0, 5.0));
        assert!(smoothing.update(&at(f32::NAN, 5.0))[0].x.is_nan());
        assert_eq!(smoothing.update(&at(6.0, 5.0)), at(6.0, 5.0));
    }

    #[test]
    fn the_covariance_stays_bounded_over_a_long_time() {
        let mut smoothing = Smoothing::default();
        for step in 0..100_000 {
            smoothing.update(&at((step % 640) as f32, 10.0));
        }
        let motion = smoothing.points[0].unwrap();
        assert!(
            motion.a > 0.0 && motion.a < 1.0 && motion.c > 0.0 && motion.c < 1.0,
            "{motion:?}"
        );
        assert!(motion.a * motion.c > motion.b * motion.b, "positive definite");
    }
}
