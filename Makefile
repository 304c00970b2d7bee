# make run and make test are the two commands; make alone lists the rest.
PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
CODE := $(wildcard tbot_actors tests checks chaos benchmarks examples)
MAKEFLAGS += --no-print-directory
export PYTHONUTF8 := 1

.DEFAULT_GOAL := help
.PHONY: help run test check check-lint check-doors check-async check-imports check-types cover lock clean ready-base ready-test

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

run: ready-base ## trade on paper with config/paper.toml; more options: make run ARGS="--for 20s --json"
	@exec .venv/bin/tbot run config/paper.toml $(ARGS)

# Twice as many workers as cores: what runs a real bot mostly waits.
test: ready-test ## the tests, in under three minutes; one room: make test ARGS=tests/kernel
	@exec $(PY) -m pytest -q -n 4 --dist worksteal -m "not soak and not slow" $(ARGS)

check: check-lint check-doors check-async check-imports check-types ## everything that is checked without running (make -k check: all findings at once)

check-lint: ready-test ## ruff
	@$(PY) -m ruff check --quiet $(CODE) && echo "lint ok"

check-doors: ready-test ## no file, path or real sleep outside the doors
	@$(PY) checks/doors.py $(CODE) && echo "doors ok"

check-async: ready-test ## flake8-async
	@$(PY) -m flake8 $(CODE) && echo "async ok"

check-imports: ready-test ## imports run downward only
	@$(PY) -c "from importlinter.cli import lint_imports_command as main; main()" --no-logo && echo "imports ok"

check-types: ready-test ## mypy --strict
	@$(PY) -m mypy $(CODE)

cover: ready-test ## tests with branch coverage: printed, per room for risk and orders, and htmlcov/index.html
	@$(PY) -m pytest -q -n 4 --dist worksteal -m "not soak and not slow" --cov --cov-report=term --cov-report=html $(ARGS)
	@for room in risk orders; do printf '%-8s' $$room; \
	    $(PY) -m coverage report --include="tbot_actors/$$room/*" --format=total; done

lock: ## pin requirements/*.txt anew, with hashes; newer versions: make lock ARGS=--upgrade (needs uv)
	@requirements/lock $(ARGS)

clean: ## remove .venv, caches and reports; never the state of a bot
	@rm -rf .venv build dist htmlcov mutants *.egg-info .coverage .coverage.* .hypothesis
	@rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

ready-base:
	@requirements/install base $(PYTHON)

ready-test:
	@requirements/install test $(PYTHON)
