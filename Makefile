# The same commands as in the README. `make help` prints itself.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1
export DBT_PROFILES_DIR := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help install demo build test test-all lint format lock bench demo-data clean

help: ## Print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## Create .venv with the pinned packages

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; run make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install ## Build the demo shop and print what the marts say
	$(BIN)/dbt --quiet build --fail-fast --exclude-resource-type unit_test
	$(BIN)/python -m coterie.summary

build: install ## dbt build of this project on the demo shop
	$(BIN)/dbt build

test: lint ## Lint, unit tests, demo build and host projects (under 10 minutes on 2 cores)
	$(BIN)/pytest -m "not matrix"

test-all: lint ## Everything, the slow matrices too
	$(BIN)/pytest

lint: install ## sqlfluff and ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --disable-progress-bar models tests

format: install ## Let ruff and sqlfluff mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --disable-progress-bar models tests

demo-data: install ## Generate seeds/demo again; the result must not differ
	$(BIN)/python -m coterie.demo --out seeds/demo

lock: ## Pin requirements.txt anew, with hashes and without addresses (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" -o requirements.txt pyproject.toml

bench: install ## Online Retail: build as of 2011-11-09, then the model beside a small LightGBM
	@test -n "$(COTERIE_REAL_DATA)" || { echo "Set COTERIE_REAL_DATA to the folder of the public data sets."; exit 1; }
	cd integration_tests/online_retail && export DBT_PROFILES_DIR=. COTERIE_TEST_DATABASE=target/host.duckdb \
		&& $(BIN)/dbt --quiet deps && rm -f target/host.duckdb \
		&& $(BIN)/dbt build --vars '{coterie__as_of_date: "2011-11-09"}'
	$(BIN)/python bench/propensity_peers.py integration_tests/online_retail/target/host.duckdb --as-of 2011-11-09

clean: ## Remove what builds leave behind; .venv stays
	rm -rf target logs dbt_packages coterie.duckdb coterie.duckdb.tmp .pytest_cache .ruff_cache
