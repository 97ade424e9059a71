#!/usr/bin/env bash
# arm64.sh: cross-builds the plugin for aarch64, as for a Raspberry Pi, and runs it and its tests under qemu-user against Debian's
# arm64 GStreamer. That is unpacked once into the user's cache, from the release of Debian that runs here (0.9 GB; no root needed).
# Built without the embedded engine; what runs a network, or starts itself again, is left out. Needs Debian, Rust's target,
# qemu-user-static, gcc-aarch64-linux-gnu, and 2 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nunchi/roots
# shellcheck source=/dev/null
root=$cache/arm64-$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
triple=aarch64-unknown-linux-gnu
lib=$root/usr/lib/aarch64-linux-gnu

missing() { echo "arm64: $1" >&2 && exit 1; }
for program in qemu-aarch64-static:qemu-user-static aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu apt-get:apt dpkg-deb:dpkg; do
    command -v "${program%%:*}" >/dev/null || missing "${program%%:*} is missing; install ${program##*:}"
done

# unpack ARCHITECTURE FOLDER PACKAGE...: packages and all they need, without installing anything.
unpack() {
    local arch=$1 folder=$2 apt=$2/.apt
    shift 2
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" && : >"$apt/status"
    local options=(-qq -y -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State::lists="$apt/lists"
        -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1
        -o APT::Install-Recommends=false)
    apt-get "${options[@]}" update
    apt-get "${options[@]}" --download-only install "$@"
    for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
    rm -rf "$apt"
}

if ! [ -e "$root" ]; then
    echo '[1/3] unpacking a Debian arm64 system into the cache (minutes, once)'
    part=$root.part
    rm -rf "$part" && mkdir -p "$part"
    unpack arm64 "$part" gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
        gstreamer1.0-libav gstreamer1.0-tools libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
        libgstrtspserver-1.0-dev
    # Links of the alternatives system, which nobody has set here.
    for library in blas/libblas.so.3 lapack/liblapack.so.3; do
        [ ! -e "$part/usr/lib/aarch64-linux-gnu/$library" ] || ln -sf "$library" "$part/usr/lib/aarch64-linux-gnu/"
    done
    mv "$part" "$root"
else
    echo "[1/3] the Debian arm64 system in $root"
fi

# The toolchain is the user's to change.
[ -d "$(rustc --print sysroot)/lib/rustlib/$triple" ] ||
    missing "Rust's library for $triple is missing; install it with: rustup target add $triple"

# Debian's libraries for the linker, Debian's linker for Rust. Away from the native build, whose flags differ.
export CARGO_TARGET_DIR=$PWD/target/arm64 CARGO_PROFILE_RELEASE_DEBUG=false
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$lib/pkgconfig:$root/usr/share/pkgconfig
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-Lnative=$lib -Clink-arg=--sysroot=$root \
    -Clink-arg=-Wl,-rpath-link,$lib:$root/lib/aarch64-linux-gnu -Clink-arg=-Wl,--allow-shlib-undefined"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static QEMU_LD_PREFIX=$root
cross=(--release --target "$triple" --no-default-features --features gst-plugin-nunchi/openvino
    --features gst-plugin-nunchi/onnxruntime)
tests=(-p nunchi-events -p nunchi-inference -p gst-plugin-nunchi --lib --test read --test write --test analysisoverlay --test motiontextoverlay --test nvencsink
    --test eventthrottle --test metadata --test tensors --test xmllogsink)

echo '[2/3] building the plugin and its tests for arm64'
tools/cargo build "${cross[@]}" -p gst-plugin-nunchi
tools/cargo test --no-run "${cross[@]}" "${tests[@]}"

echo '[3/3] running them under qemu'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# GStreamer's plugin scanner would be a program of the other architecture.
export GST_REGISTRY=$scratch/registry.bin GST_REGISTRY_FORK=no
# qemu keeps no limit on the size of files. Of the tests of tensors those with hailoface load a network.
tools/cargo test "${cross[@]}" "${tests[@]}" -- --skip a_real_limit_leaves_every_complete_frame \
    --skip a_list_of_boxes --skip a_frame_without_tensors --skip unknown_shapes --skip faces_are_found

export GST_PLUGIN_PATH=$CARGO_TARGET_DIR/$triple/release
for element in hailoface hailopose cudassd imagefoldersrc eventthrottle xmllogsink analysisoverlay motiontextoverlay nvencsink; do
    qemu-aarch64-static "$root/usr/bin/gst-inspect-1.0" "$element" >/dev/null || missing "GStreamer does not list $element"
done
qemu-aarch64-static "$root/usr/bin/gst-launch-1.0" -q videotestsrc num-buffers=30 ! analysisoverlay ! eventthrottle ! \
    xmllogsink location="$scratch/log.xml"
grep -q '<face_session .*duration_seconds="1.0"' "$scratch/log.xml" || missing 'gst-launch wrote no log'
echo "all passed on $(qemu-aarch64-static "$root/usr/bin/gst-launch-1.0" --version | tail -n +2 | head -n 1) for aarch64"
