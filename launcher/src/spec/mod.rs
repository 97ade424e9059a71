//! Pipeline descriptions: the YAML format, its strict reader, parameters and the search for a description by name.

pub mod check;
pub mod find;
pub mod params;
pub mod pieces;
pub mod read;
pub mod rtsp;
pub mod template;
pub mod units;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

pub use units::Span;

/// A pipeline description: what to run, with which parameters, and how to supervise it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Version of this format. Always 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub version: Spanned<u32>,
    /// Short name: letters, digits, `-` and `_`. Names the run folder.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"))]
    pub name: Spanned<String>,
    /// One or two sentences for a person.
    #[serde(default)]
    pub description: String,
    /// Values the user may set: `nunchi run NAME key=value`.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Param>")]
    pub params: IndexMap<String, Spanned<Param>>,
    /// Parts of launch lines that a parameter chooses among. `${name}` stands for one, alone between blanks.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Piece>")]
    pub pieces: IndexMap<String, Spanned<Piece>>,
    /// The processes. Each is a GStreamer pipeline in an operating-system process of its own.
    #[schemars(with = "IndexMap<String, Process>", extend("minProperties" = 1))]
    pub processes: IndexMap<String, Spanned<Process>>,
    /// When a process that ended is started again. Without this key: never.
    #[serde(default)]
    pub restart: Restart,
    /// How long a process may be silent before it counts as hung.
    #[serde(default)]
    pub health: Health,
    /// The steps of ending a process.
    #[serde(default)]
    pub stop: Stop,
    /// Done in order after the last process has ended, also after a failure.
    #[serde(default)]
    #[schemars(with = "Vec<Action>")]
    pub on_stop: Vec<Spanned<Action>>,
    /// Files that a run leaves, by name; paths below the run folder. One that ends with `/` is a folder of files, which is made. The summary lists
    /// them.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, String>")]
    pub outputs: IndexMap<String, Spanned<String>>,
    /// What the processes occupy while they run.
    #[serde(default)]
    pub resources: Resources,
}

/// A value that may be set from outside. It either stands in a launch line as `property=${name}`, or is bound to an element's property.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// The kind of value.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// One sentence for a person.
    #[serde(default)]
    pub description: String,
    /// Value when none is given. A parameter without one must be given. A relative path is resolved against the folder of the description; an
    /// empty one stands for no file.
    #[serde(default)]
    pub default: Option<Scalar>,
    /// The only values allowed.
    #[serde(default, rename = "enum")]
    pub choices: Option<Vec<Scalar>>,
    /// Least value (integer, number, duration).
    #[serde(default)]
    pub minimum: Option<Scalar>,
    /// Greatest value (integer, number, duration).
    #[serde(default)]
    pub maximum: Option<Scalar>,
    /// Regular expression that the whole text must match (string, path).
    #[serde(default)]
    pub pattern: Option<String>,
    /// The element property that takes the value.
    #[serde(default)]
    pub bind: Option<Bind>,
    /// Whether the value may change while the pipeline runs. Needs `bind`.
    #[serde(default)]
    pub mutable: bool,
}

/// The kind of a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// true or false.
    Boolean,
    /// A file or folder. On the command line relative to the current folder.
    Path,
    /// A time with its unit, such as 2s; reaches the element in nanoseconds.
    Duration,
}

/// A plain YAML value.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    Boolean(bool),
    Integer(i64),
    Number(f64),
    String(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Number(v) => write!(f, "{v}"),
            Self::String(v) => f.write_str(v),
        }
    }
}

/// The property that a parameter sets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Name of the process.
    pub process: String,
    /// `name=` of the element in that process's launch line.
    pub element: String,
    /// Property of the element.
    pub property: String,
    /// For a parameter with `enum`: what the property takes for each choice. Without it, the choice itself.
    #[serde(default)]
    pub values: Option<IndexMap<String, String>>,
}

/// A part of a launch line, in one wording for each choice of a parameter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The parameter that chooses; of the type `string` with `enum`.
    pub param: String,
    /// For each choice of `enum` the text, in gst-launch syntax; it may be empty. What may stand in `launch` may stand here: values,
    /// and of the pieces those that are declared above.
    #[schemars(with = "IndexMap<String, String>")]
    pub values: IndexMap<String, Spanned<String>>,
}

/// One operating-system process with one pipeline.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The pipeline in gst-launch syntax. `${param}`, `${run_dir}`, `${env:NAME}`, `${file:/path}` and `${process.url}` may stand as a
    /// property's value, `${piece}` alone.
    #[schemars(with = "String")]
    pub launch: Spanned<String>,
    /// Processes that must deliver data before this one starts.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub after: Vec<Spanned<String>>,
    /// Serves what reaches the `appsink`s of the launch line over RTSP, to any number of readers: encoded once, each appsink a stream, in the
    /// order of their names. Other processes read it at `${process.url}`.
    #[serde(default)]
    #[schemars(with = "Option<Rtsp>")]
    pub rtsp: Option<Spanned<Rtsp>>,
}

/// An RTSP server in a process.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rtsp {
    /// TCP port, or `${param}`. 0 takes a free one.
    pub port: Scalar,
    /// Address to listen on, or `${param}`. Whoever reaches it can read the stream.
    pub address: String,
    /// Path of the URL.
    pub path: String,
    /// A source that is not live begins when so many readers play, or after 10 s, so that none misses its beginning.
    pub readers: u32,
}

impl Default for Rtsp {
    fn default() -> Self {
        Self {
            port: Scalar::Integer(8554),
            address: "127.0.0.1".into(),
            path: "/stream".into(),
            readers: 0,
        }
    }
}

/// When a process that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// `never`, `on-failure` (a crash, a hang or a failed run; not a wrong parameter or a missing file), or `always` (also after success).
    pub policy: RestartPolicy,
    /// Restarts allowed within `window`.
    pub max_restarts: u32,
    /// Longest wait before the first restart; doubles with each further one. The wait itself is drawn evenly between 0 and this bound.
    pub delay: Span,
    /// The bound grows no further than this.
    pub max_delay: Span,
    /// Restarts older than this are forgotten.
    pub window: Span,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Never,
            max_restarts: 5,
            delay: Span::seconds(1),
            max_delay: Span::seconds(30),
            window: Span::seconds(300),
        }
    }
}

/// See [`Restart::policy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    Never,
    OnFailure,
    Always,
}

/// How long a process may be silent. `0s` switches a check off.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// From the start of the process to the first buffer in a sink.
    pub start_timeout: Span,
    /// Without a buffer in any one of the sinks.
    pub stall_timeout: Span,
    /// Without a word from the process.
    pub heartbeat_timeout: Span,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            start_timeout: Span::seconds(30),
            stall_timeout: Span::seconds(30),
            heartbeat_timeout: Span::seconds(15),
        }
    }
}

/// The steps of ending a process, each with its bound: end-of-stream, SIGINT, SIGTERM, then SIGKILL to the process group.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// For the end-of-stream to reach every sink.
    pub eos_timeout: Span,
    /// After SIGINT.
    pub int_timeout: Span,
    /// After SIGTERM.
    pub term_timeout: Span,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            eos_timeout: Span::seconds(10),
            int_timeout: Span::seconds(5),
            term_timeout: Span::seconds(5),
        }
    }
}

/// Something done after the last process has ended.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Joins session logs into one, in order of time.
    MergeXml(MergeXml),
}

/// Paths of a `merge-xml` action, below the run folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeXml {
    /// The logs to join. One that is missing is noted and left out.
    pub inputs: Vec<String>,
    /// The joined log.
    pub output: String,
    /// An MP4 that the logs belong to: their `elapsed_seconds` count from its beginning then.
    #[serde(default)]
    pub video: Option<String>,
    /// A session log whose `start_time` is the time of the first picture in `video`; frames are placed by their `timestamp`. Without it each log's
    /// own zero is the first picture.
    #[serde(default)]
    pub frames: Option<String>,
}

/// What the processes occupy while they run.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Units of scarce devices, by name, such as `hailo: 1`. For schedulers; `nunchi run` starts at once.
    pub slots: IndexMap<String, u32>,
}

/// The JSON Schema of a description, as committed in `docs/schema/pipeline.schema.json`.
pub fn json_schema() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Description)).unwrap_or_default();
    text.push('\n');
    text
}
