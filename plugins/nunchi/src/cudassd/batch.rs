//! One network for the frames of one or more elements, several at once.
//!
//! Elements with the same `batch-group` share a [`Network`]. A frame is put in the open batch when it comes; the one that fills the batch has it read. An
//! element that needs a result before that has the batch read as it is: nobody waits for another's frames. Those that nobody needs, as behind a live source
//! that has stopped, are read when the first of them has waited for `batch-timeout`; a [`Watch`] sees to that.

use nunchi_inference::engine::{EngineError, EngineKind, EngineOptions, ModelSource};
use nunchi_inference::frame::FrameView;
use nunchi_inference::ssd::{Detection, Detector, Labels, Limits, Setup};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a watch waits at a time, so that it sees when it is to stop.
const LOOK: Duration = Duration::from_millis(20);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a network is made from, and what elements of a group must agree on.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub model: ModelSource,
    pub options: EngineOptions,
    pub setup: Setup,
    pub timeout: Duration,
}

impl Plan {
    fn load(&self, on_cpu: bool) -> Result<Detector, EngineError> {
        let options = if on_cpu {
            self.options.on_cpu()
        } else {
            self.options.clone()
        };
        Detector::load(&self.model, &options, &self.setup)
    }
}

/// Groups that somebody is in.
static GROUPS: LazyLock<Mutex<HashMap<String, Weak<Network>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Ticket(u64);

/// A frame in the open batch.
struct Waiting {
    ticket: Ticket,
    size: (u32, u32),
    limits: Limits,
    /// Nobody wants it any more.
    dropped: bool,
}

struct State {
    detector: Detector,
    on_cpu: bool,
    open: Vec<Waiting>,
    /// When the first frame came into the open batch.
    since: Option<Instant>,
    read: BTreeMap<Ticket, Result<Vec<Detection>, EngineError>>,
    last: Ticket,
}

impl State {
    /// Reads the open batch.
    fn run(&mut self) {
        let batch = std::mem::take(&mut self.open);
        self.since = None;
        if batch.is_empty() {
            return;
        }
        let pictures: Vec<_> = batch.iter().map(|frame| (frame.size, &frame.limits)).collect();
        let result = self
            .detector
            .submit(0)
            .and_then(|()| self.detector.finish_each(0, &pictures));
        let results: Vec<Result<_, _>> = match result {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => {
                self.detector.clear();
                batch.iter().map(|_| Err(error.clone())).collect()
            }
        };
        let wanted = batch.iter().zip(results).filter(|(frame, _)| !frame.dropped);
        self.read.extend(wanted.map(|(frame, result)| (frame.ticket, result)));
    }
}

/// A network that elements share.
pub struct Network {
    plan: Plan,
    state: Mutex<State>,
    changed: Condvar,
}

impl Network {
    fn new(plan: Plan, on_cpu: bool) -> Result<Arc<Self>, EngineError> {
        let detector = plan.load(on_cpu)?;
        Ok(Arc::new(Self {
            plan,
            state: Mutex::new(State {
                detector,
                on_cpu,
                open: Vec::new(),
                since: None,
                read: BTreeMap::new(),
                last: Ticket(0),
            }),
            changed: Condvar::new(),
        }))
    }
}

/// An element's part in a network.
pub struct Member {
    network: Arc<Network>,
    /// Frames of this element, by slot.
    slots: Vec<Option<Ticket>>,
}

impl Member {
    /// Joins the group, or makes its network; an empty name shares with nobody.
    ///
    /// # Errors
    /// As [`Detector::load`], and where the group has another network.
    pub fn join(group: &str, plan: &Plan, on_cpu: bool) -> Result<Self, EngineError> {
        let network = if group.is_empty() {
            Network::new(plan.clone(), on_cpu)?
        } else {
            // Held while the network is loaded, so that two elements that start together load it once.
            let mut groups = lock(&GROUPS);
            groups.retain(|_, network| network.strong_count() > 0);
            match groups.get(group).and_then(Weak::upgrade) {
                Some(network) if network.plan == *plan => network,
                Some(_) => {
                    return Err(EngineError::Conflict {
                        engine: "cudassd".to_owned(),
                        what: format!("batch-group={group} has a network with other settings"),
                        remedy: "give all its elements the same model, labels, engine, preprocessing and batch, or another group"
                            .to_owned(),
                    });
                }
                None => {
                    let network = Network::new(plan.clone(), on_cpu)?;
                    groups.insert(group.to_owned(), Arc::downgrade(&network));
                    network
                }
            }
        };
        let mut member = Self {
            network,
            slots: Vec::new(),
        };
        let batch = member.with(|detector| detector.batch());
        member.slots = vec![None; batch];
        Ok(member)
    }

    fn with<T>(&self, look: impl FnOnce(&Detector) -> T) -> T {
        look(&lock(&self.network.state).detector)
    }

    pub fn engine(&self) -> (EngineKind, String) {
        self.with(|detector| (detector.engine(), detector.device().to_owned()))
    }

    pub fn note(&self) -> Option<String> {
        self.with(|detector| detector.note().map(str::to_owned))
    }

    pub fn labels(&self) -> Labels {
        self.with(|detector| detector.labels().clone())
    }

    pub fn default_limits(&self) -> Limits {
        self.with(Detector::default_limits)
    }

    /// Frames that can be under way.
    pub fn depth(&self) -> usize {
        self.slots.len()
    }

    /// Moves the network to the CPU, unless another member has. What is under way is lost.
    pub fn move_to_cpu(&mut self) -> Result<(), EngineError> {
        let mut state = lock(&self.network.state);
        if !state.on_cpu {
            let detector = self.network.plan.load(true)?;
            state.detector = detector;
            state.on_cpu = true;
            let lost: Vec<_> = state.open.drain(..).collect();
            state.since = None;
            let error = EngineError::Inference {
                engine: state.detector.engine(),
                reason: "the frame was lost with the device".to_owned(),
            };
            for frame in lost.into_iter().filter(|frame| !frame.dropped) {
                state.read.insert(frame.ticket, Err(error.clone()));
            }
        }
        drop(state);
        self.network.changed.notify_all();
        self.clear();
        Ok(())
    }

    /// Puts a frame in the open batch. The last one has it read.
    pub fn submit(&mut self, slot: usize, view: &FrameView<'_>, limits: Limits) -> Result<(), EngineError> {
        limits.check()?;
        let mut state = lock(&self.network.state);
        let state = &mut *state;
        let index = state.open.len();
        state.detector.fill(0, index, view)?;
        state.last.0 += 1;
        let ticket = state.last;
        state.open.push(Waiting {
            ticket,
            size: (view.width(), view.height()),
            limits,
            dropped: false,
        });
        state.since.get_or_insert_with(Instant::now);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(ticket);
        }
        if state.open.len() >= state.detector.batch() {
            state.run();
        }
        self.network.changed.notify_all();
        Ok(())
    }

    /// Whether the frame in that slot is read.
    pub fn is_complete(&self, slot: usize) -> bool {
        let ticket = self.slots.get(slot).copied().flatten();
        ticket.is_none_or(|ticket| lock(&self.network.state).read.contains_key(&ticket))
    }

    /// What is in the frame that was submitted in that slot. Where it is not read yet, the open batch is read.
    pub fn finish(&mut self, slot: usize) -> Result<Vec<Detection>, EngineError> {
        let Some(ticket) = self.slots.get_mut(slot).and_then(Option::take) else {
            return Err(EngineError::Inference {
                engine: self.engine().0,
                reason: format!("nothing was put in slot {slot}"),
            });
        };
        let mut state = lock(&self.network.state);
        if !state.read.contains_key(&ticket) {
            state.run();
            self.network.changed.notify_all();
        }
        let read = state.read.remove(&ticket);
        read.unwrap_or_else(|| {
            Err(EngineError::Inference {
                engine: state.detector.engine(),
                reason: "the frame was lost with its batch".to_owned(),
            })
        })
    }

    /// Drops what is under way.
    pub fn clear(&mut self) {
        let mut state = lock(&self.network.state);
        for ticket in self.slots.iter_mut().filter_map(Option::take) {
            drop_frame(&mut state, ticket);
        }
    }

    /// For a thread that looks after frames that nobody needs yet: see [`Watch::wait`].
    pub fn watch(&self) -> Watch {
        Watch {
            network: Arc::downgrade(&self.network),
        }
    }
}

fn drop_frame(state: &mut State, ticket: Ticket) {
    state.read.remove(&ticket);
    if let Some(frame) = state.open.iter_mut().find(|frame| frame.ticket == ticket) {
        frame.dropped = true;
    }
    if state.open.iter().all(|frame| frame.dropped) {
        state.open.clear();
        state.since = None;
        state.detector.clear();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Looks after the frames of a batch that nobody fills.
pub struct Watch {
    network: Weak<Network>,
}

impl Watch {
    /// Has the open batch read when its first frame has waited for the time-out. Waits for that for a moment, and says whether there is something
    /// that was read; `None` when the network is gone.
    pub fn wait(&self) -> Option<bool> {
        let network = self.network.upgrade()?;
        let mut state = lock(&network.state);
        let timeout = network.plan.timeout;
        let left = state.since.map(|since| timeout.saturating_sub(since.elapsed()));
        match left {
            Some(Duration::ZERO) => {
                state.run();
                network.changed.notify_all();
            }
            left => {
                let wait = left.unwrap_or(LOOK).min(LOOK);
                (state, _) = network
                    .changed
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        Some(!state.read.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nunchi_inference::frame::{PixelFormat, Plane};
    use std::path::Path;

    const NEVER: Duration = Duration::from_secs(3600);

    fn plan(batch: u32, timeout: Duration) -> Plan {
        Plan {
            model: ModelSource::File(
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../inference/tests/data/ssd/nms-tf.onnx"),
            ),
            options: EngineOptions {
                kind: EngineKind::Embedded,
                batch,
                ..EngineOptions::default()
            },
            setup: Setup::default(),
            timeout,
        }
    }

    fn submit(member: &mut Member, slot: usize) {
        let pixels = [99; 64 * 32];
        let planes = [Plane {
            data: &pixels,
            stride: 64,
        }];
        let (matrix, range) = Default::default();
        let view = FrameView::new(PixelFormat::Gray8, 64, 32, &planes, matrix, range).unwrap();
        let limits = member.default_limits();
        member.submit(slot, &view, limits).unwrap();
    }

    fn joined(group: &str, batch: u32, timeout: Duration) -> Member {
        Member::join(group, &plan(batch, timeout), false).unwrap()
    }

    #[test]
    fn the_last_frame_of_a_batch_has_it_read() {
        let mut member = joined("", 2, NEVER);
        assert_eq!(member.depth(), 2);
        submit(&mut member, 0);
        assert!(!member.is_complete(0));
        submit(&mut member, 1);
        assert!(member.is_complete(0) && member.is_complete(1));
        member.finish(1).unwrap();
        member.finish(0).unwrap();
        assert!(member.finish(0).unwrap_err().to_string().contains("slot 0"));
    }

    #[test]
    fn who_is_alone_waits_for_nobody() {
        let mut member = joined("", 4, NEVER);
        submit(&mut member, 0);
        member.finish(0).unwrap();
        // A flush in the middle of a batch.
        submit(&mut member, 1);
        submit(&mut member, 2);
        member.clear();
        assert!(member.finish(1).is_err());
        for slot in [3, 0, 1] {
            submit(&mut member, slot);
            assert!(!member.is_complete(slot));
        }
        submit(&mut member, 2);
        for slot in [3, 0, 1, 2] {
            assert!(member.is_complete(slot));
            member.finish(slot).unwrap();
        }
    }

    #[test]
    fn members_of_a_group_fill_the_batch_together() {
        let mut first = joined("together", 2, NEVER);
        let mut second = joined("together", 2, NEVER);
        assert!(Arc::ptr_eq(&first.network, &second.network));
        submit(&mut first, 0);
        submit(&mut second, 0);
        assert!(first.is_complete(0) && second.is_complete(0));
        first.finish(0).unwrap();
        // What is left of one is not the other's.
        first.clear();
        second.finish(0).unwrap();
        assert!(lock(&first.network.state).read.is_empty());
    }

    #[test]
    fn nobody_waits_for_anothers_frames() {
        let mut first = joined("impatient", 4, NEVER);
        let mut second = joined("impatient", 4, NEVER);
        submit(&mut first, 0);
        submit(&mut second, 0);
        first.finish(0).unwrap();
        assert!(second.is_complete(0), "it was in the same batch");
        second.finish(0).unwrap();
        submit(&mut first, 0);
        submit(&mut second, 0);
        drop(second);
        first.finish(0).unwrap();
    }

    #[test]
    fn a_batch_that_nobody_fills_is_read_in_time() {
        let mut member = joined("", 4, Duration::from_millis(1));
        let watch = member.watch();
        assert_eq!(watch.wait(), Some(false));
        submit(&mut member, 0);
        let begun = Instant::now();
        while watch.wait() != Some(true) {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
        assert!(member.is_complete(0));
        member.finish(0).unwrap();
        drop(member);
        assert_eq!(watch.wait(), None);
    }

    #[test]
    fn a_group_has_one_network_as_long_as_somebody_is_in_it() {
        let first = joined("one", 2, NEVER);
        let error = Member::join("one", &plan(3, NEVER), false).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("batch-group=one"), "{error}");
        drop(first);
        assert_eq!(joined("one", 3, NEVER).depth(), 3);
    }

    #[test]
    fn what_is_under_way_is_lost_with_the_device() {
        let mut first = joined("lost", 2, NEVER);
        let mut second = joined("lost", 2, NEVER);
        submit(&mut first, 0);
        second.move_to_cpu().unwrap();
        assert!(first.finish(0).unwrap_err().to_string().contains("lost"));
        // It is there already.
        first.move_to_cpu().unwrap();
        submit(&mut first, 0);
        submit(&mut second, 0);
        first.finish(0).unwrap();
        second.finish(0).unwrap();
    }
}
