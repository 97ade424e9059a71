//! `nunchi serve`: what the launcher does for clients over HTTP.

mod api;
pub mod auth;
pub mod files;
mod health;
mod listener;
pub mod problem;
pub mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, Failure};
use crate::instances::{self, Instances};
use crate::output;
use crate::pictures::{self, Pool};
use crate::surfaces::{image_analysis, recording};
use auth::{Scope, Tokens};
use problem::Problem;

/// Instances have so long to end with playable files, and as long again to end at all.
const INSTANCES_TIMEOUT: Duration = Duration::from_secs(30);

/// What is served, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    pub addresses: Vec<SocketAddr>,
    /// Who may do what.
    pub tokens: Tokens,
    /// Whether anybody who can reach an address that is not of this machine alone may use it.
    pub insecure: bool,
    /// Most connections of each address.
    pub connections: usize,
    pub pictures: PictureSettings,
    pub instances: instances::Settings,
    pub recording: recording::Settings,
}

#[derive(Debug, Clone)]
pub struct PictureSettings {
    pub program: PathBuf,
    pub threads: usize,
    pub queue: usize,
    pub engine: String,
    pub precision: String,
}

impl PictureSettings {
    fn pool(&self) -> pictures::Settings {
        let threads = self.threads.to_string();
        let arguments = [
            "image-worker",
            "--threads",
            &threads,
            "--engine",
            &self.engine,
            "--precision",
            &self.precision,
        ];
        pictures::Settings {
            program: self.program.clone(),
            arguments: arguments.map(str::to_owned).to_vec(),
            threads: self.threads,
            queue: self.queue,
            start_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

/// Serves until SIGINT or SIGTERM.
pub fn run(settings: &Settings) -> Result<Exit, Failure> {
    check(settings)?;
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("no threads can be made: {error}")))?;
    runtime.block_on(serve(settings))
}

/// Refuses what would let in more than the user has said.
fn check(settings: &Settings) -> Result<(), Failure> {
    let open = settings.addresses.iter().find(|address| !address.ip().is_loopback());
    match open.filter(|_| !settings.insecure && !settings.tokens.are_there()) {
        None => Ok(()),
        Some(address) => Err(Failure::new(
            Exit::Config,
            format!("{address} can be reached from other machines, and nobody is asked who they are"),
        )
        .hint("give --token-file, listen on 127.0.0.1 behind a proxy that asks, or add --insecure where the network is yours alone")),
    }
}

/// As many files as the system lets us open: each connection is one.
fn raise_open_files() {
    // SAFETY: plain system calls on a structure of our own.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

async fn serve(settings: &Settings) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Internal, format!("signals cannot be waited for: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let listeners = listener::bind(&settings.addresses).await.map_err(|(address, error)| {
        Failure::new(Exit::CannotWrite, format!("{address} cannot be listened on: {error}"))
            .hint("another server may have it; give another with --listen")
    })?;
    let (pool, keeper) = Pool::start(settings.pictures.pool());
    let (stop, stopped) = watch::channel(false);
    let instances = Instances::new(settings.instances.clone());
    let router = router(pool, &instances, settings);
    let mut servers = Vec::new();
    for listener in listeners {
        if let Ok(address) = listener.local_addr() {
            output::note(format_args!("listening on http://{address}"));
        }
        let (router, stopped) = (router.clone(), stopped.clone());
        servers.push(tokio::spawn(listener::serve(
            listener,
            router,
            settings.connections,
            stopped,
        )));
    }
    // The pool ends with its last user.
    drop(router);
    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    output::note(format_args!("{name}: ending"));
    instances.end(INSTANCES_TIMEOUT).await;
    // Nobody listens where all servers have failed.
    let _ = stop.send(true);
    for server in servers {
        let _ = server.await;
    }
    let bound = settings.pictures.pool().stop_timeout + Duration::from_secs(5);
    if tokio::time::timeout(bound, keeper).await.is_err() {
        output::note("the picture worker does not end; it is left to itself");
    }
    Ok(Exit::Ok)
}

fn router(pool: Pool, instances: &Instances, settings: &Settings) -> Router {
    let tokens = &settings.tokens;
    let (commands, downloads) = recording::routers(instances.clone(), settings.recording.clone());
    let guarded = |router: Router, scope: Scope| {
        let state = (tokens.clone(), scope);
        router.route_layer(axum::middleware::from_fn_with_state(state, auth::check))
    };
    let own_site = |router: Router| {
        let state = tokens.are_there();
        router.route_layer(axum::middleware::from_fn_with_state(state, site::check))
    };
    Router::new()
        .merge(health::router(pool.clone()))
        .merge(guarded(
            health::metrics_router(pool.clone(), instances.clone()),
            Scope::Metrics,
        ))
        .merge(image_analysis::health())
        .merge(own_site(guarded(api::read_router(instances.clone()), Scope::Read)))
        .merge(own_site(guarded(
            api::control_router(instances.clone()),
            Scope::Control,
        )))
        .merge(own_site(guarded(commands, Scope::Control)))
        .merge(own_site(guarded(downloads, Scope::Read)))
        .merge(guarded(image_analysis::router(pool), Scope::Read))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "wrong_method",
                "this path takes another method",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str, insecure: bool) -> Result<(), Failure> {
        check(&Settings {
            addresses: vec!["127.0.0.1:1".parse().unwrap(), address.parse().unwrap()],
            tokens: Tokens::default(),
            insecure,
            connections: 1,
            pictures: PictureSettings {
                program: PathBuf::new(),
                threads: 1,
                queue: 1,
                engine: String::new(),
                precision: String::new(),
            },
            instances: instances::Settings {
                program: PathBuf::new(),
                runs: PathBuf::new(),
                files: Vec::new(),
                most: 1,
            },
            recording: recording::Settings {
                pipeline: String::new(),
                values: Vec::new(),
            },
        })
    }

    #[test]
    fn other_machines_are_let_in_only_where_the_user_says_so() {
        for address in ["127.0.0.1:80", "[::1]:80", "127.9.9.9:80"] {
            assert_eq!(at(address, false), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "[::ffff:10.0.0.1]:80"] {
            let failure = at(address, false).unwrap_err();
            assert_eq!(failure.exit, Exit::Config);
            assert!(failure.message.contains(address), "{failure:?}");
            assert_eq!(at(address, true), Ok(()), "{address}");
        }
    }
}
