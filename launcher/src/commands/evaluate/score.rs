//! Average precision and recall of boxes, as COCO's server and pycocotools (`COCOeval`, `iouType="bbox"`) define them.
//!
//! For each category, picture, range of areas and threshold of overlap, the detections take, the surest first, the free object that they overlap most.
//! What lies outside of the range of areas, and what matches a crowd, counts neither for nor against. Precision is made to fall with recall and read at 101
//! recalls.

use std::collections::HashMap;

use serde::Serialize;

use super::coco::{Annotations, Detection, Truth};

const OVERLAPS: usize = 10;
const RECALLS: usize = 101;
/// Detections of a picture and category that count, at most.
const MOST: [usize; 3] = [1, 10, 100];
/// Square pixels, both bounds within.
const AREAS: [(&str, f64, f64); 4] = [
    ("all", 0.0, 1e10),
    ("small", 0.0, 32.0 * 32.0),
    ("medium", 32.0 * 32.0, 96.0 * 96.0),
    ("large", 96.0 * 96.0, 1e10),
];

/// 0.5, 0.55 … 0.95, with the roundings of NumPy's `linspace`.
fn overlap(index: usize) -> f64 {
    let step = (0.95 - 0.5) / (OVERLAPS - 1) as f64;
    if index + 1 == OVERLAPS {
        0.95
    } else {
        0.5 + index as f64 * step
    }
}

/// 0, 0.01 … 1.
fn recall(index: usize) -> f64 {
    if index + 1 == RECALLS { 1.0 } else { index as f64 * 0.01 }
}

/// Overlap of what was found with what is there; with a crowd, the part of the former that lies in it.
fn iou(found: &[f64; 4], truth: &Truth) -> f64 {
    let [x, y, w, h] = *found;
    let [tx, ty, tw, th] = truth.bbox;
    let width = (x + w).min(tx + tw) - x.max(tx);
    let height = (y + h).min(ty + th) - y.max(ty);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let both = width * height;
    let union = if truth.crowd { w * h } else { w * h + tw * th - both };
    both / union
}

/// What became of the detections of a category in a picture, the surest first, within a range of areas.
struct Matched {
    scores: Vec<f64>,
    /// For each threshold of overlap and detection.
    hits: Vec<Vec<Mark>>,
    /// Objects that count.
    truths: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Hit,
    Miss,
    /// Counts neither way.
    Ignored,
}

fn matched(truths: &[Truth], found: &[&Detection], least: f64, most: f64) -> Matched {
    let ignored = |truth: &Truth| truth.crowd || truth.area < least || truth.area > most;
    // Those that count come first.
    let mut order: Vec<&Truth> = truths.iter().collect();
    order.sort_by_key(|truth| ignored(truth));
    let overlaps: Vec<Vec<f64>> = found
        .iter()
        .map(|found| order.iter().map(|truth| iou(&found.bbox, truth)).collect())
        .collect();
    let outside = |found: &Detection| {
        let area = found.bbox[2] * found.bbox[3];
        area < least || area > most
    };
    let at = |threshold: f64| {
        let mut taken = vec![false; order.len()];
        let mut marks = Vec::with_capacity(found.len());
        for (found, overlaps) in found.iter().zip(&overlaps) {
            let mut best = threshold.min(1.0 - 1e-10);
            let mut chosen: Option<usize> = None;
            for (index, truth) in order.iter().enumerate() {
                if taken[index] && !truth.crowd {
                    continue;
                }
                // One that counts is not given up for one that does not.
                if chosen.is_some_and(|chosen| !ignored(order[chosen])) && ignored(truth) {
                    break;
                }
                if overlaps[index] >= best {
                    best = overlaps[index];
                    chosen = Some(index);
                }
            }
            marks.push(match chosen {
                Some(index) => {
                    taken[index] = true;
                    if ignored(order[index]) {
                        Mark::Ignored
                    } else {
                        Mark::Hit
                    }
                }
                None if outside(found) => Mark::Ignored,
                None => Mark::Miss,
            });
        }
        marks
    };
    Matched {
        scores: found.iter().map(|found| found.score).collect(),
        hits: (0..OVERLAPS).map(|index| at(overlap(index))).collect(),
        truths: order.iter().filter(|truth| !ignored(truth)).count(),
    }
}

/// Of one category in one range of areas.
struct Curve {
    /// At each threshold of overlap, the mean of the precisions at all recalls.
    precision: [f64; OVERLAPS],
    recall: [f64; OVERLAPS],
}

/// `None` where no object counts.
fn curve(pictures: &[Matched], most: usize) -> Option<Curve> {
    let truths: usize = pictures.iter().map(|picture| picture.truths).sum();
    if truths == 0 {
        return None;
    }
    let mut order: Vec<(f64, usize, usize)> = Vec::new();
    for (picture, found) in pictures.iter().enumerate() {
        let scores = found.scores.iter().take(most).enumerate();
        order.extend(scores.map(|(index, score)| (*score, picture, index)));
    }
    // Stable: of equals, the one of the picture that comes first.
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut curve = Curve {
        precision: [0.0; OVERLAPS],
        recall: [0.0; OVERLAPS],
    };
    for threshold in 0..OVERLAPS {
        let (mut hits, mut misses) = (0.0, 0.0);
        let mut recalls = Vec::with_capacity(order.len());
        let mut precisions: Vec<f64> = Vec::with_capacity(order.len());
        for &(_, picture, index) in &order {
            match pictures[picture].hits[threshold][index] {
                Mark::Hit => hits += 1.0,
                Mark::Miss => misses += 1.0,
                Mark::Ignored => {}
            }
            recalls.push(hits / truths as f64);
            precisions.push(hits / (misses + hits + f64::EPSILON));
        }
        for index in (1..precisions.len()).rev() {
            precisions[index - 1] = precisions[index - 1].max(precisions[index]);
        }
        curve.recall[threshold] = recalls.last().copied().unwrap_or(0.0);
        let sum: f64 = (0..RECALLS)
            .map(|index| {
                let place = recalls.partition_point(|&reached| reached < recall(index));
                precisions.get(place).copied().unwrap_or(0.0)
            })
            .sum();
        curve.precision[threshold] = sum / RECALLS as f64;
    }
    Some(curve)
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `AP` or `AR`.
    pub measure: &'static str,
    /// `0.50:0.95`, or one threshold.
    pub iou: &'static str,
    pub area: &'static str,
    pub max_detections: usize,
    /// -1 where nothing of the kind is in the pictures.
    pub value: f64,
}

impl Row {
    /// As pycocotools prints it.
    pub fn line(&self) -> String {
        let title = match self.measure {
            "AP" => "Average Precision",
            _ => "Average Recall",
        };
        format!(
            " {title:<18} ({}) @[ IoU={:<9} | area={:>6} | maxDets={:>3} ] = {:.3}",
            self.measure, self.iou, self.area, self.max_detections, self.value
        )
    }
}

/// What was found, against what is there.
#[derive(Debug, Serialize)]
pub struct Scores {
    /// The twelve that COCO ranks by, in its order.
    pub rows: Vec<Row>,
    /// AP of each category that is in the pictures, by name.
    pub categories: Vec<(String, f64)>,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { -1.0 } else { sum / count as f64 }
}

pub fn evaluate(annotations: &Annotations, found: &[Detection]) -> Scores {
    let mut by_place: HashMap<(u64, u64), Vec<&Detection>> = HashMap::new();
    for found in found {
        by_place
            .entry((found.image_id, found.category_id))
            .or_default()
            .push(found);
    }
    for found in by_place.values_mut() {
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MOST[MOST.len() - 1]);
    }
    // For each category, its curves: at most 1, 10 and 100 detections of all areas, then 100 of each other range.
    let curves: Vec<[Option<Curve>; 6]> = annotations
        .categories
        .iter()
        .map(|category| {
            let within = |(_, least, most): (&str, f64, f64)| -> Vec<Matched> {
                let places = annotations.pictures.iter().map(|picture| (picture.id, category.id));
                places
                    .filter_map(|place| {
                        let truths = annotations.truths.get(&place).map_or(&[][..], Vec::as_slice);
                        let found = by_place.get(&place).map_or(&[][..], Vec::as_slice);
                        let any = !truths.is_empty() || !found.is_empty();
                        any.then(|| matched(truths, found, least, most))
                    })
                    .collect()
            };
            let all = within(AREAS[0]);
            let [small, medium, large] = [AREAS[1], AREAS[2], AREAS[3]].map(|area| curve(&within(area), 100));
            let [one, ten, hundred] = MOST.map(|most| curve(&all, most));
            [one, ten, hundred, small, medium, large]
        })
        .collect();
    let of = |column: usize| curves.iter().filter_map(move |curves| curves[column].as_ref());
    let precision = |column: usize| mean(of(column).flat_map(|curve| curve.precision));
    let recall = |column: usize| mean(of(column).flat_map(|curve| curve.recall));
    let one = |threshold: usize| mean(of(2).map(|curve| curve.precision[threshold]));
    let row = |measure, iou, area, max_detections, value| Row {
        measure,
        iou,
        area,
        max_detections,
        value,
    };
    const WIDE: &str = "0.50:0.95";
    let rows = vec![
        row("AP", WIDE, "all", 100, precision(2)),
        row("AP", "0.50", "all", 100, one(0)),
        row("AP", "0.75", "all", 100, one(5)),
        row("AP", WIDE, "small", 100, precision(3)),
        row("AP", WIDE, "medium", 100, precision(4)),
        row("AP", WIDE, "large", 100, precision(5)),
        row("AR", WIDE, "all", 1, recall(0)),
        row("AR", WIDE, "all", 10, recall(1)),
        row("AR", WIDE, "all", 100, recall(2)),
        row("AR", WIDE, "small", 100, recall(3)),
        row("AR", WIDE, "medium", 100, recall(4)),
        row("AR", WIDE, "large", 100, recall(5)),
    ];
    let categories = annotations.categories.iter().zip(&curves);
    let categories = categories
        .filter_map(|(category, curves)| {
            let curve = curves[2].as_ref()?;
            Some((category.name.clone(), mean(curve.precision.into_iter())))
        })
        .collect();
    Scores { rows, categories }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn data(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/coco").join(name)
    }

    /// Made data of every kind (crowds, empty pictures, equal scores, more than a hundred detections), scored by pycocotools 2.0.11; see
    /// `tools/goldens/make_coco_goldens.py`.
    #[test]
    fn the_twelve_numbers_are_those_of_pycocotools() {
        let annotations = Annotations::read(&data("annotations.json")).unwrap();
        let text = std::fs::read_to_string(data("scores.json")).unwrap();
        let wanted: HashMap<String, Vec<f64>> = serde_json::from_str(&text).unwrap();
        assert_eq!(wanted.len(), 4);
        for (name, wanted) in wanted {
            let found = annotations.read_results(&data(&name)).unwrap();
            let scores = evaluate(&annotations, &found);
            assert_eq!((scores.rows.len(), wanted.len()), (12, 12));
            for (row, wanted) in scores.rows.iter().zip(wanted) {
                assert!((row.value - wanted).abs() < 1e-9, "{name}: {row:?} and not {wanted}");
            }
        }
    }

    #[test]
    fn lines_read_as_those_of_pycocotools() {
        let mut row = Row {
            measure: "AP",
            iou: "0.50",
            area: "all",
            max_detections: 100,
            value: 0.12345,
        };
        let line = " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.123";
        assert_eq!(row.line(), line);
        row = Row {
            measure: "AR",
            iou: "0.50:0.95",
            area: "medium",
            max_detections: 1,
            value: -1.0,
        };
        let line = " Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=  1 ] = -1.000";
        assert_eq!(row.line(), line);
    }

    #[test]
    fn boxes_without_extent_overlap_nothing() {
        let truth = |bbox, crowd| Truth { bbox, area: 1.0, crowd };
        assert_eq!(iou(&[0.0, 0.0, 0.0, 0.0], &truth([0.0, 0.0, 0.0, 0.0], false)), 0.0);
        assert_eq!(iou(&[0.0, 0.0, -1.0, 5.0], &truth([0.0, 0.0, 4.0, 4.0], true)), 0.0);
        assert_eq!(iou(&[0.0, 0.0, 2.0, 2.0], &truth([0.0, 0.0, 4.0, 4.0], true)), 1.0);
        assert_eq!(iou(&[0.0, 0.0, 2.0, 2.0], &truth([0.0, 0.0, 4.0, 4.0], false)), 0.25);
    }
}
