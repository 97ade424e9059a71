//! Branches for a stream that an input may lack, linked with gst-launch's `:` (all pads that fit, none included): `in. : audioconvert ! …`.
//! Without its stream such a branch would keep the muxer behind it waiting for ever, so it is taken out of the pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

use gst::prelude::*;

/// Takes out what has no stream as soon as every element that finds streams has found its last one.
pub fn watch(pipeline: &gst::Pipeline) {
    let finders: Vec<gst::Element> = super::named(pipeline.upcast_ref())
        .into_iter()
        .filter(super::finds_streams)
        .collect();
    let left = Arc::new(AtomicUsize::new(finders.len()));
    for finder in finders {
        let (left, pipeline) = (left.clone(), pipeline.downgrade());
        let told = AtomicUsize::new(0);
        finder.connect_no_more_pads(move |_| {
            // A chained file tells it again for each of its parts.
            if told.fetch_add(1, AcqRel) == 0
                && left.fetch_sub(1, AcqRel) == 1
                && let Some(pipeline) = pipeline.upgrade()
            {
                super::named(pipeline.upcast_ref())
                    .iter()
                    .filter(|e| has_no_input(e))
                    .for_each(take_out);
            }
        });
    }
}

/// Whether an element waits for data and nothing is linked to it. What an earlier call took out is no part of a pipeline any more.
fn has_no_input(element: &gst::Element) -> bool {
    let pads = element.sink_pads();
    element.parent().is_some() && !pads.is_empty() && pads.iter().all(|p| !p.is_linked())
}

/// Removes an element and all behind it that gets its data from nowhere else.
fn take_out(element: &gst::Element) {
    let mut behind = Vec::new();
    for pad in element.src_pads() {
        let Some(peer) = pad.peer() else { continue };
        let _ = pad.unlink(&peer);
        let Some(next) = peer.parent_element() else { continue };
        if peer
            .pad_template()
            .is_some_and(|t| t.presence() == gst::PadPresence::Request)
        {
            next.release_request_pad(&peer);
            start_anew(&next, element);
        }
        behind.push(next);
    }
    element.set_locked_state(true);
    let _ = element.set_state(gst::State::Null);
    remove_empty(element);
    if let Some(bin) = element.parent().and_downcast::<gst::Bin>() {
        let _ = bin.remove(element);
    }
    // A muxer or mixer that has other inputs stays.
    behind.iter().filter(|e| has_no_input(e)).for_each(take_out);
}

/// A sink has opened its file already, in which there will never be anything.
fn remove_empty(element: &gst::Element) {
    if !element.element_flags().contains(gst::ElementFlags::SINK) {
        return;
    }
    if let Some(location) = super::prepare::location(element)
        && std::fs::metadata(&location).is_ok_and(|file| file.is_file() && file.len() == 0)
    {
        // It is of no use, and of no harm where it stays.
        let _ = std::fs::remove_file(&location);
    }
}

/// mp4mux writes an empty track, which no player takes, for every pad that it had since its start. A decodebin lets nothing
/// through before it has told that there are no more pads, so a new start loses no data. Where another source is ahead it would lose
/// that one's for good, as what feeds the muxer is told to stop, and stops: an error, and not a file that does not play. A mixer goes on.
fn start_anew(element: &gst::Element, missing: &gst::Element) {
    let has_begun = |pad: &gst::Pad| pad.sticky_event::<gst::event::Caps>(0).is_some();
    if element.sink_pads().iter().any(has_begun) {
        let is_muxer = |factory: gst::ElementFactory| factory.has_type(gst::ElementFactoryType::MUXER);
        if element.factory().is_some_and(is_muxer) {
            gst::element_error!(
                element,
                gst::LibraryError::Settings,
                (
                    "the input has no stream for the branch of {}, and {} has begun with another source: let a parameter choose the branch (pieces)",
                    missing.name(),
                    element.name()
                )
            );
        }
        return;
    }
    element.set_locked_state(true);
    let _ = element.set_state(gst::State::Ready);
    element.set_locked_state(false);
    // Where that fails the element tells it on the bus.
    let _ = element.sync_state_with_parent();
}
