//! What Nunchi observes, and how it is kept: the event model, the throttle that thins repeated events out, and the XML logs.
//!
//! Nothing here knows GStreamer, so that all of it can be tested without a pipeline. The elements translate between buffers' metadata
//! and these types.

pub mod event;
pub mod throttle;
pub mod xml;

pub use event::{AttrValue, Event, EventError, SCHEMA_VERSION, State, UnknownState};
