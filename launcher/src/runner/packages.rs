//! Where a missing element comes from on Debian and Ubuntu.

/// The package that most likely holds the element.
pub fn package_of(element: &str) -> Option<&'static str> {
    Some(match element {
        "hailoface" | "hailopose" | "eventthrottle" | "xmllogsink" | "analysisoverlay" | "motiontextoverlay"
        | "nvencsink" => {
            return None;
        }
        "filesrc" | "filesink" | "fakesrc" | "fakesink" | "queue" | "queue2" | "multiqueue" | "tee" | "capsfilter"
        | "identity" | "typefind" | "valve" | "funnel" | "concat" | "input-selector" | "output-selector" => {
            "libgstreamer1.0-0"
        }
        "x264enc" | "mpeg2dec" | "a52dec" | "asfdemux" => "gstreamer1.0-plugins-ugly",
        "textoverlay" | "timeoverlay" | "clockoverlay" | "textrender" => "gstreamer1.0-x",
        "alsasrc" | "alsasink" => "gstreamer1.0-alsa",
        "pulsesrc" | "pulsesink" => "gstreamer1.0-pulseaudio",
        "ximagesink" | "xvimagesink" => "gstreamer1.0-x",
        "rtspclientsink" => "gstreamer1.0-rtsp",
        "libcamerasrc" => "gstreamer1.0-libcamera",
        "gtksink" | "gtkglsink" => "gstreamer1.0-gtk3",
        "h264parse" | "h265parse" | "openh264enc" | "openh264dec" | "mpegtsmux" | "tsdemux" | "webrtcbin"
        | "x265enc" | "shmsink" | "shmsrc" | "fakevideosink" | "fakeaudiosink" | "rtmpsink" | "rtmp2sink"
        | "srtsink" | "srtsrc" | "faceblur" | "facedetect" | "kmssink" | "waylandsink" | "dashdemux" | "hlsdemux"
        | "hlssink2" | "av1parse" | "svtav1enc" | "fdkaacenc" | "voaacenc" | "mpeg4videoparse" => {
            "gstreamer1.0-plugins-bad"
        }
        "v4l2src" | "v4l2sink" | "mp4mux" | "qtmux" | "qtdemux" | "matroskamux" | "matroskademux" | "avidemux"
        | "avimux" | "flvmux" | "flvdemux" | "jpegenc" | "jpegdec" | "pngenc" | "pngdec" | "vp8enc" | "vp8dec"
        | "vp9enc" | "vp9dec" | "wavenc" | "wavparse" | "rtspsrc" | "udpsrc" | "udpsink" | "autovideosink"
        | "autovideosrc" | "autoaudiosink" | "splitmuxsink" | "videocrop" | "videobox" | "alpha" | "deinterlace"
        | "ximagesrc" | "cairooverlay" | "lamemp3enc" | "videoflip" | "souphttpsrc" | "multifilesrc"
        | "multifilesink" | "rtpjitterbuffer" => "gstreamer1.0-plugins-good",
        "decodebin" | "decodebin3" | "uridecodebin" | "playbin" | "videoconvert" | "videoscale" | "videorate"
        | "videotestsrc" | "audiotestsrc" | "audioconvert" | "audioresample" | "appsrc" | "appsink" | "oggmux"
        | "oggdemux" | "theoraenc" | "vorbisenc" | "opusenc" | "compositor" | "encodebin" | "tcpclientsrc"
        | "tcpserversink" | "rawvideoparse" | "videoconvertscale" => "gstreamer1.0-plugins-base",
        "v4l2h264enc" | "v4l2h264dec" => "gstreamer1.0-plugins-good and a board with a hardware codec",
        _ if element.starts_with("va") && element.contains("26") => "gstreamer1.0-plugins-bad and an Intel or AMD GPU",
        _ if element.starts_with("nv") => "gstreamer1.0-plugins-bad and an NVIDIA driver",
        _ if element.starts_with("avdec_") || element.starts_with("avenc_") => "gstreamer1.0-libav",
        _ if element.starts_with("gl") => "gstreamer1.0-gl",
        _ if element.starts_with("rtp") => "gstreamer1.0-plugins-good",
        _ if element.starts_with("qsv") => "gstreamer1.0-plugins-bad and an Intel GPU",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_package_or_nothing() {
        assert_eq!(package_of("x264enc"), Some("gstreamer1.0-plugins-ugly"));
        assert_eq!(package_of("ximagesrc"), Some("gstreamer1.0-plugins-good"));
        assert_eq!(package_of("queue"), Some("libgstreamer1.0-0"));
        assert_eq!(package_of("avdec_h264"), Some("gstreamer1.0-libav"));
        assert_eq!(package_of("doesnotexist"), None);
    }
}
