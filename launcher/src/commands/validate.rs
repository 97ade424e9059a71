//! `nunchi validate`: every fault of a description, the pipelines' own included, without running anything.

use std::time::Duration;

use super::{own_program, runtime};
use crate::cli::ValidateArgs;
use crate::exit::{Exit, Failure};
use crate::instance::jobs;
use crate::ipc::{Decoder, FromRunner, Job, ToRunner};
use crate::output;
use crate::spec::params::{Values, resolve};
use crate::spec::read::{self, Issue, Loaded, place};
use crate::spec::template::UNKNOWN;
use crate::spec::{Param, ParamType, check, find, pieces};
use crate::supervisor::{Child, Closed, Ended, Incoming, RUNNER};

/// Scanning all plugins for the first time takes a while.
const CHECK_BOUND: Duration = Duration::from_secs(120);

pub fn run(args: &ValidateArgs) -> Exit {
    let mut first = Exit::Ok;
    for target in &args.files {
        let faults = faults(target, &args.set);
        match &faults {
            Ok(text) => output::print(&format!("{text}\n")),
            Err(faults) => {
                for fault in faults {
                    output::error(fault);
                    if first == Exit::Ok {
                        first = fault.exit;
                    }
                }
            }
        }
    }
    first
}

/// A line about a sound description, or all that is wrong.
fn faults(target: &str, set: &[(String, String)]) -> Result<String, Vec<Failure>> {
    let path = find::find(target, &find::folders()).map_err(|f| vec![f])?;
    let loaded = read::load(&path).map_err(|issue| vec![issue.into_failure()])?;
    let mut faults: Vec<Failure> = check::check(&loaded).into_iter().map(Issue::into_failure).collect();
    let mut given = stand_ins(&loaded, set);
    given.extend_from_slice(set);
    let cwd = std::env::current_dir().unwrap_or_default();
    let unknown = |name: &String| given.iter().all(|(key, _)| key != name);
    // A wrong default has been told with its place already.
    if faults.is_empty() {
        let mut checked = loaded.clone();
        checked
            .description
            .params
            .retain(|name, p| p.value.default.is_some() || !unknown(name));
        match resolve(&checked, &cwd, &given) {
            Ok(mut values) => {
                let left = loaded
                    .description
                    .params
                    .keys()
                    .filter(|name| !checked.description.params.contains_key(*name));
                values.extend(left.map(|name| (name.clone(), UNKNOWN.to_owned())));
                faults.extend(pipeline_faults(&loaded, &values, set));
            }
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let d = &loaded.description;
    let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    Ok(format!(
        "{}: ok ({}, {})",
        path.display(),
        count(d.processes.len(), "process", "processes"),
        count(d.params.len(), "parameter", "parameters")
    ))
}

/// A plausible value for the required parameters that were not given. Of a text nothing is known: what it is bound to may take
/// only certain words.
fn stand_ins(loaded: &Loaded, set: &[(String, String)]) -> Vec<(String, String)> {
    let plausible = |p: &Param| match (&p.choices, p.minimum.as_ref().or(p.maximum.as_ref()), p.kind) {
        (Some(choices), ..) => choices.first().map(ToString::to_string),
        _ if p.pattern.is_some() => None,
        (_, Some(bound), _) => Some(bound.to_string()),
        (.., ParamType::Integer | ParamType::Number) => Some("0".into()),
        (.., ParamType::Boolean) => Some("true".into()),
        (.., ParamType::Duration) => Some("1s".into()),
        (.., ParamType::Path) => Some("/dev/null".into()),
        (.., ParamType::String) => None,
    };
    let params = &loaded.description.params;
    let required = params
        .iter()
        .filter(|(name, p)| p.value.default.is_none() && set.iter().all(|(key, _)| key != *name));
    required
        .filter_map(|(name, p)| Some((name.clone(), plausible(&p.value)?)))
        .collect()
}

/// Asks a runner child about each process, and again for every piece that the values do not choose: parsing may load, and crash
/// in, any plugin.
fn pipeline_faults(loaded: &Loaded, values: &Values, set: &[(String, String)]) -> Vec<Failure> {
    let ask = || -> Result<Vec<Failure>, Failure> {
        let runtime = runtime()?;
        let program = own_program()?;
        let mut faults: Vec<(String, Failure)> = Vec::new();
        for (job, with) in variants(loaded, values, set)? {
            let at = loaded
                .description
                .processes
                .get(&job.process)
                .map(|p| p.value.launch.referenced);
            for f in runtime.block_on(ask_runner(&program, job))? {
                // What all variants share is told once.
                if faults.iter().any(|(told, _)| *told == f.message) {
                    continue;
                }
                let message = format!("{}{with}", f.message);
                let issue = Issue {
                    exit: f.exit,
                    ..Issue::new(&loaded.path, at.and_then(place), message)
                };
                faults.push((f.message, issue.hint(f.hint).into_failure()));
            }
        }
        Ok(faults.into_iter().map(|(_, fault)| fault).collect())
    };
    ask().unwrap_or_else(|failure| vec![failure])
}

/// What there is to check, with words on what was chosen: the processes with these values, then those that another choice of one
/// parameter changes, unless the user made that choice.
fn variants(loaded: &Loaded, values: &Values, set: &[(String, String)]) -> Result<Vec<(Job, String)>, Failure> {
    let folder = std::path::Path::new("/tmp");
    let first = jobs(loaded, values, folder)?;
    let mut variants: Vec<_> = first.iter().map(|job| (job.clone(), String::new())).collect();
    let others = pieces::other_choices(&loaded.description, values);
    for (param, choice) in others.into_iter().filter(|(p, _)| set.iter().all(|(key, _)| key != p)) {
        let mut values = values.clone();
        values.insert(param.into(), choice.into());
        let jobs = jobs(loaded, &values, folder)?;
        let changed = jobs
            .into_iter()
            .zip(&first)
            .filter(|(job, first)| job.launch != first.launch);
        variants.extend(changed.map(|(job, _)| (job, format!(" (with {param}={choice})"))));
    }
    Ok(variants)
}

async fn ask_runner(program: &std::path::Path, job: Job) -> Result<Vec<Failure>, Failure> {
    let internal = |what: String| {
        Failure::new(
            Exit::Internal,
            format!("cannot check process `{}`: {what}", job.process),
        )
    };
    let mut child = Child::spawn(program, RUNNER).map_err(|e| internal(e.to_string()))?;
    if let Err(e) = child.send(&ToRunner::Check(job.clone())).await
        && let Some(failure) = Child::unsent(&job.process, &e)
    {
        return Err(failure);
    }
    let (mut messages, mut words) = (vec![0; 64 * 1024], vec![0; 16 * 1024]);
    let (mut decoder, mut closed, mut faults) = (Decoder::default(), Closed::default(), Vec::new());
    let deadline = tokio::time::Instant::now() + CHECK_BOUND;
    loop {
        let incoming = tokio::time::timeout_at(deadline, child.next(&mut messages, &mut words, &mut closed)).await;
        match incoming {
            Ok(Incoming::Messages(n)) => decoder.push(&messages[..n]),
            Ok(Incoming::Exit) => {
                let ended = child.reap().map_err(|e| internal(e.to_string()))?;
                return Err(match ended {
                    Ended::Signal(signal) => internal(format!("a plugin crashed (signal {signal})")),
                    other => internal(format!("the checker ended early ({other:?})")),
                });
            }
            Ok(_) => {}
            Err(_) => {
                return Err(Failure {
                    exit: Exit::Timeout,
                    ..internal("a plugin hangs".into())
                });
            }
        }
        while let Some(message) = decoder.take::<FromRunner>().map_err(|e| internal(e.to_string()))? {
            match message {
                FromRunner::Error(error) => faults.push(error.failure),
                FromRunner::Finished { .. } => return Ok(faults),
                _ => {}
            }
        }
    }
}
