#!/usr/bin/env bash
# package.sh: packs what `make package` has built: the plugin, the launcher, the inference libraries beside them, the
# pipelines, the sample clip, documentation and licences.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
name=nunchi-$version-$(uname -m)
folder=target/package/$name

rm -rf "$folder"
mkdir -p "$folder"
cp target/dist/nunchi target/dist/libgstnunchi.so "$folder"
cp -R target/runtime "$folder/runtime"
# These are there for the tests.
rm -rf "$folder/runtime/.stamp" "$folder/runtime/.nvidia-stamp" "$folder/runtime/deepstream" "$folder/runtime/nvrtc"
cp -R pipelines media LICENSE-MIT LICENSE-APACHE "$folder"
for extra in README.md docs; do [ ! -e "$extra" ] || cp -R "$extra" "$folder"; done
cp plugins/inference/models/README.md "$folder/MODELS.md"
tar --sort=name --owner=0 --group=0 --numeric-owner -C target/package -czf "target/package/$name.tar.gz" "$name"
echo "  target/package/$name.tar.gz: $(du -h "target/package/$name.tar.gz" | cut -f1)"
