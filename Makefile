# make demo [FILE=notes.txt]    annotate a text with the packaged pipeline
# make test                     lint, types and tests under the tested lock
# Both make their own virtual environments; PYTHON is a Python 3.10-3.12.

PYTHON ?= python3
FILE ?= assets/sample/abstract.txt
PAGE ?= demo.html
MODEL := packages/en_bioner_gerbera

.PHONY: demo test clean

demo: .venv/ready
	.venv/bin/python -m spacy bioner annotate en_bioner_gerbera "$(FILE)" --render ent "$(PAGE)"

test: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest

# Fresh whenever the code, the lock or the model is newer.
.venv/ready: setup.cfg requirements/lock-runtime.txt $(MODEL)/meta.json $(shell find spacy_bioner -name '*.py')
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint requirements/lock-runtime.txt . ./$(MODEL)
	touch $@

.venv-test/ready: setup.cfg requirements/lock-runtime.txt requirements/lock-test.txt
	rm -rf .venv-test
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --requirement requirements/lock-test.txt
	.venv-test/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-test build *.egg-info demo.html
