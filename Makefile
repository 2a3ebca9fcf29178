# make                     install everything into .venv
# make install-sound       only what ANIMAL-SPOT needs
# make install-footprints  only what footprints needs
# make demo       install, make recordings and their Raven tables, cut these into clips, train on
#                 them, find calls in another recording; the same with drawn footprints
# make test       install, run the tests; those of one folder: make test AREA=animal_spot/audio
# make test-quick the same without whole runs, kills and fuzz: about four minutes
# make demo-data  only make the recordings and cut the clips
# make lint       check style, and that imports run one way (pyproject.toml)
# make docs       write the pages of options, docs/options, and copies of the look anew
# make clean      remove what the above made, .venv included
#
# PIP_FLAGS are handed on to pip, such as PIP_FLAGS="--extra-index-url URL"; see docs/install.md.
PYTHON ?= $(eval PYTHON := $(firstword $(foreach p,python3 python3.12 python3.13 python3.11 python3.10,\
	$(shell $(p) -c 'import sys; print("$(p)" if (3, 10) <= sys.version_info[:2] <= (3, 13) else "")' 2>/dev/null))))$(PYTHON)
DEMO_TAPES := demo/tapes
DEMO_DATA := demo/clips
PY := .venv/bin/python
# Files in the order of their names: the longest ones are not the last.
TEST_FLAGS := -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
test-quick: TEST_FLAGS += -m "not slow"
# What the sound half needs; all of it where all of it is installed.
SOUND := $(firstword $(wildcard .venv/.installed) .venv/.sound)


# pip_install WHAT: make the environment, and install into it.
define pip_install
	@test -n "$(PYTHON)" || { echo "Python 3.10 to 3.13 was not found; install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) $(1)
endef

.PHONY: install install-sound install-footprints demo demo-data test test-quick lint docs clean

install: .venv/.installed

install-sound: $(SOUND)

install-footprints: $(firstword $(wildcard .venv/.installed) .venv/.footprints)

demo: .venv/.installed
	$(MAKE) demo-data
	DATA_DIR=$(DEMO_DATA) TRAINING/train_demo.sh
	PREDICTION/predict_demo.sh
	TRAINING/footprints_demo.sh
	@echo
	@echo "Reports of all that, which open in a browser:"
	@echo "  $(CURDIR)/demo/report.html"
	@echo "  $(CURDIR)/demo/footprints/report.html"
	@echo "Look at the calls that were found, and listen:"
	@echo "  .venv/bin/animal-spot review --predictions demo/predictions --project demo/review.sqlite"
	@echo "Look at the answers to the photos, and correct them:"
	@echo "  .venv/bin/footprints review --predictions demo/footprints/predictions --project demo/footprints/review.sqlite"

demo-data: $(DEMO_DATA)/.complete

test test-quick: .venv/.installed
	$(PY) -m pytest $(TEST_FLAGS) tests/$(AREA)
	$(if $(AREA),,$(PY) -m pytest $(TEST_FLAGS) tests/footprints_keras)

lint: .venv/.installed
	$(PY) -m ruff check . && $(PY) -m ruff format --check .
	.venv/bin/lint-imports --no-logo

docs: .venv/.installed
	$(PY) docs/make_options.py
	$(PY) docs/copy_look.py

$(DEMO_TAPES)/.complete: $(SOUND) ANIMAL-SPOT/synthesise_recording.py
	$(PY) ANIMAL-SPOT/synthesise_recording.py --output_dir $(DEMO_TAPES) --recordings 12 --minutes 2 \
		--name tape --seed 1
	touch $@

$(DEMO_DATA)/.complete: $(DEMO_TAPES)/.complete
	$(PY) ANIMAL-SPOT/clips.py --recordings $(DEMO_TAPES) --output_dir $(DEMO_DATA) --clip_length 1.2
	touch $@

.venv/.installed: requirements.txt $(wildcard requirements/*.txt) pyproject.toml
	$(call pip_install,-r requirements.txt)
	touch .venv/.sound .venv/.footprints $@

.venv/.sound .venv/.footprints: .venv/.%: requirements/%.txt requirements/common.txt pyproject.toml
	$(call pip_install,-e '.[$*]')
	touch $@

clean:
	rm -rf .venv demo animal_spot.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
