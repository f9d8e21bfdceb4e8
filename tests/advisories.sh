#!/bin/sh
# Holds the dependencies against the RustSec database. Where the database cannot be fetched that is
# said and is not a failure: it is a matter of the network, not of the dependencies.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ${CARGO:-cargo} deny --log-level error check advisories >"$log" 2>&1; then
    echo 'advisories ok'
elif grep -q 'failed to fetch advisory database' "$log"; then
    echo 'SKIPPED: advisories: the RustSec database cannot be fetched from here'
else
    cat "$log" >&2
    exit 1
fi
