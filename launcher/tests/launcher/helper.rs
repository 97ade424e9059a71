//! Runs the program in a folder of its own, and makes the clips that the tests read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gst::prelude::*;
use tempfile::TempDir;

/// Longest wait for anything; far above what a loaded machine needs.
pub const BOUND: Duration = Duration::from_secs(120);

/// A test's own folder.
pub struct Place(TempDir);

pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A description with one process `p`.
    pub fn pipeline(&self, launch: &str, more: &str) {
        let launch = launch.replace('\'', "''");
        self.write(
            "p.yaml",
            format!("version: 1\nname: p\n{more}\nprocesses: {{p: {{launch: '{launch}'}}}}\n"),
        );
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nunchi"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        for name in ["NUNCHI_PIPELINES", "GST_DEBUG", "GST_TRACERS"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts the program; its streams go to the files `out` and `err`.
    pub fn start(&self, args: &[&str]) -> Running<'_> {
        let file = |name| fs::File::create(self.path(name)).unwrap();
        let child = self
            .command(args)
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .unwrap();
        Running { child, place: self }
    }

    /// Runs the program to its end.
    pub fn nunchi(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }
}

pub struct Running<'a> {
    child: Child,
    place: &'a Place,
}

impl Running<'_> {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: plain system call on a child that is not reaped yet.
        unsafe { libc::kill(self.pid(), signal) };
    }

    pub fn wait(mut self) -> Done {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let code = status.and_then(|s| s.code());
        Done {
            code,
            out: self.place.read("out"),
            err: self.place.read("err"),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    /// Checks the exit code and that standard error says all of this.
    #[track_caller]
    pub fn fails(&self, code: i32, needles: &[&str]) {
        assert_eq!(self.code, Some(code), "out: {}\nerr: {}", self.out, self.err);
        for needle in needles {
            assert!(self.err.contains(needle), "{needle:?} is not in: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.code, Some(0), "out: {}\nerr: {}", self.out, self.err);
    }
}

/// Polls a real condition, bounded.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process of this number exists and is no zombie.
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// The pid of the last attempt in a process's log.
pub fn runner_pid(log: &str) -> Option<i32> {
    log.lines()
        .rev()
        .find_map(|l| l.strip_prefix("nunchi: attempt ")?.rsplit("pid ").next()?.parse().ok())
}

fn play(launch: &str) -> gst::Pipeline {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(BOUND.as_secs()), &types)
        .expect("in time");
    if let gst::MessageView::Error(e) = message.view() {
        panic!("{launch}: {e:?}");
    }
    pipeline
}

/// Frames that can be decoded from a file; panics when it does not play.
#[track_caller]
pub fn frames(path: &Path) -> u64 {
    gst::init().unwrap();
    let launch = format!(
        "filesrc location=\"{}\" ! decodebin ! video/x-raw ! fakesink name=s sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (counter, pad) = (
        count.clone(),
        pipeline.by_name("s").unwrap().static_pad("sink").unwrap(),
    );
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(BOUND.as_secs()), &types);
    pipeline.set_state(gst::State::Null).unwrap();
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Eos(_)) => count.load(std::sync::atomic::Ordering::Relaxed),
        other => panic!("{} does not play: {other:?}", path.display()),
    }
}

/// Tracks of one kind (`vide`, `soun`) that an MP4 names in its handler boxes.
pub fn tracks(path: &Path, kind: &str) -> usize {
    let bytes = fs::read(path).unwrap();
    let handler = [b"hdlr\0\0\0\0\0\0\0\0", kind.as_bytes()].concat();
    bytes.windows(handler.len()).filter(|w| *w == handler).count()
}

/// Clips that are made once: `good.mp4` (60 frames), `fast.mp4` (index in front), `audio.mp4`, `both.mp4` (60 frames, 1 s of sound), `longer-sound.mkv`, `change.h264`.
pub fn clip(name: &str) -> PathBuf {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let video = |size: &str, n: u32| {
            format!("videotestsrc num-buffers={n} ! video/x-raw,{size},framerate=30/1 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15")
        };
        let small = "width=160,height=120";
        let run = |launch: String| play(&launch).set_state(gst::State::Null).map(|_| ()).unwrap();
        run(format!("{} ! h264parse ! mp4mux ! filesink location={}", video(small, 60), at("good.mp4")));
        run(format!("{} ! h264parse ! mp4mux faststart=true ! filesink location={}", video(small, 60), at("fast.mp4")));
        run(format!("audiotestsrc num-buffers=40 ! audioconvert ! avenc_aac ! mp4mux ! filesink location={}", at("audio.mp4")));
        run(format!("{} ! h264parse ! queue ! mp4mux name=m ! filesink location={} audiotestsrc num-buffers=43 ! audioconvert ! avenc_aac ! queue ! m.", video(small, 60), at("both.mp4")));
        run(format!("{} ! h264parse ! queue ! matroskamux name=m ! filesink location={} audiotestsrc num-buffers=400 ! audioconvert ! avenc_aac ! queue ! m.", video(small, 30), at("longer-sound.mkv")));
        let mut both = Vec::new();
        for (size, file) in [(small, "a.h264"), ("width=320,height=180", "b.h264")] {
            run(format!("{} ! video/x-h264,stream-format=byte-stream ! filesink location={}", video(size, 30), at(file)));
            both.extend(fs::read(at(file)).unwrap());
        }
        fs::write(at("change.h264"), both).unwrap();
        dir
    });
    dir.path().join(name)
}

/// A file in, an MP4 in fragments out: the shape of the shipped pipelines with stock elements.
pub const TRANSCODE: &str = "filesrc location=${input} ! decodebin ! queue ! videoconvert ! tee name=t \
    t. ! queue ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! h264parse config-interval=-1 \
    ! mp4mux fragment-duration=100 fragment-mode=first-moov-then-finalise ! filesink location=${run_dir}/mp4/o.mp4 \
    t. ! queue ! fakesink sync=false";
pub const INPUT: &str = "params: {input: {type: path}}\noutputs: {video: mp4/o.mp4}";

/// The same from an endless live source.
pub const LIVE: &str = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h264parse \
    ! mp4mux fragment-duration=100 fragment-mode=first-moov-then-finalise ! filesink buffer-mode=unbuffered location=${run_dir}/mp4/o.mp4";
