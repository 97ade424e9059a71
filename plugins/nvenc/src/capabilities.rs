//! What the encoders of this machine can do.

use std::sync::Arc;

use nunchi_cuda::Context;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_CAPS;

use crate::library::Driver;
use crate::session::Session;
use crate::{Codec, Config, Error};

/// What an encoder takes. Sizes are in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    pub codec: Codec,
    pub min_width: u32,
    pub min_height: u32,
    pub max_width: u32,
    pub max_height: u32,
    /// B frames in a row; 0: none.
    pub b_frames: u32,
    pub ten_bit: bool,
    /// Whether the bit rate may change in mid-stream.
    pub live_bitrate: bool,
}

/// A GPU, and what its encoder takes or why it has none.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub index: u32,
    pub name: String,
    pub encoders: Result<Vec<Capabilities>, Error>,
}

/// The GPUs of this machine. Each one's encoder is asked by opening a session.
///
/// # Errors
/// Without the driver's libraries, with an old driver, without any GPU.
pub fn gpus() -> Result<Vec<Gpu>, Error> {
    let driver = Driver::get()?;
    let count = driver.cuda.count()?;
    let gpus = (0..count).map(|index| {
        let context = match Context::of_device(Arc::clone(&driver.cuda), index) {
            Ok(context) => context,
            Err(error) => {
                return Gpu {
                    index,
                    name: format!("GPU {index}"),
                    encoders: Err(error.into()),
                };
            }
        };
        Gpu {
            index,
            name: context.gpu.clone(),
            encoders: Session::open(Arc::clone(&driver), context).and_then(|session| Capabilities::all(&session)),
        }
    });
    Ok(gpus.collect())
}

/// What a GPU's encoder takes of a codec, found out by opening it for a moment.
///
/// # Errors
/// Each reason for which this machine cannot encode it, with what helps.
pub fn probe(device: u32, codec: Codec) -> Result<Capabilities, Error> {
    let driver = Driver::get()?;
    let context = Context::of_device(Arc::clone(&driver.cuda), device)?;
    let session = Session::open(driver, context)?;
    let context = session.context();
    let _current = context.enter()?;
    Capabilities::offered(&session, codec)
}

impl Capabilities {
    /// For a codec that the GPU may not have.
    pub(crate) fn offered(session: &Session, codec: Codec) -> Result<Self, Error> {
        let codecs = session.codecs()?;
        if codecs.contains(&codec) {
            return Self::of(session, codec);
        }
        let names: Vec<_> = codecs.iter().map(ToString::to_string).collect();
        Err(Error::Codec {
            gpu: session.gpu(),
            codec,
            offered: names.join(", "),
        })
    }

    fn all(session: &Session) -> Result<Vec<Self>, Error> {
        let context = session.context();
        let _current = context.enter()?;
        session
            .codecs()?
            .into_iter()
            .map(|codec| Self::of(session, codec))
            .collect()
    }

    fn of(session: &Session, codec: Codec) -> Result<Self, Error> {
        let ask = |which| session.capability(codec, which);
        Ok(Self {
            codec,
            min_width: ask(NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MIN)?,
            min_height: ask(NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MIN)?,
            max_width: ask(NV_ENC_CAPS::NV_ENC_CAPS_WIDTH_MAX)?,
            max_height: ask(NV_ENC_CAPS::NV_ENC_CAPS_HEIGHT_MAX)?,
            b_frames: ask(NV_ENC_CAPS::NV_ENC_CAPS_NUM_MAX_BFRAMES)?,
            ten_bit: ask(NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)? != 0,
            live_bitrate: ask(NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE)? != 0,
        })
    }

    /// What of the configuration the GPU refuses.
    pub(crate) fn check(&self, config: &Config, gpu: &str) -> Result<(), Error> {
        let &Config {
            codec, width, height, ..
        } = config;
        if !(self.min_width..=self.max_width).contains(&width) || !(self.min_height..=self.max_height).contains(&height)
        {
            return Err(Error::Size {
                gpu: gpu.to_owned(),
                codec,
                width,
                height,
                min_width: self.min_width,
                min_height: self.min_height,
                max_width: self.max_width,
                max_height: self.max_height,
            });
        }
        let unsupported = |what: String| {
            Err(Error::Unsupported {
                gpu: gpu.to_owned(),
                codec,
                what,
            })
        };
        if config.format.ten_bit() && !self.ten_bit {
            return unsupported("with 10 bits; convert to NV12".into());
        }
        if config.b_frames > self.b_frames {
            return unsupported(match self.b_frames {
                0 => "with B frames; ask for none".into(),
                most => format!("with {} B frames in a row; ask for at most {most}", config.b_frames),
            });
        }
        Ok(())
    }
}
