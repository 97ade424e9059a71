use super::{analysis::SsdAnalysis, settings::Settings};
use crate::analyser::{self, Runner};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;
use gst_base::subclass::{base_transform::GenerateOutputSuccess, prelude::*};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::thread::JoinHandle;

static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("cudassd", gst::DebugColorFlags::empty(), Some("Object detection")));

/// No lock is held while frames go through the runner, which has its own.
#[derive(Default)]
pub struct CudaSsd {
    runner: Runner<SsdAnalysis>,
    settings: Mutex<Settings>,
    watcher: Mutex<Option<Watcher>>,
}

/// Looks after frames whose batch nobody fills.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl CudaSsd {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Has frames go on whose batch is not full in time, also while none follow.
    fn watch(&self) -> Result<(), gst::ErrorMessage> {
        let Some(watch) = self.runner.with_analysis(SsdAnalysis::watch) else {
            return Ok(());
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (element, stopped) = (self.obj().downgrade(), stop.clone());
        let work = move || {
            while !stopped.load(Ordering::Relaxed) {
                let Some(some) = watch.wait() else { return };
                let Some(element) = element.upgrade().filter(|_| some) else {
                    continue;
                };
                // As if a frame came: in turn with those that do.
                let base: &gst_base::BaseTransform = element.upcast_ref();
                let pad = base.sink_pad().clone();
                let _turn = pad.stream_lock();
                let this = element.imp();
                let settings = this.settings().clone();
                this.runner.push_complete(base, &settings);
            }
        };
        let thread = std::thread::Builder::new().name("cudassd-batch".to_owned()).spawn(work);
        let thread =
            thread.map_err(|error| gst::error_msg!(gst::ResourceError::Failed, ("no thread for batches: {error}")))?;
        *self.watcher.lock().unwrap_or_else(|e| e.into_inner()) = Some(Watcher { stop, thread });
        Ok(())
    }
}

#[glib::object_subclass]
impl ObjectSubclass for CudaSsd {
    const NAME: &'static str = "GstNunchiCudaSsd";
    type Type = super::CudaSsd;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for CudaSsd {
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

impl GstObjectImpl for CudaSsd {}

impl ElementImpl for CudaSsd {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Object detector",
                "Filter/Analyzer/Video",
                "Finds objects with SSD networks into metadata, several frames at once",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(analyser::pad_templates_with_cuda);
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToReady {
            self.runner.interrupt();
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for CudaSsd {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        analyser::check_analytics(&settings.options)?;
        settings.check().map_err(|error| analyser::start_error(&error))?;
        self.runner.start(self.obj().upcast_ref(), &settings)?;
        if settings.batch_size > 1 {
            return self.watch();
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let watcher = self.watcher.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(watcher) = watcher {
            watcher.stop.store(true, Ordering::Relaxed);
            // The last reference to the element may be its own.
            if watcher.thread.thread().id() != std::thread::current().id() {
                // A panic in it was told where it happened.
                let _ = watcher.thread.join();
            }
        }
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
