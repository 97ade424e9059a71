//! MotionText scenarios: animated captions as JSON, drawn from the scenario, the time and the size of the frame alone.
//!
//! [`Scenario`] reads them and makes a [`scene::Scene`] of any time; `fonts` shapes text; `scene` is what is to be seen at one time, which the
//! layout makes and the raster draws. [`player::Player`] holds all of them together.
//!
//! ```
//! use nunchi_motiontext::{Options, Scenario, fonts::Fonts};
//!
//! let json = br#"{"version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "16:9"},
//!     "tracks": [{"id": "captions", "type": "subtitle", "layer": 1}],
//!     "cues": [{"id": "c", "track": "captions", "root": {"id": "t", "eType": "text", "text": "Hello", "displayTime": [1, 3]}}]}"#;
//! let (scenario, warnings) = Scenario::parse(json, &Options::default())?;
//! assert!(warnings.is_empty());
//! let mut fonts = Fonts::new();
//! fonts.add_system();
//! assert!(scenario.scene(0.5, (1280, 720), &mut fonts).items.is_empty());
//! assert_eq!(scenario.still_until(1.5), 3.0);
//! # Ok::<(), nunchi_motiontext::Error>(())
//! ```

pub mod blend;
mod css;
mod define;
mod ease;
mod effects;
mod error;
pub mod fonts;
pub mod image;
mod layout;
mod load;
mod model;
mod parse;
pub mod player;
pub mod raster;
mod scenario;
pub mod scene;
mod transform;

pub use error::{Error, Warning};
pub use layout::{Figure, FigureKind, Line, Measure, Paint};
pub use model::Span;
pub use parse::{Asset, AssetKind, OffsetMode, Options, Profile, Source};
pub use scenario::Scenario;
