use super::input::{self, Refused};
use super::property::{Codec, Settings};
use crate::cuda;
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{prelude::*, subclass::prelude::*};
use nunchi_nvenc::{Config, Encoder, Error, Packet};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "nunchinvenc",
        gst::DebugColorFlags::empty(),
        Some("NVENC through the driver alone"),
    )
});

/// No encoder takes more; each GPU's own limit shows when it is opened.
const MAX_SIDE: i32 = 16_384;

/// The stream since the last caps.
struct Stream {
    info: gst_video::VideoInfo,
    config: Config,
    cuda: bool,
    /// `None` until the first frame in CUDA memory tells the GPU.
    encoder: Option<Encoder>,
    /// A memory of the stream, which keeps the context of CUDA in which the encoder works.
    keeper: Option<gst::Memory>,
    /// The last bit rate that the encoder was asked for.
    rate: nunchi_nvenc::RateControl,
}

/// The stream is taken out of its lock while the encoder works; the base class lets only one thread do so at a time.
#[derive(Default)]
pub struct NvEnc {
    settings: Mutex<Settings>,
    stream: Mutex<Option<Stream>>,
}

/// The element error: which class it is, what it says.
fn message(error: &Error) -> gst::ErrorMessage {
    match error {
        Error::Library { .. }
        | Error::DriverTooOld { .. }
        | Error::NoDevice { .. }
        | Error::DeviceIndex { .. }
        | Error::NoEncoder { .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{error}")),
        Error::Codec { .. } | Error::Size { .. } | Error::Unsupported { .. } | Error::Config(_) => {
            gst::error_msg!(gst::ResourceError::Settings, ("{error}"))
        }
        Error::Sessions { .. } => gst::error_msg!(gst::ResourceError::Busy, ("{error}")),
        Error::Memory { .. } => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{error}")),
        _ => gst::error_msg!(gst::ResourceError::Failed, ("{error}")),
    }
}

impl NvEnc {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn stream(&self) -> MutexGuard<'_, Option<Stream>> {
        self.stream.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Works on the stream, if there is one, without its lock.
    fn on_stream<T>(&self, body: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = self.stream().take()?;
        let result = body(&mut stream);
        *self.stream() = Some(stream);
        Some(result)
    }

    fn fail(&self, error: &Error) -> gst::FlowError {
        self.post_error_message(message(error));
        gst::FlowError::Error
    }

    fn refuse(&self, refused: &Refused) -> gst::FlowError {
        match refused {
            Refused::Encoder(error) => self.fail(error),
            Refused::Buffer(reason) => {
                let text = format!("a frame cannot be read: {reason}");
                self.post_error_message(gst::error_msg!(gst::ResourceError::Read, ("{text}")));
                gst::FlowError::Error
            }
        }
    }

    /// Ends the stream so far: what the encoder holds back goes out.
    fn drain(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let flushed = self.on_stream(|stream| stream.encoder.as_mut().map(Encoder::flush));
        match flushed.flatten() {
            Some(Ok(packets)) => self.push(packets),
            Some(Err(error)) => {
                self.end();
                Err(self.fail(&error))
            }
            None => Ok(gst::FlowSuccess::Ok),
        }
    }

    /// Ends the encoder too, and gives what it still had.
    fn end(&self) -> Vec<Packet> {
        let stream = self.stream().take();
        let rest = stream.and_then(|mut stream| stream.encoder.as_mut()?.flush().ok());
        rest.unwrap_or_default()
    }

    fn push(&self, packets: Vec<Packet>) -> Result<gst::FlowSuccess, gst::FlowError> {
        let obj = self.obj();
        for packet in packets {
            let number = i32::try_from(packet.index).ok();
            let Some(mut frame) = number.and_then(|number| obj.frame(number)) else {
                gst::warning!(CAT, imp = self, "frame {} is no longer wanted", packet.index);
                continue;
            };
            if packet.key {
                frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
            }
            // Without B frames the orders of decoding and showing are the same.
            let pts = frame.pts();
            frame.set_dts(pts);
            frame.set_output_buffer(gst::Buffer::from_slice(packet.data));
            obj.finish_frame(frame)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Encodes one frame, with the encoder opened if this is the first in CUDA memory.
    fn encode(stream: &mut Stream, buffer: &gst::BufferRef, index: u64, key: bool) -> Result<Vec<Packet>, Refused> {
        if !stream.cuda {
            let encoder = stream
                .encoder
                .as_mut()
                .ok_or(Refused::Buffer("it came before its caps"))?;
            return input::encode(encoder, buffer, &stream.info, index, key);
        }
        let (planes, memory) = input::device_planes(buffer, &stream.info)?;
        let encoder = match &mut stream.encoder {
            Some(encoder) => encoder,
            none => {
                let pointer = planes.first().map_or(0, |plane| plane.pointer);
                // SAFETY: the memory, which keeps its context, is kept until the encoder is dropped.
                let encoder = unsafe { Encoder::open_for(&stream.config, pointer) }.map_err(Refused::Encoder)?;
                stream.keeper = Some(memory);
                none.insert(encoder)
            }
        };
        // SAFETY: the base class keeps the buffer until its packet has come, or drops it after a flush or a stop of the
        // encoder; while two hold it nobody may write.
        unsafe { encoder.encode_device(&planes, index, key) }.map_err(Refused::Encoder)
    }

    /// Hands a bit rate that was set since to the encoder.
    fn follow(&self, stream: &mut Stream) {
        let rate = self.settings().rate();
        if stream.rate == rate {
            return;
        }
        // Asked for once, whatever the answer.
        stream.rate = rate;
        let Some(encoder) = &mut stream.encoder else {
            stream.config.rate = rate;
            return;
        };
        match encoder.set_rate(rate) {
            Ok(()) => gst::info!(CAT, imp = self, "from now on {rate:?}"),
            Err(error @ Error::Lost { .. }) => gst::debug!(CAT, imp = self, "{error}"),
            Err(error) => gst::element_imp_warning!(self, gst::ResourceError::Settings, ("{error}")),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The encoder goes before the memory that keeps its context.
        self.encoder = None;
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NvEnc {
    const NAME: &'static str = "GstNunchiNvEnc";
    type Type = super::NvEnc;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for NvEnc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let live = pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        if !live && self.obj().current_state() > gst::State::Ready {
            gst::warning!(CAT, imp = self, "{} cannot change while the stream runs", pspec.name());
            return;
        }
        self.settings().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let value = self.settings().get(pspec.name());
        value.unwrap_or_else(|| pspec.default_value().clone())
    }
}

impl GstObjectImpl for NvEnc {}

impl ElementImpl for NvEnc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "NVENC, direct",
                "Codec/Encoder/Video/Hardware",
                "Encodes video on an NVIDIA GPU through the driver alone",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    /// Finds out what this machine cannot before a stream begins. Not in `open` of the base class, which would post a
    /// second error.
    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady {
            let Settings { device, codec, .. } = *self.settings();
            let capabilities = nunchi_nvenc::probe(device, codec.into()).map_err(|error| {
                self.post_error_message(message(&error));
                gst::StateChangeError
            })?;
            gst::debug!(CAT, imp = self, "{capabilities:?}");
        }
        self.parent_change_state(transition)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let raw = |features: Option<&str>| {
                let side = gst::IntRange::with_step(2, MAX_SIDE, 2);
                let formats = input::FORMATS.map(|(format, _)| format.to_str());
                let caps = gst::Caps::builder("video/x-raw").features(features);
                caps.field("format", gst::List::new(formats))
                    .field("width", side)
                    .field("height", side)
                    .field(
                        "framerate",
                        gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(i32::MAX, 1)),
                    )
                    .build()
            };
            let mut sink = raw(Some(cuda::FEATURE));
            sink.merge(raw(None));
            let mut src = gst::Caps::new_empty();
            for codec in [Codec::H264, Codec::H265, Codec::Av1] {
                src.merge(output_caps(codec).build());
            }
            let template = |name, direction, caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                    .expect("a template of constant parts")
            };
            vec![
                template("sink", gst::PadDirection::Sink, &sink),
                template("src", gst::PadDirection::Src, &src),
            ]
        });
        &TEMPLATES
    }
}

fn output_caps(codec: Codec) -> gst::caps::Builder<gst::caps::NoFeature> {
    let (name, format, alignment) = match codec {
        Codec::H264 => ("video/x-h264", "byte-stream", "au"),
        Codec::H265 => ("video/x-h265", "byte-stream", "au"),
        Codec::Av1 => ("video/x-av1", "obu-stream", "tu"),
    };
    gst::Caps::builder(name)
        .field("stream-format", format)
        .field("alignment", alignment)
}

fn profile(codec: Codec, ten_bit: bool) -> &'static str {
    match codec {
        Codec::H264 => "high",
        Codec::H265 if ten_bit => "main-10",
        Codec::H265 | Codec::Av1 => "main",
    }
}

impl VideoEncoderImpl for NvEnc {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = self.stream().take();
        drop(stream);
        Ok(())
    }

    fn set_format(
        &self,
        state: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        self.drain()
            .map_err(|error| gst::loggable_error!(CAT, "the stream so far cannot be ended: {error}"))?;
        let ended = self.stream().take();
        drop(ended);
        let info = state.info();
        let on_gpu = state.caps().is_some_and(cuda::has_feature);
        let format = input::format(info.format())
            .ok_or_else(|| gst::loggable_error!(CAT, "{:?} is not encoded", info.format()))?;
        let settings = *self.settings();
        let config = settings.config(format, info);
        // On which GPU frames in CUDA memory are shows with the first one.
        let encoder = if on_gpu {
            Ok(None)
        } else {
            Encoder::open(&config).map(Some)
        };
        let encoder = encoder.map_err(|error| {
            self.post_error_message(message(&error));
            gst::loggable_error!(CAT, "{error}")
        })?;
        let held_back = config.delay() as u64;
        let (numerator, denominator) = config.framerate;
        *self.stream() = Some(Stream {
            info: info.clone(),
            rate: config.rate,
            config,
            cuda: on_gpu,
            encoder,
            keeper: None,
        });
        let caps = output_caps(settings.codec).field("profile", profile(settings.codec, format.ten_bit()));
        let obj = self.obj();
        let output = obj.set_output_state(caps.build(), Some(state));
        let output = output.map_err(|_| gst::loggable_error!(CAT, "the output has no format"))?;
        obj.negotiate(output)
            .map_err(|_| gst::loggable_error!(CAT, "downstream does not take it"))?;
        let frames = gst::ClockTime::SECOND * held_back;
        let latency = frames
            .mul_div_ceil(denominator.into(), numerator.into())
            .unwrap_or_default();
        obj.set_latency(latency, latency);
        self.parent_set_format(state)
    }

    fn handle_frame(&self, frame: gst_video::VideoCodecFrame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let index = u64::from(frame.system_frame_number());
        let key = frame.flags().contains(gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME);
        let encoded = self.on_stream(|stream| {
            self.follow(stream);
            let buffer = frame.input_buffer().ok_or(Refused::Buffer("it has no buffer"))?;
            Self::encode(stream, buffer, index, key)
        });
        // The base class finds frames by number; this reference would keep its buffer.
        drop(frame);
        match encoded {
            Some(Ok(packets)) => self.push(packets),
            Some(Err(refused)) => {
                // What came before it is whole, and goes out unless the GPU is gone.
                self.push(self.end())?;
                Err(self.refuse(&refused))
            }
            // After an error, which was told.
            None => Err(gst::FlowError::Error),
        }
    }

    fn finish(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.drain()
    }

    fn flush(&self) -> bool {
        let flushed = self.on_stream(|stream| stream.encoder.as_mut().map(Encoder::flush));
        if let Some(Some(Err(error))) = flushed {
            // The next frame will tell.
            gst::debug!(CAT, imp = self, "{error}");
        }
        true
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        // The pool of the base class has system memory.
        if query.get().0.is_some_and(cuda::has_feature) {
            return Ok(());
        }
        self.parent_propose_allocation(query)
    }

    /// Without 10 bits for H.264, so that a converter in front chooses another format.
    fn caps(&self, filter: Option<&gst::Caps>) -> gst::Caps {
        let obj = self.obj();
        let template = obj.sink_pad().pad_template_caps();
        if self.settings().codec != Codec::H264 {
            return obj.proxy_getcaps(Some(&template), filter);
        }
        let mut caps = template;
        let formats = input::FORMATS
            .iter()
            .filter(|(_, format)| !format.ten_bit())
            .map(|(format, _)| format.to_str());
        caps.make_mut().set("format", gst::List::new(formats));
        obj.proxy_getcaps(Some(&caps), filter)
    }
}
