#!/bin/sh
# Fetches what the Kafka tests need: Java, Maven and kcat from this machine's own packages,
# and Apache Kafka's jars (tests/kafka/pom.xml) by Maven into a directory of ours; compiles the
# harness's two Java programs beside them.
#
#   tests/kafka.sh DIR
#
# Leaves DIR/libs/*.jar and DIR/classes. What is there and current is not made again.
#
# Exit code: 0 all there, 2 wrong usage, 77 something cannot be had on this machine (a line
# `SKIPPED: why` says what), any other an unexpected failure.
set -eu

me=kafka
# shellcheck source=tests/packages.sh
. "$(dirname "$0")/packages.sh"

[ $# -eq 1 ] || {
    echo "usage: tests/kafka.sh DIR" >&2
    exit 2
}
sources=$(cd "$(dirname "$0")/kafka" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# Two runs at once would install and fetch the same things over each other.
exec 9>"$dir/.lock"
flock 9

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)

install_tools() {
    missing=
    # With the compiler: a run time alone has no javac.
    command -v javac >/dev/null || missing="$missing default-jdk-headless"
    command -v mvn >/dev/null || missing="$missing maven"
    command -v kcat >/dev/null || missing="$missing kcat"
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
}

# The copy of the pom beside the jars says which they are.
fetch_jars() {
    cmp -s "$sources/pom.xml" "$dir/libs/pom.xml" && return 0
    say "fetching Apache Kafka"
    if ! mvn -q -B -f "$sources/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$work/libs" >"$work/log" 2>&1 9>&-; then
        cat "$work/log" >&2
        skip "Maven could not fetch Apache Kafka (its messages are above)"
    fi
    cp "$sources/pom.xml" "$work/libs/pom.xml"
    # Whole or not at all: the folder gets its name last.
    rm -rf "$dir/libs" "$dir/.libs.new" "$dir/classes"
    cp -r "$work/libs" "$dir/.libs.new"
    mv "$dir/.libs.new" "$dir/libs"
}

compile() {
    cat "$sources"/*.java "$sources/log4j2.properties" >"$work/sources"
    cmp -s "$work/sources" "$dir/classes/sources" && return 0
    say "compiling the harness's Java programs"
    javac -Xlint:all,-classfile,-processing -Werror -cp "$dir/libs/*" -d "$work/classes" "$sources"/*.java 9>&-
    cp "$sources/log4j2.properties" "$work/classes/"
    mv "$work/sources" "$work/classes/sources"
    rm -rf "$dir/classes" "$dir/.classes.new"
    cp -r "$work/classes" "$dir/.classes.new"
    mv "$dir/.classes.new" "$dir/classes"
}

install_tools
fetch_jars
compile
say "$(find "$dir/libs" -name '*.jar' | wc -l) jars in $dir/libs"
