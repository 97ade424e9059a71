//! What goes into which file, and what the files are called.

use std::path::Path;

use super::settings::{Codec, Container, Settings};
use crate::xmllogsink::numbered;

impl Container {
    /// The one that is meant.
    pub fn resolved(self, location: &str) -> Self {
        if self != Self::Auto {
            return self;
        }
        let ending = Path::new(location)
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        match ending.as_str() {
            "mkv" | "webm" => Self::Mkv,
            "ts" | "m2ts" | "mts" => Self::Ts,
            "avi" => Self::Avi,
            "m3u8" => Self::Hls,
            _ => Self::Mp4,
        }
    }

    pub fn muxer(self) -> &'static str {
        match self {
            Self::Auto | Self::Mp4 | Self::Fmp4 => "mp4mux",
            Self::Mkv => "matroskamux",
            Self::Ts | Self::Hls => "mpegtsmux",
            Self::Avi => "avimux",
        }
    }

    /// The codecs that it may hold, the usual one first.
    fn codecs(self) -> &'static [Codec] {
        match self {
            Self::Auto | Self::Mp4 | Self::Fmp4 | Self::Mkv => &[Codec::H264, Codec::H265, Codec::Av1],
            Self::Ts | Self::Hls => &[Codec::H264, Codec::H265],
            Self::Avi => &[Codec::Mpeg4, Codec::H264],
        }
    }

    /// The codec that is meant, or why it cannot be.
    pub fn codec(self, wanted: Codec) -> Result<Codec, String> {
        let all = self.codecs();
        match wanted {
            Codec::Auto => Ok(all[0]),
            wanted if all.contains(&wanted) => Ok(wanted),
            wanted => {
                let names: Vec<String> = all.iter().map(|codec| format!("{codec:?}").to_lowercase()).collect();
                Err(format!(
                    "container={} does not hold codec={}: it takes {}",
                    format!("{self:?}").to_lowercase(),
                    format!("{wanted:?}").to_lowercase(),
                    names.join(", ")
                ))
            }
        }
    }

    /// Encoders for sound that is not encoded, the preferred first, the parser behind them, and the caps of what may come encoded.
    pub fn audio(self) -> Audio {
        match self {
            Self::Avi => Audio {
                encoders: &["lamemp3enc", "avenc_mp2"],
                parser: "mpegaudioparse",
                encoded: &["audio/mpeg, mpegversion=(int)1"],
            },
            Self::Ts | Self::Hls => Audio {
                encoders: AAC,
                parser: "aacparse",
                encoded: &["audio/mpeg, mpegversion=(int){2, 4}", "audio/mpeg, mpegversion=(int)1"],
            },
            Self::Mkv => Audio {
                encoders: AAC,
                parser: "aacparse",
                encoded: &[
                    "audio/mpeg, mpegversion=(int){2, 4}",
                    "audio/mpeg, mpegversion=(int)1",
                    "audio/x-opus",
                    "audio/x-vorbis",
                    "audio/x-flac",
                ],
            },
            Self::Auto | Self::Mp4 | Self::Fmp4 => Audio {
                encoders: AAC,
                parser: "aacparse",
                encoded: &[
                    "audio/mpeg, mpegversion=(int){2, 4}",
                    "audio/mpeg, mpegversion=(int)1",
                    "audio/x-opus",
                ],
            },
        }
    }
}

const AAC: &[&str] = &["avenc_aac", "voaacenc"];

pub struct Audio {
    pub encoders: &'static [&'static str],
    pub parser: &'static str,
    pub encoded: &'static [&'static str],
}

impl Audio {
    /// What can be taken: raw sound, and what the container holds as it is.
    pub fn caps(&self) -> gst::Caps {
        let mut caps = gst::Caps::builder("audio/x-raw").build();
        for text in self.encoded {
            if let Ok(more) = text.parse::<gst::Caps>() {
                caps.merge(more);
            }
        }
        caps
    }
}

/// The file of that number: by the %d in the location, else by a number behind its name from the second on.
pub fn file(location: &str, number: u32) -> String {
    if has_number(location) {
        return numbered(location, number);
    }
    if number == 0 {
        return location.to_owned();
    }
    let path = Path::new(location);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(ending) => format!("{stem}-{number}.{}", ending.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name).to_string_lossy().into_owned()
}

pub fn has_number(location: &str) -> bool {
    numbered(location, 0) != numbered(location, 1)
}

/// What does not go together, before anything is made.
pub fn check(settings: &Settings) -> Result<(Container, Codec, String), String> {
    let location = settings.location.clone().filter(|location| !location.is_empty());
    let location = location.ok_or("No file to write to: set the property location")?;
    let container = settings.container.resolved(&location);
    let codec = container.codec(settings.codec)?;
    let segmented = !settings.max_size_time.is_zero() || settings.max_size_bytes > 0;
    if container == Container::Hls {
        if settings.max_size_bytes > 0 {
            return Err("container=hls has segments by time: max-size-bytes does not go with it".to_owned());
        }
        if has_number(&location) {
            return Err(format!(
                "the location {location} is that of the playlist with container=hls: it has no %d"
            ));
        }
    } else if (segmented || settings.max_files > 0) && !has_number(&location) {
        return Err(format!(
            "max-size-time, max-size-bytes and max-files need a number in the location, such as {}: {location} has no %d",
            with_number(&location)
        ));
    }
    if settings.faststart && !matches!(container, Container::Mp4) {
        return Err("faststart is for container=mp4 only".to_owned());
    }
    Ok((container, codec, location))
}

fn with_number(location: &str) -> String {
    let path = Path::new(location);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = path.extension().map_or_else(
        || format!("{stem}-%05d"),
        |ending| format!("{stem}-%05d.{}", ending.to_string_lossy()),
    );
    path.with_file_name(name).to_string_lossy().into_owned()
}

/// Segments of a playlist, beside it.
pub fn segments(playlist: &str) -> String {
    let path = Path::new(playlist);
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('%', "%%");
    path.with_file_name(format!("{stem}-%05d.ts"))
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(location: &str) -> Settings {
        Settings {
            location: Some(location.to_owned()),
            ..Settings::default()
        }
    }

    #[test]
    fn the_ending_says_the_container_and_that_the_codec() {
        for (location, container, codec) in [
            ("a.mp4", Container::Mp4, Codec::H264),
            ("a", Container::Mp4, Codec::H264),
            ("a.MKV", Container::Mkv, Codec::H264),
            ("a.ts", Container::Ts, Codec::H264),
            ("a.avi", Container::Avi, Codec::Mpeg4),
            ("x/a.m3u8", Container::Hls, Codec::H264),
        ] {
            assert_eq!(
                check(&settings(location)).unwrap(),
                (container, codec, location.to_owned())
            );
        }
    }

    #[test]
    fn what_does_not_go_together_is_said_with_the_remedy() {
        let refused = |change: &dyn Fn(&mut Settings), says: &str| {
            let mut settings = settings("a.mp4");
            change(&mut settings);
            let error = check(&settings).unwrap_err();
            assert!(error.contains(says), "{error}");
        };
        refused(&|s| s.location = None, "set the property location");
        refused(&|s| s.location = Some(String::new()), "set the property location");
        refused(&|s| s.max_size_time = gst::ClockTime::SECOND, "a-%05d.mp4");
        refused(&|s| s.max_files = 3, "%d");
        refused(
            &|s| (s.container, s.codec) = (Container::Avi, Codec::H265),
            "mpeg4, h264",
        );
        refused(&|s| (s.container, s.codec) = (Container::Ts, Codec::Av1), "h264, h265");
        refused(&|s| (s.container, s.faststart) = (Container::Mkv, true), "faststart");
        refused(
            &|s| (s.container, s.max_size_bytes) = (Container::Hls, 1),
            "max-size-bytes",
        );
        refused(
            &|s| (s.container, s.location) = (Container::Hls, Some("a%d.m3u8".into())),
            "playlist",
        );
    }

    #[test]
    fn files_have_numbers() {
        assert_eq!(file("v/a-%03d.mp4", 7), "v/a-007.mp4");
        assert_eq!(file("v/a.mp4", 0), "v/a.mp4");
        assert_eq!(file("v/a.mp4", 2), "v/a-2.mp4");
        assert_eq!(file("v/a", 2), "v/a-2");
        assert_eq!(segments("v/live.m3u8"), "v/live-%05d.ts");
        assert_eq!(segments("100%.m3u8"), "100%%-%05d.ts");
    }
}
