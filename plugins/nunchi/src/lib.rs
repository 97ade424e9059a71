//! GStreamer elements that read people and scenes in video.
//!
//! | element | what it does |
//! |---|---|
//! | [`hailoface`] | finds faces and reads them: landmarks, smile, closed eyes, emotion |
//! | [`hailopose`] | finds bodies and reads them: 17 keypoints, posture |
//! | [`cudassd`] | finds objects with SSD networks, several frames at once |
//! | [`imagefoldersrc`] | reads the pictures of a folder, one frame each |
//! | [`eventthrottle`] | lets an event through at most once per interval |
//! | [`xmllogsink`] | writes events into an XML file that is well-formed at every instant |
//! | [`analysisoverlay`] | draws what the analysers found |
//! | [`motiontextoverlay`] | draws animated captions that a MotionText scenario describes |
//! | [`nvencsink`] | encodes with NVENC or the best encoder that works, and writes files that survive a crash |
//!
//! [`meta`] is the metadata between them.

mod analyser;
pub mod analysisoverlay;
pub mod cudassd;
pub mod eventthrottle;
pub mod hailoface;
pub mod hailopose;
pub mod imagefoldersrc;
pub mod meta;
pub mod motiontextoverlay;
pub mod nvenc;
pub mod nvencsink;
pub mod xmllogsink;

mod cuda;
mod frame;
mod time;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    meta::register();
    analyser::register();
    hailoface::register(plugin)?;
    hailopose::register(plugin)?;
    cudassd::register(plugin)?;
    imagefoldersrc::register(plugin)?;
    eventthrottle::register(plugin)?;
    xmllogsink::register(plugin)?;
    analysisoverlay::register(plugin)?;
    motiontextoverlay::register(plugin)?;
    nvencsink::register(plugin)?;
    Ok(())
}

gst::plugin_define!(
    nunchi,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Unknown package origin",
    env!("BUILD_REL_DATE")
);
