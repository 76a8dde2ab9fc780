# `make demo` and `make test` need nothing but Python 3.11+ and make; the rest is for developers.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
DEMO := demo-out

.PHONY: help demo demo-live test test-faults bench bench-quick bench-million bench-flat bench-import fuzz mutants model
.PHONY: lint audit sbom format lock fixtures docs asyncapi-parser asyncapi-check wheel-check clean

help:
	@echo "make demo      set up, replay a whole firmware campaign, say where its messages lie"
	@echo "make demo-live set up, play a campaign of 20,000 hubs in three minutes, and watch it"
	@echo "make test      set up, run every test (server tests where servers are reachable)"
	@echo "make test-faults  kill processes, servers and connections under load for about half an hour (needs both servers)"
	@echo "make bench     measure speed and cost against PostgreSQL and RabbitMQ, some ten minutes; bench-quick: two minutes"
	@echo "make bench-million, bench-import, bench-flat  a million alerts; imports of a million hubs; ten million hubs (20 GB of disk)"
	@echo "make fuzz      a coverage-guided fuzzer on octets -> request (RUNS, SEED; Linux)"
	@echo "make mutants   100,000 mutants of signed documents before our verifier and two others (MUTANTS, SEED; Linux)"
	@echo "make model     2,000 whole campaigns at random against a simple model (EXAMPLES)"
	@echo "make lint      ruff, mypy, import layers"
	@echo "make audit     bandit, and known vulnerabilities of everything that is locked (needs the network, fails without)"
	@echo "make sbom      what a release is made of: build/sbom.json (CycloneDX)"
	@echo "make fixtures  make fixtures/ anew with its script"
	@echo "make wheel-check  build the wheel, install and try it on Python 3.11, 3.12 and 3.13, where they are"
	@echo "make asyncapi-check  validate docs/asyncapi.yaml with the reference parser (needs Node)"
	@echo "make docs      make the generated pages of docs/ anew"
	@echo "make lock      lock the dependencies anew (needs uv)"

$(VENV)/runtime: requirements/runtime.txt requirements/build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chfw_sr needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/dev: $(VENV)/runtime requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	touch $@

demo: $(VENV)/runtime
	rm -rf $(DEMO)
	$(BIN)/chfw-sr replay fixtures/campaign --out $(DEMO)
	$(BIN)/chfw-sr --database sqlite+aiosqlite:///$(DEMO)/replay.sqlite3 report --at 2027-04-17T00:00:00Z
	@echo
	@echo "Every message lies below $(DEMO)/: alerts/<recipient>/, responses/<originator>/."
	@echo "Look around: $(BIN)/chfw-sr --database sqlite+aiosqlite:///$(DEMO)/replay.sqlite3 campaign list"

LIVE := build/demo-live
LIVE_DATABASE := sqlite+aiosqlite:///$(LIVE)/simulation.sqlite3
demo-live: $(VENV)/runtime
	rm -rf $(LIVE) && mkdir -p build
	$(BIN)/chfw-sr simulate prepare $(LIVE) --hubs 20000
	$(BIN)/chfw-sr --database $(LIVE_DATABASE) migrate
	$(BIN)/chfw-sr --database $(LIVE_DATABASE) monitor & monitor=$$!; \
		$(BIN)/chfw-sr simulate embedded $(LIVE) --minutes 3 > $(LIVE)/played.txt 2>&1; kill $$monitor; wait $$monitor
	@cat $(LIVE)/played.txt
	$(BIN)/chfw-sr --database $(LIVE_DATABASE) report --html $(LIVE)/report.html

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python -m coverage report --fail-under=90
	$(BIN)/python -m coverage report --fail-under=100 --include='src/chfw_sr/messages/*,src/chfw_sr/wire/*,src/chfw_sr/campaign/*'

# Kills processes, servers and connections for about half an hour; docs/reliability.md keeps its figures.
test-faults: $(VENV)/dev
	mkdir -p build
	CHFW_SR_TEST_FIGURES=$(CURDIR)/build/faults.md $(BIN)/python -m pytest tests/faults -m '' $(PYTEST_ARGS)
	@cat build/faults.md

# Tools of their own, apart from the product's: nothing that audits is imported by what is audited.
$(AUDIT)/done: requirements/audit.txt
	test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	touch $@

# Needs the network, and fails without it: see .ci/audit.sh. Not a part of `make test`.
audit: $(AUDIT)/done
	$(AUDIT)/bin/bandit --quiet --configfile pyproject.toml --recursive src migrations fixtures
	.ci/audit.sh $(AUDIT)/bin/pip-audit requirements/runtime.txt requirements/build.txt requirements/dev.txt requirements/audit.txt

# What a release is made of, as CycloneDX JSON, from the lock file; the same octets each time.
sbom: $(AUDIT)/done
	mkdir -p build
	$(AUDIT)/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json
	@echo "build/sbom.json"

# Speed and cost; the report lies in build/, docs/performance.md is kept from it. Private servers are started for it
# where PostgreSQL and RabbitMQ are installed, else CHFW_SR_TEST_POSTGRESQL and CHFW_SR_TEST_RABBITMQ name some.
bench: $(VENV)/dev
	$(BIN)/python -m benchmarks standard
bench-quick: $(VENV)/dev
	$(BIN)/python -m benchmarks quick
bench-million: $(VENV)/dev
	$(BIN)/python -m benchmarks million
bench-flat: $(VENV)/dev
	$(BIN)/python -m benchmarks flat
bench-import: $(VENV)/dev
	$(BIN)/python -m benchmarks import

$(VENV)/fuzz: $(VENV)/dev requirements/fuzz.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/fuzz.txt
	touch $@

# An input that breaks something is left in build/fuzz, and so is every input that reached something new.
RUNS ?= 1000000
SEED ?= 1
fuzz: $(VENV)/fuzz
	mkdir -p build/fuzz/corpus build/fuzz/seeds
	for each in fixtures/*/messages/*.xml tests/fuzz/corpus/*; do \
	    test `wc -c < $$each` -gt 8192 || cp $$each build/fuzz/seeds/`echo $$each | tr / -`; done
	PYTHONPATH=. $(BIN)/python -m tests.fuzz.coverage_guided build/fuzz/corpus build/fuzz/seeds -artifact_prefix=build/fuzz/ -runs=$(RUNS) -seed=$(SEED)

MUTANTS ?= 100000
mutants: $(VENV)/fuzz
	PYTHONPATH=. $(BIN)/python -m tests.fuzz.verifiers --mutants $(MUTANTS) --seed $(SEED)

EXAMPLES ?= 2000
model: $(VENV)/dev
	CHFW_SR_MODEL_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/model -n 0 -o timeout=0 --hypothesis-seed=$(SEED)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fixtures: $(VENV)/dev
	$(BIN)/python fixtures/make.py

docs: $(VENV)/runtime
	$(BIN)/chfw-sr catalogue > docs/catalogue.md
	$(BIN)/chfw-sr stages > docs/stages.md
	$(BIN)/chfw-sr asyncapi > docs/asyncapi.yaml

# The wheel alone, installed into a fresh environment for each Python; needs a package registry.
PYTHONS ?= python3.11 python3.12 python3.13
wheel-check: $(VENV)/dev
	timeout 1200 .ci/wheel.sh $(BIN)/python $(PYTHONS)

# The reference parser of AsyncAPI, as its lock file has it; needs Node and a package registry.
asyncapi-parser:
	mkdir -p build/asyncapi
	cp .ci/asyncapi/package.json .ci/asyncapi/package-lock.json .ci/asyncapi/check.mjs build/asyncapi/
	cd build/asyncapi && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

asyncapi-check: $(VENV)/dev asyncapi-parser
	CHFW_SR_TEST_REQUIRE_ASYNCAPI=1 $(BIN)/python -m pytest -q -n 0 tests/cli/test_cli_asyncapi.py

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
lock:
	cd requirements && $(LOCK) runtime.in -o runtime.txt
	cd requirements && $(LOCK) -c runtime.txt build.in -o build.txt
	cd requirements && $(LOCK) -c runtime.txt -c build.txt dev.in -o dev.txt
	cd requirements && $(LOCK) audit.in -o audit.txt
	cd requirements && $(LOCK) -c runtime.txt -c build.txt -c dev.txt fuzz.in -o fuzz.txt

clean:
	rm -rf $(VENV) $(AUDIT) $(DEMO) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
