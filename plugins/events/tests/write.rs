//! The writers against documents that Python's ElementTree wrote, and against folders and disks that refuse.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use nunchi_events::{
    AttrValue, Event, State,
    xml::{
        LogFrame, MAX_MESSAGE_BYTES, MAX_RESULTS_PER_FRAME, MergedWriter, OnvifFrame, OnvifWriter, SessionWriter,
        SyncPolicy, WriteError, XmlFile, read,
    },
};

const SPECIAL: &str = "tabs\tand\nlines\rand <b> & \"quotes\" 'single' ?> ]]> 웃음 😀";

fn time(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

fn start() -> NaiveDateTime {
    time("2025-10-18T17:34:26.292100")
}

/// What `tests/data/session.xml` holds.
fn append_golden_frames(log: &mut SessionWriter) {
    let tilts = [("head_tilt", "Head tilt detected (3.6)"), ("gesture", SPECIAL)];
    for (timestamp, elapsed_seconds, results) in [
        (
            "2025-10-18T17:34:30.440554",
            0.7,
            &[("body_tilt", "Body asymmetry detected (1.23, 0.98)")][..],
        ),
        ("2025-10-18T17:34:31", 0.25, &tilts),
        ("2025-10-18T17:34:32.000001", 12.35, &[("gesture", "")]),
    ] {
        log.append(&LogFrame {
            timestamp: time(timestamp),
            elapsed_seconds,
            results,
        })
        .unwrap();
    }
}

fn frame<'a>(results: &'a [(&'a str, &'a str)]) -> LogFrame<'a> {
    LogFrame {
        timestamp: start(),
        elapsed_seconds: 1.0,
        results,
    }
}

fn create(path: &Path) -> Result<SessionWriter, WriteError> {
    SessionWriter::create(path, "face_session", start(), SyncPolicy::None)
}

#[test]
fn bytes_are_those_of_elementtree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p_log.xml");
    let mut log = SessionWriter::create(&path, "pose_session", start(), SyncPolicy::EveryAppend).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), include_str!("data/empty.xml"));
    append_golden_frames(&mut log);
    assert_eq!(fs::read_to_string(&path).unwrap(), include_str!("data/session.xml"));
    assert_eq!(log.bytes(), fs::metadata(&path).unwrap().len());
    log.close(time("2025-10-18T17:35:00"), Duration::from_millis(33_708))
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), include_str!("data/closed.xml"));
}

#[test]
fn dropping_leaves_the_log_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    drop(create(&path).unwrap());
    let session = read(&path).unwrap();
    assert_eq!(
        (session.root.as_str(), session.start_time, session.end_time),
        ("face_session", Some(start()), None)
    );
    assert!(session.frames.is_empty() && !session.truncated);
}

#[test]
fn an_empty_session_can_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    create(&path)
        .unwrap()
        .close(start() + TimeDelta::milliseconds(1250), Duration::from_millis(1250))
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.ends_with("end_time=\"2025-10-18T17:34:27.542100\" duration_seconds=\"1.2\" />"),
        "{text}"
    );
}

#[test]
fn the_duration_stands_though_summer_time_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let end = start() - TimeDelta::minutes(30);
    create(&path).unwrap().close(end, Duration::from_secs(1800)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.ends_with("end_time=\"2025-10-18T17:04:26.292100\" duration_seconds=\"1800.0\" />"),
        "{text}"
    );
    assert_eq!(read(&path).unwrap().end_time, Some(end));
}

#[test]
fn a_frame_without_results_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = create(&path).unwrap();
    let before = log.bytes();
    log.append(&frame(&[])).unwrap();
    assert_eq!(log.bytes(), before);
}

#[test]
fn long_sessions_stay_whole_over_page_boundaries_and_close() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = create(&path).unwrap();
    let long = "ü".repeat(3000);
    for n in 0..500 {
        let message = if n % 50 == 7 { long.as_str() } else { "short" };
        let results = [("smile", message)];
        log.append(&LogFrame {
            elapsed_seconds: f64::from(n),
            ..frame(&results)
        })
        .unwrap();
    }
    let open = read(&path).unwrap();
    log.close(start(), Duration::ZERO).unwrap();
    let closed = read(&path).unwrap();
    assert_eq!(closed.end_time, Some(start()));
    assert_eq!(closed.frames, open.frames);
    assert_eq!(closed.frames.len(), 500);
    assert_eq!(closed.frames[57].results[0].message, long);
    roxmltree::Document::parse(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn long_messages_are_cut_at_a_character_and_many_results_split() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = create(&path).unwrap();
    log.append(&frame(&[("smile", &"€".repeat(MAX_MESSAGE_BYTES))]))
        .unwrap();
    log.append(&frame(&[("smile", &"\"".repeat(MAX_MESSAGE_BYTES))]))
        .unwrap();
    log.append(&frame(&vec![("smile", "x"); MAX_RESULTS_PER_FRAME + 1]))
        .unwrap();
    let session = read(&path).unwrap();
    assert!(!session.truncated);
    assert_eq!(session.frames[0].results[0].message, "€".repeat(MAX_MESSAGE_BYTES / 3));
    assert_eq!(session.frames[1].results[0].message.len(), MAX_MESSAGE_BYTES);
    assert_eq!(session.frames[2].results.len(), MAX_RESULTS_PER_FRAME);
    assert_eq!(
        (session.frames[3].results.len(), session.frames[3].timestamp),
        (1, session.frames[2].timestamp)
    );
}

#[test]
fn an_older_log_is_replaced_and_a_link_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("target.xml"), folder.path().join("link.xml"));
    fs::write(&target, "older").unwrap();
    symlink(&target, &link).unwrap();
    create(&link).unwrap().append(&frame(&[("smile", "x")])).unwrap();
    assert_eq!(read(&target).unwrap().frames.len(), 1);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_merged_log_has_no_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = MergedWriter::create(&path, SyncPolicy::None).unwrap();
    assert!(fs::read_to_string(&path).unwrap().ends_with("?>\n<merged_session />"));
    log.append(&frame(&[("smile", "x")])).unwrap();
    let bytes = log.bytes();
    log.close().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\n<merged_session><frame timestamp=") && text.ends_with("</frame></merged_session>"));
    assert_eq!(text.len() as u64, bytes);
}

#[test]
fn onvif_objects_have_class_likelihood_and_a_flipped_box() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = OnvifWriter::create(&path, SyncPolicy::None).unwrap();
    roxmltree::Document::parse(&fs::read_to_string(&path).unwrap()).unwrap();
    let corners = [("x_min", 0.0), ("y_min", 0.25), ("x_max", 0.5), ("y_max", 1.0)];
    let face = Event {
        confidence: Some(0.5),
        track_id: Some(7),
        attrs: BTreeMap::from(corners.map(|(name, value)| (name.to_owned(), AttrValue::Float(value)))),
        ..Event::new("smile", State::Start, "")
    };
    let boxless = Event {
        confidence: Some(f64::NAN),
        ..Event::new("<a&b>", State::Instant, "")
    };
    log.append(&OnvifFrame {
        utc: start(),
        events: &[face, boxless],
    })
    .unwrap();
    log.append(&OnvifFrame {
        utc: start(),
        events: &[],
    })
    .unwrap();
    log.close().unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let all = |name: &str| {
        document
            .descendants()
            .filter(|n| n.has_tag_name(("http://www.onvif.org/ver10/schema", name)))
            .collect::<Vec<_>>()
    };
    assert_eq!(all("Frame").len(), 1);
    assert_eq!(
        all("Frame")[0].attribute("UtcTime"),
        Some("2025-10-18T17:34:26.292100Z")
    );
    let objects = all("Object");
    assert_eq!(
        (objects[0].attribute("ObjectId"), objects[1].attribute("ObjectId")),
        (Some("7"), None)
    );
    let boxes = all("BoundingBox");
    assert_eq!(boxes.len(), 1, "the second event has no box");
    let sides =
        ["left", "top", "right", "bottom"].map(|side| boxes[0].attribute(side).unwrap().parse::<f64>().unwrap());
    assert_eq!(sides, [-1.0, 0.5, 0.0, -1.0]);
    let types = all("Type");
    assert_eq!(
        (types[0].text(), types[0].attribute("Likelihood")),
        (Some("smile"), Some("0.500"))
    );
    assert_eq!(
        (types[1].text(), types[1].attribute("Likelihood")),
        (Some("<a&b>"), None)
    );
}

#[test]
fn onvif_boxes_that_are_none_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = OnvifWriter::create(&path, SyncPolicy::None).unwrap();
    for corners in [
        [0.5, 0.0, 0.5, 1.0],
        [0.0, 1.0, 1.0, 0.0],
        [f64::NAN, 0.0, 1.0, 1.0],
        [0.0, 0.0, f64::INFINITY, 1.0],
    ] {
        let attrs = ["x_min", "y_min", "x_max", "y_max"]
            .map(str::to_owned)
            .into_iter()
            .zip(corners.map(AttrValue::Float));
        let event = Event {
            attrs: attrs.collect(),
            ..Event::new("object", State::Instant, "")
        };
        log.append(&OnvifFrame {
            utc: start(),
            events: &[event],
        })
        .unwrap();
    }
    assert!(!fs::read_to_string(&path).unwrap().contains("BoundingBox"));
}

#[track_caller]
fn message(result: Result<SessionWriter, WriteError>) -> String {
    result.err().expect("must fail").to_string()
}

#[test]
fn a_folder_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let text = message(create(folder.path()));
    assert!(
        text.contains(folder.path().to_str().unwrap()) && text.contains("not a regular file"),
        "{text}"
    );
}

#[test]
fn a_device_is_not_replaced() {
    assert!(message(create(Path::new("/dev/null"))).contains("/dev/null is not a regular file"));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_missing_folder_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/log.xml");
    let text = message(create(&path));
    assert!(
        text.contains(path.to_str().unwrap()) && text.contains("make its folder exist"),
        "{text}"
    );
}

#[test]
fn a_file_where_a_folder_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(create(&file.join("log.xml")), Err(WriteError::Folder { .. })));
}

#[test]
fn a_folder_that_refuses() {
    // Nobody, not even root, makes files in /proc.
    assert!(matches!(
        create(Path::new("/proc/log.xml")),
        Err(WriteError::Folder { .. })
    ));
}

#[test]
fn an_empty_path_and_a_name_too_long() {
    assert!(create(Path::new("")).is_err());
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        create(&folder.path().join("x".repeat(300))),
        Err(WriteError::Folder { .. })
    ));
}

#[test]
fn roots_that_are_no_plain_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let long = "r".repeat(129);
    for root in ["", "face session", "a><b", "9", "ns:root", &long] {
        let text = message(SessionWriter::create(&path, root, start(), SyncPolicy::None));
        assert!(text.contains(root), "{text}");
    }
    assert!(!path.exists());
}

#[test]
fn times_that_are_no_number_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut log = create(&path).unwrap();
    for elapsed_seconds in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let result = log.append(&LogFrame {
            elapsed_seconds,
            ..frame(&[("smile", "x")])
        });
        assert!(matches!(result, Err(WriteError::Elapsed { .. })));
    }
    assert!(read(&path).unwrap().frames.is_empty());
}

#[test]
fn markup_with_an_instruction_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let mut file = XmlFile::create(&path, "<a", " />", "</a>", SyncPolicy::None).unwrap();
    assert!(file.append("<b><?x ?></b>").is_err());
    file.append("<b />").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "<a><b /></a>");
    assert!(XmlFile::create(&path, &"<a".repeat(2000), " />", "</a>", SyncPolicy::None).is_err());
}

#[test]
fn closing_without_room_keeps_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("log.xml");
    let mut log = create(&path).unwrap();
    log.append(&frame(&[("smile", "x")])).unwrap();
    // The folder is gone from where it was, so the second copy has no place.
    let moved = folder.path().join("moved");
    fs::rename(&inner, &moved).unwrap();
    assert!(matches!(
        log.close(start(), Duration::ZERO),
        Err(WriteError::Folder { .. })
    ));
    assert_eq!(read(moved.join("log.xml")).unwrap().frames.len(), 1);
}

#[test]
fn logs_can_be_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    create(&path).unwrap();
    assert_eq!(mode(&path), mode(&plain));
    create(&path).unwrap().close(start(), Duration::ZERO).unwrap();
    assert_eq!(mode(&path), mode(&plain));
}

fn mode(path: &Path) -> Permissions {
    let permissions = fs::metadata(path).unwrap().permissions();
    Permissions::from_mode(permissions.mode() & 0o777)
}

/// A real kernel that refuses to let a file grow, as a full disk does: a shell limits the file size (in KiB) and runs this test again.
#[test]
fn a_real_limit_leaves_every_complete_frame() {
    const PATH: &str = "NUNCHI_EVENTS_LIMITED_LOG";
    if let Some(path) = std::env::var_os(PATH) {
        let mut log = create(Path::new(&path)).unwrap();
        let error = (0..10_000)
            .find_map(|n| {
                log.append(&LogFrame {
                    elapsed_seconds: f64::from(n),
                    ..frame(&[("smile", "x")])
                })
                .err()
            })
            .expect("the limit is reached");
        assert!(
            matches!(error, WriteError::Full { .. }) && error.to_string().contains("free some space"),
            "{error}"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let status = Command::new("bash")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 30; exec \"$0\" --exact a_real_limit_leaves_every_complete_frame",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(PATH, &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status} {:?}", status.signal());
    let text = fs::read_to_string(&path).unwrap();
    assert!((29 * 1024..=30 * 1024).contains(&text.len()), "{} bytes", text.len());
    roxmltree::Document::parse(&text).unwrap();
    let session = read(&path).unwrap();
    assert!(!session.truncated && session.frames.len() > 150);
    assert!(
        session
            .frames
            .iter()
            .enumerate()
            .all(|(n, frame)| frame.elapsed_seconds == n as f64)
    );
}

#[test]
fn dates_before_and_after_are_written_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xml");
    let early = NaiveDate::from_ymd_opt(1, 2, 3).unwrap().and_hms_opt(4, 5, 6).unwrap();
    SessionWriter::create(&path, "face_session", early, SyncPolicy::None).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("\"0001-02-03T04:05:06\""));
    assert_eq!(read(&path).unwrap().start_time, Some(early));
}
