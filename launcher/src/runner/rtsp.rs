//! One encode, many readers: what reaches the appsinks of a pipeline, served over RTSP.
//!
//! Each reader has its own payloaders, so that a slow one holds up nobody, and begins with the last key frame. Every packet
//! carries the time of its frame as NTP (RFC 6051, `urn:ietf:params:rtp-hdrext:ntp-64`): readers in other processes know to the microsecond which
//! picture they see, whatever the network does to its arrival.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gst::glib;
use gst::prelude::*;
use gst_rtp::prelude::*;
use gst_rtsp_server::prelude::*;

use super::watch::is_connection_lost;
use crate::exit::{Exit, Failure};
use crate::ipc::Rtsp;

/// Seconds from NTP's beginning, 1900, to Unix's, 1970.
const NTP_OFFSET: Duration = Duration::from_secs(2_208_988_800);
/// Number of the header extension in the packets (RFC 8285 has 1 to 14 for short ones).
const TIME_EXTENSION: u32 = 1;
const TIME_URI: &str = "urn:ietf:params:rtp-hdrext:ntp-64";
/// First payload type that is free to use (RFC 3551).
const FIRST_PAYLOAD_TYPE: usize = 96;
/// What is kept since the last key frame, for readers that come later. Beyond it they begin with the next one.
const MOST_KEPT: usize = 16 * 1024 * 1024;
/// What may wait for a reader that is slow; beyond it the oldest is lost for that one.
const MOST_WAITING: u64 = 16 * 1024 * 1024;
/// Least time between two reports of a session; RFC 3550 has 5 s, for networks with many members.
const RTCP_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(500);
/// Readers have so long to hear that the stream has ended.
const LINGER: Duration = Duration::from_secs(5);

/// The server of one pipeline.
pub struct Server {
    streams: Streams,
    server: gst_rtsp_server::RTSPServer,
    mounts: gst_rtsp_server::RTSPMountPoints,
    path: String,
    wanted: u32,
    playing: Arc<AtomicU32>,
    serves: AtomicBool,
    main: glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Clones are the same.
#[derive(Clone)]
struct Streams(Arc<Mutex<All>>);

#[derive(Default)]
struct All {
    streams: Vec<Stream>,
    /// Unix time at running time zero; fixed with the first buffer, so that a clock that is set moves nothing.
    origin: Option<Duration>,
    fault: Option<Failure>,
    /// The pipeline has failed: no end-of-stream is one any more.
    failed: bool,
}

struct Stream {
    sink: gst_app::AppSink,
    caps: Option<gst::Caps>,
    /// Since the last key frame.
    kept: VecDeque<gst::Buffer>,
    bytes: usize,
    readers: Vec<gst_app::AppSrc>,
    ended: bool,
}

impl Server {
    /// Listens, and takes what reaches the appsinks from now on.
    pub fn start(pipeline: &gst::Pipeline, rtsp: &Rtsp) -> Result<Self, Failure> {
        let streams = Streams::of(pipeline)?;
        streams.hear_faults(pipeline);
        let context = glib::MainContext::new();
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address(&rtsp.address.to_string());
        server.set_service(&rtsp.port.to_string());
        let mounts = gst_rtsp_server::RTSPMountPoints::new();
        server.set_mount_points(Some(&mounts));
        let playing = Arc::new(AtomicU32::new(0));
        let count = playing.clone();
        server.connect_client_connected(move |_, client| {
            let count = count.clone();
            client.connect_play_request(move |_, _| {
                count.fetch_add(1, Relaxed);
            });
        });
        // The binding panics where the server cannot listen.
        let place = std::net::SocketAddr::new(rtsp.address, rtsp.port);
        std::net::TcpListener::bind(place).map_err(|error| {
            Failure::new(Exit::Busy, format!("RTSP cannot listen on {place}: {error}"))
                .hint("another program may have the port; choose another, or 0 for one that is free")
        })?;
        let attached = server.attach(Some(&context));
        attached.map_err(|error| Failure::new(Exit::Busy, format!("RTSP cannot listen on {place}: {error}")))?;
        let main = glib::MainLoop::new(Some(&context), false);
        let in_thread = main.clone();
        let thread = std::thread::Builder::new()
            .name("rtsp".into())
            .spawn(move || in_thread.run())
            .map_err(|error| Failure::new(Exit::Internal, format!("no thread can be made: {error}")))?;
        Ok(Self {
            streams,
            server,
            mounts,
            path: rtsp.path.clone(),
            wanted: rtsp.readers,
            playing,
            serves: AtomicBool::new(false),
            main,
            thread: Some(thread),
        })
    }

    /// Whether readers are answered, which they are as soon as all streams are known; a fault when one cannot be served.
    pub fn serves(&self) -> Result<bool, Failure> {
        if self.serves.load(Relaxed) {
            return Ok(true);
        }
        let mut all = self.streams.lock();
        if let Some(fault) = all.fault.take() {
            return Err(fault);
        }
        // One whose input has no such stream was taken out.
        all.streams.retain(|stream| stream.sink.parent().is_some());
        let caps: Option<Vec<_>> = all.streams.iter().map(|stream| stream.caps.clone()).collect();
        drop(all);
        let Some(caps) = caps.filter(|caps| !caps.is_empty()) else {
            return Ok(false);
        };
        let mut launch = String::new();
        for (index, caps) in caps.iter().enumerate() {
            let payloader = payloader(caps)?;
            let payload_type = FIRST_PAYLOAD_TYPE + index;
            let queue = format!("is-live=true format=time leaky-type=downstream max-bytes={MOST_WAITING}");
            launch += &format!("appsrc name=src{index} {queue} ! {payloader} name=pay{index} pt={payload_type} ");
        }
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(&format!("( {launch})"));
        factory.set_shared(false);
        factory.set_latency(0);
        let streams = self.streams.clone();
        factory.connect_media_configure(move |_, media| streams.attach(media));
        self.mounts.add_factory(&self.path, factory);
        self.serves.store(true, Relaxed);
        Ok(true)
    }

    /// Whether a source that can wait should wait for readers.
    pub fn waits(&self) -> bool {
        self.playing.load(Relaxed) < self.wanted
    }

    /// Breaks the connections: readers shall not take this for the end of the stream.
    pub fn abandon(&self) {
        for stream in &mut self.streams.lock().streams {
            stream.readers.clear();
            stream.ended = true;
        }
        self.close_all();
    }

    fn close_all(&self) {
        self.server.client_filter(Some(
            &mut |_: &gst_rtsp_server::RTSPServer, client: &gst_rtsp_server::RTSPClient| {
                client.close();
                gst_rtsp_server::RTSPFilterResult::Keep
            },
        ));
    }

    /// Waits until the readers have heard the end.
    pub fn linger(&self) {
        let until = Instant::now() + LINGER;
        let readers = || self.server.client_filter(None).len();
        while readers() > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close_all();
        self.main.quit();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed.
            let _ = thread.join();
        }
    }
}

/// The payloader for a stream, with its properties.
fn payloader(caps: &gst::CapsRef) -> Result<&'static str, Failure> {
    let structure = caps.structure(0);
    let name = structure.map_or("nothing", |structure| structure.name().as_str());
    match name {
        "video/x-h264" => Ok("rtph264pay config-interval=-1 aggregate-mode=zero-latency"),
        "video/x-h265" => Ok("rtph265pay config-interval=-1 aggregate-mode=zero-latency"),
        "video/x-vp8" => Ok("rtpvp8pay"),
        "video/x-vp9" => Ok("rtpvp9pay"),
        "image/jpeg" => Ok("rtpjpegpay"),
        "audio/x-opus" => Ok("rtpopuspay"),
        "audio/mpeg" => Ok("rtpmp4gpay"),
        "audio/x-alaw" => Ok("rtppcmapay"),
        "audio/x-mulaw" => Ok("rtppcmupay"),
        _ => Err(Failure::new(Exit::BadDescription, format!("RTSP cannot carry {name}"))
            .hint("encode it before the appsink: video as H.264 (x264enc ! h264parse), sound as Opus (opusenc)")),
    }
}

/// What can be served.
///
/// # Errors
/// There is nothing.
pub fn sinks(pipeline: &gst::Pipeline) -> Result<Vec<gst_app::AppSink>, Failure> {
    let sinks = super::named(pipeline.upcast_ref()).into_iter();
    let sinks: Vec<gst_app::AppSink> = sinks.filter_map(|element| element.downcast().ok()).collect();
    if sinks.is_empty() {
        let message = "the launch line has no appsink whose stream RTSP could serve";
        return Err(Failure::new(Exit::BadDescription, message).hint("end each stream with: ! appsink name=video"));
    }
    Ok(sinks)
}

/// Settings of the session that sends to one reader.
fn configure_session(element: &gst::Element) {
    if element.factory().is_none_or(|factory| factory.name() != "rtpsession") {
        return;
    }
    // It would put the time of its own pipeline into the packets, in place of the frame's.
    if element.find_property("update-ntp64-header-ext").is_some() {
        element.set_property("update-ntp64-header-ext", false);
    }
    // The farewell waits for up to two thirds of it.
    element.set_property("rtcp-min-interval", RTCP_INTERVAL.nseconds());
}

impl Streams {
    fn of(pipeline: &gst::Pipeline) -> Result<Self, Failure> {
        let mut sinks = sinks(pipeline)?;
        sinks.sort_by_key(|sink| sink.name());
        let streams = Self(Arc::default());
        for (index, sink) in sinks.into_iter().enumerate() {
            let (preroll, sample, eos) = (streams.clone(), streams.clone(), streams.clone());
            sink.set_callbacks(
                gst_app::AppSinkCallbacks::builder()
                    .new_preroll(move |sink| {
                        preroll.take(index, sink.pull_preroll().ok());
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .new_sample(move |sink| {
                        sample.take(index, sink.pull_sample().ok());
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .eos(move |_| eos.end(index))
                    .build(),
            );
            streams.lock().streams.push(Stream {
                sink,
                caps: None,
                kept: VecDeque::new(),
                bytes: 0,
                readers: Vec::new(),
                ended: false,
            });
        }
        Ok(streams)
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, index: usize, sample: Option<gst::Sample>) {
        if let Some(sample) = sample {
            self.lock().take(index, &sample);
        }
    }

    /// Elements report a fault before they push the end-of-stream that follows from it.
    fn hear_faults(&self, pipeline: &gst::Pipeline) {
        let Some(bus) = pipeline.bus() else { return };
        let this = self.clone();
        bus.enable_sync_message_emission();
        bus.connect_sync_message(None, move |_, message| {
            let fault = match message.view() {
                gst::MessageView::Error(_) => true,
                gst::MessageView::Warning(warning) => is_connection_lost(warning),
                _ => false,
            };
            if fault {
                this.lock().failed = true;
            }
        });
    }

    fn end(&self, index: usize) {
        let mut all = self.lock();
        if all.failed {
            return;
        }
        if let Some(stream) = all.streams.get_mut(index) {
            stream.ended = true;
            for reader in stream.readers.drain(..) {
                // One that is gone needs no end.
                let _ = reader.end_of_stream();
            }
        }
    }

    /// Feeds the sources of a new reader.
    fn attach(&self, media: &gst_rtsp_server::RTSPMedia) {
        // What has the frames' own times needs no clock of the server's, which began at another moment.
        media.set_rate_control(false);
        let Ok(bin) = media.element().downcast::<gst::Bin>() else {
            return;
        };
        if let Some(pipeline) = bin.parent().and_downcast::<gst::Pipeline>() {
            pipeline.connect_deep_element_added(|_, _, element| configure_session(element));
        }
        let count = self.lock().streams.len();
        for index in 0..count {
            let source = bin.by_name(&format!("src{index}")).and_downcast::<gst_app::AppSrc>();
            let payloader = bin.by_name(&format!("pay{index}"));
            let (Some(source), Some(payloader)) = (source, payloader) else {
                continue;
            };
            if let Some(extension) = gst_rtp::RTPHeaderExtension::create_from_uri(TIME_URI) {
                extension.set_id(TIME_EXTENSION);
                // A depayloader of GStreamer 1.22 looks at the last packet of a frame only.
                extension.set_property("every-packet", true);
                payloader.emit_by_name::<()>("add-extension", &[&extension]);
            }
            source.set_caps(self.lock().streams.get(index).and_then(|stream| stream.caps.as_ref()));
            let (this, begun) = (self.clone(), AtomicBool::new(false));
            source.set_callbacks(
                gst_app::AppSrcCallbacks::builder()
                    .need_data(move |source, _| {
                        if !begun.swap(true, Relaxed) {
                            this.begin(index, source);
                        }
                    })
                    .build(),
            );
        }
    }

    /// A reader's source begins to flow.
    fn begin(&self, index: usize, source: &gst_app::AppSrc) {
        let mut all = self.lock();
        let Some(stream) = all.streams.get_mut(index) else {
            return;
        };
        for buffer in &stream.kept {
            let _ = source.push_buffer(buffer.clone());
        }
        if stream.ended {
            let _ = source.end_of_stream();
        } else {
            stream.readers.push(source.clone());
        }
    }
}

impl All {
    fn take(&mut self, index: usize, sample: &gst::Sample) {
        let Some(stream) = self.streams.get_mut(index) else {
            return;
        };
        let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps_owned()) else {
            return;
        };
        let segment = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>().cloned());
        let running = |time: Option<gst::ClockTime>| match &segment {
            Some(segment) => segment.to_running_time(time?),
            None => time,
        };
        // Neither before the beginning nor without a time can it be placed.
        let (Some(pts), dts) = (running(buffer.pts()), running(buffer.dts())) else {
            return;
        };
        // What prerolled comes again.
        if stream
            .kept
            .back()
            .is_some_and(|last| last.pts() == Some(pts) && last.size() == buffer.size())
        {
            return;
        }
        if stream.caps.as_ref() != Some(&caps) {
            if stream.caps.is_none()
                && let Err(fault) = payloader(&caps)
            {
                self.fault.get_or_insert(fault);
                return;
            }
            for reader in &stream.readers {
                reader.set_caps(Some(&caps));
            }
            stream.caps = Some(caps.clone());
        }
        let sink = stream.sink.clone();
        let origin = *self.origin.get_or_insert_with(|| {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let is_playing = sink.current_state() == gst::State::Playing;
            let now = sink.current_running_time().filter(|_| is_playing).unwrap_or(pts);
            unix.saturating_sub(Duration::from_nanos(now.nseconds()))
        });
        let mut buffer = buffer.copy();
        {
            let Some(buffer) = buffer.get_mut() else { return };
            buffer.set_pts(pts);
            buffer.set_dts(dts);
            let time = NTP_OFFSET + origin + Duration::from_nanos(pts.nseconds());
            let ntp = gst::Caps::new_empty_simple("timestamp/x-ntp");
            let time = gst::ClockTime::try_from(time).unwrap_or_default();
            gst::ReferenceTimestampMeta::add(buffer, &ntp, time, gst::ClockTime::NONE);
        }
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let is_video = caps.structure(0).is_some_and(|s| !s.name().starts_with("audio/"));
        if is_key && is_video {
            // The others begin where the picture does.
            for stream in &mut self.streams {
                while stream.kept.front().is_some_and(|kept| kept.pts() < Some(pts)) {
                    stream.drop_oldest();
                }
            }
        }
        let alone = !self.streams.iter().any(Stream::is_video);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.keep(&buffer, alone);
            stream
                .readers
                .retain(|reader| reader.push_buffer(buffer.clone()).is_ok());
        }
    }
}

impl Stream {
    fn is_video(&self) -> bool {
        let structure = self.caps.as_ref().and_then(|caps| caps.structure(0));
        structure.is_some_and(|structure| !structure.name().starts_with("audio/"))
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.size();
        }
    }

    /// Keeps a buffer for readers to come; of sound alone only the last.
    fn keep(&mut self, buffer: &gst::Buffer, alone: bool) {
        if alone {
            (self.kept, self.bytes) = (VecDeque::new(), 0);
        }
        self.bytes += buffer.size();
        self.kept.push_back(buffer.clone());
        if self.bytes > MOST_KEPT {
            // What remained could not be decoded: readers wait for the next key frame.
            (self.kept, self.bytes) = (VecDeque::new(), 0);
        }
    }
}
