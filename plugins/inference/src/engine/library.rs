//! Finding vendor libraries at run time.

use std::path::{Path, PathBuf};

use super::EngineError;

/// Where the libraries of one vendor may stand.
pub(super) struct Search {
    /// For messages.
    pub name: &'static str,
    /// Environment variable with the path of the library. When it is set, nothing else is tried.
    pub variable: &'static str,
    /// Folder below `runtime/` or `/usr/lib/nunchi`.
    pub folder: &'static str,
    /// Start of the file name; a version may follow.
    pub prefix: &'static str,
    /// Names for the system's loader.
    pub sonames: &'static [&'static str],
    pub install: &'static str,
}

/// Folders above the executable in which `runtime/` is looked for: `target/release/deps/x` finds `target/runtime`.
const LEVELS: usize = 4;
/// Where packages install our libraries.
const INSTALLED: [&str; 2] = ["/usr/lib/nunchi", "/usr/local/lib/nunchi"];

impl Search {
    /// Opens the first candidate that `open` takes. The error tells the last refusal of a file that exists, or that
    /// there is none.
    pub fn open<T>(&self, open: impl Fn(&Path) -> Result<T, String>) -> Result<T, EngineError> {
        let mut reason = None;
        for candidate in self.candidates() {
            match open(&candidate) {
                Ok(library) => return Ok(library),
                Err(error) if candidate.is_absolute() => reason = Some(format!("{}: {error}", candidate.display())),
                Err(_) => {}
            }
        }
        Err(EngineError::LibraryMissing {
            library: self.name.to_owned(),
            reason: reason.unwrap_or_else(|| format!("no {}* was found", self.prefix)),
            install: format!("{}, or set {} to the library", self.install, self.variable),
        })
    }

    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(path) = std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            // Made absolute so that a wrong value is reported and never looked up elsewhere.
            return vec![std::path::absolute(&path).unwrap_or_else(|_| path.into())];
        }
        let own = [module(), std::env::current_exe().ok()];
        let beside = own
            .iter()
            .flatten()
            .flat_map(|file| file.ancestors().skip(1).take(LEVELS))
            .flat_map(|folder| [folder.join("runtime").join(self.folder), folder.join(self.folder)]);
        let installed = INSTALLED
            .iter()
            .flat_map(|folder| [Path::new(folder).join(self.folder), folder.into()]);
        let mut found: Vec<PathBuf> = beside
            .chain(installed)
            .flat_map(|folder| self.matching(&folder))
            .collect();
        found.extend(self.sonames.iter().map(PathBuf::from));
        found
    }

    /// Files of `folder` with our prefix, the longest (most precise) version first.
    fn matching(&self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| name.starts_with(self.prefix))
            })
            .map(|entry| entry.path())
            .collect();
        files.sort_by(|a, b| b.cmp(a));
        files
    }
}

/// The file that this code was loaded from: the plugin when it is one, else the executable.
fn module() -> Option<PathBuf> {
    let address = module as fn() -> Option<PathBuf> as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        // address-range perms offset dev inode path
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        let path = &rest[rest.find('/')?..];
        (start..end).contains(&address).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search {
        name: "Test",
        variable: "NUNCHI_NO_SUCH_VARIABLE",
        folder: "nowhere",
        prefix: "libtest.so",
        sonames: &["libtest.so.1"],
        install: "install it",
    };

    #[test]
    fn the_module_of_a_test_is_the_test() {
        assert_eq!(module(), std::env::current_exe().ok());
    }

    #[test]
    fn a_missing_library_names_the_remedy() {
        let error = SEARCH.open::<()>(|_| Err("no".to_owned())).unwrap_err().to_string();
        for part in ["Test", "libtest.so", "install it", "NUNCHI_NO_SUCH_VARIABLE"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_most_precise_version_is_tried_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libtest.so", "libtest.so.2", "libtest.so.2.1", "other.so"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = SEARCH
            .matching(folder.path())
            .iter()
            .map(|p| p.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["libtest.so.2.1", "libtest.so.2", "libtest.so"]);
        assert!(SEARCH.matching(&folder.path().join("none")).is_empty());
    }
}
