//! Knows people again from frame to frame.

use nunchi_inference::nms::iou;
use nunchi_inference::pose::Pose;

/// A pose must be at least this like the last one of a track to be the same person.
const LEAST_LIKENESS: f32 = 0.3;
/// Lost tracks that are remembered: a network that sees people in noise leaves some in each frame.
const MOST_LOST: usize = 64;
/// Least number of shared points that say something of how a body moved.
const LEAST_POINTS: usize = 3;

/// What steers the tracker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Points of at least this confidence are compared.
    pub keypoint_threshold: f32,
    /// How long somebody may be out of sight and still count as the same, in nanoseconds.
    pub timeout: u64,
}

/// One person over time; `T` is what the owner wants to remember.
#[derive(Debug)]
pub struct Track<T> {
    /// Unique in the stream, from 1.
    pub id: u64,
    /// Seen in the current frame.
    pub visible: bool,
    /// As the network found it last.
    pub pose: Pose,
    pub first_seen: u64,
    pub last_seen: u64,
    pub state: T,
}

/// The people in view and those lost a moment ago.
#[derive(Debug)]
pub struct Tracker<T> {
    tracks: Vec<Track<T>>,
    next_id: u64,
}

impl<T> Default for Tracker<T> {
    fn default() -> Self {
        Self {
            tracks: Vec::new(),
            next_id: 1,
        }
    }
}

impl<T: Default> Tracker<T> {
    /// Takes the people of the next frame, at `time` in nanoseconds. The pairs that are most alike are joined first; who is like
    /// nobody is new. Returns the tracks that ended: not seen for longer than the time-out.
    pub fn update(&mut self, poses: &[Pose], time: u64, policy: &Policy) -> Vec<Track<T>> {
        let mut pairs = Vec::new();
        for (track, known) in self.tracks.iter().enumerate() {
            // A clock that jumped back makes the age negative: such a track stays.
            if known.visible || time.saturating_sub(known.last_seen) <= policy.timeout {
                pairs.extend(poses.iter().enumerate().filter_map(|(pose, found)| {
                    let likeness = likeness(&known.pose, found, policy.keypoint_threshold);
                    (likeness >= LEAST_LIKENESS).then_some((likeness, track, pose))
                }));
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.tracks.iter_mut().for_each(|track| track.visible = false);
        let mut taken = vec![false; poses.len()];
        for (_, track, pose) in pairs {
            let track = &mut self.tracks[track];
            if !track.visible && !taken[pose] {
                taken[pose] = true;
                track.visible = true;
                track.pose = poses[pose];
                track.last_seen = time;
            }
        }
        for (pose, _) in poses.iter().zip(taken).filter(|(_, taken)| !taken) {
            self.tracks.push(Track {
                id: self.next_id,
                visible: true,
                pose: *pose,
                first_seen: time,
                last_seen: time,
                state: T::default(),
            });
            self.next_id += 1;
        }
        let timeout = policy.timeout;
        let mut ended: Vec<Track<T>> = self
            .tracks
            .extract_if(.., |t| !t.visible && time.saturating_sub(t.last_seen) > timeout)
            .collect();
        let lost = self.tracks.iter().filter(|t| !t.visible).count();
        let mut surplus = lost.saturating_sub(MOST_LOST);
        // The oldest stand first.
        ended.extend(self.tracks.extract_if(.., |t| {
            let ends = surplus > 0 && !t.visible;
            surplus -= usize::from(ends);
            ends
        }));
        ended
    }

    /// Forgets everything but the numbering; returns all tracks.
    pub fn clear(&mut self) -> Vec<Track<T>> {
        std::mem::take(&mut self.tracks)
    }

    pub fn visible(&self) -> impl Iterator<Item = &Track<T>> {
        self.tracks.iter().filter(|t| t.visible)
    }

    pub fn visible_mut(&mut self) -> impl Iterator<Item = &mut Track<T>> {
        self.tracks.iter_mut().filter(|t| t.visible)
    }

    /// Those lost a moment ago.
    pub fn lost_mut(&mut self) -> impl Iterator<Item = &mut Track<T>> {
        self.tracks.iter_mut().filter(|t| !t.visible)
    }
}

/// How like two poses are, 1 for the same: the overlap of their boxes or the nearness of the points that both have, whichever is
/// greater. A box made of points jumps when a hand comes into view, and points of a badly seen person jump while the box stays.
fn likeness(a: &Pose, b: &Pose, threshold: f32) -> f32 {
    let diagonal = |b: &[f32; 4]| (b[2] - b[0]).hypot(b[3] - b[1]);
    let (mut count, mut sum) = (0, 0.0);
    for (a, b) in a.keypoints.iter().zip(&b.keypoints) {
        if a.confidence >= threshold && b.confidence >= threshold {
            count += 1;
            sum += (a.x - b.x).hypot(a.y - b.y);
        }
    }
    let overlap = iou(&a.bbox, &b.bbox);
    if count < LEAST_POINTS {
        return overlap;
    }
    // Nothing is left of the nearness when the points moved by half of the body.
    let moved = sum / count as f32 / diagonal(&a.bbox).max(diagonal(&b.bbox));
    (1.0 - 2.0 * moved).max(overlap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nunchi_inference::pose::{KEYPOINTS, Keypoint};

    const POLICY: Policy = Policy {
        keypoint_threshold: 0.4,
        timeout: 100,
    };

    /// Someone 100 x 200 pixels large.
    fn person(x: f32, y: f32) -> Pose {
        Pose {
            score: 0.9,
            bbox: [x, y, x + 100.0, y + 200.0],
            keypoints: std::array::from_fn(|i| Keypoint {
                x: x + 6.0 * i as f32,
                y: y + 12.0 * i as f32,
                confidence: 0.8,
            }),
        }
    }

    fn seen(tracker: &Tracker<()>) -> Vec<(u64, f32)> {
        tracker.visible().map(|t| (t.id, t.pose.bbox[0])).collect()
    }

    #[test]
    fn people_who_pass_each_other_keep_their_numbers() {
        let mut tracker = Tracker::<()>::default();
        for step in 0..30 {
            let moved = 20.0 * step as f32;
            // They come in any order.
            let mut poses = [person(moved, 0.0), person(600.0 - moved, 60.0)];
            if step % 2 == 1 {
                poses.reverse();
            }
            assert!(tracker.update(&poses, step * 10, &POLICY).is_empty());
            assert_eq!(seen(&tracker), [(1, moved), (2, 600.0 - moved)]);
        }
    }

    #[test]
    fn false_people_in_every_frame_are_not_remembered_without_end() {
        let mut tracker = Tracker::<()>::default();
        let forever = Policy {
            timeout: u64::MAX,
            ..POLICY
        };
        let mut ended = Vec::new();
        for step in 0..300 {
            let found = [person(1000.0 * step as f32, 0.0)];
            ended.extend(tracker.update(&found, step, &forever).into_iter().map(|t| t.id));
            assert!(tracker.tracks.len() <= MOST_LOST + 1);
        }
        assert_eq!(
            ended,
            (1..300 - MOST_LOST as u64).collect::<Vec<_>>(),
            "the oldest first"
        );
    }

    #[test]
    fn somebody_who_returns_in_time_is_the_same_and_later_is_not() {
        let mut tracker = Tracker::<()>::default();
        tracker.update(&[person(0.0, 0.0)], 0, &POLICY);
        assert!(tracker.update(&[], 50, &POLICY).is_empty());
        assert!(seen(&tracker).is_empty());
        assert!(tracker.update(&[person(5.0, 0.0)], 100, &POLICY).is_empty());
        assert_eq!(seen(&tracker), [(1, 5.0)]);
        assert!(
            tracker.update(&[], 200, &POLICY).is_empty(),
            "the boundary still belongs to it"
        );
        let ended = tracker.update(&[], 201, &POLICY);
        assert_eq!((ended.len(), ended[0].id), (1, 1));
        assert!(tracker.update(&[], 202, &POLICY).is_empty(), "it ends once");
        tracker.update(&[person(5.0, 0.0)], 203, &POLICY);
        assert_eq!(seen(&tracker), [(2, 5.0)]);
    }

    #[test]
    fn somebody_elsewhere_is_somebody_else() {
        let mut tracker = Tracker::<()>::default();
        tracker.update(&[person(0.0, 0.0)], 0, &POLICY);
        tracker.update(&[person(500.0, 0.0)], 1, &POLICY);
        assert_eq!(seen(&tracker), [(2, 500.0)]);
    }

    #[test]
    fn a_box_that_jumps_is_known_by_its_points_and_the_other_way_round() {
        let mut tracker = Tracker::<()>::default();
        tracker.update(&[person(0.0, 0.0)], 0, &POLICY);
        let mut arm_out = person(0.0, 0.0);
        arm_out.bbox = [-500.0, 0.0, 100.0, 200.0];
        tracker.update(&[arm_out], 1, &POLICY);
        assert_eq!(seen(&tracker), [(1, -500.0)]);
        let mut badly_seen = arm_out;
        badly_seen.keypoints.iter_mut().for_each(|p| p.confidence = 0.1);
        tracker.update(&[badly_seen], 2, &POLICY);
        assert_eq!(seen(&tracker).len(), 1);
        assert_eq!(seen(&tracker)[0].0, 1);
    }

    #[test]
    fn two_people_in_one_place_are_two_tracks() {
        let mut tracker = Tracker::<()>::default();
        for time in 0..3 {
            tracker.update(&[person(0.0, 0.0), person(2.0, 0.0)], time, &POLICY);
            assert_eq!(seen(&tracker), [(1, 0.0), (2, 2.0)]);
        }
    }

    #[test]
    fn poses_without_numbers_match_nobody_and_do_not_panic() {
        let mut broken = person(0.0, 0.0);
        broken.bbox = [f32::NAN; 4];
        broken.keypoints.iter_mut().for_each(|p| p.x = f32::NAN);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&[person(0.0, 0.0), broken], 0, &POLICY);
        tracker.update(&[broken, person(0.0, 0.0)], 1, &POLICY);
        let ids: Vec<_> = tracker.visible().map(|t| t.id).collect();
        assert_eq!(ids, [1, 3], "the broken one is new each time");
    }

    #[test]
    fn time_that_jumps_back_ends_nobody() {
        let mut tracker = Tracker::<()>::default();
        tracker.update(&[person(0.0, 0.0)], 1_000_000, &POLICY);
        assert!(tracker.update(&[], 5, &POLICY).is_empty());
        tracker.update(&[person(0.0, 0.0)], 6, &POLICY);
        assert_eq!(seen(&tracker), [(1, 0.0)]);
        assert_eq!(tracker.clear().len(), 1);
        tracker.update(&[person(0.0, 0.0)], 7, &POLICY);
        assert_eq!(seen(&tracker), [(2, 0.0)], "numbers are not used again");
    }

    #[test]
    fn every_point_of_a_pose_counts() {
        assert_eq!(person(0.0, 0.0).keypoints.len(), KEYPOINTS);
        assert_eq!(likeness(&person(0.0, 0.0), &person(0.0, 0.0), 0.4), 1.0);
        assert!(
            likeness(&person(0.0, 0.0), &person(0.0, 90.0), 0.4) < likeness(&person(0.0, 0.0), &person(0.0, 40.0), 0.4)
        );
    }
}
