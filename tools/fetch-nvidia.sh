#!/usr/bin/env bash
# fetch-nvidia.sh [FOLDER]: puts libraries of NVIDIA that only tests use into FOLDER (target/runtime): libnvds_meta and
# libnvdsgst_meta in deepstream/, the CUDA compiler in nvrtc/. Neither needs a GPU. pip downloads the pinned wheels and checks
# their sha256. They are for x86_64 only; elsewhere the tests run against doubles alone.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/runtime}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nunchi/wheels

[ "$(uname -m)" = x86_64 ] || exit 0
stamp=$(cat tools/nvidia.txt tools/fetch-nvidia.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat "$folder/.nvidia-stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

wheels=$cache/nvidia-$stamp
if ! [ -e "$wheels/complete" ]; then
    echo "  downloading DeepStream's metadata libraries and NVRTC (41 MB)"
    mkdir -p "$wheels"
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux_2_34_x86_64 --platform manylinux2014_x86_64 --require-hashes -r tools/nvidia.txt \
        --dest "$wheels" >"$wheels/log" 2>&1; then
        tail -n 5 "$wheels/log" >&2
        echo "  NVIDIA's libraries could not be downloaded" >&2
        exit 1
    fi
    touch "$wheels/complete"
fi

mkdir -p "$folder"
python3 - "$wheels" "$folder" <<'PY'
import pathlib, shutil, sys, zipfile

WANTED = {
    "deepstream": {"libnvds_meta.so", "libnvdsgst_meta.so", "LICENSE", "THIRD_PARTY_NOTICES"},
    "cuda_nvrtc": {"libnvrtc.so.12", "libnvrtc-builtins.so.12.4", "License.txt"},
}
NAMES = {"deepstream": "deepstream", "cuda_nvrtc": "nvrtc"}
wheels, folder = map(pathlib.Path, sys.argv[1:])
for kind, wanted in WANTED.items():
    (wheel,) = wheels.glob(f"nvidia_{kind}*.whl")
    target = folder / NAMES[kind]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.namelist():
            name = pathlib.Path(entry).name
            if name in wanted:
                (target / name).write_bytes(archive.read(entry))
    missing = wanted - {file.name for file in target.iterdir()}
    if missing:
        sys.exit(f"  {wheel.name} lacks {', '.join(sorted(missing))}")
PY
echo "$stamp" >"$folder/.nvidia-stamp"
