# make run, make test and make bench install what they need first; see `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test bench oracle lint deny fuzz arm64 package build runtime clean

CARGO := tools/cargo
SECONDS_PER_TARGET := $(or $(SECONDS),30)
ARGS ?=

help:
	@echo 'make run      build, then run pipelines/face-file.yaml on media/sample.mp4 into run/   (ARGS="in=clip.mp4")'
	@echo 'make test     formatting, lints, every test, the lines in the documentation, ABI, install, another GStreamer'
	@echo 'make bench    measure, print the table and write docs/benchmarks.md'
	@echo 'make oracle   MotionText beside what a browser drew: target/oracle/index.html, and the table of docs/motiontext-fidelity.md'
	@echo 'make lint     rustfmt, clippy and shellcheck only'
	@echo 'make deny     licences, advisories and sources of all dependencies (needs cargo-deny)'
	@echo 'make fuzz     every fuzz target for SECONDS=30 each (needs cargo-fuzz)'
	@echo 'make arm64    cross-build the plugin and run its tests under qemu (Debian; needs qemu-user-static, gcc-aarch64-linux-gnu)'
	@echo 'make package  target/package/nunchi-VERSION-MACHINE.tar.gz with plugin, binary, libraries, pipelines, licences'
	@echo 'make clean    remove target/ and run/'
	@echo 'run, test and bench install what is missing (Debian and Ubuntu; elsewhere they list it).'

run:
	@echo '[1/4] checking what is installed'
	@tools/setup.sh run
	@echo '[2/4] inference libraries'
	@tools/fetch-runtime.sh || echo '  WARNING: going on with the embedded engine, which is several times slower'
	@echo '[3/4] building (minutes the first time)'
	@$(CARGO) build --release --workspace
	@echo '[4/4] nunchi run pipelines/face-file.yaml'
	@target/release/nunchi run pipelines/face-file.yaml $(ARGS)

test:
	@tools/test.sh

bench:
	@echo '[1/4] checking what is installed'
	@tools/setup.sh bench
	@echo '[2/4] inference libraries'
	@tools/fetch-runtime.sh
	@echo '[3/4] building'
	@$(CARGO) build --release --workspace
	@echo '[4/4] measuring'
	@python3 tools/bench.py

oracle:
	@echo '[1/3] checking what is installed'
	@tools/setup.sh oracle
	@echo '[2/3] building'
	@$(CARGO) build --release -p nunchi-motiontext --example oracle
	@echo '[3/3] comparing'
	@target/release/examples/oracle target/oracle docs/motiontext-fidelity.md

lint:
	@tools/setup.sh test
	@tools/lint.sh

deny:
	@command -v cargo-deny >/dev/null || { echo 'cargo-deny is missing; install it with: cargo install --locked cargo-deny' >&2; exit 1; }
	@$(CARGO) deny --workspace check

fuzz:
	@tools/fuzz.sh $(SECONDS_PER_TARGET)

arm64:
	@tools/arm64.sh

package:
	@echo '[1/4] checking what is installed'
	@tools/setup.sh run
	@echo '[2/4] inference libraries'
	@tools/fetch-runtime.sh
	@echo '[3/4] building with link-time optimisation'
	@$(CARGO) build --profile dist -p nunchi -p gst-plugin-nunchi
	@echo '[4/4] packing'
	@tools/package.sh

clean:
	@rm -rf target run
