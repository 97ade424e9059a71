//! Running time of buffers, also of those without a timestamp.

use gst::prelude::*;

/// Keeps one time line: a buffer without a timestamp has the time of the last one that had. The pipeline's clock stands in
/// only while no timestamp was ever seen, because a pipeline may run faster or slower than real time.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunningTime {
    last: Option<gst::ClockTime>,
}

impl RunningTime {
    /// Running time of `buffer` in `segment`; zero where nothing tells the time.
    pub fn of(
        &mut self,
        buffer: &gst::BufferRef,
        segment: &gst::Segment,
        element: &impl IsA<gst::Element>,
    ) -> gst::ClockTime {
        let stamped = buffer
            .pts()
            .or(buffer.dts())
            .and_then(|time| segment.downcast_ref::<gst::ClockTime>()?.to_running_time(time));
        self.last = stamped.or(self.last);
        self.last
            .or_else(|| element.current_running_time())
            .unwrap_or(gst::ClockTime::ZERO)
    }
}
