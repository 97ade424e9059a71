use std::fs;

use crate::helper::*;

#[test]
fn a_clip_goes_through_and_every_frame_arrives() {
    let p = Place::new();
    p.pipeline(TRANSCODE, INPUT);
    let input = format!("input={}", clip("good.mp4").display());
    let done = p.nunchi(&["run", "p.yaml", &input, "--run-dir", "r"]);
    done.succeeds();
    assert_eq!(frames(&p.path("r/mp4/o.mp4")), 60);
    for needle in [
        "p: finished after",
        "frames     60",
        "events     none",
        "r/mp4/o.mp4",
        "r/logs",
    ] {
        assert!(done.out.contains(needle), "{needle}: {}", done.out);
    }
}

#[test]
fn the_shipped_transcode_keeps_every_frame_and_the_sound() {
    let p = Place::new();
    let description = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/transcode.yaml");
    for (name, sound) in [("both.mp4", true), ("good.mp4", false)] {
        let input = format!("input={}", clip(name).display());
        let folder = format!("r-{name}");
        let encoder = ["encoder=software", "preset=ultrafast", "faststart=true"];
        let start = ["run", description, &input, "--run-dir", &folder];
        p.nunchi(&[&start[..], &encoder[..]].concat()).succeeds();
        let video = p.path(&format!("{folder}/mp4/video.mp4"));
        // The index of the fragments may still lie about in the file.
        assert_eq!((frames(&video), tracks(&video, "soun") > 0), (60, sound), "{name}");
    }
}

#[test]
fn the_shipped_transcode_says_why_there_is_no_nvenc_and_what_is_no_video() {
    let p = Place::new();
    let description = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/transcode.yaml");
    let input = format!("input={}", clip("good.mp4").display());
    let refused = p
        .command(&["run", description, &input, "--run-dir", "r", "encoder=nvenc"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    // Where there is one, it is used.
    if !refused.status.success() {
        assert!(told.contains("nvenc") && told.contains("driver"), "{told}");
        assert!(!p.path("r/mp4/video.mp4").exists());
    }
    p.write("text.mp4", "this is no video");
    let input = format!("input={}", p.path("text.mp4").display());
    let done = p.nunchi(&["run", description, &input, "--run-dir", "s"]);
    assert_ne!(done.code, Some(0), "{}", done.out);
    assert!(!p.path("s/mp4/video.mp4").exists());
}

#[test]
fn the_summary_as_json_is_also_in_the_run_folder() {
    let p = Place::new();
    p.pipeline("videotestsrc num-buffers=7 ! fakesink", "");
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r", "--format", "json", "--quiet"]);
    done.succeeds();
    let summary: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(
        (summary["frames"].as_u64(), summary["exit_code"].as_u64()),
        (Some(7), Some(0))
    );
    assert_eq!(summary["result"], "finished");
    assert_eq!(
        summary["processes"]["p"]["attempts"][0]["reason"]["kind"],
        "end_of_stream"
    );
    assert_eq!(p.read("r/summary.json"), done.out);
    assert_eq!(done.err, "", "quiet");
}

#[test]
fn the_run_folder_is_named_after_pipeline_and_time() {
    let p = Place::new();
    p.pipeline("fakesrc num-buffers=1 ! fakesink", "");
    p.nunchi(&["run", "p.yaml"]).succeeds();
    p.nunchi(&["run", "p.yaml"]).succeeds();
    let names: Vec<_> = fs::read_dir(p.path("run"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|n| n.starts_with("p-20")), "{names:?}");
}

#[test]
fn parameters_reach_bound_properties_and_the_last_one_wins() {
    let p = Place::new();
    let n = "params: {n: {type: integer, default: 1, bind: {process: p, element: src, property: num-buffers}}}";
    p.pipeline("videotestsrc name=src ! fakesink", n);
    let done = p.nunchi(&["run", "p.yaml", "n=3", "--set", "n=5", "--format", "json"]);
    done.succeeds();
    assert!(done.out.contains("\"frames\": 5"), "{}", done.out);
}

#[test]
fn choices_may_stand_for_other_values() {
    let p = Place::new();
    let n = "params: {n: {type: string, enum: [few, many], default: few, bind: {process: p, element: src, property: num-buffers, values: {few: '2', many: '9'}}}}";
    p.pipeline("videotestsrc name=src ! fakesink", n);
    let done = p.nunchi(&["run", "p.yaml", "n=many", "--format", "json"]);
    assert!(done.out.contains("\"frames\": 9"), "{}", done.out);
}

#[test]
fn default_paths_are_relative_to_the_description_given_ones_to_the_current_folder() {
    let p = Place::new();
    let launch = "filesrc location=${input} ! fakesink";
    let text = format!(
        "version: 1\nname: p\nparams: {{input: {{type: path, default: ../m/in.bin}}}}\nprocesses: {{p: {{launch: '{launch}'}}}}\n"
    );
    p.write("deep/pipes/p.yaml", text);
    p.write("deep/m/in.bin", "x");
    p.write("here.bin", "x");
    p.nunchi(&["run", "deep/pipes/p.yaml"]).succeeds();
    p.nunchi(&["run", "deep/pipes/p.yaml", "input=here.bin"]).succeeds();
    p.nunchi(&["run", "deep/pipes/p.yaml", "input=m/in.bin"])
        .fails(66, &["m/in.bin does not exist"]);
}

#[test]
fn names_are_found_by_the_environment_and_suggested() {
    let p = Place::new();
    p.write(
        "d/hello.yaml",
        "version: 1\nname: hello\nprocesses: {p: {launch: 'fakesrc num-buffers=1 ! fakesink'}}\n",
    );
    let run = |name: &str| {
        p.command(&["run", name])
            .env("NUNCHI_PIPELINES", p.path("d"))
            .output()
            .unwrap()
    };
    assert_eq!(run("hello").status.code(), Some(0));
    let wrong = run("helo");
    assert_eq!(wrong.status.code(), Some(66));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean `hello`?"));
}

#[test]
fn processes_start_in_order_and_end_together() {
    let p = Place::new();
    p.write(
        "p.yaml",
        "version: 1\nname: p\nprocesses:\n  late: {after: [early], launch: 'videotestsrc num-buffers=2 ! fakesink'}\n  early: {launch: 'videotestsrc num-buffers=4 ! fakesink'}\n",
    );
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r", "--format", "json"]);
    done.succeeds();
    let summary: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    for (name, frames) in [("early", 4), ("late", 2)] {
        assert_eq!(
            summary["processes"][name]["attempts"][0]["progress"]["frames"], frames,
            "{name}"
        );
        assert!(p.read(&format!("r/logs/{name}.log")).contains("attempt 1 started"));
    }
}

#[test]
fn a_failed_process_ends_the_others_and_gives_the_exit_code() {
    let p = Place::new();
    p.write(
        "p.yaml",
        format!("version: 1\nname: p\nprocesses:\n  live: {{launch: '{LIVE}'}}\n  bad: {{after: [live], launch: 'filesrc location=/no/such/file ! fakesink'}}\n"),
    );
    p.nunchi(&["run", "p.yaml", "--run-dir", "r"])
        .fails(66, &["process `bad`", "/no/such/file does not exist"]);
    frames(&p.path("r/mp4/o.mp4"));
}

#[test]
fn a_clip_that_changes_its_size_goes_whole_into_a_file_that_can_hold_it() {
    let p = Place::new();
    let launch = TRANSCODE
        .replace(
            "mp4mux fragment-duration=100 fragment-mode=first-moov-then-finalise",
            "mpegtsmux",
        )
        .replace("o.mp4", "o.ts");
    p.pipeline(&launch, "params: {input: {type: path}}\noutputs: {video: mp4/o.ts}");
    let input = format!("input={}", clip("change.h264").display());
    p.nunchi(&["run", "p.yaml", &input, "--run-dir", "r"]).succeeds();
    assert_eq!(frames(&p.path("r/mp4/o.ts")), 60);
}

#[test]
fn secrets_are_used_and_never_shown() {
    let p = Place::new();
    p.write("key", "file-secret-value\n");
    let launch = format!(
        "filesrc location=${{env:TOKEN}} ! fakesink name=${{file:{}}}",
        p.path("key").display()
    );
    p.pipeline(&launch, "");
    let done = p
        .command(&["run", "p.yaml", "--run-dir", "r"])
        .env("TOKEN", "/no/token-secret-value")
        .env("GST_DEBUG", "*:4")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(66));
    let all = [
        String::from_utf8_lossy(&done.stderr).into_owned(),
        String::from_utf8_lossy(&done.stdout).into_owned(),
        p.read("r/logs/p.log"),
        p.read("r/logs/p.dot"),
        p.read("r/summary.json"),
    ];
    assert!(all[0].contains("the input *** does not exist"), "{}", all[0]);
    assert!(all[3].is_empty() && all[2].contains("***"), "{}", all[2]);
    assert!(all.iter().all(|t| !t.contains("secret-value")), "{all:?}");
}

#[test]
fn logs_are_merged_at_the_end() {
    let p = Place::new();
    let log = |second: u32, message: &str| {
        format!(
            "<?xml version='1.0' encoding='utf-8'?>\n<face_session start_time=\"2026-01-01T10:00:00\">\
             <frame timestamp=\"2026-01-01T10:00:0{second}\" elapsed_seconds=\"{second}.0\"><analysis>\
             <result type=\"smile\" message=\"{message}\" /></analysis></frame></face_session>"
        )
    };
    p.write("a.xml", log(2, "second"));
    p.write("b.xml", log(1, "first"));
    // Of an earlier run in the same folder.
    let old = p.write("r/xml/c.xml", log(3, "third"));
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(old)
        .unwrap()
        .set_modified(past)
        .unwrap();
    let copy = |name: &str| format!("filesrc location=${{{name}}} ! filesink location=${{run_dir}}/xml/{name}.xml");
    p.pipeline(
        &format!("{} {}", copy("a"), copy("b")),
        "params: {a: {type: path, default: a.xml}, b: {type: path, default: b.xml}}\n\
         on_stop: [{merge-xml: {inputs: [xml/a.xml, xml/b.xml, xml/c.xml], output: all/log.xml}}]\noutputs: {log: all/log.xml}",
    );
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r"]);
    done.succeeds();
    assert!(done.out.contains("r/xml/c.xml was not written"), "{}", done.out);
    let merged = nunchi_events::xml::read(p.path("r/all/log.xml")).unwrap();
    let messages: Vec<&str> = merged
        .frames
        .iter()
        .flat_map(|frame| &frame.results)
        .map(|result| result.message.as_str())
        .collect();
    assert_eq!(messages, ["first", "second"], "in the order of time");
}

#[test]
fn a_log_that_cannot_be_merged_is_named() {
    let p = Place::new();
    p.write("junk.txt", "no log");
    p.pipeline(
        "filesrc location=junk.txt ! filesink location=${run_dir}/xml/a.xml",
        "on_stop: [{merge-xml: {inputs: [xml/a.xml], output: all/log.xml}}]",
    );
    p.nunchi(&["run", "p.yaml", "--run-dir", "r"])
        .fails(73, &["merge-xml into", "a.xml"]);
}

#[test]
fn logs_that_were_not_written_at_all_are_a_fault() {
    let p = Place::new();
    p.pipeline(
        "fakesrc num-buffers=1 ! fakesink",
        "on_stop: [{merge-xml: {inputs: [xml/a.xml], output: all/log.xml}}]",
    );
    p.nunchi(&["run", "p.yaml", "--run-dir", "r"])
        .fails(73, &["merge-xml into", "none of its inputs was written"]);
}

#[test]
fn a_run_folder_in_use_is_refused_and_its_old_results_are_none() {
    let p = Place::new();
    let old = p.write("r/mp4/o.mp4", "of an earlier run");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options()
        .write(true)
        .open(old)
        .unwrap()
        .set_modified(past)
        .unwrap();
    p.pipeline("appsrc ! fakesink", "outputs: {video: mp4/o.mp4}");
    let run = p.start(&["run", "p.yaml", "--run-dir", "r"]);
    until("it is started", || p.read("r/logs/p.log").contains("started, pid"));
    let other = p.command(&["run", "p.yaml", "--run-dir", "r"]).output().unwrap();
    assert_eq!(
        other.status.code(),
        Some(75),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
    run.signal(libc::SIGINT);
    let done = run.wait();
    assert!(done.out.contains("not written"), "{}", done.out);
}

#[test]
fn a_launch_line_that_is_one_bin_counts_as_any_other() {
    let p = Place::new();
    p.pipeline("( videotestsrc num-buffers=7 ! fakesink )", "");
    let done = p.nunchi(&["run", "p.yaml", "--run-dir", "r", "--format", "json"]);
    done.succeeds();
    assert!(done.out.contains("\"frames\": 7"), "{}", done.out);
}

#[test]
fn a_window_without_a_display_is_no_crash() {
    let p = Place::new();
    p.pipeline("videotestsrc num-buffers=5 ! videoconvert ! autovideosink", "");
    let mut command = p.command(&["run", "p.yaml"]);
    let done = command
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A file into an MP4, with its sound if it has any.
const WITH_SOUND: &str = "filesrc location=${input} ! decodebin name=in \
    in. : audioconvert ! audioresample ! tee name=s s. ! queue ! avenc_aac ! aacparse ! queue ! m. s. ! queue ! fakesink sync=false \
    in. ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! mp4mux name=m \
    ! filesink location=${run_dir}/mp4/o.mp4";

#[test]
fn a_branch_for_a_stream_that_the_file_lacks_is_left_out() {
    let p = Place::new();
    p.pipeline(WITH_SOUND, INPUT);
    for (name, video, sound) in [("good.mp4", 60, 0), ("both.mp4", 60, 1)] {
        let input = format!("input={}", clip(name).display());
        p.nunchi(&["run", "p.yaml", &input, "--run-dir", name]).succeeds();
        let written = p.path(&format!("{name}/mp4/o.mp4"));
        assert_eq!(frames(&written), video, "{name}");
        assert_eq!(tracks(&written, "soun"), sound, "{name}");
        assert_eq!(tracks(&written, "vide"), 1, "{name}");
    }
}

#[test]
fn a_branch_cannot_be_left_out_when_its_muxer_has_begun_with_another_source() {
    let p = Place::new();
    // The live source has begun to fill the muxer when the file tells that it has no sound.
    p.pipeline(
        "filesrc location=${input} ! queue ! identity sleep-time=100000 ! decodebin name=in \
         in. : audioconvert ! audioresample ! avenc_aac ! aacparse ! queue ! m. in. ! fakesink sync=false \
         videotestsrc is-live=true num-buffers=45 ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! queue \
         ! mp4mux name=m ! filesink location=${run_dir}/mp4/o.mp4",
        INPUT,
    );
    let input = format!("input={}", clip("good.mp4").display());
    p.nunchi(&["run", "p.yaml", &input, "--run-dir", "r", "--timeout", "60s"])
        .fails(65, &["no stream for the branch of", "another source"]);
}

#[test]
fn a_stream_that_must_be_there_is_missed_beside_one_that_may_lack() {
    let p = Place::new();
    p.pipeline(WITH_SOUND, INPUT);
    let input = format!("input={}", clip("audio.mp4").display());
    p.nunchi(&["run", "p.yaml", &input]).fails(69, &["no video"]);
}

#[test]
fn a_parameter_chooses_a_piece_and_never_becomes_one() {
    let p = Place::new();
    p.write(
        "p.yaml",
        "version: 1
name: p
params:
  kind: {type: string, enum: [few, many], default: few}
  text: {type: string, default: x}
pieces: {source: {param: kind, values: {few: 'videotestsrc num-buffers=2 ! identity name=${text}', many: videotestsrc num-buffers=9}}}
processes: {p: {launch: '${source} ! fakesink'}}
",
    );
    for (set, frames) in [("kind=few", 2), ("kind=many", 9), ("text=a ! fakesink ${source}", 2)] {
        let done = p.nunchi(&["run", "p.yaml", set, "--format", "json"]);
        done.succeeds();
        assert!(
            done.out.contains(&format!("\"frames\": {frames}")),
            "{set}: {}",
            done.out
        );
    }
    p.nunchi(&["run", "p.yaml", "kind=mny"])
        .fails(65, &["did you mean `many`"]);
}
