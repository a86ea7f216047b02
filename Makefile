# The same commands as in the README. `make help` prints itself.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export DO_NOT_TRACK := 1
export DBT_PROFILES_DIR := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help install demo built report build test test-all sync-tools test-sync ruff lint format lock bench bench-scoring bench-accuracy \
	bench-learning bench-gates bench-lifetime-value demo-data dictionary clean

help: ## Print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/installed ## Create .venv with the pinned packages

$(VENV)/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; run make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install ## Build the demo shop and print what the marts say
	$(BIN)/dbt --quiet build --fail-fast --exclude-resource-type unit_test
	$(BIN)/coterie summary

built: install
	test -e $${COTERIE_DATABASE:-coterie.duckdb} || $(BIN)/dbt --quiet build --exclude-resource-type unit_test

report: built ## Write report.html, what the demo shop's marts say with charts
	$(BIN)/coterie report --out report.html

build: install ## dbt build of this project on the demo shop
	$(BIN)/dbt build

test: ruff ## Unit tests, demo build and host projects (9 to 12 minutes on 2 cores)
	$(BIN)/pytest -m "not matrix" --numprocesses 2 --dist loadscope

test-all: ruff built sync-tools ## Everything, the slow matrices and the syncs too (1 to 2 hours on 2 cores)
	$(BIN)/pytest --numprocesses 2 --dist loadscope

sync-tools: install
	PYTHON=$(PYTHON) examples/reverse_etl/setup.sh $(CURDIR)/.venv-sync

test-sync: built sync-tools ## Sync the marts to PostgreSQL, Tryton and HubSpot's client (about 5 minutes; installs them into .venv-sync)
	$(BIN)/pytest tests/sync

ruff: install ## Lint the Python code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint: ruff ## Lint the Python code and the SQL (which make test-all does, too)
	$(BIN)/sqlfluff lint --disable-progress-bar models tests

format: install ## Let ruff and sqlfluff mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --disable-progress-bar models tests

demo-data: install ## Generate seeds/demo again; the result must not differ
	$(BIN)/coterie demo --format csv --out seeds/demo

dictionary: install ## Write docs/dictionary.md from the descriptions of the models
	$(BIN)/dbt --quiet parse
	$(BIN)/python tools/dictionary.py

lock: ## Pin requirements.txt anew, with hashes and without addresses (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" -o requirements.txt pyproject.toml

# DATE=2025-11-21 makes them write their tables into docs/performance.md, accuracy.md, gates.md and lifetime_value.md.
BENCH_DATA ?= bench/data
BENCH_DATE := $(if $(DATE),--date $(DATE))
LEARNING_ROWS := build --select +int_coterie__propensity_training_rows \
	--exclude-resource-type test --exclude-resource-type unit_test

bench: install ## Seconds and memory of builds of 100,000 and 1,000,000 customers
	$(BIN)/python bench/run.py --data $(BENCH_DATA) $(BENCH_DATE)

bench-scoring: install ## Seconds to score 1,000,000 customers with reasons, beside LightGBM
	test -e $(BENCH_DATA)/1m_before/orders.parquet \
		|| $(BIN)/python -m coterie.demo --customers 1000000 --until 2025-09-30 --out $(BENCH_DATA)/1m_before
	$(BIN)/python bench/scoring.py --data $(BENCH_DATA)/1m_before $(BENCH_DATE)

bench-accuracy: install ## The scores beside other ways to predict, on three public data sets
	@test -n "$(COTERIE_REAL_DATA)" || { echo "Set COTERIE_REAL_DATA to the folder of the public data sets."; exit 1; }
	$(BIN)/python bench/accuracy.py $(BENCH_DATE)

bench-learning: install ## How many rows the learner needs, on Online Retail and a generated shop
	@test -n "$(COTERIE_REAL_DATA)" || { echo "Set COTERIE_REAL_DATA to the folder of the public data sets."; exit 1; }
	test -e $(BENCH_DATA)/100k/orders.parquet \
		|| $(BIN)/python -m coterie.demo --customers 100000 --out $(BENCH_DATA)/100k
	cd integration_tests/online_retail && export DBT_PROFILES_DIR=. COTERIE_TEST_DATABASE=target/learning.duckdb \
		&& $(BIN)/dbt --quiet deps && $(BIN)/dbt --quiet $(LEARNING_ROWS) --vars '{coterie__training_row_limit: 1000000}'
	cd integration_tests/benchmark && export DBT_PROFILES_DIR=. COTERIE_TEST_DATABASE=target/learning.duckdb \
		COTERIE_BENCH_DATA=$(abspath $(BENCH_DATA))/100k \
		&& $(BIN)/dbt --quiet deps && $(BIN)/dbt --quiet $(LEARNING_ROWS) --vars '{coterie__training_row_limit: 400000}'
	$(BIN)/python bench/learning_curve.py $(BENCH_DATE) \
		integration_tests/online_retail/target/learning.duckdb --name "Online Retail" \
		integration_tests/benchmark/target/learning.duckdb --name "Generated shop of 100,000 customers"

bench-gates: install ## Whether the gate opens for sound shops and stays shut for shuffled outcomes
	$(BIN)/python bench/gates.py $(BENCH_DATE)
	$(BIN)/python bench/gates.py --orders-only $(BENCH_DATE)

bench-lifetime-value: install ## Lifetime value on simulated customers, CDNOW and Online Retail
	@test -n "$(COTERIE_REAL_DATA)" || { echo "Set COTERIE_REAL_DATA to the folder of the public data sets."; exit 1; }
	$(BIN)/python bench/value_coverage.py $(BENCH_DATE)
	$(BIN)/python bench/cdnow.py $(BENCH_DATE)
	$(BIN)/python bench/value_accuracy.py $(BENCH_DATE)

clean: ## Remove what builds leave behind; .venv stays
	rm -rf target logs dbt_packages coterie.duckdb coterie.duckdb.tmp report.html .pytest_cache .ruff_cache
