//! The worker of pictures under faults.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nunchi::pictures::{Answer, Pool, Refused, Settings, State};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::client::{BOUND, picture};
use crate::server::{is_alive, kill};

fn settings() -> Settings {
    let arguments = ["image-worker", "--threads", "1", "--engine", "embedded"];
    Settings {
        program: env!("CARGO_BIN_EXE_nunchi").into(),
        arguments: arguments.map(str::to_owned).to_vec(),
        threads: 1,
        queue: 4,
        start_timeout: BOUND,
        answer_timeout: BOUND,
        stop_timeout: Duration::from_secs(10),
    }
}

/// A program that is a few lines of shell.
fn script(folder: &TempDir, text: &str) -> Settings {
    let path = folder.path().join("worker");
    std::fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Settings {
        program: path,
        ..settings()
    }
}

fn run<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { timeout(2 * BOUND, body).await.expect("an end") })
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn ready(pool: &Pool) -> i32 {
    until("the worker is ready", || matches!(pool.state(), State::Ready(_))).await;
    pool.pid() as i32
}

async fn read(pool: &Pool) -> Result<Answer, Refused> {
    pool.read(picture("obama.jpg").into()).await
}

fn is_face(answer: &Result<Answer, Refused>) -> bool {
    matches!(answer, Ok(Answer::Read(json)) if json.contains("\"isExist\":true"))
}

#[test]
fn a_picture_survives_the_crash_of_the_worker_that_had_it() {
    run(async {
        let (pool, keeper) = Pool::start(settings());
        let pid = ready(&pool).await;
        kill(pid, libc::SIGSTOP);
        let (one, two) = (pool.clone(), pool.clone());
        let both = tokio::spawn(async move { tokio::join!(read(&one), read(&two)) });
        until("they wait", || pool.waiting() == 2).await;
        kill(pid, libc::SIGKILL);
        let (first, second) = both.await.unwrap();
        assert!(is_face(&first) && is_face(&second), "{first:?} {second:?}");
        assert_eq!(pool.restarts(), 1);
        assert_ne!(ready(&pool).await, pid);
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn a_worker_that_hangs_is_replaced() {
    run(async {
        let (pool, keeper) = Pool::start(Settings {
            answer_timeout: Duration::from_secs(3),
            ..settings()
        });
        let pid = ready(&pool).await;
        kill(pid, libc::SIGSTOP);
        let answer = read(&pool).await;
        assert!(is_face(&answer), "{answer:?}");
        assert!(!is_alive(pid), "the one that hung is killed");
        assert_eq!(pool.restarts(), 1);
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn a_picture_that_ends_two_workers_is_given_to_no_third() {
    run(async {
        // Says that it is ready (length, id 0, kind 0), takes what comes and crashes.
        let folder = tempfile::tempdir().unwrap();
        let fd = "eval fd=\\${$#}; printf '\\000\\000\\000\\011\\000\\000\\000\\000\\000\\000\\000\\000\\000' >&$fd";
        let (pool, keeper) = Pool::start(script(
            &folder,
            &format!("{fd}; head -c 20 <&$fd >/dev/null; kill -SEGV $$"),
        ));
        let answer = read(&pool).await;
        assert_eq!(answer, Err(Refused::Crashed));
        assert!(pool.restarts() >= 1);
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn a_program_that_is_none_is_told_and_asked_again_later() {
    run(async {
        for (settings, reason) in [
            (
                Settings {
                    program: Path::new("/nowhere/nunchi").to_owned(),
                    ..settings()
                },
                "cannot be started",
            ),
            (
                Settings {
                    program: "/bin/false".into(),
                    ..settings()
                },
                "code 1",
            ),
        ] {
            let (pool, keeper) = Pool::start(settings);
            until("it is given up for now", || matches!(pool.state(), State::Down(_))).await;
            let Err(Refused::Down(why)) = read(&pool).await else {
                panic!("an answer")
            };
            assert!(why.contains(reason), "{why}");
            drop(pool);
            keeper.await.unwrap();
        }
    });
}

#[test]
fn what_keeps_the_networks_from_loading_is_told_in_the_engines_words() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let nunchi = env!("CARGO_BIN_EXE_nunchi");
        let line = format!(
            "ORT_DYLIB_PATH=/nowhere/lib.so exec {nunchi} image-worker --threads 1 --engine onnxruntime --fd $6"
        );
        let (pool, keeper) = Pool::start(script(&folder, &line.replace("$6", "${7:-$6}")));
        until("it is given up for now", || matches!(pool.state(), State::Down(_))).await;
        let State::Down(why) = pool.state() else { panic!("up") };
        assert!(why.contains("ONNX Runtime could not be opened"), "{why}");
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn rubbish_from_a_worker_ends_it() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (pool, keeper) = Pool::start(script(
            &folder,
            "eval fd=\\${$#}; head -c 100000 /dev/urandom >&$fd; cat <&$fd",
        ));
        until("it is given up for now", || matches!(pool.state(), State::Down(_))).await;
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn a_worker_that_floods_its_words_reads_on() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let nunchi = env!("CARGO_BIN_EXE_nunchi");
        let (pool, keeper) = Pool::start(script(
            &folder,
            &format!("(head -c 3000000 /dev/zero | tr '\\0' 'x' >&2) & exec {nunchi} \"$@\""),
        ));
        ready(&pool).await;
        for _ in 0..3 {
            assert!(is_face(&read(&pool).await));
        }
        assert_eq!(pool.restarts(), 0);
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn the_queue_is_bounded_and_all_in_it_are_answered() {
    run(async {
        let (pool, keeper) = Pool::start(settings());
        let pid = ready(&pool).await;
        kill(pid, libc::SIGSTOP);
        // Two with the worker, four in the queue.
        let mut waiting = Vec::new();
        let mut refused = 0;
        for _ in 0..12 {
            let pool = pool.clone();
            waiting.push(tokio::spawn(async move { read(&pool).await }));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        kill(pid, libc::SIGCONT);
        for answer in waiting {
            match answer.await.unwrap() {
                Err(Refused::Full(4)) => refused += 1,
                answer => assert!(is_face(&answer), "{answer:?}"),
            }
        }
        // The socket has room for one picture or two.
        assert!((6..=7).contains(&refused), "{refused}");
        assert_eq!(pool.waiting(), 0);
        let huge = pool.read(vec![0; 10 * 1024 * 1024 + 1].into()).await;
        assert!(matches!(huge, Err(Refused::TooLarge(_))), "{huge:?}");
        drop(pool);
        keeper.await.unwrap();
    });
}

#[test]
fn clients_that_go_leave_nothing_behind() {
    run(async {
        let (pool, keeper) = Pool::start(settings());
        let pid = ready(&pool).await;
        kill(pid, libc::SIGSTOP);
        for _ in 0..3 {
            let gone = timeout(Duration::from_millis(50), read(&pool)).await;
            assert!(gone.is_err());
        }
        assert_eq!(pool.waiting(), 0);
        kill(pid, libc::SIGCONT);
        assert!(is_face(&read(&pool).await));
        drop(pool);
        keeper.await.unwrap();
        assert!(!is_alive(pid));
    });
}

#[test]
fn a_worker_that_does_not_end_is_killed() {
    run(async {
        let (pool, keeper) = Pool::start(Settings {
            stop_timeout: Duration::from_millis(300),
            ..settings()
        });
        let pid = ready(&pool).await;
        kill(pid, libc::SIGSTOP);
        drop(pool);
        keeper.await.unwrap();
        assert!(!is_alive(pid));
    });
}
