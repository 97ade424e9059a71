//! One runner child: its own process group, a socket pair for messages, a pipe for its words, a pidfd for its end.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::states::Ended;
use crate::exit::{Exit, Failure};
use crate::ipc::{self, CodecError};

/// A running child. Dropping it kills its group: nothing outlives the supervisor by accident.
pub struct Child {
    child: std::process::Child,
    exit: AsyncFd<OwnedFd>,
    ipc: UnixStream,
    output: pipe::Receiver,
    gone: bool,
}

impl Child {
    /// Starts `program ARGUMENTS --fd N`, where N is the inherited end of the socket pair. A child whose supervisor dies sees
    /// the socket end, finishes its files and ends. Needs a tokio runtime.
    pub fn spawn(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let (output, words) = io::pipe()?;
        let fd = theirs.as_raw_fd();
        let mut command = Command::new(program);
        // The DirectFB sink crashes where there is no display; without it autovideosink shows nothing there, and works.
        let ranks = std::env::var("GST_PLUGIN_FEATURE_RANK").map_or(String::new(), |r| format!("{r},"));
        command
            .env("GST_DEBUG_NO_COLOR", "1")
            .env("GST_PLUGIN_FEATURE_RANK", format!("{ranks}dfbvideosink:NONE"))
            .args(arguments)
            .args(["--fd", &fd.to_string()])
            .stdin(Stdio::null())
            .stdout(words.try_clone()?)
            .stderr(words)
            .process_group(0);
        // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls.
        unsafe {
            // Everything else stays close-on-exec.
            command.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let child = command.spawn()?;
        // `command` holds our copies of the pipe's write end, without whose end the pipe never ends.
        drop(command);
        drop(theirs);
        let mut guard = Guard(Some(child));
        let pid = guard.0.as_ref().map_or(0, |c| c.id());
        ours.set_nonblocking(true)?;
        // SAFETY: the descriptor is owned by the `AsyncFd` and is not closed or replaced while it is registered.
        let exit = unsafe { AsyncFd::register(pidfd_open(pid)?) }?;
        let ipc = UnixStream::from_std(ours)?;
        let output = pipe::Receiver::from_owned_fd(output.into())?;
        let child = guard.0.take().ok_or_else(|| io::Error::other("no child"))?;
        Ok(Self {
            child,
            exit,
            ipc,
            output,
            gone: false,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a message. A child that does not read cannot hold us up: a full socket is an error.
    pub async fn send(&mut self, message: &ipc::ToRunner) -> io::Result<()> {
        let bytes = ipc::encode(message).map_err(io::Error::other)?;
        self.write(&bytes, Duration::from_secs(1)).await
    }

    /// Sends bytes, within the bound.
    pub async fn write(&mut self, bytes: &[u8], bound: Duration) -> io::Result<()> {
        tokio::time::timeout(bound, self.ipc.write_all(bytes))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Tells the child that nothing more comes; what it still says is read.
    pub async fn close(&mut self) {
        // One that has ended has closed it already.
        let _ = self.ipc.shutdown().await;
    }

    /// The fault that a first message could not be sent; `None` when the child is gone, whose end then tells why.
    pub fn unsent(process: &str, error: &io::Error) -> Option<Failure> {
        if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
            return None;
        }
        let codec = error.get_ref().and_then(|e| e.downcast_ref::<CodecError>());
        Some(match codec {
            Some(CodecError::TooLong(_)) => Failure::new(
                Exit::BadDescription,
                format!("the launch line of process `{process}` and its values are too long"),
            ),
            _ => Failure::new(
                Exit::Internal,
                format!("process `{process}` cannot be told what to run: {error}"),
            ),
        })
    }

    /// Messages that are there already, without waiting.
    pub fn try_messages(&mut self, messages: &mut [u8]) -> Option<usize> {
        self.ipc.try_read(messages).ok().filter(|n| *n > 0)
    }

    /// What comes next from the child.
    pub async fn next(&mut self, messages: &mut [u8], words: &mut [u8], closed: &mut Closed) -> Incoming {
        tokio::select! {
            // In this order, so that a last message is read before the end is noticed.
            biased;
            n = self.ipc.read(messages), if !closed.ipc => match n {
                Ok(n) if n > 0 => Incoming::Messages(n),
                _ => { closed.ipc = true; Incoming::Nothing }
            },
            // Before the words: a child that floods its log must not hide its end.
            _ = self.exit.readable(), if !self.gone => Incoming::Exit,
            n = self.output.read(words), if !closed.output => match n {
                Ok(n) if n > 0 => Incoming::Words(n),
                _ => { closed.output = true; Incoming::Nothing }
            },
            else => Incoming::Nothing,
        }
    }

    /// Signals the whole group. The child is not reaped before it is `gone`, so the number cannot mean another group.
    pub fn signal(&self, signal: i32) {
        if !self.gone {
            // SAFETY: plain system call.
            unsafe { libc::killpg(self.child.id() as i32, signal) };
        }
    }

    /// Ends what is left of the group and reaps the child, which must have exited.
    pub fn reap(&mut self) -> io::Result<Ended> {
        self.signal(libc::SIGKILL);
        let status = self.child.wait()?;
        self.gone = true;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(signal)) => Ended::Signal(signal),
            (None, None) => Ended::NotStarted(Exit::Internal),
        })
    }

    /// Lets go of a child that not even SIGKILL ends.
    pub fn abandon(mut self) {
        self.gone = true;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.gone {
            self.signal(libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Kills a child that could not be set up.
struct Guard(Option<std::process::Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Which streams have ended.
#[derive(Debug, Default)]
pub struct Closed {
    pub ipc: bool,
    pub output: bool,
}

/// See [`Child::next`]; the numbers are bytes read.
#[derive(Debug, Clone, Copy)]
pub enum Incoming {
    Messages(usize),
    Words(usize),
    Exit,
    Nothing,
}

fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call (Linux 5.3); the result is a new descriptor that we own.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    }
}
