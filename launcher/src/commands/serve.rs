//! `nunchi serve`, and the child that reads its pictures.

use nunchi_inference::engine::{EngineKind, EngineOptions, Precision};

use super::own_program;
use crate::cli::{NetworkArgs, ServeArgs};
use crate::exit::{Exit, Failure};
use crate::serve::auth::Tokens;
use crate::serve::{self, PictureSettings, Settings};
use crate::spec::read::io_reason;
use crate::surfaces::recording;
use crate::{instances, output, pictures};

pub fn run(args: &ServeArgs) -> Exit {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let result = own_program().and_then(|program| {
        let cwd = std::env::current_dir().map_err(|error| {
            Failure::new(
                Exit::NoInput,
                format!("the current folder is gone: {}", io_reason(&error)),
            )
        })?;
        let tokens = args.token_file.as_deref().map(Tokens::read).transpose()?;
        serve::run(&Settings {
            tokens: tokens.unwrap_or_default(),
            addresses: args.listen.clone(),
            insecure: args.insecure,
            connections: args.connections as usize,
            instances: instances::Settings {
                program: program.clone(),
                runs: cwd.join(&args.runs),
                files: args.files.iter().map(|folder| cwd.join(folder)).collect(),
                most: args.instances as usize,
            },
            recording: recording::Settings {
                pipeline: args.recording.clone(),
                values: args.recording_set.clone(),
            },
            pictures: PictureSettings {
                program,
                threads: match args.picture_threads {
                    0 => cores,
                    threads => threads as usize,
                },
                queue: args.picture_queue as usize,
                engine: args.networks.engine.clone(),
                precision: args.networks.precision.clone(),
            },
        })
    });
    result.unwrap_or_else(|failure| {
        output::error(&failure);
        failure.exit
    })
}

/// Body of the hidden sub-command.
pub fn image_worker(fd: i32, threads: usize, networks: &NetworkArgs) -> Exit {
    let options = EngineOptions {
        // clap has let in these only.
        kind: networks.engine.parse().unwrap_or(EngineKind::Auto),
        precision: match networks.precision.as_str() {
            "f32" => Precision::F32,
            "bf16" => Precision::Bf16,
            _ => Precision::Auto,
        },
        threads: 1,
        ..EngineOptions::default()
    };
    pictures::worker::main(fd, threads, &options)
}
