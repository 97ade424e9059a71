//! The child that has the networks: pictures in, readings out, a thread for each core.

use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use nunchi_inference::engine::EngineOptions;

use super::analysis::{Analyser, Fault};
use super::frames::{self, Decoder, Kind};
use crate::exit::Exit;

type Job = (u64, Vec<u8>);

/// Body of the hidden sub-command: reads from the inherited socket until its other end is closed.
pub fn main(fd: i32, threads: usize, options: &EngineOptions) -> Exit {
    // SAFETY: the launcher has inherited us this descriptor, and nobody else here uses it.
    let mut stream = unsafe { UnixStream::from_raw_fd(fd) };
    let load = |_| Analyser::load(options);
    let analysers = match (0..threads.max(1)).map(load).collect::<Result<Vec<_>, _>>() {
        Ok(analysers) => analysers,
        Err(error) => {
            // Nobody else is there to tell it to.
            let _ = stream.write_all(&frames::answer(0, Kind::Unavailable, &error.to_string()));
            return Exit::Unavailable;
        }
    };
    let engine = analysers.first().map_or(String::new(), Analyser::engine);
    match serve(stream, analysers, &engine) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Internal,
    }
}

fn serve(mut stream: UnixStream, analysers: Vec<Analyser>, engine: &str) -> io::Result<()> {
    let out = Mutex::new(stream.try_clone()?);
    let send = |id, kind, text: &str| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&frames::answer(id, kind, text))
    };
    send(0, Kind::Ready, engine)?;
    // The server sends no more than twice as many as there are threads.
    let (jobs, queue) = sync_channel::<Job>(2 * analysers.len());
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for mut analyser in analysers {
            let (queue, send) = (&queue, &send);
            scope.spawn(move || {
                while let Some((id, picture)) = next(queue) {
                    let (kind, text) = read(&mut analyser, &picture);
                    if send(id, kind, &text).is_err() {
                        return;
                    }
                }
            });
        }
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                // Dropping the sender ends the threads, after what is in the queue.
                drop(jobs);
                return Ok(());
            }
            decoder.push(&buffer[..count]);
            while let Some((id, picture)) = decoder.take().map_err(io::Error::other)? {
                if jobs.send((id, picture.to_vec())).is_err() {
                    return Ok(());
                }
            }
        }
    })
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn read(analyser: &mut Analyser, picture: &[u8]) -> (Kind, String) {
    // A decoder that panics on a picture fails that picture.
    let result = catch_unwind(AssertUnwindSafe(|| analyser.read(picture)));
    match result {
        Ok(Ok(reading)) => match serde_json::to_string(&reading) {
            Ok(json) => (Kind::Read, json),
            Err(error) => (Kind::Failed, error.to_string()),
        },
        Ok(Err(error @ Fault::NotAPicture)) => (Kind::NotAPicture, error.to_string()),
        Ok(Err(error @ Fault::Unreadable(_))) => (Kind::Unreadable, error.to_string()),
        Ok(Err(error @ Fault::Failed(_))) => (Kind::Failed, error.to_string()),
        Err(_) => (Kind::Failed, "the picture's decoder failed".to_owned()),
    }
}
