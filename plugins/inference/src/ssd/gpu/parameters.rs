//! The structures of `kernels.cu`, field by field.

use super::super::family::Activation;
use super::super::preprocess::{Picture, Preprocess};
use super::super::scan::least_logit;
use crate::frame::{DeviceFrame, DevicePlane};
use crate::preprocess::{Arrangement, arrangement, conversion};

/// `Fill`: one frame into one picture.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Fill {
    data: [u64; 3],
    strides: [i64; 3],
    x0: f64,
    dx: f64,
    y0: f64,
    dy: f64,
    output: u64,
    plane: i64,
    row: i64,
    column: i64,
    steps: [i32; 3],
    kind: i32,
    rows: i32,
    width: i32,
    height: i32,
    out_width: i32,
    out_height: i32,
    bytes: i32,
    bgr: i32,
    conversion: [f32; 6],
    scale: [f32; 3],
    offset: [f32; 3],
}

impl Fill {
    /// `planes`: where those of the frame are. `output`: address of the picture, of bytes or floats.
    pub fn new(
        frame: &DeviceFrame,
        planes: &[DevicePlane; 3],
        picture: &Picture,
        preprocess: &Preprocess,
        output: u64,
        bytes: bool,
    ) -> Self {
        let [dx, _, x0, _, dy, y0] = picture
            .sampling(preprocess.resize, (frame.width(), frame.height()))
            .matrix;
        let (width, height) = (picture.width as i64, picture.height as i64);
        let [plane, row, column] = if picture.interleaved() {
            [1, 3 * width, 3]
        } else {
            [width * height, width, 1]
        };
        let scaling = preprocess.scaling();
        let mut fill = Self {
            data: [0; 3],
            strides: [0; 3],
            x0,
            dx,
            y0,
            dy,
            output,
            plane,
            row,
            column,
            steps: [0; 3],
            kind: 0,
            rows: 0,
            width: frame.width() as i32,
            height: frame.height() as i32,
            out_width: width as i32,
            out_height: height as i32,
            bytes: bytes.into(),
            bgr: preprocess.is_bgr().into(),
            conversion: conversion(frame.matrix(), frame.range()),
            scale: scaling.scale,
            offset: scaling.offset,
        };
        let components = match arrangement(frame.format()) {
            Arrangement::Packed { step, offsets } => {
                fill.kind = 0;
                offsets.map(|first| (0, first, step))
            }
            Arrangement::Luma => {
                fill.kind = 1;
                [(0, 0, 1); 3]
            }
            Arrangement::Yuv { components, rows } => {
                fill.kind = 2;
                fill.rows = rows as i32;
                components
            }
        };
        for (index, (plane, first, step)) in components.into_iter().enumerate() {
            let plane = planes[plane];
            fill.data[index] = plane.pointer + first as u64;
            fill.strides[index] = plane.stride as i64;
            fill.steps[index] = step as i32;
        }
        fill
    }
}

/// `Limits`: what counts as an object in one picture.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Limits {
    threshold: f32,
    least: f32,
    overlap: f32,
    per_class: i32,
}

impl Limits {
    pub fn new(limits: &super::super::Limits, overlap: f32, activation: Activation) -> Self {
        Self {
            threshold: limits.score_threshold,
            least: least_logit(activation, limits.score_threshold),
            overlap,
            per_class: i32::try_from(limits.per_class).unwrap_or(i32::MAX),
        }
    }

    pub fn to_bytes(self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        let (words, _) = bytes.as_chunks_mut::<4>();
        let all = [
            self.threshold.to_ne_bytes(),
            self.least.to_ne_bytes(),
            self.overlap.to_ne_bytes(),
            self.per_class.to_ne_bytes(),
        ];
        words.copy_from_slice(&all);
        bytes
    }
}

/// `Candidate`, of which only the size is needed here.
#[repr(C)]
pub(super) struct Candidate {
    _score: f32,
    _anchor: i32,
}

/// `Found`: one object.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Found {
    pub score: f32,
    pub rect: [f32; 4],
    pub class_index: i32,
    pub rank: i32,
}

impl Found {
    pub fn of_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let float = |index: usize| f32::from_ne_bytes(words[index]);
        Self {
            score: float(0),
            rect: [float(1), float(2), float(3), float(4)],
            class_index: i32::from_ne_bytes(words[5]),
            rank: i32::from_ne_bytes(words[6]),
        }
    }
}

/// `Status`: what became of a picture.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Status {
    pub dropped: i32,
    pub found: i32,
    pub overflow: i32,
    _unused: i32,
}

impl Status {
    pub fn of_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        let (words, _) = bytes.as_chunks::<4>();
        let int = |index: usize| i32::from_ne_bytes(words[index]);
        Self {
            dropped: int(0),
            found: int(1),
            overflow: int(2),
            _unused: int(3),
        }
    }
}

/// `Heads`: the heads of a batch, and memory to read them with.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Heads {
    pub boxes: u64,
    pub scores: u64,
    pub defaults: u64,
    pub limits: u64,
    pub wanted: u64,
    pub candidates: u64,
    pub counts: u64,
    pub sorted: u64,
    pub rects: u64,
    pub found: u64,
    pub status: u64,
    pub anchors: i32,
    pub width: i32,
    pub classes: i32,
    pub box_planes: i32,
    pub score_planes: i32,
    pub background: i32,
    pub activation: i32,
    pub transposed: i32,
    pub bounded: i32,
    pub capacity: i32,
    pub most: i32,
}

/// As the kernels number them.
pub(super) fn activation(of: Activation) -> i32 {
    match of {
        Activation::Softmax => 0,
        Activation::Sigmoid => 1,
        Activation::None => 2,
    }
}
