//! One network for the frames of one or more elements, several at once.
//!
//! Elements with the same `batch-group` share a [`Network`]. A frame is put in the open batch when it comes; the one that fills the batch has it read. An
//! element that needs a result before that has the batch read as it is: nobody waits for another's frames. Those that nobody needs, as behind a live source
//! that has stopped, are read when the first of them has waited for `batch-timeout`; a [`Watch`] sees to that.

use nunchi_inference::engine::{EngineError, EngineKind, EngineOptions, ModelSource};
use nunchi_inference::frame::Pixels;
use nunchi_inference::ssd::{Detection, Detector, Labels, Limits, Pictures, Setup};
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
    fn load(&self, batch: u32, on_cpu: bool) -> Result<Detector, EngineError> {
        let options = if on_cpu {
            self.options.on_cpu()
        } else {
            self.options.clone()
        };
        Detector::load(&self.model, &EngineOptions { batch, ..options }, &self.setup)
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

/// Loads the network for batches of that size, on the CPU or where it was wanted.
type Load = Box<dyn Fn(u32, bool) -> Result<Detector, EngineError> + Send + Sync>;

type Found = Result<Vec<Detection>, EngineError>;

struct State {
    /// Or why there is none any more.
    detector: Result<Detector, EngineError>,
    on_cpu: bool,
    open: Vec<Waiting>,
    /// When the first frame came into the open batch.
    since: Option<Instant>,
    read: BTreeMap<Ticket, Found>,
    last: Ticket,
    /// Boxes that are no numbers were told of.
    warned: bool,
    /// What is worth a warning.
    news: Option<String>,
}

/// What is in the frames, which were filled in.
fn read(detector: &mut Detector, batch: &[Waiting]) -> Result<Vec<Found>, EngineError> {
    let frames: Vec<_> = batch.iter().map(|frame| (frame.size, &frame.limits)).collect();
    let found = detector.submit(0).and_then(|()| detector.finish_each(0, &frames));
    if found.is_err() {
        detector.clear();
    }
    found
}

impl State {
    /// Reads the open batch.
    fn run(&mut self, load: &Load) {
        let batch = std::mem::take(&mut self.open);
        self.since = None;
        if batch.is_empty() {
            return;
        }
        let found = self.read_all(&batch, load);
        let wanted = batch.iter().zip(found).filter(|(frame, _)| !frame.dropped);
        self.read.extend(wanted.map(|(frame, result)| (frame.ticket, result)));
    }

    fn read_all(&mut self, batch: &[Waiting], load: &Load) -> Vec<Found> {
        let all = |error: &EngineError| batch.iter().map(|_| Err(error.clone())).collect();
        let detector = match &mut self.detector {
            Ok(detector) => detector,
            Err(error) => return all(error),
        };
        let dropped = detector.dropped();
        let found = read(detector, batch);
        let dropped = detector.dropped() - dropped;
        if dropped > 0 && !std::mem::replace(&mut self.warned, true) {
            self.news = Some(format!(
                "{dropped} boxes of the network were left out, because they or their scores are no numbers. Later ones are too, without \
                 a word; see whether the model was converted well, or use precision=f32"
            ));
        }
        match found {
            Ok(found) => found,
            Err(error @ EngineError::OutOfMemory { .. }) if detector.batch() > 1 => match detector.pictures(0) {
                Ok(pictures) => {
                    self.shrink(error, load);
                    self.read_parts(batch, &pictures, load)
                }
                Err(_) => all(&error),
            },
            Err(error) => all(&error),
        }
    }

    /// Takes batches of half the size from now on, or of less where that is still too much. The larger network goes first: it is what holds the memory.
    fn shrink(&mut self, error: EngineError, load: &Load) {
        let before = self.detector.as_ref().map_or(1, Detector::batch);
        let mut smaller = (before / 2).max(1);
        let text = error.to_string();
        self.detector = Err(error);
        loop {
            let loaded = load(u32::try_from(smaller).unwrap_or(1), self.on_cpu);
            match loaded {
                // Its tensors alone are too much.
                Err(EngineError::OutOfMemory { .. }) if smaller > 1 => smaller /= 2,
                // The model fixes its batch: nothing smaller can be had, and the error stays.
                Ok(detector) if before > 1 && detector.batch() >= before => return,
                loaded => {
                    self.detector = loaded;
                    break;
                }
            }
        }
        self.news = Some(format!(
            "{text}. Batches have {smaller} frames from now on, not {before}"
        ));
    }

    /// Reads a batch whose pictures were too many at once.
    fn read_parts(&mut self, batch: &[Waiting], pictures: &Pictures, load: &Load) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::with_capacity(batch.len());
        while all.len() < batch.len() {
            let begin = all.len();
            let rest = batch.len() - begin;
            let detector = match &mut self.detector {
                Ok(detector) => detector,
                Err(error) => {
                    all.extend((0..rest).map(|_| Err(error.clone())));
                    break;
                }
            };
            let count = detector.batch().clamp(1, rest);
            let found = (0..count)
                .try_for_each(|index| detector.put(0, index, pictures, begin + index))
                .and_then(|()| read(detector, &batch[begin..begin + count]));
            match found {
                Ok(found) => all.extend(found),
                Err(error @ EngineError::OutOfMemory { .. }) if detector.batch() > 1 => self.shrink(error, load),
                Err(error) => all.extend((0..count).map(|_| Err(error.clone()))),
            }
        }
        all
    }
}

/// A network that elements share.
pub struct Network {
    plan: Plan,
    load: Load,
    state: Mutex<State>,
    changed: Condvar,
}

impl Network {
    fn new(plan: &Plan, on_cpu: bool) -> Result<Arc<Self>, EngineError> {
        let own = plan.clone();
        Self::over(
            plan.clone(),
            Box::new(move |batch, on_cpu| own.load(batch, on_cpu)),
            on_cpu,
        )
    }

    fn over(plan: Plan, load: Load, on_cpu: bool) -> Result<Arc<Self>, EngineError> {
        let mut batch = plan.options.batch;
        let mut news = None;
        let detector = loop {
            match load(batch, on_cpu) {
                Err(error @ EngineError::OutOfMemory { .. }) if batch > 1 => {
                    batch /= 2;
                    let wanted = plan.options.batch;
                    news = Some(format!("{error}. Batches have {batch} frames, not {wanted}"));
                }
                loaded => break loaded?,
            }
        };
        Ok(Arc::new(Self {
            plan,
            load,
            state: Mutex::new(State {
                detector: Ok(detector),
                on_cpu,
                open: Vec::new(),
                since: None,
                read: BTreeMap::new(),
                last: Ticket(0),
                warned: false,
                news,
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
            Network::new(plan, on_cpu)?
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
                    let network = Network::new(plan, on_cpu)?;
                    groups.insert(group.to_owned(), Arc::downgrade(&network));
                    network
                }
            }
        };
        Self::of(network)
    }

    fn of(network: Arc<Network>) -> Result<Self, EngineError> {
        let batch = lock(&network.state).detector.as_ref().map_err(Clone::clone)?.batch();
        Ok(Self {
            network,
            slots: vec![None; batch],
        })
    }

    /// Nothing where the network is lost.
    fn with<T>(&self, look: impl FnOnce(&Detector) -> T) -> Option<T> {
        lock(&self.network.state).detector.as_ref().ok().map(look)
    }

    pub fn engine(&self) -> (EngineKind, String) {
        let engine = self.with(|detector| (detector.engine(), detector.device().to_owned()));
        engine.unwrap_or((self.network.plan.options.kind, String::new()))
    }

    pub fn note(&self) -> Option<String> {
        self.with(|detector| detector.note().map(str::to_owned)).flatten()
    }

    /// What has become worth a warning since, told to one member only.
    pub fn news(&mut self) -> Option<String> {
        lock(&self.network.state).news.take()
    }

    /// Names of the classes, and the limits of the family.
    ///
    /// # Errors
    /// The network is lost.
    pub fn knowledge(&self) -> Result<(Labels, Limits), EngineError> {
        let state = lock(&self.network.state);
        let detector = state.detector.as_ref().map_err(Clone::clone)?;
        Ok((detector.labels().clone(), detector.default_limits()))
    }

    /// Frames that can be under way.
    pub fn depth(&self) -> usize {
        self.slots.len()
    }

    /// Moves the network to the CPU, unless another member has. What is under way is lost.
    pub fn move_to_cpu(&mut self) -> Result<(), EngineError> {
        let mut state = lock(&self.network.state);
        if !state.on_cpu {
            state.detector = Ok((self.network.load)(self.network.plan.options.batch, true)?);
            state.on_cpu = true;
            let open: Vec<_> = state.open.drain(..).collect();
            state.since = None;
            let error = lost(&self.network.plan, "the frame was lost with the device");
            for frame in open.into_iter().filter(|frame| !frame.dropped) {
                state.read.insert(frame.ticket, Err(error.clone()));
            }
        }
        drop(state);
        self.network.changed.notify_all();
        self.clear();
        Ok(())
    }

    /// Whether frames in memory of a GPU are read.
    pub fn takes_device_frames(&self) -> bool {
        self.with(Detector::takes_device_frames).unwrap_or(false)
    }

    /// Puts a frame in the open batch. The last one has it read.
    pub fn submit(&mut self, slot: usize, frame: Pixels<'_>, limits: Limits) -> Result<(), EngineError> {
        limits.check()?;
        let mut state = lock(&self.network.state);
        let state = &mut *state;
        let detector = state.detector.as_mut().map_err(|error| error.clone())?;
        detector.fill(0, state.open.len(), frame)?;
        let is_full = state.open.len() + 1 >= detector.batch();
        state.last.0 += 1;
        let ticket = state.last;
        state.open.push(Waiting {
            ticket,
            size: frame.size(),
            limits,
            dropped: false,
        });
        state.since.get_or_insert_with(Instant::now);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(ticket);
        }
        if is_full {
            state.run(&self.network.load);
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
            return Err(lost(&self.network.plan, &format!("nothing was put in slot {slot}")));
        };
        let mut state = lock(&self.network.state);
        if !state.read.contains_key(&ticket) {
            state.run(&self.network.load);
            self.network.changed.notify_all();
        }
        let read = state.read.remove(&ticket);
        read.unwrap_or_else(|| Err(lost(&self.network.plan, "the frame was lost with its batch")))
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
        if let Ok(detector) = &mut state.detector {
            detector.clear();
        }
    }
}

fn lost(plan: &Plan, reason: &str) -> EngineError {
    EngineError::Inference {
        engine: plan.options.kind,
        reason: reason.to_owned(),
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
                state.run(&network.load);
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
#[path = "batch_tests.rs"]
mod tests;
