#!/usr/bin/env bash
# lint.sh: rustfmt, clippy without a warning, shellcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/cargo fmt --all --check
tools/cargo clippy --release --workspace --all-targets --quiet -- -D warnings
# SC2317: functions that are only called by name through another one look unreachable to it.
shellcheck --exclude=SC2317 tools/cargo tools/*.sh .ci/run
