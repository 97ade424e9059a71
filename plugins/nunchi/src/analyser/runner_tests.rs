//! The way of frames in CUDA memory. An analysis that takes them gets their addresses, and no byte of them is read here.

use super::*;
use crate::analyser::Options;
use gst::subclass::prelude::*;
use gst_base::subclass::{base_transform::BaseTransformMode, prelude::*};
use gst_video::VideoFormat;
use nunchi_inference::frame::PixelFormat;
use std::sync::{Arc, LazyLock};

#[path = "../../tests/common/cuda_memory.rs"]
mod cuda_memory;

/// What an analysis was given: format, size, address and stride of each plane.
type Seen = Arc<Mutex<Vec<(PixelFormat, (u32, u32), Vec<(u64, usize)>)>>>;

#[derive(Default)]
struct Settings {
    options: Options,
    takes: bool,
    seen: Seen,
}

impl AsRef<Options> for Settings {
    fn as_ref(&self) -> &Options {
        &self.options
    }
}

struct Mock {
    takes: bool,
    seen: Seen,
}

impl Analysis for Mock {
    type Settings = Settings;
    const NAME: &'static str = "Test";
    const NVDS_COMPONENT: i32 = 1;

    fn load(settings: &Settings, _on_cpu: bool) -> Result<Self, EngineError> {
        Ok(Self {
            takes: settings.takes,
            seen: settings.seen.clone(),
        })
    }

    fn move_to_cpu(&mut self, _settings: &Settings) -> Result<(), EngineError> {
        Ok(())
    }

    fn set_interrupt(&mut self, _interrupt: &Interrupt) {}

    fn engine(&self) -> (Engine, String) {
        (Engine::Auto, "CUDA:0".to_owned())
    }

    fn note(&self) -> Option<String> {
        None
    }

    fn takes_device_frames(&self) -> bool {
        self.takes
    }

    fn submit(&mut self, _slot: usize, frame: Pixels<'_>, _settings: &Settings) -> Result<(), EngineError> {
        let (format, planes) = match frame {
            Pixels::Device(frame) => {
                let planes = (0..frame.format().planes()).map(|index| frame.plane(index));
                (
                    frame.format(),
                    planes.map(|plane| (plane.pointer, plane.stride)).collect(),
                )
            }
            Pixels::Host(view) => (view.format(), Vec::new()),
        };
        lock(&self.seen).push((format, frame.size(), planes));
        Ok(())
    }

    fn finish(
        &mut self,
        _slot: usize,
        frame: &Frame<'_>,
        _settings: &Settings,
        _events: &mut Pending,
    ) -> Result<Vec<crate::analyser::Found>, EngineError> {
        assert_eq!(frame.view().is_err(), self.takes);
        Ok(Vec::new())
    }

    fn repeat(&self, _size: (u32, u32)) -> Vec<crate::analyser::Found> {
        Vec::new()
    }

    fn end_all(&mut self, _events: &mut Pending) {}

    fn reset(&mut self) {}
}

#[derive(Default)]
pub struct Imp;

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "NunchiRunnerTest";
    type Type = Element;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for Imp {}
impl GstObjectImpl for Imp {}

impl ElementImpl for Imp {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::init().unwrap();
            crate::analyser::pad_templates_with_cuda()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for Imp {
    const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;
}

glib::wrapper! {
    pub struct Element(ObjectSubclass<Imp>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

const SIZE: (u32, u32) = (64, 48);
const STRIDE: usize = 512;

/// A frame whose address is no memory of this process.
fn frame(format: VideoFormat, pointer: u64, wrap: fn(u64, usize) -> gst::Memory) -> gst::Buffer {
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let inner = buffer.get_mut().unwrap();
    inner.append_memory(wrap(pointer, STRIDE * SIZE.1 as usize * 3 / 2));
    let offsets = [0, STRIDE * SIZE.1 as usize];
    let planes = if format == VideoFormat::Nv12 { 2 } else { 1 };
    let flags = gst_video::VideoFrameFlags::empty();
    let strides = [STRIDE as i32; 2];
    gst_video::VideoMeta::add_full(
        inner,
        flags,
        format,
        SIZE.0,
        SIZE.1,
        &offsets[..planes],
        &strides[..planes],
    )
    .unwrap();
    buffer
}

/// Sends a frame through a runner, and gives what the analysis saw and how many frames could not be read.
fn send(buffer: gst::Buffer, format: VideoFormat, takes: bool) -> (Seen, u64) {
    gst::init().unwrap();
    let element: Element = glib::Object::new();
    let base: &gst_base::BaseTransform = element.upcast_ref();
    let settings = Settings {
        takes,
        ..Settings::default()
    };
    let runner = Runner::<Mock>::default();
    runner.start(base, &settings).unwrap();
    let info = gst_video::VideoInfo::builder(format, SIZE.0, SIZE.1).build().unwrap();
    runner.set_info(base, info, &settings);
    let out = runner.generate(base, Some(buffer), &settings).unwrap();
    assert!(matches!(out, GenerateOutputSuccess::Buffer(_)), "every frame goes on");
    let stats = runner.property("stats").unwrap().get::<gst::Structure>().unwrap();
    let errors = stats.get::<u64>("errors").unwrap();
    runner.stop();
    (settings.seen, errors)
}

#[test]
fn an_analysis_on_the_gpu_gets_addresses() {
    let pointer = 0x7f00_0000_0000;
    let (seen, errors) = send(
        frame(VideoFormat::Nv12, pointer, cuda_memory::wrap),
        VideoFormat::Nv12,
        true,
    );
    let planes = vec![(pointer, STRIDE), (pointer + STRIDE as u64 * 48, STRIDE)];
    assert_eq!(*lock(&seen), [(PixelFormat::Nv12, SIZE, planes)]);
    assert_eq!(errors, 0);
}

#[test]
fn one_on_the_processor_gets_pixels() {
    let pixels = vec![7u8; STRIDE * 48 * 3 / 2];
    let buffer = frame(
        VideoFormat::Nv12,
        pixels.as_ptr().addr() as u64,
        cuda_memory::wrap_shared,
    );
    let (seen, errors) = send(buffer, VideoFormat::Nv12, false);
    assert_eq!(*lock(&seen), [(PixelFormat::Nv12, SIZE, Vec::new())]);
    assert_eq!(errors, 0);
}

#[test]
fn planes_that_do_not_fit_are_a_warning_and_the_frame_goes_on() {
    // Rows of RGBA that are shorter than the picture.
    gst::init().unwrap();
    let mut buffer = gst::Buffer::new();
    let inner = buffer.get_mut().unwrap();
    inner.append_memory(cuda_memory::wrap(0x7f00_0000_0000, 64 * 48 * 4));
    let flags = gst_video::VideoFrameFlags::empty();
    gst_video::VideoMeta::add_full(inner, flags, VideoFormat::Rgba, SIZE.0, SIZE.1, &[0], &[64]).unwrap();
    let (seen, errors) = send(buffer, VideoFormat::Rgba, true);
    assert!(lock(&seen).is_empty());
    assert_eq!(errors, 1);
}
