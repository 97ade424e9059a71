//! `make oracle`: all scenarios that were measured in a browser, in both profiles, and all frames, as tables and side by side.
//!
//! Writes OUT/index.html with pictures beside it and the tables of the page DOC, and ends with 1 where a bound is broken.
#![allow(clippy::print_stdout)]

#[path = "../../tests/compare/mod.rs"]
mod compare;

mod document;
mod html;
mod measure;
mod page;

use std::{env, error::Error, path::Path, process::ExitCode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [out, page] = arguments.as_slice() else {
        return Err("usage: oracle OUT DOC".into());
    };
    let out = Path::new(out);
    let rows = measure::all(out)?;
    let failures: Vec<String> = rows.iter().flat_map(measure::Row::failures).collect();
    html::write(&out.join("index.html"), &rows)?;
    page::write(Path::new(page), &rows)?;
    println!("{} and {page} are written", out.join("index.html").display());
    for failure in &failures {
        println!("FAILED {failure}");
    }
    println!("{} scenarios, {} failures", rows.len(), failures.len());
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}
