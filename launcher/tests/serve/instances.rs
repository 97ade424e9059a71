//! Pipelines started, watched and stopped over HTTP.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, get, send};
use crate::server::{Server, children, is_alive, kill, named, until};

/// A server with descriptions of a test's own.
struct Place {
    folder: TempDir,
    server: Server,
}

const ENDLESS: &str = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! fakesink name=sink";

impl Place {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::create_dir(folder.path().join("pipelines")).unwrap();
        std::fs::write(folder.path().join("files/a.bin"), vec![7; 64 * 48 * 3 / 2 * 20]).unwrap();
        std::fs::write(folder.path().join("secret.bin"), vec![7; 64 * 48 * 3 / 2]).unwrap();
        let raw = "rawvideoparse width=64 height=48 format=i420 framerate=25/1";
        for (name, params, launch, more) in [
            ("endless", "", ENDLESS, ""),
            (
                "file",
                "params: {input: {type: path, default: /nowhere}, count: {type: integer, minimum: 1, maximum: 9, default: 3}}\n",
                &format!(
                    "filesrc location=${{input}} ! {raw} ! queue max-size-buffers=${{count}} ! filesink location=${{run_dir}}/out.raw"
                ),
                "outputs: {copy: out.raw}\n",
            ),
            ("broken", "", "no-such-element-here ! fakesink", ""),
        ] {
            let text = format!("version: 1\nname: {name}\n{params}processes: {{p: {{launch: '{launch}'}}}}\n{more}");
            std::fs::write(folder.path().join(format!("pipelines/{name}.yaml")), text).unwrap();
        }
        std::fs::write(folder.path().join("pipelines/unreadable.yaml"), "version: [").unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (pipelines, runs, files) = (path("pipelines"), path("runs"), path("files"));
        let mut all = vec!["--runs", &runs, "--files", &files, "--engine", "embedded"];
        all.extend(arguments);
        let server = Server::with(&all, &[("NUNCHI_PIPELINES", &pipelines)]);
        Self { folder, server }
    }

    fn get(&self, path: &str) -> Answer {
        get(self.server.address, path)
    }

    fn ask(&self, method: &str, path: &str, more: &str, body: &str) -> Answer {
        let address = self.server.address;
        let length = body.len();
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{more}Content-Length: {length}\r\n\r\n{body}");
        send(address, text.as_bytes())
    }

    fn start(&self, body: &Value) -> Answer {
        self.ask(
            "POST",
            "/api/v1/instances",
            "Content-Type: application/json\r\n",
            &body.to_string(),
        )
    }

    fn started(&self, body: &Value) -> String {
        let answer = self.start(body);
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let location = format!("location: /api/v1/instances/{id}\r\n");
        assert!(
            answer
                .head
                .to_ascii_lowercase()
                .contains(&location.to_ascii_lowercase()),
            "{answer:?}"
        );
        id
    }

    fn one(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/instances/{id}")).json()
    }

    #[track_caller]
    fn until_state(&self, id: &str, state: &str) -> Value {
        let mut last = Value::Null;
        until(&format!("{id} is {state}"), || {
            last = self.one(id);
            last["state"] == state
        });
        last
    }

    fn run(&self, id: &str) -> PathBuf {
        self.folder.path().join("runs").join(id)
    }
}

#[test]
fn a_pipeline_is_started_watched_and_stopped() {
    let place = Place::new(&[]);
    let id = place.started(&json!({"pipeline": "endless"}));
    place.until_state(&id, "running");
    until("frames are counted", || {
        place.one(&id)["processes"]["p"]["progress"]["frames"].as_u64().unwrap() > 5
    });
    let list = place.get("/api/v1/instances").json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    place
        .ask("DELETE", &format!("/api/v1/instances/{id}"), "", "")
        .is_problem(409, "wrong_state");
    let log = place.get(&format!("/api/v1/instances/{id}/logs/p"));
    assert!(log.status == 200 && log.head.contains("text/plain"), "{log:?}");
    assert_eq!(
        place
            .ask("POST", &format!("/api/v1/instances/{id}/stop"), "", "")
            .status,
        202
    );
    let ended = place.until_state(&id, "stopped");
    assert_eq!(
        (
            ended["result"]["exit_code"].as_u64(),
            ended["result"]["result"].as_str()
        ),
        (Some(0), Some("ended by the user"))
    );
    assert!(ended["result"]["frames"].as_u64().unwrap() > 5, "{ended}");
    place
        .ask("POST", &format!("/api/v1/instances/{id}/stop"), "", "")
        .is_problem(409, "wrong_state");
    assert!(place.run(&id).join("summary.json").is_file());
    assert_eq!(
        place.ask("DELETE", &format!("/api/v1/instances/{id}"), "", "").status,
        204
    );
    place.get(&format!("/api/v1/instances/{id}")).is_problem(404, "unknown");
    assert!(place.run(&id).join("summary.json").is_file(), "its files stay");
}

#[test]
fn a_finite_one_ends_by_itself_with_its_output() {
    let place = Place::new(&[]);
    let id = place.started(&json!({"pipeline": "file", "params": {"input": "a.bin", "count": 4}}));
    let ended = place.until_state(&id, "stopped");
    let result = &ended["result"];
    assert_eq!(
        (result["result"].as_str(), result["frames"].as_u64()),
        (Some("finished"), Some(20)),
        "{ended}"
    );
    assert_eq!(
        result["outputs"][0],
        json!({"name": "copy", "path": "out.raw", "bytes": 64 * 48 * 3 / 2 * 20})
    );
}

#[test]
fn what_fails_tells_why_and_harms_nobody() {
    let place = Place::new(&[]);
    let neighbour = place.started(&json!({"pipeline": "endless"}));
    place.until_state(&neighbour, "running");
    let id = place.started(&json!({"pipeline": "broken"}));
    let failed = place.until_state(&id, "failed");
    let error = failed["result"]["error"]["message"].as_str().unwrap();
    assert!(error.contains("no-such-element-here"), "{failed}");
    assert_eq!(failed["result"]["exit_code"], 69);
    // One whose process is killed is started again, or failed; the other one never notices.
    let runners = || named(place.server.pid(), "runner");
    let runner = runners()[0];
    let before = place.one(&neighbour)["processes"]["p"]["progress"]["frames"]
        .as_u64()
        .unwrap();
    let crashing = place.started(&json!({"pipeline": "endless"}));
    place.until_state(&crashing, "running");
    let other = *runners().iter().find(|&&pid| pid != runner).unwrap();
    kill(other, libc::SIGABRT);
    until("the crash is seen", || place.one(&crashing)["state"] != "running");
    until("the neighbour goes on", || {
        place.one(&neighbour)["processes"]["p"]["progress"]["frames"]
            .as_u64()
            .unwrap()
            > before + 20
    });
    assert_eq!(place.one(&neighbour)["state"], "running");
    assert_eq!(place.one(&neighbour)["processes"]["p"]["attempts"], 1);
}

#[test]
fn only_named_pipelines_and_open_folders() {
    let place = Place::new(&[]);
    let outside = place.folder.path().join("secret.bin").display().to_string();
    for name in ["nothing", "../pipelines/file", "file.yaml", "", "/etc/passwd"] {
        place.start(&json!({"pipeline": name})).is_problem(404, "unknown");
    }
    for input in ["../secret.bin", &outside, "/etc/passwd", "nothing.bin", "/dev/zero"] {
        let refused = place.start(&json!({"pipeline": "file", "params": {"input": input}}));
        refused.is_problem(422, "bad_parameters");
        assert!(refused.body.contains("input"), "{refused:?}");
    }
    for (params, word) in [
        (json!({"count": 10}), "count"),
        (json!({"count": "x"}), "count"),
        (json!({"other": 1}), "other"),
        (json!({"input": ["a.bin"]}), "input"),
        (json!({"input": "a.bin\nfilesink"}), "input"),
    ] {
        let refused = place.start(&json!({"pipeline": "file", "params": params}));
        refused.is_problem(422, "bad_parameters");
        assert!(refused.body.contains(word), "{refused:?}");
    }
    assert!(!place.folder.path().join("runs").exists(), "nothing was begun");
    for path in [
        "/api/v1/instances/../../etc",
        "/api/v1/instances/x/logs/..%2f..%2fsummary",
        "/api/v1/instances/%2e%2e",
    ] {
        assert_eq!(place.get(path).status, 404, "{path}");
    }
    let id = place.started(&json!({"pipeline": "endless"}));
    place
        .get(&format!("/api/v1/instances/{id}/logs/..%2f..%2f..%2fsecret"))
        .is_problem(404, "unknown");
}

#[test]
fn wrong_bodies_and_foreign_pages_start_nothing() {
    let place = Place::new(&[]);
    let start = |more: &str, body: &str| place.ask("POST", "/api/v1/instances", more, body);
    let json = "Content-Type: application/json\r\n";
    let good = "{\"pipeline\":\"endless\"}";
    start("", good).is_problem(415, "not_json");
    start("Content-Type: text/plain\r\n", good).is_problem(415, "not_json");
    start(json, "{").is_problem(400, "bad_json");
    start(json, "{}").is_problem(422, "bad_request");
    start(json, "{\"pipeline\":\"endless\",\"launch\":\"x\"}").is_problem(422, "bad_request");
    start(json, &format!("{{\"pipeline\":\"{}\"}}", "x".repeat(2 << 20))).is_problem(413, "too_large");
    start(&format!("{json}Origin: http://evil.example\r\n"), good).is_problem(403, "cross_site");
    let foreign = format!(
        "POST /api/v1/instances HTTP/1.1\r\nHost: evil.example\r\n{json}Content-Length: {}\r\n\r\n{good}",
        good.len()
    );
    send(place.server.address, foreign.as_bytes()).is_problem(403, "foreign_name");
    place
        .ask("PUT", "/api/v1/instances", "", "")
        .is_problem(405, "wrong_method");
    assert_eq!(place.get("/api/v1/instances").json(), json!({"items": []}));
}

#[test]
fn pipelines_are_told_with_their_parameters_and_faults() {
    let place = Place::new(&[]);
    let answer = place.get("/api/v1/pipelines").json();
    let find = |name: &str| {
        answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["name"] == name)
            .cloned()
            .unwrap()
    };
    let file = find("file");
    assert_eq!(file["params"][1]["name"], "count");
    assert_eq!(file["params"][1]["maximum"], 9);
    place
        .start(&json!({"pipeline": "unreadable"}))
        .is_problem(500, "broken_pipeline");
    assert!(
        find("unreadable")["error"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert!(file.get("path").is_none(), "where files are is the operator's business");
}

#[test]
fn no_more_run_than_may() {
    let place = Place::new(&["--instances", "2"]);
    let first = place.started(&json!({"pipeline": "endless"}));
    place.started(&json!({"pipeline": "endless"}));
    let refused = place.start(&json!({"pipeline": "endless"}));
    refused.is_problem(503, "full");
    assert!(refused.head.to_ascii_lowercase().contains("retry-after"), "{refused:?}");
    place.until_state(&first, "running");
    place.ask("POST", &format!("/api/v1/instances/{first}/stop"), "", "");
    place.until_state(&first, "stopped");
    place.started(&json!({"pipeline": "endless"}));
}

#[test]
fn the_end_of_the_server_ends_them_with_whole_files() {
    let place = Place::new(&[]);
    let id = place.started(&json!({"pipeline": "endless"}));
    place.until_state(&id, "running");
    let all = children(place.server.pid());
    assert_eq!(all.len(), 2, "a runner and the picture worker");
    place.server.signal(libc::SIGTERM);
    let Place { folder, server } = place;
    assert_eq!(server.wait().code(), Some(0));
    assert!(all.iter().all(|&pid| !is_alive(pid)));
    let text = std::fs::read_to_string(folder.path().join("runs").join(&id).join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["result"], "ended by the user");
}
