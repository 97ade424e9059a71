//! What waits to be encoded: bounded, with a rule for what happens when more comes than goes.

use std::collections::VecDeque;

use super::settings::DropPolicy;

/// Something that waits. Only frames count against the bounds and may be dropped.
pub trait Waiting {
    /// Of a frame; `None` for what must not be lost, such as events.
    fn bytes(&self) -> Option<usize>;
}

/// Bounds on what waits. Zero is no bound. A single frame always has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub buffers: usize,
    pub bytes: usize,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Offered<T> {
    Taken {
        /// Frames that went for it.
        dropped: usize,
        /// The next frame to be taken must be encoded without reference to those before.
        key_frame: bool,
    },
    /// The newest is what goes.
    Dropped,
    /// There is no room now; it comes back.
    Full(T),
}

/// Frames and what came between them, in order.
#[derive(Debug)]
pub struct Backlog<T> {
    items: VecDeque<T>,
    buffers: usize,
    bytes: usize,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            buffers: 0,
            bytes: 0,
        }
    }
}

impl<T: Waiting> Backlog<T> {
    /// Frames that wait.
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// Bytes of the frames that wait.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is next.
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn has_room(&self, bytes: usize, bounds: &Bounds) -> bool {
        let buffers = bounds.buffers == 0 || self.buffers < bounds.buffers;
        let bytes = bounds.bytes == 0 || self.bytes.saturating_add(bytes) <= bounds.bytes;
        self.buffers == 0 || buffers && bytes
    }

    /// Puts it at the end, or does what `policy` says where there is no room. `pressed`: memory is short, so that there is room for one frame
    /// only, whatever the bounds are.
    pub fn offer(&mut self, item: T, policy: DropPolicy, bounds: &Bounds, pressed: bool) -> Offered<T> {
        let Some(bytes) = item.bytes() else {
            self.items.push_back(item);
            return Offered::Taken {
                dropped: 0,
                key_frame: false,
            };
        };
        let tight = Bounds { buffers: 1, bytes: 0 };
        let bounds = if pressed { &tight } else { bounds };
        let (mut dropped, mut key_frame) = (0, false);
        if !self.has_room(bytes, bounds) {
            match policy {
                DropPolicy::Block | DropPolicy::Auto => return Offered::Full(item),
                DropPolicy::DropNewest => return Offered::Dropped,
                DropPolicy::DropOldest => {
                    while !self.has_room(bytes, bounds) && self.drop_oldest() {
                        dropped += 1;
                    }
                }
                DropPolicy::SkipToKeyframe => {
                    while self.drop_oldest() {
                        dropped += 1;
                    }
                    key_frame = true;
                }
            }
        }
        self.buffers += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.items.push_back(item);
        Offered::Taken { dropped, key_frame }
    }

    /// The frame that waits longest; what is not a frame stays. False if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((index, bytes)) = self
            .items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some((index, item.bytes()?)))
        else {
            return false;
        };
        self.items.remove(index);
        self.buffers -= 1;
        self.bytes -= bytes;
        true
    }

    pub fn take(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if let Some(bytes) = item.bytes() {
            self.buffers -= 1;
            self.bytes -= bytes;
        }
        Some(item)
    }

    /// Everything, in order.
    pub fn clear(&mut self) -> impl Iterator<Item = T> + use<T> {
        (self.buffers, self.bytes) = (0, 0);
        std::mem::take(&mut self.items).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Thing {
        Frame(usize, usize),
        Event(usize),
    }

    impl Waiting for Thing {
        fn bytes(&self) -> Option<usize> {
            match self {
                Self::Frame(_, bytes) => Some(*bytes),
                Self::Event(_) => None,
            }
        }
    }

    fn bounds(buffers: usize, bytes: usize) -> Bounds {
        Bounds { buffers, bytes }
    }

    fn filled(frames: usize) -> Backlog<Thing> {
        let mut backlog = Backlog::default();
        for number in 0..frames {
            backlog.offer(Thing::Frame(number, 10), DropPolicy::Block, &bounds(0, 0), false);
        }
        backlog
    }

    #[test]
    fn blocking_gives_the_frame_back() {
        let mut backlog = filled(3);
        let frame = Thing::Frame(9, 10);
        assert_eq!(
            backlog.offer(frame, DropPolicy::Block, &bounds(3, 0), false),
            Offered::Full(frame)
        );
        assert_eq!(
            backlog.offer(frame, DropPolicy::Block, &bounds(0, 39), false),
            Offered::Full(frame)
        );
        assert!(matches!(
            backlog.offer(frame, DropPolicy::Block, &bounds(4, 40), false),
            Offered::Taken { dropped: 0, .. }
        ));
    }

    #[test]
    fn each_policy_drops_what_its_name_says() {
        let numbers = |backlog: &mut Backlog<Thing>| -> Vec<usize> {
            let frame = |thing| match thing {
                Thing::Frame(number, _) => Some(number),
                Thing::Event(_) => None,
            };
            backlog.clear().filter_map(frame).collect()
        };
        let frame = Thing::Frame(9, 10);
        let mut newest = filled(3);
        assert_eq!(
            newest.offer(frame, DropPolicy::DropNewest, &bounds(3, 0), false),
            Offered::Dropped
        );
        assert_eq!(numbers(&mut newest), [0, 1, 2]);
        let mut oldest = filled(3);
        let taken = Offered::Taken {
            dropped: 1,
            key_frame: false,
        };
        assert_eq!(oldest.offer(frame, DropPolicy::DropOldest, &bounds(3, 0), false), taken);
        assert_eq!(numbers(&mut oldest), [1, 2, 9]);
        let mut skip = filled(3);
        let taken = Offered::Taken {
            dropped: 3,
            key_frame: true,
        };
        assert_eq!(
            skip.offer(frame, DropPolicy::SkipToKeyframe, &bounds(3, 0), false),
            taken
        );
        assert_eq!(numbers(&mut skip), [9]);
    }

    #[test]
    fn a_frame_larger_than_the_bound_has_room_when_it_is_alone() {
        let mut backlog = Backlog::default();
        let large = Thing::Frame(0, 1000);
        for policy in [DropPolicy::Block, DropPolicy::DropOldest] {
            assert!(matches!(
                backlog.offer(large, policy, &bounds(1, 10), false),
                Offered::Taken { .. }
            ));
            assert_eq!(backlog.take(), Some(large));
        }
        backlog.offer(large, DropPolicy::Block, &bounds(0, 10), false);
        assert_eq!(
            backlog.offer(large, DropPolicy::DropOldest, &bounds(0, 10), false),
            Offered::Taken {
                dropped: 1,
                key_frame: false
            }
        );
    }

    #[test]
    fn short_memory_leaves_room_for_one() {
        let mut backlog = filled(1);
        let frame = Thing::Frame(9, 10);
        assert_eq!(
            backlog.offer(frame, DropPolicy::Block, &bounds(60, 0), true),
            Offered::Full(frame)
        );
        assert_eq!(
            backlog.offer(frame, DropPolicy::DropNewest, &bounds(60, 0), true),
            Offered::Dropped
        );
        backlog.take();
        assert!(matches!(
            backlog.offer(frame, DropPolicy::Block, &bounds(60, 0), true),
            Offered::Taken { .. }
        ));
    }

    fn policies() -> impl Strategy<Value = DropPolicy> {
        prop::sample::select(vec![
            DropPolicy::Block,
            DropPolicy::DropNewest,
            DropPolicy::DropOldest,
            DropPolicy::SkipToKeyframe,
        ])
    }

    proptest! {
        /// Nothing is lost that is not counted, order stays, events are never lost, and no bound is passed.
        #[test]
        fn in_is_out_plus_dropped(
            policy in policies(),
            (most, bytes) in (0_usize..6, 0_usize..60),
            steps in prop::collection::vec((0_u8..4, 1_usize..30, any::<bool>()), 0..200),
        ) {
            let bounds = bounds(most, bytes);
            let mut backlog = Backlog::default();
            let (mut frames, mut dropped, mut back, mut events) = (0, 0, 0, 0);
            let (mut out, mut events_out) = (Vec::new(), 0);
            for (number, (what, size, pressed)) in steps.into_iter().enumerate() {
                match what {
                    0 => match backlog.take() {
                        Some(Thing::Frame(number, _)) => out.push(number),
                        Some(Thing::Event(_)) => events_out += 1,
                        None => {}
                    },
                    1 => {
                        events += 1;
                        backlog.offer(Thing::Event(number), policy, &bounds, pressed);
                    }
                    _ => {
                        frames += 1;
                        match backlog.offer(Thing::Frame(number, size), policy, &bounds, pressed) {
                            Offered::Taken { dropped: gone, .. } => dropped += gone,
                            Offered::Dropped => dropped += 1,
                            Offered::Full(frame) => {
                                prop_assert_eq!(policy, DropPolicy::Block);
                                prop_assert_eq!(frame, Thing::Frame(number, size));
                                back += 1;
                            }
                        }
                    }
                }
                prop_assert!(most == 0 || backlog.buffers() <= most.max(1));
                prop_assert!(bytes == 0 || backlog.buffers() <= 1 || backlog.bytes() <= bytes);
            }
            let waiting = backlog.buffers();
            prop_assert_eq!(frames, out.len() + dropped + back + waiting);
            prop_assert!(out.is_sorted());
            events_out += backlog.clear().filter(|thing| matches!(thing, Thing::Event(_))).count();
            prop_assert_eq!(events, events_out);
            prop_assert!(policy != DropPolicy::Block || dropped == 0);
        }
    }
}
