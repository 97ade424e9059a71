//! The actor against runners that misbehave: shell scripts in the place of the program.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::spec::{RestartPolicy, Span};

const BOUND: Duration = Duration::from_secs(60);

/// Runs a script as the runner; `$FD` is its socket, `frame JSON` sends a message. Gives the last state and all records.
async fn run(
    dir: &tempfile::TempDir,
    script: &str,
    command: Option<&str>,
    plan: impl FnOnce(&mut ProcessPlan),
) -> (State, Vec<ExitRecord>) {
    let head = r#"#!/bin/bash
FD=$3
frame() { local n=${#1}; printf "\\x00\\x00\\x$(printf %02x $((n / 256)))\\x$(printf %02x $((n % 256)))%s" "$1" >&$FD; }
"#;
    let program = dir.path().join("runner.sh");
    std::fs::write(&program, format!("{head}{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(dir.path().join("logs")).unwrap();
    let quick = |ms| Span(Duration::from_millis(ms));
    let mut process = ProcessPlan {
        job: Job {
            process: "p".into(),
            run_dir: dir.path().into(),
            ..Job::default()
        },
        restart: Restart::default(),
        health: Health::default(),
        stop: Stop {
            eos_timeout: quick(100),
            int_timeout: quick(100),
            term_timeout: quick(100),
        },
    };
    plan(&mut process);
    let (reports_in, mut reports) = mpsc::channel(64);
    let (commands, inbox) = mpsc::channel(4);
    let actor = tokio::spawn(Actor::new(process, program, reports_in, inbox).run());
    commands.send(Command::Start).await.unwrap();
    let (mut state, mut records) = (State::Pending, Vec::new());
    let all = async {
        while let Some(report) = reports.recv().await {
            match report {
                Report::State { state: new, .. } => {
                    state = new;
                    if new == State::Running && command == Some("stop") {
                        commands.send(Command::Stop(Reason::User)).await.unwrap();
                    }
                }
                Report::Ended { record, .. } => records.push(*record),
                Report::Message { .. } => {}
            }
        }
    };
    tokio::time::timeout(BOUND, all).await.expect("every wait is bounded");
    actor.await.unwrap();
    (state, records)
}

fn test(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

/// Waits, bounded, until a process is gone: SIGKILL is sure, but the kernel takes a moment to clear up.
fn is_gone(pid: i32) -> bool {
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    };
    let deadline = std::time::Instant::now() + BOUND;
    while alive() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    !alive()
}

const READY: &str = r#"frame '{"type":"ready"}'"#;
const FINISHED: &str =
    r#"frame '{"type":"finished","exit":"ok","progress":{"frames":0,"position":null,"duration":null,"sinks":[]}}'"#;

#[test]
fn an_end_without_a_word_is_a_crash_whatever_its_code() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let (state, records) = run(&dir, &format!("{READY}\nexit 0"), None, |_| {}).await;
        assert_eq!((state, &records[0].reason), (State::Failed, &Reason::Crash));
        assert_eq!((records[0].code, records[0].exit()), (Some(0), Exit::Failed));
    });
}

#[test]
fn a_job_that_is_too_long_is_said_at_once() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let (state, records) = run(&dir, "sleep 1000", None, |p| p.job.launch = "\\".repeat(600_000)).await;
        assert_eq!((state, records[0].exit()), (State::Failed, Exit::BadDescription));
        let error = records[0].error.as_ref().unwrap();
        assert!(error.failure.message.contains("too long"), "{error:?}");
    });
}

#[test]
fn a_run_folder_that_cannot_be_told_is_said_at_once() {
    use std::os::unix::ffi::OsStrExt;
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let bad = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
        let (state, records) = run(&dir, "sleep 1000", None, |p| p.job.run_dir = bad).await;
        assert_eq!((state, records[0].exit()), (State::Failed, Exit::Internal));
        let error = records[0].error.as_ref().unwrap();
        assert!(error.failure.message.contains("cannot be told"), "{error:?}");
    });
}

#[test]
fn a_stall_asks_for_the_graph_first() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        let script = format!("cat <&$FD > {}", seen.display());
        let quick = |p: &mut ProcessPlan| p.health.start_timeout = Span(Duration::from_millis(200));
        let (_, records) = run(&dir, &script, None, quick).await;
        assert_eq!(records[0].reason, Reason::StartTimeout);
        let seen = String::from_utf8_lossy(&std::fs::read(seen).unwrap()).into_owned();
        let at = |word: &str| seen.find(word).unwrap_or_else(|| panic!("no {word} in {seen}"));
        assert!(at("snapshot") < at("\"stop\""));
    });
}

#[test]
fn one_that_ignores_everything_is_killed_with_its_grandchildren() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!(
            "trap '' INT TERM\nsleep 1000 &\necho $! > {}\n{READY}\nwhile :; do wait; sleep 1000; done",
            pid_file.display()
        );
        let (state, records) = run(&dir, &script, Some("stop"), |_| {}).await;
        assert_eq!(
            (state, &records[0].reason, records[0].signal),
            (State::Stopped, &Reason::User, Some(libc::SIGKILL))
        );
        let steps: Vec<Step> = records[0].ladder.iter().map(|(s, _)| *s).collect();
        assert_eq!(steps, [Step::EndOfStream, Step::Interrupt, Step::Terminate, Step::Kill]);
        assert_eq!(records[0].exit(), Exit::Interrupted);
        let grandchild: i32 = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        assert!(is_gone(grandchild), "the whole group is gone");
    });
}

#[test]
fn grandchildren_of_one_that_ended_well_are_gone_too() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!(
            "sleep 1000 &\necho $! > {}\n{READY}\n{FINISHED}\nexit 0",
            pid_file.display()
        );
        let (state, records) = run(&dir, &script, None, |_| {}).await;
        assert_eq!((state, &records[0].reason), (State::Stopped, &Reason::EndOfStream));
        assert!(is_gone(
            std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap()
        ));
    });
}

#[test]
fn its_last_words_are_kept() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let script = "for i in $(seq 1 5000); do echo line $i >&2; done\nexit 1";
        let (state, records) = run(&dir, script, None, |_| {}).await;
        assert_eq!(
            (state, records[0].code, records[0].exit()),
            (State::Failed, Some(1), Exit::Failed)
        );
        assert_eq!(
            (records[0].log_tail.len(), records[0].log_tail[99].as_str()),
            (100, "line 5000")
        );
    });
}

#[test]
fn one_that_speaks_rubbish_is_noticed_as_silent() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("{READY}\nprintf 'rubbish rubbish' >&$FD\nsleep 1000");
        let (state, records) = run(&dir, &script, None, |p| p.health.heartbeat_timeout = Span::seconds(1)).await;
        assert_eq!((state, &records[0].reason), (State::Failed, &Reason::Silent));
        assert!(
            records[0].log_tail.iter().any(|l| l.contains("speaks wrongly")),
            "{:?}",
            records[0].log_tail
        );
    });
}

#[test]
fn one_that_never_gets_ready_is_a_timeout() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let (state, records) = run(&dir, "sleep 1000", None, |p| p.health.start_timeout = Span::seconds(1)).await;
        assert_eq!(
            (state, &records[0].reason, records[0].exit()),
            (State::Failed, &Reason::StartTimeout, Exit::Timeout)
        );
    });
}

#[test]
fn crashes_are_restarted_to_the_limit() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let (state, records) = run(&dir, "kill -SEGV $$", None, |p| {
            p.restart.policy = RestartPolicy::OnFailure;
            p.restart.max_restarts = 2;
            p.restart.delay = Span(Duration::from_millis(5));
        })
        .await;
        assert_eq!((state, records.len()), (State::Failed, 3));
        assert!(
            records
                .iter()
                .all(|r| r.signal == Some(libc::SIGSEGV) && r.reason == Reason::Crash)
        );
        assert_eq!(records.iter().map(|r| r.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    });
}

#[test]
fn a_program_that_cannot_be_started_is_a_fault() {
    test(async {
        let dir = tempfile::tempdir().unwrap();
        let plan = ProcessPlan {
            job: Job {
                process: "p".into(),
                run_dir: dir.path().into(),
                ..Job::default()
            },
            restart: Restart::default(),
            health: Health::default(),
            stop: Stop::default(),
        };
        let (reports_in, mut reports) = mpsc::channel(64);
        let (commands, inbox) = mpsc::channel(4);
        let actor = tokio::spawn(Actor::new(plan, "/no/such/program".into(), reports_in, inbox).run());
        commands.send(Command::Start).await.unwrap();
        let (mut last, mut error) = (State::Pending, None);
        while let Some(report) = reports.recv().await {
            match report {
                Report::State { state, .. } => last = state,
                Report::Ended { record, .. } => error = record.error,
                Report::Message { .. } => {}
            }
        }
        actor.await.unwrap();
        assert_eq!(last, State::Failed);
        assert!(
            error
                .unwrap()
                .failure
                .message
                .contains("cannot be started: No such file")
        );
    });
}
