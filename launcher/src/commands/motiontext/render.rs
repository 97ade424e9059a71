//! `nunchi motiontext render`: a scenario over a video, run like every pipeline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{failure, open, spares};
use crate::cli::{Format, MotionTextRenderArgs, RunArgs};
use crate::commands::run;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spec::read::io_reason;

/// The description that ships; in the program, so that it is found wherever that is.
const DESCRIPTION: &str = include_str!("../../../../pipelines/motiontext-file.yaml");
const RESULT: &str = "mp4/captioned.mp4";

pub fn run(args: MotionTextRenderArgs) -> Exit {
    match render(args) {
        Ok(exit) => exit,
        Err(faults) => run::tell(&faults),
    }
}

fn render(args: MotionTextRenderArgs) -> Result<Exit, Vec<Failure>> {
    spares(&args.out, &[&args.file, &args.video]).map_err(|failure| vec![failure])?;
    // What is wrong with it is better told before a pipeline is started.
    open(&args.file, &args.options).map_err(|error| vec![failure(&error)])?;
    let folder = Folder::beside(&args.out).map_err(|failure| vec![failure])?;
    let description = folder.path.join("motiontext-file.yaml");
    fs::write(&description, DESCRIPTION).map_err(|e| vec![cannot_write(&description, &e)])?;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let name =
        |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_owned());
    let mut params = vec![
        ("input".to_owned(), path(&args.video)),
        ("scenario".to_owned(), path(&args.file)),
        ("profile".to_owned(), name(args.options.profile.to_possible_value())),
        (
            "offset_mode".to_owned(),
            name(args.options.offset_mode.to_possible_value()),
        ),
        ("time_offset".to_owned(), format!("{}ms", args.time_offset.as_millis())),
        ("bitrate".to_owned(), args.bitrate.to_string()),
    ];
    params.extend(
        args.options
            .fonts_dir
            .as_deref()
            .map(|dir| ("fonts_dir".to_owned(), path(dir))),
    );
    let (exit, summary) = run::account(&RunArgs {
        pipeline: path(&description),
        params,
        set: Vec::new(),
        run_dir: Some(folder.path.clone()),
        timeout: args.timeout,
        quiet: args.quiet,
        format: Format::Text,
    })?;
    let made = folder.path.join(RESULT);
    let has_result = summary
        .outputs
        .iter()
        .any(|output| output.bytes.is_some_and(|bytes| bytes > 0));
    if !has_result || summary.frames == 0 {
        return Ok(exit);
    }
    // What was rendered until somebody ended it, or the time was over, plays, too.
    if !matches!(exit, Exit::Ok | Exit::Timeout) {
        folder.keep();
        output::note(format_args!(
            "what was rendered so far and the logs are in {}",
            folder.path.display()
        ));
        return Ok(exit);
    }
    fs::rename(&made, &args.out).map_err(|e| {
        folder.keep();
        vec![cannot_write(&args.out, &e).hint(format!("the result is {}", made.display()))]
    })?;
    output::print(&format!(
        "{}: {}, {} frames ({:.1} per second)\n",
        args.out.display(),
        summary.result,
        summary.frames,
        summary.fps
    ));
    Ok(exit)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::CannotWrite,
        format!("cannot write {}: {}", path.display(), io_reason(error)),
    )
}

/// The folder of the run, beside the result so that a rename publishes it; gone at the end.
struct Folder {
    path: PathBuf,
    keep: std::cell::Cell<bool>,
}

impl Folder {
    fn beside(out: &Path) -> Result<Self, Failure> {
        let name = out
            .file_name()
            .ok_or_else(|| Failure::new(Exit::Usage, format!("{} names no file to write", out.display())))?;
        if out.is_dir() {
            return Err(Failure::new(
                Exit::CannotWrite,
                format!("{} is a folder; give the file to write", out.display()),
            ));
        }
        let mut own = name.to_owned();
        own.push(format!(".run-{}", std::process::id()));
        let path = out.with_file_name(own);
        fs::create_dir(&path).map_err(|e| cannot_write(out, &e))?;
        Ok(Self {
            path,
            keep: false.into(),
        })
    }

    fn keep(&self) {
        self.keep.set(true);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep.get() {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
