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
arguments=(--profile "$profile")
if [ "$engines" = embedded,openvino,onnxruntime ]; then
    # All of them: what the workspace has anyway. Built with the rest of it, the dependencies have the same features as for
    # make, and nothing is compiled a second time.
    selection=(--workspace)
else
    selection=(-p gst-plugin-nunchi --lib --no-default-features --features "$features")
fi

target=$(tools/cargo metadata --format-version 1 --no-deps | sed -nE 's/.*"target_directory":"([^"]*)".*/\1/p')
if [ "$command" = cbuild ]; then
    host=$(tools/cargo -vV | sed -n 's/^host: //p')
    [ "${selection[0]}" != --workspace ] || selection=(-p gst-plugin-nunchi)
    [ "${selection[2]:-}" != --lib ] || unset "selection[2]"
    tools/cargo cbuild "${arguments[@]}" "${selection[@]}" --library-type cdylib
    built=$target/$host/$profile/libgstnunchi.so
else
    tools/cargo build "${arguments[@]}" "${selection[@]}"
    built=$target/$profile/libgstnunchi.so
fi
cp "$built" "$output"
