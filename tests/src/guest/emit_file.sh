#!/bin/sh
# emit_file NAME PATH: hands a file of the guest to the harness as NAME (no spaces). One call at a
# time. The copy holds still while its length is announced, as a log or a file under /proc may not.
copy=/tmp/.emit.$$
cp "$2" "$copy" || exit 1
{
    echo "file $1 $(stat -c %s "$copy")"
    cat "$copy"
    echo
} >/dev/ttyS2
rm -f "$copy"
