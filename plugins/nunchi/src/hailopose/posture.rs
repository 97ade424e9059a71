//! The events that follow from a person's posture over time.

use super::rules::{Body, Posture, Thresholds, Verdict};
use super::smoothing::Smoothing;
use nunchi_events::{Event, State};
use nunchi_inference::pose::{KEYPOINTS, Keypoint};

/// The rules that are reported, in the order in which they are.
const REPORTED: [&str; 3] = ["body_tilt", "head_tilt", "gesture"];

/// The running state of one person.
#[derive(Debug, Default)]
pub struct Person {
    body: Body,
    smoothing: Smoothing,
    /// Labels of what goes on, in the order of [`REPORTED`].
    active: [Option<&'static str>; REPORTED.len()],
    /// The points as they were last, steadied where that is wanted.
    pub points: [Keypoint; KEYPOINTS],
    /// What the rules said last.
    pub posture: Option<Posture>,
}

impl Person {
    /// Takes the points of a frame, where those below `keypoint_threshold` are not seen. Returns what began, goes on or ended; the
    /// caller adds track, object and times.
    pub fn update(
        &mut self,
        points: &[Keypoint; KEYPOINTS],
        keypoint_threshold: f32,
        smoothing: bool,
        thresholds: &Thresholds,
    ) -> Vec<Event> {
        let seen = super::rules::seen(points, keypoint_threshold);
        self.points = *points;
        let steady = if smoothing {
            let steady = self.smoothing.update(&seen);
            for (point, steady) in self.points.iter_mut().zip(&steady).filter(|(_, s)| s.confidence > 0.0) {
                *point = *steady;
            }
            steady
        } else {
            self.smoothing = Smoothing::default();
            seen
        };
        let posture = self.body.judge(&steady, thresholds);
        let mut events = Vec::new();
        let verdicts = [&posture.body_tilt, &posture.head_tilt, &posture.gesture];
        for ((kind, verdict), active) in REPORTED.into_iter().zip(verdicts).zip(&mut self.active) {
            let now = verdict.detected.then_some(verdict.label);
            // Another hand is another gesture: the old one is over.
            if let Some(label) = active.filter(|_| now != *active) {
                events.push(event(kind, State::End, label, verdict));
            }
            if let Some(label) = now {
                let state = if *active == now { State::Ongoing } else { State::Start };
                events.push(event(kind, state, label, verdict));
            }
            *active = now;
        }
        self.posture = Some(posture);
        events
    }

    /// The person is out of sight: where the points were moving to then says nothing of where they are when seen again.
    pub fn lose_sight(&mut self) {
        self.smoothing = Smoothing::default();
    }

    /// The ends of all that was going on: the person is gone.
    pub fn finish(&mut self) -> Vec<Event> {
        let active = std::mem::take(&mut self.active);
        let going_on = REPORTED.into_iter().zip(active);
        going_on
            .filter_map(|(kind, label)| {
                let mut event = Event::new(kind, State::End, "Person lost");
                event.label = label?.into();
                Some(event)
            })
            .collect()
    }
}

/// At an end, `verdict` is what took the place of what went on.
fn event(kind: &str, state: State, label: &str, verdict: &Verdict) -> Event {
    let mut event = Event::new(kind, state, &verdict.message);
    event.label = label.into();
    if verdict.label != Verdict::UNKNOWN {
        event.confidence = Some(verdict.confidence);
        event.value = Some(verdict.value);
        event.threshold = Some(verdict.threshold);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Someone upright whose left wrist is at (x, y).
    fn points(wrist: (f32, f32), head: f32) -> [Keypoint; KEYPOINTS] {
        let mut points = [Keypoint::default(); KEYPOINTS];
        for (index, x, y) in [
            (1, 210.0 + head, 50.0),
            (2, 190.0 + head, 50.0),
            (5, 240.0, 100.0),
            (6, 160.0, 100.0),
            (9, wrist.0, wrist.1),
            (10, 140.0, 210.0),
            (11, 240.0, 200.0),
            (12, 160.0, 200.0),
        ] {
            points[index] = Keypoint { x, y, confidence: 0.9 };
        }
        points
    }

    const DOWN: (f32, f32) = (260.0, 210.0);

    fn said(events: &[Event]) -> Vec<String> {
        let line = |e: &Event| format!("{} {} {}: {}", e.kind, e.label, e.state.as_str(), e.message);
        events.iter().map(line).collect()
    }

    fn update(person: &mut Person, points: &[Keypoint; KEYPOINTS]) -> Vec<String> {
        said(&person.update(points, 0.4, false, &Thresholds::default()))
    }

    #[test]
    fn a_gesture_from_start_to_end() {
        let mut person = Person::default();
        assert!(update(&mut person, &points(DOWN, 0.0)).is_empty());
        let hand = points((230.0, 60.0), 0.0);
        let text = "Left hand gesture detected (dist: 22.4px)";
        assert_eq!(update(&mut person, &hand), [format!("gesture left_hand start: {text}")]);
        assert_eq!(
            update(&mut person, &hand),
            [format!("gesture left_hand ongoing: {text}")]
        );
        assert_eq!(
            update(&mut person, &points(DOWN, 0.0)),
            ["gesture left_hand end: No gesture detected"]
        );
        assert!(update(&mut person, &points(DOWN, 0.0)).is_empty(), "it ends once");
    }

    #[test]
    fn the_other_hand_is_another_gesture() {
        let mut person = Person::default();
        update(&mut person, &points((230.0, 60.0), 0.0));
        let mut right = points(DOWN, 0.0);
        right[10] = Keypoint {
            x: 180.0,
            y: 50.0,
            confidence: 0.9,
        };
        let text = "Right hand gesture detected (dist: 10.0px)";
        assert_eq!(
            update(&mut person, &right),
            [
                format!("gesture left_hand end: {text}"),
                format!("gesture right_hand start: {text}")
            ]
        );
    }

    #[test]
    fn events_come_in_the_order_of_the_rules_with_their_numbers() {
        let mut person = Person::default();
        let mut all = points((235.0, 60.0), 25.0);
        all[11].y = 250.0;
        all[1].x = 225.0;
        all[2].x = 220.0;
        let events = person.update(&all, 0.4, false, &Thresholds::default());
        let kinds: Vec<_> = events.iter().map(|e| e.kind.as_str()).collect();
        assert_eq!(kinds, ["body_tilt", "head_tilt", "gesture"]);
        assert_eq!((events[0].value, events[0].threshold), (Some(1.5), Some(1.1)));
        assert_eq!((events[1].value, events[1].threshold), (Some(4.0), Some(3.5)));
        assert!((events[2].confidence.unwrap() - 0.9).abs() < 1e-6);
        assert_eq!(person.posture.as_ref().unwrap().distance.label, "good_distance");
    }

    #[test]
    fn keypoints_that_are_not_seen_end_what_goes_on() {
        let mut person = Person::default();
        let mut hand = points((230.0, 60.0), 0.0);
        assert_eq!(update(&mut person, &hand).len(), 1);
        // Sure enough for the rule, but below the keypoint threshold.
        hand[9].confidence = 0.399;
        assert_eq!(
            update(&mut person, &hand),
            ["gesture left_hand end: Low confidence in wrists or eyes"]
        );
        hand[9].confidence = 0.4;
        assert_eq!(update(&mut person, &hand).len(), 1);
    }

    #[test]
    fn somebody_who_leaves_ends_what_was_going_on_and_nothing_else() {
        let mut person = Person::default();
        update(&mut person, &points((230.0, 60.0), 0.0));
        assert_eq!(said(&person.finish()), ["gesture left_hand end: Person lost"]);
        assert!(person.finish().is_empty());
        assert!(Person::default().finish().is_empty());
    }

    #[test]
    fn who_was_out_of_sight_is_not_where_they_were_going() {
        let mut person = Person::default();
        let at = |person: &mut Person, x: f32| {
            person.update(&points((x, 210.0), 0.0), 0.4, true, &Thresholds::default());
            person.points[9].x
        };
        (0..30).for_each(|step| {
            at(&mut person, 100.0 + 5.0 * step as f32);
        });
        person.lose_sight();
        assert_eq!(at(&mut person, 400.0), 400.0);
    }

    #[test]
    fn smoothing_steadies_the_points_that_are_seen_and_no_others() {
        let mut person = Person::default();
        let mut first = points(DOWN, 0.0);
        first[16] = Keypoint {
            x: 7.0,
            y: 8.0,
            confidence: 0.1,
        };
        person.update(&first, 0.4, true, &Thresholds::default());
        let mut second = first;
        second[9].x += 10.0;
        second[16].x = 90.0;
        person.update(&second, 0.4, true, &Thresholds::default());
        assert!(person.points[9].x > first[9].x + 1.0 && person.points[9].x < second[9].x - 1.0);
        assert_eq!(person.points[16], second[16]);
        person.update(&second, 0.4, false, &Thresholds::default());
        assert_eq!(person.points, second);
    }
}
