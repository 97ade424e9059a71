//! A load of pictures on a server: users who each send one at a time, in a rhythm or as fast as they are answered.
//!
//! `NUNCHI_LOAD_ADDRESS` (127.0.0.1:8080), `NUNCHI_LOAD_PICTURES` (folder of JPEGs), `NUNCHI_LOAD_USERS`, `NUNCHI_LOAD_SECONDS`,
//! `NUNCHI_LOAD_EVERY` (ms between two pictures of a user; 0: at once). Prints one line. The time of an answer counts from the moment at
//! which its picture was due, so that a server that is late with one is not let off for the next. Addresses beyond this machine are refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BOUNDARY: &str = "----nunchi-load";

fn variable<T: std::str::FromStr>(name: &str) -> T {
    let text = std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    text.parse()
        .unwrap_or_else(|_| panic!("{name}={text} is not understood"))
}

fn request(picture: &[u8]) -> Vec<u8> {
    let before = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n"
    );
    let after = format!("\r\n--{BOUNDARY}--\r\n");
    let length = before.len() + picture.len() + after.len();
    let head = format!(
        "POST /api/image-process/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), before.as_bytes(), picture, after.as_bytes()].concat()
}

/// Status and whether a face was found.
fn ask(stream: &mut TcpStream, request: &[u8]) -> std::io::Result<(u16, bool)> {
    stream.write_all(request)?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&buffer[..count]);
        let all = String::from_utf8_lossy(&text).to_ascii_lowercase();
        let Some((head, body)) = all.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return Ok((status.unwrap_or(0), body.contains("\"isexist\":true")));
        }
    }
}

#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    errors: usize,
    faces: usize,
}

/// When a user sends: from `begin` on, each `every`, before `end`.
#[derive(Clone, Copy)]
struct Rhythm {
    begin: Instant,
    every: Duration,
    end: Instant,
}

fn user(address: SocketAddr, requests: &[Vec<u8>], index: usize, rhythm: Rhythm) -> Tally {
    let mut tally = Tally::default();
    let mut stream: Option<TcpStream> = None;
    let mut due = rhythm.begin;
    for turn in index.. {
        if rhythm.every.is_zero() {
            due = Instant::now();
        }
        if due >= rhythm.end {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let result = match stream.take().map_or_else(|| TcpStream::connect(address), Ok) {
            Ok(mut connection) => {
                // Where these fail, so does what follows.
                let _ = connection.set_nodelay(true);
                let _ = connection.set_read_timeout(Some(Duration::from_secs(20)));
                let result = ask(&mut connection, &requests[turn % requests.len()]);
                stream = result.is_ok().then_some(connection);
                result
            }
            Err(error) => Err(error),
        };
        match result {
            Ok((200, face)) => {
                tally.times.push(due.elapsed());
                tally.faces += usize::from(face);
            }
            _ => tally.errors += 1,
        }
        due += rhythm.every;
    }
    tally
}

fn main() {
    // `cargo test --benches` asks for nothing.
    if std::env::var_os("NUNCHI_LOAD_ADDRESS").is_none() {
        return;
    }
    let address: SocketAddr = variable("NUNCHI_LOAD_ADDRESS");
    assert!(address.ip().is_loopback(), "a load is sent to this machine only");
    let folder: String = variable("NUNCHI_LOAD_PICTURES");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let requests: Vec<_> = names
        .iter()
        .map(|path| request(&std::fs::read(path).unwrap()))
        .collect();
    let requests = Arc::new(requests);
    let users: usize = variable("NUNCHI_LOAD_USERS");
    let begin = Instant::now() + Duration::from_millis(100);
    let every = Duration::from_millis(variable("NUNCHI_LOAD_EVERY"));
    let rhythm = Rhythm {
        begin,
        every,
        end: begin + Duration::from_secs(variable("NUNCHI_LOAD_SECONDS")),
    };
    let start = |index: usize| {
        let requests = Arc::clone(&requests);
        // Users are spread over the rhythm.
        let rhythm = Rhythm {
            begin: begin + every * index as u32 / users as u32,
            ..rhythm
        };
        std::thread::spawn(move || user(address, &requests, index, rhythm))
    };
    let threads: Vec<_> = (0..users).map(start).collect();
    let mut all = Tally::default();
    for thread in threads {
        let tally = thread.join().unwrap();
        all.times.extend(tally.times);
        all.errors += tally.errors;
        all.faces += tally.faces;
    }
    let wall = begin.elapsed().as_secs_f64();
    all.times.sort();
    let count = all.times.len();
    let at = |share: f64| all.times.get((count as f64 * share) as usize);
    let ms = |share: f64| at(share).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    #[expect(clippy::print_stdout, reason = "the result of the program")]
    {
        println!(
            "load requests={count} errors={} faces={} rate={:.1} p50={:.1} p99={:.1}",
            all.errors,
            all.faces,
            count as f64 / wall,
            ms(0.5),
            ms(0.99)
        );
    }
}
