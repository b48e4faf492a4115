# What is done often, in one word. `make` alone says what there is; `make check` is what CI does.
PYTHON := .venv/bin/python
BIN := .venv/bin
SCRIPTS = $(shell grep -rIl --exclude-dir=.venv --exclude-dir=.git --exclude='*.md' --exclude='*.py' -E '^\#!/.*\b(ba|da)?sh$$' .)

.PHONY: help setup test fast lint types format bench docs check

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup:  ## .venv with everything, and (as root) the programs that tests call
	./setup

test:  ## all tests
	$(BIN)/pytest -n 2

fast:  ## the tests of under a few seconds each, until one fails
	$(BIN)/pytest -n 2 -x -q -m "not slow"

lint:  ## style, import borders, shell scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	shellcheck $(SCRIPTS)

types:  ## mypy, strict
	$(BIN)/mypy

format:  ## put the layout right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench:  ## speed and memory against their bounds
	@for file in benchmarks/bench_*.py; do $(PYTHON) $$file || missed="$$missed $$file"; done; \
	test -z "$$missed" || { echo "a bound was missed by$$missed"; exit 1; }

docs:  ## the generated parts of docs/
	$(PYTHON) -m docs.generate

check: lint types test  ## what CI does
