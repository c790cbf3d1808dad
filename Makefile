# The commands of this repository. CI calls `make test`.

CARGO ?= cargo
# One profile for everything that CI builds, so that it is built once.
PROFILE ?= ci
TOOLS ?= $(HOME)/.cache/parallax/tools
export PATH := $(TOOLS)/bin:$(PATH)
# RocksDB is most of a cold build. Through ccache its objects outlive a changed feature of some
# other crate.
ifneq ($(shell command -v ccache),)
export CC := ccache cc
export CXX := ccache c++
export CCACHE_DIR ?= $(HOME)/.cache/parallax/ccache
export CCACHE_MAXSIZE ?= 2G
endif

# Everything, with the tests that need the embedded store.
ALL := --workspace --features tests/rocksdb
# Everything that does not need the embedded store, which takes a quarter of an hour to build.
QUICK := --workspace --exclude parallax-store-rocksdb --no-default-features

# What may be built without HTTP/3; elsewhere the tests want it.
LEAN := -p parallax-dial -p parallax-probe -p parallax-cli -p parallax-agent --no-default-features

# What /health says that it was built from.
export PARALLAX_REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null)

# Where `make up` keeps what it starts, and where it built the binaries.
FOLDER ?= .parallax
BIN = $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/$(PROFILE)

.PHONY: help up demo down prepare build where check test fmt clippy doc deny nextest doctest real tools fuzz captures

help:
	@echo "make up       a whole mesh on this machine; TARGET=https://... watches your server too"
	@echo "make demo     breaks it, piece by piece, and checks what it says"
	@echo "make down     ends it"
	@echo "make build    build the binaries; \`make where\` says where they are"
	@echo "make check    the fast loop: format, lints, unit tests"
	@echo "make test     everything that CI runs"
	@echo "make fuzz     search for inputs that break a property; FUZZ_SECONDS=60 for each target"
	@echo "make captures draw the pictures of docs/captures anew"
	@echo "make real     install the real MCP servers that tests run against"

# A coordinator, eight agents in four regions on four providers, three MCP servers, and a world
# between them that breaks on command.
up: prepare
	@$(MAKE) --no-print-directory build
	@$(BIN)/parallax-testbed up --folder $(FOLDER) --bin $(BIN) $(foreach url,$(TARGET),--target $(url))

demo:
	@$(BIN)/parallax-testbed demo --folder $(FOLDER) --link-silence

down:
	@$(BIN)/parallax-testbed down --folder $(FOLDER)

prepare:
	@deploy/prepare.sh

build:
	$(CARGO) build --locked --workspace --profile $(PROFILE) --bins

# Where `make build` put the binaries.
where:
	@echo "$(BIN)"

# The fast loop of a contributor.
check: fmt
	$(CARGO) clippy --locked $(QUICK) --all-targets -- -D warnings
	$(CARGO) clippy --locked $(LEAN) -- -D warnings
	$(CARGO) nextest run --locked $(QUICK) \
	  -E 'not package(tests) or binary(tidy) or binary(probe) or binary(tls)'

test: fmt clippy doc deny build doctest nextest

fmt:
	$(CARGO) fmt --all --check

# The fuzz targets are a workspace of their own; that its lock file fits is all that is checked here.
clippy:
	@$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	$(CARGO) clippy --locked $(ALL) --all-targets --profile $(PROFILE) -- -D warnings
	$(CARGO) clippy --locked $(LEAN) --profile $(PROFILE) -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked $(ALL) --no-deps --document-private-items --profile $(PROFILE)

deny: tools
	cargo-deny --locked check bans licenses sources
	@if cargo-deny --locked check advisories >/tmp/parallax-advisories.log 2>&1; then \
	  echo "advisories: none"; \
	elif grep -q "failed to fetch advisory database" /tmp/parallax-advisories.log; then \
	  echo "skipped: advisories (their database cannot be reached from here)"; \
	else cat /tmp/parallax-advisories.log; exit 1; fi

nextest: build real
	$(CARGO) nextest run --locked $(ALL) --cargo-profile $(PROFILE) --profile ci

doctest:
	$(CARGO) test --locked $(ALL) --doc --profile $(PROFILE)

real:
	tests/fixtures/install.sh

# The pictures of docs/captures anew: reports of real probes, then what is drawn of them.
captures: export PARALLAX_ACCEPT_CAPTURES := 1
captures: build
	$(CARGO) test --locked $(ALL) --profile $(PROFILE) --test captures
	$(CARGO) test --locked $(ALL) --profile $(PROFILE) --bin parallax captures

# Goes on where it stopped: the corpus is kept in FUZZ_DIR.
fuzz:
	@fuzz/run.sh

# Cargo tools, in a folder that outlives a clone.
tools:
	@command -v cargo-deny >/dev/null || cargo install --locked --root $(TOOLS) cargo-deny@0.20.2
	@command -v cargo-nextest >/dev/null || cargo install --locked --root $(TOOLS) cargo-nextest@0.9.143
