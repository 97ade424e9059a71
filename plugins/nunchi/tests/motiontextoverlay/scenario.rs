//! Where scenarios come from, and what is wrong with them.

use super::*;

/// The error of the element that does not start.
fn refused(properties: &[(&str, &str)]) -> String {
    let element = element(properties);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err(), "{properties:?}");
    let errors: Vec<String> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]))
        .map(|message| match message.view() {
            gst::MessageView::Error(error) => error.error().to_string(),
            _ => unreachable!("filtered"),
        })
        .collect();
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

fn list(element: &gst::Element) -> Vec<String> {
    let list = element.property::<gst::Array>("warnings");
    list.iter().map(|text| text.get().unwrap()).collect()
}

#[test]
fn a_scenario_is_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "한글 이름.json", scenario("Hi"));
    let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
    assert!(o.is_drawn(ms(2000)));
    assert_eq!(o.warnings(), Vec::<String>::new());
}

#[test]
fn without_a_scenario_frames_pass() {
    let mut o = Overlay::new(&[], &rgb());
    let buffer = frame(&rgb(), ms(2000));
    let out = o.draw(buffer.clone());
    assert_eq!(out.as_ptr(), buffer.as_ptr());
}

#[test]
fn a_missing_file_is_named() {
    let error = refused(&[("location", "/nowhere/at/all.json")]);
    assert!(
        error.contains("/nowhere/at/all.json") && error.contains("No such file"),
        "{error}"
    );
}

#[test]
fn folders_pipes_and_devices_are_no_scenarios() {
    for path in ["/", "/dev/zero", "/proc/self/fd"] {
        let error = refused(&[("location", path)]);
        assert!(error.contains("is not a file"), "{error}");
    }
}

#[test]
fn broken_scenarios_are_refused_with_the_place() {
    let deep = "[".repeat(10_000);
    let cases: [(&str, &str); 7] = [
        ("not json", "not JSON"),
        ("[1, 2]", "JSON object"),
        (r#"{"version": "9.9"}"#, "Unsupported scenario version: 9.9"),
        (r#"{"version": "2.0"}"#, "timebase"),
        (&deep, "not JSON"),
        (
            r#"{"version": "2.0", "timebase": {"unit": "seconds"}, "stage": {"baseAspect": "16:9"}, "tracks": [], "define": {"a": "define.b", "b": "define.a"}, "cues": []}"#,
            "define",
        ),
        (
            r#"{"version": "2.0", "timebase": {"unit": "frames"}, "stage": {"baseAspect": "16:9"}, "tracks": [], "cues": []}"#,
            "unit",
        ),
    ];
    for (json, expected) in cases {
        let error = refused(&[("scenario", json)]);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn two_sources_are_a_conflict() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", scenario("Hi"));
    let error = refused(&[("location", path.to_str().unwrap()), ("scenario", &scenario("Hi"))]);
    assert!(error.contains("location") && error.contains("scenario"), "{error}");
}

#[test]
fn a_missing_folder_of_fonts_is_named() {
    let error = refused(&[("scenario", &scenario("Hi")), ("fonts-dir", "/nowhere/fonts")]);
    assert!(error.contains("/nowhere/fonts"), "{error}");
}

#[test]
fn another_scenario_counts_from_the_next_frame_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.json", scenario("Hi").replace("[1, 3]", "[5, 6]"));
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    assert!(o.is_drawn(ms(2000)));
    let narrow = o.changed(ms(2033)).unwrap();
    o.element.set_property("scenario", scenario("Hi there"));
    let wide = o.changed(ms(2066)).unwrap();
    assert!(wide[2] - wide[0] > narrow[2] - narrow[0], "{narrow:?} {wide:?}");
    // A file takes the place of the text.
    o.element.set_property("location", path.to_str().unwrap());
    assert_eq!(o.element.property::<Option<String>>("scenario"), None);
    assert!(!o.is_drawn(ms(2100)));
    assert!(o.is_drawn(ms(5500)));
    o.element.set_property("location", None::<String>);
    assert!(!o.is_drawn(ms(5533)));
    assert_eq!(o.warnings(), Vec::<String>::new());
}

#[test]
fn a_broken_change_costs_a_warning_and_the_old_one_stays() {
    let mut o = Overlay::new(&[("scenario", &scenario("Hi"))], &rgb());
    o.element.set_property("scenario", "{");
    assert!(o.is_drawn(ms(2000)));
    o.element.set_property("location", "/nowhere/at/all.json");
    assert!(o.is_drawn(ms(2033)));
    o.element.set_property("fonts-dir", "/nowhere/fonts");
    assert!(o.is_drawn(ms(2066)));
    let warnings = o.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings[0].contains("not JSON") && warnings[0].contains("stays"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("/nowhere/at/all.json"), "{warnings:?}");
}

#[test]
fn profile_and_offsets_can_be_changed_while_playing() {
    // In one profile the boundaries count from start and end, in the other both from the start.
    let text = scenario("Hi").replace(
        r#""displayTime""#,
        r#""pluginChain": [{"name": "fadeIn", "timeOffset": ["0%", "50%"]}], "displayTime""#,
    );
    let mut o = Overlay::new(&[("scenario", &text)], &rgb());
    let preview = bytes(&o.draw(frame(&rgb(), ms(2000))));
    o.element.set_property_from_str("profile", "document");
    let document = bytes(&o.draw(frame(&rgb(), ms(2000))));
    assert_ne!(preview, document);
    o.element.set_property_from_str("offset-mode", "boundary");
    let boundary = bytes(&o.draw(frame(&rgb(), ms(2000))));
    assert_ne!(document, boundary);
    o.element.set_property_from_str("profile", "preview");
    o.element.set_property_from_str("offset-mode", "start");
    assert_ne!(bytes(&o.draw(frame(&rgb(), ms(2000)))), preview);
    assert_eq!(o.element.property_value("offset-mode").serialize().unwrap(), "start");
}

#[test]
fn a_reference_height_scales_lengths_in_pixels() {
    let text = scenario("Hi").replace(
        r#""displayTime""#,
        r#""style": {"fontFamily": "Nunchi Sans", "fontSize": "8px"}, "displayTime""#,
    );
    let height = |o: &mut Overlay| {
        let [_, top, _, bottom] = o.changed(ms(2000)).unwrap();
        bottom - top
    };
    let info = info(VideoFormat::Rgb, 128, 64);
    let mut o = Overlay::new(&[("scenario", &text)], &info);
    let plain = height(&mut o);
    o.element.set_property("reference-height", 16.0);
    let scaled = height(&mut o);
    assert!(scaled > plain * 2, "{plain} {scaled}");
}

#[test]
fn warnings_are_on_the_bus_and_in_the_property() {
    let text = scenario("Hi").replace(
        r#""displayTime""#,
        r#""pluginChain": [{"name": "nosuch@2.0.0"}], "displayTime""#,
    );
    let mut o = Overlay::new(&[("scenario", &text)], &rgb());
    assert!(o.is_drawn(ms(2000)));
    let message = o.bus.pop_filtered(&[gst::MessageType::Warning]).unwrap();
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!("filtered")
    };
    let details = warning.details().unwrap();
    assert_eq!(details.name(), "motiontext-warnings");
    let texts = details.get::<gst::Array>("warnings").unwrap();
    assert_eq!(texts.len(), 1);
    let text = texts[0].get::<String>().unwrap();
    assert!(text.contains("nosuch") && text.contains("pluginChain[0]"), "{text}");
    assert!(warning.error().to_string().contains("nosuch"));
    assert_eq!(list(&o.element), [text]);
    // Those of another scenario take their place.
    o.element.set_property("scenario", scenario("Hi"));
    assert_eq!(list(&o.element), Vec::<String>::new());
}

#[test]
fn missing_fonts_and_characters_are_told_once() {
    let text = scenario("Hi \u{10FFFE}").replace("Nunchi Sans", "No Such Family");
    let mut o = Overlay::new(&[("scenario", &text)], &rgb());
    for time in [500, 1500, 1533, 2000] {
        o.draw(frame(&rgb(), ms(time)));
    }
    let warnings = o.warnings().join("\n");
    assert_eq!(warnings.matches("No Such Family").count(), 1, "{warnings}");
    assert_eq!(warnings.matches("U+10FFFE").count(), 1, "{warnings}");
    assert!(warnings.contains("fonts-dir"), "{warnings}");
    assert_eq!(list(&o.element).len(), 2);
}

fn with_image(src: &str) -> String {
    with_root(&format!(
        r#"{{"id": "g", "eType": "group", "displayTime": [1, 3], "children": [
            {{"id": "i", "eType": "image", "src": "{src}", "layout": {{"position": {{"x": 0.5, "y": 0.5}}, "anchor": "cc", "size": {{"width": 0.5, "height": 0.5}}}}}}]}}"#
    ))
}

#[test]
fn a_picture_beside_the_scenario_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("art")).unwrap();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../motiontext/tests/images");
    std::fs::copy(images.join("plain.jpg"), dir.path().join("art/plain.jpg")).unwrap();
    let path = write(dir.path(), "a.json", with_image("art/plain.jpg"));
    let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
    assert!(o.is_drawn(ms(2000)));
    assert_eq!(o.warnings(), Vec::<String>::new());
}

#[test]
fn a_video_node_shows_its_first_picture_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/sample.mp4");
    std::fs::copy(clip, dir.path().join("clip.mp4")).unwrap();
    let path = write(dir.path(), "a.json", with_image("clip.mp4").replace("image", "video"));
    let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
    assert!(o.is_drawn(ms(2000)), "{:?}", o.warnings());
    let warnings = o.warnings().join("\n");
    assert!(warnings.contains("still"), "{warnings}");
    assert!(!warnings.contains("cannot show"), "{warnings}");
}

#[test]
fn what_is_no_video_costs_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "clip.mp4", "no video");
    let path = write(dir.path(), "a.json", with_image("clip.mp4").replace("image", "video"));
    let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
    assert!(!o.is_drawn(ms(2000)));
    let warnings = o.warnings().join("\n");
    assert!(
        warnings.contains("cannot show") && warnings.contains("clip.mp4"),
        "{warnings}"
    );
}

/// What a video node of that file shows is told in the warnings of the property.
fn warned_of_video(dir: &Path, name: &str) -> (bool, String) {
    let path = write(dir, "a.json", with_image(name).replace("image", "video"));
    let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
    let drawn = o.is_drawn(ms(2000));
    (drawn, list(&o.element).join("\n"))
}

#[test]
fn a_video_that_is_a_list_of_addresses_fetches_nothing() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let base = format!("http://{}", server.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/sample.mp4");
    let lists = [
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{base}/a.ts\n#EXT-X-ENDLIST\n"),
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{}\n#EXT-X-ENDLIST\n",
            clip.display()
        ),
        format!(
            r#"<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S" minBufferTime="PT1S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{base}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"#
        ),
        format!(
            r#"<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2" MinorVersion="0" Duration="40000000"><StreamIndex Type="video" Url="{base}/q({{bitrate}})/f({{start time}})" Chunks="1" QualityLevels="1"><QualityLevel Index="0" Bitrate="1" FourCC="H264" MaxWidth="64" MaxHeight="32" CodecPrivateData="00"/><c d="40000000"/></StreamIndex></SmoothStreamingMedia>"#
        ),
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{base}\nm=video 4000 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        ),
        format!("{base}/a.mp4\n"),
    ];
    for content in &lists {
        write(dir.path(), "clip.mp4", content);
        let (drawn, warnings) = warned_of_video(dir.path(), "clip.mp4");
        assert!(!drawn && warnings.contains("cannot show"), "{content}: {warnings}");
        assert_eq!(
            server.accept().map(|_| ()).map_err(|error| error.kind()),
            Err(std::io::ErrorKind::WouldBlock),
            "{content}"
        );
    }
    write(dir.path(), "clip.mp4", &lists[0]);
    let (_, warnings) = warned_of_video(dir.path(), "clip.mp4");
    assert!(warnings.contains("no video file"), "{warnings}");
}

/// Opening it would wait for a writer for ever.
#[test]
fn a_video_that_is_a_pipe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("clip.mp4"))
        .status()
        .unwrap();
    assert!(made.success());
    let (drawn, warnings) = warned_of_video(dir.path(), "clip.mp4");
    assert!(!drawn && warnings.contains("it is not a file"), "{warnings}");
}

#[test]
fn pictures_from_elsewhere_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../motiontext/tests/images");
    std::fs::copy(images.join("plain.jpg"), outside.path().join("secret.jpg")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.jpg"), dir.path().join("link.jpg")).unwrap();
    let absolute = outside.path().join("secret.jpg");
    for src in [
        "../secret.jpg",
        "link.jpg",
        absolute.to_str().unwrap(),
        "http://127.0.0.1:9/a.png",
        "file:///etc/passwd",
        "missing.png",
    ] {
        let path = write(dir.path(), "a.json", with_image(src));
        let mut o = Overlay::new(&[("location", path.to_str().unwrap())], &rgb());
        assert!(!o.is_drawn(ms(2000)), "{src}");
        assert_eq!(list(&o.element).len(), 1, "{src}: {:?}", list(&o.element));
    }
    // A scenario that is a text has no folder at all.
    let o = Overlay::new(&[("scenario", &with_image("plain.jpg"))], &rgb());
    assert!(list(&o.element)[0].contains("no folder"), "{:?}", list(&o.element));
}

#[test]
fn every_property_reads_back_what_was_set() {
    let element = element(&[
        ("location", "/a/b.json"),
        ("profile", "document"),
        ("offset-mode", "start"),
        ("reference-height", "720"),
        ("time-base", "running-time"),
        ("time-offset", "-5"),
        ("wait-scenario", "false"),
    ]);
    let text = |name| element.property_value(name).serialize().unwrap().to_string();
    assert_eq!(element.property::<String>("location"), "/a/b.json");
    assert_eq!(
        ["profile", "offset-mode", "time-base", "time-offset"].map(text),
        ["document", "start", "running-time", "-5"]
    );
    assert_eq!(element.property::<f64>("reference-height"), 720.0);
    assert!(!element.property::<bool>("wait-scenario"));
    assert_eq!(element.property::<Option<String>>("scenario"), None);
    element.set_property("location", "");
    assert_eq!(element.property::<Option<String>>("location"), None);
}
