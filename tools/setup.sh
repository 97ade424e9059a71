#!/usr/bin/env bash
# setup.sh run|test|bench|oracle: installs what that goal needs and is missing. Debian and Ubuntu packages by apt when root
# or when sudo asks for no password; else it prints one list and ends with 1. Silent and quick when nothing is missing.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
goal=${1:-run}
# The oldest release whose API we use; see [workspace.dependencies] in Cargo.toml.
gstreamer_minimum=1.20

# To build the plugin and the launcher, and to fetch the inference libraries.
packages=(gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
    ca-certificates python3 python3-pip)
# What the shipped pipelines use: MP4 in and out, H.264, text.
packages+=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-x)
# Captions: a font that has Hangul.
packages+=(fonts-nanum)
case $goal in
    run) ;;
    # The fonts in which MotionText was measured.
    test) packages+=(curl ffmpeg binutils meson ninja-build shellcheck debootstrap fonts-dejavu-core) ;;
    oracle) packages=(gcc libc6-dev fonts-nanum fonts-dejavu-core) ;;
    bench)
        packages+=(python3-venv time util-linux ffmpeg)
        # Ubuntu has it as a snap only; the one row that needs it says so then.
        apt-cache show chromium >/dev/null 2>&1 && packages+=(chromium)
        ;;
    *)
        echo "usage: $0 run|test|bench|oracle" >&2
        exit 2
        ;;
esac

say() { printf '  %s\n' "$*"; }
have_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# Prints those of the given packages that are not installed.
absent() {
    local installed
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p')
    printf '%s\n' "$@" | grep -vxF -f <(printf '%s\n' "$installed")
}

rust_is_good() { tools/cargo --version >/dev/null 2>&1; }
lint_is_there() { [ "$goal" != test ] || { tools/cargo fmt --version && tools/cargo clippy --version; } >/dev/null 2>&1; }

# A distribution's package of cargo that is new enough. Debian 12 keeps a current one for its browsers: cargo-web.
rust_packages() {
    local name version minimum
    minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    for name in cargo cargo-web; do
        version=$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9][0-9.]*\).*/\1/p')
        if [ -n "$version" ] && dpkg --compare-versions "$version" ge "$minimum"; then
            case $name in
                cargo) printf '%s\n' cargo rustc ;;
                cargo-web) printf '%s\n' cargo-web rustc-web ;;
            esac
            [ "$goal" = test ] && case $name in
                cargo) printf '%s\n' rustfmt rust-clippy ;;
                cargo-web) printf '%s\n' rustfmt-web rust-web-clippy ;;
            esac
            return 0
        fi
    done
    return 1
}

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi
can_install() { have_apt && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }
apt_get() {
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

# Installs with a line for every fifth of the way; the details go to the log.
install_packages() {
    apt_get -o APT::Status-Fd=3 install -y --no-install-recommends "$@" 3>&1 >"$log" 2>&1 | awk -F: '
        $1 ~ /^(dl|pm)status$/ && int($3 / 20) != last[$1] {
            last[$1] = int($3 / 20)
            printf "    %s %d %%\n", ($1 == "dlstatus" ? "downloaded" : "installed"), last[$1] * 20
            fflush()
        }'
}

missing=()
if have_apt; then
    mapfile -t missing < <(absent "${packages[@]}")
else
    # Another distribution: the same things under other names, so look for the things themselves.
    for tool in cc pkg-config python3 gst-inspect-1.0; do
        command -v "$tool" >/dev/null || missing+=("the command $tool")
    done
    for module in gstreamer-1.0 gstreamer-base-1.0 gstreamer-video-1.0; do
        pkg-config --atleast-version=$gstreamer_minimum "$module" 2>/dev/null ||
            missing+=("development files of $module >= $gstreamer_minimum")
    done
    for element in qtdemux avdec_h264 x264enc textoverlay; do
        gst-inspect-1.0 "$element" >/dev/null 2>&1 || missing+=("the GStreamer element $element")
    done
fi
need_rust=no
{ rust_is_good && lint_is_there; } || need_rust=yes
[ ${#missing[@]} = 0 ] && [ $need_rust = no ] && exit 0

if can_install; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    say "reading the package lists"
    if ! apt_get update >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        say "the package lists could not be read; going on with the old ones" >&2
    fi
    # Not over a rustup installation: that one only lacks a component or an update.
    if [ $need_rust = yes ] && ! command -v rustup >/dev/null && mapfile -t rust < <(rust_packages) && [ ${#rust[@]} != 0 ]; then
        mapfile -t -O ${#missing[@]} missing < <(absent "${rust[@]}")
    fi
    if [ ${#missing[@]} != 0 ]; then
        say "installing ${#missing[@]} packages: ${missing[*]}"
        if ! install_packages "${missing[@]}"; then
            tail -n 15 "$log" >&2
            say "apt could not install them" >&2
            exit 1
        fi
    fi
    missing=()
fi

if ! rust_is_good; then
    missing+=("Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer: install rustup (package rustup, or its own installer), then: rustup default stable")
elif ! lint_is_there; then
    missing+=("rustfmt and clippy: rustup component add rustfmt clippy")
fi
[ ${#missing[@]} = 0 ] && exit 0
{
    echo "make $goal needs, and could not install:"
    printf '    %s\n' "${missing[@]}"
    if have_apt && ! can_install; then
        echo "As root, packages come by: apt-get install --no-install-recommends NAMES (Rust on Debian 12: cargo-web rustc-web, from its security updates)."
    fi
} >&2
exit 1
