# Everything runs in .venv, which `setup` makes; nothing else on the system is touched but by `setup`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# Ninja takes make's job server for its own, but gets no access to it.
unexport MAKEFLAGS MFLAGS

BIN := .venv/bin
BOARD := qemu
JOBS := $(shell nproc)

# The folders count too: a file that is removed changes one. The dots keep them apart from the target `firmware`.
SOURCE_DIRS := cmsis_kernels/. firmware/. host/.
C_FILES := $(shell find $(SOURCE_DIRS) tests -name '*.[ch]')
NATIVE_INPUTS := CMakeLists.txt $(shell find $(SOURCE_DIRS) -type d -o -name '*.[ch]' -o -name '*.def' \
    -o -name '*.cmake' -o -name '*.py' -o -name '*.json')
# An editable install finds new modules by itself, but not a module that became a package.
PACKAGES := $(shell find edgesparse -name __init__.py)
BOARDS := $(notdir $(patsubst %/board.json,%,$(wildcard firmware/boards/*/board.json)))
TOOLCHAIN := firmware/boards/arm-none-eabi.cmake

.PHONY: help
help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: setup
setup: .venv/native.stamp ## Install what is missing (apt, needs root) and build edgesparse in .venv

.venv/packages.stamp: pyproject.toml host/setup.sh
	@host/setup.sh system
	@host/setup.sh venv
	@touch $@

# Newer than the packages: built with them already, unless a source changed since.
.venv/native.stamp: .venv/packages.stamp $(NATIVE_INPUTS) $(PACKAGES)
	@if [ -n "$(filter-out .venv/packages.stamp,$?)" ]; then host/setup.sh native; fi
	@touch $@

.PHONY: demo
demo: setup ## Deploy the demo model to a board (BOARD=qemu) and show what it measured
	@$(BIN)/edgesparse deploy --board $(BOARD)

.venv/browser.stamp: .venv/packages.stamp
	@host/setup.sh browser
	@touch $@

.PHONY: test
test: setup .venv/browser.stamp ## Run all tests, JOBS side by side; installs chromium for those of reports
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: lint lint-python lint-c lint-builds lint-native
lint: lint-python lint-c lint-builds ## Check form, types, and both builds without warnings

lint-python: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

lint-c: setup
	@$(BIN)/clang-format --dry-run -Werror $(C_FILES)

lint-builds: lint-native $(BOARDS:%=lint-%)

lint-native: setup
	@$(BIN)/cmake -S . -B build/lint/native -G Ninja -DES_WERROR=ON --log-level=WARNING \
	    -DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja" >/dev/null
	@$(BIN)/cmake --build build/lint/native -- --quiet

.PHONY: $(BOARDS:%=lint-%)
$(BOARDS:%=lint-%): lint-%: setup
	@CMAKE_TOOLCHAIN_FILE=$(TOOLCHAIN) \
	    $(BIN)/cmake -S . -B build/lint/$* -G Ninja -DES_WERROR=ON -DES_BOARD=$* --log-level=WARNING \
	    -DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja" >/dev/null
	@$(BIN)/cmake --build build/lint/$* -- --quiet

.PHONY: format
format: setup ## Lay out Python and C sources
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i $(C_FILES)

.PHONY: firmware
firmware: setup ## Build the firmware of all boards, into build/firmware
	@$(BIN)/python -c 'from edgesparse.deploy import boards, firmware; print(*(firmware.ensure_firmware(board).path \
	    for board in boards.list_boards() if board.has_firmware), sep="\n")'

.PHONY: size
size: setup ## Show the firmware's size by part, and rewrite it in README.md
	@$(BIN)/python host/size_report.py

.PHONY: wheel
wheel: setup ## Build dist/*.whl, with the firmware of all boards
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-build-isolation --no-deps -w dist .
	@ls dist/*.whl

.PHONY: fuzz
fuzz: setup ## Fuzz the loader and the link (SECONDS=60 each; needs clang and its sanitizers)
	@tests/fuzz/fuzz.sh $(or $(SECONDS),60)

.PHONY: property
property: setup ## Compare many random models of each operator with the reference (EXAMPLES=2000 each)
	@EDGESPARSE_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -q --timeout 0 tests/kernels/test_operators.py

.PHONY: spec
spec: setup ## Rewrite the tables of SPEC.md from the .def files
	@$(BIN)/python host/spec_tables.py

.PHONY: bench
bench: setup ## Measure the shared models, rewrite docs/performance.md and README's table; document in build/bench.json
	@mkdir -p build
	@$(BIN)/python host/bench_docs.py "$${EDGESPARSE_MODELS:-../shared/models}" --json build/bench.json

.PHONY: cost
cost: setup ## Measure single layers of every kernel in QEMU, rewrite edgesparse/cost.json
	@$(BIN)/python -m host.fit_cost

.PHONY: accuracy
accuracy: setup ## Accuracy at many shares of zeros: docs/accuracy.md and its plot, build/accuracy.json (long)
	@$(BIN)/python -m host.accuracy "$${EDGESPARSE_MODELS:-../shared/models}" --json build/accuracy.json

.PHONY: clean
clean: ## Remove all that was built, .venv too
	@rm -rf .venv build dist
