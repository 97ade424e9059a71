//! The folder of one run: made, held against a second run, and its results told from those of an earlier one.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Place;
use crate::exit::{Exit, Failure};
use crate::spec::read::io_reason;

/// Time stamps of files lie behind the clock by the kernel's tick at most,
const TICK: Duration = Duration::from_millis(20);
/// or, on a file system that counts in whole seconds, by so much (FAT counts in two).
const COARSE: Duration = Duration::from_secs(2);

/// See the module. The folder is held until this is dropped.
#[derive(Debug)]
pub struct RunDir {
    pub path: PathBuf,
    since: SystemTime,
    /// The folder itself, locked.
    _held: Option<File>,
}

impl RunDir {
    /// Makes the folder with those of the outputs.
    pub fn make<'a>(place: Place<'_>, name: &str, outputs: impl Iterator<Item = &'a str>) -> Result<Self, Failure> {
        let path = match place {
            Place::At(folder) => folder.to_owned(),
            Place::Below(parent) => new_below(parent, name)?,
        };
        if path.to_str().is_none() {
            let message = format!("the path of the run folder {} is not UTF-8", path.display());
            return Err(Failure::new(Exit::CannotWrite, message).hint("choose another run folder with --run-dir"));
        }
        make(&path.join("logs"))?;
        for output in outputs {
            let place = path.join(output);
            let folder = if output.ends_with('/') {
                Some(&*place)
            } else {
                place.parent()
            };
            make(folder.unwrap_or(&path))?;
        }
        Ok(Self {
            _held: hold(&path)?,
            since: SystemTime::now(),
            path,
        })
    }

    /// Size of a file of this run; `None`: it was not written, though one of an earlier run may be there.
    pub fn written(&self, path: &Path) -> Option<u64> {
        let meta = std::fs::metadata(path).ok()?;
        let old = meta.modified().is_ok_and(|at| at + lag(at) < self.since);
        (!old).then_some(meta.len())
    }

    /// How many files of this run lie in the folder at `path`, and how long they are together.
    pub fn written_in(&self, path: &Path) -> (u64, u64) {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        files
            .filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|file| self.written(&file.path()))
            .fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes))
    }

    /// The file at `path` below the folder, behind those of the same name that earlier attempts of this run have left.
    pub fn attempts(&self, path: &str) -> Vec<PathBuf> {
        let last = self.path.join(path);
        let mut all: Vec<PathBuf> = (1..)
            .map(|n| attempt_name(&last, n))
            .take_while(|p| p.exists())
            .filter(|p| self.written(p).is_some())
            .collect();
        all.push(last);
        all
    }
}

/// How far behind the clock a time stamp may be.
fn lag(stamp: SystemTime) -> Duration {
    let since = stamp.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since.subsec_nanos() == 0 { COARSE } else { TICK }
}

/// Where the file of an earlier attempt is kept: `log.xml` as `log.attempt1.xml`.
pub fn attempt_name(path: &Path, attempt: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".attempt{attempt}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// A folder that nobody else makes: two runs may start within one second.
fn new_below(parent: &Path, name: &str) -> Result<PathBuf, Failure> {
    make(parent)?;
    let base = format!("{name}-{}", chrono::Local::now().format("%Y%m%d-%H%M%S"));
    let mut n = 1;
    loop {
        let path = parent.join(if n == 1 { base.clone() } else { format!("{base}.{n}") });
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => n += 1,
            Err(e) => return Err(cannot_make(&path, &e)),
        }
    }
}

fn make(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|e| cannot_make(folder, &e))
}

fn cannot_make(folder: &Path, e: &std::io::Error) -> Failure {
    let message = format!("cannot make the folder {}: {}", folder.display(), io_reason(e));
    Failure::new(Exit::CannotWrite, message).hint("choose another run folder with --run-dir")
}

/// Locks the folder. Where the file system knows no locks, it goes without.
fn hold(path: &Path) -> Result<Option<File>, Failure> {
    let Ok(folder) = File::open(path) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another run is writing into {}", path.display());
            Err(Failure::new(Exit::Busy, message).hint("wait for its end, or choose another run folder with --run-dir"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_run_and_free_again_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let make = || RunDir::make(Place::At(&dir.path().join("r")), "t", ["xml/a.xml"].into_iter());
        let first = make().unwrap();
        assert!(dir.path().join("r/xml").is_dir() && dir.path().join("r/logs").is_dir());
        assert_eq!(make().unwrap_err().exit, Exit::Busy);
        drop(first);
        make().unwrap();
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        let bad = Path::new(std::ffi::OsStr::from_bytes(b"\xff"));
        let failure = RunDir::make(Place::At(&dir.path().join(bad)), "t", std::iter::empty()).unwrap_err();
        assert!(failure.exit == Exit::CannotWrite && failure.hint.is_some(), "{failure}");
    }

    #[test]
    fn files_of_an_earlier_run_are_no_results() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, old: bool| {
            let file = File::create(dir.path().join(name)).unwrap();
            let at = SystemTime::now() - Duration::from_millis(if old { 500 } else { 0 });
            file.set_modified(at).unwrap();
        };
        let run = RunDir::make(Place::At(dir.path()), "t", std::iter::empty()).unwrap();
        put("old.xml", true);
        put("a.xml", false);
        put("a.attempt1.xml", true);
        put("a.attempt2.xml", false);
        assert_eq!(run.written(&dir.path().join("old.xml")), None);
        assert_eq!(run.written(&dir.path().join("none.xml")), None);
        assert_eq!(run.written(&dir.path().join("a.xml")), Some(0));
        let names = ["a.attempt2.xml", "a.xml"].map(|n| dir.path().join(n));
        assert_eq!(run.attempts("a.xml"), names);
    }
}
