# `make run` serves the app, `make test` runs the tests; both do all their own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
export PORT

.PHONY: run test check bench lock clean
.DELETE_ON_ERROR:

run: $(VENV)/.serve
	$(BIN)/gunicorn wsgi:app

test: $(VENV)/.develop
	$(BIN)/python -m pytest

check: $(VENV)/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.develop
	$(BIN)/python -m bench.serve

# Pins every package, with the hashes of its files, for what pyproject.toml names.
lock: $(VENV)/.develop
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
		--python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
		--python-version 3.11 -c requirements.txt --group dev -o requirements-dev.txt

$(VENV)/.serve: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"MoleLens needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.develop: $(VENV)/.serve requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
