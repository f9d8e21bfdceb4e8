#!/bin/sh
# Fetches what the guest tests need: QEMU and two small tools from this machine's own packages, and
# Debian's cloud kernels into a directory of ours. Nothing about this machine's package sources is
# changed: the kernels come through a private apt directory, removed afterwards, that names the
# mirrors this machine already uses.
#
#   tests/kernels.sh DIR VERSION...      VERSION: a series (5.10, 6.1, 6.12) or `newest`
#
# Leaves DIR/VERSION/vmlinuz, DIR/VERSION/release (what `uname -r` says) and, where the package has
# it, DIR/VERSION/config. A kernel that is there is not fetched again; remove its folder to renew it.
#
# Exit code: 0 all there, 2 wrong usage, 77 something cannot be had on this machine (a line
# `SKIPPED: why` says what), any other an unexpected failure.
set -eu

me=kernels
# shellcheck source=tests/packages.sh
. "$(dirname "$0")/packages.sh"

usage() {
    echo "usage: tests/kernels.sh DIR VERSION...   (VERSION: 5.10, 6.1, 6.12, ... or newest)" >&2
    exit 2
}

[ $# -ge 2 ] || usage
dir=$1
shift
for version in "$@"; do
    case $version in
        newest) ;;
        *[!0-9.]* | .* | *. | '') usage ;;
    esac
done

[ "$(uname -m)" = x86_64 ] || skip "the guests are x86_64 and this machine is $(uname -m)"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# Two runs at once would install and fetch the same things over each other.
exec 9>"$dir/.lock"
flock 9

# --- tools ---------------------------------------------------------------------------------------

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_tools() {
    missing=
    command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
    command -v cpio >/dev/null || missing="$missing cpio"
    # By package, not by command: plain `busybox` needs a dynamic loader, which no guest has.
    is_installed busybox-static || missing="$missing busybox-static"
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    skip "apt-get and dpkg-deb are needed to fetch the kernels, and this machine has none"
install_tools

# --- mirrors -------------------------------------------------------------------------------------

# The first mirror in this machine's own sources that carries Debian ("debian") or its security
# archive ("debian-security"). Asked of apt, which reads every form that sources are written in and
# needs no package lists to tell what it would fetch. The component and the last part of the address
# tell Debian's archive from another vendor's with the same suite names.
mirror_of() {
    apt-get --print-uris update 2>/dev/null |
        awk -F"'" -v name="$1" '
            match($2, "/dists/.*/main/binary-") {
                mirror = substr($2, 1, RSTART - 1)
                bare = mirror
                sub(/\/+$/, "", bare)
                sub(/\.list$/, "", bare)   # mirror+file:/etc/apt/mirrors/debian.list
                if (bare ~ ("/" name "$")) { print mirror; exit }
            }'
}

find_mirrors() {
    [ -z "${main_mirror-}" ] || return 0
    main_mirror=$(mirror_of debian)
    security_mirror=$(mirror_of debian-security)
    [ -n "$main_mirror" ] && [ -n "$security_mirror" ] ||
        skip "this machine's apt sources name no Debian and Debian security mirror; put a kernel" \
            "(with BTF) at $dir/VERSION/vmlinuz by hand to test with it"
}

# The suites that carry a series, whatever release this machine runs.
sources_of() {
    trusted=
    for keyring in /usr/share/keyrings/debian-archive-keyring.gpg \
        /usr/share/keyrings/debian-archive-keyring.pgp; do
        if [ -r "$keyring" ]; then
            trusted="signed-by=$keyring"
            break
        fi
    done
    main="deb [arch=amd64 $trusted] $main_mirror"
    security="deb [arch=amd64 $trusted] $security_mirror"
    case $1 in
        5.10) echo "$security bullseye-security main" ;;
        newest) printf '%s main\n' "$main trixie-backports" "$main sid" ;;
        6.1 | 6.12) printf '%s main\n' "$main bookworm" "$security bookworm-security" ;;
        *) printf '%s main\n' "$main trixie" "$security trixie-security" "$main trixie-backports" ;;
    esac
}

# --- kernels -------------------------------------------------------------------------------------

# apt on the private directory $work/apt. No translations, no metadata for software centres: only
# the package lists are needed.
private_apt() {
    command=$1
    shift
    "$command" -q \
        -o Dir::Etc::SourceList="$work/apt/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/apt/lists" \
        -o Dir::Cache="$work/apt/cache" \
        -o Acquire::Languages=none \
        -o Acquire::PDiffs=false \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        "$@" 9>&-
}

# The newest package of a series. Names like 6.1.0-0.deb11.52 are rebuilds for an older release.
package_of() {
    if [ "$1" = newest ]; then
        series='[0-9]+\.[0-9]+\.'
    else
        series="$(echo "$1" | sed 's/\./\\./g')\."
    fi
    private_apt apt-cache search --names-only "^linux-image-$series[^ ]*-cloud-amd64\$" |
        cut -d' ' -f1 | grep -v -- '-0\.deb' | sort -V | tail -n 1
}

image_in() { find "$1" -name 'vmlinuz*' -type f | head -n 1; }

download() { (cd "$work" && private_apt apt-get download "$1" && dpkg-deb -x "$1"_*.deb tree); }

# `fetch VERSION`: fails when it cannot be had, with the reason in $reason. Called as a condition,
# where the shell ignores `set -e`, so each step is checked by hand.
fetch() {
    version=$1
    # Readable for all: apt reads as a user of its own.
    if ! { work=$(mktemp -d) && chmod 755 "$work" && mkdir -p "$work/tree" "$work/out" \
        "$work/apt/lists/partial" "$work/apt/cache/archives/partial" &&
        sources_of "$version" >"$work/apt/sources.list"; }; then
        reason="the temporary directory cannot be written to"
        return 1
    fi

    if ! private_apt apt-get update --error-on=any >"$work/log" 2>&1; then
        reason="the package lists could not be fetched: $(grep -m1 '^[EW]:' "$work/log" || true)"
        return 1
    fi
    package=$(package_of "$version")
    if [ -z "$package" ]; then
        reason="the mirror has no cloud kernel of that series"
        return 1
    fi
    say "$version: fetching $package"
    if ! download "$package" >"$work/log" 2>&1; then
        reason="$package could not be fetched: $(tail -n 1 "$work/log")"
        return 1
    fi
    image=$(image_in "$work/tree")
    if [ -z "$image" ]; then
        # From 7.3 on the image is in a package of its own.
        package=$(echo "$package" | sed 's/^linux-image-/linux-binary-/')
        if ! download "$package" >"$work/log" 2>&1; then
            reason="$package could not be fetched: $(tail -n 1 "$work/log")"
            return 1
        fi
        image=$(image_in "$work/tree")
    fi
    if [ -z "$image" ]; then
        reason="$package holds no kernel image; the packaging has changed"
        return 1
    fi
    # Whole or not at all: the folder gets its name last.
    if ! { cp "$image" "$work/out/vmlinuz" &&
        echo "$package" | sed 's/^linux-[a-z]*-//' >"$work/out/release" &&
        find "$work/tree" \( -name 'config-*' -o -name config \) -type f \
            -exec cp {} "$work/out/config" \; &&
        rm -rf "${dir:?}/$version" "$dir/.$version.new" &&
        cp -r "$work/out" "$dir/.$version.new" &&
        mv "$dir/.$version.new" "$dir/$version"; }; then
        reason="it could not be written to $dir/$version"
        return 1
    fi
    rm -rf "$work"
    say "$version: $(cat "$dir/$version/release") in $dir/$version"
}

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

failed=
for version in "$@"; do
    if [ -s "$dir/$version/vmlinuz" ]; then
        say "$version: $(cat "$dir/$version/release" 2>/dev/null || echo "put there by hand"), already there"
        continue
    fi
    find_mirrors
    reason=
    if ! fetch "$version"; then
        echo "SKIPPED: kernel $version: $reason"
        failed=yes
        rm -rf "$work"
    fi
done
[ -z "$failed" ] || exit 77
