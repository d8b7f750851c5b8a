# make demo: compile a real trained network and prove it.   make check: lint, types, the fast tests.   make test: every test.
# Each installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo check test lint bench docs wheel clean oracles prove
.DEFAULT_GOAL := demo

demo: $(DEMO)
	$(BIN)/tclif-compile fixtures/smnist_ff/checkpoint.pth.tar --target loihi2 --data fixtures/smnist_test.npz
	@echo
	@echo "How to go on:"
	@echo "  . .venv/bin/activate                  puts tclif on the path"
	@echo "  tclif show build/smnist_ff-loihi2     the whole report here; report.html in that folder is the same as a page"
	@echo "  tclif explain build/smnist_ff-loihi2 --data fixtures/smnist_test.npz     where the error comes from"
	@echo "  docs/index.md: what the words above mean; docs/tutorial.md: from training to chip; README.md: your own network"

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

# MNIST=train-images-idx3-ubyte.gz runs what takes MNIST's own images too, BASELINE=CHECKOUT every job of another checkout.
bench: $(READY)
	$(BIN)/python benchmarks/bench.py $(if $(MNIST),--mnist '$(MNIST)')
	$(BIN)/python benchmarks/job.py $(if $(MNIST),--mnist '$(MNIST)') $(if $(BASELINE),--baseline '$(BASELINE)')

# Simulators that others made of the chips, each in an environment of its own in the user's cache (or in $TCLIF_ORACLES).
oracles: $(DEMO)
	$(BIN)/python -m tclif_deploy.oracles

# Every target against every simulator, a million neuron steps each: some minutes. Ten million: benchmarks/prove_targets.py.
prove: oracles
	$(BIN)/python benchmarks/prove_targets.py 1000000

# The site in build/site; any warning fails it.
docs: $(READY)
	$(PIP) --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(READY)
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf build dist

# What the demo needs, and no more. pip says what it does, and how far a download is: the first time takes minutes.
# torch 2.13.0 first: the version tested, so that no other package picks one.
# lava-nc 0.10.0 declares Python < 3.11 and pins old versions, hence what it really needs first (the extra), then --no-deps.
$(DEMO): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "1 of 3: torch. On Linux it brings some 4 GB of CUDA; without a GPU, interrupt and take the small one, as README says:"
	@echo "    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo"
	$(PIP) torch==2.13.0
	@echo "2 of 3: this package, and what it and Lava need"
	$(PIP) -e '.[lava]'
	@echo "3 of 3: Lava"
	$(PIP) --no-deps --ignore-requires-python lava-nc==0.10.0
	@touch $@

# What is needed to change something: tests, types, lint, every extra.
$(READY): $(DEMO)
	$(PIP) --quiet -e '.[dev,lava]'
	touch $@

# The other tools that tests compare with; `make demo` does without them.
$(VENV)/.frameworks: $(READY) tests/frameworks.txt
	$(PIP) --quiet --no-deps --ignore-requires-python -r tests/frameworks.txt
	touch $@
