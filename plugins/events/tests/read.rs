//! The reader and the merge against good, cut, damaged and hostile documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nunchi_events::xml::{
    Fault, MAX_ATTRIBUTES, MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_VALUE_BYTES, MergeError, ReadError, Session,
    Timeline, merge, merge_onto, read,
};
use proptest::prelude::*;

const SESSION: &str = include_str!("data/session.xml");
const CLOSED: &str = include_str!("data/closed.xml");
const FACE: &str = include_str!("data/face.xml");
const MERGED: &str = include_str!("data/merged.xml");
const FRAME: &str = r#"<frame timestamp="2025-10-18T17:34:31" elapsed_seconds="1.0"><analysis><result type="t" message="m" /></analysis></frame>"#;

fn parse(text: impl AsRef<[u8]>) -> Result<Session, Fault> {
    Session::parse(text.as_ref())
}

/// Frames that are read although the document is damaged.
#[track_caller]
fn damaged(text: impl AsRef<[u8]>) -> usize {
    let session = parse(text).unwrap();
    assert!(session.truncated);
    session.frames.len()
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>) -> String {
    match parse(text) {
        Err(fault) => fault.to_string(),
        Ok(session) => panic!("was read as {session:?}"),
    }
}

/// Runs a merge of files with these contents; `None` makes no file.
fn merged(
    inputs: &[Option<&str>],
) -> (
    Result<nunchi_events::xml::MergeReport, MergeError>,
    Vec<PathBuf>,
    Option<String>,
) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..inputs.len())
        .map(|n| folder.path().join(format!("{n}.xml")))
        .collect();
    for (path, text) in paths.iter().zip(inputs) {
        if let Some(text) = text {
            fs::write(path, text).unwrap();
        }
    }
    let output = folder.path().join("log.xml");
    let report = merge(&paths, &output);
    (report, paths, fs::read_to_string(output).ok())
}

#[test]
fn a_closed_session_is_read_whole() {
    let session = parse(CLOSED).unwrap();
    assert_eq!(session.root, "pose_session");
    assert_eq!(session.start_time, Some("2025-10-18T17:34:26.292100".parse().unwrap()));
    assert_eq!(session.end_time, Some("2025-10-18T17:35:00".parse().unwrap()));
    assert!(!session.truncated);
    assert_eq!(
        session
            .frames
            .iter()
            .map(|frame| frame.elapsed_seconds)
            .collect::<Vec<_>>(),
        [0.7, 0.2, 12.3]
    );
    assert_eq!(
        session.frames[1].results[1].message,
        "tabs\tand\nlines\rand <b> & \"quotes\" 'single' ?> ]]> 웃음 😀"
    );
}

#[test]
fn other_writings_of_the_same_are_read_alike() {
    let pretty = SESSION
        .replace("><", ">\n  <")
        .replace("'1.0'", "\"1.0\"")
        .replace(" />", "></result>");
    let commented = SESSION.replace("<frame", "<!-- a --><?b c?><other><frame/></other><frame");
    let bom = format!("\u{feff}{SESSION}\n<!-- end -->  ");
    for text in [pretty, commented, bom] {
        assert_eq!(parse(&text).unwrap(), parse(SESSION).unwrap(), "{text}");
    }
}

#[test]
fn a_cut_at_every_byte_gives_the_frames_before_it() {
    let ends: Vec<usize> = SESSION
        .match_indices("</frame>")
        .map(|(at, tag)| at + tag.len())
        .collect();
    for length in 0..SESSION.len() {
        let expected = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(damaged(&SESSION.as_bytes()[..length]), expected, "cut at {length}");
    }
}

#[test]
fn what_a_power_loss_leaves_is_read_up_to_the_damage() {
    let cut = SESSION.find("</frame>").unwrap() + 20;
    assert_eq!(damaged([&SESSION.as_bytes()[..cut], &[0; 4096]].concat()), 1);
    assert_eq!(damaged([0; 4096]), 0);
}

#[test]
fn damage_ends_the_reading() {
    for bad in [
        "</frame>",
        "<frame",
        "&unknown;",
        "\u{1}",
        r#"<frame a="1" a="2" />"#,
        r#"<frame a="&nope;" />"#,
        r#"<frame a="&#0;" />"#,
        r#"<frame a="<" />"#,
        r#"<x:frame xmlns:x="u" />"#,
        "<frame><a></b></frame>",
        "<!-- a -- b -->",
        "<!DOCTYPE x>",
        r#"<frame timestamp="2025-10-18T17:34:31" elapsed_seconds="nan" />"#,
        r#"<frame timestamp="2025-10-18T17:34:31" elapsed_seconds="soon" />"#,
        r#"<frame timestamp="2025-10-18T17:34:31" />"#,
        r#"<frame timestamp="yesterday" elapsed_seconds="1.0" />"#,
        r#"<frame timestamp="2025-10-18T17:34:31" elapsed_seconds="1.0"><analysis><result /></analysis></frame>"#,
    ] {
        let text = format!("<s>{FRAME}{bad}{FRAME}</s>");
        assert_eq!(damaged(&text), 1, "{bad}");
    }
    assert_eq!(
        damaged([b"<s>", FRAME.as_bytes(), b"\xff\xfe", FRAME.as_bytes(), b"</s>"].concat()),
        1
    );
}

#[test]
fn junk_after_the_root_is_damage() {
    for junk in ["<s />", "text", "</s>", "<?p"] {
        assert_eq!(damaged(format!("<s>{FRAME}</s>{junk}")), 1, "{junk}");
    }
}

#[test]
fn what_is_no_log_is_refused_with_the_reason() {
    for (text, reason) in [
        ("plain text", "does not start with an element"),
        ("<!DOCTYPE s [<!ENTITY a \"b\">]><s />", "document type"),
        ("<?xml version='1.0' encoding='utf-16'?><s />", "UTF-8"),
        ("<x:s xmlns:x=\"u\" />", "namespace"),
        ("<s xmlns=\"u\" />", "namespace"),
        ("</s>", "not a session log"),
    ] {
        let text = if reason == "not a session log" {
            text.replace("</s>", "{\"a\":1}")
        } else {
            text.to_owned()
        };
        assert!(refused(&text).contains(reason), "{text}: {}", refused(&text));
    }
    assert!(refused(b"\xff\xff\xff\xff").contains("UTF-8"));
}

#[test]
fn limits_hold() {
    let deep = |levels: usize| format!("<s>{}{}</s>", "<a>".repeat(levels - 1), "</a>".repeat(levels - 1));
    assert!(!parse(deep(MAX_DEPTH)).unwrap().truncated);
    assert!(refused(deep(MAX_DEPTH + 1)).contains("nested"));

    let attributes = |count| {
        format!(
            "<s><a{} /></s>",
            (0..count).map(|n| format!(" a{n}=\"\"")).collect::<String>()
        )
    };
    assert!(!parse(attributes(MAX_ATTRIBUTES)).unwrap().truncated);
    assert!(refused(attributes(MAX_ATTRIBUTES + 1)).contains("attributes"));

    let value = |bytes| format!("<s><a b=\"{}\" /></s>", "v".repeat(bytes));
    assert!(!parse(value(MAX_VALUE_BYTES)).unwrap().truncated);
    assert!(refused(value(MAX_VALUE_BYTES + 1)).contains("attribute"));

    let text = |bytes| format!("<s><a>{}&amp;</a></s>", "t".repeat(bytes));
    assert!(!parse(text(MAX_VALUE_BYTES - 1)).unwrap().truncated);
    assert!(refused(text(MAX_VALUE_BYTES)).contains("text"));

    let nodes = |count: usize| format!("<s><a>{}</a></s>", "<b />".repeat(count - 1));
    assert!(!parse(nodes(MAX_NODES)).unwrap().truncated);
    assert!(refused(nodes(MAX_NODES + 1)).contains("elements"));
}

#[test]
fn a_file_too_large_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_FILE_BYTES + 1).unwrap(); // sparse
    let error = read(file.path()).unwrap_err();
    assert!(matches!(error.fault, Fault::TooLarge { .. }));
    assert!(error.to_string().contains(file.path().to_str().unwrap()));
}

#[test]
fn missing_files_and_folders_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing: ReadError = read(folder.path().join("none.xml")).unwrap_err();
    assert!(missing.is_missing() && missing.to_string().contains("none.xml"));
    let error = read(folder.path()).unwrap_err();
    assert!(!error.is_missing() && error.to_string().contains("not a regular file"));
    assert!(!read("/dev/zero").unwrap_err().is_missing());
}

#[test]
fn merge_gives_the_bytes_that_python_gives() {
    let (report, _, text) = merged(&[Some(FACE), Some(CLOSED)]);
    let report = report.unwrap();
    assert_eq!(text.unwrap(), MERGED);
    assert_eq!((report.frames, report.missing.len(), report.truncated.len()), (7, 0, 0));
}

/// The elapsed seconds of a merge of these frames, as they are written.
fn merged_onto(frames: &[(&str, &str)], timeline: Timeline) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("a.xml"), folder.path().join("log.xml"));
    let text: String = frames
        .iter()
        .map(|(timestamp, elapsed)| FRAME.replace("1.0", elapsed).replace("2025-10-18T17:34:31", timestamp))
        .collect();
    fs::write(&input, format!("<s>{text}</s>")).unwrap();
    let report = merge_onto(&[input], &output, &timeline).unwrap();
    assert_eq!(report.frames, frames.len());
    let text = fs::read_to_string(output).unwrap();
    text.split("elapsed_seconds=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[test]
fn merge_puts_frames_onto_the_time_of_a_video() {
    let first_picture = Some("2025-10-18T17:34:30.5".parse().unwrap());
    let frames = [
        ("2025-10-18T17:34:32", "0.0"),
        ("2025-10-18T17:34:31.000000", "7.0"),
        // Before the first picture, and a hair before.
        ("2025-10-18T17:34:29.500000", "8.0"),
        ("2025-10-18T17:34:30.499999", "9.0"),
    ];
    let timeline = Timeline {
        first_picture,
        offset: 0.0,
    };
    assert_eq!(merged_onto(&frames, timeline), ["-1.0", "0.0", "0.5", "1.5"]);
    let timeline = Timeline {
        first_picture,
        offset: 0.2,
    };
    assert_eq!(merged_onto(&frames, timeline), ["-0.8", "0.2", "0.7", "1.7"]);
}

#[test]
fn without_the_time_of_the_picture_merge_keeps_the_frames_own() {
    let frames = [("yesterday", "3.0"), ("2025-10-18T17:34:31", "1.0")];
    assert_eq!(
        merged_onto(
            &frames,
            Timeline {
                first_picture: None,
                offset: 0.5
            }
        ),
        ["1.5", "3.5"]
    );
    // Of two frames one has a time that nobody can read: it stays where it was.
    let first_picture = Some("2025-10-18T17:34:29".parse().unwrap());
    assert_eq!(
        merged_onto(
            &frames,
            Timeline {
                first_picture,
                offset: 0.0
            }
        ),
        ["2.0", "3.0"]
    );
}

#[test]
fn merge_keeps_what_it_does_not_know() {
    let frame = "<frame elapsed_seconds=\"1.0\" extra=\"a&#10;b\"><note lang=\"ko\">웃음 &amp; &lt;b&gt;<i />tail</note></frame>";
    let (report, _, text) = merged(&[Some(&format!("<a><other />{frame}</a>"))]);
    report.unwrap();
    assert!(
        text.unwrap()
            .ends_with(&format!("<merged_session>{frame}</merged_session>"))
    );
}

#[test]
fn merge_reports_a_missing_input_and_goes_on() {
    let (report, paths, text) = merged(&[None, Some(FACE)]);
    let report = report.unwrap();
    assert_eq!((report.frames, &report.missing), (4, &vec![paths[0].clone()]));
    assert_eq!(parse(text.unwrap()).unwrap().frames.len(), 4);
}

#[test]
fn merge_of_nothing_is_an_empty_log() {
    let (report, paths, text) = merged(&[None, None]);
    assert_eq!(report.unwrap().missing, paths);
    assert_eq!(
        text.unwrap(),
        "<?xml version='1.0' encoding='utf-8'?>\n<merged_session />"
    );
}

#[test]
fn merge_takes_what_a_truncated_input_has() {
    let cut = CLOSED.rfind("<frame").unwrap() + 10;
    let (report, paths, text) = merged(&[Some(FACE), Some(&CLOSED[..cut]), Some("")]);
    let report = report.unwrap();
    assert_eq!((report.frames, &report.truncated), (6, &paths[1..].to_vec()));
    assert!(!parse(text.unwrap()).unwrap().truncated);
}

#[test]
fn merge_refuses_what_is_no_log_and_leaves_no_output() {
    let (report, paths, text) = merged(&[Some(FACE), Some("not xml at all")]);
    assert!(report.unwrap_err().to_string().contains(paths[1].to_str().unwrap()));
    assert_eq!(text, None);
}

#[test]
fn merge_names_an_output_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    for output in [
        folder.path().to_owned(),
        folder.path().join("none/log.xml"),
        PathBuf::from("/dev/null"),
    ] {
        let error = merge(&[], &output).unwrap_err();
        assert!(
            matches!(error, MergeError::Write(_)) && error.to_string().contains(output.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn merge_may_write_over_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    fs::write(&path, FACE).unwrap();
    assert_eq!(merge(&[path.clone(), path.clone()], &path).unwrap().frames, 8);
    assert_eq!(read(&path).unwrap().root, "merged_session");
}

/// Merges and checks with a strict parser that the output is well-formed, whatever the inputs were.
fn merge_is_sound(folder: &Path, inputs: [&[u8]; 2]) {
    let paths = ["a.xml", "b.xml"].map(|name| folder.join(name));
    for (path, bytes) in paths.iter().zip(inputs) {
        fs::write(path, bytes).unwrap();
    }
    let output = folder.join("log.xml");
    if let Ok(report) = merge(&paths, &output) {
        let text = fs::read_to_string(&output).unwrap();
        let strict = roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(strict.root_element().children().count(), report.frames);
        assert!(strict.root_element().children().all(|node| node.has_tag_name("frame")));
        let elapsed = |node: roxmltree::Node<'_, '_>| {
            node.attribute("elapsed_seconds")
                .unwrap()
                .trim()
                .parse::<f64>()
                .unwrap()
        };
        assert!(strict.root_element().children().map(elapsed).is_sorted());
    }
}

/// A document with some bytes replaced, removed or put in, preferably ones that mean something in XML.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "<",
            ">",
            "&",
            "\"",
            "'",
            "/",
            "=",
            " ",
            "?>",
            "<!--",
            "]]>",
            "&#",
            ";",
            "<![CDATA[",
            "\0",
            "e9"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let edit = (any::<prop::sample::Index>(), 0..12usize, piece);
    (
        prop::sample::select(vec![SESSION, CLOSED, FACE, MERGED]),
        prop::collection::vec(edit, 0..6),
    )
        .prop_map(|(text, edits)| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, remove, insert) in edits {
                let start = at.index(bytes.len() + 1);
                let end = (start + remove).min(bytes.len());
                bytes.splice(start..end, insert);
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_documents_never_panic(bytes in mutated()) {
        if let Ok(session) = parse(&bytes) {
            prop_assert!(session.frames.iter().all(|frame| frame.elapsed_seconds.is_finite()));
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }
}

#[test]
fn merging_mutated_documents_gives_well_formed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(500));
    runner
        .run(&(mutated(), mutated()), |(a, b)| {
            merge_is_sound(folder.path(), [&a, &b]);
            Ok(())
        })
        .unwrap();
}
