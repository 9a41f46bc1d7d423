# `make demo` and `make test` set up what they need in .venv and may be repeated. PYTHON chooses the interpreter.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out

.PHONY: demo test test-fast check setup dev clean

demo: .venv/demo.stamp
	$(BIN)/python examples/demo.py --out $(OUT) $(DEMO)

# Two processes, a test file at a time: most of the time is compiling, which uses one core.
test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST)

test-fast: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST)

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check --error-on-warning

setup: .venv/demo.stamp

dev: .venv/dev.stamp

# The lock files pin every version; the package itself is installed in place.
.venv/demo.stamp: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/dev.stamp: .venv/demo.stamp requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	touch $@

clean:
	rm -rf .venv .jax_cache .pytest_cache .ruff_cache dist
