#!/usr/bin/env bash
# Fuzzes each target for so many seconds, 300 if not told otherwise. It begins with fuzz/corpus; what
# it finds on the way stays in target/fuzz-corpus, and what fails in fuzz/artifacts. Where the fuzzer
# cannot be had it says SKIPPED; with CI set that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
nightly=$(sed -n 's/^channel = "\(.*\)"/\1/p' shipper-ebpf/rust-toolchain.toml)

skip() {
    echo "SKIPPED: fuzzing: $1 (./setup.sh fuzz)"
    [ -z "${CI:-}" ] || exit 1
    exit 0
}
command -v rustup >/dev/null || skip 'there is no rustup for a nightly compiler'
rustup toolchain list | grep -q "^$nightly" || skip "$nightly is not installed"
command -v cargo-fuzz >/dev/null || skip 'cargo-fuzz is not installed'
command -v c++ >/dev/null || skip 'there is no C++ compiler'

# Without the address sanitizer: what is fuzzed has no unsafe code, and the build takes half as long.
export CARGO_TARGET_DIR="$PWD/target/fuzz"
# shellcheck source=tests/openssl.sh
. tests/openssl.sh
cargo "+$nightly" fuzz build --sanitizer none
for target in wire event redact spool expression; do
    echo "fuzzing $target for $seconds s"
    mkdir -p "target/fuzz-corpus/$target"
    cargo "+$nightly" fuzz run --sanitizer none "$target" "target/fuzz-corpus/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=20 -max_len=16384 -print_final_stats=1 -verbosity=0
done
