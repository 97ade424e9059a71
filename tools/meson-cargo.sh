#!/usr/bin/env bash
# meson-cargo.sh SOURCE OUTPUT build|cbuild PROFILE ENGINES: what meson.build runs. Builds the plugin in SOURCE with
# cargo and copies it to OUTPUT. ENGINES: embedded,openvino,onnxruntime or some of them.
set -euo pipefail
source=$1 output=$(realpath -m "$2") command=$3 profile=$4 engines=$5
cd "$source"

features=embedded-models
for engine in ${engines//,/ }; do
    case $engine in
        embedded) features+=,embedded-engine ;;
        *) features+=,$engine ;;
    esac
done
arguments=(--profile "$profile" -p gst-plugin-nunchi)
# The default features are all of them; naming them changes nothing but costs a second build.
[ "$engines" = embedded,openvino,onnxruntime ] || arguments+=(--no-default-features --features "$features")

target=$(tools/cargo metadata --format-version 1 --no-deps | sed -nE 's/.*"target_directory":"([^"]*)".*/\1/p')
if [ "$command" = cbuild ]; then
    host=$(tools/cargo -vV | sed -n 's/^host: //p')
    tools/cargo cbuild "${arguments[@]}" --library-type cdylib
    built=$target/$host/$profile/libgstnunchi.so
else
    tools/cargo build "${arguments[@]}" --lib
    built=$target/$profile/libgstnunchi.so
fi
cp "$built" "$output"
