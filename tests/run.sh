#!/usr/bin/env bash
# Runs the tests. `all`: every test this machine can run; `kernel`: those in QEMU guests alone;
# `torture`: those that try at random, at full length.
# What cannot run says SKIPPED and why; with CI set such a skip fails.
set -euo pipefail
cd "$(dirname "$0")/.."
CARGO=${CARGO:-cargo}
case "${1:-all}" in
kernel) kernels="5.10 6.1 6.12 newest" ;;
*) kernels="5.10 6.1 newest" ;;
esac
export SHIPPER_GUEST_KERNEL_SERIES="${SHIPPER_GUEST_KERNEL_SERIES:-$kernels}"

# Fetches QEMU and kernels, and builds the static programs the guests run.
prepare_guests() {
    local status=0 target
    # shellcheck disable=SC2086 # one word a series is meant
    tests/kernels.sh target/guest-kernels $SHIPPER_GUEST_KERNEL_SERIES || status=$?
    [ $status -ne 77 ] || return 0 # It said SKIPPED and why; the tests will say so too.
    [ $status -eq 0 ] || return $status
    target=$(rustc -vV | sed -n 's/^host: //p')
    (
        # shellcheck source=tests/openssl.sh
        . tests/openssl.sh
        RUSTFLAGS="-C target-feature=+crt-static" "$CARGO" build --profile guest --locked --quiet \
            --target "$target" --target-dir target/static --package shipper --bin shipper \
            --package shipper-tests --bin exec_helper
    )
    export SHIPPER_STATIC="$PWD/target/static/$target/guest"
}

# Fetches Apache Kafka and what it needs.
prepare_kafka() {
    local status=0
    tests/kafka.sh target/kafka || status=$?
    [ $status -ne 77 ] || return 0 # As above.
    return $status
}

# Fetches what config/siem/ is loaded into.
prepare_siem() {
    local status=0
    tests/siem.sh target/siem || status=$?
    [ $status -ne 77 ] || return 0 # As above.
    return $status
}

# Fetches what counts executions beside the daemon, and what executes.
prepare_counts() {
    local status=0
    tests/counts.sh target/counts || status=$?
    [ $status -ne 77 ] || return 0 # As above.
    return $status
}

# Says again at the end, and in short, what failed and with which words.
tell_failures() {
    echo
    echo 'What failed:'
    awk '
        /^---- .* ----$/ { shown = 15; print ""; print; next }
        /^failures:$/ || /[Ss]tack backtrace:$/ { shown = 0 }
        shown > 0 && NF { print substr($0, 1, 1000); shown-- }
    ' "$1"
}

case "${1:-all}" in
kernel)
    prepare_guests
    "$CARGO" test --locked --package shipper-tests --test guest_harness --test kernel --test enforce -- --nocapture
    ;;
all)
    mkdir -p target
    # Each kernel once; in all ways that there are, and those that take longest, with `kernel`.
    export SHIPPER_GUEST_FEW=1
    # The default members: all but the kernel crate, which is for another target.
    "$CARGO" test --locked --no-run
    prepare_guests
    prepare_kafka
    prepare_siem
    prepare_counts
    # Built with the tests; built alone it would have other features of its dependencies.
    export SHIPPER_BIN="$PWD/target/debug/shipper"
    "$CARGO" test --locked --no-fail-fast 2>&1 | tee target/test.log || status=$?
    echo
    grep '^SKIPPED' target/test.log || echo 'Nothing was skipped.'
    [ "${status:-0}" -eq 0 ] || tell_failures target/test.log
    exit "${status:-0}"
    ;;
torture)
    export SHIPPER_TORTURE=1
    "$CARGO" test --locked --package shipper --lib -- --nocapture model simulation
    "$CARGO" test --locked --package shipper-tests --test crash --test fault_scripts -- --nocapture
    ;;
*)
    echo "usage: run.sh all|kernel|torture" >&2
    exit 2
    ;;
esac
