use super::{analysis::PoseAnalysis, settings::Settings};
use crate::analyser::{self, Runner};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::subclass::{base_transform::GenerateOutputSuccess, prelude::*};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("hailopose", gst::DebugColorFlags::empty(), Some("Pose analysis")));

/// No lock is held while frames go through the runner, which has its own.
#[derive(Default)]
pub struct HailoPose {
    runner: Runner<PoseAnalysis>,
    settings: Mutex<Settings>,
}

impl HailoPose {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[glib::object_subclass]
impl ObjectSubclass for HailoPose {
    const NAME: &'static str = "GstNunchiHailoPose";
    type Type = super::HailoPose;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for HailoPose {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let mut all = Settings::properties();
            all.push(analyser::stats_property());
            all
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if self.runner.is_started() && pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_READY) {
            gst::warning!(
                CAT,
                imp = self,
                "{} can be set in NULL and READY only; it stays as it is",
                pspec.name()
            );
            return;
        }
        self.settings().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let live = self.runner.property(pspec.name());
        live.unwrap_or_else(|| self.settings().get(pspec.name()))
    }
}

impl GstObjectImpl for HailoPose {}

impl ElementImpl for HailoPose {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Pose analyser",
                "Filter/Analyzer/Video",
                "Finds people and reads keypoints and posture into metadata",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(analyser::pad_templates);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            self.runner.interrupt();
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for HailoPose {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        analyser::check_analytics(&settings.options)?;
        settings.check().map_err(|error| analyser::start_error(&error))?;
        self.runner.start(self.obj().upcast_ref(), &settings)
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.runner.stop();
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "not the caps of raw video: {incaps}"))?;
        let settings = self.settings().clone();
        self.runner.set_info(self.obj().upcast_ref(), info, &settings);
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        let settings = self.settings().clone();
        self.runner.sink_event(self.obj().upcast_ref(), &event, &settings);
        self.parent_sink_event(event)
    }

    fn src_event(&self, event: gst::Event) -> bool {
        self.runner.src_event(&event);
        self.parent_src_event(event)
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        let settings = self.settings().clone();
        let forward = |query: &mut _| BaseTransformImplExt::parent_query(self, direction, query);
        self.runner.query(self.obj().upcast_ref(), query, &settings, forward)
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        // What is kept here is kept whether downstream answers or not.
        let answered = self.parent_propose_allocation(decide_query, query);
        if self.runner.propose_allocation(query) {
            return Ok(());
        }
        answered
    }

    fn generate_output(&self) -> Result<GenerateOutputSuccess, gst::FlowError> {
        let settings = self.settings().clone();
        let input = self.take_queued_buffer();
        self.runner.generate(self.obj().upcast_ref(), input, &settings)
    }
}
