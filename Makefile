# Every target works on a fresh Debian, Ubuntu or macOS machine with Rust, gcc, make and git.
# Arguments for `maru-dev` go in ARGS: make run ARGS="--replicas auth=2,ticketing=2"

CARGO ?= cargo
ARGS ?=
# What runs beside the services in containers: make up PROFILE=observability
PROFILE ?=
COMPOSE ?= docker compose
SERVICES := gateway auth session ticketing emotion memo
PROGRAMS := $(addprefix -p ,$(SERVICES) devstack)

.DEFAULT_GOAL := help
.PHONY: run up down test check upgrade-check bench openapi help

run: ## Start everything on this machine and print where it is; Ctrl-C stops it
	$(CARGO) build $(PROGRAMS) --bins
	exec target/debug/maru-dev up --skip-build $(ARGS)

up: ## Start everything in containers, with secrets of its own; PROFILE=observability adds dashboards and traces
	deploy/docker/secrets.sh
	$(if $(filter observability,$(PROFILE)),OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318) \
	    $(COMPOSE) $(if $(PROFILE),--profile $(PROFILE)) up --build --detach $(ARGS)
	@tries=0; until $(COMPOSE) exec -T gateway /maru healthcheck >/dev/null 2>&1; do tries=$$((tries + 1)); \
	 [ $$tries -lt 60 ] || { echo "the gateway does not get ready; it says: $(COMPOSE) logs gateway"; exit 1; }; sleep 1; done
	@echo "http://localhost:$${MARU_PORT:-8080}/$(if $(filter observability,$(PROFILE)), and http://localhost:3000/ (dashboards))"

down: ## Stop what `make up` started; the data stays
	$(COMPOSE) --profile observability down $(ARGS)

# The programs are built with the tests, from the same build of each dependency.
test: ## Run every test against a throw-away PostgreSQL, Redis and object storage
	$(CARGO) test --workspace --no-run
	target/debug/maru-dev test -- $(ARGS)

check: ## Format, lints, documentation, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path crates/ticketing/tests/rust-socketio/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet
	deploy/kubernetes/check.sh
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --config .deny.toml check bans licenses sources; \
	 else echo "cargo-deny is not installed, licences and bans were not checked: cargo install cargo-deny"; fi
	@if $(CARGO) machete --version >/dev/null 2>&1; then $(CARGO) machete; \
	 else echo "cargo-machete is not installed, unused dependencies were not looked for: cargo install cargo-machete"; fi

# Compiles a second tree, so it is no part of `make test`. REVISION=v1.2.0 names another release than the one before.
upgrade-check: ## Run the release before this one on this one's schema, alone and beside this one (slow)
	deploy/upgrade-check.sh $(REVISION)

bench: ## Measure, as ratios beside the machine's own limits (needs nginx and wrk)
	$(CARGO) build --release $(PROGRAMS) -p bench --bins
	target/release/maru-bench all $(ARGS)

openapi: ## Write every service's API document to target/openapi
	$(CARGO) build $(PROGRAMS) --bins
	@mkdir -p target/openapi
	@for service in $(SERVICES); do target/debug/maru-$$service openapi > target/openapi/$$service.json && echo "target/openapi/$$service.json"; done

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
