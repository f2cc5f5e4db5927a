# `make run` serves the app, `make test` runs the tests; both install what they need.
# `make quick` runs the unit tests only, in about a minute.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 30
SECONDS ?= 600
# Processes that run tests; 0 runs them in pytest itself. An empty TEST_COVERAGE= measures no
# coverage.
PROCESSES ?= 2
TEST_COVERAGE ?= --cov --cov-report=
export PORT

.PHONY: run test quick fuzz check bench soak audit sbom lock clean
.DELETE_ON_ERROR:

run: $(VENV)/.serve
	$(BIN)/gunicorn wsgi:app

test: $(VENV)/.develop
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(TEST_COVERAGE)

# No server, no browser, no TensorFlow: tests/conftest.py says which tests these are.
quick: $(VENV)/.develop
	$(BIN)/python -m pytest --quick -n 2 --dist loadfile

# atheris is not in the lock file, because only this command needs it and it runs on Linux only.
fuzz: $(VENV)/.develop
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS)

check: $(VENV)/.develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.develop
	$(BIN)/python -m bench.serve

# Runs at capacity for half an hour (MINUTES=2 for a try) and checks for errors and leaks.
soak: $(VENV)/.develop
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

# Lists known vulnerabilities of the pinned packages, and packages that the database does not know.
audit: $(VENV)/.develop
	$(BIN)/uv tool run --quiet --python $(BIN)/python pip-audit@2.10.1 --disable-pip \
		--require-hashes -r requirements.txt --progress-spinner off

# Writes a CycloneDX bill of materials from the lock file.
sbom: $(VENV)/.develop
	$(BIN)/uv tool run --quiet --python $(BIN)/python --from cyclonedx-bom==7.5.0 cyclonedx-py \
		requirements --pyproject pyproject.toml --output-reproducible -o sbom.json requirements.txt

# Pins all packages that pyproject.toml needs, with the hashes of their files. Packages that are
# pinned keep their version; delete their lines or pass UPGRADE=--upgrade for newer versions.
# Extras are kept, since pip refuses "coverage[toml]" beside a pinned "coverage" as soon as a newer
# release exists.
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --no-annotate --no-header \
	--no-strip-extras \
	--python-version 3.11 $(UPGRADE) pyproject.toml
lock: $(VENV)/.develop
	$(COMPILE) $(addprefix --extra ,train archive dicom jax search) --group dev -o requirements-dev.txt
	$(COMPILE) --extra train -c requirements-dev.txt -o requirements-train.txt
	$(COMPILE) --extra convert -c requirements-dev.txt -o requirements.txt
	$(COMPILE) -c requirements-dev.txt -o requirements-serve.txt

$(VENV)/.serve: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"MoleLens needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.train: $(VENV)/.serve requirements-train.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-train.txt
	@touch $@

$(VENV)/.develop: $(VENV)/.serve requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache
