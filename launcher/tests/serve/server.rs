//! A server of a test's own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::client::{BOUND, get};

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nunchi"));
    command.arg("serve").args(arguments).stdin(Stdio::null());
    command
}

impl Server {
    /// Starts one on a free port and waits until its networks are loaded.
    pub fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let server = Self::launch(arguments, variables);
        until("the server is ready", || get(server.address, "/readyz").status == 200);
        server
    }

    pub fn start_unready(arguments: &[&str]) -> Self {
        Self::launch(arguments, &[])
    }

    fn launch(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(arguments)
            .envs(variables.iter().copied())
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.rsplit("http://").next().unwrap().parse().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let kept = log.clone();
        // Ends with the server.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, address, log }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Of its picture worker.
    pub fn worker(&self) -> i32 {
        let mut worker = None;
        until("there is a worker", || {
            worker = named(self.pid(), "image-worker").first().copied();
            worker.is_some()
        });
        worker.unwrap()
    }

    pub fn wait(mut self) -> ExitStatus {
        let mut status = None;
        until("the server ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: plain system call on a process that a test has started.
    unsafe { libc::kill(pid, signal) };
}

fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?.chars().next()?;
    Some((state, words.next()?.parse().ok()?))
}

/// Whether it runs, or is at least there to be waited for.
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

pub fn children(of: i32) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| stat(pid).is_some_and(|(state, parent)| parent == of && state != 'Z'))
        .collect()
}

/// Children that run this sub-command.
pub fn named(of: i32, command: &str) -> Vec<i32> {
    let mut all = children(of);
    all.retain(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).nth(1) == Some(command.as_bytes())
    });
    all
}

/// Open files and resident memory in KiB.
pub fn size(pid: i32) -> (usize, usize) {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    (files, memory.unwrap_or(0))
}

#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}
