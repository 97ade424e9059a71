//! The report: one file, and the pictures beside it.

use std::{fmt::Write, fs, io, path::Path};

use crate::{
    document,
    measure::{Row, Shot},
};

const HEAD: &str = "<!doctype html><meta charset=\"utf-8\"><title>MotionText: ours and the browser's</title><style>
body{font:14px sans-serif;margin:2em;background:#fff;color:#111}
table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:2px 8px;text-align:right}td:first-child,td.text{text-align:left}
img{background:#777;max-width:100%}.shots{display:grid;grid-template-columns:1fr 1fr 1fr;gap:8px;margin:4px 0 24px}
.bad{background:#fcc}.named{background:#ffc}</style>";

pub fn write(path: &Path, rows: &[Row]) -> io::Result<()> {
    let mut page = String::new();
    fill(&mut page, rows).map_err(io::Error::other)?;
    fs::write(path, page)
}

fn fill(page: &mut String, rows: &[Row]) -> std::fmt::Result {
    let failures: Vec<String> = rows.iter().flat_map(Row::failures).collect();
    writeln!(page, "{HEAD}<h1>MotionText: ours and the browser's</h1>")?;
    writeln!(page, "<p>{} scenarios, {} failures.", rows.len(), failures.len())?;
    page.push_str("<ul>");
    for failure in &failures {
        writeln!(page, "<li class=bad>{}", escaped(failure))?;
    }
    page.push_str("</ul><h2>Boxes, letters and frames</h2><table><tr><th>scenario<th>values<th>position px<th>size px<th>matrix<th>opacity<th>colour<th>amounts<th>similarity<th>document<th>note");
    for row in rows {
        let class = match (row.failures().is_empty(), row.excluded) {
            (false, _) => " class=bad",
            (true, Some(_)) => " class=named",
            (true, None) => "",
        };
        write!(page, "\n<tr{class}><td>{}", escaped(&row.name))?;
        match &row.compared {
            Some(compared) => {
                write!(page, "<td>{}", compared.values)?;
                for worst in compared.worst {
                    write!(page, "<td>{worst:.3}")?;
                }
            }
            None => page.push_str("<td><td><td><td><td><td><td>"),
        }
        let similarity = row
            .worst_similarity()
            .map_or(String::new(), |value| format!("{value:.4}"));
        let document = row.compared.as_ref().map_or(0, |compared| compared.document);
        let note = row.excluded.or(document::cause(&row.name)).unwrap_or_default();
        write!(page, "<td>{similarity}<td>{document}<td class=text>{note}")?;
    }
    page.push_str("</table><h2>Frames, the worst first</h2><p>Ours, the browser's, and four times the difference.");
    let mut shots: Vec<&Shot> = rows.iter().flat_map(|row| &row.shots).collect();
    shots.sort_by(|a, b| a.similarity.total_cmp(&b.similarity));
    for shot in shots {
        let name = escaped(&shot.name);
        write!(page, "\n<h3>{name}: {:.4}</h3><p>", shot.similarity)?;
        for note in [shot.reason, shot.change].into_iter().flatten() {
            write!(page, "{}. ", escaped(note))?;
        }
        page.push_str("<div class=shots>");
        for kind in ["ours", "theirs", "difference"] {
            write!(page, "<img loading=lazy alt={kind} src=\"{name}.{kind}.png\">")?;
        }
        page.push_str("</div>");
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
