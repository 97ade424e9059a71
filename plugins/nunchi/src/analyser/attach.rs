//! Attaching what was found in a frame.

use super::{AnalyticsMeta, NvdsMeta, Options};
use crate::meta::{self, landmark::Landmarks, nvds::NvdsError, roi::Region};
use nunchi_events::{AttrValue, Event};

/// An object in a frame, as it is attached.
pub struct Found {
    pub region: Region,
    pub landmarks: Landmarks,
    pub first_seen: gst::ClockTime,
}

/// Events that no frame has carried yet, each with the index of its object among those found, where it is in view.
pub type Pending = Vec<(Option<usize>, Event)>;

/// What is attached to a buffer.
pub struct Findings {
    pub objects: Vec<Found>,
    /// Whether they were found in this frame, and are not those of an earlier one.
    pub inferred: bool,
    pub events: Pending,
    pub time: gst::ClockTime,
    /// Width and height of the frame.
    pub size: (u32, u32),
}

/// Attaches all that was found. An error when DeepStream's metadata is there and could not take it.
pub fn attach(
    buffer: &mut gst::BufferRef,
    findings: Findings,
    source: &str,
    options: &Options,
    component: i32,
) -> Result<(), NvdsError> {
    let analytics = options.analytics_meta != AnalyticsMeta::Off && meta::analytics::is_available();
    let pts = buffer.pts();
    let mut regions = Vec::with_capacity(findings.objects.len());
    let mut ids = Vec::with_capacity(findings.objects.len());
    let mut landmarks = Vec::with_capacity(findings.objects.len());
    for mut found in findings.objects {
        let id = meta::roi::append(buffer, &found.region, findings.size);
        if analytics {
            meta::analytics::append(buffer, &found.region, Some(found.first_seen));
        }
        found.landmarks.object_id = id;
        ids.push(id);
        landmarks.push(found.landmarks);
        regions.push(found.region);
    }
    meta::landmark::append(buffer, &landmarks);
    let locate = |(object, mut event): (Option<usize>, Event)| {
        if let Some(index) = object {
            let [x, y, w, h] = landmarks[index].bbox;
            for (name, value) in [("x_min", x), ("y_min", y), ("x_max", x + w), ("y_max", y + h)] {
                event.attrs.insert(name.to_string(), AttrValue::Float(value));
            }
        }
        event.object_id = Some(object.map_or(-1, |index| ids[index]));
        event.source = Some(source.to_string());
        event.running_time = Some(findings.time.nseconds());
        event.pts = pts.map(gst::ClockTime::nseconds);
        event
    };
    let events: Vec<Event> = findings.events.into_iter().map(locate).collect();
    meta::event::append(buffer, events.iter().map(meta::event::to_structure));
    if options.nvds_meta == NvdsMeta::Off {
        return Ok(());
    }
    let findings = meta::nvds::Findings {
        size: findings.size,
        component,
        inferred: findings.inferred,
        regions: &regions,
        events: &events,
    };
    meta::nvds::append(buffer, &findings)
}
