#!/bin/sh
# Fetches what tests/tests/counts.rs needs: bpftrace, which counts beside the daemon, stress-ng and a C
# compiler from this machine's own packages; and two small packages to install below a directory.
#
#   tests/counts.sh DIR
#
# Leaves DIR/*.deb. What is there is not fetched again.
#
# Exit code: 0 all there, 2 wrong usage, 77 something cannot be had on this machine (a line
# `SKIPPED: why` says what), any other an unexpected failure.
set -eu

me=counts
# shellcheck source=tests/packages.sh
. "$(dirname "$0")/packages.sh"

[ $# -eq 1 ] || {
    echo "usage: tests/counts.sh DIR" >&2
    exit 2
}
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# Two runs at once would install and fetch the same things over each other.
exec 9>"$dir/.lock"
flock 9

missing=
command -v bpftrace >/dev/null || missing="$missing bpftrace"
command -v stress-ng >/dev/null || missing="$missing stress-ng"
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
command -v make >/dev/null || missing="$missing make"
# shellcheck disable=SC2086 # a list of words
install_packages $missing

# dash has scripts of its own that its installation runs.
for package in hello dash; do
    set -- "$dir/${package}"_*.deb
    [ ! -e "$1" ] || continue
    # As root, apt warns that its own user may not write there.
    (cd "$dir" && apt-get -q -q download "$package" 9>&-) || skip "apt-get could not download $package"
done
say "$(cd "$dir" && echo *.deb) in $dir"
