#!/bin/sh
# Fetches the real software that config/siem/ is loaded into by the tests, from Maven Central: the
# OpenSearch server with its module of ingest processors, and Kafka Connect's runtime. Elasticsearch
# itself is there without that module and without field types that the templates use.
#
#   tests/siem.sh DIR
#
# Leaves DIR/opensearch (a home as the server wants it) and DIR/connect (jars). What is there is not
# fetched again; remove the folder to renew it.
#
# Exit code: 0 all there, 2 wrong usage, 77 it cannot be had on this machine (a line `SKIPPED: why`
# says what), any other an unexpected failure.
set -eu

opensearch=2.19.3       # the last series that runs on Java 17
kafka=4.1.1             # as in docker-compose.yml

me=siem
# shellcheck source=tests/packages.sh
. "$(dirname "$0")/packages.sh"

[ $# -eq 1 ] || { echo "usage: tests/siem.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# Two runs at once would fetch over each other.
exec 9>"$dir/.lock"
flock 9

# --- tools ---------------------------------------------------------------------------------------

install_tools() {
    missing=
    command -v java >/dev/null || missing="$missing openjdk-17-jre-headless"
    command -v mvn >/dev/null || missing="$missing maven"
    command -v curl >/dev/null || missing="$missing curl"
    command -v docker-compose >/dev/null || missing="$missing docker-compose"
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
}

# --- fetching ------------------------------------------------------------------------------------

# `fetch GOAL INTO GROUP ARTIFACT VERSION [TYPE]`: what this is, with what it needs at run time.
fetch() {
    cat >"$work/pom.xml" <<EOF
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>shipper</groupId><artifactId>siem</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>$3</groupId><artifactId>$4</artifactId><version>$5</version><type>${6-jar}</type>
    </dependency>
  </dependencies>
</project>
EOF
    mvn -q -B -f "$work/pom.xml" "dependency:$1" -DincludeScope=runtime -DoutputDirectory="$2" \
        >"$work/log" 2>&1 9>&- && return 0
    grep -m1 ERROR "$work/log" >&2 || cat "$work/log" >&2
    skip "Maven could not fetch $4 $5 (its message is above)"
}

# `module ARTIFACT NAME CLASS`: a module of the server, which the distribution for tests comes without.
module() {
    into="$work/opensearch-$opensearch/modules/$2"
    fetch copy-dependencies "$into" org.opensearch.plugin "$1" $opensearch
    # What the server has itself it refuses to find a second time.
    for jar in "$into"/*.jar; do
        [ ! -e "$work/opensearch-$opensearch/lib/${jar##*/}" ] || rm "$jar"
    done
    cat >"$into/plugin-descriptor.properties" <<EOF
name=$2
description=$2
version=$opensearch
opensearch.version=$opensearch
java.version=11
classname=$3
EOF
}

fetch_opensearch() {
    say "fetching OpenSearch $opensearch"
    fetch unpack-dependencies "$work" org.opensearch.distribution.integ-test-zip opensearch $opensearch zip
    module ingest-common ingest-common org.opensearch.ingest.common.IngestCommonPlugin
    # The language of {{{_ingest.timestamp}}}. It reads fields by reflection.
    module lang-mustache-client lang-mustache org.opensearch.script.mustache.MustachePlugin
    echo 'grant { permission java.lang.RuntimePermission "accessDeclaredMembers"; };' \
        >"$work/opensearch-$opensearch/modules/lang-mustache/plugin-security.policy"
    # Whole or not at all: the folder gets its name last.
    mv "$work/opensearch-$opensearch" "$dir/opensearch"
}

fetch_connect() {
    say "fetching Kafka Connect $kafka"
    fetch copy-dependencies "$work/connect" org.apache.kafka connect-runtime $kafka
    mv "$work/connect" "$dir/connect"
}

install_tools
# On the same file system, so that the last step is a rename.
work=$(mktemp -d "$dir/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
[ -d "$dir/opensearch" ] || fetch_opensearch
[ -d "$dir/connect" ] || fetch_connect
say "OpenSearch $opensearch and Kafka Connect $kafka in $dir"
