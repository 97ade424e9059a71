//! What the end-to-end tests share: where the build's products are, and child processes with a bound.

pub mod clip;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository is there")
}

/// Folder with the binary and the plugin: the one above the running test's.
///
/// # Panics
/// Where `name` was not built: `make test` builds the workspace first, `cargo test -p` does not.
pub fn product(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a running program has a path");
    let path = exe.ancestors().nth(2).expect("target/PROFILE/deps/test").join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make test`, or build the workspace first",
        path.display()
    );
    path
}

/// A command with the plugin found and nothing else of this process's GStreamer settings; warnings are fatal.
pub fn gst(program: &str, scratch: &Path) -> Command {
    let plugins = product("libgstnunchi.so")
        .parent()
        .expect("a file has a folder")
        .to_path_buf();
    let mut command = Command::new(program);
    command
        .env("GST_PLUGIN_PATH", plugins)
        .env("GST_REGISTRY", scratch.join("registry.bin"))
        .env("G_DEBUG", "fatal-warnings")
        .current_dir(scratch);
    command
}

/// What a child said.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
///
/// # Panics
/// When it has not ended after `bound`, or cannot be started.
#[track_caller]
pub fn run(command: &mut Command, bound: Duration) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    // Both pipes are drained while the child runs, or it would stop at a full one.
    fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let deadline = Instant::now() + bound;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} was still running after {bound:?}\n{}",
                stderr.join().unwrap_or_default()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    }
}
