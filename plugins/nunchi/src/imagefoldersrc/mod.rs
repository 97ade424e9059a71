//! `imagefoldersrc`: the pictures of a folder, one frame each, whatever their size and kind.
//!
//! ```sh
//! gst-launch-1.0 imagefoldersrc location=tests/media ! cudassd json-location=pictures.jsonl ! fakesink
//! ```
//!
//! Written: `NunchiFileMeta` (the file's name). Read: none.

use gst::{glib, prelude::*};

mod imp;

glib::wrapper! {
    /// The element; see the module's description.
    pub struct ImageFolderSrc(ObjectSubclass<imp::ImageFolderSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

/// Registers the element with rank NONE.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "imagefoldersrc",
        gst::Rank::NONE,
        ImageFolderSrc::static_type(),
    )
}
