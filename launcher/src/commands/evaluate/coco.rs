//! COCO's files: annotations, and results as `[{"image_id", "category_id", "bbox", "score"}]`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::spec::read::io_reason;

/// No file of annotations is longer.
const MOST_BYTES: u64 = 4 << 30;

#[derive(Debug, Deserialize)]
struct File {
    images: Vec<Picture>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Picture {
    pub id: u64,
    #[serde(default)]
    pub file_name: String,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    /// Of the outline, smaller than the box's.
    area: f64,
    /// Pixels of many that were not told apart.
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Category {
    pub id: u64,
    pub name: String,
}

/// An object that is in a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Left, top, width, height in pixels.
    pub bbox: [f64; 4],
    pub area: f64,
    pub crowd: bool,
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    pub image_id: u64,
    pub category_id: u64,
    /// Left, top, width, height in pixels.
    pub bbox: [f64; 4],
    pub score: f64,
}

/// Pictures and what is in them, by the numbers of picture and category.
pub struct Annotations {
    /// By rising number.
    pub pictures: Vec<Picture>,
    /// By rising number.
    pub categories: Vec<Category>,
    pub truths: HashMap<(u64, u64), Vec<Truth>>,
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::NoInput, format!("cannot read {}: {why}", path.display()))
}

fn text(path: &Path) -> Result<String, Failure> {
    let meta = std::fs::metadata(path).map_err(|error| unreadable(path, io_reason(&error)))?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return Err(unreadable(path, "it is no file of annotations or results"));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(path, io_reason(&error)))
}

impl Annotations {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&text(path)?).map_err(|why| {
            unreadable(path, why)
                .hint("it must be COCO's JSON of object instances: images, annotations with bbox and area, categories")
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        file.images.sort_by_key(|picture| picture.id);
        file.categories.sort_by_key(|category| category.id);
        if let Some(twice) = file.images.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(format!("two pictures have the id {}", twice[0].id));
        }
        if let Some(twice) = file.categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(format!("two categories have the id {}", twice[0].id));
        }
        if file.images.is_empty() || file.categories.is_empty() {
            return Err("it names no picture or no category".to_owned());
        }
        let pictures: BTreeSet<u64> = file.images.iter().map(|picture| picture.id).collect();
        let mut truths: HashMap<(u64, u64), Vec<Truth>> = HashMap::new();
        for found in file.annotations {
            if !pictures.contains(&found.image_id) {
                return Err(format!(
                    "an annotation is of picture {}, which is not there",
                    found.image_id
                ));
            }
            if !found.bbox.iter().chain([&found.area]).all(|number| number.is_finite()) {
                return Err(format!("a box in picture {} is no box", found.image_id));
            }
            truths
                .entry((found.image_id, found.category_id))
                .or_default()
                .push(Truth {
                    bbox: found.bbox,
                    area: found.area,
                    crowd: found.iscrowd != 0,
                });
        }
        Ok(Self {
            pictures: file.images,
            categories: file.categories,
            truths,
        })
    }

    /// Reads results. Those of other pictures than these are refused.
    pub fn read_results(&self, path: &Path) -> Result<Vec<Detection>, Failure> {
        self.parse_results(&text(path)?).map_err(|why| {
            unreadable(path, why).hint("results are [{\"image_id\": 1, \"category_id\": 1, \"bbox\": [left, top, width, height], \"score\": 0.9}, …]")
        })
    }

    fn parse_results(&self, text: &str) -> Result<Vec<Detection>, String> {
        let all: Vec<Detection> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let known: BTreeMap<u64, ()> = self.pictures.iter().map(|picture| (picture.id, ())).collect();
        for found in &all {
            if !known.contains_key(&found.image_id) {
                return Err(format!(
                    "a result is of picture {}, which the annotations do not name",
                    found.image_id
                ));
            }
            if !found.bbox.iter().chain([&found.score]).all(|number| number.is_finite()) {
                return Err(format!("a result of picture {} is no box with a score", found.image_id));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"images":[{"id":7,"file_name":"b.jpg"},{"id":2,"file_name":"a.jpg"}],
        "categories":[{"id":18,"name":"dog"},{"id":1,"name":"person"}],
        "annotations":[{"id":1,"image_id":7,"category_id":18,"bbox":[1,2,3,4],"area":9.5,"iscrowd":1},
                       {"id":2,"image_id":7,"category_id":18,"bbox":[5,6,7,8],"area":50}]}"#;

    #[test]
    fn annotations_are_sorted_by_number() {
        let all = Annotations::parse(GOOD).unwrap();
        let ids: Vec<_> = all.pictures.iter().map(|picture| picture.id).collect();
        let names: Vec<_> = all.categories.iter().map(|category| category.name.as_str()).collect();
        assert_eq!((ids, names), (vec![2, 7], vec!["person", "dog"]));
        let dogs = &all.truths[&(7, 18)];
        assert_eq!((dogs.len(), dogs[0].crowd, dogs[1].crowd), (2, true, false));
    }

    #[test]
    fn what_is_no_file_of_annotations_is_refused() {
        for (from, to, says) in [
            ("\"id\":2,\"file", "\"id\":7,\"file", "two pictures have the id 7"),
            ("\"id\":1,\"name", "\"id\":18,\"name", "two categories have the id 18"),
            (
                "\"image_id\":7,\"category_id\":18,\"bbox\":[5",
                "\"image_id\":9,\"category_id\":18,\"bbox\":[5",
                "picture 9",
            ),
            ("[1,2,3,4]", "[1,2,3]", "length"),
            ("9.5", "\"wide\"", "f64"),
            ("\"categories\"", "\"kinds\"", "categories"),
        ] {
            let error = Annotations::parse(&GOOD.replace(from, to)).map(|_| ()).unwrap_err();
            assert!(error.contains(says), "{to}: {error}");
        }
        assert!(Annotations::parse("[]").is_err());
        assert!(Annotations::parse("{\"images\":[],\"categories\":[]}").is_err());
        let missing = Annotations::read(Path::new("/no/annotations.json"))
            .map(|_| ())
            .unwrap_err();
        assert!(missing.message.contains("/no/annotations.json"));
    }

    #[test]
    fn results_are_of_known_pictures() {
        let all = Annotations::parse(GOOD).unwrap();
        let line = r#"[{"image_id":7,"category_id":18,"bbox":[1,2,3,4],"score":0.5,"segmentation":[]}]"#;
        assert_eq!(all.parse_results(line).unwrap()[0].score, 0.5);
        for (from, to) in [("7", "8"), ("0.5", "null"), ("[1,2", "[2"), ("[{", "{")] {
            assert!(all.parse_results(&line.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
