//! Knows objects again from frame to frame, by the overlap of their boxes.

use nunchi_inference::nms::{Rect, iou};
use nunchi_inference::ssd::Detection;

/// A box must overlap the last one of a track by at least this (intersection over union) to be the same object.
const LEAST_OVERLAP: f32 = 0.3;
/// Tracks that are remembered.
const MOST: usize = 1024;

#[derive(Debug, Clone, PartialEq)]
struct Track {
    id: u64,
    class: usize,
    rect: Rect,
    first_seen: u64,
    last_seen: u64,
}

/// The number of an object, and when it was first seen, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub id: u64,
    pub first_seen: u64,
}

#[derive(Debug, Default)]
pub struct Tracker {
    tracks: Vec<Track>,
    last_id: u64,
}

impl Tracker {
    /// Takes the objects of the next frame, at `time` in nanoseconds, and says which they are, in their order. The boxes that overlap most are joined
    /// first, within a class. What was out of sight for longer than `timeout` is forgotten.
    pub fn update(&mut self, objects: &[Detection], time: u64, timeout: u64) -> Vec<Known> {
        // A clock that jumped back makes the age negative: such a track stays.
        self.tracks
            .retain(|track| time.saturating_sub(track.last_seen) <= timeout);
        let mut pairs = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            for (object, found) in objects.iter().enumerate().filter(|(_, o)| o.class == track.class) {
                let overlap = iou(&track.rect, &found.rect);
                if overlap >= LEAST_OVERLAP {
                    pairs.push((overlap, index, object));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut known: Vec<Option<Known>> = vec![None; objects.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (_, index, object) in pairs {
            if taken[index] || known[object].is_some() {
                continue;
            }
            taken[index] = true;
            let track = &mut self.tracks[index];
            track.rect = objects[object].rect;
            track.last_seen = time;
            known[object] = Some(Known {
                id: track.id,
                first_seen: track.first_seen,
            });
        }
        let known: Vec<Known> = known
            .into_iter()
            .zip(objects)
            .map(|(known, found)| known.unwrap_or_else(|| self.begin(found, time)))
            .collect();
        // The oldest stand first.
        let surplus = self.tracks.len().saturating_sub(MOST);
        self.tracks.drain(..surplus);
        known
    }

    fn begin(&mut self, found: &Detection, time: u64) -> Known {
        self.last_id += 1;
        self.tracks.push(Track {
            id: self.last_id,
            class: found.class,
            rect: found.rect,
            first_seen: time,
            last_seen: time,
        });
        Known {
            id: self.last_id,
            first_seen: time,
        }
    }

    /// Forgets everything but the numbering.
    pub fn clear(&mut self) {
        self.tracks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(class: usize, x: f32, y: f32) -> Detection {
        Detection {
            class,
            score: 0.9,
            rect: [x, y, x + 0.2, y + 0.2],
        }
    }

    fn ids(tracker: &mut Tracker, objects: &[Detection], time: u64) -> Vec<u64> {
        tracker
            .update(objects, time, 100)
            .iter()
            .map(|known| known.id)
            .collect()
    }

    #[test]
    fn objects_that_move_keep_their_numbers_in_any_order() {
        let mut tracker = Tracker::default();
        for step in 0..20 {
            let moved = 0.02 * step as f32;
            let (a, b) = (object(0, moved, 0.0), object(0, 0.8 - moved, 0.5));
            if step % 2 == 0 {
                assert_eq!(ids(&mut tracker, &[a, b], step * 10), [1, 2]);
            } else {
                assert_eq!(ids(&mut tracker, &[b, a], step * 10), [2, 1]);
            }
        }
    }

    #[test]
    fn another_class_or_a_long_absence_is_another_object() {
        let mut tracker = Tracker::default();
        assert_eq!(ids(&mut tracker, &[object(0, 0.1, 0.1)], 0), [1]);
        assert_eq!(ids(&mut tracker, &[object(1, 0.1, 0.1)], 10), [2]);
        assert_eq!(ids(&mut tracker, &[], 20), [0; 0]);
        assert_eq!(ids(&mut tracker, &[object(0, 0.1, 0.1)], 100), [1]);
        assert_eq!(ids(&mut tracker, &[object(0, 0.1, 0.1)], 201), [3]);
        // Back in time.
        assert_eq!(ids(&mut tracker, &[object(0, 0.1, 0.1)], 5), [3]);
        assert_eq!(tracker.update(&[object(0, 0.1, 0.1)], 6, 100)[0].first_seen, 201);
        tracker.clear();
        assert_eq!(ids(&mut tracker, &[object(0, 0.1, 0.1)], 7), [4]);
    }

    #[test]
    fn noise_is_not_remembered_without_end() {
        let mut tracker = Tracker::default();
        for step in 0..300 {
            let noise: Vec<_> = (0..20).map(|i| object(step as usize * 20 + i, 0.0, 0.0)).collect();
            tracker.update(&noise, step, u64::MAX);
            assert!(tracker.tracks.len() <= MOST);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_unique_in_a_frame(frames in prop::collection::vec(prop::collection::vec((0..3usize, 0.0..1.0f32, 0.0..1.0f32), 0..12), 1..12)) {
            let mut tracker = Tracker::default();
            for (time, frame) in frames.iter().enumerate() {
                let objects: Vec<_> = frame.iter().map(|&(class, x, y)| object(class, x, y)).collect();
                let mut found = ids(&mut tracker, &objects, time as u64);
                prop_assert_eq!(found.len(), objects.len());
                found.sort_unstable();
                found.dedup();
                prop_assert_eq!(found.len(), objects.len());
            }
        }
    }
}
