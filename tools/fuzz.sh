#!/usr/bin/env bash
# fuzz.sh SECONDS: runs every fuzz target of plugins/*/fuzz and launcher/fuzz for SECONDS. Works with a stable rustc:
# without the sanitizer, and with the one unstable flag that coverage feedback needs.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-30}
tools/cargo fuzz --version >/dev/null 2>&1 || {
    echo 'cargo-fuzz is missing; install it with: cargo install --locked cargo-fuzz' >&2
    exit 1
}
export RUSTC_BOOTSTRAP=1
shopt -s nullglob
count=0
for manifest in plugins/*/fuzz/Cargo.toml launcher/fuzz/Cargo.toml; do
    [ -e "$manifest" ] || continue
    folder=$(dirname "$manifest")
    for target in $(tools/cargo fuzz list --fuzz-dir "$folder"); do
        count=$((count + 1))
        echo "[$count] $folder: $target, $seconds s"
        # What is found goes into the first folder; the seeds in the tree are only read.
        corpora=("target/fuzz-corpus/$target")
        mkdir -p "${corpora[0]}"
        [ -d "$folder/corpus/$target" ] && corpora+=("$folder/corpus/$target")
        tools/cargo fuzz run --fuzz-dir "$folder" --sanitizer none "$target" "${corpora[@]}" -- -max_total_time="$seconds" -rss_limit_mb=2048
    done
done
[ "$count" != 0 ] || { echo 'no fuzz targets' >&2 && exit 1; }
echo "$count fuzz targets found nothing"
