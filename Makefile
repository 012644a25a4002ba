# `make run` serves config.yaml, `make test` runs every test; both set up what they need first.
# Works with GNU make from 3.81 on. Nothing is installed twice: the stamp files below are compared with their sources.

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
CONFIG ?= config.yaml
ARGS ?=
WORKERS ?= 4

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
INSTALLED := $(VENV)/.installed

# The pages: what they are made of, and the file that is there once they are built.
DEMO_SOURCES := $(shell find client_demo \( -name node_modules -o -name dist -o -name test \) -prune \
	-o -type f ! -name '*.tsbuildinfo' -print 2>/dev/null)
WEB := rtserver/web/index.html

# Every folder of the tests with a package-lock.json gets its packages; the benchmarks see to their own.
NPM_LOCKS := $(shell find client_demo tests -name node_modules -prune -o -name package-lock.json -print 2>/dev/null)
NPM_INSTALLED := $(NPM_LOCKS:%/package-lock.json=%/node_modules/.installed)

export npm_config_audit := false
export npm_config_fund := false
export npm_config_update_notifier := false
export npm_config_omit_lockfile_registry_resolved := true

.PHONY: help run setup pages test check lint lint-python lint-pages test-pages test-python format build bench lock clean
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:  ## this list
	@echo "make run      sets up and serves $(CONFIG); CONFIG=other.yaml, ARGS='--port 9000'"
	@echo "make test     sets up, checks the style and runs every test; ARGS='-k name' goes to pytest"
	@echo "make lint     style, types and imports only"
	@echo "make format   rewrites the Python code in the project's style"
	@echo "make build    the wheel, with the pages in it, in dist/"
	@echo "make bench    the side-by-side benchmarks; ARGS goes to python -m bench"
	@echo "make pages    builds client_demo/ into rtserver/web/"
	@echo "make setup    only installs what the others need"
	@echo "make lock     pins the newest allowed versions in requirements/"
	@echo "make clean    removes everything that was installed or built here"

run: $(INSTALLED) $(WEB)
	@$(BIN)/rtserver serve --config $(CONFIG) $(ARGS)

setup: $(INSTALLED) $(WEB) $(NPM_INSTALLED)

pages: $(WEB)

# --- tests -----------------------------------------------------------------------------------------------------------

# In this order, and pytest's summary is the last line. Most tests wait more than they work: more workers than cores.
test: lint test-pages test-python

test-python: $(INSTALLED) $(WEB) $(NPM_INSTALLED)
	@tools/need.sh chromium
	@tools/need.sh postgres
	@echo "pytest"
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

test-pages: client_demo/node_modules/.installed
	@echo "client_demo: npm test"
	@cd client_demo && npm test --silent --if-present

lint: lint-python lint-pages

lint-python: $(INSTALLED)
	@echo "ruff, mypy, import-linter"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check || { echo "error: make format puts these right" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out"; exit 1; }
	@tools/check_locks.py

lint-pages: client_demo/node_modules/.installed
	@echo "client_demo: npm run check"
	@cd client_demo && npm run check --silent

format: $(INSTALLED)
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format

# --- what they need --------------------------------------------------------------------------------------------------

$(BIN)/python:
	@python=$$(tools/need.sh python $(PYTHON)) && echo "creating $(VENV) with $$($$python --version)" && \
		tools/need.sh venv "$$python" $(VENV)

$(INSTALLED): requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "installing the Python packages of requirements/dev.txt"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

%/node_modules/.installed: %/package-lock.json %/package.json
	@tools/need.sh node
	@echo "installing the npm packages of $*"
	@cd $* && npm ci --loglevel=error
	@touch $@

$(WEB): $(DEMO_SOURCES) | client_demo/node_modules/.installed
	@echo "building the pages of client_demo"
	@cd client_demo && npm run build --silent -- --logLevel warn
	@touch $@

# --- now and then ----------------------------------------------------------------------------------------------------

build: $(INSTALLED) $(WEB)
	@rm -rf build dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

bench: $(INSTALLED)
	@$(BIN)/python -m bench $(ARGS)

LOCK := $(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --custom-compile-command "make lock" --python-version 3.11

lock: $(BIN)/python
	@test -x $(BIN)/uv || $(PIP) install uv
	@echo "pinning requirements/runtime.txt and requirements/dev.txt"
	@$(LOCK) pyproject.toml -o requirements/runtime.txt
	@$(LOCK) pyproject.toml --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	@tools/check_locks.py

clean:
	@rm -rf $(VENV) build dist artifacts rtserver/web rtserver.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	@find . -name node_modules -prune -exec rm -rf {} +
	@find . -name .git -prune -o -name __pycache__ -prune -exec rm -rf {} +
