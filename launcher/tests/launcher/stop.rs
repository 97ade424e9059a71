use std::io::Write;

use crate::helper::*;

/// Waits until the recording holds several fragments: the index comes behind the first one.
fn recording(p: &Place) {
    let path = p.path("r/mp4/o.mp4");
    until("something is recorded", || {
        std::fs::metadata(&path).is_ok_and(|m| m.len() > 150_000)
    });
}

#[test]
fn ctrl_c_ends_with_a_playable_file_and_zero() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let p = Place::new();
        p.pipeline(LIVE, "outputs: {v: mp4/o.mp4}");
        let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
        recording(&p);
        run.signal(signal);
        let done = run.wait();
        done.succeeds();
        assert!(done.out.contains("ended by the user"), "{}", done.out);
        assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
    }
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_so() {
    let p = Place::new();
    p.pipeline(LIVE, "");
    let mut nohup = std::process::Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" run p.yaml --run-dir r";
    nohup
        .args(["-c", script, env!("CARGO_BIN_EXE_nunchi")])
        .current_dir(p.path(""));
    let mut child = nohup
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    recording(&p);
    let size = || std::fs::metadata(p.path("r/mp4/o.mp4")).unwrap().len();
    let signal = |signal| {
        // SAFETY: plain system call on a child that is not reaped yet.
        unsafe { libc::kill(child.id() as i32, signal) };
    };
    signal(libc::SIGHUP);
    let before = size();
    until("it records on", || size() > before + 50_000);
    assert!(!p.read("r/logs/p.log").contains("ending it"));
    signal(libc::SIGINT);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_time_limit_ends_with_a_playable_file_and_124() {
    let p = Place::new();
    p.pipeline(LIVE, "");
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r", "--timeout", "2s"]);
    done.fails(124, &[]);
    assert!(done.out.contains("timed out"), "{}", done.out);
    assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
}

#[test]
fn a_killed_runner_is_reported_and_its_file_plays() {
    let p = Place::new();
    p.pipeline(LIVE, "");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    let pid = runner_pid(&p.read("r/logs/p.log")).unwrap();
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    run.wait().fails(1, &["signal 9"]);
    assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
    assert!(p.read("r/summary.json").contains("\"signal\": 9"));
}

#[test]
fn a_killed_runner_is_started_again_and_the_first_file_kept() {
    let p = Place::new();
    p.pipeline(LIVE, "restart: {policy: on-failure, delay: 10ms}");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    let first = runner_pid(&p.read("r/logs/p.log")).unwrap();
    // SAFETY: plain system call.
    unsafe { libc::kill(first, libc::SIGKILL) };
    until("the second attempt records", || p.path("r/mp4/o.attempt1.mp4").exists());
    recording(&p);
    run.signal(libc::SIGINT);
    run.wait().succeeds();
    assert!(frames(&p.path("r/mp4/o.attempt1.mp4")) > 0 && frames(&p.path("r/mp4/o.mp4")) > 0);
    assert!(!alive(first));
}

#[test]
fn restarts_end_at_their_limit() {
    let p = Place::new();
    // A demultiplexer of rubbish fails in mid-run each time.
    p.pipeline(
        "videotestsrc num-buffers=5 ! identity eos-after=-1 error-after=3 ! fakesink",
        "restart: {policy: on-failure, max_restarts: 2, delay: 10ms}",
    );
    p.nunchi(&["run", "p.yaml", "--run-dir", "r"]).fails(1, &[]);
    assert_eq!(p.read("r/logs/p.log").matches("started, pid").count(), 3);
}

#[test]
fn the_runner_ends_when_the_launcher_is_killed() {
    let p = Place::new();
    p.pipeline(LIVE, "");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    let pid = runner_pid(&p.read("r/logs/p.log")).unwrap();
    run.signal(libc::SIGKILL);
    until("the runner is gone", || !alive(pid));
    drop(run);
    assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
}

#[test]
fn a_killed_launcher_leaves_a_whole_plain_mp4() {
    let p = Place::new();
    p.pipeline(
        &LIVE.replace("fragment-duration=100 fragment-mode=first-moov-then-finalise", ""),
        "",
    );
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    let pid = runner_pid(&p.read("r/logs/p.log")).unwrap();
    run.signal(libc::SIGKILL);
    until("the runner is gone", || !alive(pid));
    assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
}

#[test]
fn a_stop_at_any_moment_of_the_start_is_obeyed_and_blames_nothing() {
    let p = Place::new();
    let patient = "stop: {eos_timeout: 60s, int_timeout: 60s, term_timeout: 60s}";
    let input = format!("input={}", clip("good.mp4").display());
    for (launch, more, given) in [
        ("fakesrc num-buffers=5 ! fakesink", "", vec![]),
        (TRANSCODE, INPUT, vec![input.as_str()]),
    ] {
        p.pipeline(launch, &format!("{more}\n{patient}"));
        for ms in (5..=100).step_by(5) {
            let limit = format!("{ms}ms");
            let args = ["run", "p.yaml", "--run-dir", "r", "--timeout", &limit];
            let done = p.nunchi(&[&args[..], &given].concat());
            assert!(
                matches!(done.code, Some(0 | 124)),
                "{ms} ms: {:?} {}",
                done.code,
                done.err
            );
            let summary = p.read("r/summary.json");
            assert!(summary.contains("\"error\": null"), "{ms} ms: {summary}");
            assert!(
                !summary.contains("interrupt"),
                "{ms} ms, a second step was needed: {summary}"
            );
        }
    }
}

#[test]
fn two_ctrl_c_at_the_very_start_are_obeyed() {
    let p = Place::new();
    let patient = "stop: {eos_timeout: 60s, int_timeout: 60s, term_timeout: 60s}";
    p.pipeline("videotestsrc ! identity sleep-time=600000000 ! fakesink", patient);
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    until("it is started", || p.read("r/logs/p.log").contains("started, pid"));
    run.signal(libc::SIGINT);
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert!(matches!(done.code, Some(0 | 130)), "{:?} {}", done.code, done.err);
    assert!(
        !p.read("r/summary.json").contains("terminate"),
        "{}",
        p.read("r/summary.json")
    );
}

#[test]
fn an_end_by_sigterm_is_an_end_by_force() {
    let p = Place::new();
    let _end = stuck_input(&p);
    p.pipeline(
        "filesrc location=${in} ! fakesink name=out",
        "params: {in: {type: path, default: fifo}}\nstop: {eos_timeout: 60s, int_timeout: 200ms, term_timeout: 60s}",
    );
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    until("data has flowed", || p.read("err").contains("frames"));
    run.signal(libc::SIGINT);
    until("the end-of-stream is sent", || {
        p.read("r/logs/p.log").contains("EndOfStream")
    });
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert_eq!(done.code, Some(130), "{}{}", done.out, done.err);
    assert!(p.read("r/summary.json").contains("\"terminate\""));
}

#[test]
fn no_data_from_the_start_is_a_timeout() {
    let p = Place::new();
    p.pipeline("appsrc ! fakesink", "health: {start_timeout: 500ms}");
    p.nunchi(&["run", "p.yaml", "--run-dir", "r"])
        .fails(124, &["delivered no data", "start_timeout", "and its graph"]);
    assert!(p.read("r/logs/p.snapshot.dot").contains("appsrc"));
}

#[test]
fn a_launcher_that_was_stopped_finds_its_process_well() {
    let p = Place::new();
    p.pipeline(LIVE, "health: {heartbeat_timeout: 1s, stall_timeout: 1s}");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    run.signal(libc::SIGSTOP);
    let stopped = std::time::Instant::now();
    until("it was stopped for long", || stopped.elapsed().as_millis() > 2500);
    run.signal(libc::SIGCONT);
    let size = || std::fs::metadata(p.path("r/mp4/o.mp4")).unwrap().len();
    let before = size();
    until("it records on", || size() > before + 50_000);
    run.signal(libc::SIGINT);
    run.wait().succeeds();
}

#[test]
fn ctrl_c_before_a_restart_is_an_end_by_the_user_that_tells_the_fault() {
    let p = Place::new();
    // Drawn evenly from nothing to an hour.
    p.pipeline(
        "videotestsrc num-buffers=5 ! identity error-after=3 ! fakesink",
        "restart: {policy: on-failure, delay: 1h, max_delay: 1h}",
    );
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    until("it waits", || p.read("err").contains("starts again soon"));
    run.signal(libc::SIGINT);
    let done = run.wait();
    done.succeeds();
    assert!(done.out.contains("ended by the user"), "{}", done.out);
    let summary: serde_json::Value = serde_json::from_str(&p.read("r/summary.json")).unwrap();
    assert!(summary["error"]["message"].is_string(), "{summary}");
}

/// A named pipe that gives some bytes and then nothing for as long as the returned end lives.
fn stuck_input(p: &Place) -> std::sync::mpsc::Receiver<std::fs::File> {
    let path = p.path("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a valid C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Opens when the runner does.
        let mut end = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        end.write_all(&[7; 8192]).unwrap();
        let _ = sender.send(end);
    });
    receiver
}

#[test]
fn a_sink_without_data_is_a_stall() {
    let p = Place::new();
    let _end = stuck_input(&p);
    p.pipeline(
        "filesrc location=${in} ! fakesink name=out",
        "params: {in: {type: path, default: fifo}}\nhealth: {stall_timeout: 1s}\nstop: {eos_timeout: 200ms, int_timeout: 200ms, term_timeout: 200ms}",
    );
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r"]);
    done.fails(124, &["stalled: no data in `out`"]);
    let summary = p.read("r/summary.json");
    assert!(
        summary.contains("\"kind\": \"stalled\"") && summary.contains("\"kill\""),
        "{summary}"
    );
}

#[test]
fn a_stuck_process_can_be_ended_by_force() {
    let p = Place::new();
    p.pipeline(LIVE, "");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    recording(&p);
    // Stopped, it obeys nothing but SIGKILL.
    let pid = runner_pid(&p.read("r/logs/p.log")).unwrap();
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, libc::SIGSTOP) };
    for step in ["EndOfStream", "Interrupt", "Terminate", "Kill"] {
        run.signal(libc::SIGINT);
        until("the next step is taken", || p.read("r/logs/p.log").contains(step));
    }
    let done = run.wait();
    assert_eq!(done.code, Some(130), "{}{}", done.out, done.err);
    assert!(done.out.contains("ended by force"), "{}", done.out);
    assert!(frames(&p.path("r/mp4/o.mp4")) > 0);
    assert!(!alive(pid));
}
