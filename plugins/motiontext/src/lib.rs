//! MotionText scenarios: animated captions as JSON, drawn from the scenario, the time and the size of the frame alone.
//!
//! [`Scenario`] reads them and makes a [`scene::Scene`] of any time; `fonts` shapes text; `scene` is what is to be seen at one time, which the
//! layout makes and the raster draws.

mod css;
mod define;
mod ease;
mod effects;
mod error;
pub mod fonts;
mod layout;
mod model;
mod parse;
mod scenario;
pub mod scene;

pub use error::{Error, Warning};
pub use layout::{Figure, FigureKind, Line, Measure, Paint};
pub use model::Span;
pub use parse::{Asset, AssetKind, OffsetMode, Options, Profile, Source};
pub use scenario::Scenario;
