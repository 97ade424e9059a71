//! Draws captions and blends them into I420 frames on one thread, and prints the frames per second.

use std::{
    env,
    error::Error,
    io::{self, Write},
    path::Path,
    time::Instant,
};

use nunchi_motiontext::{
    blend::{Format, Frame, Matrix, Plane, Range, blend},
    fonts::{FontStyle, Fonts},
    raster::Raster,
    scene::{Blend, Content, Item, Rgba, Scene, Shadow, Text, Transform},
};

const LINE: &str = "오늘도 we 우리는 walk 천천히 into 빛나는 하루";
const FRAMES: u32 = 600;

/// What moves.
#[derive(Clone, Copy)]
enum Motion {
    Nothing,
    /// A colour of its own for each letter, and a wave that runs through them.
    Bounce,
    /// The wave, and all letters grow and shrink.
    Pulse,
}

fn main() -> Result<(), Box<dyn Error>> {
    let frames = env::var("BENCH_FRAMES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(FRAMES);
    let mut out = io::stdout();
    for (name, width, height, motion, goal) in [
        ("720p per letter, colour and bounce", 1280, 720, Motion::Bounce, 500.0),
        ("720p per letter, bounce and pulse", 1280, 720, Motion::Pulse, 0.0),
        ("720p static caption", 1280, 720, Motion::Nothing, 3000.0),
        ("1080p per letter, colour and bounce", 1920, 1080, Motion::Bounce, 200.0),
        ("1080p static caption", 1920, 1080, Motion::Nothing, 0.0),
    ] {
        let (drawn, both) = measure(width, height, motion, frames)?;
        writeln!(
            out,
            "{name:<38} {both:>8.0} frames/s  ({drawn:.0} without blending){}",
            if goal > 0.0 {
                format!("  {:.1} x the goal of {goal}", both / goal)
            } else {
                String::new()
            }
        )?;
    }
    Ok(())
}

/// Frames a second: drawn only, drawn and blended.
fn measure(width: u32, height: u32, motion: Motion, frames: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let mut fonts = Fonts::new();
    fonts.add_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fonts"))?;
    let mut rates = [0.0; 2];
    for (rate, blended) in rates.iter_mut().zip([false, true]) {
        let mut raster = Raster::new(width, height);
        let mut video = video(width, height);
        let clock = Instant::now();
        for n in 0..frames {
            let time = f64::from(n) / 30.0;
            let picture = raster.draw(&scene(&mut fonts, width, height, motion, time), &fonts);
            if blended {
                let [y, u, v] = &mut video;
                let (luma, chroma) = (width as usize, width.div_ceil(2) as usize);
                let mut planes = [(y, luma), (u, chroma), (v, chroma)].map(|(data, stride)| Plane { data, stride });
                blend(
                    &picture,
                    &mut Frame {
                        format: Format::I420,
                        width: width as usize,
                        height: height as usize,
                        planes: &mut planes,
                        matrix: Matrix::Bt709,
                        range: Range::Limited,
                    },
                )?;
            }
        }
        *rate = f64::from(frames) / clock.elapsed().as_secs_f64();
    }
    Ok((rates[0], rates[1]))
}

fn video(width: u32, height: u32) -> [Vec<u8>; 3] {
    let chroma = width.div_ceil(2) as usize * height.div_ceil(2) as usize;
    [
        vec![60; width as usize * height as usize],
        vec![128; chroma],
        vec![128; chroma],
    ]
}

fn scene(fonts: &mut Fonts, width: u32, height: u32, motion: Motion, time: f64) -> Scene {
    let style = FontStyle {
        families: vec!["Nunchi Hangul".to_owned()],
        size: (height as f32 * 0.05).round(),
        weight: 400,
        italic: false,
        letter_spacing: 0.0,
    };
    let shadows: Vec<Shadow> = [2.0, 4.0, 8.0]
        .map(|blur| Shadow {
            dx: 0.0,
            dy: 0.0,
            blur,
            color: Rgba {
                a: 1.0,
                ..Rgba::default()
            },
        })
        .into();
    let whole = fonts.shape(LINE, &style);
    let mut x = (f64::from(width) - f64::from(whole.width)) / 2.0;
    let y = f64::from(height) * 0.925;
    let letters: Vec<String> = match motion {
        Motion::Nothing => LINE.split_inclusive(' ').map(str::to_owned).collect(),
        Motion::Bounce | Motion::Pulse => LINE.chars().map(String::from).collect(),
    };
    let mut items = Vec::with_capacity(letters.len());
    for (n, letter) in letters.iter().enumerate() {
        let shaped = fonts.shape(letter, &style);
        let advance = f64::from(shaped.width);
        let wave = (time * 6.0 - n as f64 * 0.35).sin();
        let (lift, scale, hue) = match motion {
            Motion::Nothing => (0.0, 1.0, 1.0),
            Motion::Bounce => (12.0 * wave, 1.0, 0.5 + 0.5 * wave),
            Motion::Pulse => (12.0 * wave, 1.0 + 0.05 * wave, 0.5 + 0.5 * wave),
        };
        items.push(Item {
            transform: Transform([scale, 0.0, x, 0.0, scale, y - lift, 0.0, 0.0, 1.0]),
            opacity: 1.0,
            blend: Blend::Normal,
            filters: Vec::new(),
            content: Content::Text(Text {
                shaped,
                color: Rgba {
                    r: 1.0,
                    g: hue as f32,
                    b: 0.3,
                    a: 1.0,
                },
                stroke: None,
                shadows: shadows.clone(),
                turns_pixels: false,
            }),
        });
        x += advance;
    }
    Scene { items }
}
