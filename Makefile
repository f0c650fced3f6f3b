# Everything here works from a fresh clone with Python 3.11+ and make. Stamps in .build/ keep a second run short.
PYTHON ?= python3
PORT ?= 8790

PIP_FLAGS = --quiet --disable-pip-version-check
NODE_DIR = sidecar/sdk/node
DEV = .venv/bin

# $(call environment,FOLDER,LOCK): a virtual environment with exactly the hashed lock and this tree.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@echo "Preparing $(1) from $(2) …"
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/pip install $(PIP_FLAGS) --require-hashes -r $(2)
	@$(1)/bin/pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@mkdir -p .build && touch $@
endef

.PHONY: help run test check docs wheel npm sbom bench benchpages benchtap screenshots messages schemas release mutants soak image format lock clean
.DEFAULT_GOAL := help

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .build/run .build/npm ## the dashboard on a throw-away database with made-up clients (PORT=8790)
	@.venv-run/bin/zimwatch demo --port $(PORT)

test: .build/dev .build/npm .build/schemas ## all tests; one line says what this machine could not run
	@$(DEV)/pytest -n 6 --dist worksteal

check: .build/dev ## lint, format, types, import layers, words, licences, templates, YAML, Dockerfile, documents
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/python -m tests.retired_words
	$(DEV)/python -m tests.licences
	$(DEV)/djlint --lint --quiet dashboard/templates
	$(DEV)/yamllint --strict docker
	$(DEV)/hadolint docker/Dockerfile
	@$(MAKE) --no-print-directory docs

wheel: .build/dev ## the Python package in dist/, with the commit that it is built of
	@git describe --always --dirty --exclude='*' --abbrev=12 > sidecar/commit.txt
	@$(DEV)/python -m hatchling build --target wheel --directory dist; status=$$?; rm -f sidecar/commit.txt; exit $$status

npm: .build/dev ## the npm package of the Web tap, and its CycloneDX, in dist/
	@$(DEV)/python -m tests.support.npm_package dist

sbom: .build/run .build/sbom ## what the Python package brings with it, as CycloneDX, in dist/
	@mkdir -p dist
	@.build/sbom-venv/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o dist/zimwatch.cdx.json .venv-run

docs: .build/dev ## the documents as a searchable site in .build/docs; a broken link fails
	@$(DEV)/sphinx-build --quiet --fail-on-warning --builder html --conf-dir docs/site . .build/docs

bench: .build/dev ## how fast it is, beside bare SQLite on this machine (BENCH="ingest spans" for some of it)
	@$(DEV)/python -m benchmarks $(BENCH)

benchpages: .build/dev ## reads and pages of a million users, and how soon a change is on an open page (takes an hour; FOLDER= keeps the database)
	@$(DEV)/python -m benchmarks reads pages --users 1000000 --log 10000000 $(if $(FOLDER),--folder $(FOLDER))

benchtap: .build/dev .build/npm ## what the Web tap costs a page, beside the bare SDK
	@$(DEV)/python -m benchmarks.tap

screenshots: .build/dev ## take the pictures in docs/screenshots anew
	@$(DEV)/python docs/screenshots/take.py

messages: .build/dev ## bring the catalogues of the pages up to date with what the pages say
	@$(DEV)/pybabel --quiet extract -F babel.cfg -k marked -k Sentence:2 --no-location --omit-header --sort-output --no-wrap -o .build/messages.pot dashboard sidecar
	@$(DEV)/pybabel --quiet update -i .build/messages.pot -o dashboard/locale/zh_Hans/messages.po -l zh_Hans --no-wrap --omit-header --no-fuzzy-matching --ignore-obsolete

schemas: .build/dev ## copy the schema of events into openapi.json, and write what of the reference follows from the code
	@$(DEV)/python -m tests.update_openapi
	@$(DEV)/python -m tests.update_reference

release: .build/dev ## write VERSION=1.2.3 into the package, the tap, the ports, the image and the changelog
	@$(DEV)/python -m tests.update_version $(VERSION)

mutants: .build/dev ## how many small faults in the pure modules their tests find (N=100 SEED=1 MODULE=chart)
	@$(DEV)/python -m tests.mutants --count $(or $(N),100) --seed $(or $(SEED),1) --module "$(MODULE)"

image: ## build the container image without an engine (root; buildah, mmdebstrap); .build/image has what a registry would, and its SBOM
	@docker/build

soak: .build/dev .build/npm ## the long tests
	@$(DEV)/pytest -m soak -n 2 --dist worksteal

format: .build/dev ## format the code
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

lock: ## renew requirements/*.txt (needs uv)
	cd requirements && for name in run dev sbom; do \
	  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header $$name.in -o $$name.txt || exit 1; done && \
	  uv pip compile --quiet --upgrade --no-deps --generate-hashes --no-emit-index-url --no-header schemas.in -o schemas.txt

clean: ## remove what make made
	rm -rf .build .venv .venv-run dist $(NODE_DIR)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.build/run: requirements/run.txt pyproject.toml
	$(call environment,.venv-run,requirements/run.txt)

.build/dev: requirements/dev.txt pyproject.toml
	$(call environment,.venv,requirements/dev.txt)

.build/sbom: requirements/sbom.txt
	@$(PYTHON) -m venv .build/sbom-venv
	@.build/sbom-venv/bin/pip install $(PIP_FLAGS) --require-hashes -r requirements/sbom.txt
	@touch $@

.build/schemas: requirements/schemas.txt .build/dev
	@rm -rf $@
	@$(DEV)/pip download $(PIP_FLAGS) --no-deps --require-hashes --dest $@ -r requirements/schemas.txt
	@touch $@

.build/npm: $(wildcard $(NODE_DIR)/package.json $(NODE_DIR)/package-lock.json)
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the real Web SDK is left out."; \
	elif [ -f $(NODE_DIR)/package-lock.json ]; then \
	  echo "Installing the locked packages of $(NODE_DIR) …"; \
	  if npm ci --prefix $(NODE_DIR) --silent --no-audit --no-fund --ignore-scripts; \
	  then mkdir -p .build && touch $@; \
	  else echo "npm could not install them: the real Web SDK is left out."; fi; fi
