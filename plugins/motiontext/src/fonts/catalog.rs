//! Which fonts there are, by family, without reading more of each file than its names and weights.

use std::{
    cell::OnceCell,
    cmp::Ordering,
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use skrifa::{
    FontRef, MetadataProvider, Tag,
    attribute::Style,
    raw::{FileRef, TableProvider},
    string::StringId,
};

use super::{
    FontError,
    face::{Cut, Typeface},
    guarded,
};

/// All fonts that are in use together, bytes; the largest collections of Chinese, Japanese and Korean fonts have 120 MB.
pub const MAX_BYTES: usize = 256 << 20;
/// A table that is read on its own: names and character maps have less than a megabyte.
const MAX_TABLE: u32 = 4 << 20;
const MAX_FACES_IN_FILE: u32 = 256;
const MAX_FILES: usize = 20_000;
const MAX_FOLDER_DEPTH: usize = 8;

const WEIGHT_AXIS: Tag = Tag::new(b"wght");

/// Where the bytes of a font are.
#[derive(Debug, Clone)]
enum Source {
    Data(Arc<[u8]>),
    File(PathBuf),
}

/// One font of a file.
#[derive(Debug)]
pub struct Entry {
    source: Source,
    pub index: u32,
    /// In lower case, in every language that the font has.
    families: Vec<String>,
    /// The same twice but for variable fonts.
    pub weight: (f32, f32),
    /// Share of the normal width.
    width: f32,
    pub italic: bool,
    /// First and last of each stretch of characters, ascending.
    coverage: OnceCell<Vec<(u32, u32)>>,
}

/// In the order in which they were added, which is the order of preference.
#[derive(Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    /// What was read of the fonts that are in use, by entry; and their files, which several may share. `None`: it cannot be used.
    typefaces: HashMap<usize, Option<Arc<Typeface>>>,
    files: HashMap<PathBuf, Option<Arc<[u8]>>>,
    /// Addresses of what came as data; the entries hold it.
    data: HashSet<usize>,
    /// Of the files and the data.
    bytes: usize,
}

/// Why a font of the catalog cannot be used.
pub enum Unusable {
    Broken,
    /// Beyond [`MAX_BYTES`].
    TooMuch(PathBuf),
}

impl Catalog {
    pub fn get(&self, entry: usize) -> &Entry {
        &self.entries[entry]
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes more there may be.
    pub fn room(&self) -> usize {
        MAX_BYTES - self.bytes
    }

    /// What all weights and slopes of a font share, read at the first time.
    pub fn typeface(&mut self, entry: usize) -> Result<Arc<Typeface>, Unusable> {
        if let Some(known) = self.typefaces.get(&entry) {
            return known.clone().ok_or(Unusable::Broken);
        }
        let index = self.entries[entry].index;
        let read = self
            .read(entry)
            .and_then(|data| Typeface::new(data, index).map(Arc::new).ok_or(Unusable::Broken));
        self.typefaces.insert(entry, read.as_ref().ok().cloned());
        read
    }

    /// All bytes of a font's file.
    fn read(&mut self, entry: usize) -> Result<Arc<[u8]>, Unusable> {
        let path = match &self.entries[entry].source {
            Source::Data(data) => return Ok(data.clone()),
            Source::File(path) => path,
        };
        if let Some(known) = self.files.get(path) {
            return known.clone().ok_or(Unusable::Broken);
        }
        let read = read_file(path, self.room());
        self.bytes += read.as_ref().map_or(0, |data| data.len());
        self.files.insert(path.clone(), read.as_ref().ok().cloned());
        read
    }

    /// Adds the fonts of `data` under `alias` besides their own names.
    pub fn add_data(&mut self, alias: &str, data: Arc<[u8]>) -> Result<(), FontError> {
        let not_a_font = |reason: String| FontError::NotAFont {
            name: alias.to_owned(),
            reason,
        };
        let address = data.as_ptr().addr();
        let known = self.data.contains(&address);
        if !known && data.len() > self.room() {
            return Err(FontError::TooMuch(alias.to_owned()));
        }
        let file = FileRef::new(&data).map_err(|error| not_a_font(error.to_string()))?;
        let mut found = Vec::new();
        for (index, font) in (0..MAX_FACES_IN_FILE).zip(file.fonts()) {
            let font = font.map_err(|error| not_a_font(error.to_string()))?;
            let mut entry = guarded(|| Entry::describe(&font, Source::Data(data.clone()), index))
                .ok_or_else(|| not_a_font("it has no glyphs or no names".to_owned()))?;
            entry.families.push(key(alias));
            found.push(entry);
        }
        if found.is_empty() {
            return Err(not_a_font("it is an empty collection".to_owned()));
        }
        self.entries.append(&mut found);
        if !known {
            self.data.insert(address);
            self.bytes += data.len();
        }
        Ok(())
    }

    /// Adds every font below `folder`, in the order of the paths; says how many.
    pub fn add_folder(&mut self, folder: &Path) -> Result<usize, FontError> {
        let unreadable = |error| FontError::Folder(folder.to_owned(), error);
        // The first level is read here, so that a folder that is not there is an error.
        let first = fs::read_dir(folder).map_err(unreadable)?;
        let mut files = Vec::new();
        collect(first, MAX_FOLDER_DEPTH, &mut files);
        files.sort();
        let before = self.entries.len();
        for path in files {
            // A file that is no font, or a broken one, is as if it were not there.
            self.entries.extend(describe_file(&path).unwrap_or_default());
        }
        Ok(self.entries.len() - before)
    }

    /// The font of `family` that CSS Fonts 4, section 5.2, picks: width, then slope, then weight.
    pub fn find(&self, family: &str, weight: u16, italic: bool) -> Option<usize> {
        let family = key(family);
        let weight = f32::from(weight);
        let rank = |entry: &Entry| {
            (
                (entry.width - 1.0).abs(),
                entry.italic != italic,
                weight_rank(weight, entry.weight),
            )
        };
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.families.contains(&family))
            // The first of several that fit equally well.
            .min_by(|(_, a), (_, b)| rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal))
            .map(|(at, _)| at)
    }
}

impl Catalog {
    /// The font of the same families that fits weight and slope best.
    pub fn sibling(&self, entry: usize, weight: u16, italic: bool) -> Option<usize> {
        self.find(self.entries[entry].families.first()?, weight, italic)
    }
}

impl Entry {
    fn describe(font: &FontRef, source: Source, index: u32) -> Option<Self> {
        font.head().ok()?;
        let attributes = font.attributes();
        let mut families: Vec<String> = [
            StringId::TYPOGRAPHIC_FAMILY_NAME,
            StringId::FAMILY_NAME,
            StringId::WWS_FAMILY_NAME,
        ]
        .into_iter()
        .flat_map(|id| font.localized_strings(id))
        .map(|name| key(&name.chars().take(200).collect::<String>()))
        .collect();
        families.sort();
        families.dedup();
        if families.is_empty() {
            return None;
        }
        let axis = font.axes().iter().find(|axis| axis.tag() == WEIGHT_AXIS);
        let weight = attributes.weight.value();
        Some(Self {
            source,
            index,
            families,
            weight: axis.map_or((weight, weight), |axis| (axis.min_value(), axis.max_value())),
            width: attributes.stretch.ratio(),
            italic: attributes.style != Style::Normal,
            coverage: OnceCell::new(),
        })
    }

    /// Whether one of `families`, which are in lower case, is this font's.
    pub fn is_of(&self, families: &[&str]) -> bool {
        self.families.iter().any(|own| families.contains(&own.as_str()))
    }

    /// Whether the font has a glyph for the character.
    pub fn covers(&self, character: char) -> bool {
        let coverage = self
            .coverage
            .get_or_init(|| guarded(|| self.read_coverage()).unwrap_or_default());
        let code = u32::from(character);
        let after = coverage.partition_point(|&(first, _)| first <= code);
        after > 0 && code <= coverage[after - 1].1
    }

    fn read_coverage(&self) -> Option<Vec<(u32, u32)>> {
        let bytes: Arc<[u8]> = match &self.source {
            Source::Data(data) => data.clone(),
            Source::File(path) => {
                let mut file = File::open(path).ok()?;
                let offset = *face_offsets(&mut file)?.get(self.index as usize)?;
                excerpt(&mut file, offset, &[b"cmap", b"maxp", b"head"])?.into()
            }
        };
        let index = if matches!(self.source, Source::Data(_)) {
            self.index
        } else {
            0
        };
        let font = FontRef::from_index(&bytes, index).ok()?;
        let mut codes: Vec<u32> = font
            .charmap()
            .mappings()
            .take(0x11_0000)
            .filter(|(_, glyph)| glyph.to_u32() != 0)
            .map(|(code, _)| code)
            .collect();
        codes.sort_unstable();
        let mut stretches: Vec<(u32, u32)> = Vec::new();
        for code in codes {
            match stretches.last_mut() {
                Some((_, last)) if code <= last.saturating_add(1) => *last = code,
                _ => stretches.push((code, code)),
            }
        }
        Some(stretches)
    }

    /// What is drawn of it where that weight and slope are wanted.
    pub fn cut(&self, weight: u16, italic: bool) -> Cut {
        let (lightest, heaviest) = self.weight;
        let weight = f32::from(weight);
        Cut {
            weight: (heaviest > lightest).then(|| weight.clamp(lightest, heaviest).to_bits()),
            slanted: italic && !self.italic,
            // As browsers do: bold is wanted and the font is lighter by more than two steps.
            emboldened: weight >= 600.0 && weight > heaviest + 200.0,
        }
    }
}

fn read_file(path: &Path, room: usize) -> Result<Arc<[u8]>, Unusable> {
    let broken = |_| Unusable::Broken;
    let file = File::open(path).map_err(broken)?;
    let size = file.metadata().map_err(broken)?.len();
    if size > room as u64 {
        return Err(Unusable::TooMuch(path.to_owned()));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(room as u64).read_to_end(&mut bytes).map_err(broken)?;
    Ok(bytes.into())
}

/// Names of families are compared in lower case and without quotes.
pub fn key(family: &str) -> String {
    family
        .trim()
        .trim_matches(|c| c == '"' || c == '\'')
        .trim()
        .to_lowercase()
}

/// Smaller is better: inside of the range, then in the direction that CSS prefers, then in the other.
pub(super) fn weight_rank(wanted: f32, (lightest, heaviest): (f32, f32)) -> (u8, f32) {
    if wanted >= lightest && wanted <= heaviest {
        return (0, 0.0);
    }
    let lighter = heaviest < wanted;
    let distance = if lighter { wanted - heaviest } else { lightest - wanted };
    // From 400 to 500: first what lies between it and 500, then the lighter, then the heavier.
    let class = if (400.0..=500.0).contains(&wanted) {
        match (lighter, lightest <= 500.0) {
            (false, true) => 1,
            (true, _) => 2,
            (false, false) => 3,
        }
    } else if lighter == (wanted < 400.0) {
        1
    } else {
        2
    };
    (class, distance)
}

fn collect(folder: fs::ReadDir, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in folder.flatten() {
        let path = entry.path();
        // Through links too: distributions link font folders; the depth bounds circles.
        let Ok(kind) = fs::metadata(&path) else { continue };
        if kind.is_dir() && depth > 0 {
            if let Ok(inner) = fs::read_dir(&path) {
                collect(inner, depth - 1, files);
            }
        } else if kind.is_file() && has_font_name(&path) {
            files.push(path);
        }
        if files.len() >= MAX_FILES {
            return;
        }
    }
}

fn has_font_name(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            ["ttf", "otf", "ttc", "otc"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

fn describe_file(path: &Path) -> Option<Vec<Entry>> {
    let mut file = File::open(path).ok()?;
    let mut entries = Vec::new();
    for (index, offset) in (0..).zip(face_offsets(&mut file)?) {
        let bytes = excerpt(&mut file, offset, &[b"head", b"name", b"OS/2", b"post", b"fvar"])?;
        let font = FontRef::new(&bytes).ok()?;
        entries.extend(guarded(|| Entry::describe(&font, Source::File(path.to_owned()), index)));
    }
    Some(entries)
}

/// Where the table directory of each font of the file begins.
fn face_offsets(file: &mut File) -> Option<Vec<u32>> {
    let header: [u8; 12] = read_at(file, 0)?;
    if &header[..4] != b"ttcf" {
        return Some(vec![0]);
    }
    let count = be_u32(&header[8..]).min(MAX_FACES_IN_FILE);
    let mut bytes = vec![0; count as usize * 4];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes.chunks_exact(4).map(be_u32).collect())
}

/// A font file with only the named tables of the font whose directory is at `offset`.
fn excerpt(file: &mut File, offset: u32, tags: &[&[u8; 4]]) -> Option<Vec<u8>> {
    let header: [u8; 12] = read_at(file, offset)?;
    let count = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut directory = vec![0; count * 16];
    file.read_exact(&mut directory).ok()?;
    let mut records: Vec<&[u8]> = directory
        .chunks_exact(16)
        .filter(|record| tags.iter().any(|tag| tag[..] == record[..4]))
        .collect();
    records.sort();
    records.dedup_by_key(|record| &record[..4]);

    let mut out = header.to_vec();
    out[4..6].copy_from_slice(&(records.len() as u16).to_be_bytes());
    let mut tables = Vec::new();
    let start = 12 + records.len() * 16;
    for record in records {
        let length = be_u32(&record[12..]);
        if length > MAX_TABLE {
            return None;
        }
        out.extend_from_slice(&record[..8]);
        out.extend_from_slice(&((start + tables.len()) as u32).to_be_bytes());
        out.extend_from_slice(&record[12..]);
        file.seek(SeekFrom::Start(be_u32(&record[8..]).into())).ok()?;
        let before = tables.len();
        file.by_ref()
            .take(length.into())
            .read_to_end(&mut tables)
            .ok()
            .filter(|_| tables.len() - before == length as usize)?;
        tables.resize(tables.len().next_multiple_of(4), 0);
    }
    out.append(&mut tables);
    Some(out)
}

fn read_at<const N: usize>(file: &mut File, offset: u32) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(offset.into())).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Where the system keeps fonts.
pub fn system_folders() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let mut folders: Vec<PathBuf> = Vec::new();
    if cfg!(target_os = "windows") {
        folders.extend(std::env::var_os("WINDIR").map(|windows| PathBuf::from(windows).join("Fonts")));
        folders.extend(in_home("AppData/Local/Microsoft/Windows/Fonts"));
    } else if cfg!(target_os = "macos") {
        folders.extend(in_home("Library/Fonts"));
        folders.extend(["/Library/Fonts", "/System/Library/Fonts"].map(PathBuf::from));
    } else {
        folders.extend(in_home(".local/share/fonts"));
        folders.extend(in_home(".fonts"));
        folders.extend(["/usr/local/share/fonts", "/usr/share/fonts"].map(PathBuf::from));
    }
    folders
}
