//! DeepStream's metadata as an application sees it: the library's own functions, and fields by their offsets. Nothing of
//! the bridge's own declarations is used, so that a mistake in them shows.
#![allow(dead_code, reason = "each test file uses its part")]

use super::common::{event, init, ms};
use gst::glib;
use gstnunchi::meta::{
    nvds::{Bridge, Findings, NvdsError},
    roi::Region,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nunchi_events::{Event, State};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::PathBuf;

type Pointer = *mut u8;

pub const FRAME: (u32, u32) = (640, 480);
pub const COMPONENT: i32 = 6801;

/// A folder of build products: `target/release/deps/test` lies below it.
pub fn target(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().join(name)
}

/// A version of the library, and what differs in it.
pub struct Kit {
    pub library: Library,
    pub bridge: Bridge,
    /// Offset of `obj_label`.
    pub label: usize,
    /// Offset of `text_params.display_text`.
    pub text: usize,
    /// `NVDS_CUSTOM_MSG_BLOB`.
    pub message: i32,
}

impl Kit {
    pub fn open(folder: &std::path::Path, label: usize, text: usize, message: i32) -> Self {
        init();
        // SAFETY: the library under test.
        let library = unsafe { Library::open(Some(folder.join("libnvdsgst_meta.so")), RTLD_NOW | RTLD_LOCAL) }
            .unwrap_or_else(|e| panic!("{e}: tools/fetch-nvidia.sh fetches it"));
        Self {
            library,
            bridge: Bridge::open_in(folder).unwrap(),
            label,
            text,
            message,
        }
    }

    fn function<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the callers give the types of the headers.
        unsafe { *self.library.get::<T>(name.as_bytes()).unwrap() }
    }

    fn on_batch(&self, name: &str, batch: Pointer) -> Pointer {
        // SAFETY: functions that take a batch and return an element.
        unsafe { self.function::<unsafe extern "C" fn(Pointer) -> Pointer>(name)(batch) }
    }

    pub fn lock(&self, batch: &Batch) {
        self.on_batch("nvds_acquire_meta_lock", batch.0);
    }

    pub fn unlock(&self, batch: &Batch) {
        self.on_batch("nvds_release_meta_lock", batch.0);
    }

    pub fn create(&self, frames: u32) -> Batch {
        // SAFETY: the type of the header.
        let batch =
            unsafe { self.function::<unsafe extern "C" fn(c_uint) -> Pointer>("nvds_create_batch_meta")(frames) };
        // The muxer's part, without which copying crashes: max_frames_in_batch.
        put(batch, 40, frames);
        Batch(batch)
    }

    pub fn destroy(&self, batch: Batch) {
        // SAFETY: the type of the header; the batch is used no more.
        unsafe { self.function::<unsafe extern "C" fn(Pointer) -> c_int>("nvds_destroy_batch_meta")(batch.0) };
    }

    /// Adds a frame as nvstreammux does.
    pub fn add_frame(&self, batch: &Batch, batch_id: u32, pipeline: (u32, u32)) -> Frame {
        let frame = self.on_batch("nvds_acquire_frame_meta_from_pool", batch.0);
        put(frame, 44, batch_id);
        put(frame, 80, 1920u32);
        put(frame, 84, 1080u32);
        put(frame, 160, pipeline.0);
        put(frame, 164, pipeline.1);
        let add = self.function::<unsafe extern "C" fn(Pointer, Pointer)>("nvds_add_frame_meta_to_batch");
        // SAFETY: a frame of the batch.
        unsafe { add(batch.0, frame) };
        Frame(frame)
    }

    /// Attaches a batch, which the buffer then owns where `owned`, and which lives elsewhere where not.
    pub fn attach(&self, buffer: &mut gst::BufferRef, batch: &Batch, owned: bool) {
        type Function = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
        type Add = unsafe extern "C" fn(
            *mut gst::ffi::GstBuffer,
            Pointer,
            *mut c_void,
            Option<Function>,
            Option<Function>,
        ) -> Pointer;
        let part = |name| owned.then(|| self.function::<Function>(name));
        let (copy, release) = (part("nvds_batch_meta_copy_func"), part("nvds_batch_meta_release_func"));
        // SAFETY: the types of the header.
        let meta = unsafe {
            self.function::<Add>("gst_buffer_add_nvds_meta")(
                buffer.as_mut_ptr(),
                batch.0,
                std::ptr::null_mut(),
                copy,
                release,
            )
        };
        // NVDS_BATCH_GST_META
        put(meta, 32, 4097);
    }

    /// A buffer with a batch of one frame as large as ours.
    pub fn buffer(&self) -> gst::Buffer {
        let batch = self.create(1);
        self.add_frame(&batch, 0, FRAME);
        self.owning(batch)
    }

    pub fn owning(&self, batch: Batch) -> gst::Buffer {
        let mut buffer = gst::Buffer::with_size(16).unwrap();
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_pts(ms(40));
            self.attach(buffer, &batch, true);
        }
        buffer
    }

    pub fn batch_of(&self, buffer: &gst::BufferRef) -> Option<Batch> {
        let get = self
            .function::<unsafe extern "C" fn(*const gst::ffi::GstBuffer) -> Pointer>("gst_buffer_get_nvds_batch_meta");
        // SAFETY: a buffer.
        let batch = unsafe { get(buffer.as_ptr()) };
        (!batch.is_null()).then_some(Batch(batch))
    }

    pub fn frames(&self, buffer: &gst::BufferRef) -> Vec<Frame> {
        let batch = self.batch_of(buffer).unwrap();
        list(take(batch.0, 96)).into_iter().map(Frame).collect()
    }

    /// The objects of a frame, the newest first.
    pub fn objects(&self, frame: &Frame) -> Vec<Object> {
        let objects = list(take(frame.0, 104));
        assert_eq!(objects.len() as u32, take::<u32>(frame.0, 96), "num_obj_meta");
        objects
            .into_iter()
            .map(|o| Object {
                component: take(o, 48),
                class: take(o, 52),
                id: take(o, 56),
                detector_box: take(o, 64),
                confidence: take(o, 96),
                rect: take(o, 104),
                border_width: take(o, 120),
                label: string(o.wrapping_add(self.label).cast()),
                text: string(take(o, self.text)),
                text_at: (take(o, self.text + 8), take(o, self.text + 12)),
            })
            .collect()
    }

    /// The custom messages of a frame in the order in which they were added.
    pub fn messages(&self, frame: &Frame) -> Vec<serde_json::Value> {
        let mut messages: Vec<_> = list(take(frame.0, 120))
            .into_iter()
            .filter(|user| take::<i32>(*user, 8) == self.message)
            .map(|user| {
                let info = take::<Pointer>(user, 40);
                let (text, size) = (take::<Pointer>(info, 0), take::<u32>(info, 8) as usize);
                // SAFETY: what the message says of itself.
                let bytes = unsafe { std::slice::from_raw_parts(text, size + 1) };
                assert_eq!(bytes[size], 0);
                serde_json::from_slice(&bytes[..size]).unwrap()
            })
            .collect();
        messages.reverse();
        messages
    }

    pub fn append(&self, buffer: &mut gst::Buffer, regions: &[Region], events: &[Event]) -> Result<(), NvdsError> {
        let findings = Findings {
            size: FRAME,
            component: COMPONENT,
            // Regions without a look at the picture are those of an earlier one; here those that come with events alone.
            inferred: !regions.is_empty(),
            regions,
            events,
        };
        self.bridge.append(buffer.get_mut().unwrap(), &findings)
    }
}

#[derive(Clone, Copy)]
pub struct Batch(pub Pointer);
// SAFETY: the library locks; the tests that share one say how long it lives.
unsafe impl Send for Batch {}
// SAFETY: as above.
unsafe impl Sync for Batch {}

impl Batch {
    /// The pool of frames (0), objects (1) or user metadata (4).
    pub fn set_element_size(&self, pool: usize, size: u32) -> u32 {
        let pool = take::<Pointer>(self.0, 48 + 8 * pool);
        let before = take(pool, 8);
        put(pool, 8, size);
        before
    }

    pub fn set_meta_type(&self, meta_type: i32) {
        put(self.0, 8, meta_type);
    }

    pub fn set_num_frames(&self, count: u32) {
        put(self.0, 44, count);
    }

    /// Makes the list of frames end in its own beginning, or end.
    pub fn tie(&self, tied: bool) {
        let first = take::<*mut glib::ffi::GList>(self.0, 96);
        // SAFETY: the list has a link; the last one is the second where there are two.
        unsafe {
            let last = if (*first).next.is_null() || (*first).next == first {
                first
            } else {
                (*first).next
            };
            (*last).next = if tied { first } else { std::ptr::null_mut() };
        }
    }
}

pub struct Frame(pub Pointer);

impl Frame {
    pub fn batch_id(&self) -> u32 {
        take(self.0, 44)
    }
    pub fn inferred(&self) -> i32 {
        take(self.0, 100)
    }
}

#[derive(Debug, PartialEq)]
pub struct Object {
    pub component: i32,
    pub class: i32,
    pub id: u64,
    pub detector_box: [f32; 4],
    pub confidence: f32,
    pub rect: [f32; 4],
    pub border_width: u32,
    pub label: Vec<u8>,
    pub text: Vec<u8>,
    pub text_at: (u32, u32),
}

fn take<T: Copy>(from: Pointer, offset: usize) -> T {
    // SAFETY: the offsets are those of the headers.
    unsafe { from.add(offset).cast::<T>().read() }
}

fn put<T>(to: Pointer, offset: usize, value: T) {
    // SAFETY: as above.
    unsafe { to.add(offset).cast::<T>().write(value) }
}

fn string(text: *const c_char) -> Vec<u8> {
    // SAFETY: a string of the library.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_bytes().to_vec()
}

fn list(mut link: *mut glib::ffi::GList) -> Vec<Pointer> {
    let mut all = Vec::new();
    while !link.is_null() {
        // SAFETY: a link of a list that ends.
        unsafe {
            all.push((*link).data.cast());
            link = (*link).next;
        }
    }
    all
}

pub fn region(rect: (u32, u32, u32, u32), track_id: u64) -> Region {
    Region {
        label: "face",
        rect,
        confidence: 0.75,
        label_id: 2,
        track_id,
        attributes: Vec::new(),
    }
}

/// What both versions must do.
pub mod checks {
    use super::*;

    pub fn objects_come_back_as_they_went(kit: &Kit) {
        let mut buffer = kit.buffer();
        let regions = [region((64, 48, 128, 96), 7), region((0, 0, 640, 480), u64::MAX)];
        kit.append(&mut buffer, &regions, &[]).unwrap();
        let frames = kit.frames(&buffer);
        let objects = kit.objects(&frames[0]);
        let expected = |rect: [f32; 4], id, text_at| Object {
            component: COMPONENT,
            class: 2,
            id,
            detector_box: rect,
            confidence: 0.75,
            rect,
            border_width: 3,
            label: b"face".to_vec(),
            text: b"face".to_vec(),
            text_at,
        };
        // The library puts the newest first.
        assert_eq!(
            objects,
            [
                expected([0.0, 0.0, 640.0, 480.0], u64::MAX, (0, 0)),
                expected([64.0, 48.0, 128.0, 96.0], 7, (64, 48))
            ]
        );
        assert_eq!(frames[0].inferred(), 1);
    }

    pub fn events_come_back_as_json(kit: &Kit) {
        let mut buffer = kit.buffer();
        let mut smile = event("smile", State::Start);
        smile.label = "미소 \"\\".into();
        smile.value = Some(0.5);
        let events = [smile, event("presence", State::End)];
        kit.append(&mut buffer, &[], &events).unwrap();
        let frames = kit.frames(&buffer);
        let messages = kit.messages(&frames[0]);
        assert_eq!(messages.len(), 2);
        for (message, event) in messages.iter().zip(&events) {
            assert_eq!(message["version"], 1);
            assert_eq!(&serde_json::from_value::<Event>(message.clone()).unwrap(), event);
        }
        assert_eq!(frames[0].inferred(), 0, "no object was looked for");
    }

    pub fn producers_append(kit: &Kit) {
        let mut buffer = kit.buffer();
        for id in 0..3 {
            let events = [event("smile", State::Start)];
            kit.append(&mut buffer, &[region((1, 1, 2, 2), id)], &events).unwrap();
        }
        let frame = &kit.frames(&buffer)[0];
        assert_eq!(kit.objects(frame).iter().map(|o| o.id).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(kit.messages(frame).len(), 3);
    }

    pub fn boxes_are_in_pixels_of_the_muxer(kit: &Kit) {
        // Twice as wide and thrice as high as our frame; and without scaling in the muxer: 1920x1080 of the source.
        for (pipeline, rect) in [
            ((1280, 1440), [20.0, 60.0, 60.0, 120.0]),
            ((0, 0), [30.0, 45.0, 90.0, 90.0]),
        ] {
            let batch = kit.create(1);
            kit.add_frame(&batch, 0, pipeline);
            let mut buffer = kit.owning(batch);
            kit.append(&mut buffer, &[region((10, 20, 30, 40), 1)], &[]).unwrap();
            assert_eq!(kit.objects(&kit.frames(&buffer)[0])[0].rect, rect, "{pipeline:?}");
        }
    }

    pub fn a_copy_of_the_buffer_has_copies(kit: &Kit) {
        let mut buffer = kit.buffer();
        let events = [event("smile", State::Start), event("presence", State::Start)];
        kit.append(&mut buffer, &[region((1, 2, 3, 4), 9)], &events).unwrap();
        let mut copy = buffer.copy();
        let read = |buffer: &gst::Buffer| {
            let frame = &kit.frames(buffer)[0];
            let mut messages: Vec<_> = kit.messages(frame).iter().map(ToString::to_string).collect();
            messages.sort();
            (kit.objects(frame), messages)
        };
        let before = read(&buffer);
        assert_eq!(before.1.len(), 2);
        assert_eq!(read(&copy), before);
        assert_ne!(kit.batch_of(&copy).unwrap().0, kit.batch_of(&buffer).unwrap().0);
        drop(buffer);
        assert_eq!(read(&copy), before, "the copy must not point into the original");
        kit.append(&mut copy, &[], &events[..1]).unwrap();
        let second = copy.copy();
        drop(copy);
        assert_eq!(read(&second).1.len(), 3);
    }

    pub fn labels_are_cut_to_what_fits(kit: &Kit) {
        // 43 characters of three bytes each: one more than the 127 bytes that fit.
        const LONG: &str = "얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼얼";
        for (label, expected) in [(LONG, &LONG[..126]), ("", ""), ("a\0b", "a")] {
            let mut buffer = kit.buffer();
            let region = Region {
                label,
                ..region((1, 1, 2, 2), 1)
            };
            kit.append(&mut buffer, &[region], &[]).unwrap();
            // A copy goes through the library's own reading of the label.
            let copy = buffer.copy();
            for buffer in [&buffer, &copy] {
                let object = &kit.objects(&kit.frames(buffer)[0])[0];
                assert_eq!(object.label, expected.as_bytes());
                assert_eq!(object.text, expected.as_bytes());
            }
        }
    }

    pub fn numbers_that_are_none_stay_out(kit: &Kit) {
        let mut buffer = kit.buffer();
        let region = Region {
            confidence: f64::NAN,
            ..region((0, 0, 0, 0), 1)
        };
        let mut bad = event("smile", State::Start);
        bad.confidence = Some(f64::NAN);
        let findings = Findings {
            size: (0, 0),
            component: -1,
            inferred: true,
            regions: &[region],
            events: &[bad],
        };
        kit.bridge.append(buffer.get_mut().unwrap(), &findings).unwrap();
        let frame = &kit.frames(&buffer)[0];
        let object = &kit.objects(frame)[0];
        assert_eq!((object.confidence, object.rect), (0.0, [0.0; 4]));
        assert!(kit.messages(frame)[0]["confidence"].is_null());
    }

    pub fn the_picture_is_the_only_frame_or_the_first_surface(kit: &Kit) {
        for (ids, expected) in [(&[5u32][..], 5), (&[2, 0, 1], 0)] {
            let batch = kit.create(3);
            for id in ids {
                kit.add_frame(&batch, *id, FRAME);
            }
            let mut buffer = kit.owning(batch);
            kit.append(&mut buffer, &[region((1, 1, 2, 2), 1)], &[event("smile", State::Start)])
                .unwrap();
            for frame in kit.frames(&buffer) {
                let count = usize::from(frame.batch_id() == expected);
                assert_eq!(kit.objects(&frame).len(), count);
                assert_eq!(kit.messages(&frame).len(), count);
            }
        }
    }

    pub fn frames_that_are_not_the_picture_get_nothing(kit: &Kit) {
        for ids in [&[][..], &[1, 2], &[0, 0]] {
            let batch = kit.create(2);
            for id in ids {
                kit.add_frame(&batch, *id, FRAME);
            }
            let mut buffer = kit.owning(batch);
            let result = kit.append(&mut buffer, &[region((1, 1, 2, 2), 1)], &[event("smile", State::Start)]);
            assert_eq!(result, Err(NvdsError::NoFrame { frames: ids.len() }));
            for frame in kit.frames(&buffer) {
                assert!(kit.objects(&frame).is_empty() && kit.messages(&frame).is_empty());
            }
        }
    }

    pub fn broken_lists_are_not_followed(kit: &Kit) {
        for frames in [1, 2] {
            let batch = kit.create(2);
            for id in 0..frames {
                kit.add_frame(&batch, id, FRAME);
            }
            let mut buffer = kit.owning(batch);
            batch.tie(true);
            let result = kit.append(&mut buffer, &[region((1, 1, 2, 2), 1)], &[]);
            batch.tie(false);
            assert_eq!(result, Err(NvdsError::BrokenList), "{frames}");
        }
        // More frames than the batch says, and as many as no batch has.
        let mut buffer = kit.buffer();
        let batch = kit.batch_of(&buffer).unwrap();
        batch.set_num_frames(0);
        assert_eq!(kit.append(&mut buffer, &[], &[]), Err(NvdsError::BrokenList));
        batch.set_num_frames(u32::MAX);
        batch.tie(true);
        let result = kit.append(&mut buffer, &[], &[]);
        batch.tie(false);
        batch.set_num_frames(1);
        assert_eq!(result, Err(NvdsError::BrokenList));
    }

    pub fn unknown_sizes_are_left_alone(kit: &Kit) {
        for (pool, size) in [(0, 192), (0, 240), (1, 560), (1, 0), (4, 56)] {
            let mut buffer = kit.buffer();
            let batch = kit.batch_of(&buffer).unwrap();
            let before = batch.set_element_size(pool, size);
            let result = kit.append(&mut buffer, &[region((1, 1, 2, 2), 1)], &[event("smile", State::Start)]);
            batch.set_element_size(pool, before);
            let error = result.unwrap_err();
            assert!(matches!(error, NvdsError::UnknownLayout(_)), "{error}");
            assert!(error.to_string().contains(&size.to_string()), "{error}");
            let frame = &kit.frames(&buffer)[0];
            assert!(kit.objects(frame).is_empty() && kit.messages(frame).is_empty());
        }
    }

    pub fn buffers_without_a_video_batch_are_left_alone(kit: &Kit) {
        let mut plain = gst::Buffer::new();
        kit.append(&mut plain, &[region((1, 1, 2, 2), 1)], &[]).unwrap();
        assert!(kit.batch_of(&plain).is_none());
        let mut audio = kit.buffer();
        let batch = kit.batch_of(&audio).unwrap();
        batch.set_meta_type(kit.message - 4);
        let result = kit.append(&mut audio, &[region((1, 1, 2, 2), 1)], &[]);
        batch.set_meta_type(1);
        result.unwrap();
        assert!(kit.objects(&kit.frames(&audio)[0]).is_empty());
    }

    pub fn threads_that_share_a_batch_take_turns(kit: &Kit, rounds: u64) {
        const THREADS: u64 = 4;
        let batch = kit.create(1);
        let frame = kit.add_frame(&batch, 0, FRAME);
        kit.lock(&batch);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (sender, batch) = (sender.clone(), &batch);
                let mut buffer = gst::Buffer::new();
                kit.attach(buffer.get_mut().unwrap(), batch, false);
                scope.spawn(move || {
                    for round in 0..rounds {
                        let id = thread * rounds + round;
                        let findings = Findings {
                            size: FRAME,
                            component: COMPONENT,
                            inferred: true,
                            regions: &[region((1, 1, 2, 2), id)],
                            events: &[event("smile", State::Start)],
                        };
                        sender
                            .send(kit.bridge.append(buffer.get_mut().unwrap(), &findings))
                            .unwrap();
                    }
                });
            }
            assert!(receiver.try_recv().is_err(), "the lock is held here");
            kit.unlock(&batch);
        });
        drop(sender);
        for result in receiver {
            assert_eq!(result, Ok(()));
        }
        let mut ids: Vec<_> = kit.objects(&frame).iter().map(|o| o.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..THREADS * rounds).collect::<Vec<_>>());
        assert_eq!(kit.messages(&frame).len() as u64, THREADS * rounds);
        kit.destroy(batch);
    }
}
