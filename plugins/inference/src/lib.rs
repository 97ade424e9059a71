//! Neural networks on video frames, without GStreamer.
//!
//! - [`frame`]: a checked view of one video frame in any supported pixel format.
//! - [`preprocess`]: frame to input tensor in one pass (resize, letterbox, rotated crop, colour conversion, scaling).
//! - [`engine`]: OpenVINO, ONNX Runtime and the embedded engine behind one [`engine::Network`] trait; vendor
//!   libraries are opened at run time and never linked.
//! - [`face`]: face detection, 478 landmarks, 52 blendshapes and emotion.
//! - [`pose`]: 17 keypoints of bodies.
//! - [`ssd`]: objects of classes, by networks of the SSD kind.
//! - [`anchors`], [`nms`]: parts that detectors share.

pub mod anchors;
pub mod engine;
pub mod face;
pub mod frame;
pub mod models;
pub mod nms;
pub mod pose;
pub mod preprocess;
pub mod ssd;
