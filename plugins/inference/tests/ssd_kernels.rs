//! The detector's kernels with NVIDIA's own compiler, which needs no GPU. What they compute, `ssd_gpu` checks.
#![cfg(target_arch = "x86_64")]

mod common;

use common::process::in_a_process;
use nunchi_cuda::{Error, compile};

const KERNELS: &str = include_str!("../src/ssd/gpu/kernels.cu");

fn with_nvrtc(test: &str) -> bool {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/runtime/nvrtc/libnvrtc.so.12");
    assert!(path.exists(), "{}: tools/fetch-nvidia.sh fetches it", path.display());
    in_a_process(test, &[("NUNCHI_NVRTC", path.to_str().unwrap())])
}

#[test]
fn nvrtc_compiles_them_for_old_and_new_gpus() {
    if !with_nvrtc("nvrtc_compiles_them_for_old_and_new_gpus") {
        return;
    }
    for architecture in ["sm_50", "sm_75", "sm_87", "sm_90"] {
        let image = compile(KERNELS, architecture).unwrap();
        assert!(image.starts_with(b"\x7fELF"), "{architecture}");
        for name in ["nunchi_fill", "nunchi_scan", "nunchi_suppress"] {
            let found = image.windows(name.len()).any(|part| part == name.as_bytes());
            assert!(found, "{architecture} {name}");
        }
    }
}

#[test]
fn what_it_does_not_compile_is_told_with_its_words() {
    if !with_nvrtc("what_it_does_not_compile_is_told_with_its_words") {
        return;
    }
    let error = compile(&format!("{KERNELS}\nint nonsense = nothing;"), "sm_75").unwrap_err();
    assert!(matches!(error, Error::Compile { .. }), "{error}");
    assert!(error.to_string().contains("nothing"), "{error}");
    let error = compile(KERNELS, "sm_999").unwrap_err().to_string();
    assert!(error.contains("sm_999") && error.contains("newer CUDA"), "{error}");
    assert!(compile("a\0b", "sm_75").is_err());
}

#[test]
fn without_nvrtc_the_remedy_is_told() {
    if !in_a_process(
        "without_nvrtc_the_remedy_is_told",
        &[("NUNCHI_NVRTC", "/nowhere/libnvrtc.so")],
    ) {
        return;
    }
    let text = compile(KERNELS, "sm_75").unwrap_err().to_string();
    for part in ["/nowhere", "NUNCHI_NVRTC", "CUDA toolkit"] {
        assert!(text.contains(part), "{text}");
    }
}
