#!/usr/bin/env bash
# other-gstreamer.sh [ROOT]: the plugin in target/release, unchanged, under another GStreamer. ROOT is a Debian system
# in a folder; without it a Debian 13 (GStreamer 1.26) is made once with debootstrap and kept in the user's cache.
# Checks that every element is listed, that the sample clip gives the same events as here, and that the stock
# objectdetectionoverlay draws our boxes.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nunchi/roots
root=${1:-$cache/trixie}
elements=(hailoface hailopose cudassd imagefoldersrc eventthrottle xmllogsink analysisoverlay motiontextoverlay nvencsink)

not_checked() {
    printf '  ************************************************************************\n'
    printf '  NOT CHECKED under another GStreamer: %s\n' "$1"
    printf '  ************************************************************************\n'
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

[ "$(id -u)" = 0 ] || not_checked 'this needs root (chroot and debootstrap)'
unshare -m true 2>/dev/null || not_checked 'this system allows no mount namespace (unshare -m)'

# inside COMMAND...: runs it in the root. The mounts are private to it and gone with it.
inside() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare -m --propagation private bash -c '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        mount --rbind /sys "$0/sys"
        [ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$0/etc/resolv.conf"
        exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive GST_PLUGIN_PATH=/opt/nunchi G_DEBUG="${G_DEBUG:-}" "$@"' "$root" "$@"
}

make_root() {
    local part="$root.part" mirror
    command -v debootstrap >/dev/null || not_checked 'debootstrap is not installed'
    echo '  making a Debian 13 system in the cache (some minutes, once; 1.3 GB)'
    rm -rf --one-file-system "$part"
    mkdir -p "$cache"
    # The mirror that this machine uses, where it is a Debian one.
    mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n1 | tr -d ' ' || true)
    # shellcheck disable=SC2086  # empty means none
    debootstrap --variant=minbase --include=ca-certificates trixie "$part" $mirror >"$cache/log" 2>&1 ||
        { tail -n 5 "$cache/log" && not_checked 'debootstrap failed'; }
    root=$part inside bash -c 'apt-get -qq update && apt-get -qq install -y --no-install-recommends gstreamer1.0-tools \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav gstreamer1.0-x' >>"$cache/log" 2>&1 ||
        { tail -n 5 "$cache/log" && not_checked 'the GStreamer packages could not be installed'; }
    mv "$part" "$root"
}

if [ $# = 0 ] && ! [ -e "$root" ]; then make_root; fi
[ -x "$root/usr/bin/gst-launch-1.0" ] || { echo "  $root has no GStreamer" >&2 && exit 1; }

here=$(mktemp -d "$PWD/target/other-gstreamer.XXXXXX")
work=$root/opt/nunchi
trap 'rm -rf "$here" "$work"' EXIT
rm -rf "$work"
mkdir -p "$work"
cp target/release/libgstnunchi.so media/sample.mp4 "$work"
[ ! -d target/runtime ] || cp -RL target/runtime "$work/runtime"

version=$(inside gst-inspect-1.0 --version | sed -n 's/^GStreamer //p')
echo "  here GStreamer $(gst-inspect-1.0 --version | sed -n 's/^GStreamer //p'), there $version"
for element in "${elements[@]}"; do
    inside gst-inspect-1.0 "$element" >"$here/inspect" 2>&1 || { cat "$here/inspect" && exit 1; }
done

# launch COMMAND-PREFIX... -- PIPELINE: at most 5 minutes, quiet unless it fails.
launch() {
    local prefix=()
    while [ "$1" != -- ]; do prefix+=("$1") && shift; done
    shift
    timeout 300 "${prefix[@]}" gst-launch-1.0 -q "$@" >"$here/log" 2>&1 || { cat "$here/log" && exit 1; }
}
export root
export -f inside
there=(bash -c 'inside "$@"' there)

analysis=(decodebin ! videoconvert ! hailoface ! eventthrottle ! xmllogsink)
GST_PLUGIN_PATH=$PWD/target/release launch -- filesrc location=media/sample.mp4 ! "${analysis[@]}" location="$here/here.xml"
launch "${there[@]}" -- filesrc location=/opt/nunchi/sample.mp4 ! "${analysis[@]}" location=/opt/nunchi/there.xml
python3 tools/compare_events.py "$here/here.xml" "$work/there.xml"

if [ "$(printf '1.24\n%s\n' "$version" | sort -V | head -n1)" = 1.24 ]; then
    # The tenth frame, with and without the box; objectdetectionoverlay reads GstAnalytics metadata only.
    for drawn in objectdetectionoverlay identity; do
        launch "${there[@]}" -- filesrc location=/opt/nunchi/sample.mp4 ! decodebin ! identity eos-after=11 ! videoconvert ! \
            hailoface ! $drawn ! videoconvert ! video/x-raw,format=GRAY8 ! filesink location=/opt/nunchi/$drawn.gray
    done
    python3 tools/compare_boxes.py "$work/objectdetectionoverlay.gray" "$work/identity.gray"
fi
