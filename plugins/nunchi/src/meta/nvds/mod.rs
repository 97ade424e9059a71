//! `NvDsBatchMeta`: DeepStream's metadata, so that nvdsosd, nvtracker, nvmsgconv and the like see what was found.
//!
//! Only where a buffer already carries a batch meta, which `nvstreammux` attaches; [`append`] never makes one. Each
//! region becomes an `NvDsObjectMeta`, each event a user meta of the frame of type `NVDS_CUSTOM_MSG_BLOB`, which
//! `nvmsgconv` puts into its payload. `docs/interop-deepstream.md` says what is mapped where.
//!
//! The library is never linked: it is opened when the first such buffer comes. Its structures changed with its
//! versions, and it says which one it is by the sizes in its pools; with sizes that are not known nothing is written.

mod abi;
mod blob;
mod bridge;

use crate::meta::roi::Region;
pub use abi::Sizes;
pub use bridge::Bridge;
use gst::glib;
use nunchi_events::Event;
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What was found in one picture.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    /// Width and height of the picture in pixels, to which the regions refer.
    pub size: (u32, u32),
    /// `unique_component_id` of the objects: which element found them.
    pub component: i32,
    /// Whether the regions were found in this picture, and are not those of an earlier one.
    pub inferred: bool,
    pub regions: &'a [Region],
    pub events: &'a [Event],
}

/// Why nothing, or not all, was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NvdsError {
    LibraryMissing { path: PathBuf, reason: String },
    SymbolMissing { name: &'static str },
    UnknownVersion { audio_batch: i32 },
    UnknownLayout(Sizes),
    NoFrame { frames: usize },
    BrokenList,
    PoolExhausted { what: &'static str },
}

impl fmt::Display for NvdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LibraryMissing { path, reason } => write!(
                f,
                "{} could not be opened ({reason}): set NUNCHI_NVDS to the folder that holds it",
                path.display()
            ),
            Self::SymbolMissing { name } => write!(
                f,
                "DeepStream's metadata library has no function {name}: versions 6.2 to 9.1 are known"
            ),
            Self::UnknownVersion { audio_batch } => write!(
                f,
                "DeepStream's metadata library numbers its kinds of metadata in an unknown way (audio batch: {audio_batch}): versions 6.2 to 9.1 are known"
            ),
            Self::UnknownLayout(Sizes { object, frame, user }) => write!(
                f,
                "DeepStream's metadata has unknown sizes (object {object}, frame {frame}, user {user} bytes): versions 6.2 to 9.1 are known"
            ),
            Self::NoFrame { frames } => write!(
                f,
                "none of the {frames} frames of DeepStream's batch is this picture: use batch-size=1 in nvstreammux, or nvstreamdemux, in front of this element"
            ),
            Self::BrokenList => {
                f.write_str("the list of frames of DeepStream's batch is broken: it does not end where the batch says")
            }
            Self::PoolExhausted { what } => write!(f, "DeepStream's pool of {what} is exhausted"),
        }
    }
}

impl std::error::Error for NvdsError {}

/// Appends what was found to the batch meta that the buffer carries; without one this is nothing, and costs no more than
/// a look for it.
///
/// # Errors
/// Says why what was found is not, or not wholly, in the batch meta. The stream can go on.
pub fn append(buffer: &mut gst::BufferRef, findings: &Findings<'_>) -> Result<(), NvdsError> {
    static BRIDGE: OnceLock<Result<Bridge, NvdsError>> = OnceLock::new();
    if !is_present(buffer) {
        return Ok(());
    }
    match BRIDGE.get_or_init(Bridge::find) {
        Ok(bridge) => bridge.append(buffer, findings),
        Err(error) => Err(error.clone()),
    }
}

/// Whether the buffer has a meta of DeepStream's, found by the name of its type: no library needs to be opened.
fn is_present(buffer: &gst::BufferRef) -> bool {
    static API: OnceLock<glib::ffi::GType> = OnceLock::new();
    let api = match API.get() {
        Some(api) => *api,
        None => {
            // SAFETY: a string with its zero.
            let found = unsafe { glib::gobject_ffi::g_type_from_name(c"NvDsMetaAPI".as_ptr()) };
            if found == 0 {
                // Nobody has registered it yet; later somebody may.
                return false;
            }
            *API.get_or_init(|| found)
        }
    };
    // SAFETY: reads the buffer's list of metas.
    !unsafe { gst::ffi::gst_buffer_get_meta(buffer.as_ptr().cast_mut(), api) }.is_null()
}
