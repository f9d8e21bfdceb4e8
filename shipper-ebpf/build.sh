#!/bin/sh
# Builds the kernel object and puts it, with the hash of its sources, into prebuilt/.
# With --check it compares instead, and fails when the committed object is not what the sources give.
set -eu
cd "$(dirname "$0")/.."
out=target/ebpf/bpfel-unknown-none/release/shipper-ebpf
(cd shipper-ebpf && cargo build --release --locked --quiet --target-dir ../target/ebpf)
# The same list as in shipper/build.rs. decode.rs is not compiled into the kernel object.
sources=$(ls common/Cargo.toml common/src/*.rs shipper-ebpf/.cargo/config.toml shipper-ebpf/Cargo.toml \
    shipper-ebpf/rust-toolchain.toml shipper-ebpf/src/*.rs | grep -v '^common/src/decode.rs$' | LC_ALL=C sort)
# shellcheck disable=SC2086 # one word a file is meant
hash=$(sha256sum $sources | sha256sum | cut -d' ' -f1)
prebuilt=shipper-ebpf/prebuilt
if [ "${1:-}" = --check ]; then
    [ "$hash" = "$(cat $prebuilt/shipper.bpf.o.sources)" ] || { echo "prebuilt kernel object is stale: run 'make ebpf' and commit $prebuilt" >&2; exit 1; }
    cmp "$out" $prebuilt/shipper.bpf.o || { echo "the sources do not give the committed kernel object: run 'make ebpf' and commit $prebuilt" >&2; exit 1; }
    echo "the committed kernel object is what its sources give"
else
    mkdir -p $prebuilt
    cp "$out" $prebuilt/shipper.bpf.o
    echo "$hash" > $prebuilt/shipper.bpf.o.sources
    echo "$prebuilt/shipper.bpf.o: $(wc -c < $prebuilt/shipper.bpf.o) bytes"
fi
