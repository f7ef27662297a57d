# make demo [FILE=notes.txt]    annotate a text with the packaged pipeline
# make test                     lint, types and tests under the tested lock
# make test-clinical            the tests beside scispaCy, negspacy and medspaCy; the
#                               latter needs PYTHON=python3.12; no torch
# Each makes its own virtual environment; PYTHON is a Python 3.10-3.12.

PYTHON ?= python3
FILE ?= assets/sample/abstract.txt
PAGE ?= demo.html
MODEL := packages/en_bioner_gerbera

.PHONY: demo test test-clinical clean

demo: .venv/ready
	.venv/bin/python -m spacy bioner annotate en_bioner_gerbera "$(FILE)" --render ent "$(PAGE)"

test: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest

test-clinical: .venv-clinical/ready
	.venv-clinical/bin/python -m pytest tests/compat

# Fresh whenever the code, the lock or the model is newer.
.venv/ready: setup.cfg requirements/lock-runtime.txt $(MODEL)/meta.json $(shell find spacy_bioner -name '*.py')
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint requirements/lock-runtime.txt . ./$(MODEL)
	touch $@

.venv-test/ready: setup.cfg $(wildcard requirements/lock-*.txt)
	rm -rf .venv-test
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --requirement requirements/lock-test.txt --requirement requirements/lock-clinical.txt
	.venv-test/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-clinical/ready: setup.cfg $(wildcard requirements/lock-*.txt)
	rm -rf .venv-clinical
	$(PYTHON) -m venv .venv-clinical
	.venv-clinical/bin/python -m pip install --quiet --constraint requirements/lock-test.txt --requirement requirements/lock-clinical.txt spacy onnxruntime tokenizers pytest hypothesis setuptools
	.venv-clinical/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-test .venv-clinical build *.egg-info demo.html
