#!/usr/bin/env bash
# fetch-runtime.sh [x86_64|aarch64 [FOLDER]]: puts the OpenVINO and ONNX Runtime libraries into FOLDER (target/runtime),
# where the plugin and the launcher find them. pip downloads the pinned wheels and checks their sha256; of each wheel
# only the libraries needed and the licences are unpacked. Ends with 1 when they cannot be had: the embedded engine
# still works then.
set -euo pipefail
cd "$(dirname "$0")/.."
machine=${1:-$(uname -m)}
runtime=${2:-target/runtime}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nunchi/wheels

case $machine in
    x86_64) platforms=(manylinux_2_28_x86_64) ;;
    aarch64) platforms=(manylinux_2_35_aarch64 manylinux_2_28_aarch64) ;;
    *)
        echo "  no pinned inference libraries for $machine" >&2
        exit 1
        ;;
esac

stamp="$machine $(cat tools/runtime.txt tools/fetch-runtime.sh | sha256sum | cut -d' ' -f1)"
if [ "$(cat "$runtime/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

# The wheels' tag is that of Python 3.11; the libraries inside do not depend on Python.
download=(python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all:
    --python-version 3.11 --implementation cp --abi cp311 --require-hashes -r tools/runtime.txt)
for platform in "${platforms[@]}"; do download+=(--platform "$platform"); done

wheels=$cache/${stamp// /-}
if ! [ -e "$wheels/complete" ]; then
    echo "  downloading the inference libraries (openvino, onnxruntime; about 90 MB)"
    mkdir -p "$wheels"
    if ! "${download[@]}" --dest "$wheels" >"$wheels/log" 2>&1; then
        tail -n 5 "$wheels/log" >&2
        echo "  the inference libraries could not be downloaded" >&2
        exit 1
    fi
    touch "$wheels/complete"
fi

echo "  unpacking the inference libraries into $runtime"
mkdir -p "$runtime"
fresh=$(mktemp -d "$runtime/.new.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
python3 - "$wheels" "$fresh" <<'PY'
import fnmatch, pathlib, sys, zipfile

# The ONNX front end reads our networks; the CPU plugin with TBB runs them. The rest of the wheel (GPU, NPU, other
# formats, Python) stays behind.
WANTED = {
    "openvino": ["*/libs/libopenvino.so*", "*/libs/libopenvino_c.so*", "*/libs/libopenvino_onnx_frontend.so*",
                 "*/libs/libopenvino_*_cpu_plugin.so", "*/libs/libtbb.so*", "*.dist-info/licenses/*"],
    "onnxruntime": ["*/capi/libonnxruntime.so*", "*/capi/libonnxruntime_providers_shared.so",
                    "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"],
}
wheels, fresh = map(pathlib.Path, sys.argv[1:])
for name, patterns in WANTED.items():
    folder = fresh / name
    folder.mkdir()
    (wheel,) = wheels.glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.namelist():
            if not entry.endswith("/") and any(fnmatch.fnmatchcase(entry, pattern) for pattern in patterns):
                (folder / pathlib.Path(entry).name).write_bytes(archive.read(entry))
    if not list(folder.glob("lib*.so*")):
        sys.exit(f"  {wheel.name} has no libraries")
PY

for name in openvino onnxruntime; do
    if [ -e "$runtime/$name" ] || [ -L "$runtime/$name" ]; then mv -T "$runtime/$name" "$fresh/$name.old"; fi
    mv -T "$fresh/$name" "$runtime/$name"
done
echo "$stamp" >"$runtime/.stamp"
