# make demo: compile a real trained network and prove it.   make check: lint, types, the fast tests.   make test: every test.
# Each installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo check test lint bench docs wheel clean
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/tclif-compile fixtures/smnist_ff/checkpoint.pth.tar --target loihi2 --data fixtures/smnist_test.npz

# The same random networks every time; plain pytest draws new ones. It ends with what it skipped and what would run it.
test: $(VENV)/.frameworks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --hypothesis-profile ci

# What to run while you work, in less than a minute on two cores; `make test` runs the rest too.
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --hypothesis-profile ci -m 'not slow' tests

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/job.py

# The site in build/site; any warning fails it.
docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(READY)
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf build dist

# torch 2.13.0 first: the version tested, so that no other package picks one.
# lava-nc 0.10.0 declares Python < 3.11 and pins old versions, hence what it really needs first (the extra), then --no-deps.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,lava]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python lava-nc==0.10.0
	touch $@

# The other tools that tests compare with; `make demo` does without them.
$(VENV)/.frameworks: $(READY) tests/frameworks.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python -r tests/frameworks.txt
	touch $@
