//! What is wrong with a scenario.

use std::fmt;

/// Why a scenario cannot be shown. Its text names the place in the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Where in the document, as in `cues[0].root.id`; empty for the document as a whole.
    pub path: String,
    message: String,
}

impl Error {
    /// An error whose text begins with the place.
    pub(crate) fn at(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        let path = path.to_string();
        let message = format!("{path}: {message}");
        Self { path, message }
    }

    /// An error whose text says the place itself, or has none.
    pub(crate) fn said(path: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            path: path.to_string(),
            message: message.into(),
        }
    }
}

/// Something that is left out or taken differently than its author may think; the rest is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// As in [`Error`].
    pub path: String,
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A place in the document. It is written out only when there is something to say about it.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root(&'a str),
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }

    pub(crate) fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => f.write_str(name),
            Path::Key(Path::Root(""), key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Collects warnings, so many and no more: a broken document of a million cues shall not become a million warnings.
#[derive(Default)]
pub(crate) struct Warnings {
    list: Vec<Warning>,
    left_out: usize,
}

impl Warnings {
    const MOST: usize = 200;

    pub(crate) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        if self.list.len() < Self::MOST {
            self.list.push(Warning {
                path: path.to_string(),
                message: message.into(),
            });
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn into_list(mut self) -> Vec<Warning> {
        if self.left_out > 0 {
            self.list.push(Warning {
                path: String::new(),
                message: format!("{} more warnings", self.left_out),
            });
        }
        self.list
    }
}
