//! The configuration in the driver's terms.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::library::Zeroed;
use crate::session::{Session, guid};
use crate::{Codec, Color, Config, Error, Format, RateControl, Tuning};

const PRESETS: [nv::GUID; 7] = [
    nv::NV_ENC_PRESET_P1_GUID,
    nv::NV_ENC_PRESET_P2_GUID,
    nv::NV_ENC_PRESET_P3_GUID,
    nv::NV_ENC_PRESET_P4_GUID,
    nv::NV_ENC_PRESET_P5_GUID,
    nv::NV_ENC_PRESET_P6_GUID,
    nv::NV_ENC_PRESET_P7_GUID,
];
/// 4:2:0 in `chromaFormatIDC`.
const CHROMA_420: u32 = 1;
/// BT.601 (SMPTE 170M) among the matrices of H.273: what NVENC makes of RGB.
const MATRIX_601: u8 = 6;

/// What the encoder was initialised with, kept because each change of it is a whole new set.
pub struct Settings {
    init: Zeroed<nv::NV_ENC_INITIALIZE_PARAMS>,
    config: Zeroed<nv::NV_ENC_CONFIG>,
    codec: Codec,
}

// SAFETY: plain memory; the one pointer between the structures goes with them.
unsafe impl Send for Settings {}

impl Settings {
    /// The preset's settings with those of the configuration over them.
    pub fn new(session: &Session, config: &Config) -> Result<Self, Error> {
        let preset = PRESETS[config.preset.number() as usize - 1];
        let tuning = match config.tuning {
            Tuning::LowLatency => nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_LOW_LATENCY,
            Tuning::Quality => nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_HIGH_QUALITY,
        };
        let codec = config.codec;
        let mut settings = Self {
            init: Zeroed::new(),
            config: Zeroed::new(),
            codec,
        };
        let mut answer = Zeroed::<nv::NV_ENC_PRESET_CONFIG>::new();
        let answer = answer.pointer();
        // SAFETY: a session and our own structures, whose fields are written through pointers.
        unsafe {
            (*answer).version = nv::NV_ENC_PRESET_CONFIG_VER;
            (*answer).presetCfg.version = nv::NV_ENC_CONFIG_VER;
            let status = (session.api().preset)(session.handle(), guid(codec), preset, tuning as u32, answer);
            session.check("nvEncGetEncodePresetConfigEx", status)?;

            let encode = settings.config.pointer();
            encode.copy_from_nonoverlapping(&raw const (*answer).presetCfg, 1);
            let gop = if config.gop == 0 {
                nv::NVENC_INFINITE_GOPLENGTH
            } else {
                config.gop
            };
            (*encode).version = nv::NV_ENC_CONFIG_VER;
            (*encode).gopLength = gop;
            (*encode).frameIntervalP = config.b_frames as i32 + 1;
            (*encode).profileGUID = profile(codec, config.format);
            // Frames held back for looking ahead would come on top of the latency that is told.
            (*encode).rcParams.set_enableLookahead(0);
            (*encode).rcParams.lookaheadDepth = 0;
            stream(encode, config, gop);

            let init = settings.init.pointer();
            (*init).version = nv::NV_ENC_INITIALIZE_PARAMS_VER;
            (*init).encodeGUID = guid(codec);
            (*init).presetGUID = preset;
            (*init).tuningInfo = tuning;
            (*init).encodeWidth = config.width;
            (*init).encodeHeight = config.height;
            (*init).maxEncodeWidth = config.width;
            (*init).maxEncodeHeight = config.height;
            (*init).darWidth = config.width.saturating_mul(config.pixel_aspect.0);
            (*init).darHeight = config.height.saturating_mul(config.pixel_aspect.1);
            (*init).frameRateNum = config.framerate.0;
            (*init).frameRateDen = config.framerate.1;
            // The driver decides on the types of pictures.
            (*init).enablePTD = 1;
            (*init).encodeConfig = encode;
        }
        settings.set_rate(&config.rate);
        Ok(settings)
    }

    fn set_rate(&mut self, rate: &RateControl) {
        let qp = |quality: u32| (100 - quality.min(100)) * self.codec.max_qp() / 100;
        let max_qp = self.codec.max_qp();
        // SAFETY: our own structure, initialised in `new`.
        let params = unsafe { &mut (*self.config.pointer()).rcParams };
        // The buffer that the preset came with is for another bit rate; 0 is the driver's choice.
        (params.vbvBufferSize, params.vbvInitialDelay) = (0, 0);
        match *rate {
            RateControl::Cbr { bitrate } => {
                params.rateControlMode = nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR;
                (params.averageBitRate, params.maxBitRate) = (bitrate, bitrate);
            }
            RateControl::Vbr { bitrate, max_bitrate } => {
                params.rateControlMode = nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR;
                params.averageBitRate = bitrate;
                params.maxBitRate = if max_bitrate == 0 {
                    bitrate.saturating_add(bitrate / 2)
                } else {
                    max_bitrate
                };
            }
            RateControl::ConstQp { quality } => {
                params.rateControlMode = nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CONSTQP;
                params.constQP.qpIntra = qp(quality);
                params.constQP.qpInterP = qp(quality);
                params.constQP.qpInterB = (qp(quality) + 2).min(max_qp);
            }
        }
    }

    pub fn initialize(&mut self, session: &Session) -> Result<(), Error> {
        // SAFETY: a session, and structures that live beyond the call.
        let status = unsafe { (session.api().initialize)(session.handle(), self.init.pointer()) };
        session.check("nvEncInitializeEncoder", status)
    }

    /// Another bit rate from the next frame on.
    pub fn reconfigure(&mut self, session: &Session, rate: &RateControl) -> Result<(), Error> {
        self.set_rate(rate);
        let mut params = Zeroed::<nv::NV_ENC_RECONFIGURE_PARAMS>::new();
        let params = params.pointer();
        // SAFETY: a session, our own structures, which live beyond the call.
        let status = unsafe {
            (*params).version = nv::NV_ENC_RECONFIGURE_PARAMS_VER;
            (&raw mut (*params).reInitEncodeParams).copy_from_nonoverlapping(self.init.pointer(), 1);
            (session.api().reconfigure)(session.handle(), params)
        };
        session.check("nvEncReconfigureEncoder", status)
    }
}

fn profile(codec: Codec, format: Format) -> nv::GUID {
    match codec {
        Codec::H264 => nv::NV_ENC_H264_PROFILE_HIGH_GUID,
        Codec::H265 if format.ten_bit() => nv::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
        Codec::H265 => nv::NV_ENC_HEVC_PROFILE_MAIN_GUID,
        Codec::Av1 => nv::NV_ENC_AV1_PROFILE_MAIN_GUID,
    }
}

/// What depends on the codec. Headers come with each key frame, so that a reader may begin there.
///
/// # Safety
/// `encode` is filled by the driver's preset for this codec.
unsafe fn stream(encode: *mut nv::NV_ENC_CONFIG, config: &Config, gop: u32) {
    let depth = if config.format.ten_bit() { 2 } else { 0 };
    let no_b_refs = config.b_frames == 0;
    let disabled = nv::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED;
    let color = config
        .color
        .map(|color| if config.format.rgb() { of_rgb(color) } else { color });
    // SAFETY: the member of the union that goes with the codec.
    unsafe {
        match config.codec {
            Codec::H264 => {
                let h264 = &mut (*encode).encodeCodecConfig.h264Config;
                h264.idrPeriod = gop;
                h264.set_repeatSPSPPS(1);
                h264.chromaFormatIDC = CHROMA_420;
                if no_b_refs {
                    h264.useBFramesAsRef = disabled;
                }
                if let Some(color) = color {
                    describe(&raw mut h264.h264VUIParameters, color);
                }
            }
            Codec::H265 => {
                let h265 = &mut (*encode).encodeCodecConfig.hevcConfig;
                h265.idrPeriod = gop;
                h265.set_repeatSPSPPS(1);
                h265.set_chromaFormatIDC(CHROMA_420);
                h265.set_pixelBitDepthMinus8(depth);
                if no_b_refs {
                    h265.useBFramesAsRef = disabled;
                }
                if let Some(color) = color {
                    describe(&raw mut h265.hevcVUIParameters, color);
                }
            }
            Codec::Av1 => {
                let av1 = &mut (*encode).encodeCodecConfig.av1Config;
                av1.idrPeriod = gop;
                av1.set_repeatSeqHdr(1);
                av1.set_chromaFormatIDC(CHROMA_420);
                av1.set_inputPixelBitDepthMinus8(depth);
                av1.set_pixelBitDepthMinus8(depth);
                if no_b_refs {
                    av1.useBFramesAsRef = disabled;
                }
                if let Some(color) = color {
                    // As numbers, because the standard has more of them than the header.
                    (&raw mut av1.colorPrimaries)
                        .cast::<u32>()
                        .write(color.primaries.into());
                    (&raw mut av1.transferCharacteristics)
                        .cast::<u32>()
                        .write(color.transfer.into());
                    (&raw mut av1.matrixCoefficients)
                        .cast::<u32>()
                        .write(color.matrix.into());
                    av1.colorRange = color.full_range.into();
                }
            }
        }
    }
}

/// The encoder's own conversion decides what becomes of RGB.
fn of_rgb(color: Color) -> Color {
    Color {
        matrix: MATRIX_601,
        full_range: false,
        ..color
    }
}

/// # Safety
/// `vui` can be written.
unsafe fn describe(vui: *mut nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS, color: Color) {
    // SAFETY: as the caller says. As numbers, because the standard has more of them than the header.
    unsafe {
        (*vui).videoSignalTypePresentFlag = 1;
        (&raw mut (*vui).videoFormat)
            .cast::<u32>()
            .write(UNSPECIFIED_VIDEO_FORMAT);
        (*vui).videoFullRangeFlag = color.full_range.into();
        (*vui).colourDescriptionPresentFlag = 1;
        (&raw mut (*vui).colourPrimaries)
            .cast::<u32>()
            .write(color.primaries.into());
        (&raw mut (*vui).transferCharacteristics)
            .cast::<u32>()
            .write(color.transfer.into());
        (&raw mut (*vui).colourMatrix).cast::<u32>().write(color.matrix.into());
    }
}

/// `video_format` of H.264 and H.265: neither PAL nor NTSC.
const UNSPECIFIED_VIDEO_FORMAT: u32 = 5;
