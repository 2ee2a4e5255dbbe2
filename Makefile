# Every target installs what it needs by itself. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/autoglm
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PY := .venv/bin/python
EXTRAS := operator gateway node cli train
TORCH := $(CACHE)/torch-venv
TORCH_TESTS := tests/contract/engine/test_engine_torch.py tests/contract/node/test_node_pytorch.py \
  tests/unit/node/test_node_validate.py tests/unit/engine

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(UV):
	@echo "installing uv $(UV_VERSION) into $(CACHE)"
	@python3 -m venv $(CACHE)/uv-$(UV_VERSION) && $(CACHE)/uv-$(UV_VERSION)/bin/pip install -q uv==$(UV_VERSION)

.venv/.synced: locks/dev.txt pyproject.toml | $(UV)
	@test -x $(PY) || $(UV) venv -q --python 3.11 .venv
	@$(UV) pip sync -q --compile-bytecode --python $(PY) --require-hashes locks/dev.txt
	@$(UV) pip install -q --python $(PY) --no-deps -e .
	@touch $@

.PHONY: venv
venv: .venv/.synced ## Create or update the development environment from the lock

.PHONY: lock
lock: $(UV) ## Resolve dependencies anew into locks/ (hashes, no host names)
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate $(addprefix --extra ,$(EXTRAS)) --group dev pyproject.toml -o locks/dev.txt
	@for e in $(EXTRAS); do $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-annotate -c locks/dev.txt --extra $$e pyproject.toml -o locks/$$e.txt || exit 1; done
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate --extra optimize pyproject.toml -o locks/optimize.txt
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate -c locks/node.txt --extra node --extra pytorch pyproject.toml -o locks/pytorch.txt
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-annotate -c locks/gateway.txt --extra gateway --extra native pyproject.toml -o locks/native.txt

# --- the two commands -----------------------------------------------------------------------------
.PHONY: demo
demo: venv ## Run the whole product on a real cluster and check its claims (report: build/demo/)
	@$(PY) -m autoglm_demo $(DEMO_ARGS)

.PHONY: test
test: venv ## Run every test tier, from unit to real pods, and print one line of counts
	@$(PY) tests/tiers.py

# --- parts of it -------------------------------------------------------------------------------------
.PHONY: unit
unit: venv ## Unit and property tests only (seconds)
	@$(PY) tests/tiers.py unit property

.PHONY: contract
contract: venv ## Tests of our processes over real sockets, without Kubernetes
	@$(PY) tests/tiers.py contract

$(TORCH)/.synced: locks/pytorch.txt locks/dev.txt | $(UV)
	@echo "installing PyTorch into $(TORCH): 6 GB, once"
	@$(UV) venv -q --allow-existing --python 3.11 $(TORCH)
	@$(UV) pip sync -q --python $(TORCH)/bin/python --require-hashes locks/pytorch.txt locks/dev.txt
	@touch $@

.PHONY: torch-tests
torch-tests: $(TORCH)/.synced ## Tests of the PyTorch engine, in an environment of their own outside the checkout (6 GB)
	@$(UV) pip install -q --python $(TORCH)/bin/python --no-deps -e .
	@$(TORCH)/bin/python -m pytest -q $(TORCH_TESTS)

.PHONY: compiled
compiled: venv ## The gateway's contract tests once more, with compiled code
	@$(PY) tests/tiers.py compiled

.PHONY: cluster-test
cluster-test: venv ## Tests against a real API server
	@$(PY) tests/tiers.py cluster

.PHONY: e2e
e2e: venv ## Tests with real engine pods on a real node
	@$(PY) tests/tiers.py e2e

.PHONY: lint
lint: venv ## Formatting, ruff, layer contracts
	@mkdir -p build; .venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/lint-imports --no-logo >build/lint-imports.log 2>&1 || { cat build/lint-imports.log; exit 1; }
	@echo "lint: clean"

.PHONY: types
types: venv ## mypy strict
	@.venv/bin/mypy api cli demo gateway localcluster models/autoglm_shop node_runtime operator pitfalls transport tests

.PHONY: crds
crds: venv ## Generate the CRD, the chart's copy, the values schema and the reference pages
	@$(PY) -m autoglm_api.generate

.PHONY: docs
docs: crds ## Same as crds: the reference is generated with it

.PHONY: drift
drift: venv ## Fail when a generated file or the lock differs from its source
	@$(PY) -m autoglm_api.generate --check

.PHONY: bench
bench: venv ## Side-by-side measurements against peers (prints ratios; never part of the tests)
	@for b in benchmarks/*/run.py; do echo "== $$b"; $(PY) $$b || exit 1; done

.PHONY: bench-scaling
bench-scaling: venv ## Our scaling beside published rules on all traces (BENCH_ARGS=--quick for a minute)
	@$(PY) benchmarks/scaling/run.py $(BENCH_ARGS)

.PHONY: hpa-conformance
hpa-conformance: venv ## Our HPA against kube-controller-manager's own code, case by case (needs Go)
	@$(PY) benchmarks/conformance/hpa/run.py

.PHONY: pitfalls
pitfalls: venv ## Triton's known failures, plain Triton beside our node runtime; writes docs/reference/pitfalls.md
	@PYTHONPATH=pitfalls:tests $(PY) -m autoglm_pitfalls $(PITFALLS)

.PHONY: images
images: venv ## Build the container images without a Docker engine
	@$(PY) -m autoglm_localcluster images

.PHONY: native
native: venv ## Compile the gateway as its image has it; prints the directory for PYTHONPATH
	@$(PY) -m autoglm_localcluster native

.PHONY: cluster-up
cluster-up: venv ## Start the local Kubernetes cluster (AUTOGLM_CLUSTER=local|kind|existing)
	@$(PY) -m autoglm_localcluster up

.PHONY: cluster-down
cluster-down: venv ## Stop it and leave nothing behind
	@$(PY) -m autoglm_localcluster down

.PHONY: clean
clean: ## Remove the environment and build output of this checkout (not the shared cache)
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
