//! Follows faces from frame to frame, so that the detector runs only when it is needed.
//!
//! A face that was found is followed by its own landmarks: the region for the next frame is the box of this frame's points
//! (MediaPipe's scheme). The detector runs while nobody is in view, when somebody has just been lost, and every
//! `detection_interval` frames while there is room for another face.

use nunchi_inference::face::{Detection, Mesh, Roi};

/// Finds and reads faces in the current frame.
pub trait FaceFinder {
    type Error;
    /// Faces in the whole frame.
    fn detect(&mut self) -> Result<Vec<Detection>, Self::Error>;
    /// Landmarks of the face in a region.
    fn mesh(&mut self, roi: &Roi) -> Result<Mesh, Self::Error>;
}

/// What steers the tracker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    pub max_faces: usize,
    /// Frames between two runs of the detector while fewer than `max_faces` are in view; 0: only when none is or one was lost.
    pub detection_interval: u32,
    /// Least presence score of a mesh, 0 to 1.
    pub presence_threshold: f32,
    /// How long a face may be out of sight and still count as the same, in nanoseconds.
    pub timeout: u64,
}

/// One face over time; `T` is what the owner wants to remember of it.
#[derive(Debug)]
pub struct Track<T> {
    /// Unique in the stream, from 1.
    pub id: u64,
    /// Seen in the current frame.
    pub visible: bool,
    pub mesh: Mesh,
    /// x0, y0, x1, y1 of the landmarks, in pixels.
    pub bbox: [f32; 4],
    pub first_seen: u64,
    pub last_seen: u64,
    pub state: T,
}

/// The faces in view and those lost a moment ago.
#[derive(Debug)]
pub struct Tracker<T> {
    tracks: Vec<Track<T>>,
    /// Ended, and not returned yet.
    ended: Vec<Track<T>>,
    next_id: u64,
    since_detection: u32,
}

impl<T> Default for Tracker<T> {
    fn default() -> Self {
        Self {
            tracks: Vec::new(),
            ended: Vec::new(),
            next_id: 1,
            since_detection: 0,
        }
    }
}

/// Detections that are looked at in a frame, for each face that is wanted. Each costs two inferences, and a detector that sees
/// faces everywhere must not hold up the stream.
const ATTEMPTS: usize = 4;
/// Two tracks that overlap by more than this are the same face.
const SAME_FACE_IOU: f32 = 0.5;
/// A detection that overlaps a followed face by more than this is that face. Lower than above, because the detector's box
/// and the box of the landmarks frame a face differently.
const KNOWN_FACE_IOU: f32 = 0.25;

impl<T: Default> Tracker<T> {
    /// Takes the next frame, at `time` in nanoseconds. Returns the tracks that ended: not seen for longer than the
    /// time-out. An error of the finder leaves the tracks as they were found so far; those that ended before it are returned
    /// after the next frame.
    pub fn update<F: FaceFinder>(
        &mut self,
        finder: &mut F,
        time: u64,
        policy: &Policy,
    ) -> Result<Vec<Track<T>>, F::Error> {
        let lost = self.follow(finder, time, policy)?;
        let doubles = self.take_doubles();
        self.ended.extend(doubles);
        let surplus = self.take_surplus(policy.max_faces);
        self.ended.extend(surplus);
        let visible = self.visible().count();
        self.since_detection = self.since_detection.saturating_add(1);
        let due = policy.detection_interval > 0 && self.since_detection >= policy.detection_interval;
        if visible < policy.max_faces && (visible == 0 || lost || due) {
            self.since_detection = 0;
            self.find(finder, time, policy)?;
        }
        let timeout = policy.timeout;
        // A clock that jumped back makes the age negative: such a track stays.
        let gone = self
            .tracks
            .extract_if(.., |t| !t.visible && time.saturating_sub(t.last_seen) > timeout);
        self.ended.extend(gone);
        Ok(std::mem::take(&mut self.ended))
    }

    /// Forgets everything but the numbering; returns all tracks.
    pub fn clear(&mut self) -> Vec<Track<T>> {
        self.since_detection = 0;
        let mut all = std::mem::take(&mut self.ended);
        all.append(&mut self.tracks);
        all
    }

    pub fn visible(&self) -> impl Iterator<Item = &Track<T>> {
        self.tracks.iter().filter(|t| t.visible)
    }

    pub fn visible_mut(&mut self) -> impl Iterator<Item = &mut Track<T>> {
        self.tracks.iter_mut().filter(|t| t.visible)
    }

    /// Reads each face where it was last; true when one was lost.
    fn follow<F: FaceFinder>(&mut self, finder: &mut F, time: u64, policy: &Policy) -> Result<bool, F::Error> {
        let mut lost = false;
        for track in self.tracks.iter_mut().filter(|t| t.visible) {
            let mesh = finder.mesh(&Roi::from_landmarks(&track.mesh.points))?;
            match accept(&mesh, policy) {
                Some(bbox) => {
                    track.mesh = mesh;
                    track.bbox = bbox;
                    track.last_seen = time;
                }
                None => {
                    track.visible = false;
                    lost = true;
                }
            }
        }
        Ok(lost)
    }

    /// Two tracks may slide onto one face: the older one stays, the others are returned.
    fn take_doubles(&mut self) -> Vec<Track<T>> {
        let mut taken = Vec::new();
        let mut index = 0;
        while index < self.tracks.len() {
            let (older, rest) = self.tracks.split_at(index);
            let double = rest[0].visible
                && older
                    .iter()
                    .any(|t| t.visible && iou(&t.bbox, &rest[0].bbox) > SAME_FACE_IOU);
            if double {
                taken.push(self.tracks.remove(index));
            } else {
                index += 1;
            }
        }
        taken
    }

    /// The smallest faces beyond `max`, which may have been lowered.
    fn take_surplus(&mut self, max: usize) -> Vec<Track<T>> {
        let mut taken = Vec::new();
        while self.visible().count() > max {
            let visible = self.tracks.iter().enumerate().filter(|(_, t)| t.visible);
            let Some((index, _)) = visible.min_by(|a, b| area(&a.1.bbox).total_cmp(&area(&b.1.bbox))) else {
                break;
            };
            taken.push(self.tracks.remove(index));
        }
        taken
    }

    fn find<F: FaceFinder>(&mut self, finder: &mut F, time: u64, policy: &Policy) -> Result<(), F::Error> {
        let mut detections = finder.detect()?;
        detections.sort_by(|a, b| area(&b.bbox).total_cmp(&area(&a.bbox)));
        let mut attempts = ATTEMPTS * policy.max_faces;
        for detection in detections {
            if self.visible().count() >= policy.max_faces || attempts == 0 {
                break;
            }
            if self.visible().any(|t| iou(&t.bbox, &detection.bbox) > KNOWN_FACE_IOU) {
                continue;
            }
            attempts -= 1;
            // The detector's angle is noisy on small faces and its box rough: a second pass, framed by the first mesh
            // whatever its presence, decides.
            let first = finder.mesh(&Roi::from_detection(&detection))?;
            let mesh = finder.mesh(&Roi::from_landmarks(&first.points))?;
            let Some(bbox) = accept(&mesh, policy) else {
                continue;
            };
            if self.visible().any(|t| iou(&t.bbox, &bbox) > SAME_FACE_IOU) {
                continue;
            }
            let lost = self.tracks.iter_mut().filter(|t| {
                !t.visible && time.saturating_sub(t.last_seen) <= policy.timeout && iou(&t.bbox, &bbox) > KNOWN_FACE_IOU
            });
            let known = lost.max_by(|a, b| iou(&a.bbox, &bbox).total_cmp(&iou(&b.bbox, &bbox)));
            if let Some(track) = known {
                track.visible = true;
                track.mesh = mesh;
                track.bbox = bbox;
                track.last_seen = time;
            } else {
                let state = T::default();
                let id = self.next_id;
                self.next_id += 1;
                self.tracks.push(Track {
                    id,
                    visible: true,
                    mesh,
                    bbox,
                    first_seen: time,
                    last_seen: time,
                    state,
                });
            }
        }
        Ok(())
    }
}

/// The box of a mesh that is a face; `None` for one below the threshold or with points that are no numbers.
fn accept(mesh: &Mesh, policy: &Policy) -> Option<[f32; 4]> {
    if mesh.presence.is_nan() || mesh.presence < policy.presence_threshold {
        return None;
    }
    let mut bbox = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
    for [x, y, _] in &mesh.points {
        if !x.is_finite() || !y.is_finite() {
            return None;
        }
        bbox = [bbox[0].min(*x), bbox[1].min(*y), bbox[2].max(*x), bbox[3].max(*y)];
    }
    (bbox[2] > bbox[0] && bbox[3] > bbox[1]).then_some(bbox)
}

fn area(b: &[f32; 4]) -> f32 {
    (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0)
}

/// Intersection over union of two boxes; 0 where one is empty.
fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let common = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene of square faces; counts how often it is asked.
    #[derive(Default)]
    struct Scene {
        /// centre x, centre y, side, presence
        faces: Vec<[f32; 4]>,
        detections: usize,
        meshes: usize,
        fail: bool,
    }

    impl Scene {
        fn at(faces: &[[f32; 3]]) -> Self {
            Self {
                faces: faces.iter().map(|f| [f[0], f[1], f[2], 0.9]).collect(),
                ..Default::default()
            }
        }
    }

    fn square(x: f32, y: f32, side: f32, presence: f32) -> Mesh {
        // Enough of the 478 points to give the box and the eye line (33, 263) that Roi::from_landmarks wants.
        let mut points = vec![[x, y, 0.0]; 478];
        points[0] = [x - side / 2.0, y - side / 2.0, 0.0];
        points[1] = [x + side / 2.0, y + side / 2.0, 0.0];
        points[33] = [x - side / 4.0, y, 0.0];
        points[263] = [x + side / 4.0, y, 0.0];
        Mesh {
            points: points.into_boxed_slice(),
            presence,
        }
    }

    impl FaceFinder for Scene {
        type Error = &'static str;
        fn detect(&mut self) -> Result<Vec<Detection>, Self::Error> {
            self.detections += 1;
            if self.fail {
                return Err("device lost");
            }
            Ok(self
                .faces
                .iter()
                .map(|[x, y, s, _]| Detection {
                    score: 0.9,
                    bbox: [x - s / 2.0, y - s / 2.0, x + s / 2.0, y + s / 2.0],
                    keypoints: [
                        [x - s / 4.0, *y],
                        [x + s / 4.0, *y],
                        [*x, *y],
                        [*x, *y],
                        [*x, *y],
                        [*x, *y],
                    ],
                })
                .collect())
        }
        fn mesh(&mut self, roi: &Roi) -> Result<Mesh, Self::Error> {
            self.meshes += 1;
            let near = self
                .faces
                .iter()
                .find(|f| (f[0] - roi.cx).abs() < roi.size / 2.0 && (f[1] - roi.cy).abs() < roi.size / 2.0);
            Ok(near.map_or_else(
                || square(roi.cx, roi.cy, roi.size, 0.01),
                |f| square(f[0], f[1], f[2], f[3]),
            ))
        }
    }

    const POLICY: Policy = Policy {
        max_faces: 2,
        detection_interval: 5,
        presence_threshold: 0.5,
        timeout: 100,
    };

    fn ids<T>(tracker: &Tracker<T>) -> Vec<u64>
    where
        T: Default,
    {
        tracker.visible().map(|t| t.id).collect()
    }

    #[test]
    fn a_followed_face_needs_no_detector() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        let policy = Policy { max_faces: 1, ..POLICY };
        for frame in 0..50 {
            scene.faces[0][0] += 3.0;
            tracker.update(&mut scene, frame * 10, &policy).unwrap();
            assert_eq!(ids(&tracker), [1]);
        }
        assert_eq!(scene.detections, 1);
        assert_eq!(scene.meshes, 2 + 49);
    }

    #[test]
    fn the_detector_looks_for_newcomers_at_its_interval() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        scene.faces.push([400.0, 100.0, 80.0, 0.9]);
        for frame in 1..=4 {
            tracker.update(&mut scene, frame, &POLICY).unwrap();
            assert_eq!(ids(&tracker), [1]);
        }
        tracker.update(&mut scene, 5, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [1, 2]);
        assert_eq!(scene.detections, 2);
    }

    #[test]
    fn a_face_that_returns_in_time_keeps_its_number() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        let face = scene.faces.pop().unwrap();
        assert!(tracker.update(&mut scene, 50, &POLICY).unwrap().is_empty());
        assert!(ids(&tracker).is_empty());
        scene.faces.push(face);
        tracker.update(&mut scene, 100, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [1]);
    }

    #[test]
    fn a_face_that_stays_away_ends_once() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        let face = scene.faces.pop().unwrap();
        assert!(
            tracker.update(&mut scene, 100, &POLICY).unwrap().is_empty(),
            "the boundary still belongs to it"
        );
        assert_eq!(tracker.update(&mut scene, 101, &POLICY).unwrap().len(), 1);
        assert!(tracker.update(&mut scene, 102, &POLICY).unwrap().is_empty());
        scene.faces.push(face);
        tracker.update(&mut scene, 103, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [2], "a new number");
    }

    #[test]
    fn the_largest_faces_win_and_max_faces_holds() {
        let mut scene = Scene::at(&[[100.0, 100.0, 20.0], [300.0, 100.0, 90.0], [600.0, 100.0, 60.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        let sides: Vec<f32> = tracker.visible().map(|t| t.bbox[2] - t.bbox[0]).collect();
        assert_eq!(sides, [90.0, 60.0]);
        let one = Policy { max_faces: 1, ..POLICY };
        let ended = tracker.update(&mut scene, 1, &one).unwrap();
        assert_eq!(ended.len(), 1, "the limit was lowered: the smaller one ends");
        let sides: Vec<f32> = tracker.visible().map(|t| t.bbox[2] - t.bbox[0]).collect();
        assert_eq!(sides, [90.0]);
        assert_eq!(scene.detections, 1, "no room, no search");
    }

    #[test]
    fn doubles_and_poor_meshes_are_dropped() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0], [102.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [1]);
        let mut scene = Scene {
            faces: vec![[100.0, 100.0, 80.0, 0.49]],
            ..Default::default()
        };
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        assert!(ids(&tracker).is_empty());
        for presence in [f32::NAN, f32::NEG_INFINITY] {
            scene.faces[0][3] = presence;
            tracker.update(&mut scene, 0, &POLICY).unwrap();
            assert!(ids(&tracker).is_empty());
        }
    }

    #[test]
    fn two_tracks_on_one_face_become_one() {
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0], [400.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [1, 2]);
        scene.faces = vec![[250.0, 100.0, 500.0, 0.9]];
        let mut wide = Tracker::<()> {
            tracks: tracker.tracks,
            next_id: 3,
            ended: Vec::new(),
            since_detection: 0,
        };
        for track in &mut wide.tracks {
            track.mesh = square(250.0, 100.0, 500.0, 0.9);
        }
        let ended = wide.update(&mut scene, 1, &POLICY).unwrap();
        assert_eq!(ids(&wide), [1]);
        assert_eq!(ended[0].id, 2, "who saw it start shall see it end");
    }

    #[test]
    fn points_that_are_no_numbers_are_refused() {
        let mut mesh = square(1.0, 1.0, 2.0, 0.9);
        assert!(accept(&mesh, &POLICY).is_some());
        mesh.points[7][1] = f32::NAN;
        assert_eq!(accept(&mesh, &POLICY), None);
        assert_eq!(accept(&square(1.0, 1.0, 0.0, 0.9), &POLICY), None, "an empty box");
    }

    #[test]
    fn a_failing_device_is_reported_and_survived() {
        let mut scene = Scene {
            fail: true,
            ..Scene::at(&[[100.0, 100.0, 80.0]])
        };
        let mut tracker = Tracker::<()>::default();
        assert_eq!(tracker.update(&mut scene, 0, &POLICY).unwrap_err(), "device lost");
        scene.fail = false;
        tracker.update(&mut scene, 1, &POLICY).unwrap();
        assert_eq!(ids(&tracker), [1]);
        assert_eq!(tracker.clear().len(), 1);
        assert!(ids(&tracker).is_empty());
    }

    #[test]
    fn who_ended_before_a_failure_is_told_after_it() {
        let policy = Policy {
            detection_interval: 1,
            ..POLICY
        };
        let mut scene = Scene::at(&[[100.0, 100.0, 80.0], [300.0, 100.0, 80.0]]);
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &policy).unwrap();
        assert_eq!(ids(&tracker), [1, 2]);
        // Both slide onto one face, and the detector fails in the same frame.
        tracker.tracks[1].mesh = tracker.tracks[0].mesh.clone();
        scene.fail = true;
        tracker.update(&mut scene, 1, &policy).unwrap_err();
        scene.fail = false;
        let ended = tracker.update(&mut scene, 2, &policy).unwrap();
        assert_eq!(ended.iter().map(|t| t.id).collect::<Vec<_>>(), [2]);
        assert!(tracker.update(&mut scene, 3, &policy).unwrap().is_empty(), "once");
    }

    #[test]
    fn a_detector_that_sees_faces_everywhere_costs_a_bounded_time() {
        let mut scene = Scene {
            faces: (0..500).map(|i| [1000.0 * i as f32, 0.0, 80.0, 0.1]).collect(),
            ..Default::default()
        };
        let mut tracker = Tracker::<()>::default();
        tracker.update(&mut scene, 0, &POLICY).unwrap();
        assert!(ids(&tracker).is_empty());
        assert_eq!(scene.meshes, 2 * ATTEMPTS * POLICY.max_faces);
    }
}
