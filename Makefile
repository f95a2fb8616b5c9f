# make train       a virtual environment in .venv, the pinned requirements, and LeNet trained for 1000 steps
# make test        the same with the development requirements, and the tests
# make check       lint, and the tests that need no framework: under a minute
# make torture     what has a long version, at length: kills, faults, damaged files, accuracies; half an hour
# make benchmark   how fast it trains here, beside each framework's stock loop and the processor's limit: an hour
PYTHON ?= python3
FRAMEWORK ?= pytorch

TORTURE = $(addprefix tests/,test_kills.py test_faults.py test_signals.py test_damage.py test_parity.py)

.PHONY: train check test torture lint benchmark
.DELETE_ON_ERROR:

train: .venv/requirements
	.venv/bin/python main.py --train --train_num 1000 --framework $(FRAMEWORK)

check: lint
	.venv/bin/python -m pytest -m "not framework"

test: .venv/requirements-dev
	.venv/bin/python -m pytest

benchmark: .venv/requirements
	.venv/bin/python -m benchmarks.throughput

torture: .venv/requirements-dev
	.venv/bin/python -m pytest --torture -s $(TORTURE)

lint: .venv/requirements-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# Each of these empty files says that what it is named after is installed, and when.
.venv/%: %.txt | .venv
	.venv/bin/python -m pip install --disable-pip-version-check --quiet -r $<
	touch $@
.venv/requirements-dev: requirements.txt

.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
