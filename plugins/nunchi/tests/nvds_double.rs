//! The bridge to DeepStream's metadata against a double of version 6.2, whose library no package has.

mod common;
#[path = "common/nvds.rs"]
mod nvds;

use common::*;
use gstnunchi::meta::nvds::{Bridge, NvdsError};
use libloading::os::unix::Library;
use nunchi_events::State::Start;
use nvds::{Kit, checks, region, target};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

static DOUBLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let double = target("release/libnvds_double.so");
    assert!(
        double.exists(),
        "{}: run `cargo build --release --workspace`",
        double.display()
    );
    double
});
/// Held while the library is opened, for the double can be told to be another version.
static OPENING: Mutex<()> = Mutex::new(());

/// A folder in which `file` has the name of DeepStream's library.
fn folder(file: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    symlink(file, folder.path().join("libnvdsgst_meta.so")).unwrap();
    folder
}

fn kit() -> &'static Kit {
    static KIT: LazyLock<Kit> = LazyLock::new(|| {
        let _opening = OPENING.lock().unwrap_or_else(|e| e.into_inner());
        Kit::open(folder(&DOUBLE).path(), 336, 232, 22)
    });
    &KIT
}

#[test]
fn objects_come_back_as_they_went() {
    checks::objects_come_back_as_they_went(kit());
}

#[test]
fn events_come_back_as_json() {
    checks::events_come_back_as_json(kit());
}

#[test]
fn producers_append() {
    checks::producers_append(kit());
}

#[test]
fn boxes_are_in_pixels_of_the_muxer() {
    checks::boxes_are_in_pixels_of_the_muxer(kit());
}

#[test]
fn a_copy_of_the_buffer_has_copies() {
    checks::a_copy_of_the_buffer_has_copies(kit());
}

#[test]
fn labels_are_cut_to_what_fits() {
    checks::labels_are_cut_to_what_fits(kit());
}

#[test]
fn numbers_that_are_none_stay_out() {
    checks::numbers_that_are_none_stay_out(kit());
}

#[test]
fn the_picture_is_the_only_frame_or_the_first_surface() {
    checks::the_picture_is_the_only_frame_or_the_first_surface(kit());
}

#[test]
fn frames_that_are_not_the_picture_get_nothing() {
    checks::frames_that_are_not_the_picture_get_nothing(kit());
}

#[test]
fn broken_lists_are_not_followed() {
    checks::broken_lists_are_not_followed(kit());
}

#[test]
fn unknown_sizes_are_left_alone() {
    checks::unknown_sizes_are_left_alone(kit());
}

#[test]
fn buffers_without_a_video_batch_are_left_alone() {
    checks::buffers_without_a_video_batch_are_left_alone(kit());
}

#[test]
fn threads_that_share_a_batch_take_turns() {
    // The double's pools hold eight elements.
    checks::threads_that_share_a_batch_take_turns(kit(), 2);
}

#[test]
fn an_exhausted_pool_is_reported_and_what_fitted_stays() {
    let kit = kit();
    let mut buffer = kit.buffer();
    let regions: Vec<_> = (0..9).map(|id| region((1, 1, 2, 2), id)).collect();
    let events = vec![event("smile", Start); 9];
    assert_eq!(
        kit.append(&mut buffer, &regions, &[]),
        Err(NvdsError::PoolExhausted { what: "objects" })
    );
    assert_eq!(
        kit.append(&mut buffer, &[], &events),
        Err(NvdsError::PoolExhausted { what: "user metadata" })
    );
    let frame = &kit.frames(&buffer)[0];
    assert_eq!((kit.objects(frame).len(), kit.messages(frame).len()), (8, 8));
    // The lock was given back: another thread gets it.
    let batch = kit.batch_of(&buffer).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            kit.lock(&batch);
            kit.unlock(&batch);
        });
    });
}

#[test]
fn a_missing_library_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let error = Bridge::open_in(folder.path()).err().unwrap();
    assert!(matches!(error, NvdsError::LibraryMissing { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("libnvdsgst_meta.so") && text.contains("NUNCHI_NVDS"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libnvdsgst_meta.so"), "not ELF").unwrap();
    let error = Bridge::open_in(folder.path()).err().unwrap();
    assert!(matches!(error, NvdsError::LibraryMissing { .. }), "{error:?}");
}

#[test]
fn a_library_without_the_functions_is_refused() {
    // Any other library will do: the C library that this process has.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.split_whitespace().find(|word| word.contains("libc.so")).unwrap();
    let error = Bridge::open_in(folder(Path::new(libc)).path()).err().unwrap();
    assert!(matches!(error, NvdsError::SymbolMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("nvds_"), "{error}");
}

#[test]
fn an_unknown_version_is_refused() {
    let _opening = OPENING.lock().unwrap_or_else(|e| e.into_inner());
    let folder = folder(&DOUBLE);
    // SAFETY: the double, and the type of its function.
    unsafe {
        let double = Library::new(folder.path().join("libnvdsgst_meta.so")).unwrap();
        let set = *double
            .get::<unsafe extern "C" fn(i32)>(b"nvds_double_set_audio_batch_meta")
            .unwrap();
        for audio_batch in [17, 26, -1] {
            set(audio_batch);
            let result = Bridge::open_in(folder.path());
            set(18);
            assert_eq!(result.err(), Some(NvdsError::UnknownVersion { audio_batch }));
        }
    }
}
