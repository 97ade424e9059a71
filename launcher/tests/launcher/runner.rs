//! The runner alone, spoken to as the supervisor does.

use nunchi::exit::Exit;
use nunchi::ipc::{Decoder, FromRunner, Job, ToRunner};
use nunchi::supervisor::{Child, Closed, Ended, Incoming, RUNNER};

use crate::helper::*;

struct Talk {
    child: Child,
    decoder: Decoder,
    closed: Closed,
    ended: Option<Ended>,
}

impl Talk {
    async fn start(message: ToRunner) -> Self {
        let mut child = Child::spawn(env!("CARGO_BIN_EXE_nunchi").as_ref(), RUNNER).unwrap();
        child.send(&message).await.unwrap();
        Self {
            child,
            decoder: Decoder::default(),
            closed: Closed::default(),
            ended: None,
        }
    }

    async fn send(&mut self, message: ToRunner) {
        self.child.send(&message).await.unwrap();
    }

    /// How it ends.
    async fn end(&mut self) -> Ended {
        let (mut messages, mut words) = (vec![0; 65536], vec![0; 65536]);
        let deadline = tokio::time::Instant::now() + BOUND;
        loop {
            let next = self.child.next(&mut messages, &mut words, &mut self.closed);
            if let Incoming::Exit = tokio::time::timeout_at(deadline, next).await.expect("in time") {
                return self.child.reap().unwrap();
            }
        }
    }

    /// The next message that this wants.
    async fn expect<T>(&mut self, want: impl Fn(FromRunner) -> Option<T>) -> T {
        let (mut messages, mut words) = (vec![0; 65536], vec![0; 65536]);
        let deadline = tokio::time::Instant::now() + BOUND;
        loop {
            while let Some(message) = self.decoder.take().unwrap() {
                if let Some(found) = want(message) {
                    return found;
                }
            }
            let next = self.child.next(&mut messages, &mut words, &mut self.closed);
            match tokio::time::timeout_at(deadline, next).await.expect("in time") {
                Incoming::Messages(n) => self.decoder.push(&messages[..n]),
                Incoming::Exit => {
                    self.ended = Some(self.child.reap().unwrap());
                    panic!("ended early: {:?}", self.ended);
                }
                _ => {}
            }
        }
    }
}

fn job(p: &Place, launch: &str) -> Job {
    std::fs::create_dir_all(p.path("logs")).unwrap();
    Job {
        process: "p".into(),
        launch: launch.into(),
        run_dir: p.path(""),
        attempt: 1,
        ..Job::default()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn properties_change_while_it_plays_and_bad_values_are_refused() {
    block_on(async {
        let p = Place::new();
        let mut t = Talk::start(ToRunner::Start(job(&p, "videotestsrc is-live=true name=s ! fakesink"))).await;
        t.expect(|m| (m == FromRunner::Ready).then_some(())).await;
        let set = |property: &str, value: &str| ToRunner::Set {
            element: "s".into(),
            property: property.into(),
            value: value.into(),
        };
        t.send(set("pattern", "nonsense")).await;
        let error = t
            .expect(|m| {
                if let FromRunner::Error(e) = m {
                    Some(e.failure)
                } else {
                    None
                }
            })
            .await;
        assert!(
            error.exit == Exit::BadDescription && error.message.contains("one of smpte"),
            "{error}"
        );
        // The pipeline ends by this property, so the change is seen to arrive.
        t.send(set("pattern", "ball")).await;
        t.send(ToRunner::Snapshot).await;
        let graph = t
            .expect(|m| {
                if let FromRunner::Stats { graph, .. } = m {
                    Some(graph)
                } else {
                    None
                }
            })
            .await;
        let dot = std::fs::read_to_string(graph).unwrap();
        assert!(dot.contains("digraph") && dot.contains("pattern=ball"), "{dot}");
        t.send(ToRunner::Stop).await;
        let (exit, progress) = t
            .expect(|m| {
                if let FromRunner::Finished { exit, progress } = m {
                    Some((exit, progress))
                } else {
                    None
                }
            })
            .await;
        assert!(exit == Exit::Ok && progress.frames > 0, "{exit:?} {progress:?}");
    });
}

#[test]
fn a_blocked_pipeline_obeys_sigint() {
    block_on(async {
        let p = Place::new();
        let launch = "videotestsrc is-live=true ! tee name=t t. ! queue ! fakesink async=false \
            t. ! queue ! identity sleep-time=600000000 ! fakesink async=false";
        let mut t = Talk::start(ToRunner::Start(job(&p, launch))).await;
        t.expect(|m| (m == FromRunner::Ready).then_some(())).await;
        t.send(ToRunner::Stop).await;
        // The end-of-stream comes through one branch and not through the other.
        t.expect(|m| match m {
            FromRunner::Progress(p) if p.sinks.iter().any(|s| s.eos) => Some(()),
            _ => None,
        })
        .await;
        t.child.signal(libc::SIGINT);
        let exit = t.expect(|m| match m {
            FromRunner::Finished { exit, .. } => Some(exit),
            _ => None,
        });
        assert_eq!(exit.await, Exit::Interrupted);
        assert_eq!(t.end().await, Ended::Code(130));
    });
}

#[test]
fn progress_counts_frames_and_knows_position_and_duration() {
    block_on(async {
        let p = Place::new();
        let launch = format!(
            "filesrc location={} ! decodebin ! fakesink sync=true",
            clip("good.mp4").display()
        );
        let mut t = Talk::start(ToRunner::Start(job(&p, &launch))).await;
        let progress = t.expect(|m| match m {
            FromRunner::Progress(p) if p.frames > 20 => Some(p),
            _ => None,
        });
        let progress = progress.await;
        assert_eq!(progress.duration, Some(2_000_000_000));
        assert!(
            progress.position.is_some_and(|at| at > 0 && at < 2_000_000_000),
            "{progress:?}"
        );
        assert_eq!(progress.sinks.len(), 1);
    });
}

#[test]
fn a_check_runs_nothing() {
    block_on(async {
        let p = Place::new();
        let launch = format!("fakesrc num-buffers=1 ! filesink location={}", p.path("made").display());
        let mut t = Talk::start(ToRunner::Check(job(&p, &launch))).await;
        let exit = t
            .expect(|m| {
                if let FromRunner::Finished { exit, .. } = m {
                    Some(exit)
                } else {
                    None
                }
            })
            .await;
        assert_eq!(exit, Exit::Ok);
        assert!(!p.path("made").exists());
    });
}

#[test]
fn without_a_socket_it_refuses() {
    let p = Place::new();
    p.nunchi(&["runner"]).fails(2, &[]);
    p.nunchi(&["runner", "--fd", "999"]).fails(2, &[]);
    p.nunchi(&["runner", "--fd", "1"]).fails(2, &[]);
    // Open, but nobody speaks there.
    let mut command = p.command(&["runner", "--fd", "0"]);
    assert_eq!(command.status().unwrap().code(), Some(2));
}
