# The two commands of the README, from a bare clone with python3 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUITE  ?= selection
LIMIT  ?=
STORE  ?= benchmarks/results/$(SUITE).sqlite

.PHONY: demo test venv lint types bench clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[all]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	$(BIN)/python -m pip install --quiet -e ".[all,dev]"
	@touch $@

venv: $(VENV)/.dev

demo: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo --output demo-output

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=src $(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -q -n auto

bench: $(VENV)/.demo
	$(BIN)/dnnplan bench $(SUITE) --store $(STORE) $(if $(LIMIT),--time-limit $(LIMIT))

clean:
	rm -rf $(VENV) build dist demo-output
