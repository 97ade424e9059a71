//! A file that is written under a temporary name and gets its own when it is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::faststart;

/// How often what was written goes to the disk for sure.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Changes that wait, in bytes.
const MOST_CHANGES: usize = 1 << 20;
/// What is in front of this tells what the file holds.
const HEAD: u64 = 4096;
/// Names that are tried for a file that an earlier run left behind.
const MAX_RECOVERED: u32 = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is there already: choose another location, or set overwrite=true")]
    Exists(PathBuf),
    #[error("{0} is being written by another process or element")]
    InUse(PathBuf),
    #[error("{0} is a folder, not a file")]
    IsFolder(PathBuf),
    #[error("the folder of {0} does not exist")]
    NoFolder(PathBuf),
    #[error("{0} cannot be written: {1}")]
    Open(PathBuf, io::Error),
    #[error("the disk of {path} is full; what was written is in {kept}")]
    Full { path: PathBuf, kept: PathBuf },
    #[error("{path} cannot be written any more: {error}; what was written is in {kept}")]
    Write {
        path: PathBuf,
        kept: PathBuf,
        error: io::Error,
    },
    #[error("{path} cannot be finished: {error}; what was written is in {kept}")]
    Publish {
        path: PathBuf,
        kept: PathBuf,
        error: io::Error,
    },
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The open file. Dropped before it was finished, what was written stays under the temporary name.
pub struct Writer {
    file: File,
    path: PathBuf,
    temporary: PathBuf,
    overwrite: bool,
    disk: Arc<Disk>,
    syncer: Option<JoinHandle<()>>,
    /// Left behind by a run that ended in the middle, and moved out of the way.
    recovered: Option<PathBuf>,
    /// Where in the file the next data go.
    place: u64,
    /// Of what was written whole.
    length: u64,
    /// What is to be written in front of that, and where.
    changes: Vec<(u64, Vec<u8>)>,
}

/// Shared with the thread that sends data to the disk, so that a slow disk does not hold up the stream.
#[derive(Default)]
struct Disk {
    state: Mutex<DiskState>,
    wake: Condvar,
}

#[derive(Default)]
struct DiskState {
    dirty: bool,
    ends: bool,
    error: Option<io::Error>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a file is until it is whole.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Whether a file could be written there, now.
pub fn check(path: &Path, overwrite: bool) -> Result<(), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Error::IsFolder(path.to_owned()));
    }
    if !folder.is_dir() {
        return Err(Error::NoFolder(path.to_owned()));
    }
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(Error::Exists(path.to_owned()));
    }
    // The permissions say less than an attempt: a read-only file system, a quota, another owner.
    let mut probe = path.as_os_str().to_owned();
    probe.push(format!(".{}.probe", std::process::id()));
    let probe = PathBuf::from(probe);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .map_err(|error| Error::Open(path.to_owned(), error))?;
    fs::remove_file(&probe).map_err(|error| Error::Open(path.to_owned(), error))
}

impl Writer {
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        let open = |error| Error::Open(path.to_owned(), error);
        if path.is_dir() {
            return Err(Error::IsFolder(path.to_owned()));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(Error::Exists(path.to_owned()));
        }
        let temporary = temporary(path);
        let recovered = recover(path, &temporary)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => Error::NoFolder(path.to_owned()),
                ErrorKind::AlreadyExists => Error::InUse(path.to_owned()),
                _ => open(error),
            })?;
        // File systems without locks do without them.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::InUse(path.to_owned()));
        }
        let disk = Arc::new(Disk::default());
        let syncer = {
            let (disk, file) = (disk.clone(), file.try_clone().map_err(open)?);
            thread::Builder::new()
                .name("nunchi-disk".into())
                .spawn(move || disk.run(&file))
                .map_err(open)?
        };
        Ok(Self {
            file,
            path: path.to_owned(),
            temporary,
            overwrite,
            disk,
            syncer: Some(syncer),
            recovered,
            place: 0,
            length: 0,
            changes: Vec::new(),
        })
    }

    pub fn recovered(&self) -> Option<&Path> {
        self.recovered.as_deref()
    }

    pub fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        let late = {
            let mut state = lock(&self.disk.state);
            state.dirty = true;
            state.error.take()
        };
        let result = late.map_or(Ok(()), Err).and_then(|()| self.put(data));
        result.map_err(|error| self.broken(error))
    }

    /// What changes the file waits until what is appended next is written: a muxer that finishes a file makes its head point to an index which it appends
    /// then. Where that finds no room, or is never written, the head still tells of what is there.
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        let end = self.place.saturating_add(data.len() as u64);
        if end <= self.length {
            let waiting: usize = self.changes.iter().map(|(_, change)| change.len()).sum();
            if waiting.saturating_add(data.len()) > MOST_CHANGES {
                self.change()?;
            }
            self.changes.push((self.place, data.to_vec()));
            self.place = end;
            return Ok(());
        }
        self.file.write_all_at(data, self.place).inspect_err(|_| {
            // Half a box at the end would keep players from all that is in front of it.
            let _ = self.file.set_len(self.length);
        })?;
        (self.place, self.length) = (end, end);
        self.change()
    }

    /// Writes what waits, behind what it tells of.
    fn change(&mut self) -> io::Result<()> {
        if self.changes.iter().any(|(place, _)| *place < HEAD) {
            self.file.sync_data()?;
        }
        for (place, data) in self.changes.drain(..) {
            self.file.write_all_at(&data, place)?;
        }
        Ok(())
    }

    /// To a place in the file, from its start.
    pub fn seek(&mut self, to: u64) {
        self.place = to;
    }

    fn broken(&self, error: io::Error) -> Error {
        let (path, kept) = (self.path.clone(), self.temporary.clone());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full { path, kept },
            _ => Error::Write { path, kept, error },
        }
    }

    /// Gives the file its name, once all of it is on the disk. `faststart`: with the index of an MP4 in front.
    pub fn finish(mut self, faststart: bool) -> Result<Published, Error> {
        self.end_sync();
        let synced = self.change().and_then(|()| self.file.sync_all());
        if let Err(error) = synced {
            return Err(self.broken(error));
        }
        if faststart {
            self.rearrange()?;
        }
        let failed = |writer: &Self, error: io::Error| Error::Publish {
            path: writer.path.clone(),
            kept: writer.temporary.clone(),
            error,
        };
        match publish(&self.temporary, &self.path, self.overwrite) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(failed(&self, io::Error::other("another file has that name now")));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The folder or the name went away; the content is still there as long as it is open.
                self.rescue().map_err(|_| failed(&self, error))?;
            }
            Err(error) => return Err(failed(&self, error)),
        }
        let bytes = self.file.metadata().map_or(0, |data| data.len());
        Ok(Published {
            path: self.path.clone(),
            bytes,
        })
    }

    fn rearrange(&mut self) -> Result<(), Error> {
        let mut moved = self.temporary.as_os_str().to_owned();
        moved.push(".faststart");
        let moved = PathBuf::from(moved);
        let mut rearranged = || -> io::Result<Option<File>> {
            let mut to = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&moved)?;
            let done = faststart::copy(&mut self.file, &mut to)?;
            if !done {
                return Ok(None);
            }
            to.sync_all()?;
            fs::rename(&moved, &self.temporary)?;
            Ok(Some(to))
        };
        match rearranged() {
            Ok(Some(file)) => self.file = file,
            Ok(None) => {
                // Nothing was to be moved.
                let _ = fs::remove_file(&moved);
            }
            Err(error) => {
                let _ = fs::remove_file(&moved);
                return Err(self.broken(error));
            }
        }
        Ok(())
    }

    /// The content once more, under its name, in its folder.
    fn rescue(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut copy = OpenOptions::new().write(true).create_new(true).open(&self.temporary)?;
        self.file.rewind()?;
        io::copy(&mut self.file, &mut copy)?;
        copy.sync_all()?;
        publish(&self.temporary, &self.path, self.overwrite)
    }

    fn end_sync(&mut self) {
        lock(&self.disk.state).ends = true;
        self.disk.wake.notify_all();
        if let Some(syncer) = self.syncer.take() {
            // It cannot panic, and if it did the file would still be written.
            let _ = syncer.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_sync();
    }
}

impl Disk {
    fn run(&self, file: &File) {
        let mut state = lock(&self.state);
        while !state.ends {
            (state, _) = self
                .wake
                .wait_timeout_while(state, SYNC_INTERVAL, |state| !state.ends)
                .unwrap_or_else(PoisonError::into_inner);
            if !state.ends && std::mem::take(&mut state.dirty) {
                drop(state);
                let result = file.sync_data();
                state = lock(&self.state);
                if let Err(error) = result {
                    state.error.get_or_insert(error);
                }
            }
        }
    }
}

/// Moves what an earlier run left under the temporary name out of the way, to a name of its own.
fn recover(path: &Path, temporary: &Path) -> Result<Option<PathBuf>, Error> {
    let open = |error| Error::Open(path.to_owned(), error);
    let left = match OpenOptions::new().read(true).write(true).open(temporary) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(open(error)),
    };
    if let Err(TryLockError::WouldBlock) = left.try_lock() {
        return Err(Error::InUse(path.to_owned()));
    }
    let empty = left.metadata().map_err(open)?.len() == 0;
    if empty {
        fs::remove_file(temporary).map_err(open)?;
        return Ok(None);
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..MAX_RECOVERED {
        let mut name = format!("{stem}.recovered-{number}");
        if let Some(extension) = path.extension() {
            name = format!("{name}.{}", extension.to_string_lossy());
        }
        let to = path.with_file_name(name);
        match publish(temporary, &to, false) {
            Ok(()) => return Ok(Some(to)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(open(error)),
        }
    }
    Err(open(io::Error::other(format!("{} is in the way", temporary.display()))))
}

/// Renames; unless it may, without replacing what is there.
fn publish(from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
    if overwrite {
        fs::rename(from, to)?;
    } else {
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from)?,
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => return Err(error),
            // A file system without links, such as FAT.
            Err(_) if to.symlink_metadata().is_ok() => return Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to)?,
        }
    }
    // The name is on the disk as well then. Where folders cannot be synced, they need not be.
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let mut writer = Writer::create(&path, false).unwrap();
        writer.write(b"hello world").unwrap();
        writer.seek(0);
        writer.write(b"H").unwrap();
        assert_eq!(names(folder.path()), ["video.mp4.part"]);
        let published = writer.finish(false).unwrap();
        assert_eq!(
            published,
            Published {
                path: path.clone(),
                bytes: 11
            }
        );
        assert_eq!(names(folder.path()), ["video.mp4"]);
        assert_eq!(fs::read(&path).unwrap(), b"Hello world");
    }

    #[test]
    fn what_is_there_stays_unless_it_may_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        fs::write(&path, "old").unwrap();
        assert!(matches!(check(&path, false), Err(Error::Exists(_))));
        assert!(matches!(Writer::create(&path, false), Err(Error::Exists(_))));
        check(&path, true).unwrap();
        let mut writer = Writer::create(&path, true).unwrap();
        writer.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        writer.finish(false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["video.mp4"]);
    }

    #[test]
    fn a_file_that_appeared_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let mut writer = Writer::create(&path, false).unwrap();
        writer.write(b"ours").unwrap();
        fs::write(&path, "theirs").unwrap();
        let error = writer.finish(false).unwrap_err().to_string();
        assert!(
            error.contains("video.mp4.part") && error.contains("another file"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read(temporary(&path)).unwrap(), b"ours");
    }

    #[test]
    fn what_a_crash_left_gets_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        for (round, content) in ["first", "second"].into_iter().enumerate() {
            fs::write(temporary(&path), content).unwrap();
            let writer = Writer::create(&path, false).unwrap();
            let recovered = folder.path().join(format!("video.recovered-{}.mp4", round + 1));
            assert_eq!(writer.recovered(), Some(recovered.as_path()));
            assert_eq!(fs::read_to_string(recovered).unwrap(), content);
            drop(writer);
            fs::remove_file(temporary(&path)).unwrap();
        }
        fs::write(temporary(&path), "").unwrap();
        assert_eq!(Writer::create(&path, false).unwrap().recovered(), None);
    }

    #[test]
    fn two_do_not_write_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let writer = Writer::create(&path, false).unwrap();
        assert!(matches!(Writer::create(&path, true), Err(Error::InUse(_))));
        drop(writer);
        assert!(Writer::create(&path, true).is_ok());
    }

    #[test]
    fn places_where_no_file_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("none/video.mp4");
        assert!(matches!(check(&none, true), Err(Error::NoFolder(_))));
        assert!(matches!(Writer::create(&none, true), Err(Error::NoFolder(_))));
        assert!(matches!(check(folder.path(), true), Err(Error::IsFolder(_))));
        assert!(matches!(Writer::create(folder.path(), true), Err(Error::IsFolder(_))));
        assert!(matches!(
            check(Path::new("/proc/video.mp4"), true),
            Err(Error::Open(..))
        ));
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_that_was_removed_costs_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("gone");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("video.mp4");
        let mut writer = Writer::create(&path, false).unwrap();
        writer.write(b"one").unwrap();
        fs::remove_dir_all(&folder).unwrap();
        writer.write(b"two").unwrap();
        assert_eq!(writer.finish(false).unwrap().bytes, 6);
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");
        assert_eq!(names(&folder), ["video.mp4"]);
    }

    #[test]
    fn the_head_changes_when_what_it_tells_of_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("a"), folder.path().join("a.part"));
        let mut writer = Writer::create(&path, false).unwrap();
        let content = || fs::read_to_string(&part).unwrap();
        writer.write(b"head body").unwrap();
        writer.seek(0);
        writer.write(b"HE").unwrap();
        writer.write(b"AD").unwrap();
        assert_eq!(content(), "head body");
        writer.seek(9);
        writer.write(b" index").unwrap();
        assert_eq!(content(), "HEAD body index");
        // At the end there is nothing that could be appended.
        writer.seek(5);
        writer.write(b"BODY").unwrap();
        // Beyond the end, and over it.
        writer.seek(14);
        writer.write(b"X.").unwrap();
        writer.finish(false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "HEAD BODY indeX.");
    }

    #[test]
    fn changes_that_pile_up_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("a"), false).unwrap();
        writer.write(&[0; 5000]).unwrap();
        for _ in 0..500 {
            writer.seek(0);
            writer.write(&[1; 4096]).unwrap();
            let waiting: usize = writer.changes.iter().map(|(_, change)| change.len()).sum();
            assert!(waiting <= MOST_CHANGES);
        }
        assert_eq!(fs::read(folder.path().join("a.part")).unwrap()[0], 1);
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let mut writer = Writer::create(&path, false).unwrap();
        // Every write to it says that there is no space left.
        writer.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = writer.write(b"x").unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error}");
        assert!(error.to_string().contains("video.mp4.part"), "{error}");
    }
}
