//! Pictures through a WebSocket.

use std::net::TcpStream;

use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::client::{connect, picture};
use crate::server::Server;

fn open(server: &Server, origin: Option<&str>) -> Result<WebSocket<TcpStream>, u16> {
    let url = format!("ws://{}/api/image-process/stream", server.address);
    let mut request = url.into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match tungstenite::client(request, connect(server.address)) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn next(socket: &mut WebSocket<TcpStream>) -> serde_json::Value {
    let message = socket.read().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[test]
fn each_picture_has_its_answer_in_order() {
    let server = Server::start(&[]);
    let mut socket = open(&server, Some("chrome-extension://abcdefgh")).unwrap();
    let names = ["obama.jpg", "china.jpg", "biden-eyes-shut.png", "china.jpg"];
    // All at once: they wait for each other.
    for name in names {
        socket.write(Message::binary(picture(name))).unwrap();
    }
    socket.flush().unwrap();
    for (name, exists, closed) in [
        (names[0], true, false),
        (names[1], false, false),
        (names[2], true, true),
        (names[3], false, false),
    ] {
        let json = next(&mut socket);
        assert_eq!(
            (json["isExist"].as_bool(), json["isEyeClosed"].as_bool()),
            (Some(exists), Some(closed)),
            "{name} {json}"
        );
    }
    // What is wrong with one harms none that follow.
    for (message, code) in [
        (Message::binary(b"hello".to_vec()), "not_a_picture"),
        (Message::text("hello"), "not_binary"),
        (Message::binary(Vec::new()), "not_a_picture"),
    ] {
        socket.send(message).unwrap();
        assert_eq!(next(&mut socket)["error"]["code"], code);
    }
    socket.send(Message::binary(picture("obama.jpg"))).unwrap();
    assert_eq!(next(&mut socket)["isExist"], true);
}

#[test]
fn pages_of_other_sites_are_refused_and_so_are_huge_messages() {
    let server = Server::start(&[]);
    for origin in ["http://example.com", "https://evil.test", "null"] {
        assert_eq!(open(&server, Some(origin)).map(|_| ()), Err(403), "{origin}");
    }
    open(&server, Some(&format!("http://{}", server.address))).unwrap();
    let mut socket = open(&server, None).unwrap();
    // The server may close before all of it is sent.
    let _ = socket.send(Message::binary(vec![0; 11 * 1024 * 1024]));
    assert!(socket.read().is_err());
    let mut other = open(&server, None).unwrap();
    other.send(Message::binary(picture("obama.jpg"))).unwrap();
    assert_eq!(next(&mut other)["isExist"], true);
}
