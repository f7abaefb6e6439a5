# Everything a person or CI does with this repository. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

WEB := web/apps/platform/dist/index.html
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
PLATFORM := target/quick/platform

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-23s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- Run ------------------------------------------------------------------------------------------------------------

.PHONY: run
run: setup $(WEB) ## Build what is missing and run the platform with demo data on http://127.0.0.1:8080
	cargo build --profile quick --package platform --bin platform
	DEMO=1 exec $(PLATFORM)

.PHONY: setup
setup: ## Check for the tools that building needs, and install what can be installed
	@scripts/setup build

.PHONY: web
web: $(WEB) ## Build the browser part, which the server embeds

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci
	@touch $@

$(WEB): web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && npm run build
	@touch $@

.PHONY: example-fastapi
example-fastapi: ## A FastAPI backend with the gateway before it (CACHE_GROUPS=1: it names what its answers show)
	@exec examples/fastapi/run $(if $(CACHE_GROUPS),--groups)

# ---- Test -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: setup-test lint fuzz-short test-rust test-web test-e2e ## Everything CI runs

.PHONY: setup-test
setup-test:
	@scripts/setup test

.PHONY: lint
lint: web/node_modules/.package-lock.json ## Formatting, clippy, types, and the rules that keep cache code inside its patterns
	cargo fmt --all --check
	cargo fmt --manifest-path benches/Cargo.toml --all --check
	scripts/check-cache-patterns
	@# Benchmarks and fuzz targets have locks of their own, which a new dependency of the workspace leaves behind.
	cargo update --quiet --workspace --locked --manifest-path benches/Cargo.toml
	cargo update --quiet --workspace --locked --manifest-path fuzz/Cargo.toml
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
	cd web && npm run check
	@if command -v cargo-deny >/dev/null; then $(MAKE) audit; \
	else echo 'cargo-deny is not installed: licences, sources and bans of dependencies are not checked (make audit)'; fi

.PHONY: test-rust
test-rust: ## Unit, property, contract and integration tests
	cargo test --workspace --all-features --locked --no-fail-fast

.PHONY: test-web
test-web: web/node_modules/.package-lock.json ## Unit tests of the browser part
	cd web && npm test

e2e/node_modules/.package-lock.json: e2e/package-lock.json
	cd e2e && npm ci
	@touch $@

.PHONY: test-e2e
test-e2e: $(WEB) web/node_modules/.package-lock.json e2e/node_modules/.package-lock.json ## The real server in a real browser
	cargo build --package platform --bin platform --locked
	cd e2e && PLATFORM_BIN=$(CURDIR)/target/debug/platform PATH=$(CURDIR)/web/node_modules/.bin:$$PATH npm test

.PHONY: example-fastapi-test
example-fastapi-test: ## The FastAPI backend by itself, and through the gateway
	examples/fastapi/prepare test
	cd examples/fastapi && .venv/bin/ruff check --quiet . && .venv/bin/ruff format --quiet --check . && .venv/bin/mypy --no-error-summary .
	cd examples/fastapi && .venv/bin/pytest

e2e/http-cache-tests/node_modules/.package-lock.json: e2e/http-cache-tests/package-lock.json
	cd e2e/http-cache-tests && npm ci --ignore-scripts
	@touch $@

.PHONY: http-cache-report
http-cache-report: e2e/http-cache-tests/node_modules/.package-lock.json ## The public suite of HTTP cache tests against the gateway
	cargo build --package unstale-server --bin unstale --locked
	cd e2e/http-cache-tests && node run.mjs --gateway $(CURDIR)/target/debug/unstale

# ---- Prove ----------------------------------------------------------------------------------------------------------

SEEDS ?= 1000
FIRST ?= 0

.PHONY: sim
sim: ## Simulate many nodes under faults, SEEDS runs from seed FIRST on; SEEDS=1 prints the run
	cargo build --profile quick --package unstale-sim --bin sim --locked
	target/quick/sim --seeds $(SEEDS) --first $(FIRST)

SECONDS ?= 300
SCENARIO ?=

.PHONY: chaos
chaos: ## Real nodes on Redis, sentinels and a cluster that are hurt under load (SECONDS=n for all together, SCENARIO=name,…)
	@scripts/setup chaos
	cargo run --quiet --profile quick --package unstale-sim --bin chaos -- --seconds $(SECONDS) $(if $(SCENARIO),--scenario $(SCENARIO))

.PHONY: chaos-measure
chaos-measure: ## How fast invalidations reach every node, and what many misses and operations at once cost
	@scripts/setup chaos
	cargo run --quiet --profile quick --package unstale-sim --bin chaos -- measure

KILLS ?= 308

.PHONY: outbox-kills
outbox-kills: ## Processes that write through the outbox, killed at every step (KILLS=n on each database)
	@scripts/setup test
	cargo build --package unstale-server --features testing --bin outbox-kills --locked
	target/debug/outbox-kills run --kills $(KILLS)

.PHONY: model
model: ## Every state of small systems, and of larger ones (minutes); every way to break the protocol
	cargo run --package unstale-sim --bin model --locked -- --large --states-max 16000000

FUZZ_SECONDS ?= 60
TARGETS ?=

.PHONY: fuzz
fuzz: ## Fuzz every parser, FUZZ_SECONDS each (TARGETS="url range" for some); their corpus is tried by `test-rust`
	scripts/fuzz $(FUZZ_SECONDS) $(TARGETS)

FUZZ_SHORT_SECONDS ?= 2

.PHONY: fuzz-short
fuzz-short: ## Fuzz every parser FUZZ_SHORT_SECONDS each: the part of `test`
	scripts/fuzz $(FUZZ_SHORT_SECONDS)

# ---- Measure and keep in shape --------------------------------------------------------------------------------------

.PHONY: bench
bench: ## Benchmarks, each against its yardstick in the same run
	@scripts/setup bench
	cargo bench --package unstale --all-features --bench engine
	cargo bench --manifest-path benches/Cargo.toml --target-dir target/benches --locked
	cargo bench --package platform --bench endpoint
	cargo bench --package platform --bench records
	@$(MAKE) bench-writes
	@$(MAKE) bench-sockets
	@$(MAKE) bench-http

.PHONY: bench-hit
bench-hit: ## A hit in memory beside bare gets of other caches (ONLY=unstale: no table, for callgrind and perf)
	cargo bench --manifest-path benches/Cargo.toml --target-dir target/benches --bench hit --locked

.PHONY: bench-writes
bench-writes: ## What the outbox's triggers cost an import of 20,000 rows and a small write, on both databases
	@scripts/setup test
	cargo bench --package platform --bench writes

# `quick` builds in a third of the time and is a little slower.
PROFILE ?= release

.PHONY: bench-data
bench-data: ## What records, audit trail, outbox and sealing cost, each beside its aim (PROFILE=quick to build it sooner)
	@scripts/setup bench
	@scripts/setup test
	cargo bench --profile $(PROFILE) --package platform --bench records --locked
	cargo bench --profile $(PROFILE) --package platform --bench endpoint --locked -- --audit
	cargo bench --profile $(PROFILE) --package platform --bench writes --locked
	cargo bench --profile $(PROFILE) --package unstale --all-features --bench engine --locked -- sealing

.PHONY: bench-sockets
bench-sockets: ## When the last of 10,000 live sockets has been told of a write, and what a socket weighs
	@ulimit -n 11000 || { echo "bench-sockets wants 11,000 open files: raise the limit (ulimit -Hn)"; exit 1; }
	cargo bench --package platform --bench sockets

.PHONY: bench-http
bench-http: ## The gateway beside nginx, Varnish and servers that answer from memory (ONLY=hit,304,passed,many,memory)
	@scripts/setup bench
	cargo build --release --package unstale-server --bin unstale --locked
	cargo build --release --manifest-path benches/Cargo.toml --package unstale-http-benches --target-dir target/benches --locked
	UNSTALE_BIN=target/release/unstale target/benches/release/unstale-http-benches

RUNS ?= 5

.PHONY: gains
gains: web/node_modules/.package-lock.json e2e/node_modules/.package-lock.json ## One journey through the platform, on the former path and on ours: tables and charts (RUNS=n of each)
	cargo build --profile quick --package platform --bin platform --locked
	cd e2e && PLATFORM_BIN=$(CURDIR)/$(PLATFORM) PATH=$(CURDIR)/web/node_modules/.bin:$$PATH RUNS=$(RUNS) OUT=$(CURDIR)/target/gains npm run gains

.PHONY: example-fastapi-measure
example-fastapi-measure: ## The FastAPI backend by itself, with fastapi-cache2, and behind the gateway
	examples/fastapi/measure

.PHONY: lint-benches
lint-benches: ## Clippy for the benchmarks beside other caches, which `lint` leaves out because it would build them all
	cargo clippy --manifest-path benches/Cargo.toml --target-dir target/benches --workspace --all-targets --locked -- -D warnings

.PHONY: coverage
coverage: ## Line coverage of the engine's tests, and the lines that nothing runs (target/coverage/lines.txt)
	@scripts/setup coverage
	scripts/coverage

MUTANTS ?=

.PHONY: mutants
mutants: ## Does a test fail for each change of what the engine decides? (needs cargo-mutants; MUTANTS='--shard 0/16' for some)
	@command -v cargo-mutants >/dev/null || { echo 'cargo install cargo-mutants --locked'; exit 1; }
	cargo mutants --package unstale --output target --baseline skip $(MUTANTS)

.PHONY: audit
audit: ## Licences, sources and bans of dependencies (needs cargo-deny, no network)
	cargo deny --log-level error --locked --all-features check bans licenses sources
	cargo deny --log-level error --locked --manifest-path benches/Cargo.toml --all-features check licenses sources
	cargo deny --log-level error --locked --manifest-path fuzz/Cargo.toml check licenses sources

.PHONY: advisories
advisories: ## Known faults of dependencies (needs cargo-deny, and the network: the RustSec database, npm's registry)
	cargo deny --log-level error --locked --all-features check advisories
	cargo deny --log-level error --locked --manifest-path benches/Cargo.toml --all-features check advisories
	cargo deny --log-level error --locked --manifest-path fuzz/Cargo.toml check advisories
	cd web && npm audit
	cd e2e && npm audit

.PHONY: generate
generate: web/node_modules/.package-lock.json ## Generate what is generated: OpenAPI from Rust, TypeScript from OpenAPI
	UPDATE_OPENAPI=1 cargo test --package platform --lib api::openapi
	cd web && npm run generate --workspace @unstale/platform

.PHONY: screenshots
screenshots: $(WEB) e2e/node_modules/.package-lock.json ## Pictures of every page, into target/screenshots
	cargo build --package platform --bin platform
	cd e2e && PLATFORM_BIN=$(CURDIR)/target/debug/platform PATH=$(CURDIR)/web/node_modules/.bin:$$PATH npm run screenshots -- $(CURDIR)/target/screenshots

.PHONY: fmt
fmt: ## Format everything
	cargo fmt --all
	cargo fmt --manifest-path benches/Cargo.toml --all
	cd web && npm run format

.PHONY: clean
clean: ## Remove what was built (not the data)
	rm -rf target web/apps/platform/dist web/packages/client/dist web/node_modules web/*/*/node_modules e2e/node_modules e2e/http-cache-tests/node_modules
