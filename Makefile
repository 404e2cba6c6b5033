# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need Python 3.10 to 3.13 and make; uv is used where it is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
AUDIT := $(VENV)/audit/bin/pip-audit
ZENSICAL := $(BIN)/zensical
HEADLESS_CV := $(shell sed -n 's/^opencv-python-headless==\([^ ;]*\).*/\1/p' constraints.txt)

.PHONY: demo test check docs audit fuzz faults soak bench names screenshots golden clean lock
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	@if command -v uv >/dev/null; then \
	  set -e; uv venv -q --allow-existing --python "$$(command -v $(PYTHON))" $(VENV); \
	  uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev,window]'; \
	else \
	  set -e; $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install -q --upgrade pip; \
	  $(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,window]'; \
	  $(BIN)/python -m pip uninstall -q -y opencv-python; \
	  $(BIN)/python -m pip install -q --no-deps --force-reinstall opencv-python-headless==$(HEADLESS_CV); \
	fi
	@touch $@

demo: $(READY)  ## a window with the demo scene; without a screen, 20 s of it recorded; ARGS='...' adds options
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
	  $(BIN)/jetstream run configs/demo.toml $(ARGS); \
	else \
	  $(BIN)/jetstream run configs/demo.toml --headless --record recordings --duration 20 $(ARGS); \
	fi

test: $(READY)  ## all tests that this machine can run
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder

check: $(READY)  ## lint, format, types, layers, spelling, security, links, stale references; and known holes in the packages, where PyPI answers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/bandit -q -c pyproject.toml -r jetstream
	$(BIN)/python -m tools.links
	$(BIN)/python -m tools.reference --check
	@if $(MAKE) --no-print-directory $(AUDIT) 2>/dev/null && $(VENV)/audit/bin/python -c \
	  "import requests; requests.get('https://pypi.org/pypi/pip/json', timeout=5).raise_for_status()" 2>/dev/null; \
	then $(MAKE) --no-print-directory audit; \
	else echo "audit: PyPI doesn't answer, so it is left out; make audit does it"; fi

docs: $(READY) $(ZENSICAL)  ## the reference pages from the code, and the site of docs/ in site/; a dead link or anchor fails
	$(BIN)/python -m tools.reference
	$(BIN)/python -m tools.links
	$(ZENSICAL) build --clean --strict

$(ZENSICAL): | $(READY)  # by name: the whole extra would bring back the OpenCV that READY replaces. Needs Python 3.11
	@if command -v uv >/dev/null; then uv pip install -q --python $(BIN)/python -c constraints.txt zensical; \
	else $(BIN)/python -m pip install -q -c constraints.txt zensical; fi

$(AUDIT):  # its thirty packages are none of ours
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install -q pip-audit==2.10.1

audit: $(AUDIT)  ## known holes in the packages of constraints.txt, as PyPI tells them
	$(AUDIT) -r constraints.txt --no-deps --disable-pip --progress-spinner off

fuzz: $(READY)  ## a million random inputs for every decoder: minutes; tests run some thousand
	$(BIN)/python -m tests.fuzz.run

faults: $(READY)  ## every fault of docs/faults.md, done to a real pipeline: 20 minutes, and prints the table
	$(BIN)/python -m tests.faults

soak: $(READY)  ## half an hour of a pipeline that must not grow (SOAK_MINUTES): a table, soak.png and soak.csv
	$(BIN)/python -m benchmarks.soak

bench: $(READY)  ## every benchmark that needs no peer's own environment
	$(BIN)/python -m benchmarks.run_all

names: $(READY)  ## names on people nobody tuned for, beside the rate that was asked; ARGS='...' adds options
	$(BIN)/python -m benchmarks.names $(ARGS)

screenshots: $(READY)  ## the pictures of docs/page.md anew, from the running demo; needs chromium and chromium-driver: a minute or two
	$(BIN)/python -m tests.web.screenshots

golden: $(READY)  ## write the golden replays anew; look at the difference before you commit it
	$(BIN)/python -m tests.golden.write

lock: $(READY)  ## the newest versions of everything into constraints.txt
	uv pip compile -q --upgrade --universal --python-version 3.10 --extra dev --extra window --extra docs --no-annotate \
	  --no-header pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .cache site
