use crate::meta;
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::base_src::CreateSuccess, subclass::prelude::*};
use nunchi_motiontext::image;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "imagefoldersrc",
        gst::DebugColorFlags::empty(),
        Some("Pictures of a folder"),
    )
});

/// What a picture is taken for by its name; its first bytes tell which it is.
const KINDS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Larger ones are passed over.
const MOST_PIXELS: usize = 1 << 26;
const MOST_BYTES: u64 = 1 << 29;
const DEFAULT_DURATION: gst::ClockTime = gst::ClockTime::SECOND;

#[derive(Debug, Clone)]
struct Settings {
    location: Option<PathBuf>,
    duration: gst::ClockTime,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            duration: DEFAULT_DURATION,
        }
    }
}

/// What the streaming thread has before it.
struct Reading {
    /// File names, in order.
    names: Vec<PathBuf>,
    folder: PathBuf,
    next: usize,
    /// Frames that were made.
    made: u64,
    /// Pictures that could not be read.
    broken: u64,
    size: Option<(u32, u32)>,
    duration: gst::ClockTime,
}

/// Of the two locks only one is held at a time, and none while a message is posted.
#[derive(Default)]
pub struct ImageFolderSrc {
    settings: Mutex<Settings>,
    reading: Mutex<Option<Reading>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// The pictures of a folder by name, digits as everything else: `frame_10` comes before `frame_2`.
fn pictures(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        let kind = name
            .extension()
            .and_then(|kind| kind.to_str())
            .map(str::to_ascii_lowercase);
        // A link counts as what it leads to.
        if kind.is_some_and(|kind| KINDS.contains(&kind.as_str())) && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<nunchi_motiontext::scene::Image, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MOST_BYTES {
        return Err(format!("it has {length} bytes, more than {MOST_BYTES}"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    image::decode(&bytes, MOST_PIXELS).map_err(|error| error.to_string())
}

#[glib::object_subclass]
impl ObjectSubclass for ImageFolderSrc {
    const NAME: &'static str = "GstNunchiImageFolderSrc";
    type Type = super::ImageFolderSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ImageFolderSrc {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_format(gst::Format::Time);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("Folder of the pictures: .jpg, .jpeg, .png and .webp, in the order of their names")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("duration")
                    .nick("Duration")
                    .blurb("How long each picture is shown, in nanoseconds")
                    .minimum(1)
                    .maximum(3_600_000_000_000)
                    .default_value(DEFAULT_DURATION.nseconds())
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("broken")
                    .nick("Broken")
                    .blurb("Pictures that could not be read since the start")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "location" => {
                let location: Option<String> = value.get().unwrap_or_default();
                settings.location = location.filter(|text| !text.is_empty()).map(PathBuf::from);
            }
            "duration" => settings.duration = gst::ClockTime::from_nseconds(value.get().unwrap_or(1)),
            name => unreachable!("property {name} is not writable"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "location" => lock(&self.settings)
                .location
                .as_ref()
                .and_then(|path| path.to_str())
                .to_value(),
            "duration" => lock(&self.settings).duration.nseconds().to_value(),
            "broken" => lock(&self.reading)
                .as_ref()
                .map_or(0, |reading| reading.broken)
                .to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }
}

impl GstObjectImpl for ImageFolderSrc {}

impl ElementImpl for ImageFolderSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Image folder source",
                "Source/File/Video",
                "Reads the pictures of a folder, of any size and kind, one frame each",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::Rgbx)
                .framerate(gst::Fraction::new(0, 1))
                .build();
            let template = gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps);
            template.into_iter().collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for ImageFolderSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let Some(folder) = settings.location else {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("no folder: set location to one with pictures")
            ));
        };
        let names = pictures(&folder).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::NotFound,
                ("the folder {} cannot be read: {error}", folder.display())
            )
        })?;
        if names.is_empty() {
            return Err(gst::error_msg!(
                gst::ResourceError::NotFound,
                (
                    "in the folder {} is no picture (.jpg, .jpeg, .png, .webp)",
                    folder.display()
                )
            ));
        }
        gst::info!(CAT, imp = self, "{} pictures", names.len());
        *lock(&self.reading) = Some(Reading {
            names,
            folder,
            next: 0,
            made: 0,
            broken: 0,
            size: None,
            duration: settings.duration,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        if let Some(reading) = lock(&self.reading).as_mut() {
            // The count of broken ones can still be read.
            reading.names.clear();
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    /// Each picture brings its caps.
    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Duration(duration) = query.view_mut()
            && duration.format() == gst::Format::Time
            && let Some(reading) = lock(&self.reading).as_ref()
        {
            let count = reading.names.len() as u64 - reading.broken.min(reading.names.len() as u64);
            duration.set(reading.duration.saturating_mul(count));
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for ImageFolderSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        loop {
            let (path, name) = {
                let mut reading = lock(&self.reading);
                let reading = reading.as_mut().ok_or(gst::FlowError::Flushing)?;
                let name = reading.names.get(reading.next).cloned().ok_or(gst::FlowError::Eos)?;
                reading.next += 1;
                (reading.folder.join(&name), name)
            };
            let picture = match read(&path) {
                Ok(picture) => picture,
                Err(why) => {
                    if let Some(reading) = lock(&self.reading).as_mut() {
                        reading.broken += 1;
                    }
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Decode,
                        ("the picture {} is passed over: {why}", path.display())
                    );
                    continue;
                }
            };
            let size = (picture.width, picture.height);
            let (changed, number, duration) = {
                let mut reading = lock(&self.reading);
                let reading = reading.as_mut().ok_or(gst::FlowError::Flushing)?;
                let number = reading.made;
                reading.made += 1;
                let before = reading.size.replace(size);
                (before != Some(size), number, reading.duration)
            };
            if changed {
                self.announce(size)?;
            }
            let mut buffer = gst::Buffer::from_mut_slice(picture.pixels);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(duration.saturating_mul(number));
                buffer.set_duration(duration);
                buffer.set_offset(number);
                meta::file::add(buffer, &name.to_string_lossy());
            }
            return Ok(CreateSuccess::NewBuffer(buffer));
        }
    }
}

impl ImageFolderSrc {
    fn announce(&self, (width, height): (u32, u32)) -> Result<(), gst::FlowError> {
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgbx, width, height)
            .fps(gst::Fraction::new(0, 1))
            .build();
        let caps = info.and_then(|info| info.to_caps());
        let caps = caps.map_err(|_| gst::FlowError::NotNegotiated)?;
        self.obj().set_caps(&caps).map_err(|_| gst::FlowError::NotNegotiated)
    }
}
