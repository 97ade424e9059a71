//! `NunchiFileMeta`: the file that a frame was read from.
//!
//! A custom meta without tags, so that it passes every element up to a muxer. Its structure holds `version` (uint) = 1 and `name` (string), the
//! file's name below the folder that was read.

/// Name under which the meta is registered.
pub const NAME: &str = "NunchiFileMeta";

pub(super) fn register() {
    if !gst::meta::CustomMeta::is_registered(NAME) {
        gst::meta::CustomMeta::register(NAME, &[]);
    }
}

/// Says which file the frame was read from.
pub fn add(buffer: &mut gst::BufferRef, name: &str) {
    if let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) {
        let structure = meta.mut_structure();
        structure.set("version", 1u32);
        structure.set("name", name);
    }
}

/// The file's name; `None` where nobody said it.
pub fn read(buffer: &gst::BufferRef) -> Option<String> {
    let meta = gst::meta::CustomMeta::from_buffer(buffer, NAME).ok()?;
    meta.structure().get("name").ok()
}
