//! A checked view of one video frame.

use thiserror::Error;

/// Memory layout of the pixels. Formats with alpha use the variant with `x`: alpha is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed, 3 bytes a pixel.
    Rgb,
    /// Packed, 3 bytes a pixel.
    Bgr,
    /// Packed, 4 bytes a pixel.
    Rgbx,
    /// Packed, 4 bytes a pixel.
    Bgrx,
    /// Packed, 4 bytes a pixel.
    Xrgb,
    /// Packed, 4 bytes a pixel.
    Xbgr,
    /// 4:2:0, planes Y, U, V.
    I420,
    /// 4:2:0, planes Y, V, U.
    Yv12,
    /// 4:2:0, planes Y and interleaved UV.
    Nv12,
    /// 4:2:0, planes Y and interleaved VU.
    Nv21,
    /// 4:2:2 packed, Y0 U Y1 V.
    Yuy2,
    /// 4:2:2 packed, U Y0 V Y1.
    Uyvy,
    /// Luma only.
    Gray8,
}

impl PixelFormat {
    /// Every format, for tests and caps.
    pub const ALL: [Self; 13] = [
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Xrgb,
        Self::Xbgr,
        Self::I420,
        Self::Yv12,
        Self::Nv12,
        Self::Nv21,
        Self::Yuy2,
        Self::Uyvy,
        Self::Gray8,
    ];

    /// Number of planes.
    pub fn planes(self) -> usize {
        match self {
            Self::I420 | Self::Yv12 => 3,
            Self::Nv12 | Self::Nv21 => 2,
            _ => 1,
        }
    }

    /// Bytes of pixel data in one row, and number of rows, of plane `plane` for a frame of `width` x `height`.
    pub fn plane_size(self, plane: usize, width: u32, height: u32) -> (usize, usize) {
        let (w, h) = (width as usize, height as usize);
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        match (self, plane) {
            (Self::Rgb | Self::Bgr, _) => (3 * w, h),
            (Self::Rgbx | Self::Bgrx | Self::Xrgb | Self::Xbgr, _) => (4 * w, h),
            (Self::Yuy2 | Self::Uyvy, _) => (4 * half_w, h),
            (_, 0) => (w, h),
            (Self::Nv12 | Self::Nv21, _) => (2 * half_w, half_h),
            (_, _) => (half_w, half_h),
        }
    }
}

/// One plane: its bytes and the distance in bytes from one row to the next.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    pub data: &'a [u8],
    pub stride: usize,
}

/// YCbCr matrix coefficients. Ignored by RGB formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Matrix {
    #[default]
    Bt601,
    Bt709,
    Bt2020,
}

/// Range of the YCbCr (and grey) samples: 16..235 or 0..255. Ignored by RGB formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Range {
    #[default]
    Limited,
    Full,
}

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    #[error("frame of {width}x{height} pixels: each side must be 1..={}", FrameView::MAX_SIDE)]
    Size { width: u32, height: u32 },
    #[error("{format:?} has {expected} planes, {found} were given")]
    Planes {
        format: PixelFormat,
        expected: usize,
        found: usize,
    },
    #[error("plane {plane}: stride of {stride} bytes, a row needs {row}")]
    Stride { plane: usize, stride: usize, row: usize },
    #[error("plane {plane}: {found} bytes, {expected} needed")]
    Data {
        plane: usize,
        expected: usize,
        found: usize,
    },
}

/// One frame, borrowed. Sizes and strides were checked, so that reading it cannot fail.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: [Plane<'a>; 3],
    matrix: Matrix,
    range: Range,
}

impl<'a> FrameView<'a> {
    /// Largest width and height: positions are 16.16 fixed point.
    pub const MAX_SIDE: u32 = 32_000;

    /// Checks the sides, the number of planes, and that every plane holds its rows. The last row may end right after
    /// its last pixel.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: &[Plane<'a>],
        matrix: Matrix,
        range: Range,
    ) -> Result<Self, FrameError> {
        check(format, (width, height), planes.iter().map(|plane| plane.stride))?;
        let mut kept = [Plane { data: &[], stride: 0 }; 3];
        for (index, plane) in planes.iter().enumerate() {
            let (row, rows) = format.plane_size(index, width, height);
            let expected = (rows - 1).saturating_mul(plane.stride).saturating_add(row);
            if plane.data.len() < expected {
                return Err(FrameError::Data {
                    plane: index,
                    expected,
                    found: plane.data.len(),
                });
            }
            kept[index] = *plane;
        }
        Ok(Self {
            format,
            width,
            height,
            planes: kept,
            matrix,
            range,
        })
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn matrix(&self) -> Matrix {
        self.matrix
    }

    pub fn range(&self) -> Range {
        self.range
    }

    /// Plane `index`; an empty one beyond the last.
    pub fn plane(&self, index: usize) -> Plane<'a> {
        self.planes
            .get(index)
            .copied()
            .unwrap_or(Plane { data: &[], stride: 0 })
    }
}

/// A plane in memory of a GPU: its address there, and the distance in bytes from one row to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DevicePlane {
    pub pointer: u64,
    pub stride: usize,
}

/// One frame in memory of a GPU. Sizes and strides were checked; how much memory there is, CUDA tells.
#[derive(Debug, Clone, Copy)]
pub struct DeviceFrame {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: [DevicePlane; 3],
    matrix: Matrix,
    range: Range,
}

impl DeviceFrame {
    /// Checks the sides, the number of planes and their strides.
    ///
    /// # Safety
    /// The planes are memory of CUDA in this process, and stay so while the frame is read; addresses that CUDA does not know are
    /// refused then.
    ///
    /// # Errors
    /// As [`FrameView::new`], but for the bytes.
    pub unsafe fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: &[DevicePlane],
        matrix: Matrix,
        range: Range,
    ) -> Result<Self, FrameError> {
        let mut kept = [DevicePlane::default(); 3];
        check(format, (width, height), planes.iter().map(|plane| plane.stride))?;
        kept[..planes.len()].copy_from_slice(planes);
        Ok(Self {
            format,
            width,
            height,
            planes: kept,
            matrix,
            range,
        })
    }

    pub fn format(&self) -> PixelFormat {
        self.format
    }

    pub fn width(&self) -> u32 {
        self.width
    }

    pub fn height(&self) -> u32 {
        self.height
    }

    pub fn matrix(&self) -> Matrix {
        self.matrix
    }

    pub fn range(&self) -> Range {
        self.range
    }

    /// Plane `index`; an empty one beyond the last.
    pub fn plane(&self, index: usize) -> DevicePlane {
        self.planes.get(index).copied().unwrap_or_default()
    }

    /// Bytes that plane `index` needs: its last row may end right after its last pixel.
    pub fn bytes(&self, index: usize) -> usize {
        let (row, rows) = self.format.plane_size(index, self.width, self.height);
        (rows - 1).saturating_mul(self.plane(index).stride).saturating_add(row)
    }
}

/// A frame, wherever it is.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    Host(&'a FrameView<'a>),
    Device(&'a DeviceFrame),
}

impl Pixels<'_> {
    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        match self {
            Self::Host(frame) => (frame.width, frame.height),
            Self::Device(frame) => (frame.width, frame.height),
        }
    }
}

impl<'a> From<&'a FrameView<'a>> for Pixels<'a> {
    fn from(frame: &'a FrameView<'a>) -> Self {
        Self::Host(frame)
    }
}

impl<'a> From<&'a DeviceFrame> for Pixels<'a> {
    fn from(frame: &'a DeviceFrame) -> Self {
        Self::Device(frame)
    }
}

/// Whether these can be the planes of such a frame.
fn check(
    format: PixelFormat,
    (width, height): (u32, u32),
    strides: impl ExactSizeIterator<Item = usize>,
) -> Result<(), FrameError> {
    if !(1..=FrameView::MAX_SIDE).contains(&width) || !(1..=FrameView::MAX_SIDE).contains(&height) {
        return Err(FrameError::Size { width, height });
    }
    if strides.len() != format.planes() {
        return Err(FrameError::Planes {
            format,
            expected: format.planes(),
            found: strides.len(),
        });
    }
    for (plane, stride) in strides.enumerate() {
        let (row, _) = format.plane_size(plane, width, height);
        if stride < row {
            return Err(FrameError::Stride { plane, stride, row });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(format: PixelFormat, size: (u32, u32), planes: &[(usize, usize)]) -> Result<(), FrameError> {
        let memory: Vec<_> = planes
            .iter()
            .map(|(bytes, stride)| (vec![0; *bytes], *stride))
            .collect();
        let planes: Vec<_> = memory
            .iter()
            .map(|(data, stride)| Plane { data, stride: *stride })
            .collect();
        FrameView::new(format, size.0, size.1, &planes, Matrix::Bt601, Range::Full).map(|_| ())
    }

    #[test]
    fn the_last_row_may_end_with_its_last_pixel() {
        assert_eq!(view(PixelFormat::Rgb, (3, 2), &[(12 + 9, 12)]), Ok(()));
        assert_eq!(
            view(PixelFormat::I420, (3, 3), &[(4 + 4 + 3, 4), (6, 4), (6, 4)]),
            Ok(())
        );
        assert_eq!(view(PixelFormat::Nv12, (3, 3), &[(9, 3), (8, 4)]), Ok(()));
        assert_eq!(view(PixelFormat::Yuy2, (3, 1), &[(8, 8)]), Ok(()));
    }

    #[test]
    fn empty_and_huge_frames_are_refused() {
        for size in [(0, 4), (4, 0), (32_001, 1), (1, u32::MAX)] {
            let error = FrameError::Size {
                width: size.0,
                height: size.1,
            };
            assert_eq!(view(PixelFormat::Gray8, size, &[(100, 10)]), Err(error));
        }
    }

    #[test]
    fn a_stride_below_the_row_is_refused() {
        let error = FrameError::Stride {
            plane: 0,
            stride: 11,
            row: 12,
        };
        assert_eq!(view(PixelFormat::Rgb, (4, 1), &[(100, 11)]), Err(error));
        let error = FrameError::Stride {
            plane: 1,
            stride: 1,
            row: 2,
        };
        assert_eq!(view(PixelFormat::I420, (3, 3), &[(9, 3), (9, 1), (9, 2)]), Err(error));
    }

    #[test]
    fn a_short_plane_is_refused() {
        let error = FrameError::Data {
            plane: 0,
            expected: 21,
            found: 20,
        };
        assert_eq!(view(PixelFormat::Rgb, (3, 2), &[(20, 12)]), Err(error));
        let error = FrameError::Data {
            plane: 2,
            expected: 4,
            found: 3,
        };
        assert_eq!(view(PixelFormat::I420, (3, 3), &[(9, 3), (4, 2), (3, 2)]), Err(error));
        assert!(view(PixelFormat::Rgb, (3, 2), &[(20, usize::MAX)]).is_err());
    }

    #[test]
    fn a_wrong_number_of_planes_is_refused() {
        let error = FrameError::Planes {
            format: PixelFormat::I420,
            expected: 3,
            found: 1,
        };
        assert_eq!(view(PixelFormat::I420, (2, 2), &[(6, 2)]), Err(error));
        let error = FrameError::Planes {
            format: PixelFormat::Gray8,
            expected: 1,
            found: 2,
        };
        assert_eq!(view(PixelFormat::Gray8, (2, 2), &[(4, 2), (4, 2)]), Err(error));
    }
}
