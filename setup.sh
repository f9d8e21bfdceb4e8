#!/bin/sh
# Installs what is missing on Debian or Ubuntu, as root. Does nothing when all is there.
#   setup.sh build   what `make build` needs: a C compiler, make, cmake, perl and Rust 1.95 or later
#   setup.sh lint    rustfmt, clippy, cargo-deny
#   setup.sh ebpf    what `make ebpf` needs: the pinned nightly with rust-src, LLVM 22, bpf-linker
#   setup.sh fuzz    what `make fuzz` needs: the same nightly, cargo-fuzz
set -eu
cd "$(dirname "$0")"
PATH="$HOME/.cargo/bin:$PATH"

rust_wanted=95          # minor version of rust-version in Cargo.toml
bpf_linker=0.13.0       # links with the LLVM of the nightly in shipper-ebpf/rust-toolchain.toml
cargo_deny=0.20.2
cargo_fuzz=0.13.2

# Tools are built without optimization: a CI run uses them for seconds.
have() { command -v "$1" >/dev/null 2>&1; }
say() { echo "setup: $*"; }

apt_updated=
apt_install() {
    have apt-get || { say "install these by hand: $*" >&2; exit 1; }
    if [ -z "$apt_updated" ]; then apt-get update -qq; apt_updated=1; fi
    say "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# A package that is not known, or known only in a lower version, gives an empty candidate.
candidate() {
    if [ -z "$apt_updated" ]; then apt-get update -qq; apt_updated=1; fi
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v none || true
}

rust_minor() { rustc --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p'; }

rust_is_new_enough() {
    have cargo && minor=$(rust_minor) && [ -n "$minor" ] && [ "$minor" -ge "$rust_wanted" ]
}

install_rust() {
    rust_is_new_enough && return
    if ! have rustup; then
        # Debian 12 carries a current compiler for its browsers; later releases carry rustup.
        case "$(candidate cargo-web)" in
            1.9[5-9].*|1.[1-9][0-9][0-9].*) apt_install cargo-web rustc-web ;;
            *) [ -z "$(candidate rustup)" ] || apt_install rustup ;;
        esac
    fi
    if ! rust_is_new_enough && have rustup; then
        say "installing Rust stable with rustup"
        rustup toolchain install stable --profile minimal
        rustup default stable
    fi
    rust_is_new_enough || { say "Rust 1.$rust_wanted or later is needed; install it with rustup" >&2; exit 1; }
}

install_nightly() {
    have rustup || { say "$1 needs the nightly of shipper-ebpf/rust-toolchain.toml, and so rustup" >&2; exit 1; }
    nightly=$(sed -n 's/^channel = "\(.*\)"/\1/p' shipper-ebpf/rust-toolchain.toml)
    rustup toolchain list | grep -q "^$nightly" ||
        { say "installing $nightly"; rustup toolchain install "$nightly" --profile minimal -c rust-src; }
}

case "${1:-build}" in
build)
    # librdkafka and the OpenSSL and libcurl in it are built from their sources.
    have cc || apt_install gcc libc6-dev
    have c++ || apt_install g++
    have make || apt_install make
    have cmake || apt_install cmake
    have perl || apt_install perl
    install_rust
    ;;
lint)
    "$0" build
    if have rustup; then rustup component add rustfmt clippy >/dev/null 2>&1; fi
    have cargo-deny || { say "installing cargo-deny $cargo_deny"; cargo install --debug --quiet --locked cargo-deny --version "=$cargo_deny"; }
    ;;
fuzz)
    "$0" build
    install_nightly "the fuzzer"
    have cargo-fuzz || { say "installing cargo-fuzz $cargo_fuzz"; cargo install --debug --quiet --locked cargo-fuzz --version "=$cargo_fuzz"; }
    ;;
ebpf)
    "$0" build
    install_nightly "the kernel object"
    if [ "$(bpf-linker --version 2>/dev/null)" != "bpf-linker $bpf_linker" ]; then
        [ -x /usr/lib/llvm-22/bin/llvm-config ] || apt_install llvm-22-dev libpolly-22-dev zlib1g-dev libzstd-dev g++
        say "installing bpf-linker $bpf_linker"
        LLVM_PREFIX=/usr/lib/llvm-22 cargo install --debug --quiet --locked --force bpf-linker --version "=$bpf_linker" \
            --no-default-features --features llvm-22
    fi
    ;;
*)
    echo "usage: setup.sh build|lint|fuzz|ebpf" >&2
    exit 2
    ;;
esac
