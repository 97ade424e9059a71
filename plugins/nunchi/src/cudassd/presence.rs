//! Which classes are in view, told as events.

use crate::analyser::hysteresis::{Hysteresis, Limits};
use nunchi_events::{AttrValue, Event, State};
use nunchi_inference::ssd::{Detection, Labels};
use std::collections::BTreeMap;

/// The type of the events.
const KIND: &str = "object";

/// A class comes into view when it was there for `min_duration`, and is gone when it was away for as long.
#[derive(Debug, Default)]
pub struct Presence {
    classes: BTreeMap<usize, Class>,
}

#[derive(Debug, Default)]
struct Class {
    hysteresis: Hysteresis,
    last_seen: u64,
}

impl Presence {
    /// Takes the objects of a frame at `time` in nanoseconds, the best first.
    pub fn update(&mut self, objects: &[Detection], time: u64, min_duration: u64, labels: &Labels) -> Vec<Event> {
        let mut seen: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (index, object) in objects.iter().enumerate() {
            seen.entry(object.class).or_insert((index, 0)).1 += 1;
            self.classes.entry(object.class).or_default();
        }
        let limits = Limits {
            on: 0.5,
            off: 0.5,
            min_duration,
        };
        let mut events = Vec::new();
        self.classes.retain(|&number, class| {
            let best = seen.get(&number);
            if best.is_some() || time < class.last_seen {
                class.last_seen = time;
            }
            let is_away = time - class.last_seen > min_duration || (best.is_none() && min_duration == 0);
            // What is not yet in view has to be seen in each frame; what is may be missed for a while.
            let holds = best.is_some() || (class.hysteresis.is_active() && !is_away);
            let score = if holds { 1.0 } else { 0.0 };
            if let Some(state) = class.hysteresis.update(score, time, &limits) {
                let best = best.map(|&(index, count)| (count, &objects[index]));
                events.push(event(labels.name(number), state, best));
            }
            holds || class.hysteresis.is_active()
        });
        events
    }

    /// Ends what is in view.
    pub fn finish(&mut self, labels: &Labels) -> Vec<Event> {
        std::mem::take(&mut self.classes)
            .into_iter()
            .filter_map(|(number, mut class)| {
                let state = class.hysteresis.finish()?;
                Some(event(labels.name(number), state, None))
            })
            .collect()
    }

    pub fn clear(&mut self) {
        self.classes.clear();
    }
}

fn event(label: &str, state: State, best: Option<(usize, &Detection)>) -> Event {
    let message = match (state, best) {
        (State::End, _) => format!("{label} out of view"),
        (_, Some((count, _))) if count > 1 => format!("{label} in view ({count})"),
        _ => format!("{label} in view"),
    };
    let sides = ["x_min", "y_min", "x_max", "y_max"];
    let sides = best.map(|(_, object)| sides.into_iter().zip(object.rect));
    Event {
        attrs: sides
            .into_iter()
            .flatten()
            .map(|(name, side)| (name.to_owned(), AttrValue::Float(side.into())))
            .collect(),
        kind: KIND.to_owned(),
        label: label.to_owned(),
        message,
        state,
        confidence: best.map(|(_, object)| object.score.into()),
        value: Some(best.map_or(0.0, |(count, _)| count as f64)),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objects(classes: &[usize]) -> Vec<Detection> {
        let object = |&class| Detection {
            class,
            score: 0.8,
            rect: [0.0, 0.0, 0.5, 0.5],
        };
        classes.iter().map(object).collect()
    }

    fn told(presence: &mut Presence, classes: &[usize], time: u64) -> Vec<(String, State)> {
        let labels = Labels::coco();
        presence
            .update(&objects(classes), time, 100, &labels)
            .into_iter()
            .map(|event| (event.message, event.state))
            .collect()
    }

    #[test]
    fn a_class_comes_lasts_and_goes() {
        let mut presence = Presence::default();
        assert_eq!(told(&mut presence, &[0], 0), []);
        assert_eq!(told(&mut presence, &[0], 50), []);
        assert_eq!(
            told(&mut presence, &[2, 0, 0], 100),
            [("person in view (2)".to_owned(), State::Start)]
        );
        assert_eq!(
            told(&mut presence, &[0], 150),
            [("person in view".to_owned(), State::Ongoing)]
        );
        // Missed for a while.
        assert_eq!(
            told(&mut presence, &[], 250),
            [("person in view".to_owned(), State::Ongoing)]
        );
        assert_eq!(
            told(&mut presence, &[], 251),
            [("person out of view".to_owned(), State::End)]
        );
        assert_eq!(told(&mut presence, &[], 252), []);
    }

    #[test]
    fn what_flickers_is_not_in_view() {
        let mut presence = Presence::default();
        for step in 0..20 {
            let seen: &[usize] = if step % 3 == 2 { &[] } else { &[5] };
            assert_eq!(told(&mut presence, seen, step * 40), []);
        }
        assert!(presence.finish(&Labels::coco()).is_empty());
    }

    #[test]
    fn without_a_duration_each_frame_counts() {
        let mut presence = Presence::default();
        let labels = Labels::coco();
        let mut states = Vec::new();
        for (time, classes) in [&[0][..], &[0], &[], &[], &[0]].into_iter().enumerate() {
            let events = presence.update(&objects(classes), time as u64, 0, &labels);
            states.extend(events.into_iter().map(|event| event.state));
        }
        assert_eq!(states, [State::Start, State::Ongoing, State::End, State::Start]);
        let ends = presence.finish(&labels);
        assert_eq!((ends.len(), ends[0].state, ends[0].value), (1, State::End, Some(0.0)));
    }

    proptest! {
        #[test]
        fn starts_and_ends_take_turns(frames in prop::collection::vec((prop::collection::vec(0..4usize, 0..5), 0..80u64), 1..60)) {
            let labels = Labels::coco();
            let mut presence = Presence::default();
            let mut active = [false; 4];
            let mut time = 0;
            let mut events = Vec::new();
            for (classes, step) in &frames {
                time += step;
                events.extend(presence.update(&objects(classes), time, 100, &labels));
            }
            events.extend(presence.finish(&labels));
            for event in events {
                let class = labels.index(&event.label).unwrap();
                match event.state {
                    State::Start => prop_assert!(!std::mem::replace(&mut active[class], true)),
                    State::End => prop_assert!(std::mem::replace(&mut active[class], false)),
                    _ => prop_assert!(active[class]),
                }
            }
            prop_assert_eq!(active, [false; 4]);
        }
    }
}
