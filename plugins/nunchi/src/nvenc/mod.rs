//! NVENC without GStreamer's `nvcodec` plugin and without DeepStream: frames in system memory, or in CUDA memory without a
//! copy, become H.264, H.265 or AV1 through the driver alone.
//!
//! The element is not registered: `nvencsink` makes one by [`NvEnc::new`] where neither plugin is there.
//!
//! [`imp`] is the element, `input` finds the planes of a buffer, `property` holds what is set; the encoder itself is the
//! crate `nunchi-nvenc`.

use gst::glib;

mod imp;
mod input;
mod property;

pub use property::{Codec, Preset, RcMode, Tune};

glib::wrapper! {
    /// Encodes video on an NVIDIA GPU.
    pub struct NvEnc(ObjectSubclass<imp::NvEnc>) @extends gst_video::VideoEncoder, gst::Element, gst::Object, @implements gst::Preset;
}

impl NvEnc {
    /// An encoder for a codec. Whether this machine can do it shows at NULL→READY.
    pub fn new(codec: Codec) -> Self {
        glib::Object::builder().property("codec", codec).build()
    }
}
