//! Which event captions are on the screen.

/// Captions on the screen at a time; a new one pushes the oldest out.
pub const MAX_LINES: usize = 4;

/// One line at the bottom of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Type of the event.
    pub kind: String,
    pub message: String,
    /// What the event is about: the next event about the same replaces the line.
    key: String,
    /// Running time when it was last renewed; `None` for one that no time is known of: it shows in its own frame only.
    since: Option<u64>,
}

/// The captions, oldest first. Times are running times in nanoseconds.
#[derive(Debug, Default)]
pub struct Captions {
    lines: Vec<Caption>,
    now: Option<u64>,
}

impl Captions {
    /// Goes on to a frame and drops what is older than `duration`. A frame without time counts as one at the last known.
    pub fn advance(&mut self, time: Option<u64>, duration: u64) {
        self.now = time.or(self.now);
        let now = self.now;
        self.lines.retain(|line| match (line.since, now) {
            (Some(since), Some(now)) => now == since || now.checked_sub(since).is_some_and(|age| age < duration),
            _ => false,
        });
    }

    /// Shows an event of the current frame. An event about the same thing as a line that is shown renews that line where it
    /// stands, so that a condition that lasts does not fill the screen.
    pub fn show(&mut self, key: String, kind: String, message: String) {
        let caption = Caption {
            kind,
            message,
            key,
            since: self.now,
        };
        if let Some(line) = self.lines.iter_mut().find(|line| line.key == caption.key) {
            *line = caption;
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.lines.remove(0);
        }
        self.lines.push(caption);
    }

    /// Forgets everything: the stream starts anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is on the screen, oldest first.
    pub fn lines(&self) -> &[Caption] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(captions: &Captions) -> Vec<&str> {
        captions.lines().iter().map(|line| line.message.as_str()).collect()
    }

    fn show(captions: &mut Captions, key: &str, message: &str) {
        captions.show(key.into(), "kind".into(), message.into());
    }

    #[test]
    fn a_caption_lasts_for_the_duration_and_not_longer() {
        let mut captions = Captions::default();
        captions.advance(Some(100), 10);
        show(&mut captions, "a", "first");
        captions.advance(Some(109), 10);
        assert_eq!(shown(&captions), ["first"]);
        captions.advance(Some(110), 10);
        assert!(shown(&captions).is_empty());
    }

    #[test]
    fn an_event_about_the_same_renews_its_line_in_place() {
        let mut captions = Captions::default();
        captions.advance(Some(0), 10);
        show(&mut captions, "a", "one");
        show(&mut captions, "b", "two");
        captions.advance(Some(8), 10);
        show(&mut captions, "a", "three");
        assert_eq!(shown(&captions), ["three", "two"]);
        captions.advance(Some(12), 10);
        assert_eq!(shown(&captions), ["three"]);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut captions = Captions::default();
        captions.advance(Some(0), 10);
        for name in ["a", "b", "c", "d", "e"] {
            show(&mut captions, name, name);
        }
        assert_eq!(shown(&captions), ["b", "c", "d", "e"]);
    }

    #[test]
    fn without_any_time_a_caption_shows_once() {
        let mut captions = Captions::default();
        captions.advance(None, 10);
        show(&mut captions, "a", "one");
        assert_eq!(shown(&captions), ["one"]);
        captions.advance(None, 10);
        assert!(shown(&captions).is_empty());
    }

    #[test]
    fn a_frame_without_time_counts_as_the_last_one() {
        let mut captions = Captions::default();
        captions.advance(Some(5), 10);
        show(&mut captions, "a", "one");
        captions.advance(None, 10);
        assert_eq!(shown(&captions), ["one"]);
    }

    #[test]
    fn time_that_goes_back_drops_what_is_not_yet() {
        let mut captions = Captions::default();
        captions.advance(Some(50), 10);
        show(&mut captions, "a", "one");
        captions.advance(Some(49), 10);
        assert!(shown(&captions).is_empty());
    }

    #[test]
    fn a_duration_of_zero_shows_one_frame() {
        let mut captions = Captions::default();
        captions.advance(Some(5), 0);
        show(&mut captions, "a", "one");
        captions.advance(Some(5), 0);
        assert_eq!(shown(&captions), ["one"]);
        captions.advance(Some(6), 0);
        assert!(shown(&captions).is_empty());
    }
}
