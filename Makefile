# The two commands of the README, from a bare clone with python3 and make: `make demo` and `make test`.
#
#   make demo-tasks                                             ten tasks on a microcontroller: share, then order
#   make demo-costs                                             measure this machine, learn it, plan with the numbers
#   make demo-run                                               plan, split, run, calibrate: predicted against measured
#   make bench [SUITE=selection] [LIMIT=seconds] [STORE=file]   run a suite; finished rows are not run again
#   make report                                                 real networks, exact against heuristic: demo-output/report.html
#   make page [SUITE=selection] [STORE=file]                    write benchmarks/results/SUITE.md from the store
#   make bench-mapping, make report-mapping                      all suites of mapping, then one page
#   make bench-tasks, make report-tasks                          all suites of grouping and ordering
#   make bench-costs, make report-costs                          all suites of latency models
#   make bench-all                                               every suite, then every page of results; goes on where it was stopped
#   make docs                                                    the site of docs/ into site/, warnings are errors
#   make fuzz [INPUTS=1000000]                                   feed every reader; goes on where it was stopped
#   make audit | sbom | lock                                     licences and known faults; sbom.json; requirements-dev.lock
#   make venv | lint | types | clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUITE  ?= selection
LIMIT  ?=
INPUTS ?= 1000000
STORE  ?= benchmarks/results/$(SUITE).sqlite

MAPPING := real-networks energy memory device-placement h2h saga auckland hetero-dag fjsp hax-conn rates scale

COSTS := predictors this-machine

TASKS := antler fronts sharing-scale conditional choosing tasks sop ssp

.PHONY: demo demo-tasks demo-costs demo-run test venv lint types bench report page bench-mapping report-mapping bench-tasks report-tasks \
	bench-costs report-costs bench-all docs fuzz audit sbom lock clean

$(VENV)/.demo: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.11 ..."; exit 1; }
	@echo "Installing dnnplan and what it needs into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	@touch $@

venv: $(VENV)/.dev

demo: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo --output demo-output

demo-tasks: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo_tasks --output demo-output

demo-costs: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo_costs --output demo-output --time-limit 75

demo-run: $(VENV)/.demo
	$(BIN)/python -m benchmarks.demo_run --output demo-output --time-limit 20

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=src $(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy -p dnnplan -p benchmarks

test: lint types
	$(BIN)/python -m pytest -q -n auto --dist worksteal

bench: $(VENV)/.demo
	$(BIN)/dnnplan bench $(SUITE) --store $(STORE) $(if $(LIMIT),--time-limit $(LIMIT))

report: $(VENV)/.demo
	$(BIN)/dnnplan bench networks --store benchmarks/results/networks.sqlite
	@mkdir -p demo-output
	$(BIN)/dnnplan report benchmarks/results/networks.sqlite --output demo-output/report.html --force

page: $(VENV)/.demo
	$(BIN)/python -m benchmarks.report $(STORE) --output benchmarks/results/$(SUITE).md

bench-mapping: $(VENV)/.demo
	for suite in $(MAPPING); do \
		$(BIN)/dnnplan bench $$suite --store benchmarks/results/$$suite.sqlite || exit 1; done

report-mapping: $(VENV)/.demo
	$(BIN)/python -m benchmarks.report $(MAPPING:%=benchmarks/results/%.sqlite) \
		--output benchmarks/results/mapping.md

bench-tasks: $(VENV)/.demo
	for suite in $(TASKS); do \
		$(BIN)/dnnplan bench $$suite --store benchmarks/results/$$suite.sqlite || exit 1; done

report-tasks: $(VENV)/.demo
	$(BIN)/python -m benchmarks.report $(TASKS:%=benchmarks/results/%.sqlite) \
		--output benchmarks/results/tasks.md

bench-costs: $(VENV)/.demo
	for suite in $(COSTS); do \
		$(BIN)/dnnplan bench $$suite --store benchmarks/results/$$suite.sqlite || exit 1; done

report-costs: $(VENV)/.demo
	$(BIN)/python -m benchmarks.report $(COSTS:%=benchmarks/results/%.sqlite) \
		--output benchmarks/results/predictors.md

docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench-all: $(VENV)/.demo
	$(BIN)/python -m benchmarks.everything

fuzz: $(VENV)/.dev
	$(BIN)/python -m benchmarks.fuzz --inputs $(INPUTS) --output benchmarks/results/fuzzing.md

audit: $(VENV)/.dev
	$(BIN)/python -m benchmarks.audit
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --no-deps -r requirements-dev.lock

sbom: $(VENV)/.demo
	$(BIN)/python -m benchmarks.audit --sbom sbom.json

lock: $(VENV)/.dev
	$(BIN)/python -m benchmarks.audit --lock requirements-dev.lock

clean:
	rm -rf $(VENV) build dist site demo-output dnnplan.egg-info
