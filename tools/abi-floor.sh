#!/usr/bin/env bash
# abi-floor.sh FILE...: fails when a library of ours would not load on the oldest system we promise: GStreamer 1.20,
# GLib 2.72, C library 2.35 (Ubuntu 22.04), when it links something else than these, or carries a search path.
# Which release brought a symbol stands in the .symbols files of Debian's library packages.
set -uo pipefail
declare -A floor=([gstreamer]=1.20 [glib]=2.72 [libc]=2.35)
linked='^(libgst[a-z]+-1\.0\.so\.0|lib(glib|gobject|gio|gmodule)-2\.0\.so\.0|lib(c|m|dl|rt|pthread|gcc_s)\.so\.[0-9]+|ld-linux.*\.so\.[0-9]+)$'

newer() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | tail -n1)" = "$1" ]; }

# SYMBOL VERSION of every symbol of GStreamer and GLib, as MAJOR.MINOR without epoch and revision.
known=$(find /var/lib/dpkg/info '(' -name 'libgst*.symbols' -o -name 'libglib2.0-0*.symbols' ')' -exec cat '{}' + 2>/dev/null |
    sed -nE 's/^ (\([^)]*\))?([A-Za-z0-9_]+)@\S+ ([0-9]+:)?([0-9]+(\.[0-9]+)?).*/\2 \4/p')
[ -n "$known" ] || echo "  no .symbols files here: only the C library and the linked libraries are checked" >&2

bad=0
complain() { echo "  $1" && bad=1; }

for file in "$@"; do
    dynamic=$(objdump -p "$file") || exit 1
    while read -r tag value; do
        case $tag in
            RPATH | RUNPATH) complain "$file has a search path: $value" ;;
            NEEDED) [[ $value =~ $linked ]] || complain "$file links $value" ;;
        esac
    done < <(awk '$1 ~ /^(NEEDED|RPATH|RUNPATH)$/ {print $1, $2}' <<<"$dynamic")

    undefined=$(objdump -T "$file" | awk '/\*UND\*/ {print $NF, $(NF - 1)}')
    [ -n "$undefined" ] || complain "$file has no undefined symbols: not a library that uses GStreamer"
    # KIND VERSION SYMBOL, the newest of each kind.
    newest=$(
        {
            grep -oE '^\S+ \(?GLIBC_[0-9.]+' <<<"$undefined" | sed -E 's/^(\S+) \(?GLIBC_(.*)/libc \2 \1/'
            awk 'NR == FNR {version[$1] = $2; next} $1 in version {print ($1 ~ /^_?gst/ ? "gstreamer" : "glib"), version[$1], $1}' \
                <(printf '%s\n' "$known") <(printf '%s\n' "$undefined")
        } | sort -k1,1 -k2,2V | awk '{last[$1] = $0} END {for (kind in last) print last[kind]}' | sort
    )
    while read -r kind version symbol; do
        echo "  $(basename "$file"): $kind $version is needed by $symbol (promised: ${floor[$kind]})"
        newer "$version" "${floor[$kind]}" && complain "$file needs a newer $kind than promised"
    done <<<"$newest"
    grep -q '^libc ' <<<"$newest" || complain "$file: the C library's version was not found"
    if [ -n "$known" ]; then
        grep -q '^gstreamer ' <<<"$newest" || complain "$file: no GStreamer symbol was found"
        unknown=$(awk 'NR == FNR {known[$1]; next} $1 ~ /^(_?gst_|g_)/ && !($1 in known) {print $1}' \
            <(printf '%s\n' "$known") <(printf '%s\n' "$undefined"))
        [ -z "$unknown" ] || complain "$file needs symbols of no installed package: ${unknown//$'\n'/ }"
    fi
done
exit $bad
