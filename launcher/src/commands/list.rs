//! `nunchi list`: the pipelines there are.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::Format;
use crate::exit::Exit;
use crate::output;
use crate::spec::read::{Issue, Loaded};
use crate::spec::{Description, Param, find, read};

pub fn run(format: Format) -> Exit {
    let found: Vec<_> = find::all(&find::folders())
        .into_iter()
        .map(|(name, path)| (name, path.clone(), read::load(&path)))
        .collect();
    match format {
        Format::Json => {
            let items: Vec<_> = found
                .iter()
                .map(|(name, path, loaded)| item(name, path, loaded))
                .collect();
            output::print(&format!("{:#}\n", json!(items)));
        }
        Format::Text if found.is_empty() => {
            output::print("no pipelines found; searched pipelines/ here, beside the program, and $NUNCHI_PIPELINES\n");
        }
        Format::Text => {
            for (name, path, loaded) in &found {
                match loaded {
                    Ok(l) => output::print(&entry(name, &l.description)),
                    Err(_) => output::print(&format!(
                        "{name}\n  broken; see: nunchi validate {}\n\n",
                        path.display()
                    )),
                }
            }
            output::print("Run one with: nunchi run NAME [KEY=VALUE …]\n");
        }
    }
    Exit::Ok
}

/// All of them, for clients, who need not know where the files are.
pub fn items() -> Vec<serde_json::Value> {
    let item = |(name, path): (String, PathBuf)| {
        let mut item = item(&name, &path, &read::load(&path));
        if let Some(item) = item.as_object_mut() {
            item.remove("path");
        }
        item
    };
    find::all(&find::folders()).into_iter().map(item).collect()
}

fn item(name: &str, path: &Path, loaded: &Result<Loaded, Issue>) -> serde_json::Value {
    match loaded {
        Ok(l) => json!({
            "name": name,
            "path": path,
            "description": l.description.description.trim(),
            "params": params_json(&l.description),
        }),
        Err(issue) => json!({"name": name, "path": path, "error": issue.to_string()}),
    }
}

fn entry(name: &str, d: &Description) -> String {
    let mut out = format!("{name}\n");
    let about = d.description.split_whitespace().collect::<Vec<_>>().join(" ");
    if !about.is_empty() {
        out += &format!("  {about}\n");
    }
    let rows: Vec<(String, &str)> = d
        .params
        .iter()
        .map(|(n, p)| (signature(n, &p.value), p.value.description.trim()))
        .collect();
    let width = rows.iter().map(|(s, _)| s.chars().count()).max().unwrap_or(0);
    for (signature, about) in rows {
        out += format!("    {signature:<width$}  {about}").trim_end();
        out.push('\n');
    }
    out.push('\n');
    out
}

/// `engine=auto (auto|openvino|embedded)`, `input=PATH (required)`
fn signature(name: &str, p: &Param) -> String {
    let kind = format!("{:?}", p.kind).to_uppercase();
    let mut out = match &p.default {
        Some(default) => format!("{name}={default}"),
        None => format!("{name}={kind} (required)"),
    };
    match (&p.choices, &p.minimum, &p.maximum) {
        (Some(choices), ..) => {
            let all: Vec<_> = choices.iter().map(ToString::to_string).collect();
            out += &format!(" ({})", all.join("|"));
        }
        (None, Some(low), Some(high)) => out += &format!(" ({low} to {high})"),
        _ => {}
    }
    out
}

fn params_json(d: &Description) -> serde_json::Value {
    let one = |(name, p): (&String, &serde_saphyr::Spanned<Param>)| {
        let p = &p.value;
        json!({
            "name": name, "type": p.kind, "description": p.description, "default": p.default, "enum": p.choices,
            "minimum": p.minimum, "maximum": p.maximum, "mutable": p.mutable,
        })
    };
    d.params.iter().map(one).collect()
}
