# make run, make test: the rest is in `make help`.
export PATH := $(HOME)/.cargo/bin:$(PATH)
CARGO := cargo

.PHONY: help setup build run test test-kernel readme-table torture fuzz bench lint ebpf ebpf-setup ebpf-check clean

help:
	@echo 'make run          build, capture on this machine, print events, write ./run/events/shipper.ndjson'
	@echo 'make test         all tests that this machine can run'
	@echo 'make build        target/release/shipper'
	@echo 'make test-kernel  the tests in QEMU guests alone (SHIPPER_GUEST_KERNEL_SERIES="6.1 newest": these alone)'
	@echo 'make readme-table put the table that make test-kernel wrote (target/kernel-matrix.md) into README.md'
	@echo 'make torture      crash tests, model and simulation of the spool at full length: an hour (SHIPPER_SEED=N as printed)'
	@echo 'make fuzz         fuzz what reads untrusted bytes, SHIPPER_FUZZ_SECONDS (300) for each target'
	@echo 'make bench        cost in the kernel and in the daemon, beside auditd and execsnoop, latency, memory, spool, delivery: a table and target/bench.json'
	@echo 'make lint         rustfmt, clippy, cargo-deny'
	@echo 'make ebpf         rebuild the kernel object into shipper-ebpf/prebuilt (make ebpf-setup installs its tools)'
	@echo 'make ebpf-check   rebuild it and compare with the committed one'

setup:
	@./setup.sh build

build: setup
	$(CARGO) build --release --locked --package shipper

run: build
	./target/release/shipper run --local

test: setup
	@CARGO="$(CARGO)" tests/run.sh all

test-kernel: setup
	@CARGO="$(CARGO)" tests/run.sh kernel

readme-table:
	@tests/readme-table.sh

torture: setup
	@CARGO="$(CARGO)" tests/run.sh torture

# What cannot be set up fuzz/run.sh says, and whether that is a failure.
fuzz:
	@./setup.sh fuzz || true
	@fuzz/run.sh $(or $(SHIPPER_FUZZ_SECONDS),300)

bench: build
	$(CARGO) run --release --locked --package shipper-tests --bin bench
	$(CARGO) bench --locked --package shipper --bench codec --bench redact --bench rules

lint:
	@./setup.sh lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) deny --log-level error check bans licenses sources
	@tests/advisories.sh

ebpf-setup:
	@./setup.sh ebpf

ebpf:
	@shipper-ebpf/build.sh

ebpf-check:
	@shipper-ebpf/build.sh --check

clean:
	$(CARGO) clean
	rm -rf run
