//! What the element measures, tells, and does about it.

use std::time::{Duration, Instant};

use gst::{prelude::*, subclass::prelude::*};

use super::CAT;
use super::backlog::Bounds;
use super::encoders;
use super::imp::{NvencSink, lock};
use super::stats;
use super::streams::{Dropped, Kind, Limits};

/// How often the memory of the process is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

impl NvencSink {
    pub(super) fn count_encoded(&self, encoder: &gst::Element) {
        let Some(pad) = encoder.static_pad("src") else { return };
        let sink = self.obj().downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(sink), Some(buffer)) = (sink.upgrade(), info.buffer()) {
                lock(&sink.imp().stats).left(buffer.size(), Instant::now());
            }
            gst::PadProbeReturn::Ok
        });
    }

    pub(super) fn limits(&self) -> Limits {
        let (bounds, policy, limit) = {
            let settings = lock(&self.settings);
            let bounds = Bounds {
                buffers: settings.max_buffers as usize,
                bytes: usize::try_from(settings.max_bytes).unwrap_or(usize::MAX),
            };
            (bounds, settings.drop_policy, u64::from(settings.memory_limit))
        };
        Limits {
            bounds,
            policy,
            pressed: limit > 0 && self.resident_mb() > limit,
        }
    }

    pub(super) fn resident_mb(&self) -> u64 {
        let mut memory = lock(&self.memory);
        let now = Instant::now();
        if memory
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= MEMORY_INTERVAL)
        {
            memory.looked = Some(now);
            memory.resident_mb = stats::resident_mb();
        }
        memory.resident_mb
    }

    pub(super) fn passing(&self, level: f64) {
        let now = Instant::now();
        lock(&self.stats).entered(now);
        let (adaptive, interval) = {
            let settings = lock(&self.settings);
            (settings.adaptive, settings.stats_interval)
        };
        if adaptive {
            let share = lock(&self.adaptive).observe(level, now);
            if let Some(share) = share {
                self.spend(share);
            }
        }
        if !interval.is_zero() {
            let due = {
                let mut run = lock(&self.run);
                let last = *run.told.get_or_insert(now);
                let due = now.duration_since(last) >= Duration::from(interval);
                if due {
                    run.told = Some(now);
                }
                due
            };
            if due {
                self.post_stats();
            }
        }
    }

    /// That share of the bitrate.
    pub(super) fn spend(&self, share: f64) {
        let target = lock(&self.chain)
            .as_ref()
            .map(|chain| (chain.encoder.clone(), chain.family, chain.wanted.bitrate));
        let Some((encoder, family, bitrate)) = target else {
            return;
        };
        let bitrate = (f64::from(bitrate) * share).max(1.0) as u32;
        let taken = encoders::set_bitrate(&encoder, family, bitrate);
        gst::info!(CAT, imp = self, "{bitrate} kbit/s, taken: {taken}");
        let structure = gst::Structure::builder("nunchi-encode-adapted")
            .field("bitrate", bitrate)
            .build();
        self.post(structure);
    }

    pub(super) fn counts(&self) -> (u64, u64) {
        let dropped = self.video.imp().dropped();
        (lock(&self.stats).processed, dropped)
    }

    pub(super) fn post_stats(&self) {
        let (processed, dropped) = self.counts();
        let (bytes, fps, latency) = {
            let mut stats = lock(&self.stats);
            (stats.bytes, stats.fps(Instant::now()), stats.latency())
        };
        let structure = gst::Structure::builder("nunchi-encode-stats")
            .field("processed-frames", processed)
            .field("dropped-frames", dropped)
            .field("drop-rate", stats::drop_rate(processed, dropped))
            .field("encoded-bytes", bytes)
            .field("queue-level", self.video.imp().waiting())
            .field("encode-fps", fps)
            .field("memory-peak-mb", stats::peak_mb())
            .field("latency", u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX))
            .build();
        self.post(structure);
    }

    pub(super) fn dropped(&self, drop: Dropped) {
        let (processed, dropped) = self.counts();
        gst::debug!(CAT, imp = self, "{} frames dropped at {}", drop.frames, drop.at);
        let mut message = gst::message::Qos::builder(true)
            .src(&*self.obj())
            .running_time(drop.at)
            .timestamp(drop.at)
            .stats(
                gst::format::Buffers::from_u64(processed),
                gst::format::Buffers::from_u64(dropped),
            );
        if let Some(duration) = drop.duration {
            message = message.duration(duration);
        }
        let _ = self.obj().post_message(message.build());
        let overflow = gst::event::Qos::new(gst::QOSType::Overflow, 2.0, gst::ClockTimeDiff::from(1_u8), drop.at);
        self.video.imp().sinkpad().push_event(overflow);
        if drop.first {
            gst::element_imp_warning!(
                self,
                gst::CoreError::Clock,
                ("frames come faster than they can be encoded, and are dropped: {dropped} so far. Fewer or smaller frames, preset=ultrafast or adaptive=true help")
            );
        }
    }

    pub(super) fn went_back(&self, kind: Kind, at: gst::ClockTime) {
        let first = !std::mem::replace(&mut lock(&self.run).warned_back, true);
        if first {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                (
                    "the times of the {} went back; in the file they go on, from {at}",
                    if kind == Kind::Video { "video" } else { "sound" }
                )
            );
        }
    }
}
