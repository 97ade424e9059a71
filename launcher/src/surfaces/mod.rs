//! The HTTP interfaces of older systems: their paths and bodies, on our own core.

pub mod image_analysis;
pub mod recording;
