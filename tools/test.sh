#!/usr/bin/env bash
# test.sh: everything that `make test` checks. A check that fails does not hide the later ones; the last line counts
# all of them: tests of the crates, lines of the documentation, and the checks of this list.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# A GLib or GStreamer warning is a bug: it ends the test.
export G_DEBUG=fatal-warnings
# Our own registry file, so that a plugin installed elsewhere on this machine is not the one under test.
export GST_REGISTRY="$PWD/target/test-registry.bin" GST_PLUGIN_PATH="$PWD/target/release"

passed=0 failed=0 number=0
failures=()
STEPS=10

# step TITLE COMMAND...: announces, runs and times one check.
step() {
    local title=$1 started=$SECONDS
    shift
    number=$((number + 1))
    printf '\n[%d/%d] %s\n' "$number" "$STEPS" "$title"
    if "$@"; then
        passed=$((passed + 1))
        printf '[%d/%d] ok, %d s\n' "$number" "$STEPS" $((SECONDS - started))
    else
        failed=$((failed + 1))
        failures+=("$title")
        printf '[%d/%d] FAILED: %s, %d s\n' "$number" "$STEPS" "$title" $((SECONDS - started))
        return 1
    fi
}

finish() {
    printf '\n'
    [ ${#failures[@]} = 0 ] || printf 'failed: %s\n' "${failures[@]}"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" = 0 ] && exit 0
    exit 1
}

# Adds the tests that a log of cargo test or nextest counts.
count() {
    local log=$1 p f
    p=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^test result:|^ *Summary ' | grep -oE '[0-9]+ passed' | awk '{n += $1} END {print n + 0}')
    f=$(sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^test result:|^ *Summary ' | grep -oE '[0-9]+ (failed|timed out)' | awk '{n += $1} END {print n + 0}')
    passed=$((passed + p)) failed=$((failed + f))
    [ $((p + f)) != 0 ]
}

crate_tests() {
    local log=target/tests.log ok=0
    if tools/cargo nextest --version >/dev/null 2>&1; then
        tools/cargo nextest run --release --workspace --no-fail-fast --status-level fail --hide-progress-bar 2>&1 | tee "$log" || ok=1
    else
        tools/cargo test --release --workspace --lib --bins --tests --no-fail-fast 2>&1 | tee "$log" || ok=1
    fi
    count "$log" || { echo 'no test ran' && ok=1; }
    return "$ok"
}

doc_tests() {
    local log=target/doctests.log
    tools/cargo test --release --workspace --doc --no-fail-fast --quiet >"$log" 2>&1 || { cat "$log" && return 1; }
    count "$log" || true
}

doc_lines() {
    local log=target/doc-lines.log ok=0
    python3 tools/run-doc-lines.py | tee "$log" || ok=1
    passed=$((passed + $(grep -c '^PASS' "$log"))) failed=$((failed + $(grep -c '^FAIL' "$log")))
    return "$ok"
}

plugin_file() {
    local ok=0
    tools/abi-floor.sh target/release/libgstnunchi.so || ok=1
    tools/check-meson.sh || ok=1
    return "$ok"
}

mkdir -p target
step 'what is installed' tools/setup.sh test || finish
step 'inference libraries' tools/fetch-runtime.sh || finish
step 'libraries that only tests use' tools/fetch-nvidia.sh || finish
step 'formatting and lints' tools/lint.sh
step 'build' tools/cargo build --release --workspace || finish
step 'tests of the crates' crate_tests
step 'tests in the documentation of the code' doc_tests
step 'command lines in the documentation' doc_lines
step 'the plugin: oldest GStreamer, GLib and C library it needs; where meson installs it' plugin_file
step 'the same plugin under another GStreamer' tools/other-gstreamer.sh
finish
