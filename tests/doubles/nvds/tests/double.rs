//! The double is what it says it is: sizes and numbers of DeepStream 6.2, pools that do not grow.

use libloading::os::unix::Library;
use std::ffi::{c_int, c_uint};

type Pointer = *mut u8;

/// The library, which `cargo build --release --workspace` puts above the tests.
fn double() -> Library {
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join("libnvds_double.so");
    // SAFETY: nothing but GLib and GStreamer is loaded with it.
    unsafe { Library::new(path) }.unwrap()
}

fn function<T: Copy>(library: &Library, name: &str) -> T {
    // SAFETY: the tests give the types of the headers.
    unsafe { *library.get::<T>(name.as_bytes()).unwrap() }
}

/// # Safety
/// A value of that type must be there.
unsafe fn take<T: Copy>(from: Pointer, offset: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { from.add(offset).cast::<T>().read() }
}

#[test]
fn sizes_and_numbers_are_those_of_6_2() {
    let double = double();
    let create: unsafe extern "C" fn(c_uint) -> Pointer = function(&double, "nvds_create_batch_meta");
    let audio: unsafe extern "C" fn(c_uint) -> Pointer = function(&double, "nvds_create_audio_batch_meta");
    let destroy: unsafe extern "C" fn(Pointer) -> c_int = function(&double, "nvds_destroy_batch_meta");
    // SAFETY: the offsets of the pools in a batch, and of what they say of themselves.
    unsafe {
        let batch = create(2);
        assert_eq!(take::<c_int>(batch, 8), 1);
        for (pool, meta_type, count, size) in [(48, 2, 2, 200), (56, 3, 16, 544), (80, 7, 8, 48)] {
            let pool = take::<Pointer>(batch, pool);
            assert_eq!(
                [0, 4, 8, 12].map(|at| take::<c_uint>(pool, at)),
                [meta_type, count, size, count]
            );
        }
        destroy(batch);
        let batch = audio(1);
        assert_eq!(take::<c_int>(batch, 8), 18);
        destroy(batch);
    }
}

#[test]
fn a_pool_gives_null_when_it_is_exhausted() {
    let double = double();
    let create: unsafe extern "C" fn(c_uint) -> Pointer = function(&double, "nvds_create_batch_meta");
    let destroy: unsafe extern "C" fn(Pointer) -> c_int = function(&double, "nvds_destroy_batch_meta");
    let acquire: unsafe extern "C" fn(Pointer) -> Pointer = function(&double, "nvds_acquire_obj_meta_from_pool");
    // SAFETY: a batch of the double.
    unsafe {
        let batch = create(1);
        let mut objects: Vec<_> = (0..8).map(|_| acquire(batch)).collect();
        assert!(acquire(batch).is_null());
        objects.sort_unstable();
        objects.dedup();
        assert_eq!(objects.len(), 8);
        assert!(
            objects
                .iter()
                .all(|object| !object.is_null() && take::<Pointer>(*object, 0) == batch)
        );
        destroy(batch);
    }
}
