//! Checks a launch line word by word before GStreamer parses it: every unknown element, unknown property and bad value,
//! each with its remedy. GStreamer itself reports only the first, and clamps a value out of range without an error.

use gst::glib;
use gst::prelude::*;

use super::packages::package_of;
use crate::exit::{Exit, Failure};
use crate::ipc::Job;
use crate::spec::read::nearest;
use crate::spec::template::{UNKNOWN, assignment, unescape, without_unknown, words};

/// Every fault of a filled launch line, of the values bound to its elements, and of what it should serve.
pub fn line(line: &str, job: &Job) -> Vec<Failure> {
    let mut faults = Vec::new();
    // The element that following `property=value` words belong to; `None` after a link, caps or a reference.
    let mut current: Option<gst::Element> = None;
    for word in words(line) {
        let word = &line[word.range];
        if let Some((property, value)) = assignment(word) {
            if let Some(element) = &current
                && !property.contains("::")
                && let Err(fault) = parse_value(element, property, &unescape(value))
            {
                faults.push(fault);
            }
            continue;
        }
        current = None;
        if is_element_name(word) {
            match gst::ElementFactory::find(word) {
                Some(factory) => match factory.create().build() {
                    Ok(element) => current = Some(element),
                    Err(_) => faults.push(Failure::new(
                        Exit::Unavailable,
                        format!("the element `{word}` cannot be made: a library or device it needs is missing"),
                    )),
                },
                None => faults.push(missing_element(word)),
            }
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    match parse(&without_unknown(line)) {
        Ok(pipeline) => {
            faults.extend(unlinked(&pipeline));
            for bind in &job.binds {
                if let Err(fault) = set(&pipeline, &bind.element, &bind.property, &bind.value) {
                    let message = format!("parameter `{}`: {}", bind.param, fault.message);
                    faults.push(Failure { message, ..fault });
                }
            }
            if job.rtsp.is_some() {
                faults.extend(super::rtsp::sinks(&pipeline).err());
            }
        }
        Err(fault) => faults.push(fault),
    }
    faults
}

/// Elements none of whose pads is linked on one side: they would fail, or wait for ever. Where an element makes pads later,
/// one that has none yet may get one then.
fn unlinked(pipeline: &gst::Pipeline) -> Vec<Failure> {
    let elements = super::named(pipeline.upcast_ref());
    let later = elements.iter().any(super::finds_streams);
    let alone = |pads: Vec<gst::Pad>| !pads.is_empty() && pads.iter().all(|p| !p.is_linked());
    let fault = |element: &gst::Element, what: &str| {
        let factory = element.factory().map(|f| f.name().to_string()).unwrap_or_default();
        let message = format!("`{factory}` ({}) {what}", element.name());
        Failure::new(Exit::BadDescription, message).hint("link it with `!`")
    };
    let mut faults = Vec::new();
    for element in &elements {
        if alone(element.src_pads()) {
            faults.push(fault(element, "gives its data to nothing"));
        }
        if !later && alone(element.sink_pads()) {
            faults.push(fault(element, "gets its data from nothing"));
        }
    }
    faults
}

/// Builds the pipeline without starting anything.
pub fn parse(line: &str) -> Result<gst::Pipeline, Failure> {
    let bad = |message: String| Failure::new(Exit::BadDescription, message);
    let element = gst::parse::launch(line).map_err(|e| {
        bad(format!("the launch line is wrong: {}", e.message())).maybe_hint(e.matches(gst::ParseError::Link).then(
            || {
                "the two elements have no format in common; a converter such as videoconvert between them may help"
                    .into()
            },
        ))
    })?;
    match element.downcast::<gst::Pipeline>() {
        Ok(pipeline) => Ok(pipeline),
        Err(element) => {
            let pipeline = gst::Pipeline::new();
            pipeline
                .add(&element)
                .map_err(|e| bad(format!("the launch line is wrong: {e}")))?;
            Ok(pipeline)
        }
    }
}

/// Sets a property of a named element after checking the value against its type and range.
pub fn set(pipeline: &gst::Pipeline, element: &str, property: &str, value: &str) -> Result<(), Failure> {
    let target = pipeline.by_name(element).ok_or_else(|| {
        let names: Vec<String> = super::elements(pipeline).iter().map(|e| e.name().to_string()).collect();
        let near = nearest(element, names.iter().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
        Failure::new(
            Exit::BadDescription,
            format!("the pipeline has no element named `{element}`"),
        )
        .hint(near.unwrap_or_else(|| format!("give it name={element} in the launch line")))
    })?;
    if let Some(value) = parse_value(&target, property, value)? {
        target.set_property(property, value);
    }
    Ok(())
}

/// `decodebin`, not `t.src_0`, `video/x-raw`, `!` or `(`.
fn is_element_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn missing_element(name: &str) -> Failure {
    let factories = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::ANY, gst::Rank::NONE);
    let names: Vec<String> = factories.iter().map(|f| f.name().to_string()).collect();
    let near = nearest(name, names.iter().map(String::as_str));
    let hint = match (package_of(name), near) {
        (Some(package), _) => format!("install {package}"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => "`gst-inspect-1.0` lists the elements there are".into(),
    };
    Failure::new(Exit::Unavailable, format!("there is no element `{name}`")).hint(hint)
}

/// The value for a property, or the fault that names the property, its range and the nearest known name.
/// `None`: a kind of value that only GStreamer's parser knows how to make (an element as a property), or an unknown one.
fn parse_value(element: &gst::Element, property: &str, text: &str) -> Result<Option<glib::Value>, Failure> {
    let bad = |message: String| Failure::new(Exit::BadDescription, message);
    let factory = element.factory().map(|f| f.name().to_string()).unwrap_or_default();
    let Some(pspec) = element.find_property(property) else {
        let names: Vec<String> = element.list_properties().iter().map(|p| p.name().to_owned()).collect();
        let hint = match nearest(property, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("`gst-inspect-1.0 {factory}` lists its properties"),
        };
        return Err(bad(format!("`{factory}` has no property `{property}`")).hint(hint));
    };
    if !pspec.flags().contains(glib::ParamFlags::WRITABLE) {
        return Err(bad(format!(
            "the property `{property}` of `{factory}` can only be read"
        )));
    }
    if pspec.value_type().is_a(gst::Element::static_type()) || text.contains(UNKNOWN) {
        return Ok(None);
    }
    // As it is: GStreamer's own reading would take quotes off.
    if pspec.value_type() == glib::Type::STRING {
        return Ok(Some(text.to_value()));
    }
    let takes = || {
        format!(
            "`{property}` of `{factory}` is `{text}`, but takes {}",
            describe(&pspec)
        )
    };
    let value = glib::Value::deserialize_with_pspec(text, &pspec).map_err(|_| bad(takes()))?;
    match in_range(&pspec, &value) {
        true => Ok(Some(value)),
        false => Err(bad(takes())),
    }
}

/// Runs `$body` with the numeric specification as `$spec` and its Rust type as `$ty`; `None` for any other property.
macro_rules! numeric {
    ($pspec:expr, |$spec:ident: $ty:ident| $body:expr) => {
        numeric!(@ $pspec, $spec, $ty, $body;
            ParamSpecInt i32, ParamSpecUInt u32, ParamSpecInt64 i64, ParamSpecUInt64 u64,
            ParamSpecFloat f32, ParamSpecDouble f64)
    };
    (@ $pspec:expr, $spec:ident, $ty:ident, $body:expr; $($kind:ident $number:ident),*) => {{
        let mut out = None;
        $(if let Some($spec) = $pspec.downcast_ref::<glib::$kind>() {
            type $ty = $number;
            out = Some($body);
        })*
        out
    }};
}

fn in_range(pspec: &glib::ParamSpec, value: &glib::Value) -> bool {
    numeric!(pspec, |spec: Number| value
        .get::<Number>()
        .is_ok_and(|v| (spec.minimum()..=spec.maximum()).contains(&v)))
    .unwrap_or(true)
}

/// What a property takes, in words.
fn describe(pspec: &glib::ParamSpec) -> String {
    if let Some(range) = numeric!(pspec, |spec: Number| {
        let whole = std::any::type_name::<Number>().starts_with('f');
        let kind = if whole { "a number" } else { "a whole number" };
        format!("{kind} from {} to {}", spec.minimum(), spec.maximum())
    }) {
        return range;
    }
    let kind = pspec.value_type();
    if let Some(class) = glib::EnumClass::with_type(kind) {
        let nicks: Vec<_> = class.values().iter().map(|v| v.nick().to_owned()).collect();
        return format!("one of {}", nicks.join(", "));
    }
    match kind {
        glib::Type::BOOL => "true or false".into(),
        glib::Type::STRING => "text".into(),
        other => format!("a value of the type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::Binding;
    use crate::spec::template;
    use proptest::prelude::*;

    fn faults(text: &str) -> Vec<String> {
        gst::init().unwrap();
        line(text, &Job::default())
            .iter()
            .map(|f| format!("{} {f}", f.exit.code()))
            .collect()
    }

    #[test]
    fn sound_lines_have_no_fault() {
        for text in [
            "fakesrc num-buffers=1 ! fakesink",
            "( fakesrc ! fakesink )",
            "filesrc location=x ! decodebin ! videoconvert ! fakesink",
            "videotestsrc pattern=ball ! video/x-raw,width=64,height=48 ! tee name=t t. ! queue ! fakesink t. ! queue ! fakesink",
            "videotestsrc ! capsfilter caps=\"video/x-raw, width=64\" ! fakesink",
            "fakesrc ! ( queue ! identity ) ! fakesink",
        ] {
            assert_eq!(faults(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn each_fault_names_the_thing_and_the_remedy() {
        for (text, needles) in [
            (
                "fakesrc ! nosuchelementatall ! fakesink",
                &["69", "`nosuchelementatall`"][..],
            ),
            ("fakesrc ! fakesnk", &["69", "did you mean `fakesink`?"]),
            (
                "fakesrc num-bufers=1 ! fakesink",
                &["65", "num-bufers", "did you mean `num-buffers`?"],
            ),
            (
                "fakesrc num-buffers=many ! fakesink",
                &["65", "`many`", "from -1 to 2147483647"],
            ),
            ("fakesrc num-buffers=-2 ! fakesink", &["65", "`-2`", "from -1"]),
            ("videotestsrc pattern=nope ! fakesink", &["65", "one of smpte, snow"]),
            ("fakesrc is-live=perhaps ! fakesink", &["65", "true or false"]),
            ("fakesrc ! fakesink stats=x", &["65", "only be read"]),
            ("fakesrc ! ! fakesink", &["65", "launch line is wrong"]),
            ("fakesrc", &["65", "`fakesrc`", "gives its data to nothing"]),
            (
                "fakesrc ! fakesink fakesink name=b",
                &["65", "(b) gets its data from nothing"],
            ),
            ("fakesrc ! nope.", &["65", "launch line is wrong"]),
            (
                "audiotestsrc ! videoscale ! fakesink",
                &["65", "launch line is wrong", "videoconvert"],
            ),
        ] {
            let found = faults(text).join("|");
            assert!(needles.iter().all(|n| found.contains(n)), "{text} gave {found}");
        }
    }

    #[test]
    fn all_faults_come_at_once() {
        assert_eq!(
            faults("fakesrc a=1 b=2 ! nosuchelementatall ! fakesink sync=perhaps").len(),
            4
        );
    }

    #[test]
    fn unknown_values_leave_the_rest_to_be_checked() {
        let with = |text: &str| faults(&text.replace('?', UNKNOWN));
        assert_eq!(
            with("videotestsrc pattern=? num-buffers=? ! fakesink"),
            Vec::<String>::new()
        );
        assert!(with("videotestsrc patern=? ! fakesink")[0].contains("did you mean `pattern`?"));
    }

    #[test]
    fn bound_text_arrives_with_its_quotes() {
        gst::init().unwrap();
        let pipeline = parse("filesrc name=f ! fakesink").unwrap();
        set(&pipeline, "f", "location", "\"a\"").unwrap();
        assert_eq!(pipeline.by_name("f").unwrap().property::<String>("location"), "\"a\"");
    }

    #[test]
    fn bound_values_are_checked_against_the_property() {
        gst::init().unwrap();
        let bind = |element: &str, property: &str| {
            let value = "99999999999".into();
            let bind = Binding {
                param: "p".into(),
                element: element.into(),
                property: property.into(),
                value,
            };
            Job {
                binds: vec![bind],
                ..Job::default()
            }
        };
        for (element, property, needle) in [
            (
                "src",
                "num-buffers",
                "parameter `p`: `num-buffers` of `fakesrc` is `99999999999`",
            ),
            ("sorc", "num-buffers", "no element named `sorc`"),
            ("src", "nope", "no property `nope`"),
        ] {
            let found = line("fakesrc name=src ! fakesink", &bind(element, property));
            assert!(found[0].message.contains(needle), "{found:?}");
        }
    }

    proptest! {
        /// Whatever the user types reaches the property unchanged and adds nothing to the pipeline.
        #[test]
        fn any_value_arrives_whole_through_the_real_parser(value in "[^\\p{Cc}]{1,30}") {
            gst::init().unwrap();
            let text = template::expand("filesrc location=${x} name=f ! fakesink", |_| Ok::<_, String>(value.clone())).unwrap();
            let pipeline = parse(&text).unwrap();
            prop_assert_eq!(pipeline.children().len(), 2);
            let f = pipeline.by_name("f").unwrap();
            prop_assert_eq!(f.property::<String>("location"), value);
        }
    }
}
