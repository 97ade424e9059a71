//! `nunchi motiontext frame`: a scenario at one time, or at several as a strip, as a PNG.

use std::io::BufWriter;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use nunchi_motiontext::player::Stage;
use nunchi_motiontext::raster::Picture;

use super::{failure, open, spares};
use crate::cli::MotionTextFrameArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spec::read::io_reason;

/// Between the pictures of a strip, and around what is cropped, pixels.
const GAP: u32 = 4;
const MARGIN: u32 = 8;
/// A strip has no more.
const MAX_PIXELS: u64 = 1 << 28;
/// Squares of the checker.
const CHECK: u32 = 8;

/// When to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MomentArg {
    Seconds(f64),
    /// Of the length of the scenario, 0..=1.
    Share(f64),
}

impl FromStr for MomentArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let moment = match text.strip_suffix('%') {
            Some(share) => number(share).filter(|n| *n <= 100.0).map(|n| Self::Share(n / 100.0)),
            None => match text.rsplit_once(':') {
                Some((minutes, seconds)) => number(minutes)
                    .zip(number(seconds))
                    .map(|(minutes, seconds)| Self::Seconds(minutes * 60.0 + seconds)),
                None => number(text).map(Self::Seconds),
            },
        };
        moment.ok_or_else(|| "a time is seconds (3.2), minutes:seconds (1:02.5) or a share (50%)".to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    None,
    Checker,
    Colour([u8; 3]),
}

impl FromStr for Background {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self::None),
            "checker" => return Ok(Self::Checker),
            _ => {}
        }
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(|colour| {
                let [_, r, g, b] = colour.to_be_bytes();
                Self::Colour([r, g, b])
            })
            .ok_or_else(|| "a background is none, checker or #rrggbb".to_owned())
    }
}

pub fn run(args: &MotionTextFrameArgs) -> Exit {
    match draw(args) {
        Ok(text) => {
            output::print(&text);
            Exit::Ok
        }
        Err(failure) => {
            output::error(&failure);
            failure.exit
        }
    }
}

fn draw(args: &MotionTextFrameArgs) -> Result<String, Failure> {
    spares(&args.out, &[&args.file])?;
    let (mut player, warnings) = open(&args.file, &args.options).map_err(|error| failure(&error))?;
    let (width, height) = args.size;
    let stage = Stage {
        width,
        height,
        pixel_aspect: 1.0,
    };
    let columns = args.columns.unwrap_or(args.at.len()).clamp(1, args.at.len());
    // Before they are drawn, as all are kept until it is known what to crop to.
    Sheet::size(args.at.len(), columns, args.size)?;
    let life = player.scenario().lifetime();
    let times = args.at.iter().map(|moment| match (*moment, life) {
        (MomentArg::Seconds(time), _) => Ok(time),
        (MomentArg::Share(share), Some(life)) if life.start.is_finite() && life.end.is_finite() => {
            Ok(life.start + share * (life.end - life.start))
        }
        (MomentArg::Share(_), _) => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} has no end, so a share of its length is no time",
                args.file.display()
            ),
        )
        .hint("give seconds")),
    });
    let pictures = times
        .map(|time| Ok(player.picture(time?, stage)))
        .collect::<Result<Vec<Arc<Picture>>, Failure>>()?;
    for warning in warnings.into_iter().chain(player.missing()) {
        output::note(format_args!("warning: {}: {warning}", args.file.display()));
    }
    let window = if args.crop {
        touched(&pictures, args.size)
    } else {
        [0, 0, width, height]
    };
    let sheet = Sheet::new(&pictures, window, columns, args.background)?;
    write(&args.out, &sheet).map_err(|reason| {
        Failure::new(
            Exit::CannotWrite,
            format!("cannot write {}: {reason}", args.out.display()),
        )
    })?;
    Ok(format!(
        "{}: {} x {} pixels\n",
        args.out.display(),
        sheet.width,
        sheet.height
    ))
}

/// The part of the stage on which anything is drawn, with a margin: left, top, width, height. All of it where nothing is.
fn touched(pictures: &[Arc<Picture>], (width, height): (u32, u32)) -> [u32; 4] {
    let tiles = pictures.iter().flat_map(|picture| &picture.tiles);
    let edges = tiles.map(|t| [t.x(), t.y(), t.x() + t.width(), t.y() + t.height()]);
    let all = edges.reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
    let Some([left, top, right, bottom]) = all else {
        return [0, 0, width, height];
    };
    let (left, top) = (left.saturating_sub(MARGIN), top.saturating_sub(MARGIN));
    [
        left,
        top,
        (right + MARGIN).min(width) - left,
        (bottom + MARGIN).min(height) - top,
    ]
}

/// Pictures in rows, R, G, B and straight alpha.
struct Sheet {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Sheet {
    /// Of so many pictures in rows, if it is not too large.
    fn size(count: usize, columns: usize, (width, height): (u32, u32)) -> Result<(u32, u32), Failure> {
        let side = |count: usize, one: u32| count as u64 * u64::from(one + GAP) - u64::from(GAP);
        let (wide, tall) = (side(columns, width), side(count.div_ceil(columns), height));
        if wide.saturating_mul(tall) > MAX_PIXELS {
            return Err(Failure::new(
                Exit::Usage,
                format!("{wide} x {tall} pixels are too many for one picture"),
            )
            .hint("take fewer times or a smaller --size"));
        }
        // Neither side is longer than all pixels.
        Ok((wide as u32, tall as u32))
    }

    fn new(
        pictures: &[Arc<Picture>],
        [left, top, width, height]: [u32; 4],
        columns: usize,
        background: Background,
    ) -> Result<Self, Failure> {
        let (wide, tall) = Self::size(pictures.len(), columns, (width, height))?;
        let mut sheet = Self {
            width: wide,
            height: tall,
            pixels: vec![0; wide as usize * tall as usize * 4],
        };
        for (n, picture) in pictures.iter().enumerate() {
            let (x, y) = (
                (n % columns) as u32 * (width + GAP),
                (n / columns) as u32 * (height + GAP),
            );
            let whole = picture.to_rgba();
            for row in 0..height {
                let from = ((top + row) as usize * picture.width as usize + left as usize) * 4;
                let to = ((y + row) as usize * sheet.width as usize + x as usize) * 4;
                let out = &mut sheet.pixels[to..to + width as usize * 4];
                out.copy_from_slice(&whole[from..from + width as usize * 4]);
                for (column, pixel) in out.chunks_exact_mut(4).enumerate() {
                    lay_on(pixel, background, column as u32, row);
                }
            }
        }
        Ok(sheet)
    }
}

fn lay_on(pixel: &mut [u8], background: Background, x: u32, y: u32) {
    let below = match background {
        Background::None => return,
        Background::Colour(colour) => colour,
        Background::Checker if (x / CHECK + y / CHECK).is_multiple_of(2) => [0x66; 3],
        Background::Checker => [0x99; 3],
    };
    let alpha = u32::from(pixel[3]);
    for (over, below) in pixel.iter_mut().zip(below) {
        *over = ((u32::from(*over) * alpha + u32::from(below) * (255 - alpha) + 127) / 255) as u8;
    }
    pixel[3] = 255;
}

/// Beside it and renamed, so that nobody sees half of it.
fn write(path: &Path, sheet: &Sheet) -> Result<(), String> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    let part = Path::new(&part);
    // Never one that was there, nor through a link.
    let file = std::fs::File::create_new(part).map_err(|e| io_reason(&e))?;
    let written = encode(file, sheet).and_then(|()| std::fs::rename(part, path).map_err(|e| io_reason(&e)));
    if written.is_err() {
        // What cannot be removed does no harm.
        let _ = std::fs::remove_file(part);
    }
    written
}

fn encode(file: std::fs::File, sheet: &Sheet) -> Result<(), String> {
    let mut encoder = png::Encoder::new(BufWriter::new(file), sheet.width, sheet.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().map_err(|e| e.to_string())?;
    writer.write_image_data(&sheet.pixels).map_err(|e| e.to_string())?;
    writer.finish().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_ways() {
        let read = |text: &str| text.parse::<MomentArg>();
        assert_eq!(read("3.2"), Ok(MomentArg::Seconds(3.2)));
        assert_eq!(read("1:02.5"), Ok(MomentArg::Seconds(62.5)));
        assert_eq!(read("50%"), Ok(MomentArg::Share(0.5)));
        for wrong in ["", "-1", "NaN", "inf", "101%", "1:2:3", "x", "1:-2", "1e999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn backgrounds_are_read() {
        assert_eq!("none".parse(), Ok(Background::None));
        assert_eq!("#0a0B0c".parse(), Ok(Background::Colour([10, 11, 12])));
        for wrong in ["", "black", "#123", "#12345g", "123456", "#+12345"] {
            assert!(wrong.parse::<Background>().is_err(), "{wrong}");
        }
    }
}
