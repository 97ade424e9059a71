#!/usr/bin/env bash
# check-meson.sh: meson builds the plugin by plain cargo and installs it, below DESTDIR, where GStreamer looks for it;
# GStreamer loads it from there.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d "$PWD/target/meson.XXXXXX")
trap 'rm -rf "$folder"' EXIT

# The release profile, which make has built already: this checks the layout, not the optimiser.
meson setup --prefix=/usr -Dprofile=release -Dcargo-c="${CARGO_C:-disabled}" "$folder/build" >"$folder/log" 2>&1 ||
    { cat "$folder/log" && exit 1; }
DESTDIR=$folder/root meson install -C "$folder/build" >"$folder/log" 2>&1 || { cat "$folder/log" && exit 1; }

wanted=$(pkg-config --variable=pluginsdir gstreamer-1.0)/libgstnunchi.so
installed=$(cd "$folder/root" && find . -type f | sed 's/^\.//')
if [ "$installed" != "$wanted" ]; then
    echo "  meson installed '$installed', wanted $wanted alone" && exit 1
fi
GST_REGISTRY=$folder/registry.bin GST_PLUGIN_PATH=$(dirname "$folder/root$wanted") gst-inspect-1.0 hailoface >"$folder/log" ||
    { echo "  GStreamer does not load hailoface from the installed plugin" && exit 1; }
echo "  meson: $wanted"
