//! A growing XML file on disk: its creation, its errors and its end. How it grows is the append module's matter.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::append::{Appender, MAX_CLOSING, PAGE};

/// When the bytes must be on the disk itself. A crash of the process loses nothing either way; a power loss may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// When the kernel writes them back, or at `sync()`.
    #[default]
    None,
    /// After every append (`fdatasync`); costs a disk access each.
    EveryAppend,
}

/// Why a log could not be written. Whatever was appended before stays readable.
#[derive(Debug, Error)]
pub enum WriteError {
    #[error("{} is not a regular file: give the path of a file to write", path.display())]
    NotAFile { path: PathBuf },
    #[error("cannot write {}: {source}; make its folder exist and writable, or choose another path", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("no room for {}: {source}; free some space, what was written so far is complete", path.display())]
    Full { path: PathBuf, source: io::Error },
    #[error("writing {} failed: {source}; check the disk, or choose another path", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("'{name}' cannot be the root of {}: use letters, digits, '_', '-' and '.', at most 128, a letter first", path.display())]
    Root { path: PathBuf, name: String },
    #[error("{value} is no elapsed time for {}: it must be a finite number of seconds", path.display())]
    Elapsed { path: PathBuf, value: f64 },
}

impl WriteError {
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::IsADirectory => Self::NotAFile { path },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { path, source },
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidFilename => Self::Folder { path, source },
            _ => Self::Io { path, source },
        }
    }
}

/// An XML document that is appended to in constant time and is well-formed after every append, also when the process is killed in the
/// middle of one.
///
/// It is made beside its place and renamed into it, so it is never seen empty; an older file of that name is replaced. Dropping it
/// leaves the file as it is. One writer per path.
pub struct XmlFile {
    path: PathBuf,
    appender: Appender<File>,
    head_len: u64,
    sync: SyncPolicy,
}

impl XmlFile {
    /// Makes a document whose root is empty. `head` is everything up to the root's last attribute, `empty` is ` />` (and what closes
    /// outer elements), `footer` closes the root (and outer elements) when it has content. All well-formed together, and `head`,
    /// `empty` and `footer` no longer than 1024 bytes each.
    ///
    /// # Errors
    /// The path is a folder or a device, or its folder cannot be written.
    pub fn create(path: &Path, head: &str, empty: &str, footer: &str, sync: SyncPolicy) -> Result<Self, WriteError> {
        // So that the first closing tags lie in the first page.
        const { assert!(3 * MAX_CLOSING as u64 <= PAGE) };
        if [head, empty, footer].iter().any(|part| part.len() > MAX_CLOSING) {
            return Err(WriteError::Io {
                path: path.to_owned(),
                source: ErrorKind::InvalidInput.into(),
            });
        }
        let path = resolve(path)?;
        let fail = |error| WriteError::new(&path, error);
        let mut temporary = temporary(&path).map_err(fail)?;
        temporary.write_all(head.as_bytes()).map_err(fail)?;
        temporary.write_all(empty.as_bytes()).map_err(fail)?;
        let file = temporary.persist(&path).map_err(|error| fail(error.error))?;
        let head_len = head.len() as u64;
        Ok(Self {
            appender: Appender::new(file, head_len, empty, footer),
            path,
            head_len,
            sync,
        })
    }

    /// Where the document is; links are resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the document in bytes.
    pub fn bytes(&self) -> u64 {
        self.appender.len()
    }

    /// Appends well-formed markup inside the root: complete elements, of any length, without processing instructions.
    ///
    /// # Errors
    /// The disk is full or broken. The document is then as it was before.
    pub fn append(&mut self, markup: &str) -> Result<(), WriteError> {
        self.appender
            .append(markup.as_bytes())
            .map_err(|error| WriteError::new(&self.path, error))?;
        match self.sync {
            SyncPolicy::None => Ok(()),
            SyncPolicy::EveryAppend => self.sync(),
        }
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn sync(&self) -> Result<(), WriteError> {
        self.appender
            .storage()
            .sync_data()
            .map_err(|error| WriteError::new(&self.path, error))
    }

    /// Ends the document with another `head` (for attributes that are known only now): streamed into a file beside, put on the disk,
    /// renamed.
    ///
    /// # Errors
    /// No room or a broken disk. The document then stays as it is, without the new head.
    pub fn finish_with_head(mut self, head: &str) -> Result<(), WriteError> {
        self.copy_with_head(head)
            .map_err(|error| WriteError::new(&self.path, error))
    }

    fn copy_with_head(&mut self, head: &str) -> io::Result<()> {
        self.appender.repair()?;
        let mut copy = temporary(&self.path)?;
        copy.write_all(head.as_bytes())?;
        let mut source = self.appender.storage();
        source.seek(SeekFrom::Start(self.head_len))?;
        io::copy(&mut source, copy.as_file_mut())?;
        publish(copy, &self.path)
    }
}

/// The regular file that `path` means: the target of a link, or a name that is free.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, WriteError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => fs::canonicalize(path).map_err(|error| WriteError::new(path, error)),
        // A rename would replace a device or pipe by a file.
        Ok(_) => Err(WriteError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound && path.file_name().is_some() => Ok(path.to_owned()),
        Err(error) => Err(WriteError::new(path, error)),
    }
}

/// A file in the folder of `path`, with the permissions that a plain `open` would give; it goes away unless it is persisted.
pub(super) fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))
}

/// Puts a complete file on the disk and then in its place.
pub(super) fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename is only as durable as the folder; some file systems cannot sync one, and the content is safe either way.
    if let Ok(folder) = File::open(folder(path)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
