//! What the clients of the older recording system do, and what may happen meanwhile.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::client::{connect, get, send};
use crate::server::{Server, is_alive, kill, named, until};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Of the clip that is recorded.
const FRAMES: usize = 175;

/// The clip of postures with a tone.
fn with_sound(folder: &Path) -> PathBuf {
    let clip = folder.join("clip.mp4");
    let (from, to) = (format!("{ROOT}/media/posture.mp4"), clip.display());
    let line = format!(
        "-q filesrc location={from} ! qtdemux ! h264parse ! mp4mux name=mp4 ! filesink location={to} \
         audiotestsrc num-buffers=300 samplesperbuffer=1024 ! voaacenc ! aacparse ! mp4."
    );
    launch(&line);
    clip
}

#[track_caller]
fn launch(line: &str) {
    let done = Command::new("gst-launch-1.0")
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// How many frames a part of a file decodes to.
fn decoded(file: &Path, pad: &str, decoder: &str) -> usize {
    let line = format!(
        "-v filesrc location={} ! qtdemux name=d d.{pad} ! queue ! {decoder} ! fakesink name=end silent=false",
        file.display()
    );
    let done = Command::new("gst-launch-1.0")
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).matches("chain   ***").count()
}

struct Place {
    folder: TempDir,
    server: Server,
}

impl Place {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self::server(folder.path(), arguments, &[]);
        Self { folder, server }
    }

    /// A server that records a clip.
    fn of(pipeline: &str, clip: &Path, folder: TempDir) -> Self {
        let input = format!("input={}", clip.display());
        let mut arguments = vec![
            "--recording",
            pipeline,
            "--recording-set",
            "preset=file",
            "--recording-set",
            &input,
        ];
        if pipeline == "behaviour-recording" {
            arguments.extend(["--recording-set", "port=0"]);
        }
        let server = Self::server(folder.path(), &arguments, &[]);
        Self { folder, server }
    }

    fn server(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let runs = folder.join("runs").display().to_string();
        let mut all = vec!["--runs", &runs, "--engine", "embedded"];
        all.extend(arguments);
        let pipelines = format!("{ROOT}/pipelines");
        let mut environment = vec![("NUNCHI_PIPELINES", pipelines.as_str())];
        environment.extend(variables);
        Server::with(&all, &environment)
    }

    #[track_caller]
    fn command(&self, name: &str, status: u16) -> String {
        let answer = get(self.server.address, &format!("/command/{name}"));
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.body, format!("'{name}' command executed successfully!"));
            assert!(
                answer.head.to_ascii_lowercase().contains("content-type: text/html"),
                "{answer:?}"
            );
        }
        answer.body
    }

    fn fetch(&self, method: &str, path: &str, more: &str) -> (u16, String, Vec<u8>) {
        let mut stream = connect(self.server.address);
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n",
            self.server.address
        )
        .unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, all[end..].to_vec())
    }

    /// Of the newest run.
    fn run(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.folder.path().join("runs")).unwrap();
        runs.map(|entry| entry.unwrap().path()).max().unwrap()
    }

    /// Processes that run pipelines, and what each is.
    fn runner(&self, process: &str) -> i32 {
        let mut pid = None;
        let log = self.run().join("logs").join(format!("{process}.log"));
        until(&format!("{process} runs"), || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            pid = text
                .rsplit("pid ")
                .next()
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            pid.is_some_and(is_alive)
        });
        pid.unwrap()
    }

    fn bytes(&self, file: &str) -> u64 {
        std::fs::metadata(self.run().join(file)).map_or(0, |file| file.len())
    }
}

/// Seconds since midnight of each `timestamp`, and each `elapsed_seconds`.
fn times(log: &str) -> Vec<(f64, f64)> {
    let value = |frame: &str, name: &str| {
        frame
            .split(&format!("{name}=\""))
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let frames = log.split("<frame ").skip(1);
    frames
        .map(|frame| {
            (
                seconds(&value(frame, "timestamp")),
                value(frame, "elapsed_seconds").parse().unwrap(),
            )
        })
        .collect()
}

fn seconds(time: &str) -> f64 {
    let clock = time.split('T').nth(1).unwrap();
    clock
        .split(':')
        .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// Start, wait, stop, poll, three downloads: what an old client does, against a clip whose events are known.
fn an_old_client(pipeline: &str) {
    let folder = tempfile::tempdir().unwrap();
    let clip = with_sound(folder.path());
    let place = Place::of(pipeline, &clip, folder);
    assert_eq!(place.fetch("GET", "/download/xml/log.xml", "").0, 404);
    place.command("start_record", 200);
    assert!(place.command("start_record", 409).contains("already recording"));
    until("the clip has ended", || {
        let list = get(place.server.address, "/api/v1/instances").json();
        list["items"][0]["state"] == "stopped"
    });
    place.command("stop_record", 200);
    assert!(place.command("stop_record", 409).contains("nothing"));

    let (status, head, body) = place.fetch("HEAD", "/download/xml/log.xml", "");
    assert!(
        status == 200 && body.is_empty() && !head.contains("content-length: 0\r"),
        "{head}"
    );
    let (status, head, body) = place.fetch("GET", "/download/mp4/video.mp4", "Range: bytes=0-0\r\n");
    assert!(
        status == 206 && body.len() == 1 && head.contains("content-range: bytes 0-0/"),
        "{head}"
    );
    let (status, head, _) = place.fetch("GET", "/download/mp4/video.mp4", "Range: bytes=999999999-\r\n");
    assert_eq!(status, 416, "{head}");
    for (path, kind) in [
        ("mp4/video.mp4", "video/mp4"),
        ("wav/audio.wav", "audio/"),
        ("xml/log.xml", "text/xml"),
    ] {
        let (status, head, body) = place.fetch("GET", &format!("/download/{path}"), "");
        assert_eq!(status, 200, "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}")), "{head}");
        assert!(head.contains("content-disposition: attachment"), "{head}");
        assert_eq!(body, std::fs::read(place.run().join(path)).unwrap(), "{path}");
    }

    let video = place.run().join("mp4/video.mp4");
    assert_eq!(decoded(&video, "video_0", "avdec_h264"), FRAMES);
    // Seven seconds of 1024 samples at 48 or 44.1 kHz.
    let sound = decoded(&video, "audio_0", "aacparse");
    assert!((290..=335).contains(&sound), "{sound}");
    let wav = std::fs::read(place.run().join("wav/audio.wav")).unwrap();
    let told = u32::from_le_bytes(*wav[40..].first_chunk().unwrap()) as usize;
    assert!(
        told > 500_000 && wav.len().abs_diff(44 + told) < 100,
        "{told} of {}",
        wav.len()
    );

    let log = std::fs::read_to_string(place.run().join("xml/log.xml")).unwrap();
    assert!(
        log.starts_with("<?xml version='1.0' encoding='utf-8'?>\n<merged_session><frame "),
        "{log}"
    );
    for kind in [
        "type=\"smile\"",
        "type=\"emotion\" message=\"happy\"",
        "type=\"head_tilt\"",
        "type=\"body_tilt\"",
    ] {
        assert!(log.contains(kind), "{kind}: {log}");
    }
    let times = times(&log);
    let zero = times
        .iter()
        .map(|(time, elapsed)| time - elapsed)
        .fold(f64::MAX, f64::min);
    for (time, elapsed) in &times {
        // The clip has 25 frames a second: each event is at one of them.
        let frames = (time - times[0].0) * 25.0;
        assert!((frames - frames.round()).abs() < 0.05, "{frames}: {log}");
        assert!((0.0..7.0).contains(elapsed), "{elapsed}");
        assert!((time - elapsed - zero).abs() < 0.11, "{time} {elapsed}: {log}");
    }
    assert!(times.is_sorted_by_key(|(_, elapsed)| (elapsed * 10.0) as i64), "{log}");
    // The head is tilted from 1.8 s on, and a smile is seen from the first picture on until 3 s.
    let first = |kind: &str| {
        let before = log.split(&format!("type=\"{kind}\"")).next().unwrap();
        before
            .rsplit("elapsed_seconds=\"")
            .next()
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert!((1.7..=2.2).contains(&first("head_tilt")), "{log}");
    assert!(first("smile") <= 0.5, "{log}");
}

#[test]
fn an_old_client_is_served_by_isolated_processes() {
    an_old_client("behaviour-recording");
}

#[test]
fn an_old_client_is_served_by_one_process() {
    an_old_client("behaviour-recording-fused");
}

/// The processes count by the source's clock: to the microsecond the same for the same frame.
#[test]
fn the_clocks_of_all_readers_agree() {
    let folder = tempfile::tempdir().unwrap();
    let clip = PathBuf::from(format!("{ROOT}/media/posture.mp4"));
    let place = Place::of("behaviour-recording", &clip, folder);
    place.command("start_record", 200);
    until("the clip has ended", || {
        get(place.server.address, "/api/v1/instances").json()["items"][0]["state"] == "stopped"
    });
    place.command("stop_record", 200);
    let start = |log: &str| {
        let text = std::fs::read_to_string(place.run().join("xml").join(log)).unwrap();
        seconds(text.split("start_time=\"").nth(1).unwrap().split('"').next().unwrap())
    };
    let video = start("v_log.xml");
    for log in ["f_log.xml", "p_log.xml"] {
        let frames = (start(log) - video) * 25.0;
        assert!(
            (frames - frames.round()).abs() < 0.001 && frames >= 0.0,
            "{log}: {frames}"
        );
    }
    // The clip is silent: there is no empty file in the place of its sound.
    assert_eq!(place.fetch("GET", "/download/wav/audio.wav", "").0, 404);
    assert_eq!(place.fetch("GET", "/download/mp4/video.mp4", "").0, 200);
}

#[test]
fn a_process_that_crashes_comes_back_and_the_others_do_not_notice() {
    let folder = tempfile::tempdir().unwrap();
    let clip = PathBuf::from(format!("{ROOT}/media/sample.mp4"));
    let place = Place::of("behaviour-recording", &clip, folder);
    place.command("start_record", 200);
    let face = place.runner("face");
    kill(face, libc::SIGABRT);
    until("it is gone", || !is_alive(face));
    assert_ne!(place.runner("face"), face);
    until("the clip has ended", || {
        let state = get(place.server.address, "/api/v1/instances").json()["items"][0]["state"].clone();
        state == "stopped" || state == "failed"
    });
    place.command("stop_record", 200);
    assert_eq!(
        decoded(&place.run().join("mp4/video.mp4"), "video_0", "avdec_h264"),
        430
    );
    assert!(place.run().join("xml/f_log.attempt1.xml").is_file());
}

/// A camera that vanishes and returns: the stream of another program, which is killed and started again.
#[test]
fn a_camera_that_returns_is_recorded_again() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let description = folder.path().join("camera.yaml");
    std::fs::write(
        &description,
        format!(
            "version: 1\nname: camera\nprocesses:\n  camera:\n    rtsp: {{port: {port}}}\n    launch: >\n      videotestsrc is-live=true ! \
             video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! x264enc tune=zerolatency key-int-max=15 ! h264parse ! appsink\n"
        ),
    )
    .unwrap();
    let run = folder.path().join("camera").display().to_string();
    let camera = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nunchi"));
        command.args(["run", description.to_str().unwrap(), "--run-dir", &run, "--quiet"]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the camera sends", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        child
    };
    let mut first = camera();
    let url = format!("url=rtsp://127.0.0.1:{port}/stream");
    let arguments = [
        "--recording-set",
        "preset=rtsp",
        "--recording-set",
        &url,
        "--recording-set",
        "port=0",
    ];
    let place = Place {
        server: Place::server(folder.path(), &arguments, &[]),
        folder,
    };
    place.command("start_record", 200);
    until("something is recorded", || place.bytes("mp4/video.mp4") > 80_000);
    let runner = named(first.id() as i32, "runner")[0];
    let source = place.runner("source");
    kill(runner, libc::SIGKILL);
    first.wait().unwrap();
    until("the source has noticed", || !is_alive(source));
    let mut second = camera();
    until("it is recorded again", || {
        place.run().join("mp4/video.attempt1.mp4").is_file() && place.bytes("mp4/video.mp4") > 80_000
    });
    place.command("stop_record", 200);
    for file in ["video.attempt1.mp4", "video.mp4"] {
        let frames = decoded(&place.run().join("mp4").join(file), "video_0", "avdec_h264");
        assert!(frames > 5, "{file}: {frames}");
    }
    kill(second.id() as i32, libc::SIGTERM);
    second.wait().unwrap();
}

#[test]
fn a_killed_server_leaves_whole_files_which_the_next_one_serves() {
    let folder = tempfile::tempdir().unwrap();
    let clip = PathBuf::from(format!("{ROOT}/media/sample.mp4"));
    let mut place = Place::of("behaviour-recording", &clip, folder);
    place.command("start_record", 200);
    until("something is recorded", || place.bytes("mp4/video.mp4") > 250_000);
    let runners = named(place.server.pid(), "runner");
    assert_eq!(runners.len(), 4);
    place.server.signal(libc::SIGKILL);
    until("its processes have ended", || !runners.iter().any(|&pid| is_alive(pid)));
    place.server = Place::server(place.folder.path(), &[], &[]);
    place.command("stop_record", 409);
    let (status, _, body) = place.fetch("GET", "/download/mp4/video.mp4", "");
    assert!(status == 200 && body.len() > 100_000);
    assert!(decoded(&place.run().join("mp4/video.mp4"), "video_0", "avdec_h264") > 20);
    let log = std::fs::read_to_string(place.run().join("xml/f_log.xml")).unwrap();
    assert!(log.contains("type=\"presence\""), "{log}");
}

#[test]
fn a_reader_that_does_not_read_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let clip = PathBuf::from(format!("{ROOT}/media/sample.mp4"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (input, port_value) = (format!("input={}", clip.display()), format!("port={port}"));
    let arguments = [
        "--recording-set",
        "preset=file",
        "--recording-set",
        &input,
        "--recording-set",
        &port_value,
    ];
    let place = Place {
        server: Place::server(folder.path(), &arguments, &[]),
        folder,
    };
    place.command("start_record", 200);
    let mut stream = connect(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    let url = format!("rtsp://127.0.0.1:{port}/test");
    let mut session = String::new();
    for (number, request) in [
        format!("DESCRIBE {url} RTSP/1.0\r\nAccept: application/sdp\r\n"),
        format!("SETUP {url}/stream=0 RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        format!("PLAY {url} RTSP/1.0\r\n"),
    ]
    .iter()
    .enumerate()
    {
        write!(stream, "{request}CSeq: {}\r\n{session}\r\n", number + 1).unwrap();
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(answer.starts_with("RTSP/1.0 200"), "{request}: {answer}");
        if let Some(id) = answer.split("Session: ").nth(1) {
            session = format!("Session: {}\r\n", id.split([';', '\r']).next().unwrap());
        }
    }
    // Nothing more is read from it, and it stays.
    until("the clip has ended", || {
        get(place.server.address, "/api/v1/instances").json()["items"][0]["state"] == "stopped"
    });
    place.command("stop_record", 200);
    assert_eq!(
        decoded(&place.run().join("mp4/video.mp4"), "video_0", "avdec_h264"),
        430
    );
    drop(stream);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("port={}", taken.local_addr().unwrap().port());
    let place = Place::new(&["--recording-set", "preset=file", "--recording-set", &port]);
    // It is tried again a few times, as the program that has the port may end.
    let why = place.command("start_record", 500);
    assert!(why.contains("RTSP cannot listen"), "{why}");
    place.command("stop_record", 409);
}

#[test]
fn wrong_commands_and_paths_are_refused() {
    let place = Place::new(&[
        "--recording-set",
        "preset=file",
        "--recording-set",
        "input=/nowhere.mp4",
    ]);
    assert_eq!(place.command("no_such", 400), "Unknown command.");
    assert_eq!(place.command("start_record%00", 400), "Unknown command.");
    assert!(place.command("start_record", 500).contains("/nowhere.mp4"));
    place.command("stop_record", 409);
    std::fs::write(place.folder.path().join("runs/secret"), "s").unwrap();
    std::fs::create_dir_all(place.run().join("xml")).unwrap_or_default();
    for path in [
        "/download/",
        "/download/summary.json",
        "/download/logs/source.log",
        "/download/xml/../logs/source.log",
        "/download/xml/..%2f..%2fsecret",
        "/download/..%2fsecret",
        "/download/%2e%2e/secret",
        "/download//etc/passwd",
        "/download/xml/%2fetc/passwd",
        "/download/xml",
        "/download/xml/",
        "/download/xml/a%00b",
        "/download/mp4/none.mp4",
    ] {
        let (status, head, body) = place.fetch("GET", path, "");
        assert_eq!(status, 404, "{path}: {head}");
        assert!(!String::from_utf8_lossy(&body).contains("root:"), "{path}");
    }
    let address = place.server.address;
    for method in ["POST", "PUT", "DELETE"] {
        let answer = send(
            address,
            format!("{method} /command/start_record HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
    }
    for foreign in [
        "Origin: http://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Referer: http://evil.example/page",
        "Referer: http://127.0.0.1.evil.example/",
    ] {
        for path in ["/command/start_record", "/command/stop_record", "/download/xml/log.xml"] {
            let answer = send(
                address,
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{foreign}\r\n\r\n").as_bytes(),
            );
            answer.is_problem(403, "cross_site");
        }
    }
    for own in [
        "Sec-Fetch-Site: none".to_owned(),
        "Sec-Fetch-Site: same-origin".to_owned(),
        format!("Referer: http://{address}/x"),
    ] {
        let answer = send(
            address,
            format!("GET /command/stop_record HTTP/1.1\r\nHost: {address}\r\n{own}\r\n\r\n").as_bytes(),
        );
        assert_eq!(answer.status, 409, "{own}: {answer:?}");
    }
}

#[test]
fn tokens_are_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "read a-token-that-only-reads\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let place = Place::new(&["--token-file", file.to_str().unwrap()]);
    let address = place.server.address;
    get(address, "/command/start_record").is_problem(401, "no_token");
    get(address, "/download/xml/log.xml").is_problem(401, "no_token");
    let with = |path: &str| {
        send(
            address,
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer a-token-that-only-reads\r\n\r\n")
                .as_bytes(),
        )
    };
    with("/command/start_record").is_problem(403, "lacks_scope");
    assert_eq!(with("/download/xml/log.xml").status, 404);
}
