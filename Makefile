PYTHON ?= python3
FRAMEWORK ?= pytorch
# Two files at once, on a thread each: much of a test's time is a framework's import, on one core.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

ifeq (,$(wildcard requirements/$(FRAMEWORK).txt))
$(error FRAMEWORK is pytorch, tensorflow, keras or jax, not '$(FRAMEWORK)')
endif

.PHONY: help train check test torture lint benchmark
.DELETE_ON_ERROR:

help:
	@echo "make train      train LeNet for 1000 steps in FRAMEWORK=pytorch, tensorflow, keras or jax, which it installs in .venv"
	@echo "make check      lint, and the tests that need no framework: a minute or two"
	@echo "make test       all tests, those of the core in one framework: ten minutes on two cores"
	@echo "make torture    all tests at length: kills, faults, damaged files by the thousand, exports, the page; over an hour"
	@echo "make benchmark  measure the speed against each framework's stock loop and the processor's limit, and race to"
	@echo "                99 % against each framework's example: three hours; run it again to continue a stopped race"
	@echo "Another Python: make PYTHON=python3.12 ..."

train: .venv/$(FRAMEWORK)
	.venv/bin/python main.py --train --train_num 1000 --framework $(FRAMEWORK)

check: lint
	$(PYTEST) -m "not framework"

test: .venv/requirements-dev
	$(PYTEST)

benchmark: .venv/requirements
	.venv/bin/python -m benchmarks.throughput
	.venv/bin/python -m benchmarks.race

torture: .venv/requirements-dev
	$(PYTEST) --torture -rP

lint: .venv/requirements-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Each of these empty files says that what it is named after is installed, and when.
define INSTALL
@.venv/bin/python requirements/check.py $(notdir $@)
.venv/bin/python -m pip install --disable-pip-version-check -r $<
@touch $@
endef
.venv/requirements .venv/requirements-dev: .venv/%: %.txt $(wildcard requirements/*.txt) | .venv/bin/pip
	$(INSTALL)
.venv/requirements-dev: requirements.txt
.venv/pytorch .venv/tensorflow .venv/keras .venv/jax: .venv/%: requirements/%.txt $(wildcard requirements/*.txt) | .venv/bin/pip
	$(INSTALL)

# venv writes pip last: without it, the environment is only half made.
.venv/bin/pip:
	@$(PYTHON) requirements/check.py $(FRAMEWORK)
	$(PYTHON) -m venv --clear .venv || { rm -rf .venv; exit 2; }
