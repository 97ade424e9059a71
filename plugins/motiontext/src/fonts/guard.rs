//! Fonts come from anywhere, and the crates that read them trip over some broken ones.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` gives; `None` too where a table of the font makes a crate panic (read-fonts 0.41 does for a glyph without points that has data).
/// What `read` was filling then must not be used.
pub(crate) fn guarded<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}
