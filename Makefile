# SPDX-License-Identifier: Apache-2.0
# fpd. `make help` lists the targets.

PREFIX ?= /usr/local
DESTDIR ?=
COUNT ?= 10000
SEED ?= 1
RULESETS ?= 2000
HOURS ?= 1
QUICK ?=
CORPUS ?= Tests/PureTests/Fixtures/fuzz

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

VERSION := $(shell cat VERSION)
DEB := dist/fpd_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null || echo amd64).deb
release := .build/release

.PHONY: all build demo test test-pure test-kernel test-random test-oracle oracle oracle-breaks \
	test-machines vmtest bench fuzz \
	install uninstall deb lint format clean help \
	setup setup-build setup-lint setup-package setup-test-all setup-machines-all

## Build

all: build ## Release build: .build/release/fpd and .build/release/fpctl

build:
	@swift=$$(scripts/find-swift)
	"$$swift" build -c release

## See it

demo: setup build ## Set up, build, and see a router and a bridge with fpd and without (needs root)
	@$(release)/fplab demo

bench: setup build ## Measure reaction, speed and latency, beside the paper's; QUICK=1 for a short run (needs root)
	@$(release)/fplab bench $(if $(QUICK),--quick --output .build/benchmarks)
	$(release)/fplab bench speed $(if $(QUICK),--quick --output .build/benchmarks)
	$(release)/fplab paper $(if $(QUICK),.build/benchmarks)

## Test

test: setup-test-all build ## Set up, build, lint and pass every test of this kernel (needs root)
	@scripts/run-rings lint pure kernel oracle

test-pure: setup-build build ## Tests that need neither root nor a kernel
	@scripts/run-rings pure

test-kernel: setup build ## Tests in network namespaces with the real tools (needs root)
	@scripts/run-rings kernel

test-random: setup build ## RULESETS random rulesets from SEED on against the kernel's own answers (needs root)
	@FPD_RANDOM_RULESETS=$(RULESETS) FPD_RANDOM_SEED=$(SEED) TEST=RandomFirewall scripts/run-rings kernel

test-oracle: setup build ## The seeded part of the differential oracle: fpd against Linux (needs root)
	@scripts/run-rings oracle

oracle: setup build ## The oracle for HOURS hours on trials that SEED names (needs root)
	@mkdir -p .build/oracle
	$(release)/fporacle --hours $(HOURS) --seed $(SEED) --keep .build/oracle

oracle-breaks: setup build ## Break the fast path in many ways and have the oracle find each (needs root)
	@scripts/oracle-breaks

test-machines: setup-machines-all deb ## Tests on Debian's kernels in QEMU
	@scripts/run-rings machines

vmtest: test-machines ## The same

fuzz: build ## Feed the parsers COUNT random and mutated inputs from SEED on
	@$(release)/fpfuzz --count $(COUNT) --seed $(SEED) \
	  $(if $(wildcard $(CORPUS)),--corpus $(CORPUS))

## Check

lint: setup-lint ## Formatting, shell scripts, manual pages and the rules of docs/style.md
	@scripts/lint

format: setup-lint ## Format Swift and C in place
	@scripts/format

## Package

deb: setup-package build ## Debian package in dist/
	@scripts/package-deb "$(DEB)"

install: ## Install what `make` built; PREFIX=/usr/local DESTDIR=
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install-files install

uninstall: ## Remove what `make install` put there, except the configuration
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install-files uninstall

## Other

setup: ## Install the Debian packages that building and testing need (needs root when some are missing)
	@scripts/setup build test

setup-build setup-lint setup-package: setup-%:
	@scripts/setup $*

setup-test-all:
	@scripts/setup build test lint

setup-machines-all:
	@scripts/setup build package machines

clean: ## Remove what was built
	rm -rf .build dist fpd-demo-graph.svg fpd-demo-speed.svg

help: ## This list
	@awk 'BEGIN { FS = ":.*## " }
	  /^## / { printf "\n%s\n", substr($$0, 4) }
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
