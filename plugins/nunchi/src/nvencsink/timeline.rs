//! One time line for the file, whatever the times of what comes in do.

use gst::ClockTime;

/// Clocks jitter, and decoders give a time twice: so little back is no jump. The frame comes a moment after the last one, and those behind it
/// stay where they are, so that picture and sound do not drift apart.
const JITTER: ClockTime = ClockTime::from_mseconds(200);
const MOMENT: ClockTime = ClockTime::from_useconds(1);

/// What is common to all pads: a seek that flushes begins running time anew, and the file goes on where it was.
#[derive(Debug, Default)]
pub struct Shared {
    /// Added to running time.
    base: ClockTime,
    /// Where the last frame of any pad ends.
    end: ClockTime,
    /// The flush that `base` is of.
    flush: Option<gst::Seqnum>,
}

impl Shared {
    /// A pad was flushed and its running time begins at zero again. The same flush on another pad changes nothing.
    pub fn flushed(&mut self, flush: gst::Seqnum) {
        if self.flush.replace(flush) != Some(flush) {
            self.base = self.end;
        }
    }
}

/// The frames of one pad.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Added to what the shared time line says, since time went back.
    shift: ClockTime,
    /// Start and end of the last frame.
    last: Option<(ClockTime, ClockTime)>,
}

/// Where a frame is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub start: ClockTime,
    /// Time went back, and this frame was put behind the last one.
    pub back: bool,
}

impl Timeline {
    /// The place of a frame. `running`: its running time, `None` if it has no timestamp: then it follows the last one. `duration`: its own or that
    /// of its frame rate. Frames never share a time.
    pub fn place(&mut self, shared: &mut Shared, running: Option<ClockTime>, duration: Option<ClockTime>) -> Placed {
        let length = duration.filter(|length| !length.is_zero());
        let mut back = false;
        let follows = self.last.map(|(_, end)| end);
        let wanted = running.map(|running| shared.base.saturating_add(self.shift).saturating_add(running));
        let start = match (wanted, self.last) {
            (Some(wanted), Some((last, _))) if wanted <= last && last.saturating_sub(wanted) <= JITTER => {
                last.saturating_add(MOMENT)
            }
            (Some(wanted), Some((last, end))) if wanted <= last => {
                back = true;
                self.shift = self.shift.saturating_add(end.saturating_sub(wanted));
                end
            }
            (Some(wanted), _) => wanted,
            (None, _) => follows.unwrap_or(shared.base),
        };
        let end = start.saturating_add(length.unwrap_or(ClockTime::from_mseconds(1)));
        self.last = Some((start, end));
        shared.end = shared.end.max(end);
        Placed { start, back }
    }

    /// The pad was flushed: its times are as they come.
    pub fn flushed(&mut self) {
        self.shift = ClockTime::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: ClockTime = ClockTime::from_mseconds(40);

    fn ms(ms: u64) -> ClockTime {
        ClockTime::from_mseconds(ms)
    }

    fn place(line: &mut Timeline, shared: &mut Shared, at: Option<u64>) -> u64 {
        line.place(shared, at.map(ms), Some(FRAME)).start.mseconds()
    }

    #[test]
    fn times_forward_are_kept() {
        let (mut shared, mut line) = (Shared::default(), Timeline::default());
        for at in [0, 40, 80, 5000, 5001] {
            assert_eq!(place(&mut line, &mut shared, Some(at)), at);
        }
    }

    #[test]
    fn times_back_go_on_from_the_last() {
        let (mut shared, mut line) = (Shared::default(), Timeline::default());
        assert_eq!(place(&mut line, &mut shared, Some(1000)), 1000);
        assert!(line.place(&mut shared, Some(ms(0)), Some(FRAME)).back);
        assert_eq!(place(&mut line, &mut shared, Some(40)), 1080);
    }

    #[test]
    fn a_little_back_moves_nothing_else() {
        let (mut shared, mut line) = (Shared::default(), Timeline::default());
        for at in [0, 40, 80] {
            place(&mut line, &mut shared, Some(at));
        }
        for at in [80, 79, 40] {
            let placed = line.place(&mut shared, Some(ms(at)), Some(FRAME));
            assert_eq!((placed.start.mseconds(), placed.back), (80, false));
        }
        assert_eq!(place(&mut line, &mut shared, Some(120)), 120);
    }

    #[test]
    fn frames_without_a_time_follow_the_last() {
        let (mut shared, mut line) = (Shared::default(), Timeline::default());
        for at in [0, 40, 80] {
            assert_eq!(place(&mut line, &mut shared, None), at);
        }
        assert_eq!(place(&mut line, &mut shared, Some(1000)), 1000);
        let bare = line.place(&mut shared, None, None);
        assert_eq!((bare.start, bare.back), (ms(1040), false));
        assert_eq!(line.place(&mut shared, None, Some(ClockTime::ZERO)).start, ms(1041));
    }

    #[test]
    fn a_flush_on_two_pads_moves_both_by_the_same() {
        let (mut shared, mut video, mut audio) = (Shared::default(), Timeline::default(), Timeline::default());
        place(&mut video, &mut shared, Some(960));
        place(&mut audio, &mut shared, Some(900));
        let seek = gst::Seqnum::next();
        shared.flushed(seek);
        video.flushed();
        assert_eq!(place(&mut video, &mut shared, Some(0)), 1000);
        shared.flushed(seek);
        audio.flushed();
        assert_eq!(place(&mut audio, &mut shared, Some(20)), 1020);
        shared.flushed(gst::Seqnum::next());
        video.flushed();
        assert_eq!(place(&mut video, &mut shared, Some(0)), 1060);
    }

    proptest! {
        #[test]
        fn places_only_grow(steps in prop::collection::vec((prop::option::of(0_u64..1 << 50), prop::option::of(0_u64..1_000_000_000), any::<bool>()), 1..60)) {
            let (mut shared, mut line) = (Shared::default(), Timeline::default());
            let mut last = None;
            for (at, duration, flush) in steps {
                if flush {
                    shared.flushed(gst::Seqnum::next());
                    line.flushed();
                }
                let placed = line.place(&mut shared, at.map(ClockTime::from_nseconds), duration.map(ClockTime::from_nseconds));
                // Beyond all times there is no order any more.
                prop_assume!(placed.start < ClockTime::from_nseconds(u64::MAX / 2));
                prop_assert!(last.is_none_or(|last| placed.start > last));
                last = Some(placed.start);
            }
        }
    }
}
