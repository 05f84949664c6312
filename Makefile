# A course report from notebooks: `make report` is all a student needs; `make help` lists the rest.

EDITION ?= complete
LANGS   ?= en zh-TW
PROFILE ?= quick
JOBS    ?= 2
Q       ?= cnn
PRESET  ?= A
P       ?=
DATA    ?=
ORDER   ?=
CODE    ?= appendix
TEST    ?=
IMAGES  ?=
TRAIN   ?=
FRESH   ?=
R       ?=
ZIP     ?= build/handin-$(EDITION).zip

GPU     ?=

PYTHON  ?= python3
BIN     := .venv/bin
READY   := .venv/ready
REPORT   = $(BIN)/python -m fer_report

ifneq ($(DATA),)
export FER_DATA := $(if $(wildcard $(DATA)),$(abspath $(DATA)),$(DATA))
endif
ifneq ($(ORDER),)
export FER_ORDER := $(ORDER)
endif
export TF_CPP_MIN_LOG_LEVEL ?= 2
# questions that run at once share a GPU
export TF_FORCE_GPU_ALLOW_GROWTH ?= true

.PHONY: by-hand help setup report question site data train reproduce runs board handin check submission predict notebooks translations lab test lint bench clean

help:     ## what there is
	@grep -E '^[a-z-]+: *.*##' $(MAKEFILE_LIST) | sed -E 's/: [^#]*## /: /; s/:  *## /: /' | awk -F': ' '{printf "  make %-11s %s\n", $$1, $$2}'
	@echo
	@echo '  EDITION=$(EDITION)  LANGS="$(LANGS)"  PROFILE=$(PROFILE) (smoke, quick, full)  DATA=fer2013.csv  ORDER=$(or $(ORDER),official)  JOBS=$(JOBS)  CODE=$(CODE) (inline, none)  Q=$(Q)  P="name=value ..."'
	@echo '  CLUSTER=slurm  SLURM="partition=gpu gpus=1 cpus=8 hours=12 mem=32": trainings are jobs of a cluster (README, On a cluster)'

setup: $(READY)  ## .venv with everything pinned (done by every other target when needed); GPU=1 or GPU=0 chooses TensorFlow

$(READY): requirements.txt pyproject.toml $(if $(GPU),by-hand)
	@$(PYTHON) report/install.py
	@touch $@

by-hand:  # GPU=1 or GPU=0 was given: .venv is looked at again

report: $(READY)  ## build/report-<edition>-<language>.pdf; only what changed is computed again
	@$(REPORT) report --edition $(EDITION) --langs $(LANGS) --profile $(PROFILE) --jobs $(JOBS) --code $(CODE) --set "$$CHOSEN"

site: $(READY)  ## the same as pages for a browser, build/site/index.html
	@$(REPORT) site --edition $(EDITION) --langs $(LANGS) --profile $(PROFILE) --jobs $(JOBS) --code $(CODE) --set "$$CHOSEN"

# what a report, a question, a hand-in or a prediction is about: a preset only where somebody names one
CHOSEN   = $(if $(filter-out file,$(origin PRESET)),preset=$(PRESET)) $(P)
export PRESET PROFILE P CHOSEN TRAIN GPU  # recipes read them as shell variables: quotes in a value stay what they are

question: $(READY)  ## one question by itself: make question Q=confusion P="preset=E"
	@$(REPORT) question $(Q) --set "$$CHOSEN" --langs $(LANGS) --profile $(PROFILE) --code $(CODE)

data: $(READY)  ## download FER2013 into data/ (needs Kaggle access) and say what is there
	@$(BIN)/python -m fer_utils.download

train: $(READY)  ## one training in the background, resumable: make train PRESET=B PROFILE=full; FRESH=1: also what is recorded
	@$(BIN)/python -m fer_utils.trainings $(if $(FRESH),--fresh) --background "preset=$$PRESET profile=$$PROFILE $$P"

reproduce: $(READY)  ## train anew what is recorded (names in R, all without), and say whether the results agree: days, resumable
	@$(BIN)/python -m fer_utils.trainings --reproduce $(R)

runs: $(READY)  ## the trainings that are finished, interrupted or running
	@$(BIN)/python -m fer_utils.trainings

board: $(READY)  ## TensorBoard on all trainings
	@$(BIN)/tensorboard --logdir runs

handin: $(READY)  ## report, weights and scripts as a tried build/handin-<edition>.zip: make handin EDITION=2017-fall
	@$(REPORT) handin --edition $(EDITION) --langs $(LANGS) --profile $(PROFILE) --jobs $(JOBS) --set "$$CHOSEN"

check: $(READY)  ## try a hand-in that is there: make check ZIP=build/handin-2017-fall.zip
	@$(REPORT) check "$(ZIP)"

submission: $(READY)  ## labels for a csv id,feature: make submission TEST=test.csv
	@$(REPORT) predict "$(TEST)" --edition $(EDITION) --profile $(PROFILE) --set "$$CHOSEN"

predict: $(READY)  ## labels for a folder of face crops: make predict IMAGES=folder
	@$(REPORT) predict "$(IMAGES)" --edition $(EDITION) --profile $(PROFILE) --set "$$CHOSEN"

notebooks: $(READY)  ## copies in one language, to edit: make notebooks LANGS=zh-TW
	@$(REPORT) notebooks --langs $(LANGS)

translations: $(READY)  ## the catalogs notebooks/locale/<language>/*.po in step with the texts
	@$(REPORT) translations --langs $(LANGS)

lab: $(READY)  ## open the notebooks in JupyterLab; LANGS=zh-TW opens the copies in Chinese
ifeq ($(filter en,$(LANGS)),)
	@$(REPORT) notebooks --langs $(LANGS)
	@$(BIN)/jupyter lab --notebook-dir build/notebooks/$(firstword $(LANGS))
else
	@$(BIN)/jupyter lab --notebook-dir notebooks
endif

test: $(READY)  ## all tests (minutes)
	@$(BIN)/python -m pytest

lint: $(READY)  ## style of the code: ruff check and ruff format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

bench: $(READY)  ## bench/RESULTS.md: loading, training, time to accuracy, explanations, the report (an hour, quiet machine)
	@$(BIN)/python -m bench

clean:  ## forget everything generated (build/ and the data cache); trained runs in runs/ stay
	rm -rf build data/cache
