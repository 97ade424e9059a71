//! Exit codes, and the error that carries one. The launcher and its runner children share this table.

use std::fmt;

/// What a command ends with. The numbers follow `sysexits.h` where one fits and `timeout(1)` for 124.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Ok,
    /// The pipeline ran and failed.
    Failed,
    /// The input ended before its time; what came before is written. The same code as `Failed`, but trying again is no use.
    Incomplete,
    /// Wrong command line.
    Usage,
    /// Bad description or parameter.
    BadDescription,
    /// An input is missing or cannot be read.
    NoInput,
    /// An element or library is missing, or the media is not supported.
    Unavailable,
    /// A fault of the launcher itself.
    Internal,
    /// An output cannot be written.
    CannotWrite,
    /// Refused for now (a device is busy); trying again may help.
    Busy,
    /// Access was denied.
    NoPermission,
    /// The surroundings are not set up: an environment variable or a secret's file is missing.
    Config,
    /// A time limit ran out.
    Timeout,
    /// Ended by force before the end-of-stream got through.
    Interrupted,
}

impl Exit {
    /// One for each code.
    const ALL: [Self; 13] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::BadDescription,
        Self::NoInput,
        Self::Unavailable,
        Self::Internal,
        Self::CannotWrite,
        Self::Busy,
        Self::NoPermission,
        Self::Config,
        Self::Timeout,
        Self::Interrupted,
    ];

    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed | Self::Incomplete => 1,
            Self::Usage => 2,
            Self::BadDescription => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::CannotWrite => 73,
            Self::Busy => 75,
            Self::NoPermission => 77,
            Self::Config => 78,
            Self::Timeout => 124,
            Self::Interrupted => 130,
        }
    }

    /// The meaning of a child's exit code; `None` for one that is not in the table.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|e| i32::from(e.code()) == code)
    }

    /// Whether the same run may succeed when tried again.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Failed | Self::Busy | Self::Timeout)
    }
}

/// One clear error: what went wrong, how to mend it, and the exit code it leads to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    pub exit: Exit,
    /// One sentence that names the thing.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint where there is one.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for e in Exit::ALL {
            assert_eq!(Exit::from_code(i32::from(e.code())), Some(e));
        }
        assert_eq!(Exit::from_code(3), None);
        assert_eq!(Exit::from_code(-1), None);
    }

    #[test]
    fn permanent_faults_are_not_retried() {
        for e in [
            Exit::BadDescription,
            Exit::NoInput,
            Exit::Unavailable,
            Exit::CannotWrite,
            Exit::Config,
            Exit::Incomplete,
        ] {
            assert!(!e.is_retryable(), "{e:?}");
        }
        assert!(Exit::Failed.is_retryable() && Exit::Busy.is_retryable() && Exit::Timeout.is_retryable());
    }
}
