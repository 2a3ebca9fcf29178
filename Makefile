# make demo       install, make a small corpus, train on it, find calls in a recording;
#                 the same with drawn footprints
# make test       install, run the tests
# make demo-data  only make the corpus
# make lint       check style
# make clean      remove what the above made, .venv included
PYTHON ?= $(firstword $(foreach p,python3 python3.12 python3.13 python3.11 python3.10,\
	$(shell $(p) -c 'import sys; print("$(p)" if (3, 10) <= sys.version_info[:2] <= (3, 13) else "")' 2>/dev/null)))
DEMO_DATA := demo/data
PY := .venv/bin/python
# Files in the order of their names: the longest ones are not the last.
TEST_FLAGS := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: demo demo-data test lint clean

demo: demo-data
	DATA_DIR=$(DEMO_DATA) bash TRAINING/train_demo.sh
	bash PREDICTION/predict_demo.sh
	bash TRAINING/footprints_demo.sh

demo-data: $(DEMO_DATA)/.complete

test: .venv/.installed
	$(PY) -m pytest $(TEST_FLAGS)
	$(PY) -m pytest $(TEST_FLAGS) tests/footprints_keras

lint: .venv/.installed
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

$(DEMO_DATA)/.complete: .venv/.installed ANIMAL-SPOT/synthesise_corpus.py
	$(PY) ANIMAL-SPOT/synthesise_corpus.py --output_dir $(DEMO_DATA)
	touch $@

.venv/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.10 to 3.13 was not found; install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf .venv demo .pytest_cache .ruff_cache .hypothesis
