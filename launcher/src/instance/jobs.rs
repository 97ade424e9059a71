//! From a description with values to what runners are told.

use std::collections::BTreeMap;
use std::path::Path;

use serde_saphyr::Spanned;

use crate::exit::Failure;
use crate::ipc::{Binding, Job};
use crate::spec::params::Values;
use crate::spec::read::{Issue, Loaded, place};
use crate::spec::{Process, pieces, rtsp};

/// The job of every process of a description, in order.
pub fn jobs(loaded: &Loaded, values: &Values, run_dir: &Path) -> Result<Vec<Job>, Failure> {
    let d = &loaded.description;
    let binds = |process: &str| {
        let bound = d
            .params
            .iter()
            .filter_map(|(name, p)| Some((name, p.value.bind.as_ref()?)));
        bound
            .filter(|(_, bind)| bind.process == process)
            .filter_map(|(name, bind)| {
                let value = values.get(name)?;
                let value = bind.values.as_ref().and_then(|v| v.get(value)).unwrap_or(value);
                let (param, element, property) = (name.clone(), bind.element.clone(), bind.property.clone());
                Some(Binding {
                    param,
                    element,
                    property,
                    value: value.clone(),
                })
            })
            .collect()
    };
    let mut served = BTreeMap::new();
    for (name, process) in &d.processes {
        if let Some(rtsp) = &process.value.rtsp {
            served.insert(name.as_str(), rtsp::fill(&rtsp.value, name, values)?);
        }
    }
    let urls = || served.iter().map(|(name, rtsp)| (format!("{name}.url"), rtsp.url()));
    let job = |(name, process): (&String, &Spanned<Process>)| {
        let launch = &process.value.launch;
        let launch = pieces::fill(d, &launch.value, values).map_err(|why| {
            let message = format!("the launch line of `{name}` {why}");
            Issue::new(&loaded.path, place(launch.referenced), message).into_failure()
        })?;
        Ok(Job {
            process: name.clone(),
            launch,
            values: values
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .chain(urls())
                .collect(),
            binds: binds(name),
            run_dir: run_dir.into(),
            attempt: 1,
            rtsp: served.get(name.as_str()).cloned(),
        })
    };
    d.processes.iter().map(job).collect()
}
