//! The tables of the documentation.

use std::{error::Error, fmt::Write, fs, path::Path};

use crate::{document, measure::Row};

const START: &str = "<!-- Between these lines `make oracle` writes. -->\n";
const END: &str = "<!-- End of what `make oracle` writes. -->\n";

/// Puts them between the two marks of the page.
pub fn write(path: &Path, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts = page
        .split_once(START)
        .and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts.ok_or_else(|| format!("{}: no marks to write between", path.display()))?;
    fs::write(path, format!("{head}{START}{}{END}{tail}", tables(rows)?))?;
    Ok(())
}

fn tables(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let held = rows.iter().filter(|row| row.excluded.is_none());
    let passed = held.clone().filter(|row| row.failures().is_empty()).count();
    let shots: Vec<_> = rows.iter().flat_map(|row| &row.shots).collect();
    let alike = shots
        .iter()
        .filter(|shot| shot.reason.is_none() && shot.similarity >= shot.bound)
        .count();
    writeln!(
        text,
        "\n{} scenarios, {passed} of {} within every bound, {} excluded. {} frames, {alike} of which reach 0.97 over black, grey and white.\n",
        rows.len(),
        held.count(),
        rows.iter().filter(|row| row.excluded.is_some()).count(),
        shots.len(),
    )?;
    writeln!(
        text,
        "| scenario | values | position, px | size, px | matrix | opacity | colour | similarity | `document` | why |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    )?;
    for row in rows {
        let Some(compared) = &row.compared else {
            writeln!(
                text,
                "| {} | | | | | | | | | excluded: {} |",
                row.name,
                row.excluded.unwrap_or("nothing was measured")
            )?;
            continue;
        };
        write!(text, "| {} | {} |", row.name, compared.values)?;
        let [position, size, matrix, opacity, colour, _] = compared.worst;
        write!(
            text,
            " {position:.2} | {size:.2} | {matrix:.4} | {opacity:.4} | {colour:.0} |"
        )?;
        let similarity = row
            .worst_similarity()
            .map_or(String::new(), |value| format!("{value:.3}"));
        let cause = document::cause(&row.name).unwrap_or_default();
        let why = row
            .excluded
            .map_or(cause.to_owned(), |reason| format!("excluded: {reason}"));
        writeln!(text, " {similarity} | {} | {why} |", compared.document)?;
    }
    writeln!(text, "\n| frame | similarity | must reach | why |\n|---|---:|---:|---|")?;
    for shot in shots
        .iter()
        .filter(|shot| shot.reason.is_some() || shot.change.is_some())
    {
        let why: Vec<&str> = [
            shot.reason,
            shot.change.map(|_| "drawn from a changed document:"),
            shot.change,
        ]
        .into_iter()
        .flatten()
        .collect();
        writeln!(
            text,
            "| {} | {:.4} | {} | {} |",
            shot.name,
            shot.similarity,
            shot.bound,
            why.join(" ")
        )?;
    }
    text.push('\n');
    Ok(text)
}
