//! The runner's ends of the outside world: the supervisor's socket and signals, both brought into one channel.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::ipc::{self, Decoder, FromRunner, ToRunner};

/// A supervisor that does not read for so long is as good as gone.
const WRITE_BOUND: Duration = Duration::from_secs(5);
/// After SIGTERM the pipeline has this long to let go of its devices and files.
const TERMINATE_BOUND: Duration = Duration::from_secs(2);
/// After the supervisor is gone the pipeline has this long for its end-of-stream.
const ORPHAN_BOUND: Duration = Duration::from_secs(15);

/// What the outside wants.
#[derive(Debug)]
pub enum Wish {
    Message(ToRunner),
    /// The supervisor is gone: end with playable files.
    Orphaned,
    /// SIGINT or SIGTERM: end at once.
    Interrupt,
}

/// The connection to the supervisor.
pub struct Link {
    stream: Mutex<UnixStream>,
    wishes: Receiver<Wish>,
}

/// The signals taken by [`Link::start`]'s thread, blocked for the calling thread and all that it makes.
pub fn block_signals() -> libc::sigset_t {
    // SAFETY: a zeroed set is only passed to the functions that fill it; plain system calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

impl Link {
    pub fn start(stream: UnixStream, signals: libc::sigset_t) -> io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_BOUND))?;
        let (sender, wishes) = mpsc::channel();
        let (reader, for_signals) = (stream.try_clone()?, sender.clone());
        // Neither thread is joined: both wait for the outside as long as the process lives.
        std::thread::Builder::new()
            .name("ipc".into())
            .spawn(move || read(reader, &sender))?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || wait_signals(signals, &for_signals))?;
        Ok(Self {
            stream: Mutex::new(stream),
            wishes,
        })
    }

    /// Sends a message. A supervisor that is gone is noticed by the reading side.
    pub fn send(&self, message: &FromRunner) {
        if let (Ok(bytes), Ok(mut stream)) = (ipc::encode(message), self.stream.lock()) {
            let _ = stream.write_all(&bytes);
        }
    }

    /// The next wish, if one comes in time.
    pub fn wait(&self, bound: Duration) -> Option<Wish> {
        self.wishes.recv_timeout(bound).ok()
    }

    /// A wish that is there already.
    pub fn poll(&self) -> Option<Wish> {
        self.wishes.try_recv().ok()
    }
}

fn read(mut stream: UnixStream, wishes: &Sender<Wish>) {
    let mut decoder = Decoder::default();
    let mut bytes = [0; 16 * 1024];
    'reading: loop {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(n) => decoder.push(&bytes[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        loop {
            match decoder.take() {
                Ok(Some(message)) => {
                    if wishes.send(Wish::Message(message)).is_err() {
                        break 'reading;
                    }
                }
                Ok(None) => break,
                Err(_) => break 'reading,
            }
        }
    }
    let _ = wishes.send(Wish::Orphaned);
    // Nobody is left to climb the stop ladder, so it is climbed here.
    std::thread::sleep(ORPHAN_BOUND);
    // SAFETY: plain system call; the runner leads its own process group.
    unsafe { libc::kill(0, libc::SIGKILL) };
}

fn wait_signals(set: libc::sigset_t, wishes: &Sender<Wish>) {
    loop {
        let mut signal = 0;
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::sigwait(&set, &mut signal) } != 0 {
            return;
        }
        let _ = wishes.send(Wish::Interrupt);
        if signal == libc::SIGTERM {
            std::thread::sleep(TERMINATE_BOUND);
            // SAFETY: plain system call; ends the process without running what hangs.
            unsafe { libc::_exit(128 + libc::SIGTERM) };
        }
    }
}
