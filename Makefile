# make repro    the whole pipeline on the embedded dataset, then a short table
# make test     lint, types, import contracts and fast tests (13 to 20 minutes on 2 cores)
# make audit    known vulnerabilities of the pinned packages; a part of make test
# make test-slow  what is long: real ratings, the README's commands, a full run
# make extras   install what optional parts need, so that their tests run, too
# make ui       MLflow and Prefect in the browser
# make serve    the champion over HTTP, on loopback
# make retrain  retrain by schedule and on new ratings, until stopped (docs/retraining.md)
# make bench    reports/bench.json, and a set of figures in benchmarks/history.csv
# make ablation train again without user, demographics, metadata (15 minutes; docs/ablation.md)
# make encoder  train the embedded encoder again (an hour at most on 2 cores)
# make language-model  train the embedded language model again (20 minutes at most)
.PHONY: setup extras repro test test-fast lint audit test-slow ui serve retrain bench ablation encoder language-model clean
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
WORKERS ?= 2
STAMP := $(VENV)/.installed
# of pyproject.toml; what their tests need beside `dev`
EXTRAS := dask,ray,recommenders,scale,scale-tests,steer,study
DEV_EXTRAS := dev,$(EXTRAS)
EXTRAS_STAMP := $(VENV)/.extras
# tests side by side, each module on one worker (tests/conftest.py says which come first)
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)

repro: $(STAMP)
	@$(BIN)/python -m flows.pipeline

setup: $(STAMP)

extras: $(EXTRAS_STAMP)

# $(call install,EXTRAS): this project with these extras, at the versions of constraints.txt;
# compiled on all cores (some packages ship files that are no Python, which is no fault)
define install
	@if command -v uv >/dev/null 2>&1; then \
	   uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; \
	 else \
	   $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	     -c constraints.txt -e '.[$(1)]' && \
	   { $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true; }; \
	 fi
endef

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %d.%d: set PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@if command -v uv >/dev/null 2>&1; then \
	   test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	 else \
	   test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
	   echo "Installing into $(VENV): about 6 GB, some minutes"; \
	 fi
	$(call install,dev)
	@touch $(STAMP)

$(EXTRAS_STAMP): $(STAMP)
	$(call install,$(DEV_EXTRAS))
	@touch $(EXTRAS_STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache --no-logo

# at once: most of lint is mypy, which keeps one core busy
test: $(STAMP)
	@$(MAKE) --no-print-directory -j3 lint audit test-fast

# waits for the network most of the time; where it cannot ask, it says so and passes
audit: $(STAMP)
	@$(BIN)/python -m tests.audit

test-fast: $(STAMP)
	$(BIN)/pytest $(SPREAD)

# these tests wait for servers and processes a third of their time
test-slow: WORKERS := 3
test-slow: $(STAMP)
	$(BIN)/pytest -m 'slow and not gpu' $(SPREAD)

ui: $(STAMP)
	@$(BIN)/python -m flows.ui

serve: $(STAMP)
	@$(BIN)/pamela serve

retrain: $(STAMP)
	@$(BIN)/python -m flows.retrain --serve

# DVC knows the ablation from its first run on
ablation: $(STAMP)
	@cp ablation/stages.yaml ablation/dvc.yaml
	@$(BIN)/dvc repro ablation/dvc.yaml

bench: $(STAMP)
	@$(BIN)/python -m benchmarks.run

encoder: $(STAMP)
	$(BIN)/python -m pamela.features.encoders.embedded_clip.train

language-model: $(STAMP)
	$(BIN)/python -m pamela.steer.language_model.train

clean:
	rm -rf $(VENV) .prefect mlflow.db mlartifacts .pytest_cache .mypy_cache .ruff_cache
