//! What an element adds to the way of a frame.

use super::{
    Engine, Options,
    attach::{Found, Pending},
};
use nunchi_events::Event;
use nunchi_inference::{
    engine::{EngineError, Interrupt},
    frame::{FrameView, Pixels},
};

/// A frame that is read.
pub struct Frame<'a> {
    pub pixels: Pixels<'a>,
    /// Where it lies, with what others have attached.
    pub buffer: &'a gst::BufferRef,
    /// Running time.
    pub time: gst::ClockTime,
    /// Frames of the stream before it.
    pub number: u64,
}

impl Frame<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.pixels.size()
    }

    /// The frame in system memory, for an analysis that [takes no others](Analysis::takes_device_frames).
    pub fn view(&self) -> Result<&FrameView<'_>, EngineError> {
        on_host(&self.pixels)
    }
}

/// The frame in system memory; an error where it is elsewhere, which the way of frames prevents.
pub fn on_host<'a>(pixels: &Pixels<'a>) -> Result<&'a FrameView<'a>, EngineError> {
    match *pixels {
        Pixels::Host(view) => Ok(view),
        Pixels::Device(_) => Err(EngineError::Conflict {
            engine: "analysis".to_owned(),
            what: "a frame in the memory of a GPU".to_owned(),
            remedy: "put cudadownload before the element".to_owned(),
        }),
    }
}

/// Networks, and what is remembered of the objects that they find.
///
/// A frame is read in two steps, so that a device that works on several at once gets them: [`submit`](Self::submit) starts what
/// needs nothing of the frames before, [`finish`](Self::finish) does the rest, in the order of the frames. Where all depends on
/// the frame before, `finish` alone is there, and one frame is under way.
pub trait Analysis: Send {
    type Settings: AsRef<Options>;
    /// For messages: `Face analysis`.
    const NAME: &'static str;
    /// `unique_component_id` of our objects in DeepStream's metadata, out of the way of the small numbers that users give
    /// nvinfer.
    const NVDS_COMPONENT: i32;

    /// Loads the networks; `on_cpu` instead of on the wanted device, where the built-in models stand for HEFs.
    fn load(settings: &Self::Settings, on_cpu: bool) -> Result<Self, EngineError>
    where
        Self: Sized;

    /// Replaces the networks by those of the CPU. What is remembered of objects stays, what is in flight is lost.
    fn move_to_cpu(&mut self, settings: &Self::Settings) -> Result<(), EngineError>;

    /// Has all waiting for a device end while this is raised.
    fn set_interrupt(&mut self, interrupt: &Interrupt);

    /// What really runs the networks.
    fn engine(&self) -> (Engine, String);

    /// What is worth a warning at start.
    fn note(&self) -> Option<String>;

    /// What has become worth a warning since, told once.
    fn news(&mut self) -> Option<String> {
        None
    }

    /// Makes room for as many frames under way as suit the networks, behind a live source or not, and says for how many. Called
    /// while none is.
    fn set_depth(&mut self, live: bool, settings: &Self::Settings) -> usize {
        let _ = (live, settings);
        1
    }

    /// Whether frames in memory of a GPU are read there. They are brought to system memory otherwise.
    fn takes_device_frames(&self) -> bool {
        false
    }

    /// Starts reading a frame in `slot`, one below the depth that is free.
    fn submit(&mut self, slot: usize, frame: Pixels<'_>, settings: &Self::Settings) -> Result<(), EngineError> {
        let _ = (slot, frame, settings);
        Ok(())
    }

    /// How long a frame waits for those that are read together with it, where that has a bound.
    fn patience(&self) -> Option<gst::ClockTime> {
        None
    }

    /// Whether [`finish`](Self::finish) would not wait for a device.
    fn is_complete(&mut self, slot: usize) -> bool {
        let _ = slot;
        true
    }

    /// Reads the frame that was submitted in `slot`. Adds to `events` what began, goes on or ended; what was added
    /// before an error goes with the next frame, without its object.
    fn finish(
        &mut self,
        slot: usize,
        frame: &Frame<'_>,
        settings: &Self::Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError>;

    /// What was found last, for frames of `size` pixels that are not read.
    fn repeat(&self, size: (u32, u32)) -> Vec<Found>;

    /// Forgets all objects and ends what was going on: frames of another size follow, in which their positions mean nothing.
    fn end_all(&mut self, events: &mut Pending);

    /// Forgets all objects and what is in flight: time starts anew.
    fn reset(&mut self);
}

/// The events of one object over time.
pub fn with_track(id: u64, events: Vec<Event>) -> impl Iterator<Item = Event> {
    events.into_iter().map(move |mut event| {
        event.track_id = Some(id);
        event
    })
}
