//! Connections, each with its bounds: how many there are, how long a request's head may take, how long they may go on at the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// A connection without a whole head of a request for so long is closed, also an idle one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest head of a request.
const MOST_HEAD: usize = 32 * 1024;
/// Requests that are under way at the end have so long.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// After an error that has to do with this machine, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// To whoever comes when there are too many: in plain bytes, for it must cost nothing.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\n\
Content-Length: 136\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"code\":\"too_many_connections\",\"detail\":\"too many connections are open\"}";

/// Serves until `stop` changes, then lets what is under way come to its end.
pub async fn serve(listener: TcpListener, router: Router, connections: usize, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_the_client(&error) => continue,
            Err(_) => {
                // Trying again at once would only keep a core busy.
                sleep(PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, router, stop).await;
                    drop(place);
                });
            }
            Err(_) => refuse(stream),
        }
    }
    drop(listener);
    let all = u32::try_from(connections).unwrap_or(u32::MAX);
    // What is still there then ends with the process.
    let _ = timeout(END_TIMEOUT, places.acquire_many(all)).await;
}

/// One that came and went.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// Says that there is no room. A new socket takes so few bytes at once, so nothing waits.
fn refuse(stream: TcpStream) {
    let _ = stream.try_write(FULL);
}

async fn connection(mut stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_HEAD);
    // Answers are small, and waiting to fill a packet would make each late.
    if stream.set_nodelay(true).is_err() {
        let _ = stream.shutdown().await;
        return;
    }
    let served = builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // What is wrong with a connection, its client has heard.
        _ = served.as_mut() => {}
        _ = stop.changed() => {
            served.as_mut().graceful_shutdown();
            let _ = timeout(END_TIMEOUT, served).await;
        }
    }
}

/// Opens the sockets, all or none.
///
/// # Errors
/// The first address that cannot be had, and why.
pub async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut all = Vec::with_capacity(addresses.len());
    for &address in addresses {
        all.push(TcpListener::bind(address).await.map_err(|error| (address, error))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
