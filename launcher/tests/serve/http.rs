//! What old clients send, and what nobody should.

use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Instant;

use crate::client::{IMAGE, connect, form, get, picture, post, read, send};
use crate::server::{Server, command, is_alive, kill, size, until};

#[test]
fn an_old_client_gets_what_it_knows_and_more() {
    let server = Server::start(&[]);
    let health = get(server.address, "/api/image-process/health-check");
    assert_eq!((health.status, health.body.as_str()), (200, "{\"message\":\"OK\"}"));
    assert!(health.head.contains("application/json"));
    for (name, exists, closed) in [
        ("obama.jpg", true, false),
        ("biden-eyes-shut.png", true, true),
        ("china.jpg", false, false),
    ] {
        for path in [IMAGE, "/analytics/image"] {
            let answer = send(server.address, &form(path, "file", &picture(name)));
            let json = answer.json();
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(
                (json["isExist"].as_bool(), json["isEyeClosed"].as_bool()),
                (Some(exists), Some(closed)),
                "{name}: {json}"
            );
            for share in ["eyeClosedness", "smile"] {
                assert!(json[share].as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)), "{json}");
            }
            assert_eq!(json["faces"].as_array().unwrap().is_empty(), !exists, "{json}");
        }
    }
    // One connection for many pictures, as browsers do it.
    let mut stream = connect(server.address);
    for _ in 0..3 {
        stream.write_all(&form(IMAGE, "file", &picture("obama.jpg"))).unwrap();
        assert_eq!(read(&mut stream).unwrap().json()["isExist"], true);
    }
}

#[test]
fn wrong_requests_get_the_right_status_and_a_reason() {
    let server = Server::start(&[]);
    let address = server.address;
    let whole = picture("obama.jpg");
    post(address, b"hello").is_problem(415, "not_a_picture");
    post(address, b"").is_problem(422, "empty_file");
    post(address, &whole[..whole.len() / 2]).is_problem(422, "unreadable_picture");
    send(address, &form(IMAGE, "image", &whole)).is_problem(422, "no_file");
    let json = "POST /api/image-process/image HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    send(address, json.as_bytes()).is_problem(415, "not_a_form");
    let cut = form(IMAGE, "file", &whole);
    let end = cut.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&cut[..end]).into_owned();
    let (head, _) = head.rsplit_once("Content-Length: ").unwrap();
    let broken = format!("{head}Content-Length: 9\r\n\r\nno form!!");
    send(address, broken.as_bytes()).is_problem(400, "bad_form");
    post(address, &vec![0xff; 10 * 1024 * 1024 + 1]).is_problem(413, "too_large");
    // Also one that says so beforehand, and sends nothing.
    let huge = format!("{head}Content-Length: 99999999999\r\n\r\n");
    send(address, huge.as_bytes()).is_problem(413, "too_large");
    get(address, IMAGE).is_problem(405, "wrong_method");
    get(address, "/api/image-process/../../etc/passwd").is_problem(404, "no_such_path");
    get(address, "/%2e%2e/%2e%2e/etc/passwd").is_problem(404, "no_such_path");
    assert_eq!(post(address, &whole).status, 200);
}

#[test]
fn bytes_at_random_harm_nothing() {
    let server = Server::start(&[]);
    let address = server.address;
    let valid = form(IMAGE, "file", &picture("obama.jpg")[..2000]);
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    assert_eq!(post(address, &picture("obama.jpg")).status, 200);
    let mut before = (0, 0);
    for round in 0..600 {
        let mut request = valid.clone();
        for _ in 0..1 + random() % 8 {
            let at = random() % request.len();
            match random() % 3 {
                0 => request[at] = random() as u8,
                1 => request.truncate(at.max(1)),
                _ => request.insert(at, random() as u8),
            }
        }
        let mut stream = connect(address);
        let _ = stream.write_all(&request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Some are answered, some are closed; none hangs.
        if let Some(answer) = read(&mut stream) {
            assert!(
                (400..=505).contains(&answer.status) || answer.status == 200,
                "{answer:?}"
            );
        }
        if round == 99 {
            before = size(server.pid());
        }
    }
    until("connections are closed", || size(server.pid()).0 <= before.0 + 2);
    let after = size(server.pid());
    assert!(after.1 < before.1 + 8 * 1024, "{before:?} {after:?}");
    assert_eq!(post(address, &picture("obama.jpg")).json()["isExist"], true);
    assert!(server.log().is_empty(), "{}", server.log());
}

#[test]
fn who_sends_a_head_byte_by_byte_is_cut_off_and_keeps_nobody_waiting() {
    let server = Server::start(&["--connections", "8"]);
    let mut slow: Vec<TcpStream> = (0..6).map(|_| connect(server.address)).collect();
    let begun = Instant::now();
    let mut sent = 0;
    let head = b"POST /api/image-process/image HTTP/1.1\r\nX-Slow: ".as_slice();
    while !slow.is_empty() {
        let byte = head.get(sent).copied().unwrap_or(b'a');
        sent += 1;
        slow.retain_mut(|stream| {
            stream
                .set_read_timeout(Some(std::time::Duration::from_millis(10)))
                .unwrap();
            let closed = matches!(std::io::Read::read(stream, &mut [0; 64]), Ok(0));
            !closed && stream.write_all(&[byte]).is_ok()
        });
        assert_eq!(get(server.address, "/healthz").status, 200);
        assert!(begun.elapsed() < crate::client::BOUND, "{} are still there", slow.len());
    }
}

#[test]
fn beyond_the_most_connections_clients_are_told_to_come_again() {
    let server = Server::start(&["--connections", "3"]);
    let held: Vec<_> = (0..3).map(|_| connect(server.address)).collect();
    let mut refused = None;
    until("there is no room", || {
        let answer = get(server.address, "/healthz");
        (answer.status == 503).then(|| refused = Some(answer)).is_some()
    });
    let refused = refused.unwrap();
    refused.is_problem(503, "too_many_connections");
    assert!(refused.head.contains("Retry-After: 1"), "{refused:?}");
    drop(held);
    until("there is room again", || get(server.address, "/healthz").status == 200);
}

#[test]
fn ten_thousand_connections_come_and_go() {
    let server = Server::start(&["--connections", "2000"]);
    get(server.address, "/healthz");
    let before = size(server.pid());
    // As many at a time as this process may open.
    for _ in 0..20 {
        let all: Vec<_> = (0..500).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        assert_eq!(get(server.address, "/healthz").status, 200);
        drop(all);
    }
    until("connections are closed", || size(server.pid()).0 <= before.0 + 2);
    let after = size(server.pid());
    assert!(after.1 < before.1 + 24 * 1024, "{before:?} {after:?}");
    assert_eq!(post(server.address, &picture("obama.jpg")).status, 200);
}

#[test]
fn at_the_end_what_is_under_way_is_answered_and_the_worker_goes() {
    let server = Server::start(&[]);
    let worker = server.worker();
    // Both hold the request in the worker until the server has been asked to end.
    kill(worker, libc::SIGSTOP);
    let mut stream = connect(server.address);
    stream.write_all(&form(IMAGE, "file", &picture("obama.jpg"))).unwrap();
    until("the picture waits", || {
        get(server.address, "/metrics")
            .body
            .contains("nunchi_pictures_waiting 1")
    });
    server.signal(libc::SIGTERM);
    until("it says so", || server.log().contains("SIGTERM: ending"));
    assert!(TcpStream::connect(server.address).is_err() || get_fails(server.address));
    kill(worker, libc::SIGCONT);
    assert_eq!(read(&mut stream).unwrap().json()["isExist"], true);
    drop(stream);
    assert_eq!(server.wait().code(), Some(0));
    until("the worker goes", || !is_alive(worker));
}

/// A listener that is being closed may still take one.
fn get_fails(address: std::net::SocketAddr) -> bool {
    let mut stream = connect(address);
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    read(&mut stream).is_none()
}

#[test]
fn a_server_that_is_killed_leaves_no_worker() {
    let server = Server::start(&[]);
    let worker = server.worker();
    server.signal(libc::SIGKILL);
    server.wait();
    until("the worker goes", || !is_alive(worker));
}

#[test]
fn what_cannot_be_listened_on_is_told() {
    let server = Server::start_unready(&[]);
    let taken = server.address.to_string();
    let fails = |arguments: &[&str]| {
        let output = command(arguments).stdout(Stdio::null()).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text) = fails(&["--listen", &taken]);
    assert_eq!(code, Some(73), "{text}");
    assert!(text.contains(&taken) && text.contains("--listen"), "{text}");
    let (code, text) = fails(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("--insecure"), "{text}");
    for wrong in [
        &["--listen", "localhost"][..],
        &["--picture-queue", "0"],
        &["--engine", "magic"],
    ] {
        assert_eq!(fails(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn with_tokens_only_those_who_have_one_are_served() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, "read correct-horse-battery\nmetrics staple-of-the-numbers\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let file = path.to_str().unwrap();
    let server = Server::start(&["--token-file", file]);
    let address = server.address;
    let with = |request: &[u8], token: &str| {
        let text = format!("\r\nAuthorization: Bearer {token}\r\n");
        let at = request.windows(2).position(|pair| pair == b"\r\n").unwrap();
        send(address, &[&request[..at], text.as_bytes(), &request[at + 2..]].concat())
    };
    let image = form(IMAGE, "file", &picture("obama.jpg"));
    let metrics = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let refused = send(address, &image);
    refused.is_problem(401, "no_token");
    assert!(
        refused.head.to_ascii_lowercase().contains("www-authenticate: bearer"),
        "{refused:?}"
    );
    with(&image, "staple-of-the-numbers").is_problem(403, "lacks_scope");
    with(&image, "nobody-knows-this-token").is_problem(401, "wrong_token");
    assert_eq!(with(&image, "correct-horse-battery").json()["isExist"], true);
    with(metrics, "correct-horse-battery").is_problem(403, "lacks_scope");
    assert_eq!(with(metrics, "staple-of-the-numbers").status, 200);
    // Whether it is well, everybody may ask.
    for path in ["/healthz", "/readyz", "/api/image-process/health-check"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    get(address, "/api/image-process/stream").is_problem(401, "no_token");
    // Secrets that everybody can read are none.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let output = command(&["--token-file", file]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("chmod 600"),
        "{output:?}"
    );
}

#[test]
fn the_lines_of_the_documentation_work() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("docs/serve.md")).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let server = Server::start(&["--runs", runs.path().to_str().unwrap()]);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(lines.len() >= 9, "{lines:?}");
    for line in lines {
        let line = line.replace("127.0.0.1:8080", &server.address.to_string());
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(&root)
            .output()
            .unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{line}: {output:?}"
        );
    }
}
