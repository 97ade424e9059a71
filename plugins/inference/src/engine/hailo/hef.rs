//! HEFs: what they hold, and their streams as tensors.

use std::ffi::CString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use hailort_abi::{
    Format, MAX_GROUPS, MAX_STREAMS, NetworkGroupInfo, Status, VStreamInfo, format_order, format_type, text,
};

use super::super::{DataType, EngineError, Layout, ModelSource, Quantisation, TensorInfo};
use super::KIND;
use super::library::Library;

/// First bytes of every HEF.
const MAGIC: &[u8] = b"\x01HEF";

/// The largest tensor that is believed; those of real networks have a few megabytes.
const MOST_BYTES: usize = 256 << 20;

/// Whether a model is for the Hailo: by its name, or by its first bytes.
pub(in super::super) fn is_hef(source: &ModelSource) -> bool {
    match source {
        ModelSource::Embedded(_, bytes) => bytes.starts_with(MAGIC),
        ModelSource::File(path) => is_hef_name(path) || starts_with_magic(path).unwrap_or(false),
    }
}

fn is_hef_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("hef"))
}

fn starts_with_magic(path: &Path) -> std::io::Result<bool> {
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = [0; MAGIC.len()];
    File::open(path)?.read_exact(&mut start)?;
    Ok(start == MAGIC)
}

/// An opened HEF.
pub(super) struct Hef {
    library: Arc<Library>,
    pub handle: hailort_abi::Hef,
}

impl Hef {
    /// `bytes` are those of `source`. A file is opened by its name, because HailoRT then leaves most of it on the disk.
    pub fn open(library: &Arc<Library>, source: &ModelSource, bytes: &[u8]) -> Result<Self, EngineError> {
        let corrupt = |reason: String| EngineError::ModelCorrupt {
            model: source.to_string(),
            engine: KIND,
            reason,
        };
        // HailoRT crashes on an empty buffer.
        if bytes.is_empty() {
            return Err(corrupt("it is empty".to_owned()));
        }
        let mut handle = hailort_abi::Hef::NULL;
        let status = match source {
            // SAFETY: the buffer and its length, which is not 0.
            ModelSource::Embedded(..) => unsafe {
                (library.api.hailo_create_hef_buffer)(&mut handle, bytes.as_ptr().cast(), bytes.len())
            },
            ModelSource::File(path) => {
                let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| corrupt(error.to_string()))?;
                // SAFETY: a text with its zero.
                unsafe { (library.api.hailo_create_hef_file)(&mut handle, name.as_ptr()) }
            }
        };
        status.ok().map_err(|status| match status {
            Status::OPEN_FILE_FAILURE | Status::FILE_OPERATION_FAILURE => EngineError::ModelMissing {
                model: source.to_string(),
                reason: status.to_string(),
            },
            Status::HEF_NOT_SUPPORTED => corrupt(format!(
                "{status}: it is no HEF, or from a compiler that this HailoRT does not know"
            )),
            _ => corrupt(status.to_string()),
        })?;
        Ok(Self {
            library: Arc::clone(library),
            handle,
        })
    }

    pub fn groups(&self) -> Result<Vec<String>, Status> {
        let mut infos = [NetworkGroupInfo {
            name: [0; hailort_abi::NAME],
            is_multi_context: 0,
        }; MAX_GROUPS];
        let mut count = infos.len();
        // SAFETY: an array and its length.
        unsafe { (self.library.api.hailo_get_network_groups_infos)(self.handle, infos.as_mut_ptr(), &mut count) }
            .ok()?;
        Ok(infos[..count.min(MAX_GROUPS)]
            .iter()
            .map(|info| text(&info.name))
            .collect())
    }

    /// The streams of the first network group.
    pub fn streams(&self) -> Result<Vec<VStreamInfo>, Status> {
        let mut infos = vec![VStreamInfo::default(); 2 * MAX_STREAMS];
        let mut count = infos.len();
        let first = std::ptr::null();
        // SAFETY: an array and its length; null stands for the first group.
        unsafe {
            (self.library.api.hailo_hef_get_all_vstream_infos)(self.handle, first, infos.as_mut_ptr(), &mut count)
        }
        .ok()?;
        infos.truncate(count);
        Ok(infos)
    }
}

impl Drop for Hef {
    fn drop(&mut self) {
        // SAFETY: opened by us, released once. A failure leaves nothing to do.
        let _ = unsafe { (self.library.api.hailo_release_hef)(self.handle) };
    }
}

/// What a HEF holds, for diagnosis.
#[derive(Debug, Clone, PartialEq)]
pub struct HefDescription {
    /// Names of the network groups. The engine runs HEFs with one.
    pub groups: Vec<String>,
    /// Streams of the first group, in the HEF's own form.
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
}

/// Reads what a HEF holds; needs the library and no device.
///
/// # Errors
/// No library, no such file, not a HEF, or streams of a kind that the engine does not run.
pub fn describe_hef(source: &ModelSource) -> Result<HefDescription, EngineError> {
    let library = Library::get()?;
    let bytes = source.read()?;
    let hef = Hef::open(&library, source, &bytes)?;
    let corrupt = |status: Status| EngineError::ModelCorrupt {
        model: source.to_string(),
        engine: KIND,
        reason: status.to_string(),
    };
    let streams = hef.streams().map_err(corrupt)?;
    let side = |direction| {
        let infos = streams.iter().filter(|info| info.direction == direction);
        infos
            .map(|info| tensor(source, info, native(info), None))
            .collect::<Result<_, _>>()
    };
    Ok(HefDescription {
        groups: hef.groups().map_err(corrupt)?,
        inputs: side(hailort_abi::HOST_TO_DEVICE)?,
        outputs: side(hailort_abi::DEVICE_TO_HOST)?,
    })
}

/// Whether a stream is a list of boxes that were suppressed on the chip or by HailoRT.
pub(super) fn is_nms(format: Format) -> bool {
    matches!(
        format.order,
        format_order::NMS_ON_CHIP
            | format_order::NMS_BY_CLASS
            | format_order::NMS_BY_SCORE
            | format_order::NMS_WITH_BYTE_MASK
    )
}

/// The form that a stream has when nothing else is asked for.
fn native(info: &VStreamInfo) -> Format {
    let kind = match info.format.kind {
        _ if is_nms(info.format) => format_type::FLOAT32,
        format_type::AUTO => format_type::UINT8,
        kind => kind,
    };
    Format { kind, ..info.format }
}

/// The host's form without the word "automatic", which may be left in it: the order is then that of the HEF, and the
/// type shows in the frame's size.
fn resolved(info: &VStreamInfo, format: Format, frame_size: Option<usize>) -> Format {
    let order = match format.order {
        format_order::AUTO => info.format.order,
        order => order,
    };
    let elements = info.shape[..3]
        .iter()
        .fold(1, |all: usize, &side| all.saturating_mul(side as usize));
    let kind = match (format.kind, frame_size) {
        (format_type::AUTO, Some(size)) if size == elements.saturating_mul(2) => format_type::UINT16,
        (format_type::AUTO, Some(size)) if size == elements.saturating_mul(4) => format_type::FLOAT32,
        (format_type::AUTO, _) => format_type::UINT8,
        (kind, _) => kind,
    };
    Format { kind, order, ..format }
}

/// A stream as a tensor, when the host sees it in `format`. `frame_size` in bytes is checked where it is known.
pub(super) fn tensor(
    source: &ModelSource,
    info: &VStreamInfo,
    format: Format,
    frame_size: Option<usize>,
) -> Result<TensorInfo, EngineError> {
    let format = resolved(info, format, frame_size);
    let name = text(&info.name);
    let wrong = |expected: String, found: String| EngineError::ModelShape {
        model: source.to_string(),
        expected,
        found: format!("{found} of {name}"),
    };
    let data_type = match (format.kind, format.order) {
        // Packed records.
        (_, format_order::NMS_BY_SCORE) => DataType::U8,
        (format_type::UINT8, _) => DataType::U8,
        (format_type::UINT16, _) => DataType::U16,
        (format_type::FLOAT32, _) => DataType::F32,
        (other, _) => return Err(wrong("values of u8, u16 or f32".into(), format!("format type {other}"))),
    };
    let [height, width, channels, _] = info.shape.map(|side| side as usize);
    let (shape, layout) = match format.order {
        // FCR and F8CR are the device's own orders: the host sees NHWC.
        format_order::NHWC | format_order::FCR | format_order::F8CR => (vec![1, height, width, channels], Layout::Nhwc),
        format_order::NHW => (vec![1, height, width, 1], Layout::Nhwc),
        format_order::NC => (vec![1, channels], Layout::Plain),
        format_order::NMS_BY_CLASS | format_order::NMS_ON_CHIP => {
            // Classes and boxes per class; a count before the boxes of each.
            let (classes, boxes) = (height, width);
            (
                vec![classes.saturating_mul(boxes.saturating_mul(5).saturating_add(1))],
                Layout::NmsByClass { classes, boxes },
            )
        }
        format_order::NMS_BY_SCORE => {
            // Where the structure has the most boxes in all depends on the release: the size tells.
            let size = frame_size.unwrap_or(2);
            let boxes = size.saturating_sub(2) / hailort_abi::DETECTION;
            (vec![2 + boxes * hailort_abi::DETECTION], Layout::NmsByScore { boxes })
        }
        other => return Err(wrong("order NHWC, NHW, NC or NMS".into(), format!("order {other}"))),
    };
    let quantised = data_type != DataType::F32 && !is_nms(format);
    let scale = info.quant_info.scale;
    if quantised && !(scale.is_finite() && scale > 0.0) {
        // So says a HEF whose channels have a scale each: all values would read as 0.
        return Err(wrong(
            "one scale for the whole tensor".into(),
            format!("a scale of {scale}"),
        ));
    }
    let quantisation = quantised.then_some(Quantisation {
        scale,
        zero_point: info.quant_info.zero_point,
    });
    let elements = shape.iter().try_fold(1, |all: usize, &side| all.checked_mul(side));
    if elements
        .and_then(|n| n.checked_mul(data_type.size()))
        .is_none_or(|bytes| bytes > MOST_BYTES)
    {
        return Err(wrong(
            format!("at most {MOST_BYTES} bytes"),
            format!("a shape of {shape:?}"),
        ));
    }
    let tensor = TensorInfo {
        name: name.clone(),
        shape,
        data_type,
        layout,
        quantisation,
    };
    let bytes = tensor.len().saturating_mul(data_type.size());
    match frame_size {
        Some(size) if size != bytes || bytes == 0 => {
            Err(wrong(format!("a frame of {bytes} bytes"), format!("{size} bytes")))
        }
        _ => Ok(tensor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hailort_abi::{QuantInfo, array};

    const SOURCE: ModelSource = ModelSource::Embedded("x.hef", b"");

    fn info(order: u32, shape: [u32; 4]) -> VStreamInfo {
        VStreamInfo {
            name: array("net/conv1"),
            format: Format {
                kind: format_type::UINT8,
                order,
                flags: 0,
            },
            shape,
            quant_info: QuantInfo {
                scale: 0.5,
                zero_point: 3.0,
                ..QuantInfo::default()
            },
            ..VStreamInfo::default()
        }
    }

    fn of(info: &VStreamInfo, kind: u32, size: usize) -> Result<TensorInfo, EngineError> {
        tensor(&SOURCE, info, Format { kind, ..info.format }, Some(size))
    }

    #[test]
    fn a_quantised_picture_has_its_scale_and_a_float_one_has_none() {
        let info = info(format_order::NHWC, [2, 3, 4, 0]);
        let native = of(&info, format_type::UINT8, 24).unwrap();
        assert_eq!(
            (native.shape.as_slice(), native.layout),
            ([1, 2, 3, 4].as_slice(), Layout::Nhwc)
        );
        assert_eq!(
            native.quantisation,
            Some(Quantisation {
                scale: 0.5,
                zero_point: 3.0
            })
        );
        let float = of(&info, format_type::FLOAT32, 96).unwrap();
        assert_eq!((float.data_type, float.quantisation), (DataType::F32, None));
        assert_eq!(of(&info, format_type::UINT16, 48).unwrap().data_type, DataType::U16);
    }

    #[test]
    fn boxes_have_the_layout_of_their_order() {
        let by_class = of(
            &info(format_order::NMS_BY_CLASS, [2, 10, 9, 9]),
            format_type::FLOAT32,
            408,
        )
        .unwrap();
        assert_eq!(by_class.layout, Layout::NmsByClass { classes: 2, boxes: 10 });
        let by_score = of(
            &info(format_order::NMS_BY_SCORE, [2, 10, 9, 9]),
            format_type::FLOAT32,
            2 + 22 * 7,
        )
        .unwrap();
        assert_eq!(
            (by_score.layout, by_score.data_type),
            (Layout::NmsByScore { boxes: 7 }, DataType::U8)
        );
    }

    #[test]
    fn frames_of_another_size_are_refused_by_name() {
        for (order, kind, size) in [
            (format_order::NHWC, format_type::UINT8, 23),
            (format_order::NHWC, format_type::FLOAT32, 24),
            (format_order::NMS_BY_CLASS, format_type::FLOAT32, 4),
            (format_order::NMS_BY_SCORE, format_type::FLOAT32, 3),
        ] {
            let error = of(&info(order, [2, 3, 4, 0]), kind, size).unwrap_err().to_string();
            assert!(error.contains("conv1") && error.contains("bytes"), "{error}");
        }
    }

    #[test]
    fn a_form_that_is_left_open_shows_in_the_hef_and_the_size() {
        let info = info(format_order::NHWC, [2, 3, 4, 0]);
        let open = Format::default();
        for (size, data_type) in [(24, DataType::U8), (48, DataType::U16), (96, DataType::F32)] {
            let found = tensor(&SOURCE, &info, open, Some(size)).unwrap();
            assert_eq!((found.data_type, found.layout), (data_type, Layout::Nhwc));
        }
        assert!(tensor(&SOURCE, &info, open, Some(72)).is_err());
    }

    #[test]
    fn unknown_orders_types_and_empty_tensors_are_refused() {
        assert!(of(&info(13, [2, 3, 4, 0]), format_type::UINT8, 24).is_err(), "NV12");
        assert!(
            of(
                &info(format_order::NMS_WITH_BYTE_MASK, [2, 3, 4, 0]),
                format_type::FLOAT32,
                24
            )
            .is_err()
        );
        assert!(of(&info(format_order::NHWC, [2, 3, 4, 0]), 9, 24).is_err());
        assert!(of(&info(format_order::NHWC, [0, 3, 4, 0]), format_type::UINT8, 0).is_err());
        let huge = info(format_order::NMS_BY_CLASS, [u32::MAX; 4]);
        assert!(of(&huge, format_type::FLOAT32, 24).is_err());
    }

    #[test]
    fn hefs_are_known_by_name_or_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            ModelSource::File(path)
        };
        assert!(is_hef(&ModelSource::File("/nowhere/x.HEF".into())));
        assert!(is_hef(&file("renamed", b"\x01HEF and more")));
        assert!(is_hef(&ModelSource::Embedded("m", b"\x01HEF")));
        assert!(!is_hef(&file("x.onnx", b"\x08\x07")));
        assert!(!is_hef(&file("short", b"\x01H")));
        assert!(!is_hef(&ModelSource::File("/nowhere/x.onnx".into())));
    }
}
