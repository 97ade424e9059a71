//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::commands::motiontext::frame::{Background, MomentArg};
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
    /// Check MotionText scenarios, draw them, lay them over a video
    #[command(subcommand)]
    Motiontext(MotionText),
    /// Measure an object detector on annotated pictures, as COCO does
    Evaluate(EvaluateArgs),
    /// Serve clients over HTTP until Ctrl-C
    Serve(ServeArgs),
    /// Print the JSON Schema of pipeline descriptions
    Schema,
    #[command(hide = true)]
    ImageWorker(ImageWorkerArgs),
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
pub struct EvaluateArgs {
    /// Annotations: COCO's JSON of object instances
    #[arg(long, value_name = "FILE")]
    pub coco: PathBuf,
    /// Folder of the pictures that the annotations name (JPEG, PNG, WebP)
    #[arg(long, value_name = "DIR", required_unless_present = "results")]
    pub images: Option<PathBuf>,
    /// Measure what was found before, COCO's JSON of results; no network is run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "model", "labels", "save"])]
    pub results: Option<PathBuf>,
    /// Write what was found, as COCO's JSON of results
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// ONNX file of an SSD network [default: the embedded one]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Names of its classes, one a line; they are matched with those of the annotations
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// How its outputs are read
    #[arg(long, default_value = "auto", value_parser = ["auto", "ssd300", "torchvision", "tf", "tf-decoded", "nms"])]
    pub family: String,
    /// Inference engine
    #[arg(long, default_value = "auto", value_parser = ["auto", "openvino", "onnxruntime", "embedded"])]
    pub engine: String,
    /// CPU, CUDA:0 or TENSORRT:0 [default: the engine's]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub device: String,
    /// Threads for inference; 0 lets the engine choose
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub threads: u32,
    /// Pictures that go through the network at once, where the model leaves that open
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Objects have a higher score; what is left out cannot count for recall
    #[arg(long, default_value_t = 0.01)]
    pub score_threshold: f32,
    /// Also the average precision of each category
    #[arg(long)]
    pub per_category: bool,
    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address and port; several are listened on alike
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: Vec<SocketAddr>,
    /// Tokens that clients must send, and what each may do: lines of SCOPES TOKEN, readable by their owner only
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Also listen where other machines reach it, and ask nobody who they are
    #[arg(long)]
    pub insecure: bool,
    /// Most connections of an address at once
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    /// Folder for the runs of instances
    #[arg(long, value_name = "DIR", default_value = "run")]
    pub runs: PathBuf,
    /// Folder that clients may name files of; several are possible, relative paths start from the first
    #[arg(long, value_name = "DIR")]
    pub files: Vec<PathBuf>,
    /// Instances that run at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub instances: u32,
    /// Pipeline that /command/start_record starts
    #[arg(long, value_name = "NAME", default_value = "behaviour-recording")]
    pub recording: String,
    /// A parameter of that pipeline; several are possible
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_assignment)]
    pub recording_set: Vec<(String, String)>,
    /// Pictures that are read at once; 0: one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub picture_threads: u32,
    /// Pictures that wait for that at most; who comes then is told to come again
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub picture_queue: u32,
    #[command(flatten)]
    pub networks: NetworkArgs,
}

/// How networks are run on the processor.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// Inference engine
    #[arg(long, default_value = "auto", value_parser = ["auto", "openvino", "onnxruntime", "embedded"])]
    pub engine: String,
    /// Arithmetic: bf16 is faster on processors that have it, and finds a little less
    #[arg(long, default_value = "auto", value_parser = ["auto", "f32", "bf16"])]
    pub precision: String,
}

#[derive(Debug, Args)]
struct ImageWorkerArgs {
    /// Inherited socket to the server
    #[arg(long)]
    fd: i32,
    #[arg(long)]
    threads: usize,
    #[command(flatten)]
    networks: NetworkArgs,
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

#[derive(Debug, Subcommand)]
pub enum MotionText {
    /// Check scenarios: errors, warnings, missing fonts and pictures
    Validate(MotionTextValidateArgs),
    /// Draw a scenario at one time, or at several side by side, as a PNG
    Frame(MotionTextFrameArgs),
    /// Lay a scenario over a video: MP4 with H.264, and with its sound
    Render(MotionTextRenderArgs),
}

/// How scenarios are read.
#[derive(Debug, Args)]
pub struct MotionTextOptions {
    /// What to follow where the existing renderer and the written specification differ
    #[arg(long, value_enum, default_value_t = Profile::Preview)]
    pub profile: Profile,
    /// What the two bounds of an effect's timeOffset count from
    #[arg(long, value_enum, default_value_t = OffsetMode::Auto)]
    pub offset_mode: OffsetMode,
    /// Fonts in this folder and below are preferred to the system's
    #[arg(long, value_name = "DIR")]
    pub fonts_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct MotionTextValidateArgs {
    /// Scenarios
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub options: MotionTextOptions,
    /// A warning is an error
    #[arg(long)]
    pub strict: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct MotionTextFrameArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The picture to write
    #[arg(value_name = "OUT.png")]
    pub out: PathBuf,
    /// Time: seconds (3.2), minutes and seconds (1:02.5), or a share of the scenario's length (50%); several make a strip
    #[arg(long, value_name = "TIME", required = true, num_args = 1..)]
    pub at: Vec<MomentArg>,
    /// Size of the stage in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720", value_parser = parse_size)]
    pub size: (u32, u32),
    /// What is behind the text: none (transparent), checker, or a colour as #rrggbb
    #[arg(long, value_name = "COLOUR", default_value = "none")]
    pub background: Background,
    /// Pictures in a row of a strip [default: all of them]
    #[arg(long, value_name = "N")]
    pub columns: Option<usize>,
    /// Only the part of the stage that is drawn on at any of the times
    #[arg(long)]
    pub crop: bool,
    #[command(flatten)]
    pub options: MotionTextOptions,
}

#[derive(Debug, Args)]
pub struct MotionTextRenderArgs {
    /// The scenario
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.mp4")]
    pub out: PathBuf,
    /// The video to lay it over
    #[arg(long, value_name = "IN")]
    pub video: PathBuf,
    #[command(flatten)]
    pub options: MotionTextOptions,
    /// Show everything so much later
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub time_offset: Duration,
    /// Bit rate of the video, kbit/s
    #[arg(long, value_name = "KBIT", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(100..=50_000))]
    pub bitrate: u32,
    /// End after this time, with a playable file and exit code 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// No progress on standard error
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    Preview,
    Document,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OffsetMode {
    Auto,
    Boundary,
    Start,
}

/// Not larger than a drawing may be.
fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let most = 8192;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=most).contains(side));
    text.split_once('x')
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| format!("a size is WIDTHxHEIGHT, each from 1 to {most}"))
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
        Command::Motiontext(MotionText::Validate(args)) => commands::motiontext::validate::run(&args),
        Command::Motiontext(MotionText::Frame(args)) => commands::motiontext::frame::run(&args),
        Command::Motiontext(MotionText::Render(args)) => commands::motiontext::render::run(args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::ImageWorker(args) => commands::serve::image_worker(args.fd, args.threads, &args.networks),
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
