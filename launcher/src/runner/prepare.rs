//! Input and output files, before the pipeline opens them: clear errors, missing folders, earlier attempts kept.

use std::path::Path;

use gst::prelude::*;

use crate::exit::{Exit, Failure};
use crate::instance::run_dir::attempt_name;
use crate::spec::read::io_reason;

/// Checks what the sources read and makes room for what the sinks write.
pub fn files(pipeline: &gst::Pipeline, attempt: u32) -> Result<(), Failure> {
    for element in super::elements(pipeline) {
        let Some(location) = location(&element) else { continue };
        if element.element_flags().contains(gst::ElementFlags::SINK) {
            output(Path::new(&location), attempt)?;
        } else if element.factory().is_some_and(|f| f.name() == "filesrc") {
            input(Path::new(&location))?;
        }
    }
    Ok(())
}

/// The file an element reads or writes, if it has such a property and it is set to a path.
pub fn location(element: &gst::Element) -> Option<String> {
    let pspec = element.find_property("location")?;
    if pspec.value_type() != gst::glib::Type::STRING || !pspec.flags().contains(gst::glib::ParamFlags::READABLE) {
        return None;
    }
    element
        .property::<Option<String>>("location")
        .filter(|l| !l.is_empty() && !l.contains("://"))
}

fn input(path: &Path) -> Result<(), Failure> {
    let fail = |why: &str| Failure::new(Exit::NoInput, format!("the input {} {why}", path.display()));
    let hint = "check the path; on the command line it is relative to the current folder";
    let meta = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => fail("does not exist").hint(hint),
        _ => fail(&format!("cannot be read: {}", io_reason(&e))),
    })?;
    if meta.is_dir() {
        return Err(fail("is a folder; give a video file"));
    }
    if meta.is_file() && meta.len() == 0 {
        return Err(fail("is empty (0 bytes)"));
    }
    // Only looks whether it opens: a named pipe would wait for its writer.
    if meta.is_file() {
        std::fs::File::open(path).map_err(|e| fail(&format!("cannot be read: {}", io_reason(&e))))?;
    }
    Ok(())
}

fn output(path: &Path, attempt: u32) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, &e))?;
    if path.is_dir() {
        return Err(Failure::new(
            Exit::CannotWrite,
            format!("cannot write {}: it is a folder", path.display()),
        ));
    }
    // What an earlier attempt wrote stays; devices and pipes are not renamed.
    if attempt > 1 && path.is_file() {
        let free = (attempt - 1..).map(|n| attempt_name(path, n)).find(|p| !p.exists());
        std::fs::rename(path, free.unwrap_or_default()).map_err(|e| cannot_write(path, &e))?;
    }
    Ok(())
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(
        Exit::CannotWrite,
        format!("cannot write to {}: {}", path.display(), io_reason(e)),
    )
    .hint("choose another run folder with --run-dir")
}
