//! The runner's ends of the outside world: the supervisor's socket and signals, both brought into one channel.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::exit::Exit;
use crate::ipc::{self, Decoder, FromRunner, ToRunner};

/// The last message may wait so long for a supervisor that does not read.
const FINISH_BOUND: Duration = Duration::from_secs(5);
/// Bytes that wait for a supervisor that does not read (it was stopped by Ctrl-Z, say); messages beyond are dropped.
const MAX_PENDING: usize = 1024 * 1024;
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
    stream: UnixStream,
    /// What the socket had no room for yet. Always whole messages but for the first one's beginning.
    pending: RefCell<Vec<u8>>,
    wishes: Receiver<Wish>,
}

/// The signals taken by [`Link::start`]'s thread, blocked for the calling thread and all that it makes.
pub fn block_signals() -> libc::sigset_t {
    // SAFETY: a zeroed set is only passed to the functions that fill it; plain system calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // One that was ignored by whoever started the launcher would never reach `sigwait`.
            libc::signal(signal, libc::SIG_DFL);
            libc::sigaddset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

impl Link {
    pub fn start(stream: UnixStream, signals: libc::sigset_t) -> io::Result<Self> {
        stream.set_write_timeout(Some(FINISH_BOUND))?;
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
            stream,
            pending: RefCell::default(),
            wishes,
        })
    }

    /// Sends a message, without waiting: a supervisor that is held up must not hold up the pipeline.
    pub fn send(&self, message: &FromRunner) {
        let Ok(bytes) = ipc::encode(message) else { return };
        let mut pending = self.pending.borrow_mut();
        if pending.len() + bytes.len() <= MAX_PENDING {
            pending.extend(bytes);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        while !pending.is_empty() {
            // SAFETY: the descriptor is open, and pointer and length are those of the buffer.
            let sent = unsafe { libc::send(self.stream.as_raw_fd(), pending.as_ptr().cast(), pending.len(), flags) };
            // A supervisor that is gone is noticed by the reading side.
            let Ok(sent) = usize::try_from(sent) else { return };
            pending.drain(..sent);
        }
    }

    /// Sends the last message, and all that waits still.
    pub fn finish(&self, message: &FromRunner) {
        let mut pending = self.pending.take();
        pending.extend(ipc::encode(message).unwrap_or_default());
        // A supervisor that is gone needs no last message.
        let _ = (&self.stream).write_all(&pending);
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
            unsafe { libc::_exit(i32::from(Exit::Interrupted.code())) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_that_is_held_up_neither_blocks_nor_gets_half_messages() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let (_wishes, never) = mpsc::channel();
        let link = Link {
            stream: ours,
            pending: RefCell::default(),
            wishes: never,
        };
        let state = "x".repeat(10_000);
        for _ in 0..1000 {
            link.send(&FromRunner::State { state: state.clone() });
        }
        assert!(link.pending.borrow().len() <= MAX_PENDING);
        let reader = std::thread::spawn(move || {
            let (mut decoder, mut count, mut bytes) = (Decoder::default(), 0, vec![0; 65536]);
            loop {
                let n = theirs.read(&mut bytes).unwrap();
                decoder.push(&bytes[..n]);
                while let Some(message) = decoder.take::<FromRunner>().unwrap() {
                    count += 1;
                    if message == FromRunner::Ready {
                        return count;
                    }
                }
            }
        });
        link.finish(&FromRunner::Ready);
        assert!(reader.join().unwrap() > 100);
    }
}
