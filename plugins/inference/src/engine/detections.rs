//! Lists of boxes as HailoRT writes them for networks with suppression on the chip.

use super::{EngineError, EngineKind, Layout, TensorRef};
use crate::nms::Rect;

/// One box. The list comes in no order that one may rely on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// As in the network; the background has no number.
    pub class: u16,
    /// 0 to 1.
    pub score: f32,
    /// x0, y0, x1, y1 as parts of the input's width and height. May reach beyond it.
    pub rect: Rect,
}

/// Reads a tensor of [`Layout::NmsByClass`] or [`Layout::NmsByScore`] into `found`, which is emptied first. Boxes that
/// are not finite or have no area are left out.
///
/// By class: for each class the number of its boxes as f32, then y0, x0, y1, x1, score of each. By score: the number of
/// boxes as u16, then packed records of y0, x0, y1, x1, score as f32 and the class as u16. (`hailort.h`,
/// `hailo_format_order_t`.)
///
/// # Errors
/// A tensor of another layout or type, and counts that the network cannot have.
pub fn read_detections(tensor: TensorRef<'_>, layout: Layout, found: &mut Vec<Detection>) -> Result<(), EngineError> {
    found.clear();
    let read = match (layout, tensor) {
        (Layout::NmsByClass { classes, boxes }, TensorRef::F32(values)) => by_class(values, classes, boxes, found),
        (Layout::NmsByScore { boxes }, TensorRef::U8(bytes)) => by_score(bytes, boxes, found),
        _ => Err("the tensor is not a list of boxes".to_owned()),
    };
    read.map_err(|reason| {
        found.clear();
        EngineError::Inference {
            engine: EngineKind::Hailo,
            reason,
        }
    })
}

fn by_class(values: &[f32], classes: usize, boxes: usize, found: &mut Vec<Detection>) -> Result<(), String> {
    let mut rest = values;
    for class in 0..classes {
        let Some((&count, after)) = rest.split_first() else {
            return Err(format!("the list of boxes ends before class {class}"));
        };
        // A whole number; NaN is none.
        let whole = (0.0..=boxes as f32).contains(&count) && count.fract() == 0.0;
        if !whole {
            return Err(format!("class {class} has {count} boxes of {boxes} at most"));
        }
        let Some((records, after)) = after.split_at_checked(count as usize * 5) else {
            return Err(format!("the list of boxes ends within class {class}"));
        };
        let class = u16::try_from(class).map_err(|_| format!("class {class} is beyond the last"))?;
        found.extend(
            records
                .as_chunks::<5>()
                .0
                .iter()
                .filter_map(|record| detection(class, record)),
        );
        rest = after;
    }
    Ok(())
}

fn by_score(bytes: &[u8], boxes: usize, found: &mut Vec<Detection>) -> Result<(), String> {
    const RECORD: usize = hailort_abi::DETECTION;
    let Some((count, records)) = bytes.split_first_chunk::<2>() else {
        return Err("the list of boxes is empty".to_owned());
    };
    let count = usize::from(u16::from_ne_bytes(*count));
    let records = records.as_chunks::<RECORD>().0;
    let Some(records) = records.get(..count).filter(|_| count <= boxes) else {
        return Err(format!("there are {count} boxes of {boxes} at most"));
    };
    found.extend(records.iter().filter_map(|record| {
        let (floats, class) = record.as_chunks::<4>();
        let mut values = [0.0; 5];
        for (value, bytes) in values.iter_mut().zip(floats) {
            *value = f32::from_ne_bytes(*bytes);
        }
        let class = class.first_chunk::<2>()?;
        detection(u16::from_ne_bytes(*class), &values)
    }));
    Ok(())
}

fn detection(class: u16, &[y0, x0, y1, x1, score]: &[f32; 5]) -> Option<Detection> {
    let usable = [x0, y0, x1, y1, score].iter().all(|value| value.is_finite()) && x1 > x0 && y1 > y0;
    usable.then_some(Detection {
        class,
        score,
        rect: [x0, y0, x1, y1],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_CLASS: Layout = Layout::NmsByClass { classes: 2, boxes: 2 };
    const BY_SCORE: Layout = Layout::NmsByScore { boxes: 2 };

    fn record(class: u16, score: f32, rect: Rect) -> Vec<u8> {
        let [x0, y0, x1, y1] = rect;
        let mut bytes: Vec<u8> = [y0, x0, y1, x1, score].iter().flat_map(|v| v.to_ne_bytes()).collect();
        bytes.extend(class.to_ne_bytes());
        bytes
    }

    fn read(tensor: TensorRef<'_>, layout: Layout) -> Result<Vec<Detection>, String> {
        let mut found = vec![
            Detection {
                class: 9,
                score: 9.0,
                rect: [9.0; 4],
            };
            3
        ];
        let result = read_detections(tensor, layout, &mut found);
        assert!(result.is_ok() || found.is_empty(), "nothing is left behind");
        result.map(|()| found).map_err(|error| error.to_string())
    }

    #[test]
    fn boxes_by_class_follow_each_other_closely() {
        let values = [
            1.0, 0.1, 0.2, 0.3, 0.4, 0.9, 2.0, 0.0, 0.0, 0.5, 0.5, 0.8, 0.5, 0.5, 1.0, 1.0, 0.7,
        ];
        let found = read(TensorRef::F32(&values), BY_CLASS).unwrap();
        let told: Vec<_> = found.iter().map(|d| (d.class, d.score, d.rect)).collect();
        assert_eq!(
            told,
            [
                (0, 0.9, [0.2, 0.1, 0.4, 0.3]),
                (1, 0.8, [0.0, 0.0, 0.5, 0.5]),
                (1, 0.7, [0.5, 0.5, 1.0, 1.0])
            ]
        );
    }

    #[test]
    fn boxes_by_score_carry_their_class() {
        let mut bytes = 2u16.to_ne_bytes().to_vec();
        bytes.extend(record(7, 0.9, [0.2, 0.1, 0.4, 0.3]));
        bytes.extend(record(0, 0.8, [0.0, 0.0, 0.5, 0.5]));
        let found = read(TensorRef::U8(&bytes), BY_SCORE).unwrap();
        assert_eq!(
            (found.len(), found[0].class, found[0].rect),
            (2, 7, [0.2, 0.1, 0.4, 0.3])
        );
    }

    #[test]
    fn no_boxes_are_no_error() {
        assert_eq!(read(TensorRef::F32(&[0.0; 22]), BY_CLASS).unwrap(), []);
        assert_eq!(read(TensorRef::U8(&[0; 46]), BY_SCORE).unwrap(), []);
    }

    #[test]
    fn impossible_counts_are_errors() {
        for count in [f32::NAN, f32::INFINITY, -1.0, 0.5, 3.0] {
            let mut values = [0.0; 22];
            values[0] = count;
            assert!(read(TensorRef::F32(&values), BY_CLASS).is_err(), "{count}");
        }
        let mut bytes = [0; 46];
        bytes[..2].copy_from_slice(&3u16.to_ne_bytes());
        assert!(
            read(TensorRef::U8(&bytes), BY_SCORE)
                .unwrap_err()
                .contains("3 boxes of 2")
        );
    }

    #[test]
    fn lists_that_end_early_are_errors() {
        assert!(read(TensorRef::F32(&[]), BY_CLASS).is_err());
        assert!(read(TensorRef::F32(&[2.0, 0.1, 0.2]), BY_CLASS).is_err());
        assert!(read(TensorRef::F32(&[0.0]), BY_CLASS).unwrap_err().contains("class 1"));
        for bytes in [&[][..], &[1], &[1, 0, 5, 5]] {
            assert!(read(TensorRef::U8(bytes), BY_SCORE).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn boxes_without_area_or_finite_numbers_are_left_out() {
        let mut bytes = 2u16.to_ne_bytes().to_vec();
        bytes.extend(record(1, f32::NAN, [0.0, 0.0, 1.0, 1.0]));
        bytes.extend(record(1, 0.5, [0.4, 0.0, 0.4, 1.0]));
        assert_eq!(read(TensorRef::U8(&bytes), BY_SCORE).unwrap(), []);
    }

    #[test]
    fn other_tensors_are_refused() {
        assert!(read(TensorRef::F32(&[0.0; 46]), BY_SCORE).is_err());
        assert!(read(TensorRef::U8(&[0; 46]), BY_CLASS).is_err());
        assert!(read(TensorRef::F32(&[0.0; 4]), Layout::Nhwc).is_err());
    }
}
