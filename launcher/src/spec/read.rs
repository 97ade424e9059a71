//! Strict reading of a description: the only module that knows the YAML library.

use std::fmt;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_saphyr::{Location, Options};

use super::Description;
use crate::exit::{Exit, Failure};

/// Larger than any description a person writes; keeps a wrong file (a video, say) from being read whole.
const MAX_BYTES: u64 = 1024 * 1024;
/// How long a pipe may take to give what it holds.
const PATIENCE: Duration = Duration::from_secs(5);

/// One fault in a description, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    pub file: PathBuf,
    /// Line and column from 1; `None` when the fault has no place in the file.
    pub at: Option<(u64, u64)>,
    pub message: String,
    pub hint: Option<String>,
    pub exit: Exit,
}

impl Issue {
    pub fn new(file: &Path, at: Option<(u64, u64)>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            at,
            message: message.into(),
            hint: None,
            exit: Exit::BadDescription,
        }
    }

    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    pub fn into_failure(self) -> Failure {
        let bare = Issue {
            hint: None,
            ..self.clone()
        };
        Failure::new(self.exit, bare.to_string()).maybe_hint(self.hint)
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

/// Line and column of a YAML node.
pub fn place(location: Location) -> Option<(u64, u64)> {
    (location.line() > 0).then(|| (location.line(), location.column()))
}

/// A description together with the file it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub path: PathBuf,
    pub description: Description,
}

impl Loaded {
    /// The folder against which default paths are resolved.
    pub fn folder(&self) -> &Path {
        self.path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }
}

/// Reads the file and checks its shape. Syntax and shape stop at the first fault; [`super::check`] lists all the others.
pub fn load(path: &Path) -> Result<Loaded, Issue> {
    let unreadable = |e: std::io::Error| Issue {
        exit: Exit::NoInput,
        ..Issue::new(path, None, format!("cannot read the description: {}", io_reason(&e)))
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.is_dir() {
        return Err(Issue {
            exit: Exit::NoInput,
            ..Issue::new(path, None, "this is a folder; give the description's file")
        });
    }
    let bytes = bounded(path, MAX_BYTES).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| {
        let message = format!("more than {MAX_BYTES} bytes is too large for a description");
        Issue::new(path, None, message)
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Issue::new(path, None, "the description is not UTF-8 text"))?;
    let description = parse(&text).map_err(|(at, message, hint)| Issue::new(path, at, message).hint(hint))?;
    Ok(Loaded {
        path: path.into(),
        description,
    })
}

/// What a file holds; `None` for more than `most` bytes. A pipe or a device tells no size beforehand, may never end, and may keep
/// whoever reads it waiting: [`PATIENCE`] at most.
pub fn bounded(path: &Path, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    // Opening a pipe that nobody writes to would wait as well.
    let file = std::fs::File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut reader = (&file).take(most + 1);
    loop {
        wait_for_data(&file, end)?;
        match reader.read_to_end(&mut bytes) {
            Ok(_) => return Ok((bytes.len() as u64 <= most).then_some(bytes)),
            // What came so far is kept.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits until there is something to read, or the end.
fn wait_for_data(file: &std::fs::File, end: Instant) -> std::io::Result<()> {
    let mut wanted = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let left = end.saturating_duration_since(Instant::now()).as_millis();
    // SAFETY: one descriptor that is open.
    match unsafe { libc::poll(&raw mut wanted, 1, left as libc::c_int) } {
        0 => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("it gave nothing for {} s", PATIENCE.as_secs()),
        )),
        // An interruption is looked at again by whoever reads.
        _ => Ok(()),
    }
}

type Fault = (Option<(u64, u64)>, String, Option<String>);

/// Parses the text of a description; the fault is (line and column, message, suggestion).
pub fn parse(text: &str) -> Result<Description, Fault> {
    let options: Options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        let e = e.without_snippet();
        let at = e.location().and_then(place);
        match e {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                (at, format!("unknown key `{field}`"), Some(one_of(field, expected)))
            }
            serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => (
                at,
                format!("`{variant}` is not allowed here"),
                Some(one_of(variant, expected)),
            ),
            serde_saphyr::Error::SerdeMissingField { field, .. } => (at, format!("the key `{field}` is missing"), None),
            other => {
                let text = other.to_string();
                // The place stands in front of our message already.
                let message = text
                    .split(" at line ")
                    .next()
                    .unwrap_or(&text)
                    .trim_end_matches(':')
                    .to_owned();
                (at, message, None)
            }
        }
    })
}

fn one_of(wrong: &str, known: &[&'static str]) -> String {
    match nearest(wrong, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The known word most like `wrong`, when it is alike enough to be worth suggesting.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&wrong, &k.to_lowercase().replace('_', "-")), k))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// The system's words for an error without Rust's "(os error N)".
pub fn io_reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error") {
        Some(cut) => text[..cut].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_read_and_one_that_gives_nothing_is_refused_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a path that ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let begin = Instant::now();
        let issue = load(&path).unwrap_err();
        assert!(issue.message.contains("gave nothing for 5 s"), "{}", issue.message);
        assert_eq!(issue.exit, Exit::NoInput);
        assert!(begin.elapsed() < 2 * PATIENCE);
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, GOOD)
        });
        assert_eq!(load(&path).unwrap().description.name.value, "t");
        writer.join().unwrap().unwrap();
    }

    const GOOD: &str = "version: 1\nname: t\nprocesses:\n  p: {launch: \"fakesrc ! fakesink\"}\n";

    #[test]
    fn minimal_description_gets_the_documented_defaults() {
        let d = parse(GOOD).unwrap();
        assert_eq!(d.name.value, "t");
        assert_eq!(d.restart.policy, super::super::RestartPolicy::Never);
        assert_eq!(d.stop.eos_timeout, super::super::Span::seconds(10));
        assert_eq!(d.processes["p"].value.launch.value, "fakesrc ! fakesink");
    }

    #[test]
    fn what_never_ends_is_refused() {
        let issue = load(Path::new("/dev/zero")).map(|_| ()).unwrap_err();
        assert!(issue.message.contains("too large"), "{}", issue.message);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(bounded(&file, 5).unwrap().as_deref(), Some(&b"12345"[..]));
        assert_eq!(bounded(&file, 4).unwrap(), None);
    }

    #[test]
    fn unknown_key_has_place_and_suggestion() {
        let (at, message, hint) = parse(&format!("{GOOD}helth: {{}}\n")).unwrap_err();
        assert_eq!(at, Some((5, 1)));
        assert!(message.contains("unknown key `helth`"), "{message}");
        assert_eq!(hint.as_deref(), Some("did you mean `health`?"));
    }

    #[test]
    fn unknown_key_deep_inside_has_its_own_place() {
        let (at, _, hint) = parse(&format!("{GOOD}stop:\n  eos_timeot: 1s\n")).unwrap_err();
        assert_eq!(at, Some((6, 3)));
        assert_eq!(hint.as_deref(), Some("did you mean `eos_timeout`?"));
    }

    #[test]
    fn keys_of_a_piece_are_checked() {
        let piece = |text: &str| parse(&format!("{GOOD}pieces:\n  s: {text}\n")).unwrap_err();
        let (at, message, hint) = piece("{parm: k, values: {}}");
        assert_eq!(
            (at, hint.as_deref()),
            (Some((6, 7)), Some("did you mean `param`?")),
            "{message}"
        );
        assert!(piece("{param: k}").1.contains("`values` is missing"));
        assert!(piece("{param: k, values: {a: [b]}}").0.is_some());
    }

    #[test]
    fn keys_of_a_later_version_are_errors() {
        let text = "version: 1\nname: t\nprocesses:\n  p: {webrtc: {port: 1}, launch: \"fakesrc ! fakesink\"}\n";
        assert!(parse(text).unwrap_err().1.contains("unknown key `webrtc`"));
    }

    #[test]
    fn refuses_wrong_shapes() {
        for (text, needle) in [
            ("version: 1\nname: t\n", "processes"),
            ("version: 1\nprocesses: {p: {launch: x}}\n", "name"),
            ("version: one\nname: t\nprocesses: {p: {launch: x}}\n", ""),
            ("version: 1\nname: t\nprocesses: {p: {}}\n", "launch"),
            ("version: 1\nname: t\nname: u\nprocesses: {p: {launch: x}}\n", "name"),
            ("- a\n- b\n", ""),
            ("", ""),
            ("{", ""),
            (
                "version: 1\nname: t\nprocesses: {p: {launch: x}}\nstop: {eos_timeout: 10}\n",
                "duration",
            ),
            (
                "version: 1\nname: t\nprocesses: {p: {launch: x}}\nrestart: {policy: sometimes}\n",
                "sometimes",
            ),
            (
                "version: 1\nname: t\nparams: {a: {type: text}}\nprocesses: {p: {launch: x}}\n",
                "text",
            ),
            (
                "version: 1\nname: t\nparams: {a: {type: boolean, mutable: yes}}\nprocesses: {p: {launch: x}}\n",
                "",
            ),
        ] {
            let (_, message, _) = parse(text).expect_err(text);
            assert!(message.contains(needle), "{text:?} gave {message:?}");
        }
    }

    #[test]
    fn alias_bombs_are_cut_short() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let prev = format!("*a{}", i - 1);
            text += &format!("a{i}: &a{i} [{}]\n", [prev.as_str(); 10].join(","));
        }
        assert!(parse(&text).is_err());
    }

    #[test]
    fn missing_folder_and_binary_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(&dir.path().join("no.yaml")).unwrap_err().exit, Exit::NoInput);
        assert!(load(dir.path()).unwrap_err().message.contains("folder"));
        let bin = dir.path().join("b.yaml");
        std::fs::write(&bin, [0xff, 0xfe, 0x00]).unwrap();
        assert!(load(&bin).unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        assert_eq!(nearest("intervall", ["interval", "engine"]), Some("interval"));
        assert_eq!(nearest("zzz", ["interval", "engine"]), None);
    }
}
