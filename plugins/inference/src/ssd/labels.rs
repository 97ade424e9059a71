//! Names of classes.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::engine::EngineError;

/// The 80 classes of COCO, without gaps.
#[rustfmt::skip]
pub const COCO: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
];

/// Numbers of 1 to [`COCO_IDS`] that COCO's annotations do not use.
const COCO_GAPS: [usize; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];
/// Largest number of a class in COCO's annotations.
pub(super) const COCO_IDS: usize = 90;

/// Index into [`COCO`] of a class as COCO's annotations number it (1 to 90), `None` for a number that they do not use.
pub fn coco_index(id: usize) -> Option<usize> {
    if !(1..=COCO_IDS).contains(&id) || COCO_GAPS.contains(&id) {
        return None;
    }
    Some(id - 1 - COCO_GAPS.iter().filter(|&&gap| gap < id).count())
}

/// The names of a network's classes, without the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    names: Vec<Cow<'static, str>>,
    /// Where they were read.
    file: Option<PathBuf>,
}

impl From<Vec<Cow<'static, str>>> for Labels {
    fn from(names: Vec<Cow<'static, str>>) -> Self {
        Self { names, file: None }
    }
}

/// `80 labels`, and of which file.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} labels", self.len())?;
        self.file
            .iter()
            .try_for_each(|file| write!(f, " in {}", file.display()))
    }
}

impl Labels {
    /// More lines than this are no list of labels.
    const MOST: usize = 10_000;
    /// Bytes of the largest file that is read.
    const MOST_BYTES: u64 = 1 << 20;

    /// The 80 names of [`COCO`].
    pub fn coco() -> Self {
        COCO.map(Cow::Borrowed).to_vec().into()
    }

    /// `class 0` and so on, for a network whose names nobody gave.
    pub fn numbered(count: usize) -> Self {
        let names: Vec<_> = (0..count).map(|index| Cow::Owned(format!("class {index}"))).collect();
        names.into()
    }

    /// One name a line, in the network's order; a first line that names the background is not counted, nor are empty lines at the
    /// end.
    ///
    /// # Errors
    /// Text without a name, with an empty line between two names or with more than 10 000 of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut names: Vec<_> = text.trim_end().lines().map(str::trim).collect();
        let first = names.first().map(|name| name.trim_matches(['_', ' ']));
        if first.is_some_and(|name| name.eq_ignore_ascii_case("background")) {
            names.remove(0);
        }
        if names.is_empty() {
            return Err("expected one name a line, found none".to_owned());
        }
        if names.len() > Self::MOST {
            return Err(format!("expected {} names at most, found {}", Self::MOST, names.len()));
        }
        if let Some(line) = names.iter().position(|name| name.is_empty()) {
            return Err(format!("expected a name for class {line}, found an empty line"));
        }
        let names: Vec<_> = names.into_iter().map(|name| Cow::Owned(name.to_owned())).collect();
        Ok(names.into())
    }

    /// Reads a file of [these lines](Self::parse).
    ///
    /// # Errors
    /// [`EngineError::ModelMissing`] with the file's name.
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let read = || {
            let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
            // Not from a pipe or a device, which may never end.
            if !metadata.is_file() || metadata.len() > Self::MOST_BYTES {
                return Err("it is no file of names".to_owned());
            }
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            Self::parse(&text)
        };
        let named = |labels| Self {
            file: Some(path.to_owned()),
            ..labels
        };
        read().map(named).map_err(|reason| EngineError::ModelMissing {
            model: format!("labels {}", path.display()),
            reason,
        })
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name of class `index`, empty beyond the last.
    pub fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("", |name| name)
    }

    /// The class with that name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coco_has_no_gaps_and_its_ids_have_ten() {
        let used: Vec<_> = (0..100).filter_map(coco_index).collect();
        assert_eq!(used, (0..80).collect::<Vec<_>>());
        for (id, name) in [
            (1, "person"),
            (3, "car"),
            (13, "stop sign"),
            (18, "dog"),
            (19, "horse"),
            (90, "toothbrush"),
        ] {
            assert_eq!(COCO[coco_index(id).unwrap()], name);
        }
    }

    #[test]
    fn names_are_read_line_by_line_without_the_background() {
        for text in ["a\nb b\n", "__background__\r\na\r\nb b\r\n\r\n", "Background\n a \nb b"] {
            let labels = Labels::parse(text).unwrap();
            assert_eq!(
                (labels.len(), labels.name(0), labels.name(1)),
                (2, "a", "b b"),
                "{text:?}"
            );
            assert_eq!(
                (labels.index("b b"), labels.index("c"), labels.name(2)),
                (Some(1), None, "")
            );
        }
    }

    #[test]
    fn text_that_is_no_list_of_names_is_refused() {
        for (text, part) in [
            ("", "none"),
            ("\n \n", "none"),
            ("background\n", "none"),
            ("a\n\nb", "class 1"),
        ] {
            assert!(Labels::parse(text).unwrap_err().contains(part), "{text:?}");
        }
        assert!(Labels::parse(&"a\n".repeat(10_001)).unwrap_err().contains("10001"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("broken.txt");
        std::fs::write(&broken, [0xff, 0xfe, b'\n']).unwrap();
        for path in [Path::new("/nowhere/labels.txt"), folder.path(), &broken] {
            let error = Labels::read(path).unwrap_err().to_string();
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
        }
    }
}
