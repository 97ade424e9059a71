//! The properties of the element.

use gst::{glib, prelude::*};
use nunchi_motiontext as motiontext;
use std::path::PathBuf;
use std::sync::LazyLock;

const MAX_REFERENCE_HEIGHT: f64 = 16_384.0;

/// What to follow where the existing renderer and the written specification differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiMotionTextProfile")]
pub enum Profile {
    #[default]
    #[enum_value(name = "What authors see in their editor", nick = "preview")]
    Preview,
    #[enum_value(name = "What the written specification says", nick = "document")]
    Document,
}

/// What the two bounds of an effect's `timeOffset` count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiMotionTextOffsetMode")]
pub enum OffsetMode {
    #[default]
    #[enum_value(name = "As the profile has it", nick = "auto")]
    Auto,
    #[enum_value(name = "The first from the start, the second from the end", nick = "boundary")]
    Boundary,
    #[enum_value(name = "Both from the start", nick = "start")]
    Start,
}

/// What the times of a scenario are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiMotionTextTimeBase")]
pub enum TimeBase {
    #[default]
    #[enum_value(name = "The position in the media, which a seek changes", nick = "stream-time")]
    StreamTime,
    #[enum_value(name = "The time that the pipeline has been playing", nick = "running-time")]
    RunningTime,
}

#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub location: Option<PathBuf>,
    pub scenario: Option<String>,
    pub fonts_dir: Option<PathBuf>,
    pub profile: Profile,
    pub offset_mode: OffsetMode,
    pub reference_height: f64,
    pub time_base: TimeBase,
    /// ns
    pub time_offset: i64,
    /// Never to wait for the scenarios of the request pad.
    pub impatient: bool,
}

impl Settings {
    /// How scenarios are read.
    pub fn options(&self) -> motiontext::Options {
        motiontext::Options {
            profile: match self.profile {
                Profile::Preview => motiontext::Profile::Preview,
                Profile::Document => motiontext::Profile::Document,
            },
            offset_mode: match self.offset_mode {
                OffsetMode::Auto => motiontext::OffsetMode::Auto,
                OffsetMode::Boundary => motiontext::OffsetMode::Boundary,
                OffsetMode::Start => motiontext::OffsetMode::Start,
            },
            reference_height: self.reference_height,
            ..motiontext::Options::default()
        }
    }

    /// Sets the property, whose type and range GObject has checked. Whether there is one of that name.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "location" => self.location = text(value).map(PathBuf::from),
            "scenario" => self.scenario = text(value),
            "fonts-dir" => self.fonts_dir = text(value).map(PathBuf::from),
            "profile" => self.profile = value.get().unwrap_or_default(),
            "offset-mode" => self.offset_mode = value.get().unwrap_or_default(),
            "reference-height" => self.reference_height = value.get().unwrap_or_default(),
            "time-base" => self.time_base = value.get().unwrap_or_default(),
            "time-offset" => self.time_offset = value.get().unwrap_or_default(),
            "wait-scenario" => self.impatient = !value.get().unwrap_or(true),
            _ => return false,
        }
        true
    }

    pub fn get(&self, name: &str) -> Option<glib::Value> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value();
        Some(match name {
            "location" => path(&self.location),
            "scenario" => self.scenario.to_value(),
            "fonts-dir" => path(&self.fonts_dir),
            "profile" => self.profile.to_value(),
            "offset-mode" => self.offset_mode.to_value(),
            "reference-height" => self.reference_height.to_value(),
            "time-base" => self.time_base.to_value(),
            "time-offset" => self.time_offset.to_value(),
            "wait-scenario" => (!self.impatient).to_value(),
            _ => return None,
        })
    }
}

fn text(value: &glib::Value) -> Option<String> {
    value
        .get::<Option<String>>()
        .ok()
        .flatten()
        .filter(|text| !text.is_empty())
}

pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        vec![
            glib::ParamSpecString::builder("location")
                .nick("Location")
                .blurb("File of the scenario; its pictures and fonts lie beside it or below")
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("scenario")
                .nick("Scenario")
                .blurb("The scenario itself, as JSON; it has no pictures and fonts of its own")
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("fonts-dir")
                .nick("Folder of fonts")
                .blurb("Fonts in this folder and below are preferred to the system's")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("profile", Profile::default())
                .nick("Profile")
                .blurb("What to follow where the existing renderer and the written specification differ")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("offset-mode", OffsetMode::default())
                .nick("Offset mode")
                .blurb("What the two bounds of an effect's timeOffset count from")
                .mutable_playing()
                .build(),
            glib::ParamSpecDouble::builder("reference-height")
                .nick("Reference height")
                .blurb("Lengths in px are those of a stage of this height and scale with it (0 = they are pixels of the video)")
                .minimum(0.0)
                .maximum(MAX_REFERENCE_HEIGHT)
                .default_value(0.0)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("time-base", TimeBase::default())
                .nick("Time base")
                .blurb("What the times of the scenario are compared with")
                .mutable_playing()
                .build(),
            glib::ParamSpecInt64::builder("time-offset")
                .nick("Time offset")
                .blurb("The scenario begins at this time; a positive one shows everything later (ns)")
                .default_value(0)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("wait-scenario")
                .nick("Wait for scenarios")
                .blurb("Whether frames wait until the scenarios of the request pad have come to their time, unless one of both is live")
                .default_value(true)
                .mutable_playing()
                .build(),
            gst::ParamSpecArray::builder("warnings")
                .nick("Warnings")
                .blurb("What is shown differently than the author of the scenario may think, so far")
                .element_spec(
                    &glib::ParamSpecString::builder("warning")
                        .nick("Warning")
                        .blurb("Place in the scenario, and what about it")
                        .build(),
                )
                .read_only()
                .build(),
        ]
    });
    &PROPERTIES
}
