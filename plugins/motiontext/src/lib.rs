//! MotionText scenarios: animated captions as JSON, drawn from the scenario, the time and the size of the frame alone.
//!
//! `fonts` shapes text; `scene` is what is to be seen at one time, which the layout makes and the raster draws.

pub mod blend;
pub mod fonts;
pub mod image;
pub mod raster;
pub mod scene;
