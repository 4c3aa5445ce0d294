# The lab's jobs. Each one first sets up what it needs: Python 3.11 or newer, git and
# make are enough, and nothing outside this folder is changed. `make` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
PROFILE ?= quick
JOBS ?=
NB ?=
TORCH ?= torch==2.13.0
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$p && break; done)

# Wheels in a folder (pip's own variable for it) come first; without one, PyTorch is
# taken from its index of builds for the CPU, which are a tenth of the others' size.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
TORCH_INDEX ?= $(if $(UV_FIND_LINKS),,https://download.pytorch.org/whl/cpu)

BIN := $(VENV)/bin
PIP = $(BIN)/uv pip install --quiet --python $(BIN)/python
CARD := reports/scorecard.json
SITE := _proc/_docs/index.html
EXTRAS_run := torch,knots,graphs,dynamics,parallel,knowledge,docs
EXTRAS_lab := torch,knots,graphs,dynamics,parallel,knowledge,docs,lab
EXTRAS_test := all

.PHONY: help run test lab docs notebooks export readme frames clean browser java

help:  ## list the jobs
	@echo "The first job on a machine also installs what it needs: 1 to 4 minutes."
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Options: PROFILE=full (two hours), JOBS=4 (processes), NB=nbs/core/data.ipynb"

run: $(VENV)/.run  ## measure every claim, build the site, show where they are (8 min)
	@echo "Measuring every claim, profile $(PROFILE) (quick: 6 minutes; full: two hours)"
	@profile=$(PROFILE); $(if $(JOBS),export LITLAB_$${profile^^}_N_WORKERS=$(JOBS);) \
	$(BIN)/litlab reproduce --profile $$profile $(if $(JOBS),--executor processes); \
	status=$$?; [ $$status -le 1 ] || exit $$status; \
	echo "Building the site (a minute)"; \
	$(BIN)/python tools/build_site.py || exit 1; \
	echo "Scorecard: reports/scorecard.html"; \
	echo "Site: $(SITE)"; \
	[ $$status = 0 ] || echo "A claim could not be measured: see 'error' above" >&2; \
	exit $$status

test: $(VENV)/.test $(CARD) browser java  ## check the package, the notebooks and the site (25 min)
	@echo "1/4 The package equals its notebooks (5 seconds)"
	@$(BIN)/python -m pytest tests/test_notebooks.py -k export_is_current
	@echo "2/4 The code is clean (a second)"
	@$(BIN)/ruff check
	@echo "3/4 The site (a minute)"
	@$(BIN)/python tools/build_site.py
	@echo "4/4 Tests, and every notebook from top to bottom (up to 18 minutes)"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(or $(JOBS),2) --dist worksteal

lab: $(VENV)/.lab  ## open the notebooks in JupyterLab; Ctrl-C ends it
	@$(BIN)/jupyter lab nbs/index.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

docs: $(VENV)/.run $(CARD)  ## build the site (a minute; it works without a network)
	@echo "Building the site (a minute)"
	@$(BIN)/python tools/build_site.py
	@echo "Site: $(SITE)"

notebooks: $(VENV)/.test  ## run the notebooks, or NB=..., and store what they show (10 min)
	@$(BIN)/python tools/notebooks.py $(NB)

export: $(VENV)/.run  ## write litlab/ from the notebooks (a second)
	@$(BIN)/nbdev-export

readme: $(VENV)/.run $(CARD)  ## write README.md and its four pictures (20 seconds)
	@$(BIN)/python tools/notebooks.py nbs/index.ipynb
	@$(BIN)/python tools/scorecard.py picture
	@$(BIN)/python tools/rooms.py
	@$(BIN)/python tools/molecule.py
	@$(BIN)/python tools/pendulum.py
	@$(BIN)/python tools/readme.py

frames: $(VENV)/.run  ## time pandas, Modin and polars again, in .venv-modin (10 min)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-modin
	@$(BIN)/uv pip install --quiet --python .venv-modin/bin/python "modin[ray]" polars -e .
	@.venv-modin/bin/python tools/frames.py

clean:  ## remove the site and what tools leave behind; .venv and reports/ stay
	@rm -rf _proc _docs build dist nbs/scorecard.qmd nbs/nbdev.yml
	@rm -rf .pytest_cache .ruff_cache .hypothesis
	@echo "Clean. For a fresh start also remove $(VENV) and reports/"

$(CARD): | $(VENV)/.run
	@echo "Measuring every claim, profile quick (6 minutes)"
	@$(BIN)/litlab reproduce --profile quick || [ $$? = 1 ]

$(BIN)/uv:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  2>/dev/null || { echo "litlab needs Python 3.11 or newer, and python3 is" \
	  "$$(python3 --version 2>&1): install one, or name it: make PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) (10 seconds)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv

$(VENV)/.torch: | $(BIN)/uv
	@echo "Installing PyTorch for the CPU (200 MB: a minute)"
	@$(PIP) $(TORCH) $(if $(TORCH_INDEX),--index $(TORCH_INDEX)) \
	  || { [ -n "$(TORCH_INDEX)" ] && echo "Trying PyPI instead" >&2 && $(PIP) $(TORCH); }
	@touch $@

$(VENV)/.run $(VENV)/.lab $(VENV)/.test: $(VENV)/.%: pyproject.toml | $(VENV)/.torch
	@echo "Installing litlab[$(EXTRAS_$*)] (a minute or two)"
	@$(PIP) -e '.[$(EXTRAS_$*)]'
	@touch $@

# $(call have,PROGRAM,PACKAGE,what for,what happens without it)
define have
	@command -v "$(1)" >/dev/null && exit; \
	if [ $$(id -u) = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing $(2) for $(3) (half a minute)"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $(2) \
	    >/dev/null && exit; \
	fi; \
	echo "No $(1): $(4). To change that, install Debian's package $(2)"
endef

browser:
	$(call have,$(or $(CHROMIUM),chromium),chromium,the tests of the site,the tests \
	  marked 'browser' are skipped (another browser: make test CHROMIUM=...))

java:
	$(call have,java,default-jre-headless,the notebook about Spark,it is not run)
