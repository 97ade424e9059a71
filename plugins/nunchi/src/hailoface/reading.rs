//! What is read off one face, and the events that follow from it.

use crate::analyser::hysteresis::{Hysteresis, Limits};
use nunchi_events::{Event, State};
use nunchi_inference::face::EMOTIONS;

/// Scores of one face in one frame, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    pub presence: f32,
    /// Mean of both corners of the mouth.
    pub smile: f32,
    pub left_eye_closed: f32,
    pub right_eye_closed: f32,
    /// In the order of [`EMOTIONS`]; `None` where emotions are not read.
    pub emotions: Option<[f32; 7]>,
}

impl Reading {
    /// Closedness of both eyes. The mean, so that a wink stays below the threshold and a turned head, which shows one eye
    /// badly, does not hide that both are shut.
    pub fn eyes_closed(&self) -> f32 {
        (self.left_eye_closed + self.right_eye_closed) / 2.0
    }

    /// The strongest emotion and its score. `None` without a number among the scores.
    pub fn emotion(&self) -> Option<(&'static str, f32)> {
        let scores = self.emotions?;
        let (index, score) = scores
            .iter()
            .enumerate()
            .filter(|(_, s)| s.is_finite())
            .max_by(|a, b| a.1.total_cmp(b.1))?;
        Some((EMOTIONS[index], *score))
    }
}

/// The emotions that are reported: the vocabulary that the log's readers know. The model's other classes are not.
const REPORTED_EMOTIONS: [&str; 4] = ["angry", "disgust", "happy", "surprise"];

const SMILE: [&str; 2] = ["Smile detected", "Smile ended"];
const EYES: [&str; 2] = ["Eyes closed", "Eyes open"];

/// When a reading becomes an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    pub smile: Limits,
    pub eyes_closed: Limits,
    pub emotion: Limits,
}

/// The running state of one face's events.
#[derive(Debug, Default)]
pub struct FaceEvents {
    present: bool,
    smile: Hysteresis,
    eyes_closed: Hysteresis,
    emotion: Option<(&'static str, Hysteresis)>,
    /// The last emotion scores: emotions are not read in every frame.
    pub last_emotions: Option<[f32; 7]>,
    /// The last whole reading, for frames in which nothing is inferred.
    pub last: Reading,
}

impl FaceEvents {
    /// The events of a face that is in view, at `time` in nanoseconds. The caller adds track, object and times.
    pub fn update(&mut self, reading: &Reading, time: u64, rules: &Rules) -> Vec<Event> {
        self.last = *reading;
        let mut events = Vec::with_capacity(4);
        let state = if self.present { State::Ongoing } else { State::Start };
        self.present = true;
        events.push(presence(state, reading.presence));
        let smile = f64::from(reading.smile);
        if let Some(state) = self.smile.update(smile, time, &rules.smile) {
            events.push(scored("smile", state, smile, &rules.smile, SMILE));
        }
        let closed = f64::from(reading.eyes_closed());
        if let Some(state) = self.eyes_closed.update(closed, time, &rules.eyes_closed) {
            events.push(scored("eyes_closed", state, closed, &rules.eyes_closed, EYES));
        }
        self.emotion_events(reading, time, rules, &mut events);
        events
    }

    /// The ends of all that was going on: the face is gone.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.smile.finish().is_some() {
            events.push(ended("smile", "smile", SMILE[1]));
        }
        if self.eyes_closed.finish().is_some() {
            events.push(ended("eyes_closed", "eyes_closed", EYES[1]));
        }
        if let Some((label, mut state)) = self.emotion.take()
            && state.finish().is_some()
        {
            events.push(ended("emotion", label, label));
        }
        if std::mem::take(&mut self.present) {
            events.push(ended("presence", "face", "Face lost"));
        }
        events
    }

    fn emotion_events(&mut self, reading: &Reading, time: u64, rules: &Rules, events: &mut Vec<Event>) {
        if reading.emotions.is_none() {
            // Not read (any more): what was going on is over.
            if let Some((label, mut state)) = self.emotion.take()
                && state.finish().is_some()
            {
                events.push(ended("emotion", label, label));
            }
        }
        let Some((label, score)) = reading.emotion() else {
            return;
        };
        // Another emotion took over: the old one is over, whatever its score.
        if let Some((old, state)) = &mut self.emotion
            && *old != label
        {
            if state.finish().is_some() {
                events.push(ended("emotion", old, old));
            }
            self.emotion = None;
        }
        if !REPORTED_EMOTIONS.contains(&label) {
            return;
        }
        let (_, state) = self.emotion.get_or_insert((label, Hysteresis::default()));
        let score = f64::from(score);
        if let Some(state) = state.update(score, time, &rules.emotion) {
            let mut event = Event::new("emotion", state, label);
            event.label = label.into();
            event.confidence = Some(score);
            event.value = Some(score);
            event.threshold = Some(rules.emotion.on);
            events.push(event);
        }
    }

    pub fn is_smiling(&self) -> bool {
        self.smile.is_active()
    }

    pub fn are_eyes_closed(&self) -> bool {
        self.eyes_closed.is_active()
    }
}

fn presence(state: State, score: f32) -> Event {
    let mut event = Event::new("presence", state, "Face present");
    event.label = "face".into();
    event.confidence = Some(f64::from(score));
    event
}

/// `texts`: what is said while it lasts (the score follows in brackets) and when it is over.
fn scored(kind: &str, state: State, value: f64, limits: &Limits, texts: [&str; 2]) -> Event {
    let message = if state == State::End {
        texts[1].to_string()
    } else {
        format!("{} ({value:.2})", texts[0])
    };
    let mut event = Event::new(kind, state, message);
    event.label = kind.into();
    event.confidence = Some(value);
    event.value = Some(value);
    event.threshold = Some(limits.on);
    event
}

fn ended(kind: &str, label: &str, message: &str) -> Event {
    let mut event = Event::new(kind, State::End, message);
    event.label = label.into();
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        smile: Limits {
            on: 0.5,
            off: 0.35,
            min_duration: 0,
        },
        eyes_closed: Limits {
            on: 0.65,
            off: 0.5,
            min_duration: 0,
        },
        emotion: Limits {
            on: 0.5,
            off: 0.4,
            min_duration: 0,
        },
    };

    fn reading(smile: f32, eyes: f32, emotions: Option<[f32; 7]>) -> Reading {
        Reading {
            presence: 0.99,
            smile,
            left_eye_closed: eyes,
            right_eye_closed: eyes,
            emotions,
        }
    }

    fn said(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|e| format!("{} {} {}", e.kind, e.state.as_str(), e.message))
            .collect()
    }

    #[test]
    fn a_smile_from_start_to_end() {
        let mut face = FaceEvents::default();
        assert_eq!(
            said(&face.update(&reading(0.93, 0.1, None), 0, &RULES)),
            ["presence start Face present", "smile start Smile detected (0.93)"]
        );
        assert_eq!(
            said(&face.update(&reading(0.4, 0.1, None), 1, &RULES)),
            ["presence ongoing Face present", "smile ongoing Smile detected (0.40)"]
        );
        assert_eq!(
            said(&face.update(&reading(0.3, 0.1, None), 2, &RULES)),
            ["presence ongoing Face present", "smile end Smile ended"]
        );
    }

    #[test]
    fn a_wink_is_not_closed_eyes() {
        let wink = Reading {
            left_eye_closed: 0.9,
            right_eye_closed: 0.1,
            presence: 0.9,
            ..Default::default()
        };
        assert_eq!(FaceEvents::default().update(&wink, 0, &RULES).len(), 1);
        let shut = FaceEvents::default().update(&reading(0.0, 0.7, None), 0, &RULES);
        assert_eq!(said(&shut)[1], "eyes_closed start Eyes closed (0.70)");
    }

    #[test]
    fn emotions_outside_of_the_vocabulary_and_neutral_are_silent() {
        for quiet in [2, 4, 6] {
            let mut scores = [0.0; 7];
            scores[quiet] = 0.99;
            let events = FaceEvents::default().update(&reading(0.0, 0.0, Some(scores)), 0, &RULES);
            assert_eq!(events.len(), 1, "{}", EMOTIONS[quiet]);
        }
    }

    #[test]
    fn one_emotion_follows_another() {
        let mut face = FaceEvents::default();
        let happy = [0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.1];
        let angry = [0.8, 0.0, 0.0, 0.1, 0.0, 0.0, 0.1];
        assert_eq!(
            said(&face.update(&reading(0.0, 0.0, Some(happy)), 0, &RULES))[1],
            "emotion start happy"
        );
        let next = said(&face.update(&reading(0.0, 0.0, Some(angry)), 1, &RULES));
        assert_eq!(next[1..], ["emotion end happy", "emotion start angry"]);
    }

    #[test]
    fn an_emotion_that_is_not_read_any_more_ends_and_a_broken_score_does_not_end_it() {
        let mut face = FaceEvents::default();
        let happy = [0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.1];
        face.update(&reading(0.0, 0.0, Some(happy)), 0, &RULES);
        let broken = said(&face.update(&reading(0.0, 0.0, Some([f32::NAN; 7])), 1, &RULES));
        assert_eq!(broken, ["presence ongoing Face present"]);
        let off = said(&face.update(&reading(0.0, 0.0, None), 2, &RULES));
        assert_eq!(off, ["presence ongoing Face present", "emotion end happy"]);
    }

    #[test]
    fn scores_that_are_no_numbers_report_nothing() {
        let mut face = FaceEvents::default();
        let events = face.update(&reading(f32::NAN, f32::NAN, Some([f32::NAN; 7])), 0, &RULES);
        assert_eq!(said(&events), ["presence start Face present"]);
    }

    #[test]
    fn a_lost_face_ends_what_was_going_on_and_nothing_else() {
        let mut face = FaceEvents::default();
        face.update(&reading(0.9, 0.0, None), 0, &RULES);
        assert_eq!(
            said(&face.finish()),
            ["smile end Smile ended", "presence end Face lost"]
        );
        assert!(face.finish().is_empty());
    }
}
