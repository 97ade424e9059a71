//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::exit::Exit;
use crate::spec::params::parse_assignment;
use crate::spec::units::parse_duration;
use crate::{output, runner};

#[derive(Debug, Parser)]
#[command(
    name = "nunchi",
    version,
    about = "Runs video-analysis pipelines from declarative descriptions"
)]
#[command(after_help = "\
Exit codes:
    0  ok, also when ended by Ctrl-C             1  ran and failed
    2  wrong command line                       65  bad description or parameter
   66  input missing                            69  element, library or media support missing
   70  internal fault                           73  cannot write
   75  device busy                              77  not permitted
   78  environment or secret missing           124  time limit or hang
  130  ended by force")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline until its input ends, or until Ctrl-C
    Run(RunArgs),
    /// Check descriptions without running them; lists every fault
    Validate(ValidateArgs),
    /// Show the pipelines there are, with their parameters
    List(FormatArg),
    /// Tell what this machine offers and what to install
    Doctor(DoctorArgs),
    /// Print the JSON Schema of pipeline descriptions
    Schema,
    #[command(hide = true)]
    Runner(RunnerArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of a pipeline (see `nunchi list`) or path of its description
    pub pipeline: String,
    /// Parameters
    #[arg(value_name = "KEY=VALUE", value_parser = parse_assignment)]
    pub params: Vec<(String, String)>,
    /// A parameter; the same as KEY=VALUE after the name
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
    /// Folder for everything the run writes [default: ./run/NAME-TIME]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// End the run after this time, with playable files and exit code 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// Form of the summary on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Descriptions, by path or name
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// A parameter to check with; without it the default is taken
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct FormatArg {
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    /// Tell instead what these files, compiled for a Hailo, hold
    #[arg(long, value_name = "FILE", num_args = 1..)]
    hef: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatArg,
}

#[derive(Debug, Args)]
struct RunnerArgs {
    /// Inherited socket to the supervisor
    #[arg(long, conflicts_with_all = ["inspect", "hef"], required_unless_present_any = ["inspect", "hef"])]
    fd: Option<i32>,
    /// Print what GStreamer offers, as JSON
    #[arg(long)]
    inspect: bool,
    /// Print what this file holds, as JSON
    #[arg(long, conflicts_with = "inspect")]
    hef: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Body of the `nunchi` program.
pub fn main() -> ExitCode {
    // A file at its size limit shall be an error of that file, here and in the runners, which inherit this.
    // SAFETY: plain system call before any thread is made.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let exit = match Cli::parse().command {
        Command::Run(args) => commands::run::run(args),
        Command::Validate(args) => commands::validate::run(&args),
        Command::List(args) => commands::list::run(args.format),
        Command::Doctor(DoctorArgs { hef, format }) if hef.is_empty() => commands::doctor::run(format.format),
        Command::Doctor(DoctorArgs { hef, format }) => commands::hef::run(&hef, format.format),
        Command::Schema => {
            output::print(&crate::spec::json_schema());
            Exit::Ok
        }
        Command::Runner(RunnerArgs { fd: Some(fd), .. }) => runner::main(fd),
        Command::Runner(RunnerArgs { hef: Some(file), .. }) => runner::read_hef(&file),
        Command::Runner(_) => runner::inspect(),
    };
    ExitCode::from(exit.code())
}
