//! Faults in a description that its shape alone does not show. Lists all of them.

use std::collections::HashSet;
use std::path::{Component, Path};

use super::read::{Issue, Loaded, nearest, place};
use super::template::{self, Placeholder, is_name};
use super::{Action, Bind, Param, ParamType, Piece, Process, Rtsp, params, rtsp};

type At = Option<(u64, u64)>;

/// Every fault of a loaded description; empty when it is sound. Elements and properties are the runner's to check.
pub fn check(loaded: &Loaded) -> Vec<Issue> {
    let mut c = Checker {
        loaded,
        issues: Vec::new(),
    };
    c.header();
    let mut used = HashSet::new();
    for (name, process) in &loaded.description.processes {
        c.process(name, &process.value, place(process.referenced), &mut used);
    }
    for (name, piece) in loaded.description.pieces.iter().rev() {
        c.piece(name, &piece.value, place(piece.referenced), &mut used);
    }
    for (name, param) in &loaded.description.params {
        c.param(
            name,
            &param.value,
            place(param.referenced),
            used.contains(name.as_str()),
        );
    }
    c.order();
    c.files();
    c.issues
}

/// Whether a path stays below the run folder.
pub fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path)
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}

/// Whether the launcher itself writes there.
fn is_reserved(path: &str) -> bool {
    let mut parts = Path::new(path).components().filter(|c| *c != Component::CurDir);
    match (parts.next().map(|c| c.as_os_str().to_owned()), parts.next()) {
        (Some(first), None) => first == "summary.json" || first == "logs",
        (Some(first), Some(_)) => first == "logs",
        (None, _) => false,
    }
}

struct Checker<'a> {
    loaded: &'a Loaded,
    issues: Vec<Issue>,
}

impl<'a> Checker<'a> {
    fn add(&mut self, at: At, message: impl Into<String>, hint: Option<String>) {
        self.issues.push(Issue::new(&self.loaded.path, at, message).hint(hint));
    }

    fn header(&mut self) {
        let d = &self.loaded.description;
        if d.version.value != 1 {
            let message = format!("version {} is not known", d.version.value);
            self.add(
                place(d.version.referenced),
                message,
                Some("this launcher reads version 1".into()),
            );
        }
        let name = &d.name.value;
        let ok = name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !ok || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            let hint = "letters, digits, - and _, at most 64".to_owned();
            self.add(
                place(d.name.referenced),
                format!("`{name}` is not a usable name"),
                Some(hint),
            );
        }
        if d.processes.is_empty() {
            self.add(None, "there is no process under `processes`", None);
        }
        if d.restart.delay > d.restart.max_delay {
            self.add(None, "restart.delay is longer than restart.max_delay", None);
        }
    }

    fn process(&mut self, name: &str, process: &'a Process, at: At, used: &mut HashSet<&'a str>) {
        if !is_name(name) || name.len() > 64 {
            self.add(
                at,
                format!("`{name}` is not a usable name of a process"),
                Some("letters, digits, - and _".into()),
            );
        }
        let launch_at = place(process.launch.referenced);
        if process.launch.value.trim().is_empty() {
            self.add(launch_at, format!("the launch line of `{name}` is empty"), None);
        }
        if let Some(rtsp) = &process.rtsp {
            self.rtsp(name, &rtsp.value, place(rtsp.referenced), used);
        }
        let all = self.loaded.description.pieces.len();
        self.text(
            &format!("launch of `{name}`"),
            &process.launch.value,
            launch_at,
            all,
            used,
        );
    }

    /// An address, a port and a path, the first two as they are or as a parameter.
    fn rtsp(&mut self, name: &str, rtsp: &'a Rtsp, at: At, used: &mut HashSet<&'a str>) {
        let params = &self.loaded.description.params;
        let mut faults = Vec::new();
        let mut param = |text: &str| match rtsp::param(text) {
            None => false,
            Some(param) => {
                match params.get_key_value(param) {
                    Some((key, _)) => drop(used.insert(key)),
                    None => faults.push(format!("there is no parameter `{param}`")),
                }
                true
            }
        };
        let port = rtsp.port.to_string();
        let (port_given, address_given) = (param(&port), param(&rtsp.address));
        if !port_given && port.parse::<u16>().is_err() {
            faults.push(format!("`{port}` is no port, which is a number from 0 to 65535"));
        }
        if !address_given && rtsp.address.parse::<std::net::IpAddr>().is_err() {
            faults.push(format!("`{}` is no IP address", rtsp.address));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
        if rtsp.path.len() < 2 || !rtsp.path.starts_with('/') || !rtsp.path.chars().all(plain) {
            faults.push(format!(
                "`{}` is no path: a slash, then letters, digits and any of /_-.",
                rtsp.path
            ));
        }
        for fault in faults {
            self.add(at, format!("rtsp of `{name}`: {fault}"), None);
        }
    }

    /// The placeholders of a launch line or a piece, in which the first `above` pieces may stand.
    fn text(&mut self, what: &str, text: &str, at: At, above: usize, used: &mut HashSet<&'a str>) {
        let (params, pieces) = (&self.loaded.description.params, &self.loaded.description.pieces);
        let mut faults = Vec::new();
        let rest = template::splice(text, |hole| {
            match pieces.get_full(hole) {
                Some((index, name, _)) if index < above => {
                    used.insert(name);
                }
                Some(_) => {
                    let hint = "a piece may hold only those that are declared above it".to_owned();
                    faults.push((format!("the piece `{hole}` cannot stand here"), Some(hint)));
                }
                // Told below, with all else that stands where no value can.
                None if !is_name(hole) || params.contains_key(hole) || hole == "run_dir" => return None,
                None => {
                    let near =
                        nearest(hole, pieces.keys().map(String::as_str)).map(|n| format!("did you mean `${{{n}}}`?"));
                    let hint = near.or_else(|| Some("declare it under `pieces`".into()));
                    faults.push((format!("there is no piece `{hole}`"), hint));
                }
            }
            Some("")
        });
        match template::placeholders(&rest) {
            Err(wrong) => faults.extend(wrong.into_iter().map(|f| (f, None))),
            Ok(found) => {
                for placeholder in found {
                    let param = match placeholder {
                        Placeholder::Param(param) => param,
                        Placeholder::Url(process) => {
                            let processes = &self.loaded.description.processes;
                            if processes.get(&process).is_none_or(|p| p.value.rtsp.is_none()) {
                                let hint = "give it the key `rtsp`, or name one that has it".to_owned();
                                faults.push((format!("no process `{process}` serves streams"), Some(hint)));
                            }
                            continue;
                        }
                        Placeholder::RunDir | Placeholder::Env(_) | Placeholder::File(_) => continue,
                    };
                    match params.get_key_value(&param) {
                        Some((key, _)) => {
                            used.insert(key);
                        }
                        None => {
                            let known = params.keys().map(String::as_str);
                            let near =
                                nearest(&param, known.chain(["run_dir"])).map(|n| format!("did you mean `${{{n}}}`?"));
                            let piece = pieces.contains_key(&param);
                            let hint = piece.then(|| format!("the piece `{param}` stands alone, between blanks"));
                            faults.push((format!("there is no parameter `{param}`"), hint.or(near)));
                        }
                    }
                }
            }
        }
        for (message, hint) in faults {
            self.add(at, format!("{what}: {message}"), hint);
        }
    }

    fn piece(&mut self, name: &'a str, piece: &'a Piece, at: At, used: &mut HashSet<&'a str>) {
        let d = &self.loaded.description;
        let mut faults = Vec::new();
        if !is_name(name) || name == "run_dir" {
            faults.push(("is not a usable name".to_owned(), None));
        }
        if d.params.contains_key(name) {
            faults.push((
                "has the name of a parameter".to_owned(),
                Some("give it another one".to_owned()),
            ));
        }
        if !used.contains(name) {
            faults.push((
                "is never used: it stands in no launch line".into(),
                Some(format!("write ${{{name}}} there, or remove it")),
            ));
        }
        let choices = match d.params.get_key_value(&piece.param) {
            None => {
                let near = nearest(&piece.param, d.params.keys().map(String::as_str));
                let hint = near.map(|n| format!("did you mean `{n}`?"));
                faults.push((format!("is chosen by `{}`, which is no parameter", piece.param), hint));
                None
            }
            Some((key, param)) => {
                used.insert(key);
                if param.value.mutable {
                    faults.push((format!("is chosen by `{key}`, which cannot be mutable then"), None));
                }
                let choices = param
                    .value
                    .choices
                    .as_ref()
                    .filter(|_| param.value.kind == ParamType::String);
                if choices.is_none() {
                    let hint = "give that parameter `type: string` and `enum`".to_owned();
                    faults.push((
                        format!("is chosen by `{key}`, which has no choices in words"),
                        Some(hint),
                    ));
                }
                choices
            }
        };
        if let Some(choices) = choices {
            let known: Vec<String> = choices.iter().map(ToString::to_string).collect();
            for choice in known.iter().filter(|c| !piece.values.contains_key(*c)) {
                let hint = format!("add `{choice}` to its `values`; it may be empty: \"\"");
                faults.push((format!("has no text for {}={choice}", piece.param), Some(hint)));
            }
            for (choice, text) in piece.values.iter().filter(|(c, _)| !known.contains(c)) {
                let near = nearest(choice, known.iter().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
                let hint = near.unwrap_or_else(|| format!("known are {}", known.join(", ")));
                let message = format!(
                    "piece `{name}` has a text for `{choice}`, which `{}` cannot be",
                    piece.param
                );
                self.add(place(text.referenced), message, Some(hint));
            }
        }
        for (message, hint) in faults {
            self.add(at, format!("piece `{name}` {message}"), hint);
        }
        let above = d.pieces.get_index_of(name).unwrap_or(0);
        for (choice, text) in &piece.values {
            let (what, at) = (format!("piece `{name}` for `{choice}`"), place(text.referenced));
            if !template::is_closed(&text.value) {
                self.add(
                    at,
                    format!("{what}: a quote, brace or escape is left open at its end"),
                    None,
                );
            }
            self.text(&what, &text.value, at, above, used);
        }
    }

    fn param(&mut self, name: &str, param: &Param, at: At, placed: bool) {
        let mut faults = Vec::new();
        if !is_name(name) || name == "run_dir" {
            faults.push(("is not a usable name".to_owned(), None));
        }
        let numeric = matches!(param.kind, ParamType::Integer | ParamType::Number | ParamType::Duration);
        for (key, bound) in [("minimum", &param.minimum), ("maximum", &param.maximum)] {
            match bound {
                Some(_) if !numeric => faults.push((format!("has `{key}`, which its type does not take"), None)),
                Some(b) => {
                    if let Err(e) = params::bound(param.kind, b) {
                        faults.push((format!("has a wrong `{key}`: {e}"), None));
                    }
                }
                None => {}
            }
        }
        match &param.pattern {
            Some(_) if !matches!(param.kind, ParamType::String | ParamType::Path) => {
                faults.push(("has `pattern`, which its type does not take".into(), None));
            }
            Some(p) => {
                if let Err(e) = params::whole_regex(p) {
                    faults.push((e, None));
                }
            }
            None => {}
        }
        if let (Some(low), Some(high)) = (&param.minimum, &param.maximum)
            && let (Ok(low), Ok(high)) = (params::bound(param.kind, low), params::bound(param.kind, high))
            && low > high
        {
            faults.push(("has a `minimum` above its `maximum`".into(), None));
        }
        if faults.is_empty() {
            let values = param.choices.iter().flatten().map(|v| ("choice", v));
            for (what, value) in values.chain(param.default.iter().map(|v| ("default", v))) {
                if !params::is_of(param.kind, value) {
                    let hint = "write text, paths and durations in quotes, numbers and truth values without".to_owned();
                    faults.push((format!("has a wrong {what}: `{value}` is not of its type"), Some(hint)));
                } else if let Err(e) = params::convert(param, &value.to_string(), self.loaded.folder()) {
                    faults.push((format!("has a wrong {what}: it {e}"), None));
                }
            }
        }
        let others = self
            .loaded
            .description
            .params
            .iter()
            .take_while(|(other, _)| *other != name);
        let same = |b: &Bind, o: &Bind| (&b.process, &b.element, &b.property) == (&o.process, &o.element, &o.property);
        let twin = others.filter_map(|(other, o)| Some((other, o.value.bind.as_ref()?, param.bind.as_ref()?)));
        for (other, _, _) in twin.filter(|(_, o, b)| same(b, o)) {
            faults.push((format!("is bound to the same property as `{other}`"), None));
        }
        match &param.bind {
            Some(bind) if !self.loaded.description.processes.contains_key(&bind.process) => {
                let known = self.loaded.description.processes.keys().map(String::as_str);
                let hint = nearest(&bind.process, known).map(|n| format!("did you mean `{n}`?"));
                faults.push((
                    format!("is bound to the process `{}`, which does not exist", bind.process),
                    hint,
                ));
            }
            Some(Bind {
                values: Some(values), ..
            }) => {
                let choices: Vec<String> = param.choices.iter().flatten().map(ToString::to_string).collect();
                if choices.len() != values.len() || !choices.iter().all(|c| values.contains_key(c)) {
                    faults.push((
                        "needs one entry in `bind.values` for each choice of `enum`".into(),
                        None,
                    ));
                }
            }
            None if param.mutable => faults.push(("is mutable but has no `bind`".into(), None)),
            None if !placed => faults.push((
                "is never used: neither bound nor in a launch line, and it chooses no piece".into(),
                None,
            )),
            _ => {}
        }
        for (message, hint) in faults {
            self.add(at, format!("parameter `{name}` {message}"), hint);
        }
    }

    /// `after` names existing processes and has no cycle.
    fn order(&mut self) {
        let processes = &self.loaded.description.processes;
        for (name, process) in processes {
            for after in &process.value.after {
                if !processes.contains_key(&after.value) {
                    let hint = nearest(&after.value, processes.keys().map(String::as_str))
                        .map(|n| format!("did you mean `{n}`?"));
                    let message = format!("`{name}` starts after `{}`, which does not exist", after.value);
                    self.add(place(after.referenced), message, hint);
                }
            }
        }
        // Take away what waits for nothing until nothing changes; what is left waits in a circle.
        let mut left: Vec<&str> = processes.keys().map(String::as_str).collect();
        loop {
            let waits = |name: &&str| {
                processes[*name]
                    .value
                    .after
                    .iter()
                    .any(|a| left.contains(&a.value.as_str()))
            };
            let rest: Vec<&str> = left.iter().copied().filter(waits).collect();
            if rest.len() == left.len() {
                break;
            }
            left = rest;
        }
        if let Some(first) = left.first() {
            let at = place(processes[*first].referenced);
            self.add(
                at,
                format!("these processes wait for each other by `after`: {}", left.join(", ")),
                None,
            );
        }
    }

    /// Outputs and actions stay below the run folder.
    fn files(&mut self) {
        let d = &self.loaded.description;
        let mut paths: Vec<(At, &str)> = d
            .outputs
            .values()
            .map(|p| (place(p.referenced), p.value.as_str()))
            .collect();
        for action in &d.on_stop {
            let Action::MergeXml(merge) = &action.value;
            let at = place(action.referenced);
            let others = [Some(&merge.output), merge.video.as_ref(), merge.frames.as_ref()];
            let all = merge.inputs.iter().chain(others.into_iter().flatten());
            paths.extend(all.map(|p| (at, p.as_str())));
            if merge.frames.is_some() && merge.video.is_none() {
                self.add(at, "merge-xml has `frames` but no `video` that they belong to", None);
            }
            if merge.inputs.is_empty() {
                self.add(at, "merge-xml has no inputs", None);
            }
        }
        let written = d.outputs.values().map(|p| (place(p.referenced), p.value.as_str()));
        let merged = d.on_stop.iter().map(|action| {
            let Action::MergeXml(merge) = &action.value;
            (place(action.referenced), merge.output.as_str())
        });
        for (at, path) in written.chain(merged).filter(|(_, path)| is_reserved(path)) {
            let hint = "`summary.json` and `logs` are the launcher's own".to_owned();
            self.add(at, format!("`{path}` cannot be an output"), Some(hint));
        }
        for (at, path) in paths {
            if !stays_inside(path) {
                let hint = "give a relative path without `..`; it is taken below the run folder".to_owned();
                self.add(at, format!("`{path}` does not stay in the run folder"), Some(hint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read;

    fn messages(text: &str) -> Vec<String> {
        let description = read::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        check(&Loaded {
            path: "t.yaml".into(),
            description,
        })
        .iter()
        .map(ToString::to_string)
        .collect()
    }

    fn with(more: &str) -> String {
        format!("version: 1\nname: t\n{more}\n")
    }

    #[test]
    fn sound_description_has_no_issue() {
        let text = with(
            "params: {a: {type: integer, default: 3, minimum: 1, bind: {process: p, element: e, property: x}, mutable: true}}
processes: {p: {launch: fakesrc}, q: {after: [p], launch: fakesrc}, r: {after: [p, q], launch: fakesrc}}
outputs: {log: xml/log.xml}
on_stop: [{merge-xml: {inputs: [xml/a.xml], output: xml/log.xml}}]",
        );
        assert_eq!(messages(&text), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named() {
        for (more, needle) in [
            ("processes: {}", "no process"),
            ("processes: {p: {launch: ' '}}", "empty"),
            ("processes: {'a/b': {launch: x}}", "usable name"),
            ("processes: {p: {launch: 'a b=${nope}'}}", "no parameter `nope`"),
            ("processes: {p: {launch: '${x} ! y'}}", "no piece `x`"),
            ("processes: {p: {launch: '${x}. ! y'}}", "where no value can"),
            (
                "processes: {p: {launch: x, after: [q]}, qq: {launch: x}}",
                "did you mean `qq`",
            ),
            ("processes: {p: {launch: x, after: [p]}}", "wait for each other"),
            (
                "processes: {p: {launch: x, after: [q]}, q: {launch: x, after: [p]}}",
                "p, q",
            ),
            ("params: {a: {type: string}}\nprocesses: {p: {launch: x}}", "never used"),
            (
                "params: {a: {type: string, mutable: true}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "no `bind`",
            ),
            (
                "params: {a: {type: string, minimum: 1}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "`minimum`",
            ),
            (
                "params: {a: {type: integer, minimum: low}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "wrong `minimum`",
            ),
            (
                "params: {a: {type: integer, pattern: x}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "`pattern`",
            ),
            (
                "params: {a: {type: string, pattern: '('}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "regular expression",
            ),
            (
                "params: {a: {type: integer, default: 9, maximum: 5}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "at most 5",
            ),
            (
                "params: {run_dir: {type: string}}\nprocesses: {p: {launch: 'x y=${run_dir}'}}",
                "usable name",
            ),
            (
                "params: {a: {type: string, bind: {process: z, element: e, property: x}}}\nprocesses: {p: {launch: x}}",
                "process `z`",
            ),
            (
                "params: {a: {type: string, enum: [u, v], bind: {process: p, element: e, property: x, values: {u: '1'}}}}\nprocesses: {p: {launch: x}}",
                "one entry",
            ),
            ("processes: {p: {launch: x}}\noutputs: {a: ../x}", "run folder"),
            (
                "processes: {p: {launch: x}}\noutputs: {a: ./summary.json}",
                "cannot be an output",
            ),
            (
                "processes: {p: {launch: x}}\noutputs: {a: logs/p.log}",
                "cannot be an output",
            ),
            (
                "params: {a: {type: integer, minimum: 5, maximum: 1}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "`minimum` above",
            ),
            (
                "params: {a: {type: integer, enum: [1, 9], maximum: 5}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "wrong choice: it is 9",
            ),
            (
                "params: {a: {type: integer, enum: [1, two]}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "`two` is not of its type",
            ),
            (
                "params: {a: {type: string, default: 1.10}}\nprocesses: {p: {launch: 'x y=${a}'}}",
                "`1.1` is not of its type",
            ),
            (
                "params: {a: {type: string, bind: {process: p, element: e, property: x}}, b: {type: string, bind: {process: p, element: e, property: x}}}\nprocesses: {p: {launch: x}}",
                "parameter `b` is bound to the same property as `a`",
            ),
            ("processes: {p: {launch: x}}\noutputs: {a: /etc/x}", "run folder"),
            (
                "processes: {p: {launch: x}}\non_stop: [{merge-xml: {inputs: [], output: o.xml}}]",
                "no inputs",
            ),
            (
                "processes: {p: {launch: x}}\nrestart: {delay: 2m, max_delay: 1s}",
                "max_delay",
            ),
        ] {
            let found = messages(&with(more)).join("|");
            assert!(found.contains(needle), "{more} gave {found}");
        }
    }

    /// A description with these pieces; `k` is `u` or `v`, and `${s}` stands in the launch line.
    fn with_pieces(pieces: &str) -> Vec<String> {
        messages(&with(&format!(
            "params: {{k: {{type: string, enum: [u, v]}}, n: {{type: integer, default: 1}}}}
processes: {{p: {{launch: '${{s}} ! x y=${{n}}'}}}}
pieces:
{pieces}"
        )))
    }

    #[test]
    fn sound_pieces_have_no_issue() {
        for pieces in [
            "  s: {param: k, values: {u: 'a b=${n} !', v: ''}}",
            "  r: {param: k, values: {u: c, v: d}}\n  s: {param: k, values: {u: 'a ! ${r}', v: '${r}'}}",
        ] {
            assert_eq!(with_pieces(pieces), Vec::<String>::new(), "{pieces}");
        }
    }

    #[test]
    fn each_fault_of_a_piece_is_named_with_its_place() {
        for (pieces, needles) in [
            (
                "  s: {param: k, values: {u: a}}",
                &["t.yaml:6:6: ", "no text for k=v", "add `v`"][..],
            ),
            (
                "  s:\n    param: k\n    values:\n      u: a\n      v: b\n      w: c",
                &["t.yaml:11:10: ", "a text for `w`", "known are u, v"],
            ),
            (
                "  s: {param: kk, values: {u: a, v: b}}",
                &["`kk`, which is no parameter", "did you mean `k`?"],
            ),
            (
                "  s: {param: n, values: {'1': a}}",
                &["no choices in words", "`type: string` and `enum`"],
            ),
            (
                "  s: {param: k, values: {u: 'a b=\"c', v: b}}",
                &["t.yaml:6:29: ", "left open"],
            ),
            (
                "  s: {param: k, values: {u: 'a b=${m}', v: b}}",
                &["for `u`: there is no parameter `m`"],
            ),
            (
                "  s: {param: k, values: {u: '${n} ! a', v: b}}",
                &["where no value can"],
            ),
            (
                "  s: {param: k, values: {u: 'a b=${s}', v: b}}",
                &["stands alone, between blanks"],
            ),
            (
                "  s: {param: k, values: {u: '${s}', v: b}}",
                &["`s` cannot stand here", "declared above"],
            ),
            (
                "  s: {param: k, values: {u: '${r}', v: b}}\n  r: {param: k, values: {u: '${s}', v: b}}",
                &["`r` cannot stand here"],
            ),
            (
                "  ss: {param: k, values: {u: a, v: b}}",
                &["no piece `s`", "did you mean `${ss}`?", "`ss` is never used"],
            ),
            (
                "  s: {param: k, values: {u: a, v: b}}\n  n: {param: k, values: {u: a, v: b}}",
                &["name of a parameter"],
            ),
            (
                "  s: {param: k, values: {u: a, v: b}}\n  1: {param: k, values: {u: a, v: b}}",
                &["`1` is not a usable name"],
            ),
        ] {
            let found = with_pieces(pieces).join("|");
            assert!(needles.iter().all(|n| found.contains(n)), "{pieces} gave {found}");
        }
        let mutable =
            "params: {k: {type: string, enum: [u], mutable: true, bind: {process: p, element: e, property: x}}}
pieces: {s: {param: k, values: {u: a}}}
processes: {p: {launch: '${s}'}}";
        assert!(messages(&with(mutable)).join("|").contains("cannot be mutable then"));
    }

    #[test]
    fn version_and_name_are_checked_with_their_place() {
        let found = messages("version: 2\nname: a b\nprocesses: {p: {launch: x}}\n");
        assert!(found[0].starts_with("t.yaml:1:10: version 2"), "{found:?}");
        assert!(found[1].starts_with("t.yaml:2:7: `a b`"), "{found:?}");
    }
}
