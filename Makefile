# Two commands matter: `make tour` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PICTURE ?=
PICTURES ?=
NETWORK ?= efficientnet_lite0
OUT ?= tour
CHAPTERS ?=
STYLE ?=
LANGUAGE ?= auto

.PHONY: tour test docs setup check format clean
tour: $(VENV)/.installed
	@$(BIN)/lanterna tour $(if $(PICTURE),"$(PICTURE)") $(if $(PICTURES),--pictures "$(PICTURES)") $(if $(CHAPTERS),--chapters "$(CHAPTERS)") $(if $(STYLE),--style "$(STYLE)") $(if $(filter-out auto,$(LANGUAGE)),--language "$(LANGUAGE)") --network "$(NETWORK)" --out "$(OUT)"

test: $(VENV)/.installed-dev
	scripts/install_chromium.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "$(CURDIR)/site/index.html"

setup: $(VENV)/.installed-dev

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Lanterna needs Python 3.11 or later; say which with: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV): a few minutes, once."
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV): a few minutes, once."
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) tour site build dist *.egg-info
