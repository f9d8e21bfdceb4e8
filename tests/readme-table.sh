#!/bin/sh
# Puts the table of target/kernel-matrix.md, which `make test-kernel` writes, between its marks in
# README.md.
set -eu
cd "$(dirname "$0")/.."
table=target/kernel-matrix.md
[ -s $table ] || { echo "readme-table: there is no $table; run: make test-kernel" >&2; exit 1; }
if grep -q FAILED $table; then
    echo "readme-table: $table is of a run that failed" >&2
    exit 1
fi
new=$(mktemp)
awk -v table=$table '
    /^<!-- \/behaviours -->/ { inside = 0 }
    !inside { print }
    /^<!-- behaviours -->/ { inside = 1; while ((getline line <table) > 0) print line }
' README.md >"$new"
cat "$new" >README.md
rm "$new"
