# Everything starts here: `make help`. Needs only Python (3.10 or newer) with venv, and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(CURDIR)/$(VENV)/bin
FIFTYONE := $(CURDIR)/build/interop/fiftyone
OMZ    := $(CURDIR)/build/interop/open_model_zoo
PYTORCH := $(CURDIR)/build/interop/pytorch
AUDMODEL := $(CURDIR)/build/interop/audmodel
AZURITE := $(CURDIR)/build/interop/azurite
OUT    ?= $(CURDIR)/out

# An editable install links the files that exist when it is made, so a new file must renew it: the
# stamps are named after what the environment was made from.
INPUTS := $(shell { cat pyproject.toml requirements*.in; find tools/common models -type f ! -path '*/__pycache__/*' | LC_ALL=C sort; } | cksum | cut -d' ' -f1)
READY  := $(VENV)/ready-$(INPUTS)
TESTS  := $(VENV)/ready-test-$(INPUTS)
DEMO   := $(VENV)/ready-demo-$(INPUTS)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=strict

.DEFAULT_GOAL := help
.PHONY: help run demo test check interop bench bench-quick bench-convert bench-registry soak dist train system clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ /' | awk '{ name = $$1; $$1 = ""; printf "  make %-13s%s\n", name, $$0 }'

run: $(READY) ## Set up, download the demo models into out/, and print their events and facts.
	@cd tools && $(BIN)/python downloader.py --name 'prob-*' -j8 --progress_format=json --output_dir '$(OUT)'
	@cd tools && $(BIN)/python info_dumper.py --name 'prob-*' > '$(OUT)/models.json'
	@echo "The models are in $(OUT), what is known about them in $(OUT)/models.json." >&2

demo: $(DEMO) ## Download, convert and quantize the demo models in build/demo, and measure them after each step.
	$(BIN)/python models/demo/whole_way.py --output_dir build/demo

test: $(TESTS) system ## Set up and run all tests.
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(TESTS) ## Format check, lint, types, and the layers of the package.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

interop: $(TESTS) $(FIFTYONE)/ready $(AUDMODEL)/ready $(OMZ)/ready $(PYTORCH)/ready $(AZURITE)/ready ## Set up other programs in build/interop, and test with them.
	FIFTYONE_PYTHON=$(FIFTYONE)/bin/python AUDMODEL_PYTHON=$(AUDMODEL)/bin/python OPEN_MODEL_ZOO=$(OMZ) PYTORCH_PYTHON=$(PYTORCH)/bin/python \
	  AZURITE_BLOB=$(AZURITE)/node_modules/.bin/azurite-blob $(BIN)/python -m pytest -m interop

bench: $(TESTS) ## Measure against other programs; writes benchmarks/RESULTS.md (half an hour).
	@sh tests/system-packages.sh nginx:nginx-light aria2c:aria2 curl:curl wget:wget mkfs.xfs:xfsprogs
	$(BIN)/python -m benchmarks

bench-quick: $(TESTS) ## What has a target, in fewer rounds; printed (under five minutes).
	@sh tests/system-packages.sh nginx:nginx-light aria2c:aria2 curl:curl wget:wget mkfs.xfs:xfsprogs
	$(BIN)/python -m benchmarks --quick

bench-convert: $(TESTS) ## Measure conversions; writes benchmarks/CONVERSION.md (two minutes).
	$(BIN)/python -m benchmarks.conversion

bench-registry: $(TESTS) ## Measure publishing and loading; writes benchmarks/REGISTRY.md (ten minutes).
	$(BIN)/python -m benchmarks.registry

soak: $(TESTS) ## Kill downloaders at random, with a server that fails at random; prints figures (three minutes).
	$(BIN)/python -m benchmarks.soak

dist: $(TESTS) ## Build the source archive and the wheel into dist/.
	$(BIN)/python -m build --no-isolation

train: ## Train the demo models again and compare them with those in the repository.
	$(PYTHON) -m venv build/training
	build/training/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-training.in
	build/training/bin/python models/demo/train.py --check

system: ## Install what the tests need from Debian (as root), or say what is missing.
	@sh tests/system-packages.sh nginx:nginx-light jq:jq openssl:openssl mkfs.xfs:xfsprogs strace:strace

clean: ## Remove everything that was made here.
	rm -rf $(VENV) build dist out .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

$(FIFTYONE)/ready:
	$(PYTHON) -m venv $(FIFTYONE)
	$(FIFTYONE)/bin/python -m pip install --quiet --disable-pip-version-check 'fiftyone>=1.22,<2'
	touch $@

# Its tools need nothing but PyYAML; the release names older versions of Python, and much that they do
# not use.
$(OMZ)/ready: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	  --ignore-requires-python --upgrade --target $(OMZ) openvino-dev==2021.4.2
	touch $@

$(PYTORCH)/ready: requirements-training.in
	$(PYTHON) -m venv $(PYTORCH)
	$(PYTORCH)/bin/python -m pip install --quiet --disable-pip-version-check onnx "$$(grep ^torch== $<)"
	touch $@

$(AUDMODEL)/ready:
	$(PYTHON) -m venv $(AUDMODEL)
	$(AUDMODEL)/bin/python -m pip install --quiet --disable-pip-version-check 'audmodel>=1.5,<2'
	touch $@

# The last release that runs with the Node.js of Debian 12. Without npm its tests are skipped, with a word.
$(AZURITE)/ready:
	@sh tests/system-packages.sh node:nodejs npm:npm
	! command -v npm > /dev/null || { npm install --prefix $(AZURITE) --ignore-scripts --omit=optional \
	  --no-audit --no-fund --loglevel=error azurite@3.35.0 && touch $@; }

$(READY): $(VENV)/bin/python
	rm -rf $(VENV)/ready-* build/__editable__.*
	$(INSTALL) -e .
	touch $@

$(DEMO): $(READY)
	$(INSTALL) -e '.[converter,quantizer]' scikit-learn
	touch $@

$(TESTS): $(READY)
	$(INSTALL) -e '.[test]'
	touch $@
