//! What the tables are made of.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::Path,
};

use nunchi_motiontext::{Profile, scene::Image};

use crate::{
    compare::{
        boxes::{self, Comparison, FIELDS},
        corpus::{data, fonts, is_excluded, names, scenario_as_shown},
        frames::{self, ENOUGH, Golden, bound, goldens, similarities},
        similarity::Region,
    },
    document,
};

/// One scenario.
pub struct Row {
    pub name: String,
    /// Why it is not held to the bounds.
    pub excluded: Option<&'static str>,
    /// None where the browser showed nothing.
    pub compared: Option<Compared>,
    pub shots: Vec<Shot>,
}

pub struct Compared {
    pub values: usize,
    pub worst: [f64; FIELDS],
    /// Of the profile preview.
    pub differences: Vec<String>,
    /// Of the profile document, but for boxes of groups.
    pub document: usize,
}

/// One frame; its pictures lie beside the report.
pub struct Shot {
    pub name: String,
    pub similarity: f64,
    pub bound: f64,
    /// Why it need not be more.
    pub reason: Option<&'static str>,
    /// How the document was changed for it.
    pub change: Option<&'static str>,
}

impl Row {
    /// What is worse than it may be, or better than its exception says.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(compared) = &self.compared {
            if self.excluded.is_none() {
                failures.extend(compared.differences.iter().map(|text| format!("{}: {text}", self.name)));
            }
            if (compared.document > 0) != document::cause(&self.name).is_some() {
                failures.push(format!(
                    "{}: {} differences of the profile document, and the cause {:?}",
                    self.name,
                    compared.document,
                    document::cause(&self.name)
                ));
            }
        }
        for shot in &self.shots {
            let enough = shot.similarity >= shot.bound;
            if !enough {
                failures.push(format!(
                    "{}: similarity {:.4} of {}",
                    shot.name, shot.similarity, shot.bound
                ));
            } else if shot.reason.is_some() && shot.similarity >= ENOUGH {
                failures.push(format!(
                    "{}: similarity {:.4} needs no exception",
                    shot.name, shot.similarity
                ));
            }
        }
        failures
    }

    pub fn worst_similarity(&self) -> Option<f64> {
        self.shots.iter().map(|shot| shot.similarity).reduce(f64::min)
    }
}

/// All scenarios in order, and the pictures of their frames in `out`.
pub fn all(out: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    fs::create_dir_all(out)?;
    let mut fonts = fonts();
    let (names, goldens) = (names(), goldens());
    let mut rows = Vec::new();
    for (at, name) in names.iter().enumerate() {
        progress(at, names.len(), name)?;
        let excluded = is_excluded(name);
        let measured = data(name);
        let shown = measured["samples"]
            .as_array()
            .is_some_and(|samples| !samples.is_empty());
        let compared = shown.then(|| {
            let mut of = |profile| boxes::compare(name, profile, &mut fonts);
            let Comparison {
                values,
                worst,
                differences,
            } = of(Profile::Preview);
            let group = |text: &&String| !text.contains(" group ");
            Compared {
                values,
                worst,
                differences,
                document: of(Profile::Document).differences.iter().filter(group).count(),
            }
        });
        let mut shots = Vec::new();
        for golden in goldens.iter().filter(|golden| golden.scenario == *name) {
            let (scenario, change) = scenario_as_shown(name, &measured);
            let ours = frames::draw(&scenario, golden.t, &mut fonts);
            shots.push(shot(golden, &ours, change, out)?);
        }
        rows.push(Row {
            name: name.clone(),
            excluded,
            compared,
            shots,
        });
    }
    progress(names.len(), names.len(), "done")?;
    Ok(rows)
}

fn progress(at: usize, all: usize, name: &str) -> io::Result<()> {
    let mut out = io::stdout();
    if out.is_terminal() {
        write!(
            out,
            "\r\x1b[K{:3} % {name}{}",
            at * 100 / all,
            if at == all { "\n" } else { "" }
        )?;
    } else if at.is_multiple_of(20) || at == all {
        writeln!(out, "{:3} % {name}", at * 100 / all)?;
    }
    out.flush()
}

fn shot(golden: &Golden, ours: &Image, change: Option<&'static str>, out: &Path) -> Result<Shot, Box<dyn Error>> {
    let theirs = golden.read();
    if let Some(region) = Region::touched(ours, &theirs) {
        let pictures = [
            ("ours", ours),
            ("theirs", &theirs),
            ("difference", &difference(ours, &theirs)),
        ];
        for (kind, picture) in pictures {
            write_png(&out.join(format!("{}.{kind}.png", golden.name)), picture, &region)?;
        }
    }
    let (bound, reason) = bound(&golden.name);
    Ok(Shot {
        name: golden.name.clone(),
        similarity: similarities(ours, &theirs).into_iter().fold(1.0, f64::min),
        bound,
        reason,
        change,
    })
}

/// Four times as strong, over black.
fn difference(a: &Image, b: &Image) -> Image {
    let mut pixels = Vec::with_capacity(a.pixels.len());
    for (a, b) in a.pixels.chunks_exact(4).zip(b.pixels.chunks_exact(4)) {
        let off = |c: usize| {
            let over = |p: &[u8]| i32::from(p[c]) * i32::from(p[3]) / 255;
            // Where there is only a shadow there is a difference too.
            let color = (over(a) - over(b)).abs().max((i32::from(a[3]) - i32::from(b[3])).abs());
            (color * 4).min(255) as u8
        };
        pixels.extend([off(0), off(1), off(2), 255]);
    }
    Image { pixels, ..a.clone() }
}

fn write_png(path: &Path, image: &Image, region: &Region) -> Result<(), Box<dyn Error>> {
    let [width, height] = [region.x, region.y].map(|[from, to]| to - from);
    let row = |y: usize| {
        let start = (y * image.width as usize + region.x[0]) * 4;
        &image.pixels[start..start + width * 4]
    };
    let pixels: Vec<u8> = (region.y[0]..region.y[1]).flat_map(row).copied().collect();
    let mut encoder = png::Encoder::new(io::BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}
