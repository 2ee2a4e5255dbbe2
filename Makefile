# Every target installs what it needs by itself. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/autoglm
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PY := .venv/bin/python
EXTRAS := operator gateway node cli
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(UV):
	@echo "installing uv $(UV_VERSION) into $(CACHE)"
	@python3 -m venv $(CACHE)/uv-$(UV_VERSION) && $(CACHE)/uv-$(UV_VERSION)/bin/pip install -q uv==$(UV_VERSION)

.venv/.synced: locks/dev.txt pyproject.toml | $(UV)
	@test -x $(PY) || $(UV) venv -q --python 3.11 .venv
	@$(UV) pip sync -q --python $(PY) --require-hashes locks/dev.txt
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
