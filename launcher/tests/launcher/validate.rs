use crate::helper::*;

#[test]
fn a_sound_description_is_called_ok() {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    let done = p.nunchi(&["validate", "p.yaml"]);
    done.succeeds();
    assert_eq!(done.out, "p.yaml: ok (1 process, 1 parameter)\n");
    assert!(!p.path("run").exists(), "nothing is run");
}

#[test]
fn all_faults_of_the_pipelines_are_listed_with_their_place() {
    let p = Place::new();
    p.write(
        "p.yaml",
        "version: 1\nname: p\nprocesses:\n  a:\n    launch: 'fakesrc num-bufers=1 ! nosuchelementatall ! fakesink sync=perhaps'\n  b:\n    launch: 'fakesrc ! ! fakesink'\n",
    );
    p.nunchi(&["validate", "p.yaml"]).fails(
        65,
        &[
            "p.yaml:5:13: process `a`: `fakesrc` has no property `num-bufers`",
            "did you mean `num-buffers`?",
            "no element `nosuchelementatall`",
            "true or false",
            "p.yaml:7:13: process `b`: the launch line is wrong",
        ],
    );
}

#[test]
fn all_faults_of_the_description_are_listed() {
    let p = Place::new();
    p.pipeline(
        "fakesrc name=${nope} ! ${x}.",
        "params: {a: {type: string}}\noutputs: {o: ../x}",
    );
    p.nunchi(&["validate", "p.yaml"]).fails(
        65,
        &[
            "where no value can",
            "`a` is never used",
            "`../x` does not stay in the run folder",
        ],
    );
}

#[test]
fn what_is_served_over_rtsp_is_checked() {
    let p = Place::new();
    p.write(
        "p.yaml",
        "version: 1\nname: p\nparams: {a: {type: string, default: nowhere}}\nprocesses:\n  a:\n    rtsp: {port: 70000, path: 'x y', \
         address: '${b}'}\n    launch: 'fakesrc ! fakesink'\n  b:\n    launch: 'rtspsrc location=${c.url} ! fakesink name=${a}'\n\
         on_stop: [{merge-xml: {inputs: [x/a.xml], output: x/b.xml, frames: ../x.xml}}]\n",
    );
    p.nunchi(&["validate", "p.yaml"]).fails(
        65,
        &[
            "rtsp of `a`: `70000` is no port",
            "rtsp of `a`: `x y` is no path",
            "rtsp of `a`: there is no parameter `b`",
            "no process `c` serves streams",
            "merge-xml has `frames` but no `video`",
            "`../x.xml` does not stay in the run folder",
        ],
    );
    p.write(
        "q.yaml",
        "version: 1\nname: q\nprocesses:\n  a:\n    rtsp: {port: 0}\n    launch: 'videotestsrc ! fakesink'\n",
    );
    p.nunchi(&["validate", "q.yaml"]).fails(
        65,
        &[
            "q.yaml:6:13: process `a`: the launch line has no appsink",
            "! appsink name=video",
        ],
    );
}

#[test]
fn several_files_are_all_checked() {
    let p = Place::new();
    p.pipeline("fakesrc ! fakesink", "");
    p.write("broken.yaml", "version: 1\nname: [\n");
    let done = p.nunchi(&["validate", "broken.yaml", "p.yaml", "none.yaml"]);
    done.fails(65, &["broken.yaml:", "none.yaml"]);
    assert!(done.out.contains("p.yaml: ok"), "{}", done.out);
}

#[test]
fn values_can_be_checked_too() {
    let p = Place::new();
    let n = "params: {n: {type: integer, bind: {process: p, element: src, property: num-buffers}}}";
    p.pipeline("fakesrc name=src ! fakesink", n);
    p.nunchi(&["validate", "p.yaml"]).succeeds();
    p.nunchi(&["validate", "p.yaml", "--set", "n=99999999999"])
        .fails(65, &["parameter `n`", "2147483647"]);
}

#[test]
fn secrets_need_not_be_there_for_a_check() {
    let p = Place::new();
    p.pipeline("fakesrc name=${env:NUNCHI_TEST_UNSET} ! fakesink", "");
    p.nunchi(&["validate", "p.yaml"]).succeeds();
}

#[test]
fn required_values_that_nobody_knows_are_no_fault_and_hide_none() {
    let p = Place::new();
    let params = "params: {pat: {type: string, pattern: '[a-z]+'}, t: {type: duration, maximum: 5s}, s: {type: string, bind: {process: p, element: src, property: pattern}}}";
    p.pipeline(
        "videotestsrc name=src pattern=${pat} timestamp-offset=${t} ! fakesink",
        params,
    );
    p.nunchi(&["validate", "p.yaml"]).succeeds();
    p.pipeline(
        "videotestsrc name=src patern=${pat} timestamp-offset=${t} ! fakesink",
        params,
    );
    p.nunchi(&["validate", "p.yaml"])
        .fails(65, &["no property `patern`", "did you mean `pattern`?"]);
    p.nunchi(&["validate", "p.yaml", "--set", "pat=UP"])
        .fails(65, &["must match"]);
}

#[test]
fn a_missing_description() {
    Place::new().nunchi(&["validate", "no.yaml"]).fails(66, &["no.yaml"]);
}

#[test]
fn the_shipped_descriptions_are_sound() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines");
    let files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path().display().to_string())
        .collect();
    assert!(files.len() >= 2);
    for file in &files {
        Place::new().nunchi(&["validate", file]).succeeds();
    }
}

const PIECES: &str = "version: 1
name: p
params:
  kind: {type: string, enum: [test, file, odd], default: test}
  loud: {type: string, enum: ['on', 'off'], default: 'off'}
pieces:
  extra: {param: loud, values: {'on': 'identity siletn=true !', 'off': ''}}
  source:
    param: kind
    values: {test: fakesrc num-buffers=3, file: 'filesrc location=/dev/null ! ${extra} identity', odd: fakesorce}
processes:
  a: {launch: '${source} ! fakesink snyc=false'}
";

#[test]
fn every_piece_is_checked_and_what_they_share_is_told_once() {
    let p = Place::new();
    p.write("p.yaml", PIECES);
    let done = p.nunchi(&["validate", "p.yaml"]);
    done.fails(
        65,
        &["p.yaml:12:15: ", "`snyc`", "no element `fakesorce` (with kind=odd)"],
    );
    assert_eq!(done.err.matches("snyc").count(), 1, "{}", done.err);
    assert!(
        !done.err.contains("siletn"),
        "it stands in no line with kind=test: {}",
        done.err
    );
    let done = p.nunchi(&["validate", "p.yaml", "--set", "kind=file"]);
    done.fails(65, &["`snyc`", "`siletn`", "(with loud=on)", "did you mean `silent`?"]);
    assert!(!done.err.contains("fakesorce"), "the user chose another: {}", done.err);
}
