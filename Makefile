# Two commands do everything on a fresh machine: `make demo` and `make test`.
# They need Python 3.10 to 3.13 and make; uv is used where it is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HEADLESS_CV := $(shell sed -n 's/^opencv-python-headless==\([^ ;]*\).*/\1/p' constraints.txt)

.PHONY: demo test check bench golden clean lock
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

demo: $(READY)  ## a window with the demo scene; without a screen, 20 s of it recorded
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
	  $(BIN)/jetstream run configs/demo.toml; \
	else \
	  $(BIN)/jetstream run configs/demo.toml --headless --record recordings --duration 20; \
	fi

test: $(READY)  ## all tests that this machine can run
	$(BIN)/python -m pytest

check: $(READY)  ## lint, format, types, layers, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(READY)  ## every benchmark that needs no peer's own environment
	$(BIN)/python -m benchmarks.run_all

golden: $(READY)  ## write the golden replays anew; look at the difference before you commit it
	$(BIN)/python -m tests.golden.write

lock: $(READY)  ## the newest versions of everything into constraints.txt
	uv pip compile -q --upgrade --universal --python-version 3.10 --extra dev --extra window --no-annotate \
	  --no-header pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
